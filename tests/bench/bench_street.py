"""What others notice of the street: how late incidents come, and how large the worker is, without it and with it.

Beside an even flow of honest fixes and scans come, within nine minutes: one terminal with 60,000 fixes, in no order, half of them too fast;
100,000 made-up vehicle ids; scans of 10,000 made-up cities and enterprises; and one outlet with a million violating scans a day,
most of which have been there before. ``python bench_street.py 3000 180 0.33`` does a third of that in a third of the time.
"""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.request import urlopen

from bench_judge import city
from bench_latency import Load, need_librdkafka
from bench_pipeline import PEERS, ROOT

from deploy import leash, published
from streams.policy.policy import Policy
from streams.wire.topics import GPS, SCAN

RATE, VEHICLES, SECONDS, QUIET_SECONDS, WARM_SECONDS = 3_000, 20_000, 540, 60, 10
"""So slow a flow that the processes which make it do not fill two cores by themselves."""
FLOOD, FLOOD_MS, MADE_UP_VEHICLES, MADE_UP_NAMES, OUTLET_SCANS, OUTLET_SCANS_A_SECOND = 60_000, 540_000, 100_000, 10_000, 1_000_000, 12
SCANS_EVERY = 20
"""There is a scan for so many fixes, with the street and without."""
STEP_S = 0.02


SCAN_RULES = """  - {rule: unfiled_outlet, id: unfiled, clause: "1", severity: warning}
  - {rule: unverified_sender, id: nameless, clause: "1", severity: warning}
"""


class StreetLoad(Load):
    """With rules that scans can break."""

    def pack(self) -> Policy:
        """See ``Load``."""
        return city(200, SCAN_RULES)


def _scan(number: int, city: str, enterprise: str, outlet: str) -> str:
    now_ms = time.time_ns() // 1_000_000
    return (
        f'{{"event_id":"scan-{number:08}","event_time_ms":{now_ms},"waybill_id":"W{number:09}","enterprise_id":"{enterprise}","city":"{city}",'
        f'"kind":"accepted","outlet_id":"{outlet}","waybill_kind":"paper","real_name_verified":false,"synthetic":true}}'
    )


def fill(bootstrap: str, city: str, scans: int) -> None:
    """The outlet's scans of earlier in the day, as fast as they go."""
    from confluent_kafka import Producer

    producer = Producer({"bootstrap.servers": bootstrap, "linger.ms": 5, "compression.type": "lz4", "queue.buffering.max.messages": 1_000_000})
    for number in range(scans):
        producer.produce(SCAN.name, _scan(number, city, "big", "one-outlet"), f"W{number:09}")
        if number % 10_000 == 0:
            producer.poll(0)
            time.sleep(0.1)
    producer.flush()


def scan(bootstrap: str, city: str, seconds: int, rate: int) -> None:
    """An even flow of scans of a hundred outlets, as every city has."""
    from confluent_kafka import Producer

    producer, started, sent = Producer({"bootstrap.servers": bootstrap, "linger.ms": 5, "compression.type": "lz4"}), time.monotonic(), 0
    for step in range(1, round(seconds / STEP_S) + 1):
        for number in range(sent, round(rate * step * STEP_S)):
            producer.produce(SCAN.name, _scan(3 * 10**8 + number, city, f"e{number % 12}", f"outlet-{number % 100}"), f"S{number}")
        sent = round(rate * step * STEP_S)
        producer.poll(0)
        time.sleep(max(0.0, started + step * STEP_S - time.monotonic()))
    producer.flush()


def disturb(bootstrap: str, city: str, seconds: int, scale: float) -> None:
    """All that the street does, spread evenly over so many seconds; ``scale``: how much of it."""
    from confluent_kafka import Producer

    producer = Producer({"bootstrap.servers": bootstrap, "linger.ms": 5, "compression.type": "lz4", "queue.buffering.max.messages": 1_000_000})
    rng, started, steps = random.Random(1), time.monotonic(), round(seconds / STEP_S)
    flood, vehicles, names = (round(count * scale) for count in (FLOOD, MADE_UP_VEHICLES, MADE_UP_NAMES))
    sent: dict[str, int] = dict.fromkeys(("flood", "vehicle", "name", "outlet"), 0)
    for step in range(1, steps + 1):
        now_ms = time.time_ns() // 1_000_000
        due = {"flood": flood, "vehicle": vehicles, "name": names, "outlet": OUTLET_SCANS_A_SECOND * seconds}
        for what, count in due.items():
            for number in range(sent[what], count * step // steps):
                if what == "name":
                    producer.produce(SCAN.name, _scan(10**8 + number, city if number % 2 else f"c{number}", f"x{number}", ""), f"N{number}")
                elif what == "outlet":
                    producer.produce(SCAN.name, _scan(2 * 10**8 + number, city, "big", "one-outlet"), f"O{number}")
                else:
                    vehicle = "FLOOD-1" if what == "flood" else f"MADE-UP-{number:07}"
                    at_ms = now_ms - (rng.randrange(FLOOD_MS) if what == "flood" else 0)
                    value = (
                        f'{{"event_id":"{what}-{number:08}","event_time_ms":{at_ms},"vehicle_id":"{vehicle}","lon":111.0,"lat":40.0,'
                        f'"speed_kmh":{rng.choice((20.0, 120.0))},"synthetic":true}}'
                    )
                    producer.produce(GPS.name, value, vehicle)
            sent[what] = count * step // steps
        producer.poll(0)
        time.sleep(max(0.0, started + step * STEP_S - time.monotonic()))
    producer.flush()


def _start(*arguments: Any) -> subprocess.Popen[bytes]:
    path = os.pathsep.join([str(ROOT), str(Path(__file__).parent), str(PEERS)])
    return leash.start([sys.executable, __file__, *map(str, arguments)], env={**os.environ, "PYTHONPATH": path})


def _mib(worker: subprocess.Popen[bytes]) -> float:
    """What a worker has of memory."""
    lines = Path(f"/proc/{worker.pid}/status").read_text().splitlines()
    return round(int(next(line.split()[1] for line in lines if line.startswith("VmRSS"))) / 1024, 1)


def _series(port: int) -> list[bytes]:
    """The lines of a worker's metrics page that are series."""
    with urlopen(f"http://127.0.0.1:{port}/metrics", timeout=30) as page:
        return [line for line in page.read().splitlines() if not line.startswith(b"#")]


def _until_all_is_read(worker: subprocess.Popen[bytes], port: int, scans: int) -> None:
    """Wait until a worker has started and has counted so many scans; at most five minutes."""
    counted = 0.0
    for _ in range(600):
        time.sleep(0.5)
        if worker.poll() is not None:
            raise RuntimeError(f"the worker has ended with {worker.returncode}, after {counted:,.0f} scans")
        with suppress(OSError), urlopen(f"http://127.0.0.1:{port}/readyz", timeout=30):
            counted = sum(float(line.split()[-1]) for line in _series(port) if line.startswith(b"courier_scans_total"))
            if counted >= scans:
                return
    raise RuntimeError(f"the worker has counted {counted:,.0f} of {scans:,} scans")


def measure(rate: int, seconds: int, scale: float, outlet_scans: int, *, street: bool) -> dict[str, float]:
    """Latency in ms of the honest vehicles' incidents, and what the worker has grown to."""
    with tempfile.TemporaryDirectory() as folder, StreetLoad(folder, VEHICLES) as load:
        if street and _start("fill", load.broker.bootstrap, load.city, outlet_scans).wait(600):
            raise RuntimeError("the outlet's scans could not be written")
        worker = load.start_worker()
        _until_all_is_read(worker, load.metrics_port, outlet_scans if street else 0)
        flow, started = load.flow(rate, WARM_SECONDS + seconds), time.time()
        scans = _start("scan", load.broker.bootstrap, load.city, WARM_SECONDS + seconds, rate // SCANS_EVERY)
        time.sleep(WARM_SECONDS)
        others = _start("disturb", load.broker.bootstrap, load.city, seconds, scale) if street else None
        if flow.wait(300 + seconds) or scans.wait(300) or (others is not None and others.wait(300)):
            raise RuntimeError("the load failed")
        time.sleep(5)
        series = len(_series(load.metrics_port))
        figures = {"memory_mib": _mib(worker), "metric_series": series, "rates_keys": len(published.rates(load.broker.bootstrap))}
    counted = sorted(latency for at, latency in load.latencies_ms if at > started + WARM_SECONDS)
    at = lambda share: round(counted[min(len(counted) - 1, int(share * len(counted)))], 1)  # noqa: E731
    return {"incidents": len(counted), "p50_ms": at(0.5), "p99_ms": at(0.99), "max_ms": at(1.0), **figures}


def run(rate: int = RATE, seconds: int = SECONDS, scale: float = 1.0) -> dict[str, Any]:
    """Both measurements, the quiet one shorter, and how many times as late the street makes others' incidents (p99)."""
    need_librdkafka()
    outlet_scans = round(OUTLET_SCANS * scale)
    quiet = measure(rate, min(seconds, QUIET_SECONDS), scale, outlet_scans, street=False)
    street = measure(rate, seconds, scale, outlet_scans, street=True)
    return {"fixes_per_second": rate, "scale": scale, "quiet": quiet, "street": street, "p99_ratio": round(street["p99_ms"] / quiet["p99_ms"], 2)}


if __name__ == "__main__":
    if sys.argv[1:2] == ["fill"]:
        fill(sys.argv[2], sys.argv[3], int(sys.argv[4]))
    elif sys.argv[1:2] == ["scan"]:
        scan(sys.argv[2], sys.argv[3], int(sys.argv[4]), int(sys.argv[5]))
    elif sys.argv[1:2] == ["disturb"]:
        disturb(sys.argv[2], sys.argv[3], int(sys.argv[4]), float(sys.argv[5]))
    else:
        rate, seconds, scale = sys.argv[1:4] if len(sys.argv) == 4 else (RATE, SECONDS, 1.0)
        print(json.dumps(run(int(rate), int(seconds), float(scale)), indent=2))
