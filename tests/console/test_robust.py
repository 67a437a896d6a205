"""What a console lives through: records that cannot be right, a disk that takes nothing, a save that takes long, errors in its threads."""

import json
import threading

import pytest
from conftest import wait_for
from kafka import KafkaProducer

from console.console_site import Site, T, filled, incident
from consumers.console.city.city import City
from consumers.console.city.day_rates import DAYS, DayRates
from consumers.console.fleet.basemap import Basemap
from consumers.console.fleet.positions import Leg
from consumers.console.signs import FAILED, Signs
from consumers.console.sources.backlog import Backlog
from consumers.console.sources.demo import DemoFeed, read_folder, revisions
from consumers.console.sources.feed import LOST, KafkaFeed
from deploy.topic_admin import create_topics, delete_topics
from streams.errors import BadInput
from streams.policy.checks import pack_record
from streams.policy.policy import Policies
from streams.policy.reader import load_policy
from streams.settings import Settings
from streams.wire.decode import Malformed
from streams.wire.topics import POLICY, RATES

DAY = "2026-06-26"


def rate(**more):
    return {"city": "150100", "enterprise_id": "*", "date": DAY, "accepted": 10, "electronic_rate": 0.95, "window": more.get("date", DAY), "revision": 1, **more}


@pytest.mark.parametrize(
    "more", [{"accepted": 10**30}, {"accepted": -1}, {"accepted": 2**53}, {"accepted": True}, {"revision": 10**30}, {"revision": "new"}, {"electronic_rate": {"a": 1}}, {"electronic_rate": "1"},
             {"green_forecast": []}, {"electronic_rate": 10**30}, {"date": "zzzz"}, {"date": "20260626"}, {"date": "2026-02-30"}, {"date": "2026-07-26"}, {"date": "9999-12-31"}],
)  # fmt: skip
def test_a_row_of_rates_that_cannot_be_right_is_refused_and_changes_nothing(more):
    city = City("hohhot-2019")
    city.history_is_read()
    city.enter_rate(json.dumps(rate()).encode(), T)
    with pytest.raises(Malformed):
        city.enter_rate(json.dumps(rate(**more)).encode(), T)
    city.tick()
    assert city.header()["rates"]["electronic"] == {"date": DAY, "rate": 0.95, "forecast": None, "target": None, "scope": None, "accepted": 10}


def test_rates_are_kept_of_the_last_days_alone():
    rates = DayRates()
    days = [f"2026-{month:02}-{day:02}" for month in (4, 5) for day in range(1, 31)]
    for day in days:
        for name in ("*", "swift"):
            rates.enter(rate(date=day, enterprise_id=name))
    assert {day for _, day in rates.rows} == set(days[-DAYS:]) and len(rates.rows) == 2 * DAYS and rates.newest("swift")["date"] == days[-1]
    assert not rates.enter(rate(date=days[0])), "it is too long ago"
    assert not rates.enter(rate(date=days[-1], revision=0)) and len(rates.rows) == 2 * DAYS


def test_a_second_that_cannot_be_settled_ends_nothing(tmp_path):
    site = filled(Site(tmp_path))
    site.city.stream_ms = 10**30  # no number that JSON has
    wait_for("a second that fails", lambda: site.pages._failed)
    site.city.stream_ms = T
    wait_for("a second that does not", lambda: not site.pages._failed)
    assert site.ask("/api/state")[0] == 200
    site.stop()


def drive(base):
    base.enter([Leg(0, T, T + 10_000, 111.65, 40.81, 111.652, 40.81, 30.0)])


def test_a_disk_that_takes_no_base_map_is_said_on_the_page_until_it_does(tmp_path):
    (tmp_path / "state").write_text("no folder")
    city = City("hohhot-2019", tmp_path / "state" / "basemap.npz")
    city.history_is_read()
    city.say(None)
    city.policies = Policies([load_policy("hohhot-2019")])
    drive(city.basemap)
    city.basemap.save()
    status = city.header()["status"]
    assert "is not kept" in status["en"] and "未能保存" in status["zh"] and str(tmp_path) in status["en"]
    (tmp_path / "state").unlink()
    city.basemap.save()
    assert city.header()["status"] is None and (tmp_path / "state" / "basemap.npz").exists()


def test_positions_and_tiles_are_answered_while_the_base_map_is_being_kept(tmp_path, monkeypatch):
    monkeypatch.setattr("consumers.console.web.pages.SAVED_EVERY_S", 0.1)
    begun, may_end, write = threading.Event(), threading.Event(), Basemap._write

    def slow(base, file):
        begun.set()
        assert may_end.wait(60)
        write(base, file)

    monkeypatch.setattr(Basemap, "_write", slow)
    site = filled(Site(tmp_path))
    site.city.basemap.file = tmp_path / "map.npz"
    drive(site.city.basemap)
    assert begun.wait(20)
    frame = site.city.fleet.sequence
    wait_for("further seconds", lambda: site.city.fleet.sequence > frame + 1)
    assert site.ask("/api/positions?since=0")[0] == 200 and site.ask("/basemap/light/9/414/192.png")[0] == 200 and not (tmp_path / "map.npz").exists()
    may_end.set()
    wait_for("the file", (tmp_path / "map.npz").exists)
    site.stop()


class BrokenAtFirst:
    """Whatever goes wrong in a thread of the console, once."""

    failed = False

    def _follow(self):
        if not self.failed:
            self.failed = True
            raise LookupError("no such thing")
        self.went_on.set()
        self._stopping.wait()


def test_the_threads_go_on_after_any_error_and_say_it(tmp_path):
    settings, city = Settings(state_dir=tmp_path, kafka_bootstrap="127.0.0.1:9"), City("hohhot-2019")
    feed = type("Feed", (BrokenAtFirst, KafkaFeed), {"went_on": threading.Event()})(settings, city)
    feed._backlog = backlog = type("Asking", (BrokenAtFirst, Backlog), {"went_on": threading.Event()})(settings, Signs())
    feed.start()
    assert feed.went_on.wait(30) and "LookupError" in city.status["en"] and "LookupError" in city.status["zh"]
    assert backlog.signs.unknown == FAILED and backlog.went_on.wait(30)
    feed.stop()


def test_kafka_without_topics_and_with_more_of_them_is_not_said_to_be_gone(kafka, tmp_path):
    delete_topics(kafka, "yicheng")
    city, said = City("hohhot-2019"), []
    city.say = said.append
    feed = KafkaFeed(Settings(state_dir=tmp_path, kafka_bootstrap=kafka), city)
    feed.start()
    none_yet = lambda: sum(words is not None and "no topics yet" in words["en"] for words in said)  # noqa: E731
    wait_for("a word about topics, twice", lambda: none_yet() > 1)
    create_topics(kafka, 3)
    wait_for("topics that are followed", lambda: said[-1] is None and not city.reading_history)
    feed.stop()
    assert LOST not in said


def test_minutes_of_rates_that_are_read_before_the_pack_are_not_lost(kafka, tmp_path):
    """At a start the pack may come last: it stands behind others that fill more than one answer of Kafka's."""
    delete_topics(kafka, "yicheng")
    create_topics(kafka, 3)
    producer = KafkaProducer(bootstrap_servers=kafka)
    for minute in range(3):
        producer.send(RATES.name, json.dumps(rate(revision=minute)).encode(), b"row", timestamp_ms=T + minute * 60_000)
    for number in range(4):
        producer.send(POLICY.name, b"x" * 700_000, b"other-%d" % number)
    source = load_policy("hohhot-2019").pack.source
    producer.send(POLICY.name, pack_record([{"yaml": source["yaml"], "geojson": source["geojson"]}]), b"hohhot-2019")
    producer.close()
    city = City("hohhot-2019")
    feed = KafkaFeed(Settings(state_dir=tmp_path, kafka_bootstrap=kafka), city)
    feed.start()
    wait_for("the history", lambda: city.policies and not city.reading_history)
    feed.stop()
    assert len(city.views()["rates"]["course"]["minutes"]) == 3


def test_a_registry_that_is_being_published_is_told_now_and_then(monkeypatch):
    city, now_s = City("hohhot-2019"), [1_000.0]
    monkeypatch.setattr("consumers.console.city.city.time.monotonic", lambda: now_s[0])
    city.history_is_read()
    told = lambda: [json.loads(event.data)["version"] for event in city.log.after(f"{city.log.epoch}-0") if event.kind == "registry"]  # noqa: E731
    for second in range(12):
        now_s[0] = 1_000.0 + second
        city.enter_registry(f"vehicle/v{second}".encode(), json.dumps([{"kind": "vehicle", "id": f"v{second}"}]).encode())
        city.tick()
    assert told() == [1, 6, 11]
    now_s[0] += 10
    city.tick()
    city.tick()
    assert told() == [1, 6, 11, 12], "what came last is told, too, once"


@pytest.mark.parametrize(
    ("name", "line", "said"),
    [("rates.jsonl", '{"city":"150100","enterprise_id":"*","date":"2026-06-26","accepted":-1}', "accepted"), ("rates.jsonl", "{", "Malformed"),
     ("incidents.jsonl", '{"incident_id":"a","state":"closed","opened_at_ms":5}', "Malformed"), ("incidents.jsonl", "[]", "TypeError"), ("incidents.jsonl", "{", "JSONDecodeError")],
)  # fmt: skip
def test_a_line_that_judge_did_not_write_is_named(tmp_path, name, line, said):
    good = {"summary.json": '{"policy":"hohhot-2019"}', "rates.jsonl": json.dumps(rate()), "incidents.jsonl": json.dumps(json.loads(incident(state="closed"))["data"])}
    for file, text in good.items():
        (tmp_path / file).write_text(f"{text}\n")
    assert len(read_folder(tmp_path)[1]) == 1
    (tmp_path / name).write_text(f"{good[name]}\n{line}\n")
    with pytest.raises(BadInput, match=f"(?s)^--demo {tmp_path}/{name}, line 2: .*{said}") as caught:
        read_folder(tmp_path)
    assert "\n" not in str(caught.value)


def test_an_incident_that_says_not_when_it_was_closed_ends_when_it_was_last_seen():
    row = json.loads(incident(state="closed"))["data"]
    assert [happening.at_ms for happening in revisions([row])] == [T, row["last_seen_ms"]]


def test_a_replay_that_breaks_says_so():
    city = City("hohhot-2019")
    feed = DemoFeed(city, lambda _: None, lambda: [(1, b"{}"), (None, b"{}")], [], [], 60.0)
    feed.start()
    wait_for("a sentence", lambda: city.status and "TypeError" in city.status["en"])
    feed.stop()
