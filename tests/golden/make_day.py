"""Makes the recorded day of ``hohhot-day``: a small fleet's 24 hours and its parcels, with faults; run it to remake them.

    PYTHONPATH=. python tests/golden/make_day.py
"""

import sys
from pathlib import Path

import zstandard

from producers.faults import Faults, inject
from producers.sample_registry import sample_registry
from producers.synthetic import Fleet, parcels
from streams.policy import load_policy
from streams.registry import Registry

DAY = Path(__file__).parent / "hohhot-day"
END_MS = 1_782_489_600_000  # 2026-06-27 00:00 in Shanghai
SEED, VEHICLES = 20260626, 400
FAULTS = Faults(dup=0.04, late=0.01, shuffle_ms=45_000, malformed=0.002)


def main() -> None:
    """Write gps.jsonl.zst and scans.jsonl.zst."""
    policy = load_policy("hohhot-2019")
    registry = Registry(policy.timezone)
    registry.add(sample_registry(policy, VEHICLES, SEED))
    fleet = Fleet(policy, registry, vehicles=22, start_ms=END_MS - 86_400_000, end_ms=END_MS, interval_ms=90_000, seed=SEED)
    fixes = b"".join(sent[3] + b"\n" for sent in inject(fleet.fixes(), FAULTS, 1, policy.lateness_ms))
    scans = parcels(policy, registry, fleet.truth, scans=6_000, end_ms=END_MS + 3_600_000, seed=SEED)
    lines = b"".join(sent[3] + b"\n" for sent in inject(scans, Faults(dup=0.05, shuffle_ms=7_200_000, malformed=0.002), 2, policy.lateness_ms))
    for name, data in (("gps", fixes), ("scans", lines)):
        (DAY / f"{name}.jsonl.zst").write_bytes(zstandard.compress(data, 19))
    print(f"{len(fixes.splitlines())} fixes, {len(lines.splitlines())} scans", file=sys.stderr)


if __name__ == "__main__":
    main()
