"""What applies at a clicked place and time: the words of policy check, the zones there, and what is no place or time."""

import json
import urllib.parse
from datetime import datetime

import pytest

from console.test_server import ask
from consumers.console.city.places import applies
from deploy.packs.applies import answer
from streams.errors import BadInput
from streams.policy.policy import Policies
from streams.policy.reader import load_policy

CORE = (111.66, 40.815)
HOLE = (111.728, 40.801)
READY = "() => window.yicheng?.state.incidents.size >= 8 && window.yicheng.fleet.count >= 10"


def asked(place, moment, name="hohhot-2019"):
    return applies(Policies([load_policy(name)]), answer, *place, moment)


def test_the_zones_of_the_place_say_what_they_forbid_then_and_until_when():
    policy = load_policy("hohhot-2019")
    found = asked(CORE, "2026-06-25T12:00")
    (zone,) = found["zones"]
    at = lambda text: int(datetime.fromisoformat(text).replace(tzinfo=policy.timezone).timestamp() * 1000)  # noqa: E731
    assert (zone["zone_id"], zone["level"], zone["until_ms"], found["at_ms"]) == ("core", "closed", at("2026-06-25T20:00"), at("2026-06-25T12:00"))
    assert asked(CORE, "2026-06-25T21:00")["zones"][0]["level"] == "free"
    assert asked(CORE, "2026-06-25")["zones"] == [] and not asked(CORE, "2026-06-25")["is_instant"], "a day has no one answer"


def test_boundaries_are_inside_and_holes_are_not():
    shape = load_policy("hohhot-2019").pack.geometries["residential-saihan"]
    corner = shape.exterior.coords[0]
    assert [zone["zone_id"] for zone in asked(corner, "2026-06-25T12:00")["zones"]] == ["residential-saihan"]
    assert asked(HOLE, "2026-06-25T12:00")["zones"] == []


@pytest.mark.parametrize("lang", ["zh", "en"])
@pytest.mark.parametrize("moment", ["2026-11-11", "2026-11-11T12:00"])
def test_the_sentences_are_those_of_the_command(yicheng, lang, moment):
    done = yicheng.run("policy", "check", "hohhot-2019", "--at", f"{CORE[0]},{CORE[1]}", "--date", moment, "--lang", lang)
    assert done.stdout.rstrip("\n") == "\n".join(asked(CORE, moment)["lines"][lang]), done.stderr


def test_before_a_pack_begins_nothing_applies_and_it_says_so():
    policy = load_policy("wulong-2019")
    place = next(iter(policy.pack.geometries.values())).representative_point().coords[0]
    found = asked(place, "1999-01-01T12:00", "wulong-2019")
    assert found["lines"]["en"] and found["lines"]["zh"] and (policy.valid_from_ms < found["at_ms"] or found["zones"] == [])


@pytest.mark.parametrize(("place", "moment"), [((181, 40), "2026-06-25"), ((float("nan"), 40), "2026-06-25"), ((111, 91), "2026-06-25"), (CORE, ""), (CORE, "noon"), (CORE, "2026-13-01T00:00"), (CORE, "2026-06-25T25:00")])
def test_what_is_no_place_or_time_is_one_sentence_in_both_languages(place, moment):
    with pytest.raises(BadInput, match=r"^the (place|time) .* / .*填"):
        asked(place, moment)


def test_a_click_is_answered_in_the_sentences_and_so_is_what_is_typed(console, recorded_day, watch):
    demo = console("--demo", recorded_day, "--speedup", 3600)
    status, _, body = ask(f"{demo.url}/api/policy/applies?{urllib.parse.urlencode({'lon': 'x', 'lat': '40', 'at': '2026-06-25'})}")
    assert status == 400 and "longitude" in json.loads(body)["error"]
    watched = watch(demo.url)
    page = watched.open("/?lang=en&theme=light#view=policy")
    page.wait_for_function(READY)
    page.wait_for_function("() => yicheng.map.fitted && yicheng.map.map.loaded() && document.querySelectorAll('#policy-panel ol > li').length >= 10")
    x, y = page.evaluate("(place) => { const at = yicheng.map.map.project(place), box = document.querySelector('#map').getBoundingClientRect(); return [at.x + box.x, at.y + box.y]; }", list(CORE))
    page.mouse.click(x, y)
    page.wait_for_selector(".applied h3")
    assert page.get_attribute("#policy-tab-applies", "aria-selected") == "true" and float(page.input_value("#lon")) == pytest.approx(CORE[0], abs=1e-3)
    page.fill("#applies-at", "2026-06-25T12:00")
    page.keyboard.press("Tab")
    page.wait_for_function("() => document.querySelector('.applied').textContent.includes('25 June 2026 (Thursday) 12:00')")
    assert "until 20:00" in page.text_content(".here")
    said = page.inner_text(".applied")
    place = float(page.input_value("#lon")), float(page.input_value("#lat"))
    lines = [line.strip().removeprefix("- ") for line in answer(load_policy("hohhot-2019"), "2026-06-25T12:00", place, "en").split("\n") if line]
    assert [line for line in lines if line not in said] == [] and "No entry" in page.text_content(".here")
    for field, value in (("#lon", HOLE[0]), ("#lat", HOLE[1])):
        page.fill(field, str(value))
    page.keyboard.press("Enter")
    page.wait_for_function("() => document.querySelector('.here')?.textContent === 'In no zone'")
    page.click("#lang")
    page.wait_for_function("() => document.querySelector('.here')?.textContent === '不在任何区域内'")
    assert page.input_value("#lon") == str(HOLE[0]), "what was typed stays"
    page.click("[data-view=live]")
    page.wait_for_function("() => document.querySelector('#side').checkVisibility() && document.querySelector('#policy-side').hidden")
    watched.check()
