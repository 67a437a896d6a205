"""Makes a recorded day for every pack: a small fleet's 24 hours and its parcels, with faults, and what the oracle finds.

Run it to remake them all, or those of the packs named:

    PYTHONPATH=.:tests python tests/golden/make_day.py [PACK]…
"""

import json
import sys
import tempfile
from pathlib import Path

import msgspec
import zstandard
from oracle import Oracle

from producers.faults import Faults, inject
from producers.parcels import heartbeats, parcels
from producers.sample_registry import sample_registry
from producers.synthetic import Fleet
from producers.traffic import write_sample_registry
from streams.policy.reader import PACKS, load_policy, packs
from streams.registry.registry import Registry

GOLDEN = Path(__file__).parent
END_MS = 1_782_489_600_000  # 2026-06-27 00:00 in Shanghai
SEED, VEHICLES = 20260626, 400
FAULTS = Faults(dup=0.04, late=0.01, shuffle_ms=45_000, malformed=0.002)


def main(names: list[str]) -> None:
    """Write gps.jsonl.zst, scans.jsonl.zst, heartbeats.jsonl.zst and expected.json for each pack."""
    for name in names:
        policy = load_policy(name)
        registry = Registry(policy.timezone)
        registry.add(sample_registry(policy, VEHICLES, SEED))
        fleet = Fleet(policy, registry, vehicles=30, start_ms=END_MS - 86_400_000, end_ms=END_MS, interval_ms=100_000, seed=SEED)
        fixes = [sent[3] for sent in inject(fleet.fixes(), FAULTS, 1, policy.lateness_ms)]
        scans = parcels(policy, registry, fleet.truth, scans=6_000, end_ms=END_MS + 3_600_000, seed=SEED)
        lines = [sent[3] for sent in inject(scans, Faults(dup=0.05, shuffle_ms=7_200_000, malformed=0.002), 2, policy.lateness_ms)]
        beats = [msgspec.json.encode(beat) for beat in heartbeats(policy, registry, fleet.truth, scans, SEED)]
        day = GOLDEN / name
        day.mkdir(exist_ok=True)
        for file, data in (("gps", fixes), ("scans", lines), ("heartbeats", beats)):
            (day / f"{file}.jsonl.zst").write_bytes(zstandard.compress(b"".join(line + b"\n" for line in data), 19))
        with tempfile.TemporaryDirectory() as folder:
            write_sample_registry(policy, VEHICLES, SEED, Path(folder) / "registry.jsonl")
            oracle = Oracle(PACKS / f"{name}.yaml", Path(folder) / "registry.jsonl")
        incidents, _ = oracle.fixes(fixes)
        rates, _ = oracle.scans(lines)
        expected = {"incidents": sorted(map(list, incidents), key=str), "rates": {"/".join(k): list(v) for k, v in sorted(rates.items())}}
        (day / "expected.json").write_text(json.dumps(expected, ensure_ascii=False, indent=0) + "\n", "utf-8")
        print(f"{name}: {len(fixes)} fixes, {len(lines)} scans, {len(incidents)} incidents", file=sys.stderr)


if __name__ == "__main__":
    main(sys.argv[1:] or packs())
