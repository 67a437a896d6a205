"""What clients and brokers of all kinds do to topics: transactions, codecs, records without time, topics made anew. Real Kafka.

The tests share one broker and one worker, and go in order: each leaves what the next goes on with.
"""

import json
import signal
from types import SimpleNamespace

import pytest
from conftest import Command, get, wait_for
from kafka import KafkaConsumer, KafkaProducer, TopicPartition
from kafka.admin import ConfigResource, ConfigResourceType, KafkaAdminClient
from pipeline import Pipeline, records_of
from prometheus_client.parser import text_string_to_metric_families

from deploy.admin import read_topic
from deploy.doctor import _topics
from deploy.topic_admin import create_topics, delete_topics
from streams.settings import Settings

GPS, SCAN, HEARTBEAT, FEEDBACK, STATE = "courier.gps.v1", "courier.scan.v1", "courier.heartbeat.v1", "courier.feedback.v1", "courier.vehicle-state.v1"
SIZES = {GPS: 3, SCAN: 2, HEARTBEAT: 1, FEEDBACK: 2, STATE: 1}
REFERENCE = ("courier.registry.v1", "courier.policy.v1", "courier.credit.v1", "courier.clock.v1")
OTHERS = (*REFERENCE, "courier.parcel-state.v1", "courier.heartbeat-state.v1", "courier.feedback-state.v1", "courier.partials.v1", "courier.rate-state.v1")
BASE_MS = 1_782_446_400_000
CODECS = (None, "gzip", "snappy", "lz4", "zstd")


@pytest.fixture(scope="module")
def street(kafka_bootstrap, tmp_path_factory):
    """Topics as others may have made them: of different sizes, with their producers' time, records deleted after seven days, and too small a state topic."""
    home = tmp_path_factory.mktemp("street")
    delete_topics(kafka_bootstrap, "yicheng")
    admin = KafkaAdminClient(bootstrap_servers=kafka_bootstrap)
    admin.create_topics({topic: {"num_partitions": size, "replication_factor": 1} for topic, size in (SIZES | dict.fromkeys(OTHERS, 3)).items()})
    command = Command(home)
    made = SimpleNamespace(bootstrap=kafka_bootstrap, admin=admin, yicheng=command, home=home, next_ms=iter(range(BASE_MS, BASE_MS + 10**9, 10_000)))
    yield made
    for child in command.children:
        if child.poll() is None:
            child.kill()
            child.wait()
    admin.close()


@pytest.fixture(scope="module")
def worker(street):
    """One worker for all tests that do not stop it."""
    street.created = create_topics(street.bootstrap, 3)
    street.pipeline = Pipeline(street.bootstrap, street.yicheng, street.home)
    street.worker = street.pipeline.start_ready("worker")
    yield street.worker
    street.pipeline.producer.close()


def fix(street, **fields):
    """The next fix of an unregistered vehicle, a violation by itself; its vehicle is new unless one is given."""
    at_ms = next(street.next_ms)
    given = {"event_id": f"e{at_ms}", "event_time_ms": at_ms, "vehicle_id": f"HH-{at_ms // 10_000 % 100_000:05}", "lon": 111.0, "lat": 40.0, "speed_kmh": 0.0}
    return json.dumps({**given, **fields}).encode()


def vehicle(value):
    return json.loads(value)["vehicle_id"]


def accused(street):
    """The vehicles that incidents are about."""
    return {json.loads(value)["subject"].removeprefix("vehicle/") for _, value in read_topic(street.bootstrap, "courier.incidents.v1") if value}


def metric(street, name, **labels):
    """The sum of the worker's samples of that name and these labels; None where there is none."""
    families = text_string_to_metric_families(get(f"{street.worker.url}/metrics") or "")
    found = [s.value for family in families for s in family.samples if s.name == name and labels.items() <= s.labels.items()]
    return sum(found) if found else None


def judged(street):
    return metric(street, "courier_fixes_total") or 0


def drained(street):
    """Whether nothing is behind: neither by the worker's own account nor by what its group has committed."""
    consumer = KafkaConsumer(bootstrap_servers=street.bootstrap, group_id="yicheng", enable_auto_commit=False, isolation_level="read_committed")
    try:
        ends = consumer.end_offsets([TopicPartition(topic, number) for topic in (GPS, SCAN, HEARTBEAT, FEEDBACK) for number in range(SIZES[topic])])
        return all((consumer.committed(tp) or 0) == end for tp, end in ends.items()) and not any(
            metric(street, "courier_consumer_lag", topic=topic) for topic in (GPS, SCAN, HEARTBEAT, FEEDBACK)
        )
    finally:
        consumer.close()


def send(street, *values, topic=GPS, partition=0, timestamp_ms=None, headers=None, **settings):
    producer = KafkaProducer(bootstrap_servers=street.bootstrap, **settings)
    for value in values:
        producer.send(topic, value, b"k", headers=headers, partition=partition, timestamp_ms=timestamp_ms)
    producer.flush(30)
    producer.close()


def transactional(street, name):
    producer = KafkaProducer(bootstrap_servers=street.bootstrap, transactional_id=name, transaction_timeout_ms=300_000)
    producer.init_transactions()
    return producer


def test_a_state_topic_that_is_too_small_is_refused_at_start_in_one_line(street):
    """Before, the worker died after 40 s without a cause."""
    child = street.yicheng.start("worker", YICHENG_KAFKA_BOOTSTRAP=street.bootstrap, YICHENG_METRICS_PORT="0")
    assert child.wait(30) == 2
    assert f"{STATE} has 1 partitions, fewer than {GPS}" in child.log() and "topics create" in child.log() and "Traceback" not in child.log()


def test_topics_of_others_are_brought_up_to_date_and_the_doctor_says_what_they_lack(street):
    settings = Settings(kafka_bootstrap=street.bootstrap)
    (_, _, fine, found, remedy), (_, _, all_kept, kept, same), _ = _topics(settings)
    assert not fine and found.startswith("unknown on ") and all(f"{topic}, " in found for topic in (GPS, FEEDBACK)) and remedy == same == "./yicheng topics create"
    assert not all_kept and all(f"{topic} (cleanup.policy" in kept for topic in (*REFERENCE, STATE)) and f"{FEEDBACK} (retention.ms)" in kept and GPS not in kept
    done = street.yicheng.run("topics", "create", YICHENG_KAFKA_BOOTSTRAP=street.bootstrap, YICHENG_PARTITIONS="3").stdout.splitlines()
    assert f"{STATE}: 3 partitions, as {GPS} has (before: 1)" in done
    assert {f"{topic}: message.timestamp.type=LogAppendTime (before: CreateTime)" for topic in (GPS, SCAN, HEARTBEAT, FEEDBACK, "courier.partials.v1")} <= set(done)
    assert {f"{topic}: cleanup.policy=compact (before: delete)" for topic in (*REFERENCE, STATE, "courier.rate-state.v1")} <= set(done)
    assert f"{FEEDBACK}: retention.ms=7776000000 (before: 604800000)" in done and f"{STATE}: min.compaction.lag.ms=300000 (before: 0)" in done
    street.admin.alter_configs([ConfigResource(ConfigResourceType.TOPIC, GPS, {"retention.ms": "-1"})])  # an operator may keep them for longer
    assert create_topics(street.bootstrap, 3) == []
    arrival, kept, (_, _, in_one_place, where, _) = _topics(settings)
    assert arrival[2] and kept[2] and not in_one_place, "partitions cannot be taken away"
    assert where.startswith("courier.policy.v1 has 3 partitions, courier.registry.v1 has 3 partitions: ")


def test_a_topic_that_forgets_what_is_on_file_is_refused_at_start_in_one_line(street):
    """Before, a start a week later found an empty registry, and every vehicle was unregistered."""
    create_topics(street.bootstrap, 3)
    for topic in ("courier.registry.v1", STATE):
        street.admin.alter_configs([ConfigResource(ConfigResourceType.TOPIC, topic, {"cleanup.policy": "delete"})])
        child = street.yicheng.start("worker", YICHENG_KAFKA_BOOTSTRAP=street.bootstrap, YICHENG_METRICS_PORT="0")
        assert child.wait(30) == 2
        assert f"{topic} has cleanup.policy=delete" in child.log() and "topics create" in child.log() and "Traceback" not in child.log()
        assert f"{topic}: cleanup.policy=compact (before: delete)" in create_topics(street.bootstrap, 3)


def test_every_codec_is_read_with_headers_and_inputs_of_different_sizes(street, worker):
    """By the worker from its inputs, by the notifier and the commands from what others wrote."""
    values = {codec: [fix(street, source="x" * 200) for _ in range(3)] for codec in CODECS}
    for number, (codec, sent) in enumerate(values.items()):
        send(street, *sent, partition=number % 3, compression_type=codec, headers=[("traceparent", b"00-1-2-03"), ("empty", b"")])
    expected = {vehicle(value) for sent in values.values() for value in sent}
    wait_for("all to be judged", lambda: expected <= accused(street))
    wait_for("each to be counted once", lambda: judged(street) == len(expected))  # after what comes of it is sent
    notifier = street.pipeline.start("notifier")
    event = next(value for _, value in read_topic(street.bootstrap, "courier.incidents.v1"))
    own = {codec: json.dumps({**json.loads(event), "id": f"{codec}/1"}).encode() for codec in CODECS}
    for codec, value in own.items():
        send(street, value, topic="courier.incidents.v1", compression_type=codec)
    assert set(own.values()) <= {value for _, value in read_topic(street.bootstrap, "courier.incidents.v1")}
    wait_for("the notifier to deliver all", lambda: street.pipeline.sink.exists() and set(own.values()) <= set(street.pipeline.sink.read_bytes().splitlines()))
    notifier.send_signal(signal.SIGTERM)
    assert notifier.wait(20) == 0
    wait_for("lag 0", lambda: drained(street))


def test_a_committed_transaction_at_the_end_leaves_no_lag_and_an_aborted_one_counts_for_nothing(street, worker):
    before = judged(street)
    producer = transactional(street, "gateway")
    good, bad = [fix(street) for _ in range(3)], [fix(street) for _ in range(3)]
    for values, end in ((good[:2], producer.commit_transaction), (bad, producer.abort_transaction), (good[2:], producer.commit_transaction)):
        producer.begin_transaction()
        for value in values:
            producer.send(GPS, value, b"k", partition=1)
        producer.flush(30)
        end()
    producer.begin_transaction()
    producer.send(HEARTBEAT, b"{}", b"k", partition=0)  # nothing but an aborted record in all of the topic
    producer.flush(30)
    producer.abort_transaction()
    producer.close()
    wait_for("the committed ones to be judged", lambda: {vehicle(value) for value in good} <= accused(street))
    wait_for("lag 0", lambda: drained(street))
    assert judged(street) == before + len(good) and not {vehicle(value) for value in bad} & accused(street)
    assert not any(headers_of(street, "courier.dead.v1"))


def headers_of(street, topic):
    return [dict(record.headers) for record in records_of(street.bootstrap, topic)]


def test_an_open_transaction_is_told_by_a_metric_and_holds_back_nothing_else(street, worker):
    producer = transactional(street, "slow")
    producer.begin_transaction()
    within, behind, beside = fix(street), fix(street), fix(street)
    producer.send(GPS, within, b"k", partition=0)
    producer.flush(30)
    send(street, behind, partition=0)
    send(street, beside, partition=2)
    wait_for("the other partition to be judged", lambda: vehicle(beside) in accused(street))
    wait_for("the metric to say so", lambda: metric(street, "courier_records_held_back", topic=GPS, partition="0") == 2)
    wait_for("lag 0", lambda: drained(street))
    assert not {vehicle(within), vehicle(behind)} & accused(street) and worker.poll() is None
    producer.commit_transaction()
    producer.close()
    wait_for("both to be judged", lambda: {vehicle(within), vehicle(behind)} <= accused(street))
    wait_for("the metric to fall", lambda: metric(street, "courier_records_held_back", topic=GPS) == 0)
    wait_for("lag 0", lambda: drained(street))


def test_a_record_without_time_is_no_record_from_the_future_and_its_arrival_is_told_to_be_unknown(street, worker):
    assert not metric(street, "courier_arrival_unknown_total")
    change = {"message.timestamp.type": "CreateTime"}
    street.admin.alter_configs([ConfigResource(ConfigResourceType.TOPIC, GPS, change)])
    without, tombstone_before = fix(street), len(headers_of(street, "courier.dead.v1"))
    send(street, without, timestamp_ms=-1)
    wait_for("it to be judged", lambda: vehicle(without) in accused(street))
    assert metric(street, "courier_arrival_unknown_total", topic=GPS) == 1
    assert worker.log().count("arrival is unknown") == 1
    send(street, None)  # a tombstone
    wait_for("the tombstone to be refused", lambda: len(headers_of(street, "courier.dead.v1")) == tombstone_before + 1)
    assert headers_of(street, "courier.dead.v1")[-1]["reason"] == b"malformed"
    assert create_topics(street.bootstrap, 3) == [f"{GPS}: message.timestamp.type=LogAppendTime (before: CreateTime)"]
    stamped = fix(street)
    send(street, stamped, timestamp_ms=-1)
    wait_for("it to be judged", lambda: vehicle(stamped) in accused(street))
    assert metric(street, "courier_arrival_unknown_total", topic=GPS) == 2
    wait_for("lag 0", lambda: drained(street))


def test_records_that_were_deleted_before_they_were_judged_are_told(street, worker):
    """Kafka deletes by age, also what nobody has read: then a worker goes on with what is left, and says what is not."""
    child, before = street.worker, fix(street)
    send(street, before, partition=2)
    wait_for("it to be judged", lambda: vehicle(before) in accused(street))
    wait_for("lag 0", lambda: drained(street))
    child.send_signal(signal.SIGTERM)
    assert child.wait(20) == 0
    partition = TopicPartition(GPS, 2)
    gone, left = [fix(street) for _ in range(5)], fix(street)
    consumer = KafkaConsumer(bootstrap_servers=street.bootstrap)
    end = consumer.end_offsets([partition])[partition]
    consumer.close()
    send(street, *gone, left, partition=2)
    street.admin.delete_records({partition: end + len(gone)})
    street.worker = street.pipeline.start_ready("worker")
    wait_for("what is left to be judged", lambda: vehicle(left) in accused(street))
    assert metric(street, "courier_records_lost_total", topic=GPS) == len(gone)
    (line,) = [line for line in street.worker.log().splitlines() if "deleted before they were judged" in line]
    assert GPS in line and "retention.ms" in line and not {vehicle(value) for value in gone} & accused(street)
    wait_for("lag 0", lambda: drained(street))


def test_a_topic_made_anew_is_refused_in_one_line_before_anything_is_skipped(street, worker):
    """Offsets begin at 0 again, below the state's: before, every record was silently skipped until they reached it.

    There are more records now than were judged, so only their times of arrival tell.
    """
    child = street.worker
    child.send_signal(signal.SIGTERM)
    assert child.wait(20) == 0
    street.admin.delete_topics([GPS])
    wait_for("the topic to be gone", lambda: GPS not in street.admin.list_topics())
    create_topics(street.bootstrap, 3)
    values = [fix(street) for _ in range(40)]
    send(street, *values)
    refused = street.pipeline.start("worker")
    assert refused.wait(60) == 3
    (line,) = [line for line in refused.log().splitlines() if "made anew" in line]
    assert f"{GPS}[0]" in line and "topics rewind" in line and "Traceback" not in refused.log()
    wait_for("the group to be empty", lambda: not next(iter(street.admin.describe_groups(["yicheng"]).values()))["members"])
    rewound = street.yicheng.run("topics", "rewind", YICHENG_KAFKA_BOOTSTRAP=street.bootstrap)
    assert f"{GPS}[0]" in rewound.stdout and f"{SCAN}[0]" not in rewound.stdout
    street.worker = street.pipeline.start_ready("worker")
    wait_for("what is there now to be judged", lambda: {vehicle(value) for value in values} <= accused(street))
    wait_for("lag 0", lambda: drained(street))


def test_a_topic_made_anew_under_a_running_worker_ends_it_with_the_same_line(street, worker):
    """The worker stands at an offset that there is not any more."""
    child = street.worker
    before = [fix(street) for _ in range(5)]
    send(street, *before)
    wait_for("them to be judged", lambda: {vehicle(value) for value in before} <= accused(street))
    wait_for("lag 0", lambda: drained(street))
    street.admin.delete_topics([GPS])
    wait_for("the topic to be gone", lambda: GPS not in street.admin.list_topics())
    create_topics(street.bootstrap, 3)
    send(street, fix(street))
    assert child.wait(60) == 3
    assert "made anew" in child.log() and "topics rewind" in child.log()
