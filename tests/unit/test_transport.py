"""The chunk consumer's ledger, without a broker."""

import asyncio

import pytest
from faust.types import TP
from faust.types.tuples import ConsumerMessage

from streams.app import build_app
from streams.runtime.chunk_ledger import ChunkLedger, ReadOffsets
from streams.runtime.consumer_thread import FETCH_MAX_WAIT_MS
from streams.runtime.preflight import is_made_anew
from streams.runtime.transport import ChunkConsumer
from streams.settings import Settings

GPS = TP("courier.gps.v1", 0)
LOG = TP("yicheng-vehicles-changelog", 0)


def chunk(offset):
    return ConsumerMessage(GPS.topic, 0, offset, 0.0, 0, (), None, [offset], None, 0, 0, GPS, generation_id=1)


@pytest.fixture
def consumer():
    made = ChunkConsumer.__new__(ChunkConsumer)
    made.chunks, made.must_seek, made._unacked_messages = ChunkLedger(), False, set()
    return made


def test_only_the_longest_judged_prefix_may_be_committed(consumer):
    """faust-streaming #606: twelve in flight, the thirteenth done; stock Faust commits past the twelve."""
    chunks = [chunk(offset) for offset in (9, 19, 29)]
    for each in chunks:
        consumer.chunks.enter(each)
    assert consumer._new_offset(GPS) is None
    consumer.judged(chunks[1])
    assert consumer._new_offset(GPS) is None
    consumer.judged(chunks[0])
    assert consumer._new_offset(GPS) == 20
    assert consumer._new_offset(GPS) == 20
    consumer.judged(chunks[2])
    assert consumer._new_offset(GPS) == 30


def test_a_chunk_that_a_stream_skips_is_fetched_again_and_never_committed(consumer):
    skipped = chunk(9)
    consumer.chunks.enter(skipped)
    consumer.ack(skipped)
    assert consumer.must_seek and consumer._new_offset(GPS) is None


def test_a_chunk_of_an_ended_epoch_changes_nothing(consumer):
    stale = chunk(9)
    assert not consumer.is_current(stale)
    consumer.judged(stale)
    consumer.ack(stale)
    assert consumer._new_offset(GPS) is None and not consumer.must_seek


def test_read_offsets_never_hide_a_chunk_that_is_fetched_again():
    offsets = ReadOffsets()
    offsets[GPS] = 100
    offsets.update({GPS: 5, LOG: 7})
    offsets[LOG] += 1
    assert offsets[GPS] is None and offsets[LOG] == 8


def test_a_fetch_never_waits_long_for_idle_partitions(tmp_path):
    """Faust's 1.5 s would hold up whatever arrives meanwhile in partitions with traffic."""

    async def made():
        app = build_app(Settings(state_dir=tmp_path, rehearsal=True), 6066)
        app.finalize()
        return app.consumer._thread._create_worker_consumer(app.transport)._fetch_max_wait_ms

    assert asyncio.run(made()) == FETCH_MAX_WAIT_MS <= 50


@pytest.mark.parametrize(
    ("next_offset", "end", "first", "marked_ms", "anew"),
    [
        (10, 10, (0, 5), 9, False),  # all is judged
        (10, 99, (0, 5), 9, False),
        (10, 9, None, None, True),  # it ends before that
        (10, 99, (0, 10), 9, True),  # its first record is younger than the state
        (10, 99, (10, 10), 9, False),  # retention has taken what was judged
        (10, 99, (0, 10), None, False),  # nobody knows when the state was written
        (10, 99, None, 9, False),  # or when records arrived
    ],
)
def test_a_partition_is_another_than_before_where_it_ends_too_early_or_begins_too_late(next_offset, end, first, marked_ms, anew):
    assert is_made_anew(next_offset, end, first, marked_ms) is anew
