"""The registry: validity, versions, passes, and mistakes with file and line."""

import datetime as dt
import json
import random
import time
from zoneinfo import ZoneInfo

import msgspec
import openpyxl
import pytest

from streams.clock import bound_ms
from streams.errors import BadInput
from streams.policy.reader import load_policy
from streams.registry.files import load_registry
from streams.registry.records import Vehicle, decode_entry
from streams.registry.registry import Registry

ZONE = ZoneInfo("Asia/Shanghai")


def at(text):
    return bound_ms(text, ZONE, end=False)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ('{"kind": "vehicle", "id": "v", "marked": "yes"}', "vehicle v: Expected `bool | null`, got `str` at key `marked`"),
        ('{"kind": "vehicle", "id": "v", "platte": "x"}', "unknown key 'platte'; did you mean 'plate'?"),
        ('{"kind": "vehicel", "id": "v"}', "kind 'vehicel' is not a registry kind; did you mean 'vehicle'?"),
        ('{"kind": "vehicle", "id": ""}', "length >= 1"),
        ('{"kind": "vehicle", "id": "v", "energy": "steam"}', "Invalid enum value 'steam'"),
        ('{"kind": "vehicle"', "not a JSON record"),
        ('{"kind": "vehicle", "id": "v", "valid_from": "2019-13-01"}', "neither a date such as"),
        ('{"kind": "vehicle", "id": "v", "valid_from": "2019-02-01", "valid_until": "2019-01-01"}', "is before valid_from"),
        ('{"kind": "pass", "id": "p"}', "missing required field `pass_kind`"),
    ],
)
def test_a_wrong_line_is_named_with_its_number(line, message, tmp_path):
    path = tmp_path / "registry.jsonl"
    path.write_text('{"kind": "enterprise", "id": "e"}\n\n' + line + "\n")
    with pytest.raises(BadInput) as caught:
        load_registry(path, ZONE)
    assert message in str(caught.value) and str(caught.value).startswith(f"{path}:3: ")


def test_a_pass_for_an_unknown_zone_is_refused_where_the_policy_is_known(tmp_path):
    path = tmp_path / "registry.jsonl"
    path.write_text('{"kind": "pass", "id": "p", "pass_kind": "green", "zones": ["*"]}\n{"kind": "pass", "id": "q", "pass_kind": "green", "zones": ["cor"]}\n')
    with pytest.raises(BadInput, match=r"registry.jsonl:2: pass q: zone 'cor' is not in the policy; did you mean 'core'\?"):
        load_registry(path, ZONE, {"core", "residential"})
    assert len(load_registry(path, ZONE)) == 2


def test_a_bare_date_is_a_whole_local_day():
    registry = Registry(ZONE)
    registry.add([Vehicle(id="v", valid_from="2019-11-01", valid_until="2019-11-02")])
    assert registry.at("vehicle", "v", at("2019-11-01") - 1) is None
    assert registry.at("vehicle", "v", at("2019-11-01")) is not None
    assert registry.at("vehicle", "v", at("2019-11-03") - 1) is not None
    assert registry.at("vehicle", "v", at("2019-11-03")) is None


def test_of_several_valid_versions_the_latest_from_counts():
    registry = Registry(ZONE)
    registry.add([Vehicle(id="v", plate="new", valid_from="2020-01-01"), Vehicle(id="v", plate="old")])
    assert registry.at("vehicle", "v", at("2019-06-01")).plate == "old"
    assert registry.at("vehicle", "v", at("2020-06-01")).plate == "new"


def test_a_subject_stays_true_for_its_whole_period():
    registry = Registry(ZONE)
    registry.add(
        decode_entry(line)
        for line in (
            b'{"kind": "vehicle", "id": "v", "enterprise_id": "e"}',
            b'{"kind": "enterprise", "id": "e", "credit": "black", "valid_from": "2019-05-01", "valid_until": "2019-05-31"}',
            b'{"kind": "pass", "id": "p", "pass_kind": "green", "enterprise_id": "e", "zones": ["core"], "valid_from": "2019-05-10"}',
        )
    )
    subject = registry.subject("v", at("2019-05-05"))
    assert (subject.from_ms, subject.until_ms) == (at("2019-05-01"), at("2019-05-10"))
    assert subject.enterprise.credit == "black" and not subject.passes
    later = registry.subject("v", at("2019-05-20"))
    assert later.pass_zones(["green"]) == {"core"} and not later.pass_zones(["temporary"])
    assert registry.subject("v", at("2019-06-20")).enterprise is None


def test_replacing_and_deleting_a_record():
    registry = Registry(ZONE)
    registry.put("pass", "p", [decode_entry(b'{"kind": "pass", "id": "p", "pass_kind": "green", "vehicle_id": "v"}')])
    assert registry.subject("v", 0).passes
    registry.put("pass", "p", [])
    assert not registry.subject("v", 0).passes


def test_the_sample_is_seeded_and_big_enough(tmp_path):
    from producers.traffic import write_sample_registry

    policy = load_policy("hohhot-2019")
    files = [tmp_path / name for name in ("a", "b", "c")]
    for path, seed in zip(files, (7, 7, 8), strict=True):
        write_sample_registry(policy, 2_400, seed, path)
    assert files[0].read_bytes() == files[1].read_bytes() != files[2].read_bytes()
    registry = load_registry(files[0], ZONE)
    numbers = {kind: sum(1 for _ in registry.each(kind)) for kind in ("vehicle", "enterprise", "driver", "outlet", "pass")}
    assert numbers["vehicle"] >= 2_000 and numbers["enterprise"] == 12 and min(numbers.values()) > 0


RECORDS = """\
{"kind": "enterprise", "id": "e", "primary_brand": true, "cities": ["150100", "341100"]}
{"kind": "vehicle", "id": "v", "plate": "蒙A1", "enterprise_id": "e", "marked": false, "driver_ids": ["d1", "d2"]}
{"kind": "outlet", "id": "o", "lon": 111.5, "lat": 40.8, "filed": true}
"""
AS_YAML = """\
- {kind: enterprise, id: e, primary_brand: true, cities: ["150100", 341100]}
- kind: vehicle
  id: v
  plate: 蒙A1
  enterprise_id: e
  marked: false
  driver_ids: [d1, d2]
- {kind: outlet, id: o, lon: 111.5, lat: 40.8, filed: true}
"""
AS_CSV = """\
kind,id,plate,enterprise_id,marked,driver_ids,primary_brand,cities,lon,lat,filed
enterprise,e,,,,,true,150100 341100,,,
vehicle,v,蒙A1,e,false,d1;d2,,,,,
outlet,o,,,,,,,111.5,40.8,true
"""


def test_yaml_and_csv_hold_the_same_records_as_jsonl(tmp_path):
    read = {}
    for name, text in (("r.jsonl", RECORDS), ("r.yaml", AS_YAML), ("r.csv", AS_CSV)):
        (tmp_path / name).write_text(text, "utf-8")
        read[name] = list(load_registry(tmp_path / name, ZONE).grouped())
    assert read["r.jsonl"] == read["r.yaml"] == read["r.csv"]
    assert len(read["r.jsonl"]) == 3


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("r.yaml", "- {kind: vehicle, id: v}\n- {kind: vehicle, id: w, marked: maybe}", ":2: vehicle w: Expected `bool | null`, got `str` at key `marked`"),
        ("r.yaml", "- {kind: vehicle, id: v}\n- {kind: vehicle, id: w, platte: x}", ":2: vehicle w: unknown key 'platte'; did you mean 'plate'?"),
        ("r.yaml", "kind: vehicle\nid: v", ":1: a YAML registry is a list of records"),
        ("r.yaml", "- [vehicle, v]", ":1: ['vehicle', 'v'] is not a record"),
        ("r.yaml", "- {kind: vehicle", ":1: not YAML"),
        ("r.csv", "kind,id,plate\nvehicle,v,1\nvehicle,w\n", ":3: the row has more or fewer cells than the header"),
        ("r.csv", "kind,id,platte\nvehicle,v,1\n", ":2: vehicle v: unknown key 'platte'; did you mean 'plate'?"),
        ("r.csv", "kind,id,lon\noutlet,o,east\n", "got `str` at key `lon`"),
    ],
)
def test_mistakes_in_yaml_and_csv_name_their_line(name, text, message, tmp_path):
    (tmp_path / name).write_text(text, "utf-8")
    with pytest.raises(BadInput) as caught:
        load_registry(tmp_path / name, ZONE)
    assert message in str(caught.value)


# --- facilities, lines, and what vehicles, outlets, enterprises and townships say since ---

NEW_KINDS = [
    {"kind": "facility", "id": "F1", "level": "village", "lon": 107.7, "lat": 29.3, "township": "T1", "village": "双坝村"},
    {"kind": "line", "id": "L1", "zones": ["centre", "main-furong"], "vehicle_ids": ["WL-10001", "WL-10002"]},
    {"kind": "vehicle", "id": "WL-10001", "energy": "plug_in_hybrid", "plate_kind": "motor", "emission_standard": "国六", "joint_delivery": False},
    {"kind": "enterprise", "id": "e", "key_enterprise": True, "licensed_until": "2026-12-31"},
    {"kind": "outlet", "id": "o", "camera": False, "standardised": True, "reusable_boxes": False, "township": "T1"},
    {"kind": "township", "id": "T1", "covered": False, "locker_cells": 0, "villages": 12},
]
HEADING = list(dict.fromkeys(key for record in NEW_KINDS for key in record))


def cell(value):
    return "" if value is None else {True: "是", False: "否"}[value] if isinstance(value, bool) else "、".join(value) if isinstance(value, list) else str(value)


def written(form, folder):
    """The records in a file of a form."""
    path = folder / f"r.{form}"
    if form == "xlsx":
        book = openpyxl.Workbook()
        for row in [HEADING, *([record.get(key) if isinstance(record.get(key), float) else cell(record.get(key)) or None for key in HEADING] for record in NEW_KINDS)]:
            book.active.append(row)
        book.save(path)
        return path
    lines = {
        "jsonl": [json.dumps(record) for record in NEW_KINDS],
        "yaml": [f"- {json.dumps(record, ensure_ascii=False)}" for record in NEW_KINDS],
        "csv": [",".join(HEADING), *(",".join(cell(record.get(key)) for key in HEADING) for record in NEW_KINDS)],
    }[form]
    path.write_text("\n".join(lines) + "\n", "utf-8")
    return path


@pytest.mark.parametrize("form", ["jsonl", "yaml", "csv", "xlsx"])
def test_every_form_of_file_holds_the_new_kinds_and_keys(form, tmp_path):
    read = load_registry(written(form, tmp_path), ZONE, {"centre", "main-furong"})
    assert [json.loads(msgspec.json.encode(entry)) for _, (entry,) in read.grouped()] == NEW_KINDS  # what is false or 0 stays so: it is not the same as nothing said


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("r.jsonl", '{"kind": "facility", "id": "F"}', ":1: facility F: Object missing required field `level`"),
        ("r.jsonl", '{"kind": "facility", "id": "F", "level": "hubs"}', ":1: facility F: Invalid enum value 'hubs' at key `level`"),
        ("r.jsonl", '{"kind": "facilty", "id": "F", "level": "hub"}', ":1: kind 'facilty' is not a registry kind; did you mean 'facility'?"),
        ("r.jsonl", '{"kind": "line", "id": "L", "zones": [], "vehicle_ids": []}', ":1: line L: Expected `array` of length >= 1 at key `zones`"),
        ("r.jsonl", '{"kind": "line", "id": "L", "zones": ["centre"]}', ":1: line L: Object missing required field `vehicle_ids`"),
        ("r.jsonl", '{"kind": "line", "id": "L", "zones": ["center"], "vehicle_ids": []}', ":1: line L: zone 'center' is not in the policy; did you mean 'centre'?"),
        ("r.jsonl", '{"kind": "line", "id": "L", "zones": ["*"], "vehicle_ids": []}', ":1: line L: zone '*' is not in the policy; known: centre, main-furong"),
        ("r.jsonl", '{"kind": "outlet", "id": "o", "camera": "maybe"}', ":1: outlet o: Expected `bool | null`, got `str` at key `camera`"),
        ("r.jsonl", '{"kind": "enterprise", "id": "e", "licensed_until": "soon"}', ":1: enterprise e: licensed_until 'soon' is neither a date such as"),
        ("r.jsonl", '{"kind": "notice", "id": "n", "subject": "outlet/o", "from": "2026-01-01", "until": "2026-01-02", "filed_at": "10000-01-01"}', ":1: notice n: filed_at '10000-01-01' is neither a date such as"),
        ("r.jsonl", '{"kind": "vehicle", "id": "v", "valid_from": "2026-02-30"}', ":1: vehicle v: valid_from '2026-02-30' is neither a date such as"),
        ("r.json", '[{"kind": "outlet", "id": "o"}, {"kind": "outlet", "id": "o", "filed": true}]', ":1: outlet o with no valid_from stood in line 1 already; versions of one id differ in valid_from"),
        ("r.yaml", "[{kind: outlet, id: o}, {kind: outlet, id: o}]", ":1: outlet o with no valid_from stood in line 1 already"),
        ("r.csv", "kind,id,villages\ntownship,t,1.5\n", ":2: township t: Expected `int | null`, got `str` at key `villages`; it says '1.5'"),
        ("r.jsonl", '{"kind": "vehicle", "id": "v", "vehicle_class": "van"}', "Invalid enum value 'van' at key `vehicle_class`; known: e_bike, e_tricycle, light_van, micro_van, other, truck"),
        ("r.jsonl", '{"kind": "vehicle", "id": "v", "status": "activ"}', "Invalid enum value 'activ' at key `status`; did you mean 'active'?"),
        ("r.jsonl", '{"kind": "pass", "id": "p", "pass_kind": "gren"}', "Invalid enum value 'gren' at key `pass_kind`; did you mean 'green'?"),
        ("r.jsonl", '{"kind": "outlet", "id": "o", "lon": NaN}', ":1: not a JSON record"),
        ("r.jsonl", '{"kind": "township", "id": "t", "villages": -1}', ":1: township t: Expected `int` >= 0 at key `villages`"),
        ("r.jsonl", '{"kind": "vehicle", "id": "v", "emission_standard": 6}', ":1: vehicle v: Expected `str | null`, got `int` at key `emission_standard`"),
        ("r.jsonl", '{"kind": "facility", "id": "F", "level": "hub", "lon": 29.3, "lat": 107.7}', ":1: facility F: lat 107.7 is not between -90 and 90 degrees; lon and lat look swapped"),
        ("r.csv", "kind,id,lon,lat\noutlet,o,1077,29\n", ":2: outlet o: lon 1077 is not between -180 and 180 degrees"),
        ("r.csv", "kind,id,lon,lat\noutlet,o,107,inf\n", "outlet o: "),
        ("r.yaml", "- {kind: vehicle, id: v}\n- {kind: vehicle, id: w, energy: hydrogen}", ":2: vehicle w: Invalid enum value 'hydrogen' at key `energy`"),
        ("r.csv", "kind,id,zones,vehicle_ids\nline,L,centre;main-furon,v\n", ":2: line L: zone 'main-furon' is not in the policy; did you mean 'main-furong'?"),
        ("r.csv", "kind,id,zones,vehicle_ids\nline,L,,v\n", ":2: line L: Object missing required field `zones`"),
        ("r.csv", "kind,id,plate_kind\nvehicle,v,nonmotor\n", ":2: vehicle v: Invalid enum value 'nonmotor' at key `plate_kind`"),
        ("r.csv", "kind,id,reusable_box\noutlet,o,yes\n", ":2: outlet o: unknown key 'reusable_box'; did you mean 'reusable_boxes'?"),
    ],
)
def test_mistakes_in_the_new_kinds_name_line_and_remedy(name, text, message, tmp_path):
    (tmp_path / name).write_text(text, "utf-8")
    with pytest.raises(BadInput) as caught:
        load_registry(tmp_path / name, ZONE, {"centre", "main-furong"})
    assert message in str(caught.value) and "\n" not in str(caught.value) and ("swapped" in message) is ("swapped" in str(caught.value))


def test_mistakes_in_a_workbook_name_sheet_and_row(tmp_path):
    book = openpyxl.Workbook()
    for row in (["kind", "id", "level"], ["facility", "F1", "hub"], ["facility", "F2", "town"]):
        book.active.append(row)
    book.save(tmp_path / "r.xlsx")
    with pytest.raises(BadInput, match=r"r\.xlsx:Sheet!3: facility F2: Invalid enum value 'town' at key `level`"):
        load_registry(tmp_path / "r.xlsx", ZONE)


# --- notices ---

MINUTE = 60_000
EIGHT = at("2026-06-26T08:00")


def clock(minute):
    return f"2026-06-26T{8 + minute // 60:02}:{minute % 60:02}"


def announced(notices, subjects, due, last_sign):
    """By trying every minute: the first from ``due`` on that no notice covers which was filed by the last sign (all in minutes after eight)."""
    minute = due
    while any(about in subjects and (begins if filed is None else filed) <= last_sign and begins <= minute < ends for about, begins, ends, filed in notices):
        minute += 1
    return minute


@pytest.mark.parametrize("kind", ["vehicle", "outlet", "enterprise"])
def test_notices_count_as_trying_every_minute_has_it(kind):
    """Only what was filed by the last sign, its own or its enterprise's, one after another; what was filed later is on record and counts for nothing."""
    rng = random.Random(kind)
    for _ in range(400):
        abouts = [f"{kind}/x", "enterprise/e" if kind != "enterprise" else "enterprise/x", f"{kind}/other"]
        notices = []
        for _ in range(rng.randrange(4)):
            begins = rng.randrange(60)
            notices.append((rng.choice(abouts), begins, begins + rng.randrange(1, 60), rng.choice([None, rng.randrange(90)])))
        known = Registry(ZONE)
        known.add([decode_entry(json.dumps({"kind": kind, "id": "x", **({"enterprise_id": "e"} if kind != "enterprise" else {})}).encode())])
        for number, (about, begins, ends, filed) in enumerate(notices):
            row = {"kind": "notice", "id": str(number), "subject": about, "from": clock(begins), "until": clock(ends), **({"filed_at": clock(filed)} if filed is not None else {})}
            known.add([decode_entry(json.dumps(row).encode())])
        last_sign = rng.randrange(60)
        due = last_sign + rng.randrange(30)
        found = known.after_notices(known.subjects_of(kind, "x", EIGHT + due * MINUTE), EIGHT + due * MINUTE, EIGHT + last_sign * MINUTE)
        assert (found - EIGHT) // MINUTE == announced(notices, {f"{kind}/x", "enterprise/e"} if kind != "enterprise" else {"enterprise/x"}, due, last_sign), (notices, due, last_sign)


@pytest.mark.parametrize(("filed_at", "counts"), [("2026-06-26T07:59", True), ("2026-06-26T08:00", True), ("2026-06-26T08:00:00.001", False), (None, False)])
def test_a_notice_counts_if_filed_by_the_last_sign_else_if_it_begins_by_then(filed_at, counts):
    row = {"kind": "notice", "id": "n", "subject": "vehicle/v", "from": "2026-06-26T08:10", "until": "2026-06-26T09:00", **({"filed_at": filed_at} if filed_at else {})}
    known = Registry(ZONE)
    known.add([decode_entry(json.dumps(row).encode())])
    due_ms = EIGHT + 30 * MINUTE
    assert known.after_notices(("vehicle/v", "enterprise/None"), due_ms, EIGHT) == (EIGHT + 60 * MINUTE if counts else due_ms)


def covered_until(known, subjects, due_ms, last_sign_ms):
    """By asking every notice again and again, as the oracle does."""
    while True:
        counting = [notice for name in "abc" if (notice := known.at("notice", name, due_ms)) and notice.subject in subjects]
        times = [known.notice_times(notice) for notice in counting]
        reached = [until_ms for filed_ms, from_ms, until_ms in times if filed_ms <= last_sign_ms and from_ms <= due_ms < until_ms]
        if not reached:
            return due_ms
        due_ms = max(reached)


def test_versions_of_notices_count_while_they_are_valid_and_changes_count_at_once():
    rng, subjects, differed = random.Random(5), ("vehicle/x", "enterprise/e"), 0
    for _ in range(600):
        known = Registry(ZONE)
        for _ in range(rng.randrange(1, 4)):
            versions, name = [], rng.choice("abc")
            for _ in range(rng.randrange(4)):
                begins, since = rng.randrange(50), rng.randrange(60)
                row = {"kind": "notice", "id": name, "subject": rng.choice([*subjects, "vehicle/y"]), "from": clock(begins), "until": clock(begins + rng.randrange(1, 40)), "filed_at": clock(rng.randrange(60))}
                row |= rng.choice([{}, {"valid_from": clock(since)}, {"valid_from": clock(since), "valid_until": clock(since + rng.randrange(1, 40))}])
                versions.append(decode_entry(json.dumps(row).encode()))
            if rng.random() < 0.5:
                known.put("notice", name, versions)
            else:
                known.add(versions)
            for _ in range(5):
                last_sign_ms = EIGHT + rng.randrange(60) * MINUTE
                due_ms = last_sign_ms + rng.randrange(20) * MINUTE
                found = known.after_notices(subjects, due_ms, last_sign_ms)
                assert found == covered_until(known, subjects, due_ms, last_sign_ms)
                differed += found != due_ms
    assert differed > 300


def test_notices_count_of_the_enterprise_that_a_vehicle_belongs_to_by_then():
    """It changes hands while a notice runs; at the end of each notice it is asked anew whose count."""
    rng, changed_hands = random.Random(7), 0
    for _ in range(600):
        known, moves = Registry(ZONE), sorted(rng.sample(range(60), 2))
        for since, enterprise_id in zip([0, *moves], "efe", strict=True):
            known.add([decode_entry(json.dumps({"kind": "vehicle", "id": "x", "enterprise_id": enterprise_id, "valid_from": clock(since)}).encode())])
        for name in "abc":
            begins = rng.randrange(50)
            row = {"kind": "notice", "id": name, "subject": rng.choice(["vehicle/x", "enterprise/e", "enterprise/f"]), "from": clock(begins), "until": clock(begins + rng.randrange(1, 40)), "filed_at": clock(0)}
            known.add([decode_entry(json.dumps(row).encode())])
        due_ms = reached_ms = EIGHT + rng.randrange(1, 60) * MINUTE
        while notices := [n for name in "abc" if (n := known.notice_times(known.at("notice", name, reached_ms))) and n.from_ms <= reached_ms < n.until_ms
                          and known.at("notice", name, reached_ms).subject in known.subjects_of("vehicle", "x", reached_ms)]:  # fmt: skip
            reached_ms = max(n.until_ms for n in notices)
        assert known.unannounced_ms("vehicle", "x", due_ms, EIGHT) == reached_ms
        changed_hands += known.subjects_of("vehicle", "x", due_ms) != known.subjects_of("vehicle", "x", reached_ms)
    assert changed_hands > 50


def test_a_long_chain_of_notices_of_one_enterprise_costs_one_look_at_each():
    """Asked again for each of its vehicles; by trying them in turn each question would take minutes."""
    known, length = Registry(ZONE), 2_000
    moment = dt.datetime(2026, 6, 26, 8, tzinfo=ZONE)
    ends = [(moment + dt.timedelta(minutes=10 * n)).isoformat() for n in range(length + 1)]
    known.add(decode_entry(json.dumps({"kind": "notice", "id": f"n{n}", "subject": "enterprise/e", "from": ends[n], "until": ends[n + 1], "filed_at": "2026-01-01"}).encode()) for n in reversed(range(length)))
    started = time.process_time()
    found = {known.after_notices((f"vehicle/{n}", "enterprise/e"), EIGHT, EIGHT) for n in range(200)}
    assert found == {EIGHT + 10 * length * MINUTE} and time.process_time() - started < 30
