"""The three judging steps with their state: chunk in, results out. Thin shells around engine and rates."""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Generic, TypeVar

import msgspec
import orjson

from streams import metrics
from streams.checkpoint import Change, Checkpoint
from streams.clock import BEGINNING_MS, END_MS
from streams.cloudevents import cloudevent, day_incident_data, finding_data, incident_data
from streams.engine import Engine, FixPartition, new_partition
from streams.errors import LostState
from streams.events import DUPLICATE, Record, Reject
from streams.events import LATE as LATE_REASON
from streams.findings import Extent, Finding, FindingKey, Sighting, extent_of, joined, judge_finding
from streams.incidents import CLOSED, OPEN, Trace, Transition
from streams.policy import Policies
from streams.rates import (
    CITY_WIDE,
    Counts,
    DayIncident,
    DayJudge,
    DayKey,
    Parcel,
    ScanPartition,
    count_scans,
    new_scan_partition,
    rate_row,
    state_key,
)  # fmt: skip
from streams.reference import Reference
from streams.registry import Registry
from streams.state import MARK, Head, decode_fields, decode_head, decode_trace, encode_fields, encode_head, encode_trace, head_of
from streams.topics import CLOCK, DEAD, GPS, INCIDENTS, LATE, PARCEL_STATE, PARTIALS, RATE_STATE, RATES, SCAN, VEHICLE_STATE, Topic

KEPT_S = 60.0
"""So long is the state of a lost partition kept in memory, in case that it comes back before anybody else has had it."""
P = TypeVar("P", bound="FixPartition | ScanPartition | RatePartition")


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

    async def partition(self, number: int) -> P:
        """A partition's state: in memory, or as of its last complete checkpoint."""
        if number not in self.partitions:
            kept, end = self.kept.pop(number, (None, -1))
            if kept is not None and (await self.checkpoint.ends(self.state_topic, [number]))[number] == end:
                self.partitions[number] = kept
                self.taken_up(kept)
            else:
                self.partitions[number] = await self._load(number)
        return self.partitions[number]

    def taken_up(self, partition: P) -> None:
        """A partition has come back before anybody else had it."""

    async def _load(self, number: int) -> P:
        partition = self.new_partition()
        for key, value in (await self.restore(number)).items():
            if key == MARK:
                head = decode_head(value)
                partition.next_offset = partition.saved_offset = head.next_offset
                partition.stream_time_ms = head.stream_time_ms
            else:
                self.put(partition, key, value)
        return partition

    def changes(self, number: int) -> list[Change]:
        """See ``Stage``."""
        partition = self.partitions[number]
        if partition.saved_offset == partition.next_offset:
            return []
        head = head_of(number, partition.next_offset, partition.stream_time_ms)
        partition.saved_offset = partition.next_offset
        return [*itertools.starmap(Change, self.dirty(partition, head)), Change(MARK, encode_head(head))]

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
        return found

    async def announce(self, kind: str, data: dict[str, Any]) -> None:
        """Publish one revision of an incident."""
        subject, value = cloudevent(kind, data)
        await self.checkpoint.send(INCIDENTS.name, subject.encode(), value)
        metrics.INCIDENTS.labels(data["city"], data["rule"], data["severity"], kind).inc()

    async def refuse(self, rejects: Sequence[Reject], chunk: Sequence[Any]) -> None:
        """Send refused records on, unchanged, with the reason: late ones apart, duplicates nowhere."""
        keys = {record.offset: record.key for record in chunk} if rejects else {}
        for reject in rejects:
            if reject.reason == DUPLICATE:
                continue
            topic = LATE.name if reject.reason == LATE_REASON else DEAD.name
            source = chunk[0].topic
            headers = {
                "reason": reject.reason, "error": reject.error, "topic": source,
                "partition": str(chunk[0].partition), "offset": str(reject.record.offset),
            }  # fmt: skip
            key = keys[reject.record.offset]
            await self.checkpoint.send(topic, key, reject.record.value, [(name, text.encode()) for name, text in headers.items()])
            metrics.DEAD.labels(source, reject.reason).inc()


class FixStage(StatefulStage[FixPartition]):
    """Fixes → incidents."""

    def __init__(self, checkpoint: Checkpoint, reference: Reference, identity_key: bytes) -> None:
        super().__init__(checkpoint, reference, GPS, VEHICLE_STATE)
        self.identity_key = identity_key
        self.engine: Engine | None = None
        self.taken_at_s: dict[int, float] = {}
        self.told_ms: dict[int, int] = {}
        self.open: dict[str, str] = {}
        reference.on_change = self._reference_changed

    def _reference_changed(self) -> None:
        policies, registry = self.reference.policies, self.reference.registry
        assert policies is not None and registry is not None
        if self.engine is None:
            self.engine = Engine(policies, registry, self.identity_key)
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
        self.taken_at_s[number] = time.monotonic()
        verdict = engine.judge(partition, [Record(r.value, r.offset, r.timestamp) for r in chunk])
        await self._publish(engine, verdict.transitions)
        if verdict.transitions:
            metrics.INCIDENT_LATENCY.observe(max(0.0, time.time() - chunk[-1].timestamp / 1000))
        await self.refuse(verdict.rejects, chunk)
        city = engine.policies.newest.pack.city.adcode
        for outcome, count in verdict.outcomes.items():
            metrics.FIXES.labels(city, outcome).inc(count)
        if verdict.accepted:
            metrics.FIX_AGE.observe(max(0.0, time.time() - min(fix.event_time_ms for fix in verdict.accepted) / 1000))
        metrics.STATE_VEHICLES.set(sum(len(p.traces) for p in self.partitions.values()))

    async def _publish(self, engine: Engine, transitions: Sequence[Transition]) -> None:
        policies, registry = engine.policies, engine.planner.registry
        for transition in transitions:
            data = incident_data(transition, policies, registry)
            await self.announce(transition.kind, data)
            self._count_open(transition.incident_id, data["rule"], transition.state)

    async def overtake(self, drained: Iterable[int], idle_after_s: float) -> None:
        """Let partitions without traffic follow the others, so that their incidents close (and their silences open).

        A drained partition that has had no record for ``idle_after_s`` takes over the furthest stream time of all
        partitions, less the lateness. The clock only decides when; so that a crash cannot make the same revision say two
        things, the new stream time is in the state before anything that follows from it is published.
        """
        engine = self.engine
        if engine is None:
            return
        target_ms = self.reference.stream_time_ms - engine.policies.lateness_ms
        now_s = time.monotonic()
        for number in drained:
            if now_s - self.taken_at_s.setdefault(number, now_s) < idle_after_s:
                continue
            partition = await self.partition(number)
            if partition.saved_offset != partition.next_offset:
                continue
            if partition.stream_time_ms < target_ms:
                await self.checkpoint.write(self.state_topic, MARK, encode_head(head_of(number, partition.next_offset, target_ms)), number)
                partition.stream_time_ms = target_ms
            verdict = engine.judge(partition, [])
            if verdict.transitions:
                partition.saved_offset = -1
                await self._publish(engine, verdict.transitions)

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

    def put(self, partition: FixPartition, key: str, value: bytes) -> None:
        """See ``StatefulStage``."""
        assert self.engine is not None
        trace = partition.traces[key] = decode_trace(value, self.engine)
        self.engine.watch(partition, trace)
        self._count_trace(trace)

    def _count_trace(self, trace: Trace) -> None:
        for incident in trace.incidents or ():
            self._count_open(incident.incident_id, incident.run.offence.rule, incident.state)

    def dirty(self, partition: FixPartition, head: Head) -> Iterator[tuple[str, bytes]]:
        """See ``StatefulStage``."""
        assert self.engine is not None
        for trace in partition.dirty:
            trace.dirty = False
            yield trace.vehicle_id, encode_trace(trace, self.engine, head)
        partition.dirty.clear()

    def results(self, number: int) -> Iterator[tuple[str, bytes, bytes]]:
        """How far the partition has come, for those without traffic."""
        stream_time_ms = self.partitions[number].stream_time_ms
        if stream_time_ms >= self.told_ms.get(number, 0) + 1_000:
            self.told_ms[number] = stream_time_ms
            yield CLOCK.name, str(number).encode(), str(stream_time_ms).encode()

    def taken_up(self, partition: FixPartition) -> None:
        """See ``StatefulStage``."""
        for trace in partition.traces.values():
            self._count_trace(trace)

    def forget(self, ends: Mapping[int, int]) -> None:
        """See ``Stage``."""
        super().forget(ends)
        self.taken_at_s.clear()
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
        tally = count_scans(partition, [Record(r.value, r.offset, r.timestamp) for r in chunk], policies, registry)
        await self.refuse(tally.rejects, chunk)
        city = policies.newest.pack.city.adcode
        for (scan_city, kind, outcome), count in tally.outcomes.items():
            metrics.SCANS.labels(scan_city if scan_city == city else "other", kind, outcome).inc(count)
        for day, counted in tally.accepted.items():
            labels = (day.city if day.city == city else "other", enterprise_label(registry, day.enterprise_id))
            metrics.PARCELS_ACCEPTED.labels(*labels, "electronic").inc(counted.electronic)
            metrics.PARCELS_ACCEPTED.labels(*labels, "other").inc(counted.accepted - counted.electronic)
            metrics.PARCELS_PACKAGED.labels(*labels, "green").inc(counted.green)
            metrics.PARCELS_PACKAGED.labels(*labels, "other").inc(counted.accepted - counted.green)

    def new_partition(self) -> ScanPartition:
        """See ``StatefulStage``."""
        return new_scan_partition()

    async def _load(self, number: int) -> ScanPartition:
        partition = await super()._load(number)
        assert self.reference.policies is not None
        partition.sweep(self.reference.policies.newest.days)
        partition.expired, partition.buried = [], partition.expired
        return partition

    def put(self, partition: ScanPartition, key: str, value: bytes) -> None:
        """See ``StatefulStage``."""
        kind, _, name = key.partition("\x1f")
        if kind == "parcel":
            partition.parcels[name] = decode_fields(value, Parcel)
        elif kind == "day":
            day, counts = decode_fields(value, tuple[DayKey, Counts])
            partition.counts[day] = counts
        else:
            finding, sightings = decode_fields(value, tuple[FindingKey, dict[str, Sighting]])
            partition.findings[finding] = sightings

    def dirty(self, partition: ScanPartition, head: Head) -> Iterator[tuple[str, bytes | None]]:
        """See ``StatefulStage``."""
        for name in partition.dirty_parcels:
            if parcel := partition.parcels.get(name):
                yield state_key("parcel", name), encode_fields(parcel, head)
        for day in partition.changed_days:
            yield state_key("day", *day), encode_fields((day, partition.counts[day]), head)
        for finding in partition.changed_findings:
            yield state_key("finding", *finding), encode_fields((finding, partition.findings[finding]), head)
        for key in partition.buried:
            if key.partition("\x1f")[2] not in partition.parcels:
                yield key, None
        partition.dirty_parcels.clear()
        partition.changed_days, partition.changed_findings = [], []
        partition.expired, partition.buried = [], partition.expired

    def results(self, number: int) -> Iterator[tuple[str, bytes, bytes]]:
        """The counts of the days that changed, whole, so that a repeated message changes nothing."""
        partition = self.partitions[number]
        if partition.stream_time_ms > partition.told_ms and partition.counts and not partition.dirty_days:
            partition.dirty_days[max(partition.counts, key=lambda day: day.date)] = None  # its counts are the same, but time has passed
        partition.told_ms = partition.stream_time_ms
        assert self.reference.policies is not None
        city = self.reference.policies.newest.pack.city.adcode
        partition.changed_days, partition.changed_findings = list(partition.dirty_days), list(partition.dirty_findings)
        partition.dirty_days.clear()
        partition.dirty_findings.clear()
        as_of = number, partition.next_offset, partition.stream_time_ms
        for day in partition.changed_days:
            yield PARTIALS.name, day.city.encode(), msgspec.json.encode(Partial(*day, *as_of, counts=partition.counts[day]))
        for key in partition.changed_findings:
            row = Partial(city, "", key.date, *as_of, finding=key, extent=extent_of(partition.findings[key].values()))
            yield PARTIALS.name, city.encode(), msgspec.json.encode(row)


class Partial(msgspec.Struct, omit_defaults=True):
    """One scan partition's counts of one day, or what it has found against someone, as of an offset (``courier.partials.v1``, internal)."""

    city: str
    enterprise_id: str
    date: str
    partition: int
    next_offset: int
    stream_time_ms: int
    counts: Counts | None = None
    finding: FindingKey | None = None
    extent: Extent | None = None


class RateState(msgspec.Struct):
    """What is kept of one (city, enterprise or ``*``, day): the latest counts by enterprise and scan partition, incidents by rule."""

    partials: dict[str, tuple[int, Counts]] = {}
    incidents: dict[str, DayIncident] = {}
    total: Counts | None = None

    def update(self, partial: Partial) -> bool:
        """Take in a partition's counts unless newer ones are known; whether they were."""
        source = f"{partial.enterprise_id}/{partial.partition}"
        known = self.partials.get(source)
        if partial.counts is None or (known is not None and known[0] > partial.next_offset):
            return False
        self.partials[source] = (partial.next_offset, partial.counts)
        self.total = None
        return True

    def counts(self) -> Counts:
        """The sum over partitions and enterprises."""
        if self.total is None:
            self.total = Counts()
            for _, counts in self.partials.values():
                self.total.merge(counts)
        return self.total


class FindingState(msgspec.Struct, array_like=True):
    """What is kept of one finding: the latest extent by scan partition, and the incident."""

    partials: dict[int, tuple[int, Extent]] = {}
    incident: Finding | None = None

    def update(self, partial: Partial) -> bool:
        """Take in a partition's extent unless a newer one is known; whether it was."""
        known = self.partials.get(partial.partition)
        if partial.extent is None or (known is not None and known[0] > partial.next_offset):
            return False
        self.partials[partial.partition] = (partial.next_offset, partial.extent)
        return True


class RatePartition(msgspec.Struct):
    """The days and findings of a partition of partials, how far it has been read, and when the next of its days closes.

    ``dirty*``: changed since the last checkpoint, ``restored``: those whose rates are to be published anew after a restart.
    """

    days: dict[DayKey, RateState] = {}
    findings: dict[FindingKey, FindingState] = {}
    next_offset: int = 0
    saved_offset: int = 0
    stream_time_ms: int = BEGINNING_MS
    closing_ms: int = BEGINNING_MS
    dirty: set[DayKey] = set()
    dirty_findings: set[FindingKey] = set()
    restored: set[DayKey] = set()


class RateStage(StatefulStage[RatePartition]):
    """Partial counts → rates, and incidents about days, outlets and enterprises.

    Days are judged record by record, so that a replay in other chunks repeats the same revisions.
    """

    def __init__(self, checkpoint: Checkpoint, reference: Reference, identity_key: bytes) -> None:
        super().__init__(checkpoint, reference, PARTIALS, RATE_STATE)
        self.identity_key = identity_key

    async def take(self, chunk: Sequence[Any]) -> None:
        """Sum a chunk of partial counts and publish the rates that changed."""
        policies, registry = self.reference.policies, self.reference.registry
        assert policies is not None and registry is not None
        number = chunk[0].partition
        partition = await self.partition(number)
        judge = DayJudge(policies, registry, self.identity_key)
        touched, partition.restored = partition.restored, set()
        for record in chunk:
            if record.offset < partition.next_offset:
                continue
            partition.next_offset = record.offset + 1
            partial = msgspec.json.decode(record.value, type=Partial)
            changed, found = self._update(partition, partial)
            touched.update(changed)
            if partial.stream_time_ms > partition.stream_time_ms:
                before_ms, partition.stream_time_ms = partition.stream_time_ms, partial.stream_time_ms
                closing_days, closing_findings = self._closing(partition, policies, before_ms)
                changed += closing_days
                found += closing_findings
            for key in dict.fromkeys(found):
                await self._judge_finding(partition, key, policies, registry)
            for day in changed:
                state = partition.days[day]
                for transition in judge.judge(day, state.counts(), state.incidents, partition.stream_time_ms):
                    await self.announce(transition.kind, day_incident_data(transition, policies, registry))
                    partition.dirty.add(day)
        for day in sorted(touched):
            await self._publish_rate(day, partition.days[day].counts(), partition.next_offset, registry)
        partition.dirty |= touched

    async def _judge_finding(self, partition: RatePartition, key: FindingKey, policies: Policies, registry: Registry) -> None:
        state = partition.findings[key]
        extent = joined(extent for _, extent in state.partials.values())
        state.incident, transitions = judge_finding(policies, self.identity_key, key, extent, state.incident, partition.stream_time_ms)
        partition.dirty_findings.add(key)
        for transition in transitions:
            await self.announce(transition.kind, finding_data(transition, registry))

    def _update(self, partition: RatePartition, partial: Partial) -> tuple[list[DayKey], list[FindingKey]]:
        """Enter a partial where it belongs (counts: its enterprise's day and the whole city's); what it changed."""
        if partial.finding is not None:
            if partial.finding not in partition.findings:
                partition.findings[partial.finding] = FindingState()
                partition.closing_ms = BEGINNING_MS
            return [], [partial.finding] if partition.findings[partial.finding].update(partial) else []
        changed = []
        for enterprise_id in (partial.enterprise_id, CITY_WIDE):
            day = DayKey(partial.city, enterprise_id, partial.date)
            state = partition.days.get(day)
            if state is None:
                state = partition.days[day] = RateState()
                partition.closing_ms = BEGINNING_MS
            if state.update(partial):
                changed.append(day)
        return changed, []

    def _closing(self, partition: RatePartition, policies: Policies, before_ms: int) -> tuple[list[DayKey], list[FindingKey]]:
        """The days that have closed since an earlier stream time, and the findings of such days."""
        if partition.stream_time_ms < partition.closing_ms:
            return [], []
        dates = {key.date for held in (partition.days, partition.findings) for key in held}
        closings_ms = {date: policies.newest.days.bounds_ms(date)[1] + policies.lateness_ms for date in dates}
        partition.closing_ms = min((ms for ms in closings_ms.values() if ms > partition.stream_time_ms), default=END_MS)
        closed = {date for date, ms in closings_ms.items() if before_ms < ms <= partition.stream_time_ms}
        return [day for day in partition.days if day.date in closed], [key for key in partition.findings if key.date in closed]

    async def _publish_rate(self, day: DayKey, counts: Counts, revision: int, registry: Registry) -> None:
        """The greatest ``revision`` counts: a worker that was suspended may send an older one later."""
        row = {**rate_row(day, counts), "window": day.date, "revision": revision}
        await self.checkpoint.send(RATES.name, "/".join(day).encode(), orjson.dumps(row))
        label = enterprise_label(registry, day.enterprise_id)
        if counts.accepted and label != "other":
            metrics.ELECTRONIC_RATIO.labels(day.city, label, "day").set(counts.electronic / counts.accepted)
            metrics.GREEN_RATIO.labels(day.city, label, "day").set(counts.green / counts.accepted)

    def new_partition(self) -> RatePartition:
        """See ``StatefulStage``."""
        return RatePartition()

    def put(self, partition: RatePartition, key: str, value: bytes) -> None:
        """See ``StatefulStage``."""
        if key.startswith("day"):
            day, partials, incidents = decode_fields(value, _DAY)
            partition.days[day] = RateState(partials, incidents)
            partition.restored.add(day)
        else:
            finding, state = decode_fields(value, tuple[FindingKey, FindingState])
            partition.findings[finding] = state

    def dirty(self, partition: RatePartition, head: Head) -> Iterator[tuple[str, bytes | None]]:
        """See ``StatefulStage``."""
        for day in sorted(partition.dirty):
            state = partition.days[day]
            yield state_key("day", *day), encode_fields((day, state.partials, state.incidents), head)
        for key in sorted(partition.dirty_findings):
            yield state_key("finding", *key), encode_fields((key, partition.findings[key]), head)
        partition.dirty.clear()
        partition.dirty_findings.clear()


_DAY = tuple[DayKey, dict[str, tuple[int, Counts]], dict[str, DayIncident]]


def enterprise_label(registry: Registry, enterprise_id: str) -> str:
    """A bounded metric label: the registered enterprise, ``*`` for all, else ``other``."""
    return enterprise_id if enterprise_id == CITY_WIDE or registry.knows("enterprise", enterprise_id) else "other"


