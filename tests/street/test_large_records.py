"""No state record is too large for Kafka, and a write that is refused nevertheless says what, where and how to go on."""

from __future__ import annotations

import asyncio
import json
import random
from types import SimpleNamespace
from zoneinfo import ZoneInfo

import msgspec
import pytest
from aiokafka.errors import MessageSizeTooLargeError, TopicAuthorizationFailedError

from streams.errors import BadInput, LostState, WriteRefused
from streams.policy.reader import decode_policy, load_policy
from streams.registry.records import KINDS, decode_entry, decode_versions
from streams.registry.registry import Registry
from streams.runtime import pieces
from streams.runtime import watchdog as module
from streams.runtime.checkpoint import Checkpoint
from streams.runtime.durable import Change
from streams.runtime.pieces import Pieces
from streams.runtime.snapshots import Snapshots
from streams.runtime.stage import StatefulStage
from streams.wire.incident import Evidence, IncidentData
from streams.wire.state_records import COMMIT_MARKER, encode_fields, encode_header, header_of
from streams.wire.topics import GPS, VEHICLE_STATE


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


# --- texts of registries and packs, which incidents quote ---

NEEDED = {"notice": {"subject": "vehicle/v", "from": "2024-01-01", "until": "2024-01-02"}, "pass": {"pass_kind": "green"}, "facility": {"level": "hub"}, "line": {"zones": ["z"], "vehicle_ids": []}}


def texts_of(kind):
    """The keys of a kind that take a text that is no date and none of a few words, and those that take several."""
    for field in msgspec.structs.fields(KINDS[kind]):
        for sample in ("x", ["x"]):
            try:
                decode_entry(json.dumps({"kind": kind, "id": "v", **NEEDED.get(kind, {}), field.encode_name: sample}).encode())
            except BadInput:
                continue
            if field.name != "id":  # that is bounded by its type
                yield field.encode_name, sample


FIELDS = [(kind, *found) for kind in KINDS for found in texts_of(kind)]


@pytest.mark.parametrize("way", ["put", "add"])
@pytest.mark.parametrize(("kind", "field", "sample"), FIELDS, ids=[f"{kind} {field}" for kind, field, _ in FIELDS])
def test_no_text_of_a_registry_is_too_long_for_an_incident(kind, field, sample, way):
    registry = Registry(ZoneInfo("Asia/Shanghai"))
    usual = {"kind": kind, "id": "v", **NEEDED.get(kind, {})}
    registry.put(kind, "v", decode_versions(json.dumps(usual).encode()))
    for length in (257, 300_000, 900_000):
        text = "x" * length
        entries = decode_versions(json.dumps([{**usual, field: [text] if isinstance(sample, list) else text}]).encode())
        with pytest.raises(BadInput) as caught:
            registry.put(kind, "v", entries) if way == "put" else registry.add(entries)
        assert len(str(caught.value)) < 500
    assert len(registry.versions(kind, "v")) == 1 and registry.versions(kind, "v")[0] == decode_entry(json.dumps(usual).encode())


def test_the_fields_are_all_there():
    found = {(kind, field) for kind, field, _ in FIELDS}
    assert len(found) > 30 and {("vehicle", "plate"), ("enterprise", "name_zh"), ("vehicle", "driver_ids"), ("notice", "reason"), ("facility", "village")} <= found


PACK = load_policy("hohhot-2019").pack.source
FIRST = PACK["yaml"].partition("rules:\n")[2]


def in_pack(old, new):
    assert old in PACK["yaml"]
    return {**PACK, "yaml": PACK["yaml"].replace(old, new, 1)}


def in_zones(**properties):
    zones = json.loads(PACK["geojson"])
    zones["features"][-1]["properties"].update(properties)
    return {**PACK, "geojson": json.dumps(zones, ensure_ascii=False)}


LONG_PACKS = {
    "clause": in_pack("clause: 三（十）", f"clause: {'x' * 800_000}"), "rule id": in_pack("id: number-on-file", f"id: {'x' * 200_000}"), "a rule id of 129 bytes": in_pack("id: number-on-file", f"id: {'x' * 129}"),
    "policy": in_pack("policy: hohhot-2019", f"policy: {'x' * 200_000}"), "adcode": in_pack('"150100"', f'"{"1" * 200_000}"'), "title": in_pack("title: ", f"title: {'京' * 200_000}"), "by": in_pack("by: ", f"by: {'京' * 700}"),
    "responsible": in_pack("responsible: [", f"responsible: [{'京' * 300_000}, "), "many responsible": in_pack("responsible: [", f"responsible: [{', '.join(['京' * 60] * 5_000)}, "),
    "a key": in_pack("valid_from:", f"{'x' * 800_000}: 1\nvalid_from:"), "a rule": in_pack("rule: unregistered_vehicle", f"rule: {'x' * 800_000}"), "a calendar": in_pack("valid_from:", f"calendars: {{{'x' * 800_000}: []}}\nvalid_from:"),
    "zone id": in_zones(id="x" * 300_000), "zone name": in_zones(name_zh="x" * 300_000), "English zone name": in_zones(name_en="x" * 2_001), "kind of zone": in_zones(kind="京" * 700),
}  # fmt: skip


@pytest.mark.parametrize("name", LONG_PACKS)
def test_no_text_of_a_pack_is_too_long_for_an_incident(name):
    with pytest.raises(BadInput) as caught:
        decode_policy(json.dumps([LONG_PACKS[name]]).encode())
    assert len(str(caught.value)) < 500 and "\n" not in str(caught.value)


def as_read(data):
    return json.loads(msgspec.json.encode(data))


def test_an_incident_that_is_too_large_nevertheless_is_told_with_the_beginnings_of_its_texts():
    """As state of before may have it: nothing ends, nothing is lost."""
    sent = []

    async def send(*record):
        sent.append(record)

    async def announce(data):
        checkpoint = Checkpoint("")
        checkpoint.send = send
        return await StatefulStage(checkpoint, SimpleNamespace(), GPS, VEHICLE_STATE).announce("opened", data)

    evidence = tuple(Evidence(f"e{n}", 1, 1.0, 1.0, 1.0) for n in range(5_000))
    usual = IncidentData(incident_id="I" * 26, revision=3, state="open", rule="speeding", rule_id="r", policy="p", clause="1", severity="violation", city="1", vehicle_id="v", opened_at_ms=1, last_seen_ms=2, closed_at_ms=None, lon=1.0, lat=1.0, fix_count=5, reason_zh="超速", reason_en="speeding")  # fmt: skip
    texts = [name for name in IncidentData.__struct_fields__ if isinstance(getattr(usual, name), str | None) and name not in {"closed_at_ms", "incident_id", "vehicle_id"}]
    assert asyncio.run(announce(usual)) == usual
    for changed in ({"plate": "x" * 300_000}, {"clause": "\x01京" * 450_000}, {"evidence": evidence}, {"responsible": ("省" * 60,) * 9_000}, dict.fromkeys(texts, "\x01" * 100000)):
        data = msgspec.structs.replace(usual, **changed)
        told = asyncio.run(announce(data))
        topic, key, value = sent[-1]
        said = json.loads(value)["data"]
        assert len(value) <= 256_000 and said == as_read(told) and (topic, key) == ("courier.incidents.v1", b"vehicle/v")
        kept = [name for name in said if name not in changed]
        assert {name: said[name] for name in kept} == {name: as_read(data)[name] for name in kept}
        assert all(data_value[:100] == said[name][:100] for name in changed if isinstance(data_value := getattr(data, name), str))
    assert len(sent) == 6
