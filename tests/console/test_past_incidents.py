"""Incidents of before the last day: open ones are there after a restart, and a link to any of them leads to it."""

import json

import pytest
from conftest import wait_for
from kafka import KafkaProducer

from console.console_site import PLATE, Site, T, filled, incident, users_file
from consumers.console.city.city import City
from consumers.console.sources.feed import KafkaFeed
from consumers.console.sources.past_incidents import each_past_incident, find_incident
from deploy.ports import free_port
from streams.clock import DAY_MS, now_ms
from streams.errors import Unavailable
from streams.settings import Settings
from streams.wire.topics import INCIDENTS


def closed(name, revision=2, **more):
    return incident(name, revision=revision, state="closed", closed_at_ms=T + 5, **more)


@pytest.fixture
def long_ago(kafka):
    """Incidents of ten days ago, more than are read at once, of which two have not ended; and one of now."""
    producer, sent_ms = KafkaProducer(bootstrap_servers=kafka), now_ms() - 10 * DAY_MS
    for number in range(600):
        values = [incident(f"n{number}")] + ([closed(f"n{number}")] if number not in {7, 599} else [])
        for value in values:
            producer.send(INCIDENTS.name, value, b"HH-1", timestamp_ms=sent_ms + number)
    producer.send(INCIDENTS.name, b"rubbish", b"HH-1", timestamp_ms=sent_ms)
    producer.send(INCIDENTS.name, closed("another", reason_en="it names n3"), b"HH-1", timestamp_ms=sent_ms + 700)
    producer.send(INCIDENTS.name, incident("now"), b"HH-1")
    producer.flush()
    producer.close()
    return kafka


def test_what_is_long_ago_is_read_backwards_and_open_ones_are_told(long_ago, tmp_path):
    city = City("hohhot-2019")
    feed = KafkaFeed(Settings(state_dir=tmp_path, kafka_bootstrap=long_ago), city)
    feed.start()
    wait_for("the history", lambda: not city.reading_history)
    wait_for(lambda: f"all of them: {len(city.incidents.latest)}", lambda: len(city.incidents.latest) == 602)
    feed.stop()
    assert city.incidents.counts()["open"] == 3 and {row["incident_id"] for row in city.state()["incidents"] if row["state"] == "open"} == {"n7", "n599", "now"}
    told = [json.loads(event.data)["incident_id"] for event in city.log.after(f"{city.log.epoch}-0") if event.kind == "incident"]
    assert sorted(told) == ["n599", "n7"], "those that are over are there for whoever looks for them"


def test_one_is_found_by_its_id_as_it_was_last(long_ago):
    assert json.loads(find_incident(long_ago, "n3"))["data"]["revision"] == 2 and json.loads(find_incident(long_ago, "n7"))["data"]["state"] == "open"
    assert find_incident(long_ago, "nobody") is None and json.loads(find_incident(long_ago, "now"))["data"]["incident_id"] == "now"
    with pytest.raises(Unavailable, match="it may be older"):
        find_incident(long_ago, "nobody", is_stopping=lambda: True)
    names = [json.loads(value)["data"]["incident_id"] for value in each_past_incident(long_ago, now_ms() - DAY_MS, lambda: False, lambda: None) if value != b"rubbish"]
    assert len(names) == 1_199 and names[0] == "another" and names[-1] == "n0", "the newest first"


def test_without_kafka_nothing_is_found_and_it_says_so():
    with pytest.raises(Unavailable, match="does not answer"):
        find_incident(f"127.0.0.1:{free_port()}", "n3")


class SiteWithPast(Site):
    """A console whose topic holds one incident that the console does not."""

    def past_incident(self, incident_id):
        if incident_id == "slow":
            raise Unavailable("not found in time / 未找到")
        return closed("old") if incident_id == "old" else None


def test_a_link_to_an_old_incident_leads_to_it(tmp_path):
    site = filled(SiteWithPast(tmp_path, console_users=users_file(tmp_path)))
    viewer, officer = site.log_in("vera"), site.log_in("olga")
    status, _, text = site.ask("/api/incident?id=old", cookie=viewer)
    assert status == 200 and json.loads(text)["incident_id"] == "old" and PLATE not in text and PLATE in site.ask("/api/incident?id=old", cookie=officer)[2]
    assert site.ask("/api/answer", {"incident_id": "old", "action": "acknowledged"}, cookie=officer)[0] == 200, "it is held from now on"
    assert json.loads(site.ask("/api/incident?id=old", cookie=officer)[2])["answer"] == "acknowledged"
    assert site.ask("/api/incident?id=nobody", cookie=officer)[0] == 404
    assert site.ask("/api/incident?id=slow", cookie=officer)[0] == 503
    site.city.incidents.most = 1
    site.city.incidents.enter(closed("a"))
    site.city.incidents.enter(closed("newer", opened_at_ms=T + 9, last_seen_ms=T + 9))
    assert "old" not in site.city.incidents.latest and json.loads(site.ask("/api/incident?id=old", cookie=officer)[2])["state"] == "closed", "also where no further one can be held"
    site.stop()
