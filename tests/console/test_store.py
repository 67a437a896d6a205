"""What a page holds, and how it goes on: nothing is missed while the state is on its way, hidden pages keep no connection, one viewer too many is told so."""

import json
import struct

import pytest
from conftest import wait_for

from console.console_site import Site, T, filled, incident
from consumers.console.web import pages

LOADED = "() => window.yicheng?.state.incidents.size >= 1 && window.yicheng.fleet.count >= 1"
NAMES = "[...yicheng.state.incidents.keys()].sort()"
HIDE = "(is) => { Object.defineProperty(document, 'hidden', { configurable: true, get: () => is }); document.dispatchEvent(new Event('visibilitychange')); }"
QUICK_MS = 30_000


@pytest.fixture
def site(tmp_path):
    """A console without users, with a vehicle and an incident."""
    site = filled(Site(tmp_path))
    yield site
    site.stop()


def tell(site, name, **more):
    site.city.enter_incident(incident(name, **more))


def test_what_happens_while_the_state_is_on_its_way_is_not_missed(site, watch):
    watched = watch(site.url)
    page = watched.open("/?lang=en")
    page.wait_for_function(LOADED)

    def late(route):
        answer = route.fetch()
        tell(site, "meanwhile", opened_at_ms=T + 1)
        tell(site, "i", revision=2, state="closed")
        page.wait_for_timeout(1_000)  # both are here before the state is
        route.fulfill(response=answer)

    page.route("**/api/state", late, times=1)
    before = page.evaluate("document.documentElement.dataset.epoch")
    with site.city.lock:
        site.city.log.begin_anew(site.city.log.epoch + 1)
    page.wait_for_function("(before) => document.documentElement.dataset.epoch !== before", arg=before)
    wait_for("what happened meanwhile", lambda: page.evaluate(NAMES) == ["i", "meanwhile"] and page.evaluate("yicheng.state.incidents.get('i').revision") == 2)
    assert page.evaluate("yicheng.filtered().map((row) => row.incident_id)") == ["meanwhile", "i"], "the newest first"
    watched.check()


def test_hidden_pages_keep_no_connection_and_go_on_where_they_were(site, watch, monkeypatch):
    """A browser has six connections to a server, and each page wants two."""
    monkeypatch.setattr(pages, "WAITED_S", 1.0)  # so soon does the server notice that a viewer has gone
    first = watch(site.url)
    opened = [first.page, *(first.context.new_page() for _ in range(5))]
    for page in opened:
        page.goto(f"{site.url}/?lang=en")
        page.wait_for_function(LOADED, timeout=QUICK_MS)
        page.evaluate(HIDE, True)
        wait_for("its connections to end", lambda: site.pages._viewers == 0)
    tell(site, "meanwhile", opened_at_ms=T + 1)
    assert opened[0].evaluate(NAMES) == ["i"], "it rests"
    states = []
    opened[0].on("request", lambda request: states.append(request.url) if request.url.endswith("/api/state") else None)
    opened[0].evaluate(HIDE, False)
    opened[0].wait_for_function("() => yicheng.state.incidents.size === 2", timeout=QUICK_MS)
    assert states == [], "what was missed comes as events"
    assert site.pages._viewers == 1


def test_one_viewer_too_many_is_told_so_and_does_not_ask_again_and_again(site, watch, monkeypatch):
    monkeypatch.setattr(pages, "MOST_VIEWERS", 0)
    watched = watch(site.url)
    page = watched.open("/?lang=en")
    page.wait_for_function("() => document.querySelector('#status').textContent.startsWith('Too many people are watching')")
    states = [url for url in watched.asked if url.endswith("/api/state")]
    page.wait_for_timeout(5_000)
    assert [url for url in watched.asked if url.endswith("/api/state")] == states and len(states) == 1
    assert len([url for url in watched.asked if "/api/events" in url]) <= 8, "ever more seldom"
    monkeypatch.setattr(pages, "MOST_VIEWERS", 200)
    page.wait_for_function("() => document.querySelector('#status').hidden || !document.querySelector('#status').textContent.startsWith('Too many')")
    tell(site, "afterwards")
    page.wait_for_function("() => yicheng.state.incidents.size === 2")


def test_a_page_holds_so_many_incidents_in_order_and_lets_go_of_the_oldest(site, watch):
    watched = watch(site.url)
    page = watched.open("/?lang=en")
    page.wait_for_function(LOADED)
    for number in range(5_010):
        tell(site, f"n{number:05}", opened_at_ms=T + 1 + number * 7_919 % 5_011, state="open" if number == 0 else "closed")
        if number % 500 == 0:
            page.wait_for_function("(name) => yicheng.state.incidents.has(name)", arg=f"n{number:05}")
    page.wait_for_function("() => yicheng.state.older >= 11")
    held = page.evaluate("yicheng.state.newest.map((row) => row.opened_at_ms)")
    assert len(held) == page.evaluate("yicheng.state.incidents.size") == 5_000 and held == sorted(held, reverse=True)
    assert page.evaluate("yicheng.state.incidents.has('n00000') && yicheng.state.incidents.has('i')"), "what is open stays"


def test_filters_find_what_the_page_does_not_hold(site, watch):
    def with_older(route):
        answer = route.fetch()
        route.fulfill(response=answer, json={**answer.json(), "older": 3})

    asked = []

    def find(route):
        asked.append(route.request.url.partition("?")[2])
        row = {**json.loads(incident("past", opened_at_ms=T - 1))["data"], "answer": None, "lon": None, "lat": None}
        route.fulfill(json={"after": "1-1", "rows": [row], "found": 1, "held": 4, "before": None})

    watched = watch(site.url)
    watched.page.route("**/api/state", with_older)
    watched.page.route("**/api/incidents?*", find)
    page = watched.open("/?lang=en")
    page.wait_for_function(LOADED)
    assert page.text_content("#count") == "1 of 1 incidents (3 older ones are not listed)" and asked == []
    page.fill("#search", "past")
    page.wait_for_selector("#list [data-incident=past]")
    assert asked == ["q=past&limit=100"] and page.text_content("#count") == "1 of 4 incidents"
    page.click("#clear")
    page.wait_for_selector("#list [data-incident=i]")
    assert page.locator("#list [data-incident=past]").count() == 0


def test_cells_of_many_vehicles_are_drawn_in_the_place_of_each(site, watch):
    """With many vehicles the server counts them on a grid below a zoom."""
    cells = [(111.6, 40.8, 12_000, 3, 0), (111.7, 40.9, 9_000, 0, 8_000)]
    columns = [[round(cell[place] * (1e7 if place < 2 else 1)) for cell in cells] for place in range(5)]
    frame = struct.pack("<4sIIIIId", b"YCG1", 7, 1, 9, len(cells), 21_000, float(T)) + b"".join(struct.pack(f"<{len(cells)}i", *column) for column in columns)
    watched = watch(site.url, reduced_motion="reduce")
    asked = []

    def answer(route):
        asked.append(route.request.url)
        if "zoom=" in route.request.url:
            route.fulfill(body=frame, content_type="application/octet-stream")
        else:
            route.continue_()

    watched.page.route("**/api/positions*", answer)
    page = watched.open("/?lang=en")
    page.wait_for_function("() => window.yicheng?.fleet.clusters && document.querySelector('#n-vehicles').textContent === '21,000'")
    page.wait_for_function("() => { const { fitted, map } = yicheng.map; return fitted && map.queryRenderedFeatures({ layers: ['clusters'] }).length === 2; }")
    assert page.evaluate("yicheng.map.layer.count") == 0
    page.evaluate("yicheng.map.map.jumpTo({ center: [111.7, 40.9], zoom: 10.5 })")
    page.wait_for_function("() => { const { map } = yicheng.map; return map.queryRenderedFeatures(map.project([111.7, 40.9]), { layers: ['clusters'] }).length === 1; }")
    page.hover("#map canvas")
    page.wait_for_function("() => document.querySelector('#tip').textContent === '9,000 vehicles · 8,000 silent'")
    page.evaluate("yicheng.map.map.jumpTo({ center: [111.65, 40.81], zoom: 13 })")
    page.wait_for_function("() => !yicheng.fleet.clusters && yicheng.fleet.count === 2")
    assert "since=0" in next(url for url in asked if "zoom=" not in url), "from cells to vehicles it begins anew"
    page.wait_for_function("() => yicheng.map.map.queryRenderedFeatures({ layers: ['clusters'] }).length === 0 && yicheng.map.layer.count === 2")
