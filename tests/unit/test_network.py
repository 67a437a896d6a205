"""Key figures of the registry: each equals a plain recount, each stands in the clause that is named, none says zero where nobody says anything."""

import json
import re
from pathlib import Path
from zoneinfo import ZoneInfo

import msgspec
import pytest

from producers.sample_registry import sample_registry
from streams import metrics
from streams.clock import DAY_HOURS
from streams.counts import MONTH_DAYS
from streams.parcels.facts import NARROW_TAPE_MM
from streams.policy.checks import is_share
from streams.policy.claims import figure_clauses
from streams.policy.policy import Policy
from streams.policy.reader import load_policy, packs
from streams.registry.figure_clauses import SECTIONS
from streams.registry.key_figures import LEVELS, READINGS, TITLES, network
from streams.registry.records import decode_entry, decode_versions
from streams.registry.registry import Registry
from streams.runtime.reference import Reference, measure_network
from streams.vehicles.empty_run import APART_MS

ZONE = ZoneInfo("Asia/Shanghai")
NOON_2026 = 1_782_446_400_000
NUMERALS = "一二三四五六七八九十"


def registry(*records):
    known = Registry(ZONE)
    known.add(decode_entry(json.dumps(record).encode()) for record in records)
    return known


def figures(*records, at_ms=NOON_2026, city=None, subsidised=None):
    return network(registry(*records), at_ms, city, subsidised)


def vehicle(number, vehicle_class="light_van", **keys):
    return {"kind": "vehicle", "id": str(number), "vehicle_class": vehicle_class, **keys}


def outlet(number, **keys):
    return {"kind": "outlet", "id": str(number), **keys}


# --- clauses ---


def sections(text):
    """Every heading of a document, as (position, depth, its number in Chinese or Arabic numerals)."""
    forms = [(0, r"^[#\s]*(?:([一二三四五六七八九十]{1,3})|(\d))、"), (1, r"^[#\s]*[（(]([一二三四五六七八九十]{1,3})[）)]"), (2, r"^(\d{1,2})[.．]")]
    for depth, form in forms:
        for found in re.finditer(form, text, re.MULTILINE):
            number = found[1] or NUMERALS[int(found[2]) - 1]
            yield found.start(), depth, number


def clause_at(text, position):
    """The clause in which a position stands, as the packs write one: 二（一）3."""
    numbers = {}
    for _, depth, number in sorted(heading for heading in sections(text) if heading[0] <= position):
        numbers = {known: value for known, value in numbers.items() if known < depth} | {depth: number}
    return numbers.get(0, "") + (f"（{numbers[1]}）" if 1 in numbers else "") + numbers.get(2, "")


def places(text, words):
    """Where words stand in a text, whatever white space and form of brackets it has between them."""
    forms = {"（": "[（(]", "）": "[）)]", "，": "[，,]", " ": ""}
    pattern = r"\s*".join(forms.get(character, re.escape(character)) for character in words if character != " ")
    return [found.start() for found in re.finditer(pattern, text)]


@pytest.mark.parametrize("pack", packs())
def test_every_clause_is_in_the_document_and_says_these_words(pack, shared):
    """By the document's own headings."""
    if not (shared / "seeds").exists():
        pytest.skip("no ../shared/seeds beside the checkout: the cities' documents are read from there")
    document = load_policy(pack).pack
    text = (shared / "seeds" / document.document.file).read_text("utf-8")
    stated = figure_clauses(document)
    assert len(stated) > 12
    wrong = {measure: (clause, found) for measure, (clause, words) in stated.items() if clause not in (found := [clause_at(text, place) for place in places(text, words)])}
    assert not wrong


def test_every_measure_has_two_titles_and_every_clause_a_measure():
    assert all(zh and en and re.search("[\u4e00-\u9fff]", zh) and en.isascii() for zh, en in TITLES.values())
    spoken = {measure for pack in packs() for measure in figure_clauses(load_policy(pack).pack)}
    assert spoken - set(SECTIONS) < TITLES.keys() and set(SECTIONS) <= spoken and TITLES.keys().isdisjoint(SECTIONS)
    unknown = {measure for measure in TITLES if measure.endswith("_unknown_share")}
    assert len(unknown) == 5 and TITLES.keys() - spoken == {"not_repackaged", "reusable_bag"} | unknown  # what no document speaks of
    assert {measure for measure in TITLES if is_share(measure)} >= {"camera_outlet_share", "village_coverage", "licensed_enterprise_share"}
    assert not any(is_share(measure) for measure in LEVELS.values())


# --- the sample registries ---


@pytest.fixture(scope="module", params=packs())
def sample(request):
    """A city's pack, its sample registry, and the same as plain objects of JSON."""
    policy = load_policy(request.param)
    entries = list(sample_registry(policy, 900, 7))
    known = Registry(policy.timezone)
    known.add(entries)
    return policy, known, [json.loads(msgspec.json.encode(entry)) for entry in entries]


def recount(rows, today, window):
    """Every key figure of rows of which each is valid, counted from their words; ``window``: first and last date of a subsidy."""
    of = {kind: [row for row in rows if row["kind"] == kind] for kind in ("vehicle", "enterprise", "outlet", "township", "facility", "line")}
    on_duty = [v for v in of["vehicle"] if v.get("status", "active") == "active"]
    motor = [v for v in on_duty if v["vehicle_class"] not in {"e_bike", "e_tricycle", "other"} and v["plate_kind"] == "motor"]
    new = [v for v in motor if v["energy"] in {"electric", "plug_in_hybrid", "fuel_cell"}]
    found = {"nev_share": len(new) / len(motor)}
    for name, own in (("e_bikes", "e_bike"), ("e_tricycles", "e_tricycle")):
        found[name] = sum(v["vehicle_class"] == own for v in on_duty)
    for number, roman in (("4", "IV"), ("5", "V"), ("6", "VI")):
        found[f"emission_{number}"] = sum(v.get("emission_standard") == roman for v in on_duty)
    if window:
        found["subsidy_window_vehicles"] = sum(window[0] <= v.get("valid_from", "") <= window[1] for v in new)
    found["joint_delivery_share"] = sum(v.get("joint_delivery", False) for v in on_duty) / len(on_duty)
    outlets = of["outlet"]
    found["filed_outlet_share"] = len([o for o in outlets if o["filed"]]) / len(outlets)
    said = [o["camera"] for o in outlets if "camera" in o]
    found["camera_outlet_share"] = said.count(True) / len(said)
    found["camera_unknown_share"] = 1 - len(said) / len(outlets)
    found["recycling_outlet_share"] = len([o for o in outlets if o["recycling_container"]]) / len(outlets)
    brands = {e["id"] for e in of["enterprise"] if e.get("primary_brand")}
    boxes = [o["reusable_boxes"] for o in outlets if o["standardised"] and o["enterprise_id"] in brands]
    found["reusable_box_outlet_share"] = boxes.count(True) / len(boxes)
    reached = {t["id"] for t in of["township"] if t.get("covered")} | {o["township"] for o in outlets if o["filed"] and "township" in o}
    found["township_coverage"] = len(reached & {t["id"] for t in of["township"]}) / len(of["township"])
    found["village_coverage"] = len({(f["township"], f["village"]) for f in of["facility"] if "village" in f}) / sum(t["villages"] for t in of["township"])
    town = {t["id"] for t in of["township"] if t.get("urban")}
    found["pickup_point_coverage"] = len(town & {f.get("township") for f in of["facility"] if f["level"] == "pickup_point"}) / len(town)
    levels = [f["level"] for f in of["facility"]]
    names = {"hubs": "hub", "county_centres": "county", "township_stations": "township", "village_points": "village", "pickup_points": "pickup_point"}
    found |= {name: levels.count(level) for name, level in names.items() if level in levels}
    if of["line"]:
        found["delivery_lines"] = len(of["line"])
    for name in ("locker_cells", "service_stations"):
        found[name] = sum(t[name] for t in of["township"])
    dates = [e["licensed_until"] for e in of["enterprise"] if "licensed_until" in e]
    found["licensed_enterprise_share"] = sum(until >= today for until in dates) / len(dates)
    found["licence_unknown_share"] = (len(of["enterprise"]) - len(dates)) / len(of["enterprise"])
    return found


def test_every_key_figure_of_a_sample_equals_a_plain_recount(sample):
    policy, known, rows = sample
    city = policy.pack.city.adcode
    window = ("2018-09-01", "2020-12-31") if city == "451100" else None
    assert policy.pack.subsidised == window
    found = network(known, NOON_2026, city, window)
    assert found == recount(rows, "2026-06-26", window)
    assert all(0 < value < 1 for measure, value in found.items() if is_share(measure) and not measure.endswith("_coverage"))
    assert found.keys() <= TITLES.keys()


def test_a_sample_has_what_the_document_counts(sample):
    policy, known, _ = sample
    found = network(known, NOON_2026)
    wanted = {"wulong-2019": {"hubs": 1, "township_stations": 10, "village_points": 186, "delivery_lines": 5, "village_coverage": 1.0, "pickup_point_coverage": 1.0}, "hohhot-2019": {"hubs": 2, "county_centres": 5}}
    assert wanted.get(policy.name, {}).items() <= found.items()
    assert ("county_centres" in found) is (policy.name != "wulong-2019") and ("delivery_lines" in found) is (policy.name == "wulong-2019")


def test_a_sample_says_what_is_wrong_with_few(sample):
    """Three outlets on file without a camera, two enterprises whose licence lapsed: rules that concern them have their offenders."""
    policy, known, rows = sample
    of = {kind: [row for row in rows if row["kind"] == kind] for kind in ("vehicle", "enterprise", "outlet", "line")}
    assert [o["filed"] for o in of["outlet"] if o.get("camera") is False] == [True] * 3 and sum("camera" not in o for o in of["outlet"]) > 5
    assert [e["id"] for e in of["enterprise"] if e.get("licensed_until", "9") < "2026"] == ["fengzhou", "wulan"]
    assert sum("licensed_until" not in e for e in of["enterprise"]) == 1 and sum(e.get("key_enterprise", False) for e in of["enterprise"]) == 2
    assert {v["energy"] for v in of["vehicle"]} == {"electric", "plug_in_hybrid", "fuel_cell", "hybrid", "fuel"}
    home = load_policy(policy.name).pack.identifier.pattern[:2]
    own = {v["id"]: v for v in of["vehicle"]}
    assert all(own[name]["plate_kind"] == "motor" and own[name].get("marked", True) and name.startswith(home) for line in of["line"] for name in line["vehicle_ids"])
    assert len({name for line in of["line"] for name in line["vehicle_ids"]}) == 3 * len(of["line"])
    assert {policy.zone_kinds[zone] for line in of["line"] for zone in line["zones"]} <= {"loading"} and all(len(set(line["zones"])) == 2 for line in of["line"])
    assert not {v["vehicle_class"] for v in of["vehicle"] if v["plate_kind"] == "non_motor"} - {"e_bike", "e_tricycle"}
    assert known.valid(NOON_2026)["vehicle"] and len(known.valid(NOON_2026)["vehicle"]) == 900


# --- what is unknown, and by definition ---


def test_what_no_record_says_is_absent_and_never_zero():
    silent = [vehicle(1), vehicle(2, None), outlet(1), {"kind": "enterprise", "id": "e"}, {"kind": "township", "id": "t"}]
    assert figures() == {} == figures(*silent, city="451100")


@pytest.mark.parametrize(
    ("records", "measure", "value"),
    [
        ([vehicle(1, energy="electric"), vehicle(2, energy="fuel"), vehicle(3, "truck")], "nev_share", 1 / 3),
        ([vehicle(1, energy="hybrid"), vehicle(2, "micro_van", energy="fuel_cell"), vehicle(3, "truck", energy="plug_in_hybrid")], "nev_share", 2 / 3),
        ([vehicle(1, energy="fuel"), vehicle(2, "e_bike", energy="electric"), vehicle(3, "e_tricycle", energy="electric")], "nev_share", 0.0),
        ([vehicle(1, energy="fuel"), vehicle(2, energy="electric", plate_kind="non_motor"), vehicle(3, "other", energy="electric")], "nev_share", 0.0),
        ([vehicle(1, energy="electric"), vehicle(2, energy="fuel", status="suspended"), vehicle(3, energy="fuel", valid_until="2026-06-25")], "nev_share", 1.0),
        ([vehicle(1, "e_bike"), vehicle(2, "e_bike", status="scrapped")], "e_bikes", 1),
        ([vehicle(1, emission_standard="国六"), vehicle(2, "truck", emission_standard="Ⅵ"), vehicle(3, emission_standard="V")], "emission_6", 2),
        ([vehicle(1, emission_standard="Euro 6")], "emission_other", 1),
        ([outlet(1, camera=True), outlet(2, camera=False), outlet(3)], "camera_outlet_share", 0.5),
        ([outlet(1, camera=False)], "camera_outlet_share", 0.0),
        ([outlet(1, camera=True), outlet(2, camera=False), outlet(3), outlet(4)], "camera_unknown_share", 0.5),
        ([outlet(1, camera=True)], "camera_unknown_share", None),  # all say it
        ([outlet(1)], "camera_unknown_share", None),  # and the share is unknown itself
        ([outlet(1, recycling_container=True), outlet(2)], "recycling_unknown_share", 0.5),
        ([vehicle(1, joint_delivery=False), vehicle(2), vehicle(3, status="scrapped")], "joint_delivery_unknown_share", 0.5),
        ([{"kind": "enterprise", "id": "e", "licensed_until": "2020-01-01"}, {"kind": "enterprise", "id": "f"}], "licence_unknown_share", 0.5),
        ([outlet(1, filed=True), outlet(2)], "filed_outlet_share", 0.5),
        ([outlet(1, recycling_container=True), outlet(2, recycling_container=False), outlet(3)], "recycling_outlet_share", 0.5),
        ([vehicle(1, joint_delivery=True), vehicle(2, joint_delivery=False), vehicle(3)], "joint_delivery_share", 0.5),
        ([{"kind": "township", "id": "t", "covered": True}, {"kind": "township", "id": "u"}], "township_coverage", 0.5),
        ([{"kind": "township", "id": "t"}, {"kind": "township", "id": "u"}, outlet(1, filed=True, township="t"), outlet(2, township="u")], "township_coverage", 0.5),
        ([{"kind": "township", "id": "t", "covered": False}], "township_coverage", 0.0),
        ([{"kind": "township", "id": "t"}, outlet(1, filed=True, township="elsewhere")], "township_coverage", None),
        ([{"kind": "enterprise", "id": "e", "licensed_until": "2026-06-26"}, {"kind": "enterprise", "id": "f", "licensed_until": "2026-06-25"}], "licensed_enterprise_share", 0.5),
        ([{"kind": "township", "id": "t", "locker_cells": 0}], "locker_cells", 0),
        ([{"kind": "line", "id": "l", "zones": ["a"], "vehicle_ids": []}], "delivery_lines", 1),
        ([{"kind": "facility", "id": "f", "level": "pickup_point"}], "pickup_points", 1),
    ],
)
def test_by_definition(records, measure, value):
    assert figures(*records).get(measure) == value


def test_reusable_boxes_are_of_standardised_outlets_of_primary_brands():
    primary, other = {"kind": "enterprise", "id": "p", "primary_brand": True}, {"kind": "enterprise", "id": "o"}
    outlets = [
        outlet(1, enterprise_id="p", standardised=True, reusable_boxes=True), outlet(2, enterprise_id="p", standardised=True, reusable_boxes=False),
        outlet(3, enterprise_id="p", standardised=True), outlet(4, enterprise_id="p", reusable_boxes=False), outlet(5, enterprise_id="o", standardised=True, reusable_boxes=False),
    ]  # fmt: skip
    assert figures(primary, other, *outlets)["reusable_box_outlet_share"] == 0.5
    assert figures(primary, other, *outlets)["reusable_box_unknown_share"] == 1 / 3
    assert "reusable_box_outlet_share" not in figures(other, *outlets)


def test_two_points_in_one_village_are_one_village():
    points = [{"kind": "facility", "id": str(n), "level": "village", "township": town, "village": village} for n, (town, village) in enumerate([("t", "a"), ("t", "a"), ("t", "b"), ("u", "a")])]
    towns = [{"kind": "township", "id": "t", "villages": 4}, {"kind": "township", "id": "u", "villages": 1}, {"kind": "township", "id": "w"}]
    assert figures(*points, *towns)["village_coverage"] == 3 / 5
    assert figures(*points, {"kind": "township", "id": "t", "villages": 1})["village_coverage"] == 1.0  # more named than there are: never more than all
    assert "village_coverage" not in figures(*towns) and "village_coverage" not in figures(*points)


def test_a_pick_up_point_covers_the_urban_township_that_it_stands_in():
    """Wulong 一: 城市末端公共取送点基本实现全覆盖."""
    towns = [{"kind": "township", "id": name, "urban": name in "ab"} for name in "abc"]
    point = lambda name, **where: {"kind": "facility", "id": name, "level": "pickup_point", **where}  # noqa: E731
    assert figures(*towns, point("1", township="a"), point("2", township="a"), point("3", township="c"))["pickup_point_coverage"] == 0.5
    assert figures(*towns, point("1", township="c"))["pickup_point_coverage"] == 0.0
    assert figures(*towns, {"kind": "facility", "id": "1", "level": "village", "township": "a", "village": "v"}, point("2")).get("pickup_point_coverage") is None
    assert figures({"kind": "township", "id": "a"}, point("1", township="a")).get("pickup_point_coverage") is None


def test_the_first_registration_decides_about_the_subsidy_window():
    """Hezhou 二（六）17: from 2018-09-01 until 2020-12-31, both days included; of new energy; a later version of a record is no new vehicle."""
    cars = [vehicle(day, energy="electric", valid_from=day) for day in ("2018-08-31", "2018-09-01", "2020-12-31", "2021-01-01")]
    renewed = [vehicle("r", energy="fuel", valid_from="2018-01-01", valid_until="2018-12-31"), vehicle("r", energy="electric", valid_from="2019-01-01")]
    others = [vehicle("fuel", energy="fuel", valid_from="2019-01-01"), vehicle("bike", "e_bike", energy="electric", valid_from="2019-01-01"), vehicle("since ever", energy="electric")]
    window = ("2018-09-01", "2020-12-31")
    assert figures(*cars, *renewed, *others, city="451100", subsidised=window)["subsidy_window_vehicles"] == 2
    assert "subsidy_window_vehicles" not in figures(*cars, city="451100") and "subsidy_window_vehicles" not in figures(*others, city="451100", subsidised=window)


def test_gauges_say_what_the_registry_says_and_nothing_that_it_does_not_say_any_more():
    policy = load_policy("hezhou-2018")
    known = registry(vehicle(1, energy="electric"), outlet(1, camera=True))

    def shown():
        return {s.labels["measure"]: s.value for m in metrics.NETWORK.collect() for s in m.samples if s.labels["city"] == "451100"}

    measure_network(policy, known, NOON_2026)
    assert shown() == {"nev_share": 1.0, "camera_outlet_share": 1.0}
    known.put("outlet", "1", [])
    known.put("vehicle", "1", [])
    measure_network(policy, known, NOON_2026)
    assert shown() == {} and not [s for m in metrics.NEV_RATIO.collect() for s in m.samples if s.labels["city"] == "451100"]


def test_metrics_say_who_goes_on_judging_by_a_document_that_has_ended():
    policy = load_policy("hohhot-2019")

    def said(at_ms):
        measure_network(policy, Registry(policy.timezone), at_ms)
        return {s.labels["continued_by"] for m in metrics.CITY.collect() for s in m.samples if s.labels["city"] == "150100"}

    assert said(NOON_2026) == {policy.pack.continued.by}
    assert said(policy.days.bounds_ms(policy.pack.document.in_force.until)[0]) == {""}


def test_measures_are_bounded_whatever_the_records_say():
    many = [vehicle(n, emission_standard=f"E{n}") for n in range(200)]
    assert figures(*many).keys() == {"emission_other"}


def targets():
    return {s.labels["measure"]: s.value for m in metrics.TARGET_RATIO.collect() for s in m.samples if s.labels["city"] == "150100"}


def concerned():
    return {(s.labels["enterprise"], s.labels["measure"]) for m in metrics.TARGET_SCOPE.collect() for s in m.samples if s.labels["city"] == "150100"}


def test_by_when_a_target_is_due_and_why_is_shown_as_the_pack_in_force_has_it():
    policy = load_policy("hohhot-2019")
    measure_network(policy, Registry(policy.timezone), NOON_2026)
    said = {s.labels["measure"]: tuple(s.labels[name] for name in ("due", "clause", "basis", "scope")) for m in metrics.TARGET_INFO.collect() for s in m.samples if s.labels["city"] == "150100"}
    assert said.keys() == policy.pack.targets.keys()
    assert said["township_coverage"] == ("2019-12-31", "一（三）", "encouraged", "") and said["green_packaging"] == ("", "", "operator", "")
    assert said["reusable_box_outlet_share"] == ("", "六（十七）", "stated", "primary_brands")


def test_whom_a_target_is_about_is_shown_where_it_is_not_about_all():
    policy = load_policy("hohhot-2019")
    scoped = {name for name, target in policy.pack.targets.items() if target.scope}
    known = Registry(policy.timezone)
    measure_network(policy, known, NOON_2026)
    assert concerned() == {("", name) for name in scoped} and "electronic_waybill" in scoped and "green_packaging" not in scoped, "of nobody"
    known.put("enterprise", "a", decode_versions(json.dumps([{"kind": "enterprise", "id": "a", "primary_brand": True}]).encode()))
    known.put("enterprise", "b", decode_versions(json.dumps([{"kind": "enterprise", "id": "b"}]).encode()))
    measure_network(policy, known, NOON_2026)
    assert concerned() == {("a", name) for name in scoped}


def version(valid_from, **targets):
    return Policy(msgspec.structs.replace(load_policy("hohhot-2019").pack, valid_from=valid_from, stated_targets=targets))


def test_a_target_that_a_new_version_has_not_any_more_is_gone():
    before, after = version("2019-01-01", green_packaging=0.9, electronic_waybill=0.8), version("2026-01-01", electronic_waybill=0.7)
    known = Registry(before.timezone)
    measure_network(before, known, NOON_2026)
    assert targets() == {"green_packaging": 0.9, "electronic_waybill": 0.8}
    measure_network(after, known, NOON_2026)
    assert targets() == {"electronic_waybill": 0.7}


def test_what_follows_dates_is_set_again_on_a_new_day_and_a_version_counts_from_its_day_on():
    before, after = version("2019-01-01", electronic_waybill=0.8), version("2026-06-27", electronic_waybill=0.9)
    reference = Reference("nowhere:1", before.name)
    reference._publish(before.name, [before, after])
    reference.registry.put("vehicle", "1", decode_versions(json.dumps([vehicle(1, energy="electric", valid_until="2026-06-26")]).encode()))
    measured = []
    reference.on_change = lambda: measured.append("on change")

    def shown():
        return targets()["electronic_waybill"], sum(s.value for m in metrics.VEHICLES_ACTIVE.collect() for s in m.samples if s.labels["city"] == "150100")

    reference._measure_daily(NOON_2026)
    assert shown() == (0.8, 1)
    midnight_ms = after.valid_from_ms
    reference._measure_daily(midnight_ms - 1)
    assert shown() == (0.8, 1)
    reference._measure_daily(midnight_ms)
    assert shown() == (0.9, 0) and measured == [], "no stage has to change for it"


# --- what in a figure is ours

OURS = {
    **dict.fromkeys(("night_delivery", "night_run_ratio"), (f"{DAY_HOURS[1]}:00", f"{DAY_HOURS[0]:02}:00")), **dict.fromkeys(LEVELS.values(), (str(MONTH_DAYS),)),
    "empty_run_ratio": (str(APART_MS // 60_000),), "narrow_tape": (f"{NARROW_TAPE_MM:g} mm",), "joint_delivery": (),
}  # fmt: skip
"""Figures in which an hour, a number of days, a length or whom they count is not the document's, with those numbers."""


def test_what_in_a_figure_is_our_own_is_said_in_both_languages():
    assert READINGS.keys() == OURS.keys() <= TITLES.keys()
    assert all(number in words for measure, numbers in OURS.items() for words in READINGS[measure] for number in numbers)
    assert {measure for measure, titles in TITLES.items() if re.search("[0-9]", titles[0])} <= OURS.keys()
    spoken = [(measure, quote) for pack in packs() for measure, (_, quote) in figure_clauses(load_policy(pack).pack).items()]
    assert not [(measure, number) for measure, quote in spoken for number in OURS.get(measure, ()) if number in quote], "a number of the document's is none of ours"


def test_dashboards_say_it_too():
    said = " ".join(re.findall('"description": "(.*)"', (Path(__file__).parents[2] / "deploy/grafana/dashboards/city.json").read_text("utf-8")))
    assert all(words in said for measure, reading in READINGS.items() for words in reading)
