"""A seeded fleet with violations injected on purpose, and the truth about them written down.

Vehicles drive on a street grid around the pack's zones (``streets.py``, ``journeys.py``) and report at a set interval. Law-abiding ones
keep to where and when they may go. Offenders each commit one thing (``offenders.py``): the truth follows from how they were made, not
from judging them.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from heapq import merge
from typing import Literal

from shapely.geometry import Point

from producers.hiring import Pool
from producers.journeys import Journey, Journeys, Shift, who_drives
from producers.offenders import Offender, Offenders, Report
from producers.streets import Streets
from producers.truth import DAY_HOURS, TrueIncident, Truth, local_date, local_time, way_mm
from streams.policy.policy import Policy
from streams.registry.registry import Registry
from streams.wire.events import Fix

FIVE_MINUTES_MS = 300_000
_LOADS: tuple[Literal["full", "partial", "empty"], ...] = ("full", "partial", "empty")
"""In the three thirds of a way."""


class Fleet:
    """The vehicles on the road from ``start_ms`` to ``end_ms``, reporting every ``interval_ms``; ``soon``: one of them offends from the beginning on."""

    def __init__(self, policy: Policy, registry: Registry, *, vehicles: int, start_ms: int, end_ms: int, interval_ms: int, seed: int, soon: bool = False) -> None:
        self.policy = policy
        self.shift = Shift(start_ms, end_ms, interval_ms)
        rng = random.Random(f"fleet/{seed}")
        self.zones = policy.pack.geometries
        journeys = Journeys(policy, self.shift, Streets(policy, rng), rng)
        pool = Pool(policy, registry, start_ms, rng)
        offenders = Offenders(policy, pool, journeys, rng, vehicles=vehicles)
        offenders.miss_lines()
        for rule in policy.fix_rules:
            offenders.break_rule(rule)
        if soon:
            offenders.offend_soon()
        for vehicle in pool.hire(max(1, vehicles - len(journeys.planned))):
            journeys.roam(vehicle)
        self._journeys, self._offenders = journeys.planned, offenders.by_vehicle
        self._lines, self._driven_lines = offenders.on_lines, offenders.driven_lines
        self.truth = Truth(skipped=offenders.skipped)

    def fixes(self) -> Iterator[Fix]:
        """All reports in order of time; afterwards ``truth.incidents`` is complete."""
        streams = [self._reports(number, journey) for number, journey in enumerate(self._journeys)]
        last: dict[str, Fix] = {}
        for fix in merge(self._evening_before(), *streams, key=lambda fix: (fix.event_time_ms, fix.vehicle_id)):
            if (before := last.get(fix.vehicle_id)) and fix.event_time_ms - before.event_time_ms <= FIVE_MINUTES_MS:
                self._drive_on(before, fix)
            last[fix.vehicle_id] = fix
            yield fix
        happened = {incident.rule_id for incident in self.truth.incidents}
        for rule in (offender.rule for offender in self._offenders.values()):
            if rule.id not in happened:
                self.truth.skipped[rule.id] = "permitted while it was done"
        self._note_missed_lines(max((fix.event_time_ms for fix in last.values()), default=0))

    def _evening_before(self) -> Iterator[Fix]:
        """Vehicles of delivery lines reported a minute before the day began: without the day before, no line is judged."""
        before_ms = self.policy.days.bounds_ms(self.policy.days.date_of(self.shift.start_ms))[0] - 60_000
        first = {journey.vehicle_id: journey.legs[0].start for journey in self._journeys}
        for vehicle in sorted(self._lines.values(), key=lambda vehicle: vehicle.id):
            lon, lat = first[vehicle.id]
            yield Fix(f"{vehicle.id}-{before_ms}", before_ms, vehicle.id, lon, lat, plate=vehicle.plate, driver_id=who_drives(vehicle), speed_kmh=0.0, source="synthetic", synthetic=True, load="empty")

    def _note_missed_lines(self, reached_ms: int) -> None:
        """Of the days that are closed by then only the first sees the driven lines."""
        days, dates = self.policy.days, [self.policy.days.date_of(self.shift.start_ms)]
        while dates[-1] < days.date_of(reached_ms):
            dates.append(days.date_of(days.bounds_ms(dates[-1])[1]))
        for number, date in enumerate(dates):
            if days.bounds_ms(date)[1] + self.policy.lateness_ms <= reached_ms:
                missed = [line_id for line_id in self._lines if number or line_id not in self._driven_lines]
                self.truth.missed_lines += [(rule.id, line_id, date) for rule in self.policy.line_rules for line_id in missed if line_id in (rule.parameters.lines or missed)]

    def _drive_on(self, before: Fix, after: Fix) -> None:
        date, length_mm = local_date(after.event_time_ms, self.policy.timezone), way_mm(before.lon, before.lat, after.lon, after.lat)
        by_night = all(not DAY_HOURS[0] <= local_time(fix.event_time_ms, self.policy.timezone).hour < DAY_HOURS[1] for fix in (before, after))
        empty_mm, known_mm, night_mm, run_mm = self.truth.driven.get(date, (0, 0, 0, 0))
        self.truth.driven[date] = empty_mm + length_mm * (before.load == "empty"), known_mm + length_mm, night_mm + length_mm * by_night, run_mm + length_mm

    def _reports(self, number: int, journey: Journey) -> Iterator[Fix]:
        """What one vehicle reports; an offender's offences go into the truth as they happen."""
        shift, offender = self.shift, self._offenders.get(journey.vehicle_id)
        run: dict[str | None, list[int]] = {}
        before: tuple[int, float, float] | None = None
        first_ms = shift.start_ms + random.Random(f"{shift.start_ms}/{number}").randrange(shift.interval_ms)
        index = 0
        for event_time_ms in range(first_ms, journey.until_ms, shift.interval_ms):
            if journey.gap[0] <= event_time_ms < journey.gap[1]:
                continue
            while index + 1 < len(journey.legs) and journey.legs[index].until_ms <= event_time_ms:
                index += 1
            leg = journey.legs[index]
            lon, lat = leg.at(min(event_time_ms, leg.until_ms))
            speed_kmh = leg.speed_kmh if event_time_ms < leg.until_ms else 0.0
            if offender:
                self._note(run, journey, offender, Report(event_time_ms, lon, lat, speed_kmh, before))
            before = event_time_ms, lon, lat
            yield Fix(
                f"{number}-{event_time_ms}", event_time_ms, journey.vehicle_id, lon, lat, plate=journey.plate, driver_id=journey.driver_id, speed_kmh=speed_kmh,
                ignition=event_time_ms + shift.interval_ms < journey.until_ms, source="synthetic", synthetic=True,
                load=_LOADS[3 * index // len(journey.legs)],
            )  # fmt: skip
        for zone_id in list(run):
            self._end_run(run, journey, zone_id)

    def _note(self, run: dict[str | None, list[int]], journey: Journey, offender: Offender, report: Report) -> None:
        """Write down an offender's offence as it happens; ``run``: the times of the reports that commit it now, by zone."""
        if report.before and report.before[0] < journey.gap[0] <= report.event_time_ms:
            self.truth.incidents.append(TrueIncident(offender.rule.id, journey.vehicle_id, None, report.before[0], report.event_time_ms, 1, journey.driver_id))
        commits = offender.commits(report)
        for zone_id in offender.zones or [None]:  # type: ignore[list-item]
            if commits and (zone_id is None or self.zones[zone_id].intersects(Point(report.lon, report.lat))):
                run.setdefault(zone_id, []).append(report.event_time_ms)
            elif zone_id in run:
                self._end_run(run, journey, zone_id)

    def _end_run(self, run: dict[str | None, list[int]], journey: Journey, zone_id: str | None) -> None:
        times = run.pop(zone_id)
        rule = self._offenders[journey.vehicle_id].rule
        if times[-1] - times[0] >= rule.minimum_ms:
            self.truth.incidents.append(TrueIncident(rule.id, journey.vehicle_id, zone_id, times[0], times[-1], len(times), journey.driver_id))
