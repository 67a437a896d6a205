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

Ends. A partition may end with what no record comes of: marks of transactions, aborted records, offsets that retention or
compaction took out. The last chunk of a fetch covers what follows it there; where nothing but such was fetched, an empty chunk
goes the same way, so that what is committed reaches the end of what can be read (``lag``: the last stable offset).

Fetches. aiokafka has one fetch under way per broker, and partitions with records still to be taken are not in it. When
those are all that have traffic, the fetch asks for idle partitions only, and whatever arrives meanwhile waits for it to
end: up to the 1.5 s that Faust lets a broker wait for data. Here a broker waits for ``FETCH_MAX_WAIT_MS``.

On revocation the owner first gets to make everything durable and to commit it (``before_revoke``); only then are the
ledgers cleared (#502).
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator, Mapping
from typing import Any

import structlog
from faust import Topic
from faust.transport.drivers import aiokafka as driver
from faust.types import TP, Message
from faust.types.tuples import ConsumerMessage

from streams import metrics
from streams.clock import BEGINNING_MS
from streams.runtime.chunk_ledger import ChunkLedger, ReadOffsets
from streams.runtime.consumer_thread import CHUNKED_TOPICS, ConsumerThread
from streams.runtime.kafka_log import READ_COMMITTED
from streams.runtime.watchdog import fail_fast
from streams.wire.topics import BY_BROKER

log = structlog.get_logger()


async def _only_drop(drop: Callable[[], None]) -> None:
    """What happens before a revocation until someone cares."""
    drop()


class ChunkConsumer(driver.Consumer):
    """Delivers chunks and commits the acked prefix of each partition's ledger."""

    chunk_records: int = 2_000
    isolation_level: str = READ_COMMITTED
    before_revoke: Callable[[Callable[[], None]], Awaitable[None]] = staticmethod(_only_drop)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self.chunks = ChunkLedger()
        self._unstamped: set[str] = set()
        self.resumed_at: Mapping[TP, int] = {}
        self.notes: dict[TP, str] = {}
        super().__init__(*args, **kwargs)
        self._read_offset = ReadOffsets()
        self.epoch = 0
        self.must_seek = False
        self._position = asyncio.Lock()

    def _new_consumer_thread(self) -> ConsumerThread:
        return ConsumerThread(self, loop=self.loop, beacon=self.beacon)

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
        self.chunks.clear()

    def stop_flow(self) -> None:
        """Stop deliveries. What is on its way may be dropped, so it has to be fetched again afterwards."""
        self.must_seek = True
        super().stop_flow()

    def is_current(self, message: Message) -> bool:
        """Whether a chunk was fetched since the last seek. An older one must be neither judged nor acked."""
        return self.chunks.holds(message)

    async def getmany(self, timeout: float) -> AsyncIterator[tuple[TP, Message]]:
        """One message per chunk for chunked topics, one per record for all others."""
        if not self.flow_active:
            await self.wait(self.can_resume_flow)
        async with self._position:
            if self.flow_active and self.must_seek and any(tp.topic in CHUNKED_TOPICS for tp in self._get_active_partitions()):
                await self._seek_back()
            epoch, active_partitions = self.epoch, self._get_active_partitions()
            # nothing in here may wait for the flow: whoever resumes it seeks first, and for that needs this lock
            fetched = self.flow_active and bool(active_partitions)
            records = await self._fetch(active_partitions, timeout) if fetched else {}
            further = await fail_fast(self._passed_over()) if fetched and not self.must_seek else {}
            messages = list(self._messages(records, further))
        generation_id = self.app.consumer_generation_id
        if not messages:
            await self.sleep(0 if active_partitions else 0.1)
            return
        delivered = False
        try:
            for tp, message in messages:
                if not self.flow_active or self.app.consumer_generation_id != generation_id:
                    return
                if tp not in active_partitions and tp not in self._buffered_partitions:
                    continue
                if message.topic in CHUNKED_TOPICS:
                    if self.epoch != epoch or self.must_seek:  # fetched again; changelog records are not, a recovery would wait for them for ever
                        continue
                    self.chunks.enter(message)
                yield tp, message
            delivered = True
        finally:
            self.must_seek = self.must_seek or not delivered  # what is not in the ledger now would count as passed over

    async def _fetch(self, active_partitions: set[TP], timeout: float) -> Mapping[TP, list[Any]]:
        try:
            return await self._getmany(active_partitions, timeout)
        except BaseException:
            self.must_seek = True  # it may have been fetched, and is lost
            raise

    async def _passed_over(self) -> dict[TP, int]:
        return self.chunks.passed_over(self._thread.positions, self._committed_offset)

    def _messages(self, records: Mapping[TP, list[Any]], further: Mapping[TP, int]) -> Iterator[tuple[TP, Message]]:
        """A message a chunk (its offset is that of the last record, or of what follows it and is none), or a record of other topics."""
        for partition, batch in records.items():
            tp = TP(*partition)
            if tp.topic not in CHUNKED_TOPICS:
                yield from ((tp, self._to_message(tp, record)) for record in batch)
                continue
            self._note_arrival(tp.topic, batch)
            for start in range(0, len(batch), self.chunk_records):
                chunk = batch[start : start + self.chunk_records]
                is_last = start + self.chunk_records >= len(batch)
                yield tp, self._chunk(tp, chunk, max(chunk[-1].offset + 1, further.get(tp, 0)) if is_last else chunk[-1].offset + 1)
        for tp in further.keys() - records.keys():
            yield tp, self._chunk(tp, [], further[tp])

    def _chunk(self, tp: TP, records: list[Any], next_offset: int) -> Message:
        generation_id = self.app.consumer_generation_id
        return ConsumerMessage(tp.topic, tp.partition, next_offset - 1, 0.0, 0, (), None, records, None, 0, 0, tp, generation_id=generation_id)

    def _note_arrival(self, topic: str, batch: list[Any]) -> None:
        """Count the records that carry their producers' time, and say so once a topic."""
        if batch[0].timestamp_type == BY_BROKER == batch[-1].timestamp_type:
            return
        metrics.ARRIVAL_UNKNOWN.labels(topic).inc(sum(record.timestamp_type != BY_BROKER for record in batch))
        if topic not in self._unstamped:
            self._unstamped.add(topic)
            log.warning("arrival is unknown: records carry their producers' time", topic=topic, hint="run: yicheng topics create")

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
        for tp in self.chunks.delivered:
            if topics is None or tp in topics or tp.topic in topics:
                yield tp

    def _new_offset(self, tp: TP) -> int | None:
        if tp.topic not in CHUNKED_TOPICS:
            return super()._new_offset(tp)
        return self.chunks.committable(tp)

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
        await self.before_revoke(self.chunks.clear)
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
        """Records that can be read and have not been acked, per chunked partition assigned here: nothing behind an open transaction."""
        for tp in self.assignment():
            _, readable = self._thread.readable_to(tp) if tp.topic in CHUNKED_TOPICS else (None, None)
            done = self._committed_offset.get(tp)
            if readable is not None and done is not None:
                yield tp, max(0, readable - done)

    def held_back(self) -> Iterable[tuple[TP, int, int]]:
        """Per chunked partition assigned here, where what can be read ends, and how many offsets an open transaction keeps back behind it."""
        for tp in self.assignment():
            end, readable = self._thread.readable_to(tp) if tp.topic in CHUNKED_TOPICS else (None, None)
            if end is not None and readable is not None:
                yield tp, readable, max(0, end - readable)


class ChunkTransport(driver.Transport):
    """aiokafka under Faust, with the chunk consumer."""

    Consumer = ChunkConsumer


class ChunkTopic(Topic):
    """A topic whose messages carry a list of records, handed over as it is."""

    def _compile_decode(self) -> None:
        async def decode(message: Message, *, propagate: bool = False) -> Any:
            return self.app.create_event(None, message.value, message.headers, message)

        self.decode = decode
