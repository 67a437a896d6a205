"""Distances, stays in loading zones and delivery lines equal the oracle's, around midnight and the bounds of the night, however fixes come and state moves."""

import itertools
import json
import os
import random
from collections import defaultdict

import numpy as np
import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from oracle import Oracle

from streams.city.city_judge import CityJudge, Due
from streams.city.contributions import Contribution, decode_contribution, encode_contribution
from streams.city.ledger import CityLedger
from streams.city.ledger_records import put_record, record_fields
from streams.city.rates import fleet_rows
from streams.counts import state_key
from streams.policy.policy import Policies
from streams.policy.reader import load_policy
from streams.registry.files import load_registry
from streams.vehicles import history, insertion, late, quiet, slow_path, store
from streams.vehicles.codec import decode_vehicle, encode_vehicles
from streams.vehicles.empty_run import EmptyRun
from streams.vehicles.engine import Engine
from streams.vehicles.fleet_day import KEY, FleetDay
from streams.vehicles.partition import new_partition
from streams.wire.events import Record
from streams.wire.state_records import decode_fields, encode_fields, header_of

EXAMPLES = int(os.environ.get("YICHENG_EXAMPLES", "0"))
MIDNIGHT_MS = 1_700_064_000_000  # 2023-11-16 00:00 in Shanghai
DAY_MS, HOUR_MS = 86_400_000, 3_600_000


def square(name, kind, west, east):
    return {"type": "Feature", "properties": {"id": name, "kind": kind}, "geometry": {"type": "Polygon", "coordinates": [[[west, 0], [east, 0], [east, 1], [west, 1], [west, 0]]]}}


ZONES = {"type": "FeatureCollection", "features": [square("a", "loading", 1, 3), square("b", "loading", 2, 4), square("c", "station", 5, 6)]}
LONS = [0.5, 1.5, 2.0, 2.5, 3.5, 4.5, 5.5] * 8 + [5.123456789]
VEHICLES = ["V-1", "V-2", "v3", "stranger"]
STEPS_MS = [0, 1, 10_000, 10_000, 60_000, 60_000, 299_999, 300_000, 300_001, HOUR_MS]
PACK = {
    "policy": "p", "city": {"adcode": "110000", "name_zh": "甲", "name_en": "A", "timezone": "Asia/Shanghai"}, "document": {"title": "t", "number": "n", "file": "f"}, "zones": "zones.geojson",
}  # fmt: skip
lines = st.lists(
    st.fixed_dictionaries(
        {
            "kind": st.just("line"), "id": st.sampled_from(["L1", "L2", "L3", "L4"]), "vehicle_ids": st.lists(st.sampled_from(VEHICLES), max_size=3, unique=True),
            "zones": st.sampled_from([["a"], ["a", "b"], ["b", "a"], ["a", "c"], ["c", "a", "c"], ["a", "a", "b", "c"], ["c", "nowhere"]]),
        },
        optional={"city": st.sampled_from(["110000", "110105", "120000"]), "valid_from": st.sampled_from(["2023-11-16", "2023-11-15T12:00:00+08:00"]), "valid_until": st.just("2023-11-16")},
    ),
    min_size=2, max_size=6, unique_by=lambda record: (record["id"], record.get("valid_from")),
)  # fmt: skip


def drive(rng, vehicle_id, count, start_ms):
    """One vehicle's fixes; often it stands."""
    now_ms, lon, speed, load = start_ms + rng.randrange(120_000), 0.5, None, None
    for number in range(count):
        now_ms += rng.choice(STEPS_MS)
        lon = rng.choice(LONS) if rng.random() < 0.4 else lon
        speed = rng.choice([None, 0.0, 0.0, 1.0, 1.001, 30.0]) if rng.random() < 0.3 else speed
        load = rng.choice([None, "empty", "full"]) if rng.random() < 0.3 else load
        given = {"speed_kmh": speed, "load": load}
        yield {"event_id": f"{rng.randrange(10)}-{number}", "event_time_ms": now_ms, "vehicle_id": vehicle_id, "lon": lon, "lat": 0.5, **{k: v for k, v in given.items() if v is not None}}


@st.composite
def arrivals(draw):
    """Fixes more or less in order, some sent twice, on one day or around midnight; chunks and breaks."""
    rng = random.Random(draw(st.integers(0, 2**32)))
    start_ms = MIDNIGHT_MS + draw(st.sampled_from([-600_000, -600_000, 7 * HOUR_MS - 900_000, 20 * HOUR_MS - 900_000, -DAY_MS]))
    longest = draw(st.sampled_from([3, 20, 60]))
    made = [fix for vehicle_id in VEHICLES for fix in drive(rng, vehicle_id, rng.randrange(longest), start_ms)]
    jitter_ms = draw(st.sampled_from([0, 60_000, 600_000]))
    sent = sorted(made, key=lambda fix: fix["event_time_ms"] + rng.randrange(jitter_ms + 1))
    for _ in range(len(sent) // 8):
        sent.insert(rng.randrange(len(sent)), rng.choice(sent))
    return sent, draw(st.sampled_from([1, 2, 4, 8, 50])), draw(st.sets(st.integers(0, max(0, len(sent) - 1)), max_size=4))


def judge(engine_of, values, size, breaks):
    """What a partition came to; at every break state goes through bytes, or policy and registry come anew."""
    engine, partition = engine_of(), new_partition()
    head, stored = header_of(0, 0, 0), {}
    records = [Record(value, offset) for offset, value in enumerate(values)]
    for start in range(0, len(records), size):
        here = breaks & set(range(start, start + size))
        if any(number % 2 for number in here):
            engine.change(engine.policies)
        if any(number % 2 == 0 for number in here):
            stored.update((key, encode_fields((day,), head)) for key, day in partition.fleet_days.stored())
            fresh, restored = engine_of(), new_partition(partition.next_offset)
            restored.stream_time_ms, restored.empty_run = partition.stream_time_ms, EmptyRun(partition.empty_run.by_date)
            restored.fleet_days.by_date = {key.removeprefix(KEY): decode_fields(value, tuple[FleetDay])[0] for key, value in stored.items()}
            slots = np.array([partition.slot(vehicle) for vehicle in partition.vehicles.values()], np.intp)
            for name, value in encode_vehicles(partition.store, slots, engine, head):
                restored.vehicles[name] = decode_vehicle(value, fresh)
                fresh.timers.schedule(restored, restored.vehicles[name])
            engine, partition = fresh, restored
        engine.judge(partition, records[start : start + size])
    engine.finish(partition)
    return partition


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("packs")
    (path / "zones.geojson").write_text(json.dumps(ZONES))
    return path


@pytest.mark.timeout(600)
@settings(max_examples=EXAMPLES or 300, derandomize=not EXAMPLES, deadline=None, print_blob=True, suppress_health_check=list(HealthCheck))
@given(
    registry=lines, sent=arrivals(), split=st.integers(1, 2), block=st.sampled_from([1, 2, history.BLOCK]), few=st.sampled_from([0, late.FEW]), waits=st.sampled_from([0, 300_000]),
    more=st.fixed_dictionaries({"lateness": st.sampled_from(["30s", "10m"])}, optional={"valid_from": st.just("2023-11-16")}), chosen=st.sampled_from([None, ["L1"], ["L2", "L9"]]),
)  # fmt: skip
def test_days_of_the_fleet_equal_the_oracle(folder, registry, sent, split, block, few, waits, more, chosen):
    with pytest.MonkeyPatch.context() as patch:
        for module in (history, store):
            patch.setattr(module, "BLOCK", block)
            patch.setattr(module, "MOST_OPEN", block + 1)
        patch.setattr(quiet, "FEWEST_A_ROUND", 1)
        for module in (slow_path, insertion):
            patch.setattr(module, "FEW", few)
        for name in ("EACH_MS", "LONGEST_MS"):
            patch.setattr(late, name, waits)
        compare(folder, registry, sent, split, more, chosen)


def compare(folder, registry, sent, split, more, chosen):
    fixes, size, breaks = sent
    rules = [{"rule": "missed_line", "id": "lines", "clause": "1", "severity": "warning", **({"lines": chosen} if chosen else {})}]
    rules += [{"rule": "overstayed_stop", "id": "stop", "clause": "1", "severity": "warning", "zones": ["c"], "limit": "1m"}]
    (folder / "pack.yaml").write_text(yaml.safe_dump({**PACK, **more, "rules": rules}, allow_unicode=True))
    (folder / "registry.jsonl").write_text("".join(json.dumps(record) + "\n" for record in registry))
    policy = load_policy(str(folder / "pack.yaml"))
    policies, known = Policies([policy]), load_registry(folder / "registry.jsonl", policy.timezone)
    oracle = Oracle(folder / "pack.yaml", folder / "registry.jsonl")
    parts = defaultdict(list)
    for fix in fixes:
        parts[sum(fix["vehicle_id"].encode()) % split].append(json.dumps(fix).encode())
    judged = []
    for values, quick in itertools.product(parts.values(), (True, False)):
        partition = judge(lambda quick=quick: Engine(policies, known, b"k", quiet=quick), values, size, breaks)
        assert {date: tuple(driven) for date, driven in partition.empty_run.by_date.items()} == oracle.driven(values)
        days = partition.fleet_days.by_date
        assert {(date, zone): tuple(stays) for date, day in days.items() for zone, stays in day.stays.items()} == oracle.parked(values)
        assert {date: set(day.lines) for date, day in days.items()} == oracle.fleet_days(values)
        judged += [days] if quick else []
    check_city(policies, known, oracle, judged, list(parts.values()), random.Random(len(fixes)))


def check_city(policies, known, oracle, judged, parts, rng):
    """The city sums the partitions' days, whichever way and however often they come, and judges them when they are closed."""
    said = [Contribution("110000", "courier.gps.v1", "*", date, number, 5, fleet=day) for number, days in enumerate(judged) for date, day in days.items()]
    said += [rng.choice(said) for _ in said]
    rng.shuffle(said)
    ledger, standing, now_ms = CityLedger(), {}, MIDNIGHT_MS + rng.choice([-1, 0, 600_000, DAY_MS + 30_000, DAY_MS + 600_000, 3 * DAY_MS])
    for number, contribution in enumerate([*said, None]):
        judge, due = CityJudge(policies, known, b"k"), Due()
        if contribution is not None:
            judge.enter(ledger, decode_contribution(encode_contribution(contribution)), due)
        if contribution is None or rng.random() < 0.3:
            judge.advance(ledger, now_ms, now_ms - 1, due)
        for _, data in judge.judge(ledger, due).incidents:
            assert data.revision == standing[data.incident_id].revision + 1 if data.incident_id in standing else data.revision == 1
            standing[data.incident_id] = data
        if rng.random() < 0.2:
            restored = CityLedger(stream_time_ms=ledger.stream_time_ms)
            for kind, *names in {("fleet", "110000", date): None for date in ledger.fleet}:
                put_record(restored, state_key(kind, *names), encode_fields(record_fields(ledger, kind, names), header_of(0, number, 0)))
            ledger = restored
    found = {(d.rule_id, d.line_id, oracle.local(d.opened_at_ms).date().isoformat()) for d in standing.values() if d.state != "retracted"}
    assert found == oracle.missed_lines(parts, now_ms)
    of_lines = oracle.lines_of(*parts)
    rows = {row["window"]: row for date in ledger.fleet for row in fleet_rows(ledger, policies, known, "110000", date)}
    for date, (driven, lines) in of_lines.items():
        row = rows.get(f"lines {date}", {"lines_run": 0, "lines": 0})
        assert (row["lines_run"], row["lines"]) == (len(driven & lines), len(lines))
    parked = defaultdict(lambda: (0, 0))
    for values in parts:
        for key, numbers in oracle.parked(values).items():
            parked[key] = tuple(map(sum, zip(parked[key], numbers, strict=True)))
    assert {(row["date"], row["zone_id"]): (row["stops"], row["occupied_ms"]) for row in rows.values() if "zone_id" in row} == parked
