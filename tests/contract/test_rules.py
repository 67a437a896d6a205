"""What every rule must have, whoever writes it; and one positive and one negative case for each."""

import re
from types import MappingProxyType

import msgspec
import pytest

from streams.city.city_judge import CityJudge, Due
from streams.city.contributions import Contribution
from streams.city.ledger import CityLedger
from streams.clock import Duration
from streams.counts import Counts, DayKey
from streams.parcels.days import DayJudge
from streams.parcels.partition import new_scan_partition
from streams.parcels.scans import count_scans
from streams.parcels.violations import ViolatingScan, ViolationKey, judge_violation, summary_of
from streams.policy.policy import Policies
from streams.policy.reader import load_policy, packs, parse_policy
from streams.registry.records import decode_entry
from streams.registry.registry import Registry
from streams.rules import RULES, judged
from streams.vehicles.engine import Engine
from streams.vehicles.fleet_day import FleetDay
from streams.vehicles.partition import new_partition
from streams.wire.events import Fix, Record

HEADINGS = ("What", "Clause", "Parameters", "Example")
FRAME = """
policy: p
city: {adcode: "1", name_zh: 甲, name_en: A, timezone: Asia/Shanghai}
document: {title: t, number: n, file: f}
identifier: {pattern: "HH-[0-9]{5}"}
calendars: {fair: [{from: 2023-11-15, until: 2023-11-15}]}
zones: z
rules: [RULE]
"""
ZONES = """{"type": "FeatureCollection", "features": [{"type": "Feature", "properties": {"id": "z", "kind": "restricted"},
  "geometry": {"type": "Polygon", "coordinates": [[[0,0],[2,0],[2,2],[0,2],[0,0]]]}}]}"""
LINE_ZONES = """{"type": "FeatureCollection", "features": [
  {"type": "Feature", "properties": {"id": "z", "name_zh": "站一"}, "geometry": {"type": "Polygon", "coordinates": [[[0,0],[2,0],[2,2],[0,2],[0,0]]]}},
  {"type": "Feature", "properties": {"id": "y"}, "geometry": {"type": "Polygon", "coordinates": [[[1,0],[3,0],[3,2],[1,2],[1,0]]]}}]}"""
NOON = 1_700_020_800_000  # 2023-11-15 12:00 in Shanghai
VEHICLE = {"kind": "vehicle", "id": "HH-00001", "plate": "蒙A1", "enterprise_id": "e", "vehicle_class": "truck", "energy": "fuel", "body": "box"}
INSIDE, OUTSIDE = {"lon": 1.0, "lat": 1.0}, {"lon": 3.0, "lat": 3.0}
HOURS = 'zones: [z], permitted: [{from: "20:00", until: "07:00"}]'

CASES = [
    # rule, its keys, changes to the vehicle (None: not on file), changes to the fix, further records, violates
    ("unregistered_vehicle", "", None, {}, [], True),
    ("unregistered_vehicle", "", {"status": "suspended"}, {}, [], True),
    ("unregistered_vehicle", "", {"valid_until": "2023-11-14"}, {}, [], True),
    ("unregistered_vehicle", "", {"valid_until": "2023-11-15"}, {}, [], False),
    ("malformed_identifier", "", None, {"vehicle_id": "HH-1"}, [], True),
    ("malformed_identifier", "", None, {"vehicle_id": "xHH-00001"}, [], True),
    ("malformed_identifier", "", {}, {}, [], False),
    ("unmarked_vehicle", "", {"marked": False}, {}, [], True),
    ("restricted_hours", HOURS + ", exempt: {marked: true}", {"marked": True}, INSIDE, [], False),
    ("restricted_hours", HOURS + ", exempt: {marked: true}", {}, INSIDE, [], True),
    ("unmarked_vehicle", "", {"marked": False, "status": "scrapped"}, {}, [], True),
    ("unmarked_vehicle", "", {}, {"plate": "蒙A2"}, [], True),
    ("unmarked_vehicle", "", {}, {"plate": "蒙A1"}, [], False),
    ("unmarked_vehicle", "", {"plate": "云A·12345"}, {"plate": "云A12345"}, [], False),
    ("unmarked_vehicle", "", {"plate": "云A12345"}, {"plate": "云Ａ•１２３４５"}, [], False),
    ("unmarked_vehicle", "", {"plate": "云A12345"}, {"plate": "云a-12 345"}, [], False),
    ("unmarked_vehicle", "", {"plate": "云A·12345"}, {"plate": "云A·12346"}, [], True),
    ("unmarked_vehicle", "", {}, {}, [], False),
    ("unmarked_vehicle", "", None, {"plate": "蒙A2"}, [], False),
    ("restricted_hours", HOURS, {}, INSIDE, [], True),
    ("restricted_hours", HOURS, {}, {"lon": 2.0, "lat": 1.0}, [], True),
    ("restricted_hours", HOURS, {}, OUTSIDE, [], False),
    ("restricted_hours", HOURS.replace("20:00", "12:00"), {}, INSIDE, [], False),
    ("restricted_hours", HOURS + ", vehicles: {classes: [light_van]}", {}, INSIDE, [], False),
    ("restricted_hours", HOURS + ", vehicles: {classes: [truck], energy: [fuel]}", {}, INSIDE, [], True),
    ("restricted_hours", HOURS + ", vehicles: {classes: [truck]}", None, INSIDE, [], False),
    ("restricted_hours", HOURS, None, INSIDE, [], True),
    ("restricted_hours", HOURS + ", exempt: {energy: [fuel]}", {}, INSIDE, [], False),
    ("restricted_hours", HOURS + ", exempt: {joint_delivery: true}", {"joint_delivery": True}, INSIDE, [], False),
    ("restricted_hours", HOURS + ", exempt: {joint_delivery: true}", {}, INSIDE, [], True),
    ("restricted_hours", HOURS + ", exempt: {calendars: [fair]}", {}, INSIDE, [], False),
    ("restricted_hours", HOURS + ", exempt: {passes: [green]}", {}, INSIDE, [{"zones": ["z"], "vehicle_id": "HH-00001"}], False),
    ("restricted_hours", HOURS + ", exempt: {passes: [green]}", {}, INSIDE, [{"zones": ["*"], "enterprise_id": "e"}], False),
    ("restricted_hours", HOURS + ", exempt: {passes: [green]}", {}, INSIDE, [{"zones": ["y"], "vehicle_id": "HH-00001"}], True),
    ("restricted_hours", HOURS + ", exempt: {passes: [temporary]}", {}, INSIDE, [{"zones": ["z"], "vehicle_id": "HH-00001"}], True),
    ("restricted_hours", HOURS + ", exempt: {energy: [fuel], unless_credit: black}", {"enterprise_id": "black"}, INSIDE, [], True),
    ("restricted_hours", HOURS + ", exempt: {energy: [fuel], unless_credit: black}", {}, INSIDE, [], False),
    ("overstayed_stop", "zones: [z], limit: 10m", {}, {**INSIDE, "speed_kmh": 1.0}, [], True),
    ("overstayed_stop", "zones: [z], limit: 10m", {}, {**INSIDE, "speed_kmh": 1.1}, [], False),
    ("overstayed_stop", "zones: [z], limit: 10m", {}, INSIDE, [], False),
    ("overstayed_stop", "zones: [z], limit: 11m", {}, {**INSIDE, "speed_kmh": 0.0}, [], False),
    ("overstayed_stop", "zones: [z], limit: 10m", {}, {**OUTSIDE, "speed_kmh": 0.0}, [], False),
    ("forbidden_stop", "zones: [z]", {}, {**INSIDE, "speed_kmh": 1.0}, [], True),
    ("forbidden_stop", "zones: [z]", {}, {**INSIDE, "speed_kmh": 1.01}, [], False),
    ("forbidden_stop", "zones: [z], stopped_below_kmh: 3", {}, {**INSIDE, "speed_kmh": 3.0}, [], True),
    ("forbidden_stop", "zones: [z]", {}, INSIDE, [], False),
    ("forbidden_stop", "zones: [z]", {}, {**OUTSIDE, "speed_kmh": 0.0}, [], False),
    ("forbidden_stop", HOURS, {}, {**INSIDE, "speed_kmh": 0.0}, [], True),
    ("forbidden_stop", HOURS.replace("20:00", "12:00"), {}, {**INSIDE, "speed_kmh": 0.0}, [], False),
    ("nonstandard_vehicle", "allow: {body: [box]}", {"body": "open"}, {}, [], True),
    ("nonstandard_vehicle", "allow: {body: [box]}", {"body": None}, {}, [], True),
    ("nonstandard_vehicle", "allow: {body: [box]}", {"status": "scrapped", "body": "open"}, {}, [], True),
    ("nonstandard_vehicle", "allow: {body: [box]}", {}, {}, [], False),
    ("nonstandard_vehicle", "allow: {body: [box], classes: [light_van]}", {}, {}, [], True),
    ("nonstandard_vehicle", "allow: {energy: [fuel, hybrid]}", {}, {}, [], False),
    ("nonstandard_vehicle", "allow: {body: [open]}", None, {}, [], False),
    ("speeding", "limit_kmh: 15", {}, {"speed_kmh": 15.1}, [], True),
    ("speeding", "limit_kmh: 15", {}, {"speed_kmh": 15.0}, [], False),
    ("speeding", "limit_kmh: 15", {}, {}, [], False),
    ("speeding", "limit_kmh: 15, zones: [z]", {}, {**INSIDE, "speed_kmh": 20.0}, [], True),
    ("speeding", "limit_kmh: 15, zones: [z]", {}, {**OUTSIDE, "speed_kmh": 20.0}, [], False),
    ("speeding", "limit_kmh: 15, vehicles: {classes: [e_tricycle]}", {}, {"speed_kmh": 20.0}, [], False),
    ("outside_operating_area", "zones: [z]", {}, OUTSIDE, [], True),
    ("outside_operating_area", "zones: [z]", {}, INSIDE, [], False),
    ("outside_operating_area", "zones: [z]", {}, {"lon": 2.0, "lat": 2.0}, [], False),
    ("outside_operating_area", HOURS.replace("20:00", "12:00"), {}, OUTSIDE, [], False),
    ("outside_operating_area", "zones: [z], exempt: {passes: [green]}", {}, OUTSIDE, [{"zones": ["*"], "vehicle_id": "HH-00001"}], False),
    ("outside_operating_area", "zones: [z], exempt: {passes: [green]}", {}, OUTSIDE, [{"zones": ["z"], "vehicle_id": "HH-00001"}], True),
    ("untrained_driver", "", {}, {"driver_id": "trained"}, [], False),
    ("untrained_driver", "", {}, {"driver_id": "lapsed"}, [], True),
    ("untrained_driver", "", {}, {"driver_id": "stranger"}, [], True),
    ("untrained_driver", "", None, {"driver_id": "stranger"}, [], True),
    ("untrained_driver", "", {"driver_ids": ["lapsed", "trained"]}, {}, [], False),
    ("untrained_driver", "", {"driver_ids": ["lapsed", "stranger"]}, {}, [], True),
    ("untrained_driver", "", {}, {}, [], False),
    ("uninsured_driver", "", {}, {"driver_id": "trained"}, [], True),
    ("uninsured_driver", "", {}, {"driver_id": "lapsed"}, [], False),
    ("uninsured_driver", "", {"insured_until": "2023-11-15"}, {"driver_id": "trained"}, [], False),
    ("uninsured_driver", "", {"insured_until": "2023-11-14", "driver_ids": ["trained"]}, {}, [], True),
    ("uninsured_driver", "", {"insured_until": "2023-11-14"}, {}, [], False),
    ("unrecognised_foreign_plate", "", {}, {"plate": "ກຂ 1234"}, [], True),
    ("unrecognised_foreign_plate", "", None, {"plate": "ກຂ 1234"}, [], True),
    ("unrecognised_foreign_plate", "", {}, {"plate": "云A12345"}, [], False),
    ("unrecognised_foreign_plate", "", {}, {"plate": "云AD12345"}, [], False),
    *(("unrecognised_foreign_plate", "", {}, {"plate": plate}, [], False) for plate in ("云A-12345", "云a12345", "云Ａ12345", "云A•12345", "使014578", "使 014·578", "WJ云0123X", "WJ 01-12345")),
    ("unrecognised_foreign_plate", 'home_plate_pattern: "云A·[0-9]{5}"', {}, {"plate": "云A·12345"}, [], False),
    ("unrecognised_foreign_plate", "", {}, {"plate": "1A-2345"}, [], True),
    ("unrecognised_foreign_plate", "", {}, {}, [], False),
    ("unrecognised_foreign_plate", "", {"plate_kind": "non_motor"}, {"plate": "临A0001"}, [], False),
    ("unrecognised_foreign_plate", "", {"plate_kind": "motor"}, {"plate": "临A0001"}, [], True),
    ("unrecognised_foreign_plate", 'home_plate_pattern: "ກ.*"', {}, {"plate": "ກຂ 1234"}, [], False),
    ("unrecognised_foreign_plate", "", {}, {**INSIDE, "plate": "ກຂ 1"}, [{"pass_kind": "cross_border", "zones": ["z"], "enterprise_id": "e"}], False),
    ("unrecognised_foreign_plate", "", {}, {**OUTSIDE, "plate": "ກຂ 1"}, [{"pass_kind": "cross_border", "zones": ["z"], "enterprise_id": "e"}], True),
    ("unrecognised_foreign_plate", "", {}, {**OUTSIDE, "plate": "ກຂ 1"}, [{"pass_kind": "cross_border", "vehicle_id": "HH-00001"}], False),
    ("cloned_identifier", "", {}, lambda n: {"lon": 1.0 + (n % 2) * 0.1}, [], True),  # 11 km in a minute
    ("cloned_identifier", "max_speed_kmh: 700", {}, lambda n: {"lon": 1.0 + (n % 2) * 0.1}, [], False),
    ("cloned_identifier", "min_distance_m: 12000", {}, lambda n: {"lon": 1.0 + (n % 2) * 0.1}, [], False),
    ("cloned_identifier", "", {}, lambda n: {"lon": 1.0 + n * 0.02}, [], False),  # 2.2 km in a minute: 133 km/h
    ("silent_vehicle", "limit: 30s", {}, {"ignition": True}, [], True),
    ("silent_vehicle", "limit: 30s", {}, {"ignition": False}, [], False),
    ("silent_vehicle", "limit: 30s", {}, {}, [], False),
    ("silent_vehicle", "limit: 61s", {}, {"ignition": True}, [], False),
    ("silent_vehicle", "limit: 30s", {"status": "suspended"}, {"ignition": True}, [], False),
    ("silent_vehicle", "limit: 30s", None, {"ignition": True}, [], False),
    ("silent_vehicle", "limit: 30s", {}, {"ignition": True}, [{"kind": "notice", "subject": "vehicle/HH-00001", "from": "2023-11-15", "until": "2023-11-15"}], False),
    ("silent_vehicle", "limit: 30s", {}, {"ignition": True}, [{"kind": "notice", "subject": "enterprise/e", "from": "2023-11-15T11:00", "until": "2023-11-15T13:00"}], False),
    ("silent_vehicle", "limit: 30s", {}, {"ignition": True}, [{"kind": "notice", "subject": "enterprise/e", "from": "2023-11-15T11:00", "until": "2023-11-15T12:05"}], True),
    ("silent_vehicle", "limit: 30s", {}, {"ignition": True}, [{"kind": "notice", "subject": "enterprise/e", "from": "2023-11-15T12:00:30", "until": "2023-11-15T13:00"}], True),  # filed after the last report, as far as anybody knows
    ("silent_vehicle", "limit: 30s", {}, {"ignition": True}, [{"kind": "notice", "subject": "enterprise/e", "from": "2023-11-15T12:00:30", "until": "2023-11-15T13:00", "filed_at": "2023-11-15"}], False),
    ("silent_vehicle", "limit: 30s", {}, {"ignition": True}, [{"kind": "notice", "subject": "enterprise/e", "from": "2023-11-15T12:00:30.001", "until": "2023-11-15T13:00", "filed_at": "2023-11-14"}], True),
    ("silent_vehicle", "limit: 30s", {}, {"ignition": True}, [{"kind": "notice", "subject": "enterprise/f", "from": "2023-11-15", "until": "2023-11-15"}], True),
]


@pytest.mark.parametrize("name", sorted(RULES))
def test_a_rule_says_what_it_is(name):
    module = RULES[name]
    for heading in HEADINGS:
        assert re.search(rf"^{heading}$", module.__doc__, re.MULTILINE), f"{name}'s docstring has no {heading}"
    assert ">>>" in module.__doc__
    assert issubclass(module.Parameters, msgspec.Struct)
    assert module.TITLE_ZH and module.REASON_ZH and module.REASON_EN


@pytest.mark.parametrize("name", sorted(RULES))
def test_a_rule_is_used_by_a_pack_and_has_cases(name):
    assert any(rule.rule == name for pack in packs() for rule in load_policy(pack).pack.rules)
    if judged(name) == "fix":
        assert {case[5] for case in CASES if case[0] == name} == {True, False}


@pytest.mark.parametrize(("rule", "keys", "vehicle", "fix", "passes", "violates"), CASES)
def test_cases(rule, keys, vehicle, fix, passes, violates):
    """Eleven fixes a minute apart are an incident, or none."""
    entry = f'{{rule: {rule}, id: r, clause: "1", severity: violation{", " + keys if keys else ""}}}'
    policy = parse_policy(FRAME.replace("RULE", entry), "test", lambda _: ZONES)
    registry = Registry(policy.timezone)
    records = [{"kind": "enterprise", "id": "black", "credit": "black"}, {"kind": "enterprise", "id": "e"}]
    records += [{"kind": "driver", "id": "trained", "trained_until": "2023-11-15"}]
    records += [{"kind": "driver", "id": "lapsed", "trained_until": "2023-11-14", "insured_until": "2023-11-15"}]
    records += [{"id": f"p{n}", **({} if "kind" in p else {"kind": "pass", "pass_kind": "green"}), **p} for n, p in enumerate(passes)]
    if vehicle is not None:
        records.append({**VEHICLE, **vehicle})
    registry.add(decode_entry(msgspec.json.encode(r)) for r in records)
    fields = {"vehicle_id": "HH-00001", "lon": 1.0, "lat": 1.0}
    fixes = [{**fields, **(fix(n) if callable(fix) else fix)} for n in range(11)]
    values = [msgspec.json.encode(Fix(event_id=f"e{n}", event_time_ms=NOON + n * 60_000 + (n == 10), **f)) for n, f in enumerate(fixes)]
    verdict = Engine(Policies([policy]), registry, b"k").judge(new_partition(), [Record(v, n) for n, v in enumerate(values)])
    assert bool(verdict.transitions) is violates


@pytest.mark.parametrize(("rule", "field"), [("low_electronic_waybill_rate", "electronic"), ("low_green_packaging_rate", "green")])
@pytest.mark.parametrize(
    ("accepted", "share", "enterprise", "keys", "after_ms", "raised"),
    [
        (100, 89, "e", "", 600_000, True),
        (100, 90, "e", "", 600_000, False),
        (99, 0, "e", "", 600_000, False),
        (99, 0, "e", ", min_sample: 99", 600_000, True),
        (100, 89, "e", "", 599_999, False),
        (100, 89, "*", ", primary_brands_only: true", 600_000, True),
        (100, 89, "e", ", primary_brands_only: true", 600_000, False),
        (100, 89, "big", ", primary_brands_only: true", 600_000, True),
        (100, 95, "e", ", target: 0.96", 600_000, True),
    ],
)
def test_days(rule, field, accepted, share, enterprise, keys, after_ms, raised):
    policy = parse_policy(FRAME.replace("RULE", f'{{rule: {rule}, id: r, clause: "1", severity: violation{keys}}}'), "test", lambda _: ZONES)
    registry = Registry(policy.timezone)
    registry.add([decode_entry(b'{"kind": "enterprise", "id": "big", "primary_brand": true}'), decode_entry(b'{"kind": "enterprise", "id": "e"}')])
    judge = DayJudge(Policies([policy]), registry, b"k")
    day = DayKey("1", enterprise, "2023-11-15")
    _, end_ms = policy.days.bounds_ms(day.date)
    incidents = {}
    found = judge.judge(day, Counts(**{"accepted": accepted, field: share}), incidents, end_ms + after_ms)
    assert [t.kind for t in found] == (["opened", "closed"] if raised else [])
    assert judge.judge(day, Counts(**{"accepted": accepted, field: share}), incidents, end_ms + after_ms) == []
    if raised:
        assert [t.kind for t in judge.judge(day, Counts(**{"accepted": accepted, field: accepted}), incidents, end_ms + after_ms)] == ["retracted"]


@pytest.mark.parametrize(
    ("rule", "field"), [("unverified_sender", "real_name_verified"), ("uninspected_parcel", "inspected"), ("unscreened_parcel", "screened")]
)
@pytest.mark.parametrize(("said", "kind", "violates"), [(False, "accepted", True), (True, "accepted", False), (None, "accepted", False), (False, "arrived", False)])
def test_acceptances(rule, field, said, kind, violates):
    assert bool(scanned(rule, [], {"kind": kind, field: said})) is violates


@pytest.mark.parametrize(
    ("outlet", "scan", "violates"),
    [
        ({"filed": True}, {"outlet_id": "o"}, False),
        ({"filed": True}, {"outlet_id": "o", "kind": "delivered"}, False),
        ({"filed": True, "valid_until": "2023-11-14"}, {"outlet_id": "o"}, True),
        ({"filed": True, "valid_from": "2023-11-15"}, {"outlet_id": "o"}, False),
        ({"filed": False}, {"outlet_id": "o", "kind": "delivered"}, True),
        ({"filed": True}, {"outlet_id": "elsewhere"}, True),
        ({"filed": True}, {"outlet_id": "elsewhere", "city": "2"}, False),
        ({"filed": True}, {}, False),
    ],
)
def test_outlets(outlet, scan, violates):
    assert bool(scanned("unfiled_outlet", [{"kind": "outlet", "id": "o", **outlet}], scan)) is violates


@pytest.mark.parametrize(("records", "violates"), [
    ([{"kind": "facility", "id": "o", "level": "hub"}], False),
    ([{"kind": "facility", "id": "o", "level": "hub", "valid_until": "2023-11-13"}], True),
    ([{"kind": "facility", "id": "o", "level": "hub"}, {"kind": "outlet", "id": "o", "filed": False}], True),
    ([{"kind": "facility", "id": "another", "level": "hub"}], True),
])  # fmt: skip
def test_a_facility_on_record_is_no_outlet_that_has_to_be_filed(records, violates):
    assert bool(scanned("unfiled_outlet", records, {"outlet_id": "o"})) is violates


@pytest.mark.parametrize(
    ("outlet", "scan", "violates"),
    [
        ({"filed": True, "camera": False}, {"outlet_id": "o"}, True),
        ({"filed": True, "camera": False}, {"outlet_id": "o", "kind": "delivered"}, True),
        ({"filed": True, "camera": True}, {"outlet_id": "o"}, False),
        ({"filed": True}, {"outlet_id": "o"}, False),
        ({"filed": False, "camera": False}, {"outlet_id": "o"}, False),
        ({"filed": True, "camera": False, "valid_until": "2023-11-14"}, {"outlet_id": "o"}, False),
        ({"filed": True, "camera": False}, {"outlet_id": "elsewhere"}, False),
        ({"filed": True, "camera": False}, {"outlet_id": "o", "city": "2"}, False),
        ({"filed": True, "camera": False}, {}, False),
    ],
)
def test_cameras_of_outlets(outlet, scan, violates):
    found = scanned("unmonitored_outlet", [{"kind": "outlet", "id": "o", **outlet}], scan, {**scan, "event_time_ms": NOON + 1})
    assert {key.subject: summary.count for key, summary in found.items()} == ({"outlet/o": 2} if violates else {})


@pytest.mark.parametrize(
    ("enterprise", "scan", "violates"),
    [
        ({"licensed_until": "2023-11-14"}, {"outlet_id": "o"}, True),
        ({"licensed_until": "2023-11-14"}, {"kind": "delivered"}, True),
        ({"licensed_until": "2023-11-15"}, {}, False),
        ({"licensed_until": "2023-11-15T12:00"}, {}, True),
        ({"licensed_until": "2023-11-15T12:00:00.001"}, {}, False),
        ({}, {}, False),
        ({"licensed_until": "2023-11-14", "valid_until": "2023-11-14"}, {}, False),
        ({"licensed_until": "2023-11-14"}, {"enterprise_id": "f"}, False),
        ({"licensed_until": "2023-11-14"}, {"city": "2"}, False),
    ],
)
def test_licences(enterprise, scan, violates):
    """One incident of the enterprise, whatever the outlet."""
    found = scanned("unlicensed_enterprise", [{"kind": "enterprise", "id": "e", **enterprise}], scan)
    assert [key.subject for key in found] == (["enterprise/e"] if violates else [])


def scanned(rule, records, *scans):
    policy = parse_policy(FRAME.replace("RULE", f'{{rule: {rule}, id: r, clause: "1", severity: violation}}'), "test", lambda _: ZONES)
    registry = Registry(policy.timezone)
    registry.add(decode_entry(msgspec.json.encode(r)) for r in records)
    fields = {"event_time_ms": NOON, "waybill_id": "w", "enterprise_id": "e", "city": "1", "kind": "accepted"}
    values = [msgspec.json.encode({"event_id": f"s{n}", **fields, **scan}) for n, scan in enumerate(scans)]
    partition = new_scan_partition()
    count_scans(partition, [Record(v, n) for n, v in enumerate(values)], Policies([policy]), registry)
    return {key: found.summary() for key, found in partition.violations.items() if found.count}


def test_what_scans_say_becomes_an_incident_that_follows_them():
    """Opened by the first, silent while it grows, closed with its day, updated by later scans, retracted when nothing is left."""
    policy = parse_policy(FRAME.replace("RULE", '{rule: unverified_sender, id: r, clause: "1", severity: violation}'), "test", lambda _: ZONES)
    policies, key = Policies([policy]), ViolationKey("r", "outlet/o", "2023-11-15")
    closing_ms = policy.days.bounds_ms(key.date)[1] + 600_000
    one, earlier = [ViolatingScan(NOON, "b", "e")], [ViolatingScan(NOON - 1, "a", "e"), ViolatingScan(NOON, "b", "e")]
    later = [*one, ViolatingScan(NOON + 1, "c", "e")]
    known, said = None, []
    for violating_scans, stream_time_ms in [(one, NOON), (later, NOON), (earlier, NOON), (later, closing_ms), (later, closing_ms), (one, closing_ms), ([], closing_ms)]:
        known, transitions = judge_violation(policies, b"k", key, summary_of(violating_scans), known, stream_time_ms)
        said.append([(t.kind, t.revision, t.summary.count) for t in transitions])
    assert said == [[("opened", 1, 1)], [], [("updated", 2, 2)], [("closed", 3, 2)], [], [("updated", 4, 1)], [("retracted", 5, 0)]]


DAY, BEFORE = "2023-11-15", "2023-11-14"
LINE = {"kind": "line", "id": "l", "zones": ["z", "y"], "vehicle_ids": ["v", "w"]}


@pytest.mark.parametrize(
    ("keys", "line", "fixes", "after_ms", "missed"),
    [  # a fix: vehicle, minutes after noon, places; the day before was heard of
        ("", {}, [("v", 0, "z"), ("v", 1, "y")], 600_000, False),
        ("", {}, [("v", 1, "y"), ("v", 0, "z")], 600_000, False),
        ("", {}, [("v", 0, "y"), ("v", 1, "z")], 600_000, True),
        ("", {}, [("v", 0, "z"), ("w", 1, "y")], 600_000, True),
        ("", {}, [("x", 0, "z"), ("x", 1, "y")], 600_000, True),
        ("", {}, [("v", 0, "zy")], 600_000, False),
        ("", {}, [("v", 0, "z"), ("v", 720, "y")], 86_400_000, True),
        ("", {}, [("v", 0, "z")], 599_999, False),
        ("", {"zones": ["z"]}, [("v", 0, "z")], 600_000, False),
        ("", {"zones": ["z", "nowhere"]}, [("v", 0, "z")], 600_000, False),
        ("", {"vehicle_ids": []}, [("v", 0, "z"), ("v", 1, "y")], 600_000, True),
        ("", {"city": "1"}, [("v", 0, "z")], 600_000, True),
        ("", {"city": "2"}, [("v", 0, "z")], 600_000, False),
        ("", {"valid_from": DAY}, [("v", 0, "z")], 600_000, True),
        ("", {"valid_from": "2023-11-15T00:00:01"}, [("v", 0, "z")], 600_000, False),
        ("", {"valid_until": BEFORE}, [("v", 0, "z")], 600_000, False),
        (", lines: [l]", {}, [("v", 0, "z")], 600_000, True),
        (", lines: [k]", {}, [("v", 0, "z")], 600_000, False),
        ("", {}, [], 600_000, False),
    ],
)
def test_lines(keys, line, fixes, after_ms, missed):
    policies, registry = line_world(keys, line)
    standing, ledger = {}, CityLedger()
    for contribution, now_ms in [(heard(BEFORE), 0), *([(driving(policies, registry, fixes), 0)] if fixes else []), (None, policies.newest.days.bounds_ms(DAY)[1] + after_ms)]:
        judge_lines(policies, registry, standing, contribution, now_ms, ledger)
    assert [(d.subject, d.state, d.revision) for d in standing.values() if d.opened_at_ms == policies.newest.days.bounds_ms(DAY)[0]] == [("line/l", "closed", 2)] * missed


@pytest.mark.parametrize(("date", "is_judged"), [("2023-11-14", True), ("2023-11-08", True), ("2023-11-07", False), ("2023-11-16", False), (None, False)])
def test_a_line_is_not_missed_on_a_day_of_which_nothing_or_a_part_was_heard(date, is_judged):
    policies, registry = line_world()
    standing, ledger, (start_ms, end_ms) = {}, CityLedger(), policies.newest.days.bounds_ms(DAY)
    for contribution, now_ms in [(heard(DAY), 0), (heard(date) if date else None, 0), (None, end_ms + 600_000)]:
        judge_lines(policies, registry, standing, contribution, now_ms, ledger)
    assert (start_ms in [data.opened_at_ms for data in standing.values()]) is is_judged


def test_a_day_is_judged_once_the_day_before_is_heard_of_be_it_late():
    policies, registry = line_world()
    standing, ledger, (start_ms, end_ms) = {}, CityLedger(), policies.newest.days.bounds_ms(DAY)
    judge_lines(policies, registry, standing, heard(DAY), end_ms + 600_000, ledger)
    assert not standing
    judge_lines(policies, registry, standing, heard(BEFORE), end_ms + 600_001, ledger)
    assert [data.opened_at_ms for data in standing.values()] == [start_ms]


def test_a_missed_line_is_taken_back_by_fixes_and_by_nothing_else():
    """Whatever the registry says afterwards; days are judged by the lines that counted when they were closed."""
    policies, registry = line_world()
    standing, ledger, end_ms = {}, CityLedger(), policies.newest.days.bounds_ms(DAY)[1]
    for contribution in (heard(BEFORE), heard(DAY)):
        judge_lines(policies, registry, standing, contribution, end_ms + 600_000, ledger)
    told = [standing["line/l"].state, standing["line/l"].revision]
    registry.put("line", "l", [])
    registry.put("line", "k", [decode_entry(msgspec.json.encode({**LINE, "id": "k"}))])
    judge_lines(policies, registry, standing, heard(DAY, partition=2), end_ms + 700_000, ledger)
    told += [standing["line/l"].state, list(standing)]
    judge_lines(policies, registry, standing, heard(DAY, lines=["l"], partition=1), end_ms + 700_000, ledger)
    told += [standing["line/l"].state, standing["line/l"].revision, standing["line/l"].reason_zh]
    assert told == ["closed", 2, "closed", ["line/l"], "retracted", 3, "物流配送专线 l 2023-11-15 没有车辆依次驶入 站一、y"]


def line_world(keys="", line=MappingProxyType({})):
    """Policy and registry with one delivery line."""
    policy = parse_policy(FRAME.replace("RULE", f'{{rule: missed_line, id: r, clause: "1", severity: violation{keys}}}'), "test", lambda _: LINE_ZONES)
    registry = Registry(policy.timezone)
    registry.add([decode_entry(msgspec.json.encode({**LINE, **line}))])
    return Policies([policy]), registry


def heard(date, lines=(), partition=0):
    return Contribution("1", "courier.gps.v1", "*", date, partition, 1, fleet=FleetDay(list(lines)))


def driving(policies, registry, fixes):
    """What a partition's vehicles come to on the day."""
    lons, partition = {"z": 0.5, "zy": 1.5, "y": 2.5}, new_partition()
    values = [msgspec.json.encode(Fix(f"e{n}", NOON + minutes * 60_000, vehicle, lons[place], 0.5)) for n, (vehicle, minutes, place) in enumerate(fixes)]
    Engine(policies, registry, b"k").judge(partition, [Record(value, n) for n, value in enumerate(values)])
    return Contribution("1", "courier.gps.v1", "*", DAY, 1, 1, fleet=partition.fleet_days.by_date[DAY])


def judge_lines(policies, registry, standing, contribution, now_ms, ledger):
    """Let a city's ledger take a contribution, and time pass; ``standing``: incidents by subject, as last said."""
    judge, due = CityJudge(policies, registry, b"k"), Due()
    if contribution is not None:
        judge.enter(ledger, contribution, due)
    judge.advance(ledger, now_ms, now_ms - 1, due)
    standing.update((data.subject, data) for _, data in judge.judge(ledger, due).incidents)


def test_a_limit_is_milliseconds():
    assert RULES["overstayed_stop"].minimum_ms(RULES["overstayed_stop"].Parameters(limit=Duration(5))) == 6
