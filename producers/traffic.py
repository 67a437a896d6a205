"""The producer processes: traffic from a generator or from files, through faults and pace, into Kafka."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from heapq import merge
from itertools import chain
from pathlib import Path

import msgspec
import orjson

from producers.faults import Faults, Sent, inject
from producers.parcels import heartbeats, note_credit, parcels, spread
from producers.publish import Pace, RatePace, publish
from producers.replay import Noted, read_records
from producers.sample_registry import sample_registry
from producers.synthetic import Fleet
from streams.errors import YichengError
from streams.files.record_files import How
from streams.policy.policy import Policy
from streams.registry.files import load_registry
from streams.registry.registry import Registry

SCANS_PER_FIX = 0.5
SAMPLE_VEHICLES = 2_400
AFTER_MIDNIGHT_MS = 20 * 60_000


def produce_synthetic(
    bootstrap: str, policy: Policy, registry_file: Path | None, *, rate: float, duration_ms: int, speedup: float, interval_ms: int,
    seed: int, faults: Faults, truth_file: Path | None, quiet: bool, full_day: bool = False,
) -> None:  # fmt: skip
    """Send ``rate`` fixes a second (and half as many scans) in simulated time that ends when the wall clock does.

    Parcels of before come first, at once, so that all is in order of time.

    ``full_day``: simulated time is all of the last local day, and as much of the next as it takes to close it.
    """
    end_ms = int(time.time() * 1000) + duration_ms
    start_ms = end_ms - round(duration_ms * speedup)
    if full_day:
        start_ms, end_ms = full_day_ms(policy, end_ms)
        duration_ms = round((end_ms - start_ms) / speedup)
    vehicles = max(1, math.ceil(rate * interval_ms / 1000 / speedup))
    if registry_file:
        registry = load_registry(registry_file, policy.timezone)
    else:
        registry = Registry(policy.timezone)
        registry.add(sample_registry(policy, max(SAMPLE_VEHICLES, round(vehicles * 1.4)), seed))
    fleet = Fleet(policy, registry, vehicles=vehicles, start_ms=start_ms, end_ms=end_ms, interval_ms=interval_ms, seed=seed, soon=not full_day)
    scans = parcels(policy, registry, fleet.truth, scans=max(1, round(rate * SCANS_PER_FIX * duration_ms / 1000)), end_ms=end_ms, seed=seed)
    fixes = inject(fleet.fixes(), faults, seed, policy.lateness_ms)
    beats = heartbeats(policy, registry, fleet.truth, scans, seed)
    records = list_reached(merge(spread(scans, beats), fixes, key=lambda sent: sent[0]), reached_ms := [0])
    total = round(rate * (1 + SCANS_PER_FIX) * duration_ms / 1000)
    sent = publish(bootstrap, records, Pace(start_ms, speedup), synthetic=True, total=total, quiet=quiet)
    note_credit(policy, registry, fleet.truth, reached_ms[0])
    if truth_file:
        truth_file.write_bytes(msgspec.json.encode({"sent": sent, "truth": fleet.truth}))


def list_reached(records: Iterator[Sent], reached_ms: list[int]) -> Iterator[Sent]:
    """The same records; ``reached_ms[0]`` is the latest time that one of them was due."""
    for sent in records:
        reached_ms[0] = max(reached_ms[0], sent[0])
        yield sent


def full_day_ms(policy: Policy, now_ms: int) -> tuple[int, int]:
    """The last local day that is over, from its beginning until it is closed for good."""
    midnight_ms, _ = policy.days.bounds_ms(policy.days.date_of(now_ms - AFTER_MIDNIGHT_MS - policy.lateness_ms))
    start_ms, _ = policy.days.bounds_ms(policy.days.date_of(midnight_ms - 1))
    return start_ms, midnight_ms + policy.lateness_ms + AFTER_MIDNIGHT_MS


def produce_replay(
    bootstrap: str, files: list[str], *, rate: float, speedup: float, truth_file: Path | None, quiet: bool, how: How | None = None
) -> str:
    """Send recorded files, merged by event time; ``truth_file`` gets the numbers sent by kind. Returns what was done, in words.

    Raises ``YichengError`` where there was nothing to send.
    """
    noted = Noted()
    records: Iterator[Sent] = read_records(files, how, noted)
    first = next(records, None)
    if first is None:
        raise YichengError(f"{', '.join(files)}: no record was found{f'; {noted.first}' if noted.first else ''}")
    pace = Pace(0, speedup) if speedup else RatePace(rate)
    sent = publish(bootstrap, chain([first], records), pace, quiet=quiet)
    if truth_file:
        truth_file.write_bytes(orjson.dumps({"sent": sent}))
    counts = f"{sent['gps']:,} fixes, {sent['scan']:,} scans, {sent['heartbeat']:,} heartbeats sent"
    problems = f"{noted.broken:,} of them broken, {noted.too_long:,} too long and not sent, {noted.passed_over:,} files passed over"
    return f"{counts}; {problems}" + (f"; first: {noted.first}" if noted.first else "")


def write_sample_registry(policy: Policy, vehicles: int, seed: int, out: Path) -> int:
    """Write a sample registry as JSONL; returns the number of records."""
    entries = list(sample_registry(policy, vehicles, seed))
    out.parent.mkdir(parents=True, exist_ok=True)
    with out.open("wb") as file:
        file.writelines(msgspec.json.encode(entry) + b"\n" for entry in entries)
    return len(entries)
