"""A vehicle's accepted fixes of the last ``lateness``, in order and in few bytes.

The newest fixes are ``open``: 20 bytes each and the id. Positions of up to seven decimals (1 cm) and speeds of up to two
are kept exactly as integers; whatever does not fit stands beside, in ``exact``. Nothing is rounded. Every ``BLOCK`` fixes
the older ones are sealed: turned into columns and compressed, to about 15 bytes a fix. A late fix that belongs among them
opens them again.
"""

from __future__ import annotations

import itertools
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Sequence
from struct import Struct
from typing import Any, NamedTuple

import msgspec
import numpy as np
import zstandard

from streams.predicates import Chunk

ROW = np.dtype([("time", "<i8"), ("lon", "<i4"), ("lat", "<i4"), ("speed", "<u2"), ("what", "<u2")])
_row = Struct("<qiiHH")
_time = Struct("<q")
_what = Struct("<H")
SIZE = _row.size
PLACE = Struct("<qii")
"""The beginning of a row: time (ms), longitude and latitude in ``1 / DEGREE`` of a degree."""
DEGREE = 1e7
_NO_SPEED, _SEE_EXACT = 65_535, 65_534
IGNITION = 0x8000
"""In a row's ``what``: the ignition was on. Two bits tell the load, the others number the set of offences, 0 being none."""
_LOAD_SHIFT = 13
SETS = (1 << _LOAD_SHIFT) - 1
SEPARATOR = b"\xff"
"""Behind each id; no UTF-8 text contains it."""
BLOCK = 16
MOST_OPEN = BLOCK + 1
"""So many open fixes are sealed, all but the newest."""
_length = Struct("<I")
_head = Struct("<IqB")
"""Of a block: bytes of the whole block, event time (ms) of its first fix, number of fixes (with ``STEPPED``, as all that are written now are)."""
STEPPED = 0x80
_STEPPED: tuple[tuple[str, Any], ...] = (("time", np.uint64), ("lon", np.uint32), ("lat", np.uint32))
"""What is kept as steps from one fix to the next, modulo its width; a block's first time is in its head."""
_compress = zstandard.ZstdCompressor(
    compression_params=zstandard.ZstdCompressionParameters.from_level(1, format=zstandard.FORMAT_ZSTD1_MAGICLESS, write_checksum=False)
).compress
_decompress = zstandard.ZstdDecompressor(format=zstandard.FORMAT_ZSTD1_MAGICLESS).decompress


class Kept(NamedTuple):
    """A fix as it is kept: ms, id, degrees, km/h, ignition on, number of its set of offences, load (``events.LOADS``)."""

    event_time_ms: int
    event_id: str
    lon: float
    lat: float
    speed_kmh: float | None
    ignition: bool
    offence_set: int
    load: int = 0


Exact = tuple[float, float, float | None]
"""Longitude, latitude and speed as reported."""


class Packed(NamedTuple):
    """n fixes as they are kept: rows (``ROW``), ids, offsets, loads (``events.LOADS``), hashes of what they report (``Chunk.reported``).

    And whether each fits a row exactly, and whether its id fits a column.
    """

    rows: np.ndarray
    names: list[bytes]
    ids: np.ndarray
    offsets: np.ndarray
    loads: np.ndarray
    reported: np.ndarray
    fits: np.ndarray
    short: np.ndarray | bool


def pack(chunk: Chunk, offsets: np.ndarray, longest_id: int) -> Packed:
    """What is kept of a chunk's fixes, which stand at these offsets; ids of up to so many bytes fit."""
    rows = np.zeros(len(chunk.fixes), ROW)
    rows["time"] = chunk.times
    fits = np.ones(len(chunk.fixes), bool)
    for name, degrees in (("lon", chunk.lons), ("lat", chunk.lats)):
        scaled = np.rint(degrees * DEGREE)
        rows[name] = scaled
        fits &= scaled / DEGREE == degrees
    unknown = np.isnan(chunk.speeds)
    scaled = np.rint(np.where(unknown, 0.0, chunk.speeds) * 100)
    fits &= unknown | (scaled / 100 == chunk.speeds)
    rows["speed"] = np.where(fits, np.where(unknown, _NO_SPEED, scaled), _SEE_EXACT)
    rows["what"] = np.where(chunk.ignition, IGNITION, 0) | chunk.loads << _LOAD_SHIFT
    names = [fix.event_id.encode() for fix in chunk.fixes]
    ids = np.array(names, "S")
    short: np.ndarray | bool = True
    if ids.itemsize > longest_id or any(name.endswith(b"\0") for name in names):
        short = np.array([len(name) <= longest_id and not name.endswith(b"\0") for name in names])
        ids = ids.astype(f"S{min(ids.itemsize, longest_id)}")
    return Packed(rows, names, ids, offsets, chunk.loads, chunk.reported, fits, short)


def seal(rows: np.ndarray, ids: list[list[bytes]]) -> list[bytes]:
    """A block for each vehicle of n fixes, from rows (vehicles x n) and as many ids: steps from fix to fix, byte by byte in columns, compressed."""
    vehicles, count = rows.shape
    if not vehicles:
        return []
    firsts_ms, steps = rows["time"][:, 0].tolist(), rows.copy()
    for name, kind in _STEPPED:
        values: Any = rows[name].astype(kind)
        step = values.copy()
        step[:, 1:] -= values[:, :-1]
        if name == "time":
            step[:, 0] = 0
        steps[name] = (step << 1) ^ -(step >> 8 * step.itemsize - 1)  # small where a step is, forth or back
    columns = steps.view(np.uint8).reshape(vehicles, count, SIZE).transpose(0, 2, 1).tobytes()
    size = count * SIZE
    contents = [_compress(columns[index * size : index * size + size] + SEPARATOR.join(names) + SEPARATOR) for index, names in enumerate(ids)]
    return [
        _head.pack(_head.size + len(content), first_ms, count | STEPPED) + content for first_ms, content in zip(firsts_ms, contents, strict=True)
    ]


def _blocks(sealed: bytes) -> Iterator[tuple[int, int, int, int]]:
    """Of each block: where it begins and ends, event time (ms) of its first fix, its number of fixes (with ``STEPPED``)."""
    start = 0
    while start < len(sealed):
        size, first_ms, count = _head.unpack_from(sealed, start)
        yield start, start + size, first_ms, count
        start += size


def older(sealed: bytes, open_from_ms: int, horizon_ms: int) -> tuple[int, int]:
    """How many bytes of blocks can go, and fixes in them: those before the horizon, of which one fix has to stay for the next to be compared with."""
    size = number = start = fixes = 0
    while start < len(sealed):
        length, first_ms, count = _head.unpack_from(sealed, start)
        if start:
            if first_ms >= horizon_ms:
                return size, number
            size, number = start, fixes
        start += length
        fixes += count & ~STEPPED
    return (start, fixes) if open_from_ms < horizon_ms else (size, number)


def joined(blocks: Iterable[bytes]) -> bytes:
    """Blocks as they were before version 5 of the state, which did not say how long they were."""
    return b"".join(_length.pack(_length.size + len(block)) + block for block in blocks)


class Recent(msgspec.Struct, gc=False):
    """Fixes in order of (time, id).

    ``sealed``: the older ones, block after block, ``rows`` of ``SIZE`` bytes and ``ids`` with separators: the open ones (never
    none, unless there are no fixes at all). ``index``: the sealed ones' blocks (``_blocks``) as of when they were last looked through.
    """

    rows: bytes = b""
    ids: bytes = b""
    sealed: bytes = b""
    exact: dict[tuple[int, str], Exact] | None = None
    index: tuple[bytes, list[tuple[int, int, int, int]]] | None = None

    def __len__(self) -> int:
        return sum(count & ~STEPPED for _, _, _, count in _blocks(self.sealed)) + self.opened()

    def opened(self) -> int:
        """How many fixes are open."""
        return len(self.rows) // SIZE

    def is_full(self) -> bool:
        """Whether there are so many open ones that some are to be sealed."""
        return self.opened() >= MOST_OPEN

    def append(self, row: bytes, name: bytes) -> None:
        """Keep a fix that is newer than all before."""
        self.rows += row
        self.ids += name + SEPARATOR

    def has(self, event_time_ms: int, name: bytes) -> bool:
        """Whether a fix of this time and id is kept."""
        if self.sealed and event_time_ms <= self.time(0):
            block = self._block_of(event_time_ms, name)
            if block is not None and _holds(*_open_block(self.sealed, *block), event_time_ms, name):
                return True
        return _holds(self.rows, self.ids, event_time_ms, name)

    def _block_of(self, event_time_ms: int, name: bytes) -> tuple[int, int, int, int] | None:
        """The sealed block that a fix of this time and id would be in."""
        if self.index is None or self.index[0] is not self.sealed:
            self.index = (self.sealed, list(_blocks(self.sealed)))
        blocks = self.index[1]
        first = bisect_left(blocks, event_time_ms, key=lambda block: block[2])
        until = bisect_right(blocks, event_time_ms, key=lambda block: block[2])
        at = bisect_right(range(first, until), name, key=lambda number: _first_id(self.sealed, blocks[number])) + first
        return blocks[at - 1] if at else None

    def older_than(self, border_ms: int) -> int:
        """How many fixes are older than an instant: a few, where those that are too old for anything are forgotten."""
        number, before = 0, None
        for block in _blocks(self.sealed):
            if block[2] >= border_ms:
                break
            if before is not None:
                number += before[3] & ~STEPPED
            before = block
        else:
            number += int((_times(self.rows) < border_ms).sum())
        if before is not None:
            number += int((_times(_open_block(self.sealed, *before)[0]) < border_ms).sum())
        return number

    def oldest_ms(self) -> int:
        """Event time of the oldest fix."""
        return next(_blocks(self.sealed))[2] if self.sealed else self.time(0)

    def time(self, index: int) -> int:
        """Event time (ms) of an open fix; negative indices count from the end."""
        return int(_time.unpack_from(self.rows, index * SIZE)[0])

    def ends(self) -> int:
        """Event time (ms) of the newest fix; before all times where there is none."""
        return self.time(-1) if self.rows else -(2**62)

    def times(self) -> np.ndarray:
        """Event times (ms) of the open fixes."""
        return _times(self.rows)

    def last_id(self) -> str:
        """Id of the newest fix."""
        return self.ids[self.ids.rfind(SEPARATOR, 0, -1) + 1 : -1].decode()

    def keep_exact(self, event_time_ms: int, event_id: str, exact: Exact) -> None:
        """Note a position and speed that do not fit a row."""
        if self.exact is None:
            self.exact = {}
        self.exact[event_time_ms, event_id] = exact

    def newest(self) -> Kept:
        """The newest fix."""
        return self.unpacked(_row.unpack_from(self.rows, len(self.rows) - SIZE), self.last_id())

    def __iter__(self) -> Iterator[Kept]:
        for rows, ids in self._pieces():
            yield from map(self.unpacked, _row.iter_unpack(rows), ids.decode("utf-8", "surrogateescape").split("\udcff"))

    def _pieces(self) -> Iterator[tuple[bytes, bytes]]:
        """Rows and ids, block by block."""
        for block in _blocks(self.sealed):
            yield _open_block(self.sealed, *block)
        yield self.rows, self.ids

    def unpacked(self, row: tuple[int, ...], event_id: str) -> Kept:
        """A fix from the fields of its row and its id."""
        time_ms, lon, lat, speed, what = row
        ignition, offence_set, load = bool(what & IGNITION), what & SETS, what >> _LOAD_SHIFT & 3
        if speed == _SEE_EXACT:
            assert self.exact is not None
            return Kept(time_ms, event_id, *self.exact[time_ms, event_id], ignition, offence_set, load)
        return Kept(time_ms, event_id, lon / DEGREE, lat / DEGREE, None if speed == _NO_SPEED else speed / 100, ignition, offence_set, load)

    def load(self) -> int:
        """What the newest fix said of the load (``events.LOADS``)."""
        return self.rows[-1] >> _LOAD_SHIFT - 8 & 3 if self.rows else 0

    def ignition(self) -> bool:
        """Whether the newest fix had the ignition on."""
        return bool(self.rows) and bool(self.rows[-1] & (IGNITION >> 8))

    def set_offences(self, offence_set: int) -> None:
        """Number the set of offences of the newest fix."""
        self.rows = self.rows[: -_what.size] + with_offences(self.rows, -1, offence_set)

    def number_anew(self, numbers: dict[int, int]) -> None:
        """Give the sets of offences other numbers, after opening what is sealed."""
        self.unseal()
        rows = np.frombuffer(self.rows, ROW).copy()
        table = np.zeros(SETS + 1, ROW["what"])
        table[list(numbers)] = list(numbers.values())
        rows["what"] = rows["what"] & np.uint16(~SETS & 0xFFFF) | table[rows["what"] & np.uint16(SETS)]
        self.rows = rows.tobytes()

    def offence_sets(self) -> np.ndarray:
        """The numbers of the sets of offences, one a fix."""
        return np.frombuffer(b"".join(rows for rows, _ in self._pieces()), ROW)["what"] & np.uint16(SETS)

    def unseal(self) -> None:
        """Open every block."""
        pieces = list(self._pieces())
        self.rows = b"".join(rows for rows, _ in pieces)
        self.ids = b"".join(ids for _, ids in pieces)
        self.sealed = b""

    def drop(self, size: int, number: int) -> None:
        """Forget the oldest blocks, so many bytes and fixes."""
        if self.exact:
            for fix, _ in zip(self, range(number), strict=False):
                self.exact.pop((fix.event_time_ms, fix.event_id), None)
            self.exact = self.exact or None
        self.sealed = self.sealed[size:]


def seal_open(several: Sequence[Recent]) -> None:
    """Put whole blocks of the open fixes of several vehicles away; at least one of each stays open."""
    counts = [(recent.opened() - 1) // BLOCK * BLOCK for recent in several]
    ids_of = [recent.ids.split(SEPARATOR) for recent in several]
    rows = np.frombuffer(b"".join([recent.rows[: count * SIZE] for recent, count in zip(several, counts, strict=True)]), ROW)
    names = [ids[start : start + BLOCK] for ids, count in zip(ids_of, counts, strict=True) for start in range(0, count, BLOCK)]
    blocks = iter(seal(rows.reshape(-1, BLOCK), names))
    for recent, ids, count in zip(several, ids_of, counts, strict=True):
        recent.sealed += b"".join(itertools.islice(blocks, count // BLOCK))
        recent.rows = recent.rows[count * SIZE :]
        recent.ids = SEPARATOR.join(ids[count:])


def _open_block(sealed: bytes, start: int, end: int, first_ms: int, count: int) -> tuple[bytes, bytes]:
    """Rows and ids of one of the sealed blocks."""
    content = _decompress(sealed[start + _head.size : end])
    size = (count & ~STEPPED) * SIZE
    rows = np.frombuffer(content[:size], np.uint8).reshape(SIZE, -1).T.copy().view(ROW)[:, 0]
    for name, kind in _STEPPED if count & STEPPED else ():
        steps: Any = rows[name].astype(kind)
        rows[name] = np.cumsum((steps >> 1) ^ -(steps & 1), dtype=kind)
        if name == "time":
            rows[name] += first_ms
    return rows.tobytes(), content[size:]


def _first_id(sealed: bytes, block: tuple[int, int, int, int]) -> bytes:
    """Id of the first fix in a block."""
    return _open_block(sealed, *block)[1].partition(SEPARATOR)[0]


def as_kept(recent: Recent, rows: bytes | bytearray, index: int, event_id: str) -> Kept:
    """The fix at an index of rows that belong to a vehicle (degrees, km/h)."""
    return recent.unpacked(_row.unpack_from(rows, index * SIZE), event_id)


def with_offences(rows: bytes | bytearray, index: int, offence_set: int) -> bytes:
    """What a row (-1: the last) ends with if it commits a set of offences (by number)."""
    end = len(rows) if index == -1 else index * SIZE + SIZE
    return _what.pack(_what.unpack_from(rows, end - _what.size)[0] & ~SETS | offence_set)


def row_of(fix: Kept) -> tuple[bytes, Exact | None]:
    """A fix as it is kept: its row, and what does not fit there."""
    lon, lat = round(fix.lon * DEGREE), round(fix.lat * DEGREE)
    speed = _NO_SPEED if fix.speed_kmh is None else round(fix.speed_kmh * 100)
    fits = (lon / DEGREE, lat / DEGREE) == (fix.lon, fix.lat) and (fix.speed_kmh is None or speed / 100 == fix.speed_kmh)
    what = (IGNITION if fix.ignition else 0) | fix.load << _LOAD_SHIFT | fix.offence_set
    row = _row.pack(fix.event_time_ms, lon, lat, speed if fits else _SEE_EXACT, what)
    return row, None if fits else (fix.lon, fix.lat, fix.speed_kmh)


def _times(rows: bytes) -> np.ndarray:
    """Event times (ms) of rows."""
    times: np.ndarray = np.frombuffer(rows, ROW)["time"]
    return times


def _holds(rows: bytes, ids: bytes, event_time_ms: int, name: bytes) -> bool:
    """Whether a fix of this time and id is among these."""
    if name + SEPARATOR not in ids:
        return False
    names = ids.split(SEPARATOR)
    return any(names[index] == name for index in np.flatnonzero(_times(rows) == event_time_ms).tolist())
