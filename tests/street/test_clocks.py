"""A terminal, a feed and a camera whose clocks are wrong change nothing of anybody else: within a partition, across partitions and across inputs.

Traffic of a city over midnight, as it arrives: each second the stages say what they came to and how far they have read, as
the checkpoints of a worker do. With and without rogues, everything announced about others is the same, revision by revision.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import zlib
from collections import defaultdict
from types import SimpleNamespace

import pytest
from simulation.history import check, city, oracle_of
from time_passing import said

from streams.city.contributions import Contribution, decode_contribution
from streams.clock import BEGINNING_MS
from streams.runtime.answer_stage import AnswerStage
from streams.runtime.checkpoint import Checkpoint
from streams.runtime.city_stage import CityStage
from streams.runtime.fix_stage import FixStage
from streams.runtime.heartbeat_stage import HeartbeatStage
from streams.runtime.scan_stage import ScanStage
from streams.vehicles.vehicle_record import VehicleRecord
from streams.watermark import DISORDER_MS, Arrivals, Mark, Watermark, rising
from streams.wire.state_records import HEADER_FIELDS, decode_record
from streams.wire.topics import CREDIT, DEAD, FEEDBACK, GPS, HEARTBEAT, INCIDENTS, LATE, PARTIALS, RATES, SCAN

EVENING_MS = 1_700_062_800_000  # 2023-11-15 23:40 in Shanghai
MINUTE_MS, DAY_MS = 60_000, 86_400_000
CLOCKS = {"+299 s": 299_000, "+59 min": 59 * MINUTE_MS, "+30 days": 30 * DAY_MS, "-3 years": -3 * 365 * DAY_MS}
DELAY_MS = 1_000
"""So long does a record take to arrive."""


def honest():
    """(arrival, topic, event): two vehicles that offend and rest, an enterprise's parcels, two cameras of which one falls silent."""
    rows = []
    for second in range(0, 3_000, 10):
        now_ms = EVENING_MS + second * 1_000
        for vehicle in ("v1", "v2"):
            if vehicle == "v2" and 900 < second < 1_300:  # nothing for longer than its runs can bridge
                continue
            inside, fast = second % 600 < 250, second % 400 < 100
            rows.append((GPS, {"event_id": f"{vehicle}-{second}", "event_time_ms": now_ms, "vehicle_id": vehicle, "lon": 1.0 if inside else 3.0, "lat": 1.0,
                               "speed_kmh": 70.0 if fast else 10.0, "ignition": True}))  # fmt: skip
        if second % 60 == 0:
            rows += [(SCAN, {"event_id": f"s{second}{n}", "event_time_ms": now_ms + n, "waybill_id": f"w{second}{n}", "enterprise_id": "e", "city": "1",
                             "kind": "accepted", "outlet_id": "q" if second % 300 == 0 else "o", "waybill_kind": "paper" if n else "electronic"}) for n in range(2)]  # fmt: skip
            cameras = ["outlet/o"] if second > 600 else ["outlet/o", "outlet/q"]
            rows += [(HEARTBEAT, {"event_id": f"{name}-{second}", "event_time_ms": now_ms, "subject": name}) for name in cameras]
    return [(event["event_time_ms"] + DELAY_MS, topic.name, event) for topic, event in rows]


FIELDS = VehicleRecord.__struct_fields__[HEADER_FIELDS:]
OF_ALL = ("compressed", "rows", "sets", "seen")
"""What in a vehicle's state goes by offsets, or by numbers that a worker gives sets of offences as it meets them."""
ROGUES = (b"rogue", b"rogue-parcel", b"outlet/r")
"""A vehicle, a parcel and a camera."""


def rogues(shift_ms):
    """A vehicle, an enterprise and a camera of nobody else's, each with the same wrong clock."""
    rows = []
    for second in range(5, 3_000, 30):
        arrival_ms = EVENING_MS + second * 1_000 + DELAY_MS
        time_ms = arrival_ms - DELAY_MS + shift_ms
        place = {"lon": 1.0, "lat": 1.0, "speed_kmh": 70.0, "ignition": True}
        rows += [
            (arrival_ms, GPS.name, {"event_id": f"r{second}", "event_time_ms": time_ms, "vehicle_id": "rogue", **place}),
            (arrival_ms, SCAN.name, {"event_id": f"r{second}", "event_time_ms": time_ms, "waybill_id": "rogue-parcel", "enterprise_id": "r", "city": "1", "kind": "departed"}),
            (arrival_ms, HEARTBEAT.name, {"event_id": f"r{second}", "event_time_ms": time_ms, "subject": "outlet/r"}),
        ]
    return rows


HOMES = {b"v1": 0, b"v2": 1}
"""Of several partitions the one that a key is in; others follow from their bytes."""


class City:
    """A worker's stages over their partitions, with what they send kept; ``live``: the brokers say when records arrived. ``rogues_in``: the partition of all rogues."""

    def __init__(self, *, live, partitions=1, rogues_in=0):
        self.live, self.sent, self.numbers, self.homes = live, [], range(partitions), {**HOMES, **dict.fromkeys(ROGUES, rogues_in)}
        self.logs, self.states = defaultdict(list), {}
        checkpoint = Checkpoint("")
        checkpoint.send, checkpoint.restore, checkpoint.ends, checkpoint.readable_ends = self._send, self._restore, self._ends, self._ends
        checkpoint.partition_counts = self._partition_counts
        reference = SimpleNamespace(**vars(city()[0]))
        self.fixes = FixStage(checkpoint, reference, b"key")
        self.fixes.reference_changed()
        self.stages = {GPS.name: self.fixes, SCAN.name: ScanStage(checkpoint, reference), HEARTBEAT.name: HeartbeatStage(checkpoint, reference), FEEDBACK.name: AnswerStage(checkpoint, reference)}
        self.sums = CityStage(checkpoint, reference, b"key")
        self.reference, self.offsets = reference, defaultdict(int)

    async def _send(self, topic, key, value, headers=(), partition=None):
        self.sent.append((topic, key, value))
        self.logs[topic, 0].append(SimpleNamespace(key=key, value=value, headers=headers, control=False))

    async def _restore(self, topic, partition):
        return {}

    async def _ends(self, topic, partitions):
        return {number: self.offsets[topic, number] for number in partitions}

    async def _partition_counts(self):
        return dict.fromkeys(self.stages, len(self.numbers))

    async def run(self, rows):
        by_second = defaultdict(lambda: defaultdict(list))
        for arrival_ms, topic, event in sorted(rows, key=lambda row: row[0]):
            record = self._record(topic, arrival_ms, event)
            by_second[arrival_ms // 1_000][topic, record.partition].append(record)
            self.logs[topic, record.partition].append(record)
        for second, of_topic in sorted(by_second.items()):
            for (topic, _), records in of_topic.items():
                await self.stages[topic].process(records)
            await self._checkpoint((second + 1) * 1_000)
        for seconds in range(1, 12):  # nothing comes any more
            await self._checkpoint((second + 1 + seconds) * 1_000)
        return self

    def _record(self, topic, arrival_ms, event):
        event = event if self.live else {**event, "arrival_time_ms": arrival_ms}
        value, timestamp = json.dumps(event).encode(), arrival_ms if self.live else None
        key = str(event.get("vehicle_id") or event.get("waybill_id") or event.get("subject")).encode()
        number = self.homes.get(key, zlib.crc32(key)) % len(self.numbers)
        self.offsets[topic, number] += 1
        return SimpleNamespace(topic=topic, partition=number, offset=self.offsets[topic, number] - 1, key=key, value=value, timestamp=timestamp, arrived_ms=timestamp, control=False)

    async def _checkpoint(self, now_ms):
        """As a checkpoint does: results, then how far all has been read, then what follows."""
        newest, marks = {}, []
        for (topic, stage), number in itertools.product(self.stages.items(), self.numbers):
            partition = await stage.partition(number)
            for row in stage.emit(number):
                await self._send(*row)
            for second, time_ms in partition.arrivals.take_newest(now_ms).items():
                newest[second] = max(newest.get(second, BEGINNING_MS), time_ms)
            self.states |= {(topic, number, key): value and decode_record(value)[HEADER_FIELDS:] for key, value, *_ in stage.changes(number)}
            marks.append(Mark(topic, number, len(self.numbers), self.offsets[topic, number], now_ms - 1, partition.stream_time_ms))
        rows = [decode_contribution(value) for topic, _, value in self.sent if topic == PARTIALS.name]
        self.sent = [row for row in self.sent if row[0] != PARTIALS.name]
        for row in [*rows, Contribution(marks=marks, newest=newest)]:
            await self.sums.process([said(self.offsets[PARTIALS.name, 0], row, now_ms)])
            self.offsets[PARTIALS.name, 0] += 1
        self.reference.watermark_ms = self.sums.partitions[0].watermark.ms
        await self.fixes.follow(self.numbers)

    def announced(self):
        """What was said of everybody but the rogues, in order."""
        events = [json.loads(value) for topic, _, value in self.sent if topic == INCIDENTS.name]
        return [(event["type"], event["data"]) for event in events if event["subject"] not in {"vehicle/rogue", "enterprise/r", "outlet/r"}]

    def counted(self):
        """The rows of rates and standings as they are at last, without how often they were sent."""
        rows = {key: json.loads(value) for topic, key, value in self.sent if topic in {RATES.name, CREDIT.name}}
        return {key: {name: value for name, value in row.items() if name != "revision"} for key, row in rows.items()}

    def kept(self):
        """The state of everybody else: of vehicles, parcels and cameras."""
        others = {key: state for key, state in self.states.items() if key[2] and not any(name.decode() in key[2] for name in ROGUES)}
        return {key: state if key[0] != GPS.name else [field for name, field in zip(FIELDS, state, strict=False) if name not in OF_ALL] for key, state in others.items()}

    def letters(self):
        """Keys of the records that were refused."""
        return [key for topic, key, _ in self.sent if topic in {DEAD.name, LATE.name} and not (key or b"").startswith((b"r", b"outlet/r"))]


@pytest.fixture(scope="module")
def undisturbed():
    return {live: asyncio.run(City(live=live).run(honest())) for live in (True, False)}


def test_the_traffic_is_worth_watching(undisturbed):
    said = undisturbed[True].announced()
    assert {data["rule"] for _, data in said} >= {"restricted_hours", "speeding", "silent_vehicle", "unfiled_outlet", "low_electronic_waybill_rate", "offline_camera", "blacklisted_enterprise"}
    assert not [kind for kind, _ in said if "retracted" in kind]
    assert [data for _, data in undisturbed[False].announced()] == [data for _, data in said]


@pytest.mark.parametrize("live", [True, False], ids=["live", "offline"])
@pytest.mark.parametrize("clock", CLOCKS)
def test_a_wrong_clock_changes_nothing_of_anybody_else(undisturbed, clock, live):
    disturbed = asyncio.run(City(live=live).run([*honest(), *rogues(CLOCKS[clock])]))
    assert disturbed.announced() == undisturbed[live].announced()
    assert disturbed.letters() == undisturbed[live].letters() == []
    last_ms = EVENING_MS + 3_000_000 + DELAY_MS
    assert all(stage.partitions[0].stream_time_ms <= last_ms for stage in disturbed.stages.values())
    assert disturbed.reference.watermark_ms <= last_ms


@pytest.fixture(scope="module")
def across():
    """The same traffic in two partitions of every input."""
    return {live: asyncio.run(City(live=live, partitions=2).run(honest())) for live in (True, False)}


def test_in_several_partitions_all_is_as_the_oracle_says(across):
    for live, undisturbed in across.items():
        assert {fix.key for fix in undisturbed.logs[GPS.name, 0]} == {b"v1"} and {fix.key for fix in undisturbed.logs[GPS.name, 1]} == {b"v2"}
        check(SimpleNamespace(logs=undisturbed.logs, oracle=oracle_of(), kind="as it was"), f"live: {live}")
        assert not [kind for kind, _ in undisturbed.announced() if "retracted" in kind] and len(undisturbed.counted()) > 5 and len(undisturbed.kept()) > 10


@pytest.mark.parametrize("live", [True, False], ids=["live", "offline"])
@pytest.mark.parametrize("clock", CLOCKS)
def test_a_wrong_clock_changes_nothing_in_its_partition_nor_in_another(across, clock, live):
    rogues_in = (list(CLOCKS).index(clock) + live) % 2
    disturbed = asyncio.run(City(live=live, partitions=2, rogues_in=rogues_in).run([*honest(), *rogues(CLOCKS[clock])]))
    assert disturbed.announced() == across[live].announced() and disturbed.letters() == []
    assert {key: row for key, row in disturbed.counted().items() if key in across[live].counted()} == across[live].counted()
    assert {key: state for key, state in disturbed.kept().items() if key in across[live].kept()} == across[live].kept()
    assert disturbed.reference.watermark_ms == across[live].reference.watermark_ms


def test_the_watermark_waits_for_all_and_for_as_long_as_records_may_be_late():
    watermark, t = Watermark(), 1_700_000_000_000

    def say(topic, read_until_ms, newest, *, partition=0, partitions=1):
        watermark.enter([Mark(topic, partition, partitions, 1, read_until_ms, t)], newest, t + 3_600_000)
        return watermark.ms

    for topic in (GPS.name, SCAN.name, FEEDBACK.name):
        assert say(topic, t + 100_000, {t // 1_000: t}) == BEGINNING_MS  # nothing is known of the fourth input
    assert say(HEARTBEAT.name, t + DISORDER_MS + 999, {}) == BEGINNING_MS  # that second is not over yet
    assert say(HEARTBEAT.name, t + DISORDER_MS + 1_000, {}) == t
    assert say(HEARTBEAT.name, t + DISORDER_MS - 10_000, {}) == t  # a late repeat
    assert say(GPS.name, t + 200_000, {t // 1_000 + 9: t + 9_000}, partition=1, partitions=2) == t
    assert say(HEARTBEAT.name, t + 100_000, {}) == t + 9_000
    assert watermark.behind in {f"{GPS.name}/0", f"{SCAN.name}/0", f"{HEARTBEAT.name}/0", f"{FEEDBACK.name}/0"} and watermark.read_until_ms == t + 100_000
    assert say("courier.made-up.v1", t + 200_000, {t // 1_000 + 20: t + 30_000}) == t + 9_000  # no input; later than it arrived
    watermark.enter([Mark(GPS.name, 7, 2, 1, t + 900_000, t)], {t // 1_000 + 7_200: t}, t + 100_000)
    assert f"{GPS.name}/7" not in watermark.marks and not watermark.newest


def test_what_a_backlog_says_of_arrivals_stays_small_and_never_says_more():
    whole = {second: 1_000 * second for second in range(100_000)}
    few = rising(whole)
    assert len(few) <= 2_048 and few[99_999] == 99_999_000
    assert all(time_ms == whole[second] for second, time_ms in few.items())
    arrivals = Arrivals()
    for second in range(10_000):
        arrivals.note(second * 1_000, second * 1_000 - 500)
    assert len(arrivals.take_newest(0)) <= 2_048 and not arrivals.newest
