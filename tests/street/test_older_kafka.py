"""The whole way through on Kafka 3.9, the last of version 3, and what clients of every kind send to it. (``YICHENG_TEST_KAFKA=embedded-3.9`` runs every test on it.)"""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from brokers import OLDER_JARS
from kafka import KafkaProducer
from pipeline import Pipeline

from deploy.broker import EmbeddedKafka
from deploy.topic_admin import create_topics
from streams.files.text_files import open_lines

FIXES = Path(__file__).parent.parent / "golden" / "hohhot-2019" / "gps.jsonl.zst"


@pytest.mark.long
def test_a_day_sent_in_transactions_to_kafka_3_9_reaches_the_sink_as_the_oracle_says(yicheng, tmp_path):
    broker = EmbeddedKafka(tmp_path / "kafka", port=0, jars=OLDER_JARS)
    broker.start()
    try:
        create_topics(broker.bootstrap, 3)
        pipeline = Pipeline(broker.bootstrap, yicheng, tmp_path)
        pipeline.start("worker")
        pipeline.start("notifier")
        producer = KafkaProducer(bootstrap_servers=broker.bootstrap, transactional_id="gateway")
        producer.init_transactions()
        lines = [line.strip() for line in open_lines(str(FIXES)) if line.strip()][:6_000]
        plain, pipeline.producer = pipeline.producer, producer
        for start in range(0, len(lines), 1_000):
            producer.begin_transaction()
            pipeline.send("courier.gps.v1", "vehicle_id", lines[start : start + 1_000])
            producer.commit_transaction()
        pipeline.drained()
        assert pipeline.check_fixes()[0] > 5
        pipeline.check_revisions()
        plain.close()
        producer.close()
    finally:
        broker.stop()


@pytest.mark.long
@pytest.mark.timeout(900)
def test_clients_of_every_kind_on_kafka_3_9():
    command = [sys.executable, "-m", "pytest", "-n", "0", "-p", "no:cacheprovider", str(Path(__file__).with_name("test_clients.py"))]
    done = subprocess.run(command, env={**os.environ, "YICHENG_TEST_KAFKA": "embedded-3.9"}, capture_output=True, text=True, timeout=880, check=False)
    assert done.returncode == 0 and " passed" in done.stdout, done.stdout[-3_000:]
