"""Vehicles that no registry record knows, and when they are forgotten: anybody can make up numbers (reliability.md, Bounds). Pure.

It happens at certain offsets only, so a replay in other chunks forgets the same ones at the same places; and what counts is at which
offset a vehicle was last accepted, which is in its state. Of each hour of stream time the partition remembers at which offset it began.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import msgspec
import numpy as np

from streams.clock import DAY_MS, HOUR_MS
from streams.vehicles.state import VehicleState

if TYPE_CHECKING:
    from streams.registry.registry import Registry
    from streams.vehicles.partition import FixPartition
    from streams.wire.events import Record


EVERY = 4_096
"""Offsets divisible by this are where vehicles are forgotten."""
MOST = 10_000
"""So many of a partition are known at most, unless more have open incidents."""
AFTER_MS = 7 * DAY_MS
IDLE, CROWDED = "idle", "crowded"
"""Why one was forgotten: stream time has passed it by so much, or there were too many."""


class Strangers(msgspec.Struct):
    """What a partition knows of them.

    ``ids``: of all its vehicles that no record knows, as of a ``generation`` of the registry, and of those that are new; ``hours``: (offset, stream time) pairs,
    about one an hour; ``expired``: forgotten since the last checkpoint, ``pending_tombstones``: before, so that their state may be deleted.
    """

    ids: dict[str, None] = {}
    generation: int = -1
    hours: list[tuple[int, int]] = []
    expired: dict[str, None] = {}
    pending_tombstones: list[str] = []


def parts(records: Sequence[Record], next_offset: int) -> Iterator[tuple[bool, Sequence[Record]]]:
    """A chunk cut where vehicles are forgotten, and whether that is before each part."""
    start, before = 0, (next_offset - 1) // EVERY
    while start < len(records):
        block = records[start].offset // EVERY
        end = len(records) if records[-1].offset // EVERY == block else next(i for i in range(start, len(records)) if records[i].offset // EVERY > block)
        yield block > before, records[start:end]
        start, before = end, max(before, block)


def forget(partition: FixPartition, registry: Registry, generation: int) -> Counter[str]:
    """Forget whom nobody needs to know any more; how many, by reason."""
    strangers, now_ms = partition.strangers, partition.stream_time_ms
    maybe = strangers.ids if strangers.generation == generation else partition.vehicles
    strangers.ids = {vehicle_id: None for vehicle_id in maybe if not registry.knows("vehicle", vehicle_id)}
    strangers.generation = generation
    hours = strangers.hours
    if not hours or now_ms >= hours[-1][1] + HOUR_MS:
        hours.append((partition.next_offset, now_ms))
    while len(hours) > 1 and hours[1][1] + AFTER_MS < now_ms:
        del hours[0]
    idle_before = hours[0][0] if hours[0][1] + AFTER_MS < now_ms else 0
    known = [partition.vehicles[vehicle_id] for vehicle_id in strangers.ids]
    if not known or (not idle_before and len(known) <= MOST):
        return Counter()
    seen = np.array([_seen(partition, vehicle) for vehicle in known])
    crowd, found = len(known) - MOST, Counter[str]()
    for index in np.argsort(seen, kind="stable").tolist():
        idle = int(seen[index]) < idle_before
        if not idle and crowd <= 0:
            break
        if not _is_needed(known[index]):
            partition.forget(known[index])
            found[IDLE if idle else CROWDED] += 1
            crowd -= 1
    return found


def _seen(partition: FixPartition, vehicle: VehicleState) -> int:
    return vehicle.seen if vehicle.slot < 0 else int(partition.store.latest.data["seen"].item(vehicle.slot))


def _is_needed(vehicle: VehicleState) -> bool:
    """Whether there is anything to be told of it yet."""
    return vehicle.waiting is not None or bool(vehicle.open) or bool(vehicle.on_lines)
