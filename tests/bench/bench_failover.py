"""What a receiver of incidents notices when a worker joins and when one is killed, with 100,000 vehicles reporting every 10 s.

A pause is the greatest latency of any incident that was produced from shortly before the event until all is as before.
"""

from __future__ import annotations

import json
import tempfile
import time

from bench_latency import Load, need_librdkafka

VEHICLES, RATE, BEFORE_S, BETWEEN_S, AFTER_S = 100_000, 10_000, 20, 20, 40


def run() -> dict[str, float]:
    """Seconds without news about some partition: while a worker joins, and after ``kill -9``."""
    need_librdkafka()
    with tempfile.TemporaryDirectory() as folder, Load(folder, VEHICLES) as load:
        first = load.start_worker()
        time.sleep(15)  # it starts, and reads the registry
        flow = load.flow(RATE, BEFORE_S + BETWEEN_S + AFTER_S)
        time.sleep(BEFORE_S)
        joined = time.time()
        load.start_worker()
        time.sleep(BETWEEN_S)
        killed = time.time()
        first.kill()
        if flow.wait(200):
            raise RuntimeError("the producer failed")
        time.sleep(5)
    pauses = {"joining": [0.0], "after_kill": [0.0]}
    for at, latency_ms in load.latencies_ms:
        produced = at - latency_ms / 1000
        if produced > joined - 2:
            pauses["joining" if produced < killed - 2 else "after_kill"].append(latency_ms / 1000)
    return {"vehicles": VEHICLES, "fixes_per_second": RATE, **{f"{name}_pause_seconds": round(max(found), 2) for name, found in pauses.items()}}


if __name__ == "__main__":
    print(json.dumps(run(), indent=2))
