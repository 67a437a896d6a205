"""The compact store of parcels says what a dict would."""

import random

import pytest

from streams.counts import DayKey
from streams.parcels import store as parcels
from streams.parcels.store import Parcel, Parcels, parcel_key
from streams.parcels.violations import ViolationKey


@pytest.mark.parametrize("seed", range(30))
def test_it_is_a_dict_that_forgets(seed, monkeypatch):
    monkeypatch.setattr(parcels, "HOT", 3)
    monkeypatch.setattr(parcels, "LARGEST", 20)
    monkeypatch.setattr(parcels, "GROUP", 2)
    rng, store, model = random.Random(seed), Parcels(), {}
    keys = [parcel_key(f"w{n}") for n in range(25)]
    keys += [keys[0][:8] + b"\0\0\0\1", keys[3][:8] + b"\0\0\0\1"]  # the first eight bytes alone do not tell
    for step in range(300):
        if rng.random() < 0.05:
            horizon_ms = step * 10 - rng.randrange(500)
            gone = {key for key, parcel in model.items() if parcel.event_time_ms < horizon_ms}
            assert set(store.drop(horizon_ms)) == gone, f"seed {seed}, step {step}"
            model = {key: parcel for key, parcel in model.items() if key not in gone}
            continue
        chunk = rng.choices(keys, k=rng.randrange(1, 6))
        store.look_up(chunk)
        for key in chunk:
            assert store.get(key) == model.get(key), f"seed {seed}, step {step}"
            if rng.random() < 0.6:
                findings = (ViolationKey("r", "outlet/o", "d"),) * rng.randrange(2)
                model[key] = Parcel(step * 10 - rng.randrange(300), f"é{rng.randrange(9)}", DayKey("1", rng.choice("ef"), "d"), rng.randrange(256), findings)
                store.put(key, model[key])
        store.flush()
    store.look_up(keys)
    assert {key: parcel for key in keys if (parcel := store.get(key))} == model


def test_the_latest_are_found_again():
    store = Parcels()
    entered = {parcel_key(f"w{n}"): Parcel(n, f"e{n}", DayKey("1", "e", "d"), n % 256) for n in range(parcels.HOT + 10)}
    for key, parcel in entered.items():
        store.put(key, parcel)
        store.flush()
    assert len(store.hot) == 10 and len(store) == len(entered)
    assert sorted(store.since(parcels.HOT - 5)) == [parcel for parcel in entered.values() if parcel.event_time_ms >= parcels.HOT - 5]
