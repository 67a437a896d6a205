"""The base map: where the fleet has driven, as a density on a fine grid that ages over days, kept on disk, drawn as raster tiles.

The grid is that of web-map tiles of zoom 14, 256 × 256 cells each (a cell is about 7 m in China); tiles of smaller zooms are made of them.
"""

from __future__ import annotations

import contextlib
import math
import struct
import threading
import time
import zipfile
import zlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import structlog

from consumers.console.fleet.mercator import cells_of
from consumers.console.fleet.positions import STANDS_KMH, Leg
from streams.clock import DAY_MS

log = structlog.get_logger()

ZOOM, LEAST_ZOOM, SIDE = 14, 9, 256
HALF_LIFE_S = 3 * DAY_MS / 1000
LONGEST_LEG_MS, LONGEST_LEG_M = 150_000, 1_500.0
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
    """The density of one city's tracks; ``version`` grows with every change that is worth drawing. Threads may draw and keep it while it grows.

    ``problem``: why it is not kept on disk, in both languages; None: it is. ``warning``: that the fleet drives further around than is kept.
    """

    def __init__(self, file: Path | None = None) -> None:
        self.file = file
        self.version = 0
        self._tiles: dict[tuple[int, int], np.ndarray] = {}
        self._passages: dict[tuple[int, int], float] = {}
        self._drawn: dict[tuple[str, int, int, int], bytes] = {}
        self._aged_s = time.time()
        self.problem: dict[str, str] | None = None
        self.warning: dict[str, str] | None = None
        self._lock, self._saving = threading.Lock(), threading.Lock()
        if file is not None:
            self._load(file)

    def enter(self, legs: Sequence[Leg]) -> None:
        """Add ways, each as the cells between its ends; a vehicle that stands adds nothing."""
        driven = (leg for leg in legs if 0 < leg.until_ms - leg.from_ms <= LONGEST_LEG_MS and leg.speed_kmh > STANDS_KMH)
        ends = np.array([(leg.from_lon, leg.from_lat, leg.lon, leg.lat) for leg in driven], dtype=float)
        if not len(ends):
            return
        from_x, from_y, x, y = (*cells_of(ends[:, 0], ends[:, 1]), *cells_of(ends[:, 2], ends[:, 3]))
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
            with self._lock:
                if place not in self._tiles:
                    if len(self._tiles) >= MOST_TILES:
                        self._drop_emptiest()
                    self._tiles[place], self._passages[place] = np.zeros((SIDE, SIDE), np.float32), 0.0
            inside = tiles == tile
            self._passages[place] += float(inside.sum())
            np.add.at(self._tiles[place], (rows[inside] % SIDE, columns[inside] % SIDE), 1.0)

    def _drop_emptiest(self) -> None:
        """Let go of the tile on which there was least, and say so for a while."""
        place = min(self._passages, key=self._passages.__getitem__)
        del self._tiles[place], self._passages[place]
        self.warning = {
            "zh": f"车队行驶的范围超出底图能保存的 {MOST_TILES:,} 块（每块约 1.9×1.9 公里）；经过最少的地方不再画出。",
            "en": f"The fleet drives further around than the {MOST_TILES:,} tiles (1.9 km × 1.9 km each) that the base map keeps; where it drives least is not drawn any more.",
        }

    def redraw(self) -> int:
        """Have what was added since be drawn from now on; returns the new version."""
        now_s = time.time()
        if now_s - self._aged_s > AGED_EVERY_S:
            self._age(now_s)
        with self._lock:
            self._drawn = {}
            self.version += 1
            return self.version

    def tile(self, theme: str, zoom: int, column: int, row: int) -> bytes:
        """A tile as PNG, transparent where nobody drove."""
        key, drawn = (theme, zoom, column, row), self._drawn
        if (image := drawn.get(key)) is None:
            if len(drawn) > MOST_TILES:
                drawn.clear()
            image = drawn[key] = _png(self._density(zoom, column, row), INKS[theme])
        return image

    def _places(self) -> list[tuple[tuple[int, int], np.ndarray]]:
        """The tiles that there are; their cells may grow meanwhile, which harms nobody who looks at them."""
        with self._lock:
            return list(self._tiles.items())

    def _density(self, zoom: int, column: int, row: int) -> np.ndarray:
        """Cells of a tile; of a smaller zoom the densest of those that one stands for."""
        factor = 2 ** (ZOOM - zoom)
        size = SIDE // factor
        found = np.zeros((SIDE, SIDE), np.float32)
        for place, cells in self._places():
            across, down = place[0] - column * factor, place[1] - row * factor
            if 0 <= across < factor and 0 <= down < factor:
                found[down * size : (down + 1) * size, across * size : (across + 1) * size] = cells.reshape(size, factor, size, factor).max((1, 3))
        return found

    def _age(self, now_s: float) -> None:
        kept = math.pow(0.5, max(0.0, now_s - self._aged_s) / HALF_LIFE_S)
        self._aged_s, self.warning = now_s, None
        for place, cells in self._places():
            aged = cells * np.float32(kept)
            aged[aged < FORGOTTEN] = 0
            with self._lock:
                self._tiles[place], self._passages[place] = aged, float(aged.sum())
                if not aged.any():
                    del self._tiles[place], self._passages[place]

    def save(self) -> None:
        """Keep it on disk: whole, or as it was before; where that cannot be, ``problem`` says so. Takes its time: not for the event loop, nor under a lock of others."""
        if self.file is None or not self._tiles:
            return
        new = self.file.with_suffix(".new.npz")
        try:
            with self._saving:
                self._write(new)
                new.replace(self.file)
        except OSError as error:
            if self.problem is None:
                log.warning("the base map is not kept on disk", file=str(self.file), error=error.strerror)
            why = error.strerror or type(error).__name__
            self.problem = {"zh": f"底图未能保存到 {self.file}（{why}）；重启后将从上次保存的状态开始。", "en": f"The base map is not kept in {self.file} ({why}); after a restart it begins with what was kept last."}
            with contextlib.suppress(OSError):
                new.unlink(missing_ok=True)
        else:
            self.problem = None

    def _write(self, file: Path) -> None:
        file.parent.mkdir(parents=True, exist_ok=True)
        tiles = self._places()
        np.savez_compressed(file, places=np.array([place for place, _ in tiles], dtype=np.int32), cells=np.array([cells for _, cells in tiles], dtype=np.float16), aged_s=np.array(self._aged_s))

    def _load(self, file: Path) -> None:
        try:
            with np.load(file) as held:
                for place, cells in zip(held["places"].tolist(), held["cells"].astype(np.float32), strict=True):
                    self._tiles[place[0], place[1]] = cells.reshape(SIDE, SIDE)
                self._aged_s = float(held["aged_s"])
        except FileNotFoundError:
            return
        except (OSError, ValueError, KeyError, EOFError, zlib.error, zipfile.BadZipFile) as error:
            log.warning("the base map on disk cannot be read; it begins anew", file=str(file), error=type(error).__name__)
            self._tiles.clear()
        self._age(time.time())


def _png(density: np.ndarray, ink: tuple[int, int, int]) -> bytes:
    """An image of a density: one colour, the more opaque the denser."""
    levels = np.clip(np.sqrt(density / _FULL) * 255, 0, 255).astype(np.uint8)
    lines = np.zeros((SIDE, SIDE + 1), np.uint8)  # each line begins with its filter: none
    lines[:, 1:] = levels
    alphas = bytes(min(225, 70 + round(level * 0.75)) if level else 0 for level in range(256))
    chunks = ((b"IHDR", struct.pack(">IIBBBBB", SIDE, SIDE, 8, 3, 0, 0, 0)), (b"PLTE", bytes(ink) * 256), (b"tRNS", alphas), (b"IDAT", zlib.compress(lines.tobytes(), 6)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)) for kind, data in chunks)
