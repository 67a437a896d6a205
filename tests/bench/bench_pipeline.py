"""The whole pipeline on a real broker, against its peers in the same run, on the same fixes.

Every contender reads the same 4 partitions from the beginning, alone on the machine, in turn, several times. ``decode``:
JSON to a fix; ``judge``: the engine with 15 rules and 200 zones for 20,000 vehicles. Ratios are to ``raw``, in the same round.
"""

from __future__ import annotations

import json
import os
import random
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from bench_judge import Traffic

from deploy.broker import EmbeddedKafka
from deploy.topic_admin import create_topics
from streams.wire.topics import GPS

HERE = Path(__file__).parent
ROOT = HERE.parent.parent
PEERS = ROOT / ".yicheng" / "peers"
LEAST_OF_RAW = 0.7
"""A regression: judging at less than this share of the raw loop's events a second, in the same rounds."""
EVENTS, VEHICLES, ROUNDS, PARTITIONS = 300_000, 20_000, 3, 4


def install_peers() -> bool:
    """Put the peers' packages in a folder of their own, which only their processes see; whether they are there."""
    if not PEERS.exists():
        command = [sys.executable, "-m", "pip", "install", "--quiet", "--target", str(PEERS), "-r", str(HERE / "peers.txt")]
        return subprocess.run(command, check=False).returncode == 0
    return True


def fill(bootstrap: str, events: int, vehicles: int = VEHICLES) -> None:
    """Publish the traffic of ``bench_judge``, by vehicle, as lz4 batches."""
    from kafka import KafkaProducer

    producer = KafkaProducer(bootstrap_servers=bootstrap, compression_type="lz4", linger_ms=20, batch_size=262_144)
    sent, traffic = 0, Traffic(vehicles, random.Random(1))
    traffic.round = int(traffic.first_round.max())
    for chunk in traffic.chunks(-(-events // vehicles)):
        for record in chunk:
            vehicle = record.value.partition(b'"vehicle_id":"BN-')[2][:6]
            producer.send(GPS.name, record.value, vehicle, partition=int(vehicle) % PARTITIONS)
            sent += 1
            if sent == events:
                producer.flush()
                return


def contend(name: str, work: str, bootstrap: str, events: int = EVENTS, vehicles: int = VEHICLES) -> dict[str, float]:
    """One contender, once: events a second and CPU µs an event."""
    peers = [] if name in {"raw", "yicheng", "faust"} else [str(PEERS)]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), str(HERE), *peers])}
    command = [sys.executable, str(HERE / "contenders.py"), name, work, bootstrap, str(events), str(vehicles)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300, check=False)
    _, begun, rest = done.stdout.partition('{"events"')  # frameworks print, too
    if not begun:
        raise RuntimeError(f"{name} {work}: {done.stdout[-500:]} {done.stderr[-2000:]}")
    result = json.loads(begun + rest.splitlines()[0])
    return {"events_per_second": result["events"] / result["seconds"], "cpu_us_per_event": result["cpu_seconds"] * 1e6 / result["events"]}


def run() -> dict[str, Any]:
    """work → contender → measure → [min, median, max], and the median of the ratios to ``raw`` in the same round; ``regression`` in words."""
    names = ["raw", "yicheng", "faust"]
    if install_peers():
        names += ["confluent-kafka", "bytewax", "quixstreams"]
    figures: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as folder:
        broker = EmbeddedKafka(Path(folder), port=0)
        broker.start()
        try:
            create_topics(broker.bootstrap, PARTITIONS)
            fill(broker.bootstrap, EVENTS)
            for work in ("decode", "judge"):
                rounds = [{name: contend(name, work, broker.bootstrap) for name in names} for _ in range(ROUNDS)]
                figures[work] = {name: _summary(name, rounds) for name in names}
        finally:
            broker.stop()
    share = figures["judge"]["yicheng"]["times_raw"][0]
    figures["regression"] = f"judging runs at {share} of the raw loop, less than {LEAST_OF_RAW}" if share < LEAST_OF_RAW else ""
    return figures


def _summary(name: str, rounds: list[dict[str, dict[str, float]]]) -> dict[str, list[float]]:
    summary = {}
    for measure in ("events_per_second", "cpu_us_per_event"):
        values = sorted(found[name][measure] for found in rounds)
        summary[measure] = [round(number, 2) for number in (values[0], statistics.median(values), values[-1])]
    summary["times_raw"] = [round(statistics.median(found[name]["events_per_second"] / found["raw"]["events_per_second"] for found in rounds), 3)]
    return summary


if __name__ == "__main__":
    print(json.dumps(run(), indent=2))
