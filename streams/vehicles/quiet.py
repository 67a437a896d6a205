"""The quick path: which fixes of a chunk need no closer look for their own sake, and in which rounds they are appended. Pure, on arrays of n fixes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from streams.events import FIRST_MS, FUTURE_TOLERANCE_MS, LAST_MS, MAX_SPEED_KMH, Record
from streams.fix_batch import Chunk

FEWEST_A_ROUND = 4
"""So many vehicles at least make it worthwhile to take another fix of each at once, instead of looking at them one by one."""


def earlier_of_same(numbers: np.ndarray, order: np.ndarray) -> np.ndarray:
    """How many of the same vehicle stand before each of n fixes; ``order`` sorts them by vehicle."""
    mine = numbers[order]
    firsts = np.concatenate(([True], mine[1:] != mine[:-1]))
    places = np.arange(len(mine))
    before = np.empty(len(mine), np.int64)
    before[order] = places - np.maximum.accumulate(np.where(firsts, places, 0))
    return before


def rounds(numbers: np.ndarray, order: np.ndarray, plain: np.ndarray) -> Iterator[np.ndarray]:
    """The indices of the plain ones of n fixes in turns of one a vehicle.

    Of each vehicle's fixes none stays plain after one that is not, nor if there are too many. ``order`` sorts them by vehicle.
    """
    if not plain.any():
        return
    mine = numbers[order]
    first = np.concatenate(([True], mine[1:] != mine[:-1]))
    if first.all():
        yield np.flatnonzero(plain)
        return
    starts, bad = np.flatnonzero(first), ~plain[order]
    vehicle = np.cumsum(first) - 1
    turn = np.arange(len(mine)) - starts[vehicle]
    seen = np.cumsum(bad)
    bad |= seen - (seen - bad)[starts][vehicle] > 0
    worthwhile = int((np.bincount(turn[~bad]) >= FEWEST_A_ROUND).sum())
    bad |= turn >= worthwhile
    plain[order] = ~bad
    for number in range(worthwhile):
        yield order[~bad & (turn == number)]


def implausible(chunk: Chunk, records: Sequence[Record], *, refuses_synthetic: bool) -> list[int]:
    """Indices of the fixes that may be refused: the conditions of ``refuse_fix`` for a whole chunk."""
    times, lons, lats, speeds = chunk.times, chunk.lons, chunk.lats, chunk.speeds
    good = (np.abs(lons) <= 180) & (np.abs(lats) <= 90) & ((lons != 0) | (lats != 0)) & (times >= FIRST_MS) & (times < LAST_MS)
    stamped = chunk.arrived if chunk.all_arrived else _stamped(chunk, records)
    good &= (times <= stamped + FUTURE_TOLERANCE_MS) & (np.isnan(speeds) | ((speeds >= 0) & (speeds <= MAX_SPEED_KMH)))
    if refuses_synthetic:
        good &= ~chunk.synthetic
    return [] if good.all() else np.flatnonzero(~good).tolist()


def _stamped(chunk: Chunk, records: Sequence[Record]) -> np.ndarray:
    """When records were sent or arrived, whoever says so: fixes from beyond that are refused, also where arrival is unknown."""
    return np.array([arrived if record.timestamp is None else record.timestamp for record, arrived in zip(records, chunk.arrived.tolist(), strict=True)], dtype=np.int64)
