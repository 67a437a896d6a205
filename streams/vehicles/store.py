"""The vehicles of a partition in columns, so that a chunk of fixes is looked up and kept at once.

Most fixes change nothing but what is newest of their vehicle, and no memory is touched for them but a few columns. A vehicle whose fix takes the
slow path is checked out: its fixes become a ``FixHistory``. It is checked in when they fit the columns again. One owner of the arrays.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from streams.fix_batch import ROW, SEPARATOR, SIZE, PackedFixes, StoredFix, marked_synthetic, report_hashes
from streams.vehicles.block_codec import BLOCK, encode_blocks, older
from streams.vehicles.growable import GrowableArray, as_bytes
from streams.vehicles.history import MOST_OPEN, FixHistory, compress_open
from streams.vehicles.id_index import IdIndex
from streams.vehicles.latest import FROM_ROW, LATEST, NOTHING_YET
from streams.vehicles.reported import last_report

if TYPE_CHECKING:
    from streams.vehicles.state import VehicleState

FEWEST_EVICTED = 4_096
"""Slots of so many evicted vehicles at least are given back together."""
SHORTEST_ID, LONGEST_ID = 8, 64
"""Bytes of an id between which the columns adapt; vehicles with longer ones stay checked out."""
Drop = Callable[["VehicleState", Iterable[StoredFix]], None]
"""Called with a vehicle that may have offended and its oldest fixes, before these are dropped from its history."""


class Stored(NamedTuple):
    """What is stored of a vehicle's fixes: compressed blocks, open rows, and ids: with separators, or all of ``id_width`` bytes."""

    compressed: bytes
    rows: bytes
    ids: bytes
    id_width: int | None


class VehicleStore:
    """n vehicles, each with a slot (``index``: of their ids): ``latest`` (``LATEST``), and their open fixes (``rows``, ``ids``), oldest first.

    ``touched``: the vehicles, by slot, that were judged one by one since the last ``flush``.
    """

    def __init__(self) -> None:
        self.index = IdIndex()
        self.evicted = 0
        self.vehicles: list[VehicleState] = []
        self.touched: dict[int, VehicleState] = {}
        self.latest = GrowableArray(LATEST)
        self.rows = GrowableArray(ROW, (MOST_OPEN,))
        self.ids = GrowableArray(f"S{SHORTEST_ID}", (MOST_OPEN,))

    def add(self, vehicles: Sequence[VehicleState]) -> None:
        """Give slots to vehicles, which are checked out."""
        first = self.latest.add(NOTHING_YET, len(vehicles))
        for rows in (self.rows, self.ids):
            rows.add(np.zeros((), rows.data.dtype), len(vehicles))
        self.vehicles += vehicles
        self.index.add([vehicle.vehicle_id for vehicle in vehicles])
        for slot, vehicle in enumerate(vehicles, first):
            vehicle.slot = slot
        self.latest.data["seen"][first : self.latest.count] = [vehicle.seen for vehicle in vehicles]
        self.latest.data["kept"][first : self.latest.count] = [_count_kept(vehicle) for vehicle in vehicles]

    def evict(self, slot: int, empty: VehicleState) -> None:
        """Nothing is known of a vehicle any more; should it come back, it begins as ``empty``."""
        empty.slot, self.vehicles[slot] = slot, empty
        self.latest.data[slot] = NOTHING_YET
        self.latest.data["evicted"][slot] = True
        self.touched.pop(slot, None)
        self.evicted += 1

    def readmit(self, slots: np.ndarray) -> list[VehicleState]:
        """Those of these vehicles that had been evicted, and are known again."""
        if not self.evicted:
            return []
        back = np.unique(slots[self.latest.data["evicted"][slots]])
        self.latest.data["evicted"][back] = False
        self.evicted -= len(back)
        return [self.vehicles[slot] for slot in back.tolist()]

    def compact(self) -> None:
        """Give back the slots of evicted vehicles, once they are many."""
        if self.evicted < max(FEWEST_EVICTED, self.latest.count // 8):
            return
        stay = np.flatnonzero(~self.latest.data["evicted"][: self.latest.count])
        vehicles = [self.vehicles[slot] for slot in stay.tolist()]
        self.touched = {}
        self.latest, self.rows, self.ids = (_selected(rows, stay) for rows in (self.latest, self.rows, self.ids))
        self.index, self.vehicles, self.evicted = IdIndex(), vehicles, 0
        if vehicles:
            self.index.add([vehicle.vehicle_id for vehicle in vehicles])
        for slot, vehicle in enumerate(vehicles):
            vehicle.slot = slot

    def latest_before(self, slots: np.ndarray, order: np.ndarray, packed: PackedFixes) -> np.ndarray:
        """What is known of the vehicles of n fixes (``LATEST``) before each: of several fixes of a vehicle each follows the one before.

        ``order`` sorts the fixes by vehicle.
        """
        latest: np.ndarray = self.latest.data.take(slots)
        mine = slots[order]
        again = np.flatnonzero(mine[1:] == mine[:-1])
        if again.size:
            for name, field in FROM_ROW:
                latest[name][order[again + 1]] = packed.rows[field][order[again]]
            latest["load"][order[again + 1]] = packed.loads[order[again]]
            latest["reported"][order[again + 1]] = packed.reported[order[again]]
        return latest

    def append(self, slots: np.ndarray, packed: PackedFixes, chosen: np.ndarray) -> list[int]:
        """Keep one fix of each of these vehicles (``chosen``: their indices), newer than all before; the slots that are full now."""
        latest = self.latest.data
        for name, field in FROM_ROW:
            latest[name][slots] = packed.rows[field][chosen]
        latest["load"][slots] = packed.loads[chosen]
        latest["dirty"][slots] = True
        latest["kept"][slots] += 1
        latest["seen"][slots] = packed.offsets[chosen]
        full: list[int] = []
        out = latest["checked_out"][slots]
        if out.any():
            full = self._append_checked_out(slots[out].tolist(), packed, chosen[out].tolist())
            slots, chosen = slots[~out], chosen[~out]
        self._fit_ids(packed.ids.itemsize)
        opened = latest["opened"][slots]
        as_bytes(self.rows.data)[slots, opened] = as_bytes(packed.rows)[chosen]
        self.ids.data[slots, opened] = packed.ids[chosen]
        latest["opened"][slots] = opened + 1
        full += slots[opened + 1 >= MOST_OPEN].tolist()
        return full

    def _append_checked_out(self, slots: list[int], packed: PackedFixes, chosen: list[int]) -> list[int]:
        full = []
        for index, slot in zip(chosen, slots, strict=True):
            history = self.vehicles[slot].history
            assert history is not None
            history.append(packed.rows[index].tobytes(), packed.names[index])
            if history.is_full():
                full.append(slot)
        return full

    def compress(self, full: Sequence[int], lateness_ms: int, drop: Drop) -> None:
        """Compress the older fixes of full vehicles, and drop those that no late fix can come before."""
        vehicles = [self.vehicles[slot] for slot in full]
        self._compress_checked_out([vehicle for vehicle in vehicles if vehicle.history is not None], lateness_ms, drop)
        slots = [vehicle.slot for vehicle in vehicles if vehicle.history is None]
        if slots:
            self._compress_slots(np.array(slots), lateness_ms, drop)

    def _compress_checked_out(self, vehicles: list[VehicleState], lateness_ms: int, drop: Drop) -> None:
        histories = [vehicle.history for vehicle in vehicles if vehicle.history is not None]
        if not histories:
            return
        compress_open(histories)
        for vehicle, history in zip(vehicles, histories, strict=True):
            horizon_ms = history.ends() - lateness_ms
            if vehicle.waiting is not None:  # there has to be a fix before each of those
                horizon_ms = min(horizon_ms, vehicle.waiting.oldest_ms)
            size, count = older(history.compressed, history.time(0), horizon_ms)
            if size and vehicle.has_offended():
                drop(vehicle, itertools.islice(history, count))
            history.drop(size, count)
            self.latest.data["kept"][vehicle.slot] -= count

    def _compress_slots(self, slots: np.ndarray, lateness_ms: int, drop: Drop) -> None:
        rows, ids = self.rows.data.take(slots, axis=0), self.ids.data.take(slots, axis=0)
        blocks = encode_blocks(rows[:, :BLOCK], ids[:, :BLOCK].tolist())
        self.rows.data[slots, 0], self.ids.data[slots, 0] = rows[:, BLOCK], ids[:, BLOCK]
        self.latest.data["opened"][slots] = 1
        times = rows["time"]
        for slot, block, first_ms, newest_ms in zip(slots.tolist(), blocks, times[:, 0].tolist(), times[:, BLOCK].tolist(), strict=True):
            vehicle = self.vehicles[slot]
            size, count = older(vehicle.compressed, first_ms, newest_ms - lateness_ms)
            if size:
                self.latest.data["kept"][slot] -= count
                if vehicle.has_offended():
                    drop(vehicle, FixHistory(compressed=vehicle.compressed[:size]))
            vehicle.compressed = vehicle.compressed[size:] + block

    def _fit_ids(self, longest: int) -> None:
        """Ids of so many bytes fit."""
        if longest > self.ids.data.itemsize:
            self.ids.widen(f"S{-(-longest // 4) * 4}", MOST_OPEN)

    def history(self, vehicle: VehicleState) -> FixHistory:
        """A vehicle's fixes, wherever they are; to be read only."""
        if vehicle.slot < 0:
            assert vehicle.history is not None
            return vehicle.history
        if vehicle.history is not None:
            return vehicle.history
        opened = self.latest.data["opened"].item(vehicle.slot)
        ids = SEPARATOR.join(self.ids.data[vehicle.slot, :opened].tolist()) + SEPARATOR
        return FixHistory(self.rows.data[vehicle.slot, :opened].tobytes(), ids, vehicle.compressed)

    def stored(self, slots: np.ndarray) -> Iterator[tuple[VehicleState, Stored]]:
        """Vehicles with what is stored of their fixes."""
        columns = [data.take(slots, axis=0) for data in (self.rows.data, self.ids.data)]
        rows, ids = (column.tobytes() for column in columns)
        row_step, id_step = (column.strides[0] for column in columns)
        width, row, name = self.ids.data.itemsize, 0, 0
        latest = self.latest.data[slots]
        for slot, opened, seen in zip(slots.tolist(), latest["opened"].tolist(), latest["seen"].tolist(), strict=True):
            vehicle = self.vehicles[slot]
            vehicle.seen = seen
            history = vehicle.history
            if history is None:
                yield vehicle, Stored(vehicle.compressed, rows[row : row + opened * SIZE], ids[name : name + opened * width], width)
            else:
                yield vehicle, Stored(history.compressed, history.rows, history.ids, None)
            row, name = row + row_step, name + id_step

    def check_out(self, vehicle: VehicleState) -> FixHistory:
        """A vehicle's fixes as an object, which holds them until it is checked in."""
        if vehicle.history is None:
            vehicle.history, vehicle.compressed = self.history(vehicle), b""
            latest = self.latest.data[vehicle.slot]
            latest["checked_out"], latest["opened"] = True, 0
        return vehicle.history

    def flush(self, generation: int, lateness_ms: int, drop: Drop) -> None:
        """Compress the full ones of the touched vehicles, enter what is newest of them, and check in those without episodes.

        ``generation``: of the compiled rules that hold.
        """
        if not self.touched:
            return
        touched, self.touched = self.touched, {}
        self.compress([slot for slot, vehicle in touched.items() if vehicle.history is not None and vehicle.history.is_full()], lateness_ms, drop)
        vehicles, slots, latest = list(touched.values()), np.fromiter(touched, np.intp, len(touched)), self.latest.data
        latest["due_ms"][slots] = [vehicle.due_ms for vehicle in vehicles]
        latest["compiled"][slots] = [_compiled_number(vehicle, generation) for vehicle in vehicles]
        plates, synthetic, driver_ids = zip(*(last_report(vehicle.reported) for vehicle in vehicles), strict=True)
        latest["reported"][slots] = marked_synthetic(report_hashes(plates, driver_ids), np.array(synthetic))
        out = [(vehicle.slot, vehicle.history) for vehicle in vehicles if vehicle.history is not None and vehicle.history.rows]
        if out:
            newest = np.frombuffer(b"".join([history.rows[-SIZE:] for _, history in out]), ROW)
            slots = np.array([slot for slot, _ in out])
            for name, field in FROM_ROW:
                latest[name][slots] = newest[field]
            latest["load"][slots] = [history.load() for _, history in out]
        self._check_in(vehicle for vehicle in vehicles if not vehicle.episodes and vehicle.waiting is None)

    def _check_in(self, vehicles: Iterable[VehicleState]) -> None:
        """Vehicles' fixes go back to the columns where they fit; what the registry says of these vehicles is looked up again when it is asked for."""
        fitting = [(vehicle, history, ids) for vehicle in vehicles if (history := vehicle.history) is not None and (ids := _fitting_ids(history)) is not None]
        if not fitting:
            return
        slots = np.array([vehicle.slot for vehicle, _, _ in fitting])
        opened = np.array([len(ids) for _, _, ids in fitting])
        every_id = [name for _, _, ids in fitting for name in ids]
        self._fit_ids(max(map(len, every_id)))
        spread_slots, places = _spread(slots, opened)
        as_bytes(self.rows.data)[spread_slots, places] = as_bytes(np.frombuffer(b"".join([history.rows for _, history, _ in fitting]), ROW))
        self.ids.data[spread_slots, places] = every_id
        latest = self.latest.data
        latest["checked_out"][slots], latest["opened"][slots] = False, opened
        for vehicle, history, _ in fitting:
            vehicle.history, vehicle.compressed, vehicle.subject = None, history.compressed, None


def _selected(rows: GrowableArray, chosen: np.ndarray) -> GrowableArray:
    """The chosen rows of an array."""
    fresh = GrowableArray(rows.data.dtype, rows.data.shape[1:])
    fresh.add(rows.data[chosen], len(chosen))
    return fresh


def _count_kept(vehicle: VehicleState) -> int:
    """How many fixes are kept of a vehicle that is checked out."""
    return (0 if vehicle.history is None else len(vehicle.history)) + (0 if vehicle.waiting is None else len(vehicle.waiting.fixes))


def _compiled_number(vehicle: VehicleState, generation: int) -> int:
    """The number of a vehicle's compiled rules; 0 where they do not hold, or where its fixes are not quiet anyway."""
    compiled = vehicle.compiled
    return 0 if vehicle.episodes or compiled is None or compiled.generation != generation else compiled.number


def _fitting_ids(history: FixHistory) -> list[bytes] | None:
    """The ids of a vehicle's open fixes, if its fixes fit the columns exactly."""
    if history.exact is not None or not history.rows or b"\0" + SEPARATOR in history.ids:
        return None
    ids = history.ids[:-1].split(SEPARATOR)
    return ids if max(map(len, ids)) <= LONGEST_ID else None


def _spread(slots: np.ndarray, counts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Each slot as many times as it counts, and how many of the same are before it."""
    return np.repeat(slots, counts), np.arange(counts.sum()) - np.repeat(counts.cumsum() - counts, counts)
