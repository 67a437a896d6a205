"""Whole recorded days: ``judge``, the oracle and the committed or shared expectation agree to the millisecond."""

import functools
import json
import random
from pathlib import Path

import orjson
import pytest
from as_published import FIELDS, PARCELS, black_lists, check_violations, low_days, of_outlets, of_parcels, silences, told_apart
from make_day import SEED, VEHICLES
from oracle import Oracle

from deploy.judge import judge_files
from producers.replay import read_records
from producers.traffic import write_sample_registry
from streams.files.text_files import open_lines
from streams.policy.reader import PACKS, load_policy, packs
from streams.registry.files import load_registry
from streams.registry.registry import Registry
from streams.vehicles.engine import Engine

GOLDEN = Path(__file__).parent


def judged(out):
    rows = [orjson.loads(line) for line in (out / "incidents.jsonl").read_bytes().splitlines()]
    vehicles = {tuple(r[f] for f in FIELDS) for r in rows if r["vehicle_id"]}
    rates = {}
    for line in (out / "rates.jsonl").read_bytes().splitlines():
        row = orjson.loads(line)
        if row.get("accepted"):
            rates[row["city"], row["enterprise_id"], row["date"]] = (row["accepted"], row["electronic"], row["green"])
    return vehicles, low_days(rows), rates


def rejects(out):
    counts = {}
    for line in (out / "rejects.jsonl").read_bytes().splitlines():
        reason = orjson.loads(line)["reason"]
        counts[reason] = counts.get(reason, 0) + 1
    return counts


def recorded(name, tmp_path):
    policy = load_policy(name)
    folder = GOLDEN / name
    write_sample_registry(policy, VEHICLES, SEED, tmp_path / "registry.jsonl")
    return policy, folder, [str(folder / "gps.jsonl.zst")], [str(folder / "scans.jsonl.zst")]


@pytest.fixture(params=packs())
def day(request, tmp_path):
    return recorded(request.param, tmp_path)


@pytest.fixture(params=[pytest.param(name, marks=[] if name == packs()[0] else pytest.mark.long) for name in packs()])
def one_day(request, tmp_path):
    """Of one city; of all with ``--long``."""
    return recorded(request.param, tmp_path)


def test_a_day_on_the_slow_path_alone_comes_to_the_same(one_day, tmp_path, monkeypatch):
    """The quick path is an optimisation: without it every incident, rate and refusal is byte for byte the same."""
    policy, _, gps, scans = one_day
    registry = load_registry(tmp_path / "registry.jsonl", policy.timezone)
    for name in ("quiet", "slow"):
        monkeypatch.setattr("deploy.judge.Engine", functools.partial(Engine, quiet=name == "quiet"))
        judge_files(policy, registry, gps, scans, tmp_path / name)
    for file in ("incidents.jsonl", "rates.jsonl", "rejects.jsonl"):
        assert (tmp_path / "quiet" / file).read_bytes() == (tmp_path / "slow" / file).read_bytes(), file


def test_a_day_of_every_city_equals_oracle_and_expectation(day, tmp_path):
    policy, folder, gps, scans = day
    beats = folder / "heartbeats.jsonl.zst"
    judge_files(policy, load_registry(tmp_path / "registry.jsonl", policy.timezone), gps, scans, tmp_path, heartbeats=[str(beats)])
    vehicles, days, rates = judged(tmp_path)
    oracle = Oracle(PACKS / f"{policy.name}.yaml", tmp_path / "registry.jsonl")
    expected, refused = oracle.fixes(line for line in open_lines(gps[0]) if line.strip())
    assert vehicles == expected
    scanned = [line for line in open_lines(scans[0]) if line.strip()]
    now_ms = oracle.watermark([[line for line in open_lines(gps[0]) if line.strip()]], [scanned], [list(open_lines(str(beats)))])
    counts, low = oracle.scans(scanned, stream_time=now_ms)
    assert rates == counts
    rows = [orjson.loads(row) for row in (tmp_path / "rates.jsonl").read_bytes().splitlines()]
    summary = orjson.loads((tmp_path / "summary.json").read_bytes())
    rows += summary["handled"] + summary["outlets"]
    counted = of_parcels(rows)
    assert counted == told_apart(oracle.counted(scanned)) and of_outlets(rows) == oracle.last_seen(scanned) != {}
    assert set(PARCELS) <= {name for names in counted.values() for name in names}
    assert days == oracle.low_bounds(low) and len(days) >= len(policy.day_rules)
    heartbeats, _ = oracle.heartbeats([scanned], [list(open_lines(str(beats)))])
    rows = [orjson.loads(line) for line in (tmp_path / "incidents.jsonl").read_bytes().splitlines()]
    violations = oracle.violations(scanned)
    check_violations(rows, violations, oracle)
    assert {row[0] for row in violations} == {rule.id for own in policy.scan_rules.values() for rule in own}
    assert silences(rows) == oracle.intervals(heartbeats, now_ms)
    assert {interval[0] for interval in silences(rows)} == {rule.id for rule in policy.silence_rules}
    assert black_lists(rows) == oracle.black(rows, now_ms)
    assert bool(black_lists(rows)) is bool(policy.credit_rules)
    fix_rejects = [orjson.loads(r) for r in (tmp_path / "rejects.jsonl").read_bytes().splitlines()]
    assert {r: sum(x["reason"] == r and "gps" in x["file"] for x in fix_rejects) for r in refused} == dict(refused)
    committed = json.loads((folder / "expected.json").read_text())
    assert sorted(map(list, vehicles), key=str) == committed["incidents"]
    assert {"/".join(k): list(v) for k, v in rates.items()} == committed["rates"]


@pytest.mark.parametrize("name", packs())
def test_every_rule_is_broken_on_the_recorded_day(name):
    committed = json.loads((GOLDEN / name / "expected.json").read_text())
    assert {row[1] for row in committed["incidents"]} == {rule.id for rule in load_policy(name).fix_rules}


def test_a_day_shuffled_within_the_lateness_and_duplicated_gives_the_same_incidents(one_day, tmp_path):
    policy, folder, gps, _ = one_day
    oracle = Oracle(PACKS / f"{policy.name}.yaml", tmp_path / "registry.jsonl")
    accepted, _ = oracle.accept(line for line in open_lines(gps[0]) if line.strip())
    rng = random.Random(policy.name)
    arrivals = [(f["event_time_ms"] + rng.randrange(policy.lateness_ms - 1), n, f) for n, f in enumerate(accepted)]
    arrivals += [(at + rng.randrange(10_000), n, f) for at, n, f in rng.sample(arrivals, len(arrivals) // 5)]
    lines = b"".join(orjson.dumps(f) + b"\n" for _, _, f in sorted(arrivals, key=lambda a: a[:2]))
    (tmp_path / "shuffled.jsonl").write_bytes(lines)
    judge_files(policy, load_registry(tmp_path / "registry.jsonl", policy.timezone), [str(tmp_path / "shuffled.jsonl")], [], tmp_path)
    vehicles, _, _ = judged(tmp_path)
    committed = json.loads((folder / "expected.json").read_text())
    assert sorted(map(list, vehicles), key=str) == committed["incidents"]
    assert rejects(tmp_path).keys() <= {"duplicate", "late"}


@pytest.mark.parametrize("name", ["beijing-basic", "beijing-full"])
def test_a_shared_case_is_met_exactly(name, shared, tmp_path):
    case = shared / "data" / "cases" / name
    policy = load_policy(str(case / "policy.yaml"))
    registry = load_registry(case / "registry.jsonl", policy.timezone)
    judge_files(policy, registry, [str(case / "gps.jsonl")], [str(case / "scans.jsonl")], tmp_path)
    vehicles, _, rates = judged(tmp_path)
    expected = [orjson.loads(line) for line in (case / "expected" / "incidents.jsonl").read_bytes().splitlines()]
    assert vehicles == {tuple(row[f] for f in FIELDS) for row in expected}
    wanted = [orjson.loads(line) for line in (case / "expected" / "rates.jsonl").read_bytes().splitlines()]
    assert rates == {(r["city"], r["enterprise_id"], r["date"]): (r["accepted"], r["electronic"], r["green"]) for r in wanted}
    assert rejects(tmp_path) == json.loads((case / "expected" / "rejects.json").read_text())


@pytest.mark.parametrize("recording", ["tdrive_taxi_1277.txt", "geolife"])
def test_real_tracks_equal_the_oracle(shared, tmp_path, recording):
    lines = [sent[3] for sent in read_records([shared / "data" / recording])]
    (tmp_path / "gps.jsonl").write_bytes(b"\n".join(lines) + b"\n")
    policy = load_policy(str(GOLDEN / "beijing.yaml"))
    judge_files(policy, Registry(policy.timezone), [str(tmp_path / "gps.jsonl")], [], tmp_path)
    vehicles, _, _ = judged(tmp_path)
    expected, refused = Oracle(GOLDEN / "beijing.yaml", None).fixes(lines)
    assert vehicles == expected and len({v[1] for v in vehicles}) >= 3
    assert rejects(tmp_path) == dict(refused)


def test_gz_zst_and_stdin_are_understood(one_day, tmp_path, yicheng):
    import gzip
    import subprocess
    import sys

    policy, folder, gps, _ = one_day
    plain = b"".join(open_lines(gps[0]))
    (tmp_path / "gps.jsonl.gz").write_bytes(gzip.compress(plain))
    command = ["judge", "--policy", policy.name, "--registry", str(tmp_path / "registry.jsonl"), "--out"]
    assert yicheng.run(*command, tmp_path / "zst", "--gps", gps[0]).returncode == 0
    assert yicheng.run(*command, tmp_path / "gz", "--gps", tmp_path / "gps.jsonl.gz").returncode == 0
    done = subprocess.run(
        [sys.executable, "-m", "deploy.cli", *command, str(tmp_path / "in"), "--gps", "-"], input=plain, env=yicheng.environment, check=False,
    )  # fmt: skip
    assert done.returncode == 0
    texts = {(tmp_path / name / "incidents.jsonl").read_bytes() for name in ("zst", "gz", "in")}
    assert len(texts) == 1 and texts.pop()
