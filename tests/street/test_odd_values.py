"""Whatever stands in a pack, a zone file or a registry: it is refused in one line, or can be judged by.

``YICHENG_SEED=7`` takes other values; ``--long`` takes all.
"""

import copy
import json
import os
import random

import msgspec
import pytest
import yaml
from conftest import ROOT
from poison import ODD_VALUES

from deploy.judge import judge_files
from deploy.packs.explain import explain
from streams.errors import BadInput
from streams.policy.reader import load_policy, packs, parse_policy
from streams.registry.files import load_registry
from streams.registry.records import decode_versions

HOURS_S = 4 * 3_600
SEED = int(os.environ.get("YICHENG_SEED", "1"))
T = 1_715_054_400_000  # 2024-05-07 12:00 in Shanghai
LONGEST_EVENT_BYTES = 256_000
ODD_YAML = [
    "~", '""', '" "', "[]", "{}", "[~]", "[a, a]", "[1, 2]", "[[[]]]", "{a: b}", "{a: {b: c}}", "0", "-1", "1.5", "1e999", "1e-400", ".nan", "nan", "-inf", "99999999999999999999", "true", "0x10", "1_0", "１２",
    "9999-12-31", "0001-01-01", "10000-01-01", "20240507", "12-31…01-01", '"24:00"', '"25:00"', "0s", "-5m", "99999999999d", "36600d", "mon-sun", '"*"', "other", "speeding", r'"\0"', r'"a\0b"', r'"\ud800"', r'"\u202e"', r'"\n"', '"(("', "'a{1,9999}'", "../x",
    "/dev/zero", "'=1'", "Mars/Olympus", '"' + "x" * 129 + '"', '"' + "京" * 1_000 + '"', "[" + ", ".join(["京" * 60] * 40) + "]", "{? [a] : b}", "*a", "!!python/object:os.system x",
]  # fmt: skip


@pytest.fixture(scope="module")
def events(tmp_path_factory):
    """A day and a bit of one vehicle, one outlet and their enterprise."""
    folder = tmp_path_factory.mktemp("events")
    times = [*range(T, T + 600_000, 30_000), T + 86_400_000, T + 200_000_000]
    fixes = [{"event_id": f"f{t}", "event_time_ms": t, "vehicle_id": "HH-00001", "lon": 111.66 + (t % 7) / 500, "lat": 40.81, "speed_kmh": 80.0 * (t % 60_000 > 0), "ignition": True, "driver_id": "D1", "load": "empty"} for t in times]
    scans = [{"event_id": f"s{t}", "event_time_ms": t, "waybill_id": f"w{t}", "enterprise_id": "e", "city": "150100", "kind": "accepted", "outlet_id": "o", "packaging": {"tape_mm": 60}} for t in times]
    beats = [{"event_id": f"b{t}", "event_time_ms": t, "subject": "outlet/o", "city": "150100"} for t in times]
    for name, rows in (("gps", fixes), ("scans", scans), ("heartbeats", beats)):
        (folder / f"{name}.jsonl").write_text("\n".join(map(json.dumps, rows)))
    return folder


RECORDS = {
    "vehicle": {"plate": "京A1", "device_id": "d", "enterprise_id": "e", "city": "150100", "vehicle_class": "light_van", "energy": "fuel", "plate_kind": "motor", "emission_standard": "5", "body": "box", "marked": False, "status": "active", "driver_ids": ["D1"], "insured_until": "2024-01-01", "joint_delivery": True},
    "driver": {"enterprise_id": "e", "trained_until": "2024-01-01", "insured_until": "2024-01-01"},
    "enterprise": {"name_zh": "甲", "name_en": "A", "primary_brand": True, "key_enterprise": True, "licensed_until": "2024-01-01", "cities": ["150100"], "credit": "black"},
    "outlet": {"enterprise_id": "e", "city": "150100", "lon": 111.6, "lat": 40.8, "filed": False, "camera": True, "recycling_container": False, "standardised": True, "reusable_boxes": True, "township": "t"},
    "pass": {"pass_kind": "green", "vehicle_id": "HH-00001", "enterprise_id": "e", "zones": ["core"]},
    "notice": {"subject": "vehicle/HH-00001", "from": "2024-05-07", "until": "2024-05-08", "filed_at": "2024-05-01", "reason": "x"},
    "township": {"covered": True, "urban": False, "locker_cells": 1, "service_stations": 1, "villages": 1},
    "facility": {"level": "hub", "enterprise_id": "e", "city": "150100", "lon": 111.6, "lat": 40.8, "township": "t", "village": "v"},
    "line": {"zones": ["core"], "vehicle_ids": ["HH-00001"], "city": "150100"},
}  # fmt: skip
IDS = {"vehicle": "HH-00001", "driver": "D1", "enterprise": "e", "outlet": "o", "pass": "p", "notice": "n", "township": "t", "facility": "f", "line": "l"}
ALL = [{"kind": kind, "id": IDS[kind], "valid_from": "2020-01-01", "valid_until": "2030-01-01", **record} for kind, record in RECORDS.items()]


def registry_of(tmp_path, policy, text, name="r.jsonl"):
    (tmp_path / name).write_text(text, "utf-8", "surrogatepass")
    return load_registry(tmp_path / name, policy.timezone)


def judged(policy, registry, events, out):
    """Judged with everything, every incident short enough for Kafka; its words for officials as well."""
    judge_files(policy, registry, [str(events / "gps.jsonl")], [str(events / "scans.jsonl")], out, heartbeats=[str(events / "heartbeats.jsonl")])
    lines = (out / "incidents.jsonl").read_bytes().splitlines()
    assert all(len(line) < LONGEST_EVENT_BYTES and json.loads(line) for line in lines)
    return [json.loads(line) for line in lines]


def refused_in_one_line(error):
    text = str(error)
    assert text and "\n" not in text and len(text) < 5_000, text[:500]
    text.encode()


def some(cases, number, long):
    """All of them, or as many as a run has time for."""
    return cases if long else random.Random(SEED).sample(cases, number)


# --- packs ---


def spans(node, path=()):
    """Every value of a YAML document: the keys that lead to it, and where it begins and ends."""
    yield path, node.start_mark.index, node.end_mark.index
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            yield from spans(value, (*path, key.value))
    elif isinstance(node, yaml.SequenceNode):
        for value in node.value:
            yield from spans(value, (*path, 0))


def one_by_one(text):
    """A pack as several: its frame with targets and a rule, and its frame without with each of its rules."""
    head, _, rest = text.partition("rules:\n")
    rules, cut, tail = rest.partition("targets:\n")
    each = ["  - rule:" + part for part in rules.split("  - rule:")[1:]]
    yield f"{head}rules:\n{each[0]}{cut}{tail}", lambda path: path[:1] != ("rules",)
    for rule in each:
        yield f"{head}rules:\n{rule}", lambda path: path[:1] == ("rules",)


def odd_packs():
    """(name of the pack, text, what is replaced, by what), once for each place that is the same in several rules."""
    seen = set()
    for name in packs():
        text = (ROOT / "streams" / "policies" / f"{name}.yaml").read_text("utf-8")
        for part, is_about in one_by_one(text):
            rule = part.partition("- rule: ")[2].partition("\n")[0]
            for path, begin, end in spans(yaml.compose(part, yaml.BaseLoader)):
                place = (path, rule if path[:1] == ("rules",) else "")
                if is_about(path) and place not in seen:
                    seen.add(place)
                    yield from ((name, part, begin, end, strange) for strange in ODD_YAML)


@pytest.mark.timeout(HOURS_S)
def test_a_pack_with_an_odd_value_is_refused_or_can_be_judged_by(request, events, tmp_path):
    cases, long = list(odd_packs()), request.config.getoption("--long")
    assert len(cases) > 10_000
    zones = {name: load_policy(name).pack.source["geojson"] for name in packs()}
    accepted = 0
    for name, text, begin, end, strange in some(cases, 120, long):
        made = text[:begin] + strange + ("\n" if text[end - 1 : end] == "\n" else "") + text[end:]
        try:
            policy = parse_policy(made, "pack.yaml", lambda _, name=name: zones[name])
        except BadInput as error:
            refused_in_one_line(error)
            continue
        except Exception as error:
            raise AssertionError(f"{strange} for {text[begin:end]!r} of {name}") from error
        judged(policy, registry_of(tmp_path, policy, "\n".join(map(json.dumps, ALL))), events, tmp_path)
        assert explain(policy, "zh") and explain(policy, "en")
        accepted += 1
    assert accepted > 10


# --- zones ---


def places(held, path=()):
    """Every value of a JSON document, by the keys and positions that lead to it; of lists the first two."""
    yield path
    for key, value in held.items() if isinstance(held, dict) else enumerate(held[:2]) if isinstance(held, list) else ():
        yield from places(value, (*path, key))


def with_value(held, path, raw):
    """A JSON document as text, in which the JSON ``raw`` stands at a place."""
    made = copy.deepcopy(held)
    if not path:
        return raw
    inner = made
    for key in path[:-1]:
        inner = inner[key]
    inner[path[-1]] = "HERE STANDS IT"
    return json.dumps(made, ensure_ascii=False).replace('"HERE STANDS IT"', raw, 1)


@pytest.mark.timeout(HOURS_S)
def test_zones_with_an_odd_value_are_refused_or_can_be_judged_by(request, events, tmp_path):
    pack = load_policy("hohhot-2019").pack.source
    zones = json.loads(pack["geojson"])
    zones["features"] = zones["features"][:2]
    zones["features"][0]["properties"]["illustrative"] = True
    zones["crs"] = {"type": "name", "properties": {"name": "EPSG:4326"}}
    text = pack["yaml"].partition("rules:\n")[0] + 'rules:\n  - {rule: restricted_hours, id: r, clause: "1", severity: violation, zones: [core], permitted: [{from: "07:00", until: "08:00"}]}\n'
    cases, accepted = [(place, raw) for place in places(zones) for raw in ODD_VALUES.values()], 0
    for place, raw in some(cases, 100, request.config.getoption("--long")):
        made = with_value(zones, place, raw)
        try:
            policy = parse_policy(text, "pack.yaml", lambda _, made=made: made)
        except BadInput as error:
            refused_in_one_line(error)
            continue
        except Exception as error:
            raise AssertionError(f"{raw[:100]} at {place}") from error
        judged(policy, registry_of(tmp_path, policy, ""), events, tmp_path)
        accepted += 1
    assert accepted > 5


# --- registries ---


def as_csv(record):
    cells = {key: ";".join(value) if isinstance(value, list) else str(value) for key, value in record.items()}
    return f"{','.join(cells)}\n{','.join(cells.values())}\n"


def odd_registries():
    """(name, text) of a file whose last record has an odd value."""
    for record in ALL:
        usual = [other for other in ALL if other is not record]
        for key in record:
            for raw in ODD_VALUES.values():
                yield "r.jsonl", "\n".join([*map(json.dumps, usual), with_value(record, (key,), raw)])
            for strange in ODD_YAML:
                yield "r.yaml", "".join(f"- {json.dumps(other)}\n" for other in usual) + f"- {with_value(record, (key,), strange)}\n"
                if not {",", "\n", '"'} & set(strange):
                    yield "r.csv", as_csv({**record, key: strange})


@pytest.mark.timeout(HOURS_S)
def test_a_registry_with_an_odd_value_is_refused_or_can_be_judged_by(request, events, tmp_path):
    rules = """
  - {rule: unregistered_vehicle, id: a, clause: "1", severity: violation}
  - {rule: untrained_driver, id: b, clause: "1", severity: violation}
  - {rule: uninsured_driver, id: c, clause: "1", severity: violation}
  - {rule: unmarked_vehicle, id: d, clause: "1", severity: violation, exempt: {passes: [green], key_enterprise: true}}
  - {rule: silent_vehicle, id: e, clause: "1", severity: violation, limit: 10m}
  - {rule: unfiled_outlet, id: f, clause: "1", severity: violation}
  - {rule: offline_camera, id: g, clause: "1", severity: violation}
  - {rule: missed_line, id: h, clause: "1", severity: violation}
"""
    pack = load_policy("hohhot-2019").pack.source
    policy = parse_policy(pack["yaml"].partition("rules:\n")[0] + "rules:" + rules, "pack.yaml", lambda _: pack["geojson"])
    cases, accepted = list(odd_registries()), 0
    for name, text in some(cases, 200, request.config.getoption("--long")):
        try:
            registry = registry_of(tmp_path, policy, text, name)
        except BadInput as error:
            refused_in_one_line(error)
            continue
        except Exception as error:
            raise AssertionError(f"{name}: {text.splitlines()[-1][:300]}") from error
        judged(policy, registry, events, tmp_path)
        for _, versions in registry.grouped():  # as Kafka holds them
            assert decode_versions(msgspec.json.encode(versions)) == versions
        accepted += 1
    assert accepted > 10
