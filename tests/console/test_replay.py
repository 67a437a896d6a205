"""The Replay view: ways of an hour from whatever order of records, stops, files that others can read, and the page in a real browser."""

import json
import threading
import urllib.parse
import xml.etree.ElementTree as ET
from datetime import datetime
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest

from console.conftest import SIZES
from console.test_server import ask
from consumers.console.city.city import City
from consumers.console.fleet.replay import MOST_VEHICLES, Hour, Point, Way, WayCollector, as_shown, geojson, gpx, segments, stops
from consumers.console.sources.demo import DemoFeed, refused_ids
from consumers.console.web.replay_pages import zones_of_hour
from streams.clock import HOUR_MS
from streams.errors import BadInput
from streams.policy.policy import Policies
from streams.policy.reader import load_policy

T = 1_782_446_400_000
"""2026-06-26T12:00 in Hohhot."""
GPX = "{http://www.topografix.com/GPX/1/1}"
HOSTILE = '<b>&"\'\ufffe車'


def record(vehicle="v", at_ms=T, event=None, **more):
    return json.dumps({"event_id": event or f"e{at_ms}", "event_time_ms": at_ms, "vehicle_id": vehicle, "lon": 111.65, "lat": 40.81, **more}).encode()


def collected(*values, vehicles=("v",), **more):
    collector = WayCollector(vehicles, T, **more)
    for value in values:
        collector.enter(value, None)
    return collector.ways()


def way(*points, name="v", plate=None):
    """Points as (seconds, metres to the north, km/h)."""
    return Way(name, plate, [Point(T + round(seconds * 1000), 111.65, 40.81 + metres / 111_195, speed) for seconds, metres, speed in points])


def test_records_become_a_way_in_order_of_time_each_once():
    (found,) = collected(record(at_ms=T + 2000, plate="蒙A1"), record(at_ms=T), record(at_ms=T, lon=100.0), record(at_ms=T, event="another", lon=111.66))
    assert [(point.time_ms - T, point.lon) for point in found.points] == [(0, 111.66), (0, 111.65), (2000, 111.65)] and found.plate == "蒙A1"


@pytest.mark.parametrize(
    "value", [None, b"", b"{", b"rubbish v", record("w"), record(at_ms=T - 1), record(at_ms=T + HOUR_MS), record(lat=95.0), record(lon=0, lat=0), record(speed_kmh=501), record("w", plate="v")],
)  # fmt: skip
def test_what_is_no_fix_of_the_vehicle_in_the_hour_is_left_out(value):
    assert collected(value)[0].points == [] and len(collected(record(), value)[0].points) == 1


def test_positions_are_wgs84_and_ids_may_be_escaped():
    (found,) = collected(record("車1", lon=111.656, lat=40.8115, coord_sys="gcj02"), vehicles=["車1"])
    assert found.points[0].lon == pytest.approx(111.65, abs=1e-3) and found.points[0].lon != 111.656


def test_what_a_worker_has_refused_is_taken_out():
    collector = WayCollector(["v"], T)
    collector.enter(record(), T - 300_001, origin=1)
    assert collector.missing() == {"v"}, "it comes from the future"
    collector.enter(record(), None, origin=2)
    collector.enter(record(), None, origin=3)
    collector.refuse(3)
    collector.refuse(99)
    assert len(collector.ways()[0].points) == 1, "only the duplicate was refused"
    collector.refuse(2)
    assert collector.ways()[0].points == []
    assert collected(record(event="late"), record(event="fine"), refused_ids={"late"})[0].points == collected(record(event="fine"))[0].points


@pytest.mark.parametrize(
    ("points", "found"),
    [
        ([(0, 0, 0), (60, 0, 0), (120, 0, 0)], [(0, 120)]),
        ([(0, 0, 0), (60, 0, 0), (119, 0, 0)], []),
        ([(0, 0, 9), (60, 29, 9), (130, 1, 9), (131, 31, 9), (132, 60, 9)], [(0, 130)]),
        ([(0, 0, 0), (60, 31, 0), (120, 62, 0), (180, 93, 0)], []),
        ([(0, 500, 30), (10, 250, 30), (20, 0, 0), (320, 0, 0), (330, 250, 30)], [(20, 320)]),
        ([(0, 0, 0), (301, 0, 0)], []),
        ([(0, 0, 0), (121, 0, 0), (122, 40, 20), (123, 80, 0), (300, 80, 0)], [(0, 121), (123, 300)]),
        ([(second, second % 9, 0) for second in range(500)], [(0, 499)]),
        ([*((second, second % 9, 0) for second in range(200)), (200, 500, 30), (210, 700, 30)], [(0, 199)]),
        ([], []),
    ],
)  # fmt: skip
def test_a_stop_is_two_minutes_within_thirty_metres(points, found):
    assert [((stop.from_ms - T) // 1000, (stop.until_ms - T) // 1000) for stop in stops(way(*points).points)] == found


def test_a_way_is_in_pieces_where_nobody_knows():
    pieces = list(segments(way((0, 0, 1), (300, 9, 1), (601, 18, 1), (602, 27, 1)).points))
    assert [len(piece) for piece in pieces] == [2, 2] and list(segments([])) == []


def test_a_speed_that_is_not_reported_is_that_of_the_way():
    rows = as_shown(way((0, 0, None), (10, 100, None), (20, 100, 7.0), (400, 200, None)))["points"]
    assert [row[3] for row in rows] == [None, pytest.approx(36, abs=0.1), 7.0, None]


HOUR = Hour(T, [way((0, 0, 36.0), (10, 100, None), (1000, 0, 0), (1130, 0, 0), (3000, 0, 1), name=HOSTILE, plate="蒙<A>"), way((5, 0, 1), (15, 9, 1), name="w"), way(name="none")], [])


def test_geojson_is_read_again_as_it_was():
    read = json.loads(json.dumps(geojson(HOUR)))
    assert read["type"] == "FeatureCollection"
    track, lone, stop, other = read["features"]
    assert {one["type"] for one in read["features"]} == {"Feature"} and [one["properties"]["kind"] for one in read["features"]] == ["track", "fix", "stop", "track"]
    assert track["geometry"]["type"] == "MultiLineString" and [len(line) for line in track["geometry"]["coordinates"]] == [2, 2]
    assert track["geometry"]["coordinates"][0][0] == [111.65, 40.81], "longitude first"
    said = track["properties"]["coordinateProperties"]
    assert said["times"][0] == ["2026-06-26T04:00:00.000Z", "2026-06-26T04:00:10.000Z"] and said["speeds_kmh"] == [[36.0, None], [0, 0]]
    assert track["properties"]["vehicle_id"] == HOSTILE and lone["geometry"]["coordinates"] == [111.65, 40.81]
    assert stop["properties"] | {"vehicle_id": ""} == {"vehicle_id": "", "plate": "蒙<A>", "kind": "stop", "from": "2026-06-26T04:16:40.000Z", "until": "2026-06-26T04:18:50.000Z", "seconds": 130}
    assert other["geometry"]["type"] == "LineString" and len(other["geometry"]["coordinates"]) == len(other["properties"]["coordinateProperties"]["times"]) == 2


ORDER = {"gpx": ["metadata", "wpt", "rte", "trk", "extensions"], "wpt": ["ele", "time", "name", "cmt", "desc"], "trkpt": ["ele", "time", "extensions"], "trk": ["name", "cmt", "desc", "trkseg"], "trkseg": ["trkpt"],
         "metadata": ["name", "desc", "time"]}  # fmt: skip
"""The elements of GPX 1.1 (gpx.xsd) that are used here, in the order in which they must stand."""


def test_gpx_is_read_again_as_it_was():
    root = ET.fromstring(gpx(HOUR))
    assert root.tag == f"{GPX}gpx" and root.attrib == {"version": "1.1", "creator": "Yicheng"}
    for element in root.iter():
        if (name := element.tag.removeprefix(GPX)) in ORDER:
            places = [ORDER[name].index(child.tag.removeprefix(GPX)) for child in element]
            assert places == sorted(places), name
    for point in [*root.iter(f"{GPX}trkpt"), *root.iter(f"{GPX}wpt")]:
        assert -90 <= float(point.attrib["lat"]) <= 90 and -180 <= float(point.attrib["lon"]) < 180 and datetime.fromisoformat(point.findtext(f"{GPX}time"))
    tracks = root.findall(f"{GPX}trk")
    assert [track.findtext(f"{GPX}name") for track in tracks] == [HOSTILE.replace("\ufffe", "\ufffd"), "w", "none"] and tracks[0].findtext(f"{GPX}desc") == "蒙<A>"
    assert [[len(segment) for segment in track] for track in (element.findall(f"{GPX}trkseg") for element in tracks)] == [[2, 2, 1], [2], []]
    assert [speed.text for speed in root.iter("{http://www.garmin.com/xmlschemas/TrackPointExtension/v2}speed")][:2] == ["10.00", "0.00"]
    (stop,) = root.findall(f"{GPX}wpt")
    assert stop.findtext(f"{GPX}time") == "2026-06-26T04:16:40.000Z" and stop.findtext(f"{GPX}desc") == "130 s"


def test_a_recorded_day_has_its_hours_without_what_judge_refused(recorded_day, tmp_path):
    lines = [(at_ms, record(at_ms=at_ms)) for at_ms in range(T, T + 3 * HOUR_MS, 15_000)]
    feed = DemoFeed(City("hohhot-2019"), lambda _: None, lambda: [(5, record(at_ms=5)), *lines], [], [], 60.0, frozenset({f"e{T}"}))
    assert feed.span_ms() == (T, T + 3 * HOUR_MS), "a clock that was wrong makes no hour"
    (found,) = feed.hour(["v"], T, threading.Event().is_set).ways
    assert len(found.points) == 239 and found.points[0].time_ms == T + 15_000
    reasons = [json.loads(line) for line in (recorded_day / "rejects.jsonl").read_bytes().splitlines()]
    late = {row["event_id"] for row in reasons if row["reason"] == "late"}
    assert late and late <= refused_ids(recorded_day) and refused_ids(tmp_path) == frozenset()
    (tmp_path / "rejects.jsonl").write_text("[]\n")
    with pytest.raises(BadInput, match=r"rejects\.jsonl"):
        refused_ids(tmp_path)


def test_zones_are_as_they_were_then():
    policies = Policies([load_policy("hohhot-2019")])
    from_ms = int(datetime.fromisoformat("2026-06-25T19:30").replace(tzinfo=ZoneInfo("Asia/Shanghai")).timestamp() * 1000)
    levels = [(moment - from_ms, next(zone["level"] for zone in zones if zone["zone_id"] == "core")) for moment, zones in zones_of_hour(policies, from_ms)]
    assert levels[0] == (0, "closed") and (HOUR_MS // 2, "free") in levels and all(level == "free" for at_ms, level in levels if at_ms >= HOUR_MS // 2)


FROM = "2026-06-26T12:00"
CHOSEN = ("HH-52190", "HH-39906")
ADDRESS = f"#view=replay&hour={FROM}&" + "&".join(f"v={name}" for name in CHOSEN)
SHOWN = "(n) => window.yicheng?.replay.vehicles.length === n && !document.querySelector('#replay-said').textContent"
PLACE = "(id) => { const { lng, lat } = yicheng.replay.map.arrows.get(id).marker.getLngLat(); return [lng, lat]; }"
PACE = """() => new Promise((done) => {
  const { player } = yicheng.replay, moved = player.moved, seen = [];
  player.moved = () => { moved(); seen.push([document.timeline.currentTime, player.atMs]); if (seen.length > 2 && seen.at(-1)[0] - seen[1][0] > 1500) { player.moved = moved; player.pause(); done([seen[1], seen.at(-1)]); } };
  player.play();
})"""


def fixes_of(folder, name):
    """A vehicle's fixes of the hour that judge has accepted, by time, read from the files without our code."""
    rejects = [json.loads(line) for line in (folder / "rejects.jsonl").read_text().splitlines()]
    refused, rows = {row["event_id"] for row in rejects if row["reason"] != "duplicate"}, {}
    for line in (folder / "gps.jsonl").read_text().splitlines():
        if f'"{name}"' in line:
            row = json.loads(line)
            if row["event_id"] not in refused:
                rows.setdefault((row["event_time_ms"], row["event_id"]), (row["lon"], row["lat"]))
    return [(at_ms, *place) for (at_ms, _), place in sorted(rows.items()) if T <= at_ms < T + HOUR_MS]


def between(fixes, at_ms):
    """Where a vehicle was between two of its fixes."""
    (from_ms, *before), (until_ms, *after) = next(pair for pair in pairwise(fixes) if pair[0][0] <= at_ms <= pair[1][0])
    return [before[axis] + (after[axis] - before[axis]) * (at_ms - from_ms) / (until_ms - from_ms) for axis in (0, 1)]


@pytest.fixture
def demo(console, recorded_day):
    return console("--demo", recorded_day, "--speedup", 60)


def test_questions_that_make_no_sense_get_a_sentence(demo):
    def ways(**said):
        return ask(f"{demo.url}/api/replay/ways?{urllib.parse.urlencode(said, doseq=True)}")

    assert json.loads(ask(f"{demo.url}/api/replay/hours")[2])["first"] == "2026-06-26T00:00"
    for said, words in (
        ({}, "hour is a local time"), ({"hour": "2026-06-31T12:00", "v": "a"}, "no time that there is"), ({"hour": "2026-06-25T23:00", "v": "a"}, "only hours from 2026-06-26 00:00 to 2026-06-27 00:00"),
        ({"hour": FROM}, "choose 1 to 10"), ({"hour": FROM, "v": [f"v{number}" for number in range(MOST_VEHICLES + 1)]}, "choose 1 to 10"), ({"hour": FROM, "v": "a\n"}, "vehicle's number"),
    ):  # fmt: skip
        status, headers, body = ways(**said)
        assert status == 400 and words in json.loads(body)["error"] and "unsafe" not in headers["Content-Security-Policy"], said
    status, _, body = ways(hour=FROM, v=["nobody", *CHOSEN, CHOSEN[0]])
    nobody, *others = json.loads(body)["vehicles"]
    assert status == 200 and nobody["points"] == nobody["stops"] == [] and [one["vehicle_id"] for one in others] == list(CHOSEN) and len(others[0]["points"]) > 20


def test_an_hour_is_replayed_as_the_data_say(demo, watch, recorded_day):
    fixes = {name: fixes_of(recorded_day, name) for name in CHOSEN}
    watched = watch(demo.url)
    page = watched.open(f"/?lang=en&theme=light{ADDRESS}&speed=10")
    page.wait_for_function(SHOWN, arg=2)
    assert page.get_attribute("[data-view=replay]", "aria-current") == "page" and page.locator("#side").is_hidden()
    assert page.input_value("#replay-hour") == FROM and page.input_value("#replay-speed") == "10"
    for name in CHOSEN:
        assert f"{len(fixes[name])} fixes" in page.text_content(f"[data-way='{name}']")
    page.evaluate("(ms) => yicheng.replay.player.go(ms)", T + 1_000_000)
    assert page.evaluate(PLACE, CHOSEN[0]) == pytest.approx(between(fixes[CHOSEN[0]], T + 1_000_000), abs=1e-6) and page.text_content("#replay-clock") == "12:16:40"
    (began, from_ms), (ended, until_ms) = page.evaluate(PACE)
    assert from_ms >= T + 1_000_000 and (until_ms - from_ms) / (ended - began) == pytest.approx(10, rel=0.02)
    for name in CHOSEN:
        assert page.evaluate(PLACE, name) == pytest.approx(between(fixes[name], page.evaluate("yicheng.replay.player.atMs")), abs=1e-6)
    assert page.evaluate("yicheng.map.layer.count") == 0, "live vehicles step aside"

    stopped = [(stop.from_ms, stop.until_ms) for stop in stops([Point(*fix, None) for fix in fixes[CHOSEN[0]]])]
    rows = page.locator("#replay-stops tbody tr")
    assert len(stopped) == 2 and rows.count() == 2 and "within 30 m for at least 2 min" in page.text_content("#replay") and page.locator("#replay-curve rect.stop").count() == 2
    rows.nth(1).locator("button").click()
    assert page.evaluate("yicheng.replay.player.atMs") == stopped[1][0] and page.evaluate("yicheng.replay.map.vehicles[0].stops.length") == 2
    assert float(page.get_attribute("#replay-curve .cursor", "x1")) == pytest.approx(page.evaluate("(ms) => yicheng.replay.curve.x(ms)", stopped[1][0]), abs=0.1)

    for suffix, count in (("geojson", lambda text: sum(one["properties"]["kind"] == "stop" for one in json.loads(text)["features"])), ("gpx", lambda text: len(ET.fromstring(text).findall(f"{GPX}wpt")))):
        with page.expect_download() as begun:
            page.click(f"[data-export={suffix}]")
        assert begun.value.suggested_filename == f"yicheng-2026-06-26T1200.{suffix}" and count(begun.value.path().read_text()) == 2
    page.set_viewport_size(SIZES["phone"])
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth && document.documentElement.scrollHeight <= innerHeight")
    assert page.evaluate("['#map', '#replay-play', '#replay-at', '#replay-hour'].every((id) => { const box = document.querySelector(id).getBoundingClientRect(); return box.width && box.left >= 0 && box.right <= innerWidth && box.top < innerHeight; })")
    watched.check()


@pytest.mark.long
def test_an_hour_is_chosen_by_hand_and_by_keys_and_the_address_keeps_it(demo, watch):
    watched = watch(demo.url)
    page = watched.open("/?lang=en&theme=dark#view=replay")
    page.wait_for_selector("#replay-hour")
    assert "Choose the vehicles to replay, up to 10." in page.text_content("#replay") and page.is_disabled("#replay-play")
    page.fill("#replay-hour", FROM)
    page.fill("#replay-vehicle", "52190")
    page.keyboard.press("Enter")
    page.wait_for_function(SHOWN, arg=1)
    page.fill("#replay-vehicle", "<img src=x>")
    page.click(".replay-add button")
    page.wait_for_function(SHOWN, arg=2)
    assert "No fixes of this vehicle in this hour." in page.text_content("[data-way='<img src=x>']")
    page.fill("#replay-vehicle", "HH-52190")
    page.click(".replay-add button")
    page.wait_for_function("() => document.querySelector('#replay-said').textContent === 'HH-52190 is already chosen.'")
    page.select_option("#replay-speed", "60")
    page.locator("[data-way='HH-52190'] .toggle").first.click()
    assert page.get_attribute("[data-way='HH-52190'] [aria-pressed]", "aria-pressed") == "true"
    page.locator("body").press("ArrowRight")
    page.locator("body").press("Shift+ArrowRight")
    page.locator("body").press("ArrowLeft")
    assert page.evaluate("yicheng.replay.player.atMs - yicheng.replay.player.fromMs") == 60_000
    followed = page.evaluate(PLACE, "HH-52190")
    assert page.evaluate("yicheng.map.map.getCenter().toArray()") == pytest.approx(followed, abs=1e-6)
    page.evaluate("document.activeElement.blur()")
    page.keyboard.press("Space")
    assert page.get_attribute("#replay-play", "aria-label") == "Pause" and page.evaluate("yicheng.replay.player.isPlaying")
    page.keyboard.press("Space")
    assert not page.evaluate("yicheng.replay.player.isPlaying") and page.get_attribute("#replay-at", "aria-valuetext") == page.text_content("#replay-clock")
    page.reload()
    page.wait_for_function(SHOWN, arg=2)
    assert page.input_value("#replay-hour") == FROM and page.input_value("#replay-speed") == "60" and page.evaluate("yicheng.replay.ids") == ["HH-52190", "<img src=x>"]
    page.click("#lang")
    assert "这一小时没有该车的定位。" in page.text_content("#replay")
    page.locator("[data-way='<img src=x>'] .toggle").last.click()
    page.wait_for_function(SHOWN, arg=1)
    page.click("[data-view=live]")
    page.wait_for_function("() => document.querySelector('#replay').hidden && !yicheng.map.layer.isHidden")
    page.evaluate("location.hash = 'vehicle=HH-52190'")
    page.click("#panel a[href*='view=replay']")
    page.wait_for_function("() => document.querySelector('#replay-hour').value.startsWith('2026-06-26T0')")  # the hour up to stream time, not the day's last
    page.wait_for_function(SHOWN, arg=1)
    page.evaluate("location.hash = 'view=replay&hour=2020-01-01T00:00&v=HH-52190'")
    page.wait_for_function("() => document.querySelector('#replay-said').textContent.includes('只能回放')")
    assert [text for text in watched.complaints if "400" not in text] == []
