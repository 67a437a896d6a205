"""A seeded fleet and its parcels, with violations injected on purpose and the truth about them written down.

Vehicles drive on a street grid around the pack's zones and report at a set interval. Law-abiding ones keep to where and
when they may go. Offenders each commit one thing: the truth follows from how they were made, not from judging them.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Iterator
from heapq import merge
from itertools import islice
from typing import Literal, NamedTuple

import msgspec
import shapely
from shapely.geometry import LineString, Point
from shapely.geometry.base import BaseGeometry

from producers.sample_registry import LAPSED, plate_prefix
from streams.events import Fix
from streams.geo import haversine_m
from streams.policy.pack import Rule
from streams.policy.policy import Policy
from streams.registry.records import Driver, Pass, Vehicle
from streams.registry.registry import Registry
from streams.rules import RULES

GRID_DEG = 0.0045
QUIET_END_MS = 240_000
"""Offenders go home this long before the traffic ends (or its last quarter), so that their incidents close."""
LONGEST_DRIVE_MS = 240_000
FIVE_MINUTES_MS = 300_000
_LOADS: tuple[Literal["full", "partial", "empty"], ...] = ("full", "partial", "empty")
"""In the three thirds of a way."""

_VANS = ("micro_van", "light_van", "truck")
_VAN_SPEEDS_KMH = (12.0, 38.0)
_SPEEDS_KMH = {"e_tricycle": (6.0, 14.0), "e_bike": (8.0, 20.0)}
_DEFECT_OF = {
    "malformed_identifier": "malformed", "unmarked_vehicle": "unmarked", "nonstandard_vehicle": "open",
    "untrained_driver": "untrained", "uninsured_driver": "uninsured",
}  # fmt: skip


class TrueIncident(msgspec.Struct):
    """One incident that must be found, and no other."""

    rule_id: str
    vehicle_id: str
    zone_id: str | None
    opened_at_ms: int
    last_seen_ms: int
    fix_count: int


class Truth(msgspec.Struct):
    """What was injected: incidents of vehicles, counts by (city, enterprise or ``*``, date), low-rate days, skipped rules.

    ``findings``: what scans have against outlets and enterprises, by rule id, subject and date: first and last scan, and how many.
    ``driven``: by local date, how far vehicles drove empty, and with a load that is known (mm).
    ``spells``: silences and times on the black list: rule id, subject, from when, until when (ms; None: to the end).
    """

    incidents: list[TrueIncident] = []
    rates: dict[str, tuple[int, int, int]] = {}
    low_days: list[tuple[str, str, str]] = []
    findings: dict[str, tuple[int, int, int]] = {}
    spells: list[tuple[str, str, int, int | None]] = []
    driven: dict[str, tuple[int, int]] = {}
    skipped: dict[str, str] = {}


class Leg(msgspec.Struct):
    """Driving from one point to another, or standing where both are the same."""

    from_ms: int
    until_ms: int
    start: tuple[float, float]
    end: tuple[float, float]

    def at(self, event_time_ms: int) -> tuple[float, float]:
        """Position (lon, lat) at an instant of the leg."""
        share = (event_time_ms - self.from_ms) / max(1, self.until_ms - self.from_ms)
        (lon_a, lat_a), (lon_b, lat_b) = self.start, self.end
        return round(lon_a + (lon_b - lon_a) * share, 6), round(lat_a + (lat_b - lat_a) * share, 6)

    @property
    def speed_kmh(self) -> float:
        """Speed on the leg, 0 where it stands."""
        hours = (self.until_ms - self.from_ms) / 3_600_000
        return round(haversine_m(*self.start, *self.end) / 1000 / hours, 1) if hours and self.start != self.end else 0.0


class Report(NamedTuple):
    """What an offender is about to report, and where it reported from before."""

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


class Journey(NamedTuple):
    """A vehicle's way until it goes home, with its last report; ``gap``: when it sends nothing."""

    vehicle_id: str
    plate: str | None
    legs: list[Leg]
    until_ms: int
    gap: tuple[int, int] = (0, 0)


class Fleet:
    """The vehicles on the road from ``start_ms`` to ``end_ms``, reporting every ``interval_ms``."""

    def __init__(self, policy: Policy, registry: Registry, *, vehicles: int, start_ms: int, end_ms: int, interval_ms: int, seed: int) -> None:
        self.policy, self.registry = policy, registry
        self.start_ms, self.end_ms, self.interval_ms = start_ms, end_ms, interval_ms
        self.rng = random.Random(f"fleet/{seed}")
        self.quiet_ms = min(QUIET_END_MS, (end_ms - start_ms) // 4)
        self.truth = Truth(incidents=[], rates={}, low_days=[], findings={}, skipped={})
        self.zones = policy.pack.geometries
        outside = [rule for rule in policy.fix_rules if RULES[rule.rule].ZONES == "outside"]
        self._operating = [self.zones[zone] for rule in outside for zone in rule.zone_ids or ()]
        avoided = {zone for rule in policy.fix_rules if rule not in outside for zone in rule.zone_ids or ()}
        self._areas = [area for zone, area in self.zones.items() if zone in avoided]
        self._home = self._where_they_roam()
        self._passes = {owner for p in registry.each("pass") if isinstance(p, Pass) for owner in (p.vehicle_id, p.enterprise_id)}
        self._registered = [v for v in registry.each("vehicle") if isinstance(v, Vehicle)]
        self._journeys: list[Journey] = []
        self._offenders: dict[str, Offender] = {}
        self._hire(vehicles)

    # --- who drives ---
    def _hire(self, vehicles: int) -> None:
        pool = [v for v in self._registered if v.id and v.plate]
        self.rng.shuffle(pool)
        defects = {v.id: self._defects(v) for v in pool}
        share = max(1, round(vehicles * 0.02))
        taken: set[str] = set()

        def pick(number: int, defect: str = "", wanted: Callable[[Vehicle], bool] = lambda _: True) -> list[Vehicle]:
            fitting = (v for v in pool if v.id not in taken and defects[v.id] == ({defect} if defect else set()) and wanted(v))
            chosen = list(islice(fitting, number))
            taken.update(v.id for v in chosen)
            return chosen

        for rule in self.policy.fix_rules:
            self._offend(rule, share, pick)
        for vehicle in pick(max(1, vehicles - len(self._journeys))):
            self._drive(vehicle)

    def _offend(self, rule: Rule, share: int, pick: Callable[..., list[Vehicle]]) -> None:
        """Let a share of the vehicles break a rule, each in no other way."""

        def driven(vehicle: Vehicle) -> bool:
            return vehicle.vehicle_class in _VANS and self._concerns(rule, vehicle)

        if rule.rule == "unregistered_vehicle":
            for vehicle in (*(self._stranger(n) for n in range(share)), *pick(share, "suspended")):
                self._whole_trip(rule, vehicle)
        elif rule.rule in _DEFECT_OF:
            for vehicle in pick(share, _DEFECT_OF[rule.rule], lambda v: self._concerns(rule, v)):
                self._whole_trip(rule, vehicle)
            if rule.rule == "unmarked_vehicle":
                for vehicle in pick(share):
                    self._whole_trip(rule, vehicle, plate=f"{str(vehicle.plate)[:-1]}{'8' if str(vehicle.plate).endswith('9') else '9'}")
        elif rule.rule == "unrecognised_foreign_plate":
            for vehicle in pick(2 * share + 1, "foreign"):
                self._show_foreign_plate(rule, vehicle)
        elif rule.rule == "restricted_hours":
            self._intrude(rule, pick(share + 1, wanted=lambda v: driven(v) and not self._exempt(v, rule)))
            freed = pick(share, wanted=lambda v: driven(v) and bool(rule.exempt and v.energy in rule.exempt.energy))
            self._intrude(rule, freed, innocent=True)
        elif rule.rule in {"overstayed_stop", "forbidden_stop"}:
            self._stop(rule, pick(share + 1, wanted=driven))
        elif rule.rule == "outside_operating_area":
            self._leave_area(rule, pick(share, wanted=lambda v: driven(v) and not self._exempt(v, rule)))
        elif rule.rule == "speeding":
            self._speed(rule, pick(share, wanted=lambda v: self._concerns(rule, v) and v.energy == "electric"))
        elif rule.rule == "cloned_identifier":
            self._clone(rule, pick(share))
        elif rule.rule == "silent_vehicle":
            self._fall_silent(rule, pick(share))
        else:
            self.truth.skipped[rule.id] = "the synthetic fleet cannot break this rule"

    def _defects(self, vehicle: Vehicle) -> set[str]:
        """What the registry has against a vehicle."""
        pattern = self.policy.identifier
        drivers = [d for name in vehicle.driver_ids if isinstance(d := self.registry.at("driver", name, self.start_ms), Driver)]
        found = {
            "suspended": vehicle.status != "active",
            "unmarked": not vehicle.marked,
            "malformed": pattern is not None and not pattern.fullmatch(vehicle.id),
            "open": vehicle.body == "open" and vehicle.vehicle_class in _VANS,
            "untrained": any(d.trained_until == LAPSED for d in drivers),
            "uninsured": vehicle.insured_until == LAPSED,
            "foreign": not str(vehicle.plate).startswith(plate_prefix(self.policy)),
        }
        return {name for name, holds in found.items() if holds}

    def _concerns(self, rule: Rule, vehicle: Vehicle) -> bool:
        return rule.vehicles is None or rule.vehicles.matches(self.registry.subject(vehicle.id, self.start_ms))

    def _stranger(self, number: int) -> Vehicle:
        prefix = self.policy.pack.identifier.pattern.split("-")[0] if self.policy.pack.identifier else "V"
        return Vehicle(id=f"{prefix}-{99_000 + number}", plate=f"{plate_prefix(self.policy)}{99_000 + number}")

    def _exempt(self, vehicle: Vehicle, rule: Rule) -> bool:
        exempt = rule.exempt
        if exempt is None:
            return False
        has_pass = vehicle.id in self._passes or vehicle.enterprise_id in self._passes
        return has_pass or vehicle.energy in exempt.energy or (exempt.joint_delivery and vehicle.joint_delivery)

    # --- what they do ---
    def _drive(self, vehicle: Vehicle, until_ms: int | None = None, plate: str | None = None, speeds: tuple[float, float] | None = None) -> None:
        """Roam the streets, until going home."""
        until_ms = until_ms or self.end_ms
        legs = self._roam(self.start_ms, until_ms, speeds=speeds or _SPEEDS_KMH.get(vehicle.vehicle_class or "", _VAN_SPEEDS_KMH))
        self._journeys.append(Journey(vehicle.id, plate or vehicle.plate, legs, until_ms))

    def _whole_trip(self, rule: Rule, vehicle: Vehicle, plate: str | None = None) -> None:
        """Offends with every report, until it goes home."""
        self._drive(vehicle, self.end_ms - self.quiet_ms, plate)
        self._offenders[vehicle.id] = Offender(rule, None, lambda _: True)

    def _show_foreign_plate(self, rule: Rule, vehicle: Vehicle) -> None:
        """Recognised nowhere, or only on a corridor, or everywhere (which is no offence)."""
        held = self.registry.subject(vehicle.id, self.start_ms).pass_zones(["cross_border"])
        corridors = [self.zones[zone] for zone in held if zone != "*"]
        self._drive(vehicle, self.end_ms - self.quiet_ms)
        if "*" not in held:
            self._offenders[vehicle.id] = Offender(rule, None, lambda r: not any(c.intersects(Point(r.lon, r.lat)) for c in corridors))

    def _intrude(self, rule: Rule, vehicles: list[Vehicle], *, innocent: bool = False) -> None:
        """Drives into a zone for a while and out again."""
        span = self.end_ms - self.start_ms - self.quiet_ms
        middle_ms = self.start_ms + span // 2
        calendars = self.policy.calendars_at(middle_ms)
        if not innocent and (self._always_permitted(rule) or (rule.exempt and not calendars.isdisjoint(rule.exempt.calendars))):
            self.truth.skipped[rule.id] = "permitted at this time"
            return
        if span < 2 * LONGEST_DRIVE_MS:
            self.truth.skipped[rule.id] = "the traffic is too short"
            return
        for vehicle in vehicles:
            zone_id = self.rng.choice(rule.zone_ids or [])
            latest_ms = span // (2 if span > 3_600_000 else 4)
            self._visit(vehicle, *self._approach(zone_id), span // 6, latest_ms, self.zones[zone_id], unless=rule)
            if not innocent:
                self._offenders[vehicle.id] = Offender(rule, rule.zone_ids, lambda r: not self.policy.permits(rule, r.event_time_ms))

    def _stop(self, rule: Rule, vehicles: list[Vehicle]) -> None:
        """Stands in a zone for longer than the limit, or where it must not stand at all."""
        limit_ms = rule.minimum_ms
        stay_ms = limit_ms + 4 * self.interval_ms
        room_ms = self.end_ms - self.start_ms - self.quiet_ms - stay_ms - 2 * LONGEST_DRIVE_MS
        if room_ms <= 0:
            self.truth.skipped[rule.id] = f"the traffic is too short to stand for {limit_ms // 1000} s"
            return
        if self._always_permitted(rule):
            self.truth.skipped[rule.id] = "permitted at this time"
            return
        threshold_kmh = rule.parameters.stopped_below_kmh
        for vehicle in vehicles:
            zone_id = self.rng.choice(rule.zone_ids or [])
            longer_ms = self.rng.randrange(min(room_ms // 2, 900_000) + 1)
            self._visit(vehicle, *self._approach(zone_id), stay_ms + longer_ms, room_ms // 2 + 1, unless=rule)
            self._offenders[vehicle.id] = Offender(
                rule, [zone_id], lambda r: r.speed_kmh <= threshold_kmh and not self.policy.permits(rule, r.event_time_ms)
            )

    def _always_permitted(self, rule: Rule) -> bool:
        return all(self.policy.permits(rule, moment_ms) for moment_ms in range(self.start_ms, self.end_ms, 600_000))

    def _leave_area(self, rule: Rule, vehicles: list[Vehicle]) -> None:
        """Drives out of the operating area and back."""
        span = self.end_ms - self.start_ms - self.quiet_ms
        if span < 3 * LONGEST_DRIVE_MS:
            self.truth.skipped[rule.id] = "the traffic is too short"
            return
        areas = [self.zones[zone] for zone in rule.zone_ids or ()]
        for vehicle in vehicles:
            self._visit(vehicle, *self._way_out(areas), span // 6 + 4 * self.interval_ms, span // 4)
            self._offenders[vehicle.id] = Offender(rule, None, lambda r: not any(a.intersects(Point(r.lon, r.lat)) for a in areas))

    def _speed(self, rule: Rule, vehicles: list[Vehicle]) -> None:
        """Drives too fast, on every street or while crossing a zone."""
        limit_kmh = rule.parameters.limit_kmh
        fast_kmh = (limit_kmh + 3, limit_kmh + 15)
        for vehicle in vehicles:
            if rule.zone_ids is None:
                self._drive(vehicle, self.end_ms - self.quiet_ms, speeds=fast_kmh)
            else:
                zone_id = self.rng.choice(rule.zone_ids)
                span = self.end_ms - self.start_ms - self.quiet_ms
                self._visit(vehicle, *self._approach(zone_id), span // 6, span // 4, self.zones[zone_id], fast_kmh)
            self._offenders[vehicle.id] = Offender(rule, rule.zone_ids, lambda r: r.speed_kmh > limit_kmh)

    def _clone(self, rule: Rule, vehicles: list[Vehicle]) -> None:
        """Two vehicles under one number: for a while every report comes from the other end of town."""
        least_m, most_kmh = rule.parameters.min_distance_m, rule.parameters.max_speed_kmh

        def elsewhere(report: Report) -> bool:
            if report.before is None:
                return False
            before_ms, lon, lat = report.before
            metres = haversine_m(lon, lat, report.lon, report.lat)
            return bool(metres >= least_m and metres * 3600 > most_kmh * (report.event_time_ms - before_ms))

        for vehicle in vehicles:
            span = self.end_ms - self.start_ms - self.quiet_ms
            from_ms = self.start_ms + span // 4
            here = self._open_point()
            there = max((self._open_point() for _ in range(20)), key=lambda point: haversine_m(*here, *point))
            count = max(4, min(40, span // 4 // self.interval_ms))
            legs = [Leg(self.start_ms, from_ms, here, here)]
            for number in range(count):
                place = here if number % 2 else there
                legs.append(Leg(from_ms + number * self.interval_ms, from_ms + (number + 1) * self.interval_ms, place, place))
            until_ms = legs[-1].until_ms
            legs += self._roam(until_ms, self.end_ms, legs[-1].end, speeds=_SPEEDS_KMH["e_tricycle"])
            self._journeys.append(Journey(vehicle.id, vehicle.plate, legs, self.end_ms))
            self._offenders[vehicle.id] = Offender(rule, None, elsewhere)

    def _fall_silent(self, rule: Rule, vehicles: list[Vehicle]) -> None:
        """Reports nothing for longer than the limit, then goes on."""
        gap_ms = int(rule.parameters.limit) + 4 * self.interval_ms
        room_ms = self.end_ms - self.start_ms - self.quiet_ms - gap_ms
        if room_ms < 4 * self.interval_ms:
            self.truth.skipped[rule.id] = f"the traffic is too short to be silent for {rule.parameters.limit // 60_000} min"
            return
        for vehicle in vehicles:
            self._drive(vehicle)
            from_ms = self.start_ms + 2 * self.interval_ms + self.rng.randrange(room_ms // 2)
            self._journeys[-1] = self._journeys[-1]._replace(gap=(from_ms, from_ms + gap_ms))
            self._offenders[vehicle.id] = Offender(rule, None, lambda _: False)

    def _visit(
        self, vehicle: Vehicle, outside: tuple[float, float], inside: tuple[float, float], stay_ms: int, latest_ms: int,
        wander_in: BaseGeometry | None = None, speeds: tuple[float, float] = (8.0, 14.0), unless: Rule | None = None,
    ) -> None:  # fmt: skip
        """Wait outside, drive in (at a time that a rule does not permit, if there is one), stand or wander there, drive out and go on."""
        drive_ms = min(LONGEST_DRIVE_MS, max(10_000, round(haversine_m(*outside, *inside) / 30 * 3600)))
        for _ in range(100):
            depart_ms = self.start_ms + self.rng.randrange(latest_ms)
            arrive_ms = depart_ms + drive_ms
            if unless is None or not self.policy.permits(unless, arrive_ms):
                break
        leave_ms = arrive_ms + stay_ms
        stay = [Leg(arrive_ms, leave_ms, inside, inside)]
        visit = stay if wander_in is None else self._wander(arrive_ms, leave_ms, inside, wander_in, speeds)
        end = visit[-1].end
        back_ms = leave_ms + round(haversine_m(*end, *inside) / 30 * 3600)
        home_ms = back_ms + drive_ms
        legs = [Leg(self.start_ms, depart_ms, outside, outside), Leg(depart_ms, arrive_ms, outside, inside), *visit]
        legs += [Leg(leave_ms, back_ms, end, inside), Leg(back_ms, home_ms, inside, outside), *self._roam(home_ms, self.end_ms, outside)]
        self._journeys.append(Journey(vehicle.id, vehicle.plate, legs, self.end_ms))

    # --- where they go ---
    def _where_they_roam(self) -> BaseGeometry:
        """Well inside the operating area; where there is none, in and around the zones."""
        if self._operating:
            return shapely.union_all(self._operating).buffer(-0.003)
        west, south, east, north = shapely.total_bounds(self._areas) if self._areas else (111.5, 40.7, 111.8, 40.9)
        return shapely.box(float(west) - 0.03, float(south) - 0.03, float(east) + 0.03, float(north) + 0.03)

    def _roam(
        self, from_ms: int, until_ms: int, start: tuple[float, float] | None = None, speeds: tuple[float, float] = (12.0, 38.0)
    ) -> list[Leg]:
        """Streets outside all zones, block by block, with short halts."""
        position = start or self._open_point()
        legs: list[Leg] = []
        now_ms = from_ms
        while now_ms < until_ms or not legs:
            if self.rng.random() < 0.15:
                halt_ms = self.rng.randrange(20_000, 120_000)
                legs.append(Leg(now_ms, now_ms + halt_ms, position, position))
                now_ms += halt_ms
                continue
            target = self._next_corner(position)
            hours = haversine_m(*position, *target) / 1000 / self.rng.uniform(*speeds)
            drive_ms = max(1000, round(hours * 3_600_000))
            legs.append(Leg(now_ms, now_ms + drive_ms, position, target))
            position, now_ms = target, now_ms + drive_ms
        last = legs[-1]
        if last.until_ms > until_ms > last.from_ms:
            legs[-1] = Leg(last.from_ms, until_ms, last.start, last.at(until_ms))
        return legs

    def _next_corner(self, position: tuple[float, float]) -> tuple[float, float]:
        moves = [(GRID_DEG, 0.0), (-GRID_DEG, 0.0), (0.0, GRID_DEG), (0.0, -GRID_DEG)]
        self.rng.shuffle(moves)
        for east, north in moves:
            corner = (round(position[0] + east, 6), round(position[1] + north, 6))
            if self._home.contains(Point(corner)) and self._free(position, corner):
                return corner
        return position[0], round(position[1] + 0.0002, 6)

    def _free(self, start: tuple[float, float], end: tuple[float, float], but: BaseGeometry | None = None) -> bool:
        """Whether the street between two points keeps clear of every zone (but one)."""
        street = LineString([start, end]).buffer(0.0004)
        return not any(area.intersects(street) for area in self._areas if area is not but)

    def _point_within(self, area: BaseGeometry) -> tuple[float, float]:
        west, south, east, north = area.bounds
        return round(self.rng.uniform(west, east), 6), round(self.rng.uniform(south, north), 6)

    def _open_point(self) -> tuple[float, float]:
        while True:
            point = self._point_within(self._home)
            if self._home.contains(Point(point)) and not any(area.intersects(Point(point).buffer(0.002)) for area in self._areas):
                return point

    def _beside(self, point: tuple[float, float]) -> tuple[float, float]:
        east, north = self.rng.uniform(-0.012, 0.012), self.rng.uniform(-0.012, 0.012)
        return round(point[0] + east, 6), round(point[1] + north, 6)

    def _approach(self, zone_id: str) -> tuple[tuple[float, float], tuple[float, float]]:
        """A point in a zone and in no other, after one outside from which a way leads there through no other zone."""
        zone = self.zones[zone_id]
        while True:
            inside = self._point_within(zone)
            if not zone.contains(Point(inside).buffer(0.0003)) or not self._free(inside, inside, zone):
                continue
            outside = self._beside(inside)
            open_there = self._home.contains(Point(outside)) and not any(a.intersects(Point(outside).buffer(0.002)) for a in self._areas)
            if open_there and self._free(outside, inside, zone):
                return outside, inside

    def _way_out(self, areas: list[BaseGeometry]) -> tuple[tuple[float, float], tuple[float, float]]:
        """A point in an operating area and one outside of all, with a free way between them."""
        while True:
            home = self._open_point()
            away = self._beside(home)
            if not any(area.intersects(Point(away).buffer(0.0003)) for area in areas) and self._free(home, away):
                return home, away

    def _wander(
        self, from_ms: int, until_ms: int, start: tuple[float, float], zone: BaseGeometry, speeds: tuple[float, float]
    ) -> list[Leg]:
        """Driving to and fro inside a zone."""
        legs, position, now_ms = list[Leg](), start, from_ms
        while now_ms < until_ms:
            step_ms = min(20_000, until_ms - now_ms)
            degrees = self.rng.uniform(*speeds) / 3.6 * step_ms / 1000 / 111_195
            angle = self.rng.uniform(0, 2 * math.pi)
            widening = math.cos(math.radians(position[1]))
            target = (round(position[0] + degrees * math.cos(angle) / widening, 6), round(position[1] + degrees * math.sin(angle), 6))
            if zone.contains(LineString([position, target])):
                legs.append(Leg(now_ms, now_ms + step_ms, position, target))
                position, now_ms = target, now_ms + step_ms
        return legs

    # --- what they report ---
    def fixes(self) -> Iterator[Fix]:
        """All reports in order of time; afterwards ``truth.incidents`` is complete."""
        streams = [self._reports(number, journey) for number, journey in enumerate(self._journeys)]
        last: dict[str, Fix] = {}
        for fix in merge(*streams, key=lambda fix: (fix.event_time_ms, fix.vehicle_id)):
            if (before := last.get(fix.vehicle_id)) and fix.event_time_ms - before.event_time_ms <= FIVE_MINUTES_MS:
                self._drive_on(before, fix)
            last[fix.vehicle_id] = fix
            yield fix
        happened = {incident.rule_id for incident in self.truth.incidents}
        for rule in (offender.rule for offender in self._offenders.values()):
            if rule.id not in happened:
                self.truth.skipped[rule.id] = "permitted while it was done"

    def _drive_on(self, before: Fix, after: Fix) -> None:
        date, length_mm = self.policy.days.date_of(after.event_time_ms), round(haversine_m(before.lon, before.lat, after.lon, after.lat) * 1000)
        empty_mm, known_mm = self.truth.driven.get(date, (0, 0))
        self.truth.driven[date] = empty_mm + length_mm * (before.load == "empty"), known_mm + length_mm

    def _reports(self, number: int, journey: Journey) -> Iterator[Fix]:
        offender = self._offenders.get(journey.vehicle_id)
        run: dict[str | None, list[int]] = {}
        before: tuple[int, float, float] | None = None
        first_ms = self.start_ms + random.Random(f"{self.start_ms}/{number}").randrange(self.interval_ms)
        index = 0
        for event_time_ms in range(first_ms, journey.until_ms, self.interval_ms):
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
                f"{number}-{event_time_ms}", event_time_ms, journey.vehicle_id, lon, lat, plate=journey.plate, speed_kmh=speed_kmh,
                ignition=event_time_ms + self.interval_ms < journey.until_ms, source="synthetic", synthetic=True,
                load=_LOADS[3 * index // len(journey.legs)],
            )  # fmt: skip
        for zone_id in list(run):
            self._end_run(run, journey, zone_id)

    def _note(self, run: dict[str | None, list[int]], journey: Journey, offender: Offender, report: Report) -> None:
        """Write down an offender's offence as it happens."""
        if report.before and report.before[0] < journey.gap[0] <= report.event_time_ms:
            self.truth.incidents.append(TrueIncident(offender.rule.id, journey.vehicle_id, None, report.before[0], report.event_time_ms, 1))
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
            self.truth.incidents.append(TrueIncident(rule.id, journey.vehicle_id, zone_id, times[0], times[-1], len(times)))
