"""A terminal, a feed and a camera whose clocks are wrong change nothing of anybody else: within a partition, and across inputs.

Traffic of a city over midnight, as it arrives: each second the stages say what they came to and how far they have read, as
the checkpoints of a worker do. With and without rogues, everything announced about others is the same, revision by revision.
"""

from __future__ import annotations

import asyncio
import json
from collections import defaultdict
from itertools import product
from types import SimpleNamespace

import pytest
from as_published import as_announced, low_days, of_vehicles, silences, standing
from simulation.history import city
from time_passing import said

from streams.city.contributions import Contribution, decode_contribution
from streams.clock import BEGINNING_MS
from streams.runtime.answer_stage import AnswerStage
from streams.runtime.checkpoint import Checkpoint
from streams.runtime.city_stage import CityStage
from streams.runtime.fix_stage import FixStage
from streams.runtime.heartbeat_stage import HeartbeatStage
from streams.runtime.scan_stage import ScanStage
from streams.watermark import DISORDER_MS, INPUTS, Arrivals, Mark, Watermark, rising
from streams.wire.topics import DEAD, FEEDBACK, GPS, HEARTBEAT, INCIDENTS, LATE, PARTIALS, SCAN

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


def rogues(shift_ms):
    """A vehicle, an enterprise and a camera of nobody else's, each with the same wrong clock."""
    rows = []
    for second in range(5, 3_000, 30):
        arrival_ms = EVENING_MS + second * 1_000 + DELAY_MS
        time_ms = arrival_ms - DELAY_MS + shift_ms
        place = {"lon": 1.0, "lat": 1.0, "speed_kmh": 70.0, "ignition": True}
        rows += [
            (arrival_ms, GPS.name, {"event_id": f"r{second}", "event_time_ms": time_ms, "vehicle_id": "rogue", **place}),
            (arrival_ms, SCAN.name, {"event_id": f"r{second}", "event_time_ms": time_ms, "waybill_id": f"r{second}", "enterprise_id": "r", "city": "1", "kind": "departed"}),
            (arrival_ms, HEARTBEAT.name, {"event_id": f"r{second}", "event_time_ms": time_ms, "subject": "outlet/r"}),
        ]
    return rows


class City:
    """A worker's stages with what they send kept; ``live``: the brokers say when records arrived; ``placed``: partition of a key, by default all in one."""

    def __init__(self, *, live, partitions=1, placed=lambda key: 0):
        self.live, self.sent, self.numbers, self.placed = live, [], range(partitions), placed
        checkpoint = Checkpoint("")
        checkpoint.send, checkpoint.restore, checkpoint.ends, checkpoint.readable_ends = self._send, self._restore, self._ends, self._ends
        checkpoint.partition_counts = self._partition_counts
        reference = SimpleNamespace(**vars(city()[0]))
        self.fixes = FixStage(checkpoint, reference, b"key")
        self.fixes.reference_changed()
        self.stages = {GPS.name: self.fixes, SCAN.name: ScanStage(checkpoint, reference), HEARTBEAT.name: HeartbeatStage(checkpoint, reference), FEEDBACK.name: AnswerStage(checkpoint, reference)}
        self.sums = CityStage(checkpoint, reference, b"key")
        self.reference, self.offsets = reference, defaultdict(int)
        self.taken = defaultdict(list)

    async def _send(self, topic, key, value, headers=(), partition=None):
        self.sent.append((topic, key, value))

    async def _restore(self, topic, partition):
        return {}

    async def _ends(self, topic, partitions):
        return {number: self.offsets[topic, number] for number in partitions}

    async def _partition_counts(self):
        return dict.fromkeys(INPUTS, len(self.numbers))

    async def run(self, rows):
        by_second = defaultdict(lambda: defaultdict(list))
        for arrival_ms, topic, event in sorted(rows, key=lambda row: row[0]):
            record = self._record(topic, arrival_ms, event)
            by_second[arrival_ms // 1_000][topic, record.partition].append(record)
        for second, of_partition in sorted(by_second.items()):
            for (topic, _), records in of_partition.items():
                await self.stages[topic].process(records)
            await self._checkpoint((second + 1) * 1_000)
        for seconds in range(1, 12):  # nothing comes any more
            await self._checkpoint((second + 1 + seconds) * 1_000)
        return self

    def _record(self, topic, arrival_ms, event):
        event = event if self.live else {**event, "arrival_time_ms": arrival_ms}
        value, timestamp = json.dumps(event).encode(), arrival_ms if self.live else None
        key = str(event.get("vehicle_id") or event.get("waybill_id") or event.get("subject"))
        number = self.placed(key)
        self.offsets[topic, number] += 1
        self.taken[topic, number].append(value)
        return SimpleNamespace(topic=topic, partition=number, offset=self.offsets[topic, number] - 1, key=key.encode(), value=value, timestamp=timestamp, arrived_ms=timestamp)

    async def _checkpoint(self, now_ms):
        """As a checkpoint does: results, then how far all has been read, then what follows."""
        newest, marks = {}, []
        for (topic, stage), number in product(self.stages.items(), self.numbers):
            partition = await stage.partition(number)
            for row in stage.emit(number):
                await self._send(*row)
            for second, time_ms in partition.arrivals.take_newest(now_ms).items():
                newest[second] = max(newest.get(second, BEGINNING_MS), time_ms)
            stage.changes(number)
            marks.append(Mark(topic, number, len(self.numbers), self.offsets[topic, number], now_ms - 1, partition.stream_time_ms))
        rows = [decode_contribution(value) for topic, _, value in self.sent if topic == PARTIALS.name]
        self.sent = [row for row in self.sent if row[0] != PARTIALS.name]
        for row in [*rows, Contribution(marks=marks, newest=newest)]:
            await self.sums.process([said(self.offsets[PARTIALS.name, 0], row, now_ms)])
            self.offsets[PARTIALS.name, 0] += 1
        self.reference.watermark_ms = self.sums.partitions[0].watermark.ms
        await self.fixes.follow(list(self.numbers))

    def announced(self):
        """What was said of everybody but the rogues, in order."""
        events = [json.loads(value) for topic, _, value in self.sent if topic == INCIDENTS.name]
        return [(event["type"], event["data"]) for event in events if event["subject"] not in {"vehicle/rogue", "enterprise/r", "outlet/r"}]

    def told_of_each(self):
        """The same by incident: what is said of one does not depend on what else is said in between."""
        found = defaultdict(list)
        for kind, data in self.announced():
            found[data["incident_id"]].append((kind, data))
        return found

    def judged_by_the_oracle(self):
        """Vehicles' incidents, silences and low days as the oracle has them of what was sent."""
        oracle, (fixes, scans, beats) = city()[1], ([self.taken[topic.name, number] for number in self.numbers] for topic in (GPS, SCAN, HEARTBEAT))
        end_ms = oracle.watermark(fixes, scans, beats)
        vehicles = set().union(*(oracle.fixes(lines, end_ms)[0] for lines in fixes))
        return vehicles, oracle.intervals(oracle.heartbeats(scans, beats)[0], end_ms), oracle.low_bounds(oracle.scans(*scans, stream_time=end_ms, live=True)[1])

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


PLACES = {"v1": 0, "v2": 1, "outlet/o": 0, "outlet/q": 1}
"""Partitions of honest keys; waybills go by their last digit."""


def _in_two(*, live, rogues_in=0):
    """A city whose inputs have two partitions; the rogues are in one of them."""

    def placed(key):
        return rogues_in if key.startswith(("r", "outlet/r")) else PLACES[key] if key in PLACES else int(key[-1]) % 2

    return City(live=live, partitions=2, placed=placed)


@pytest.fixture(scope="module")
def undisturbed_in_two():
    return {live: asyncio.run(_in_two(live=live).run(honest())) for live in (True, False)}


@pytest.mark.parametrize("rogues_in", [0, 1])
@pytest.mark.parametrize("live", [True, False], ids=["live", "offline"])
@pytest.mark.parametrize("clock", CLOCKS)
def test_a_wrong_clock_changes_nothing_across_partitions_and_the_oracle_agrees(undisturbed_in_two, clock, live, rogues_in):
    undisturbed = undisturbed_in_two[live]
    disturbed = asyncio.run(_in_two(live=live, rogues_in=rogues_in).run([*honest(), *rogues(CLOCKS[clock])]))
    assert disturbed.told_of_each() == undisturbed.told_of_each()
    assert disturbed.letters() == undisturbed.letters() == []
    left = standing([{"type": kind, "data": data} for kind, data in disturbed.announced()])
    vehicles, silent, low = undisturbed.judged_by_the_oracle()
    assert of_vehicles(left) == as_announced(vehicles) != set()
    assert silences(left) == silent != set()
    assert low_days(left) == low


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
