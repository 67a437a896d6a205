"""The figures above the page, what is said where they are not known, and what is said where something is amiss."""

import json
import urllib.request

from conftest import wait_for
from kafka import KafkaConsumer, OffsetAndMetadata, TopicPartition
from pipeline import Pipeline

from consumers.console.city.city import City
from consumers.console.signs import CLOCK_BEHIND_MS, REFUSED_LEAST, REFUSED_OVER_MS, STANDS_STILL_MS, Signs

T = 1_782_446_400_000
READY = "() => window.yicheng?.state.incidents.size >= 8 && window.yicheng.fleet.count >= 10"


def test_records_that_wait_are_those_behind_what_the_group_has_judged():
    signs = Signs()
    assert signs.lag()["records"] is None and signs.lag()["unknown"]["zh"] and signs.lag()["unknown"]["en"]
    signs.counted("yicheng", {0: 100, 1: 50, 2: 7}, {0: 90, 1: 50}, T)
    assert signs.lag() == {"records": 17, "is_still": False, "unknown": None}
    signs.counted("yicheng", {0: 100, 1: 50}, {0: 120, 1: 50}, T)
    assert signs.lag()["records"] == 0, "another count may be a moment older"
    signs.counted("mine", {0: 100}, {}, T)
    assert signs.lag()["records"] is None and "mine" in signs.lag()["unknown"]["en"] and "mine" in signs.lag()["unknown"]["zh"]


def test_a_worker_that_is_away_is_told_once_it_is_sure():
    signs = Signs()
    for seconds in range(0, 60, 5):
        signs.counted("g", {0: 100 + seconds}, {0: 50 + seconds}, T + seconds * 1000)
        assert signs.warning() is None, "it is slow, but at work"
    since = T + 55_000
    signs.counted("g", {0: 500}, {0: 105}, since + STANDS_STILL_MS - 1)
    assert signs.warning() is None
    signs.counted("g", {0: 600}, {0: 105}, since + STANDS_STILL_MS)
    assert "495" in signs.warning()["en"] and "495" in signs.warning()["zh"] and "./yicheng worker" in signs.warning()["en"] and signs.lag()["is_still"]
    signs.counted("g", {0: 600}, {0: 600}, since + 2 * STANDS_STILL_MS)
    signs.counted("g", {0: 600}, {0: 600}, since + 9 * STANDS_STILL_MS)
    assert signs.warning() is None, "nothing waits: nothing is amiss"
    signs.counted("g", {0: 601}, {0: 600}, since + 9 * STANDS_STILL_MS + 1)
    assert signs.warning() is None, "it has had no time yet"


def test_workers_that_never_were_there_are_missed_too():
    signs = Signs()
    signs.counted("g", {0: 5}, {}, T)
    signs.counted("g", {0: 9}, {}, T + STANDS_STILL_MS)
    assert signs.warning()["en"].startswith("No worker is judging") and "None" not in signs.warning()["en"] + signs.warning()["zh"]
    signs.not_counted({"zh": "无", "en": "none"})
    assert signs.warning() is None and signs.lag() == {"records": None, "is_still": False, "unknown": {"zh": "无", "en": "none"}}


def test_a_clock_that_is_behind_that_of_kafka_is_told():
    signs = Signs()
    signs.heard(T, T + 500)
    assert signs.warning() is None
    signs.heard(T, T - CLOCK_BEHIND_MS - 1_000)
    assert "31 s behind" in signs.warning()["en"] and "31 秒" in signs.warning()["zh"] and "timedatectl" in signs.warning()["en"]
    signs.heard(T, T)
    assert signs.warning() is None


def test_fixes_that_are_refused_in_bulk_are_told_by_the_city():
    city = City("hohhot-2019")
    good = [json.dumps({"event_id": f"e{number}", "event_time_ms": T + number, "vehicle_id": "HH-1", "lon": 111.6, "lat": 40.8}).encode() for number in range(REFUSED_LEAST)]
    city.enter_fixes(good, [T] * REFUSED_LEAST)
    assert city.signs.warning() is None
    city.enter_fixes(good * 2, [T - 7_200_000] * 2 * REFUSED_LEAST)
    assert f"{2 * REFUSED_LEAST} of the last minute's {3 * REFUSED_LEAST} fixes" in city.signs.warning()["en"] and "dead list" in city.signs.warning()["zh"]
    signs = Signs()
    signs.entered(100, 100, T)
    signs.entered(1, 0, T + REFUSED_OVER_MS + 1)
    assert signs.warning() is None, "that was more than a minute ago"


def test_lag_is_counted_from_kafka_without_joining_the_group(kafka, yicheng, tmp_path, console):
    site = Pipeline(kafka, yicheng, tmp_path)
    for number in range(30):
        site.producer.send("courier.gps.v1", b"{}", b"v", partition=number % 3)
    site.producer.flush()
    worker = KafkaConsumer(bootstrap_servers=kafka, group_id="lag", enable_auto_commit=False)  # of that of other tests a killed worker may still be a member
    worker.commit({TopicPartition("courier.gps.v1", 0): OffsetAndMetadata(10, "", -1), TopicPartition("courier.gps.v1", 1): OffsetAndMetadata(4, "", -1)})
    worker.close()
    child = console(YICHENG_KAFKA_BOOTSTRAP=kafka, YICHENG_GROUP="lag")
    lag = lambda: json.loads(urllib.request.urlopen(f"{child.url}/api/state", timeout=30).read())["header"]["lag"]["records"]  # noqa: E731
    wait_for("what waits", lambda: lag() == 16)
    site.producer.send("courier.scan.v1", b"{}", b"w")
    site.producer.flush()
    wait_for("one more", lambda: lag() == 17)


def told(route, rates):
    """The state, but with these rates."""
    answer = route.fetch()
    route.fulfill(response=answer, json={**(found := answer.json()), "replaying": False, "header": {**found["header"], "rates": rates, "lag": {"records": 1234, "is_still": True, "unknown": None}}})


def test_the_header_says_targets_and_forecasts_and_why_something_is_not_known(console, recorded_day, watch):
    demo = console("--demo", recorded_day, "--speedup", 3600)
    watched = watch(demo.url)
    page = watched.open("/?lang=en")
    page.wait_for_function(READY)
    assert page.text_content("#lag") == "–" and "a recorded day is replayed" in page.get_attribute("#lag span", "title")
    page.wait_for_function("() => document.querySelector('#electronic small')?.textContent === 'target 90% *'")  # the day is over: there is nothing to forecast
    assert page.locator("#lag").is_hidden(), "and nothing waits"
    assert page.evaluate("document.querySelector('#electronic small').offsetWidth") > 50, "it is to be seen"
    assert page.evaluate("document.querySelector('#figures').scrollWidth <= document.querySelector('#figures').clientWidth + 1")
    watched.check()
    other = watch(demo.url)
    other.page.route("**/api/events*", lambda route: route.abort())
    rates = {"electronic": {"rate": 0.95, "forecast": 0.893, "target": 0.9}, "green": {"rate": None, "forecast": None, "target": None}}
    other.page.route("**/api/state", lambda route: told(route, rates))
    page = other.open("/?lang=zh")
    page.wait_for_function(READY)
    assert page.text_content("#electronic") == "95.0%目标 90% · 预计 89.3%" and page.text_content("#electronic small .low") == "预计 89.3%", "it is ahead now, and will not be"
    assert page.text_content("#green") == "–目标 – · 预计 –" and "收寄" in page.get_attribute("#green .quiet", "title")
    assert page.text_content("#lag .low") == "1,234" and "worker" in page.get_attribute("#lag .low", "title")


def test_stream_time_that_stands_still_is_marked(console, recorded_day, watch):
    demo = console("--demo", recorded_day, "--speedup", 3600)
    watched = watch(demo.url)
    watched.page.clock.install()
    page = watched.open("/?lang=en")
    page.wait_for_function(READY)
    assert page.locator("#stream-time.low").count() == 0
    demo.terminate()
    demo.wait()
    page.wait_for_function("() => !document.querySelector('#status').hidden")
    page.clock.fast_forward(120_000)
    page.wait_for_selector("#stream-time.low")
    assert page.get_attribute("#stream-time", "title").startswith("No new data since")
    watched.check(outage=True)
