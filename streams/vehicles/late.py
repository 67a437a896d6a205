"""Late fixes of vehicles that report very often: they wait a little, and are put in their places together.

To put one in its place all that is kept of a vehicle is gone through, which takes the longer the more there is. So where that is much,
late fixes wait until there is one for every ``SHARE`` that are kept, or for ``EACH_MS`` of stream time for each that is kept; then all of them are entered at
once, and what follows from them is published. To the outside it is as if they had arrived then; the outcome is the same. Pure.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from typing import NamedTuple

from streams.fix_batch import SEPARATOR, SIZE, Exact, StoredFix, with_offences
from streams.vehicles.history import FixHistory, stored_at
from streams.vehicles.reported import Report

FEW = 100
"""Of vehicles with so few fixes at most, one in six seconds, late ones do not wait."""
SHARE = 6
EACH_MS, LONGEST_MS = 2, 10_000
"""To enter late fixes costs some 8 µs for each that is kept: of the vehicle that sends most, 50 ms every ten seconds, which is too seldom for others to notice."""


class Late(NamedTuple):
    """A late fix that was accepted: as it is kept (its offences, but for those with a neighbour), and what it reports."""

    fix: StoredFix
    row: bytes
    exact: Exact | None
    report: Report

    @property
    def key(self) -> tuple[int, str]:
        """Event time (ms) and id."""
        return self.fix.event_time_ms, self.fix.event_id


class Waiting(NamedTuple):
    """Late fixes by time and id, and the stream time (ms) that they wait until; any later one ends it."""

    until_ms: int
    fixes: dict[tuple[int, str], Late]

    @property
    def oldest_ms(self) -> int:
        """Event time of the oldest."""
        return min(event_time_ms for event_time_ms, _ in self.fixes)

    def older_than(self, border_ms: int) -> int:
        """How many are older than an instant."""
        return sum(event_time_ms < border_ms for event_time_ms, _ in self.fixes)

    def is_over(self, kept: int) -> bool:
        """Whether there are enough, of a vehicle of which so many fixes are kept."""
        return len(self.fixes) * SHARE >= kept


def longest_wait_ms(kept: int) -> int:
    """So long do late fixes wait at most, of a vehicle of which so many fixes are kept."""
    return min(LONGEST_MS, EACH_MS * kept)


class Opened:
    """A vehicle's open fixes, to be written to at any place; ``close`` puts them back."""

    def __init__(self, history: FixHistory, from_ms: int) -> None:
        if history.compressed and from_ms <= history.time(0):
            history.decompress()
        self._history = history
        self._rows = bytearray(history.rows)
        self._names = history.ids[:-1].split(SEPARATOR)
        self._times = history.times().tolist()

    def __len__(self) -> int:
        return len(self._names)

    def oldest_ms(self) -> int:
        """Event time of the vehicle's oldest fix, inserted ones not included."""
        return self._history.oldest_ms()

    def place(self, event_time_ms: int, event_id: str) -> int:
        """Index at which a fix belongs."""
        first, until = bisect_left(self._times, event_time_ms), bisect_right(self._times, event_time_ms)
        return bisect_left(self._names, event_id.encode(), first, until)  # bytes of UTF-8 are in the order of what they say

    def insert(self, index: int, late: Late) -> None:
        """Put a fix in its place."""
        at = index * SIZE
        self._rows[at:at] = late.row
        self._names.insert(index, late.fix.event_id.encode())
        self._times.insert(index, late.fix.event_time_ms)
        if late.exact is not None:
            self._history.keep_exact(*late.key, late.exact)

    def at(self, index: int) -> StoredFix:
        """The fix at an index (degrees, km/h)."""
        return stored_at(self._history, self._rows, index, self._names[index].decode())

    def set_offences(self, index: int, offence_set: int) -> None:
        """Number the set of offences of a fix."""
        end = index * SIZE + SIZE
        self._rows[end - 2 : end] = with_offences(self._rows, index, offence_set)

    def close(self) -> None:
        """Put them back."""
        self._history.rows, self._history.ids = bytes(self._rows), SEPARATOR.join(self._names) + SEPARATOR
