"""The base map: where the fleet has driven, as a density on a fine grid that ages over days, kept on disk, drawn as raster tiles.

The grid is that of web-map tiles of zoom 14, 256 × 256 cells each (a cell is about 7 m in China); tiles of smaller zooms are made of them.
"""

from __future__ import annotations

import math
import struct
import time
import zipfile
import zlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import structlog

from consumers.console.positions import STANDS_KMH, Leg
from streams.clock import DAY_MS

log = structlog.get_logger()

ZOOM, LEAST_ZOOM, SIDE = 14, 9, 256
_CELLS = 2**ZOOM * SIDE
HALF_LIFE_S = 3 * DAY_MS / 1000
LONGEST_LEG_MS, LONGEST_LEG_M = 90_000, 1_500.0
"""Between fixes further apart nobody knows which way was taken."""
MOST_TILES = 1_024
AGED_EVERY_S = 3_600.0
FORGOTTEN = 0.05
"""A cell with less than that is as good as empty."""
INKS = {"light": (38, 70, 104), "dark": (150, 190, 230)}
"""Red, green and blue of the tracks."""
_FULL = 12.0
"""So many passages, weighed by age, are as dark as it gets."""


class Basemap:
    """The density of one city's tracks; ``version`` grows with every change that is worth drawing."""

    def __init__(self, file: Path | None = None) -> None:
        self.file = file
        self.version = 0
        self._tiles: dict[tuple[int, int], np.ndarray] = {}
        self._drawn: dict[tuple[str, int, int, int], bytes] = {}
        self._aged_s = time.time()
        if file is not None and file.exists():
            self._load(file)

    def enter(self, legs: Sequence[Leg]) -> None:
        """Add ways, each as the cells between its ends; a vehicle that stands adds nothing."""
        driven = (leg for leg in legs if 0 < leg.until_ms - leg.from_ms <= LONGEST_LEG_MS and leg.speed_kmh > STANDS_KMH)
        ends = np.array([(leg.from_lon, leg.from_lat, leg.lon, leg.lat) for leg in driven], dtype=float)
        if not len(ends):
            return
        from_x, from_y, x, y = (*_cells(ends[:, 0], ends[:, 1]), *_cells(ends[:, 2], ends[:, 3]))
        steps = np.maximum(np.abs(x - from_x), np.abs(y - from_y)).astype(int)
        near = (steps > 0) & (steps < LONGEST_LEG_M / 5)
        from_x, from_y, x, y, steps = from_x[near], from_y[near], x[near], y[near], steps[near]
        if not len(steps):
            return
        parts = np.concatenate([np.arange(number) / number for number in steps])
        columns = (np.repeat(from_x, steps) + np.repeat(x - from_x, steps) * parts).astype(np.int64)
        rows = (np.repeat(from_y, steps) + np.repeat(y - from_y, steps) * parts).astype(np.int64)
        self._add(columns, rows)

    def _add(self, columns: np.ndarray, rows: np.ndarray) -> None:
        tiles = (columns // SIDE) * 2**ZOOM + rows // SIDE
        for tile in np.unique(tiles).tolist():
            place = divmod(tile, 2**ZOOM)
            if place not in self._tiles:
                if len(self._tiles) >= MOST_TILES:
                    continue
                self._tiles[place] = np.zeros((SIDE, SIDE), np.float32)
            inside = tiles == tile
            np.add.at(self._tiles[place], (rows[inside] % SIDE, columns[inside] % SIDE), 1.0)

    def redraw(self) -> int:
        """Have what was added since be drawn from now on; returns the new version."""
        now_s = time.time()
        if now_s - self._aged_s > AGED_EVERY_S:
            self._age(now_s)
        self._drawn.clear()
        self.version += 1
        return self.version

    def tile(self, theme: str, zoom: int, column: int, row: int) -> bytes:
        """A tile as PNG, transparent where nobody drove."""
        key = (theme, zoom, column, row)
        if key not in self._drawn:
            if len(self._drawn) > MOST_TILES:
                self._drawn.clear()
            self._drawn[key] = _png(self._density(zoom, column, row), INKS[theme])
        return self._drawn[key]

    def _density(self, zoom: int, column: int, row: int) -> np.ndarray:
        """Cells of a tile; of a smaller zoom the densest of those that one stands for."""
        factor = 2 ** (ZOOM - zoom)
        size = SIDE // factor
        found = np.zeros((SIDE, SIDE), np.float32)
        for place, cells in self._tiles.items():
            across, down = place[0] - column * factor, place[1] - row * factor
            if 0 <= across < factor and 0 <= down < factor:
                found[down * size : (down + 1) * size, across * size : (across + 1) * size] = cells.reshape(size, factor, size, factor).max((1, 3))
        return found

    def _age(self, now_s: float) -> None:
        kept = math.pow(0.5, max(0.0, now_s - self._aged_s) / HALF_LIFE_S)
        self._aged_s = now_s
        for place in list(self._tiles):
            cells = self._tiles[place] * np.float32(kept)
            cells[cells < FORGOTTEN] = 0
            self._tiles[place] = cells
            if not cells.any():
                del self._tiles[place]

    def save(self) -> None:
        """Keep it on disk: whole, or as it was before."""
        if self.file is None or not self._tiles:
            return
        self.file.parent.mkdir(parents=True, exist_ok=True)
        new = self.file.with_suffix(".new.npz")
        places = np.array(list(self._tiles), dtype=np.int32)
        np.savez_compressed(new, places=places, cells=np.array(list(self._tiles.values()), dtype=np.float16), aged_s=np.array(self._aged_s))
        new.replace(self.file)

    def _load(self, file: Path) -> None:
        try:
            with np.load(file) as held:
                for place, cells in zip(held["places"].tolist(), held["cells"].astype(np.float32), strict=True):
                    self._tiles[place[0], place[1]] = cells.reshape(SIDE, SIDE)
                self._aged_s = float(held["aged_s"])
        except (OSError, ValueError, KeyError, EOFError, zlib.error, zipfile.BadZipFile) as error:
            log.warning("the base map on disk cannot be read; it begins anew", file=str(file), error=type(error).__name__)
            self._tiles.clear()
        self._age(time.time())


def _cells(lons: np.ndarray, lats: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Columns and rows of the grid, with fractions, of n places in degrees."""
    columns = (lons + 180.0) / 360.0 * _CELLS
    sines = np.sin(np.radians(np.clip(lats, -85.0, 85.0)))
    rows = (0.5 - np.log((1 + sines) / (1 - sines)) / (4 * math.pi)) * _CELLS
    return np.clip(columns, 0, _CELLS - 1), np.clip(rows, 0, _CELLS - 1)


def _png(density: np.ndarray, ink: tuple[int, int, int]) -> bytes:
    """An image of a density: one colour, the more opaque the denser."""
    levels = np.clip(np.sqrt(density / _FULL) * 255, 0, 255).astype(np.uint8)
    lines = np.zeros((SIDE, SIDE + 1), np.uint8)  # each line begins with its filter: none
    lines[:, 1:] = levels
    alphas = bytes(min(225, 70 + round(level * 0.75)) if level else 0 for level in range(256))
    chunks = ((b"IHDR", struct.pack(">IIBBBBB", SIDE, SIDE, 8, 3, 0, 0, 0)), (b"PLTE", bytes(ink) * 256), (b"tRNS", alphas), (b"IDAT", zlib.compress(lines.tobytes(), 6)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)) for kind, data in chunks)
