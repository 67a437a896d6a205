"""Incidents by street and hour: counts on a fine grid, and the layer, the table and the address that show them."""

import json
import urllib.request
from datetime import datetime
from zoneinfo import ZoneInfo

import pytest
from conftest import wait_for

from consumers.console.city.city import City
from consumers.console.city.heat import SIDE_M, cell_of, heat
from consumers.console.city.incidents import Incident
from streams.geo import haversine_m

CITY = ZoneInfo("Asia/Shanghai")
READY = "() => window.yicheng?.state.incidents.size >= 8 && window.yicheng.fleet.count >= 10"


def at(hour, minute=0, day=26):
    return int(datetime(2026, 6, day, hour, minute, tzinfo=CITY).timestamp() * 1000)


def incident(opened_at_ms, lon=111.65, lat=40.81, rule="speeding", **more):
    return Incident("i", 1, True, rule=rule, opened_at_ms=opened_at_ms, lon=lon, lat=lat, **more)


def test_incidents_are_counted_by_place_local_hour_and_rule():
    found = heat([incident(at(8, 59)), incident(at(8, 1, day=25)), incident(at(9)), incident(at(8), rule="forbidden_stop"), incident(at(23), lon=111.66)], CITY)
    assert [cell["counts"] for cell in found["cells"]] == [[[8, "forbidden_stop", 1], [8, "speeding", 2], [9, "speeding", 1]], [[23, "speeding", 1]]], "the fullest place comes first"
    assert (found["number"], found["placeless"], found["from_ms"], found["until_ms"]) == (5, 0, at(8, 1, day=25), at(23))


@pytest.mark.parametrize(("lon", "lat"), [(111.65, 40.81), (120.58, 30.0), (-70.6, -33.4), (0.0, 0.0), (99.0, 25.04), (15.6, 78.2)])
def test_cells_are_as_large_as_a_corner_and_hold_their_places(lon, lat):
    (cell,) = heat([incident(at(8), lon, lat)], CITY)["cells"]
    west, south, east, north = cell["box"]
    assert west <= lon + 1e-6 and lon - 1e-6 <= east and south <= lat + 1e-6 and lat - 1e-6 <= north
    assert haversine_m(west, south, west, north) == pytest.approx(SIDE_M, rel=0.01) and haversine_m(west, cell["lat"], east, cell["lat"]) == pytest.approx(SIDE_M, rel=0.01)
    assert cell_of(cell["lon"], cell["lat"], SIDE_M) == cell_of(lon, lat, SIDE_M)


def test_what_has_no_place_is_counted_and_nothing_is_an_answer_too():
    found = heat([incident(at(8), lon=None), incident(at(9), lat=None), incident(at(9), lat=95.0), incident(at(9))], CITY)
    assert (found["placeless"], found["number"], len(found["cells"])) == (3, 4, 1)
    assert heat([], CITY) == {"side_m": SIDE_M, "from_ms": None, "until_ms": None, "number": 0, "placeless": 0, "cells": []}


def test_a_cell_is_named_by_the_zone_of_most_of_its_incidents():
    (cell,) = heat([incident(at(8), zone_id=zone) for zone in ("b", "a", "b", None)], CITY)["cells"]
    assert cell["zone_id"] == "b" and heat([incident(at(8))], CITY)["cells"][0]["zone_id"] is None


def test_what_was_dismissed_or_taken_back_does_not_count():
    city = City("hohhot-2019")
    for name, state in (("a", "open"), ("b", "open"), ("c", "retracted"), ("d", "closed")):
        data = {"incident_id": name, "revision": 1, "synthetic": True, "state": state, "rule": "speeding", "opened_at_ms": at(8), "last_seen_ms": at(8), "lon": 111.6, "lat": 40.8}
        city.enter_incident(json.dumps({"id": f"{name}/1", "type": "yicheng.incident.opened.v1", "data": data}).encode())
    city.enter_answer(json.dumps({"incident_id": "b", "action": "dismissed", "time_ms": at(9), "by": None, "reason": "x"}).encode())
    assert [one.incident_id for one in city.incidents.upheld()] == ["a", "d"] and city.incidents.counts()["open"] == 1


SHOWN = "() => { const { map } = window.yicheng.map; return map.getSource('heat-dots') && map.queryRenderedFeatures({ layers: ['heat-dots', 'heat-cells'] }).length; }"


@pytest.mark.long
def test_the_map_the_table_and_the_address_say_the_same(console, recorded_day, watch):
    demo = console("--demo", recorded_day, "--speedup", 1200)
    cells = lambda: json.loads(urllib.request.urlopen(f"{demo.url}/api/heat", timeout=30).read())["cells"]  # noqa: E731
    wait_for("speeding at several hours", lambda: len({hour for cell in cells() for hour, rule, _ in cell["counts"] if rule == "speeding"}) >= 2)
    watched = watch(demo.url, reduced_motion="reduce")
    page = watched.open("/?lang=en&tab=heat&hour=0&rule=speeding")
    page.wait_for_selector("#list table.heat tbody tr")
    assert page.text_content("#heat-when") == "00:00–01:00" and page.get_attribute("#heat-hour", "aria-valuetext") == "00:00–01:00"
    assert set(page.locator("#list tbody td:nth-child(2)").all_text_contents()) == {"00:00"}
    assert len(set(page.locator("#list tbody td:nth-child(4)").all_text_contents())) == 1
    page.wait_for_function(SHOWN)
    assert page.evaluate("yicheng.map.map.getLayoutProperty('vehicles', 'visibility')") == "none" and page.locator("#heat-legend li").count() >= 1
    page.locator("#heat-hour").focus()
    page.keyboard.press("ArrowLeft")
    page.wait_for_function("() => document.querySelector('#heat-when').textContent === 'All hours' && !location.search.includes('hour')")
    assert "rule=speeding" in page.evaluate("location.search")
    page.click("#clear")
    rows, count = page.evaluate("[[...document.querySelectorAll('#list tbody td:nth-child(3)')].reduce((sum, one) => sum + Number(one.textContent), 0), document.querySelector('#count').textContent]")
    assert count.startswith(f"{rows} incidents at ")
    page.locator("#list tbody .link").first.click()
    page.wait_for_function("() => yicheng.map.map.getZoom() >= 15")
    page.wait_for_function(SHOWN)
    page.click("#tab-incidents")
    assert page.evaluate("yicheng.map.map.getLayoutProperty('vehicles', 'visibility')") == "visible" and "tab" not in page.evaluate("location.search")
    page.wait_for_function("() => { const { map } = window.yicheng.map; return map.loaded() && !map.queryRenderedFeatures({ layers: ['heat-dots', 'heat-cells'] }).length; }")
    watched.check()


def test_colours_begin_where_the_legend_says(modules):
    classes = "async (largest) => (await import('/static/heat.js')).classesOf(largest)"
    assert [modules.evaluate(classes, largest) for largest in (0, 1, 3, 5)] == [[1], [1], [1, 2, 3], [1, 2, 3, 4, 5]]
    for largest in (6, 20, 500, 40_000):
        found = modules.evaluate(classes, largest)
        assert found == sorted(set(found)) and found[0] == 1 and found[-1] <= largest and len(found) <= 5, largest
