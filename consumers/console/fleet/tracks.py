"""Every vehicle's track of the last hour of stream time, thinned to one point in 20 s: rings in blocks of columns, 14 bytes a point, 2.5 kB a vehicle."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from consumers.console.fleet.positions import SCALE, Leg
from streams.clock import HOUR_MS

EVERY_MS = 20_000
POINTS = HOUR_MS // EVERY_MS
VEHICLES_AT_ONCE = 256
"""So many vehicles share a block: where one more comes, nothing that is held is copied."""
_LATEST_S, _FASTEST = 2**32 - 1, 6_553.5


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


class Block:
    """A ring of points for each of some vehicles: seconds since 1970, degrees × 10⁷, km/h × 10; and how many points came altogether."""

    def __init__(self) -> None:
        self.times_s = np.zeros((VEHICLES_AT_ONCE, POINTS), np.uint32)
        self.places = np.zeros((VEHICLES_AT_ONCE, POINTS, 2), np.int32)
        self.speeds = np.zeros((VEHICLES_AT_ONCE, POINTS), np.uint16)
        self.counts = np.zeros(VEHICLES_AT_ONCE, np.int64)


class Tracks:
    """The blocks, by the vehicles' numbers in the fleet."""

    def __init__(self) -> None:
        self._blocks: list[Block] = []

    def enter(self, leg: Leg) -> None:
        """Take over a vehicle's newest fix, unless it has one of just before."""
        number, row = divmod(leg.number, VEHICLES_AT_ONCE)
        while number >= len(self._blocks):
            self._blocks.append(Block())
        block = self._blocks[number]
        count, time_s = int(block.counts[row]), min(leg.until_ms // 1000, _LATEST_S)
        if count and (time_s - int(block.times_s[row, (count - 1) % POINTS])) * 1000 < EVERY_MS:
            return
        place = count % POINTS
        block.times_s[row, place] = time_s
        block.places[row, place] = round(leg.lon * SCALE), round(leg.lat * SCALE)
        block.speeds[row, place] = round(min(leg.speed_kmh, _FASTEST) * 10)
        block.counts[row] = count + 1

    def of(self, number: int, now_ms: int) -> list[tuple[int, float, float, float]]:
        """Time (ms, to the second), longitude, latitude (degrees) and speed (km/h) of the points since an hour ago, in order of time; those of a clock that is ahead, too."""
        at, row = divmod(number, VEHICLES_AT_ONCE)
        if at >= len(self._blocks):
            return []
        block = self._blocks[at]
        count = int(block.counts[row])
        order = [place % POINTS for place in range(max(0, count - POINTS), count)]
        points = zip(block.times_s[row, order].tolist(), block.places[row, order].tolist(), block.speeds[row, order].tolist(), strict=True)
        return [(time_s * 1000, lon / SCALE, lat / SCALE, speed / 10) for time_s, (lon, lat), speed in points if time_s * 1000 >= now_ms - HOUR_MS]
