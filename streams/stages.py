"""The first judging steps with their state: chunk in, results out. Thin shells around engine, rates and silences."""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Generic, Protocol, TypeVar

from streams import metrics
from streams.checkpoint import Change, Checkpoint, Reached
from streams.cloudevents import cloudevent, incident_data
from streams.credit import Charge, charge_of
from streams.dead_letters import letter
from streams.driven import Driven
from streams.engine import Engine, FixPartition, new_partition
from streams.errors import LostState, YichengError, unreadable_state
from streams.events import DUPLICATE, Reject
from streams.events import LATE as LATE_REASON
from streams.findings import FindingKey, Sighting
from streams.incidents import CLOSED, OPEN, Trace, Transition
from streams.origin import refuse_foreign, signed, unsigned
from streams.parcels import DayKey, Parcel
from streams.partials import Partial, encode_partial
from streams.pieces import Pieces
from streams.rates import CITY_WIDE, FEATURES, OTHER, Counts, ScanPartition, by_registry, count_scans, new_scan_partition, shared_day, state_key
from streams.reference import Reference
from streams.registry import Registry
from streams.sightings import Sightings
from streams.silences import HeartbeatPartition, in_parts, take_heartbeats
from streams.state import (
    MARK,
    Head,
    decode_driven,
    decode_fields,
    decode_head,
    decode_trace,
    encode_fields,
    encode_head,
    encode_traces,
    has_fields,
    head_of,
)
from streams.topics import DEAD, GPS, HEARTBEAT, HEARTBEAT_STATE, INCIDENTS, LATE, PARCEL_STATE, PARTIALS, SCAN, VEHICLE_STATE, Topic


class Stateful(Protocol):
    """How far a partition's state has come."""

    next_offset: int
    saved_offset: int
    stream_time_ms: int


LONGEST_HEAD = 40
"""Bytes of a state record that is nothing but a head."""
PAGES_SINCE = 7
"""Since this version of the state a finding's scans are kept in pages; before, all in one record."""
KEPT_S = 60.0
"""So long is the state of a lost partition kept in memory, in case that it comes back before anybody else has had it."""
P = TypeVar("P", bound=Stateful)


class StatefulStage(Generic[P]):
    """State by partition: restored when a partition's first chunk comes after an assignment, saved by the checkpoint."""

    def __init__(self, checkpoint: Checkpoint, reference: Reference, input_topic: Topic, state_topic: Topic) -> None:
        self.checkpoint = checkpoint
        self.input_topic = input_topic.name
        self.reference = reference
        self.state_topic = state_topic.name
        self.partitions: dict[int, P] = {}
        self.kept: dict[int, tuple[P, int]] = {}
        self.kept_until_s = 0.0
        self.pieces: dict[int, Pieces] = {}
        checkpoint.stages.append(self)

    async def take(self, chunk: Sequence[Any]) -> None:
        """See ``Stage``."""
        raise NotImplementedError

    def results(self, number: int) -> Iterable[tuple[str, bytes, bytes]]:
        """See ``Stage``."""
        return ()

    def new_partition(self) -> P:
        """An empty partition, with ``next_offset``, ``saved_offset`` and ``stream_time_ms``."""
        raise NotImplementedError

    def put(self, partition: P, key: str, value: bytes) -> None:
        """Enter a restored record."""
        raise NotImplementedError

    def dirty(self, partition: P, head: Head) -> Iterator[tuple[str, bytes | None]]:
        """(key, value) of what changed since the last call; None for what is to be deleted."""
        raise NotImplementedError

    async def pass_over(self, number: int, next_offset: int) -> None:
        """See ``Stage``."""
        partition = await self.partition(number)
        partition.next_offset = max(partition.next_offset, next_offset)

    async def partition(self, number: int) -> P:
        """A partition's state: in memory, or as of its last complete checkpoint."""
        if number not in self.partitions:
            kept, end = self.kept.pop(number, (None, -1))
            is_last = kept is not None and (await self.checkpoint.ends(self.state_topic, [number]))[number] == end
            # what was committed is forgotten when a topic is deleted: it may have been made anew
            if kept is not None and is_last and (not kept.next_offset or self.checkpoint.committed(self.input_topic, number)):
                self.partitions[number] = kept
                self.taken_up(kept)
            else:
                self.partitions[number] = await self._load(number)
            loaded = self.partitions[number]
            loaded.stream_time_ms = max(loaded.stream_time_ms, self.checkpoint.claimed(self.input_topic, number))
        return self.partitions[number]

    def mark(self, partition: P, head: Head) -> bytes:
        """What a partition's mark says."""
        return encode_head(head)

    def signed_mark(self, partition: P, head: Head) -> bytes:
        """The mark, and whose state it is."""
        return signed(self.mark(partition, head), self.checkpoint.origin)

    def put_mark(self, partition: P, value: bytes) -> None:
        """Enter what a restored mark says beside its head."""

    def taken_up(self, partition: P) -> None:
        """A partition has come back before anybody else had it."""

    async def _load(self, number: int) -> P:
        partition = self.new_partition()
        for key, value in (await self.restore(number)).items():
            try:
                self._put_record(partition, number, key, value)
            except YichengError:
                raise
            except Exception as error:  # noqa: BLE001 - whatever is wrong with it, what it said is lost
                raise unreadable_state(self.state_topic, number, key, error) from None
        await self.checkpoint.verify(self.input_topic, number, partition.next_offset, self.state_topic)
        return partition

    def _put_record(self, partition: P, number: int, key: str, value: bytes) -> None:
        if key != MARK:
            self.put(partition, key, value)
            return
        head = decode_head(value)
        if head.version > 2 and not isinstance(head.stream_time_ms, int):  # another place in records of version 2
            raise TypeError("a mark without a time")
        partition.next_offset = partition.saved_offset = head.next_offset
        partition.stream_time_ms = head.stream_time_ms
        mark, origin = unsigned(value)
        refuse_foreign(f"{self.state_topic}[{number}]", origin, self.checkpoint.origin)
        self.put_mark(partition, mark)

    def changes(self, number: int) -> list[Change]:
        """See ``Stage``."""
        partition = self.partitions[number]
        if partition.saved_offset == partition.next_offset:
            return []
        head = head_of(number, partition.next_offset, partition.stream_time_ms)
        partition.saved_offset = partition.next_offset
        changed = self.pieces.setdefault(number, Pieces()).cut(self.dirty(partition, head), head)
        return [*itertools.starmap(Change, changed), Change(MARK, self.signed_mark(partition, head))]

    def reached(self, number: int) -> Reached | None:
        """See ``Stage``; partials are no input, and say nothing of themselves."""
        partition = self.partitions.get(number)
        arrivals = getattr(partition, "arrivals", None)
        if partition is None or arrivals is None:
            return None
        return Reached(self.input_topic, number, partition.next_offset, arrivals.until_ms, partition.stream_time_ms, arrivals.take_newest(wall_clock_ms()))

    def forget(self, ends: Mapping[int, int]) -> None:
        """See ``Stage``."""
        self.kept = {number: (partition, ends[number]) for number, partition in self.partitions.items()}
        self.kept_until_s = time.monotonic() + KEPT_S
        self.partitions.clear()

    def let_go(self) -> None:
        """See ``Stage``."""
        if self.kept and time.monotonic() > self.kept_until_s:
            self.kept.clear()

    async def restore(self, number: int) -> dict[str, bytes]:
        """The partition's state records by key; ``LostState`` where there must be some and there are none."""
        found = await self.checkpoint.restore(self.state_topic, number)
        committed = self.checkpoint.committed(self.input_topic, number)
        if committed and not found:
            raise LostState(
                f"{self.input_topic}[{number}] is committed up to {committed}, but its state in {self.state_topic} is gone; stop all workers and"
                " run ./yicheng topics rewind: what is retained is then judged again, under the same ids"
            )
        self.pieces[number] = Pieces()
        return self.pieces[number].join(found)

    def marked(self, said: dict[str, Any]) -> dict[str, Any]:
        """What is to be published; all that a rehearsal says is synthetic."""
        return {**said, "synthetic": True} if self.checkpoint.origin.rehearsal else said

    async def announce(self, kind: str, data: dict[str, Any]) -> Charge | None:
        """Publish one revision of an incident; what it means for its enterprise's account."""
        data = self.marked(data)
        subject, value = cloudevent(kind, data)
        await self.checkpoint.send(INCIDENTS.name, subject.encode(), value)
        assert self.reference.policies is not None
        metrics.INCIDENTS.labels(data["city"], data["rule"], data["severity"], kind).inc()
        return charge_of(data, self.reference.policies)

    async def refuse(self, rejects: Sequence[Reject], chunk: Sequence[Any]) -> None:
        """Send on where refused records stand, and why they were refused: late ones apart, duplicates nowhere."""
        keys = {record.offset: record.key for record in chunk} if rejects else {}
        for reject in rejects:
            if reject.reason == DUPLICATE:
                continue
            source = chunk[0].topic
            await self.checkpoint.send(
                LATE.name if reject.reason == LATE_REASON else DEAD.name, *letter(reject, source, chunk[0].partition, keys[reject.record.offset])
            )
            metrics.DEAD.labels(source, reject.reason).inc()


class FixStage(StatefulStage[FixPartition]):
    """Fixes → incidents."""

    def __init__(self, checkpoint: Checkpoint, reference: Reference, identity_key: bytes) -> None:
        super().__init__(checkpoint, reference, GPS, VEHICLE_STATE)
        self.identity_key = identity_key
        self.engine: Engine | None = None
        self.open: dict[str, str] = {}
        reference.on_change = self._reference_changed

    def _reference_changed(self) -> None:
        policies, registry = self.reference.policies, self.reference.registry
        assert policies is not None and registry is not None
        if self.engine is None:
            self.engine = Engine(policies, registry, self.identity_key, refuses_synthetic=not self.checkpoint.origin.rehearsal, forgets=True)
        else:
            self.engine.change(policies)
        city = policies.newest.pack.city.adcode
        for rule in (rule for policy in policies.versions for rule in policy.pack.rules):
            metrics.INCIDENTS_OPEN.labels(city, rule.rule)
            metrics.INCIDENTS.labels(city, rule.rule, rule.severity, "opened")

    async def take(self, chunk: Sequence[Any]) -> None:
        """Judge a chunk of one partition's records and send what comes of it."""
        engine = self.engine
        assert engine is not None
        number = chunk[0].partition
        partition = await self.partition(number)
        verdict = engine.judge(partition, chunk)
        partition.arrivals.read_until(chunk[-1].arrived_ms)
        await self._publish(engine, verdict.transitions)
        if verdict.transitions and chunk[-1].timestamp is not None:
            metrics.INCIDENT_LATENCY.observe(max(0.0, time.time() - chunk[-1].timestamp / 1000))
        await self.refuse(verdict.rejects, chunk)
        city = engine.policies.newest.pack.city.adcode
        for reason, count in verdict.forgotten.items():
            metrics.VEHICLES_FORGOTTEN.labels(city, reason).inc(count)
        for outcome, count in verdict.outcomes.items():
            metrics.FIXES.labels(city, outcome).inc(count)
        if verdict.chunk is not None and verdict.chunk.fixes:
            metrics.FIX_AGE.observe(max(0.0, time.time() - int(verdict.chunk.times.min()) / 1000))
        metrics.STATE_VEHICLES.set(sum(len(p.traces) for p in self.partitions.values()))

    async def _publish(self, engine: Engine, transitions: Sequence[Transition]) -> None:
        policies, registry = engine.policies, engine.planner.registry
        for transition in transitions:
            data = incident_data(transition, policies, registry)
            if charge := await self.announce(transition.kind, data):
                await self.checkpoint.send(PARTIALS.name, data["city"].encode(), encode_partial(Partial(data["city"], GPS.name, charge=charge)))
            self._count_open(transition.incident_id, data["rule"], transition.state)

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

    def _count_open(self, incident_id: str, rule: str, state: str) -> None:
        assert self.engine is not None
        gauge = metrics.INCIDENTS_OPEN.labels(self.engine.policies.newest.pack.city.adcode, rule)
        if state == OPEN and incident_id not in self.open:
            self.open[incident_id] = rule
            gauge.inc()
        elif state != OPEN and incident_id in self.open:
            del self.open[incident_id]
            gauge.dec()

    def new_partition(self) -> FixPartition:
        """See ``StatefulStage``."""
        return new_partition()

    def mark(self, partition: FixPartition, head: Head) -> bytes:
        """With the days' driving, which is the partition's and no vehicle's, and the offsets at which hours began."""
        return encode_fields((partition.driven.by_date, partition.strangers.hours), head)

    def put_mark(self, partition: FixPartition, value: bytes) -> None:
        """See ``mark``; workers before 0.1 wrote none."""
        by_date, hours = decode_driven(value) if has_fields(value) else ({}, [])
        partition.driven, partition.strangers.hours = Driven(by_date), hours

    def put(self, partition: FixPartition, key: str, value: bytes) -> None:
        """See ``StatefulStage``."""
        assert self.engine is not None
        if len(value) <= LONGEST_HEAD and not has_fields(value):  # forgotten by the checkpoint that wrote this
            partition.strangers.buried.append(key)
            return
        trace = partition.traces[key] = decode_trace(value, self.engine)
        self.engine.watch(partition, trace)
        self._count_trace(trace)

    def _count_trace(self, trace: Trace) -> None:
        for incident in trace.incidents or ():
            self._count_open(incident.incident_id, incident.run.offence.rule, incident.state)

    def dirty(self, partition: FixPartition, head: Head) -> Iterator[tuple[str, bytes | None]]:
        """See ``StatefulStage``; of a forgotten vehicle only a head is left until the next checkpoint, should this one not be completed."""
        assert self.engine is not None
        strangers = partition.strangers
        yield from ((vehicle_id, None) for vehicle_id in strangers.buried if vehicle_id not in partition.traces)
        strangers.buried = [vehicle_id for vehicle_id in strangers.expired if vehicle_id not in partition.traces]
        strangers.expired.clear()
        yield from ((vehicle_id, encode_head(head)) for vehicle_id in strangers.buried)
        yield from encode_traces(partition.columns, partition.changed(), self.engine, head)

    def results(self, number: int) -> Iterator[tuple[str, bytes, bytes]]:
        """How far the partition's vehicles drove on the days that changed."""
        partition = self.partitions[number]
        assert self.engine is not None
        city = self.engine.policies.newest.pack.city.adcode
        for date in sorted(partition.driven.changed):
            row = Partial(city, GPS.name, CITY_WIDE, date, number, partition.next_offset, driven=partition.driven.by_date[date])
            yield PARTIALS.name, city.encode(), encode_partial(row)
        partition.driven.told(self.engine.policies.newest.days, partition.stream_time_ms)

    def taken_up(self, partition: FixPartition) -> None:
        """See ``StatefulStage``."""
        for trace in partition.traces.values():
            self._count_trace(trace)

    def forget(self, ends: Mapping[int, int]) -> None:
        """See ``Stage``."""
        super().forget(ends)
        for incident_id, rule in list(self.open.items()):
            self._count_open(incident_id, rule, CLOSED)


class ScanStage(StatefulStage[ScanPartition]):
    """Scans → each partition's counts by (city, enterprise, day)."""

    def __init__(self, checkpoint: Checkpoint, reference: Reference) -> None:
        super().__init__(checkpoint, reference, SCAN, PARCEL_STATE)

    async def take(self, chunk: Sequence[Any]) -> None:
        """Count a chunk of one partition's records."""
        policies, registry = self.reference.policies, self.reference.registry
        assert policies is not None and registry is not None
        partition = await self.partition(chunk[0].partition)
        city = policies.newest.pack.city.adcode
        tally = count_scans(partition, chunk, policies, registry, by_registry(registry, city), refuses_synthetic=not self.checkpoint.origin.rehearsal)
        partition.arrivals.read_until(chunk[-1].arrived_ms)
        await self.refuse(tally.rejects, chunk)
        for (scan_city, kind, outcome), count in tally.outcomes.items():
            metrics.SCANS.labels(scan_city if scan_city == city else OTHER, kind, outcome).inc(count)
        for scan_city, took_ms in tally.deliveries:
            metrics.DELIVERY.labels(scan_city if scan_city == city else OTHER).observe(took_ms / 1000)
        for day, counted in tally.accepted.items():
            labels = (day.city if day.city == city else OTHER, enterprise_label(registry, day.enterprise_id))
            metrics.PARCELS_ACCEPTED.labels(*labels, "electronic").inc(counted.electronic)
            metrics.PARCELS_ACCEPTED.labels(*labels, "other").inc(counted.accepted - counted.electronic)
            metrics.PARCELS_PACKAGED.labels(*labels, "green").inc(counted.green)
            metrics.PARCELS_PACKAGED.labels(*labels, "other").inc(counted.accepted - counted.green)
            for what in ("accepted", *FEATURES):
                metrics.PARCELS_COUNTED.labels(*labels, what).inc(getattr(counted, what))

    def new_partition(self) -> ScanPartition:
        """See ``StatefulStage``."""
        return new_scan_partition()

    async def _load(self, number: int) -> ScanPartition:
        partition = await super()._load(number)
        assert self.reference.policies is not None
        partition.recount_minutes()
        partition.sweep(self.reference.policies.newest.days)
        partition.expired, partition.buried = [], partition.expired
        return partition

    def put(self, partition: ScanPartition, key: str, value: bytes) -> None:
        """See ``StatefulStage``."""
        kind, _, name = key.partition("\x1f")
        if kind == "parcel":
            parcel = decode_fields(value, Parcel)
            partition.parcels.put(bytes.fromhex(name), parcel._replace(day=shared_day(*parcel.day)))
            partition.parcels.settle()
        elif kind == "day":
            day, counts = decode_fields(value, tuple[DayKey, Counts])
            partition.counts[day] = counts
        elif kind == "sightings":
            finding, page, sightings = decode_fields(value, tuple[FindingKey, int, dict[str, Sighting]])
            partition.findings.setdefault(finding, Sightings()).put(page, sightings)
        elif decode_head(value).version < PAGES_SINCE:
            finding, sightings = decode_fields(value, tuple[FindingKey, dict[str, Sighting]])
            for scan, sighting in sightings.items():
                partition.findings.setdefault(finding, Sightings()).see(scan, sighting)
            partition.changed_findings[finding] = None

    def dirty(self, partition: ScanPartition, head: Head) -> Iterator[tuple[str, bytes | None]]:
        """See ``StatefulStage``."""
        for parcel_key, parcel in partition.dirty_parcels.items():  # dropped since or not: what the topic says of it may be younger
            yield state_key("parcel", parcel_key.hex()), encode_fields(parcel, head)
        for day in partition.changed_days:
            yield state_key("day", *day), encode_fields((day, partition.counts[day]), head)
        for finding in partition.changed_findings:
            sightings = partition.findings[finding]
            yield state_key("finding", *finding), encode_fields((finding, sightings.count), head)
            for page in sorted(sightings.dirty):
                yield state_key("sightings", *finding, str(page)), encode_fields((finding, page, sightings.page(page)), head)
            sightings.dirty.clear()
        buried = [(key, bytes.fromhex(key.partition("\x1f")[2]) if key.startswith("parcel") else b"") for key in partition.buried]
        partition.parcels.look_up(parcel_key for _, parcel_key in buried if parcel_key)
        for key, parcel_key in buried:
            if not parcel_key or partition.parcels.get(parcel_key) is None:  # or it was accepted again
                yield key, None
        partition.dirty_parcels.clear()
        partition.changed_days, partition.changed_findings = [], {}
        partition.expired, partition.buried = [], partition.expired

    def results(self, number: int) -> Iterator[tuple[str, bytes, bytes]]:
        """The counts of the days that changed, whole, so that a repeated message changes nothing."""
        partition = self.partitions[number]
        assert self.reference.policies is not None
        city = self.reference.policies.newest.pack.city.adcode
        findings = list(partition.dirty_findings)
        partition.changed_days = list(partition.dirty_days)
        partition.changed_findings.update(partition.dirty_findings)
        partition.dirty_days.clear()
        partition.dirty_findings.clear()
        as_of = number, partition.next_offset
        if partition.signs:
            signs, partition.signs = partition.signs, {}
            for part in in_parts(signs):
                yield PARTIALS.name, city.encode(), encode_partial(Partial(city, SCAN.name, "", "", *as_of, signs=part))
        for day in partition.changed_days:
            row = Partial(day.city, SCAN.name, day.enterprise_id, day.date, *as_of, counts=partition.counts[day], minutes=partition.changed_minutes(day))
            yield PARTIALS.name, day.city.encode(), encode_partial(row)
        for key in findings:
            row = Partial(city, SCAN.name, "", key.date, *as_of, finding=key, extent=partition.findings[key].extent())
            yield PARTIALS.name, city.encode(), encode_partial(row)


class HeartbeatStage(StatefulStage[HeartbeatPartition]):
    """Heartbeats → signs of life of cameras and feeds."""

    def __init__(self, checkpoint: Checkpoint, reference: Reference) -> None:
        super().__init__(checkpoint, reference, HEARTBEAT, HEARTBEAT_STATE)

    async def take(self, chunk: Sequence[Any]) -> None:
        """Enter a chunk of one partition's heartbeats."""
        assert self.reference.policies is not None
        partition = await self.partition(chunk[0].partition)
        registry = self.reference.registry
        rejects = take_heartbeats(partition, chunk, self.reference.policies, refuses_synthetic=not self.checkpoint.origin.rehearsal)
        partition.arrivals.read_until(chunk[-1].arrived_ms)
        for subject in [subject for subject in partition.signs if registry is None or not registry.knows(*subject.split("/", 1))]:
            del partition.signs[subject]  # nothing is expected of those
        await self.refuse(rejects, chunk)

    def new_partition(self) -> HeartbeatPartition:
        """See ``StatefulStage``."""
        return HeartbeatPartition()

    def dirty(self, partition: HeartbeatPartition, head: Head) -> Iterator[tuple[str, bytes | None]]:
        """Its mark says all."""
        return iter(())

    def results(self, number: int) -> Iterator[tuple[str, bytes, bytes]]:
        """Each subject's signs since the last checkpoint."""
        partition = self.partitions[number]
        if partition.signs:
            assert self.reference.policies is not None
            city = self.reference.policies.newest.pack.city.adcode
            signs, partition.signs = partition.signs, {}
            for part in in_parts(signs):
                yield PARTIALS.name, city.encode(), encode_partial(Partial(city, HEARTBEAT.name, "", "", number, partition.next_offset, signs=part))


def wall_clock_ms() -> int:
    """The judge's clock (ms)."""
    return time.time_ns() // 1_000_000


def enterprise_label(registry: Registry, enterprise_id: str) -> str:
    """A bounded metric label: the registered enterprise, ``*`` for all, else ``other``."""
    return enterprise_id if enterprise_id == CITY_WIDE or registry.knows("enterprise", enterprise_id) else OTHER
