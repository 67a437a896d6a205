"""The notifier follows incidents and answers on a real Kafka: what waits is right again after a restart, and answers of before are not counted twice."""

import json

from conftest import get, wait_for
from kafka import KafkaProducer

from deploy.broker import free_port
from deploy.topic_admin import create_topics, delete_topics
from streams.topics import FEEDBACK, INCIDENTS


def event(name, state="open"):
    data = {"incident_id": name, "revision": 1, "city": "150100", "rule": "speeding", "state": state, "synthetic": True}
    return json.dumps({"id": f"{name}/1", "type": "yicheng.incident.opened.v1", "data": data}).encode()


def figures(port):
    """Name → value of the notifier's series about answers, the zeros left out."""
    lines = (get(f"http://127.0.0.1:{port}/metrics") or "").splitlines()
    named = [line.rpartition(" ") for line in lines if line.startswith(("courier_incidents_unanswered{", "courier_answers_total{", "courier_acknowledge_seconds_count{", "courier_outbox_pending{"))]
    return {name.partition("{")[0].removeprefix("courier_"): float(value) for name, _, value in named if float(value)}


def test_what_waits_is_known_after_a_restart_too(kafka, yicheng):
    delete_topics(kafka, "yicheng")  # the notifier starts before there is anything
    port = free_port()
    own = {"YICHENG_KAFKA_BOOTSTRAP": kafka, "YICHENG_METRICS_PORT": str(port), "YICHENG_SINK_FILE": str(yicheng.home / "sink.jsonl")}
    notifier = yicheng.start("notifier", **own)
    wait_for("its page", lambda: get(f"http://127.0.0.1:{port}/healthz"))
    create_topics(kafka, 3)
    producer = KafkaProducer(bootstrap_servers=kafka)
    for name in ("a", "b", "c", "d"):
        producer.send(INCIDENTS.name, event(name), name.encode())
    producer.send(INCIDENTS.name, event("d", "retracted"), b"d")
    producer.send(FEEDBACK.name, b"\xff", b"a")
    producer.flush()
    wait_for("three to wait", lambda: figures(port).get("incidents_unanswered") == 3)
    wait_for("the sink to have them all", lambda: "outbox_pending" not in figures(port) and len((yicheng.home / "sink.jsonl").read_bytes().splitlines()) == 5)
    producer.send(FEEDBACK.name, json.dumps({"incident_id": "a", "action": "acknowledged", "time_ms": 1, "by": None, "reason": None}).encode(), b"a")
    producer.flush()
    wait_for("two to wait", lambda: figures(port) == {"incidents_unanswered": 2, "answers_total": 1, "acknowledge_seconds_count": 1})
    notifier.kill()
    notifier.wait()
    notifier = yicheng.start("notifier", **own)
    wait_for("two to wait again, and no answer to be counted again", lambda: figures(port) == {"incidents_unanswered": 2})
    assert "Traceback" not in notifier.log()
