"""The order of a checkpoint, and the watchdog."""

import asyncio
import random
from types import SimpleNamespace
from unittest import mock

import msgspec
import pytest
from aiokafka.errors import MessageSizeTooLargeError

from streams.city.contributions import decode_contribution, encode_contribution
from streams.clock import BEGINNING_MS
from streams.errors import WriteRefused
from streams.runtime.checkpoint import Checkpoint
from streams.runtime.durable import Change, Reached
from streams.runtime.snapshots import Snapshots
from streams.runtime.watchdog import Watchdog
from streams.watermark import Arrivals
from streams.wire.state_records import COMMIT_MARKER, header_of

GPS = "courier.gps.v1"


class Stage:
    input_topic, state_topic = GPS, "changelog"

    def __init__(self):
        self.forgotten, self.partitions, self.taken = False, {3: 3, 5: 1}, []

    async def process(self, chunk):
        self.taken.append(chunk)

    def emit(self, number):
        if number == 3:
            yield "rates", b"k", b"v"

    def changes(self, number):
        return [*(Change(f"HH-{n}", b"state") for n in range(self.partitions[number])), Change(COMMIT_MARKER, b"mark")]

    def reached(self, number):
        return Reached(GPS, number, 10 * number, 1_000 * number, 500, {number: 1_000 * number})

    def evict(self, ends):
        self.forgotten = True

    def expire_standby(self):
        pass


class Broker:
    """Acknowledges what is sent soon, or, while it holds acknowledgements (``held``), when told to; notes what happened in order."""

    def __init__(self, fail_on=None):
        self.happened, self.fail_on, self.held, self.holds = [], fail_on, None, asyncio.Event()
        self.ends, self.clock_ms, self.said = {}, 100_000, []

    async def send(self, topic, value, key=None, partition=None, headers=()):
        self.happened.append(("sent", topic, partition))
        if topic == "courier.partials.v1":
            self.said.append(decode_contribution(value))
        future = asyncio.get_running_loop().create_future()

        def acknowledge():
            if topic == self.fail_on:
                future.set_exception(OSError("broker gone"))
            else:
                self.happened.append(("acknowledged", topic))
                self.clock_ms += 1_000
                future.set_result(SimpleNamespace(timestamp=self.clock_ms))

        if self.held is None:
            asyncio.get_running_loop().call_later(0.01, acknowledge)
        else:
            self.held.append(acknowledge)
            self.holds.set()
        return future

    def answer(self):
        held, self.held = self.held, None
        for acknowledge in held:
            acknowledge()

    async def end_offsets(self, sources):
        return {source: self.ends.get(source.partition, 0) for source in sources}

    async def partitions_for(self, topic):
        return {0} if topic == "courier.partials.v1" else set(range(6))

    def create_batch(self):
        return Batch()

    async def send_batch(self, batch, topic, partition):
        return await self.send(topic, b"".join(batch.values), None, partition)


class Batch:
    """Takes two records."""

    def __init__(self):
        self.values = []

    def append(self, *, key, value, timestamp):
        if len(self.values) == 2:
            return None
        self.values.append(value)
        return value


CHUNK = [SimpleNamespace(partition=3)]


async def run(fail_on=None):
    broker, checkpoint, stage = Broker(fail_on), Checkpoint("nowhere:1"), Stage()
    checkpoint._producer = broker
    checkpoint.stages.append(stage)

    async def commit():
        broker.happened.append(("committed",))

    checkpoint.commit = commit
    await checkpoint.send("incidents", b"k", b"v")
    await checkpoint.judge(stage, CHUNK, lambda: True, lambda: broker.happened.append(("acked",)))
    try:
        await checkpoint.run()
    except OSError:
        broker.happened.append(("failed",))
    return broker.happened


def test_results_are_durable_before_state_and_state_before_offsets():
    assert asyncio.run(run()) == [
        ("sent", "incidents", None), ("sent", "rates", None), ("acknowledged", "incidents"), ("acknowledged", "rates"),
        ("sent", "changelog", 3), ("sent", "changelog", 3), ("sent", "changelog", 5), ("sent", "courier.partials.v1", 0),
        *[("acknowledged", "changelog")] * 3, ("acknowledged", "courier.partials.v1"), ("sent", "changelog", 3), ("sent", "changelog", 5), *[("acknowledged", "changelog")] * 2, ("acked",), ("committed",),
    ]  # fmt: skip


def test_how_far_inputs_were_read_is_said_after_what_that_covers_and_counts_from_what_was_said_before_where_nothing_is_left():
    """Partition 3 has more to come, 5 is judged to its end, 4 was never looked at and is committed to its end, 2 has records that nobody has seen."""

    async def two_checkpoints():
        broker, checkpoint = Broker(), Checkpoint("nowhere:1")
        checkpoint._producer = checkpoint._reader = checkpoint._follower = broker
        checkpoint.stages.append(Stage())
        broker.ends = {2: 7, 3: 31, 4: 7, 5: 50}
        checkpoint.assigned = lambda: [(GPS, 2), (GPS, 3), (GPS, 4), (GPS, 5), ("courier.partials.v1", 0)]
        checkpoint.committed = lambda topic, number: {2: 6, 4: 7}[number]
        for _ in range(2):
            await checkpoint.send("incidents", b"k", b"v")
            await checkpoint.run()
        return broker

    broker = asyncio.run(two_checkpoints())
    first, second = ({mark.partition: (mark.partitions, mark.next_offset, mark.read_until_ms) for mark in said.marks} for said in broker.said)
    unknown = BEGINNING_MS
    assert first == {2: (6, 6, unknown), 3: (6, 30, 3_000), 4: (6, 7, unknown), 5: (6, 50, 5_000)}
    said_ms = next(n for n in range(100_000, 200_000, 1_000) if n == second[5][2])  # what the broker stamped on the first
    assert second == {2: (6, 6, unknown), 3: (6, 30, 3_000), 4: (6, 7, said_ms), 5: (6, 50, said_ms)}
    assert broker.said[0].newest == {3: 3_000, 5: 5_000} and {mark.stream_time_ms for mark in broker.said[0].marks} == {500, unknown}


class Backlog(Stage):
    """So many partitions that were left for a day, each with records at random seconds of it."""

    def __init__(self, partitions):
        super().__init__()
        rng = random.Random(1)
        seconds = [sorted(rng.sample(range(1_782_446_400, 1_782_446_400 + 86_400), 1_728)) for _ in range(partitions)]
        self.newest = [{second: 1_000 * second + rng.randrange(-5_000, 900) for second in each} for each in seconds]
        self.partitions = dict.fromkeys(range(partitions), 1)

    def reached(self, number):
        arrivals = Arrivals(newest=dict(self.newest[number]))
        return Reached(GPS, number, 10, max(self.newest[number]) * 1_000, 500, arrivals.take_newest(max(self.newest[number]) * 1_000))


def test_what_is_said_of_a_days_backlog_in_many_partitions_fits_into_a_message_and_is_no_more_than_true():
    """Before, 36 partitions came to more than a megabyte, and the worker ended, started and ended again."""

    async def one_checkpoint(stage):
        broker, checkpoint = Broker(), Checkpoint("nowhere:1")
        checkpoint._producer = checkpoint._reader = checkpoint._follower = broker
        checkpoint.stages.append(stage)
        checkpoint.assigned = lambda: [(GPS, number) for number in stage.partitions]
        await checkpoint.run()
        return broker.said[0]

    stage = Backlog(36)
    said = asyncio.run(one_checkpoint(stage))
    assert len(said.marks) == 36 and len(encode_contribution(said)) < 256 * 1024
    whole = {}
    for newest in stage.newest:
        for second, time_ms in newest.items():
            whole[second] = max(whole.get(second, time_ms), time_ms)
    largest_by, reached_ms = {}, BEGINNING_MS
    for second in sorted(whole):
        largest_by[second] = reached_ms = max(reached_ms, whole[second])
    assert len(whole) > 40_000 and all(time_ms <= largest_by[second] for second, time_ms in said.newest.items())
    assert max(said.newest.values()) == reached_ms


def test_a_message_that_is_not_taken_is_refused_with_its_partition_also_where_it_says_how_far_inputs_were_read():
    async def refused():
        broker, checkpoint = Broker(), Checkpoint("nowhere:1")
        broker.send = mock.AsyncMock(side_effect=MessageSizeTooLargeError)
        checkpoint._producer = checkpoint._reader = checkpoint._follower = broker
        checkpoint.stages.append(stage := Backlog(1))
        stage.changes, checkpoint.assigned = lambda number: [], lambda: [(GPS, 0)]
        await checkpoint._run(checkpoint.judging)

    with pytest.raises(WriteRefused, match=r"courier\.partials\.v1\[0\] does not take"):
        asyncio.run(refused())


@pytest.mark.parametrize("topic", ["incidents", "rates", "changelog"])
def test_nothing_is_acked_or_committed_after_a_failed_send(topic):
    happened = asyncio.run(run(fail_on=topic))
    assert happened[-1] == ("failed",) and ("acked",) not in happened and ("committed",) not in happened


def test_the_watchdog_bites_only_when_there_is_work_and_no_progress():
    bites = []
    dog = Watchdog(60)
    dog.fail = lambda: bites.append(True)
    for now, progress, work in [(0, 1, True), (50, 1, True), (70, 2, True), (100, 2, False), (200, 2, False), (230, 2, True), (259, 2, True)]:
        dog.check(now, progress, has_work=work)
    assert not bites
    dog.check(261, 2, has_work=True)
    assert bites


def test_a_worker_that_was_suspended_past_its_session_ends_when_it_wakes():
    bites = []
    dog = Watchdog(60, session_timeout_s=10)
    dog.fail = lambda: bites.append(True)
    dog.woken(1_000.0)
    dog.alive(1_000.0)
    dog.woken(1_008.0)
    assert not bites
    dog.woken(1_008.1)
    assert bites


def test_nothing_is_judged_between_the_last_checkpoint_and_the_loss_of_partitions():
    """A chunk that waits for its turn during a revocation must find its ledger gone (its state belongs to the next owner)."""

    async def scenario():
        checkpoint, stage, ledger = Checkpoint("nowhere:1"), Stage(), [1]
        checkpoint._producer = checkpoint._reader = Broker()
        checkpoint.stages.append(stage)

        async def commit():
            await asyncio.sleep(0.01)

        checkpoint.commit = commit
        await checkpoint.judge(stage, CHUNK, lambda: True, lambda: None)
        revocation = asyncio.ensure_future(checkpoint.before_revoke(ledger.clear))
        await asyncio.sleep(0)
        await asyncio.gather(revocation, checkpoint.judge(stage, CHUNK, lambda: bool(ledger), lambda: None))
        return len(stage.taken), stage.forgotten

    assert asyncio.run(scenario()) == (1, True)


def test_chunks_are_judged_while_a_checkpoint_waits_for_the_broker_and_acked_by_the_next():
    async def scenario():
        checkpoint, stage, acked, broker = Checkpoint("nowhere:1"), Stage(), [], Broker()
        checkpoint._producer, broker.held = broker, []
        checkpoint.stages.append(stage)
        await checkpoint.judge(stage, CHUNK, lambda: True, lambda: acked.append(1))
        running = asyncio.ensure_future(checkpoint.run())
        await broker.holds.wait()  # something of it is on its way
        await checkpoint.judge(stage, CHUNK, lambda: True, lambda: acked.append(2))
        judged_meanwhile = not running.done()
        broker.answer()
        await running
        first = list(acked)
        await checkpoint.run()
        return judged_meanwhile, first, acked

    assert asyncio.run(scenario()) == (True, [1], [1, 2])


def record(offset, text):
    return msgspec.msgpack.encode((*msgspec.structs.astuple(header_of(0, offset, 0)), text))


@pytest.mark.parametrize(
    ("written", "state", "wrong"),
    [
        ([], {}, set()),
        ([("v", 5, "a")], {}, {"v"}),  # the first checkpoint was not completed
        ([("v", 5, "a"), (COMMIT_MARKER, 5, "")], {"v": "a"}, set()),
        ([("v", 5, "a"), (COMMIT_MARKER, 5, ""), ("v", 9, "b")], {"v": "a"}, {"v"}),  # part of the next one
        ([("v", 5, "a"), (COMMIT_MARKER, 5, ""), ("v", 9, "b"), (COMMIT_MARKER, 9, "")], {"v": "b"}, set()),
        ([("v", 9, "b"), (COMMIT_MARKER, 9, ""), ("v", 5, "a"), (COMMIT_MARKER, 5, "")], {"v": "b"}, {"v", COMMIT_MARKER}),  # a suspended worker wakes up
        ([("v", 9, "b"), (COMMIT_MARKER, 9, ""), ("w", 12, "c"), ("v", 5, "a"), (COMMIT_MARKER, 14, "")], {"v": "b", "w": "c"}, {"v"}),
        ([("v", 5, "a"), ("v", 5, "again"), (COMMIT_MARKER, 5, "")], {"v": "again"}, set()),
    ],
)
def test_a_restore_is_as_of_the_latest_complete_checkpoint(written, state, wrong):
    found = Snapshots()
    for key, offset, text in written:
        found.add(key, record(offset, text))
    latest, mistaken = found.latest()
    assert {key: msgspec.msgpack.decode(value)[4] for key, value in latest.items() if key != COMMIT_MARKER} == state
    assert set(mistaken) == wrong
