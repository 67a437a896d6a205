"""Dead letters say where a record stands and why it was refused, nothing of what it says; state that cannot be read is refused in one line."""

import asyncio
import hashlib
from types import SimpleNamespace

import orjson
import pytest

from deploy import dead
from streams.errors import LostState
from streams.runtime.checkpoint import Checkpoint
from streams.runtime.dead_letters import letter
from streams.runtime.heartbeat_stage import HeartbeatStage
from streams.wire.decode import FIXES, Malformed, malformed
from streams.wire.events import Fix, Record, refused

T = 1_700_000_000_000
CANARY = "13800138000"


def headers_of(made):
    return {name: text.decode() for name, text in made.headers}


def test_a_letter_says_where_why_and_what_can_be_told():
    value = orjson.dumps({"event_id": "e", "event_time_ms": T, "vehicle_id": "v", "lon": 200.0, "lat": 1.0, "driver_id": CANARY, "plate": CANARY})
    made = letter(refused(Record(value, 7, T), Fix("e", T, "v", 200.0, 1.0), "invalid_position"), "courier.gps.v1", 3, b"v")
    assert (made.key, orjson.loads(made.value)) == (b"v", {"event_id": "e", "event_time_ms": T, "kind": "fix"})
    headers = headers_of(made)
    assert headers.pop("error") and headers == {
        "reason": "invalid_position", "topic": "courier.gps.v1", "partition": "3", "offset": "7", "sha256": hashlib.sha256(value).hexdigest(), "length": str(len(value)),
    }  # fmt: skip


@pytest.mark.parametrize("value", [None, b"", f"{{'name': '{CANARY}'}}".encode(), b"[" * 100_000, orjson.dumps({"event_id": f"{CANARY}\n", "event_time_ms": T, "load": CANARY, "vehicle_id": "v", "lon": CANARY})])
@pytest.mark.parametrize("key", [None, b"", b"\xff", f"{CANARY}\n".encode(), b"x" * 129, b"*"])
def test_a_letter_about_what_cannot_be_read_holds_nothing_of_it(value, key):
    with pytest.raises(Malformed) as found:
        FIXES.read_one(value)
    made = letter(malformed(Record(value, 7, T), found.value), "courier.gps.v1", 3, key)
    assert made.key is None and made.value is not None
    assert CANARY.encode() not in b"".join([made.value, *(text for _, text in made.headers)])


def test_originals_are_shown_while_they_are_what_was_refused(monkeypatch):
    value = b"what was refused"
    letters = [letter(malformed(Record(value, offset, T), Malformed("why")), "courier.gps.v1", 0, None) for offset in (0, 1, 2)]
    stored = {0: value, 1: b"another record now"}
    sent = []

    def readable(_, topic, read):
        return (read(SimpleNamespace(headers=made.headers, value=made.value)) for made in letters if topic == "courier.dead.v1")

    consumer = SimpleNamespace(close=lambda **_: None)
    monkeypatch.setattr(dead, "readable", readable)
    monkeypatch.setattr(dead, "reader", lambda *_, **__: consumer)
    monkeypatch.setattr(dead, "_at", lambda _, partition, offset: SimpleNamespace(key=b"k", value=stored[offset], offset=offset) if offset in stored else None)
    monkeypatch.setattr(dead, "send_records", lambda _, records: len(sent) + sum(1 for record in records if not sent.append(record)))
    lines = list(dead.listed("b", SimpleNamespace(timezone=None), reason=None, show=True))
    assert [line.split("\t")[0] for line in lines[::2]] == [f"courier.gps.v1/0/{offset}" for offset in range(3)]
    assert lines[1::2] == ["  what was refused", *["  no longer retained in its topic"] * 2]
    assert list(dead.listed("b", SimpleNamespace(timezone=None), reason="future", show=False)) == []
    monkeypatch.setitem(stored, 2, value)
    assert dead.redrive("b", reason=None, late=False)[1] == 0 and sent == [("courier.gps.v1", b"k", value, 0)]  # the same bytes once


@pytest.mark.parametrize("value", [b"rubbish", b"\x93\x01", b"\xc1", b"\x91" * 5_000, b"\x94\x06\x00\x01\xc0", b""])
def test_a_state_record_that_cannot_be_read_refuses_the_partition_in_one_line(value, monkeypatch):
    stage = HeartbeatStage(Checkpoint(""), SimpleNamespace(policies=None))

    async def restore(number):
        return {"": value}

    monkeypatch.setattr(stage, "restore", restore)
    with pytest.raises(LostState, match=r"courier.heartbeat-state.v1\[3\] holds a record that cannot be read .* topics rewind") as found:
        asyncio.run(stage.partition(3))
    assert "\n" not in str(found.value)
