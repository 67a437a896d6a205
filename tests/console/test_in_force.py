"""Several versions of a pack, and packs that do not count now: what is shown is what is in force."""

import json
from datetime import datetime
from zoneinfo import ZoneInfo

import pytest
from conftest import wait_for

from console.console_site import Site
from consumers.console.city.city import City
from consumers.console.fleet.replay import Hour, Way
from consumers.console.web.replay_pages import ReplayPages
from streams.policy.checks import pack_record
from streams.policy.reader import load_policy

NAME = "hohhot-2019"
MOVED_DEG = 0.05


def version(*changes, moved=False):
    """The pack with other words in its text; ``moved``: each zone further east."""
    source = load_policy(NAME).pack.source
    text, zones = source["yaml"], json.loads(source["geojson"])
    for before, after in changes:
        assert before in text, before
        text = text.replace(before, after)
    for feature in zones["features"] if moved else ():
        feature["geometry"]["coordinates"] = [[[lon + MOVED_DEG, lat] for lon, lat in ring] for ring in feature["geometry"]["coordinates"]]
    return {"yaml": text, "geojson": json.dumps(zones)}


def next_year(*changes, **more):
    return version(("valid_from: 2019-07-01", "valid_from: 2027-01-01"), ("green_packaging: 0.90", "green_packaging: 0.75"), *changes, **more)


def moment(text):
    return int(datetime.fromisoformat(text).replace(tzinfo=ZoneInfo("Asia/Shanghai")).timestamp() * 1000)


def fix(at_ms, vehicle="v", lon=111.65):
    return json.dumps({"event_id": f"e{at_ms}", "event_time_ms": at_ms, "vehicle_id": vehicle, "lon": lon, "lat": 40.81}).encode()


def city_at(text, *versions):
    city = City(NAME)
    city.history_is_read()
    city.say(None)
    city.enter_policy(NAME.encode(), pack_record(list(versions)))
    city.enter_fixes([fix(moment(text))], [moment(text)])
    return city


def shown(city):
    """The target above the page, how the pack is applied by its view, what the view notes of other versions."""
    policy = city.views()["policy"]
    return city.header()["rates"]["green"]["target"], next(line for line in policy["document"]["en"] if line.startswith("The pack is applied")).partition(";")[0], [note["en"] for note in policy["notes"]]


def test_a_version_that_is_still_to_come_changes_nothing_before_its_day():
    city = city_at("2026-11-30T12:00", version(), next_year())
    assert shown(city) == (0.9, "The pack is applied from 1 July 2019 until it is replaced", ["A further version counts from 1 January 2027."])
    assert "2027年1月1日" in city.views()["policy"]["notes"][0]["zh"]
    assert next(measure["target"] for measure in city.views()["rates"]["measures"] if measure["feature"] == "green") == 0.9
    city.enter_fixes([fix(moment("2027-01-01T00:00"))], [None])
    assert shown(city) == (0.75, "The pack is applied from 1 January 2027 until it is replaced", [])


def test_zones_say_of_which_version_they_are_and_a_replay_has_the_shapes_of_then():
    city = city_at("2026-12-31T23:30", version(), next_year(moved=True))
    before = {zone["valid_from_ms"] for zone in city.zones()}
    hour = Hour(moment("2026-12-31T23:30"), [Way("v", None, [])], [])
    pages = ReplayPages(city, None, lambda: False)
    (_, _, old), (_, _, new) = pages._shown(hour)["zones"]
    assert old is None and new["features"][0]["geometry"]["coordinates"][0][0][0] == pytest.approx(city.state()["shapes"]["features"][0]["geometry"]["coordinates"][0][0][0] + MOVED_DEG)
    city.enter_fixes([fix(moment("2027-01-01T00:10"))], [None])
    assert before == {moment("2019-07-01T00:00")} and {zone["valid_from_ms"] for zone in city.zones()} == {moment("2027-01-01T00:00")}
    (_, _, then), (_, _, now) = pages._shown(hour)["zones"]
    assert now is None and then["features"][0]["geometry"]["coordinates"][0][0][0] == pytest.approx(city.state()["shapes"]["features"][0]["geometry"]["coordinates"][0][0][0] - MOVED_DEG)


UNTIL = ("valid_from: 2019-07-01", "valid_from: 2019-07-01\nvalid_until: 2026-06-30")


@pytest.mark.parametrize(
    ("versions", "en", "zh"),
    [
        ([version(UNTIL)], "The pack “hohhot-2019” counted until 30 June 2026; nothing is judged now.", "适用至2026年6月30日止；目前不作判定"),
        ([next_year()], "The pack “hohhot-2019” counts from 1 January 2027; nothing is judged now.", "自2027年1月1日起适用；目前不作判定"),
        ([version(UNTIL), next_year()], "The pack “hohhot-2019” counted until 30 June 2026 and counts from 1 January 2027; nothing is judged now.", "适用至2026年6月30日止，自2027年1月1日起适用"),
    ],
)
def test_a_pack_that_does_not_count_now_is_said_to(versions, en, zh):
    city = city_at("2026-11-30T12:00", *versions)
    assert city.header()["status"]["en"] == en and zh in city.header()["status"]["zh"]
    assert city.zones() == [] and city.state()["no_zones"]["en"] == en, "and that is why there are no zones"
    assert city.state()["city"]["en"] == "Hohhot" and city.views()["policy"] is not None, "it is the city's nevertheless"


LOADED = "() => window.yicheng?.state.header && window.yicheng.fleet.count >= 1"
EAST = "() => Math.max(...yicheng.map.labels.map(({ box }) => box[2]))"


def test_the_map_takes_the_outlines_of_a_version_once_it_comes_into_force(tmp_path, watch):
    site = Site(tmp_path)
    site.city.history_is_read()
    site.city.say(None)
    site.city.enter_fixes([fix(moment("2026-12-31T23:59"))], [None])
    watched = watch(site.url)
    page = watched.open("/?lang=en")
    page.wait_for_function(LOADED)
    page.wait_for_function("() => yicheng.map.map.getZoom() > 10 && Math.abs(yicheng.map.map.getCenter().lng - 111.65) < 0.01")
    page.click("#tab-zones")
    page.wait_for_function("() => document.querySelector('#list').textContent.includes('no pack “hohhot-2019” is published')")
    site.city.enter_policy(NAME.encode(), pack_record([version(), next_year(moved=True)]))
    page.wait_for_function("() => yicheng.map.labels.length > 0")
    before = page.evaluate(EAST)
    site.city.enter_fixes([fix(moment("2027-01-01T00:00"))], [None])
    wait_for("the outlines of the new version", lambda: page.evaluate(EAST) == pytest.approx(before + MOVED_DEG))
    watched.check()
    site.stop()
