"""A seeded fleet and its parcels, with violations injected on purpose and the truth about them written down.

Vehicles drive on a street grid around the pack's zones and report at a set interval. Law-abiding ones keep to where and
when they may go. Offenders each commit one thing: the truth follows from how they were made, not from judging them.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterable, Iterator
from heapq import merge

import msgspec
import shapely
from shapely.geometry import LineString, Point
from shapely.geometry.base import BaseGeometry

from streams.events import Fix, Packaging, Scan
from streams.geo import haversine_m
from streams.policy import Policy, Rule
from streams.registry import Pass, Registry, Vehicle

GRID_DEG = 0.0045
QUIET_END_MS = 240_000
"""Offenders go home this long before the traffic ends (or its last quarter), so that their incidents close."""
LONGEST_DRIVE_MS = 180_000


class TrueIncident(msgspec.Struct):
    """One incident that must be found, and no other."""

    rule_id: str
    vehicle_id: str
    zone_id: str | None
    opened_at_ms: int
    last_seen_ms: int
    fix_count: int


class Truth(msgspec.Struct):
    """What was injected: incidents of vehicles, counts by (city, enterprise or ``*``, date), low-rate days, skipped rules."""

    incidents: list[TrueIncident] = []
    rates: dict[str, tuple[int, int, int]] = {}
    low_days: list[tuple[str, str, str]] = []
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


class Fleet:
    """The vehicles on the road from ``start_ms`` to ``end_ms``, reporting every ``interval_ms``."""

    def __init__(self, policy: Policy, registry: Registry, *, vehicles: int, start_ms: int, end_ms: int, interval_ms: int, seed: int) -> None:
        self.policy = policy
        self.start_ms, self.end_ms, self.interval_ms = start_ms, end_ms, interval_ms
        self.rng = random.Random(f"fleet/{seed}")
        self.quiet_ms = min(QUIET_END_MS, (end_ms - start_ms) // 4)
        self.truth = Truth(incidents=[], rates={}, low_days=[], skipped={})
        self.zones = policy.pack.geometries
        self._areas = list(self.zones.values())
        self._passes = {p.vehicle_id for p in registry.each("pass") if isinstance(p, Pass)} | {
            p.enterprise_id for p in registry.each("pass") if isinstance(p, Pass)
        }
        self._registered = [v for v in registry.each("vehicle") if isinstance(v, Vehicle)]
        self._journeys: list[tuple[str, str | None, list[Leg], int]] = []
        #: (rule, zones it happens in or None for everywhere, vehicle, speed in km/h up to which it counts as stopped)
        self._offends: list[tuple[Rule, list[str] | None, str, float | None]] = []
        self._hire(vehicles)

    # --- who drives ---
    def _hire(self, vehicles: int) -> None:
        pattern = self.policy.identifier
        pool = [v for v in self._registered if v.id and v.plate]
        self.rng.shuffle(pool)
        in_order = [v for v in pool if v.status == "active" and v.marked and (pattern is None or pattern.fullmatch(v.id))]
        share = max(1, round(vehicles * 0.02))
        taken: set[str] = set()

        def pick(candidates: Iterable[Vehicle], number: int) -> list[Vehicle]:
            chosen = [v for v in candidates if v.id not in taken][:number]
            taken.update(v.id for v in chosen)
            return chosen

        for rule in self.policy.fix_rules:
            if rule.rule == "unregistered_vehicle":
                strangers = [self._stranger(n) for n in range(share)]
                for vehicle in (*strangers, *pick((v for v in pool if v.status != "active" and v.marked and _well_formed(v, pattern)), share)):
                    self._whole_trip(rule, vehicle, vehicle.plate)
            elif rule.rule == "malformed_identifier":
                for vehicle in pick((v for v in pool if not _well_formed(v, pattern) and v.status == "active" and v.marked), share):
                    self._whole_trip(rule, vehicle, vehicle.plate)
            elif rule.rule == "unmarked_vehicle":
                for vehicle in pick((v for v in pool if not v.marked and v.status == "active" and _well_formed(v, pattern)), share):
                    self._whole_trip(rule, vehicle, vehicle.plate)
                for vehicle in pick(in_order, share):
                    self._whole_trip(rule, vehicle, f"{vehicle.plate}9")
            elif rule.rule == "restricted_hours":
                bound = [v for v in in_order if rule.vehicles and v.vehicle_class in (rule.vehicles.classes or ()) and not self._exempt(v, rule)]
                self._intrude(rule, pick(bound, share + 1))
                freed = [v for v in in_order if v.energy == "electric" and rule.exempt and "electric" in rule.exempt.energy]
                self._intrude(rule, pick(freed, share), innocent=True)
            elif rule.rule == "overstayed_stop":
                self._overstay(rule, pick(in_order, share + 1))
        for vehicle in pick(in_order, max(1, vehicles - len(self._journeys))):
            self._journeys.append((vehicle.id, vehicle.plate, self._roam(self.start_ms, self.end_ms), self.end_ms))

    def _stranger(self, number: int) -> Vehicle:
        prefix = self.policy.pack.identifier.pattern.split("-")[0] if self.policy.pack.identifier else "V"
        return Vehicle(id=f"{prefix}-{99_000 + number}", plate=f"蒙A{99_000 + number}")

    def _exempt(self, vehicle: Vehicle, rule: Rule) -> bool:
        exempt = rule.exempt
        if exempt is None:
            return False
        has_pass = vehicle.id in self._passes or vehicle.enterprise_id in self._passes
        return has_pass or vehicle.energy in exempt.energy or (exempt.joint_delivery and vehicle.joint_delivery)

    # --- what they do ---
    def _whole_trip(self, rule: Rule, vehicle: Vehicle, plate: str | None) -> None:
        """Offends with every report, until it goes home."""
        until_ms = self.end_ms - self.quiet_ms
        legs = self._roam(self.start_ms, until_ms)
        self._journeys.append((vehicle.id, plate, legs, until_ms))
        self._offends.append((rule, None, vehicle.id, None))

    def _intrude(self, rule: Rule, vehicles: list[Vehicle], *, innocent: bool = False) -> None:
        """Drives into a zone for a while and out again."""
        span = self.end_ms - self.start_ms - self.quiet_ms
        middle_ms = self.start_ms + span // 2
        calendars = self.policy.calendars_at(middle_ms)
        hours_allow = self.policy.permits(rule, self.start_ms) and self.policy.permits(rule, self.end_ms)
        if not innocent and (hours_allow or (rule.exempt and not calendars.isdisjoint(rule.exempt.calendars))):
            self.truth.skipped[rule.id] = "permitted at this time"
            return
        if span < 2 * LONGEST_DRIVE_MS:
            self.truth.skipped[rule.id] = "the traffic is too short"
            return
        for vehicle in vehicles:
            zone_id = self.rng.choice(rule.zone_ids or [])
            self._visit(vehicle, zone_id, span // 6, span // 4, still=False)
            if not innocent:
                self._offends.append((rule, rule.zone_ids, vehicle.id, None))

    def _overstay(self, rule: Rule, vehicles: list[Vehicle]) -> None:
        """Stands in a zone for longer than the limit."""
        limit_ms = int(rule.parameters.limit)
        stay_ms = limit_ms + 4 * self.interval_ms
        room_ms = self.end_ms - self.start_ms - self.quiet_ms - stay_ms - 2 * LONGEST_DRIVE_MS
        if room_ms <= 0:
            self.truth.skipped[rule.id] = f"the traffic is too short to outstay {limit_ms // 60_000} min"
            return
        for vehicle in vehicles:
            zone_id = self.rng.choice(rule.zone_ids or [])
            self._visit(vehicle, zone_id, stay_ms + self.rng.randrange(room_ms // 2 + 1), room_ms // 2 + 1, still=True)
            self._offends.append((rule, [zone_id], vehicle.id, 1.0))

    def _visit(self, vehicle: Vehicle, zone_id: str, stay_ms: int, latest_ms: int, *, still: bool) -> None:
        """Wait near a zone, drive in, stand or wander there, drive out again and go on."""
        outside, inside = min(
            ((self._open_point(), self._point_in(zone_id)) for _ in range(30)), key=lambda pair: haversine_m(*pair[0], *pair[1])
        )
        depart_ms = self.start_ms + self.rng.randrange(latest_ms)
        drive_ms = min(LONGEST_DRIVE_MS, max(10_000, round(haversine_m(*outside, *inside) / 40 * 3600)))
        arrive_ms = depart_ms + drive_ms
        leave_ms = arrive_ms + stay_ms
        visit = [Leg(arrive_ms, leave_ms, inside, inside)] if still else self._wander(arrive_ms, leave_ms, inside, self.zones[zone_id])
        last = visit[-1].end
        home_ms = leave_ms + drive_ms
        legs = [Leg(self.start_ms, depart_ms, outside, outside), Leg(depart_ms, arrive_ms, outside, inside), *visit]
        legs += [Leg(leave_ms, home_ms, last, outside), *self._roam(home_ms, self.end_ms, outside)]
        self._journeys.append((vehicle.id, vehicle.plate, legs, self.end_ms))

    # --- where they go ---
    def _roam(self, from_ms: int, until_ms: int, start: tuple[float, float] | None = None) -> list[Leg]:
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
            hours = haversine_m(*position, *target) / 1000 / self.rng.uniform(12, 38)
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
            street = LineString([position, corner]).buffer(0.0004)
            if not any(area.intersects(street) for area in self._areas) and self._near(corner):
                return corner
        return position[0], round(position[1] + 0.0002, 6)

    def _bounds(self) -> tuple[float, float, float, float]:
        west, south, east, north = shapely.total_bounds(self._areas) if self._areas else (111.5, 40.7, 111.8, 40.9)
        return float(west) - 0.03, float(south) - 0.03, float(east) + 0.03, float(north) + 0.03

    def _near(self, point: tuple[float, float]) -> bool:
        west, south, east, north = self._bounds()
        return west <= point[0] <= east and south <= point[1] <= north

    def _open_point(self) -> tuple[float, float]:
        west, south, east, north = self._bounds()
        while True:
            point = (round(self.rng.uniform(west, east), 6), round(self.rng.uniform(south, north), 6))
            if not any(area.intersects(Point(point).buffer(0.002)) for area in self._areas):
                return point

    def _point_in(self, zone_id: str) -> tuple[float, float]:
        zone = self.zones[zone_id]
        others = [area for name, area in self.zones.items() if name != zone_id]
        west, south, east, north = zone.bounds
        while True:
            point = (round(self.rng.uniform(west, east), 6), round(self.rng.uniform(south, north), 6))
            if zone.contains(Point(point).buffer(0.0003)) and not any(other.intersects(Point(point)) for other in others):
                return point

    def _wander(self, from_ms: int, until_ms: int, start: tuple[float, float], zone: BaseGeometry) -> list[Leg]:
        """Slow driving inside a zone."""
        legs, position, now_ms = list[Leg](), start, from_ms
        while now_ms < until_ms:
            target = (round(position[0] + self.rng.uniform(-0.002, 0.002), 6), round(position[1] + self.rng.uniform(-0.002, 0.002), 6))
            step_ms = min(60_000, until_ms - now_ms)
            if zone.contains(LineString([position, target])):
                legs.append(Leg(now_ms, now_ms + step_ms, position, target))
                position, now_ms = target, now_ms + step_ms
        return legs

    # --- what they report ---
    def fixes(self) -> Iterator[Fix]:
        """All reports in order of time; afterwards ``truth.incidents`` is complete."""
        offends = {vehicle_id: (rule, zones, stopped) for rule, zones, vehicle_id, stopped in self._offends}
        streams = []
        for number, (vehicle_id, plate, legs, until_ms) in enumerate(self._journeys):
            first_ms = self.start_ms + self.rng.randrange(self.interval_ms)
            streams.append(self._reports(number, vehicle_id, plate, legs, first_ms, until_ms, offends.get(vehicle_id)))
        yield from merge(*streams, key=lambda fix: (fix.event_time_ms, fix.vehicle_id))

    def _reports(
        self, number: int, vehicle_id: str, plate: str | None, legs: list[Leg], first_ms: int, until_ms: int,
        offence: tuple[Rule, list[str] | None, float | None] | None,
    ) -> Iterator[Fix]:  # fmt: skip
        run: dict[str | None, list[int]] = {}
        index = 0
        for event_time_ms in range(first_ms, until_ms, self.interval_ms):
            while index + 1 < len(legs) and legs[index].until_ms <= event_time_ms:
                index += 1
            leg = legs[index]
            lon, lat = leg.at(min(event_time_ms, leg.until_ms))
            speed_kmh = leg.speed_kmh if event_time_ms < leg.until_ms else 0.0
            if offence:
                self._note(run, vehicle_id, offence, event_time_ms, lon, lat, speed_kmh)
            yield Fix(
                f"{number}-{event_time_ms}", event_time_ms, vehicle_id, lon, lat, plate=plate, speed_kmh=speed_kmh,
                ignition=True, source="synthetic", synthetic=True,
            )  # fmt: skip
        for zone_id in list(run):
            self._end_run(run, vehicle_id, offence, zone_id)

    def _note(
        self, run: dict[str | None, list[int]], vehicle_id: str, offence: tuple[Rule, list[str] | None, float | None],
        event_time_ms: int, lon: float, lat: float, speed_kmh: float,
    ) -> None:  # fmt: skip
        """Write down an offender's offence as it happens."""
        rule, zones, stopped_kmh = offence
        for zone_id in zones or [None]:  # type: ignore[list-item]
            commits = zone_id is None or self.zones[zone_id].intersects(Point(lon, lat))
            if stopped_kmh is not None:
                commits = commits and speed_kmh <= stopped_kmh
            elif zone_id is not None:
                commits = commits and not self.policy.permits(rule, event_time_ms)
            if commits:
                run.setdefault(zone_id, []).append(event_time_ms)
            elif zone_id in run:
                self._end_run(run, vehicle_id, offence, zone_id)

    def _end_run(
        self, run: dict[str | None, list[int]], vehicle_id: str, offence: tuple[Rule, list[str] | None, float | None] | None, zone_id: str | None
    ) -> None:
        times = run.pop(zone_id)
        assert offence is not None
        if times[-1] - times[0] >= offence[0].minimum_ms:
            self.truth.incidents.append(TrueIncident(offence[0].id, vehicle_id, zone_id, times[0], times[-1], len(times)))


def _well_formed(vehicle: Vehicle, pattern: object) -> bool:
    return pattern is None or bool(pattern.fullmatch(vehicle.id))  # type: ignore[attr-defined]


def parcels(policy: Policy, registry: Registry, truth: Truth, *, scans: int, end_ms: int, seed: int) -> list[Scan]:
    """About so many scans of parcels from the last closed local day until ``end_ms``, in order of time; fills the truth.

    Two enterprises fall short of the electronic-waybill target, two of the green-packaging target.
    """
    rng = random.Random(f"parcels/{seed}")
    lateness_ms = policy.lateness_ms
    closed = policy.days.date_of(policy.days.bounds_ms(policy.days.date_of(end_ms - lateness_ms - 120_000))[0] - 1)
    from_ms, closed_until_ms = policy.days.bounds_ms(closed)
    enterprises = [e.id for e in registry.each("enterprise")] or ["unknown"]
    electronic_share = {e: 0.80 if n in (1, 3) else 0.975 for n, e in enumerate(enterprises)}
    green_share = {e: 0.78 if n in (2, 4) else 0.97 for n, e in enumerate(enterprises)}
    counts: dict[tuple[str, str], Counter[str]] = {}
    out: list[Scan] = []
    city = policy.pack.city.adcode
    number = 0
    while len(out) < scans:
        enterprise = rng.choice(enterprises)
        accepted_ms = rng.randrange(from_ms, closed_until_ms) if rng.random() < 0.75 else rng.randrange(closed_until_ms, end_ms)
        electronic, green = rng.random() < electronic_share[enterprise], rng.random() < green_share[enterprise]
        day = policy.days.date_of(accepted_ms)
        for subject in (enterprise, "*"):
            counted = counts.setdefault((subject, day), Counter())
            counted.update(accepted=1, electronic=electronic, green=green)
        fields = {
            "waybill_id": f"W{seed}-{number:08}", "enterprise_id": enterprise, "city": city, "synthetic": True,
            "waybill_kind": "electronic" if electronic else "paper",
            "packaging": Packaging(green=green, tape_mm=rng.choice([38.0, 45.0, 60.0]), repackaged=False, reusable_bag=rng.random() < 0.9),
        }  # fmt: skip
        steps = [("accepted", accepted_ms), ("departed", accepted_ms + rng.randrange(1_800_000, 7_200_000))]
        if rng.random() < 0.1:
            steps.append(("accepted", accepted_ms + rng.randrange(60_000, 600_000)))  # repeated; never counts again
        for step, (kind, event_time_ms) in enumerate(steps):
            if event_time_ms <= end_ms:
                out.append(Scan(f"{number}-{step}", event_time_ms, kind=kind, real_name_verified=True, inspected=True, **fields))  # type: ignore[arg-type]
        number += 1
    out.sort(key=lambda scan: (scan.event_time_ms, scan.event_id))
    for (subject, day), counted in sorted(counts.items()):
        truth.rates[f"{city}/{subject}/{day}"] = (counted["accepted"], counted["electronic"], counted["green"])
    _note_low_days(policy, registry, truth, counts, out[-1].event_time_ms if out else 0)
    return out


def _note_low_days(policy: Policy, registry: Registry, truth: Truth, counts: dict[tuple[str, str], Counter[str]], stream_time_ms: int) -> None:
    """Write down the days that fall short, from the numbers just drawn."""
    for rule in policy.day_rules:
        field = "electronic" if rule.rule == "low_electronic_waybill_rate" else "green"
        for (subject, day), counted in sorted(counts.items()):
            start_ms, end_ms = policy.days.bounds_ms(day)
            if stream_time_ms < end_ms + policy.lateness_ms or counted["accepted"] < rule.parameters.min_sample:
                continue
            if rule.parameters.primary_brands_only and subject != "*":
                enterprise = registry.at("enterprise", subject, start_ms)
                if enterprise is None or not getattr(enterprise, "primary_brand", False):
                    continue
            if counted[field] / counted["accepted"] < rule.parameters.target:
                truth.low_days.append((rule.id, subject, day))


def spread(scans: list[Scan], start_ms: int, end_ms: int) -> Iterator[tuple[int, Scan]]:
    """When each scan is sent on the fleet's clock: days of parcels pass evenly while the fleet's minutes pass."""
    first_ms, last_ms = (scans[0].event_time_ms, scans[-1].event_time_ms) if scans else (0, 1)
    stretch = (end_ms - start_ms) / max(1, last_ms - first_ms)
    for scan in scans:
        yield min(start_ms + round((scan.event_time_ms - first_ms) * stretch), end_ms), scan

