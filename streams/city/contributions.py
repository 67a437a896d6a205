"""What the first stage sends on to the second (``courier.partials.v1``, internal), keyed by city so that one place sums a city."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Generic, NamedTuple, TypeVar

import msgspec

from streams.clock import BEGINNING_MS, is_local_date
from streams.counts import Counts, MinuteCounts
from streams.enterprises.confirmations import Answered
from streams.enterprises.credit import Charge
from streams.enterprises.liveness import HeartbeatPartition, Span, in_parts
from streams.parcels.partition import ScanPartition
from streams.parcels.violations import ViolationKey, ViolationSummary
from streams.vehicles.empty_run import Millimetres
from streams.vehicles.fleet_day import FleetDay
from streams.watermark import Mark, Newest
from streams.wire.decode import NESTED_MOST, Malformed, decoded, depth, is_subject, outside_strings
from streams.wire.ids import RESERVED, is_id
from streams.wire.topics import HEARTBEAT, SCAN

Key = TypeVar("Key")
Value = TypeVar("Value")


class AsOf(NamedTuple, Generic[Value]):
    """What a partition of an input has come to, and the offset that it had been read up to then."""

    next_offset: int
    value: Value


def enter_latest(latest: dict[Key, AsOf[Value]], key: Key, said: AsOf[Value]) -> bool:
    """Enter what was said under a key unless something later is known; whether it was entered."""
    known = latest.get(key)
    if known is not None and known.next_offset > said.next_offset:
        return False
    latest[key] = said
    return True


WIRE_NAMES = {"violation": "finding", "summary": "extent", "heartbeats": "signs"}
"""What fields are called in messages; workers of before read them, and these read theirs."""


class Contribution(msgspec.Struct, omit_defaults=True, rename=WIRE_NAMES):
    """What one partition of an input ``topic`` has come to as of an offset; whole, so that a repeat changes nothing.

    ``counts`` of a day (and of those ``minutes`` of its last hour that changed), the ``summary`` of a violation, ``heartbeats`` by subject, the ``charge`` of an incident, an ``answer`` to one,
    how far vehicles have ``driven`` on a day, what else the ``fleet`` came to on it, or the last local date on which outlets and facilities were ``seen``.
    Or, after all of those that they cover, a worker's ``marks`` and the ``newest`` event times (watermark.py).
    """

    city: str = ""
    topic: str = ""
    enterprise_id: str = ""
    date: str = ""
    partition: int = -1
    next_offset: int = 0
    counts: Counts | None = None
    minutes: dict[int, MinuteCounts] | None = None
    violation: ViolationKey | None = None
    summary: ViolationSummary | None = None
    heartbeats: dict[str, list[Span]] | None = None
    charge: Charge | None = None
    answer: Answered | None = None
    driven: Millimetres | None = None
    fleet: FleetDay | None = None
    seen: dict[str, str] | None = None
    marks: list[Mark] | None = None
    newest: Newest | None = None


def of_scans(partition: ScanPartition, number: int, city: str) -> Iterator[Contribution]:
    """What a partition of scans has come to since the last call: signs of life and outlets of its ``city``, counts of days, violations."""
    as_of = number, partition.next_offset
    heartbeats, partition.heartbeats = partition.heartbeats, {}
    days, violations = partition.take_changed()
    for part in in_parts(heartbeats):
        yield Contribution(city, SCAN.name, "", "", *as_of, heartbeats=part)
    seen = list(partition.take_seen().items())
    for start in range(0, len(seen), OUTLETS_IN_ONE):
        yield Contribution(city, SCAN.name, "", "", *as_of, seen=dict(seen[start : start + OUTLETS_IN_ONE]))
    for day in days:
        counts, minutes = partition.counts[day], partition.changed_minutes(day)
        yield Contribution(day.city, SCAN.name, day.enterprise_id, day.date, *as_of, counts=counts, minutes=minutes)
    for key in violations:
        yield Contribution(city, SCAN.name, "", key.date, *as_of, violation=key, summary=partition.violations[key].summary())


def of_heartbeats(partition: HeartbeatPartition, number: int, city: str) -> Iterator[Contribution]:
    """The signs of life that a partition of heartbeats has met since the last call."""
    heartbeats, partition.heartbeats = partition.heartbeats, {}
    for part in in_parts(heartbeats):
        yield Contribution(city, HEARTBEAT.name, "", "", number, partition.next_offset, heartbeats=part)


encode_contribution = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(Contribution).decode
_TOO_MANY_DIGITS = re.compile(rb"[0-9]{16}")
"""No time, offset or count has so many, but for the time before all others."""
_BEGINNING = str(BEGINNING_MS).encode()
MOST_PARTITIONS = 10_000
OUTLETS_IN_ONE = 1_000
"""So many outlets are in one contribution at most."""


def decode_contribution(value: bytes | None) -> Contribution:
    """What ``encode_contribution`` wrote; ``Malformed`` where anybody else wrote what the second stage cannot make use of."""
    if not value:
        raise Malformed("the record is empty")
    contribution = decoded(value, _decode)
    if _TOO_MANY_DIGITS.search(outside_strings(value).replace(_BEGINNING, b"")) or depth(value) > NESTED_MOST:
        raise Malformed("a number of more than 15 digits")
    if any(mark.partitions > MOST_PARTITIONS for mark in contribution.marks or ()):
        raise Malformed("no topic has so many partitions")
    if not all(is_id(name) or name in RESERVED for name in _names(contribution)):
        raise Malformed("a city, an enterprise, an incident, an answer, a line or a zone is not an id")
    if not all(is_local_date(text) for text in _dates(contribution)):
        raise Malformed("a date is none, or beyond calendars")
    subjects = [*(contribution.heartbeats or ()), *([contribution.violation.subject] if contribution.violation else ())]
    if not all(is_subject(subject) for subject in subjects):
        raise Malformed("a subject is neither outlet/ID nor enterprise/ID")
    return contribution


def _names(contribution: Contribution) -> Iterator[str]:
    if contribution.city or contribution.marks is None:
        yield contribution.city
    if contribution.enterprise_id:
        yield contribution.enterprise_id
    yield from contribution.seen or ()
    if contribution.charge is not None:
        yield from filter(None, (contribution.charge.enterprise_id, contribution.charge.driver_id))
    if contribution.answer is not None:
        yield contribution.answer.incident_id
        yield from (name for name in (contribution.answer.answer_id, contribution.answer.objection) if name is not None)
    if contribution.fleet is not None:
        yield from (*contribution.fleet.lines, *contribution.fleet.stays)


def _dates(contribution: Contribution) -> Iterator[str]:
    if contribution.date or contribution.counts is not None or contribution.driven is not None or contribution.fleet is not None:
        yield contribution.date
    if contribution.violation is not None:
        yield contribution.violation.date
    yield from (contribution.seen or {}).values()
