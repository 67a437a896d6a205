"""The way of each synthetic vehicle through a shift: roaming, visiting a zone, or being in two places at once."""

from __future__ import annotations

import random
from typing import NamedTuple

from shapely.geometry.base import BaseGeometry

from producers.streets import Leg, SpeedsKmh, Streets, Way
from streams.geo import haversine_m
from streams.policy.pack import Rule
from streams.policy.policy import Policy
from streams.registry.records import Vehicle

MOST_QUIET_MS = 240_000
LONGEST_DRIVE_MS = 240_000
SHORTEST_DRIVE_MS = 10_000
DRIVE_KMH = 30
"""On the way into a zone and back."""
VAN_SPEEDS_KMH = (12.0, 38.0)
SPEEDS_KMH = {"e_tricycle": (6.0, 14.0), "e_bike": (8.0, 20.0)}


class Shift(NamedTuple):
    """How long the fleet is on the road, and how often each vehicle reports (ms)."""

    start_ms: int
    end_ms: int
    interval_ms: int

    @property
    def offences_end_ms(self) -> int:
        """Offenders go home so long before the end that their incidents close; at most the last quarter."""
        return self.end_ms - min(MOST_QUIET_MS, (self.end_ms - self.start_ms) // 4)

    @property
    def for_offences_ms(self) -> int:
        """How much time there is for offences."""
        return self.offences_end_ms - self.start_ms


class Journey(NamedTuple):
    """A vehicle's way until it goes home, with its last report; ``gap``: from when until when it sends nothing (ms)."""

    vehicle_id: str
    plate: str | None
    driver_id: str | None
    legs: list[Leg]
    until_ms: int
    gap: tuple[int, int] = (0, 0)


def who_drives(vehicle: Vehicle) -> str | None:
    """Its first driver on record, if it has any."""
    return next(iter(vehicle.driver_ids), None)


class Journeys:
    """Plans the journeys of a shift; ``planned`` has them in order."""

    def __init__(self, policy: Policy, shift: Shift, streets: Streets, rng: random.Random) -> None:
        self.policy, self.shift, self.streets, self.rng = policy, shift, streets, rng
        self.planned: list[Journey] = []

    def roam(self, vehicle: Vehicle, until_ms: int | None = None, plate: str | None = None, speeds_kmh: SpeedsKmh | None = None) -> None:
        """Roam the streets, until going home."""
        until_ms = until_ms or self.shift.end_ms
        speeds_kmh = speeds_kmh or SPEEDS_KMH.get(vehicle.vehicle_class or "", VAN_SPEEDS_KMH)
        legs = self.streets.roam(self.shift.start_ms, until_ms, speeds_kmh=speeds_kmh)
        self._plan(vehicle, legs, until_ms, plate)

    def visit(
        self, vehicle: Vehicle, way: Way, stay_ms: int, latest_ms: int,
        wander_in: BaseGeometry | None = None, speeds_kmh: SpeedsKmh = (8.0, 14.0), unless: Rule | None = None,
    ) -> None:  # fmt: skip
        """Wait outside, drive in (at a time that a rule does not permit, if there is one), stand or wander there, drive out and go on."""
        outside, inside = way
        drive_ms = min(LONGEST_DRIVE_MS, max(SHORTEST_DRIVE_MS, _drive_ms(way)))
        depart_ms = self._departure_ms(drive_ms, latest_ms, unless)
        arrive_ms = depart_ms + drive_ms
        leave_ms = arrive_ms + stay_ms
        stay = [Leg(arrive_ms, leave_ms, inside, inside)] if wander_in is None else self.streets.wander(arrive_ms, leave_ms, inside, wander_in, speeds_kmh)
        end = stay[-1].end
        back_ms = leave_ms + _drive_ms(Way(end, inside))
        home_ms = back_ms + drive_ms
        legs = [Leg(self.shift.start_ms, depart_ms, outside, outside), Leg(depart_ms, arrive_ms, outside, inside), *stay]
        legs += [Leg(leave_ms, back_ms, end, inside), Leg(back_ms, home_ms, inside, outside)]
        legs += self.streets.roam(home_ms, self.shift.end_ms, outside)
        self._plan(vehicle, legs, self.shift.end_ms)

    def drive_line(self, vehicle: Vehicle, ways: list[Way], stay_ms: int, unseen_ms: int) -> None:
        """Drive into one zone after another, stand in each and drive out; unseen for a while on the way between the two. Then roam."""
        now_ms, legs, unseen = self.shift.start_ms, list[Leg](), (0, 0)
        for way in ways:
            if legs:
                unseen = now_ms, now_ms + unseen_ms
                legs.append(Leg(*unseen, legs[-1].end, way.start))
                now_ms += unseen_ms
            drive_ms = max(SHORTEST_DRIVE_MS, _drive_ms(way))
            for until_ms, start, end in ((drive_ms, way.start, way.end), (stay_ms, way.end, way.end), (drive_ms, way.end, way.start)):
                legs.append(Leg(now_ms, now_ms + until_ms, start, end))
                now_ms += until_ms
        legs += self.streets.roam(now_ms, self.shift.end_ms, legs[-1].end)
        self._plan(vehicle, legs, self.shift.end_ms, gap=unseen)

    def _plan(self, vehicle: Vehicle, legs: list[Leg], until_ms: int, plate: str | None = None, gap: tuple[int, int] = (0, 0)) -> None:
        self.planned.append(Journey(vehicle.id, plate or vehicle.plate, who_drives(vehicle), legs, until_ms, gap))

    def _departure_ms(self, drive_ms: int, latest_ms: int, unless: Rule | None) -> int:
        """So many milliseconds after the start at the latest; where a rule is given, not to arrive while it permits that, if that can be had."""
        for _ in range(100):
            depart_ms = self.shift.start_ms + self.rng.randrange(latest_ms)
            if unless is None or not self.policy.permits(unless, depart_ms + drive_ms):
                break
        return depart_ms

    def be_in_two_places(self, vehicle: Vehicle) -> None:
        """Two vehicles under one number: for a while every report comes from the other end of town."""
        shift = self.shift
        from_ms = shift.start_ms + shift.for_offences_ms // 4
        here = self.streets.open_place()
        there = max((self.streets.open_place() for _ in range(20)), key=lambda place: haversine_m(*here, *place))
        count = max(4, min(40, shift.for_offences_ms // 4 // shift.interval_ms))
        legs = [Leg(shift.start_ms, from_ms, here, here)]
        for number in range(count):
            place = here if number % 2 else there
            legs.append(Leg(from_ms + number * shift.interval_ms, from_ms + (number + 1) * shift.interval_ms, place, place))
        legs += self.streets.roam(legs[-1].until_ms, shift.end_ms, legs[-1].end, SPEEDS_KMH["e_tricycle"])
        self._plan(vehicle, legs, shift.end_ms)

    def fall_silent(self, vehicle: Vehicle, gap_ms: int, latest_ms: int) -> None:
        """Roam, report twice at least and from then on, at the latest after ``latest_ms``, nothing for so long; then go on."""
        self.roam(vehicle)
        from_ms = self.shift.start_ms + 2 * self.shift.interval_ms + self.rng.randrange(latest_ms)
        self.planned[-1] = self.planned[-1]._replace(gap=(from_ms, from_ms + gap_ms))


def _drive_ms(way: Way) -> int:
    return round(haversine_m(*way.start, *way.end) / DRIVE_KMH * 3600)
