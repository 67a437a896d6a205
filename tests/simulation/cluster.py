"""A cluster in one thread under a virtual clock: logs, groups and workers whose every wait is decided by a seed.

What is simulated is the broker and the network; what runs on it is the real thing: ``Checkpoint``, the stages with their
state, and the ledger of ``ChunkConsumer``. A worker can be killed or suspended wherever it awaits something, which is
wherever the outside can notice a difference. What it had sent by then arrives in part: a prefix, as a connection has it.
"""

import asyncio
import functools
import itertools
import json
import random
import zlib
from collections import defaultdict, deque
from types import SimpleNamespace
from typing import NamedTuple

from aiokafka.errors import MessageSizeTooLargeError
from faust.types import TP
from faust.types.tuples import ConsumerMessage

from streams import watermark
from streams.app import build_stages, judge_chunk
from streams.city.contributions import decode_contribution
from streams.clock import BEGINNING_MS
from streams.policy.checks import pack_record
from streams.runtime.checkpoint import Checkpoint
from streams.runtime.chunk_ledger import ChunkLedger
from streams.runtime.preflight import refuse_made_anew
from streams.runtime.reference import Reference, all_partitions
from streams.runtime.transport import ChunkConsumer
from streams.runtime.watchdog import Watchdog, fail_fast
from streams.watermark import Clock, decode_clock
from streams.wire.topics import CLOCK, FEEDBACK, GPS, HEARTBEAT, PARTIALS, POLICY, REFERENCE, REGISTRY, SCAN

PARTITIONS = 2
SESSION_S = 10.0
STARTED_MS = 1_702_000_000_000  # when the brokers' clocks show this, weeks after all events
FULL = 0.1
"""How often a send has to wait, since the producer's buffer is full."""
INPUTS = (GPS.name, SCAN.name, HEARTBEAT.name, FEEDBACK.name, PARTIALS.name)
TAIL_S = 0.2
"""So soon at the latest does a worker hear what is new of these."""


class Logged(NamedTuple):
    """A record as a consumer gets it."""

    topic: str
    partition: int
    offset: int
    key: bytes | None
    value: bytes
    headers: tuple
    timestamp: int
    control: bool = False
    """The end of a transaction, say: an offset without a record."""

    @property
    def arrived_ms(self):
        return self.timestamp


class VirtualLoop(asyncio.SelectorEventLoop):
    """Time passes only when nothing is left to do, and then at once."""

    def __init__(self):
        super().__init__()
        self._now_s = 0.0
        self._selector.select = self._pass_time

    def time(self):
        return self._now_s

    def _pass_time(self, timeout):
        if timeout is None:
            raise RuntimeError("every task waits for something that will never happen")
        self._now_s += max(0.0, timeout)
        return []


class Died(BaseException):
    """Goes through a worker's code where the real one's process would end."""


MISTAKES = (TypeError, AttributeError, NameError, LookupError)
"""What ends a worker because of how the code was written, not because of what happened to it."""


class Unsound(Exception):
    """The simulation, or what was planted in it, is broken; not an ``AssertionError``, which would pass for a bug that was caught."""


class World:
    """Broker, group coordinator and scheduler of one history."""

    def __init__(self, seed, failing_sends=0.0, started_ms=STARTED_MS):
        self.started_ms = started_ms
        self.rng = random.Random(seed)
        self.quiet = seed % 4 != 3  # in one history of four every fix takes the slow path
        self.logs = defaultdict(list)
        self.committed, self.claimed = {}, {}
        self.members, self.workers = [], []  # of the group; all that ever were
        self.generation = 0
        self.failing_sends = failing_sends
        self.tasks, self.errors = [], []
        self.loop = asyncio.get_running_loop()
        self.rebalancing = asyncio.Lock()

    def refuse_errors(self):
        """What went wrong in a task where nothing may: that is no history, and nothing can be said of its results."""
        if self.errors:
            raise Unsound(f"{len(self.errors)} tasks failed, first {self.errors[0]!r}") from self.errors[0]

    def append(self, topic, partition, key, value, headers=()):
        """Write one record; its partition follows from its key unless given."""
        if partition is None:
            partition = zlib.crc32(key or b"") % PARTITIONS
        log = self.logs[TP(topic, partition)]
        log.append(Logged(topic, partition, len(log), key, value, tuple(headers), self.now_ms()))

    def append_control(self, topic, partition):
        """Something that takes an offset and is no record."""
        log = self.logs[TP(topic, partition)]
        log.append(Logged(topic, partition, len(log), None, b"", (), self.now_ms(), control=True))

    def publish(self, packs=(), registry=()):
        """Reference data, as the commands publish them: all versions of a pack (YAML and zones), and all of a record (``kind/id``)."""
        if packs:
            self.append(POLICY.name, None, b"p", pack_record([{"yaml": pack, "geojson": zones} for pack, zones in packs]))
        for name, versions in registry:
            self.append(REGISTRY.name, None, name.encode(), json.dumps(versions).encode())

    def now_ms(self):
        """The brokers' clock."""
        return self.started_ms + round(self.loop.time() * 1000)

    def clock(self):
        """How far time has come, as the workers last said."""
        said = [decode_clock(record.value) for n in range(PARTITIONS) for record in self.logs[TP(CLOCK.name, n)]]
        return max(said, key=lambda clock: clock.read_until_ms, default=Clock())

    async def passes(self, worker, longest_s=0.05):
        """Some time of a worker's life: never ends once it is dead, and not while it is suspended."""
        ends = self.loop.create_future()

        def end():
            if worker.dead:
                return
            if worker.suspended:
                worker.held.append(end)
            else:
                ends.set_result(None)

        self.loop.call_later(self.rng.random() * longest_s, end)
        await ends

    async def rebalance(self):
        """Everyone gives up what it has, as eager groups do, and the living get new assignments."""
        async with self.rebalancing:
            self.generation += 1
            for member in list(self.members):
                if member.suspended and not member.dead:  # the coordinator waits for it while its session lasts
                    left_s = member.suspended_s + SESSION_S - self.loop.time()
                    await asyncio.wait([member.awake, member.fate], timeout=max(0.0, left_s), return_when=asyncio.FIRST_COMPLETED)
                if member.dead or member.suspended:
                    self.members.remove(member)
                else:
                    await asyncio.wait([member.start(member.revoked()), member.fate], timeout=SESSION_S, return_when=asyncio.FIRST_COMPLETED)
            living = [m for m in self.members if not (m.dead or m.suspended)]
            self.members = living
            for number, (topic, partition) in enumerate(itertools.product(INPUTS, range(PARTITIONS))):
                if living:
                    member = living[(number + self.generation) % len(living)]
                    member.assigned(TP(topic, partition), self.generation)


class Producer:
    """What a checkpoint needs of a producer: records of a partition arrive in order, later, or never."""

    def __init__(self, world, worker):
        self.world, self.worker = world, worker
        self.flying = defaultdict(deque)

    async def send(self, topic, value, key=None, partition=None, headers=()):
        if self.world.rng.random() < FULL:  # its buffer is full
            await self.world.passes(self.worker)
        if topic == PARTIALS.name and len(decode_contribution(value).newest or ()) > watermark.SECONDS_KEPT:
            raise MessageSizeTooLargeError
        return self._fly(topic, partition, [(key, value)], headers)

    def create_batch(self):
        return Batch()

    async def send_batch(self, batch, topic, partition):
        return self._fly(topic, partition, batch.records, ())

    async def partitions_for(self, topic):
        return set(range(PARTITIONS))

    async def stop(self):
        await self.world.passes(self.worker)

    def _fly(self, topic, partition, records, headers):
        future = self.world.loop.create_future()
        if not self.worker.dead:
            queue = self.flying[topic, partition]
            queue.append((records, headers, future))
            self.world.loop.call_later(self.world.rng.random() * 0.05, self._land, topic, partition)
        return future

    def _land(self, topic, partition, *, resumed=False):
        if self.worker.suspended and not resumed:
            self.worker.held.append(lambda: self._land(topic, partition, resumed=True))
            return
        queue = self.flying[topic, partition]
        if not queue or self.worker.dead:
            return
        records, headers, future = queue.popleft()
        if self.world.rng.random() < self.world.failing_sends:
            future.set_exception(OSError("the broker refused"))
            future.exception()  # looked at, should its sender be dead
            return
        for key, value in records:
            self.world.append(topic, partition, key, value, headers)
        landed = SimpleNamespace(timestamp=self.world.now_ms())
        self.world.loop.call_later(self.world.rng.random() * 0.02, lambda: future.done() or self.worker.dead or future.set_result(landed))

    def cut(self):
        """The process is gone: of what was on its way a prefix arrives."""
        for (topic, partition), queue in self.flying.items():
            for records, headers, _ in itertools.islice(queue, self.world.rng.randrange(len(queue) + 1)):
                for key, value in records:
                    self.world.append(topic, partition, key, value, headers)
            queue.clear()


class Batch:
    """As many records as fit."""

    def __init__(self):
        self.records = []

    def append(self, *, key, value, timestamp):
        if len(self.records) == 2:
            return None
        self.records.append((key, value))
        return self


class Reader:
    """What a restore needs of a consumer."""

    def __init__(self, world, worker):
        self.world, self.worker = world, worker

    async def stop(self):
        await self.world.passes(self.worker)

    async def end_offsets(self, partitions):
        await self.world.passes(self.worker)
        return {p: len(self.world.logs[TP(*p)]) for p in partitions}

    async def beginning_offsets(self, partitions):
        return dict.fromkeys(partitions, 0)

    def assign(self, partitions):
        self.source, self.at = TP(*partitions[0]), 0

    async def seek_to_beginning(self, *_):
        self.at = 0

    async def position(self, _):
        return self.at

    async def getmany(self, timeout_ms, max_records):
        await self.world.passes(self.worker)
        records = self.world.logs[self.source][self.at : self.at + self.world.rng.randrange(1, 40)]
        self.at += len(records)
        return {self.source: records}


class Worker:
    """The app of ``streams/app.py`` with a simulated consumer: agents, checkpoints, assignment and loss of partitions."""

    def __init__(self, world, name):
        self.world, self.name = world, name
        self.dead = self.suspended = False
        self.held = []
        self.fate = world.loop.create_future()
        self.producer = Producer(world, self)
        self.checkpoint = Checkpoint("nowhere:1")
        self.checkpoint._producer, self.checkpoint._reader = self.producer, Reader(world, self)
        self.checkpoint.commit = self.commit
        self.checkpoint.partition_counts = self.partition_counts
        self.checkpoint.verify = functools.partial(refuse_made_anew, self.checkpoint)
        self.checkpoint.readable_ends = self.checkpoint.ends
        self.checkpoint.committed = lambda topic, partition: self.resumed_at.get(TP(topic, partition), 0)
        self.reference = reference = Reference("nowhere:1", "p")
        self.heard = dict.fromkeys(sorted(all_partitions(dict.fromkeys([topic.name for topic in REFERENCE], PARTITIONS))), 0)
        self.hear()
        stages = build_stages(self.checkpoint, reference, b"key")
        reference._become_ready()
        assert reference.ready.is_set()
        self.fixes, self.stages = stages.fixes, {stage.input_topic: stage for stage in stages}
        self.fixes.engine.quiet = world.quiet
        self.consumer = ChunkConsumer.__new__(ChunkConsumer)
        self.consumer.chunks, self.consumer.must_seek, self.consumer._unacked_messages = ChunkLedger(), False, set()
        self.resumed_at, self.positions, self.owned = {}, {}, []
        self.checkpoint.assigned = lambda: self.owned
        self.checkpoint.claim, self.checkpoint.claimed = self.claim, lambda topic, partition: self.claims.get(TP(topic, partition), BEGINNING_MS)
        self.claims = {}
        self.generation = -1
        self.queues = {topic: asyncio.Queue() for topic in INPUTS}
        for work in (self._fetch(), self._checkpoints(), self._tail(), *(self._agent(topic) for topic in INPUTS)):
            self.start(work)
        world.members.append(self)
        world.workers.append(self)

    def hear(self):
        """Take over what is new of the reference data, as ``Reference._tail`` does."""
        changed = False
        for (topic, number), position in self.heard.items():
            log = self.world.logs[TP(topic, number)]
            for record in log[position:]:
                changed |= self.reference._apply(record)
            self.heard[topic, number] = len(log)
        if changed and self.reference.ready.is_set():
            self.reference._changed()

    async def _tail(self):
        while True:
            await self.world.passes(self, TAIL_S)
            self.hear()

    async def partition_counts(self):
        await self.world.passes(self)
        return dict.fromkeys([topic for stage in self.stages.values() for topic in (stage.input_topic, stage.state_topic)], PARTITIONS)

    def start(self, work):
        """A task of this worker: where the process would end, the worker does."""

        async def living():
            try:
                await work
            except Died as ended:
                self.kill()
                if isinstance(ended.__context__, MISTAKES):
                    self.world.errors.append(ended.__context__)
            except Exception as error:  # noqa: BLE001 - whatever it is, nobody else would hear of it
                self.world.errors.append(error)

        task = asyncio.ensure_future(living())
        self.world.tasks.append(task)  # or the dead would be collected
        return task

    async def _fetch(self):
        while True:
            await self.world.passes(self, 0.1)
            for tp, position in list(self.positions.items()):
                found = self.world.logs[tp][position : position + self.world.rng.randrange(1, 8)]
                if found:
                    self.positions[tp] = position + len(found)
                    chunk = [record for record in found if not record.control]
                    message = ConsumerMessage(tp.topic, tp.partition, found[-1].offset, 0.0, 0, (), None, chunk, None, 0, 0, tp, generation_id=self.generation)
                    self.consumer.chunks.enter(message)
                    self.queues[tp.topic].put_nowait(message)

    async def _agent(self, topic):
        while True:
            message = await self.queues[topic].get()
            await self.world.passes(self)
            await fail_fast(judge_chunk(self, message, message.value, self.stages[topic]))

    async def _checkpoints(self):
        while True:
            await self.world.passes(self, 1.0)
            await fail_fast(self.checkpoint.run())
            await self.checkpoint.pause(lambda: self.fixes.follow([tp.partition for tp in self.owned if tp.topic == GPS.name]))

    async def commit(self):
        offsets = {tp: self.consumer._new_offset(tp) for tp in self.consumer.chunks.delivered}
        await self.world.passes(self)
        return self._commit({tp: (offset, None) for tp, offset in offsets.items() if offset is not None})

    async def claim(self, times_ms):
        await self.world.passes(self)
        granted = self._commit({TP(*tp): committed for tp, committed in times_ms.items()})
        await self.world.passes(self)
        return granted

    def _commit(self, offsets):
        """As a coordinator does: nothing from those that are not members of the present generation."""
        if self.generation != self.world.generation or self not in self.world.members:
            return False
        for tp, (offset, time_ms) in offsets.items():
            self.world.committed[tp], self.world.claimed[tp] = offset, time_ms
        return True

    async def revoked(self):
        """As ``ChunkConsumer.on_partitions_revoked``: stop fetching, make durable, forget."""
        self.positions = {}
        await self.checkpoint.before_revoke(self.consumer.chunks.clear)
        self.owned = []

    def assigned(self, tp, generation):
        self.generation = generation
        self.owned.append(tp)
        self.positions[tp] = self.resumed_at[tp] = self.world.committed.get(tp, 0)
        self.claims[tp] = self.world.claimed.get(tp) or BEGINNING_MS

    def kill(self):
        """``kill -9``."""
        if not self.dead:
            self.dead = True
            self.producer.cut()
            self.fate.done() or self.fate.set_result(None)

    def suspend(self):
        """``kill -STOP``."""
        self.suspended, self.suspended_s, self.awake = True, self.world.loop.time(), self.world.loop.create_future()

    def resume(self):
        """``kill -CONT``: everything that was due meanwhile happens, or the watchdog ends it, since its partitions may be others'."""
        if self.dead:
            return
        if self.world.loop.time() - self.suspended_s > Watchdog.longest_s(SESSION_S):
            self.kill()
        self.suspended = False
        self.hear()  # before any record that was sent after it
        held, self.held = self.held, []
        for happens in held:
            happens()
        self.awake.set_result(None)
