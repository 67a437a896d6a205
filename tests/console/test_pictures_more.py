"""States that are seldom seen, looked at: tables and tabs beside the map, the audit log, 3,000 incidents, nothing at all, names of sixty characters, the wall on a phone.

Nothing is wider than the page, what is cut says all of it when pointed at, no word is of the other language, axe finds nothing. ``YICHENG_PICTURES=folder`` keeps the pictures.
One console and one browser serve all tests here.
"""

import json
import os
import re
from pathlib import Path

import pytest

from console.conftest import ARGUMENTS, CHROMIUM, WatchedPage
from console.console_site import T
from console.crowded_site import LONG_EN, LONG_ZH, crowded, quiet
from console.test_axe import mistakes
from console.test_login import log_in
from console.test_pictures import look
from consumers.console.sources.feed import LOST

VIEWS = {
    "incidents": ("", "#tab-incidents", "#list .more"), "vehicles": ("", "#tab-vehicles", "#list table.vehicles tbody tr"), "zones": ("", "#tab-zones", "#list .zone"), "incident": ("incident=I00004", None, "#panel .notified"), "vehicle": ("vehicle=HH-00001", None, "#panel .drivers"),
    "rates": ("view=rates", None, "#view .figures"), "outlets": ("view=outlets", "#outlets-tab-outlets", "#outlets-table tbody tr"), "facilities": ("view=outlets", "#outlets-tab-facilities", "#outlets-table tbody tr"), "lines": ("view=outlets", "#outlets-tab-lines", "#outlets-table tbody tr"),
    "applies": ("view=policy", "#policy-tab-applies", ".applied h3"), "draw": ("view=policy", "#policy-tab-draw", ".draw select"), "audit": ("", "#me", "dialog.audit tbody tr"),
}  # fmt: skip
"""What leads to each: an address, what is clicked then, and what is there when it is shown."""
CUT_SILENTLY = """() => [...document.querySelectorAll('td, th, dd, dt, li, p, b, h2, h3, span, button, time')].filter((one) => one.checkVisibility({ visibilityProperty: true }) && one.clientWidth && getComputedStyle(one).overflowX === 'hidden'
  && (one.scrollWidth > one.clientWidth + 1 || one.scrollHeight > one.clientHeight + 4) && !one.closest('[title]')).map((one) => one.outerHTML.slice(0, 200))"""
WORDS = "() => [...document.querySelectorAll('button, th[scope=col], label, h2, h3, dt, .chip, .legend li, nav a, .empty, .quiet')].filter((one) => one.checkVisibility() && !one.closest('[data-incident], [data-vehicle], .link, .plain[data-key], #panel ul, .maplibregl-map, #me-menu p')).map((one) => one.innerText.trim())"
"""What the page itself says, without what comes from records."""
OUTSIDE = "() => [...document.querySelectorAll('#wall *, #figures *')].filter((one) => one.checkVisibility() && one.getBoundingClientRect().width).filter((one) => { const { left, right, bottom } = one.getBoundingClientRect(); return left < -1 || right > innerWidth + 1 || bottom > innerHeight + 1; }).map((one) => one.outerHTML.slice(0, 120))"
SMALLEST = "() => Math.min(...[...document.querySelectorAll('#figures dd, #wall .figure, #wall li, #wall td')].filter((one) => one.checkVisibility()).map((one) => parseFloat(getComputedStyle(one).fontSize)))"
SAME_IN_BOTH = re.compile(r"En|中|GeoJSON|GPX|×|←|[A-Z]|[\d\s:/·,.%–-]*")
"""A button that leads to the other language is in that; names of formats are the same."""


@pytest.fixture(scope="module")
def browsing():
    """One browser for all tests here."""
    if not CHROMIUM.exists():
        pytest.skip(f"no {CHROMIUM}: the pages are looked at with Debian's browser; apt install chromium brings it")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=str(CHROMIUM), args=ARGUMENTS)
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def full(tmp_path_factory):
    """A console with 3,000 incidents and long names."""
    site = crowded(tmp_path_factory.mktemp("full"))
    yield site
    site.stop()


@pytest.fixture
def visit(browsing):
    """Opens a page; it closes with the test."""
    opened = []

    def visited(site, size="desk", theme="light"):
        opened.append(WatchedPage(browsing, site.url, size, color_scheme=theme, reduced_motion="reduce"))
        return opened[-1]

    yield visited
    for one in opened:
        one.context.close()


@pytest.fixture
def pictures(tmp_path):
    """Where pictures are kept."""
    folder = Path(os.environ.get("YICHENG_PICTURES", tmp_path))
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def foreign(page, lang):
    """Words of the page in the other language."""
    is_foreign = {"zh": lambda text: re.search("[a-z]{3,}", text) and not re.search("[\u4e00-\u9fff]", text), "en": lambda text: re.search("[\u4e00-\u9fff]", text) and LONG_ZH[:4] not in text}[lang]
    return [text for text in page.evaluate(WORDS) if text and is_foreign(text) and not SAME_IN_BOTH.fullmatch(text)]


def show(page, address, clicked, there):
    """Go where the address leads, click, wait."""
    page.evaluate("(hash) => { location.hash = hash; }", address)
    if clicked:
        page.click(clicked)
    if clicked == "#me":
        page.click("#audit")
    if clicked == "#policy-tab-applies":
        page.fill("#lon", "111.66")
        page.fill("#lat", "40.81")
        page.click(".applies .primary")
    page.wait_for_selector(there, state="visible")


def looked_over(page, path, lang):
    """What is wrong with a page as it is now."""
    found = {"cut": look(page, path), "silently": page.evaluate(CUT_SILENTLY), "foreign": foreign(page, lang), "axe": mistakes(page)}
    return {name: wrong for name, wrong in found.items() if wrong}


@pytest.mark.timeout(600)
@pytest.mark.parametrize(("size", "lang", "theme"), [("desk", "zh", "light"), pytest.param("phone", "en", "dark", marks=pytest.mark.long)])
def test_tables_and_tabs_hold_long_names(full, visit, pictures, size, lang, theme):
    seen = visit(full, size, theme)
    page, found = seen.open(f"/?lang={lang}"), {}
    page.wait_for_selector("#user-name")
    log_in(page, "anna")
    page.wait_for_selector("#me")
    page.wait_for_function("() => window.yicheng?.fleet.rows.length >= 60")
    for name, (address, clicked, there) in VIEWS.items():
        show(page, address, clicked, there)
        found[name] = looked_over(page, pictures / f"{name}-{size}-{lang}-{theme}.jpg", lang)
    assert {name: wrong for name, wrong in found.items() if wrong} == {}


@pytest.mark.timeout(300)
@pytest.mark.parametrize(("size", "least_px"), [("desk", 768 / 32), ("phone", 14)])
def test_the_wall_holds_long_names(full, visit, pictures, size, least_px):
    seen, found = visit(full, size), {}
    seen.page.clock.install()
    page = seen.open("/?lang=zh&wall=20")
    page.wait_for_selector("#user-name")
    log_in(page, "vera")
    page.wait_for_selector("#wall li")
    for name in ("live", "rates", "outlets"):
        page.wait_for_function("(name) => document.documentElement.dataset.wall === name && document.querySelector('#wall').innerText.length > 20", arg=name)
        found[name] = [*page.evaluate(OUTSIDE), *look(page, pictures / f"wall-{name}-{size}.jpg")]
        assert page.evaluate(SMALLEST) >= least_px, name
        page.clock.fast_forward(20_000)
    assert found == {"live": [], "rates": [], "outlets": []}


@pytest.mark.timeout(300)
def test_of_three_thousand_incidents_the_newest_are_listed(full, visit):
    page = visit(full).open("/?lang=en")
    page.wait_for_selector("#user-name")
    log_in(page, "olga")
    page.wait_for_selector("#list .more")
    assert page.text_content("#count") == "3,000 of 3,000 incidents" and page.text_content("#n-incidents") == "3,000"
    assert page.locator("#list [data-incident]").count() == 150 and page.text_content("#list .more") == "Show 150 more"
    page.click("#list .more")
    assert page.locator("#list [data-incident]").count() == 300
    page.select_option("#f-rule", "restricted_hours")
    assert page.text_content("#count") == "750 of 3,000 incidents"


@pytest.mark.timeout(300)
def test_somebody_new_sees_in_the_list_who_is_where_by_which_clause_and_whether_anybody_answered(full, visit):
    page = visit(full).open("/?lang=en")
    page.wait_for_selector("#user-name")
    log_in(page, "olga")
    row = page.wait_for_selector("#list [data-incident=I00000]")
    said = row.inner_text()
    assert all(words in said for words in ("Inside a restricted zone", "蒙A00000", "HH-00000", LONG_EN, "三（十一）", "city core", "Open", "Acknowledged")), said
    waiting = "#list [data-incident=I00004]"
    assert "Unanswered" in page.inner_text(waiting) and "Acknowledged" not in page.inner_text(waiting)
    page.click(waiting)
    page.wait_for_selector(".panel-head .chip.waits")
    assert "the average of a year" in page.inner_text("#panel .told").lower() and "年度" not in page.inner_text("#panel .told")
    full.city.enter_answer(json.dumps({"incident_id": "I00004", "action": "dismissed", "time_ms": T, "by": "olga", "reason": "a permit"}).encode())
    page.wait_for_selector(".panel-head .chip.dismissed")
    page.keyboard.press("Escape")
    assert "Dismissed" in page.inner_text(waiting) and "Unanswered" not in page.inner_text(waiting)


@pytest.mark.timeout(300)
@pytest.mark.parametrize(("size", "lang"), [("desk", "en"), ("phone", "zh")])
def test_a_city_without_anything_says_so_everywhere(visit, tmp_path, size, lang):
    site, found = quiet(tmp_path), {}
    page = visit(site, size).open(f"/?lang={lang}")
    page.wait_for_selector("#list .empty")
    for name, (address, clicked, _) in VIEWS.items():
        if name in {"incidents", "vehicles", "rates", "outlets", "facilities", "lines"}:
            show(page, address, clicked, ":is(#list, #view, #outlets-table) .empty >> visible=true")
            found[name] = looked_over(page, tmp_path / f"{name}.jpg", lang)
    site.city.say(LOST)
    page.wait_for_function("(words) => document.querySelector('#status').textContent === words", arg=LOST[lang])
    found["no Kafka"] = looked_over(page, tmp_path / "lost.jpg", lang)
    assert {name: wrong for name, wrong in found.items() if wrong} == {}
    site.stop()
