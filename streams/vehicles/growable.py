"""Arrays that grow, of which many rows are read and written at once."""

from __future__ import annotations

import math
import mmap
from typing import Any

import numpy as np


def _zeros(shape: tuple[int, ...], dtype: Any) -> np.ndarray:
    """An array in pages of its own, which go back when it is dropped and take no memory before they are written to."""
    dtype = np.dtype(dtype)
    return np.ndarray(shape, dtype, buffer=mmap.mmap(-1, math.prod(shape) * dtype.itemsize))


class GrowableArray:
    """An array that grows: ``held[:count]`` are its rows."""

    def __init__(self, dtype: Any, width: tuple[int, ...] = ()) -> None:
        self.data = _zeros((64, *width), dtype)
        self.count = 0

    def add(self, row: Any, times: int = 1) -> int:
        """Append a row so many times; the first one's number."""
        first, self.count = self.count, self.count + times
        if self.count > len(self.data):
            more = _zeros((self.count + max(64, self.count // 8), *self.data.shape[1:]), self.data.dtype)
            more[:first] = self.data[:first]
            self.data = more
        self.data[first : self.count] = row
        return first

    def widen(self, dtype: Any, width: int) -> None:
        """Hold rows of so many values of this type."""
        more = _zeros((len(self.data), width), dtype)
        more[: self.count, : self.data.shape[1]] = self.data[: self.count]
        self.data = more


def as_bytes(rows: np.ndarray) -> np.ndarray:
    """The same rows without their fields: numpy copies structures field by field, which takes four times as long."""
    return rows.view(np.dtype((np.void, rows.itemsize)))
