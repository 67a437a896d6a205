"""The pages in a real browser over a recorded day, without Kafka: languages, themes, lists, filters, links, keys, a browser without WebGL."""

import json
import math
import os
import time
import urllib.request
import zlib

import pytest
from conftest import wait_for

from console.conftest import WatchedPage

READY = "() => window.yicheng?.state.incidents.size >= 8 && window.yicheng.fleet.count >= 10"


@pytest.fixture
def demo(console, recorded_day):
    """A console that replays the day, as fast as it goes."""
    return console("--demo", recorded_day, "--speedup", 3600)


def test_a_recorded_day_comes_to_pass_on_the_page(demo, watch):
    watched = watch(demo.url)
    page = watched.open("/?lang=en&theme=light")
    page.wait_for_function(READY)
    assert page.text_content("#city") == "Hohhot" and page.text_content("#product") == "Replay"
    assert page.locator("#status").is_hidden(), page.text_content("#status")
    page.wait_for_function("() => ['%', 'target 90%'].every((words) => document.querySelector('#electronic').textContent.includes(words)) && document.querySelector('#electronic .value')")
    before = page.evaluate("[yicheng.fleet.streamMs, Array.from(yicheng.fleet.lon.slice(0, yicheng.fleet.count))]")
    page.wait_for_function("(before) => yicheng.fleet.streamMs > before[0] && before[1].some((lon, n) => lon !== yicheng.fleet.lon[n])", arg=before)
    page.wait_for_function("() => document.querySelectorAll('.zone-label').length === yicheng.state.zones.length && yicheng.map.map.loaded()")
    page.wait_for_function("() => yicheng.map.layer.count > 0")
    watched.check()


BUDGET_BYTES, FIRST_PAINT_MS = 2_000_000, 1_000 if "PYTEST_XDIST_WORKER" not in os.environ else 10_000
PAINTED = "() => performance.getEntriesByName('first-contentful-paint')[0]?.startTime"


def test_the_page_is_small_and_painted_soon(demo, launch):
    """All that is sent until it is ready, as it travels; the first paint of a page that a browser has seen before, as those of a day's work have."""
    browser = launch()
    try:
        watched, sizes = WatchedPage(browser, demo.url), []
        watched.page.on("requestfinished", lambda request: sizes.append(request.sizes()["responseBodySize"]))
        page = watched.open("/?lang=en")
        page.wait_for_function(READY)
        page.wait_for_function("() => yicheng.map.map.loaded()")
        assert len(sizes) > 20 and sum(sizes) <= BUDGET_BYTES, f"{sum(sizes):,} bytes"
        painted = []
        for _ in range(3):
            page.reload()
            painted.append(page.wait_for_function(PAINTED).json_value())
        assert min(painted) <= FIRST_PAINT_MS, painted
    finally:
        browser.close()


def test_the_base_map_has_the_day_s_tracks(demo, watch):
    page = watch(demo.url).open("/?lang=en")
    page.wait_for_function(READY)

    def inked():
        """How many cells of the tile around a vehicle somebody has driven through."""
        lon, lat = page.evaluate("[yicheng.fleet.lon[0] / 1e7, yicheng.fleet.lat[0] / 1e7]")
        column, row = int((lon + 180) / 360 * 2**11), int((1 - math.log(math.tan(math.radians(lat)) + 1 / math.cos(math.radians(lat))) / math.pi) / 2 * 2**11)
        with urllib.request.urlopen(f"{demo.url}/basemap/light/11/{column}/{row}.png?{time.time()}") as answer:
            image = answer.read()
        at = image.index(b"IDAT")
        return sum(map(bool, zlib.decompress(image[at + 4 : at + 4 + int.from_bytes(image[at - 4 : at], "big")])))

    wait_for("tracks", lambda: inked() > 500)


@pytest.mark.long
def test_words_and_colours_change_at_once_and_are_kept(demo, watch):
    watched = watch(demo.url, color_scheme="dark")
    page = watched.open()
    page.wait_for_function(READY)
    root = lambda: page.evaluate("[document.documentElement.lang, document.documentElement.dataset.theme]")  # noqa: E731
    assert root() == ["en", "dark"], "as the browser prefers"
    page.click("#lang")
    page.click("#theme")
    assert root() == ["zh-CN", "light"]
    assert page.text_content("#city") == "呼和浩特市" and "事件" in page.text_content("#tab-incidents") and page.get_attribute("#search", "placeholder") == "编号或车牌"
    page.reload()
    page.wait_for_function(READY)
    assert root() == ["zh-CN", "light"] and page.title().startswith("呼和浩特市")
    texts = page.evaluate("[...document.querySelectorAll('[data-t]')].map((one) => one.textContent)")
    assert all(any("\u4e00" <= sign <= "\u9fff" for sign in text) for text in texts if text), texts
    watched.check()


def test_the_list_is_filtered_searched_and_walked_through_by_keys(demo, watch):
    watched = watch(demo.url)
    page = watched.open("/?lang=en")
    page.wait_for_function(READY)
    rules = page.evaluate("[...new Set([...yicheng.state.incidents.values()].map((row) => row.rule))]")
    page.wait_for_function("(n) => document.querySelector('#f-rule').options.length > n", arg=1)
    page.select_option("#f-rule", rules[0])
    shown = page.wait_for_function("() => { const rules = yicheng.filtered().map((row) => row.rule); return rules.length > 0 && rules; }").json_value()
    assert set(shown) == {rules[0]}
    page.select_option("#f-rule", "")
    number = page.wait_for_function("() => [...yicheng.state.incidents.values()].find((row) => row.vehicle_id && row.plate)?.vehicle_id").json_value()
    page.keyboard.press("Escape")
    page.locator("body").press("/")
    assert page.evaluate("document.activeElement.id") == "search"
    page.keyboard.type(number.lower()[-4:])
    page.wait_for_function("(end) => yicheng.filtered().every((row) => (row.vehicle_id + row.plate).includes(end))", arg=number[-4:])
    page.fill("#search", "no such number")
    page.wait_for_function("() => document.querySelector('#list').textContent === 'No incident matches the filters.'")
    page.fill("#search", "")
    page.locator("#tab-incidents").focus()
    page.keyboard.press("ArrowRight")
    assert page.evaluate("document.activeElement.id") == "tab-vehicles" and page.get_attribute("#tab-vehicles", "aria-selected") == "true"
    page.wait_for_selector("#list tbody tr:nth-child(10)")
    assert page.locator("#list thead th").count() == 4, "number and plate stand together"
    page.keyboard.press("ArrowRight")
    assert "No entry" in page.text_content("#list") or "Nothing forbidden now" in page.text_content("#list")
    page.keyboard.press("ArrowRight")
    page.wait_for_selector("#list table.heat tbody tr")
    page.keyboard.press("ArrowRight")
    page.wait_for_selector("#list [data-incident]")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    page.wait_for_selector("#panel:not([hidden])")
    page.keyboard.press("Escape")
    page.wait_for_selector("#panel", state="hidden")
    watched.check()


def test_a_link_leads_to_an_incident_with_its_clause_and_its_vehicle(demo, watch):
    with urllib.request.urlopen(f"{demo.url}/api/state") as answer:
        state = json.loads(answer.read())
    watched = watch(demo.url)
    page = watched.open("/?lang=zh")
    page.wait_for_function(READY)
    row = page.evaluate("[...yicheng.state.incidents.values()].find((row) => row.vehicle_id && row.basis && row.lon !== null)")
    other = watch(demo.url)
    page = other.open(f"/?lang=zh#incident={row['incident_id']}")
    page.wait_for_selector("#panel:not([hidden]) blockquote")
    text = page.text_content("#panel")
    assert row["reason_zh"] in text and state["titles"][row["rule"]]["zh"] in text and state["document"]["title"] in text and "责任单位" in text
    assert page.get_attribute("#panel blockquote", "lang") == "zh-CN" and page.locator("#panel .evidence li").count() > 0
    assert "不接受回复" in text and page.locator("#panel form").count() == 0
    page.click("#panel [data-vehicle]")
    page.wait_for_function("(id) => document.querySelector('#panel h2').textContent === id", arg=row["vehicle_id"])
    page.wait_for_selector("#panel [data-incident]")
    page.go_back()
    page.wait_for_function("(text) => document.querySelector('#panel').textContent.includes(text)", arg=row["reason_zh"])
    other.open("/?lang=en#incident=nobody")
    page.reload()
    page.wait_for_function("() => document.querySelector('#panel').textContent.includes('Nothing is known')")
    assert "./yicheng incidents list shows older ones" in page.text_content("#panel .reason")
    watched.check()


def test_a_browser_without_webgl_gets_the_lists_and_is_told_why(demo, launch):
    browser = launch("--disable-3d-apis")
    try:
        watched = WatchedPage(browser, demo.url)
        page = watched.open("/?lang=en")
        page.wait_for_function(READY)
        assert page.text_content("#no-map").startswith("This browser has no WebGL")
        page.click("#tab-vehicles")
        page.wait_for_selector("#list tbody tr:nth-child(10)")
        watched.check()
    finally:
        browser.close()


def test_a_map_that_loses_its_graphics_says_so_and_is_drawn_again(demo, watch):
    """As a browser does it when the machine wakes, or its graphics start anew: what was uploaded is gone."""
    watched = watch(demo.url)
    page = watched.open("/?lang=en")
    page.wait_for_function(READY)
    page.wait_for_function("() => yicheng.map.map.loaded() && yicheng.map.layer.count > 0")
    page.evaluate("""() => {
        const { map, layer } = yicheng.map;
        window.before = layer;
        window.lose = (map.painter.context.gl).getExtension('WEBGL_lose_context');
        lose.loseContext();
    }""")
    page.wait_for_function("() => !document.querySelector('#no-map').hidden && document.querySelector('#no-map').textContent.startsWith('The browser has taken')")
    incidents = page.evaluate("yicheng.state.incidents.size")
    page.evaluate("lose.restoreContext()")
    page.wait_for_function("() => document.querySelector('#no-map').hidden")
    page.wait_for_function("() => yicheng.map.layer !== before && yicheng.map.layer.count > 0 && yicheng.map.map.loaded() && yicheng.map.map.getLayer('vehicles') && yicheng.map.map.queryRenderedFeatures({ layers: ['zones'] }).length > 0")
    drawn = """() => new Promise((resolve) => {
        const { map } = yicheng.map;
        map.once('render', () => { const { gl } = map.painter.context, bytes = new Uint8Array(4 * 64 * 64);
            gl.readPixels(map.getCanvas().width / 2 - 32, map.getCanvas().height / 2 - 32, 64, 64, gl.RGBA, gl.UNSIGNED_BYTE, bytes); resolve(new Set(bytes).size > 2); });
        map.triggerRepaint();
    })"""
    wait_for("something on the map", lambda: page.evaluate(drawn))
    assert page.evaluate("yicheng.state.incidents.size") >= incidents
    watched.check()


@pytest.mark.parametrize(("view", "asked", "place"), [("rates", "views", "#view"), ("policy", "views", "#policy-panel"), ("outlets", "views", "#outlets-table")])
def test_a_view_that_the_server_cannot_give_says_why(demo, watch, view, asked, place):
    """Not that it is loading, for ever."""
    watched = watch(demo.url)
    sentence = {"error": "The server is out of order. / 服务器出错。"}
    watched.page.route(f"**/api/{asked}*", lambda route: route.fulfill(status=500, json=sentence))
    page = watched.open(f"/?lang=zh#view={view}")
    page.wait_for_function("(place) => document.querySelector(place)?.textContent.includes('服务器出错。')", arg=place)
    page.unroute(f"**/api/{asked}*")
    page.wait_for_function("(place) => !document.querySelector(place).textContent.includes('服务器出错。') && document.querySelector(place).textContent.length > 20", arg=place)
    watched.check(outage=True)


def test_streets_that_the_server_cannot_give_say_why(demo, watch):
    watched = watch(demo.url)
    watched.page.route("**/api/heat*", lambda route: route.fulfill(status=500, json={"error": "The server is out of order. / 服务器出错。"}))
    page = watched.open("/?lang=en&tab=heat")
    page.wait_for_function("() => document.querySelector('#list').textContent.includes('The server is out of order.')")
    watched.check(outage=True)


ANIMATED = """() => {
    const row = document.querySelector('#list .row');
    row.classList.add('new');
    return [getComputedStyle(row).animationName, getComputedStyle(row).transitionDuration];
}"""


@pytest.mark.parametrize(("preference", "moves", "animation"), [("reduce", False, "none"), ("no-preference", True, "arrive")])
def test_nothing_moves_by_itself_for_who_asks_for_less_motion(demo, watch, preference, moves, animation):
    """Vehicles jump from second to second, the map jumps to an incident, and no row fades."""
    watched = watch(demo.url, reduced_motion=preference)
    page = watched.open("/?lang=en&theme=light")
    page.wait_for_function(READY)
    page.wait_for_function("() => yicheng.map?.layer?.count > 0 && document.querySelector('#list .row')")
    assert page.evaluate("yicheng.map.layer.moves") is moves
    assert page.evaluate(ANIMATED) == [animation, "0s"]
    page.evaluate("yicheng.map.map.jumpTo({ center: [0, 0], zoom: 3 })")
    page.evaluate("window.moved = []; yicheng.map.map.on('move', () => moved.push(yicheng.map.map.getZoom()))")
    page.locator("#list .row").first.click()
    page.wait_for_function("() => yicheng.map.map.getZoom() > 10 && !yicheng.map.map.isMoving()")
    between = page.evaluate("moved.filter((zoom) => zoom > 3.01 && zoom < yicheng.map.map.getZoom() - 0.01).length")
    assert (between > 0) is moves
    watched.check()


@pytest.mark.parametrize("size", ["desk", "phone"])
def test_nothing_is_wider_than_the_page(demo, watch, size):
    watched = watch(demo.url, size, reduced_motion="reduce")
    for lang in ("zh", "en"):
        page = watched.open(f"/?lang={lang}")
        page.wait_for_function(READY)
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth && document.documentElement.scrollHeight <= innerHeight")
        cut = page.evaluate("[...document.querySelectorAll('header button, [role=tab], #filters select:not([hidden])')].filter((one) => { const box = one.getBoundingClientRect(); return box.right > innerWidth || box.left < 0 || !box.width; }).length")
        assert cut == 0
        if size == "desk":
            assert page.evaluate("document.querySelector('#figures').scrollWidth <= document.querySelector('#figures').clientWidth + 1"), lang
        assert page.evaluate("yicheng.map.layer.moves") is False, "nothing moves by itself where that is not wanted"
    watched.check()
