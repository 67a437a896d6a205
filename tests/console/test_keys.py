"""The keyboard: it stays where it was as lists, panels and views are drawn anew, arrows scroll what can be read, and the first link leads to what is there."""

import json

import pytest
from conftest import wait_for

from console.console_site import Site, T, filled, incident
from streams.policy.reader import load_policy

LOADED = "() => window.yicheng?.state.incidents.size >= 1 && window.yicheng.fleet.count >= 1"
FOCUSED = "document.activeElement.id || document.activeElement.dataset.vehicle || document.activeElement.dataset.incident || document.activeElement.dataset.action || document.activeElement.dataset.key || document.activeElement.tagName"


@pytest.fixture
def site(tmp_path):
    """A console without users, with a pack, a vehicle, an incident and rates."""
    site = filled(Site(tmp_path))
    site.city.enter_policy(b"hohhot-2019", json.dumps([load_policy("hohhot-2019").pack.source]).encode())
    for number in range(30):
        rate(site, f"e{number:02}", 0.5)
    rate(site, "*", 0.5)
    site.city.tick()
    yield site
    site.stop()


def rate(site, enterprise, share, revision=1):
    said = {"city": "150100", "enterprise_id": enterprise, "date": "2026-06-26", "window": "2026-06-26", "accepted": 100, "electronic_rate": share, "revision": revision}
    site.city.enter_rate(json.dumps(said).encode())


def drive(site, page, ticks=7):
    """Fixes of a vehicle until the page has drawn so many more frames."""
    before = page.evaluate("Number(document.documentElement.dataset.ticks ?? 0)")

    def further():
        site.now_s += 1
        at_ms = T + round(site.now_s * 1000)
        site.city.enter_fixes([json.dumps({"event_id": f"e{at_ms}", "event_time_ms": at_ms, "vehicle_id": "HH-1", "lon": 111.65 + site.now_s % 97 * 1e-4, "lat": 40.81}).encode()], [at_ms])
        return page.evaluate("Number(document.documentElement.dataset.ticks ?? 0)") >= before + ticks

    wait_for("frames", further)


def test_it_stays_in_an_incident_that_is_revised_and_answered(site, watch):
    watched = watch(site.url)
    page = watched.open("/?lang=en#incident=i")
    page.wait_for_selector("#panel [data-vehicle]")
    page.focus("#panel [data-vehicle]")
    site.city.enter_incident(incident(revision=2, reason_en="another reason"))
    page.wait_for_function("() => document.querySelector('#panel .reason').textContent === 'another reason'")
    assert page.evaluate(FOCUSED) == "HH-1"
    page.fill("#reason", "half a sen")
    site.city.enter_incident(incident(revision=3, reason_en="a third one"))
    page.wait_for_function("() => document.querySelector('#panel .reason').textContent === 'a third one'")
    assert page.evaluate(FOCUSED) == "reason" and page.input_value("#reason") == "half a sen", "what is told goes on beside what is being written"
    page.focus("[data-action=acknowledged]")
    page.keyboard.press("Enter")
    page.wait_for_selector("#panel .answers .chip.acknowledged")
    page.wait_for_function("() => document.querySelector('.outcome').textContent === 'Sent: Acknowledged'")
    assert page.evaluate(FOCUSED) == "acknowledged"
    page.keyboard.press("Escape")
    assert page.evaluate(FOCUSED) == "i", "and goes back to the row that was looked at"
    watched.check()


def test_it_stays_in_a_vehicle_s_panel_and_in_a_view(site, watch):
    watched = watch(site.url)
    page = watched.open("/?lang=en#vehicle=HH-1")
    page.wait_for_selector("#panel [data-incident]")
    page.focus("#panel [data-incident]")
    page.evaluate("() => { window.drawn = document.querySelector('#panel [data-incident]'); }")
    drive(site, page)
    page.wait_for_function("() => !document.contains(window.drawn)")
    assert page.evaluate(FOCUSED) == "i"
    page.evaluate("location.hash = 'view=rates'")
    page.wait_for_selector("[data-key='of e07']")
    page.focus("[data-key='of e07']")
    rate(site, "e07", 0.75, revision=2)
    page.wait_for_function("() => document.querySelector('#view').textContent.includes('75.0%')")
    assert page.evaluate(FOCUSED) == "of e07"
    watched.check()


def test_more_rows_begin_where_the_keyboard_is(site, watch):
    for number in range(200):
        site.city.enter_incident(incident(f"n{number:03}", opened_at_ms=T + number))
    page = watch(site.url).open("/?lang=en")
    page.wait_for_selector("#list .more")
    page.focus("#list .more")
    page.keyboard.press("Enter")
    assert page.evaluate(FOCUSED) == page.evaluate("yicheng.filtered()[150].incident_id")


def test_zones_that_say_the_same_are_not_drawn_anew(site, watch):
    night_ms = T + 10 * 3_600_000
    site.city.enter_fixes([json.dumps({"event_id": "n", "event_time_ms": night_ms, "vehicle_id": "HH-1", "lon": 111.65, "lat": 40.81}).encode()], [night_ms])
    site.city.tick()  # the zones of that hour are there before the page
    page = watch(site.url).open("/?lang=en")
    page.wait_for_function(LOADED)
    page.click("#tab-zones")
    page.click("#list summary >> nth=0")
    page.evaluate("() => { window.drawn = document.querySelector('#list details'); }")
    site.city.enter_incident(incident("next"))
    page.wait_for_function("() => document.querySelector('#n-incidents').textContent === '2'")
    assert page.evaluate("window.drawn.open && document.contains(window.drawn) && window.drawn.contains(document.activeElement)")


def scrolls(page, part):
    """A panel that is drawn anew while a browser scrolls smoothly stays where it is: then the next press counts."""
    wait_for(f"{part} to scroll", lambda: page.keyboard.press("ArrowDown") or page.evaluate(f"document.querySelector('{part}').scrollTop > 0"))


def test_arrows_scroll_what_can_be_read(site, watch):
    watched = watch(site.url)
    page = watched.open("/?lang=en#view=rates")
    page.wait_for_selector("[data-key='of e07']")
    scrolls(page, "#view")
    assert page.evaluate(FOCUSED) == "view"
    page.keyboard.press("/")
    assert page.evaluate(FOCUSED) == "view", "there is no search here"
    page.evaluate("location.hash = 'incident=i'")
    page.wait_for_selector("#panel .reason")
    page.wait_for_function("() => document.activeElement.id === 'panel'")
    scrolls(page, "#panel")
    assert page.evaluate(FOCUSED) == "panel"
    page.keyboard.press("/")
    assert page.evaluate(FOCUSED) == "search" and page.locator("#panel").is_hidden()
    page.keyboard.press("Tab")
    page.focus("#tab-incidents")
    page.keyboard.press("ArrowDown")
    assert page.evaluate(FOCUSED) == "i", "beside the list they go from row to row"
    watched.check()


@pytest.mark.parametrize(("address", "there"), [("#view=rates", "view"), ("#incident=i", "panel"), ("#view=policy", "policy-panel"), ("#view=outlets", "outlets-side"), ("", "list")])
def test_the_first_link_leads_to_what_is_there_and_changes_nothing(site, watch, address, there):
    page = watch(site.url).open(f"/?lang=en{address}")
    page.wait_for_function(LOADED)
    page.wait_for_function("(there) => document.getElementById(there)?.checkVisibility()", arg=there)
    page.focus(".skip")
    page.keyboard.press("Enter")
    assert page.evaluate(FOCUSED) == there and page.evaluate("location.hash") == address


def test_two_clicks_are_one_answer(site, watch):
    watched = watch(site.url)
    page = watched.open("/?lang=en#incident=i")
    page.wait_for_selector("#panel .answer")
    page.route("**/api/answer", lambda route: (page.wait_for_timeout(500), route.continue_()))
    page.dblclick("[data-action=acknowledged]")
    page.wait_for_function("() => document.querySelector('.outcome').textContent === 'Sent: Acknowledged'")
    page.fill("#reason", "and a note")
    page.click("[data-action=noted]")
    page.wait_for_function("() => document.querySelector('.outcome').textContent === 'Sent: Note'")
    assert [(answer["action"], answer["revision"]) for answer in site.sent] == [("acknowledged", 1), ("noted", 1)]
    assert len({answer["answer_id"] for answer in site.sent}) == 2 and all(len(answer["answer_id"]) == 32 for answer in site.sent)
    site.city.enter_answer(json.dumps({**site.sent[0], "time_ms": T + 1}).encode())
    assert len([answer for answer in site.city.incidents.answers["i"] if answer.action == "acknowledged"]) == 1, "the same answer, read twice, is one"
    watched.check()
