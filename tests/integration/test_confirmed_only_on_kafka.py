"""Where only what police have confirmed costs points: a real worker, answers by the command line, and a kill -9 between them."""

import json
import threading
import time

import pytest
from conftest import get, wait_for
from kafka import KafkaProducer
from pipeline import records_of

from deploy.admin import publish_policy, publish_registry
from deploy.ports import free_port
from streams.policy.reader import parse_policy
from streams.registry.records import decode_entry
from streams.registry.registry import Registry
from streams.wire.topics import CREDIT, FEEDBACK, GPS, INCIDENTS

PACK = """
policy: p
lateness: 2s
city: {adcode: "1", name_zh: 甲, name_en: A, timezone: Asia/Shanghai}
document: {title: t, number: n, file: f}
rules:
  - {rule: speeding, id: fast, clause: "1", severity: violation, limit_kmh: 40, merge_gap: 2s}
  - {rule: blacklisted_enterprise, id: black, clause: "1", severity: warning, points: {speeding: 2}, black_at: 2, confirmed_only: true}
"""
RECORDS = ({"kind": "enterprise", "id": "e", "name_zh": "甲快递"}, {"kind": "vehicle", "id": "V", "enterprise_id": "e", "plate": "京A00001"})


class Driving:
    """A vehicle that reports its position once a second while the test goes on, now and then too fast."""

    def __init__(self, bootstrap):
        self.producer = KafkaProducer(bootstrap_servers=bootstrap)
        self.over, self.speeds = threading.Event(), iter([60.0, 60.0])
        self.thread = threading.Thread(target=self.drive, daemon=True)
        self.thread.start()

    def drive(self):
        while not self.over.wait(1.0):
            at_ms = time.time_ns() // 1_000_000
            fix = {"event_id": str(at_ms), "event_time_ms": at_ms, "vehicle_id": "V", "lon": 111.65, "lat": 40.81, "speed_kmh": next(self.speeds, 20.0), "synthetic": True}
            self.producer.send(GPS.name, json.dumps(fix).encode(), b"V")
            self.producer.flush()

    def stop(self):
        self.over.set()
        self.thread.join()
        self.producer.close()


@pytest.fixture
def driving(kafka):
    policy = parse_policy(PACK, "test", None)
    publish_policy(kafka, policy)
    known = Registry(policy.timezone)
    known.add(decode_entry(json.dumps(record).encode()) for record in RECORDS)
    publish_registry(kafka, known.grouped())
    made = Driving(kafka)
    yield made
    made.stop()


def test_an_incident_costs_its_enterprise_from_the_answer_until_the_dismissal(kafka, yicheng, driving):
    port = free_port()
    own = {"YICHENG_KAFKA_BOOTSTRAP": kafka, "YICHENG_POLICY": "p", "YICHENG_METRICS_PORT": str(port), "YICHENG_CHECKPOINT_INTERVAL_S": "0.3"}

    def told(rule, kind):
        events = (json.loads(record.value) for record in records_of(kafka, INCIDENTS.name))
        return [event["data"] for event in events if event["data"]["rule"] == rule and event["type"] == f"yicheng.incident.{kind}.v1"]

    def answered(action, *more):
        before = len(list(records_of(kafka, FEEDBACK.name)))
        done = yicheng.run("incidents", action, speeding["incident_id"], *more, YICHENG_KAFKA_BOOTSTRAP=kafka)
        assert done.returncode == 0, done.stderr
        answers = list(records_of(kafka, FEEDBACK.name))
        assert len(answers) == before + 1
        return max(answer.timestamp for answer in answers)

    def standings():
        return [json.loads(record.value)["credit"] for record in records_of(kafka, CREDIT.name) if record.value and record.key == b"enterprise/e"]

    worker = yicheng.start("worker", **own)
    wait_for("the worker", lambda: get(f"http://127.0.0.1:{port}/readyz"), 60)
    (speeding,) = wait_for("the offence to be over", lambda: told("speeding", "closed"), 60)
    settled_ms = speeding["closed_at_ms"] + 2_000  # the merge gap; nothing costs points before
    wait_for("it to be settled", lambda: time.time_ns() // 1_000_000 > settled_ms, 10)
    acknowledged_ms = answered("ack", "--by", "Wang")
    (black,) = wait_for("the black list", lambda: told("blacklisted_enterprise", "opened"), 90)
    assert black["enterprise_id"] == "e" and black["opened_at_ms"] == acknowledged_ms, "it cost nothing before"
    wait_for("the standing", lambda: standings()[-1:] == ["black"], 30)
    worker.kill()
    worker.wait()
    worker = yicheng.start("worker", **own)
    wait_for("the worker again", lambda: get(f"http://127.0.0.1:{port}/readyz"), 90)
    dismissed_ms = answered("dismiss", "--by", "Wang", "--reason", "camera out of order")
    (ended,) = wait_for("the black list to end", lambda: told("blacklisted_enterprise", "closed"), 90)
    assert (ended["incident_id"], ended["opened_at_ms"], ended["closed_at_ms"]) == (black["incident_id"], acknowledged_ms, dismissed_ms)
    wait_for("the standing", lambda: standings()[-1] != "black", 30)
    assert not told("speeding", "retracted") and not told("blacklisted_enterprise", "retracted"), "points never change backwards"
    assert worker.poll() is None and "Traceback" not in worker.log()
