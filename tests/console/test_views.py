"""The views beside the map: rates against their targets, and the pack in the sentences of policy check."""

import json
from zoneinfo import ZoneInfo

import pytest
from conftest import wait_for

from console.console_site import Site, filled
from consumers.console.city.city import City
from consumers.console.city.course import DayCourse
from consumers.console.city.views import city_rate, outlets_view, policy_view, rates_view
from deploy.packs.explain import explain
from streams.clock import now_ms
from streams.counts import outlet_row
from streams.policy.checks import pack_record
from streams.policy.reader import load_policy
from streams.registry.records import decode_versions
from streams.registry.registry import Registry

READY = "() => window.yicheng?.state.incidents.size >= 8 && window.yicheng.fleet.count >= 10"

NOON = 1_796_011_200_000
"""2026-11-30 in Hohhot."""


def row(electronic, green=None, accepted=10, **more):
    return {"accepted": accepted, "electronic_rate": electronic, "green_rate": green, **more}


def test_the_newest_day_is_shown_by_enterprise_and_the_city_by_day():
    rates = {("*", "2026-11-29"): row(1.0), ("*", "2026-11-30"): row(0.9, 0.8, locker_rate=0.1, narrow_tape_rate=0.5), ("a", "2026-11-30"): row(0.85), ("gone", "2026-11-29"): row(0.1)}
    view = rates_view(rates, load_policy("hohhot-2019"), NOON)
    assert view["date"] == "2026-11-30" and [line["enterprise_id"] for line in view["rows"]] == ["*", "a"] and [day["date"] for day in view["days"]] == ["2026-11-29", "2026-11-30"]
    assert view["rows"][1]["rates"]["electronic"] == 0.85 and view["rows"][1]["rates"]["green"] is None and view["days"][0]["rates"]["green"] is None
    targets = [measure["target"] is None for measure in view["measures"]]
    assert targets == sorted(targets) and targets[0] < targets[-1]
    electronic = next(measure for measure in view["measures"] if measure["feature"] == "electronic")
    assert electronic["target"] == 0.9 and "90%" in electronic["words"]["zh"] and electronic["en"]


def test_a_target_is_missed_from_its_date_on_only():
    policy = load_policy("hohhot-2019")

    def standing(day, cells):
        return next(one["status"] for one in rates_view({}, policy, policy.days.bounds_ms(day)[0], network={"locker_cells": cells})["figures"] if one["figure"] == "locker_cells")

    assert [standing("2019-12-30", 9), standing("2019-12-31", 9), standing("2019-12-30", 130_000)] == ["not_due", "missed", "met"]
    rates = {("*", "2026-11-30"): row(0.85, 0.5), ("a", "2026-11-30"): row(0.85, 0.5)}
    of_day = {measure["feature"]: measure["status"] for measure in rates_view(rates, policy, NOON, is_primary="a".__eq__)["measures"]}
    assert (of_day["electronic"], of_day["green"], of_day["narrow_tape"]) == ("undated", "undated", "unknown")


def test_a_target_of_the_primary_brands_is_held_against_theirs_together():
    rates = {("*", "2026-11-30"): row(0.92, accepted=1_000), ("a", "2026-11-30"): row(0.8, accepted=100), ("b", "2026-11-30"): row(0.9, accepted=300), ("c", "2026-11-30"): row(0.95, accepted=600)}

    def electronic(*primary):
        view = rates_view(rates, load_policy("hohhot-2019"), NOON, is_primary=lambda name: name in primary)
        return next((one["value"], one["status"], one["scope"]) for one in view["measures"] if one["feature"] == "electronic")

    assert electronic("a", "b") == (350 / 400, "undated", "primary_brands")
    assert electronic("c") == (0.95, "met", "primary_brands")
    assert electronic() == (None, "unknown", "primary_brands"), "nobody is one"


def test_what_is_on_record_counts_for_a_target_as_far_as_it_is_active():
    """As in the report: of Wulong's facilities those with a scan in the last 30 days."""
    city = City("wulong-2019")
    source = load_policy("wulong-2019").pack.source
    city.enter_policy(b"wulong-2019", pack_record([{"yaml": source["yaml"], "geojson": source.get("geojson", "")}]))
    for number in range(12):
        city.enter_registry(f"facility/T{number}".encode(), b'{"kind":"facility","id":"T%d","level":"township"}' % number)

    def stations():
        return next((one["value"], one["active"], one["status"]) for one in city.views()["rates"]["figures"] if one["figure"] == "township_stations")

    assert stations() == (12, None, "met")
    today = city.policies.newest.days.date_of(now_ms())
    for number, day in enumerate([today] * 9 + ["2020-01-01", "no date", "9999-01-01"]):
        city.enter_rate(json.dumps({**outlet_row("500156", f"T{number}", day), "revision": 1}).encode(), now_ms())
    assert stations() == (12, 9, "undated")


def test_nobody_else_is_held_against_a_target_of_the_primary_brands():
    """Neither the whole city nor another enterprise is low by it, in the table, by day, or in the header."""
    rates = {("*", "2026-11-30"): row(0.5, 0.5), ("a", "2026-11-30"): row(0.5, 0.5), ("c", "2026-11-30"): row(0.5, 0.5)}
    policy = load_policy("hohhot-2019")
    view = rates_view(rates, policy, NOON, "c", is_primary="a".__eq__)
    held = {line["enterprise_id"]: (line["targets"]["electronic"], line["targets"]["green"]) for line in view["rows"]}
    assert held == {"*": (None, 0.9), "a": (0.9, 0.9), "c": (None, 0.9)} and view["days_targets"]["electronic"] is None
    assert next(one["scope_words"]["en"] for one in view["measures"] if one["feature"] == "electronic") == "primary brands"
    electronic, green = (city_rate(rates["*", "2026-11-30"], feature, policy) for feature in ("electronic", "green"))
    assert (electronic["target"], electronic["scope"]["en"]) == (0.9, "primary brands") and (green["target"], green["scope"]) == (0.9, None)


def test_without_rates_or_a_pack_there_is_nothing_to_show():
    assert rates_view({}, None, NOON) == {"date": None, "measures": [], "figures": [], "rows": [], "days_of": "*", "days_targets": {}, "days": []} and policy_view(None) is None
    assert rates_view({("*", "2026-11-30"): row(1.0)}, None, NOON)["measures"][0]["target"] is None


def test_the_last_days_are_those_of_one_enterprise_too():
    rates = {("*", "2026-11-29"): row(1.0), ("*", "2026-11-30"): row(0.9), ("a", "2026-11-29"): row(0.5, accepted=3), ("b", "2026-11-30"): row(0.7)}
    view = rates_view(rates, load_policy("hohhot-2019"), NOON, "a")
    assert view["days_of"] == "a" and [(day["date"], day["accepted"], day["rates"]["electronic"]) for day in view["days"]] == [("2026-11-29", 3, 0.5)]
    assert rates_view(rates, None, NOON, "nobody")["days"] == []


def test_key_figures_stand_beside_their_targets_clauses_and_dates():
    policy = load_policy("hohhot-2019")
    view = rates_view({}, policy, NOON, network={"locker_cells": 130_000, "nev_share": 0.5, "hubs": 1})
    found = {one["figure"]: one for one in view["figures"]}
    cells, hubs, stations, vehicles = (found[name] for name in ("locker_cells", "hubs", "service_stations", "nev_share"))
    assert (cells["value"], cells["target"], cells["status"], cells["by"], cells["clause"], cells["source"]) == (130_000, 130_000, "met", "2019-12-31", "四（十二）", "document")
    assert "13万个以上" in cells["quote"] and "格口" in cells["zh"] and "locker" in cells["en"] and "13万个以上" in cells["words"]["en"] and not cells["is_share"]
    assert (hubs["status"], hubs["by"], hubs["standing"]["en"]) == ("undated", None, "below, no date set")
    assert (stations["value"], stations["status"]) == (None, "unknown") and stations["target"] == 300, "a target without data stays"
    assert vehicles["is_share"] and vehicles["target"] is None and vehicles["clause"] == "六（十八）" and vehicles["words"] is None
    assert "30天" in hubs["reading"]["zh"] and "30 days" in hubs["reading"]["en"] and cells["reading"] is None
    electronic = next(measure for measure in view["measures"] if measure["feature"] == "electronic")
    assert "electronic_waybill" not in found and electronic["clause"] == "六（十六）" and "90%" in electronic["quote"]
    assert set(policy.pack.targets) <= set(found) | {"electronic_waybill", "green_packaging", "narrow_tape", "not_repackaged", "reusable_bag"}


def test_the_console_counts_the_registry_anew_when_it_changes(tmp_path):
    city = City("hohhot-2019")
    city.enter_policy(b"hohhot-2019", json.dumps([load_policy("hohhot-2019").pack.source]).encode())
    of = lambda: {one["figure"]: one["value"] for one in city.views()["rates"]["figures"]}  # noqa: E731
    assert of()["hubs"] is None
    for number in (1, 2):
        city.enter_registry(f"facility/h{number}".encode(), json.dumps([{"kind": "facility", "id": f"h{number}", "level": "hub"}]).encode())
        assert of()["hubs"] == number
    note = city.views()["rates"]["course_note"]
    city.replaying = True
    assert note["zh"] and "recorded day" in city.views()["rates"]["course_note"]["en"] != note["en"]


def test_the_register_is_as_of_now_and_strangers_are_on_no_file():
    registry, now_ms = Registry(ZoneInfo("Asia/Shanghai")), 1_790_000_000_000
    for kind, name, *versions in (
        ("outlet", "o", {"filed": False}, {"filed": True, "camera": True, "valid_from": "2026-01-01"}), ("outlet", "later", {"filed": True, "valid_from": "2030-01-01"}),
        ("facility", "h", {"level": "hub", "lon": 111.6, "lat": 40.8}), ("line", "l", {"zones": ["z"], "vehicle_ids": ["v"]}),
    ):  # fmt: skip
        registry.put(kind, name, decode_versions(json.dumps([{"kind": kind, "id": name, **version} for version in versions]).encode()))
    view = outlets_view(registry, [("x", "e"), ("o", "e")], now_ms)
    assert [(one["id"], one["filed"], one["camera"]) for one in view["outlets"]] == [("o", True, True), ("x", False, None)]
    assert [one["level"] for one in view["facilities"]] == ["hub"] and view["lines"] == [{"id": "l", "zones": ["z"], "vehicle_ids": ["v"]}]


def test_rows_of_before_a_restart_are_of_when_they_were_sent():
    """They are read together with what comes live, and are not all of the present minute."""
    city = City("hohhot-2019")
    source = load_policy("hohhot-2019").pack.source
    city.enter_policy(b"hohhot-2019", pack_record([{"yaml": source["yaml"], "geojson": source.get("geojson", "")}]))
    city.stream_ms = NOON
    for hours in (3, 2, 0):
        said = {"city": "150100", "enterprise_id": "*", "date": "2026-11-30", "window": "2026-11-30", "revision": 9 - hours, "accepted": 10, "electronic_rate": 0.9, "green_rate": None}
        city.enter_rate(json.dumps(said).encode(), NOON - hours * 3_600_000 + (60_000 if hours == 0 else 0))
    assert city.views()["rates"]["course"]["minutes"] == [9 * 60, 10 * 60, 12 * 60]


def test_the_course_of_a_day_is_by_minute_with_its_forecast_and_incidents():
    days, course = load_policy("hohhot-2019").days, DayCourse()
    from_ms = days.bounds_ms("2026-11-30")[0]
    at = lambda hour, minute=0: from_ms + (60 * hour + minute) * 60_000  # noqa: E731
    course.enter(row(0.1, enterprise_id="*", date="2026-11-29"), from_ms - 1, days)
    for hour, minute, share in ((9, 0, 0.8), (9, 1, 0.85), (9, 1, 0.86), (12, 0, 0.9)):
        course.enter(row(share, None if hour < 12 else 0.5, enterprise_id="*", date="2026-11-30"), at(hour, minute), days)
    course.enter(row(0.2, enterprise_id="a", date="2026-11-30"), at(12), days)
    course.enter(row(0.3, enterprise_id="*", date="2026-11-29"), at(12), days)  # late scans of yesterday
    course.enter(row(0.4, enterprise_id="*", date="2026-11-30"), at(25), days)  # and of today tomorrow
    opened = lambda *_: {at(9, 0): 1, at(9, 5): 1, at(9, 10): 1}  # noqa: E731
    found = course.of("*", {"electronic_forecast": 0.95}, opened, days)
    assert found["date"] == "2026-11-30" and found["minutes"] == [540, 541, 720] and found["day_minutes"] == 1_440
    assert found["rates"] == {"electronic": [0.8, 0.86, 0.9], "green": [None, None, 0.5]} and found["forecast"] == {"electronic": 0.95, "green": None}
    assert found["incidents"] == [(540, 2), (550, 1)]
    assert course.of("a", {}, lambda *_: {}, days)["rates"]["electronic"] == [0.2] and course.of("nobody", {}, opened, days) is None


@pytest.mark.parametrize("name", ["hohhot-2019", "hezhou-2018", "shaoxing-2019", "wulong-2019", "yunnan-2018"])
@pytest.mark.parametrize("lang", ["zh", "en"])
def test_the_pack_is_said_in_the_sentences_of_policy_check(name, lang):
    policy = load_policy(name)
    view, said = policy_view(policy), explain(policy, lang)
    assert all(line in said for line in view["document"][lang]) and all(target[lang] in said for target in view["targets"])
    assert [rule["id"] for rule in view["rules"]] == [rule.id for rule in policy.pack.rules]
    assert all(line in said for rule in view["rules"] for line in rule["lines"][lang])


def test_the_views_are_pages_with_addresses_in_both_languages(console, recorded_day, watch):
    demo = console("--demo", recorded_day, "--speedup", 1200)
    watched = watch(demo.url)
    page = watched.open("/?lang=zh&theme=light#view=rates")
    page.wait_for_function(READY)
    page.wait_for_selector("#view table tbody tr.city")
    page.wait_for_function("() => ['全市', '%'].every((words) => document.querySelector('#view tr.city').textContent.includes(words))")
    assert page.locator("main").is_hidden()
    assert page.get_attribute("[data-view=rates]", "aria-current") == "page"
    page.click("#lang")
    page.wait_for_function("() => document.querySelector('#view h2').textContent.startsWith('Rates of')")
    page.click("[data-view=outlets]")
    page.wait_for_function("() => document.querySelectorAll('#outlets-table tbody tr').length > 5")
    assert "on file" in page.text_content("#outlets-side h2") and page.get_attribute("[data-view=outlets]", "aria-current") == "page"
    page.click("[data-view=policy]")
    page.wait_for_function("() => document.querySelectorAll('#policy-panel ol > li').length >= 10")
    assert "Clause" in page.text_content("#policy-panel ol") and page.get_attribute("[data-view=policy]", "aria-current") == "page"
    page.click("[data-view=live]")
    page.wait_for_function("() => document.querySelector('#view').hidden && !document.querySelector('main').hidden")
    page.click("#tab-zones")
    page.evaluate("document.querySelectorAll('#list details').forEach((one) => { one.open = true; })")
    said, core = explain(load_policy("hohhot-2019"), "en"), page.inner_text("#zone-core .claim")
    assert "Exempt is a vehicle" in core and all(line in said for line in core.splitlines()[1:] if line) and "“制定出台全市配送车辆通行管理政策,推行夜间配送”" in core and "Responsible: 市公安局" in core and "number ZG-2019-9" in core
    page.click("#tab-incidents")
    page.click("#list [data-incident]")
    page.wait_for_function("() => !document.querySelector('#panel').hidden")
    watched.check()


def test_the_rates_show_the_day_minute_by_minute_of_the_city_and_of_an_enterprise(tmp_path, watch):
    """Console.md, Rates: the day's curve by minute with forecast, incidents drawn on it."""
    site = filled(Site(tmp_path))
    policy = load_policy("hohhot-2019")
    site.city.enter_registry(b"enterprise/swift", json.dumps([{"kind": "enterprise", "id": "swift", "name_zh": "swift", "name_en": "swift", "primary_brand": True}]).encode())
    site.city.enter_policy(b"hohhot-2019", json.dumps([policy.pack.source]).encode())
    from_ms = policy.days.bounds_ms("2026-06-26")[0]
    site.city.stream_ms = 0
    for minute in range(8 * 60, 15 * 60, 5):
        for name, share in (("*", 0.8 + minute / 6_000), ("swift", 0.7)):
            said = row(share, 0.9 - minute / 9_000, 100 + minute, city="150100", enterprise_id=name, date="2026-06-26", window="2026-06-26", revision=minute, electronic_forecast=0.97, green_forecast=None)
            site.city.enter_rate(json.dumps(said).encode(), from_ms + 60_000 * minute)
    site.city.enter_rate(json.dumps(row(0.75, city="150100", enterprise_id="*", date="2026-06-25", window="2026-06-25", revision=1)).encode(), from_ms)
    site.city.tick()
    watched = watch(site.url)
    page = watched.open("/?lang=en#view=rates")
    page.wait_for_function("() => document.querySelectorAll('#view svg.course').length === 2")
    assert page.text_content("#course") == "Minute by minute on 26 Jun 2026: The whole city" and page.get_attribute("#view svg.course", "aria-label") == "now 94.9%, forecast 97.0%"
    assert page.locator("#view svg.course path.ahead").count() == 1 and page.locator("#view svg.course rect.opened").count() >= 1
    page.screenshot(path=tmp_path / "course.png", full_page=True)
    figures = page.locator("#view .figures tbody tr").all_text_contents()
    assert any("electronic waybills" in line and "70.0%below, no date set90%" in line for line in figures), figures
    page.click("#view summary")
    assert page.locator("#view details tbody th").all_text_contents() == ["26 Jun 2026", "25 Jun 2026"] and "75.0%" in page.text_content("#view details tbody")
    page.click("#view tbody tr:not(.city) button")
    page.wait_for_function("() => document.querySelector('#course').textContent.endsWith('swift') && document.querySelector('#view button[aria-pressed=true]').textContent === 'swift'")
    assert page.get_attribute("#view svg.course", "aria-label").startswith("now 70.0%") and page.evaluate("location.hash") == "#view=rates&enterprise=swift"
    page.clock.install()
    page.reload()
    page.wait_for_function("() => document.querySelector('#course')?.textContent.endsWith('swift')")
    page.clock.pause_at(page.evaluate("Date.now()") + 3_600_000)
    site.city.enter_rate(json.dumps({**said, "electronic_rate": 0.5, "revision": 2_000}).encode(), from_ms + 60_000 * minute)
    wait_for("what comes, without a clock of its own", lambda: page.get_attribute("#view svg.course", "aria-label").startswith("now 50.0%"))
    watched.check()
    site.stop()
