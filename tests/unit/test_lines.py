"""How far a vehicle has come on a delivery line, whatever comes late; and what it costs those that are on none."""

import random

import msgspec
import numpy as np
import pytest

from streams.policy.policy import Policies
from streams.policy.reader import parse_policy
from streams.registry.records import decode_entry
from streams.registry.registry import Registry
from streams.vehicles.codec import decode_vehicle, encode_vehicles
from streams.vehicles.engine import Engine
from streams.vehicles.lines import Progress, Visit
from streams.vehicles.partition import new_partition
from streams.wire.events import Fix, Record
from streams.wire.state_records import header_of

PACK = """
policy: p
city: {adcode: "1", name_zh: 甲, name_en: A, timezone: Asia/Shanghai}
document: {title: t, number: n, file: f}
zones: z
rules: [{rule: missed_line, id: r, clause: "1", severity: warning}]
"""
ZONES = """{"type": "FeatureCollection", "features": [
  {"type": "Feature", "properties": {"id": "a"}, "geometry": {"type": "Polygon", "coordinates": [[[0,0],[1,0],[1,1],[0,1],[0,0]]]}},
  {"type": "Feature", "properties": {"id": "b"}, "geometry": {"type": "Polygon", "coordinates": [[[2,0],[3,0],[3,1],[2,1],[2,0]]]}}]}"""
NOON, HOUR_MS = 1_700_020_800_000, 3_600_000  # 2023-11-15 12:00 in Shanghai
LATENESS_MS = 600_000


def world():
    policy, registry = parse_policy(PACK, "test", lambda _: ZONES), Registry(parse_policy(PACK, "test", lambda _: ZONES).timezone)
    registry.add([decode_entry(b'{"kind": "line", "id": "l", "zones": ["a", "b"], "vehicle_ids": ["v"]}')])
    return Engine(Policies([policy]), registry, b"k")


def in_order(zones, visits):
    """Whether a line was driven, by brute force: every zone at the first fix that may serve it."""
    at, visits = 0, sorted(visits)
    for place in range(zones):
        while at < len(visits) and place not in visits[at].places:
            at += 1
        if at == len(visits):
            return False
    return True


@pytest.mark.parametrize("seed", range(200))
def test_progress_is_exact_after_every_visit_that_is_accepted(seed):
    rng = random.Random(seed)
    zones, progress, accepted, newest_ms = rng.randrange(1, 6), Progress(["z"] * 5), [], 0
    progress.zones = progress.zones[:zones]
    made = [Visit(at_ms, f"{rng.randrange(9)}-{n}", tuple(sorted(rng.sample(range(zones), rng.randrange(1, min(zones, 2) + 1))))) for n, at_ms in enumerate(sorted(rng.choices(range(60), k=30)))]
    for visit in sorted(made, key=lambda visit: visit.event_time_ms + rng.randrange(25)):
        if visit.event_time_ms < newest_ms - 10:
            continue
        newest_ms = max(newest_ms, visit.event_time_ms)
        accepted.append(visit)
        progress.note(visit, 10)
        assert progress.is_complete() is in_order(zones, accepted), accepted
    assert all(visit.event_time_ms >= newest_ms - 10 for visit in progress.visits), "only those of the last lateness are kept"


def drive(engine, partition, *fixes):
    values = [msgspec.json.encode(Fix(f"{partition.next_offset + n}", NOON + at_ms, vehicle, {"a": 0.5, "b": 2.5, "-": 5.0}[place], 0.5)) for n, (vehicle, at_ms, place) in enumerate(fixes)]
    engine.judge(partition, [Record(value, partition.next_offset + n) for n, value in enumerate(values)])


def test_a_line_is_driven_even_if_one_chunk_goes_beyond_its_day():
    engine, partition = world(), new_partition()
    drive(engine, partition, ("v", 0, "a"), ("v", 1_000, "b"), ("v", 13 * HOUR_MS, "a"))
    assert {date: day.lines for date, day in partition.fleet_days.by_date.items()} == {"2023-11-15": ["l"], "2023-11-16": []}


def test_progress_goes_through_state_and_belongs_to_its_vehicle_and_day():
    engine, partition = world(), new_partition()
    drive(engine, partition, ("v", 0, "a"), ("w", 0, "a"), ("w", 1_000, "b"))
    assert [bool(vehicle.on_lines) for vehicle in partition.vehicles.values()] == [True, False], "nothing is kept of vehicles of no line"
    fresh, restored = world(), new_partition(partition.next_offset)
    slots = np.array([partition.slot(vehicle) for vehicle in partition.vehicles.values()])
    restored.vehicles = {name: decode_vehicle(value, fresh) for name, value in encode_vehicles(partition.store, slots, engine, header_of(0, 3, 0))}
    drive(fresh, restored, ("v", 2_000, "b"))
    assert restored.fleet_days.by_date["2023-11-15"].lines == ["l"] and not restored.vehicles["v"].on_lines
    for hours in range(1, 200):
        drive(fresh, restored, ("v", hours * HOUR_MS, "a"))
    assert len(restored.vehicles["v"].on_lines) == 1, "days of before are forgotten"


def test_a_line_that_is_changed_begins_anew():
    engine, partition = world(), new_partition()
    drive(engine, partition, ("v", 0, "a"))
    engine.compiler.registry.put("line", "l", [decode_entry(b'{"kind": "line", "id": "l", "zones": ["b", "a"], "vehicle_ids": ["v"]}')])
    engine.change(engine.policies)
    drive(engine, partition, ("v", 1_000, "a"))
    assert partition.fleet_days.by_date["2023-11-15"].lines == []
    drive(engine, partition, ("v", 2_000, "b"), ("v", 3_000, "a"))
    assert partition.fleet_days.by_date["2023-11-15"].lines == ["l"]
