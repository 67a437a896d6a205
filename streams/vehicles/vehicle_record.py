"""How a vehicle's state is written: arrays of fields in this order; a later version adds fields behind. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import msgspec

from streams.vehicles.reported import Change, Report
from streams.wire.state_records import RecordHeader


class OffenceRecord(NamedTuple):
    """A rule instance in a zone, or none (``compiled_rules.Offence``); gap and minimum in ms."""

    rule_id: str
    zone_id: str | None
    merge_gap_ms: int
    minimum_ms: int
    form: str
    rule: str


class OffenceSetRecord(NamedTuple):
    """A set of offences that fixes refer to by its number: their places among the vehicle's offences."""

    number: int
    offences: list[int]


class EvidenceRecord(NamedTuple):
    """A fix of an episode: ms, id, degrees, km/h, ignition on, the places of its offences."""

    event_time_ms: int
    event_id: str
    lon: float
    lat: float
    speed_kmh: float | None
    ignition: bool
    offences: list[int]


class EpisodeRecord(msgspec.Struct, array_like=True):
    """An episode (``state.Episode``), its offence as a place among the vehicle's. What fixes said of plate and speed stands there since version 7."""

    offence: int
    opened_at_ms: int
    opened_by: str
    last_seen_ms: int
    last_id: str
    fix_count: int
    evidence: list[EvidenceRecord]
    plate: str | None = None
    synthetic: bool = False
    top_speed_kmh: float | None = None
    driver_id: str | None = None


class IncidentRecord(NamedTuple):
    """An announced incident (``state.Incident``), its episode as a place among the vehicle's."""

    incident_id: str
    opening: tuple[int, str]
    revision: int
    state: str
    episode: int
    superseded_by: str | None


class ExactFix(NamedTuple):
    """The fix (time, id) whose position (degrees) and speed (km/h) do not fit a row."""

    event_time_ms: int
    event_id: str
    lon: float
    lat: float
    speed_kmh: float | None


class LateFix(NamedTuple):
    """A late fix that waits: ms, id, degrees, km/h, ignition on, load, its offences and what it reports."""

    event_time_ms: int
    event_id: str
    lon: float
    lat: float
    speed_kmh: float | None
    ignition: bool
    load: int
    offences: list[OffenceRecord]
    report: Report


class WaitingRecord(NamedTuple):
    """Until which stream time (ms) late fixes wait, and which."""

    until_ms: int
    fixes: list[LateFix]


class VehicleRecord(RecordHeader, array_like=True, frozen=True):
    """A vehicle; its progress on delivery lines (date, line, and the fields of ``lines.Progress``) follows, an array each.

    ``compressed``: blocks of fixes; ``rows``: those that are in none; ``ids``: theirs, with separators, or their width and all.
    ``sets``: of offences that fixes refer to. The ``live`` first of ``episodes`` contain the newest fix.
    ``seen``: the offset at which it was last accepted, since version 8 (before: that of the record).
    """

    vehicle_id: str
    reported: Sequence[Change] = ()
    offences: Sequence[OffenceRecord] = ()
    compressed: bytes = b""
    rows: bytes = b""
    ids: bytes | tuple[int, bytes] = b""
    exact: Sequence[ExactFix] = ()
    sets: Sequence[OffenceSetRecord] = ()
    episodes: Sequence[EpisodeRecord] = ()
    live: int = 0
    carried_over: Sequence[EpisodeRecord] = ()
    incidents: Sequence[IncidentRecord] = ()
    seen: int | None = None
    waiting: WaitingRecord | None = None
