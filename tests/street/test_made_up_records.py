"""What outlets, enterprises, days and cameras are told of is synthetic if any of its own scans, signs or charges is, and else not."""

import json
import random

import orjson
import pytest
from as_published import subject_of
from oracle import Oracle

from deploy.judge import judge_files
from streams.policy.reader import load_policy
from streams.registry.files import load_registry

NOON = 1_700_020_800_000  # 2023-11-15 12:00 in Shanghai
MINUTE, HOUR, DAY = 60_000, 3_600_000, 86_400_000
PACK = """
policy: p
city: {adcode: "1", name_zh: 甲, name_en: A, timezone: Asia/Shanghai}
document: {title: t, number: n, file: f}
rules:
  - {rule: low_electronic_waybill_rate, id: paper, clause: "1", severity: warning, min_sample: 2}
  - {rule: unfiled_outlet, id: unfiled, clause: "1", severity: warning}
  - {rule: unverified_sender, id: nameless, clause: "1", severity: warning}
  - {rule: offline_camera, id: camera, clause: "1", severity: warning, limit: 30m}
  - {rule: blacklisted_enterprise, id: black, clause: "1", severity: warning, black_at: 1, points: {unfiled_outlet: 1}}
"""
REGISTRY = [
    {"kind": "enterprise", "id": "e"}, {"kind": "enterprise", "id": "f"}, {"kind": "outlet", "id": "o", "enterprise_id": "e"},
    {"kind": "outlet", "id": "p", "enterprise_id": "f"}, {"kind": "outlet", "id": "q", "enterprise_id": "e", "filed": True, "camera": True},
]  # fmt: skip


@pytest.fixture
def judge(tmp_path):
    (tmp_path / "pack.yaml").write_text(PACK, "utf-8")
    (tmp_path / "registry.jsonl").write_text("".join(json.dumps(record) + "\n" for record in REGISTRY))
    policy = load_policy(str(tmp_path / "pack.yaml"))

    def judge(scans, beats=()):
        for name, events in (("scans", scans), ("beats", beats)):
            (tmp_path / f"{name}.jsonl").write_text("".join(json.dumps(event) + "\n" for event in events))
        registry = load_registry(tmp_path / "registry.jsonl", policy.timezone)
        judge_files(policy, registry, [], [str(tmp_path / "scans.jsonl")], tmp_path, heartbeats=[str(tmp_path / "beats.jsonl")])
        return [orjson.loads(line) for line in (tmp_path / "incidents.jsonl").read_bytes().splitlines()]

    judge.days, judge.oracle = policy.days, Oracle(tmp_path / "pack.yaml", tmp_path / "registry.jsonl")
    return judge


def scan(name, at_ms, **more):
    return {"event_id": name, "event_time_ms": at_ms, "waybill_id": name, "enterprise_id": "e", "city": "1", "kind": "accepted", **more}


@pytest.mark.parametrize("seed", range(1, 7))
def test_violations_and_days_are_synthetic_by_their_own_scans(judge, seed):
    """Repeats, earlier acceptances and late scans among them."""
    rng = random.Random(seed)
    scans = [
        scan(
            f"s{rng.randrange(60)}", NOON + rng.randrange(-DAY, 2 * DAY), waybill_id=f"w{rng.randrange(30)}", enterprise_id=rng.choice("ef"),
            outlet_id=rng.choice("op"), real_name_verified=rng.random() < 0.7, waybill_kind="paper", synthetic=rng.random() < 0.06,
        )
        for _ in range(70)
    ]  # fmt: skip
    ends = [scan("end", NOON + 4 * DAY, waybill_kind="electronic")]
    found = judge([*scans, *ends])
    violations, days = judge.oracle.made_up([json.dumps(event).encode() for event in [*scans, *ends]])
    told = {
        ((d["rule_id"], subject_of(d), judge.days.date_of(d["opened_at_ms"])) if d["rule_id"] != "paper" else ("1", d["enterprise_id"], judge.days.date_of(d["opened_at_ms"]))): d["synthetic"]
        for d in found if d["rule_id"] != "black"
    }  # fmt: skip
    assert told == {key: key in violations | days for key in told}, f"seed {seed}"
    assert len(set(told.values())) == 2, f"seed {seed} tests nothing"


def test_a_silence_is_synthetic_by_the_signs_around_it(judge):
    beats = [{"event_time_ms": NOON + at, "subject": "outlet/q", "synthetic": made_up}
             for at, made_up in ((0, False), (HOUR, False), (HOUR + MINUTE, True), (3 * HOUR, False), (3 * HOUR + MINUTE, False), (5 * HOUR, True), (7 * HOUR, False))]  # fmt: skip
    found = {(d["opened_at_ms"] - NOON): d["synthetic"] for d in judge([], beats) if d["rule_id"] == "camera"}
    assert found == {0: False, HOUR + MINUTE: True, 3 * HOUR + MINUTE: True, 5 * HOUR: True}


@pytest.mark.parametrize("made_up", [True, False])
def test_a_black_list_is_synthetic_by_its_charges(judge, made_up):
    scans = [scan("a", NOON, outlet_id="o", synthetic=made_up), scan("b", NOON, enterprise_id="f", outlet_id="p"), scan("end", NOON + 3 * DAY, synthetic=True)]
    found = {d["enterprise_id"]: d["synthetic"] for d in judge(scans) if d["rule_id"] == "black"}
    assert found == {"e": made_up, "f": False}
