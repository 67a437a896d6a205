"""Reference data in topics of several partitions: all of it counts, whichever it stands in, and what is added later too. Real Kafka."""

import json

import pytest
from conftest import get, wait_for
from kafka import KafkaProducer
from kafka.admin import KafkaAdminClient, NewPartitions
from pipeline import records_of

from deploy.admin import produce, publish_policy, publish_registry
from deploy.ports import free_port
from deploy.topic_admin import create_topics, delete_topics
from streams.policy.reader import parse_policy
from streams.registry.records import decode_entry
from streams.registry.registry import Registry
from streams.wire.topics import CLOCK, CREDIT, GPS, INCIDENTS, POLICY, REGISTRY, kafka_config

PACK = """
policy: p
lateness: 2s
city: {adcode: "1", name_zh: 甲, name_en: A, timezone: Asia/Shanghai}
document: {title: t, number: n, file: f}
rules:
  - {rule: unregistered_vehicle, id: stranger, clause: "1", severity: warning}
  - {rule: speeding, id: fast, clause: "1", severity: violation, limit_kmh: 40, exempt: {energy: [electric], unless_credit: black}}
"""
ENTERPRISES = ("wulan", "sf", "yd", "e", "sto", "f", "g", "h")
LATER = ("later-1", "later-2", "later-3", "later-4", "later-5", "later-6")
BASE_MS = 1_782_446_400_000


def records(enterprises):
    for name in enterprises:
        yield {"kind": "enterprise", "id": name, "name_zh": name}
        yield {"kind": "vehicle", "id": f"V-{name}", "enterprise_id": name, "energy": "electric"}


def black(enterprise):
    row = {"subject": f"enterprise/{enterprise}", "credit": "black", "points": 2, "effective": [[BASE_MS - 1_000, "black"]]}
    return row["subject"].encode(), json.dumps(row).encode()


@pytest.fixture
def kafka(kafka_bootstrap):
    """Topics of registry, policy and clock with 3 partitions, as a cluster makes them by itself, all others as we make them, with 12."""
    delete_topics(kafka_bootstrap, "yicheng")
    admin = KafkaAdminClient(bootstrap_servers=kafka_bootstrap)
    admin.create_topics({t.name: {"num_partitions": 3, "replication_factor": 1, "configs": kafka_config(t)} for t in (REGISTRY, POLICY, CLOCK)})
    admin.close()
    create_topics(kafka_bootstrap, 12)
    policy = parse_policy(PACK, "test", None)
    publish_policy(kafka_bootstrap, policy)
    put_on_file(kafka_bootstrap, ENTERPRISES)
    return kafka_bootstrap


def put_on_file(bootstrap, enterprises):
    known = Registry(parse_policy(PACK, "test", None).timezone)
    known.add(decode_entry(json.dumps(record).encode()) for record in records(enterprises))
    publish_registry(bootstrap, known.grouped())


def test_every_partition_is_read(kafka, yicheng):
    produce(kafka, CREDIT.name, map(black, ENTERPRISES[:6]))
    places = {topic: {record.partition for record in records_of(kafka, topic)} for topic in (REGISTRY.name, CREDIT.name)}
    assert len(places[REGISTRY.name]) == 3 and len(places[CREDIT.name]) >= 4, places
    port = free_port()
    worker = yicheng.start("worker", YICHENG_KAFKA_BOOTSTRAP=kafka, YICHENG_POLICY="p", YICHENG_METRICS_PORT=str(port), YICHENG_CHECKPOINT_INTERVAL_S="0.3")
    wait_for("the worker", lambda: get(f"http://127.0.0.1:{port}/readyz"))
    producer, sent = KafkaProducer(bootstrap_servers=kafka), iter(range(10_000))

    def drive(*vehicles):
        for vehicle in vehicles:
            number = next(sent)
            fix = {"event_id": str(number), "event_time_ms": BASE_MS + number, "vehicle_id": vehicle, "lon": 111.0, "lat": 40.0, "speed_kmh": 60.0, "synthetic": True}
            producer.send(GPS.name, json.dumps(fix).encode(), vehicle.encode())
        producer.flush()

    def accused():
        data = [json.loads(record.value)["data"] for record in records_of(kafka, INCIDENTS.name)]
        return {(incident["rule"], incident["vehicle_id"]) for incident in data if incident["vehicle_id"]}

    drive(*(f"V-{name}" for name in ENTERPRISES), "nobody")
    expected = {("speeding", f"V-{name}") for name in ENTERPRISES[:6]} | {("unregistered_vehicle", "nobody"), ("speeding", "nobody")}
    wait_for(lambda: f"{expected}, not {accused()}", lambda: accused() >= expected)
    assert accused() == expected
    admin = KafkaAdminClient(bootstrap_servers=kafka)
    admin.create_partitions({REGISTRY.name: NewPartitions(9)})
    wait_for("the new partitions", lambda: len(admin.describe_topics([REGISTRY.name])[0]["partitions"]) == 9)
    admin.close()
    put_on_file(kafka, LATER)
    assert {record.partition for record in records_of(kafka, REGISTRY.name)} - places[REGISTRY.name]
    on_file = f'courier_vehicles_active{{city="1",energy="electric"}} {float(len(ENTERPRISES + LATER))}'
    wait_for("all of them to be on file", lambda: on_file in (get(f"http://127.0.0.1:{port}/metrics") or ""))
    drive(*(f"V-{name}" for name in LATER), "nobody else")
    wait_for("what comes after them", lambda: ("unregistered_vehicle", "nobody else") in accused())
    producer.close()
    assert accused() == expected | {("unregistered_vehicle", "nobody else"), ("speeding", "nobody else")}
    assert worker.poll() is None and "Traceback" not in worker.log()
