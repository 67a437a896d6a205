"""The violating scans of an outlet's day: a dictionary's answers, in pages, whatever there are of them."""

from __future__ import annotations

import random
import time

import msgspec
import pytest

from streams.parcels import violating_scans as module
from streams.parcels.violating_scans import ViolatingScans
from streams.parcels.violations import ViolatingScan, summary_of


@pytest.mark.parametrize("seed", range(40))
def test_they_say_what_a_dictionary_would(seed, monkeypatch):
    monkeypatch.setattr(module, "PAGE", 3)
    rng, held, model = random.Random(seed), ViolatingScans(), {}
    kept = {}
    for step in range(400):
        name = f"n{rng.randrange(60)}"
        if rng.random() < 0.15:
            held.drop(name)
            model.pop(name, None)
        else:
            violating_scan = ViolatingScan(rng.randrange(100), name if rng.random() < 0.9 else f"x{rng.randrange(3)}", rng.choice("ef"))
            changes = name not in model or violating_scan < model[name]
            assert held.observe(name, violating_scan) is changes, f"seed {seed}, step {step}"
            if changes:
                model[name] = violating_scan
        if rng.random() < 0.1:
            held.flush()
        if rng.random() < 0.1:
            assert held.summary() == summary_of(model.values()), f"seed {seed}, step {step}"
        if rng.random() < 0.05:  # a checkpoint, and a worker that goes on from it
            for number in held.dirty:
                kept[number] = dict(held.page(number))
            held.dirty.clear()
            held = ViolatingScans()
            for number, page in rng.sample(sorted(kept.items()), len(kept)):
                held.put(number, page)
    assert held.summary() == summary_of(model.values())


def test_a_scan_costs_the_same_however_many_there_were():
    held, costs = ViolatingScans(), []
    for start in range(0, 60_000, 10_000):
        began = time.process_time()
        for number in range(start, start + 10_000):
            held.observe(f"{number:032x}", ViolatingScan(number, f"{number:032x}", "e"))
            if number % 20 == 0:
                held.observe(f"{number // 2:032x}", ViolatingScan(number // 2, f"{number // 2:032x}", "e"))
        held.flush()
        held.summary()
        costs.append(time.process_time() - began)
    assert held.count == 60_000
    assert min(costs[3:]) < 3 * min(costs[:3])


def test_no_page_is_larger_than_a_state_record_may_be():
    held = ViolatingScans()
    for number in range(3 * module.PAGE):
        held.observe(f"{number:0128}", ViolatingScan(2**47 - number, f"{number:0128}", "e" * 128))
    held.flush()
    assert max(len(msgspec.msgpack.encode(held.page(number))) for number in held.pages()) < 256 * 1024
