"""With YICHENG_ISOLATION_LEVEL=read_uncommitted all records count at once, whatever becomes of their transactions."""

import json

from conftest import get, wait_for
from kafka import KafkaProducer
from pipeline import Pipeline

from deploy.admin import read_topic

BASE_MS = 1_782_446_400_000


def fix(number):
    at_ms = BASE_MS + 10_000 * number
    return json.dumps({"event_id": f"e{number}", "event_time_ms": at_ms, "vehicle_id": f"HH-{number:05}", "lon": 111.0, "lat": 40.0, "speed_kmh": 0.0}).encode()


def test_records_of_open_and_aborted_transactions_are_judged_at_once(kafka, yicheng, tmp_path):
    pipeline = Pipeline(kafka, yicheng, tmp_path)
    worker = pipeline.start_ready("worker", YICHENG_ISOLATION_LEVEL="read_uncommitted")
    accused = lambda: {json.loads(value)["data"]["vehicle_id"] for _, value in read_topic(kafka, "courier.incidents.v1")}  # noqa: E731
    producer = KafkaProducer(bootstrap_servers=kafka, transactional_id="gateway", transaction_timeout_ms=300_000)
    producer.init_transactions()
    for number, end in enumerate((producer.commit_transaction, producer.abort_transaction)):
        producer.begin_transaction()
        producer.send("courier.gps.v1", fix(number), b"k", partition=1)
        producer.flush(30)
        wait_for("the fix of an open transaction to be judged", lambda number=number: f"HH-{number:05}" in accused())
        end()
    pipeline.producer.send("courier.gps.v1", fix(2), b"k", partition=1)
    pipeline.producer.flush()
    wait_for("what comes behind", lambda: "HH-00002" in accused())
    producer.close()
    assert accused() == {"HH-00000", "HH-00001", "HH-00002"}
    wait_for("no lag of the inputs", lambda: not any(
        float(line.split()[-1]) for line in get(f"{worker.url}/metrics").splitlines() if line.startswith("courier_consumer_lag{") and "courier.gps.v1" in line
    ))  # fmt: skip
