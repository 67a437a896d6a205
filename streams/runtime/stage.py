"""The first judging steps with their state: chunk in, results out. Thin shells around engine, rates and silences."""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Generic, Protocol, TypeVar

import msgspec
import structlog

from streams import metrics
from streams.clock import now_ms
from streams.counts import CITY_WIDE, OTHER
from streams.errors import LostState, YichengError, unreadable_state
from streams.lifecycle import OPEN
from streams.registry.registry import Registry
from streams.runtime.checkpoint import Checkpoint
from streams.runtime.dead_letters import letter
from streams.runtime.durable import Change, Reached
from streams.runtime.open_incidents import OpenIncidents
from streams.runtime.origin import refuse_foreign, signed, unsigned
from streams.runtime.pieces import Pieces
from streams.runtime.reference import Reference
from streams.runtime.refused_share import RefusedShare
from streams.wire.cloudevents import cloudevent
from streams.wire.events import DUPLICATE, REASONS, Reject
from streams.wire.events import LATE as LATE_REASON
from streams.wire.incident import IncidentData, shortened
from streams.wire.state_records import COMMIT_MARKER, RecordHeader, decode_header, encode_header, header_of
from streams.wire.topics import DEAD, INCIDENTS, LATE, Topic


class Stateful(Protocol):
    """How far a partition's state has come."""

    next_offset: int
    saved_offset: int
    stream_time_ms: int


log = structlog.get_logger()
LARGEST_EVENT_BYTES = 256_000
"""Of a message about an incident (reliability, *Whatever Kafka can hold*)."""
KEPT_S = 60.0
"""So long is the state of a lost partition kept in memory, in case that it comes back before anybody else has had it."""
P = TypeVar("P", bound=Stateful)


class StatefulStage(Generic[P]):
    """State by partition: restored when a partition's first chunk comes after an assignment, saved by the checkpoint."""

    def __init__(self, checkpoint: Checkpoint, reference: Reference, input_topic: Topic, state_topic: Topic, refused_share: RefusedShare | None = None) -> None:
        self.checkpoint = checkpoint
        self.input_topic = input_topic.name
        self.reference = reference
        self.refused_share = refused_share or RefusedShare()
        self.state_topic = state_topic.name
        self.partitions: dict[int, P] = {}
        self.standby: dict[int, tuple[P, int]] = {}
        self.standby_until_s = 0.0
        self.pieces: dict[int, Pieces] = {}
        self.open = OpenIncidents()
        if refused_share is not None:  # an input
            metrics.ARRIVAL_UNKNOWN.labels(self.input_topic)
            for reason in {*REASONS} - {DUPLICATE}:
                metrics.DEAD.labels(self.input_topic, reason)

    async def process(self, chunk: Sequence[Any]) -> None:
        """See ``Stage``."""
        raise NotImplementedError

    def emit(self, number: int) -> Iterable[tuple[str, bytes, bytes]]:
        """See ``Stage``."""
        return ()

    def new_partition(self) -> P:
        """An empty partition, with ``next_offset``, ``saved_offset`` and ``stream_time_ms``."""
        raise NotImplementedError

    def put(self, partition: P, key: str, value: bytes) -> None:
        """Enter a restored record."""
        raise NotImplementedError

    def dirty(self, partition: P, head: RecordHeader) -> Iterator[tuple[str, bytes | None]]:
        """(key, value) of what changed since the last call; None for what is to be deleted."""
        raise NotImplementedError

    async def pass_over(self, number: int, next_offset: int) -> None:
        """See ``Stage``."""
        partition = await self.partition(number)
        partition.next_offset = max(partition.next_offset, next_offset)

    async def partition(self, number: int) -> P:
        """A partition's state: in memory, or as of its last complete checkpoint."""
        if number not in self.partitions:
            kept, end = self.standby.pop(number, (None, -1))
            is_last = kept is not None and (await self.checkpoint.ends(self.state_topic, [number]))[number] == end
            # what was committed is forgotten when a topic is deleted: it may have been made anew
            if kept is not None and is_last and (not kept.next_offset or self.checkpoint.committed(self.input_topic, number)):
                self.partitions[number] = kept
            else:
                self.partitions[number] = await self._load(number)
            loaded = self.partitions[number]
            for incident_id, rule in self.open_in(loaded):
                self.open.note(incident_id, self.city, rule, OPEN)
            loaded.stream_time_ms = max(loaded.stream_time_ms, self.checkpoint.claimed(self.input_topic, number))
        return self.partitions[number]

    def mark(self, partition: P, head: RecordHeader) -> bytes:
        """What a partition's mark says."""
        return encode_header(head)

    def signed_mark(self, partition: P, head: RecordHeader) -> bytes:
        """The mark, and whose state it is."""
        return signed(self.mark(partition, head), self.checkpoint.origin)

    def put_mark(self, partition: P, value: bytes) -> None:
        """Enter what a restored mark says beside its head."""

    def open_in(self, partition: P) -> Iterable[tuple[str, str]]:
        """The incidents that are open in a partition's state: their ids and rules."""
        return ()

    @property
    def city(self) -> str:
        """The city that is judged."""
        assert self.reference.policies is not None
        return self.reference.policies.newest.pack.city.adcode

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
        if key != COMMIT_MARKER:
            self.put(partition, key, value)
            return
        head = decode_header(value)
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
        head = header_of(number, partition.next_offset, partition.stream_time_ms)
        partition.saved_offset = partition.next_offset
        changed = self.pieces.setdefault(number, Pieces()).cut(self.dirty(partition, head), head)
        return [*itertools.starmap(Change, changed), Change(COMMIT_MARKER, self.signed_mark(partition, head))]

    def reached(self, number: int) -> Reached | None:
        """See ``Stage``; partials are no input, and say nothing of themselves."""
        partition = self.partitions.get(number)
        arrivals = getattr(partition, "arrivals", None)
        if partition is None or arrivals is None:
            return None
        return Reached(self.input_topic, number, partition.next_offset, arrivals.until_ms, partition.stream_time_ms, arrivals.take_newest(now_ms()))

    def evict(self, ends: Mapping[int, int]) -> None:
        """See ``Stage``."""
        self.standby = {number: (partition, ends[number]) for number, partition in self.partitions.items()}
        self.standby_until_s = time.monotonic() + KEPT_S
        self.partitions.clear()
        self.open.clear()

    def expire_standby(self) -> None:
        """See ``Stage``."""
        if self.standby and time.monotonic() > self.standby_until_s:
            self.standby.clear()

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
        """A row that is to be published; all that a rehearsal says is synthetic."""
        return {**said, "synthetic": True} if self.checkpoint.origin.rehearsal else said

    async def announce(self, kind: str, data: IncidentData) -> IncidentData:
        """Publish one revision of an incident; all that a rehearsal says is synthetic. What was published."""
        if self.checkpoint.origin.rehearsal:
            data = msgspec.structs.replace(data, synthetic=True)
        subject, value = cloudevent(kind, data)
        if len(value) > LARGEST_EVENT_BYTES:
            data = shortened(data)
            subject, value = cloudevent(kind, data)
            log.warning("an incident is told with the beginnings of its texts only, since it is too large for a message", incident=data.incident_id, rule=data.rule)
        await self.checkpoint.send(INCIDENTS.name, subject.encode(), value)
        metrics.INCIDENTS.labels(data.city, data.rule, data.severity, kind).inc()
        self.open.note(data.incident_id, data.city, data.rule, data.state)
        return data

    async def refuse(self, rejects: Sequence[Reject], chunk: Sequence[Any]) -> None:
        """Send on where refused records of a chunk stand, and why they were refused: late ones apart, duplicates nowhere."""
        self.refused_share.note(self.input_topic, len(chunk), (reject.reason for reject in rejects))
        keys = {record.offset: record.key for record in chunk} if rejects else {}
        for reject in rejects:
            if reject.reason == DUPLICATE:
                continue
            source = chunk[0].topic
            await self.checkpoint.send(
                LATE.name if reject.reason == LATE_REASON else DEAD.name, *letter(reject, source, chunk[0].partition, keys[reject.record.offset])
            )
            metrics.DEAD.labels(source, reject.reason).inc()


def enterprise_label(registry: Registry, enterprise_id: str) -> str:
    """A bounded metric label: the registered enterprise, ``*`` for all, else ``other``."""
    return enterprise_id if enterprise_id == CITY_WIDE or registry.knows("enterprise", enterprise_id) else OTHER
