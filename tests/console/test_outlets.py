"""The Outlets view: the register beside the map, found by search, by map and by keys; and what the roles may not is not offered anywhere."""

import json

import pytest

from console.conftest import WatchedPage
from console.console_site import Site, T, filled, users_file
from console.test_login import log_in
from consumers.console.fleet.replay import Hour, WayCollector
from streams.clock import HOUR_MS
from streams.policy.reader import load_policy
from streams.registry.records import Enterprise, Facility, Line, Outlet

SHOWN = "() => document.querySelectorAll('#outlets-table tbody tr').length"
ON_MAP = "(layer) => { const { map } = yicheng.map; return map.getLayer(layer) ? map.queryRenderedFeatures({ layers: [layer] }).map((one) => one.properties) : []; }"
OUTLETS = [
    Outlet(id="O-1", enterprise_id="baita", township="Saihan", lon=111.64, lat=40.80, filed=True, camera=False, recycling_container=True),
    Outlet(id="O-2", enterprise_id="muyun", township="Yuquan", lon=111.66, lat=40.82, filed=False, camera=True),
]
NETWORK = [Facility(id="F-hub", level="hub", lon=111.65, lat=40.79), Facility(id="F-village", level="village", township="Saihan", village="V1", lon=111.68, lat=40.81), Line(id="L-1", zones=["core", "residential"], vehicle_ids=["HH-1"])]


def site_with(folder, records):
    site = filled(Site(folder))
    policy = load_policy("hohhot-2019")
    site.city.enter_policy(b"hohhot-2019", json.dumps([policy.pack.source]).encode())
    site.city.registry.add([Enterprise(id="baita", name_zh="白塔同城", name_en="White Pagoda"), *records])
    site.city.tick()
    return site


def test_outlets_are_beside_the_map_and_each_leads_to_the_other(tmp_path, watch):
    site = site_with(tmp_path, [*OUTLETS, *NETWORK])
    watched = watch(site.url, reduced_motion="reduce")
    page = watched.open("/?lang=en#view=outlets")
    page.wait_for_function(f"{SHOWN} === 2")
    assert page.text_content("#outlets-side h2") == "2 outlets: 1 on file, 1 not"
    assert page.locator("#outlets-table tbody th").all_text_contents() == ["O-2", "O-1"], "those that are on no file come first"
    page.wait_for_function(f"() => ({ON_MAP})('outlets').length === 2 && ({ON_MAP})('facilities').length === 2")
    assert page.evaluate("yicheng.map.layer.count") == 0, "vehicles step aside"
    assert {one["mark"] for one in page.evaluate(ON_MAP, "outlets")} == {"yes", "no"}
    assert page.locator("#outlets-legend li").all_text_contents()[:2] == ["On file", "Not on file"] and page.locator("#legend").is_hidden()
    page.select_option("#outlets-aspect", "recycling_container")
    page.wait_for_function(f"() => ({ON_MAP})('outlets').map((one) => one.mark).sort().join() === 'unknown,yes'")
    assert "Recycles" in page.text_content("#outlets-legend")
    page.fill("#outlets-search", "white pag")
    page.wait_for_function(f"() => ({ON_MAP})('outlets').length === 1")
    assert page.locator("#outlets-table tbody th").all_text_contents() == ["O-1"] and page.text_content("#outlets-side > p") == "1 of 2"
    page.fill("#outlets-search", "")
    page.focus("#outlets-tab-outlets")
    page.keyboard.press("ArrowRight")
    assert page.evaluate("document.activeElement.id") == "outlets-tab-facilities"
    assert page.locator("#outlets-table tbody tr").all_text_contents() == ["F-hubHub–––", "F-villageVillage stationSaihanV1–"]
    page.keyboard.press("ArrowRight")
    assert "L-1" in page.text_content("#outlets-table tbody tr") and "→" in page.text_content("#outlets-table tbody tr")
    page.click("#outlets-tab-outlets")
    page.focus("[data-key='place O-2']")
    page.keyboard.press("Enter")
    page.wait_for_function("() => { const { lng, lat } = yicheng.map.map.getCenter(); return Math.hypot(lng - 111.66, lat - 40.82) < 1e-4; }")
    page.wait_for_function(f"() => ({ON_MAP})('outlet-chosen').length === 1")
    x, y = page.evaluate("() => { const { map } = yicheng.map, box = map.getContainer().getBoundingClientRect(), at = map.project([111.65, 40.79]); map.jumpTo({ center: [111.65, 40.79] }); return [box.left + box.width / 2, box.top + box.height / 2]; }")
    page.wait_for_function(f"() => ({ON_MAP})('facilities').some((one) => one.id === 'F-hub') && yicheng.map.map.loaded()")
    page.mouse.click(x, y)
    page.wait_for_function("() => document.activeElement.dataset.key === 'place F-hub'")
    page.click("#lang")
    page.wait_for_function("() => document.querySelector('#outlets-side h2').textContent.startsWith('网点 2 处')")
    page.wait_for_function(f"() => ({ON_MAP})('outlets').length > 0")
    page.evaluate("location.hash = ''")
    page.wait_for_function(f"() => document.querySelector('#outlets-side').hidden && yicheng.map.layer.count > 0 && !({ON_MAP})('outlets').length")
    watched.check()
    site.stop()


def test_facilities_and_lines_are_there_without_outlets_and_without_a_map(tmp_path, launch):
    site, browser = site_with(tmp_path, NETWORK), launch("--disable-3d-apis")
    try:
        watched = WatchedPage(browser, site.url)
        page = watched.open("/?lang=en#view=outlets")
        page.wait_for_selector("#outlets-table .empty")
        assert page.text_content("#outlets-table") == "The register has no outlets."
        page.click("#outlets-tab-facilities")
        page.wait_for_function(f"{SHOWN} === 2")
        assert page.locator("#outlets-table tbody tr").count() == 2 and page.locator("#outlets-table button").count() == 0, "there is nowhere to go"
        watched.check()
    finally:
        browser.close()
        site.stop()


def hour_of(vehicle_ids, from_ms, is_stopping):
    """Two fixes of a vehicle in an hour."""
    collector = WayCollector(vehicle_ids, from_ms)
    for number in range(2):
        collector.enter(json.dumps({"event_id": f"w{number}", "event_time_ms": from_ms + number * 60_000, "vehicle_id": "HH-1", "lon": 111.65 + number / 100, "lat": 40.81}).encode(), None)
    return Hour(from_ms, collector.ways(), [])


@pytest.mark.parametrize(("name", "offered"), [("vera", {"draw": False, "files": False}), ("olga", {"draw": False, "files": True}), ("anna", {"draw": True, "files": True})])
def test_what_a_role_may_not_is_not_offered(tmp_path, watch, name, offered):
    site = filled(Site(tmp_path, console_users=users_file(tmp_path)))
    site.span_ms, site.hour = lambda: (T - HOUR_MS, T + HOUR_MS), hour_of
    site.city.enter_policy(b"hohhot-2019", json.dumps([load_policy("hohhot-2019").pack.source]).encode())
    page = watch(site.url).open("/?lang=en#view=policy")
    log_in(page, name)
    page.wait_for_selector("#me")
    page.wait_for_selector("#policy-tab-applies")
    assert page.locator("#policy-tab-draw").is_visible() is offered["draw"]
    page.click("#policy-tab-applies")
    page.keyboard.press("ArrowRight")
    assert page.evaluate("document.activeElement.id") == ("policy-tab-draw" if offered["draw"] else "policy-tab-pack")
    page.goto(f"{site.url}/?lang=en#view=replay&v=HH-1")
    page.reload()
    page.wait_for_selector("#me")  # what the role is comes by itself
    page.wait_for_selector("#replay-files a", state="attached")
    assert page.locator("#replay-files a").count() == 2 and page.locator("#replay-files a >> nth=0").is_visible() is offered["files"]
    site.stop()
