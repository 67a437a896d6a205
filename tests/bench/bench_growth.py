"""The engine as a city grows: more vehicles, more zones, more hours. CPU µs a fix, each figure beside the others in one run."""

from __future__ import annotations

import gc
import json
import random
import time
from statistics import median
from typing import Any

from bench_judge import Traffic, city, fleet, rss_bytes
from bench_judge import run as judge

from streams.engine import Engine, new_partition
from streams.policy import Policies

VEHICLES, ZONES, HOURS, FEW = (1_000, 10_000, 100_000), (10, 200, 1_000), 24, 1_000


def over_hours(hours: int = HOURS, vehicles: int = FEW) -> dict[str, list[float]]:
    """CPU µs a fix (median over chunks) and MiB resident after each of so many simulated hours of reports every 10 s."""
    rng = random.Random(1)
    policy = city(200)
    registry, traffic = fleet(policy, vehicles, rng), Traffic(vehicles, rng)
    engine, partition = Engine(Policies([policy]), registry, b"bench"), new_partition()
    found: dict[str, list[float]] = {"cpu_us_per_fix": [], "resident_mib": []}
    for _ in range(hours):
        spent = []
        for chunk in traffic.chunks(360):
            started = time.process_time()
            engine.judge(partition, chunk)
            spent.append((time.process_time() - started) * 1e6 / len(chunk))
        gc.collect()
        found["cpu_us_per_fix"].append(round(median(spent), 2))
        found["resident_mib"].append(round(rss_bytes() / 2**20, 1))
    return found


def run() -> dict[str, Any]:
    """By vehicles, by zones, and by the hour."""
    return {
        "vehicles": {number: judge(vehicles=number)["cpu_us_per_fix"] for number in VEHICLES},
        "zones": {number: judge(vehicles=10_000, zones=number)["cpu_us_per_fix"] for number in ZONES},
        "hours": over_hours(),
    }


if __name__ == "__main__":
    print(json.dumps(run(), indent=2))
