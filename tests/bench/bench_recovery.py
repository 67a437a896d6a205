"""State in Kafka: bytes a vehicle takes there at 10 s reports and 10 min lateness, and how fast a worker has it back."""

from __future__ import annotations

import asyncio
import itertools
import json
import random
import tempfile
import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np
from bench_judge import Traffic, city, fleet, rss_bytes
from contenders import still

from deploy.broker import EmbeddedKafka
from deploy.topic_admin import create_topics
from streams.clock import BEGINNING_MS
from streams.policy.policy import Policies
from streams.runtime.checkpoint import Checkpoint
from streams.runtime.durable import Change
from streams.runtime.fix_stage import FixStage
from streams.runtime.origin import Origin, signed
from streams.runtime.patches import read_by_structs
from streams.vehicles.codec import encode_vehicles
from streams.vehicles.engine import Engine
from streams.vehicles.partition import new_partition
from streams.wire.state_records import COMMIT_MARKER, encode_header, header_of
from streams.wire.topics import VEHICLE_STATE

VEHICLES, TEMPLATES, PARTITIONS = 1_000_000, 1_000, 4


def bytes_of(folder: Path) -> int:
    """What the state topic takes on the broker's disk."""
    return sum(file.stat().st_size for file in folder.glob(f"data/{VEHICLE_STATE.name}-*/*.log"))


async def run(vehicles: int = VEHICLES) -> dict[str, float]:
    """Writes the state of so many vehicles as checkpoints do, and restores all of it as one worker would."""
    read_by_structs()
    rng = random.Random(1)
    policy = city(200)
    registry, traffic = fleet(policy, TEMPLATES), Traffic(TEMPLATES, rng)
    engine, partition = Engine(Policies([policy]), registry, b"bench"), new_partition()
    for chunk in traffic.chunks(116):
        engine.judge(partition, chunk)
    templates = list(partition.vehicles.values())
    with tempfile.TemporaryDirectory() as folder:
        broker = EmbeddedKafka(Path(folder), port=0)
        broker.start()
        try:
            create_topics(broker.bootstrap, PARTITIONS)
            checkpoint = Checkpoint(broker.bootstrap, Origin(rehearsal=True))
            started = time.perf_counter()
            for number in range(PARTITIONS):
                head = header_of(number, 1, 1)
                changes: list[Change] = []
                for first in range(number, vehicles, TEMPLATES):
                    stood_for = range(first, min(first + TEMPLATES, vehicles), PARTITIONS)
                    for vehicle in stood_for:
                        templates[vehicle % TEMPLATES].vehicle_id = f"BN-{vehicle:07}"
                    slots = np.array([templates[vehicle % TEMPLATES].slot for vehicle in stood_for])
                    changes += itertools.starmap(Change, encode_vehicles(partition.store, slots, engine, head))
                    if len(changes) >= 5_000 or first + TEMPLATES >= vehicles:
                        await asyncio.gather(*await checkpoint._save(VEHICLE_STATE.name, number, changes))
                        changes.clear()
                await asyncio.gather(*await checkpoint._save(VEHICLE_STATE.name, number, [Change(COMMIT_MARKER, signed(encode_header(head), checkpoint.origin))]))
            written_s = time.perf_counter() - started
            on_disk = bytes_of(Path(folder))
            before = rss_bytes()
            stage = FixStage(checkpoint, still(SimpleNamespace(policies=engine.policies, registry=registry, watermark_ms=BEGINNING_MS, ready=asyncio.Event())), b"bench")
            stage.reference_changed()
            started = time.perf_counter()
            for number in range(PARTITIONS):
                await stage.partition(number)
            restored_s = time.perf_counter() - started
            assert sum(len(p.vehicles) for p in stage.partitions.values()) == vehicles
            grown = rss_bytes() - before
            await checkpoint.close()
        finally:
            broker.stop()
    return {
        "vehicles": vehicles, "changelog_bytes_per_vehicle": round(on_disk / vehicles), "written_seconds": round(written_s, 1),
        "restored_seconds": round(restored_s, 1), "memory_bytes_per_vehicle": round(grown / vehicles),
    }  # fmt: skip


if __name__ == "__main__":
    print(json.dumps(asyncio.run(run()), indent=2))
