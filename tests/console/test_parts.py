"""The console's parts: frames of positions, the log of events, zones by instant, the base map, incidents and answers."""

import json
import struct
import tracemalloc
import zlib
from datetime import datetime

import numpy as np
import pytest

from consumers.console.city.city import City
from consumers.console.city.history import EVENTS_KEPT, EventLog
from consumers.console.city.incidents import Incidents
from consumers.console.city.zones import zone_shapes, zone_states
from consumers.console.fleet.basemap import Basemap
from consumers.console.fleet.positions import FRAMES_KEPT, SILENT_MS, Fleet, Leg
from consumers.console.fleet.tracks import EVERY_MS, POINTS, Tracks
from consumers.console.web.asked_answers import answer_record
from streams.clock import DAY_MS
from streams.policy.policy import Policies
from streams.policy.reader import load_policy
from streams.wire.decode import Malformed
from streams.wire.events import LAST_MS, Fix

T = 1_782_446_400_000
MOVING, STANDING, OFFENDING, SILENT = range(4)


def fix(vehicle, at_ms, lon=111.65, lat=40.81, **more):
    return Fix(f"{vehicle}-{at_ms}", at_ms, vehicle, lon, lat, **more)


def frames(data):
    """The frames of positions in some bytes, read by their description alone."""
    found, at = [], 0
    while at < len(data):
        magic, epoch, sequence, base, count, ids, stream_ms = struct.unpack_from("<4sIIIIId", data, at)
        assert magic == b"YCP1"
        place, columns = at + 32, []
        for kind in ("<u4", "<i4", "<i4", "<u4", "<u2", "u1"):
            columns.append(np.frombuffer(data, kind, count, place).tolist())
            place += columns[-1].__len__() * np.dtype(kind).itemsize
        rows = {number: (lon / 1e7, lat / 1e7, heading, age, state) for number, lon, lat, age, heading, state in zip(*columns, strict=True)}
        found.append((epoch, sequence, base, ids, stream_ms, rows))
        at = place + -(place - at) % 8
    return found


def test_a_frame_tells_what_has_changed_since_the_one_before():
    fleet = Fleet(9)
    fleet.enter(fix("a", T, speed_kmh=20.0, heading_deg=90.0))
    fleet.enter(fix("b", T, lon=-70.5, lat=-33.25, speed_kmh=0.0))
    assert fleet.tick(T, []) == 1
    ((epoch, sequence, base, ids, stream_ms, rows),) = frames(fleet.since(0, 9))
    assert (epoch, sequence, base, ids, stream_ms) == (9, 1, 0, 2, T)
    assert rows == {0: (111.65, 40.81, 90, 0, MOVING), 1: (-70.5, -33.25, 65535, 0, STANDING)}
    assert fleet.since(1, 9) == b""
    fleet.enter(fix("b", T + 5_000, lon=-70.5, lat=-33.24))
    fleet.tick(T + 7_000, [])
    ((_, _, base, _, _, rows),) = frames(fleet.since(1, 9))
    assert base == 1 and rows == {1: (-70.5, -33.24, 0, 2, MOVING)}, "without a heading and a speed both follow from the way"
    assert len(frames(fleet.since(0, 9))[0][5]) == 2


def test_a_fix_that_is_older_than_its_vehicle_changes_nothing():
    fleet = Fleet(1)
    fleet.enter(fix("a", T))
    assert fleet.enter(fix("a", T - 1, lon=100.0)) is None and fleet.enter(fix("a", T, lon=100.0)) is None
    fleet.tick(T, [])
    assert frames(fleet.since(0, 1))[0][5][0][0] == 111.65


def test_states_change_with_time_and_incidents_alone():
    fleet = Fleet(1)
    fleet.enter(fix("a", T, speed_kmh=30.0))
    fleet.tick(T, ["a", "never-seen"])
    assert frames(fleet.since(0, 1))[0][5][0][4] == OFFENDING
    fleet.tick(T + SILENT_MS + 1, [])
    (frame,) = frames(fleet.since(1, 1))
    assert frame[5][0][3:] == ((SILENT_MS + 1) // 1000, SILENT)
    fleet.tick(T + SILENT_MS + 2, [])
    assert frames(fleet.since(2, 1))[0][5] == {}, "nothing has changed"


def test_a_silence_of_days_is_as_long_as_it_is():
    fleet = Fleet(1)
    fleet.enter(fix("a", T))
    fleet.tick(T + 3 * DAY_MS, [])
    assert frames(fleet.since(0, 1))[0][5][0][3] == 3 * 86_400


def test_vehicles_beyond_those_that_are_shown_are_told_of(monkeypatch):
    monkeypatch.setattr("consumers.console.fleet.positions.MOST_VEHICLES", 2)
    city = City("hohhot-2019")
    city.policies = Policies([load_policy("hohhot-2019")])
    city.history_is_read()
    city.say(None)
    for vehicle in ("a", "b", "a"):
        city._enter_fix(fix(vehicle, T))
    assert city.header()["status"] is None
    city._enter_fix(fix("c", T))
    assert "vehicles" in city.header()["status"]["en"] and "车辆" in city.header()["status"]["zh"] and city.header()["vehicles"] == 2


def test_who_is_too_far_behind_or_of_another_epoch_gets_everything():
    fleet = Fleet(3)
    for number in range(100):
        fleet.enter(fix(f"v{number}", T + number))
    for _ in range(FRAMES_KEPT + 5):
        fleet.tick(T, [])
    for sequence, epoch in ((1, 3), (64, 2), (99, 3), (0, 0)):
        (frame,) = frames(fleet.since(sequence, epoch))
        assert frame[2] == 0 and len(frame[5]) == 100, (sequence, epoch)
    assert [frame[1] for frame in frames(fleet.since(62, 3))] == [63, 64, 65]


def test_who_comes_back_gets_what_was_missed_or_a_fresh_start():
    log = EventLog(5)
    for number in range(EVENTS_KEPT + 10):
        log.tell("incident", b"%d" % number)
    assert [told.data for told in log.after(f"5-{EVENTS_KEPT + 8}")] == [b"%d" % (EVENTS_KEPT + 8), b"%d" % (EVENTS_KEPT + 9)]
    assert log.after(log.newest_id) == [] and len(log.after("5-10")) == EVENTS_KEPT
    assert [log.after(name) for name in ("5-9", "4-20", f"5-{EVENTS_KEPT + 11}", "", "5-", "5-x", "5--1", "5-²")] == [None] * 8
    assert log.after("5-10")[0].as_sent() == b"id: 5-11\nevent: incident\ndata: 10\n\n"


def at(policy, text):
    return int(datetime.fromisoformat(text).replace(tzinfo=policy.timezone).timestamp() * 1000)


def test_zones_say_what_they_forbid_now_and_until_when():
    policy = load_policy("hohhot-2019")
    policies = Policies([policy])
    core = lambda moment: next(zone for zone in zone_states(policies, at(policy, moment)) if zone["zone_id"] == "core")  # noqa: E731
    noon, night, early = core("2026-06-25T12:00"), core("2026-06-25T21:00"), core("2026-06-26T03:00")
    assert (noon["level"], noon["until_ms"]) == ("closed", at(policy, "2026-06-25T20:00"))
    assert (night["level"], night["until_ms"]) == ("free", at(policy, "2026-06-26T07:00")), "midnight changes nothing"
    assert (early["level"], early["until_ms"]) == ("free", at(policy, "2026-06-26T07:00"))
    assert [rule["id"] for rule in noon["rules"]] == ["core-daytime"] and [rule["id"] for rule in night["later"]] == ["core-daytime"]
    said = noon["rules"][0]["lines"]
    assert "不得" in said["zh"][0] and "must not" in said["en"][0] and noon["rules"][0]["basis"] == "illustrative"
    loading = next(zone for zone in zone_states(policies, at(policy, "2026-06-25T12:00")) if zone["level"] == "limited")
    assert loading["until_ms"] is None, "it holds around the clock"


@pytest.mark.parametrize("name", ["hezhou-2018", "hohhot-2019", "shaoxing-2019", "wulong-2019", "yunnan-2018"])
def test_every_pack_has_its_zones_drawn(name):
    policy = load_policy(name)
    moment = at(policy, "2026-06-25T12:00")
    states, shapes = zone_states(Policies([policy]), moment), zone_shapes(Policies([policy]), moment)
    assert [state["zone_id"] for state in states] == [shape["properties"]["zone_id"] for shape in shapes["features"]] == list(policy.pack.geometries)
    assert all(state["name_zh"] and state["name_en"] for state in states) and len({state["level"] for state in states}) >= 2
    json.dumps(shapes)


def pixels(png):
    """The levels of an image of ours: 256 lines, each after its filter."""
    at, data = 8, b""
    while at < len(png):
        length, kind = struct.unpack_from(">I4s", png, at)
        data += png[at + 8 : at + 8 + length] if kind == b"IDAT" else b""
        at += 12 + length
    return np.frombuffer(zlib.decompress(data), np.uint8).reshape(256, 257)[:, 1:]


def tile_of(lon, lat, zoom):
    x = (lon + 180) / 360 * 2**zoom
    y = (1 - np.arcsinh(np.tan(np.radians(lat))) / np.pi) / 2 * 2**zoom
    return int(x), int(y), int(x % 1 * 256), int(y % 1 * 256)


def drive(number=0, kmh=30.0, passed_ms=10_000, to=(111.652, 40.81)):
    return Leg(number, T, T + passed_ms, 111.65, 40.81, *to, kmh)


def test_the_base_map_holds_the_ways_that_were_driven_and_no_others(tmp_path):
    base = Basemap(tmp_path / "deep" / "map.npz")
    base.enter([drive(kmh=0.0), drive(passed_ms=600_000), drive(to=(112.9, 40.81)), drive()])
    base.redraw()
    for zoom in (14, 12, 9):
        column, row, x, y = tile_of(111.651, 40.81, zoom)
        found = pixels(base.tile("light", zoom, column, row))
        assert found[y, x] > 0 and (found > 0).sum() <= 60, zoom
    column, row, x, y = tile_of(111.651, 40.81, 14)
    once = pixels(base.tile("dark", 14, column, row))[y, x]
    base.enter([drive()] * 5)
    assert pixels(base.tile("dark", 14, column, row))[y, x] == once, "it is drawn anew now and then"
    base.redraw()
    often = pixels(base.tile("dark", 14, column, row))
    assert often[y, x] > once and not pixels(base.tile("dark", 14, 0, 0)).any()
    base.save()
    again = Basemap(tmp_path / "deep" / "map.npz")
    again.redraw()
    assert abs(int(pixels(again.tile("dark", 14, column, row))[y, x]) - int(often[y, x])) <= 1


def test_the_base_map_ages_over_days_and_a_broken_file_is_a_new_beginning(tmp_path, monkeypatch):
    base = Basemap(tmp_path / "map.npz")
    base.enter([drive()])
    base.save()
    column, row, x, y = tile_of(111.651, 40.81, 14)
    levels = []
    for days in (0, 3, 6, 60):
        monkeypatch.setattr("consumers.console.fleet.basemap.time.time", lambda days=days: base._aged_s + days * 86_400)
        later = Basemap(tmp_path / "map.npz")
        levels.append(int(pixels(later.tile("light", 14, column, row))[y, x]))
    assert levels[0] > levels[1] > levels[2] > levels[3] == 0
    (tmp_path / "map.npz").write_bytes(b"PK\x03\x04 no such thing")
    assert not pixels(Basemap(tmp_path / "map.npz").tile("light", 14, column, row)).any()


def test_a_new_street_takes_the_place_of_the_emptiest_tile_and_that_is_said(monkeypatch):
    monkeypatch.setattr("consumers.console.fleet.basemap.MOST_TILES", 2)
    base, later = Basemap(), lambda lon: Leg(0, T, T + 10_000, lon, 40.81, lon + 0.002, 40.81, 30.0)
    base.enter([later(111.65)] * 3 + [later(112.65)])
    base.redraw()
    assert base.warning is None
    base.enter([later(113.65)] * 2)
    base.redraw()
    drawn = [pixels(base.tile("light", 14, *tile_of(lon + 0.001, 40.81, 14)[:2])).any() for lon in (111.65, 112.65, 113.65)]
    assert drawn == [True, False, True] and "1 of" not in base.warning["en"] and "2 tiles" in base.warning["en"] and "2 块" in base.warning["zh"]


def test_a_track_is_the_last_hour_thinned():
    tracks = Tracks()
    for second in range(0, 7_200, 5):
        tracks.enter(Leg(70, 0, T + second * 1000, 0, 0, 111.0 + second / 1e5, 40.0, 12.5))
    points = tracks.of(70, T + 7_195_000)
    assert len(points) in {POINTS - 1, POINTS} and points == sorted(points) and points[-1][0] > T + 7_195_000 - EVERY_MS
    assert points[-1][1:] == (pytest.approx(111.0 + (points[-1][0] - T) / 1e8), 40.0, 12.5) and tracks.of(3, T) == [] == tracks.of(7_000, T)


def test_tracks_of_many_vehicles_take_no_more_than_is_said():
    """2.5 kB a vehicle, also while they come, and whatever a fix says of its time and speed."""
    tracks = Tracks()
    tracemalloc.start()
    for number in range(20_000):
        tracks.enter(Leg(number, 0, T, 0, 0, 111.0, 40.0, 12.34))
    _, peak_bytes = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak_bytes < 20_000 * 2_700
    tracks.enter(Leg(19_999, 0, LAST_MS - 1, 0, 0, -111.0, -40.0, 1e12))
    assert tracks.of(19_999, T)[0] == (T, 111.0, 40.0, 12.3) and tracks.of(19_999, T)[1][1:] == (-111.0, -40.0, 6_553.5)


def incident(name="i", revision=1, state="open", **more):
    data = {
        "incident_id": name, "revision": revision, "synthetic": True, "state": state, "rule": "speeding", "rule_id": "s", "vehicle_id": "HH-1", "severity": "warning",
        "opened_at_ms": T, "last_seen_ms": T, "evidence": [{"event_id": "e", "event_time_ms": T, "lon": 111.6, "lat": 40.8, "speed_kmh": 20.0}], **more,
    }  # fmt: skip
    return json.dumps({"id": f"{name}/{revision}", "type": "yicheng.incident.opened.v1", "data": data}).encode()


def said(name="i", action="acknowledged", time_ms=T, **more):
    return json.dumps({"incident_id": name, "action": action, "time_ms": time_ms, "by": None, "reason": None, **more}).encode()


def test_the_last_revision_counts_whatever_comes_again():
    known = Incidents()
    assert known.enter(incident(revision=2, state="closed")) and known.enter(incident()) is None and known.enter(incident(revision=2)) is None
    assert known.counts() == {"open": 0, "unanswered": 1} and not known.open_of
    known.enter(incident(revision=3))
    assert known.open_of == {"HH-1": 1} and known.counts()["open"] == 1
    known.enter(incident(revision=4, state="retracted"))
    assert known.counts() == {"open": 0, "unanswered": 0} and not known.open_of and list(known.standing()) == []


def test_a_vehicle_is_at_fault_until_its_incidents_end_or_are_dismissed():
    known = Incidents()
    known.enter(incident("a"))
    known.enter(incident("b"))
    known.enter_answer(said("a", "acknowledged"))
    known.enter_answer(said("a", "dismissed", T + 1))
    assert known.open_of == {"HH-1": 1} and known.said_of("a").state == "dismissed" and known.counts() == {"open": 1, "unanswered": 1}
    known.enter_answer(said("a", "noted", T + 2, reason="why"))
    assert known.said_of("a").state == "dismissed" and known.said_of("b").state is None, "a note is no answer"
    known.enter_answer(said("a", "dismissed", T + 1))
    assert len(known.details(known.latest["a"])["answers"]) == 3, "a repeat is no further answer"
    known.enter(incident("b", 2, "closed"))
    assert not known.open_of
    known.enter_answer(said("late"))
    known.enter(incident("late"))
    assert known.said_of("late").state == "acknowledged", "an answer may be read before its incident"


def test_a_note_leaves_an_incident_waiting_for_the_notifier_too():
    from consumers.answers.waiting import Answers

    answers = Answers()
    answers.enter_incident(incident(city="150100"), T)
    answers.enter_answer(said(action="noted"), T, count=True)
    assert list(answers.waiting) == ["i"]
    answers.enter_answer(said(), T, count=True)
    assert not answers.waiting


@pytest.mark.parametrize("value", [None, b"", b"{", b"[]", b'{"id":"a","type":"x","data":{}}', incident(opened_at_ms=-5), incident("i\n"), b"[" * 5000])
def test_what_is_no_incident_is_malformed(value):
    with pytest.raises(Malformed):
        Incidents().enter(value)


@pytest.mark.parametrize(
    "asked", [{}, {"incident_id": "", "action": "acknowledged"}, {"incident_id": 5, "action": "acknowledged"}, {"incident_id": "a", "action": "fined"},
              {"incident_id": "a", "action": "dismissed", "reason": " \n"}, {"incident_id": "a", "action": "noted"}, {"incident_id": "a", "action": "noted", "reason": "x" * 501},
              {"incident_id": "a", "action": "acknowledged", "by": "x" * 501}, {"incident_id": "a", "action": []},
              {"incident_id": "a", "action": "rejected"}, {"incident_id": "a", "action": "upheld", "objection": 5}, {"incident_id": "a", "action": "acknowledged", "objection": "0123456789abcdef"},
              {"incident_id": "a", "action": "acknowledged", "answer_id": 5}, {"incident_id": "a", "action": "acknowledged", "answer_id": "short"}, {"incident_id": "a", "action": "acknowledged", "revision": "1"}],
)  # fmt: skip
def test_what_is_no_answer_is_refused(asked):
    with pytest.raises(Malformed):
        answer_record(asked, T)


def test_an_answer_is_what_the_command_line_publishes():
    key, value = answer_record({"incident_id": "a", "action": "dismissed", "by": " 王\n警官 ", "reason": "配送  许可", "time_ms": 1, "x": 2}, T)
    assert key == b"a" and json.loads(value) == {"incident_id": "a", "action": "dismissed", "time_ms": T, "by": "王 警官", "reason": "配送 许可"}
    _, value = answer_record({"incident_id": "a", "action": "acknowledged", "answer_id": "0123456789abcdef", "revision": 3}, T)
    assert json.loads(value) == {"incident_id": "a", "action": "acknowledged", "time_ms": T, "by": None, "reason": None, "answer_id": "0123456789abcdef", "revision": 3}, "a repeat has the same id"


def test_a_city_takes_what_can_be_read_and_tells_it_to_viewers():
    city = City("hohhot-2019")
    city.say(None)
    city.enter_incident(incident("old"))
    city.enter_incident(incident("old", 2, "retracted"))
    assert city.log.number == 0 and (before := city.log.epoch)
    city.history_is_read()
    assert city.log.after(f"{before}-0") is None, "who has seen half of the history starts afresh"
    good = json.dumps({"event_id": "e", "event_time_ms": T, "vehicle_id": "HH-1", "lon": 111.656, "lat": 40.8115, "coord_sys": "gcj02", "plate": "蒙A1"}).encode()
    assert city.enter_fixes([good, b"rubbish", good.replace(b"40.8115", b"95"), None], [T] * 4) == 3
    assert city.enter_fixes([good.replace(b'"e"', b'"f"')], [T - 3_600_000]) == 1, "it comes from the future"
    city.enter_incident(incident())
    city.enter_answer(said())
    city.tick()
    assert [told.kind for told in city.log.after(f"{city.log.epoch}-0")] == ["incident", "answer", "header", "zones", "registry", "views"]
    about = city.vehicle("HH-1")
    assert about["now"]["state"] == "offending" and about["now"]["lon"] == pytest.approx(111.65, abs=1e-3), "positions are WGS-84"
    assert [row["answer"] for row in about["incidents"]] == ["acknowledged"] and city.vehicle_table(0)["rows"] == [("HH-1", "蒙A1", None)]
    assert city.vehicle("nobody") is None and city.incident("nobody") is None
    assert "hohhot-2019" in city.header()["status"]["en"], "without a pack there are no zones, and it says so"
    told = city.log.number
    city.tick()
    assert city.log.number == told, "nothing new is nothing to tell"
    with pytest.raises(Malformed):
        city.enter_rate(b"{}")
    city.enter_rate(b'{"city":"1","enterprise_id":"*","date":"2026-06-26","accepted":10,"electronic_rate":0.95,"window":"2026-06-26","revision":2}')
    city.enter_rate(b'{"city":"1","enterprise_id":"*","date":"2026-06-26","accepted":9,"electronic_rate":0.5,"window":"2026-06-26","revision":1}')
    city.enter_rate(b'{"city":"1","enterprise_id":"*","date":"2026-06-26","accepted":9,"electronic_rate":0.1,"window":"30d","revision":3}')
    assert city.header()["rates"]["electronic"]["rate"] == 0.95
