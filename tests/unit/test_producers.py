"""Synthetic traffic with its truth, faults, and recorded formats."""

import gzip
import os
import threading
from functools import cache, reduce
from itertools import takewhile

import msgspec
import psutil
import pytest
from time_passing import counted

from deploy.up.verdict import _handled
from producers import replay
from producers.faults import Faults, inject, parse_faults
from producers.offenders import SOON
from producers.parcels import parcels
from producers.publish import Pace
from producers.replay import read_records
from producers.sample_registry import sample_registry
from producers.synthetic import Fleet
from producers.truth import Truth
from streams.city.city_judge import CityJudge, Due
from streams.city.contributions import Contribution
from streams.city.ledger import CityLedger
from streams.counts import Counts, DayKey, rate_row
from streams.errors import BadInput
from streams.parcels.days import DayJudge
from streams.parcels.partition import new_scan_partition
from streams.parcels.scans import count_scans
from streams.policy.policy import Policies
from streams.policy.reader import load_policy, packs
from streams.registry.registry import Registry
from streams.vehicles.engine import Engine
from streams.vehicles.partition import new_partition
from streams.wire.events import Record

NOON, MIDNIGHT = 1_782_446_400_000, 1_782_403_200_000  # 2026-06-26 12:00 and 00:00 in Shanghai


@cache
def of_pack(name):
    policy = load_policy(name)
    registry = Registry(policy.timezone)
    registry.add(sample_registry(policy, 2_400, 7))
    return policy, registry


@pytest.fixture
def city():
    return of_pack("hohhot-2019")


def fleet(city, end_ms, seed, minutes=30, vehicles=80, soon=False):
    return Fleet(*city, vehicles=vehicles, start_ms=end_ms - minutes * 60_000, end_ms=end_ms, interval_ms=10_000, seed=seed, soon=soon)


LONG_SHIFTS = [pytest.param(pack, 90, marks=pytest.mark.long) for pack in packs()]
"""Of 90 minutes, with ``--long``."""


@pytest.mark.parametrize(("pack", "minutes"), [*((pack, 30) for pack in packs()), *LONG_SHIFTS])
@pytest.mark.parametrize("end_ms", [NOON, MIDNIGHT], ids=["noon", "midnight"])
def test_the_engine_finds_what_was_injected_and_nothing_else_in_spite_of_faults(pack, end_ms, minutes):
    policy, registry = of_pack(pack)
    seed = minutes + end_ms // 3_600_000
    made = fleet((policy, registry), end_ms, seed, minutes, soon=True)
    faults = Faults(dup=0.05, late=0.02, shuffle_ms=30_000, malformed=0.005)
    records = [Record(sent[3], n) for n, sent in enumerate(inject(made.fixes(), faults, seed, policy.lateness_ms))]
    partition = new_partition()
    verdict = Engine(Policies([policy]), registry, b"k").judge(partition, records)
    assert {date: tuple(driven) for date, driven in partition.empty_run.by_date.items()} == made.truth.driven
    assert sum(empty for empty, *_ in made.truth.driven.values())
    final = {t.incident_id: t for t in verdict.transitions}
    found = {
        (t.episode.offence.rule_id, t.vehicle_id, t.episode.offence.zone_id, t.episode.opened_at_ms, t.episode.last_seen_ms, t.episode.fix_count, t.episode.driver_id)
        for t in final.values() if t.state != "retracted"
    }  # fmt: skip
    assert found == {msgspec.structs.astuple(i) for i in made.truth.incidents}, f"seed {seed}"
    assert {i.rule_id for i in made.truth.incidents} | set(made.truth.skipped) == {rule.id for rule in policy.fix_rules}
    assert verdict.outcomes["duplicate"] and verdict.outcomes["late"] and verdict.outcomes["malformed"]


def test_a_line_is_driven_and_another_missed():
    policy, registry = of_pack("wulong-2019")
    assert len(list(registry.lines())) == 5
    made = Fleet(policy, registry, vehicles=30, start_ms=MIDNIGHT, end_ms=MIDNIGHT + 86_400_000 + 900_000, interval_ms=60_000, seed=3)
    records = [Record(sent[3], n) for n, sent in enumerate(inject(made.fixes(), Faults(dup=0.05, shuffle_ms=30_000), 3, policy.lateness_ms))]
    partition, ledger, policies = new_partition(), CityLedger(), Policies([policy])
    found = Engine(policies, registry, b"k").judge(partition, records)
    judge, due = CityJudge(policies, registry, b"k"), Due()
    for date, day in partition.fleet_days.by_date.items():
        judge.enter(ledger, Contribution(policy.pack.city.adcode, "courier.gps.v1", "*", date, 0, 1, fleet=day), due)
    judge.advance(ledger, partition.stream_time_ms, 0, due)
    missed = [(data.rule_id, data.line_id, policy.days.date_of(data.opened_at_ms)) for kind, data in judge.judge(ledger, due).incidents if kind == "opened"]
    assert missed == made.truth.missed_lines == [("delivery-lines", line, "2026-06-26") for line in ("L02", "L04")]
    assert partition.fleet_days.by_date["2026-06-26"].lines == ["L01", "L03", "L05"] and partition.fleet_days.by_date["2026-06-26"].stays
    on_lines = {vehicle_id for line in registry.lines() for vehicle_id in line.vehicle_ids}
    assert not on_lines & {t.vehicle_id for t in found.transitions}, "vehicles of lines keep to the rules"


@pytest.mark.parametrize("pack", packs())
@pytest.mark.parametrize("end_ms", [NOON, MIDNIGHT], ids=["noon", "midnight"])
def test_a_vehicle_is_where_it_must_not_be_from_the_beginning_on(pack, end_ms):
    """Whoever starts ``up`` (60 times as fast as the clock) sees within a minute of traffic, by day and by night, which vehicle is in a wrong place by which clause."""
    policy, registry = of_pack(pack)
    made = fleet((policy, registry), end_ms, 1, minutes=4 * 60, vehicles=30, soon=True)
    until_ms = made.shift.start_ms + 40 * 60_000
    values = [msgspec.json.encode(fix) for fix in takewhile(lambda fix: fix.event_time_ms < until_ms, made.fixes())]
    verdict = Engine(Policies([policy]), registry, b"k").judge(new_partition(), [Record(value, n) for n, value in enumerate(values)])
    zoned = {rule.id: rule for rule in policy.fix_rules if rule.rule in SOON}
    found = [zoned[t.episode.offence.rule_id] for t in verdict.transitions if t.episode.offence.rule_id in zoned and t.episode.opened_at_ms < made.shift.start_ms + 300_000]
    assert found
    assert all(rule.clause for rule in found)


def test_the_same_seed_gives_the_same_traffic(city):
    first, again, other = (list(fleet(city, NOON, seed).fixes()) for seed in (1, 1, 2))
    assert first == again != other
    assert all(a.event_time_ms <= b.event_time_ms for a, b in zip(first, first[1:], strict=False))
    assert max(f.speed_kmh for f in first) < 120


@pytest.mark.parametrize("scans", [1, 2, 5, 40])
@pytest.mark.parametrize("pack", packs())
def test_the_truth_of_a_few_parcels_can_be_read_back(pack, scans):
    """Of one parcel each count is the first, which is a number, too."""
    policy, truth = load_policy(pack), Truth()
    registry = Registry(policy.timezone)
    registry.add(sample_registry(policy, 50, 7))
    parcels(policy, registry, truth, scans=scans, end_ms=NOON, seed=3)
    assert msgspec.json.decode(msgspec.json.encode(truth), type=Truth) == truth and truth.rates


def test_parcels_meet_their_truth(city):
    policy, registry = city
    made = fleet(city, NOON, 3, minutes=1, vehicles=3)
    scans = parcels(policy, registry, made.truth, scans=7_500, end_ms=NOON, seed=3)
    partition = new_scan_partition()
    count_scans(partition, [Record(msgspec.json.encode(s), n) for n, s in enumerate(scans)], Policies([policy]), registry)
    summed = counted(partition, "150100")
    assert {"/".join(k): (c.accepted, c.electronic, c.green) for k, c in summed.items()} == made.truth.rates
    judge = DayJudge(Policies([policy]), registry, b"k")
    rows = {"/".join(day): rate_row(day, counts) for day, counts in summed.items()}
    assert {name: said for name, row in rows.items() if (said := _handled(row))} == made.truth.handled

    def among(day):
        own = [(key.enterprise_id, counts) for key, counts in summed.items() if key.enterprise_id != "*" and key.date == day.date]
        return lambda is_wanted: reduce(lambda whole, each: whole.merge(each) or whole, (counts for name, counts in own if is_wanted(name)), Counts())

    judged = [t for day, counts in summed.items() for t in judge.judge(day, counts, {}, partition.stream_time_ms, among(day))]
    low = {(t.rule.id, t.day.enterprise_id, t.day.date) for t in judged}
    assert low == set(made.truth.low_days) and len(low) == 4
    assert DayKey("150100", "*", "2026-06-25") in summed


@pytest.mark.parametrize("name", packs())
def test_every_rule_about_scans_is_broken_and_met(name):
    policy = load_policy(name)
    registry = Registry(policy.timezone)
    registry.add(sample_registry(policy, 50, 7))
    truth, partition = Truth(violations={}, rates={}, low_days=[]), new_scan_partition()
    scans = parcels(policy, registry, truth, scans=4_000, end_ms=NOON, seed=3)
    count_scans(partition, [Record(msgspec.json.encode(s), n) for n, s in enumerate(scans)], Policies([policy]), registry)
    found = {}
    for key, violating_scans in partition.violations.items():
        summary = violating_scans.summary()
        found[" ".join(key)] = (summary.evidence[0].event_time_ms, summary.last_seen_ms, summary.count)
    assert found == truth.violations
    assert {name.split()[0] for name in found} == {rule.id for rules in policy.scan_rules.values() for rule in rules} != set()


def test_traffic_too_short_for_a_rule_says_so(city):
    truth = fleet(city, NOON, 1, minutes=5).truth
    assert "loading-limit" in truth.skipped and "too short" in truth.skipped["loading-limit"]


@pytest.mark.parametrize(
    ("text", "message"),
    [("dupe=0.1", "did you mean 'dup'?"), ("dup=x", "dup=x is not a share"), ("dup=2", "dup=2 is not a share"), ("shuffle=30", "shuffle=30 is not a duration")],
)
def test_bad_faults(text, message):
    with pytest.raises(BadInput, match=message.replace("?", r"\?")):
        parse_faults(text)


def test_faults_are_read():
    assert parse_faults("dup=0.05,late=0.02,shuffle=30s,malformed=0.001") == Faults(0.05, 0.02, 30_000, 0.001)


def test_real_traces_are_read_with_their_clocks(shared):
    taxi = list(read_records([shared / "data" / "tdrive_taxi_1277.txt"]))
    assert len(taxi) == 2_202 and taxi[0][0] == 1_201_930_249_000  # 2008-02-02 13:30:49 +08:00
    trips = list(read_records([shared / "data" / "geolife"]))
    assert trips[0][0] == 1_224_730_384_000 and trips[0][2] == "geolife-000"  # 2008-10-23 02:53:04 UTC
    assert len({msgspec.json.decode(t[3])["event_id"] for t in trips}) == len(trips)


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("a.csv", "event_id,lon\n", "the header lacks event_time_ms, lat, vehicle_id"),
        ("a.txt", "1277,yesterday,1,2\n", ":1: not a T-Drive line"),
        ("a.plt", "x\n" * 6 + "1,2,3\n", ":7: not a GeoLife line"),
        ("a.xml", "", "unknown format '.xml'"),
        ("a.csv", "event_id,event_time_ms,vehicle_id,lon,lat\ne,1,v,2\n", ":2: the row has more or fewer cells than the header"),
    ],
)
def test_a_wrong_file_is_named_with_its_line(tmp_path, name, text, message):
    (tmp_path / name).write_text(text)
    with pytest.raises(BadInput) as caught:
        list(read_records([tmp_path / name]))
    assert message in str(caught.value) and name in str(caught.value)


def test_csv_and_jsonl(tmp_path):
    (tmp_path / "a.csv").write_text("event_id,event_time_ms,vehicle_id,lon,lat,plate\ne,5,v,1.5,2,\n")
    (tmp_path / "b-scans.jsonl").write_text('{"event_time_ms": 7, "waybill_id": "w"}\nbroken\n')
    sent = list(read_records([tmp_path]))
    assert [s[:3] for s in sent] == [(5, "gps", "v"), (7, "scan", "w"), (7, "scan", "")]
    assert msgspec.json.decode(sent[0][3]) == {"event_id": "e", "event_time_ms": 5, "vehicle_id": "v", "lon": 1.5, "lat": 2.0}
    assert sent[2][3] == b"broken"


KEY_OF = {"gps": "vehicle_id", "scan": "waybill_id", "heartbeat": "subject"}


def lines(kind, *times):
    return b"".join(msgspec.json.encode({"event_time_ms": t, KEY_OF[kind]: f"{kind}{t}"}) + b"\n" if isinstance(t, int) else t + b"\n" for t in times)


def test_files_are_merged_by_event_time_and_each_keeps_its_own_order(tmp_path):
    """Fixes, scans and heartbeats lie in files of their own; what one of them has in disorder stays so, what is broken stays where it stands."""
    (tmp_path / "a.jsonl").write_bytes(lines("gps", 10, 30, 20, b"broken", 60))
    (tmp_path / "b.jsonl.gz").write_bytes(gzip.compress(lines("scan", 5, 15, 25, 35, b"{}", 90)))
    (tmp_path / "c.jsonl").write_bytes(lines("heartbeat", 15, 33, 70))
    noted = replay.Noted()
    sent = list(read_records([tmp_path / "a.jsonl", tmp_path / "b.jsonl.gz", tmp_path / "c.jsonl"], None, noted))
    assert [(due, kind) for due, kind, _, _ in sent] == [
        (5, "scan"), (10, "gps"), (15, "scan"), (15, "heartbeat"), (25, "scan"), (30, "gps"), (20, "gps"), (20, "gps"), (33, "heartbeat"),
        (35, "scan"), (35, "scan"), (60, "gps"), (70, "heartbeat"), (90, "scan"),
    ]  # fmt: skip
    assert [value for _, _, _, value in sent if value in {b"broken", b"{}"}] == [b"broken", b"{}"]
    assert noted.broken == 2 and noted.first.startswith(f"{tmp_path / 'a.jsonl'}:4: not a record")
    assert sent == list(read_records([tmp_path]))  # a folder like the files in it


def test_what_is_broken_before_any_time_is_known_goes_first_and_holds_nothing_up(tmp_path):
    (tmp_path / "a.jsonl").write_bytes(lines("gps", b"broken", 1_700_000_000_000, 1_700_000_001_000))
    (tmp_path / "b.jsonl").write_bytes(lines("scan", 1_700_000_000_500))
    dues = [sent[0] for sent in read_records([tmp_path])]
    assert dues == [0, 1_700_000_000_000, 1_700_000_000_500, 1_700_000_001_000]
    pace = Pace(0, 1.0)
    waits_s = [pace.ahead_s(due) for due in dues]
    assert all(wait_s <= 0 for wait_s in waits_s[:2]) and waits_s[2:] == pytest.approx([0.5, 1.0], abs=0.2)


def test_files_are_open_only_while_their_time_lasts(tmp_path):
    """A folder may hold more files than a process may have open: one a trip, over years."""
    for number in range(100):
        (tmp_path / f"{number:03}.jsonl").write_bytes(lines("gps", *range(1_000 * number, 1_000 * number + 1_500, 100)))
    most = before = psutil.Process().num_fds()
    dues = []
    for sent in read_records([tmp_path]):
        dues.append(sent[0])
        most = max(most, psutil.Process().num_fds())
    assert dues == sorted(dues) and len(dues) == 1_500 and most - before <= 3


def test_of_too_many_files_at_the_same_time_some_wait(tmp_path, monkeypatch):
    monkeypatch.setattr(replay, "MOST_OPEN", 4)
    for number in range(20):
        (tmp_path / f"{number:03}.jsonl").write_bytes(lines("gps", *range(number, 10_000, 100 + number)))
    before, most, sent = psutil.Process().num_fds(), 0, []
    for record in read_records([tmp_path]):
        sent.append(record)
        most = max(most, psutil.Process().num_fds() - before)
    assert most <= 5 and len(sent) == sum(len(range(number, 10_000, 100 + number)) for number in range(20))


def test_a_pipe_is_merged_like_a_file(tmp_path):
    (tmp_path / "a.jsonl").write_bytes(lines("gps", 10, 30, 50))
    os.mkfifo(tmp_path / "pipe")
    writer = threading.Thread(target=(tmp_path / "pipe").write_bytes, args=[lines("scan", 20, 40)])
    writer.start()
    assert [sent[0] for sent in read_records([tmp_path / "a.jsonl", tmp_path / "pipe"])] == [10, 20, 30, 40, 50]
    writer.join(10)
