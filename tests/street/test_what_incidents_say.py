"""What an incident says is a function of its own fixes, whatever arrives when, and its name is its own."""

import itertools

import msgspec
import numpy as np
import orjson
import pytest

from deploy.judge import judge_files
from streams.city.incident_data import incident_data
from streams.policy.policy import Policies
from streams.policy.reader import load_policy, parse_policy
from streams.registry.files import load_registry
from streams.registry.records import decode_entry
from streams.registry.registry import Registry
from streams.vehicles.codec import decode_vehicle, encode_vehicles
from streams.vehicles.engine import Engine
from streams.vehicles.partition import new_partition
from streams.vehicles.reported import NOTHING, Report, along, append, insert
from streams.wire.events import Record
from streams.wire.state_records import header_of

T = 1_700_000_000_000
PACK = """
policy: p
city: {adcode: "1", name_zh: 甲, name_en: A, timezone: Asia/Shanghai}
document: {title: t, number: n, file: f}
lateness: 10m
rules:
  - {rule: speeding, id: fast, clause: "1", severity: warning, limit_kmh: 40}
  - {rule: cloned_identifier, id: clone, clause: "1", severity: warning}
  - {rule: unrecognised_foreign_plate, id: foreign, clause: "1", severity: warning}
  - {rule: silent_vehicle, id: silent, clause: "1", severity: warning, limit: 5m}
"""
VEHICLE = b'{"kind": "vehicle", "id": "v", "plate": "\xe4\xba\xacA0001"}'


def fix(name, seconds, *, speed=60, plate=None, synthetic=False, lon=1.0, ignition=None):
    given = {"plate": plate, "synthetic": synthetic or None, "ignition": ignition}
    event = {"event_id": name, "event_time_ms": T + seconds * 1000, "vehicle_id": "v", "lon": lon, "lat": 1.0, "speed_kmh": speed}
    return msgspec.json.encode({**event, **{key: value for key, value in given.items() if value is not None}})


class City:
    """An engine with one vehicle on file; ``restart`` takes its state through bytes."""

    def __init__(self):
        self.partition, self.offset, self.latest, self.outcomes = new_partition(), 0, {}, {}
        self.engine = self._engine()

    def _engine(self):
        policy = parse_policy(PACK, "test", lambda _: "")
        registry = Registry(policy.timezone)
        registry.add([decode_entry(VEHICLE)])
        return Engine(Policies([policy]), registry, b"key")

    def judge(self, *values):
        for value in values:
            verdict = self.engine.judge(self.partition, [Record(value, self.offset)])
            self.offset += 1
            self.outcomes = verdict.outcomes
            for transition in verdict.transitions:
                self.latest[transition.incident_id] = incident_data(transition, self.engine.policies, self.engine.compiler.registry)
        return self

    def restart(self):
        engine, before, columns = self.engine, self.partition, self.partition.store
        self.engine, self.partition = self._engine(), new_partition(before.next_offset)
        self.partition.stream_time_ms = before.stream_time_ms
        for name, value in encode_vehicles(columns, np.arange(len(columns.vehicles)), engine, header_of(0, self.offset, 0)):
            self.partition.vehicles[name] = decode_vehicle(value, self.engine)
            self.engine.timers.schedule(self.partition, self.partition.vehicles[name])
        return self

    def said(self, rule="speeding"):
        return sorted(
            (d.opened_at_ms - T, d.plate, d.synthetic, d.reason_en.rpartition("up to ")[2])
            for d in self.latest.values() if d.rule == rule and d.state != "retracted"
        )  # fmt: skip


def field(shared, name, out):
    """What ``judge`` finds in one of the inputs people reported."""
    folder = shared / "field"
    policy = load_policy(str(folder / "base.yaml"))
    judge_files(policy, load_registry(folder / "base.reg.jsonl", policy.timezone), [str(folder / name)], [], out)
    return [orjson.loads(line) for line in (out / "incidents.jsonl").read_bytes().splitlines()]


def test_the_plate_is_that_of_its_own_fixes(shared, tmp_path):
    (speeding,) = (d for d in field(shared, "plate_of_its_own_fixes.jsonl", tmp_path) if d["rule"] == "speeding")
    assert speeding["plate"] == "京A11111"


def test_an_id_used_again_names_another_incident(shared, tmp_path):
    found = field(shared, "event_ids_used_again.jsonl", tmp_path)
    assert [d["opened_at_ms"] for d in found] == [1_715_086_800_000, 1_715_090_400_000]
    assert len({d["incident_id"] for d in found}) == 2


def test_one_synthetic_fix_does_not_make_later_incidents_synthetic(shared, tmp_path):
    assert [d["synthetic"] for d in field(shared, "one_synthetic_fix.jsonl", tmp_path)] == [False]


def test_the_highest_speed_is_that_of_all_fixes(shared, tmp_path):
    (found,) = field(shared, "top_speed.jsonl", tmp_path)
    assert "up to 96 km/h" in found["reason_en"] and "96 公里" in found["reason_zh"] and len(found["evidence"]) == 10


LATE = [
    fix("a", 0), fix("b", 10, plate="京A11111"), fix("c", 20, plate="京A22222", speed=90, synthetic=True), fix("d", 30, speed=10, plate="京A33333"),
    fix("e", 40, plate="京A44444", speed=50),
]  # fmt: skip
END = fix("z", 300, speed=10, plate="京B22222")


@pytest.mark.parametrize("order", list(itertools.permutations(range(5)))[::7])
def test_what_an_incident_says_does_not_depend_on_the_order_of_arrival(order):
    """The earliest plate, the highest speed and one synthetic fix, through merges, splits and restarts between any two fixes."""
    city = City().judge(END)
    for index in order:
        city.judge(LATE[index]).restart()
    assert city.said() == [(0, "京A11111", True, "90 km/h"), (40_000, "京A44444", False, "50 km/h")]


def test_without_a_plate_it_is_the_registered_one_when_it_opened():
    assert City().judge(fix("a", 0), END).said() == [(0, "京A0001", False, "60 km/h")]


def test_a_fix_that_a_late_one_makes_an_offence_keeps_its_own_plate():
    """It offended nobody when it arrived, by itself; so what it reported must have been kept."""
    city = City().judge(fix("a", 0, speed=5, plate="京A1"), fix("b", 200, speed=5, plate="京A2"), fix("c", 210, speed=5, plate="京A3"))
    assert city.said("cloned_identifier") == []
    city.restart().judge(fix("l", 190, speed=5, plate="京A4", lon=1.2))
    assert [said[:2] for said in city.said("cloned_identifier")] == [(190_000, "京A4")]


def test_a_silence_says_what_its_fix_reported():
    city = City().judge(fix("a", 0, speed=5, plate="京A1", synthetic=True, ignition=True), fix("b", 900, speed=5, plate="京A2", ignition=True))
    assert [said[:3] for said in city.said("silent_vehicle")] == [(0, "京A1", True)]


def test_the_words_about_a_foreign_plate_name_it():
    city = City().judge(fix("a", 0, speed=5, plate="ກຂ1"), fix("b", 10, speed=5, plate="京A12345"), fix("c", 20, speed=5, plate="ກຂ2"))
    words = {d.opened_at_ms - T: d.reason_en for d in city.latest.values() if d.rule == "unrecognised_foreign_plate"}
    assert "ກຂ1" in words[0] and "ກຂ2" in words[20_000]


@pytest.mark.parametrize("between", [[], [fix(f"f{n}", n, speed=10) for n in range(1, 40)]], ids=["open", "sealed"])
def test_the_same_id_is_a_duplicate_at_the_same_time_only(between):
    city = City().judge(fix("a", 0), *between)
    assert city.judge(fix("a", 0)).outcomes["duplicate"] == 1
    assert city.judge(fix("a", 300)).outcomes["accepted"] == 1
    assert city.judge(fix("a", 299)).outcomes["accepted"] == 1
    assert city.judge(fix("a", 299)).outcomes["duplicate"] == 1
    assert city.judge(fix("b", 0)).outcomes["accepted"] == 1
    assert city.restart().judge(fix("a", 0), fix("b", 0)).outcomes["duplicate"] == 1
    assert city.judge(fix("z", 601)).judge(fix("a", 0)).outcomes["late"] == 1


def test_ids_used_again_after_the_lateness_open_incidents_of_their_own():
    city = City()
    for hour in range(5):
        city.judge(fix("1", hour * 3600), fix("2", hour * 3600 + 10, speed=10))
        city.restart()
    assert [said[0] for said in city.said()] == [hour * 3_600_000 for hour in range(5)] and len(city.latest) == 5


def test_what_is_reported_is_kept_as_changes():
    a, b = Report("A"), Report("B", synthetic=True)
    changes = None
    for second, report in ((0, a), (1, a), (2, b), (3, b), (4, NOTHING), (5, a)):
        changes = append(changes, second, "x", report, 0)
    assert [change[:2] for change in changes] == [(0, "x"), (2, "x"), (4, "x"), (5, "x")]
    changes = insert(changes, 3, "a", a, (3, "x"), 0)
    assert [(c.event_time_ms, c.event_id, c.report) for c in changes[1:4]] == [(2, "x", b), (3, "a", a), (3, "x", b)]
    kept = [(0, "x"), (1, "x"), (2, "x"), (3, "a"), (3, "x"), (4, "x"), (5, "x")]
    assert [report for _, report in along(changes, kept)] == [a, a, b, a, b, NOTHING, a]
    assert append(changes, 9, "x", b, 6)[0] == (5, "x", a)  # older fixes are gone


