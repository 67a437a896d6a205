"""Very many vehicles as a few squares of a grid: where each square's vehicles are, how many, and how many of them are in an incident, or silent. Pure.

A frame, little-endian: ``YCG1``, epoch, the number of the tick that was counted, the grid's zoom, n squares, vehicles altogether (u32 each), stream time (f64, ms);
then n longitudes and latitudes (i32, degrees × 10⁷: the middle of a square's vehicles), numbers, numbers in an incident, numbers of silent ones (u32 each), and zeros up to a multiple of 8.
"""

from __future__ import annotations

import struct
from typing import NamedTuple

import numpy as np

from consumers.console.fleet.mercator import CELL_BITS, cells_of

BELOW_ZOOM, FROM_VEHICLES = 11, 20_000
"""On smaller scales than that, and with so many vehicles, squares are drawn in place of vehicles."""
GRID_BITS = 4
"""A grid has two to the power of its zoom and this many squares along the equator: 32 px each, on maps of tiles of 512 px."""
_HEAD = struct.Struct("<4sIIIIId")


class Squares(NamedTuple):
    """Of each square that holds vehicles: the middle of these (degrees), their number, and the numbers of those in an incident and of those that are silent."""

    lon: np.ndarray
    lat: np.ndarray
    number: np.ndarray
    offending: np.ndarray
    silent: np.ndarray


def squares(lon: np.ndarray, lat: np.ndarray, is_offending: np.ndarray, is_silent: np.ndarray, zoom: int) -> Squares:
    """Sort places (degrees) into the squares of a zoom's grid.

    >>> found = squares(np.array([111.65, 111.66, 120.0]), np.array([40.81, 40.82, 30.0]), np.array([True, False, False]), np.array([False, False, True]), 5)
    >>> found.number.tolist(), found.offending.tolist(), found.silent.tolist(), found.lon.round(3).tolist()
    ([2, 1], [1, 0], [0, 1], [111.655, 120.0])
    """
    columns, rows = (cells.astype(np.int64) >> (CELL_BITS - GRID_BITS - zoom) for cells in cells_of(lon, lat))
    _, square, number = np.unique(columns << 32 | rows, return_inverse=True, return_counts=True)
    middle_lon, middle_lat = (np.bincount(square, weights=degrees, minlength=len(number)) / number for degrees in (lon, lat))
    offending, silent = (np.bincount(square[chosen], minlength=len(number)) for chosen in (is_offending, is_silent))
    return Squares(middle_lon, middle_lat, number, offending, silent)


def frame(found: Squares, scale: int, *, epoch: int, sequence: int, zoom: int, vehicles: int, stream_ms: int) -> bytes:
    """The squares as they are sent; ``scale``: units of a degree."""
    head = _HEAD.pack(b"YCG1", epoch, sequence, zoom, len(found.number), vehicles, float(stream_ms))
    places = (np.round(degrees * scale).astype("<i4") for degrees in (found.lon, found.lat))
    numbers = (column.astype("<u4") for column in (found.number, found.offending, found.silent))
    body = b"".join((head, *(column.tobytes() for column in (*places, *numbers))))
    return body + bytes(-len(body) % 8)
