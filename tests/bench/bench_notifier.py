"""The notifier's outbox: incidents a second into it and out of it to a fast sink, with a backlog of a million, its memory and its disk.

    ./yicheng bench notifier                                   # 1,000,000 deliveries
    .venv/bin/python tests/bench/bench_notifier.py 100000
"""

from __future__ import annotations

import json
import random
import resource
import sys
import tempfile
import threading
import time
from pathlib import Path

import orjson

from consumers.messages.message import Message
from consumers.outbox.file import FILE, prepare
from consumers.outbox.outbox import Outbox
from consumers.outbox.rows import Entry
from consumers.routing.routes import Destination
from consumers.sending.dispatch import Dispatch
from streams.clock import now_ms

DELIVERIES = int(sys.argv[1]) if __name__ == "__main__" and len(sys.argv) > 1 else 1_000_000
BATCH = 500
"""So many records does the notifier read at once."""
DRAINED_S = 60.0
WORDS = "在禁行时段进入老城区（示意） · was in the old town (illustrative) outside the permitted hours"


def incidents(count: int) -> list[tuple[Entry, list[Destination]]]:
    """Incidents of two revisions, as large as those of a city: with one to ten fixes as evidence."""
    rng, found = random.Random(1), []
    for number in range(count):
        incident_id, revision = f"{number // 2:026d}", number % 2 + 1
        evidence = [
            {"event_id": f"{rng.randrange(10**4)}-{1_790_000_000_000 + number * 997 + step * 10_000}", "event_time_ms": 1_790_000_000_000 + number * 997 + step * 10_000, "lon": round(111.6 + rng.random(), 6), "lat": round(40.8 + rng.random(), 6), "speed_kmh": round(60 * rng.random(), 1)}
            for step in range(rng.randrange(1, 11))
        ]
        data = {
            "incident_id": incident_id, "revision": revision, "state": "open" if revision == 1 else "closed", "rule": "restricted_hours", "rule_id": "old-town-daytime", "policy": "hohhot-2019",
            "clause": "八", "severity": "violation", "city": "150100", "zone_id": "old-town", "vehicle_id": f"HH-{rng.randrange(10**5):05}", "plate": f"蒙A{rng.randrange(10**5):05}",
            "enterprise_id": "zhaojun", "outlet_id": None, "opened_at_ms": evidence[0]["event_time_ms"], "last_seen_ms": evidence[-1]["event_time_ms"], "closed_at_ms": None, "lon": evidence[0]["lon"],
            "lat": evidence[0]["lat"], "fix_count": len(evidence), "evidence": evidence, "reason_zh": WORDS, "reason_en": WORDS, "superseded_by": None, "synthetic": False, "clause_text": WORDS,
            "document": "呼和浩特市快递服务车辆通行规定", "document_number": "呼邮管〔2019〕1号", "basis": "illustrative", "figures": None, "duty_of": "enterprise", "responsible": ["市公安局"],
        }  # fmt: skip
        body = orjson.dumps({"specversion": "1.0", "id": f"{incident_id}/{revision}", "source": "yicheng/150100", "type": "yicheng.incident.opened.v1", "data": data})
        found.append((Entry(incident_id, revision, body, number % 12, number), [Destination("fast", "all", 0, 0, None, until_answered=False)]))
    return found


class FastSink:
    """Takes everything at once."""

    name, real, limits, folds, taken = "fast", False, (), False, 0
    takes_digests = takes_alerts = True

    def deliver(self, message: Message) -> None:
        """Count it."""
        self.taken += 1

    def fits(self, message: Message) -> bool:
        """There is room for any."""
        return True

    def flush(self) -> None:
        """Nothing is held."""

    give_up = close = flush


class Words:
    """The id is all that a fast sink needs."""

    oldest_ms = 0

    def message(self, body: bytes, route: str, step: int, newest: bytes | None = None) -> Message:
        """The event as it is."""
        return Message(message_id="", body=body)

    def digest(self, messages: list[Message], route: str, now_ms: int, following: int = 0) -> Message:
        """Never asked for."""
        raise NotImplementedError

    def withheld(self, body: bytes, route: str) -> str | None:
        """Never asked for."""
        raise NotImplementedError


def main() -> None:
    """Fill the outbox, then empty it for a minute at most."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / FILE
        prepare(path)
        outbox, spent_s, bytes_before = Outbox(path), 0.0, 0
        for first in range(0, DELIVERIES, 5_000):
            entries = incidents_from(first, min(5_000, DELIVERIES - first))
            bytes_before += sum(len(entry.body) for entry, _ in entries)
            for at in range(0, len(entries), BATCH):
                started_s = time.perf_counter()
                outbox.put(entries[at : at + BATCH], now_ms())
                spent_s += time.perf_counter() - started_s
        disk = sum(part.stat().st_size for part in Path(folder).iterdir())
        sink = FastSink()
        dispatch = Dispatch(path, sink, Words())
        thread = threading.Thread(target=dispatch.run)
        started_s = time.perf_counter()
        thread.start()
        while outbox.pending("fast") and time.perf_counter() < started_s + DRAINED_S:
            time.sleep(1.0)
        drained_s, taken = time.perf_counter() - started_s, sink.taken
        dispatch.stop()
        thread.join()
        figures = {
            "deliveries": DELIVERIES, "into_outbox_per_s": round(DELIVERIES / spent_s), "out_of_backlog_per_s": round(taken / drained_s), "disk_mb": round(disk / 1e6),
            "mean_event_bytes": round(bytes_before / DELIVERIES), "peak_memory_mb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3),
        }  # fmt: skip
        print(json.dumps(figures))


def incidents_from(first: int, count: int) -> list[tuple[Entry, list[Destination]]]:
    """A part of the incidents, with ids of their own."""
    return [(entry._replace(incident_id=f"{(first + number) // 2:026d}", offset=first + number), to) for number, (entry, to) in enumerate(incidents(count))]


main()
