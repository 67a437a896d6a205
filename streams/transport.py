"""A Faust transport that hands an agent a whole chunk of records as one event.

Stock Faust spends about 90 CPU-µs on every event (four tasks, a conductor call, a stream step, sensors). Here the
consumer yields, per topic partition, one message whose value is the list of records of that fetch and whose offset is
the last one's. Agents stay ``@app.agent(topic)``; ``async for event in stream.noack().events()`` receives chunks.

Offsets. Each chunk is entered in a ledger when it is delivered and ticked off when it is acked; what may be committed is
the end of the longest acked prefix. Faust's own bookkeeping (``_new_offset``, ``_add_gap``) counts single offsets, commits
past messages still in flight (faust-streaming #606) and stays stock for changelog topics only. A failed commit does not
advance the committed offset (#611).

Seeks. After a table recovery Faust resumes the partitions first and seeks back to the committed offsets afterwards; what
is fetched in between is dropped on the way or comes twice. Here fetching and seeking exclude each other, a seek empties
the ledgers, and a chunk that is in no ledger (``is_current``) is neither judged nor acked.

Records. aiokafka makes a dataclass of every record and looks at each batch again for each of its records, for which it takes
longer than for all the rest of a fetch. Here a record is a ``msgspec.Struct`` with the same fields (``Fetched``).

Fetches. aiokafka has one fetch under way per broker, and partitions with records still to be taken are not in it. When
those are all that have traffic, the fetch asks for idle partitions only, and whatever arrives meanwhile waits for it to
end: up to the 1.5 s that Faust lets a broker wait for data. Here a broker waits for ``FETCH_MAX_WAIT_MS``.

On revocation the owner first gets to make everything durable and to commit it (``before_revoke``); only then are the
ledgers cleared (#502).
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import msgspec
from aiokafka.consumer import fetcher
from aiokafka.errors import CommitFailedError, CorruptRecordException, IllegalStateError
from aiokafka.structs import OffsetAndMetadata, TopicPartition
from faust import Topic
from faust.transport.drivers import aiokafka as driver
from faust.types import TP, Message
from faust.types.tuples import ConsumerMessage

from streams.clock import BEGINNING_MS
from streams.topics import CHUNKED

CHUNKED_TOPICS = frozenset(topic.name for topic in CHUNKED)
FETCH_MAX_WAIT_MS = 20


class _ReadOffsets(dict[TP, int | None]):
    """Faust's read offsets, for topics that are not chunked.

    Faust drops a message whose offset is below the partition's read offset. Around a rebalance that offset can be a
    stale one, and a chunk fetched again would vanish; the judging state has a fence of its own against repeats.
    """

    def __missing__(self, tp: TP) -> None:
        return None

    def __setitem__(self, tp: TP, offset: int | None) -> None:
        if tp.topic not in CHUNKED_TOPICS:
            super().__setitem__(tp, offset)

    def update(self, offsets: Mapping[TP, int | None]) -> None:  # type: ignore[override]
        for tp, offset in offsets.items():
            self[TP(*tp)] = offset


async def _only_drop(drop: Callable[[], None]) -> None:
    """What happens before a revocation until someone cares."""
    drop()


class Fetched(msgspec.Struct, gc=False):
    """One record, with the fields of aiokafka's ``ConsumerRecord`` (ms; bytes)."""

    topic: str
    partition: int
    offset: int
    timestamp: int
    timestamp_type: int
    key: bytes | None
    value: bytes | None
    headers: Sequence[tuple[str, bytes]]
    checksum: None = None

    @property
    def serialized_key_size(self) -> int:
        """Bytes of the key, -1 where there is none."""
        return -1 if self.key is None else len(self.key)

    @property
    def serialized_value_size(self) -> int:
        """Bytes of the value, -1 where there is none."""
        return -1 if self.value is None else len(self.value)


class _PartitionRecords(fetcher.PartitionRecords):
    """aiokafka's, but for what it makes of a record and how often it asks what. Deserialisers are Faust's business, which has none here."""

    def __iter__(self) -> Iterator[Fetched]:
        return self._records_iterator  # type: ignore[no-any-return]

    def _unpack_records(self) -> Iterator[Fetched]:
        (topic, partition), records = self._tp, self._records
        while records.has_next():
            batch = records.next_batch()
            if not batch.validate_crc():
                raise CorruptRecordException(f"{topic}[{partition}] has a batch whose checksum is wrong")
            for record in () if batch.is_control_batch else batch:
                offset = record.offset
                if offset >= self.next_fetch_offset:
                    self.next_fetch_offset = offset + 1
                    yield Fetched(topic, partition, offset, record.timestamp, record.timestamp_type, record.key, record.value, record.headers)
            self.next_fetch_offset = batch.next_offset  # beyond what compaction has taken out


fetcher.PartitionRecords = _PartitionRecords


class _ConsumerThread(driver.AIOKafkaConsumerThread):
    """Faust's, but for how long a fetch may last, and with what is written down beside committed offsets."""

    async def commit_with_notes(self, notes: Mapping[TP, tuple[int, str]]) -> bool:
        """Commit offsets with a note each; False where a partition is not this member's any more."""

        async def commit() -> bool:
            try:
                await self._ensure_consumer().commit({TopicPartition(*tp): OffsetAndMetadata(*note) for tp, note in notes.items()})
            except (CommitFailedError, IllegalStateError):
                return False
            return True

        return await self.call_thread(commit)

    async def committed_notes(self, partitions: Iterable[TP]) -> dict[TP, str]:
        """The notes beside the committed offsets of partitions that have some."""

        async def fetch() -> dict[TP, str]:
            coordinator = self._ensure_consumer()._coordinator  # noqa: SLF001 - ``committed`` keeps the note to itself
            found = await coordinator.fetch_committed_offsets([TopicPartition(*tp) for tp in partitions])
            return {TP(*tp): committed.metadata for tp, committed in found.items() if committed.metadata}

        return await self.call_thread(fetch)

    def _create_worker_consumer(self, transport: Any) -> Any:
        consumer = super()._create_worker_consumer(transport)
        consumer._fetch_max_wait_ms = FETCH_MAX_WAIT_MS  # noqa: SLF001 - Faust has no setting for it
        return consumer


class ChunkConsumer(driver.Consumer):
    """Delivers chunks and commits the acked prefix of each partition's ledger."""

    chunk_records: int = 2_000

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self.ledger: dict[TP, deque[Message]] = {}
        self.durable: dict[TP, int] = {}
        self.resumed_at: Mapping[TP, int] = {}
        self.notes: dict[TP, str] = {}
        self.before_revoke: Callable[[Callable[[], None]], Awaitable[None]] = _only_drop
        super().__init__(*args, **kwargs)
        self._read_offset = _ReadOffsets()
        self.epoch = 0
        self.must_seek = False
        self._position = asyncio.Lock()

    def _new_consumer_thread(self) -> _ConsumerThread:
        return _ConsumerThread(self, loop=self.loop, beacon=self.beacon)

    async def perform_seek(self) -> None:
        """Go back to the committed offsets: chunks fetched before belong to an ended epoch and will be fetched again."""
        async with self._position:
            await self._seek_back()

    async def seek_to_committed(self) -> Mapping[TP, int]:
        """As its name says; and to the beginning where nothing is committed yet, which aiokafka leaves where it stands."""
        committed = self.resumed_at = await super().seek_to_committed()
        self.notes = await self._thread.committed_notes(tp for tp in committed if tp.topic in CHUNKED_TOPICS)
        fresh = [tp for tp, offset in committed.items() if not offset and tp.topic in CHUNKED_TOPICS]
        if fresh:
            await self._thread.seek_to_beginning(*fresh)
        return committed

    async def _seek_back(self) -> None:
        await super().perform_seek()
        self.must_seek = False
        self.epoch += 1
        self._drop()

    def _drop(self) -> None:
        self.ledger.clear()
        self.durable.clear()

    def stop_flow(self) -> None:
        """Stop deliveries. What is on its way may be dropped, so it has to be fetched again afterwards."""
        self.must_seek = True
        super().stop_flow()

    def is_current(self, message: Message) -> bool:
        """Whether a chunk was fetched since the last seek. An older one must be neither judged nor acked."""
        return any(message is entry for entry in self.ledger.get(message.tp, ()))

    async def getmany(self, timeout: float) -> AsyncIterator[tuple[TP, Message]]:
        """One message per chunk for chunked topics, one per record for all others."""
        if not self.flow_active:
            await self.wait(self.can_resume_flow)
        async with self._position:
            if self.flow_active and self.must_seek and any(tp.topic in CHUNKED_TOPICS for tp in self._get_active_partitions()):
                await self._seek_back()
            epoch, active_partitions = self.epoch, self._get_active_partitions()
            # nothing in here may wait for the flow: whoever resumes it seeks first, and for that needs this lock
            records = await self._getmany(active_partitions, timeout) if self.flow_active and active_partitions else {}
        generation_id = self.app.consumer_generation_id
        if not records:
            await self.sleep(0 if active_partitions else 0.1)
            return
        for tp, message in self._messages(records):
            if not self.flow_active or self.app.consumer_generation_id != generation_id:
                break
            if tp not in active_partitions and tp not in self._buffered_partitions:
                continue
            if message.topic in CHUNKED_TOPICS:
                if self.epoch != epoch:  # fetched again; changelog records are not, a recovery would wait for them for ever
                    continue
                self.ledger.setdefault(tp, deque()).append(message)
            yield tp, message

    def _messages(self, records: Mapping[TP, list[Any]]) -> Iterator[tuple[TP, Message]]:
        for partition, batch in records.items():
            tp = TP(*partition)
            if tp.topic not in CHUNKED_TOPICS:
                yield from ((tp, self._to_message(tp, record)) for record in batch)
                continue
            for start in range(0, len(batch), self.chunk_records):
                chunk = batch[start : start + self.chunk_records]
                last = chunk[-1]
                yield tp, ConsumerMessage(
                    last.topic, last.partition, last.offset, last.timestamp / 1000.0, last.timestamp_type, (), None,
                    chunk, None, 0, 0, tp, generation_id=self.app.consumer_generation_id,
                )  # fmt: skip

    def on_buffer_full(self, tp: TP) -> None:
        """Keep on fetching: a full queue holds up the delivery itself, and so everything before it.

        Faust would stop fetching the partition until its queue drains. A rebalance clears the queue without draining it,
        and then nothing is ever fetched again (faust-streaming #175 and others).
        """
        if tp.topic not in CHUNKED_TOPICS:
            super().on_buffer_full(tp)

    def ack(self, message: Message) -> bool:
        """Called by streams. A chunk that a stream skips, as it does around rebalances, has not been judged: seek back."""
        if message.topic not in CHUNKED_TOPICS:
            return bool(super().ack(message))
        self._unacked_messages.discard(message)
        self.must_seek = self.must_seek or self.is_current(message)
        return True

    def judged(self, message: Message) -> None:
        """Tick a chunk off: what it says is durable. One that is in no ledger any more changes nothing."""
        message.acked = True
        self._unacked_messages.discard(message)

    def _filter_tps_with_pending_acks(self, topics: Any = None) -> Iterator[TP]:
        yield from super()._filter_tps_with_pending_acks(topics)
        for tp in self.ledger:
            if topics is None or tp in topics or tp.topic in topics:
                yield tp

    def _new_offset(self, tp: TP) -> int | None:
        if tp.topic not in CHUNKED_TOPICS:
            return super()._new_offset(tp)
        chunks = self.ledger.get(tp)
        while chunks and chunks[0].acked:
            self.durable[tp] = chunks.popleft().offset + 1
        return self.durable.get(tp)

    async def _add_gap(self, tp: TP, offset_from: int, offset_to: int) -> None:
        if tp.topic not in CHUNKED_TOPICS:
            await super()._add_gap(tp, offset_from, offset_to)

    async def _commit_offsets(self, offsets: Mapping[TP, int], start_new_transaction: bool = True) -> bool:
        assigned = self.assignment()
        mine = {tp: offset for tp, offset in offsets.items() if tp in assigned}
        if not mine or not await self._commit(mine):
            return False
        self.app.tables.on_commit(mine)
        self._committed_offset.update(mine)
        self.app.monitor.on_tp_commit(mine)
        return True

    async def on_partitions_revoked(self, revoked: set[TP]) -> None:
        """Stop the flow, let the owner make its state durable, commit, and only then forget."""
        self.stop_flow()
        self.app.flow_control.suspend()
        await self.before_revoke(self._drop)
        self.resumed_at, self.notes = {}, {}  # where others leave off is known when partitions are assigned again
        await super().on_partitions_revoked(revoked)

    async def claim(self, times_ms: Mapping[tuple[str, int], tuple[int, int]]) -> bool:
        """Commit (offset, stream time) by topic and partition; False where a partition is not this worker's any more."""
        return await self._thread.commit_with_notes({TP(*tp): (offset, str(time_ms)) for tp, (offset, time_ms) in times_ms.items()})

    def claimed_ms(self, topic: str, partition: int) -> int:
        """The stream time that was committed beside a partition's offset when it was assigned."""
        note = self.notes.get(TP(topic, partition), "")
        return int(note) if note.isdecimal() else BEGINNING_MS

    def progress(self) -> int:
        """A number that grows while chunks are judged and committed."""
        return sum(offset or 0 for offset in self._committed_offset.values())

    def lag(self) -> Iterable[tuple[TP, int]]:
        """Records between the high water mark and what has been acked, per chunked partition assigned here."""
        for tp in self.assignment():
            high_water = self.highwater(tp) if tp.topic in CHUNKED_TOPICS else None
            done = self._committed_offset.get(tp)
            if high_water is not None and done is not None:
                yield tp, max(0, high_water - done)


class ChunkTransport(driver.Transport):
    """aiokafka under Faust, with the chunk consumer."""

    Consumer = ChunkConsumer


class ChunkTopic(Topic):
    """A topic whose messages carry a list of records, handed over as it is."""

    def _compile_decode(self) -> None:
        async def decode(message: Message, *, propagate: bool = False) -> Any:
            return self.app.create_event(None, message.value, message.headers, message)

        self.decode = decode
