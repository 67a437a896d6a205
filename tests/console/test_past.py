"""An hour read again from a real Kafka: by offset, within bounds, exactly, and without a trace."""

import json
import time

import pytest
from conftest import wait_for
from kafka import KafkaProducer

from console.test_live import groups
from consumers.console import past
from deploy.broker import free_port
from streams.clock import HOUR_MS, MINUTE_MS, now_ms
from streams.errors import Unavailable
from streams.topics import DEAD, GPS, LATE

LATENESS_MS = 10 * MINUTE_MS


def fix(vehicle, at_ms, event=None, **more):
    return json.dumps({"event_id": event or f"{vehicle}-{at_ms}", "event_time_ms": at_ms, "vehicle_id": vehicle, "lon": 111.65, "lat": 40.81, **more}).encode()


def read(bootstrap, vehicles, from_ms, is_stopping=lambda: False):
    hour = past.read_hour(bootstrap, vehicles, from_ms, LATENESS_MS, is_stopping)
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
    monkeypatch.setattr(past, "RECORDS_AT_ONCE", 10)
    monkeypatch.setattr(past, "MOST_RECORDS", 20)
    found, notes = read(kafka, ["a"], sender.from_ms)
    assert found["a"] == [second * 1000 for second in range(20)] and len(notes) == 1 and "choose fewer vehicles" in notes[0]
    began_s = time.monotonic()
    assert read(kafka, ["a"], sender.from_ms, lambda: True)[0] == {"a": []} and time.monotonic() - began_s < 10


def test_without_kafka_there_is_a_sentence():
    with pytest.raises(Unavailable, match="Kafka does not answer"):
        read(f"127.0.0.1:{free_port()}", ["a"], now_ms())
