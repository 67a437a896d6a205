"""A worker is real or a rehearsal, has one key with its group, and never goes on with what another kind or key left."""

import asyncio
import json
import re
import time
from types import SimpleNamespace

import msgspec
import pytest
from conftest import get, wait_for
from pipeline import Pipeline

from deploy.admin import read_topic
from streams.enterprises.liveness import HeartbeatPartition, take_heartbeats
from streams.errors import BadInput, ForeignState
from streams.parcels.partition import new_scan_partition
from streams.parcels.scans import count_scans
from streams.policy.policy import Policies
from streams.policy.reader import load_policy
from streams.registry.registry import Registry
from streams.runtime.checkpoint import Checkpoint
from streams.runtime.heartbeat_stage import HeartbeatStage
from streams.runtime.origin import identity_key, origin_of, refuse_foreign, signed, unsigned
from streams.settings import Settings
from streams.vehicles.engine import Engine
from streams.vehicles.partition import new_partition
from streams.wire.events import Record
from streams.wire.state_records import encode_fields, encode_header, header_of

T = 1_767_225_600_000
KEY, OTHER = "a" * 64, "b" * 64


def settings(**given):
    return Settings(**{"rehearsal": False, "identity_key": None, "group": "g", **given})


def test_a_real_worker_without_a_key_refuses_to_start_in_one_line(yicheng):
    for environment in ({"YICHENG_REHEARSAL": "0"}, {"YICHENG_REHEARSAL": "0", "YICHENG_IDENTITY_KEY": ""}):
        done = yicheng.run("worker", YICHENG_KAFKA_BOOTSTRAP="127.0.0.1:1", **environment)
        assert done.returncode == 2 and done.stderr.count("\n") == 1
        assert "YICHENG_IDENTITY_KEY is not set" in done.stderr and "./yicheng secrets new" in done.stderr
    keys = {yicheng.run("secrets", "new").stdout for _ in range(2)}
    assert len(keys) == 2 and all(re.fullmatch("[0-9a-f]{64}\n", key) for key in keys)
    done = yicheng.run("worker", YICHENG_KAFKA_BOOTSTRAP="127.0.0.1:1", YICHENG_REHEARSAL="0", YICHENG_IDENTITY_KEY=keys.pop().strip())
    assert "Kafka at 127.0.0.1:1 does not answer" in done.stderr


def test_workers_of_one_rehearsal_have_one_key_and_real_ones_the_given():
    assert identity_key(settings(rehearsal=True)) == identity_key(settings(rehearsal=True)) != identity_key(settings(rehearsal=True, group="h"))
    assert identity_key(settings(identity_key=KEY)) == identity_key(settings(identity_key=KEY, rehearsal=True)) == KEY.encode()
    with pytest.raises(BadInput):
        identity_key(settings())
    origins = {origin_of(settings(identity_key=key, rehearsal=mode)) for key in (KEY, OTHER) for mode in (True, False)}
    assert len(origins) == 4 and KEY[:8] not in str(origins)


def test_a_mark_says_whose_it_is_and_nothing_else_changes():
    own, head = origin_of(settings(identity_key=KEY)), header_of(1, 7, T)
    for mark in (encode_header(head), encode_fields(({"2026-01-01": (1, 2)},), head), encode_fields((["origin", True, "x"], 1), head)):
        assert unsigned(signed(mark, own)) == (mark, own)
    before = encode_fields(({"2026-01-01": (1, 2)},), msgspec.structs.replace(head, version=6))
    assert unsigned(before) == (before, None)
    refuse_foreign("state", None, own)
    refuse_foreign("state", own, own)


@pytest.mark.parametrize(
    ("left", "words"),
    [
        ({"rehearsal": True, "identity_key": KEY}, "is the state of a rehearsal, and this worker is real"),
        ({"identity_key": OTHER}, "was written under another YICHENG_IDENTITY_KEY"),
    ],
)
def test_whoever_restores_state_of_another_kind_or_key_refuses_it(left, words, monkeypatch):
    """Also where the state came to be after the start."""

    def stage(**given):
        return HeartbeatStage(Checkpoint("", origin_of(settings(**given))), SimpleNamespace(policies=None))

    writer, reader = stage(**left), stage(identity_key=KEY)
    partition = writer.partitions[3] = writer.new_partition()
    partition.next_offset = 5
    (mark,) = writer.changes(3)

    async def restored(topic, number):
        return {mark.key: mark.value}

    for one in (reader, writer):
        monkeypatch.setattr(one.checkpoint, "restore", restored)
    assert asyncio.run(writer._load(3)).next_offset == 5
    with pytest.raises(ForeignState, match=re.escape(f"courier.heartbeat-state.v1[3] {words}")) as refused:
        asyncio.run(reader.partition(3))
    assert refused.value.exit_code == 2 and "\n" not in str(refused.value)


def test_only_a_rehearsal_takes_synthetic_records():
    policies = Policies([load_policy("hohhot-2019")])
    registry = Registry(policies.newest.timezone)
    fix = {"event_id": "a", "event_time_ms": T, "vehicle_id": "v", "lon": 111.0, "lat": 40.0}
    scan = {"event_id": "a", "event_time_ms": T, "waybill_id": "w", "enterprise_id": "e", "city": "150100", "kind": "accepted"}
    beat = {"event_id": "a", "event_time_ms": T, "subject": "outlet/o"}

    def reasons(event, refuses):
        records = [Record(json.dumps({**event, **more}).encode(), n, T) for n, more in enumerate(({"synthetic": True}, {"event_id": "b"}))]
        if event is fix:
            verdict = Engine(policies, registry, b"k", refuses_synthetic=refuses).judge(new_partition(), records)
            assert verdict.outcomes["accepted"] == 2 - refuses and verdict.outcomes["synthetic"] == refuses
            return verdict.rejects
        if event is scan:
            return count_scans(new_scan_partition(), records, policies, registry, refuses_synthetic=refuses).rejects
        return take_heartbeats(HeartbeatPartition(), records, policies, refuses_synthetic=refuses)

    for event in (fix, scan, beat):
        assert [(r.reason, r.record.offset, r.event_id) for r in reasons(event, True)] == [("synthetic", 0, "a")]
        assert reasons(event, False) == []


@pytest.fixture
def pipeline(kafka, yicheng, tmp_path):
    made = Pipeline(kafka, yicheng, tmp_path)
    yield made
    made.producer.close()


def test_real_and_rehearsing_workers_on_kafka(pipeline):
    """By hand-made records: no incident of a real worker is synthetic, none of a rehearsal is not, and neither goes on with the other's state."""
    now_ms = time.time_ns() // 1_000_000

    def send(name, **more):
        fix = {"event_id": name, "event_time_ms": now_ms, "vehicle_id": f"unknown-{name}", "lon": 111.6, "lat": 40.8, **more}
        for number in range(12):  # every partition has state
            pipeline.producer.send("courier.gps.v1", json.dumps({**fix, "vehicle_id": f"{fix['vehicle_id']}-{number}"}).encode(), b"k", partition=number)
        pipeline.producer.flush()

    def said():
        return {json.loads(value)["data"]["vehicle_id"]: json.loads(value)["data"]["synthetic"] for _, value in read_topic(pipeline.bootstrap, "courier.incidents.v1")}

    real = {"YICHENG_REHEARSAL": "0", "YICHENG_IDENTITY_KEY": KEY}
    worker = pipeline.start_ready("worker", **real)
    send("made-up", synthetic=True)
    send("honest")
    wait_for("all to be judged and saved", lambda: len(said()) == 12 and pipeline.committed())
    assert {name[:14] for name in said()} == {"unknown-honest"} and not any(said().values())
    letters = list(pipeline.letters("courier.dead.v1"))
    assert len(letters) == 12 and {reason for _, reason in letters} == {"synthetic"}
    assert re.search(r'courier_dead_total\{reason="synthetic",topic="courier.gps.v1"\} [1-9]', get(f"{worker.url}/metrics"))
    worker.terminate()
    assert worker.wait(30) == 0
    for wrong, words in (({"YICHENG_REHEARSAL": "1"}, "is the state of a real worker"), ({**real, "YICHENG_IDENTITY_KEY": OTHER}, "another YICHENG_IDENTITY_KEY")):
        refused = pipeline.start("worker", **wrong)
        assert refused.wait(60) == 2
        assert refused.log().count("\n") == 1 and words in refused.log(), refused.log()
    worker = pipeline.start_ready("worker", **real)
    send("again")
    wait_for("the same key to go on", lambda: len(said()) == 24)


def test_a_rehearsal_says_that_everything_is_synthetic(pipeline):
    now_ms = time.time_ns() // 1_000_000
    pipeline.start_ready("worker", YICHENG_REHEARSAL="1")
    fix = {"event_id": "a", "event_time_ms": now_ms, "vehicle_id": "unknown", "lon": 111.6, "lat": 40.8}
    scan = {"event_id": "a", "event_time_ms": now_ms, "waybill_id": "w", "enterprise_id": "e", "city": "150100", "kind": "accepted", "outlet_id": "nowhere"}
    pipeline.producer.send("courier.gps.v1", json.dumps(fix).encode(), b"k")
    pipeline.producer.send("courier.scan.v1", json.dumps(scan).encode(), b"k")
    pipeline.producer.flush()

    def said():
        events = [json.loads(value)["data"] for _, value in read_topic(pipeline.bootstrap, "courier.incidents.v1")]
        rows = [json.loads(value) for _, value in read_topic(pipeline.bootstrap, "courier.rates.v1")]
        return {data["rule"] for data in events} >= {"unregistered_vehicle", "unfiled_outlet"} and rows and events + rows

    assert all(one["synthetic"] is True for one in wait_for("incidents and rates", said))

