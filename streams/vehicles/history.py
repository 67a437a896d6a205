"""A vehicle's accepted fixes of the last ``lateness``, in order and in few bytes.

The newest fixes are ``open``: 20 bytes each and the id. Positions of up to seven decimals (1 cm) and speeds of up to two
are kept exactly as integers; whatever does not fit stands beside, in ``exact``. Nothing is rounded. Every ``BLOCK`` fixes
the older ones are compressed into a block, about 15 bytes a fix. A late fix that belongs among them decompresses all of them.
"""

from __future__ import annotations

import itertools
from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from struct import Struct

import msgspec
import numpy as np

from streams.fix_batch import (
    DEGREE,
    IGNITION,
    LOAD_SHIFT,
    NO_SPEED,
    OFFENCES_STRUCT,
    ROW,
    ROW_STRUCT,
    SEE_EXACT,
    SEPARATOR,
    SETS,
    SIZE,
    Exact,
    StoredFix,
    times_of,
    with_offences,
)
from streams.vehicles.block_codec import BLOCK, Block, blocks_of, decode_block, encode_blocks, first_id

_TIME_STRUCT = Struct("<q")
MOST_OPEN = BLOCK + 1
"""So many open fixes are compressed, all but the newest."""


class FixHistory(msgspec.Struct, gc=False):
    """Fixes in order of (time, id).

    ``compressed``: the older ones, block after block; ``rows`` of ``SIZE`` bytes and ``ids`` with separators: the open ones (never
    none, unless there are no fixes at all). ``index``: the blocks (``blocks_of``) of ``compressed`` as of the last search.
    """

    rows: bytes = b""
    ids: bytes = b""
    compressed: bytes = b""
    exact: dict[tuple[int, str], Exact] | None = None
    index: tuple[bytes, list[Block]] | None = None

    def __len__(self) -> int:
        return sum(block.fixes for block in blocks_of(self.compressed)) + self.opened()

    def opened(self) -> int:
        """How many fixes are open."""
        return len(self.rows) // SIZE

    def is_full(self) -> bool:
        """Whether there are so many open ones that some are to be compressed."""
        return self.opened() >= MOST_OPEN

    def append(self, row: bytes, name: bytes) -> None:
        """Keep a fix that is newer than all before."""
        self.rows += row
        self.ids += name + SEPARATOR

    def has(self, event_time_ms: int, name: bytes) -> bool:
        """Whether a fix of this time and id is kept."""
        if self.compressed and event_time_ms <= self.time(0):
            block = self._block_of(event_time_ms, name)
            if block is not None and _holds(*decode_block(self.compressed, block), event_time_ms, name):
                return True
        return _holds(self.rows, self.ids, event_time_ms, name)

    def _block_of(self, event_time_ms: int, name: bytes) -> Block | None:
        """The block that a fix of this time and id would be in."""
        if self.index is None or self.index[0] is not self.compressed:
            self.index = (self.compressed, list(blocks_of(self.compressed)))
        blocks = self.index[1]
        first = bisect_left(blocks, event_time_ms, key=lambda block: block.first_ms)
        until = bisect_right(blocks, event_time_ms, key=lambda block: block.first_ms)
        at = bisect_right(range(first, until), name, key=lambda number: first_id(self.compressed, blocks[number])) + first
        return blocks[at - 1] if at else None

    def older_than(self, border_ms: int) -> int:
        """How many fixes are older than an instant: a few, where those that are too old for anything are forgotten."""
        number, before = 0, None
        for block in blocks_of(self.compressed):
            if block.first_ms >= border_ms:
                break
            if before is not None:
                number += before.fixes
            before = block
        else:
            number += int((times_of(self.rows) < border_ms).sum())
        if before is not None:
            number += int((times_of(decode_block(self.compressed, before)[0]) < border_ms).sum())
        return number

    def oldest_ms(self) -> int:
        """Event time of the oldest fix."""
        return next(blocks_of(self.compressed)).first_ms if self.compressed else self.time(0)

    def time(self, index: int) -> int:
        """Event time (ms) of an open fix; negative indices count from the end."""
        return int(_TIME_STRUCT.unpack_from(self.rows, index * SIZE)[0])

    def ends(self) -> int:
        """Event time (ms) of the newest fix; before all times where there is none."""
        return self.time(-1) if self.rows else -(2**62)

    def times(self) -> np.ndarray:
        """Event times (ms) of the open fixes."""
        return times_of(self.rows)

    def last_id(self) -> str:
        """Id of the newest fix."""
        return self.ids[self.ids.rfind(SEPARATOR, 0, -1) + 1 : -1].decode()

    def keep_exact(self, event_time_ms: int, event_id: str, exact: Exact) -> None:
        """Note a position and speed that do not fit a row."""
        if self.exact is None:
            self.exact = {}
        self.exact[event_time_ms, event_id] = exact

    def newest(self) -> StoredFix:
        """The newest fix."""
        return self.unpacked(ROW_STRUCT.unpack_from(self.rows, len(self.rows) - SIZE), self.last_id())

    def __iter__(self) -> Iterator[StoredFix]:
        for rows, ids in self._pieces():
            yield from map(self.unpacked, ROW_STRUCT.iter_unpack(rows), ids.decode("utf-8", "surrogateescape").split("\udcff"))

    def _pieces(self) -> Iterator[tuple[bytes, bytes]]:
        """Rows and ids, block by block."""
        for block in blocks_of(self.compressed):
            yield decode_block(self.compressed, block)
        yield self.rows, self.ids

    def unpacked(self, row: tuple[int, ...], event_id: str) -> StoredFix:
        """A fix from the fields of its row and its id."""
        time_ms, lon, lat, speed, what = row
        ignition, offence_set, load = bool(what & IGNITION), what & SETS, what >> LOAD_SHIFT & 3
        if speed == SEE_EXACT:
            assert self.exact is not None
            return StoredFix(time_ms, event_id, *self.exact[time_ms, event_id], ignition, offence_set, load)
        return StoredFix(time_ms, event_id, lon / DEGREE, lat / DEGREE, None if speed == NO_SPEED else speed / 100, ignition, offence_set, load)

    def load(self) -> int:
        """What the newest fix said of the load (``events.LOADS``)."""
        return self.rows[-1] >> LOAD_SHIFT - 8 & 3 if self.rows else 0

    def ignition(self) -> bool:
        """Whether the newest fix had the ignition on."""
        return bool(self.rows) and bool(self.rows[-1] & (IGNITION >> 8))

    def set_offences(self, offence_set: int) -> None:
        """Number the set of offences of the newest fix."""
        self.rows = self.rows[: -OFFENCES_STRUCT.size] + with_offences(self.rows, -1, offence_set)

    def number_anew(self, numbers: dict[int, int]) -> None:
        """Give the sets of offences other numbers, after decompressing all."""
        self.decompress()
        rows = np.frombuffer(self.rows, ROW).copy()
        table = np.zeros(SETS + 1, ROW["what"])
        table[list(numbers)] = list(numbers.values())
        rows["what"] = rows["what"] & np.uint16(~SETS & 0xFFFF) | table[rows["what"] & np.uint16(SETS)]
        self.rows = rows.tobytes()

    def offence_sets(self) -> np.ndarray:
        """The numbers of the sets of offences, one a fix."""
        return np.frombuffer(b"".join(rows for rows, _ in self._pieces()), ROW)["what"] & np.uint16(SETS)

    def decompress(self) -> None:
        """Decompress every block."""
        pieces = list(self._pieces())
        self.rows = b"".join(rows for rows, _ in pieces)
        self.ids = b"".join(ids for _, ids in pieces)
        self.compressed = b""

    def drop(self, size: int, number: int) -> None:
        """Forget the oldest blocks, so many bytes and fixes."""
        if self.exact:
            for fix, _ in zip(self, range(number), strict=False):
                self.exact.pop((fix.event_time_ms, fix.event_id), None)
            self.exact = self.exact or None
        self.compressed = self.compressed[size:]


def compress_open(several: Sequence[FixHistory]) -> None:
    """Compress the open fixes of several vehicles by whole blocks; at least one of each stays open."""
    counts = [(history.opened() - 1) // BLOCK * BLOCK for history in several]
    ids_of = [history.ids.split(SEPARATOR) for history in several]
    rows = np.frombuffer(b"".join([history.rows[: count * SIZE] for history, count in zip(several, counts, strict=True)]), ROW)
    names = [ids[start : start + BLOCK] for ids, count in zip(ids_of, counts, strict=True) for start in range(0, count, BLOCK)]
    blocks = iter(encode_blocks(rows.reshape(-1, BLOCK), names))
    for history, ids, count in zip(several, ids_of, counts, strict=True):
        history.compressed += b"".join(itertools.islice(blocks, count // BLOCK))
        history.rows = history.rows[count * SIZE :]
        history.ids = SEPARATOR.join(ids[count:])


def stored_at(history: FixHistory, rows: bytes | bytearray, index: int, event_id: str) -> StoredFix:
    """The fix at an index of rows that belong to a vehicle (degrees, km/h)."""
    return history.unpacked(ROW_STRUCT.unpack_from(rows, index * SIZE), event_id)


def _holds(rows: bytes, ids: bytes, event_time_ms: int, name: bytes) -> bool:
    """Whether a fix of this time and id is among these."""
    if name + SEPARATOR not in ids:
        return False
    names = ids.split(SEPARATOR)
    return any(names[index] == name for index in np.flatnonzero(times_of(rows) == event_time_ms).tolist())
