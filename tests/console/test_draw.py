"""Drawn zones: what is wrong with them, who is inside now and was a day ago, and a file that the pack takes; in a browser by hand and by keys."""

import json
import shutil
from zoneinfo import ZoneInfo

import numpy as np
import pytest
import shapely

from console.conftest import WatchedPage
from console.test_server import ask
from consumers.console.city.city import City
from consumers.console.city.drafts import check_draft, zone_file_text
from consumers.console.fleet.fixes import read_fixes
from consumers.console.fleet.inside import MOST_LISTED, Snapshot, snapshot_of_fixes, snapshot_of_fleet, who_is_inside
from consumers.console.fleet.positions import SILENT_MS, Fleet
from consumers.console.sources.demo import DemoFeed
from consumers.console.sources.past_fixes import read_past
from deploy.ports import free_port
from streams.clock import DAY_MS, HOUR_MS, now_ms
from streams.errors import BadInput
from streams.policy.reader import PACKS, load_policy
from streams.registry.records import decode_versions
from streams.registry.registry import Registry
from streams.wire.events import Fix
from streams.wire.topics import LATE

T = 1_782_446_400_000
SQUARE = [[111.6, 40.8], [111.61, 40.8], [111.61, 40.81], [111.6, 40.81], [111.6, 40.8]]
READY = "() => window.yicheng?.fleet.count >= 10 && yicheng.map?.fitted && yicheng.map.map.loaded()"


def zone(ring=SQUARE, *holes, **properties):
    return {"type": "Feature", "properties": {"id": "drawn", **properties}, "geometry": {"type": "Polygon", "coordinates": [ring, *holes]}}


def pack_file():
    return json.loads((PACKS / "zones" / "hohhot.geojson").read_text())


def checked(*features, keep=True):
    collection = pack_file()
    return check_draft(load_policy("hohhot-2019"), {**collection, "features": [*(collection["features"] if keep else []), *features]})


def test_the_pack_s_own_file_is_fine_and_stays_what_it_is():
    for name in ("hohhot-2019", "hezhou-2018", "shaoxing-2019", "wulong-2019", "yunnan-2018"):
        policy = load_policy(name)
        collection = json.loads(policy.pack.source["geojson"])
        found = check_draft(policy, collection)
        assert (found["problems"], found["warnings"], found["name"]) == ([], [], policy.pack.zones)
        assert json.loads(found["text"]) == collection and set(found["areas_m2"]) == set(policy.pack.geometries)


def test_each_zone_has_its_own_sentence_in_both_languages():
    bow = [SQUARE[0], SQUARE[2], SQUARE[1], SQUARE[3], SQUARE[0]]
    swapped = [[lat, lon] for lon, lat in SQUARE]
    far = [[[lon + 5, lat] for lon, lat in SQUARE]]
    outside = [[lon + 1, lat] for lon, lat in SQUARE]
    found = checked(zone(bow, id="bow"), zone(swapped, id="swapped"), zone([*SQUARE[:2], SQUARE[0]], id="two"), zone(SQUARE[:4], id="open"), zone(SQUARE, outside, id="hole"), {**zone(id="none"), "geometry": None})
    said = {one["zone_id"]: (one["en"], one["zh"]) for one in found["problems"]}
    assert "crosses or touches itself at 111.605, 40.805" in said["bow"][0] and "111.605, 40.805 处与自身相交" in said["bow"][1]
    assert "changed places" in said["swapped"][0] and "三个不同的点" in said["two"][1] and "outside of it" in said["hole"][0] and "no points" in said["none"][0]
    assert found["text"] is None and len(said) == 6 and "not closed" in said["open"][0]
    (doubt,) = checked({**zone(id="far"), "geometry": {"type": "Polygon", "coordinates": far}})["warnings"]
    assert doubt["zone_id"] == "far" and "km from the pack's zones" in doubt["en"] and "公里" in doubt["zh"]


def test_what_the_pack_needs_of_its_zones_is_told():
    without_core = [feature for feature in pack_file()["features"] if feature["properties"]["id"] != "core"]
    (problem,) = checked(*without_core, keep=False)["problems"]
    assert "“core”" in problem["en"] and "“core”" in problem["zh"] and problem["zone_id"] is None
    (twice,) = checked(zone(), zone())["problems"]
    assert "same id" in twice["en"]
    (nameless,) = checked(zone(id=""))["problems"]
    assert "no id" in nameless["en"]
    assert checked(keep=False)["problems"]
    tiny = [[111.6, 40.8], [111.6001, 40.8], [111.6001, 40.8001], [111.6, 40.8]]
    (doubt,) = checked(zone(tiny))["warnings"]
    assert "m² large" in doubt["en"]
    with pytest.raises(BadInput):
        check_draft(load_policy("hohhot-2019"), {"features": "x"})


def test_areas_are_in_square_metres():
    found = checked(zone())
    assert found["areas_m2"]["drawn"] == pytest.approx(0.01 * 111_195 * 0.01 * 111_195 * 0.7566, rel=1e-3)


def snapshot(*places, at_ms=T, ages_s=None):
    lons, lats = np.array(places, dtype=float).T
    times = at_ms - 1000 * np.array(ages_s or [0] * len(places))
    return Snapshot(at_ms, [f"v{n}" for n in range(len(places))], [None] * len(places), lons, lats, times)


def text_of(*features):
    return zone_file_text({"type": "FeatureCollection", "features": list(features)})


def test_inside_is_what_the_engine_calls_inside():
    hole = [[111.603, 40.803], [111.606, 40.803], [111.606, 40.806], [111.603, 40.806], [111.603, 40.803]]
    places = [(111.602, 40.802), (111.6, 40.8), (111.6, 40.805), (111.603, 40.804), (111.604, 40.804), (111.59999, 40.8), (0.0, 0.0)]
    found = who_is_inside(text_of(zone(SQUARE, hole)), snapshot(*places, ages_s=[0, 0, 400, 0, 0, 0, 0]), Registry(ZoneInfo("Asia/Shanghai")))
    assert [row["vehicle_id"] for row in found["vehicles"]] == ["v0", "v1", "v2", "v3"], "corners, edges and the edges of holes are inside"
    assert (found["inside"], found["known"], found["silent"], found["at_ms"]) == (4, 7, 1, T)
    random = np.random.default_rng(7)
    many = snapshot(*np.round(random.uniform([111.598, 40.798], [111.612, 40.812], (2_000, 2)), 4).tolist())
    policy = load_policy("hohhot-2019")
    core = policy.pack.geometries["core"]
    shifted = shapely.transform(core, lambda xy: xy - [0.06, 0.01])
    drawn = {"type": "Feature", "properties": {"id": "x"}, "geometry": shapely.geometry.mapping(shifted)}
    expected = [n for n in range(2_000) if shapely.intersects_xy(shifted, many.lons[n], many.lats[n])]
    found = who_is_inside(text_of(drawn), many, Registry(policy.timezone))
    assert found["inside"] == len(expected) > MOST_LISTED == len(found["vehicles"])


def test_vehicles_are_counted_by_enterprise_with_the_papers_of_then():
    registry = Registry(ZoneInfo("Asia/Shanghai"))
    versions = [{"kind": "vehicle", "id": "v0", "enterprise_id": "old", "plate": "蒙A1", "valid_until": "2026-06-25"}, {"kind": "vehicle", "id": "v0", "enterprise_id": "new", "plate": "蒙A2", "valid_from": "2026-06-26"}]
    registry.put("vehicle", "v0", decode_versions(json.dumps(versions).encode()))
    places = [(111.605, 40.805), (111.606, 40.806)]
    now, then = (who_is_inside(text_of(zone()), snapshot(*places, at_ms=at_ms), registry) for at_ms in (T, T - 2 * DAY_MS))
    assert [(row["plate"], row["enterprise_id"]) for row in now["vehicles"]] == [(None, None), ("蒙A2", "new")]
    assert [(row["plate"], row["enterprise_id"]) for row in then["vehicles"]] == [(None, None), ("蒙A1", "old")]
    assert {row["enterprise_id"]: row["inside"] for row in now["enterprises"]} == {"new": 1, None: 1}


def test_then_is_the_newest_fix_before_and_not_too_old():
    fixes = [Fix(f"e{n}", at_ms, vehicle, lon, 40.8) for n, (vehicle, at_ms, lon) in enumerate([("a", T - 1000, 1.0), ("a", T, 2.0), ("a", T + 1, 3.0), ("b", T - SILENT_MS, 4.0), ("c", T - SILENT_MS - 1, 5.0), ("a", T - 2000, 6.0)])]
    found = snapshot_of_fixes(fixes, T)
    assert dict(zip(found.ids, found.lons.tolist(), strict=True)) == {"a": 2.0, "b": 4.0}
    empty = snapshot_of_fixes([], T, is_whole=False)
    assert who_is_inside(text_of(zone()), empty, Registry(ZoneInfo("Asia/Shanghai")))["inside"] == 0 and not empty.is_whole
    fleet = Fleet(1)
    for fix in fixes[:3]:
        fleet.enter(fix)
    assert snapshot_of_fleet(fleet, T).lons.tolist() == [3.0]


def test_a_recorded_day_has_a_yesterday_and_is_its_own_where_it_begins():
    recorded = [(0, b"broken"), *((T + hour * HOUR_MS, b"%d" % hour) for hour in range(40))]
    feed = DemoFeed(City("hohhot-2019"), lambda city: None, lambda: recorded, [], [], 60.0)
    past = feed.past(T + HOUR_MS, T + 2 * HOUR_MS)
    assert (past.until_ms, past.values, past.is_whole) == (T + 2 * HOUR_MS, [b"1", b"2"], True)
    moved = feed.past(T - 22 * HOUR_MS, T - 21 * HOUR_MS)
    assert (moved.until_ms, moved.values) == (T + 3 * HOUR_MS, [b"2", b"3"])
    assert feed.past(T + 60, T + 100).values == [], "a gap is a gap"


def test_what_is_implausible_or_of_another_datum_is_treated_as_the_worker_does():
    good = {"event_id": "e", "event_time_ms": T, "vehicle_id": "a", "lon": 111.656, "lat": 40.8115, "coord_sys": "gcj02"}
    values = [json.dumps(good).encode(), b"rubbish", json.dumps({**good, "lat": 95}).encode(), None]
    (fix,), unreadable, implausible = read_fixes(values, [T] * 4)
    assert (unreadable, implausible) == (2, 1)
    assert fix.lon == pytest.approx(111.65, abs=1e-3)


def test_kafka_s_yesterday_is_read_by_offset_and_nothing_is_committed(kafka, yicheng, tmp_path, monkeypatch):
    from pipeline import Pipeline

    from console.test_live import groups

    site, now = Pipeline(kafka, yicheng, tmp_path), now_ms()
    before = groups(site.bootstrap)
    monkeypatch.setattr("consumers.console.sources.past_fixes.GPS", LATE)  # a topic whose records keep the producer's time, so that they can be of yesterday
    for minutes, vehicle in ((-20, "there"), (-4, "there"), (-1, "moved"), (0, "moved"), (1, "late"), (30, "there"), (30, "moved")):
        at_ms = now - DAY_MS + minutes * 60_000
        value = {"event_id": f"e{minutes}", "event_time_ms": at_ms - (90_000 if vehicle == "late" else 0), "vehicle_id": vehicle, "lon": 111.605, "lat": 40.805, "synthetic": True}
        site.producer.send(LATE.name, json.dumps(value).encode(), vehicle.encode(), timestamp_ms=at_ms)
    site.producer.flush()
    past = read_past(site.bootstrap, now - DAY_MS - SILENT_MS, now - DAY_MS)
    assert past.is_whole and sorted(json.loads(value)["vehicle_id"] for value in past.values) == ["late", "moved", "moved", "there"]
    found = snapshot_of_fixes(past.fixes(), past.until_ms)
    assert sorted(found.ids) == ["late", "moved", "there"], "what came later than it was is still of then"
    assert groups(site.bootstrap) == before


@pytest.fixture
def demo(console, recorded_day):
    return console("--demo", recorded_day, "--speedup", 600)


def opened(watch, demo, size="desk", **options):
    watched = watch(demo.url, size, accept_downloads=True, **options)
    page = watched.open("/?lang=en&theme=light#view=policy")
    page.wait_for_function(READY)
    page.click("#policy-tab-draw")
    page.wait_for_function("() => document.querySelectorAll('.draw select option').length === 6 && document.querySelector('.judged .fine')")
    return watched, page


def at(page, lon, lat):
    """Where a place is on the screen."""
    return page.evaluate("([lon, lat]) => { const at = yicheng.map.map.project([lon, lat]), box = document.querySelector('#map').getBoundingClientRect(); return [at.x + box.x, at.y + box.y]; }", [lon, lat])


def click(page, lon, lat):
    page.mouse.click(*at(page, lon, lat))


def button(page, name):
    return page.get_by_role("button", name=name, exact=True)


def press(page, name):
    button(page, name).click()


def drawn(page):
    return page.evaluate("yicheng.draft.features")


def test_a_zone_is_drawn_named_exported_and_taken_by_policy_check(demo, watch, yicheng, tmp_path):
    watched, page = opened(watch, demo)
    before = page.evaluate("yicheng.state.shapes")
    press(page, "New zone")
    for place in ((111.58, 40.83), (111.6, 40.83), (111.61, 40.84), (111.6, 40.85), (111.58, 40.85)):
        click(page, *place)
    assert page.text_content(".drawn b") == "5 points"
    page.keyboard.press("Backspace")
    assert page.text_content(".drawn b") == "4 points"
    page.keyboard.press("Enter")
    page.wait_for_selector(".zone-form:not([hidden])")
    page.fill("[data-key=id]", "old-town")
    page.fill("[data-key=kind]", "restricted")
    page.fill("[data-key=name_zh]", "老城区")
    page.fill("[data-key=name_en]", "the <b>old</b> town")
    page.keyboard.press("Tab")
    page.wait_for_selector(".judged .fine")
    press(page, "Count")
    page.wait_for_selector(".inside .whom + .whom .count")
    with page.expect_download() as download:
        press(page, "Export GeoJSON")
    assert download.value.suggested_filename == load_policy("hohhot-2019").pack.zones.rpartition("/")[2]
    pack = tmp_path / "hohhot-2019.yaml"
    shutil.copy(PACKS / "hohhot-2019.yaml", pack)
    file = tmp_path / load_policy("hohhot-2019").pack.zones
    file.parent.mkdir(exist_ok=True)
    download.value.save_as(file)
    done = yicheng.run("policy", "check", str(pack), "--lang", "en")
    assert done.returncode == 0 and "the <b>old</b> town" in done.stdout, done.stderr
    done = yicheng.run("policy", "check", str(pack), "--lang", "zh", "--at", "111.59,40.84")
    assert "在“老城区”内" in done.stdout, done.stderr
    assert json.loads(file.read_text())["features"][:5] == pack_file()["features"], "what was not touched is as it was"
    assert page.evaluate("yicheng.state.shapes") == before, "the live policy is as it was"
    page.reload()
    page.wait_for_function(READY)
    page.click("#policy-tab-draw")
    page.wait_for_function("() => document.querySelectorAll('.draw select option').length === 7")
    assert "The draft that this browser kept" in page.text_content(".draw")
    press(page, "Drop the draft")
    assert len(drawn(page)) == 5 and page.evaluate("localStorage.getItem(yicheng.draft.key)") is None
    page.keyboard.press("Control+z")
    assert len(drawn(page)) == 6
    watched.check()


@pytest.mark.long
def test_points_are_dragged_inserted_removed_and_holes_are_kept(demo, watch):
    watched, page = opened(watch, demo, reduced_motion="reduce")
    page.select_option(".draw select", label="Saihan residential area (illustrative)")
    page.wait_for_function("() => document.querySelectorAll('.vertex').length === 8 && document.querySelectorAll('.between').length === 8")
    original = drawn(page)[1]
    x, y = at(page, 111.715, 40.79)
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(x + 40, y - 30, steps=4)
    page.mouse.up()
    page.wait_for_function("() => yicheng.draft.before.length === 1")
    ring, hole = drawn(page)[1]["geometry"]["coordinates"]
    assert ring[0] == ring[-1] != [111.715, 40.79] and ring[1:4] == original["geometry"]["coordinates"][0][1:4] and hole == original["geometry"]["coordinates"][1]
    page.locator(".between").first.click()
    assert len(drawn(page)[1]["geometry"]["coordinates"][0]) == 6
    page.locator(".vertex").nth(1).focus()
    page.keyboard.press("Delete")
    assert len(drawn(page)[1]["geometry"]["coordinates"][0]) == 5
    page.locator(".vertex").first.focus()
    page.keyboard.press("Shift+ArrowRight")
    page.keyboard.press("ArrowUp")
    assert page.evaluate("document.activeElement.className.includes('vertex')") and page.evaluate("yicheng.draft.before.length") == 5
    for _ in range(5):
        page.keyboard.press("Control+z")
    assert drawn(page)[1] == original
    page.keyboard.press("Control+y")
    assert drawn(page)[1] != original
    page.keyboard.press("Control+z")
    page.click("text=Its points (8)")
    page.fill("[data-key='0.0.2.0']", "111.70")
    page.keyboard.press("Tab")
    page.wait_for_selector(".judged .bad")
    assert "crosses or touches itself" in page.text_content(".judged") and page.evaluate("document.activeElement.dataset.key") == "0.0.2.1", "the keyboard stays where it was"
    press(page, "Export GeoJSON")
    page.wait_for_function("() => document.querySelector('.draw .outcome').textContent.startsWith('It cannot be exported yet: Zone “Saihan')")
    page.click("[data-key='0.1.0×']")
    page.click("[data-key='0.1.0×']")
    assert len(drawn(page)[1]["geometry"]["coordinates"]) == 1, "a hole goes with its third point"
    page.click("[data-key='0.0.0×']")
    page.click("[data-key='0.0.0×']")
    assert page.text_content(".draw .outcome").startswith("An outline keeps three points")
    watched.check()


def two_more_points(page):
    """Move the map by two keys, and set a point after each."""
    for key in ("ArrowRight", "ArrowDown"):
        was = page.evaluate("yicheng.map.map.getCenter().toArray()")
        page.keyboard.press(key)
        page.wait_for_function("(was) => !yicheng.map.map.isMoving() && yicheng.map.map.getCenter().toArray().join() !== was.join()", arg=was)
        page.keyboard.press("Space")


@pytest.mark.long
def test_a_zone_is_drawn_with_keys_alone(demo, watch):
    watched, page = opened(watch, demo, reduced_motion="reduce")
    button(page, "New zone").focus()
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.tagName") == "CANVAS"
    page.keyboard.press("Space")
    two_more_points(page)
    page.keyboard.press("Escape")
    assert len(drawn(page)) == 5, "Escape takes back what was begun"
    button(page, "New zone").focus()
    page.keyboard.press("Enter")
    page.keyboard.press("Space")
    page.keyboard.press("Enter")
    assert page.text_content(".draw .outcome") == "It needs at least three points."
    two_more_points(page)
    page.keyboard.press("Enter")
    page.wait_for_function("() => yicheng.draft.features.length === 6")
    assert len(drawn(page)[5]["geometry"]["coordinates"][0]) == 4
    watched.check()


def test_without_kafka_and_traffic_it_says_so(console):
    child = console(YICHENG_KAFKA_BOOTSTRAP=f"127.0.0.1:{free_port()}")
    kind = {"Content_Type": "application/json", "Origin": child.url}
    status, _, body = ask(f"{child.url}/api/policy/inside", text_of(zone()).encode(), **kind)
    found = json.loads(body)
    assert status == 200 and found["now"]["known"] == 0 and found["yesterday"] is None and found["problem"].startswith("Kafka does not answer")
    assert ask(f"{child.url}/api/policy/zones")[0] == 503


def test_without_webgl_a_zone_is_typed(demo, launch):
    browser = launch("--disable-3d-apis")
    try:
        watched = WatchedPage(browser, demo.url, accept_downloads=True)
        page = watched.open("/?lang=zh#view=policy")
        page.wait_for_function("() => window.yicheng?.fleet.count >= 10")
        page.click("#policy-tab-draw")
        page.wait_for_selector(".judged .fine")
        press(page, "新建区域")
        page.fill("[data-key='0.0.0.0']", "111.61")
        page.keyboard.press("Tab")
        page.wait_for_function("() => yicheng.draft.features[5].geometry.coordinates[0].at(-1)[0] === 111.61")
        page.wait_for_selector(".judged .fine")
        with page.expect_download() as download:
            press(page, "导出 GeoJSON")
        assert len(json.loads(download.value.path().read_text())["features"]) == 6
        page.click("#policy-tab-applies")
        for field, value in (("#lon", "111.66"), ("#lat", "40.815")):
            page.fill(field, value)
        page.keyboard.press("Enter")
        page.wait_for_selector(".applied h3")
        watched.check()
    finally:
        browser.close()


def test_rubbish_is_refused_in_a_sentence(demo):
    kind = {"Content_Type": "application/json", "Origin": demo.url}
    for path in ("check", "inside"):
        for body in (b"{", b"[]", b"{}", b'{"features":{}}', b'{"features":' + b"[" * 900 + b"]" * 900 + b"}", b'{"features":"' + b"x" * 2_100_000 + b'"}'):
            status, _, said = ask(f"{demo.url}/api/policy/{path}", body, **kind)
            assert status == 400 and "/" in json.loads(said)["error"], (path, body[:40], said)
    bow = json.dumps({"type": "FeatureCollection", "features": [zone([SQUARE[0], SQUARE[2], SQUARE[1], SQUARE[3], SQUARE[0]])]}).encode()
    assert ask(f"{demo.url}/api/policy/inside", bow, **kind)[0] == 400
    assert ask(f"{demo.url}/api/policy/check", bow, Content_Type="application/json", Origin="https://evil.example")[0] == 403
