"""Stays of vehicles in loading zones (停车设施利用率), by zone and local day: how many stops, and for how long. Pure, and exact.

A vehicle stands in a loading zone with a fix inside that says at most ``STOPPED_KMH``. Consecutive fixes of a vehicle that stand in the same zone, at
most five minutes apart, are one stop; the time between them is occupied. At local midnight a stop is divided into two. Like a leg
(``empty_run``), each step from one fix to the next counts by itself; a fix that comes late divides a step into two.
"""

from __future__ import annotations

import numpy as np

from streams.fix_batch import DEGREE, Chunk, StoredFix
from streams.policy.policy import Policies
from streams.vehicles.empty_run import APART_MS
from streams.vehicles.fleet_day import FleetDays, Stays
from streams.vehicles.zone_sets import ZoneSets

STOPPED_KMH = 1.0
KIND = "loading"
"""The kind of the zones."""


class Parking:
    """Enters steps of vehicles, by the loading zones of a policy's versions."""

    def __init__(self, policies: Policies) -> None:
        self.change(policies)

    def change(self, policies: Policies) -> None:
        """Take over a policy as published."""
        self.policies = policies
        self.zone_sets = ZoneSets(policies, {zone for policy in policies.versions for zone, kind in policy.zone_kinds.items() if kind == KIND})

    def stands_in(self, fix: StoredFix, number: int | None = None) -> tuple[str, ...]:
        """The loading zones that a vehicle stands in at a fix; ``number``: of the fix's set of zones, where it is known."""
        if fix.speed_kmh is None or fix.speed_kmh > STOPPED_KMH or not self.zone_sets.wanted:
            return ()
        if number is None:
            number = self.policies.locate(np.array([fix.event_time_ms]), np.array([fix.lon]), np.array([fix.lat])).item(0)
        return self.zone_sets.of(number)

    def add_step(self, days: FleetDays, before: StoredFix | None, after: StoredFix, sign: int = 1, number: int | None = None) -> None:
        """Enter the step between two consecutive fixes (to the first of all, from None), or take it back (-1); ``number``: of the set of zones after it."""
        if zones := self.stands_in(after, number):
            apart = before is None or after.event_time_ms - before.event_time_ms > APART_MS
            stood = self.stands_in(before) if before is not None and not apart else ()
            self._enter(days, zones, stood, None if before is None else before.event_time_ms, after.event_time_ms, sign)

    def add_steps(self, days: FleetDays, chunk: Chunk, latest: np.ndarray, zones: np.ndarray, appended: np.ndarray) -> None:
        """Enter the steps that end with the appended ones of n fixes; ``latest``: what is known before each (``LATEST``), ``zones``: numbers of sets."""
        stands = appended & self.zone_sets.contain(zones) & (chunk.speeds <= STOPPED_KMH)
        if not stands.any():
            return
        known = latest[stands]
        before_ms, times = known["time_ms"], chunk.times[stands]
        stood = (times - before_ms <= APART_MS) & (known["speed"] <= STOPPED_KMH * 100)
        places = np.zeros(len(times), np.int64)
        if stood.any():
            places[stood] = self.policies.locate(before_ms[stood], known["lon"][stood] / DEGREE, known["lat"][stood] / DEGREE)
        rows = zip(zones[stands].tolist(), stood.tolist(), places.tolist(), before_ms.tolist(), times.tolist(), strict=True)
        for number, was_standing, place, from_ms, until_ms in rows:
            self._enter(days, self.zone_sets.of(number), self.zone_sets.of(place) if was_standing else (), from_ms, until_ms, 1)

    def _enter(self, days: FleetDays, zones: tuple[str, ...], stood: tuple[str, ...], from_ms: int | None, until_ms: int, sign: int) -> None:
        """Enter a step of a vehicle that stands in ``zones`` at its end, and stood in others at its beginning."""
        local = self.policies.newest.days
        date = local.date_of(until_ms)
        for zone in zones:
            if from_ms is None or zone not in stood:
                days.stay(date, zone, Stays(sign, 0))
            elif (before := local.date_of(from_ms)) == date:
                days.stay(date, zone, Stays(0, sign * (until_ms - from_ms)))
            else:
                midnight_ms = local.bounds_ms(date)[0]
                days.stay(before, zone, Stays(0, sign * (midnight_ms - from_ms)))
                days.stay(date, zone, Stays(sign, sign * (until_ms - midnight_ms)))
