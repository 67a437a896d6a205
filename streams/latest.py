"""What has to be known of many vehicles at once, as arrays: whether their next fixes need a closer look."""

from __future__ import annotations

from typing import Any

import numpy as np

from streams.clock import END_MS

LATEST = np.dtype([("time_ms", "<i8"), ("due_ms", "<i8"), ("lon", "<i4"), ("lat", "<i4"), ("plan", "<i4"), ("report", "<i8")])
"""Of a vehicle: time and place (``1 / recent.DEGREE``) of its newest fix, the stream time at which something falls due, its plan's number (0: look closer),
and a hash of the plate and driver it last reported if those cannot offend (else 0)."""
NOTHING_YET = (-(2**62), END_MS, 0, 0, 0, 0)


class Rows:
    """An array that grows: ``held[:count]`` are its rows."""

    def __init__(self, dtype: np.dtype) -> None:
        self.held = np.zeros(16, dtype)
        self.count = 0

    def add(self, row: Any) -> int:
        """Append a row; its number."""
        if self.count == len(self.held):
            self.held = np.concatenate((self.held, np.zeros(len(self.held) // 4, self.held.dtype)))
        self.held[self.count] = row
        self.count += 1
        return self.count - 1
