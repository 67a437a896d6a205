"""How vehicles break each rule on purpose: every offender one rule, in one way, so that the truth follows from how it was made."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import NamedTuple

from shapely.geometry import Point

from producers.hiring import DEFECT_OF, Pool
from producers.journeys import LONGEST_DRIVE_MS, Journeys
from streams.geo import haversine_m
from streams.policy.pack import Rule
from streams.policy.policy import Policy
from streams.registry.records import Vehicle

OFFENDER_SHARE = 0.02
"""Of all vehicles, for each rule."""
TOO_SHORT = "the traffic is too short"
UNSEEN_MS, LONGEST_STAY_MS = 900_000, 480_000
"""On the way between the zones of a delivery line, and in each of them."""
PERMITTED = "permitted at this time"
SOON = ("restricted_hours", "forbidden_stop", "outside_operating_area", "overstayed_stop")
"""What a vehicle does from the beginning on: the first that is no matter of waiting."""


class Report(NamedTuple):
    """What an offender is about to report, and time and place of its report before."""

    event_time_ms: int
    lon: float
    lat: float
    speed_kmh: float
    before: tuple[int, float, float] | None


class Offender(NamedTuple):
    """What a vehicle was told to do: offend against a rule in some zones (None: anywhere) whenever ``commits`` says so."""

    rule: Rule
    zones: list[str] | None
    commits: Callable[[Report], bool]


class Offenders:
    """Hires vehicles to break a policy's rules and plans their journeys; ``by_vehicle`` says who is to do what, ``skipped`` why a rule is not broken.

    ``on_lines``: which vehicle of each delivery line is on the road; ``driven_lines``: the lines that are driven.
    """

    def __init__(self, policy: Policy, pool: Pool, journeys: Journeys, rng: random.Random, *, vehicles: int) -> None:
        self.policy, self.pool, self.journeys, self.rng = policy, pool, journeys, rng
        self.shift, self.streets = journeys.shift, journeys.streets
        self.share = max(1, round(vehicles * OFFENDER_SHARE))
        self.by_vehicle: dict[str, Offender] = {}
        self.skipped: dict[str, str] = {}
        self.on_lines: dict[str, Vehicle] = {}
        self.driven_lines: list[str] = []

    def break_rule(self, rule: Rule) -> None:
        """Let a share of the vehicles break a rule, each in no other way."""
        if rule.rule in WAYS:
            WAYS[rule.rule](self, rule)
        else:
            self.skipped[rule.id] = "the synthetic fleet cannot break this rule"

    def miss_lines(self) -> None:
        """Of the delivery lines every second one is driven, once and at the beginning; of the others a vehicle is on the road, but does not drive it."""
        stay_ms, lines = 4 * self.shift.interval_ms, {line.id: line for line in self.pool.registry.lines()}
        room_ms = self.shift.for_offences_ms - UNSEEN_MS - 2 * (stay_ms + 2 * LONGEST_DRIVE_MS)
        for number, line in enumerate(lines.values() if self.policy.line_rules else ()):
            for vehicle in self.pool.hire(1, wanted=lambda v, line=line: v.id in line.vehicle_ids):  # type: ignore[misc]
                self.on_lines[line.id] = vehicle
                if number % 2 == 0 and room_ms > 0 and stay_ms <= LONGEST_STAY_MS:
                    self.journeys.drive_line(vehicle, [self.streets.way_into(zone) for zone in line.zones], stay_ms, UNSEEN_MS)
                    self.driven_lines.append(line.id)
                else:
                    self.journeys.roam(vehicle)

    # --- on the road at all: offends with every report, until it goes home ---
    def be_unregistered(self, rule: Rule) -> None:
        """Not on file, or suspended."""
        for vehicle in (*map(self.pool.stranger, range(self.share)), *self.pool.hire(self.share, "suspended")):
            self._whole_trip(rule, vehicle)

    def be_defective(self, rule: Rule) -> None:
        """With what the registry has against it, or with a plate that is not the registered one."""
        for vehicle in self.pool.hire(self.share, DEFECT_OF[rule.rule], lambda v: self.pool.concerns(rule, v)):
            self._whole_trip(rule, vehicle)
        if rule.rule == "unmarked_vehicle":
            for vehicle in self.pool.hire(self.share):
                self._whole_trip(rule, vehicle, plate=f"{str(vehicle.plate)[:-1]}{'8' if str(vehicle.plate).endswith('9') else '9'}")

    def _whole_trip(self, rule: Rule, vehicle: Vehicle, plate: str | None = None) -> None:
        self.journeys.roam(vehicle, self.shift.offences_end_ms, plate)
        self.by_vehicle[vehicle.id] = Offender(rule, None, lambda _: True)

    def show_foreign_plates(self, rule: Rule) -> None:
        """Recognised nowhere, or only on a corridor, or everywhere (which is no offence)."""
        for vehicle in self.pool.hire(2 * self.share + 1, "foreign"):
            self._show_foreign_plate(rule, vehicle)

    def _show_foreign_plate(self, rule: Rule, vehicle: Vehicle) -> None:
        recognised = self.pool.cross_border_zones(vehicle)
        corridors = [self.streets.zones[zone] for zone in recognised if zone != "*"]
        self.journeys.roam(vehicle, self.shift.offences_end_ms)
        if "*" not in recognised:
            self.by_vehicle[vehicle.id] = Offender(rule, None, lambda r: not any(c.intersects(Point(r.lon, r.lat)) for c in corridors))

    # --- in a zone, or out of one ---
    def intrude(self, rule: Rule) -> None:
        """Drive into a zone for a while and out again; so do vehicles that may."""
        vehicles = self.pool.hire(self.share + 1, wanted=lambda v: self.pool.is_van_of(rule, v) and not self.pool.is_exempt(v, rule))
        calendars = self.policy.calendars_at(self.shift.start_ms + self.shift.for_offences_ms // 2)
        if self._is_always_permitted(rule) or any(not calendars.isdisjoint(each.calendars) for each in rule.alternatives):
            self.skipped[rule.id] = PERMITTED
        else:
            for vehicle in self._drive_in(rule, vehicles):
                self._note_intruder(rule, vehicle)
        self._drive_in(rule, self.pool.hire(self.share, wanted=lambda v: self.pool.is_van_of(rule, v) and self.pool.is_free(v, rule)))

    def _note_intruder(self, rule: Rule, vehicle: Vehicle) -> None:
        self.by_vehicle[vehicle.id] = Offender(rule, rule.zone_ids, lambda r: not self.policy.permits(rule, r.event_time_ms))

    def _drive_in(self, rule: Rule, vehicles: list[Vehicle]) -> list[Vehicle]:
        """Have vehicles wander in a rule's zones; returns those for which there is time."""
        span_ms = self.shift.for_offences_ms
        if span_ms < 2 * LONGEST_DRIVE_MS:
            self.skipped[rule.id] = TOO_SHORT
            return []
        for vehicle in vehicles:
            self._wander_in(rule, vehicle, span_ms // (2 if span_ms > 3_600_000 else 4))
        return vehicles

    def _wander_in(self, rule: Rule, vehicle: Vehicle, latest_ms: int) -> None:
        zone_id = self.rng.choice(rule.zone_ids or [])
        self.journeys.visit(vehicle, self.streets.way_into(zone_id), self.shift.for_offences_ms // 6, latest_ms, self.streets.zones[zone_id], unless=rule)

    def stop(self, rule: Rule) -> None:
        """Stand in a zone for longer than the limit, or where it must not stand at all."""
        vehicles = self.pool.hire(self.share + 1, wanted=lambda v: self.pool.is_van_of(rule, v))
        stay_ms = rule.minimum_ms + 4 * self.shift.interval_ms
        room_ms = self.shift.for_offences_ms - stay_ms - 2 * LONGEST_DRIVE_MS
        if room_ms <= 0:
            self.skipped[rule.id] = f"{TOO_SHORT} to stand for {rule.minimum_ms // 1000} s"
            return
        if self._is_always_permitted(rule):
            self.skipped[rule.id] = PERMITTED
            return
        for vehicle in vehicles:
            self._stand_in(rule, vehicle, room_ms, room_ms // 2 + 1)

    def _stand_in(self, rule: Rule, vehicle: Vehicle, room_ms: int, latest_ms: int) -> None:
        zone_id, stay_ms = self.rng.choice(rule.zone_ids or []), rule.minimum_ms + 4 * self.shift.interval_ms
        longer_ms = self.rng.randrange(min(room_ms // 2, 900_000) + 1)
        self.journeys.visit(vehicle, self.streets.way_into(zone_id), stay_ms + longer_ms, latest_ms, unless=rule)
        self.by_vehicle[vehicle.id] = Offender(rule, [zone_id], lambda r: r.speed_kmh <= rule.parameters.stopped_below_kmh and not self.policy.permits(rule, r.event_time_ms))

    def _is_always_permitted(self, rule: Rule) -> bool:
        return all(self.policy.permits(rule, moment_ms) for moment_ms in range(self.shift.start_ms, self.shift.end_ms, 600_000))

    def leave_area(self, rule: Rule) -> None:
        """Drive out of the operating area and back."""
        vehicles = self.pool.hire(self.share, wanted=lambda v: self.pool.is_van_of(rule, v) and not self.pool.is_exempt(v, rule))
        span_ms = self.shift.for_offences_ms
        if span_ms < 3 * LONGEST_DRIVE_MS:
            self.skipped[rule.id] = TOO_SHORT
            return
        for vehicle in vehicles:
            self._go_out(rule, vehicle, span_ms // 4)

    def _go_out(self, rule: Rule, vehicle: Vehicle, latest_ms: int) -> None:
        areas = [self.streets.zones[zone] for zone in rule.zone_ids or ()]
        self.journeys.visit(vehicle, self.streets.way_out_of(areas), self.shift.for_offences_ms // 6 + 4 * self.shift.interval_ms, latest_ms)
        self.by_vehicle[vehicle.id] = Offender(rule, None, lambda r: not any(a.intersects(Point(r.lon, r.lat)) for a in areas))

    # --- from the beginning on ---
    def offend_soon(self) -> None:
        """One more vehicle is where it must not be, or stands there too long, as soon as can be: whoever begins to look sees what this is about."""
        for rule in sorted((rule for rule in self.policy.fix_rules if rule.rule in SOON and rule.id not in self.skipped), key=lambda rule: SOON.index(rule.rule)):
            seen_ms = LONGEST_DRIVE_MS + rule.minimum_ms + 4 * self.shift.interval_ms
            if any(self.policy.permits(rule, self.shift.start_ms + after_ms) for after_ms in (0, seen_ms)):
                continue
            for vehicle in self.pool.hire(1, wanted=lambda v, rule=rule: self.pool.is_van_of(rule, v) and not self.pool.is_exempt(v, rule)):  # type: ignore[misc]
                if rule.rule == "restricted_hours":
                    self._wander_in(rule, vehicle, 1)
                    self._note_intruder(rule, vehicle)
                elif rule.rule == "outside_operating_area":
                    self._go_out(rule, vehicle, 1)
                else:
                    self._stand_in(rule, vehicle, self.shift.for_offences_ms - seen_ms - LONGEST_DRIVE_MS, 1)
                return

    def speed(self, rule: Rule) -> None:
        """Drive too fast, on every street or while crossing a zone."""
        limit_kmh = rule.parameters.limit_kmh
        fast_kmh = (limit_kmh + 3, limit_kmh + 15)
        for vehicle in self.pool.hire(self.share, wanted=lambda v: self.pool.concerns(rule, v) and v.energy == "electric"):
            if rule.zone_ids is None:
                self.journeys.roam(vehicle, self.shift.offences_end_ms, speeds_kmh=fast_kmh)
            else:
                zone_id = self.rng.choice(rule.zone_ids)
                span_ms = self.shift.for_offences_ms
                self.journeys.visit(vehicle, self.streets.way_into(zone_id), span_ms // 6, span_ms // 4, self.streets.zones[zone_id], fast_kmh)
            self.by_vehicle[vehicle.id] = Offender(rule, rule.zone_ids, lambda r: r.speed_kmh > limit_kmh)

    # --- in what they report ---
    def be_cloned(self, rule: Rule) -> None:
        """Two vehicles under one number, at two ends of town."""
        least_m, most_kmh = rule.parameters.min_distance_m, rule.parameters.max_speed_kmh

        def elsewhere(report: Report) -> bool:
            if report.before is None:
                return False
            before_ms, lon, lat = report.before
            metres = haversine_m(lon, lat, report.lon, report.lat)
            return bool(metres >= least_m and metres * 3600 > most_kmh * (report.event_time_ms - before_ms))

        for vehicle in self.pool.hire(self.share):
            self.journeys.be_in_two_places(vehicle)
            self.by_vehicle[vehicle.id] = Offender(rule, None, elsewhere)

    def fall_silent(self, rule: Rule) -> None:
        """Report nothing for longer than the limit, then go on."""
        vehicles = self.pool.hire(self.share)
        gap_ms = int(rule.parameters.limit) + 4 * self.shift.interval_ms
        room_ms = self.shift.for_offences_ms - gap_ms
        if room_ms < 4 * self.shift.interval_ms:
            self.skipped[rule.id] = f"{TOO_SHORT} to be silent for {rule.parameters.limit // 60_000} min"
            return
        for vehicle in vehicles:
            self.journeys.fall_silent(vehicle, gap_ms, latest_ms=room_ms // 2)
            self.by_vehicle[vehicle.id] = Offender(rule, None, lambda _: False)


WAYS: dict[str, Callable[[Offenders, Rule], None]] = {
    "unregistered_vehicle": Offenders.be_unregistered,
    **dict.fromkeys(DEFECT_OF, Offenders.be_defective),
    "unrecognised_foreign_plate": Offenders.show_foreign_plates,
    "restricted_hours": Offenders.intrude,
    "overstayed_stop": Offenders.stop,
    "forbidden_stop": Offenders.stop,
    "outside_operating_area": Offenders.leave_area,
    "speeding": Offenders.speed,
    "cloned_identifier": Offenders.be_cloned,
    "silent_vehicle": Offenders.fall_silent,
}
"""How each rule is broken."""
