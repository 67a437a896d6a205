"""Fixes → incidents about vehicles, and what the fleet came to on each day. A thin shell around the engine."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from streams import metrics
from streams.city.contributions import Contribution, encode_contribution
from streams.city.incident_data import incident_data
from streams.counts import CITY_WIDE
from streams.enterprises.credit import charge_of
from streams.lifecycle import OPEN
from streams.runtime.checkpoint import Checkpoint
from streams.runtime.reference import Reference
from streams.runtime.refused_share import RefusedShare
from streams.runtime.stage import StatefulStage
from streams.vehicles.codec import decode_driven, decode_vehicle, encode_vehicles
from streams.vehicles.empty_run import EmptyRun
from streams.vehicles.engine import Engine
from streams.vehicles.fleet_day import KEY, FleetDay
from streams.vehicles.incidents import Transition
from streams.vehicles.partition import FixPartition, new_partition
from streams.vehicles.strangers import CROWDED, IDLE
from streams.wire.events import REASONS
from streams.wire.state_records import RecordHeader, decode_fields, encode_fields, encode_header, has_fields
from streams.wire.topics import GPS, PARTIALS, VEHICLE_STATE

LONGEST_HEADER = 40
"""Bytes of a state record that is nothing but a head."""


class FixStage(StatefulStage[FixPartition]):
    """Fixes → incidents."""

    def __init__(self, checkpoint: Checkpoint, reference: Reference, identity_key: bytes, refused_share: RefusedShare | None = None) -> None:
        super().__init__(checkpoint, reference, GPS, VEHICLE_STATE, refused_share)
        self.identity_key = identity_key
        self.engine: Engine | None = None

    def reference_changed(self) -> None:
        """Judge by the reference data as it is now."""
        policies, registry = self.reference.policies, self.reference.registry
        assert policies is not None and registry is not None
        if self.engine is None:
            self.engine = Engine(policies, registry, self.identity_key, refuses_synthetic=not self.checkpoint.origin.rehearsal, forgets=True)
        else:
            self.engine.change(policies)
        city = self.city
        for rule in (rule for policy in policies.versions for rule in policy.pack.rules):
            metrics.INCIDENTS_OPEN.labels(city, rule.rule)
            for transition in ("opened", "retracted"):
                metrics.INCIDENTS.labels(city, rule.rule, rule.severity, transition)
        for reason in (IDLE, CROWDED):
            metrics.VEHICLES_FORGOTTEN.labels(city, reason)
        for outcome in ("accepted", *REASONS):
            metrics.FIXES.labels(city, outcome)

    async def process(self, chunk: Sequence[Any]) -> None:
        """Judge a chunk of one partition's records and send what comes of it."""
        engine = self.engine
        assert engine is not None
        number = chunk[0].partition
        partition = await self.partition(number)
        verdict = engine.judge(partition, chunk)
        partition.arrivals.read_until(chunk[-1].arrived_ms)
        await self._publish(engine, verdict.transitions)
        if verdict.transitions and chunk[0].arrived_ms is not None:  # of the chunk's records the first has waited longest
            latency_s = max(0.0, time.time() - chunk[0].arrived_ms / 1000)
            for transition in verdict.transitions:
                metrics.INCIDENT_LATENCY.observe(latency_s, {"incident_id": transition.incident_id})
        await self.refuse(verdict.rejects, chunk)
        city = self.city
        for reason, count in verdict.forgotten.items():
            metrics.VEHICLES_FORGOTTEN.labels(city, reason).inc(count)
        for outcome, count in verdict.outcomes.items():
            metrics.FIXES.labels(city, outcome).inc(count)
        if verdict.chunk is not None and verdict.chunk.fixes:
            metrics.FIX_AGE.observe(max(0.0, time.time() - int(verdict.chunk.times.min()) / 1000))
        metrics.STATE_VEHICLES.set(sum(len(p.vehicles) for p in self.partitions.values()))

    async def _publish(self, engine: Engine, transitions: Sequence[Transition]) -> None:
        policies, registry = engine.policies, engine.compiler.registry
        for transition in transitions:
            data = await self.announce(transition.kind, incident_data(transition, policies, registry))
            if charge := charge_of(data, policies):
                await self.checkpoint.send(PARTIALS.name, data.city.encode(), encode_contribution(Contribution(data.city, GPS.name, charge=charge)))

    async def follow(self, assigned: Iterable[int]) -> None:
        """Let those partitions that are judged to their ends go by the watermark, so that their incidents close, and their silences open.

        So that a crash, or an owner that has lost the partition unawares, cannot make the same revision say two things, the
        new stream time is committed beside the offset before anything that follows from it is published: brokers refuse
        that of a worker which is not the owner any more. To be called while nothing is judged or saved.
        """
        engine = self.engine
        if engine is None:
            return
        target_ms = self.reference.watermark_ms
        ends = await self.checkpoint.readable_ends(self.input_topic, assigned)
        partitions = {number: partition for number, end in ends.items() if (partition := await self.partition(number)).next_offset >= end}
        behind = {number: partition for number, partition in partitions.items() if partition.stream_time_ms < target_ms}
        if any(partition.saved_offset != partition.next_offset for partition in behind.values()):
            await self.checkpoint.save()
        claims = {(self.input_topic, number): (partition.next_offset, target_ms) for number, partition in behind.items()}
        if claims and not await self.checkpoint.claim(claims):
            return
        for partition in behind.values():
            partition.stream_time_ms, partition.saved_offset = target_ms, -1
        for partition in partitions.values():
            await self._publish(engine, engine.judge(partition, []).transitions)

    def new_partition(self) -> FixPartition:
        """See ``StatefulStage``."""
        return new_partition()

    def mark(self, partition: FixPartition, head: RecordHeader) -> bytes:
        """With the days' driving, which is the partition's and no vehicle's, and the offsets at which hours began."""
        return encode_fields((partition.empty_run.by_date, partition.strangers.hours), head)

    def put_mark(self, partition: FixPartition, value: bytes) -> None:
        """See ``mark``; workers before 0.1 wrote none."""
        by_date, hours = decode_driven(value) if has_fields(value) else ({}, [])
        partition.empty_run, partition.strangers.hours = EmptyRun(by_date), hours

    def put(self, partition: FixPartition, key: str, value: bytes) -> None:
        """See ``StatefulStage``."""
        assert self.engine is not None
        if key.startswith(KEY):
            (partition.fleet_days.by_date[key.removeprefix(KEY)],) = decode_fields(value, tuple[FleetDay])
            return
        if len(value) <= LONGEST_HEADER and not has_fields(value):  # forgotten by the checkpoint that wrote this
            partition.strangers.pending_tombstones.append(key)
            return
        vehicle = partition.vehicles[key] = decode_vehicle(value, self.engine)
        self.engine.timers.schedule(partition, vehicle)

    def dirty(self, partition: FixPartition, head: RecordHeader) -> Iterator[tuple[str, bytes | None]]:
        """See ``StatefulStage``; of a forgotten vehicle only a head is left until the next checkpoint, should this one not be completed."""
        assert self.engine is not None
        strangers = partition.strangers
        yield from ((vehicle_id, None) for vehicle_id in strangers.pending_tombstones if vehicle_id not in partition.vehicles)
        strangers.pending_tombstones = [vehicle_id for vehicle_id in strangers.expired if vehicle_id not in partition.vehicles]
        strangers.expired.clear()
        yield from ((vehicle_id, encode_header(head)) for vehicle_id in strangers.pending_tombstones)
        yield from ((key, None if day is None else encode_fields((day,), head)) for key, day in partition.fleet_days.stored())
        yield from encode_vehicles(partition.store, partition.changed(), self.engine, head)

    def emit(self, number: int) -> Iterator[tuple[str, bytes, bytes]]:
        """How far the partition's vehicles drove, and what else they came to, on the days that changed."""
        partition = self.partitions[number]
        assert self.engine is not None
        city = self.city
        for date in sorted(partition.empty_run.changed):
            row = Contribution(city, GPS.name, CITY_WIDE, date, number, partition.next_offset, driven=partition.empty_run.by_date[date])
            yield PARTIALS.name, city.encode(), encode_contribution(row)
        for date in sorted(partition.fleet_days.changed):
            row = Contribution(city, GPS.name, CITY_WIDE, date, number, partition.next_offset, fleet=partition.fleet_days.by_date[date])
            yield PARTIALS.name, city.encode(), encode_contribution(row)
        partition.fleet_days.published(self.engine.policies.newest.days, partition.stream_time_ms)
        partition.empty_run.published(self.engine.policies.newest.days, partition.stream_time_ms)

    def open_in(self, partition: FixPartition) -> Iterator[tuple[str, str]]:
        """See ``StatefulStage``."""
        incidents = (incident for vehicle in partition.vehicles.values() for incident in vehicle.incidents or ())
        return ((incident.incident_id, incident.episode.offence.rule) for incident in incidents if incident.state == OPEN)
