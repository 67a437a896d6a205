"""Delivery lines: which count on a local day, and how far each vehicle has come on its own (``rules.missed_line``). Pure, and exact.

Only fixes in a zone of a line, of a vehicle of that line, are looked at. As a late fix may still come before those of the last ``lateness``, they
are kept; of those before them it is enough to know how many of the zones they entered in order, since nothing can come between them any more.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Iterable
from typing import NamedTuple

import msgspec
import numpy as np

from streams.policy.policy import Policies
from streams.registry.cities import belongs
from streams.registry.records import Line
from streams.registry.registry import Registry
from streams.rules.missed_line import entered
from streams.vehicles.fleet_day import FleetDays
from streams.vehicles.zone_sets import ZoneSets
from streams.wire.events import Fix


class Visit(NamedTuple):
    """A fix in zones of a line: time (ms), id, and their places in the line."""

    event_time_ms: int
    event_id: str
    places: tuple[int, ...]


class Progress(msgspec.Struct, array_like=True):
    """How far a vehicle has come on a line: zones ``entered`` in order before the ``visits`` since, which are in order and within the lateness."""

    zones: list[str]
    entered: int = 0
    visits: list[Visit] = []

    def note(self, visit: Visit, lateness_ms: int) -> None:
        """Enter a visit; what nothing can come before any more is summed up."""
        insort(self.visits, visit)
        settled = bisect_left(self.visits, (self.visits[-1].event_time_ms - lateness_ms,))
        for old in self.visits[:settled]:
            self.entered = entered(self.entered, old.places)
        del self.visits[:settled]

    def is_complete(self) -> bool:
        """Whether all zones were entered in order."""
        reached = self.entered
        for visit in self.visits:
            reached = entered(reached, visit.places)
        return reached >= len(self.zones)


OnLines = dict[tuple[str, str], Progress]
"""By local date and id of the line."""


class Lines:
    """The lines on file, as of one state of registry and policy."""

    def __init__(self, policies: Policies, registry: Registry) -> None:
        self.policies = policies
        self.registry = registry
        versions = list(registry.lines())
        self.vehicle_ids = frozenset(vehicle_id for line in versions for vehicle_id in line.vehicle_ids)
        self.zone_sets = ZoneSets(policies, {zone for line in versions for zone in line.zones})
        self._of_day: dict[str, dict[str, list[Line]]] = {}

    def of(self, vehicle_id: str, date: str) -> list[Line]:
        """The lines of a vehicle that count on a local day."""
        if date not in self._of_day:
            if len(self._of_day) > 1_000:
                self._of_day.clear()
            by_vehicle = self._of_day[date] = {}
            for line in lines_of_day(self.policies, self.registry, date).values():
                for name in line.vehicle_ids:
                    by_vehicle.setdefault(name, []).append(line)
        return self._of_day[date].get(vehicle_id, [])


def lines_of_day(policies: Policies, registry: Registry, date: str) -> dict[str, Line]:
    """The lines that count on a local day, by id: by their records of its beginning, where the pack of then has all their zones."""
    start_ms = policies.newest.days.bounds_ms(date)[0]
    policy = policies.at(start_ms)
    if policy is None:
        return {}
    lines = [line for line_id in sorted({line.id for line in registry.lines()}) if isinstance(line := registry.at("line", line_id, start_ms), Line)]
    return {
        line.id: line for line in lines
        if line.zones and belongs(line.city, policy.pack.city.adcode) and all(zone in policy.zone_kinds for zone in line.zones)
    }  # fmt: skip


def note_visits(lines: Lines, days: FleetDays, zones: np.ndarray, visits: Iterable[tuple[OnLines, int, Fix]]) -> None:
    """Enter fixes of vehicles of lines, each with what is known of its vehicle and its index in ``zones`` (numbers of sets of zones)."""
    touched: dict[tuple[int, str, str], OnLines] = {}
    for on_lines, index, fix in visits:
        date, inside = lines.policies.newest.days.date_of(fix.event_time_ms), lines.zone_sets.of(zones.item(index))
        _forget_old(on_lines, days, lines.policies, fix.event_time_ms)
        for line in lines.of(fix.vehicle_id, date):
            places = tuple(place for place, zone in enumerate(line.zones) if zone in inside)
            if not places or days.has_driven(date, line.id):
                continue
            progress = on_lines.get((date, line.id))
            if progress is None or progress.zones != line.zones:
                progress = on_lines[date, line.id] = Progress(line.zones)
            progress.note(Visit(fix.event_time_ms, fix.event_id, places), lines.policies.lateness_ms)
            touched[id(on_lines), date, line.id] = on_lines
    for (_, date, line_id), on_lines in touched.items():
        if (date, line_id) in on_lines and on_lines[date, line_id].is_complete():
            days.drive(date, line_id)
            del on_lines[date, line_id]


def _forget_old(on_lines: OnLines, days: FleetDays, policies: Policies, event_time_ms: int) -> None:
    """Drop what no fix can change any more that comes after one of this time, and lines that are driven already."""
    for date, line_id in list(on_lines):
        is_over = policies.newest.days.bounds_ms(date)[1] + policies.lateness_ms < event_time_ms
        if is_over and on_lines[date, line_id].is_complete():  # by fixes of this very chunk
            days.drive(date, line_id)
        if is_over or days.has_driven(date, line_id):
            del on_lines[date, line_id]
