"""The plane of web maps, as a grid of cells of about 7 m (in China): those of tiles of zoom 14, 256 to a side. Pure."""

from __future__ import annotations

import math

import numpy as np

CELL_BITS = 22
"""There are two to the power of that along the equator."""
_CELLS = 2**CELL_BITS


def cells_of(lons: np.ndarray, lats: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Columns and rows of the grid, with fractions, of n places in degrees."""
    columns = (lons + 180.0) / 360.0 * _CELLS
    sines = np.sin(np.radians(np.clip(lats, -85.0, 85.0)))
    rows = (0.5 - np.log((1 + sines) / (1 - sines)) / (4 * math.pi)) * _CELLS
    return np.clip(columns, 0, _CELLS - 1), np.clip(rows, 0, _CELLS - 1)
