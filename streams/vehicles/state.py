"""The state of a vehicle: its fixes, episodes and incidents (semantics 6)."""

from __future__ import annotations

from copy import copy
from typing import NamedTuple

import msgspec

from streams.clock import END_MS
from streams.lifecycle import MAX_EVIDENCE
from streams.registry.registry import Subject
from streams.rules._predicates import Form
from streams.vehicles.compiled_rules import CompiledRules, Offence
from streams.vehicles.history import FixHistory
from streams.vehicles.late import Waiting
from streams.vehicles.lines import OnLines
from streams.vehicles.reported import NOTHING, Change, Report


class JudgedFix(NamedTuple):
    """An accepted fix (ms, id, degrees, km/h, ignition on) with the offences it commits and what it reports of itself."""

    event_time_ms: int
    event_id: str
    lon: float
    lat: float
    speed_kmh: float | None
    ignition: bool
    offences: tuple[Offence, ...]
    report: Report = NOTHING


class Episode(msgspec.Struct, gc=False):
    """Consecutive fixes that commit one offence.

    What is said of them: ``evidence``: the first of them; ``plate``, ``driver_id``: the first that one gives; whether any is ``synthetic``; how fast the fastest was.
    """

    offence: Offence
    opened_at_ms: int
    opened_by: str
    last_seen_ms: int
    last_id: str
    fix_count: int
    evidence: list[JudgedFix]
    plate: str | None = None
    synthetic: bool = False
    top_speed_kmh: float | None = None
    driver_id: str | None = None

    def counts(self) -> bool:
        """Whether it lasts long enough to be an incident."""
        return self.last_seen_ms - self.opened_at_ms >= self.offence.minimum_ms

    def contains(self, key: tuple[int, str]) -> bool:
        """Whether an accepted fix (time, id) that commits this offence is part of it (of a silence: what began it)."""
        if self.offence.form is Form.SILENCE:
            return key == (self.opened_at_ms, self.opened_by)
        return (self.opened_at_ms, self.opened_by) <= key <= (self.last_seen_ms, self.last_id)

    def extend(self, fix: JudgedFix) -> None:
        """Take in the next fix."""
        self.last_seen_ms = fix.event_time_ms
        self.last_id = fix.event_id
        self.fix_count += 1
        if len(self.evidence) < MAX_EVIDENCE:
            self.evidence.append(fix)
        plate, synthetic, driver_id = fix.report
        self.plate = self.plate or plate
        self.synthetic = self.synthetic or synthetic
        self.driver_id = self.driver_id or driver_id
        speed_kmh, top_kmh = fix.speed_kmh, self.top_speed_kmh
        if speed_kmh is not None and (top_kmh is None or speed_kmh > top_kmh):
            self.top_speed_kmh = speed_kmh

    def copy(self) -> Episode:
        """An episode that can grow apart from this one."""
        copied = copy(self)
        copied.evidence = self.evidence[:]
        return copied


class Incident(msgspec.Struct, gc=False):
    """An announced incident: its identity, its latest revision and the run behind it."""

    incident_id: str
    opening: tuple[int, str]
    revision: int
    state: str
    episode: Episode
    superseded_by: str | None = None


class VehicleState(msgspec.Struct, gc=False):
    """One vehicle's state.

    ``history``: its accepted fixes of at least the last ``lateness``, while it is checked out; else they are in its partition's store, in its ``slot``
    (-1: it has none yet), and the older ones in ``compressed`` blocks. ``offending``: how many of them commit which set of offences (by its number).
    ``episodes``: those that contain the newest fix; ``carried_over``: those that contained the newest fix dropped from the history.
    ``incidents``: the announced ones that a late fix can still change, in the order of their announcement. ``reported``: what its fixes report of plate,
    driver and synthetic. ``waiting``: late fixes that are not in the history yet. ``on_lines``: how far it has come on delivery lines. ``seen``: the offset at which it was last accepted, unless the store says it.
    Empty containers are absent, since most vehicles have nothing in them.

    Of this process only: the ``open`` ones of ``incidents`` by id; the last fix that was dropped, if ``incidents`` may hold what only fixes before it
    could change (``border``), and the number of incidents beyond which that is looked for (``prune_at``); the rules ``compiled`` last and what
    the registry said then (``subject``); and the stream time (ms) of its timer (``due_ms``).
    """

    slot: int
    vehicle_id: str
    history: FixHistory | None
    compressed: bytes = b""
    offending: dict[int, int] | None = None
    episodes: dict[Offence, Episode] | None = None
    carried_over: dict[Offence, Episode] | None = None
    incidents: list[Incident] | None = None
    reported: list[Change] | None = None
    waiting: Waiting | None = None
    on_lines: OnLines | None = None
    seen: int = 0
    compiled: CompiledRules | None = None
    subject: Subject | None = None
    due_ms: int = END_MS
    open: dict[str, Incident] | None = None
    border: tuple[int, str] | None = None
    prune_at: int = 16

    def has_offended(self) -> bool:
        """Whether there is anything to tell but its fixes; of most there is not."""
        return bool(self.offending or self.episodes or self.carried_over or self.incidents)

    def count_offences(self, number: int, by: int) -> None:
        """So many more fixes commit a set of offences (0: the empty one)."""
        counts = self.offending or {}
        counts[number] = counts.get(number, 0) + by
        if not (number and counts[number]):
            del counts[number]
        self.offending = counts or None


def new_vehicle_state(vehicle_id: str) -> VehicleState:
    """A vehicle without fixes."""
    return VehicleState(-1, vehicle_id, FixHistory())
