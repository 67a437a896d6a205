"""Where every vehicle is: columns that grow, and one binary frame a tick that all viewers share.

A frame, little-endian: ``YCP1``, epoch, its number, since which frame it tells changes (0: it tells all), n vehicles (u32 each), ids known so far
(u32), stream time (f64, ms); then n numbers (u32), longitudes and latitudes (i32, degrees × 10⁷), ages (u32, seconds behind stream time),
headings (u16, degrees; 65535: not known), states (u8), and zeros up to a multiple of 8.
"""

from __future__ import annotations

import math
import struct
from collections import deque
from collections.abc import Iterable
from typing import NamedTuple

import numpy as np

from consumers.console.fleet import clusters
from streams.clock import MINUTE_MS
from streams.geo import haversine_m
from streams.wire.events import Fix

MOVING, STANDING, OFFENDING, SILENT = range(4)
STATES = ("moving", "standing", "offending", "silent")
SILENT_MS = 5 * MINUTE_MS
"""A vehicle that has said nothing for so long, in stream time, is silent."""
STANDS_KMH = 1.0
SCALE = 10_000_000
UNKNOWN_HEADING = 65_535
FRAMES_KEPT = 60
"""So many ticks may a viewer miss before it gets all vehicles again."""
MOST_VEHICLES = 200_000
"""Ids can be made up by anybody; further ones are not shown."""
_TOO_MANY = {
    "zh": f"车辆超过 {MOST_VEHICLES:,} 辆，其余车辆不在地图和列表中显示；事件和指标不受影响。",
    "en": f"There are more than {MOST_VEHICLES:,} vehicles; the map and its table show no further ones. Incidents and rates are of all.",
}
_HEAD = struct.Struct("<4sIIIIId")


class Leg(NamedTuple):
    """From a vehicle's newest fix before to its newest now: its number, times (ms) and degrees."""

    number: int
    from_ms: int
    until_ms: int
    from_lon: float
    from_lat: float
    lon: float
    lat: float
    speed_kmh: float


class Fleet:
    """The newest position of each vehicle, by its number in the order in which they were first seen."""

    def __init__(self, epoch: int) -> None:
        self.epoch = epoch
        self.ids: list[str] = []
        self.plates: list[str | None] = []
        self.numbers: dict[str, int] = {}
        self.sequence = 0
        self._frames: deque[tuple[int, bytes]] = deque(maxlen=FRAMES_KEPT)
        self._time_ms = np.zeros(64, np.int64)
        self._lon = np.zeros(64, np.int32)
        self._lat = np.zeros(64, np.int32)
        self._heading = np.full(64, UNKNOWN_HEADING, np.uint16)
        self._speed = np.zeros(64, np.float32)
        self._state = np.full(64, STANDING, np.uint8)
        self._changed = np.zeros(64, np.bool_)
        self._stream_ms = 0
        self._clustered: dict[int, bytes] = {}
        self.problem: dict[str, str] | None = None
        """That there are more vehicles than are shown, in both languages; None: there are not."""

    def __len__(self) -> int:
        return len(self.ids)

    def enter(self, fix: Fix) -> Leg | None:
        """Take over a fix in WGS-84, if it is its vehicle's newest; how it got there, where it was known before (else a leg of no length)."""
        number = self._number_of(fix.vehicle_id)
        if number is None or fix.event_time_ms <= self._time_ms[number]:
            return None
        before_ms = int(self._time_ms[number])
        lon_before, lat_before = (float(self._lon[number]) / SCALE, float(self._lat[number]) / SCALE) if before_ms else (fix.lon, fix.lat)
        passed_ms = fix.event_time_ms - before_ms if before_ms else 0
        metres = haversine_m(lon_before, lat_before, fix.lon, fix.lat) if passed_ms else 0.0
        speed_kmh = fix.speed_kmh if fix.speed_kmh is not None else metres / passed_ms * 3600 if passed_ms else 0.0
        if fix.heading_deg is not None and math.isfinite(fix.heading_deg):
            self._heading[number] = round(fix.heading_deg) % 360
        elif metres > 5:
            self._heading[number] = _heading_deg(lon_before, lat_before, fix.lon, fix.lat)
        self._time_ms[number], self._speed[number] = fix.event_time_ms, speed_kmh
        self._lon[number], self._lat[number] = round(fix.lon * SCALE), round(fix.lat * SCALE)
        self._changed[number] = True
        self.plates[number] = fix.plate or self.plates[number]
        return Leg(number, before_ms or fix.event_time_ms, fix.event_time_ms, lon_before, lat_before, fix.lon, fix.lat, speed_kmh)

    def tick(self, stream_ms: int, offending: Iterable[str]) -> int:
        """Settle every vehicle's state, and encode what has changed since the last tick; returns the frame's number."""
        count, self._stream_ms = len(self.ids), stream_ms
        states = np.where(self._speed[:count] > STANDS_KMH, MOVING, STANDING).astype(np.uint8)
        states[stream_ms - self._time_ms[:count] > SILENT_MS] = SILENT
        states[[self.numbers[name] for name in offending if name in self.numbers]] = OFFENDING
        self._changed[:count] |= states != self._state[:count]
        self._state[:count] = states
        chosen = np.flatnonzero(self._changed[:count])
        self._changed[:count] = False
        self.sequence += 1
        self._clustered = {}
        self._frames.append((self.sequence, self._encode(chosen, self.sequence - 1)))
        return self.sequence

    def since(self, sequence: int, epoch: int) -> bytes:
        """The frames after one that a viewer has, one after the other; all vehicles where that is unknown here or too long ago; empty: nothing new."""
        if epoch == self.epoch and sequence == self.sequence:
            return b""
        missing = [frame for number, frame in self._frames if number > sequence]
        if epoch == self.epoch and 0 < sequence < self.sequence and len(missing) == self.sequence - sequence:
            return b"".join(missing)
        return self._encode(np.arange(len(self.ids)), 0)

    def clustered(self, sequence: int, epoch: int, zoom: int) -> bytes:
        """All vehicles as squares of a zoom's grid (clusters.py), for one who does not have this tick's; empty: nothing new. Made once a tick for all viewers."""
        if epoch == self.epoch and sequence == self.sequence:
            return b""
        if zoom not in self._clustered:
            (lon, lat, _), state = self.places(), self._state[: len(self.ids)]
            found = clusters.squares(lon, lat, state == OFFENDING, state == SILENT, zoom)
            self._clustered[zoom] = clusters.frame(found, SCALE, epoch=self.epoch, sequence=self.sequence, zoom=zoom, vehicles=len(self.ids), stream_ms=self._stream_ms)
        return self._clustered[zoom]

    def places(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Longitude, latitude (degrees) and time (ms) of every vehicle's newest fix, by number."""
        count = len(self.ids)
        return self._lon[:count] / SCALE, self._lat[:count] / SCALE, self._time_ms[:count].copy()

    def about(self, vehicle_id: str) -> dict[str, object] | None:
        """A vehicle's newest fix; None where it has not been seen."""
        number = self.numbers.get(vehicle_id)
        if number is None:
            return None
        return {
            "vehicle_id": vehicle_id, "plate": self.plates[number], "time_ms": int(self._time_ms[number]), "lon": float(self._lon[number]) / SCALE,
            "lat": float(self._lat[number]) / SCALE, "speed_kmh": round(float(self._speed[number]), 1), "state": STATES[self._state[number]],
        }  # fmt: skip

    def _encode(self, chosen: np.ndarray, base: int) -> bytes:
        head = _HEAD.pack(b"YCP1", self.epoch, self.sequence, base, len(chosen), len(self.ids), float(self._stream_ms))
        ages = np.clip((self._stream_ms - self._time_ms[chosen]) // 1000, 0, 2**32 - 1).astype("<u4")
        columns = (chosen.astype("<u4"), self._lon[chosen], self._lat[chosen], ages, self._heading[chosen], self._state[chosen])
        body = b"".join((head, *(column.tobytes() for column in columns)))
        return body + bytes(-len(body) % 8)

    def _number_of(self, vehicle_id: str) -> int | None:
        number = self.numbers.get(vehicle_id)
        if number is not None:
            return number
        if len(self.ids) >= MOST_VEHICLES:
            self.problem = _TOO_MANY
            return None
        number = self.numbers[vehicle_id] = len(self.ids)
        self.ids.append(vehicle_id)
        self.plates.append(None)
        if number >= len(self._time_ms):
            self._grow(2 * number)
        return number

    def _grow(self, size: int) -> None:
        for name in ("_time_ms", "_lon", "_lat", "_heading", "_speed", "_state", "_changed"):
            setattr(self, name, grown(getattr(self, name), size))
        self._heading[len(self.ids) - 1 :] = UNKNOWN_HEADING


def grown(column: np.ndarray, size: int) -> np.ndarray:
    """A column with so many rows; the new ones are zero."""
    larger = np.zeros((size, *column.shape[1:]), column.dtype)
    larger[: len(column)] = column
    return larger


def _heading_deg(from_lon: float, from_lat: float, lon: float, lat: float) -> int:
    """The direction of a short way, clockwise from north.

    >>> _heading_deg(111.0, 40.0, 111.0, 40.1), _heading_deg(111.0, 40.0, 111.1, 40.0)
    (0, 90)
    """
    east = (lon - from_lon) * math.cos(math.radians(lat))
    return round(math.degrees(math.atan2(east, lat - from_lat))) % 360
