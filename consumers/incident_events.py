"""Incident events as the notifier reads them from Kafka, whatever else may stand in that topic."""

from __future__ import annotations

import re
from typing import Annotated, NamedTuple

import msgspec

from streams.decode import NESTED_MOST, Malformed, decoded, depth

LARGEST_BYTES = 1_000_000
_EVENT_ID = re.compile(r"[A-Za-z0-9._/:-]{1,200}")
"""It becomes a header of a webhook."""


class _Data(msgspec.Struct):
    """What the notifier asks of an incident."""

    incident_id: str
    revision: int
    synthetic: bool


class _Event(msgspec.Struct):
    id: str
    type: Annotated[str, msgspec.Meta(pattern=r"^yicheng\.incident\.")]
    data: _Data


class IncidentEvent(NamedTuple):
    """A CloudEvent's id and its bytes, one line, as they were published, and whether it is about synthetic traffic."""

    event_id: str
    synthetic: bool
    body: bytes


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
    return IncidentEvent(event.id, event.data.synthetic, value)
