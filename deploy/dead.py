"""Refused records: what the dead-letter topics hold of them, and the records themselves as long as their topics retain them."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

import msgspec
from kafka import KafkaConsumer, TopicPartition
from kafka.errors import OffsetOutOfRangeError

from deploy.admin import CLOSE_TIMEOUT_MS, readable, reader, send_records
from streams.clock import local_datetime
from streams.policy.policy import Policy
from streams.runtime.dead_letters import KINDS
from streams.wire.events import FIRST_MS, LAST_MS
from streams.wire.topics import DEAD, LATE
from streams.words.shown import shown

PATIENCE_S = 10.0
SHOWN_MOST = 4_000


class _Identity(msgspec.Struct):
    event_id: str | None = None
    event_time_ms: int | None = None


class Refused(NamedTuple):
    """A record that was refused: where it stands, why, and what is told of it."""

    topic: str
    partition: int
    offset: int
    reason: str
    error: str
    sha256: str
    length: int
    event_id: str | None
    event_time_ms: int | None

    @property
    def name(self) -> str:
        """What it is called on the command line."""
        return f"{self.topic}/{self.partition}/{self.offset}"


def refused(bootstrap: str, reason: str | None = None, *, late: bool = True) -> list[Refused]:
    """Every refused record once, in the order in which they were refused; ``late``: also those that came too late."""
    found: dict[str, Refused] = {}
    for topic in (DEAD, LATE) if late else (DEAD,):
        found.update((record.name, record) for record in readable(bootstrap, topic.name, _read) if reason in (None, record.reason))
    return list(found.values())


def _read(record: Any) -> Refused:
    headers = {name: (text or b"").decode() for name, text in record.headers}
    if missing := {"reason", "topic", "partition", "offset", "sha256", "length"} - headers.keys():
        raise ValueError(f"header {min(missing)} is missing")
    if headers["topic"] not in KINDS:
        raise ValueError("not of an input topic")
    identity = msgspec.json.decode(record.value, type=_Identity) if record.value else _Identity()
    return Refused(
        headers["topic"], int(headers["partition"]), int(headers["offset"]), headers["reason"], headers.get("error", ""), headers["sha256"],
        int(headers["length"]), identity.event_id, identity.event_time_ms,
    )  # fmt: skip


def originals(bootstrap: str, records: Iterable[Refused]) -> Iterator[tuple[Refused, Any]]:
    """Each refused record with what stands in its place, or None where that is no longer retained, or another record."""
    consumer = reader(bootstrap, auto_offset_reset="none", max_poll_records=1)
    try:
        for record in records:
            found = _at(consumer, TopicPartition(record.topic, record.partition), record.offset)
            same = found is not None and hashlib.sha256(found.value or b"").hexdigest() == record.sha256
            yield record, found if same else None
    finally:
        consumer.close(timeout_ms=CLOSE_TIMEOUT_MS)


def _at(consumer: KafkaConsumer, partition: TopicPartition, offset: int) -> Any:
    """The record at an offset, or None."""
    if partition.partition not in (consumer.partitions_for_topic(partition.topic) or ()):
        return None
    consumer.assign([partition])
    if not consumer.beginning_offsets([partition])[partition] <= offset < consumer.end_offsets([partition])[partition]:
        return None
    consumer.seek(partition, offset)
    deadline_s = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline_s:
        try:
            for records in consumer.poll(timeout_ms=500).values():
                return records[0] if records[0].offset == offset else None
        except OffsetOutOfRangeError:
            return None
    return None


def listed(bootstrap: str, policy: Policy, *, reason: str | None, show: bool) -> Iterator[str]:
    """Refused records, a line each: name, reason, event id, local time, bytes, why; ``show``: and what they say."""
    records = refused(bootstrap, reason)
    for record, original in originals(bootstrap, records) if show else ((record, None) for record in records):
        known = record.event_time_ms is not None and FIRST_MS <= record.event_time_ms < LAST_MS
        moment = local_datetime(record.event_time_ms, policy.timezone).strftime("%Y-%m-%d %H:%M:%S") if known and record.event_time_ms else "-"
        yield "\t".join(map(shown, (record.name, record.reason, record.event_id or "-", moment, record.length, record.error)))
        if show:
            yield f"  {_said(original)}"


def _said(original: Any) -> str:
    if original is None:
        return "no longer retained in its topic"
    text = shown((original.value or b"").decode("utf-8", "backslashreplace")[:SHOWN_MOST])
    return text or "(empty)"


def redrive(bootstrap: str, *, reason: str | None, late: bool) -> tuple[int, int]:
    """Send refused records into their topics again, the same bytes once; how many, and how many are no longer retained.

    What is still wrong with them is refused again; what was accepted since is a duplicate.
    """
    once = {(record.topic, record.sha256): record for record in refused(bootstrap, reason, late=late)}
    gone = 0

    def again() -> Iterator[Any]:
        nonlocal gone
        for record, original in originals(bootstrap, once.values()):
            if original is None:
                gone += 1
            else:
                yield record.topic, original.key, original.value, record.partition

    return send_records(bootstrap, again()), gone
