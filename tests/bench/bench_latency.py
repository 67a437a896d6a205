"""From a record to its incident: a worker under 20,000 fixes a second, every hundredth of a vehicle that nobody has registered.

Latency is what a receiver sees: from the moment a fix was produced to the moment its incident was read from the topic.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import orjson
from bench_judge import city, fleet_of
from bench_pipeline import PEERS, ROOT, install_peers

from deploy.admin import create_topics, publish_policy, publish_registry
from deploy.broker import EmbeddedKafka, free_port
from streams.topics import GPS, INCIDENTS

RATE, SECONDS, WARM_SECONDS, PARTITIONS, STEP_S = 20_000, 20, 10, 12, 0.01


def produce(bootstrap: str, rate: int, seconds: int) -> None:
    """An even flow, by librdkafka so that it does not take the worker's core."""
    from confluent_kafka import Producer

    producer = Producer({"bootstrap.servers": bootstrap, "linger.ms": 1, "compression.type": "lz4", "queue.buffering.max.messages": 1_000_000})
    started, sent, per_step = time.monotonic(), 0, round(rate * STEP_S)
    for step in range(round(seconds / STEP_S)):
        now_ms = time.time_ns() // 1_000_000
        for _ in range(per_step):
            number = sent % 20_000
            vehicle = f"X{sent:07}" if sent % 101 == 0 else f"BN-{number:06}"
            value = (
                f'{{"event_id":"{sent}","event_time_ms":{now_ms},"vehicle_id":"{vehicle}","lon":{111.01 + number % 200 * 1e-4:.6f},"lat":40.03,'
                f'"speed_kmh":20.0,"ignition":true}}'
            )
            producer.produce(GPS.name, value, vehicle, partition=number % PARTITIONS)
            sent += 1
        producer.poll(0)
        time.sleep(max(0.0, started + (step + 1) * STEP_S - time.monotonic()))
    producer.flush()


def listen(bootstrap: str, latencies_ms: list[tuple[float, float]], stop: threading.Event) -> None:
    """(time of arrival, latency) of every incident about an unregistered vehicle."""
    from confluent_kafka import Consumer

    consumer = Consumer({"bootstrap.servers": bootstrap, "group.id": "listener", "auto.offset.reset": "earliest", "fetch.wait.max.ms": 5})
    consumer.subscribe([INCIDENTS.name])
    while not stop.is_set():
        message = consumer.poll(0.1)  # consume() would wait for more
        if message is not None:
            now = time.time()
            data = orjson.loads(message.value())["data"]
            if data["rule"] == "unregistered_vehicle" and data["revision"] == 1:
                latencies_ms.append((now, now * 1000 - data["opened_at_ms"]))


def run(rate: int = RATE, seconds: int = SECONDS) -> dict[str, float]:
    """Percentiles in ms after a warm-up, and how many incidents they are of."""
    if not install_peers():
        raise RuntimeError("the load needs librdkafka (tests/bench/peers.txt)")
    sys.path.append(str(PEERS))
    with tempfile.TemporaryDirectory() as folder:
        broker = EmbeddedKafka(Path(folder) / "kafka", port=0)
        broker.start()
        port = free_port()
        environment = {
            **os.environ, "PYTHONPATH": str(ROOT), "YICHENG_KAFKA_BOOTSTRAP": broker.bootstrap, "YICHENG_POLICY": "bench",
            "YICHENG_METRICS_PORT": str(port), "YICHENG_STATE_DIR": folder, "YICHENG_PARTITIONS": str(PARTITIONS),
        }  # fmt: skip
        worker, stop = None, threading.Event()
        try:
            create_topics(broker.bootstrap, PARTITIONS)
            policy = city(200)
            publish_policy(broker.bootstrap, policy)
            publish_registry(broker.bootstrap, fleet_of(policy).grouped())
            worker = subprocess.Popen([sys.executable, "-m", "deploy.cli", "worker"], env=environment, stdout=subprocess.DEVNULL)
            latencies_ms: list[tuple[float, float]] = []
            listener = threading.Thread(target=listen, args=(broker.bootstrap, latencies_ms, stop), daemon=True)
            listener.start()
            time.sleep(8)  # the worker starts; what is measured begins after the warm-up
            started = time.time()
            child = subprocess.run(
                [sys.executable, __file__, "produce", broker.bootstrap, str(rate), str(WARM_SECONDS + seconds)], check=True, timeout=200,
                env={**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), str(Path(__file__).parent), str(PEERS)])},
            )  # fmt: skip
            assert child.returncode == 0
            time.sleep(3)
            stop.set()
            listener.join()
        finally:
            stop.set()
            if worker is not None:
                worker.terminate()
                worker.wait(30)
            broker.stop()
    counted = sorted(latency for at, latency in latencies_ms if at > started + WARM_SECONDS)
    at = lambda share: round(counted[min(len(counted) - 1, int(share * len(counted)))], 1)  # noqa: E731
    return {"fixes_per_second": rate, "incidents": len(counted), "p50_ms": at(0.5), "p90_ms": at(0.9), "p99_ms": at(0.99), "max_ms": at(1.0)}


if __name__ == "__main__":
    if sys.argv[1:2] == ["produce"]:
        produce(sys.argv[2], int(sys.argv[3]), int(sys.argv[4]))
    else:
        print(json.dumps(run(), indent=2))
