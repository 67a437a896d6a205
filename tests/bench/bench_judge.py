"""The engine at work: CPU per fix with every vehicle rule, 200 zones and 20,000 vehicles, by where it goes; bytes per vehicle.

Vehicles report every 10 s. What is timed is a minute of judging after the buffers of ten minutes have filled up.
Numbers are CPU time of one core (``time.process_time``); wall time on these machines says little.
"""

from __future__ import annotations

import gc
import json
import random
import time
from array import array
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from streams.fix_batch import pack
from streams.policy.policy import Policies, Policy
from streams.policy.reader import parse_policy
from streams.registry.records import decode_entry
from streams.registry.registry import Registry
from streams.settings import GC_THRESHOLDS
from streams.vehicles.codec import decode_vehicle, encode_vehicles
from streams.vehicles.decoding import decode_chunk
from streams.vehicles.engine import Engine
from streams.vehicles.partition import FixPartition, new_partition
from streams.vehicles.store import LONGEST_ID
from streams.wire.events import Record
from streams.wire.state_records import header_of

CHUNK_RECORDS = 2_000
START_MS = 1_782_446_400_000
INTERVAL_MS = 10_000
PACK = """
policy: bench
city: {adcode: "1", name_zh: 甲, name_en: A, timezone: Asia/Shanghai}
document: {title: t, number: n, file: f}
identifier: {pattern: "BN-[0-9]{6}"}
zones: z
calendars: {fair: [{from: 2020-01-01, until: 2020-01-02}]}
rules:
  - {rule: unregistered_vehicle, id: a, clause: "1", severity: violation}
  - {rule: malformed_identifier, id: b, clause: "1", severity: warning}
  - {rule: unmarked_vehicle, id: c, clause: "1", severity: warning}
  - {rule: nonstandard_vehicle, id: d, clause: "1", severity: warning, allow: {body: [box]}}
  - {rule: cloned_identifier, id: e, clause: "1", severity: violation}
  - rule: restricted_hours
    id: f
    clause: "1"
    severity: violation
    zones: {kind: restricted}
    vehicles: {classes: [light_van, truck]}
    permitted: [{from: "20:00", until: "07:00"}]
    exempt: {passes: [green], energy: [electric], calendars: [fair], unless_credit: black}
  - {rule: outside_operating_area, id: g, clause: "1", severity: warning, zones: [area]}
  - {rule: forbidden_stop, id: h, clause: "1", severity: violation, zones: {kind: road}, permitted: [{from: "10:00", until: "11:00"}]}
  - {rule: overstayed_stop, id: i, clause: "1", severity: warning, zones: {kind: loading}, limit: 15m}
  - {rule: speeding, id: j, clause: "1", severity: warning, limit_kmh: 60}
  - {rule: speeding, id: k, clause: "1", severity: warning, limit_kmh: 30, zones: {kind: restricted}}
  - {rule: untrained_driver, id: l, clause: "1", severity: warning}
  - {rule: uninsured_driver, id: m, clause: "1", severity: warning}
  - {rule: unrecognised_foreign_plate, id: n, clause: "1", severity: warning}
  - {rule: silent_vehicle, id: o, clause: "1", severity: warning, limit: 30m}
"""


def city(zones: int, more_rules: str = "") -> Policy:
    """The pack with so many zones in rows over a city of 0.6° by 0.6°, and the operating area around them."""
    def square(name: str, kind: str, west: float, south: float, side: float) -> dict[str, Any]:
        ring = [[west, south], [west + side, south], [west + side, south + side], [west, south + side], [west, south]]
        return {"type": "Feature", "properties": {"id": name, "kind": kind}, "geometry": {"type": "Polygon", "coordinates": [ring]}}

    features = [square("area", "operating", 111.0, 40.0, 0.6)]
    row = max(1, round((zones - 1) ** 0.5))
    for number in range(zones - 1):
        kind = ("restricted", "road", "loading", "restricted")[number % 4]
        features.append(square(f"z{number}", kind, 111.0 + 0.6 * (number % row) / row, 40.0 + 0.6 * (number // row) / row, 0.2 / row))
    return parse_policy(PACK + more_rules, "bench", lambda _: json.dumps({"type": "FeatureCollection", "features": features}))


def fleet(policy: Policy, vehicles: int) -> Registry:
    """A registry in which all but 2 % of the vehicles are in order; the mix is the same in fleets of any size."""
    registry = Registry(policy.timezone)
    for number in range(vehicles):
        kind = ("e_tricycle", "micro_van", "light_van", "truck")[number % 4]
        registry.add(
            decode_entry(json.dumps(record).encode())
            for record in (
                {"kind": "driver", "id": f"D{number}", "trained_until": "2035-12-31", "insured_until": "2035-12-31"},
                {"kind": "vehicle", "id": f"BN-{number:06}", "plate": f"蒙A{number:05}", "vehicle_class": kind, "enterprise_id": f"e{number % 12}",
                 "energy": "electric" if number // 4 % 5 < 3 else "fuel", "body": "box", "marked": number % 49 != 0, "driver_ids": [f"D{number}"]},
            )
        )  # fmt: skip
    return registry


class Traffic:
    """Every vehicle's report each interval, shuffled among vehicles, as chunks of records. They start one after another.

    Nothing is kept as objects here: what this frees and allocates would lie between the engine's.
    """

    def __init__(self, vehicles: int, rng: random.Random) -> None:
        self.rng, self.offset, self.round = rng, 0, 0
        self.orders = np.random.default_rng(rng.getrandbits(64))
        self.first_round = self.orders.integers(0, 40, vehicles)
        self.lons = array("d", (rng.uniform(111.0, 111.6) for _ in range(vehicles)))
        self.lats = array("d", (rng.uniform(40.0, 40.6) for _ in range(vehicles)))

    def chunks(self, rounds: int) -> Any:
        """So many reports of every vehicle."""
        for _ in range(rounds):
            order = self.orders.permutation(np.flatnonzero(self.first_round <= self.round))
            base_ms = START_MS + self.round * INTERVAL_MS
            for start in range(0, len(order), CHUNK_RECORDS):
                yield [self._report(number, base_ms) for number in order[start : start + CHUNK_RECORDS].tolist()]
            self.round += 1

    def _report(self, number: int, base_ms: int) -> Record:
        lon = min(max(self.lons[number] + self.rng.uniform(-3e-4, 3e-4), 111.0), 111.6)
        lat = min(max(self.lats[number] + self.rng.uniform(-3e-4, 3e-4), 40.0), 40.6)
        self.lons[number], self.lats[number] = lon, lat
        time_ms = base_ms + number % INTERVAL_MS
        value = (
            f'{{"event_id":"{number}-{time_ms}","event_time_ms":{time_ms},"vehicle_id":"BN-{number:06}","lon":{lon:.6f},"lat":{lat:.6f},'
            f'"plate":"蒙A{number:05}","speed_kmh":{self.rng.random() * 28:.1f},"heading_deg":90.0,"ignition":true,"source":"bench"}}'
        ).encode()
        self.offset += 1
        return Record(value, self.offset)


def rss_bytes() -> int:
    """Resident memory of this process."""
    gc.collect()
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096


def judge_more(engine: Engine, partition: FixPartition, traffic: Traffic, rounds: int = 1) -> float:
    """Judge so many more reports of every vehicle; CPU µs a fix, as the mean."""
    seconds, fixes = 0.0, 0
    for chunk in traffic.chunks(rounds):
        started = time.process_time()
        engine.judge(partition, chunk)
        seconds += time.process_time() - started
        fixes += len(chunk)
    return round(seconds * 1e6 / fixes, 2)


def run(vehicles: int = 20_000, zones: int = 200, warm_rounds: int = 116, rounds: int = 16, seed: int = 1) -> dict[str, Any]:
    """Judge ``rounds`` reports of every vehicle after a warm-up, chunk by chunk; returns µs and bytes."""
    gc.set_threshold(*GC_THRESHOLDS)
    rng = random.Random(seed)
    policy = city(zones)
    registry, traffic = fleet(policy, vehicles), Traffic(vehicles, rng)
    engine, partition = Engine(Policies([policy]), registry, b"bench"), new_partition()
    for chunk in Traffic(CHUNK_RECORDS, rng).chunks(41):  # so that what a worker needs without any vehicle is there before
        engine.judge(new_partition(), chunk)
    before, transitions = rss_bytes(), 0
    for chunk in traffic.chunks(warm_rounds):
        engine.judge(partition, chunk)
    grown = rss_bytes() - before
    spent: dict[str, list[float]] = {"decode": [], "zones": [], "rules": [], "all": []}
    for chunk in traffic.chunks(rounds):
        start = time.process_time()
        fixes, taken, _ = decode_chunk(chunk, 0, refuses_synthetic=False)
        decoded = time.process_time()
        packed = pack(fixes, np.array([record.offset for record in taken]), LONGEST_ID)
        packed_at = time.process_time()
        inside = engine.policies.locate(fixes.times, fixes.lons, fixes.lats)
        located = time.process_time()
        slots = partition.store.index.find([fix.vehicle_id for fix in fixes.fixes])
        latest = partition.store.latest_before(slots, np.argsort(slots, kind="stable"), packed)
        engine._quiet(partition, fixes, packed, latest, inside, engine.compiler.prefilter(fixes))
        ruled = time.process_time()
        verdict = engine.judge(partition, chunk)
        judged = time.process_time()
        transitions += len(verdict.transitions)
        steps = (decoded - start, located - packed_at, ruled - located, judged - ruled)
        for name, seconds in zip(spent, steps, strict=True):
            spent[name].append(seconds * 1e6 / len(chunk))
    us = {name: median(values) for name, values in spent.items()}
    state = dict(encode_vehicles(partition.store, np.arange(vehicles), engine, header_of(0, 0, 0)))
    kept = sum(len(partition.store.history(vehicle)) for vehicle in partition.vehicles.values())
    engine.change(engine.policies)
    changed_us = judge_more(engine, partition, traffic)
    anew, restored = Engine(engine.policies, registry, b"bench"), new_partition()
    for vehicle_id, value in state.items():
        restored.vehicles[vehicle_id] = decode_vehicle(value, anew)
        anew.timers.schedule(restored, restored.vehicles[vehicle_id])
    return {
        "vehicles": vehicles, "zones": zones, "rules": len(policy.fix_rules), "fixes_timed": rounds * vehicles, "transitions": transitions,
        "cpu_us_per_fix": round(us["all"], 2), "fixes_per_second": round(1e6 / us["all"]),
        "spread_us": [round(min(spent["all"]), 2), round(max(spent["all"]), 2)],
        "breakdown_us": {"decode": round(us["decode"], 2), "zones": round(us["zones"], 2), "rules": round(us["rules"], 2),
                         "state": round(us["all"] - us["decode"] - us["zones"] - us["rules"], 2)},
        "kept_fixes_per_vehicle": round(kept / vehicles, 1), "memory_bytes_per_vehicle": round(grown / vehicles),
        "serialised_bytes_per_vehicle": round(sum(map(len, state.values())) / vehicles),
        "after_a_change_us": changed_us, "after_a_restore_us": judge_more(anew, restored, traffic),
    }  # fmt: skip


if __name__ == "__main__":
    print(json.dumps(run(), indent=2))
