"""The compact store of parcels says what a dict would; what is counted of parcels is what the oracle counts, whatever comes when."""

import json
import random
from types import SimpleNamespace
from zoneinfo import ZoneInfo

import pytest
from as_published import of_outlets, of_parcels, told_apart
from oracle import Oracle

from streams.city.contributions import decode_contribution
from streams.city.ledger import CityLedger
from streams.clock import LocalDays
from streams.counts import Counts, DayKey, bit, outlet_row, quantile_hours, rate_row
from streams.parcels import store as parcels
from streams.parcels.scans import count_scans
from streams.parcels.store import Parcel, Parcels, parcel_key
from streams.parcels.violations import ViolationKey
from streams.policy.policy import Policies
from streams.policy.reader import PACKS, load_policy
from streams.registry.files import load_registry
from streams.runtime.checkpoint import Checkpoint
from streams.runtime.scan_stage import ScanStage
from streams.runtime.snapshots import Snapshots
from streams.wire.events import Record

T, HOUR_MS, DAY_MS = 1_700_020_800_000, 3_600_000, 86_400_000  # 2023-11-15 12:00 in Shanghai


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
                violations = (ViolationKey("r", "outlet/o", "d"),) * rng.randrange(2)
                model[key] = Parcel(step * 10 - rng.randrange(300), f"é{rng.randrange(9)}", DayKey("1", rng.choice("ef"), "d"), rng.randrange(256), violations)
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


REGISTRY = [
    {"kind": "enterprise", "id": "e"}, {"kind": "enterprise", "id": "f"},
    {"kind": "vehicle", "id": "v", "enterprise_id": "e"}, {"kind": "vehicle", "id": "w", "enterprise_id": "f", "valid_from": "2023-11-15T12:00"}, {"kind": "vehicle", "id": "x"},
    {"kind": "outlet", "id": "o"}, {"kind": "facility", "id": "hub", "level": "hub"},
]  # fmt: skip


def some_scans(rng):
    """Scans of a few parcels over a week, in order of time but for some; some are sent twice, some say other things the second time."""
    made, step_ms = [], rng.choice([10 * 60_000, 6 * HOUR_MS])  # many at the same time, or few
    for number in range(rng.randrange(5, 60)):
        given = {
            "outlet_id": ["o", "hub", "elsewhere"], "waybill_kind": ["electronic", "paper"], "real_name_verified": [True, False], "inspected": [True, False],
            "screened": [True, False], "delivery_method": ["door", "locker", "station"], "mode": ["road", "rail", "air"], "vehicle_id": ["v", "w", "x", "stranger"],
        }  # fmt: skip
        said = {key: rng.choice(values) for key, values in given.items() if rng.random() < 0.6}
        if rng.random() < 0.7:
            said["packaging"] = {key: rng.choice(values) for key, values in {"green": [True, False], "tape_mm": [45, 60], "repackaged": [True, False], "reusable_bag": [True, False]}.items() if rng.random() < 0.6}
        at_ms = T + rng.randrange(7 * DAY_MS) // step_ms * step_ms
        made.append({"event_id": f"s{number}", "event_time_ms": at_ms, "waybill_id": f"w{rng.randrange(5)}", "enterprise_id": rng.choice("ef"), "city": rng.choice(["530000"] * 7 + ["530100", "530102", "1"]),
                     "kind": rng.choice(["accepted", "departed", "delivered", "delivered"]), **said})  # fmt: skip
    made += [{**scan, "delivery_method": "locker", "enterprise_id": rng.choice("ef")} for scan in rng.sample(made, len(made) // 4)]
    jitter_ms = rng.choice([0, 2, 24, 80]) * HOUR_MS
    return [json.dumps(scan).encode() for scan in sorted(made, key=lambda scan: scan["event_time_ms"] + rng.randrange(jitter_ms + 1))]


class Partitions:
    """Two partitions of scans that are counted chunk by chunk, and taken up again from what was saved; their rows."""

    def __init__(self, rng, registry):
        self.rng, policies = rng, Policies([load_policy("yunnan-2018")])
        self.reference = SimpleNamespace(policies=policies, registry=registry)
        self.saved, self.ledger = [Snapshots(), Snapshots()], CityLedger()
        self.stage = self.new_stage()

    def new_stage(self):
        stage = ScanStage(Checkpoint(""), self.reference)
        stage.partitions = {0: stage.new_partition(), 1: stage.new_partition()}
        return stage

    def count(self, number, lines):
        partition = self.stage.partitions[number]
        records = [Record(line, partition.next_offset + n) for n, line in enumerate(lines)]
        count_scans(partition, records, self.reference.policies, self.reference.registry)

    def checkpoint(self, number):
        for _, _, value in self.stage.emit(number):
            contribution = decode_contribution(value)
            self.ledger.enter_counts(contribution)
            self.ledger.enter_seen(contribution)
        for change in self.stage.changes(number):
            self.saved[number].add(change.key, change.value)

    def restart(self):
        before, self.stage = self.stage.partitions, self.new_stage()
        for number, partition in self.stage.partitions.items():
            for key, value in self.saved[number].latest()[0].items():
                if key:
                    self.stage.put(partition, key, value)
            partition.next_offset, partition.stream_time_ms = before[number].next_offset, before[number].stream_time_ms

    def rows(self):
        days = [rate_row(day, state.counts()) for day, state in self.ledger.days.items()]
        return [json.loads(json.dumps(row)) for row in [*days, *(outlet_row("530000", name, date) for name, date in self.ledger.seen.items())]]


@pytest.mark.parametrize("seed", range(60))
def test_whatever_comes_when_the_oracle_counts_the_same(seed, monkeypatch, tmp_path):
    for name, value in (("HOT", 3), ("LARGEST", 20), ("GROUP", 2)):
        monkeypatch.setattr(parcels, name, value)
    (tmp_path / "registry.jsonl").write_text("".join(json.dumps(record) + "\n" for record in REGISTRY))
    rng, policy = random.Random(seed), load_policy("yunnan-2018")
    work, sent = Partitions(rng, load_registry(tmp_path / "registry.jsonl", policy.timezone)), ([], [])
    for line in some_scans(rng):
        sent[int(json.loads(line)["waybill_id"][1:]) % 2].append(line)
    for number, lines in enumerate(sent):
        left = list(lines)
        while left:
            size = rng.randrange(1, 9)
            work.count(number, left[:size])
            left = left[size:]
            if rng.random() < 0.5:
                for each in (0, 1):
                    work.checkpoint(each)
                if rng.random() < 0.5:
                    work.restart()
    for number in (0, 1):
        work.checkpoint(number)
    oracle = Oracle(PACKS / "yunnan-2018.yaml", tmp_path / "registry.jsonl")
    assert of_parcels(work.rows()) == told_apart(oracle.counted(*sent)), f"seed {seed}"
    assert of_outlets(work.rows()) == oracle.last_seen(*sent), f"seed {seed}"


def test_a_delivery_counts_once_with_the_time_since_the_first_acceptance():
    def counted(*scans):
        work = Partitions(random.Random(0), SimpleNamespace(knows=lambda *_: False, at=lambda *_: None, outlet=lambda *_: None))
        fields = {"waybill_id": "w", "enterprise_id": "e", "city": "530000"}
        work.count(0, [json.dumps({**fields, "event_id": f"s{n}", "event_time_ms": T + round(hours * HOUR_MS), "kind": kind}).encode() for n, (kind, hours) in enumerate(scans)])
        work.checkpoint(0)
        rows = [row for row in work.rows() if row["enterprise_id"] == "*"]
        return sum(row["delivered"] for row in rows), {hours: n for row in rows for hours, n in row["transit_hours"].items()}

    assert counted(("accepted", 0), ("delivered", 5.99), ("delivered", 9)) == (1, {"5": 1})
    assert counted(("accepted", 0), ("delivered", 9), ("delivered", 5.99)) == (1, {"5": 1})  # the earlier comes later
    assert counted(("delivered", 5.99), ("accepted", 0), ("accepted", -2)) == (1, {"7": 1})  # so does the acceptance
    assert counted(("accepted", 6), ("delivered", 5)) == (1, {})
    assert counted(("accepted", 0), ("delivered", 72.1)) == (1, {})  # the acceptance is not known any more
    assert counted(("accepted", 0), ("delivered", 2), ("delivered", 75)) == (2, {"2": 1})  # nor is the first delivery
    assert counted(("delivered", 1)) == (1, {})


@pytest.mark.parametrize(
    ("timezone", "date", "minutes", "night"),
    [
        ("Asia/Shanghai", "2023-11-15", 7 * 60 - 1, True), ("Asia/Shanghai", "2023-11-15", 7 * 60, False),
        ("Asia/Shanghai", "2023-11-15", 20 * 60 - 1, False), ("Asia/Shanghai", "2023-11-15", 20 * 60, True),
        ("Europe/Berlin", "2023-10-29", 8 * 60 - 1, True), ("Europe/Berlin", "2023-10-29", 8 * 60, False),  # one hour came twice
    ],
)  # fmt: skip
def test_night_is_a_local_time_of_day(timezone, date, minutes, night):
    days = LocalDays(ZoneInfo(timezone))
    assert days.is_night(days.bounds_ms(date)[0] + minutes * 60_000) is night


def test_median_and_p90_are_whole_hours_that_were_counted():
    hours = {3: 4, 10: 5, 70: 1}
    assert [quantile_hours(hours, per_cent) for per_cent in (1, 40, 50, 90, 91)] == [3, 3, 10, 10, 70]
    assert quantile_hours({}, 50) is None


def test_parcels_of_before_count_as_they_did():
    """Who kept a parcel before it was asked who says what counted all of them; what it took from the counts it gives back."""
    before = bit("electronic") | bit("inspected")
    counts = Counts(accepted=3, electronic=2, inspected=1)
    assert (counts.rates()["inspected_rate"], counts.rates()["screened_rate"]) == (1 / 3, None)
    counts.add(before, -1)
    assert counts == Counts(accepted=2, electronic=1)
