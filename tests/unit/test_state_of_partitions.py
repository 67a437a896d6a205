"""When a partition's state in memory may be used again, and when a record of it may be deleted."""

import asyncio
from types import SimpleNamespace

import msgspec
import orjson
import pytest
from time_passing import inputs_hold, marks, said, said_ms

from streams.city.contributions import Contribution, decode_contribution
from streams.city.ledger import CityLedger, DayCounts
from streams.clock import BEGINNING_MS
from streams.counts import Counts, DayKey, counts_of
from streams.enterprises.credit import Charge
from streams.parcels.scans import by_name, count_scans
from streams.parcels.store import parcel_key
from streams.parcels.violations import ViolatingScan, ViolationKey, ViolationSummary
from streams.policy.policy import Policies
from streams.policy.reader import load_policy
from streams.registry.records import Enterprise
from streams.registry.registry import Registry
from streams.runtime.checkpoint import Checkpoint
from streams.runtime.city_stage import CityStage
from streams.runtime.heartbeat_stage import HeartbeatStage
from streams.runtime.scan_stage import ScanStage
from streams.runtime.snapshots import Snapshots
from streams.watermark import INPUTS, Watermark
from streams.wire.events import Record

T, DAY_MS = 1_700_000_000_000, 86_400_000


@pytest.mark.parametrize(("end_now", "taken_up_again"), [(7, True), (8, False)])
def test_kept_state_is_used_only_if_nobody_else_has_had_the_partition(end_now, taken_up_again, monkeypatch):
    stage = HeartbeatStage(Checkpoint(""), SimpleNamespace(policies=None))
    ends = {3: 7}

    async def ends_of(topic, partitions):
        return {number: ends[number] for number in partitions}

    async def restored(topic, number):
        return {}

    monkeypatch.setattr(stage.checkpoint, "ends", ends_of)
    monkeypatch.setattr(stage.checkpoint, "restore", restored)
    before = stage.partitions[3] = stage.new_partition()
    stage.evict({3: 7})
    ends[3] = end_now
    assert (asyncio.run(stage.partition(3)) is before) is taken_up_again
    assert stage.standby == {}


def test_a_parcel_is_deleted_only_by_the_checkpoint_after_the_one_that_forgets_it():
    """A crash in the middle of that one goes back to a time when the parcel was known."""
    policies = Policies([load_policy("hohhot-2019")])
    registry = Registry(policies.newest.timezone)
    stage = ScanStage(Checkpoint(""), SimpleNamespace(policies=policies, registry=registry))
    partition = stage.partitions[0] = stage.new_partition()
    topic, key = Snapshots(), f"parcel\x1f{parcel_key('w').hex()}"

    def checkpoint(scans, complete):
        fields = {"enterprise_id": "e", "city": "150100", "kind": "accepted"}
        values = [orjson.dumps({**fields, "event_id": f"{waybill}{at}", "waybill_id": waybill, "event_time_ms": at}) for waybill, at in scans]
        count_scans(partition, [Record(value, partition.next_offset + n) for n, value in enumerate(values)], policies, registry)
        list(stage.emit(0))
        for change in stage.changes(0)[: None if complete else -1]:
            topic.add(change.key, change.value)

    checkpoint([("w", T)], complete=True)
    checkpoint([("v", T + 3 * DAY_MS + 1)], complete=False)
    assert key in topic.latest()[0]
    checkpoint([("u", T + 3 * DAY_MS + 2)], complete=True)
    assert key not in topic.latest()[0]


def test_parcels_and_counts_of_version_7_are_read_and_taken_back_as_they_were_counted():
    """It kept acceptances alone, in nine bits, and did not count who says nothing; records as such a worker wrote them."""
    policies = Policies([load_policy("hohhot-2019")])
    stage = ScanStage(Checkpoint(""), SimpleNamespace(policies=policies, registry=Registry(policies.newest.timezone)))
    partition, head, day = stage.new_partition(), (7, 0, 5, T), ["150100", "e", "2023-11-15"]
    electronic_inspected = 1 | 1 << 7
    before = {"accepted": 3, "electronic": 2, "green": 1, "taped": 0, "narrow_tape": 0, "not_repackaged": 3, "reusable_bag": 0, "real_name_verified": 3, "inspected": 1, "synthetic": 0}
    stage.put(partition, f"parcel\x1f{parcel_key('w').hex()}", msgspec.msgpack.encode((*head, T, "s", day, electronic_inspected, [])))
    stage.put(partition, "day\x1f" + "\x1f".join(day), msgspec.msgpack.encode((*head, day, before)))
    partition.next_offset, partition.stream_time_ms = 5, T
    (counts,) = partition.counts.values()
    assert (counts.rates()["inspected_rate"], counts.rates()["screened_rate"], counts.known("not_repackaged")) == (1 / 3, None, 3)
    earlier = {"event_id": "r", "event_time_ms": T - 1, "waybill_id": "w", "enterprise_id": "e", "city": "150100", "kind": "accepted", "screened": True}
    count_scans(partition, [Record(orjson.dumps(earlier), 5)], policies, stage.reference.registry, by_name)
    assert {name: value for name, value in msgspec.structs.asdict(counts).items() if value} == {
        "accepted": 3, "electronic": 1, "green": 1, "not_repackaged": 3, "real_name_verified": 3, "screened": 1, "screened_known": 1,
        "not_repackaged_unknown": 1, "reusable_bag_unknown": 1, "real_name_unknown": 1, "inspected_unknown": 1,
    }  # fmt: skip


def test_contributions_of_before_are_read():
    said = b'{"city":"150100","topic":"courier.scan.v1","enterprise_id":"e","date":"2023-11-15","partition":0,"next_offset":3,"counts":{"accepted":3,"electronic":2,"green":1,"taped":0,"narrow_tape":0,"not_repackaged":2,"reusable_bag":0,"real_name_verified":3,"inspected":3,"synthetic":0}}'
    day = DayCounts()
    assert day.update(decode_contribution(said)) and day.counts().rates()["not_repackaged_rate"] == 2 / 3
    row = {"accepted": 3, "electronic": 2, "green": 1, "taped": 0, "narrow_tape": 0, "not_repackaged": 2, "reusable_bag": 0, "real_name_verified": 3, "inspected": 3}
    assert counts_of({"city": "150100", "enterprise_id": "e", "date": "2023-11-15", **row}) == day.counts()


def test_newer_counts_of_a_partition_take_the_place_of_older_ones_in_the_sum():
    day = DayCounts()
    for offset, accepted in ((1, 7), (2, 3)):
        for enterprise in ("e", "f"):
            day.update(Contribution("1", "courier.scan.v1", enterprise, "2023-11-15", 0, offset, counts=Counts(accepted=accepted, transit_hours={offset: 1})))
        assert day.counts() == Counts(accepted=2 * accepted, transit_hours={offset: 2})
    assert day.among(lambda enterprise_id: enterprise_id == "f") == Counts(accepted=3, transit_hours={2: 1})


def test_the_sums_forget_what_nothing_can_change(monkeypatch):
    policies = Policies([load_policy("yunnan-2018")])
    registry = Registry(policies.newest.timezone)
    registry.add([Enterprise(id="e")])
    stage = CityStage(inputs_hold(Checkpoint("")), SimpleNamespace(policies=policies, registry=registry), b"k")
    sent, offsets = [], iter(range(100))

    async def send(*record, **_):
        sent.append(record)

    monkeypatch.setattr(stage.checkpoint, "send", send)
    partition = stage.partitions[0] = stage.new_partition()
    key, date = ViolationKey("outlets-on-file", "outlet/o", "2023-11-15"), "2023-11-15"
    city = policies.newest.pack.city.adcode

    def take(watermark_ms=T, **fields):
        row = Contribution(city, "courier.scan.v1", "e", date, 0, 1, **fields, **marks(watermark_ms))
        asyncio.run(stage.process([said(next(offsets), row, said_ms(watermark_ms))]))
        return {change.key.partition("\x1f")[0]: change.value for change in stage.changes(0)}

    take(counts=Counts(accepted=3))
    take(violation=key, summary=ViolationSummary(1, T, (ViolatingScan(T, "s", "e"),)))
    take(charge=Charge("e", "i", 2, "closed", "unfiled_outlet", "outlets-on-file", T))
    assert DayKey(city, "e", date) in partition.days and key in partition.violations and partition.accounts["enterprise/e"].charges and partition.active["e"] == {date}
    assert take(T + 12 * DAY_MS)["finding"] is None
    assert not partition.violations and partition.days and partition.charges
    date = "2024-01-20"
    changed = take(T + 70 * DAY_MS, counts=Counts(accepted=1))
    far = [("2024-03-01", 2, T + 110 * DAY_MS), ("2024-06-01", 3, T + 210 * DAY_MS)]
    rows = [(Contribution(city, "courier.scan.v1", "e", day, 0, offset, counts=Counts(accepted=1), **marks(ms)), said_ms(ms)) for day, offset, ms in far]
    asyncio.run(stage.process([said(next(offsets), row, at_ms) for row, at_ms in rows]))
    assert {day.date for day in partition.days} == {"2024-06-01"}  # the other day was closed and forgotten in the chunk that brought it
    date = "2024-11-28"
    changed |= take(T + 380 * DAY_MS, counts=Counts(accepted=1))
    assert {day.date for day in partition.days} == {"2024-11-28"} and partition.active["e"] == {"2024-11-28"}
    assert not partition.charges and not partition.accounts["enterprise/e"].charges and changed["charge"] is None


def test_a_charge_goes_with_the_enterprise_that_it_turns_out_to_be_of():
    partition = CityLedger()
    assert partition.charge(Charge("e", "i", 2, "closed", "unfiled_outlet", "outlets-on-file", T)) == ["enterprise/e"]
    assert partition.charge(Charge("f", "i", 3, "closed", "unfiled_outlet", "outlets-on-file", T)) == ["enterprise/f", "enterprise/e"]
    assert not partition.accounts["enterprise/e"].charges and list(partition.accounts["enterprise/f"].charges) == ["i"]
    assert partition.charge(Charge("e", "i", 2, "closed", "unfiled_outlet", "outlets-on-file", T)) == []  # a late repeat


def test_counts_of_before_that_arrive_late_change_nothing():
    """A worker that was suspended sends what it had in its buffers after the next owner has sent more."""
    day = DayCounts()
    assert day.update(Contribution("1", "courier.scan.v1", "e", "2023-11-15", 0, 20, counts=Counts(accepted=7)))
    assert not day.update(Contribution("1", "courier.scan.v1", "e", "2023-11-15", 0, 10, counts=Counts(accepted=3)))
    assert day.update(Contribution("1", "courier.scan.v1", "e", "2023-11-15", 1, 5, counts=Counts(accepted=2)))
    assert day.counts().accepted == 9


@pytest.mark.parametrize("unread", INPUTS)
def test_time_waits_for_an_input_that_nobody_has_read_yet(unread):
    whole, watermark = marks(T), Watermark()
    watermark.enter([mark for mark in whole["marks"] if mark.topic != unread], whole["newest"], said_ms(T))
    assert watermark.ms == BEGINNING_MS
    watermark.enter([mark for mark in whole["marks"] if mark.topic == unread], {}, said_ms(T))
    assert watermark.ms == T
