"""A vehicle's accepted fixes of the last ``lateness``, in order and in few bytes.

A fix takes 20 bytes and its id. Positions of up to seven decimals (1 cm) and speeds of up to two are kept exactly as
integers; whatever does not fit stands beside, in ``exact``. Nothing is rounded.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from struct import Struct
from typing import NamedTuple

import msgspec
import numpy as np

ROW = np.dtype([("time", "<i8"), ("lon", "<i4"), ("lat", "<i4"), ("speed", "<u2"), ("what", "<u2")])
_row = Struct("<qiiHH")
_time = Struct("<q")
_what = Struct("<H")
SIZE = _row.size
_WHAT_AT = SIZE - _what.size
PLACE = Struct("<qii")
"""The beginning of a row: time (ms), longitude and latitude in ``1 / DEGREE`` of a degree."""
DEGREE = 1e7
_NO_SPEED, _SEE_EXACT = 65_535, 65_534
IGNITION = 0x8000
"""In a row's ``what``: the ignition was on. The other bits number the set of offences, 0 being none."""
SEPARATOR = b"\xff"
"""Between ids; no UTF-8 text contains it."""


class Kept(NamedTuple):
    """A fix as it is kept: ms, id, degrees, km/h, ignition on, number of its set of offences."""

    event_time_ms: int
    event_id: str
    lon: float
    lat: float
    speed_kmh: float | None
    ignition: bool
    offence_set: int


def pack(times: Sequence[int], lons: np.ndarray, lats: np.ndarray, speeds: np.ndarray, ignitions: Sequence[bool | None]) -> tuple[bytes, set[int]]:
    """Rows of a chunk of n fixes (speeds: NaN where absent), and the indices of those that do not fit exactly."""
    rows = np.zeros(len(times), ROW)
    rows["time"] = times
    fits = np.ones(len(times), bool)
    for name, degrees in (("lon", lons), ("lat", lats)):
        scaled = np.rint(degrees * DEGREE)
        rows[name] = scaled
        fits &= scaled / DEGREE == degrees
    unknown = np.isnan(speeds)
    scaled = np.rint(np.where(unknown, 0.0, speeds) * 100)
    fits &= unknown | (scaled / 100 == speeds)
    rows["speed"] = np.where(unknown, _NO_SPEED, np.where(fits, scaled, _SEE_EXACT))
    rows["speed"][~fits] = _SEE_EXACT
    rows["what"] = np.where(np.array(ignitions, dtype=object) == True, IGNITION, 0)  # noqa: E712  elementwise
    return rows.tobytes(), set() if fits.all() else set(np.flatnonzero(~fits).tolist())


class Recent(msgspec.Struct, gc=False):
    """Fixes in order of (time, id): ``rows`` of ``SIZE`` bytes, ``ids`` each between separators, a byte of each id's hash."""

    rows: bytearray
    ids: bytearray
    marks: bytearray
    exact: dict[tuple[int, str], tuple[float, float, float | None]] | None = None

    def __len__(self) -> int:
        return len(self.rows) // SIZE

    def accepted_since(self, event_id: str, horizon_ms: int) -> bool:
        """Whether a fix of this id is kept that is not older than the horizon; ask ``marks`` first."""
        position = self.ids.rfind(SEPARATOR + event_id.encode() + SEPARATOR)
        return position >= 0 and self.time(self.ids.count(SEPARATOR, 0, position)) >= horizon_ms

    def time(self, index: int) -> int:
        """Event time (ms) of the fix at an index; negative ones count from the end."""
        return int(_time.unpack_from(self.rows, index * SIZE)[0])

    def ends(self) -> int:
        """Event time (ms) of the newest fix; before all times where there is none."""
        return self.time(-1) if self.rows else -(2**62)

    def last_id(self) -> str:
        """Id of the newest fix."""
        return self.ids[self.ids.rfind(SEPARATOR, 0, -1) + 1 : -1].decode()

    def place(self, event_time_ms: int, event_id: str) -> int:
        """Index at which a fix belongs; searched from the end, since most late fixes are a little late."""
        index, end = len(self), len(self.ids) - 1
        while index > 0:
            time_ms = self.time(index - 1)
            if time_ms < event_time_ms:
                break
            start = self.ids.rfind(SEPARATOR, 0, end)
            if time_ms == event_time_ms and self.ids[start + 1 : end].decode() < event_id:
                break
            index, end = index - 1, start
        return index

    def insert(self, index: int, row: bytes, event_id: str, exact: tuple[float, float, float | None] | None) -> None:
        """Put a fix in its place."""
        at = index * SIZE
        self.rows[at:at] = row
        cut = self._id_start(index)
        self.ids[cut:cut] = event_id.encode() + SEPARATOR
        self.marks.insert(index, hash(event_id) & 255)
        if exact is not None:
            self.keep_exact(_time.unpack_from(row)[0], event_id, exact)

    def keep_exact(self, event_time_ms: int, event_id: str, exact: tuple[float, float, float | None]) -> None:
        """Note a position and speed that do not fit a row."""
        if self.exact is None:
            self.exact = {}
        self.exact[event_time_ms, event_id] = exact

    def newest(self) -> Kept:
        """The newest fix."""
        return self._kept(_row.unpack_from(self.rows, len(self.rows) - SIZE), self.last_id())

    def at(self, index: int) -> Kept:
        """The fix at an index (degrees, km/h)."""
        start = self._id_start(index)
        return self._kept(_row.unpack_from(self.rows, index * SIZE), self.ids[start : self.ids.index(SEPARATOR, start)].decode())

    def __iter__(self) -> Iterator[Kept]:
        return map(self._kept, _row.iter_unpack(bytes(self.rows)), _split(self.ids))

    def _kept(self, row: tuple[int, ...], event_id: str) -> Kept:
        time_ms, lon, lat, speed, what = row
        ignition, offence_set = bool(what & IGNITION), what & ~IGNITION
        if speed == _SEE_EXACT:
            assert self.exact is not None
            return Kept(time_ms, event_id, *self.exact[time_ms, event_id], ignition, offence_set)
        return Kept(time_ms, event_id, lon / DEGREE, lat / DEGREE, None if speed == _NO_SPEED else speed / 100, ignition, offence_set)

    def _id_start(self, index: int) -> int:
        if index == len(self.marks):
            return len(self.ids)
        start = 0
        for _ in range(index):
            start = self.ids.index(SEPARATOR, start + 1)
        return start + 1

    def ignition(self) -> bool:
        """Whether the newest fix had the ignition on."""
        return bool(self.rows) and bool(self.rows[-1] & (IGNITION >> 8))

    def set_offences(self, index: int, offence_set: int) -> None:
        """Number the set of offences of the fix at an index (negative: from the end)."""
        at = index * SIZE + _WHAT_AT
        _what.pack_into(self.rows, at, _what.unpack_from(self.rows, at)[0] & IGNITION | offence_set)

    def older(self, horizon_ms: int) -> int:
        """How many fixes can go: those before the horizon, save the last of them, which the next one is compared with."""
        index = 0
        while index + 1 < len(self) and self.time(index + 1) < horizon_ms:
            index += 1
        return index

    def drop(self, number: int) -> None:
        """Forget so many of the oldest fixes."""
        if self.exact:
            for fix in list(self)[:number]:
                self.exact.pop((fix.event_time_ms, fix.event_id), None)
        cut = self._id_start(number) - 1
        del self.rows[: number * SIZE], self.ids[:cut], self.marks[:number]

    def offence_sets(self) -> np.ndarray:
        """The numbers of the sets of offences, one a fix."""
        return np.frombuffer(bytes(self.rows), ROW)["what"] & ~np.uint16(IGNITION)


def new_recent() -> Recent:
    """No fixes yet."""
    return Recent(bytearray(), bytearray(SEPARATOR), bytearray())


def recent_of(rows: bytes, ids: bytes, exact: dict[tuple[int, str], tuple[float, float, float | None]]) -> Recent:
    """The fixes that were kept as these bytes. Marks are of this process and made anew."""
    return Recent(bytearray(rows), bytearray(ids), bytearray(hash(name) & 255 for name in _split(ids)), exact or None)


def _split(ids: bytes | bytearray) -> list[str]:
    return ids.decode("utf-8", "surrogateescape").split("\udcff")[1:-1]
