"""Accepting fixes and scans: every reason to refuse, in its order."""

import json
from collections import Counter
from types import SimpleNamespace

import msgspec
import orjson
import pytest
from time_passing import counted

from streams.clock import duration_ms
from streams.counts import Counts, DayKey, counts_of, last_days, rate_row
from streams.parcels.partition import new_scan_partition
from streams.parcels.scans import count_scans
from streams.parcels.store import parcel_key
from streams.policy.policy import Policies
from streams.policy.reader import load_policy
from streams.registry.registry import Registry
from streams.runtime.checkpoint import Checkpoint
from streams.runtime.scan_stage import ScanStage
from streams.vehicles.engine import Engine
from streams.vehicles.partition import new_partition
from streams.wire.events import Record

T = 1_700_000_000_000
GOOD = {"event_id": "e", "event_time_ms": T, "vehicle_id": "v", "lon": 111.6, "lat": 40.8}


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({}, "accepted"),
        ({"unknown": 1}, "accepted"),
        ({"lon": 111}, "accepted"),
        ({"event_id": 5}, "malformed"),
        ({"event_time_ms": 1.5}, "malformed"),
        ({"event_time_ms": True}, "malformed"),
        ({"vehicle_id": ""}, "malformed"),
        ({"lon": "111"}, "malformed"),
        ({"plate": 7}, "malformed"),
        ({"coord_sys": "moon"}, "malformed"),
        ({"lon": 180.1}, "invalid_position"),
        ({"lat": -90.1}, "invalid_position"),
        ({"lon": 0, "lat": 0}, "invalid_position"),
        ({"lon": 0, "lat": 0.0001}, "accepted"),
        ({"event_time_ms": 0}, "invalid_time"),
        ({"event_time_ms": -1, "lon": 999}, "invalid_position"),
        ({"event_time_ms": T + 300_000}, "accepted"),
        ({"event_time_ms": T + 300_001}, "future"),
        ({"speed_kmh": -0.1}, "invalid_speed"),
        ({"speed_kmh": 500}, "accepted"),
        ({"speed_kmh": 500.1}, "invalid_speed"),
        ({"speed_kmh": None}, "accepted"),
    ],
)
def test_a_fix_is_accepted_or_refused_with_one_reason(change, reason):
    policy = load_policy("hohhot-2019")
    engine = Engine(Policies([policy]), Registry(policy.timezone), b"k")
    verdict = engine.judge(new_partition(), [Record(msgspec.json.encode({**GOOD, **change}), 0, T)])
    assert {k: n for k, n in verdict.outcomes.items() if n} == {reason: 1}


@pytest.mark.parametrize("value", [None, b"", b"{", b"null", b"[]", b"\xff\xfe", b'{"event_id": "e"}', b'"text"', b"1e999"])
def test_what_is_no_fix_is_malformed_and_stops_nothing(value):
    policy = load_policy("hohhot-2019")
    engine = Engine(Policies([policy]), Registry(policy.timezone), b"k")
    verdict = engine.judge(new_partition(), [Record(value, 0, T), Record(msgspec.json.encode(GOOD), 1, T)])
    assert verdict.outcomes["malformed"] == 1 and verdict.outcomes["accepted"] == 1
    assert verdict.rejects[0].record.value == value


@pytest.mark.parametrize(
    "pieces",
    [
        lambda a, b, c: [a + b"\n" + b, c[:-1]], lambda a, b, c: [a + b, c], lambda a, b, c: [a[:-1], b[1:], c], lambda a, b, c: [a, b + b",", c],
        lambda a, b, c: [b"[" + a, b + b"]", c], lambda a, b, c: [a + b"\n{", b"}", b + b"\n" + c], lambda a, b, c: [b" " + a, b, c],
    ],
)  # fmt: skip
def test_records_are_fixes_each_by_itself_whatever_they_would_be_together(pieces):
    """A chunk is decoded at once; what its records add up to must not count."""
    policy = load_policy("hohhot-2019")
    values = pieces(*(msgspec.json.encode({**GOOD, "event_id": name}) for name in "abc"))
    alone, together = Counter(), Engine(Policies([policy]), Registry(policy.timezone), b"k")
    for value in values:
        alone += Engine(Policies([policy]), Registry(policy.timezone), b"k").judge(new_partition(), [Record(value, 0, T)]).outcomes
    assert +together.judge(new_partition(), [Record(value, n, T) for n, value in enumerate(values)]).outcomes == alone


def scan(number, seconds=0, **change):
    event = {"event_id": f"s{number}", "event_time_ms": T + seconds * 1000, "waybill_id": "w", "enterprise_id": "e", "city": "150100", "kind": "accepted"}
    return msgspec.json.encode({**event, **change})


def count(*values):
    policy = load_policy("hohhot-2019")
    partition = new_scan_partition()
    tally = count_scans(partition, [Record(v, n, T + 10**9) for n, v in enumerate(values)], Policies([policy]), Registry(policy.timezone))
    return partition, tally, {(k.enterprise_id, k.date): (c.accepted, c.electronic, c.green) for k, c in counted(partition, "150100").items() if c.accepted}


def test_a_parcel_counts_once_by_its_first_acceptance_whatever_the_order():
    early = scan(1, -86_400, enterprise_id="x", waybill_kind="electronic")
    late = scan(2, 0, waybill_kind="paper")
    expected = {("*", "2023-11-14"): (1, 1, 0), ("x", "2023-11-14"): (1, 1, 0)}
    for order in ((early, late), (late, early), (late, early, late), (early, early, late)):
        assert count(*order)[2] == expected


def test_a_parcel_is_known_for_three_days_and_a_scan_older_than_that_is_late():
    day = 86_400
    partition, tally, counts = count(scan(1), scan(2, 3 * day), scan(3, 3 * day + 1, waybill_id="x"), scan(4, 3 * day + 2), scan(5, 1, waybill_id="y"))
    assert [r.reason for r in tally.rejects] == ["late"]
    assert {key[1]: value for key, value in counts.items() if key[0] == "e"} == {"2023-11-15": (1, 0, 0), "2023-11-18": (2, 0, 0)}
    partition.sweep_ms = 0
    partition.sweep(load_policy("hohhot-2019").days)
    assert set(partition.parcels.hot) == {parcel_key("x"), parcel_key("w")} and not partition.expired  # w was accepted anew


def test_other_scans_and_broken_ones_count_nothing():
    _, tally, counts = count(scan(1, kind="delivered"), b"nonsense", scan(2, event_time_ms=0), scan(3, kind="lost"), scan(4, event_time_ms=T + 2 * 10**9))
    assert counts == {}
    assert sorted(r.reason for r in tally.rejects) == ["future", "invalid_time", "malformed", "malformed"]


def test_how_long_a_delivery_took():
    _, tally, _ = count(scan(1), scan(2, 7_200, kind="delivered"), scan(3, 7_300, kind="delivered", waybill_id="unknown"), scan(4, -60, kind="delivered"))
    assert tally.deliveries == [("150100", 7_200_000)]


def test_features_are_counted_where_they_are_known():
    partition, _, _ = count(
        scan(1, waybill_id="a", packaging={"green": True, "tape_mm": 45, "repackaged": False, "reusable_bag": True}, real_name_verified=True),
        scan(2, waybill_id="b", packaging={"tape_mm": 45.1, "repackaged": True}, inspected=True, screened=False),
        scan(3, waybill_id="c", waybill_kind="electronic"),
    )
    counts = partition.counts[DayKey("150100", "e", "2023-11-15")]
    assert {name: value for name, value in msgspec.structs.asdict(counts).items() if value} == {
        "accepted": 3, "electronic": 1, "green": 1, "taped": 2, "narrow_tape": 1, "not_repackaged": 1, "reusable_bag": 1,
        "real_name_verified": 1, "inspected": 1, "screened_known": 1,
        "not_repackaged_unknown": 1, "reusable_bag_unknown": 2, "real_name_unknown": 2, "inspected_unknown": 2,
    }  # fmt: skip
    row = rate_row(DayKey("150100", "e", "2023-11-15"), counts)
    known = {name: row[f"{name}_known"] for name in ("narrow_tape", "not_repackaged", "reusable_bag", "real_name", "inspected", "screened")}
    assert known == {"narrow_tape": 2, "not_repackaged": 2, "reusable_bag": 1, "real_name": 1, "inspected": 1, "screened": 1}
    assert (row["not_repackaged_rate"], row["inspected_rate"], row["screened_rate"], row["locker_rate"]) == (0.5, 1.0, 0.0, None)
    assert row["screened_unknown_rate"] == row["inspected_unknown_rate"] == 2 / 3
    assert counts_of(row) == counts and counts_of(json.loads(json.dumps(row))) == counts


@pytest.mark.parametrize(("text", "ms"), [("90s", 90_000), ("10m", 600_000), ("1h30m", 5_400_000), ("0s", 0), ("250ms", 250), ("1d", 86_400_000)])
def test_durations(text, ms):
    assert duration_ms(text) == ms


@pytest.mark.parametrize("text", ["", "5", "m", "5 m", "-5m", "5x"])
def test_what_is_no_duration(text):
    with pytest.raises(ValueError, match="is not a number with"):
        duration_ms(text)


def test_the_last_30_days_end_with_today():
    days = ["2023-10-16", "2023-10-17", "2023-11-01", "2023-11-15", "2023-11-16"]
    counts = [(DayKey("1", enterprise, day), Counts(accepted=1, green=n % 2)) for enterprise in ("e", "*") for n, day in enumerate(days)]
    assert last_days(counts, "2023-11-15") == {("1", enterprise): Counts(accepted=3, green=2) for enterprise in ("e", "*")}


def test_a_parcel_replaced_and_forgotten_between_two_checkpoints_does_not_come_back():
    """Its old record, which is not as old as the new one, would be restored, and be taken back a second time."""
    policies, registry = Policies([load_policy("hohhot-2019")]), Registry(load_policy("hohhot-2019").timezone)
    stage = ScanStage(Checkpoint(""), SimpleNamespace(policies=policies, registry=registry))
    partition, saved = stage.new_partition(), {}
    day_ms = 86_400_000
    for checkpoint in ([("a", "w", T + 2 * day_ms)], [("b", "w", T), ("c", "v", T + 3 * day_ms + 1)]):
        values = [orjson.dumps({"enterprise_id": "e", "city": "150100", "kind": "accepted", "event_id": name, "waybill_id": waybill, "event_time_ms": at}) for name, waybill, at in checkpoint]
        count_scans(partition, [Record(value, partition.next_offset + n) for n, value in enumerate(values)], policies, registry)
        stage.partitions = {0: partition}
        list(stage.emit(0))
        saved |= {change.key: change.value for change in stage.changes(0)}
    restored = stage.new_partition()
    for key, value in saved.items():
        if key and value is not None:
            stage.put(restored, key, value)
    restored.stream_time_ms = partition.stream_time_ms
    assert [restored.known(parcel_key(name)) is None for name in "wv"] == [True, False] and sum(c.accepted for c in restored.counts.values()) == 2
