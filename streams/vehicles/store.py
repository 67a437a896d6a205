"""The vehicles of a partition in columns, so that a chunk of fixes is looked up and kept at once.

Most fixes change nothing but what is newest of their vehicle, and no memory is touched for them but a few columns. A vehicle
that needs a closer look is taken out: its fixes become a ``FixHistory``, and go back when they fit the columns again.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np

from streams.clock import END_MS
from streams.fix_batch import ROW, SEPARATOR, SIZE, PackedFixes, StoredFix, hash_of
from streams.vehicles.block_codec import BLOCK, older, seal
from streams.vehicles.growable import GrowableArray, as_bytes
from streams.vehicles.history import MOST_OPEN, FixHistory, seal_open
from streams.vehicles.id_index import IdIndex
from streams.vehicles.reported import last_report

if TYPE_CHECKING:
    from streams.vehicles.incidents import VehicleState


LATEST = np.dtype(
    [
        ("time_ms", "<i8"), ("due_ms", "<i8"), ("report", "<i8"), ("reported", "<i8"), ("lon", "<i4"), ("lat", "<i4"), ("plan", "<i4"),
        ("seen", "<i8"), ("kept", "<u4"), ("load", "u1"), ("opened", "u1"), ("out", "?"), ("dirty", "?"), ("gone", "?"),
    ]
)  # fmt: skip
"""Of a vehicle: time and place (``1 / recent.DEGREE``) of its newest fix, the stream time at which something falls due, its plan's number (0: look closer),
a hash of the plate and driver it last reported if those cannot offend (else 0), a hash of what its newest fix reports (``Chunk.reported``), and the load it last
reported (``events.LOADS``); how many of its fixes are kept, and how many of those are open; whether it is taken out, has changed since the last checkpoint,
and is forgotten; and the offset of the last fix that was accepted."""
NOTHING_YET = (-(2**62), END_MS, 0, 0, 0, 0, 0, 0, 0, 0, 0, True, False, False)
FROM_ROW = (("time_ms", "time"), ("lon", "lon"), ("lat", "lat"))
"""What is newest of a vehicle, and the field of its newest row that says so."""
FEWEST_GONE = 4_096
"""Rows of so many forgotten vehicles at least are given back together."""
SHORTEST_ID, LONGEST_ID = 8, 64
"""Bytes of an id between which the columns adapt; vehicles with longer ones stay out."""


class VehicleStore:
    """n vehicles by number (``numbers``: of their ids): ``latest`` (``LATEST``), and their open fixes (``rows``, ``ids``), oldest first."""

    def __init__(self) -> None:
        self.numbers = IdIndex()
        self.forgotten = 0
        self.traces: list[VehicleState] = []
        self.looked: dict[int, VehicleState] = {}
        self.latest = GrowableArray(LATEST)
        self.rows = GrowableArray(ROW, (MOST_OPEN,))
        self.ids = GrowableArray(f"S{SHORTEST_ID}", (MOST_OPEN,))

    def enter(self, traces: Sequence[VehicleState]) -> None:
        """Give vehicles that are taken out rows of their own."""
        first = self.latest.add(NOTHING_YET, len(traces))
        for rows in (self.rows, self.ids):
            rows.add(np.zeros((), rows.held.dtype), len(traces))
        self.traces += traces
        self.numbers.add([trace.vehicle_id for trace in traces])
        for number, trace in enumerate(traces, first):
            trace.number = number
        self.latest.held["seen"][first : self.latest.count] = [trace.seen for trace in traces]
        self.latest.held["kept"][first : self.latest.count] = [_number_kept(trace) for trace in traces]

    def forget(self, number: int, empty: VehicleState) -> None:
        """Nothing is known of a vehicle any more; should it come back, it begins as ``empty``."""
        empty.number, self.traces[number] = number, empty
        self.latest.held[number] = NOTHING_YET
        self.latest.held["gone"][number] = True
        self.looked.pop(number, None)
        self.forgotten += 1

    def come_back(self, numbers: np.ndarray) -> list[VehicleState]:
        """Those of these vehicles that had been forgotten, which are known again."""
        if not self.forgotten:
            return []
        back = np.unique(numbers[self.latest.held["gone"][numbers]])
        self.latest.held["gone"][back] = False
        self.forgotten -= len(back)
        return [self.traces[number] for number in back.tolist()]

    def compact(self) -> None:
        """Give back the rows of the forgotten ones, once they are many."""
        if self.forgotten < max(FEWEST_GONE, self.latest.count // 8):
            return
        stay = np.flatnonzero(~self.latest.held["gone"][: self.latest.count])
        traces = [self.traces[number] for number in stay.tolist()]
        self.looked = {}
        for name in ("latest", "rows", "ids"):
            rows = getattr(self, name)
            fresh = GrowableArray(rows.held.dtype, rows.held.shape[1:])
            fresh.add(rows.held[stay], len(stay))
            setattr(self, name, fresh)
        self.numbers, self.traces, self.forgotten = IdIndex(), traces, 0
        if traces:
            self.numbers.add([trace.vehicle_id for trace in traces])
        for number, trace in enumerate(traces):
            trace.number = number

    def append(self, numbers: np.ndarray, packed: PackedFixes, chosen: np.ndarray) -> list[int]:
        """Keep one fix (of those the chosen indices) of each of these vehicles, newer than all before; the vehicles whose rows are full."""
        latest = self.latest.held
        for name, field in FROM_ROW:
            latest[name][numbers] = packed.rows[field][chosen]
        latest["load"][numbers] = packed.loads[chosen]
        latest["dirty"][numbers] = True
        latest["kept"][numbers] += 1
        latest["seen"][numbers] = packed.offsets[chosen]
        full: list[int] = []
        out = latest["out"][numbers]
        if out.any():
            for index, number in zip(chosen[out].tolist(), numbers[out].tolist(), strict=True):
                recent = self.traces[number].recent
                assert recent is not None
                recent.append(packed.rows[index].tobytes(), packed.names[index])
                if recent.is_full():
                    full.append(number)
            numbers, chosen = numbers[~out], chosen[~out]
        self._fit_ids(packed.ids.itemsize)
        opened = latest["opened"][numbers]
        as_bytes(self.rows.held)[numbers, opened] = as_bytes(packed.rows)[chosen]
        self.ids.held[numbers, opened] = packed.ids[chosen]
        latest["opened"][numbers] = opened + 1
        full += numbers[opened + 1 >= MOST_OPEN].tolist()
        return full

    def seal(self, full: Sequence[int], lateness_ms: int, forget: Callable[[VehicleState, Iterable[StoredFix]], None]) -> None:
        """Put the older fixes of full vehicles away, and forget those that no late one can come before.

        Before that ``forget`` is told which ones, of a vehicle that may have offended with them.
        """
        inside = [number for number in full if self.traces[number].recent is None]
        outside = [(trace, trace.recent) for trace in map(self.traces.__getitem__, full) if trace.recent is not None]
        if outside:
            seal_open([recent for _, recent in outside])
            for trace, recent in outside:
                horizon_ms = recent.ends() - lateness_ms
                if trace.waiting is not None:  # there has to be a fix before each of those
                    horizon_ms = min(horizon_ms, trace.waiting.oldest_ms)
                size, count = older(recent.sealed, recent.time(0), horizon_ms)
                if size and trace.has_offended():
                    forget(trace, itertools.islice(recent, count))
                recent.drop(size, count)
                self.latest.held["kept"][trace.number] -= count
        if not inside:
            return
        numbers = np.array(inside)
        rows, ids = self.rows.held.take(numbers, axis=0), self.ids.held.take(numbers, axis=0)
        blocks = seal(rows[:, :BLOCK], ids[:, :BLOCK].tolist())
        self.rows.held[numbers, 0], self.ids.held[numbers, 0] = rows[:, BLOCK], ids[:, BLOCK]
        self.latest.held["opened"][numbers] = 1
        times = rows["time"]
        for number, block, first_ms, time_ms in zip(inside, blocks, times[:, 0].tolist(), times[:, BLOCK].tolist(), strict=True):
            trace = self.traces[number]
            size, count = older(trace.sealed, first_ms, time_ms - lateness_ms)
            if size:
                self.latest.held["kept"][number] -= count
                if trace.has_offended():
                    forget(trace, FixHistory(sealed=trace.sealed[:size]))
            trace.sealed = trace.sealed[size:] + block

    def _fit_ids(self, longest: int) -> None:
        """Ids of so many bytes fit."""
        if longest > self.ids.held.itemsize:
            self.ids.widen(f"S{-(-longest // 4) * 4}", MOST_OPEN)

    def recent(self, trace: VehicleState) -> FixHistory:
        """A vehicle's fixes, wherever they are; to be looked at only."""
        if trace.number < 0:
            assert trace.recent is not None
            return trace.recent
        if trace.recent is not None:
            return trace.recent
        opened = self.latest.held["opened"].item(trace.number)
        ids = SEPARATOR.join(self.ids.held[trace.number, :opened].tolist()) + SEPARATOR
        return FixHistory(self.rows.held[trace.number, :opened].tobytes(), ids, trace.sealed)

    def kept(self, numbers: np.ndarray) -> Iterator[tuple[VehicleState, tuple[bytes, bytes, bytes | tuple[int, bytes]]]]:
        """Vehicles with what is kept of their fixes: sealed blocks, rows, and ids (how wide each is, and all; with separators if taken out)."""
        columns = [held.take(numbers, axis=0) for held in (self.rows.held, self.ids.held)]
        rows, ids = (column.tobytes() for column in columns)
        row_step, id_step = (column.strides[0] for column in columns)
        width, row, name = self.ids.held.itemsize, 0, 0
        latest = self.latest.held[numbers]
        for number, opened, seen in zip(numbers.tolist(), latest["opened"].tolist(), latest["seen"].tolist(), strict=True):
            trace = self.traces[number]
            trace.seen = seen
            recent = trace.recent
            if recent is None:
                yield trace, (trace.sealed, rows[row : row + opened * SIZE], (width, ids[name : name + opened * width]))
            else:
                yield trace, (recent.sealed, recent.rows, recent.ids)
            row, name = row + row_step, name + id_step

    def take_out(self, trace: VehicleState) -> FixHistory:
        """The vehicle's fixes as an object, which holds them from now on."""
        if trace.recent is None:
            trace.recent, trace.sealed = self.recent(trace), b""
            latest = self.latest.held[trace.number]
            latest["out"], latest["opened"] = True, 0
        return trace.recent

    def settle(self, generation: int, lateness_ms: int, forget: Callable[[VehicleState, Iterable[StoredFix]], None]) -> None:
        """Seal (see ``seal``) and write up the vehicles that were looked at; those without runs are put away."""
        if not self.looked:
            return
        full = [number for number, trace in self.looked.items() if trace.recent is not None and trace.recent.is_full()]
        self.seal(full, lateness_ms, forget)
        traces, latest = list(self.looked.values()), self.latest.held
        numbers = np.fromiter(self.looked, np.intp, len(traces))
        latest["due_ms"][numbers] = [trace.due_ms for trace in traces]
        plans = [0 if trace.runs or trace.plan is None or trace.plan.generation != generation else trace.plan.number for trace in traces]
        latest["plan"][numbers] = plans
        latest["reported"][numbers] = [hash_of(*last_report(trace.reported)) for trace in traces]
        out = [(trace, trace.recent) for trace in traces if trace.recent is not None and trace.recent.rows]
        if out:
            newest = np.frombuffer(b"".join([recent.rows[-SIZE:] for _, recent in out]), ROW)
            numbers = np.array([trace.number for trace, _ in out])
            for name, field in FROM_ROW:
                latest[name][numbers] = newest[field]
            latest["load"][numbers] = [recent.load() for _, recent in out]
        self.looked.clear()
        self._put_away(trace for trace in traces if not trace.runs and trace.waiting is None)

    def _put_away(self, traces: Iterable[VehicleState]) -> None:
        """Vehicles' fixes go to the columns, as far as they fit; what the registry says of these vehicles is looked up when it is asked for."""
        outside = [(trace, trace.recent) for trace in traces if trace.recent is not None and trace.recent.exact is None and trace.recent.rows]
        several: list[tuple[VehicleState, FixHistory, list[bytes]]] = []
        for trace, recent in outside:
            names = recent.ids[:-1].split(SEPARATOR)
            if max(map(len, names)) <= LONGEST_ID and b"\0" + SEPARATOR not in recent.ids:
                several.append((trace, recent, names))
        if not several:
            return
        numbers = np.array([trace.number for trace, _, _ in several])
        opened = np.array([len(names) for _, _, names in several])
        ids = [name for _, _, names in several for name in names]
        self._fit_ids(max(map(len, ids)))
        vehicle, place = _spread(numbers, opened)
        as_bytes(self.rows.held)[vehicle, place] = as_bytes(np.frombuffer(b"".join([recent.rows for _, recent, _ in several]), ROW))
        self.ids.held[vehicle, place] = ids
        latest = self.latest.held
        latest["out"][numbers], latest["opened"][numbers] = False, opened
        for trace, recent, _ in several:
            trace.recent, trace.sealed, trace.subject = None, recent.sealed, None


def _number_kept(trace: VehicleState) -> int:
    """How many fixes are kept of a vehicle that is taken out."""
    return (0 if trace.recent is None else len(trace.recent)) + (0 if trace.waiting is None else len(trace.waiting.fixes))


def _spread(numbers: np.ndarray, counts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Each number as many times as it counts, and how many of the same are before it."""
    return np.repeat(numbers, counts), np.arange(counts.sum()) - np.repeat(counts.cumsum() - counts, counts)
