"""Counting and judging parcel scans: CPU time a scan, and memory with a day's ten million parcels.

A city's day of parcels, each accepted, departed and delivered, from 1,200 outlets of twelve enterprises, by the rules of
the Yunnan pack (outlets on file, senders verified, parcels inspected); one in a hundred scans offends.
"""

from __future__ import annotations

import json
import random
import statistics
import time
import uuid
from collections.abc import Iterator

from bench_judge import CHUNK_RECORDS, rss_bytes

from streams.parcels.partition import ScanPartition, new_scan_partition
from streams.parcels.scans import count_scans
from streams.policy.policy import Policies
from streams.policy.reader import load_policy
from streams.registry.records import decode_entry
from streams.registry.registry import Registry
from streams.wire.events import Record

PARCELS, DAYS_PARCELS, OUTLETS = 300_000, 10_000_000, 1_200
CHECKPOINT_CHUNKS = 50
DAY_START_MS = 1_782_403_200_000  # 2026-06-26 00:00 in Shanghai


def scans(rng: random.Random, city: str, parcels: int, kinds: tuple[str, ...]) -> Iterator[bytes]:
    """Every parcel's scans, one kind after another, in order of time."""
    step_ms = 86_400_000 / (len(kinds) * parcels)
    for step, kind in enumerate(kinds):
        for number in range(parcels):
            outlet = number * 7 % OUTLETS
            said = "false" if rng.random() < 0.005 else "true"
            yield (
                f'{{"event_id":"{uuid.UUID(int=rng.getrandbits(128))}","event_time_ms":{DAY_START_MS + int((step * parcels + number) * step_ms)},"waybill_id":"W{number:012}",'
                f'"enterprise_id":"e{outlet % 12}","city":"{city}","kind":"{kind}","outlet_id":"O{outlet:04}","waybill_kind":"electronic",'
                f'"packaging":{{"green":true,"tape_mm":45.0,"repackaged":false,"reusable_bag":true}},"real_name_verified":{said},"inspected":true}}'
            ).encode()


def prepared() -> tuple[Policies, Registry]:
    """The Yunnan pack and its outlets, one in two hundred not on file."""
    policy = load_policy("yunnan-2018")
    registry = Registry(policy.timezone)
    for number in range(OUTLETS):
        record = {"kind": "outlet", "id": f"O{number:04}", "enterprise_id": f"e{number % 12}", "filed": number % 200 != 0}
        registry.add([decode_entry(json.dumps(record).encode())])
    return Policies([policy]), registry


def judge(values: Iterator[bytes], policies: Policies, registry: Registry) -> tuple[ScanPartition, list[float]]:
    """One partition's state after all scans, and the CPU µs a scan of every chunk."""
    partition, chunk, costs = new_scan_partition(), list[Record](), list[float]()
    for number, value in enumerate(values):
        chunk.append(Record(value, number))
        if len(chunk) == CHUNK_RECORDS:
            started = time.process_time()
            count_scans(partition, chunk, policies, registry)
            costs.append((time.process_time() - started) / CHUNK_RECORDS * 1e6)
            chunk = []
            if len(costs) % CHECKPOINT_CHUNKS == 0:  # what a checkpoint would take down
                for changed in (partition.dirty_parcels, partition.dirty_days, partition.dirty_minutes, partition.dirty_violations, partition.heartbeats):
                    changed.clear()
                partition.expired.clear()
    return partition, costs


def run() -> dict[str, float]:
    """CPU µs a scan of all kinds; GiB with a day's parcels, and with three days'."""
    policies, registry = prepared()
    city = policies.newest.pack.city.adcode
    partition, costs = judge(scans(random.Random(1), city, PARCELS, ("accepted", "departed", "delivered")), policies, registry)
    mean = sum(costs) / len(costs)
    figures = {
        "parcels": len(partition.parcels), "findings": len(partition.violations), "cpu_us_per_scan": round(mean, 2),
        "median_us": round(statistics.median(costs), 2), "scans_per_second": round(1e6 / mean),
    }  # fmt: skip
    del partition
    before = rss_bytes()
    partition, costs = judge(scans(random.Random(1), city, DAYS_PARCELS, ("accepted",)), policies, registry)
    grown = rss_bytes() - before
    figures["days_parcels"], figures["days_gib"] = len(partition.parcels), round(grown / 2**30, 3)
    figures["memory_bytes_per_parcel"], figures["accepted_us"] = round(grown / len(partition.parcels), 1), round(sum(costs) / len(costs), 2)
    return figures


if __name__ == "__main__":
    print(json.dumps(run(), indent=2))
