"""``judge`` as a worker does: who came on the black list on one day has no exemptions on the next. By the oracle, which is told since when."""

import json
import os
import random
import threading
from zoneinfo import ZoneInfo

import pytest
from as_published import FIELDS
from simulation.history import BASE_MS, DAY_HOURS_MS, NEXT_DAY_MS, PACK, PRIVILEGE, REGISTRY, ZONES, CityOracle, day_events

from deploy import judge as judge_module
from deploy.intake import account
from deploy.judge import judge_files
from streams.policy.reader import load_policy
from streams.registry.files import load_registry
from streams.wire.topics import GPS, HEARTBEAT, SCAN

WITH_PRIVILEGE = PACK.replace("black_at: 4, points: {", "black_at: 2, points: {restricted_hours: 1, ").replace("min_duration: 15s", "min_duration: 5s") + PRIVILEGE


@pytest.fixture
def city(tmp_path):
    """Two days of a seed as files; what ``judge`` is to be told, the incidents that it wrote, and the oracle."""
    (tmp_path / "zones.geojson").write_text(ZONES)
    (tmp_path / "registry.jsonl").write_text("".join(json.dumps(record) + "\n" for record in REGISTRY))
    (tmp_path / "pack.yaml").write_text(WITH_PRIVILEGE, "utf-8")

    def written(seed):
        rng = random.Random(seed)
        sent = [event for from_ms in (BASE_MS, NEXT_DAY_MS) for event in day_events(rng, ordered=True, within_ms=DAY_HOURS_MS, from_ms=from_ms)]
        files = {}
        for topic in (GPS.name, SCAN.name, HEARTBEAT.name):
            files[topic] = tmp_path / topic
            files[topic].write_bytes(b"".join(value + b"\n" for name, _, value in sent if name == topic))
        return files

    return written


def judged(folder, files, gps=None):
    policy = load_policy(str(folder / "pack.yaml"))
    registry = load_registry(folder / "registry.jsonl", ZoneInfo("Asia/Shanghai"))
    summary = judge_files(policy, registry, [str(gps or files[GPS.name])], [str(files[SCAN.name])], folder / "out", heartbeats=[str(files[HEARTBEAT.name])])
    assert registry.enterprise("e", NEXT_DAY_MS * 2).credit == "normal", "the registry is as it was"
    return summary, [json.loads(line) for line in (folder / "out" / "incidents.jsonl").read_text().splitlines()]


def of_fixes(oracle, files):
    rows = oracle.fixes(files[GPS.name].read_bytes().splitlines())[0]
    return {row[:5] if row[7] == "open" else row for row in rows}


def test_what_is_judged_goes_by_the_black_list_as_the_oracle_says(tmp_path, city):
    passes = []
    for seed in range(16):
        files = city(seed)
        summary, incidents = judged(tmp_path, files)
        found = {tuple(row[field] for field in FIELDS) for row in incidents if row["vehicle_id"]}
        oracle = CityOracle(tmp_path / "pack.yaml", tmp_path / "registry.jsonl")
        without = of_fixes(oracle, files)
        lists = oracle.black(incidents, max(json.loads(line)["event_time_ms"] for file in files.values() for line in file.read_text().splitlines()))
        assert all(until_ms is None for *_, until_ms in lists)
        since = {enterprise: oracle.bound(oracle.local(since_ms).date().isoformat(), True) for _, enterprise, since_ms, _ in lists}
        oracle = CityOracle(tmp_path / "pack.yaml", tmp_path / "registry.jsonl")  # it remembers what it has looked up
        oracle.black_since = since
        assert {row[:5] if row[7] == "open" else row for row in found} == of_fixes(oracle, files), f"seed {seed}"
        if of_fixes(oracle, files) != without:
            assert summary["exemptions_withdrawn"]["settled"] and "e" in summary["exemptions_withdrawn"]["enterprises"]
            passes.append(summary["exemptions_withdrawn"]["passes"])
            (row,) = [row for row in summary["credit"] if row["subject"] == "enterprise/e"]
            assert row["effective"] == [(since["e"], "black")]
    assert len(passes) > 4 and set(passes) == {2}, passes


def first_withdrawn(tmp_path, city):
    """A seed's files where an enterprise loses exemptions."""
    for seed in range(16):
        files = city(seed)
        summary, incidents = judged(tmp_path, files)
        if summary["exemptions_withdrawn"] and any(row["rule_id"] == "privilege" for row in incidents):
            assert not any("豁免" in line for line in account(summary))
            return files, incidents
    raise AssertionError("no enterprise came on the black list")


def test_a_pipe_is_read_once_and_that_is_said(tmp_path, city):
    files, expected = first_withdrawn(tmp_path, city)
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    writing = threading.Thread(target=lambda: pipe.write_bytes(files[GPS.name].read_bytes()))
    writing.start()
    summary, incidents = judged(tmp_path, files, pipe)
    writing.join(10)
    assert summary["exemptions_withdrawn"] == {"enterprises": ["e"], "passes": 1, "settled": False}
    assert [row for row in expected if row["rule_id"] == "privilege"] and not [row for row in incidents if row["rule_id"] == "privilege"]
    (line,) = [line for line in account(summary) if "豁免" in line]
    assert "（e）" in line and "black list (e)" in line


def test_where_it_does_not_come_to_an_end_that_is_said(tmp_path, city, monkeypatch):
    files, _ = first_withdrawn(tmp_path, city)
    monkeypatch.setattr(judge_module, "MOST_PASSES", 1)
    summary, _ = judged(tmp_path, files)
    assert summary["exemptions_withdrawn"]["settled"] is False
