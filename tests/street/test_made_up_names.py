"""Whatever cities, enterprises and cameras somebody makes up: what is kept and sent of them does not grow."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace

import orjson
import pytest
from oracle import Oracle
from time_passing import inputs_hold, marks, said, said_ms

from deploy.judge import judge_files
from deploy.published import rate_in
from streams.city.contributions import Contribution, encode_contribution
from streams.counts import Counts, DayKey, state_key
from streams.enterprises.liveness import in_parts
from streams.parcels.violations import ViolatingScan, ViolationKey, summary_of
from streams.policy.policy import Policies
from streams.policy.reader import PACKS, load_policy
from streams.registry.records import decode_entry
from streams.registry.registry import Registry
from streams.runtime.checkpoint import Checkpoint
from streams.runtime.city_stage import CityStage
from streams.runtime.heartbeat_stage import HeartbeatStage
from streams.runtime.scan_stage import ScanStage
from streams.watermark import Mark
from streams.wire.state_records import RecordHeader, encode_fields

NOON_MS = 1_700_020_800_000
MADE_UP = 10_000
BOUND_BYTES = 256 * 1024


def world(monkeypatch, entries=(), pack="yunnan-2018"):
    policies = Policies([load_policy(pack)])
    registry = Registry(policies.newest.timezone)
    registry.add(decode_entry(orjson.dumps(entry)) for entry in entries)
    checkpoint, sent = inputs_hold(Checkpoint("")), []

    async def send(topic, key, value, *_, **__):
        sent.append((topic, key, value))

    async def restore(topic, number):
        return {}

    monkeypatch.setattr(checkpoint, "send", send)
    monkeypatch.setattr(checkpoint, "restore", restore)
    monkeypatch.setattr(checkpoint, "committed", lambda *_: 0, raising=False)
    return SimpleNamespace(policies=policies, registry=registry, stream_time_ms=0), checkpoint, sent, policies.newest.pack.city.adcode


def records(rows):
    return [SimpleNamespace(topic="t", partition=0, offset=n, key=b"k", value=orjson.dumps(row), timestamp=NOON_MS + 10**6, arrived_ms=NOON_MS + 10**6) for n, row in enumerate(rows)]


def scan(number, city, enterprise):
    return {"event_id": f"s{number}", "event_time_ms": NOON_MS + number, "waybill_id": f"w{number}", "enterprise_id": enterprise, "city": city, "kind": "accepted"}


def test_made_up_cities_and_enterprises_count_together(monkeypatch, tmp_path):
    registered = {"kind": "enterprise", "id": "e", "cities": ["110100"]}
    reference, checkpoint, sent, own = world(monkeypatch, [registered])
    rows = [scan(n, own if n % 2 else f"c{n}", f"x{n}") for n in range(MADE_UP)]
    rows += [scan(MADE_UP + n, city, "e") for n, city in enumerate([own, "110100", "made up"])]
    stage = ScanStage(checkpoint, reference)
    asyncio.run(stage.process(records(rows)))
    assert len(stage.partitions[0].counts) == len(stage.partitions[0].minutes) == 5
    messages = list(stage.emit(0))
    assert len(messages) < 10 and sum(len(value) for _, _, value in messages) < 10_000
    assert len(stage.changes(0)) < MADE_UP + 20
    sums = CityStage(checkpoint, reference, b"k")
    asyncio.run(sums.process([said(0, Contribution(**marks(NOON_MS + MADE_UP)), said_ms(NOON_MS + MADE_UP))]))
    for offset, (_, _, value) in enumerate(messages, 1):
        asyncio.run(sums.process([SimpleNamespace(partition=0, offset=offset, value=value, timestamp=NOON_MS)]))
    published = {key.decode().rpartition("/")[0]: orjson.loads(value)["accepted"] for topic, key, value in sent if topic == "courier.rates.v1"}
    assert published == {
        f"{own}/other": MADE_UP // 2, f"{own}/e": 1, f"{own}/*": MADE_UP // 2 + 1, "110100/e": 1, "110100/*": 1,
        "other/other": MADE_UP // 2, "other/e": 1, "other/*": MADE_UP // 2 + 1,
    }  # fmt: skip
    assert all(rate_in(value) for topic, _, value in sent if topic == "courier.rates.v1"), "a report has all of them"
    (tmp_path / "registry.jsonl").write_bytes(orjson.dumps(registered) + b"\n")
    expected, _ = Oracle(PACKS / "yunnan-2018.yaml", tmp_path / "registry.jsonl").scans([orjson.dumps(row) for row in rows], live=True)
    assert {key[:2]: counts[0] for key, counts in expected.items()} == {tuple(key.split("/")): accepted for key, accepted in published.items()}


def test_judge_tells_every_enterprise_of_its_files(tmp_path):
    policy = load_policy("yunnan-2018")
    (tmp_path / "scans.jsonl").write_bytes(b"".join(orjson.dumps(scan(n, policy.pack.city.adcode, f"x{n}")) + b"\n" for n in range(3)))
    judge_files(policy, Registry(policy.timezone), [], [str(tmp_path / "scans.jsonl")], tmp_path)
    rows = [orjson.loads(line) for line in (tmp_path / "rates.jsonl").read_bytes().splitlines()]
    assert {row["enterprise_id"]: row["accepted"] for row in rows} == {"*": 3, "x0": 1, "x1": 1, "x2": 1}


def test_nothing_is_expected_of_subjects_that_somebody_makes_up(monkeypatch):
    reference, checkpoint, _, own = world(monkeypatch, [{"kind": "outlet", "id": "o", "camera": True}, {"kind": "enterprise", "id": "e"}])
    beats = HeartbeatStage(checkpoint, reference)
    rows = [{"event_time_ms": NOON_MS + n, "subject": f"{kind}/x{n}"} for n in range(MADE_UP) for kind in ("outlet", "enterprise")]
    asyncio.run(beats.process(records([*rows, {"event_time_ms": NOON_MS, "subject": "outlet/o"}])))
    assert beats.partitions[0].heartbeats.keys() <= {"outlet/o"}
    scans = ScanStage(checkpoint, reference)
    asyncio.run(scans.process(records([scan(n, own, f"x{n}" if n else "e") for n in range(MADE_UP)])))
    assert scans.partitions[0].heartbeats.keys() <= {"enterprise/e"}


@pytest.mark.parametrize(("subjects", "spans"), [(5_000, 1), (1, 20_000), (300, 400)])
def test_signs_of_many_are_sent_in_parts_that_a_message_can_hold(subjects, spans):
    heartbeats = {f"outlet/{n:0120}": [(NOON_MS + 2 * s, NOON_MS + 2 * s + 1) for s in range(spans)] for n in range(subjects)}
    parts = list(in_parts(heartbeats))
    assert all(len(encode_contribution(Contribution("c", heartbeats=part))) < BOUND_BYTES for part in parts) and len(parts) > 1
    found: dict = {}
    for part in parts:
        for subject, some in part.items():
            found.setdefault(subject, []).extend(some)
    assert found == heartbeats


def test_a_whole_citys_day_is_kept_with_its_enterprises(monkeypatch):
    """Of a thousand enterprises on 64 partitions no state record is large, and a worker that goes on from there counts the same."""
    reference, checkpoint, _, own = world(monkeypatch)
    sums = CityStage(checkpoint, reference, b"k")
    rows = [Contribution(own, "courier.scan.v1", f"e{n}", "2023-11-15", p, 1, counts=Counts(accepted=1)) for n in range(1_000) for p in range(3)]
    asyncio.run(sums.process([said(n, row, NOON_MS) for n, row in enumerate(rows)]))
    kept = sums.changes(0)
    assert max(len(change.value) for change in kept) < BOUND_BYTES

    async def kept_state(number):
        return {change.key: change.value for change in kept}

    fresh = CityStage(checkpoint, reference, b"k")
    monkeypatch.setattr(fresh, "restore", kept_state)
    partition = asyncio.run(fresh.partition(0))
    assert partition.days[DayKey(own, "*", "2023-11-15")].counts().accepted == 3_000


def test_violations_of_before_are_read_and_rewritten_in_pages(monkeypatch):
    reference, checkpoint, _, _ = world(monkeypatch)
    stage, key = ScanStage(checkpoint, reference), ViolationKey("outlets-on-file", "outlet/o", "2023-11-15")
    violating_scans = {f"s{n}": ViolatingScan(NOON_MS + n, f"s{n}", "e") for n in range(1_000)}
    partition = stage.partitions[0] = stage.new_partition()
    stage.put(partition, state_key("finding", *key), encode_fields((key, violating_scans), RecordHeader(6, 0, 7, NOON_MS)))
    assert partition.violations[key].summary() == summary_of(violating_scans.values())
    partition.next_offset = 8
    kept = {change.key: change.value for change in stage.changes(0)[:-1]}
    assert max(map(len, kept.values())) < BOUND_BYTES and len(kept) == 5
    fresh = stage.new_partition()
    for name, value in kept.items():
        stage.put(fresh, name, value)
    assert fresh.violations[key].summary() == summary_of(violating_scans.values())


FORGED = {
    "an offset beyond the end": {"enterprise_id": "e", "date": "2023-11-15", "partition": 0, "next_offset": 11, "counts": Counts(accepted=1_000)},
    "a partition beyond the last": {"enterprise_id": "e", "date": "2023-11-15", "partition": 2, "next_offset": 1, "counts": Counts(accepted=1_000)},
    "no input": {"topic": "elsewhere", "enterprise_id": "e", "date": "2023-11-15", "partition": 0, "next_offset": 1, "counts": Counts(accepted=1_000)},
    "an offset and no partition": {"enterprise_id": "e", "date": "2023-11-15", "next_offset": 5, "counts": Counts(accepted=1_000)},
    "a mark of many partitions": {"marks": [Mark("courier.scan.v1", 0, 9_999, 1, NOON_MS)]},
    "a mark beyond the end": {"marks": [Mark("courier.scan.v1", 0, 2, 11, NOON_MS)]},
}


@pytest.mark.parametrize("forged", FORGED.values(), ids=FORGED)
def test_a_partial_that_claims_more_than_its_source_holds_is_passed_over(monkeypatch, forged):
    """Neither does it count, nor does it keep the true one from counting, nor time from passing."""
    reference, checkpoint, sent, own = world(monkeypatch, [{"kind": "enterprise", "id": "e"}])
    inputs_hold(checkpoint, records=10, partitions=2)
    sums = CityStage(checkpoint, reference, b"k")
    true = Contribution(own, "courier.scan.v1", "e", "2023-11-15", 0, 10, counts=Counts(accepted=7))
    time_passes = Contribution(**marks(NOON_MS + 1))
    forgery = Contribution(**{"city": own, "topic": "courier.scan.v1", **forged})
    for offset, contribution in enumerate((time_passes, forgery, true, Contribution(**marks(NOON_MS + 2)))):
        asyncio.run(sums.process([said(offset, contribution, said_ms(NOON_MS + 2))]))
    counted = {key.decode(): orjson.loads(value)["accepted"] for topic, key, value in sent if topic == "courier.rates.v1"}
    assert counted[f"{own}/e/2023-11-15"] == 7
    assert sums.partitions[0].stream_time_ms == NOON_MS + 2 and sums.partitions[0].next_offset == 4
