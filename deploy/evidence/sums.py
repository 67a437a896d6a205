"""What an incident rests on that no single fix or scan shows: a day's sum, the signs before and after a silence, the incidents that cost points."""

from __future__ import annotations

from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

from deploy.admin import readable
from deploy.evidence.records import AROUND_MS, Window, records_in, records_that
from deploy.published import incident_in
from streams.clock import local_datetime
from streams.counts import CITY_WIDE
from streams.enterprises.credit import ENTERPRISE
from streams.errors import BadInput
from streams.policy.policy import Policy
from streams.rules import RULES
from streams.wire.decode import HEARTBEATS, SCANS, Malformed, Reader
from streams.wire.events import Heartbeat, Scan
from streams.wire.topics import CREDIT, HEARTBEAT, INCIDENTS, RATES, SCAN
from streams.words.basis import Words

WORDS = {
    "day": Words("本事件由当日合计得出，合计为 courier.rates.v1 中该日的现有记录；逐件扫描不由事件列名，故不在本文件中。",
                 "Judged from a day's sum, which is that day's record of courier.rates.v1 as it is now. The incident names none of the scans counted, so they are not in this file."),
    "silence": Words("本事件为中断：所载记录为中断前最后一条与其后第一条；中断期间没有记录。",
                     "Judged from a silence: the records are the last sign before it and the first after it. Of the time in between there are none."),
    "credit": Words("本事件由积分得出：所载为该企业已结束且依规则计分的事件，及 courier.credit.v1 中的现有记录。",
                    "Judged from points: the records are the enterprise's closed incidents whose rules cost points, and its record of courier.credit.v1 as it is now."),
    "line": Words("本事件由配送线路当日的行驶合计得出；事件不列名单条定位，故本文件不含输入记录。",
                  "Judged from what was driven of a delivery line on a day. The incident names no fix, so this file has no input records."),
}  # fmt: skip
"""What stands in the file, by what a rule judges."""
_READERS: dict[str, Reader[Heartbeat] | Reader[Scan]] = {HEARTBEAT.name: HEARTBEATS, SCAN.name: SCANS}
NONE_LEFT = Words("相应记录在Kafka中已过保存期。", "Kafka holds none of these records any more.")


class Sums(NamedTuple):
    """The records, and in words what they are, or why there are none."""

    records: list[Any]
    words: Words | None


def sums_of(bootstrap: str, data: dict[str, Any], kind: str, policy: Policy | None, timezone: ZoneInfo) -> Sums:
    """Of an incident whose rule judges a ``kind`` (``streams.rules.judged``); nothing of one that rests on fixes or scans."""
    if kind not in WORDS:
        return Sums([], None)
    if kind == "day":
        date = local_datetime(data["opened_at_ms"], timezone).date()
        found = _of_key(bootstrap, RATES.name, f"{data['city']}/{data['enterprise_id'] or CITY_WIDE}/{date}")
    elif kind == "credit":
        found = [*_charged(bootstrap, data, policy), *_of_key(bootstrap, CREDIT.name, f"{ENTERPRISE}{data['enterprise_id']}")]
    else:
        found = _signs(bootstrap, data) if kind == "silence" else []
    words = WORDS[kind]
    return Sums(found, words if found or kind == "line" else Words(words.zh + NONE_LEFT.zh, f"{words.en} {NONE_LEFT.en}"))


def _of_key(bootstrap: str, topic: str, key: str) -> list[Any]:
    """The newest record of a key in a compacted topic."""
    newest: list[Any] = []

    def enter(record: Any) -> None:
        if record.key == key.encode() and record.value:
            newest[:] = [record]

    for _ in readable(bootstrap, topic, enter):
        pass
    return newest


def _charged(bootstrap: str, data: dict[str, Any], policy: Policy | None) -> list[Any]:
    """The closed incidents that cost the enterprise points before it came to be on the list, each as last revised."""
    rules = [rule for rule in policy.pack.rules if rule.rule == data["rule"]] if policy else []
    points = rules[0].parameters.points if rules else {}
    newest: dict[str, tuple[dict[str, Any], Any]] = {}

    def concerns(record: Any) -> bool:
        try:
            said = incident_in(record.value)
        except (Malformed, BadInput):
            return False
        if said["enterprise_id"] == data["enterprise_id"] and said["rule"] in points:
            known = newest.get(said["incident_id"])
            if known is None or known[0]["revision"] <= said["revision"]:
                newest[said["incident_id"]] = said, record
        return False

    records_that(bootstrap, INCIDENTS, concerns)
    return [record for said, record in newest.values() if said["state"] == "closed" and (said.get("closed_at_ms") or 0) <= data["opened_at_ms"]]


def _signs(bootstrap: str, data: dict[str, Any]) -> list[Any]:
    """The records whose signs a silence begins and ends with: heartbeats, of a feed scans, too."""
    kind = RULES[data["rule"]].SIGNS
    name = str(data[f"{kind}_id"])
    moments = [data["opened_at_ms"], *([data["closed_at_ms"]] if data.get("closed_at_ms") else [])]

    def is_sign(record: Any) -> str | None:
        try:
            sign: Heartbeat | Scan = _READERS[record.topic].read_one(record.value or b"")
        except Malformed:
            return None
        subject = sign.subject if isinstance(sign, Heartbeat) else f"enterprise/{sign.enterprise_id}"
        return "sign" if subject == f"{kind}/{name}" and sign.event_time_ms in moments else None

    found: dict[tuple[str, int, int], Any] = {}
    for topic in (HEARTBEAT, SCAN) if kind == "enterprise" else (HEARTBEAT,):
        for at_ms in moments:
            for record in records_in(bootstrap, Window(topic, at_ms - AROUND_MS, at_ms + AROUND_MS, b"", frozenset()), is_sign).records:
                found[record.topic, record.partition, record.offset] = record
    return list(found.values())
