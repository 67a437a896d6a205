"""Heartbeats → signs of life of cameras and feeds."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

from streams import metrics
from streams.city.contributions import encode_contribution, of_heartbeats
from streams.counts import OTHER
from streams.enterprises.liveness import HeartbeatPartition, take_heartbeats
from streams.runtime.checkpoint import Checkpoint
from streams.runtime.reference import Reference
from streams.runtime.refused_share import RefusedShare
from streams.runtime.stage import StatefulStage
from streams.wire.state_records import RecordHeader
from streams.wire.topics import HEARTBEAT, HEARTBEAT_STATE, PARTIALS


class HeartbeatStage(StatefulStage[HeartbeatPartition]):
    """Heartbeats → signs of life of cameras and feeds."""

    def __init__(self, checkpoint: Checkpoint, reference: Reference, refused_share: RefusedShare | None = None) -> None:
        super().__init__(checkpoint, reference, HEARTBEAT, HEARTBEAT_STATE, refused_share)

    async def process(self, chunk: Sequence[Any]) -> None:
        """Enter a chunk of one partition's heartbeats."""
        assert self.reference.policies is not None
        partition = await self.partition(chunk[0].partition)
        registry = self.reference.registry
        taken = Counter[bool]()
        rejects = take_heartbeats(partition, chunk, self.reference.policies, refuses_synthetic=not self.checkpoint.origin.rehearsal, taken=taken)
        for is_own, count in taken.items():
            metrics.HEARTBEATS.labels(self.city if is_own else OTHER).inc(count)
        partition.arrivals.read_until(chunk[-1].arrived_ms)
        for subject in [subject for subject in partition.heartbeats if registry is None or not registry.knows(*subject.split("/", 1))]:
            del partition.heartbeats[subject]  # nothing is expected of those
        await self.refuse(rejects, chunk)

    def new_partition(self) -> HeartbeatPartition:
        """See ``StatefulStage``."""
        return HeartbeatPartition()

    def dirty(self, partition: HeartbeatPartition, head: RecordHeader) -> Iterator[tuple[str, bytes | None]]:
        """Its mark says all."""
        return iter(())

    def emit(self, number: int) -> Iterator[tuple[str, bytes, bytes]]:
        """Each subject's signs since the last checkpoint."""
        assert self.reference.policies is not None
        for contribution in of_heartbeats(self.partitions[number], number, self.city):
            yield PARTIALS.name, contribution.city.encode(), encode_contribution(contribution)
