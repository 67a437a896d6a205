"""An hour read again from a real Kafka: by offset, within bounds, exactly, and without a trace."""

import asyncio
import json
import threading
import time
from datetime import datetime
from zoneinfo import ZoneInfo

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer
from conftest import wait_for
from kafka import KafkaProducer

from console.test_live import groups
from console.test_server import ask
from consumers.console.accounts.access import ACCESS, Access, log_in_first
from consumers.console.city.city import City
from consumers.console.fleet.replay import Hour, Point, Way
from consumers.console.sources import past_hour, past_records
from consumers.console.web.replay_pages import AT_ONCE, MOST_WAITING, ReplayPages
from deploy.ports import free_port
from streams.clock import HOUR_MS, MINUTE_MS, now_ms
from streams.errors import Unavailable
from streams.settings import Settings
from streams.wire.topics import DEAD, GPS, LATE

NOON_MS = 1_782_446_400_000
LATENESS_MS = 10 * MINUTE_MS


def fix(vehicle, at_ms, event=None, **more):
    return json.dumps({"event_id": event or f"{vehicle}-{at_ms}", "event_time_ms": at_ms, "vehicle_id": vehicle, "lon": 111.65, "lat": 40.81, **more}).encode()


def read(bootstrap, vehicles, from_ms, is_stopping=lambda: False):
    hour = past_hour.read_hour(bootstrap, vehicles, from_ms, LATENESS_MS, is_stopping)
    return {way.vehicle_id: [point.time_ms - from_ms for point in way.points] for way in hour.ways}, [note["en"] for note in hour.notes]


class Sender:
    """Sends fixes and letters as producers and workers do; ``from_ms``: the beginning of an hour that is over."""

    def __init__(self, bootstrap):
        self.producer, self.from_ms = KafkaProducer(bootstrap_servers=bootstrap), now_ms() - 3 * HOUR_MS

    def fix(self, vehicle, after_ms, event=None, partition=None, **more):
        return self.producer.send(GPS.name, fix(vehicle, self.from_ms + after_ms, event, **more), vehicle.encode(), partition=partition).get(30)

    def refuse(self, topic, vehicle, sent):
        headers = {"reason": "late", "topic": sent.topic, "partition": str(sent.partition), "offset": str(sent.offset)}
        self.producer.send(topic, b"", vehicle.encode(), headers=[(name, text.encode()) for name, text in headers.items()]).get(30)


@pytest.fixture
def sender(kafka):
    made = Sender(kafka)
    yield made
    made.producer.close()


def test_an_hour_is_read_exactly_and_nothing_is_committed(kafka, sender):
    before = groups(kafka)
    for after_ms in (20_000, 10_000, 10_000, -1, HOUR_MS, HOUR_MS - 1):
        sender.fix("a", after_ms)
    sender.fix("a", 40_000, lat=95.0)
    sender.refuse(LATE.name, "a", sender.fix("a", 50_000))
    sender.refuse(DEAD.name, "a", sender.fix("a", 60_000))
    sender.fix("elsewhere", 5_000, partition=(sender.fix("elsewhere", -5).partition + 5) % 12)
    other = KafkaProducer(bootstrap_servers=kafka, transactional_id="gateway")
    other.init_transactions()
    for after_ms, end in ((70_000, other.abort_transaction), (80_000, other.commit_transaction)):
        other.begin_transaction()
        other.send(GPS.name, fix("a", sender.from_ms + after_ms), b"a")
        other.flush(30)
        end()
    other.close()
    assert read(kafka, ["a", "elsewhere", "nobody"], sender.from_ms) == ({"a": [10_000, 20_000, 80_000, HOUR_MS - 1], "elsewhere": [5_000], "nobody": []}, [])
    sender.fix("a", HOUR_MS + LATENESS_MS + 1)
    wait_for("the records on disk", lambda: read(kafka, ["a"], sender.from_ms + HOUR_MS)[0]["a"] == [0, LATENESS_MS + 1])
    sender.fix("a", 90_000)
    assert 90_000 not in read(kafka, ["a"], sender.from_ms)[0]["a"], "it is late, whether or not a worker has said so"
    assert groups(kafka) == before


def test_what_is_too_much_is_said(kafka, sender, monkeypatch):
    for after_s in range(50):
        sender.producer.send(GPS.name, fix("a", sender.from_ms + after_s * 1000), b"a")
    sender.producer.flush(30)
    monkeypatch.setattr(past_records, "RECORDS_AT_ONCE", 10)
    monkeypatch.setattr(past_hour, "MOST_RECORDS", 20)
    found, notes = read(kafka, ["a"], sender.from_ms)
    assert found["a"] == [second * 1000 for second in range(20)] and len(notes) == 1 and "choose fewer vehicles" in notes[0]
    began_s = time.monotonic()
    assert read(kafka, ["a"], sender.from_ms, lambda: True)[0] == {"a": []} and time.monotonic() - began_s < 10


def test_without_kafka_there_is_a_sentence():
    with pytest.raises(Unavailable, match="Kafka does not answer"):
        read(f"127.0.0.1:{free_port()}", ["a"], now_ms())


class SlowFeed:
    """Hours that take until they are let go; ``read``: which vehicles were asked for, each time."""

    def __init__(self):
        self.read, self.may_end = [], threading.Event()

    def span_ms(self):
        return NOON_MS - HOUR_MS, NOON_MS + HOUR_MS

    def hour(self, vehicle_ids, from_ms, is_stopping):
        self.read.append(list(vehicle_ids))
        assert self.may_end.wait(20)
        return Hour(from_ms, [Way(name, None, [Point(from_ms, 111.65, 40.81, 0.0)]) for name in vehicle_ids], [])


def test_others_are_answered_while_an_hour_is_read_and_what_was_read_is_not_read_again(tmp_path):
    async def many():
        feed, app = SlowFeed(), web.Application(middlewares=[log_in_first])
        app[ACCESS] = access = Access(Settings(state_dir=tmp_path))
        pages = ReplayPages(City("hohhot-2019"), feed, lambda: False)
        app.add_routes(pages.routes())
        async with asyncio.timeout(60), TestClient(TestServer(app)) as client:
            get = lambda name, **said: client.get(f"/api/replay/{name}", params={"hour": "2026-06-26T12:00", **said})  # noqa: E731
            waiting = [asyncio.create_task(get("ways", v=f"v{number}")) for number in range(MOST_WAITING)]
            while pages._waiting < MOST_WAITING or len(feed.read) < AT_ONCE:
                assert (await get("hours")).status == 200, "the loop goes on"
            refused = await get("ways", v="one too many")
            assert refused.status == 503 and "try again" in (await refused.json())["error"] and len(feed.read) == AT_ONCE
            feed.may_end.set()
            assert [answer.status for answer in await asyncio.gather(*waiting)] == [200] * MOST_WAITING
            read = len(feed.read)
            assert (await get("export.gpx", v="v1")).status == 200 and len(feed.read) == read, "a file holds what the page shows"
            (line,) = access.audit.path.read_text("utf-8").splitlines()
            assert '"exported"' in line and "gpx of 2026-06-26T12:00" in line and '"v1"' in line

    asyncio.run(many())


def test_a_track_of_before_the_start_is_read_for_an_hour_after_it():
    city = City("hohhot-2019")
    pages = ReplayPages(city, SlowFeed(), lambda: False)
    assert 0 <= now_ms() - HOUR_MS - pages._unfollowed_ms() < 2 * MINUTE_MS, "nothing has come yet"
    city.enter_fixes([fix("a", NOON_MS + second * 1000) for second in (0, 5)], [None, None])
    assert pages._unfollowed_ms() == NOON_MS + 5_000 - HOUR_MS
    city.enter_fixes([fix("a", NOON_MS + HOUR_MS)], [None])
    assert pages._unfollowed_ms() == NOON_MS + 5_000 - HOUR_MS, "which vehicle was where between is known"
    city.enter_fixes([fix("a", NOON_MS + HOUR_MS + 6_000)], [None])
    assert pages._unfollowed_ms() is None
    city.begin_anew()
    city.replaying = True
    assert pages._unfollowed_ms() is None, "a recorded day begins with its first fix"


def test_a_console_on_kafka_replays_an_hour(kafka, sender, console):
    sender.fix("a", 5 * MINUTE_MS)
    sender.fix("a", 6 * MINUTE_MS)
    just_before = [3 * HOUR_MS - minutes * MINUTE_MS for minutes in (50, 40)]
    for after_ms in just_before:
        sender.fix("a", after_ms, speed_kmh=20.0)
        sender.fix("a", after_ms + 1_000)
    url = console(YICHENG_KAFKA_BOOTSTRAP=kafka).url
    hours = json.loads(ask(f"{url}/api/replay/hours")[2])
    assert hours["first"] < hours["offered"] < hours["last"]
    local = datetime.fromtimestamp(sender.from_ms / 1000, ZoneInfo("Asia/Shanghai")).strftime("%Y-%m-%dT%H:%M")
    wait_for("the console to know Kafka", lambda: json.loads(ask(f"{url}/api/state")[2])["header"]["status"]["en"].startswith("no pack"))
    (way,) = json.loads(ask(f"{url}/api/replay/ways?hour={local}&v=a")[2])["vehicles"]
    assert [point[0] - sender.from_ms for point in way["points"]] == [5 * MINUTE_MS, 6 * MINUTE_MS]
    track = lambda name: [(time_ms - sender.from_ms, speed_kmh) for time_ms, _, _, speed_kmh in json.loads(ask(f"{url}/api/track?id={name}")[2])["points"]]  # noqa: E731
    assert track("a") == [(after_ms, 20.0) for after_ms in just_before], "as sent before the start, one in 20 s"
    sender.fix("a", 3 * HOUR_MS)
    wait_for("what comes now", lambda: json.loads(ask(f"{url}/api/state")[2])["header"]["vehicles"] == 1)
    assert track("a") == [(after_ms, 20.0) for after_ms in just_before] and track("nobody") == track("%00") == []
