"""Zones and coordinates: which zones a chunk of fixes lies in, and Chinese datums back to WGS-84."""

from __future__ import annotations

import math
from typing import Any, overload

import numpy as np
import shapely
from numpy.typing import ArrayLike
from shapely.geometry.base import BaseGeometry

EARTH_RADIUS_M = 6_371_008.8
METRES_PER_DEGREE = math.radians(1) * EARTH_RADIUS_M * 1.000_001
"""No degree of longitude or latitude is longer."""
_KRASOVSKY_A_M = 6_378_245.0
_KRASOVSKY_EE = 0.006_693_421_622_965_943
_BD_PI = math.pi * 3000.0 / 180.0


GRID = 512
"""Cells of the raster along each side of the rectangle around all zones."""
_UNKNOWN, _CROSSED = -2, -1


class ZoneIndex:
    """Finds the zones that contain points, planar in lon/lat, boundaries inside (semantics 3).

    Points that lie in the same zones get the same number; ``sets[number]`` holds the zones' ids in pack order, 0 being no zone.
    A raster answers for cells that no boundary crosses, each looked at when first asked for; the tree answers for the others.
    """

    def __init__(self, zones: dict[str, BaseGeometry]) -> None:
        self.zone_ids = tuple(zones)
        self.sets: list[tuple[str, ...]] = [()]
        self._numbers: dict[tuple[int, ...], int] = {(): 0}
        self._geometries = np.array(list(zones.values()), dtype=object)
        shapely.prepare(self._geometries)
        self._tree = shapely.STRtree(self._geometries)
        west, south, east, north = shapely.total_bounds(self._geometries) if zones else (0.0, 0.0, 1.0, 1.0)
        self._west, self._south, self._east, self._north = west, south, east, north
        self._width, self._height = max((east - west) / GRID, 1e-9), max((north - south) / GRID, 1e-9)
        self._cells = np.full((GRID + 1) ** 2, _UNKNOWN, np.int32)

    def locate(self, lons: ArrayLike, lats: ArrayLike) -> np.ndarray:
        """For n points (degrees) the n numbers of the sets of zones that each one is inside."""
        x, y = np.asarray(lons, dtype=float), np.asarray(lats, dtype=float)
        within = (x >= self._west) & (x <= self._east) & (y >= self._south) & (y <= self._north)
        if not within.all():
            numbers = np.zeros(len(x), np.int32)
            if within.any():
                numbers[within] = self.locate(x[within], y[within])
            return numbers
        cells = ((y - self._south) / self._height).astype(np.int64) * (GRID + 1) + ((x - self._west) / self._width).astype(np.int64)
        found = self._cells[cells]
        if not found.size or found.min() >= 0:
            return found
        if (unknown := found == _UNKNOWN).any():
            self._look_at(np.unique(cells[unknown]))
            found = self._cells[cells]
        crossed = np.flatnonzero(found == _CROSSED)
        points, zones = self._tree.query(shapely.points(x[crossed], y[crossed]), predicate="intersects")
        found[crossed] = self._numbered(len(crossed), points, zones)
        return found

    def _look_at(self, cells: np.ndarray) -> None:
        """Enter the zones that cover each cell, or that a boundary crosses it."""
        rows, columns = np.divmod(cells, GRID + 1)
        west, south = self._west + columns * self._width, self._south + rows * self._height
        x_margin, y_margin = self._width * 1e-3, self._height * 1e-3  # far more than the rounding of a point's cell
        boxes = shapely.box(west - x_margin, south - y_margin, west + self._width + x_margin, south + self._height + y_margin)
        touched, zones = self._tree.query(boxes, predicate="intersects")
        covered = shapely.covers(self._geometries[zones], boxes[touched])
        self._cells[cells] = self._numbered(len(cells), touched[covered], zones[covered])
        self._cells[cells[touched[~covered]]] = _CROSSED

    def _numbered(self, count: int, points: np.ndarray, zones: np.ndarray) -> np.ndarray:
        """The numbers of the sets of zones of so many points, from pairs of point and zone."""
        inside: dict[int, list[int]] = {}
        for point, zone in zip(points.tolist(), zones.tolist(), strict=True):
            inside.setdefault(point, []).append(zone)
        found = np.zeros(count, np.int32)
        for point, together in inside.items():
            key = tuple(sorted(together))
            if key not in self._numbers:
                self._numbers[key] = len(self.sets)
                self.sets.append(tuple(self.zone_ids[zone] for zone in key))
            found[point] = self._numbers[key]
        return found


@overload
def haversine_m(lon_a: float, lat_a: float, lon_b: float, lat_b: float) -> float: ...
@overload
def haversine_m(lon_a: np.ndarray, lat_a: np.ndarray, lon_b: np.ndarray, lat_b: np.ndarray) -> np.ndarray: ...
def haversine_m(lon_a: Any, lat_a: Any, lon_b: Any, lat_b: Any) -> Any:
    """Great-circle distance in metres between two WGS-84 points in degrees, or n pairs of them (R = 6 371 008.8 m, semantics 7).

    One formula for both, so that a sum is the same whichever way its parts were measured.

    >>> round(haversine_m(111.65, 40.82, 111.65, 40.83))
    1112
    """
    phi_a, phi_b = np.radians(lat_a), np.radians(lat_b)
    half = np.sin((phi_b - phi_a) / 2) ** 2 + np.cos(phi_a) * np.cos(phi_b) * np.sin(np.radians(lon_b - lon_a) / 2) ** 2
    metres = 2 * EARTH_RADIUS_M * np.arcsin(np.minimum(1.0, np.sqrt(half)))
    return metres if isinstance(metres, np.ndarray) else float(metres)


def to_wgs84(lon: float, lat: float, coord_sys: str) -> tuple[float, float]:
    """Convert a ``gcj02`` or ``bd09`` position (degrees) to WGS-84; ``wgs84`` and places outside China stay."""
    if coord_sys == "bd09":
        x, y = lon - 0.0065, lat - 0.006
        radius = math.hypot(x, y) - 0.00002 * math.sin(y * _BD_PI)
        angle = math.atan2(y, x) - 0.000003 * math.cos(x * _BD_PI)
        lon, lat = radius * math.cos(angle), radius * math.sin(angle)
    elif coord_sys != "gcj02":
        return lon, lat
    if not (72.004 <= lon <= 137.8347 and 0.8293 <= lat <= 55.8271):
        return lon, lat
    true_lon, true_lat = lon, lat
    for _ in range(6):  # the offset varies slowly, so this fixed-point iteration reaches < 1 mm in a few steps
        shifted_lon, shifted_lat = wgs84_to_gcj02(true_lon, true_lat)
        true_lon, true_lat = true_lon + lon - shifted_lon, true_lat + lat - shifted_lat
    return true_lon, true_lat


def wgs84_to_gcj02(lon: float, lat: float) -> tuple[float, float]:
    """The published GCJ-02 offset applied to a WGS-84 position (degrees)."""
    x, y = lon - 105.0, lat - 35.0
    root = math.sqrt(abs(x))
    wave = (20 * math.sin(6 * math.pi * x) + 20 * math.sin(2 * math.pi * x)) * 2 / 3
    north = -100 + 2 * x + 3 * y + 0.2 * y * y + 0.1 * x * y + 0.2 * root + wave
    north += (20 * math.sin(math.pi * y) + 40 * math.sin(math.pi / 3 * y)) * 2 / 3
    north += (160 * math.sin(math.pi / 12 * y) + 320 * math.sin(math.pi / 30 * y)) * 2 / 3
    east = 300 + x + 2 * y + 0.1 * x * x + 0.1 * x * y + 0.1 * root + wave
    east += (20 * math.sin(math.pi * x) + 40 * math.sin(math.pi / 3 * x)) * 2 / 3
    east += (150 * math.sin(math.pi / 12 * x) + 300 * math.sin(math.pi / 30 * x)) * 2 / 3
    phi = math.radians(lat)
    magic = 1 - _KRASOVSKY_EE * math.sin(phi) ** 2
    lat_m = _KRASOVSKY_A_M * (1 - _KRASOVSKY_EE) / (magic * math.sqrt(magic)) * math.pi / 180
    lon_m = _KRASOVSKY_A_M / math.sqrt(magic) * math.cos(phi) * math.pi / 180
    return lon + east / lon_m, lat + north / lat_m
