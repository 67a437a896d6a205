"""Filters of the list of incidents: the address keeps them, a link shows the same, and what is left is counted."""

import json

import pytest

from consumers.console.city import incidents
from consumers.console.city.city import City

READY = "() => window.yicheng?.state.incidents.size >= 8 && window.yicheng.fleet.count >= 10"


def test_a_page_is_told_how_many_older_ones_it_does_not_list(monkeypatch):
    monkeypatch.setattr(incidents, "MOST_LISTED", 2)
    city = City("hohhot-2019")
    for number in range(5):
        data = {"incident_id": f"i{number}", "revision": 1, "state": "closed", "synthetic": True, "opened_at_ms": 1_782_446_400_000 + number}
        city.enter_incident(json.dumps({"id": f"i{number}/1", "type": "yicheng.incident.opened.v1", "data": data}).encode())
    state = city.state()
    assert [row["incident_id"] for row in state["incidents"]] == ["i4", "i3"] and state["older"] == 3


@pytest.mark.long
def test_a_link_shows_what_was_filtered(console, recorded_day, watch):
    demo = console("--demo", recorded_day, "--speedup", 1200)
    watched = watch(demo.url)
    page = watched.open("/?lang=en&x=1")
    page.wait_for_function(READY)
    page.wait_for_function("() => document.querySelector('#f-basis').options.length > 1 && document.querySelector('#f-enterprise').options.length > 1")
    assert page.locator("#f-city").is_hidden(), "there is one city only"
    row = page.evaluate("[...yicheng.state.incidents.values()].find((row) => row.vehicle_id && row.enterprise_id && row.basis)")
    for key, name in (("rule", "rule"), ("severity", "severity"), ("basis", "basis"), ("enterprise", "enterprise_id")):
        page.select_option(f"#f-{key}", row[name])
    page.check("#f-unanswered")
    page.fill("#search", row["vehicle_id"])
    query = page.evaluate("Object.fromEntries(new URLSearchParams(location.search))")
    assert query == {"lang": "en", "x": "1", "rule": row["rule"], "severity": row["severity"], "basis": row["basis"], "enterprise": row["enterprise_id"], "unanswered": "1", "q": row["vehicle_id"]}
    shown = "yicheng.filtered().map((row) => [row.rule, row.severity, row.basis, row.enterprise_id, row.vehicle_id].join())"
    wanted = ",".join(row[name] for name in ("rule", "severity", "basis", "enterprise_id", "vehicle_id"))
    assert set(page.evaluate(shown)) == {wanted}
    page.evaluate("(id) => { location.hash = `incident=${id}`; }", row["incident_id"])
    page.wait_for_selector("#panel:not([hidden])")
    page.keyboard.press("Escape")
    assert f"rule={row['rule']}" in page.evaluate("location.search"), "a look at an incident changes no filter"
    link = page.evaluate("location.pathname + location.search")
    watched.check()
    other = watch(demo.url)
    page = other.open(link)
    page.wait_for_function(READY)
    page.wait_for_function("(id) => yicheng.state.incidents.has(id)", arg=row["incident_id"])
    assert set(page.evaluate(shown)) == {wanted} and page.is_checked("#f-unanswered") and page.input_value("#search") == row["vehicle_id"]
    page.wait_for_function("() => document.querySelector('#count').textContent === `${yicheng.filtered().length} of ${yicheng.state.incidents.size} incidents`")
    page.click("#clear")
    page.wait_for_function("() => yicheng.filtered().length === yicheng.state.incidents.size && document.querySelector('#clear').hidden")
    assert page.evaluate("location.search") == "?lang=en&x=1"
    page.fill("#search", row["incident_id"].lower())
    assert page.evaluate("yicheng.filtered().map((row) => row.incident_id)") == [row["incident_id"]], "incidents have numbers, too"
    hostile = other.open("/?lang=en&rule=%3Cimg%20src%3Dx%20onerror%3Dalert(1)%3E&severity=violation&tab=x&hour=99&q=%22%27")
    hostile.wait_for_function(READY)
    hostile.wait_for_selector("#list .empty")
    assert hostile.locator("img[src=x]").count() == 0 and hostile.text_content("#list") == "No incident matches the filters."
    other.check()


def several(route):
    """The state, but every other incident is another city's."""
    answer = route.fetch()
    found = answer.json()
    for number, row in enumerate(found["incidents"]):
        row["city"] = "330600" if number % 2 else row["city"]
    route.fulfill(response=answer, json=found)


@pytest.mark.long
def test_where_several_cities_are_there_one_can_be_chosen(console, recorded_day, watch):
    demo = console("--demo", recorded_day, "--speedup", 1200)
    watched = watch(demo.url)
    watched.page.route("**/api/events*", lambda route: route.abort())
    page = watched.open("/?lang=zh")
    page.wait_for_function("() => window.yicheng?.fleet.count >= 10")
    watched.page.route("**/api/state", several)
    page = watched.open("/?lang=zh")
    page.wait_for_function("() => window.yicheng?.state.incidents.size >= 2")
    page.wait_for_selector("#f-city:not([hidden])")
    assert set(page.evaluate("[...document.querySelector('#f-city').options].map((one) => one.text)")) == {"全部城市", "呼和浩特市", "330600"}
    page.select_option("#f-city", "330600")
    assert set(page.evaluate("yicheng.filtered().map((row) => row.city)")) == {"330600"} and "city=330600" in page.evaluate("location.search")
