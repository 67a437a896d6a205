"""No state record is too large for Kafka, and a write that is refused nevertheless says what, where and how to go on."""

from __future__ import annotations

import asyncio
import random

import pytest
from aiokafka.errors import MessageSizeTooLargeError, TopicAuthorizationFailedError

from streams.errors import LostState, WriteRefused
from streams.runtime import pieces
from streams.runtime import watchdog as module
from streams.runtime.checkpoint import Checkpoint
from streams.runtime.durable import Change
from streams.runtime.pieces import Pieces
from streams.runtime.snapshots import Snapshots
from streams.state_records import COMMIT_MARKER, encode_fields, encode_header, header_of


@pytest.mark.parametrize("seed", range(20))
def test_a_record_is_what_it_was_however_it_is_cut_and_whatever_is_cut_short(seed, monkeypatch):
    """Checkpoints of which some never end, and restarts from what was written: whole records, none longer than a piece."""
    monkeypatch.setattr(pieces, "PIECE_BYTES", 50)
    rng, topic, cutter, state, again = random.Random(seed), Snapshots(), Pieces(), {}, set()
    for step in range(60):
        head, changed = header_of(0, step + 1, step), {}
        for key in sorted({*rng.sample("abc", rng.randrange(1, 4)), *again}):
            changed[key] = encode_fields((rng.randbytes(rng.choice([0, 10, 70, 300])),), head) if rng.random() < 0.9 or key not in state else None
        written = [*cutter.cut(changed.items(), head), (COMMIT_MARKER, encode_header(head))]
        assert max(len(value) for _, value in written if value is not None) < 50 + 40
        complete = rng.random() < 0.7 and None not in changed.values()
        if None in changed.values():  # what is deleted is so for good: only what no earlier checkpoint needs
            complete = True
        for key, value in written if complete else written[: rng.randrange(len(written))]:
            topic.add(key, value)
        again = set() if complete else set(changed)  # what is judged again is written again
        if complete:
            state = {key: value for key, value in {**state, **changed}.items() if value is not None}
        if not complete or rng.random() < 0.2:
            found, wrong = topic.latest()
            for key in wrong:
                if key in found:
                    topic.add(key, found[key])
            found.pop(COMMIT_MARKER, None)
            cutter = Pieces()
            assert cutter.join(found) == state, f"seed {seed}, step {step}"
    left = {key for key in topic.latest()[0] if pieces.BETWEEN in key}
    assert len(left) <= 3 * 2 * 7


def test_a_record_with_a_piece_missing_is_lost(monkeypatch):
    monkeypatch.setattr(pieces, "PIECE_BYTES", 50)
    head = header_of(0, 1, 1)
    found = dict(Pieces().cut([("a", encode_fields((b"x" * 200,), head))], head))
    found.pop(f"a{pieces.BETWEEN}1")
    with pytest.raises(LostState, match="1 of 5 pieces"):
        Pieces().join(found)


class Producer:
    """One that Kafka refuses something of, at once or with its answer."""

    def __init__(self, error, *, at_once):
        self.error, self.at_once = error, at_once

    async def partitions_for(self, topic):
        return {0, 1, 2}

    async def send(self, topic, value, key=None, partition=None, headers=()):
        if self.at_once:
            raise self.error
        sent = asyncio.get_running_loop().create_future()
        sent.set_exception(self.error)
        return sent

    def create_batch(self):
        return self

    def append(self, **_):
        return 1

    async def send_batch(self, batch, topic, partition):
        return await self.send(topic, b"", partition=partition)


@pytest.mark.parametrize("at_once", [True, False])
@pytest.mark.parametrize(("error", "why"), [(MessageSizeTooLargeError("too large"), "max.message.bytes"), (TopicAuthorizationFailedError("no"), "WRITE")])
def test_a_refused_write_ends_the_worker_in_one_line(at_once, error, why, monkeypatch):
    lines, ended = [], []
    monkeypatch.setattr(module.log, "error", lambda text, **_: lines.append(text))
    monkeypatch.setattr(module.os, "_exit", ended.append)

    async def play(work):
        checkpoint = Checkpoint("")
        checkpoint._producer = Producer(error, at_once=at_once)
        await module.fail_fast(work(checkpoint))

    async def result(checkpoint):
        await checkpoint.send("courier.incidents.v1", b"vehicle/a", b"v")
        await checkpoint._acknowledged(checkpoint._sends)

    async def state(checkpoint):
        await checkpoint._acknowledged(await checkpoint._save("courier.vehicle-state.v1", 7, [Change("a", b"v")]))

    asyncio.run(play(result))
    asyncio.run(play(state))
    assert ended == [WriteRefused.exit_code] * 2
    assert lines[0].startswith("courier.incidents.v1[") and lines[1].startswith("courier.vehicle-state.v1[7] does not take")
    assert all(why in line and "goes on from its last checkpoint" in line and "\n" not in line for line in lines)
