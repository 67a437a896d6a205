"""Every vehicle's track of the last hour of stream time, thinned to one point in 20 s: rings in columns that grow."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from consumers.console.positions import SCALE, Leg, grown
from streams.clock import HOUR_MS

EVERY_MS = 20_000
POINTS = HOUR_MS // EVERY_MS


def thinned(rows: Iterable[tuple[int, float, float, float | None]]) -> list[tuple[int, float, float, float]]:
    """Points in order of time, as tracks have them: one in 20 s, with a speed.

    >>> thinned([(0, 111.65, 40.81, None), (10_000, 111.66, 40.81, 20.0), (20_000, 111.67, 40.81, 30.0)])
    [(0, 111.65, 40.81, 0.0), (20000, 111.67, 40.81, 30.0)]
    """
    kept: list[tuple[int, float, float, float]] = []
    for time_ms, lon, lat, speed_kmh in rows:
        if not kept or time_ms - kept[-1][0] >= EVERY_MS:
            kept.append((time_ms, lon, lat, speed_kmh or 0.0))
    return kept


class Tracks:
    """A ring of points for each vehicle, by its number in the fleet."""

    def __init__(self) -> None:
        self._times_ms = np.zeros((64, POINTS), np.int64)
        self._places = np.zeros((64, POINTS, 2), np.int32)
        self._speeds = np.zeros((64, POINTS), np.float32)
        self._next = np.zeros(64, np.int64)

    def enter(self, leg: Leg) -> None:
        """Take over a vehicle's newest fix, unless it has one of just before."""
        if leg.number >= len(self._next):
            self._grow(2 * leg.number)
        newest = int(self._next[leg.number])
        if newest and leg.until_ms - self._times_ms[leg.number, (newest - 1) % POINTS] < EVERY_MS:
            return
        place = newest % POINTS
        self._times_ms[leg.number, place] = leg.until_ms
        self._places[leg.number, place] = round(leg.lon * SCALE), round(leg.lat * SCALE)
        self._speeds[leg.number, place] = leg.speed_kmh
        self._next[leg.number] = newest + 1

    def of(self, number: int, now_ms: int) -> list[tuple[int, float, float, float]]:
        """Time (ms), longitude, latitude (degrees) and speed (km/h) of the points since an hour ago, in order of time; those of a clock that is ahead, too."""
        if number >= len(self._next):
            return []
        newest = int(self._next[number])
        order = [place % POINTS for place in range(max(0, newest - POINTS), newest)]
        points = zip(self._times_ms[number, order].tolist(), self._places[number, order].tolist(), self._speeds[number, order].tolist(), strict=True)
        return [(time_ms, lon / SCALE, lat / SCALE, round(speed, 1)) for time_ms, (lon, lat), speed in points if time_ms >= now_ms - HOUR_MS]

    def _grow(self, size: int) -> None:
        for name in ("_times_ms", "_places", "_speeds", "_next"):
            setattr(self, name, grown(getattr(self, name), size))
