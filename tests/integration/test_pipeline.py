"""Input topics → worker → incidents topic → sink, on a real broker, against the oracle; through a crash and a rebalance."""

import json
import random
import re
import signal
import time

import pytest
from conftest import get, wait_for
from kafka.admin import KafkaAdminClient
from pipeline import Pipeline, in_order, recorded_day

from deploy.admin import read_topic
from deploy.up.ending import Ending, read_clock


@pytest.fixture
def pipeline(kafka, yicheng, tmp_path):
    made = Pipeline(kafka, yicheng, tmp_path)
    yield made
    made.producer.close()


@pytest.fixture(scope="module")
def day():
    return recorded_day()


def test_a_recorded_day_reaches_the_sink_as_the_oracle_says(pipeline, day):
    worker, notifier = pipeline.start("worker"), pipeline.start("notifier")
    for child in (worker, notifier):
        wait_for("readiness", lambda child=child: get(f"{child.url}/readyz"))
        assert get(f"{child.url}/healthz") == "ok\n"
    pipeline.send_rows(in_order(day["gps"], day["scans"]))
    pipeline.drained()
    assert pipeline.check_alarms_stood() > 20
    incidents, refused, letters = pipeline.check_fixes()
    assert incidents > 5
    duplicates = refused.pop("duplicate")
    assert duplicates and letters == refused  # every refusal but duplicates is in a dead or late letter
    pipeline.check_rates(day["scans"])
    pipeline.check_revisions()
    page = wait_for("lag 0", lambda: (text := get(f"{worker.url}/metrics")) and "courier_consumer_lag" in text and text)
    judged = sum(float(line.split()[-1]) for line in page.splitlines() if line.startswith("courier_fixes_total"))
    assert judged == len(day["gps"])
    assert 'courier_notifications_total{outcome="delivered",sink="file"}' in get(f"{notifier.url}/metrics")
    for child in (worker, notifier):
        child.send_signal(signal.SIGTERM)
        assert child.wait(20) == 0


@pytest.mark.parametrize("seed", [pytest.param(1, marks=pytest.mark.long), 2])
def test_kill_9_and_a_rebalance_change_nothing(pipeline, day, seed):
    """One worker is killed, a second joins and leaves, a third goes on; the sink still equals the oracle."""
    rng = random.Random(seed)
    pipeline.start("notifier")
    worker = pipeline.start_ready("worker")
    rows = in_order(day["gps"], day["scans"])
    parts = sorted(rng.sample(range(1_000, len(rows) - 1_000), 3))

    def send(step):
        pipeline.send_rows(rows[[0, *parts][step] : [*parts, len(rows)][step]])

    send(0)
    wait_for("some fixes judged", lambda: re.search(r'courier_fixes_total\{.*outcome="accepted"\} [1-9]', get(f"{worker.url}/metrics") or ""))
    time.sleep(rng.random())  # the moment of the crash is part of the seed, nothing waits for it
    worker.kill()
    second = pipeline.start("worker")
    send(1)
    wait_for("the second worker to be ready", lambda: get(f"{second.url}/readyz"), 90)
    third = pipeline.start("worker")
    send(2)
    wait_for("the third worker to be ready", lambda: get(f"{third.url}/readyz"), 90)
    second.send_signal(signal.SIGTERM)
    assert second.wait(30) == 0
    send(3)
    pipeline.drained()
    assert pipeline.check_alarms_stood() > 20, f"seed {seed}"
    incidents, _, _ = pipeline.check_fixes()
    assert incidents > 5, f"seed {seed}"
    pipeline.check_rates(day["scans"])
    pipeline.check_revisions()


@pytest.mark.long  # tests/street/test_alarms_stand.py has a backlog of a day in one city
def test_a_days_backlog_is_worked_off_without_taking_anything_back(pipeline, day):
    """The worker was away while a whole day came in, and reads its inputs at different paces."""
    pipeline.send_rows(in_order(day["gps"], day["scans"]))
    pipeline.start("notifier")
    pipeline.start_ready("worker", YICHENG_CHUNK_RECORDS="100")
    pipeline.drained()
    assert pipeline.check_alarms_stood() > 20
    assert pipeline.check_fixes()[0] > 5
    pipeline.check_rates(day["scans"])


def fix(event_id, event_time_ms, vehicle_id="HH-99999", **fields):
    return json.dumps({"event_id": event_id, "event_time_ms": event_time_ms, "vehicle_id": vehicle_id, "lon": 111.5, "lat": 40.7, **fields}).encode()


def announced(pipeline, vehicle_id="HH-99999"):
    """(type, rule id, opened, last seen) of a vehicle's transitions, in order."""
    events = [json.loads(value) for _, value in read_topic(pipeline.bootstrap, "courier.incidents.v1")]
    mine = [e for e in events if e["subject"] == f"vehicle/{vehicle_id}"]
    return [(e["type"].split(".")[2], e["data"]["rule_id"], e["data"]["opened_at_ms"], e["data"]["last_seen_ms"]) for e in mine]


def test_a_partition_without_traffic_follows_the_others_even_through_a_crash(pipeline):
    """One partition gets two fixes and then nothing; its incident closes when the watermark has gone far enough."""
    worker = pipeline.start_ready("worker")
    base_ms = 1_782_446_400_000
    for number in range(2):
        pipeline.producer.send("courier.gps.v1", fix(f"a{number}", base_ms + number * 10_000), b"k", partition=0)
    pipeline.producer.flush()
    wait_for("the incident to open", lambda: announced(pipeline) == [("opened", "number-on-file", base_ms, base_ms)])
    target_ms = base_ms + 10_000 + 120_000
    pipeline.producer.send("courier.gps.v1", fix("b", target_ms, "HH-88888"), b"k", partition=1)  # not far enough yet
    pipeline.producer.flush()
    wait_for("time to have come so far", lambda: read_clock(pipeline.bootstrap).watermark_ms == target_ms)
    wait_for("all partitions to go by it", Ending(pipeline.bootstrap, "yicheng").reached)
    worker.kill()
    pipeline.start_ready("worker")
    pipeline.producer.send("courier.gps.v1", fix("c", target_ms + 1, "HH-88888"), b"k", partition=1)
    pipeline.producer.flush()
    opened, closed = wait_for("the incident to close", lambda: len(found := announced(pipeline)) > 1 and found)
    assert opened == ("opened", "number-on-file", base_ms, base_ms)
    assert closed == ("closed", "number-on-file", base_ms, base_ms + 10_000)


def electric_vehicles(worker):
    """How many active ones a worker knows of."""
    (line,) = [line for line in get(f"{worker.url}/metrics").splitlines() if line.startswith("courier_vehicles_active{") and 'energy="electric"' in line]
    return float(line.split()[-1])


def test_policy_and_registry_change_while_running_by_event_time(pipeline, tmp_path):
    """A version that is valid from noon judges from noon; a pack with a mistake is refused whole; a new vehicle counts at once."""
    worker = pipeline.start_ready("worker")
    noon_ms = 1_782_446_400_000  # 2026-06-26 12:00 in Shanghai
    text = pipeline.policy.pack.source["yaml"]
    marker = "  - rule: unmarked_vehicle"
    limit = '  - {rule: speeding, id: everywhere, clause: "x", severity: warning, limit_kmh: 30}\n\n'
    newer = re.sub(r"(?m)^valid_from: .*$", 'valid_from: "2026-06-26T12:00:00+08:00"', text).replace(marker, limit + marker)
    pack = tmp_path / "newer.yaml"
    pack.write_text(newer, "utf-8")
    (tmp_path / "zones").mkdir()
    (tmp_path / "zones" / "hohhot.geojson").write_text(pipeline.policy.pack.source["geojson"], "utf-8")
    environment = {"YICHENG_KAFKA_BOOTSTRAP": pipeline.bootstrap}
    assert "2 versions" in pipeline.yicheng.run("policy", "publish", pack, **environment).stdout
    wait_for("the worker to know both", lambda: '"versions": 2' in worker.log())
    pipeline.producer.send("courier.gps.v1", fix("a", noon_ms - 1, speed_kmh=50.0), b"k", partition=0)
    pipeline.producer.send("courier.gps.v1", fix("b", noon_ms, speed_kmh=50.0), b"k", partition=0)
    pipeline.producer.flush()
    found = wait_for("both incidents", lambda: len(found := announced(pipeline)) == 2 and found)
    assert found == [("opened", "number-on-file", noon_ms - 1, noon_ms - 1), ("opened", "everywhere", noon_ms, noon_ms)]

    broken = json.dumps([{"yaml": newer.replace("limit_kmh: 30", "limit_kmh: fast"), "geojson": pipeline.policy.pack.source["geojson"]}])
    pipeline.producer.send("courier.policy.v1", broken.encode(), b"hohhot-2019")
    registered = {"kind": "vehicle", "id": "HH-99999", "energy": "electric"}
    before = electric_vehicles(worker)
    pipeline.producer.send("courier.registry.v1", json.dumps([registered]).encode(), b"vehicle/HH-99999")
    pipeline.producer.flush()
    wait_for("the refusal to be logged", lambda: "reference record refused" in worker.log() and "limit_kmh" in worker.log())
    wait_for("the vehicle to be known", lambda: electric_vehicles(worker) == before + 1)
    pipeline.producer.send("courier.gps.v1", fix("c", noon_ms + 10_000, speed_kmh=50.0), b"k", partition=0)
    pipeline.producer.send("courier.gps.v1", fix("d", noon_ms + 20_000, speed_kmh=10.0), b"k", partition=0)
    pipeline.producer.flush()
    found = wait_for("both to close", lambda: len(found := announced(pipeline)) == 4 and found)
    assert found[2:] == [("closed", "number-on-file", noon_ms - 1, noon_ms), ("closed", "everywhere", noon_ms, noon_ms + 10_000)]


def test_lost_state_is_refused_and_rebuilt_by_a_rewind(pipeline, day):
    """Offsets without state: the worker ends with one line that says what to do, and that restores every incident."""
    pipeline.start("notifier")
    worker = pipeline.start_ready("worker")
    pipeline.send("courier.gps.v1", "vehicle_id", day["gps"])
    pipeline.send("courier.scan.v1", "waybill_id", day["scans"])
    pipeline.producer.flush()
    pipeline.drained()
    environment = {"YICHENG_KAFKA_BOOTSTRAP": pipeline.bootstrap}
    running = pipeline.yicheng.run("topics", "rewind", **environment)
    assert running.returncode == 1 and "stop them first" in running.stderr
    worker.send_signal(signal.SIGTERM)
    assert worker.wait(20) == 0
    admin = KafkaAdminClient(bootstrap_servers=pipeline.bootstrap)
    admin.delete_topics(["courier.vehicle-state.v1"])
    wait_for("the topic to be gone", lambda: "courier.vehicle-state.v1" not in admin.list_topics())
    admin.close()
    assert pipeline.yicheng.run("topics", "create", **environment).stdout == "courier.vehicle-state.v1\n"
    refused = pipeline.start("worker")
    pipeline.send("courier.gps.v1", "vehicle_id", day["gps"][-200:])
    pipeline.producer.flush()
    assert refused.wait(60) == 3
    line = next(line for line in refused.log().splitlines() if "its state in courier.vehicle-state.v1 is gone" in line)
    assert "yicheng topics rewind" in line and "Traceback" not in refused.log()
    wait_for("the group to be empty", lambda: pipeline.yicheng.run("topics", "rewind", **environment).returncode == 0)
    pipeline.start_ready("worker")
    pipeline.drained()
    assert pipeline.check_fixes()[0] > 5
    pipeline.check_rates(day["scans"])
    pipeline.check_revisions()
