"""Where and when incidents happen: counts by street (cells of a fine grid), local hour and rule. Pure."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Iterable
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from consumers.console.city.incidents import Held
from streams.geo import METRES_PER_DEGREE

SIDE_M = 75.0
"""A cell is so long and so wide: about a street's corner."""
Key = tuple[int, int]


def heat(incidents: Iterable[Held], timezone: ZoneInfo, side_m: float = SIDE_M) -> dict[str, Any]:
    """Cells with [local hour, rule, number] of the incidents that began in them, the fullest first; ``placeless``: how many say no place.

    A cell has its middle (``lon``, ``lat``), its bounds (``box``: west, south, east, north; degrees) and the zone that most of its incidents name.
    """
    counts: defaultdict[Key, Counter[tuple[int, str]]] = defaultdict(Counter)
    zones: defaultdict[Key, Counter[str]] = defaultdict(Counter)
    begun, placeless = list[int](), 0
    for one in incidents:
        begun.append(one.opened_at_ms)
        if one.lon is None or one.lat is None or not (-180 <= one.lon <= 180 and -85 <= one.lat <= 85):
            placeless += 1
            continue
        cell = cell_of(one.lon, one.lat, side_m)
        counts[cell][datetime.fromtimestamp(one.opened_at_ms / 1000, timezone).hour, one.rule] += 1
        if one.zone_id:
            zones[cell][one.zone_id] += 1
    order = sorted(counts, key=lambda cell: (-counts[cell].total(), cell))
    return {
        "side_m": side_m, "from_ms": min(begun, default=None), "until_ms": max(begun, default=None), "number": len(begun), "placeless": placeless,
        "cells": [_described(cell, side_m, counts[cell], zones[cell]) for cell in order],
    }  # fmt: skip


def cell_of(lon: float, lat: float, side_m: float) -> Key:
    """The row, counted from the equator, and the column of the cell that holds a place (degrees).

    >>> cell_of(111.65, 40.81, 75.0) == cell_of(111.6501, 40.8101, 75.0), cell_of(111.65, 40.81, 75.0) == cell_of(111.652, 40.81, 75.0)
    (True, False)
    """
    row = math.floor(lat / (side_m / METRES_PER_DEGREE))
    return row, math.floor(lon / _width_deg(row, side_m))


def _width_deg(row: int, side_m: float) -> float:
    """How many degrees of longitude the cells of a row are wide, so that they are as wide as they are long."""
    return side_m / METRES_PER_DEGREE / math.cos(math.radians((row + 0.5) * side_m / METRES_PER_DEGREE))


def _described(cell: Key, side_m: float, counts: Counter[tuple[int, str]], zones: Counter[str]) -> dict[str, Any]:
    row, column = cell
    height, width = side_m / METRES_PER_DEGREE, _width_deg(row, side_m)
    west, south = column * width, row * height
    zone = min(zones, key=lambda name: (-zones[name], name), default=None)
    return {
        "lon": round(west + width / 2, 6), "lat": round(south + height / 2, 6), "box": [round(edge, 6) for edge in (west, south, west + width, south + height)],
        "zone_id": zone, "counts": sorted([hour, rule, number] for (hour, rule), number in counts.items()),
    }  # fmt: skip
