"""Whose clock the time above the map follows: nobody's alone, so that a clock that is wrong changes nothing for the others."""

import json
import threading

from consumers.console.city.city import City
from consumers.console.sources.demo import DemoFeed
from streams.clock import DAY_MS, HOUR_MS

T = 1_782_446_400_000
AHEAD_MS = 290_000
IN_2038_MS = 2_145_916_800_000


def fix(vehicle, at_ms, **more):
    return json.dumps({"event_id": f"{vehicle}-{at_ms}", "event_time_ms": at_ms, "vehicle_id": vehicle, "lon": 111.65, "lat": 40.81, "speed_kmh": 20.0, **more}).encode()


def test_a_clock_that_is_ahead_silences_nobody_and_does_not_hold_time_up():
    city, others = City("hohhot-2019"), [f"v{number}" for number in range(20)]
    city.enter_fixes([fix(name, T - 15_000) for name in others], [T - 15_000] * 20)
    city.enter_fixes([fix("ahead", T + AHEAD_MS)], [T])
    city.tick()
    assert city.header()["stream_ms"] == T
    assert {city.fleet.about(name)["state"] for name in (*others, "ahead")} == {"moving"}
    for seconds in range(10, 100, 10):
        now_ms = T + seconds * 1000
        city.enter_fixes([fix("v0", now_ms - 1_000), fix("ahead", now_ms + AHEAD_MS)], [now_ms] * 2)
        assert city.header()["stream_ms"] == now_ms, "it goes on"
    assert city.vehicle("ahead")["track"][-1][0] > T + AHEAD_MS, "its own track is whole"


def test_where_no_arrival_is_known_time_is_that_of_the_fixes():
    city = City("hohhot-2019")
    city.enter_fixes([fix("a", T), fix("b", T + 1_000), fix("c", T + 60_000, arrival_time_ms=T + 2_000)], [None, -1, None])
    assert city.stream_ms == T + 2_000


def test_a_recorded_clock_of_another_year_does_not_set_the_time_of_a_replay():
    """In its file such a fix stands among others, and is due when they are; one that comes last is due when it says."""
    city, seen = City("hohhot-2019"), []
    recorded = [(T + seconds * 1000, fix("v", T + seconds * 1000)) for seconds in range(0, 2 * HOUR_MS // 1000, 10)]
    recorded.insert(300, (recorded[299][0], fix("wrong", IN_2038_MS)))
    recorded.append((IN_2038_MS, fix("wrong", IN_2038_MS)))
    whole = threading.Event()
    enter = city.enter_fixes

    def watched(*given):
        enter(*given)
        seen.append(city.stream_ms)
        if seen[-1] >= recorded[-2][0]:
            whole.set()

    city.enter_fixes = watched
    feed = DemoFeed(city, lambda _: None, lambda: iter(recorded), [], [], 3600.0)
    feed.start()
    assert whole.wait(60)
    feed.stop()
    assert max(seen) < T + DAY_MS and city.fleet.ids == ["v"]
