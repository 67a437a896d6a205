"""Accepted parcels by waybill, in about forty bytes each.

The newest are in a dict (``hot``). Every ``HOT`` of them are sealed into a ``SortedRun``: columns sorted by a hash of the waybill,
and their scans' ids in compressed groups. Runs of like size are merged, so there are few; a chunk's waybills are looked up in
each of them at once (``look_up``). Of a parcel that was sealed more than once the newest entry counts.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from typing import NamedTuple

import numpy as np
import zstandard

from streams.counts import DayKey
from streams.parcels.violations import ViolationKey

HOT = 20_000
LARGEST = 1 << 20
"""Runs of so many parcels are merged no further."""
GROUP = 256
"""So many ids are compressed together."""
SEPARATOR = b"\xff"
"""Behind each id; no UTF-8 text contains it."""
ROW = np.dtype([("check", "<u4"), ("time", "<i8"), ("day", "<u4"), ("features", "<u8"), ("id", "<u4")])
_compress, _decompress = zstandard.ZstdCompressor(3).compress, zstandard.ZstdDecompressor().decompress


class Parcel(NamedTuple):
    """A parcel's acceptance, or what else counts once: when, by which scan, where it counts and as what, and what it has against whom."""

    event_time_ms: int
    event_id: str
    day: DayKey
    features: int
    violations: tuple[ViolationKey, ...] = ()


Place = tuple[DayKey, tuple[ViolationKey, ...]]
"""Where parcels count, and what they have against whom: the same for many, so each is kept once."""


def parcel_key(waybill_id: str) -> bytes:
    """Ninety-six bits of a hash stand for a waybill."""
    return hashlib.blake2b(waybill_id.encode(), digest_size=12).digest()


class SortedRun(NamedTuple):
    """n sealed parcels: the first eight bytes of their keys, sorted, and beside them a ``ROW`` each."""

    keys: np.ndarray
    rows: np.ndarray

    def find(self, keys: np.ndarray, checks: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Which of m wanted ones are here, and where: indices into both."""
        if not len(self.keys):
            return np.zeros(0, np.intp), np.zeros(0, np.intp)
        places = np.searchsorted(self.keys, keys)
        wanted, found = [], []
        for step in (0, 1):  # two waybills may share the first eight bytes
            at = np.minimum(places + step, len(self.keys) - 1)
            here = np.flatnonzero((self.keys[at] == keys) & (self.rows["check"][at] == checks))
            wanted.append(here)
            found.append(at[here])
        return np.concatenate(wanted), np.concatenate(found)

    def without(self, places: np.ndarray) -> SortedRun:
        """The others."""
        kept = np.ones(len(self.keys), bool)
        kept[places] = False
        return SortedRun(self.keys[kept], self.rows[kept])


class Parcels:
    """The parcels that one scan partition knows."""

    def __init__(self) -> None:
        self.hot: dict[bytes, Parcel] = {}
        self.runs: list[SortedRun] = []
        self._found: dict[bytes, np.void] = {}
        self._days: dict[int, Place] = {}
        self._day_numbers: dict[Place, int] = {}
        self._next_day = 0
        self._groups: dict[int, tuple[int, bytes]] = {}
        self._next_group = 0

    def __len__(self) -> int:
        return len(self.hot) + sum(len(run.keys) for run in self.runs)

    def look_up(self, keys: Iterable[bytes]) -> None:
        """Find these among the sealed parcels, for ``get``; what was found before is dropped."""
        self._found.clear()
        wanted = [key for key in dict.fromkeys(keys) if key not in self.hot]
        if not wanted or not self.runs:
            return
        numbers, checks = _split(wanted)
        for run in self.runs:
            for index, place in zip(*(found.tolist() for found in run.find(numbers, checks)), strict=True):
                self._found[wanted[index]] = run.rows[place]

    def get(self, key: bytes) -> Parcel | None:
        """A parcel, provided that it was looked up."""
        if (parcel := self.hot.get(key)) is None and (row := self._found.get(key)) is not None:
            return self._parcel(row)
        return parcel

    def accepted_at(self, key: bytes) -> int | None:
        """When a parcel was accepted (ms), provided that it was looked up; cheaper than all of it."""
        if (parcel := self.hot.get(key)) is not None:
            return parcel.event_time_ms
        row = self._found.get(key)
        return None if row is None else int(row["time"])

    def put(self, key: bytes, parcel: Parcel) -> None:
        """Enter a parcel, in place of the one that was there."""
        self.hot[key] = parcel

    def flush(self) -> None:
        """Seal the hot ones if there are many; between chunks."""
        if len(self.hot) < HOT:
            return
        self._found.clear()
        keys = list(self.hot)
        numbers, checks = _split(keys)
        rows = np.zeros(len(keys), ROW)
        parcels = list(self.hot.values())
        rows["check"], rows["time"] = checks, [parcel.event_time_ms for parcel in parcels]
        rows["features"], rows["day"] = [parcel.features for parcel in parcels], [self._day_number((parcel.day, parcel.violations)) for parcel in parcels]
        rows["id"] = self._keep_ids(parcels)
        self._add(_sorted(numbers, rows))
        self.hot = {}

    def _add(self, run: SortedRun) -> None:
        while self.runs and len(self.runs[-1].keys) <= 2 * len(run.keys) and len(self.runs[-1].keys) + len(run.keys) <= LARGEST:
            run = _merged(self.runs.pop(), run)
        self.runs.append(run)

    def drop(self, horizon_ms: int) -> list[bytes]:
        """Forget the parcels accepted before an instant, with every older entry about them; their keys."""
        self._found.clear()
        expired = [key for key, parcel in self.hot.items() if parcel.event_time_ms < horizon_ms]
        for key in expired:
            del self.hot[key]
        alive = [*self.runs, _alive(self.hot)]
        for number in range(len(self.runs) - 1, -1, -1):
            run = alive[number]
            old = run.rows["time"] < horizon_ms
            gone = SortedRun(run.keys[old], run.rows[old])
            for newer in alive[number + 1 :]:  # about these there is a newer entry, which goes on
                gone = gone.without(newer.find(gone.keys, gone.rows["check"])[0])
            old[run.find(*_split(expired))[1]] = True
            alive[number] = run.without(old) if old.any() else run
            expired += _joined(gone.keys, gone.rows["check"])
        self.runs = [run for run in alive[:-1] if len(run.keys)]
        self._forget_days()
        self._groups = {group: kept for group, kept in self._groups.items() if kept[0] >= horizon_ms}
        return expired

    def since(self, event_time_ms: int) -> Iterator[Parcel]:
        """The parcels accepted since an instant, where each was entered once."""
        yield from (parcel for parcel in self.hot.values() if parcel.event_time_ms >= event_time_ms)
        for run in self.runs:
            for place in np.flatnonzero(run.rows["time"] >= event_time_ms).tolist():
                yield self._parcel(run.rows[place])

    def _parcel(self, row: np.void) -> Parcel:
        group, number = divmod(int(row["id"]), GROUP)
        event_id = _decompress(self._groups[group][1]).split(SEPARATOR)[number].decode()
        day, violations = self._days[int(row["day"])]
        return Parcel(int(row["time"]), event_id, day, int(row["features"]), violations)

    def _day_number(self, where: Place) -> int:
        number = self._day_numbers.get(where)
        if number is None:
            number = self._day_numbers[where] = self._next_day
            self._days[number] = where
            self._next_day += 1
        return number

    def _forget_days(self) -> None:
        """Only what some parcel still refers to keeps its number."""
        used = set(np.unique(np.concatenate([run.rows["day"] for run in self.runs])).tolist()) if self.runs else set()
        self._days = {number: where for number, where in self._days.items() if number in used}
        self._day_numbers = {where: number for number, where in self._days.items()}

    def _keep_ids(self, parcels: list[Parcel]) -> np.ndarray:
        first = self._next_group
        for start in range(0, len(parcels), GROUP):
            group = parcels[start : start + GROUP]
            ids = _compress(SEPARATOR.join(parcel.event_id.encode() for parcel in group))
            self._groups[self._next_group] = max(parcel.event_time_ms for parcel in group), ids
            self._next_group = (self._next_group + 1) % (2**32 // GROUP)
        groups = (first + np.arange(len(parcels)) // GROUP) % (2**32 // GROUP)
        return groups * GROUP + np.arange(len(parcels)) % GROUP


def _split(keys: list[bytes]) -> tuple[np.ndarray, np.ndarray]:
    """The first eight bytes and the last four of n keys."""
    whole = np.frombuffer(b"".join(keys), np.dtype([("key", ">u8"), ("check", ">u4")]))
    return whole["key"].astype(np.uint64), whole["check"].astype(np.uint32)


def _sorted(numbers: np.ndarray, rows: np.ndarray) -> SortedRun:
    order = np.argsort(numbers, kind="stable")
    return SortedRun(numbers[order], rows[order])


def _alive(hot: Iterable[bytes]) -> SortedRun:
    """The keys alone."""
    numbers, checks = _split([*hot])
    rows = np.zeros(len(numbers), ROW)
    rows["check"] = checks
    return _sorted(numbers, rows)


def _joined(numbers: np.ndarray, checks: np.ndarray) -> list[bytes]:
    """The keys that were split."""
    whole = np.zeros(len(numbers), np.dtype([("key", ">u8"), ("check", ">u4")]))
    whole["key"], whole["check"] = numbers, checks
    data = whole.tobytes()
    return [data[start : start + 12] for start in range(0, len(data), 12)]


def _merged(older: SortedRun, newer: SortedRun) -> SortedRun:
    """Both in one; of entries about the same parcel the newer."""
    keys, rows = np.concatenate((older.keys, newer.keys)), np.concatenate((older.rows, newer.rows))
    order = np.lexsort((rows["check"], keys))
    keys, rows = keys[order], rows[order]
    replaced = np.flatnonzero((keys[:-1] == keys[1:]) & (rows["check"][:-1] == rows["check"][1:]))
    return SortedRun(keys, rows).without(replaced)
