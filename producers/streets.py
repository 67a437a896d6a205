"""Where synthetic vehicles can go: a street grid around a pack's zones, and the legs that they drive on it."""

from __future__ import annotations

import math
import random
from typing import NamedTuple

import msgspec
import shapely
from shapely.geometry import LineString, Point
from shapely.geometry.base import BaseGeometry

from streams.geo import haversine_m
from streams.policy.policy import Policy
from streams.rules import RULES

GRID_DEG = 0.0045
HALT_SHARE = 0.15
"""Of the moves of a vehicle that roams, so many are halts."""
WANDER_STEP_MS = 20_000

Place = tuple[float, float]
"""Longitude and latitude."""
SpeedsKmh = tuple[float, float]
"""From and to: each leg draws its own."""


class Leg(msgspec.Struct):
    """Driving from one place to another, or standing where both are the same."""

    from_ms: int
    until_ms: int
    start: Place
    end: Place

    def at(self, event_time_ms: int) -> Place:
        """Where one is at an instant of the leg."""
        share = (event_time_ms - self.from_ms) / max(1, self.until_ms - self.from_ms)
        (lon_a, lat_a), (lon_b, lat_b) = self.start, self.end
        return round(lon_a + (lon_b - lon_a) * share, 6), round(lat_a + (lat_b - lat_a) * share, 6)

    @property
    def speed_kmh(self) -> float:
        """Speed on the leg, 0 where it stands."""
        hours = (self.until_ms - self.from_ms) / 3_600_000
        return round(haversine_m(*self.start, *self.end) / 1000 / hours, 1) if hours and self.start != self.end else 0.0


class Way(NamedTuple):
    """From a place outside of something to one inside, or the other way, with nothing in between."""

    start: Place
    end: Place


class Streets:
    """The streets of a policy's city: outside of all zones that a rule is about, and inside the operating area if there is one."""

    def __init__(self, policy: Policy, rng: random.Random) -> None:
        self.zones = policy.pack.geometries
        self.rng = rng
        outside = [rule for rule in policy.fix_rules if RULES[rule.rule].ZONES == "outside"]
        operating = [self.zones[zone] for rule in outside for zone in rule.zone_ids or ()]
        avoided = {zone for rule in policy.fix_rules if rule not in outside for zone in rule.zone_ids or ()}
        self._avoided = [area for zone, area in self.zones.items() if zone in avoided]
        self._home = shapely.union_all(operating).buffer(-0.003) if operating else _around(self._avoided)

    def roam(self, from_ms: int, until_ms: int, start: Place | None = None, speeds_kmh: SpeedsKmh = (12.0, 38.0)) -> list[Leg]:
        """Block by block, with short halts."""
        position = start or self.open_place()
        legs: list[Leg] = []
        now_ms = from_ms
        while now_ms < until_ms or not legs:
            if self.rng.random() < HALT_SHARE:
                halt_ms = self.rng.randrange(20_000, 120_000)
                legs.append(Leg(now_ms, now_ms + halt_ms, position, position))
                now_ms += halt_ms
                continue
            target = self._next_corner(position)
            hours = haversine_m(*position, *target) / 1000 / self.rng.uniform(*speeds_kmh)
            drive_ms = max(1000, round(hours * 3_600_000))
            legs.append(Leg(now_ms, now_ms + drive_ms, position, target))
            position, now_ms = target, now_ms + drive_ms
        last = legs[-1]
        if last.until_ms > until_ms > last.from_ms:
            legs[-1] = Leg(last.from_ms, until_ms, last.start, last.at(until_ms))
        return legs

    def wander(self, from_ms: int, until_ms: int, start: Place, zone: BaseGeometry, speeds_kmh: SpeedsKmh) -> list[Leg]:
        """To and fro inside a zone."""
        legs, position, now_ms = list[Leg](), start, from_ms
        while now_ms < until_ms:
            step_ms = min(WANDER_STEP_MS, until_ms - now_ms)
            degrees = self.rng.uniform(*speeds_kmh) / 3.6 * step_ms / 1000 / 111_195
            angle = self.rng.uniform(0, 2 * math.pi)
            widening = math.cos(math.radians(position[1]))
            target = (round(position[0] + degrees * math.cos(angle) / widening, 6), round(position[1] + degrees * math.sin(angle), 6))
            if zone.contains(LineString([position, target])):
                legs.append(Leg(now_ms, now_ms + step_ms, position, target))
                position, now_ms = target, now_ms + step_ms
        return legs

    def open_place(self) -> Place:
        """Somewhere on the streets, clear of every zone."""
        while True:
            place = self._place_within(self._home)
            if self._is_open(place):
                return place

    def way_into(self, zone_id: str) -> Way:
        """From the streets into a zone, through no other, to a place that is in no other."""
        zone = self.zones[zone_id]
        while True:
            inside = self._place_within(zone)
            if not zone.contains(Point(inside).buffer(0.0003)) or not self._is_free(inside, inside, zone):
                continue
            outside = self._beside(inside)
            if self._is_open(outside) and self._is_free(outside, inside, zone):
                return Way(outside, inside)

    def way_out_of(self, areas: list[BaseGeometry]) -> Way:
        """From the streets to a place outside of all these areas, through no zone."""
        while True:
            home = self.open_place()
            away = self._beside(home)
            if not any(area.intersects(Point(away).buffer(0.0003)) for area in areas) and self._is_free(home, away):
                return Way(home, away)

    def _next_corner(self, position: Place) -> Place:
        moves = [(GRID_DEG, 0.0), (-GRID_DEG, 0.0), (0.0, GRID_DEG), (0.0, -GRID_DEG)]
        self.rng.shuffle(moves)
        for east, north in moves:
            corner = (round(position[0] + east, 6), round(position[1] + north, 6))
            if self._home.contains(Point(corner)) and self._is_free(position, corner):
                return corner
        return position[0], round(position[1] + 0.0002, 6)

    def _is_free(self, start: Place, end: Place, but: BaseGeometry | None = None) -> bool:
        """Whether the street between two places keeps clear of every zone (but one)."""
        street = LineString([start, end]).buffer(0.0004)
        return not any(area.intersects(street) for area in self._avoided if area is not but)

    def _is_open(self, place: Place) -> bool:
        """Whether a place is where vehicles roam, well clear of every zone."""
        return bool(self._home.contains(Point(place))) and not any(area.intersects(Point(place).buffer(0.002)) for area in self._avoided)

    def _place_within(self, area: BaseGeometry) -> Place:
        """A place in the area's bounding box."""
        west, south, east, north = area.bounds
        return round(self.rng.uniform(west, east), 6), round(self.rng.uniform(south, north), 6)

    def _beside(self, place: Place) -> Place:
        east, north = self.rng.uniform(-0.012, 0.012), self.rng.uniform(-0.012, 0.012)
        return round(place[0] + east, 6), round(place[1] + north, 6)


def _around(areas: list[BaseGeometry]) -> BaseGeometry:
    """The box in and around these areas; where there are none, one in Hohhot."""
    west, south, east, north = shapely.total_bounds(areas) if areas else (111.5, 40.7, 111.8, 40.9)
    return shapely.box(float(west) - 0.03, float(south) - 0.03, float(east) + 0.03, float(north) + 0.03)
