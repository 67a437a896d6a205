"""The engine and the whole pipeline as a city grows: more vehicles, more zones, more hours. Each in a process of its own, one after another."""

from __future__ import annotations

import gc
import json
import multiprocessing
import random
import tempfile
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from statistics import median
from typing import Any

from bench_judge import Traffic, city, fleet, judge_more, rss_bytes
from bench_pipeline import PARTITIONS, ROUNDS, contend, fill

from deploy.broker import EmbeddedKafka
from deploy.topic_admin import create_topics
from streams.policy.policy import Policies
from streams.settings import GC_THRESHOLDS
from streams.vehicles.engine import Engine
from streams.vehicles.partition import new_partition

VEHICLES, ZONES, HOURS, FEW = (1_000, 10_000, 100_000), (10, 200, 1_000), 24, 1_000
ROUNDS_AN_HOUR = 360
WARM_ROUNDS, LEAST_ROUNDS, LEAST_FIXES = 116, 16, 640_000
"""Reports of every vehicle before the clock starts, and while it runs; of few vehicles more, so that as many fixes are timed."""
PIPELINE_VEHICLES, PIPELINE_EVENTS = (1_000, 100_000), 3_000_000
"""So many events that there are several checkpoints, each of all vehicles."""
LARGEST_SPREAD = 0.15
"""A regression: a measure that leaves the middle of its extremes by more than this."""


class City:
    """An engine at work on a city's traffic."""

    def __init__(self, vehicles: int, zones: int) -> None:
        gc.set_threshold(*GC_THRESHOLDS)
        rng = random.Random(1)
        policy = city(zones)
        registry = fleet(policy, vehicles)
        self.traffic = Traffic(vehicles, rng)
        self.engine, self.partition = Engine(Policies([policy]), registry, b"bench"), new_partition()

    def judge(self, rounds: int) -> float:
        """Judge so many reports of every vehicle; CPU µs a fix."""
        return judge_more(self.engine, self.partition, self.traffic, rounds)


def cpu_us(vehicles: int, zones: int) -> float:
    """CPU µs a fix once the buffers of ten minutes are full."""
    at_work = City(vehicles, zones)
    at_work.judge(WARM_ROUNDS)
    gc.collect()
    return at_work.judge(max(LEAST_ROUNDS, LEAST_FIXES // vehicles))


def over_hours(hours: int = HOURS, vehicles: int = FEW) -> dict[str, list[float]]:
    """CPU µs a fix and MiB resident in each of so many simulated hours of reports every 10 s."""
    at_work = City(vehicles, 200)
    found: dict[str, list[float]] = {"cpu_us_per_fix": [], "resident_mib": []}
    for _ in range(hours):
        found["cpu_us_per_fix"].append(at_work.judge(ROUNDS_AN_HOUR))
        found["resident_mib"].append(round(rss_bytes() / 2**20, 1))
    return found


def through_the_pipeline(vehicles: int) -> list[float]:
    """Events a second of a worker on a real broker, with checkpoints: min, median and max of several rounds."""
    with tempfile.TemporaryDirectory() as folder:
        broker = EmbeddedKafka(Path(folder), port=0)
        broker.start()
        try:
            create_topics(broker.bootstrap, PARTITIONS)
            fill(broker.bootstrap, PIPELINE_EVENTS, vehicles)
            found = [contend("yicheng", "judge", broker.bootstrap, PIPELINE_EVENTS, vehicles)["events_per_second"] for _ in range(ROUNDS)]
        finally:
            broker.stop()
    return [round(rate) for rate in (min(found), median(found), max(found))]


def run() -> dict[str, Any]:
    """CPU µs a fix by vehicles, by zones and by the hour, and events a second of the pipeline by vehicles.

    ``spread``: how far from the middle of the extremes these are (of the pipeline the medians); ``regression`` in words.
    """
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn"), max_tasks_per_child=1) as alone:
        figures: dict[str, Any] = {
            "vehicles": {number: alone.submit(cpu_us, number, 200).result() for number in VEHICLES},
            "zones": {number: alone.submit(cpu_us, 10_000, number).result() for number in ZONES},
            "hours": alone.submit(over_hours).result(),
            "pipeline": {number: through_the_pipeline(number) for number in PIPELINE_VEHICLES},
        }
    by = {
        "vehicles": figures["vehicles"].values(), "zones": figures["zones"].values(), "hours": figures["hours"]["cpu_us_per_fix"],
        "pipeline": [middle for _, middle, _ in figures["pipeline"].values()],
    }  # fmt: skip
    spread = figures["spread"] = {name: round((max(values) - min(values)) / (max(values) + min(values)), 3) for name, values in by.items()}
    figures["regression"] = ", ".join(f"{name} ±{found:.0%}, more than {LARGEST_SPREAD:.0%}" for name, found in spread.items() if found > LARGEST_SPREAD)
    return figures


if __name__ == "__main__":
    print(json.dumps(run(), indent=2))
