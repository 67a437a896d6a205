"""Made-up vehicle ids: few are remembered, nobody whose incident is open is forgotten, and a crash or other chunks change nothing."""

from __future__ import annotations

import random
from collections import Counter
from types import SimpleNamespace

import orjson
import pytest

from streams.clock import DAY_MS
from streams.policy.policy import Policies
from streams.policy.reader import load_policy
from streams.registry.records import decode_entry
from streams.registry.registry import Registry
from streams.runtime.checkpoint import Checkpoint
from streams.runtime.fix_stage import FixStage
from streams.runtime.snapshots import Snapshots
from streams.vehicles import store, strangers
from streams.vehicles.engine import Engine
from streams.vehicles.partition import new_partition
from streams.vehicles.strangers import CROWDED, IDLE
from streams.wire.events import Record

T = 1_700_020_800_000
PACK = """
policy: flood
city: {adcode: "110100", name_zh: 北京市, name_en: Beijing, timezone: Asia/Shanghai}
document: {title: for tests, number: none, file: none}
identifier: {pattern: "B-[0-9]+"}
rules:
  - {rule: speeding, id: fast, clause: "2", severity: violation, limit_kmh: 60}
"""


@pytest.fixture
def reference(tmp_path, monkeypatch):
    monkeypatch.setattr(strangers, "EVERY", 50)
    monkeypatch.setattr(strangers, "MOST", 20)
    monkeypatch.setattr(store, "FEWEST_EVICTED", 30)
    (tmp_path / "pack.yaml").write_text(PACK, "utf-8")
    policy = load_policy(str(tmp_path / "pack.yaml"))
    registry = Registry(policy.timezone)
    registry.add([decode_entry(b'{"kind":"vehicle","id":"known"}')])
    return SimpleNamespace(policies=Policies([policy]), registry=registry, on_change=None, stream_time_ms=0)


def fixes(rng, count):
    """Many ids that come once or twice, a few that come back again and again, one that is on record; some too fast."""
    at_ms = T
    for number in range(count):
        at_ms += rng.choice([100, 1_000, 5_000, 20_000, 20_000, rng.choice([0, 0, 0, 0, 0, 2 * DAY_MS])])
        vehicle_id = rng.choice(["known", f"back-{rng.randrange(4)}", f"made-up-{number // 2}", f"made-up-{number}"])
        late_ms = rng.choice([0, 0, 0, 30_000])
        speed_kmh = rng.choice([10.0, 10.0, 70.0])
        yield {"event_id": f"{number:05}", "event_time_ms": at_ms - late_ms, "vehicle_id": vehicle_id, "lon": 116.4, "lat": 39.9, "speed_kmh": speed_kmh}


def told(verdict):
    return [(t.kind, t.incident_id, t.revision, t.state, t.episode.last_seen_ms, t.episode.fix_count) for t in verdict.transitions]


def played(reference, records, sizes):
    engine, partition = Engine(reference.policies, reference.registry, b"k", forgets=True), new_partition()
    said, outcomes, gone, start = [], Counter(), Counter(), 0
    while start < len(records):
        size = next(sizes)
        verdict = engine.judge(partition, records[start : start + size])
        said += told(verdict)
        outcomes += verdict.outcomes
        gone += verdict.forgotten
        start += size
    return said, outcomes, gone, partition


@pytest.mark.parametrize("seed", range(12))
def test_other_chunks_forget_the_same_ones(reference, seed):
    rng = random.Random(seed)
    records = [Record(orjson.dumps(fix), number) for number, fix in enumerate(fixes(rng, 600))]
    one = played(reference, records, iter([1] * 600))
    sizes = iter([rng.randrange(1, 200) for _ in range(600)])
    other = played(reference, records, sizes)
    assert sorted(other[0]) == sorted(one[0]) and other[1:3] == one[1:3], f"seed {seed}"
    assert other[3].vehicles.keys() == one[3].vehicles.keys() and "known" in one[3].vehicles
    assert one[2][CROWDED] and len(one[3].vehicles) < 20 + 50 + 20


def test_whoever_is_idle_for_seven_days_is_forgotten(reference):
    def fix(number, day, vehicle_id):
        row = {"event_id": f"{number:05}", "event_time_ms": T + day * DAY_MS + number * 1_000, "vehicle_id": vehicle_id, "lon": 116.4, "lat": 39.9}
        return Record(orjson.dumps(row), number)

    records = [fix(0, 0, "made-up"), *(fix(n, n // 50, "known") for n in range(1, 600))]
    *_, gone, partition = played(reference, records, iter([600]))
    assert gone == {IDLE: 1} and partition.vehicles.keys() == {"known"}
    *_, gone, partition = played(reference, records[:349], iter([600]))
    assert not gone and partition.vehicles.keys() == {"known", "made-up"}


def test_nobody_is_forgotten_while_an_incident_is_open(reference):
    rows = [{"event_id": f"{n:05}", "event_time_ms": T + n, "vehicle_id": f"v{n}", "lon": 116.4, "lat": 39.9, "speed_kmh": 99.0} for n in range(300)]
    *_, gone, partition = played(reference, [Record(orjson.dumps(row), number) for number, row in enumerate(rows)], iter([300]))
    assert not gone and len(partition.vehicles) == 300


def test_judge_forgets_nobody(reference):
    rows = [{"event_id": f"{n:05}", "event_time_ms": T + n, "vehicle_id": f"v{n}", "lon": 116.4, "lat": 39.9} for n in range(300)]
    engine, partition = Engine(reference.policies, reference.registry, b"k"), new_partition()
    engine.judge(partition, [Record(orjson.dumps(row), number) for number, row in enumerate(rows)])
    assert len(partition.vehicles) == 300


@pytest.mark.parametrize("seed", range(12))
def test_a_crash_forgets_the_same_ones(reference, seed):
    """Checkpoints of which some are cut short, and workers that go on from what was written: the same is told as without."""
    rng = random.Random(seed)
    records = [Record(orjson.dumps(fix), number) for number, fix in enumerate(fixes(rng, 600))]
    expected, *_ = played(reference, records, iter([600]))
    topic, said, start = Snapshots(), {}, 0

    def begin():
        stage = FixStage(Checkpoint(""), reference, b"k")
        stage.reference_changed()
        partition = stage.new_partition()
        for key, value in topic.latest()[0].items():
            stage._put_record(partition, 0, key, value)
        stage.partitions[0] = partition
        return stage, partition

    stage, partition = begin()
    while start < 600:
        size = rng.randrange(1, 120)
        for each in told(stage.engine.judge(partition, records[start : start + size])):
            assert said.setdefault(each[1:3], each) == each, f"seed {seed}: a revision says two things"
        start = partition.next_offset
        if rng.random() < 0.5:
            changes = stage.changes(0)
            complete = rng.random() < 0.6
            for key, value in changes if complete else changes[: rng.randrange(len(changes))]:
                topic.add(key, value)
            if not complete:
                stage, partition = begin()
                start = partition.next_offset
    assert said == {each[1:3]: each for each in expected}, f"seed {seed}"
    kept = topic.latest()[0]
    assert len(kept) < 20 + 50 + 20 + 120

