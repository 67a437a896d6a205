"""The state of one partition of fixes."""

from __future__ import annotations

import msgspec
import numpy as np

from streams.vehicles.empty_run import EmptyRun
from streams.vehicles.state import VehicleState, new_vehicle_state
from streams.vehicles.store import VehicleStore
from streams.vehicles.strangers import Strangers
from streams.watermark import Arrivals


class FixPartition(msgspec.Struct):
    """The state of one partition: its vehicles' traces, its stream time, and who has open incidents to close.

    ``next_offset``: records below it have been judged, ``saved_offset``: as of the last checkpoint. ``store``: what is known
    of many vehicles at once, as of a ``generation`` of plans; ``empty_run``: how far they drove empty; ``arrivals``: what is to be said of event time at the next checkpoint;
    ``strangers``: the vehicles that no record knows.
    """

    vehicles: dict[str, VehicleState] = {}
    store: VehicleStore = msgspec.field(default_factory=VehicleStore)
    empty_run: EmptyRun = msgspec.field(default_factory=EmptyRun)
    arrivals: Arrivals = msgspec.field(default_factory=Arrivals)
    strangers: Strangers = msgspec.field(default_factory=Strangers)
    generation: int = 0
    stream_time_ms: int = -(2**62)
    next_offset: int = 0
    saved_offset: int = 0
    due: list[tuple[int, str]] = []

    def touch(self, vehicle: VehicleState) -> None:
        """The trace changed, and has to be in the next checkpoint."""
        self.store.latest.data["dirty"][self.number(vehicle)] = True

    def forget(self, vehicle: VehicleState) -> None:
        """Nothing is known of a vehicle any more."""
        vehicle_id = vehicle.vehicle_id
        del self.vehicles[vehicle_id]
        self.strangers.ids.pop(vehicle_id, None)
        self.strangers.expired[vehicle_id] = None
        if vehicle.number >= 0:
            self.store.forget(vehicle.number, new_vehicle_state(vehicle_id))

    def number(self, vehicle: VehicleState) -> int:
        """The number of its row in the columns."""
        if vehicle.number < 0:
            self.store.enter([vehicle])
        return vehicle.number

    def changed(self) -> np.ndarray:
        """The numbers of the vehicles that have changed since the last call."""
        dirty = self.store.latest.data["dirty"]
        numbers = np.flatnonzero(dirty)
        dirty[:] = False
        return numbers


def new_partition(next_offset: int = 0) -> FixPartition:
    """An empty partition with containers of its own."""
    return FixPartition(next_offset=next_offset)
