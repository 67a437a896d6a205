"""``yicheng incidents evidence``: one file of all that an incident rests on, as Kafka holds it now, and of what Kafka holds no more."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from consumers.audit import Audit
from deploy.admin import readable
from deploy.evidence.archive import RECORDS, with_manifest, write_zip
from deploy.evidence.page import evidence_page
from deploy.evidence.records import AROUND_MS, Found, KafkaRecord, Window, record_as_held, records_in, records_that
from deploy.evidence.sums import sums_of
from deploy.published import incident_in
from deploy.report.page import printed
from streams.errors import BadInput, nearest
from streams.geo import to_wgs84
from streams.policy.policy import Policies, Policy
from streams.policy.reader import decode_policy, load_policy, packs
from streams.registry.records import decode_versions
from streams.registry.registry import Registry
from streams.rules import judged
from streams.wire.answers import Answer, once, read_answer
from streams.wire.decode import FIXES, SCANS, Malformed
from streams.wire.topics import FEEDBACK, GPS, INCIDENTS, POLICY, REGISTRY, SCAN
from streams.words.basis import Words

TIMEZONE = ZoneInfo("Asia/Shanghai")
"""Where no pack says another."""


class TrackPoint(msgspec.Struct, frozen=True):
    """A fix of the vehicle (WGS-84 degrees, km/h); ``evidence``: the incident names it."""

    time_ms: int
    lon: float
    lat: float
    speed_kmh: float | None
    evidence: bool


class Case(msgspec.Struct, frozen=True, kw_only=True):
    """All that is known of an incident: ``data`` as last revised, the records that say it and those that it rests on.

    ``sums``: those of them that no fix or scan stands for, and ``sums_words`` what they are. ``missing``: ids of its evidence that Kafka holds no more; ``cut``: it has deleted records of that time; ``registry``: entries by ``kind/id`` as of its beginning.
    """

    data: dict[str, Any]
    records: list[KafkaRecord]
    revisions: list[dict[str, Any]]
    answers: list[Answer]
    track: list[TrackPoint]
    missing: list[str]
    cut: bool
    registry: dict[str, Any]
    policy: Policy | None
    sums: list[KafkaRecord] = []
    sums_words: Words | None = None


class Written(NamedTuple):
    """What was written, in figures."""

    case: Case
    signed: bool

    def lines(self, path: Path) -> Iterator[str]:
        """For people."""
        case, evidence = self.case, len(self.case.data.get("evidence") or ())
        yield f"written to {path}: {len(case.records)} records, {evidence - len(case.missing)} of {evidence} pieces of evidence / 已写入：{len(case.records)}条记录，证据{evidence}项中有{evidence - len(case.missing)}项"
        if case.missing:
            yield f"no longer retained by Kafka / 已过保存期: {', '.join(case.missing)}"
        if not self.signed:
            yield "not signed: give --key FILE, from ./yicheng secrets signing-key / 未签名"


def write_evidence(bootstrap: str, audit: Audit, incident_id: str, out: Path, *, by: str, key: Ed25519PrivateKey | None, pdf: bool) -> Written:
    """Write the file; it is in the audit log before it is on the disk. ``BadInput`` where there is no such incident, or the file is there already."""
    if out.exists():
        raise BadInput(f"--out {out}: it is there already; evidence is never overwritten")
    case, made_at = gather_case(bootstrap, incident_id), datetime.now(UTC)
    page = evidence_page(case, made_at, by)
    files = {
        "index.html": page.encode(),
        RECORDS: b"".join(msgspec.json.encode(record) + b"\n" for record in case.records),
        "registry.json": (json.dumps({"as_of_ms": case.data["opened_at_ms"], "entries": case.registry}, ensure_ascii=False, indent=1) + "\n").encode("utf-8", "surrogatepass"),
    }
    if pdf:
        files["index.pdf"] = printed(page)
    made = with_manifest(files, incident_id, case.data["revision"], made_at, by, key)
    audit.append("exported", by, incident_id=incident_id, revision=case.data["revision"], through="command line")
    write_zip(out, made, made_at)
    return Written(case, key is not None)


def gather_case(bootstrap: str, incident_id: str) -> Case:
    """Read everything about an incident again; ``BadInput`` where Kafka knows no such incident."""
    published = _incident_records(bootstrap, incident_id)
    revisions = sorted((incident_in(record.value) for record in published), key=lambda data: data["revision"])
    data = revisions[-1]
    answered = records_that(bootstrap, FEEDBACK, lambda record: record.key == incident_id.encode())
    policy, packs_said = _policy(bootstrap, data)
    registry, entries_said = _registry(bootstrap, data, policy.timezone if policy else TIMEZONE)
    wanted = frozenset(seen["event_id"] for seen in data.get("evidence") or ())
    last_published_ms = max(record.timestamp for record in published)
    inputs, kind = _Inputs(data, wanted), judged(data["rule"])
    found = inputs.read(bootstrap, kind, last_published_ms + AROUND_MS)
    sums = sums_of(bootstrap, data, kind, policy, policy.timezone if policy else TIMEZONE)
    records = [*published, *answered, *found.records, *sums.records, *entries_said, *packs_said]
    return Case(
        data=data, records=[record_as_held(record) for record in records], revisions=revisions, answers=list(once(_readable_answers(answered))),
        track=sorted(inputs.track, key=lambda point: point.time_ms), missing=sorted(wanted - inputs.ids) if kind in {"fix", "scan"} else [], cut=found.cut, registry=registry, policy=policy,
        sums=[record_as_held(record) for record in sums.records], sums_words=sums.words,
    )  # fmt: skip


def _incident_records(bootstrap: str, incident_id: str) -> list[Any]:
    known: set[str] = set()

    def concerns(record: Any) -> bool:
        try:
            name = incident_in(record.value)["incident_id"]
        except (Malformed, BadInput):
            return False
        known.add(name)
        return bool(name == incident_id)

    if published := records_that(bootstrap, INCIDENTS, concerns):
        return published
    raise BadInput(f"no incident {incident_id!r}{nearest(incident_id, known)}; ./yicheng incidents list shows them, and Kafka keeps them for 90 days")


def _readable_answers(records: list[Any]) -> Iterator[Answer]:
    for record in records:
        try:
            yield read_answer(record.value or b"")
        except Malformed:
            continue


class _Inputs:
    """The fixes or scans that an incident rests on, as they are read; of a vehicle its whole way around that time. ``ids``: of the evidence that was found."""

    def __init__(self, data: dict[str, Any], wanted: frozenset[str]) -> None:
        self.vehicle, self.wanted = str(data["vehicle_id"] or ""), wanted
        self.from_ms, self.until_ms = data["opened_at_ms"] - AROUND_MS, data["last_seen_ms"] + AROUND_MS
        self.ids: set[str] = set()
        self.track: list[TrackPoint] = []
        self._key, self._marks = self.vehicle.encode(), tuple(name.encode() for name in wanted)

    def fix(self, record: Any) -> str | None:
        """The event's id of a fix that belongs to it."""
        if not record.value or (record.key != self._key and self._key not in record.value):
            return None
        try:
            fix = FIXES.read_one(record.value)
        except Malformed:
            return None
        if fix.vehicle_id != self.vehicle or not (self.from_ms <= fix.event_time_ms <= self.until_ms or fix.event_id in self.wanted):
            return None
        lon, lat = to_wgs84(fix.lon, fix.lat, fix.coord_sys)
        self.track.append(TrackPoint(fix.event_time_ms, lon, lat, fix.speed_kmh, fix.event_id in self.wanted))
        self.ids.add(fix.event_id)
        return fix.event_id

    def scan(self, record: Any) -> str | None:
        """The event's id of a scan that belongs to it."""
        if not record.value or not any(mark in record.value for mark in self._marks):
            return None
        try:
            event_id = SCANS.read_one(record.value).event_id
        except Malformed:
            return None
        if event_id not in self.wanted:
            return None
        self.ids.add(event_id)
        return event_id

    def read(self, bootstrap: str, kind: str, until_ms: int) -> Found:
        """Read those that arrived until an instant; none of an incident that rests on counts, silences or charges."""
        if kind == "fix" and self.vehicle:
            return records_in(bootstrap, Window(GPS, self.from_ms, until_ms, self._key, self.wanted), self.fix)
        if kind == "scan" and self.wanted:
            return records_in(bootstrap, Window(SCAN, self.from_ms, until_ms, b"", self.wanted), self.scan)
        return Found([], cut=False)


def _policy(bootstrap: str, data: dict[str, Any]) -> tuple[Policy | None, list[Any]]:
    """The pack as it was in force when the incident began, and the record that says so; the one that comes along where none was published."""
    said: list[Any] = []
    versions: list[Policy] = []

    def enter(record: Any) -> None:
        if record.key == str(data["policy"]).encode():
            versions[:] = decode_policy(record.value) if record.value else []
            said[:] = [record] if record.value else []

    for _ in readable(bootstrap, POLICY.name, enter):
        pass
    if versions:
        policies = Policies(versions)
        return policies.at(data["opened_at_ms"]) or policies.newest, said
    return (load_policy(data["policy"]) if data["policy"] in packs() else None), []


def _registry(bootstrap: str, data: dict[str, Any], timezone: ZoneInfo) -> tuple[dict[str, Any], list[Any]]:
    """The entries about whom and what an incident is about, valid when it began, and the records that hold them now."""
    known, said, at_ms = Registry(timezone), dict[str, Any](), data["opened_at_ms"]

    def enter(record: Any) -> None:
        key = (record.key or b"").decode()
        kind, _, name = key.partition("/")
        known.put(kind, name, decode_versions(record.value) if record.value else [])
        said[key] = record

    for _ in readable(bootstrap, REGISTRY.name, enter):
        pass
    vehicle = known.subject(data["vehicle_id"], at_ms) if data["vehicle_id"] else None
    keys = [(kind, data.get(f"{kind}_id")) for kind in ("vehicle", "outlet", "line", "enterprise")]
    if vehicle is not None:
        keys += [("pass", held.id) for held in vehicle.passes]
        keys += [("driver", name) for name in (vehicle.vehicle.driver_ids if vehicle.vehicle else ())]
    entries = {f"{kind}/{name}": entry for kind, name in keys if name and (entry := known.at(kind, name, at_ms)) is not None}
    return {key: msgspec.to_builtins(entry) for key, entry in entries.items()}, [said[key] for key in entries]
