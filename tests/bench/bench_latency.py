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
from typing import Self

import orjson
from bench_judge import city, fleet
from bench_pipeline import PEERS, ROOT, install_peers

from deploy import leash
from deploy.admin import publish_policy, publish_registry
from deploy.broker import EmbeddedKafka
from deploy.ports import free_port
from deploy.topic_admin import create_topics
from streams.policy.policy import Policy
from streams.wire.topics import GPS, INCIDENTS

RATE, VEHICLES, SECONDS, WARM_SECONDS, PARTITIONS, STEP_S = 20_000, 20_000, 20, 10, 12, 0.01


def produce(bootstrap: str, rate: int, seconds: int, vehicles: int) -> None:
    """An even flow, by librdkafka so that it does not take the worker's core."""
    from confluent_kafka import Producer

    producer = Producer({"bootstrap.servers": bootstrap, "linger.ms": 1, "compression.type": "lz4", "queue.buffering.max.messages": 1_000_000})
    started, sent, per_step = time.monotonic(), 0, round(rate * STEP_S)
    for step in range(round(seconds / STEP_S)):
        now_ms = time.time_ns() // 1_000_000
        for _ in range(per_step):
            number = sent % vehicles
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
            if data["rule"] == "unregistered_vehicle" and data["revision"] == 1 and data["vehicle_id"].startswith("X"):
                latencies_ms.append((now, now * 1000 - data["opened_at_ms"]))


class Load:
    """An even flow of fixes on a broker of its own, the workers that judge them, and how late their incidents come."""

    def __init__(self, folder: str, vehicles: int) -> None:
        self.folder, self.vehicles = folder, vehicles
        self.latencies_ms: list[tuple[float, float]] = []
        self.workers: list[subprocess.Popen[bytes]] = []
        self.broker = EmbeddedKafka(Path(folder) / "kafka", port=0)
        self.stop = threading.Event()

    def __enter__(self) -> Self:
        self.broker.start()
        create_topics(self.broker.bootstrap, PARTITIONS)
        policy = self.pack()
        self.city, self.metrics_port = policy.pack.city.adcode, free_port()
        publish_policy(self.broker.bootstrap, policy)
        publish_registry(self.broker.bootstrap, fleet(policy, self.vehicles).grouped())
        threading.Thread(target=listen, args=(self.broker.bootstrap, self.latencies_ms, self.stop), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop.set()
        for worker in self.workers:
            worker.terminate()
        for worker in self.workers:
            worker.wait(30)
        self.broker.stop()

    def pack(self) -> Policy:
        """What is judged by."""
        return city(200)

    def start_worker(self) -> subprocess.Popen[bytes]:
        """A worker like any other."""
        environment = {
            **os.environ, "PYTHONPATH": str(ROOT), "YICHENG_KAFKA_BOOTSTRAP": self.broker.bootstrap, "YICHENG_POLICY": "bench", "YICHENG_REHEARSAL": "1",
            "YICHENG_METRICS_PORT": str(free_port() if self.workers else self.metrics_port), "YICHENG_STATE_DIR": self.folder, "YICHENG_PARTITIONS": str(PARTITIONS),
        }  # fmt: skip
        self.workers.append(leash.start([sys.executable, "-m", "deploy.cli", "worker"], env=environment, stdout=subprocess.DEVNULL))
        return self.workers[-1]

    def flow(self, rate: int, seconds: int) -> subprocess.Popen[bytes]:
        """Start the producer."""
        return leash.start(
            [sys.executable, __file__, "produce", self.broker.bootstrap, str(rate), str(seconds), str(self.vehicles)],
            env={**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), str(Path(__file__).parent), str(PEERS)])},
        )  # fmt: skip


def run(rate: int = RATE, seconds: int = SECONDS) -> dict[str, float]:
    """Percentiles in ms after a warm-up, and how many incidents they are of."""
    need_librdkafka()
    with tempfile.TemporaryDirectory() as folder, Load(folder, VEHICLES) as load:
        load.start_worker()
        time.sleep(8)  # the worker starts; what is measured begins after the warm-up
        started = time.time()
        if load.flow(rate, WARM_SECONDS + seconds).wait(200):
            raise RuntimeError("the producer failed")
        time.sleep(3)
    counted = sorted(latency for at, latency in load.latencies_ms if at > started + WARM_SECONDS)
    at = lambda share: round(counted[min(len(counted) - 1, int(share * len(counted)))], 1)  # noqa: E731
    return {"fixes_per_second": rate, "incidents": len(counted), "p50_ms": at(0.5), "p90_ms": at(0.9), "p99_ms": at(0.99), "max_ms": at(1.0)}


def need_librdkafka() -> None:
    """The load and the listener are librdkafka's, so that they do not take the worker's core."""
    if not install_peers():
        raise RuntimeError("the load needs librdkafka (tests/bench/peers.txt)")
    sys.path.append(str(PEERS))


if __name__ == "__main__":
    if sys.argv[1:2] == ["produce"]:
        produce(sys.argv[2], *(int(number) for number in sys.argv[3:6]))
    else:
        print(json.dumps(run(), indent=2))
