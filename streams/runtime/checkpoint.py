"""Where durability is decided: results, then state, then offsets, each awaited before the next begins.

Partition by partition, between two chunks, what has changed is taken down as bytes; chunks go on being judged while
1. every incident, rate and dead letter sent before that moment is acknowledged by the brokers;
2. every changed key is written to its stage's state topic (compacted) and acknowledged, and then each partition's mark;
3. the chunks judged before that moment are acked and their offsets committed.

So a committed offset implies durable state, and durable state implies published results. A crash between 1 and 2 replays
records whose results exist already: they come out again with the same ids and revisions. A crash between 2 and 3 replays
records that the state has seen: their offsets are below its mark, and nothing happens. No outbox is needed.
The mark says that a checkpoint is complete; without it, what was written of that checkpoint does not count. A partition's
state is read back, whole, when its first chunk arrives after an assignment (``restore``).
Between 1 and 2 every input partition of this worker says how far it has been read (``_say_reached``, watermark.py): after all
that this covers, and before the state that will not say it again.
Anything that fails ends the process at once, before anything more is acked; the supervisor starts it again.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, nullcontext
from typing import Any

from aiokafka.errors import KafkaError

from streams import metrics
from streams.city.contributions import Contribution, encode_contribution
from streams.clock import BEGINNING_MS
from streams.runtime.durable import Change, Reached, Stage
from streams.runtime.kafka_log import KafkaLog
from streams.runtime.origin import Origin
from streams.runtime.refusals import Destination, refusal
from streams.runtime.watchdog import fail_fast
from streams.watermark import INPUTS, Mark, rising
from streams.wire.topics import PARTIALS

NOBODY = Origin()
REST = 5.0
LONGEST_REST_S = 4.0
"""After a checkpoint, at least so many times as long as it took goes by before the next, up to so long: saving takes a sixth of the time at most."""
SAID_EVERY_S = 2.0
"""So often is it said how far the inputs have been read while nothing comes."""


async def _trusted(*_: object) -> None:
    """Whoever does not look takes an input partition for the one that its state is of."""


async def _granted(_: Any) -> bool:
    return True


class Checkpoint(KafkaLog):
    """The order of a checkpoint, and all that is sent in between.

    ``origin``: whose state it is; ``judging``: whoever has it may judge, or take down state; ``_running``: there is one checkpoint at a time.
    ``claim``: has the brokers write down the stream time (ms) that partitions have at offsets, if they are this worker's still;
    ``claimed``: what they have written down of one; ``verify``: raises where an input partition (topic, number, judged up to, state
    topic) is not the one that its restored state is of.
    """

    def __init__(self, bootstrap: str, origin: Origin = NOBODY) -> None:
        super().__init__(bootstrap)
        self.origin = origin
        self.judging = asyncio.Lock()
        self._running = asyncio.Lock()
        self.closed = False
        self.rest_s = 0.0
        self.stages: list[Stage] = []
        self.commit: Callable[[], Awaitable[Any]] | None = None
        self.committed: Callable[[str, int], int] = lambda topic, partition: 0
        self.assigned: Callable[[], Iterable[tuple[str, int]]] = tuple
        self.claim: Callable[[Mapping[tuple[str, int], tuple[int, int]]], Awaitable[bool]] = _granted
        self.claimed: Callable[[str, int], int] = lambda topic, partition: BEGINNING_MS
        self._said_ms = BEGINNING_MS
        self._said_at_s = float("-inf")
        self._complete_at_s = time.monotonic()
        metrics.CHECKPOINT_AGE.set_function(lambda: time.monotonic() - self._complete_at_s)
        self.verify: Callable[[str, int, int, str], Awaitable[None]] = _trusted
        self._sends: list[asyncio.Future[Any]] = []
        self._acks: dict[tuple[str, int], list[Callable[[], None]]] = {}

    async def send(
        self, topic: str, key: bytes | None, value: bytes | None, headers: Sequence[tuple[str, bytes]] = (), partition: int | None = None
    ) -> None:
        """Hand a record to the producer; the next checkpoint waits for its acknowledgement."""
        self._sends.append(await self._hand_over(Destination(topic, partition, key), value, headers))

    async def _hand_over(self, destination: Destination, value: bytes | None, headers: Sequence[tuple[str, bytes]] = ()) -> asyncio.Future[Any]:
        """What will be the acknowledgement of a record; ``WriteRefused`` where the producer does not take it."""
        producer = await self.producer()
        try:
            sent: asyncio.Future[Any] = await producer.send(destination.topic, value, destination.key, partition=destination.partition, headers=headers)
        except KafkaError as error:
            raise await refusal(producer, destination, error) from None
        self._bound[sent] = destination
        return sent

    async def judge(
        self, stage: Stage, chunk: Sequence[Any], is_current: Callable[[], bool], ack: Callable[[], None], next_offset: int | None = None
    ) -> None:
        """Judge a chunk in its turn, to be acked at the next checkpoint; one that is not current any more is left alone.

        ``next_offset``: up to there nothing follows that is to be judged.
        """
        async with self.judging:
            if not self.closed and is_current():
                await stage.process(chunk)
                if next_offset is not None and next_offset > chunk[-1].offset + 1:
                    await stage.pass_over(chunk[0].partition, next_offset)
                self._acks.setdefault((stage.state_topic, chunk[0].partition), []).append(ack)

    async def pass_over(self, stage: Stage, partition: int, next_offset: int, is_current: Callable[[], bool], ack: Callable[[], None]) -> None:
        """In its turn, enter that a partition has no record to judge below an offset; the next checkpoint makes it durable and commits it."""
        async with self.judging:
            if not self.closed and is_current():
                await stage.pass_over(partition, next_offset)
                self._acks.setdefault((stage.state_topic, partition), []).append(ack)

    async def run(self) -> None:
        """Make everything taken so far durable and commit it."""
        async with self._running:
            await self._run(self.judging)
            for stage in self.stages:
                stage.expire_standby()

    async def pause(self, work: Callable[[], Awaitable[None]]) -> None:
        """Do something while nothing is judged or saved."""
        async with self._running, self.judging:
            if not self.closed:
                await fail_fast(work())

    async def save(self) -> None:
        """Make everything durable, in a ``pause``."""
        await self._run(nullcontext())

    async def _run(self, turn: AbstractAsyncContextManager[Any]) -> None:
        quiet = not (self._acks or self._sends)
        if self.closed or (quiet and asyncio.get_running_loop().time() - self._said_at_s < SAID_EVERY_S):
            return
        started = time.perf_counter()
        ends = await self._input_ends()
        saved: list[asyncio.Future[Any]] = []
        marks: list[tuple[str, int, Change]] = []
        acks: list[Callable[[], None]] = []
        reached: dict[tuple[str, int], Reached] = {}
        for stage in self.stages:
            for number in list(stage.partitions):
                async with turn:
                    sends, changes, judged = await self._take_down(stage, number)
                    if (said := stage.reached(number)) is not None:
                        reached[stage.input_topic, number] = said
                await self._acknowledged(sends)
                saved += await self._save(stage.state_topic, number, changes[:-1])
                marks += [(stage.state_topic, number, mark) for mark in changes[-1:]]
                acks += judged
        await self._say_reached(ends, reached)
        await self._acknowledged(saved)
        await self._acknowledged([sent for topic, number, mark in marks for sent in await self._save(topic, number, [mark])])
        for ack in acks:
            ack()
        if self.commit is not None and acks:
            await self.commit()
        took_s = time.perf_counter() - started
        self.rest_s = min(REST * took_s, LONGEST_REST_S)
        metrics.CHECKPOINT.observe(took_s)
        self._complete_at_s = time.monotonic()

    async def _take_down(self, stage: Stage, number: int) -> tuple[list[asyncio.Future[Any]], list[Change], list[Callable[[], None]]]:
        """What a partition has come to: everything sent until now, its changed state, and the acks of what has been judged."""
        for topic, key, value in stage.emit(number):
            await self.send(topic, key, value)
        sends, self._sends = self._sends, []
        return sends, stage.changes(number), self._acks.pop((stage.state_topic, number), [])

    async def _input_ends(self) -> dict[tuple[str, int], int]:
        """Where the input partitions of this worker end now."""
        mine: dict[str, list[int]] = {}
        for topic, number in self.assigned():
            if topic in INPUTS:
                mine.setdefault(topic, []).append(number)
        return {(topic, number): end for topic, numbers in mine.items() for number, end in (await self.readable_ends(topic, numbers)).items()}

    async def _say_reached(self, ends: Mapping[tuple[str, int], int], reached: Mapping[tuple[str, int], Reached]) -> None:
        """Tell every partition of the partials how far this worker's input partitions have been read.

        One that had been judged to its end when this checkpoint began has been read until the last time that this was said.
        """
        producer = await self.producer()
        counts = {topic: len(await producer.partitions_for(topic)) for topic in INPUTS}
        for topic, count in counts.items():
            metrics.PARTITIONS.labels(topic).set(count)
            metrics.PARTITIONS_OWNED.labels(topic).set(sum(mine == topic for mine, _ in ends))
        marks, newest = [], dict[int, int]()
        for (topic, number), end in ends.items():
            known = reached.get((topic, number))
            next_offset = self.committed(topic, number) if known is None else known.next_offset
            until_ms = BEGINNING_MS if known is None else known.until_ms
            if next_offset >= end:
                until_ms = max(until_ms, self._said_ms)
            marks.append(Mark(topic, number, counts[topic], next_offset, until_ms, BEGINNING_MS if known is None else known.stream_time_ms))
        for known in reached.values():
            for second, event_time_ms in known.newest.items():
                newest[second] = max(newest.get(second, BEGINNING_MS), event_time_ms)
        if marks or newest:
            value = encode_contribution(Contribution(marks=marks, newest=rising(newest)))  # or it grew with the partitions
            said = [await self._hand_over(Destination(PARTIALS.name, number), value) for number in await producer.partitions_for(PARTIALS.name)]
            await self._acknowledged(said)
            self._said_ms = min(sent.result().timestamp for sent in said)
        self._said_at_s = asyncio.get_running_loop().time()

    async def before_revoke(self, drop: Callable[[], None]) -> None:
        """Partitions are about to go: checkpoint, then ``drop`` what was fetched and forget the state in memory.

        All in one turn: a chunk judged in between would be saved over the state of the next owner.
        """
        async with self._running, self.judging:
            await fail_fast(self._give_up(drop))

    async def _give_up(self, drop: Callable[[], None]) -> None:
        await self._run(nullcontext())
        drop()
        self._acks.clear()
        for stage in self.stages if not self.closed else ():
            stage.evict(await self.ends(stage.state_topic, stage.partitions))

    async def close(self) -> None:
        """A last checkpoint, then the producer's end. Chunks that arrive afterwards are left for the next owner."""
        async with self._running, self.judging:
            await fail_fast(self._run(nullcontext()))
            self.closed = True
        await self.stop()
