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
    from streams.vehicles.state import VehicleState


LATEST = np.dtype(
    [
        ("time_ms", "<i8"), ("due_ms", "<i8"), ("report", "<i8"), ("reported", "<i8"), ("lon", "<i4"), ("lat", "<i4"), ("compiled", "<i4"),
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
        self.vehicles: list[VehicleState] = []
        self.touched: dict[int, VehicleState] = {}
        self.latest = GrowableArray(LATEST)
        self.rows = GrowableArray(ROW, (MOST_OPEN,))
        self.ids = GrowableArray(f"S{SHORTEST_ID}", (MOST_OPEN,))

    def enter(self, vehicles: Sequence[VehicleState]) -> None:
        """Give vehicles that are taken out rows of their own."""
        first = self.latest.add(NOTHING_YET, len(vehicles))
        for rows in (self.rows, self.ids):
            rows.add(np.zeros((), rows.data.dtype), len(vehicles))
        self.vehicles += vehicles
        self.numbers.add([vehicle.vehicle_id for vehicle in vehicles])
        for number, vehicle in enumerate(vehicles, first):
            vehicle.number = number
        self.latest.data["seen"][first : self.latest.count] = [vehicle.seen for vehicle in vehicles]
        self.latest.data["kept"][first : self.latest.count] = [_number_kept(vehicle) for vehicle in vehicles]

    def forget(self, number: int, empty: VehicleState) -> None:
        """Nothing is known of a vehicle any more; should it come back, it begins as ``empty``."""
        empty.number, self.vehicles[number] = number, empty
        self.latest.data[number] = NOTHING_YET
        self.latest.data["gone"][number] = True
        self.touched.pop(number, None)
        self.forgotten += 1

    def come_back(self, numbers: np.ndarray) -> list[VehicleState]:
        """Those of these vehicles that had been forgotten, which are known again."""
        if not self.forgotten:
            return []
        back = np.unique(numbers[self.latest.data["gone"][numbers]])
        self.latest.data["gone"][back] = False
        self.forgotten -= len(back)
        return [self.vehicles[number] for number in back.tolist()]

    def compact(self) -> None:
        """Give back the rows of the forgotten ones, once they are many."""
        if self.forgotten < max(FEWEST_GONE, self.latest.count // 8):
            return
        stay = np.flatnonzero(~self.latest.data["gone"][: self.latest.count])
        vehicles = [self.vehicles[number] for number in stay.tolist()]
        self.touched = {}
        for name in ("latest", "rows", "ids"):
            rows = getattr(self, name)
            fresh = GrowableArray(rows.data.dtype, rows.data.shape[1:])
            fresh.add(rows.data[stay], len(stay))
            setattr(self, name, fresh)
        self.numbers, self.vehicles, self.forgotten = IdIndex(), vehicles, 0
        if vehicles:
            self.numbers.add([vehicle.vehicle_id for vehicle in vehicles])
        for number, vehicle in enumerate(vehicles):
            vehicle.number = number

    def append(self, numbers: np.ndarray, packed: PackedFixes, chosen: np.ndarray) -> list[int]:
        """Keep one fix (of those the chosen indices) of each of these vehicles, newer than all before; the vehicles whose rows are full."""
        latest = self.latest.data
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
                recent = self.vehicles[number].recent
                assert recent is not None
                recent.append(packed.rows[index].tobytes(), packed.names[index])
                if recent.is_full():
                    full.append(number)
            numbers, chosen = numbers[~out], chosen[~out]
        self._fit_ids(packed.ids.itemsize)
        opened = latest["opened"][numbers]
        as_bytes(self.rows.data)[numbers, opened] = as_bytes(packed.rows)[chosen]
        self.ids.data[numbers, opened] = packed.ids[chosen]
        latest["opened"][numbers] = opened + 1
        full += numbers[opened + 1 >= MOST_OPEN].tolist()
        return full

    def seal(self, full: Sequence[int], lateness_ms: int, forget: Callable[[VehicleState, Iterable[StoredFix]], None]) -> None:
        """Put the older fixes of full vehicles away, and forget those that no late one can come before.

        Before that ``forget`` is told which ones, of a vehicle that may have offended with them.
        """
        inside = [number for number in full if self.vehicles[number].recent is None]
        outside = [(vehicle, vehicle.recent) for vehicle in map(self.vehicles.__getitem__, full) if vehicle.recent is not None]
        if outside:
            seal_open([recent for _, recent in outside])
            for vehicle, recent in outside:
                horizon_ms = recent.ends() - lateness_ms
                if vehicle.waiting is not None:  # there has to be a fix before each of those
                    horizon_ms = min(horizon_ms, vehicle.waiting.oldest_ms)
                size, count = older(recent.sealed, recent.time(0), horizon_ms)
                if size and vehicle.has_offended():
                    forget(vehicle, itertools.islice(recent, count))
                recent.drop(size, count)
                self.latest.data["kept"][vehicle.number] -= count
        if not inside:
            return
        numbers = np.array(inside)
        rows, ids = self.rows.data.take(numbers, axis=0), self.ids.data.take(numbers, axis=0)
        blocks = seal(rows[:, :BLOCK], ids[:, :BLOCK].tolist())
        self.rows.data[numbers, 0], self.ids.data[numbers, 0] = rows[:, BLOCK], ids[:, BLOCK]
        self.latest.data["opened"][numbers] = 1
        times = rows["time"]
        for number, block, first_ms, time_ms in zip(inside, blocks, times[:, 0].tolist(), times[:, BLOCK].tolist(), strict=True):
            vehicle = self.vehicles[number]
            size, count = older(vehicle.sealed, first_ms, time_ms - lateness_ms)
            if size:
                self.latest.data["kept"][number] -= count
                if vehicle.has_offended():
                    forget(vehicle, FixHistory(sealed=vehicle.sealed[:size]))
            vehicle.sealed = vehicle.sealed[size:] + block

    def _fit_ids(self, longest: int) -> None:
        """Ids of so many bytes fit."""
        if longest > self.ids.data.itemsize:
            self.ids.widen(f"S{-(-longest // 4) * 4}", MOST_OPEN)

    def recent(self, vehicle: VehicleState) -> FixHistory:
        """A vehicle's fixes, wherever they are; to be looked at only."""
        if vehicle.number < 0:
            assert vehicle.recent is not None
            return vehicle.recent
        if vehicle.recent is not None:
            return vehicle.recent
        opened = self.latest.data["opened"].item(vehicle.number)
        ids = SEPARATOR.join(self.ids.data[vehicle.number, :opened].tolist()) + SEPARATOR
        return FixHistory(self.rows.data[vehicle.number, :opened].tobytes(), ids, vehicle.sealed)

    def kept(self, numbers: np.ndarray) -> Iterator[tuple[VehicleState, tuple[bytes, bytes, bytes | tuple[int, bytes]]]]:
        """Vehicles with what is kept of their fixes: sealed blocks, rows, and ids (how wide each is, and all; with separators if taken out)."""
        store = [data.take(numbers, axis=0) for data in (self.rows.data, self.ids.data)]
        rows, ids = (column.tobytes() for column in store)
        row_step, id_step = (column.strides[0] for column in store)
        width, row, name = self.ids.data.itemsize, 0, 0
        latest = self.latest.data[numbers]
        for number, opened, seen in zip(numbers.tolist(), latest["opened"].tolist(), latest["seen"].tolist(), strict=True):
            vehicle = self.vehicles[number]
            vehicle.seen = seen
            recent = vehicle.recent
            if recent is None:
                yield vehicle, (vehicle.sealed, rows[row : row + opened * SIZE], (width, ids[name : name + opened * width]))
            else:
                yield vehicle, (recent.sealed, recent.rows, recent.ids)
            row, name = row + row_step, name + id_step

    def check_out(self, vehicle: VehicleState) -> FixHistory:
        """The vehicle's fixes as an object, which holds them from now on."""
        if vehicle.recent is None:
            vehicle.recent, vehicle.sealed = self.recent(vehicle), b""
            latest = self.latest.data[vehicle.number]
            latest["out"], latest["opened"] = True, 0
        return vehicle.recent

    def settle(self, generation: int, lateness_ms: int, forget: Callable[[VehicleState, Iterable[StoredFix]], None]) -> None:
        """Seal (see ``seal``) and write up the vehicles that were looked at; those without runs are put away."""
        if not self.touched:
            return
        full = [number for number, vehicle in self.touched.items() if vehicle.recent is not None and vehicle.recent.is_full()]
        self.seal(full, lateness_ms, forget)
        vehicles, latest = list(self.touched.values()), self.latest.data
        numbers = np.fromiter(self.touched, np.intp, len(vehicles))
        latest["due_ms"][numbers] = [vehicle.due_ms for vehicle in vehicles]
        compiled_rules = [0 if vehicle.episodes or vehicle.compiled is None or vehicle.compiled.generation != generation else vehicle.compiled.number for vehicle in vehicles]
        latest["compiled"][numbers] = compiled_rules
        latest["reported"][numbers] = [hash_of(*last_report(vehicle.reported)) for vehicle in vehicles]
        out = [(vehicle, vehicle.recent) for vehicle in vehicles if vehicle.recent is not None and vehicle.recent.rows]
        if out:
            newest = np.frombuffer(b"".join([recent.rows[-SIZE:] for _, recent in out]), ROW)
            numbers = np.array([vehicle.number for vehicle, _ in out])
            for name, field in FROM_ROW:
                latest[name][numbers] = newest[field]
            latest["load"][numbers] = [recent.load() for _, recent in out]
        self.touched.clear()
        self._put_away(vehicle for vehicle in vehicles if not vehicle.episodes and vehicle.waiting is None)

    def _put_away(self, vehicles: Iterable[VehicleState]) -> None:
        """Vehicles' fixes go to the columns, as far as they fit; what the registry says of these vehicles is looked up when it is asked for."""
        outside = [(vehicle, vehicle.recent) for vehicle in vehicles if vehicle.recent is not None and vehicle.recent.exact is None and vehicle.recent.rows]
        several: list[tuple[VehicleState, FixHistory, list[bytes]]] = []
        for vehicle, recent in outside:
            names = recent.ids[:-1].split(SEPARATOR)
            if max(map(len, names)) <= LONGEST_ID and b"\0" + SEPARATOR not in recent.ids:
                several.append((vehicle, recent, names))
        if not several:
            return
        numbers = np.array([vehicle.number for vehicle, _, _ in several])
        opened = np.array([len(names) for _, _, names in several])
        ids = [name for _, _, names in several for name in names]
        self._fit_ids(max(map(len, ids)))
        slots, places = _spread(numbers, opened)
        as_bytes(self.rows.data)[slots, places] = as_bytes(np.frombuffer(b"".join([recent.rows for _, recent, _ in several]), ROW))
        self.ids.data[slots, places] = ids
        latest = self.latest.data
        latest["out"][numbers], latest["opened"][numbers] = False, opened
        for vehicle, recent, _ in several:
            vehicle.recent, vehicle.sealed, vehicle.subject = None, recent.sealed, None


def _number_kept(vehicle: VehicleState) -> int:
    """How many fixes are kept of a vehicle that is taken out."""
    return (0 if vehicle.recent is None else len(vehicle.recent)) + (0 if vehicle.waiting is None else len(vehicle.waiting.fixes))


def _spread(numbers: np.ndarray, counts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Each number as many times as it counts, and how many of the same are before it."""
    return np.repeat(numbers, counts), np.arange(counts.sum()) - np.repeat(counts.cumsum() - counts, counts)
