"""What is known of each vehicle in one row of numbers, so that a chunk of fixes is looked up at once."""

import numpy as np

from streams.clock import END_MS
from streams.fix_batch import NO_SPEED

LATEST = np.dtype(
    [
        ("time_ms", "<i8"), ("due_ms", "<i8"), ("report", "<i8"), ("reported", "<i8"), ("lon", "<i4"), ("lat", "<i4"), ("compiled", "<i4"),
        ("seen", "<i8"), ("kept", "<u4"), ("speed", "<u2"), ("load", "u1"), ("opened", "u1"), ("checked_out", "?"), ("dirty", "?"), ("evicted", "?"),
    ]
)  # fmt: skip
"""What is known of a vehicle. Of its newest fix: ``time_ms``, ``lon`` and ``lat`` (``1 / DEGREE`` of a degree), ``speed`` (as in a row), ``load`` (``events.LOADS``), ``reported`` (hash of
plate, driver and synthetic, ``Chunk.reported``), ``seen`` (its offset). ``report``: hash of the plate and driver it last reported if those cannot offend, else 0;
``due_ms``: when its timer falls; ``compiled``: number of the rules compiled for it (0: none); ``kept``, ``opened``: how many of its fixes are kept, and how many of
those are open; whether it is ``checked_out``, has changed since the last checkpoint (``dirty``), and is ``evicted``."""
BEFORE_FIRST_MS = -(2**62)
"""Time of the newest fix of a vehicle without fixes."""
NOTHING_YET = (BEFORE_FIRST_MS, END_MS, 0, 0, 0, 0, 0, 0, 0, NO_SPEED, 0, 0, True, False, False)
FROM_ROW = (("time_ms", "time"), ("lon", "lon"), ("lat", "lat"), ("speed", "speed"))
"""Fields of ``LATEST``, and the field of the newest row that says each."""
