"""Incident events as the notifier reads them from Kafka, whatever else may stand in that topic."""

from __future__ import annotations

import re
from typing import Annotated, NamedTuple

import msgspec

from streams.lifecycle import Kind
from streams.wire.decode import NESTED_MOST, Malformed, decoded, depth
from streams.wire.events import LAST_MS

LARGEST_BYTES = 1_000_000
_EVENT_ID = re.compile(r"[A-Za-z0-9._/:-]{1,200}")
"""It becomes a header of a webhook."""


Moment = Annotated[int, msgspec.Meta(ge=0, le=LAST_MS)]


class Reported(msgspec.Struct):
    """What the notifier asks of an incident (streams/wire/incident.py); all but the first three may be missing."""

    incident_id: Annotated[str, msgspec.Meta(min_length=1, max_length=200)]
    revision: Annotated[int, msgspec.Meta(ge=1, le=2**31)]
    synthetic: bool
    state: str = "open"
    rule: str = ""
    rule_id: str = ""
    policy: str = ""
    clause: str = ""
    severity: str = ""
    city: str = ""
    zone_id: str | None = None
    vehicle_id: str | None = None
    plate: str | None = None
    enterprise_id: str | None = None
    outlet_id: str | None = None
    line_id: str | None = None
    opened_at_ms: Moment = 0
    last_seen_ms: Moment = 0
    closed_at_ms: Moment | None = None
    lon: float | None = None
    lat: float | None = None
    fix_count: int = 0
    reason_zh: str = ""
    reason_en: str = ""
    clause_text: str | None = None
    document: str | None = None
    document_number: str | None = None
    basis: str | None = None
    responsible: list[str] = []
    continued_by: str | None = None
    driver_id: str | None = None
    lead: str | None = None
    reading: str | None = None
    stands_in_for: str | None = None


class _Event(msgspec.Struct):
    id: str
    type: Annotated[str, msgspec.Meta(pattern=r"^yicheng\.incident\.")]
    data: Reported


class IncidentEvent(NamedTuple):
    """A CloudEvent's id and its bytes, one line, as they were published, what happened by its type, and what it reports."""

    event_id: str
    body: bytes
    kind: Kind
    incident: Reported

    @property
    def synthetic(self) -> bool:
        """Whether it is about synthetic traffic."""
        return self.incident.synthetic


_decode = msgspec.json.Decoder(_Event).decode


def read_event(value: bytes | None) -> IncidentEvent:
    """The event that a record holds; ``Malformed`` says why it is none of ours."""
    if not value:
        raise Malformed("the record is empty")
    if len(value) > LARGEST_BYTES:
        raise Malformed(f"larger than {LARGEST_BYTES:,} bytes")
    event = decoded(value, _decode)
    if not _EVENT_ID.fullmatch(event.id) or b"\n" in value or b"\r" in value or depth(value) > NESTED_MOST:
        raise Malformed("no incident of ours")
    return IncidentEvent(event.id, value, _kind_of(event.type), event.data)


def _kind_of(event_type: str) -> Kind:
    """What happened to the incident; a type of a later version counts as an update."""
    word = event_type.removeprefix("yicheng.incident.").partition(".")[0]
    return word if word in {"opened", "closed", "retracted"} else "updated"  # type: ignore[return-value]
