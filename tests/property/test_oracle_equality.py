"""The engine equals the oracle whatever the pack, the registry, the fixes, their order of arrival, the chunks, the split
into partitions, the restarts and the changes of the registry.

``YICHENG_EXAMPLES=5000 ./yicheng test tests/property`` tries more, at random; without it the same 1,000 are tried every time in CI, 400 of them elsewhere.
"""

import json
import os
import random
from collections import Counter, defaultdict
from zoneinfo import ZoneInfo

import numpy as np
import pytest
import yaml
from as_published import FIELDS
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from oracle import Oracle

from streams.city.incident_data import incident_data
from streams.clock import bound_ms
from streams.lifecycle import OPEN
from streams.policy.policy import Policies
from streams.policy.reader import load_policy
from streams.registry.files import load_registry
from streams.vehicles import engine as engine_module
from streams.vehicles import history, insertion, late, quiet, slow_path, store
from streams.vehicles.codec import decode_vehicle, encode_vehicles
from streams.vehicles.empty_run import EmptyRun
from streams.vehicles.engine import Engine
from streams.vehicles.incidents import as_transition
from streams.vehicles.partition import new_partition
from streams.wire.events import Record
from streams.wire.state_records import header_of

EXAMPLES = int(os.environ.get("YICHENG_EXAMPLES", "0"))
SHANGHAI = ZoneInfo("Asia/Shanghai")
BASE_MS = 1_700_020_800_000  # 2023-11-15 12:00 in Shanghai
ZONES = {
    "type": "FeatureCollection",
    "features": [
        {"type": "Feature", "properties": {"id": name, "kind": kind}, "geometry": {"type": form, "coordinates": rings}}
        for name, kind, form, rings in [
            ("square", "a", "Polygon", [[[0, 0], [4, 0], [4, 4], [0, 4], [0, 0]]]),
            ("holed", "a", "Polygon", [[[2, 2], [6, 2], [6, 6], [2, 6], [2, 2]], [[3, 3], [5, 3], [5, 5], [3, 5], [3, 3]]]),
            ("two", "b", "MultiPolygon", [[[[1, 1], [2, 1], [2, 2], [1, 1]]], [[[7, 7], [8, 7], [8, 8], [7, 7]]]]),
        ]
    ],
}
VEHICLES = ["V-1", "V-2", "v3", "stranger"]
ALL_ZONES = ["square", "holed", "two"]

durations = st.sampled_from(["0s", "1s", "30s", "2m"])
instants = st.sampled_from(["2023-11-14", "2023-11-15", "2023-11-16", "2023-11-15T12:05:00+08:00", "2023-11-15T12:10", "2023-11-15T12:00:30.500"])
zone_lists = st.one_of(
    st.lists(st.sampled_from(ALL_ZONES), min_size=1, max_size=2, unique=True), st.sampled_from([{"kind": "a"}, {"kind": "b"}])
)
windows = st.lists(
    st.fixed_dictionaries(
        {
            "days": st.sampled_from(["mon-sun", "wed", "tue", "thu-mon", "sat,sun"]),
            "from": st.sampled_from(["12:01", "12:05", "00:00", "20:00", "12:10"]),
            "until": st.sampled_from(["12:05", "12:15", "24:00", "07:00", "12:01"]),
        }
    ),
    min_size=1, max_size=2,
)  # fmt: skip
conditions = {
    "passes": st.lists(st.sampled_from(["green", "temporary"]), max_size=2, unique=True),
    "energy": st.lists(st.sampled_from(["electric", "fuel"]), max_size=1),
    "classes": st.just(["truck"]),
    "body": st.just(["box"]),
    "marked": st.booleans(),
    "key_enterprise": st.booleans(),
    "joint_delivery": st.booleans(),
    "calendars": st.sampled_from([["fair"], ["winter"]]),
    "unless_credit": st.just("black"),
}
exemptions = st.one_of(
    st.fixed_dictionaries({}, optional=conditions),
    st.lists(
        st.fixed_dictionaries({}, optional=conditions).filter(lambda each: any(value for key, value in each.items() if key != "unless_credit")),
        min_size=1,
        max_size=2,
    ),
)
selectors = st.fixed_dictionaries(
    {}, optional={"classes": st.just(["truck", "light_van"]), "energy": st.just(["fuel"]), "body": st.just(["box"])}
)


def exempts_not_all(entry):
    """Exemptions of all whom a rule is about are refused."""
    about, exempt = entry.get("vehicles", {}), entry.get("exempt", ())
    return not any(set(about[key]) <= set(each.get(key, ())) for each in ([exempt] if isinstance(exempt, dict) else exempt) for key in about)


def rule(name, own=None, *, zones=None, permitted=None):
    required = {"rule": st.just(name), **(own or {})}
    optional = {"min_duration": durations, "merge_gap": st.sampled_from(["0s", "10s", "2m", "10m"]), "vehicles": selectors, "exempt": exemptions}
    for key, use, values in (("zones", zones, zone_lists), ("permitted", permitted, windows)):
        if use:
            (required if use == "required" else optional)[key] = values
    return st.fixed_dictionaries(required, optional=optional).filter(exempts_not_all)


silence = st.fixed_dictionaries(
    {"rule": st.just("silent_vehicle"), "limit": st.sampled_from(["10s", "30s", "2m", "6m"])}, optional={"vehicles": selectors, "exempt": exemptions}
).filter(exempts_not_all)
rules = st.one_of(
    rule("unregistered_vehicle"),
    rule("malformed_identifier"),
    rule("unmarked_vehicle"),
    rule("nonstandard_vehicle", {"allow": st.sampled_from([{"body": ["box"]}, {"classes": ["truck"], "energy": ["fuel", "electric"]}])}, zones="optional"),
    rule("cloned_identifier", {"max_speed_kmh": st.sampled_from([50, 4000]), "min_distance_m": st.sampled_from([1000, 200_000])}),
    rule("restricted_hours", zones="required", permitted="required"),
    rule("outside_operating_area", zones="required", permitted="optional"),
    rule("forbidden_stop", {"stopped_below_kmh": st.sampled_from([1.0, 0.0])}, zones="required", permitted="optional"),
    rule("overstayed_stop", {"limit": st.sampled_from(["30s", "1m"])}, zones="required", permitted="optional"),
    rule("speeding", {"limit_kmh": st.sampled_from([1.0, 15, 59.99])}, zones="optional", permitted="optional"),
    rule("untrained_driver"),
    rule("uninsured_driver"),
    rule("unrecognised_foreign_plate", zones="optional"),
    *[silence] * 4,
)  # fmt: skip
packs = st.fixed_dictionaries(
    {"rules": st.lists(rules, min_size=1, max_size=6), "lateness": st.sampled_from(["30s", "2m", "10m"])},
    optional={"valid_from": instants, "valid_until": st.sampled_from(["2023-11-16", "2023-11-15T12:07:00+08:00"])},
)

validity = {"valid_from": instants, "valid_until": st.sampled_from(["2023-11-16", "2023-11-17", "2023-11-15T12:12:00+08:00"])}


def record(kind, ids, required=None, optional=None):
    return st.fixed_dictionaries({"kind": st.just(kind), "id": st.sampled_from(ids), **(required or {})}, optional={**(optional or {}), **validity})


registries = st.lists(
    st.one_of(
        record("vehicle", ["V-1", "V-2", "v3"], {}, {
            "plate": st.sampled_from(["京A12345", "ກຂ1"]), "enterprise_id": st.sampled_from(["e", "f"]), "marked": st.booleans(),
            "vehicle_class": st.sampled_from(["truck", "light_van", "e_bike"]), "energy": st.sampled_from(["fuel", "electric"]),
            "body": st.sampled_from(["box", "open"]), "status": st.sampled_from(["active", "suspended"]), "joint_delivery": st.booleans(),
            "driver_ids": st.lists(st.sampled_from(["d", "x"]), max_size=2), "insured_until": instants,
            "plate_kind": st.sampled_from(["motor", "non_motor"]),
        }),
        record("driver", ["d", "x"], {}, {"trained_until": instants, "insured_until": instants}),
        record("enterprise", ["e", "f"], {}, {"credit": st.sampled_from(["normal", "black"]), "key_enterprise": st.booleans()}),
        record("pass", ["p", "q"], {"pass_kind": st.sampled_from(["green", "temporary", "cross_border"])}, {
            "vehicle_id": st.sampled_from(["V-1", "V-2"]), "enterprise_id": st.sampled_from(["e", "f"]),
            "zones": st.sampled_from([["*"], ["square"], ["two", "holed"]]),
        }),
        record("notice", ["n", "m"], {
            "subject": st.sampled_from(["vehicle/V-1", "enterprise/e", "enterprise/f"]), "from": st.sampled_from(["2023-11-15", "2023-11-15T12:03:00+08:00"]),
            "until": st.sampled_from(["2023-11-15T12:06:00+08:00", "2023-11-15T12:30", "2023-11-15"]),
        }, {"filed_at": st.sampled_from(["2023-11-14", "2023-11-15T12:04:00+08:00"])}),
    ),
    min_size=2, max_size=12, unique_by=lambda r: (r["kind"], r["id"], r.get("valid_from")),
)  # fmt: skip

COORDINATES = [0.0, 0.5, 1.0, 1.5, 1.6, 2.0, 2.001, 2.123456789, 2.5, 3.0, 4.0, 4.5, 5.0, 7.5, 9.0, -0.0001]
SPEEDS = [None, 0.0, 0.0, 1.0, 1.01, 15.0, 15.1, 59.99, 60.123, 501.0]
STEPS_MS = [0, 0, 0, 1, 1_000, 10_000, 10_000, 10_000, 10_000, 30_000, 60_000, 120_000, 120_001, 400_000]


def drive(rng, vehicle_id, count, changes):
    """One vehicle's fixes: mostly it goes on as before, so that runs get long, and now and then (``changes``: how often) something changes."""
    now_ms = BASE_MS + rng.randrange(120_000)
    state = {"lon": 1.6, "lat": 1.5}
    for number in range(count):
        now_ms += rng.choice(STEPS_MS)
        for key, values in (
            ("lon", COORDINATES), ("lat", COORDINATES), ("speed_kmh", SPEEDS), ("plate", [None, "京A12345", "京a·1234５", "京A1", "ກຂ1", "ກຂ-1", "使014578", ""]),
            ("synthetic", [None, None, True, False]), ("driver_id", [None, None, "d", "x", "y"]), ("ignition", [None, True, True, True, False]), ("load", [None, "empty", "partial", "full"]),
        ):  # fmt: skip
            if rng.random() < changes:
                state[key] = rng.choice(values)
        given = {key: value for key, value in state.items() if value is not None}
        again = rng.random() < 2 * changes  # terminals use ids again
        yield {"event_id": f"{rng.randrange(3)}" if again else f"{rng.randrange(10)}-{vehicle_id}-{number}", "event_time_ms": now_ms, "vehicle_id": vehicle_id, **given}


@st.composite
def arrivals(draw):
    """Fixes with some sent twice, more or less in order, cut into chunks, perhaps with breaks."""
    seed = draw(st.integers(0, 2**32))
    rng = random.Random(seed)
    longest = draw(st.sampled_from([3, 8, 20, 60]))
    changes = draw(st.sampled_from([0.15, 0.02]))
    made = [fix for vehicle_id in VEHICLES for fix in drive(rng, vehicle_id, rng.randrange(longest), changes)]
    jitter_ms = draw(st.sampled_from([0, 5_000, 60_000, 600_000]))
    sent = sorted(made, key=lambda fix: fix["event_time_ms"] + rng.randrange(jitter_ms + 1))
    for _ in range(len(sent) // 8):
        index = rng.randrange(len(sent))
        again = rng.choice([sent[index], {**sent[index], "event_time_ms": sent[index]["event_time_ms"] + 20_000}, {**sent[index], "lon": 0.5, "plate": "京B1"}])
        sent.insert(min(len(sent), index + rng.randrange(1, 9)), again)
    size = draw(st.sampled_from([1, 2, 7, 100]))
    breaks = draw(st.sets(st.integers(0, max(0, len(sent) - 1)), max_size=5))
    return sent, size, breaks


def judge(engine_of, lines, size, breaks):
    """Final incidents and reject reasons of one partition, by the engine; at every break, state goes through bytes or policy and registry come anew."""
    engine, partition = engine_of(), new_partition()
    latest, rejected, revisions = {}, Counter(), defaultdict(list)
    records = [Record(line, offset) for offset, line in enumerate(lines)]
    for start in range(0, len(records), size):
        here = breaks & set(range(start, start + size))
        if any(number % 2 for number in here):
            engine.change(engine.policies)
        if any(number % 2 == 0 for number in here):
            fresh, restored = engine_of(), new_partition(partition.next_offset)
            restored.stream_time_ms, restored.empty_run = partition.stream_time_ms, EmptyRun(partition.empty_run.by_date)
            slots = np.array([partition.slot(vehicle) for vehicle in partition.vehicles.values()])
            for name, value in encode_vehicles(partition.store, slots, engine, header_of(0, start, 0)):
                restored.vehicles[name] = decode_vehicle(value, fresh)
                fresh.timers.schedule(restored, restored.vehicles[name])
            engine, partition = fresh, restored
        verdict = engine.judge(partition, records[start : start + size])
        rejected.update(reject.reason for reject in verdict.rejects)
        for transition in verdict.transitions:
            latest[transition.incident_id] = transition
            revisions[transition.incident_id].append(transition.revision)
    for transition in engine.finish(partition):
        latest[transition.incident_id] = transition
        revisions[transition.incident_id].append(transition.revision)
    assert all(numbers == list(range(1, len(numbers) + 1)) for numbers in revisions.values())
    for vehicle in partition.vehicles.values():
        for incident in vehicle.incidents or ():
            if incident.state == OPEN:
                latest[incident.incident_id] = as_transition("updated", vehicle, incident)
    standing = [t for t in latest.values() if t.state != "retracted"]
    registry = engine.compiler.registry
    found = Counter(
        (*(getattr(data, field) for field in FIELDS), data.plate, data.synthetic, t.episode.top_speed_kmh or 0.0, data.driver_id)
        for t in standing for data in [incident_data(t, engine.policies, registry)]
    )  # fmt: skip
    return found, rejected, {date: tuple(driven) for date, driven in partition.empty_run.by_date.items()}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("packs")
    (path / "zones.geojson").write_text(json.dumps(ZONES))
    return path


@settings(
    max_examples=EXAMPLES or (1_000 if "YICHENG_SLOWLY" in os.environ else 400), derandomize=not EXAMPLES, deadline=None, print_blob=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.function_scoped_fixture],
)  # fmt: skip
@given(
    pack=packs, registry=registries, sent=arrivals(), split=st.integers(1, 3), block=st.sampled_from([1, 2, 5, history.BLOCK]),
    fewest=st.sampled_from([1, 2, 4]), longest=st.sampled_from([1, 2, *[store.LONGEST_ID] * 4]),
    most_compiled=st.sampled_from([-10, 0, *[engine_module.MOST_COMPILED] * 4]), most=st.sampled_from([0.02, 0.1, slow_path.MOST_A_SECOND]),
    few=st.sampled_from([0, 5, late.FEW]), waits=st.sampled_from([0, late.LONGEST_MS, 300_000]), share=st.sampled_from([1, 4, late.SHARE]),
)  # fmt: skip
def the_engine_equals_the_oracle(folder, pack, registry, sent, split, block, fewest, longest, most_compiled, most, few, waits, share):
    with pytest.MonkeyPatch.context() as patch:
        for module in (history, store):
            patch.setattr(module, "BLOCK", block)
            patch.setattr(module, "MOST_OPEN", block + 1)
        for module in (store, engine_module):
            patch.setattr(module, "LONGEST_ID", longest)
        patch.setattr(quiet, "FEWEST_A_ROUND", fewest)
        patch.setattr(engine_module, "MOST_COMPILED", most_compiled)
        patch.setattr(slow_path, "MOST_A_SECOND", most)
        for module in (slow_path, insertion):
            patch.setattr(module, "FEW", few)
        for name in ("EACH_MS", "LONGEST_MS"):
            patch.setattr(late, name, waits)
        patch.setattr(late, "SHARE", share)
        compare(folder, pack, registry, sent, split, most)


@pytest.fixture
def quiet_fixes(monkeypatch):
    """How many fixes were quiet: if none is, the quick path and the slow one are compared with themselves."""
    found, rounds = Counter(), engine_module.rounds

    def counted(*chunk):
        appended, in_rounds = rounds(*chunk)
        found.update(quiet=int(appended.sum()))
        return appended, in_rounds

    monkeypatch.setattr(engine_module, "rounds", counted)
    return found


@pytest.mark.timeout(1_200)
def test_the_engine_equals_the_oracle(folder, quiet_fixes):
    the_engine_equals_the_oracle(folder)
    assert quiet_fixes["quiet"] > 50


def test_many_fixes_of_a_calm_fleet_are_quiet_and_equal_the_oracle(folder, quiet_fixes, monkeypatch):
    monkeypatch.setattr(quiet, "FEWEST_A_ROUND", 1)
    registry = [{"kind": "vehicle", "id": vehicle_id, "marked": True, "vehicle_class": "truck", "valid_from": "2023-11-15"} for vehicle_id in VEHICLES]
    fleet = 0
    for seed in range(24):
        rng = random.Random(seed)
        made = [fix for vehicle_id in VEHICLES for fix in drive(rng, vehicle_id, 60, 0.02)]
        pack = {"lateness": "10m", "rules": [
            {"rule": "speeding", "limit_kmh": 59.99}, {"rule": "unmarked_vehicle"}, {"rule": "cloned_identifier", "max_speed_kmh": 4000, "min_distance_m": 200_000},
            {"rule": "restricted_hours", "zones": ["two"], "permitted": [{"days": "mon-sun", "from": "12:10", "until": "12:05"}]}, {"rule": "silent_vehicle", "limit": "6m"},
        ]}  # fmt: skip
        compare(folder, pack, registry, (sorted(made, key=lambda fix: fix["event_time_ms"] + rng.randrange(20_000)), rng.choice([2, 7, 100]), {50, 91}), 1)
        fleet += len(made)
    assert quiet_fixes["quiet"] > fleet / 8


def valid_from_before_until(pack):
    """Packs that are never valid are refused."""
    return bound_ms(pack["valid_from"], SHANGHAI, end=False) < bound_ms(pack["valid_until"], SHANGHAI, end=True)


def compare(folder, pack, registry, sent, split, most=slow_path.MOST_A_SECOND):
    fixes, size, breaks = sent
    for number, entry in enumerate(pack["rules"]):
        entry.update(id=f"r{number}", clause="1", severity="warning")
    whole = {
        "policy": "p", "city": {"adcode": "1", "name_zh": "甲", "name_en": "A", "timezone": "Asia/Shanghai"},
        "document": {"title": "t", "number": "n", "file": "f"}, "identifier": {"pattern": "V-[0-9]"},
        "calendars": {"fair": [{"from": "2023-11-15", "until": "2023-11-15"}], "winter": [{"every_year": "11-16…01-05"}]}, "zones": "zones.geojson", **pack,
    }  # fmt: skip
    if whole.get("valid_from") and whole.get("valid_until") and not valid_from_before_until(whole):
        del whole["valid_until"]
    (folder / "pack.yaml").write_text(yaml.safe_dump(json.loads(json.dumps(whole)), allow_unicode=True))
    registry = [r for r in registry if not (r.get("valid_until") and r.get("valid_from") and r["valid_until"][:10] <= r["valid_from"][:10])]
    (folder / "registry.jsonl").write_text("".join(json.dumps(r) + "\n" for r in registry))
    policy = load_policy(str(folder / "pack.yaml"))
    known = load_registry(folder / "registry.jsonl", policy.timezone)
    oracle = Oracle(folder / "pack.yaml", folder / "registry.jsonl")
    oracle.most_a_second = most
    parts = defaultdict(list)
    for fix in fixes:
        parts[sum(fix["vehicle_id"].encode()) % split].append(json.dumps(fix).encode())
    for lines in parts.values():
        told, (_, refused), expected = oracle.told(lines), oracle.accept(lines), oracle.driven(lines)
        for quick in (True, False):
            found, rejected, driven = judge(lambda quick=quick: Engine(Policies([policy]), known, b"k", quiet=quick), lines, size, breaks)
            assert found == told
            assert rejected == refused
            assert driven == expected
