"""Ten thousand short histories in minutes: workers die, sleep, come and go, and every result equals the oracle's.

``YICHENG_HISTORIES=10000 ./yicheng test tests/simulation`` plays that many; without it 400 in CI and 150 elsewhere, always the same.
"""

import os
from collections import Counter
from concurrent.futures import ProcessPoolExecutor

import pytest
from simulation.history import run

HISTORIES = int(os.environ.get("YICHENG_HISTORIES") or (400 if "YICHENG_SLOWLY" in os.environ else 150))


def faults_met(seed):
    world = run(seed, failing_sends=0.01 * (seed % 3 == 0))
    return world.faults + Counter(black=len(world.oracle.black_since), confirmed=world.confirmed)


@pytest.mark.timeout(1_200)
def test_every_history_ends_as_the_oracle_says():
    with ProcessPoolExecutor() as cores:
        faults = sum(cores.map(faults_met, range(HISTORIES), chunksize=20), Counter())
    assert min(faults[name] for name in ("kill", "suspend", "leave")) > HISTORIES / 20, f"too few faults met work in flight: {faults}"
    assert faults["black"] > HISTORIES / 100, "too few enterprises came on the black list before the next day"
    assert faults["confirmed"] > HISTORIES / 20, "too little cost anybody points after police had confirmed it"
