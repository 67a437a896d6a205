"""Real workers on a real broker through everything that happens to them, seeded; then exact comparison with the oracle.

Four histories of a recorded day run in CI. ``./yicheng test --chaos 20`` runs twenty of 100,000 events each.
"""

import logging
import os
import random
import signal
import threading
import time

import pytest
from chaos.proxy import Proxy
from conftest import get, wait_for
from kafka import KafkaConsumer, TopicPartition
from make_day import END_MS, FAULTS
from pipeline import Pipeline, in_order, recorded_day

from deploy.broker import EmbeddedKafka
from deploy.ports import free_port
from deploy.topic_admin import create_topics, delete_topics
from producers.faults import Faults, inject
from producers.parcels import parcels
from producers.synthetic import Fleet
from streams.registry.files import load_registry

HISTORIES = int(os.environ.get("YICHENG_CHAOS") or 0)
KILLS = 3
GROUP = "yicheng"
INPUTS = ("courier.gps.v1", "courier.scan.v1")


@pytest.fixture(scope="module")
def broker(tmp_path_factory):
    logging.getLogger("kafka").setLevel(logging.CRITICAL)  # that the broker goes away is meant
    listen, front = free_port(), free_port()
    made = EmbeddedKafka(tmp_path_factory.mktemp("chaos"), port=0, proxied=(listen, front))
    made.start()
    made.proxy = Proxy(front, listen)
    yield made
    made.proxy.close()
    made.stop()
    logging.getLogger("kafka").setLevel(logging.NOTSET)


QUICK = ("-m", "deploy.cli")
SLOW = ("-c", "import functools\nfrom streams.runtime import fix_stage\nfix_stage.Engine = functools.partial(fix_stage.Engine, quiet=False)\nfrom deploy.cli import main\nmain()")
"""How a worker is started: as always, or so that every fix takes the slow path."""


class Supervisor:
    """Starts workers behind the proxy, and starts them again when they end, as an init system would."""

    def __init__(self, pipeline, front, program):
        self.pipeline, self.front, self.program = pipeline, front, program
        self.workers, self.restarts = [], 0
        self._stopping, self._lock = threading.Event(), threading.Lock()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()

    def start(self):
        worker = self.pipeline.start("worker", program=self.program, YICHENG_KAFKA_BOOTSTRAP=f"127.0.0.1:{self.front}")
        self.workers.append(worker)
        return worker

    def _watch(self):
        while not self._stopping.wait(0.5):
            with self._lock:
                for worker in [w for w in self.workers if w.poll() is not None]:
                    self.restarts += 1
                    self.start()  # first, so that there is always one to choose
                    self.workers.remove(worker)

    def leave(self, worker):
        """A worker stops for good. It may be about to end by itself, suspended for too long before, or not have begun yet."""
        with self._lock:
            if worker in self.workers:
                self.workers.remove(worker)
        worker.send_signal(signal.SIGTERM)
        worker.wait(40)

    def stop(self):
        self._stopping.set()
        self._thread.join()


class History:
    """One seeded run: the flow, the faults that met work in flight, and the checks."""

    def __init__(self, seed, pipeline, broker, day, seconds):
        self.rng = random.Random(seed)
        self.pipeline, self.broker, self.day, self.seconds = pipeline, broker, day, seconds
        self.workers = Supervisor(pipeline, broker.proxy.port, SLOW if seed % 2 else QUICK)
        self.met, self.over = [], threading.Event()

    def lag(self):
        """Records not committed yet."""
        consumer = KafkaConsumer(bootstrap_servers=self.broker.bootstrap, group_id=GROUP, enable_auto_commit=False)
        try:
            partitions = [TopicPartition(topic, n) for topic in INPUTS for n in consumer.partitions_for_topic(topic) or ()]
            return sum(consumer.end_offsets(partitions).values()) - sum(consumer.committed(p) or 0 for p in partitions)
        finally:
            consumer.close()

    def feed(self):
        """Send the day at an even pace; its end comes slowly until the last fault is over, so that each meets work in flight."""
        rows = in_order(self.day["gps"], self.day["scans"])
        rows, rest = rows[: len(rows) * 4 // 5], rows[len(rows) * 4 // 5 :]
        steps = round(self.seconds * 50)
        started = time.monotonic()
        for step in range(steps):
            for topic, key, line in rows[len(rows) * step // steps : len(rows) * (step + 1) // steps]:
                self.pipeline.send(topic, key, [line])
            time.sleep(max(0.0, started + self.seconds * (step + 1) / steps - time.monotonic()))
        while rest and not self.over.is_set():
            self.pipeline.send_rows(rest[:5])
            rest = rest[5:]
            self.over.wait(0.1)  # the pace: slow enough to last until the last fault on a slow machine, too
        self.pipeline.send_rows(rest)

    def schedule(self):
        """The faults in their order: three kills and as many others, drawn without repeating one."""
        others = [self.suspend, self.join, self.leave, self.kill_broker, self.restart_broker, self.cut, self.slow, self.reset]
        faults = [self.kill] * KILLS + self.rng.sample(others, KILLS)
        self.rng.shuffle(faults)
        return faults

    def kill(self):
        self.rng.choice(self.workers.workers).kill()

    def suspend(self):
        worker = self.rng.choice(self.workers.workers)
        worker.send_signal(signal.SIGSTOP)
        time.sleep(self.rng.uniform(5, 14))  # shorter and longer than a session
        worker.send_signal(signal.SIGCONT)

    def join(self):
        self.workers.start()

    def leave(self):
        if len(self.workers.workers) > 1:
            self.workers.leave(self.rng.choice(self.workers.workers))

    def kill_broker(self):
        self.broker.kill()
        self.broker.restart()

    def restart_broker(self):
        self.broker.stop()
        self.broker.restart()

    def cut(self):
        self.broker.proxy.cut()
        time.sleep(self.rng.uniform(1, 8))
        self.broker.proxy.heal()

    def slow(self):
        self.broker.proxy.latency_s = self.rng.uniform(0.02, 0.2)
        time.sleep(5)
        self.broker.proxy.heal()

    def reset(self):
        self.broker.proxy.reset()

    def run(self):
        """Play it, and check every invariant of reliability.md that a worker and a broker are about."""
        self.pipeline.start("notifier")
        for _ in range(2):
            self.workers.start()
        for worker in list(self.workers.workers):
            wait_for("a worker to be ready", lambda worker=worker: get(f"{worker.url}/readyz"))
        feeding = threading.Thread(target=self.feed, daemon=True)
        feeding.start()
        faults = self.schedule()
        started = time.monotonic()
        for number, fault in enumerate(faults):
            due = self.seconds * (number + 0.5) / len(faults) + self.rng.uniform(-1, 1)
            time.sleep(max(0.0, started + due - time.monotonic()))
            while feeding.is_alive():  # a fault is to meet work in flight
                if self.lag():
                    self.met.append(fault.__name__)
                    break
            fault()
        self.over.set()
        feeding.join()
        self.pipeline.drained(240)
        self.pipeline.check_alarms_stood(0.01)
        assert self.met.count("kill") == KILLS, f"the faults met no work in flight: {self.met}"
        incidents, refused, letters = self.pipeline.check_fixes()
        assert incidents > 5
        refused.pop("duplicate")
        assert letters == refused
        self.pipeline.check_rates(self.day["scans"])
        self.pipeline.check_revisions()
        return incidents


@pytest.fixture(scope="module")
def recorded():
    return recorded_day()


@pytest.fixture
def pipeline(broker, yicheng, tmp_path):
    delete_topics(broker.bootstrap, GROUP)
    create_topics(broker.bootstrap, 6)
    made = Pipeline(broker.bootstrap, yicheng, tmp_path)
    yield made
    broker.proxy.heal()
    made.producer.close()


@pytest.mark.timeout(600)
@pytest.mark.parametrize("seed", range(HISTORIES) or [0, 1, pytest.param(2, marks=pytest.mark.long), pytest.param(3, marks=pytest.mark.long)])
def test_nothing_is_lost_and_nothing_invented(seed, broker, pipeline, recorded):
    day, seconds = recorded, 27.0
    if HISTORIES:
        registry = load_registry(pipeline.registry, pipeline.policy.timezone)
        fleet = Fleet(pipeline.policy, registry, vehicles=100, start_ms=END_MS - 86_400_000, end_ms=END_MS, interval_ms=90_000, seed=seed)
        fixes = [sent[3] for sent in inject(fleet.fixes(), FAULTS, seed, pipeline.policy.lateness_ms)]
        scans = parcels(pipeline.policy, registry, fleet.truth, scans=12_000, end_ms=END_MS + 3_600_000, seed=seed)
        day = {"gps": fixes, "scans": [sent[3] for sent in inject(scans, Faults(dup=0.05, shuffle_ms=7_200_000), seed, pipeline.policy.lateness_ms)]}
        assert len(day["gps"]) + len(day["scans"]) >= 100_000
        seconds = 90.0
    history = History(seed, pipeline, broker, day, seconds)
    try:
        incidents = history.run()
    finally:
        history.workers.stop()
    print(f"seed {seed}: {len(day['gps']) + len(day['scans'])} events, {incidents} incidents, {history.met}, {history.workers.restarts} restarts")
