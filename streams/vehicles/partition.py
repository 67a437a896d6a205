"""The state of one partition of fixes."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec
import numpy as np

from streams.vehicles.empty_run import EmptyRun
from streams.vehicles.fleet_day import FleetDays
from streams.vehicles.state import VehicleState, new_vehicle_state
from streams.vehicles.store import VehicleStore
from streams.vehicles.strangers import Strangers
from streams.watermark import Arrivals


class FixPartition(msgspec.Struct):
    """The state of one partition: its vehicles, by id, its stream time, and its timers (``streams.vehicles.timers``): a heap of (ms, vehicle id).

    ``next_offset``: records below it have been judged, ``saved_offset``: as of the last checkpoint. ``store``: what is known of many vehicles at once,
    with rules compiled as of a ``generation``; ``empty_run``: how far they drove; ``fleet_days``: what else they came to on each day; ``arrivals``: what is to be said of event time at the
    next checkpoint; ``strangers``: the vehicles that no record knows.
    """

    vehicles: dict[str, VehicleState] = {}
    store: VehicleStore = msgspec.field(default_factory=VehicleStore)
    empty_run: EmptyRun = msgspec.field(default_factory=EmptyRun)
    fleet_days: FleetDays = msgspec.field(default_factory=FleetDays)
    arrivals: Arrivals = msgspec.field(default_factory=Arrivals)
    strangers: Strangers = msgspec.field(default_factory=Strangers)
    generation: int = 0
    stream_time_ms: int = -(2**62)
    next_offset: int = 0
    saved_offset: int = 0
    timers: list[tuple[int, str]] = []

    def touch(self, vehicle: VehicleState) -> None:
        """A vehicle changed, and has to be in the next checkpoint."""
        self.store.latest.data["dirty"][self.slot(vehicle)] = True

    def forget(self, vehicle: VehicleState) -> None:
        """Nothing is known of a vehicle any more."""
        vehicle_id = vehicle.vehicle_id
        del self.vehicles[vehicle_id]
        self.strangers.ids.pop(vehicle_id, None)
        self.strangers.expired[vehicle_id] = None
        if vehicle.slot >= 0:
            self.store.evict(vehicle.slot, new_vehicle_state(vehicle_id))

    def slot(self, vehicle: VehicleState) -> int:
        """A vehicle's slot in the store; it gets one if it has none."""
        if vehicle.slot < 0:
            self.store.add([vehicle])
        return vehicle.slot

    def slots(self, vehicle_ids: list[str]) -> np.ndarray:
        """The slots of n vehicles; those that report for the first time get one."""
        slots = self.store.index.find(vehicle_ids)
        self._readmit(slots[slots >= 0])
        if slots.min() >= 0:
            return slots
        self._admit(dict.fromkeys(vehicle_ids[index] for index in np.flatnonzero(slots < 0).tolist()))
        return self.store.index.find(vehicle_ids)

    def _readmit(self, slots: np.ndarray) -> None:
        """Vehicles that were forgotten report again."""
        for vehicle in self.store.readmit(slots):
            self.vehicles[vehicle.vehicle_id] = vehicle
            self.strangers.ids[vehicle.vehicle_id] = None

    def _admit(self, vehicle_ids: Iterable[str]) -> None:
        """Give vehicles a slot that have none: new ones, and those that were just restored."""
        for vehicle_id in [name.encode().decode() for name in vehicle_ids]:  # copies: kept for long, they would lie between what is soon dropped
            if vehicle_id not in self.vehicles:
                self.vehicles[vehicle_id] = new_vehicle_state(vehicle_id)
                self.strangers.ids[vehicle_id] = None
        admitted = [self.vehicles[vehicle_id] for vehicle_id in vehicle_ids]
        self.store.add(admitted)
        self.store.touched.update((vehicle.slot, vehicle) for vehicle in admitted if vehicle.history is not None and vehicle.history.rows)

    def changed(self) -> np.ndarray:
        """The slots of the vehicles that have changed since the last call."""
        dirty = self.store.latest.data["dirty"]
        slots = np.flatnonzero(dirty)
        dirty[:] = False
        return slots


def new_partition(next_offset: int = 0) -> FixPartition:
    """An empty partition with containers of its own."""
    return FixPartition(next_offset=next_offset)
