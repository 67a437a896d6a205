"""A worker's metrics page of a province: 50 cities with 20 enterprises each, every rule and measure: its series, bytes, and time to make and to fetch."""

from __future__ import annotations

import json
import time
from itertools import product
from statistics import median
from typing import Any
from urllib.request import Request, urlopen

from prometheus_client import REGISTRY

from streams import metrics
from streams.counts import CITY_WIDE, FEATURES, RATES_OF
from streams.policy.checks import SHARES
from streams.rules import RULES
from streams.wire.topics import FEEDBACK, GPS, HEARTBEAT, PARTIALS, SCAN

CITIES, ENTERPRISES, PARTITIONS, TIMES = 50, 20, 12, 20
OPEN_METRICS = "application/openmetrics-text; version=1.0.0"


def fill() -> None:
    """Every series that a worker of so many cities shows."""
    cities = [f"{150000 + number}" for number in range(CITIES)]
    enterprises = [*(f"enterprise-{number:02}" for number in range(ENTERPRISES)), CITY_WIDE]
    for city in cities:
        metrics.CITY.labels(city).info({"name_zh": "城市", "name_en": "City", "policy": f"city-{city}"})
        for outcome in ("accepted", "late", "duplicate", "invalid"):
            metrics.FIXES.labels(city, outcome).inc(123_456)
        for kind, outcome in product(("accepted", "departed", "arrived", "out_for_delivery", "delivered", "returned"), ("counted", "late", "duplicate")):
            metrics.SCANS.labels(city, kind, outcome).inc(12_345)
        for rule, transition in product(RULES, ("opened", "updated", "closed", "retracted")):
            metrics.INCIDENTS.labels(city, rule, "violation", transition).inc(12)
            metrics.INCIDENTS_OPEN.labels(city, rule).set(3)
        for measure in SHARES:
            metrics.TARGET_RATIO.labels(city, measure).set(0.9)
            metrics.TARGET_INFO.labels(city, measure, "2026-12-31", "二（一）", "stated", "").set(1)
        for energy in ("electric", "hybrid", "fuel"):
            metrics.VEHICLES_ACTIVE.labels(city, energy).set(1_000)
        for gauge in (metrics.NEV_RATIO, metrics.EMPTY_RUN, metrics.NIGHT_RUN, metrics.LINES_RUN):
            gauge.labels(city).set(0.61803)
        metrics.DELIVERY.labels(city).observe(36_000)
    for city, enterprise in product(cities, enterprises):
        _fill_rates(city, enterprise)
    for topic, partition in product((GPS, SCAN, HEARTBEAT, FEEDBACK, PARTIALS), range(PARTITIONS)):
        metrics.CONSUMER_LAG.labels(topic.name, str(partition)).set(17)
        metrics.RECORDS_HELD_BACK.labels(topic.name, str(partition)).set(0)
    metrics.INCIDENT_LATENCY.observe(0.023, {"incident_id": "AAAAAAAAAAAAAAAAAAAAAAAAAA"})


def _fill_rates(city: str, enterprise: str) -> None:
    for window in ("day", "hour", "30d"):
        metrics.ELECTRONIC_RATIO.labels(city, enterprise, window).set(0.93456)
        metrics.GREEN_RATIO.labels(city, enterprise, window).set(0.91234)
    for measure in list(RATES_OF)[2:]:
        metrics.MEASURE_RATIO.labels(city, enterprise, measure).set(0.87654)
    for measure in ("electronic_waybill", "green_packaging"):
        metrics.FORECAST.labels(city, enterprise, measure).set(0.92345)
    for percentile in ("50", "90"):
        metrics.TRANSIT.labels(city, enterprise, percentile).set(90_000)
    metrics.TRANSIT_UNTIMED.labels(city, enterprise).set(0.01234)
    if enterprise == CITY_WIDE:
        return  # counters are by enterprise alone
    for kind in ("electronic", "other"):
        metrics.PARCELS_ACCEPTED.labels(city, enterprise, kind).inc(123_456)
    for kind in ("green", "other"):
        metrics.PARCELS_PACKAGED.labels(city, enterprise, kind).inc(123_456)
    for measure in ("accepted", *FEATURES):
        metrics.PARCELS_COUNTED.labels(city, enterprise, measure).inc(123_456)


def run() -> dict[str, Any]:
    """Series and bytes of the page, and the median of its CPU and wall time in milliseconds; target: 50 ms."""
    fill()
    port = metrics.serve("127.0.0.1", 0, lambda: True)
    cpu_ms, wall_ms, body = [], [], b""
    for number in range(TIMES):
        for enterprise in list(metrics.PARCELS_COUNTED._metrics.values())[number % 2 :: 2]:
            enterprise.inc()
        cpu, wall = time.process_time(), time.perf_counter()
        with urlopen(Request(f"http://127.0.0.1:{port}/metrics", headers={"Accept": OPEN_METRICS}), timeout=60) as page:
            body = page.read()
        cpu_ms.append((time.process_time() - cpu) * 1000)
        wall_ms.append((time.perf_counter() - wall) * 1000)
    series = sum(not line.startswith(b"#") for line in body.splitlines())
    families = sum(1 for _ in REGISTRY.collect())
    return {
        "cities": CITIES, "enterprises": ENTERPRISES, "families": families, "series": series, "bytes": len(body),
        "cpu_ms": round(median(cpu_ms), 1), "wall_ms": round(median(wall_ms), 1), "wall_ms_max": round(max(wall_ms), 1),
    }  # fmt: skip


if __name__ == "__main__":
    print(json.dumps(run(), indent=2))
