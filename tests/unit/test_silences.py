"""Silences of cameras and feeds, black lists: what is an offence, from when, and what late news changes."""

import json
from types import SimpleNamespace

import pytest
from msgspec.structs import replace

from streams.city.ledger import CityLedger
from streams.enterprises.credit import Account, Charge, black_intervals, charge_of, costs, standing, terms_of
from streams.enterprises.intervals import Interval, judge_intervals
from streams.enterprises.liveness import HeartbeatPartition, Liveness, joined, silences, take_heartbeats
from streams.errors import BadInput
from streams.policy.policy import Policies
from streams.policy.reader import parse_policy
from streams.registry.records import Standing, decode_entry
from streams.registry.registry import Registry
from streams.runtime.reference import Reference
from streams.vehicles.compiled_rules import RuleCompiler
from streams.wire.events import Record
from streams.wire.incident import IncidentData
from streams.wire.topics import CREDIT

NOON = 1_700_020_800_000  # Wednesday 2023-11-15 12:00 in Shanghai
MINUTE, HOUR, DAY = 60_000, 3_600_000, 86_400_000
FRAME = """
policy: p
city: {adcode: "1", name_zh: 甲, name_en: A, timezone: Asia/Shanghai}
document: {title: t, number: n, file: f}
valid_from: 2023-01-01
valid_until: 2023-11-20
rules: [{rule: RULE, id: r, clause: "1", severity: warning KEYS}]
"""


def policies(rule, keys=""):
    return Policies([parse_policy(FRAME.replace("RULE", rule).replace("KEYS", f", {keys}" if keys else ""), "test", None)])


def registry(*records):
    known = Registry(policies("speeding", "limit_kmh: 5").newest.timezone)
    known.add(decode_entry(json.dumps(record).encode()) for record in records)
    return known


CAMERA = {"kind": "outlet", "id": "o", "enterprise_id": "e", "camera": True}
ENTERPRISE = {"kind": "enterprise", "id": "e"}
HOURS = 'hours: [{days: mon-fri, from: "08:00", until: "20:00"}]'


def notice(subject, from_, until, filed_at="2023-11-14"):
    return {"kind": "notice", "id": f"{subject} {from_}", "subject": subject, "from": from_, "until": until, "filed_at": filed_at}


@pytest.mark.parametrize(
    ("rule", "keys", "records", "heartbeats", "stream_time_ms", "found"),
    [
        # a camera, ten minutes
        ("offline_camera", "", [CAMERA], [0], NOON + 10 * MINUTE, []),
        ("offline_camera", "", [CAMERA], [0], NOON + 10 * MINUTE + 1, [(0, None)]),
        ("offline_camera", "", [CAMERA], [0, 10 * MINUTE], NOON + 15 * MINUTE, []),
        ("offline_camera", "", [CAMERA], [0, 10 * MINUTE + 1], NOON + 15 * MINUTE, [(0, 10 * MINUTE + 1)]),
        ("offline_camera", "limit: 1h", [CAMERA], [0, 50 * MINUTE], NOON + HOUR, []),
        ("offline_camera", "", [{**CAMERA, "camera": False}], [0], NOON + HOUR, []),
        ("offline_camera", "", [{**CAMERA, "valid_until": "2023-11-15T12:05"}], [0], NOON + HOUR, []),
        ("offline_camera", "", [], [0], NOON + HOUR, []),
        ("offline_camera", "", [CAMERA, notice("outlet/o", "2023-11-15T12:10", "2023-11-15T13:00")], [0], NOON + HOUR, []),
        ("offline_camera", "", [CAMERA, notice("enterprise/e", "2023-11-15T12:10", "2023-11-15T13:00")], [0], NOON + HOUR + 1, [(0, None)]),
        ("offline_camera", "", [CAMERA, notice("enterprise/f", "2023-11-15T12:10", "2023-11-15T13:00")], [0], NOON + HOUR, [(0, None)]),
        ("offline_camera", "", [CAMERA, notice("outlet/o", "2023-11-15T12:00", "2023-11-15T13:00", None)], [0], NOON + HOUR, []),
        ("offline_camera", "", [CAMERA, notice("outlet/o", "2023-11-15T12:00:00.001", "2023-11-15T13:00", None)], [0], NOON + HOUR, [(0, None)]),
        ("offline_camera", "", [CAMERA, notice("outlet/o", "2023-11-15T11:00", "2023-11-15T13:00", "2023-11-15T12:01")], [0], NOON + HOUR, [(0, None)]),
        # a feed, half an hour, in its hours
        ("interrupted_feed", "", [ENTERPRISE], [0, 31 * MINUTE], NOON + HOUR, [(0, 31 * MINUTE)]),
        ("interrupted_feed", "", [], [0, 31 * MINUTE], NOON + HOUR, []),
        ("interrupted_feed", HOURS, [ENTERPRISE], [8 * HOUR - MINUTE], NOON + 20 * HOUR, []),
        ("interrupted_feed", HOURS, [ENTERPRISE], [8 * HOUR - MINUTE], NOON + 20 * HOUR + 30 * MINUTE, []),
        ("interrupted_feed", HOURS, [ENTERPRISE], [8 * HOUR - MINUTE], NOON + 20 * HOUR + 30 * MINUTE + 1, [(8 * HOUR - MINUTE, None)]),
        ("interrupted_feed", HOURS, [ENTERPRISE, notice("enterprise/e", "2023-11-16T08:30", "2023-11-16T19:59")], [8 * HOUR], NOON + 32 * HOUR, [(8 * HOUR, None)]),
        ("interrupted_feed", HOURS, [ENTERPRISE, notice("enterprise/e", "2023-11-16T08:30", "2023-11-17T08:10")], [8 * HOUR], NOON + 44 * HOUR, []),
        ("interrupted_feed", HOURS, [ENTERPRISE], [2 * DAY + 8 * HOUR], NOON + 4 * DAY + 20 * HOUR, []),  # Friday evening to Monday, but the policy ends
        ("interrupted_feed", "limit: 8d", [ENTERPRISE], [-9 * DAY], NOON + 4 * DAY, []),  # nobody waits for more than seven days
    ],
)
def test_silences(rule, keys, records, heartbeats, stream_time_ms, found):
    subject = "outlet/o" if rule == "offline_camera" else "enterprise/e"
    intervals, _ = silences(policies(rule, keys), registry(*records), "r", subject, [(NOON + ms, NOON + ms) for ms in heartbeats], stream_time_ms)
    assert [(s.start_ms - NOON, None if s.end_ms is None else s.end_ms - NOON) for s in intervals] == found


def test_the_next_time_to_look_is_when_the_silence_would_be_an_offence():
    known = registry(CAMERA, notice("outlet/o", "2023-11-15T12:10", "2023-11-15T13:00"))
    assert silences(policies("offline_camera"), known, "r", "outlet/o", [(NOON, NOON)], NOON) == ([], NOON + HOUR)


def test_a_vehicle_and_an_outlet_that_change_hands_are_put_off_alike():
    rules = ["{rule: silent_vehicle, id: s, clause: '1', severity: warning, limit: 30m}", "{rule: offline_camera, id: c, clause: '1', severity: warning, limit: 30m}"]
    both = Policies([parse_policy(FRAME.replace('[{rule: RULE, id: r, clause: "1", severity: warning KEYS}]', f"[{', '.join(rules)}]"), "test", None)])
    of_e, of_f = {"enterprise_id": "e", "valid_until": "2023-11-15T13:00"}, {"enterprise_id": "f", "valid_from": "2023-11-15T13:00"}
    things = [{"kind": kind, "id": "x", **more, **of} for kind, more in (("vehicle", {}), ("outlet", {"camera": True})) for of in (of_e, of_f)]
    known = registry(*things, notice("enterprise/e", "2023-11-15T12:00", "2023-11-15T14:00"), notice("enterprise/f", "2023-11-15T12:00", "2023-11-15T18:00"))
    (due,) = RuleCompiler(both, known).silences("x", NOON)
    assert due[1] == silences(both, known, "c", "outlet/x", [(NOON, NOON)], NOON)[1] == NOON + 6 * HOUR


def test_spans_come_to_the_same_in_any_order():
    watched = Liveness()
    for ms in (40, 0, 25, 10, 25):
        watched.observe([(ms, ms)], 10, 0)
    assert watched.spans == joined([(ms, ms) for ms in (0, 10, 25, 40)], 10) == [(0, 10), (25, 25), (40, 40)]
    watched.announced = {"r": {10: None, 25: None, 40: None}}
    watched.observe([(20, 20)], 10, 41 + 10 * DAY)  # all but the last is settled
    assert watched.spans == [(40, 40)] and watched.announced == {"r": {40: None}}


def test_a_silence_opens_closes_and_is_retracted_by_late_signs():
    known, said = {}, []
    for intervals in ([Interval(5, None)], [Interval(5, None)], [Interval(5, 50)], [Interval(5, 30), Interval(30, 50)], [Interval(30, 50)], [Interval(5, 20), Interval(30, 50)]):
        found = judge_intervals(policies("offline_camera"), b"k", "r", "outlet/o", intervals, known)
        said.append([(t.kind, t.revision, t.interval[:2]) for t in found])
    assert said == [
        [("opened", 1, (5, None))], [], [("closed", 2, (5, 50))],
        [("updated", 3, (5, 30)), ("opened", 1, (30, None)), ("closed", 2, (30, 50))], [("retracted", 4, (5, 30))],
        [("opened", 5, (5, None)), ("closed", 6, (5, 20))],
    ]  # fmt: skip


def test_heartbeats_that_cannot_be_read_or_placed_in_time_are_refused():
    beats = [
        b'{"event_time_ms": 1700020800000, "subject": "outlet/o"}', b'{"event_time_ms": 1700020800000, "subject": "o"}', b"{", b'{"event_time_ms": 0, "subject": "outlet/o"}',
        b'{"event_time_ms": 1700020800000, "subject": "outlet/o", "arrival_time_ms": 1700020000000}', b'{"event_time_ms": 1699761599999, "subject": "outlet/o"}',
        b'{"event_time_ms": 1700020800001, "subject": "enterprise/e"}', b'{"event_time_ms": 1700020800001, "subject": "outlet/o", "city": "2"}',
    ]  # fmt: skip
    partition = HeartbeatPartition()
    records = [Record(value, n) for n, value in enumerate(beats)]
    assert [r.reason for r in take_heartbeats(partition, records, policies("offline_camera"))] == ["malformed", "malformed", "invalid_time", "future", "late"]
    assert partition.heartbeats == {"outlet/o": [(NOON, NOON)]}  # no rule waits for feeds
    assert take_heartbeats(partition, records, policies("offline_camera")) == []


def test_points_add_up_expire_and_are_published_once():
    rule = policies("blacklisted_enterprise", "points: {speeding: 2, unfiled_outlet: 3}, black_at: 5").newest.credit_rules[0].parameters
    account = Account({c.incident_id: c for c in (Charge("e", "a", 2, "closed", "speeding", "s", 100), Charge("e", "b", 2, "closed", "unfiled_outlet", "u", 200))})
    year = 365 * DAY
    charged = costs(account, rule)
    assert black_intervals(charged, rule, 150) == ([], 200)
    assert black_intervals(charged, rule, 200) == ([Interval(200, None, 2)], 100 + year)
    assert black_intervals(charged, rule, 100 + year) == ([Interval(200, 100 + year, 2)], 200 + year)
    said = standing(account, costs(account, rule), rule, 150, 40, 1_000)
    assert (said["credit"], said["points"], said["effective"], [r["incident_id"] for r in said["reasons"]]) == ("normal", 2, [], ["a"])
    assert standing(account, costs(account, rule), rule, 160, 40, 1_000) is None
    assert standing(account, costs(account, rule), rule, 200, 40, 1_000)["effective"] == [(1_000, "black")]
    assert standing(account, costs(account, rule), rule, 200 + year, 40, 2_000)["effective"] == [(1_000, "black"), (2_000, "red")]
    account.charges["b"] = Charge("e", "b", 3, "retracted", "unfiled_outlet", "u", 200)
    assert black_intervals(costs(account, rule), rule, 300) == ([], 100 + year)


def test_drivers_have_accounts_of_their_own_where_the_pack_says_so():
    own = policies("blacklisted_enterprise", "points: {unfiled_outlet: 2}, black_at: 5, drivers: {points: {cloned_identifier: 4}, black_at: 4}")
    data = IncidentData(
        incident_id="i", revision=2, state="closed", rule="cloned_identifier", rule_id="c", policy="p", clause="1", severity="warning", city="1", enterprise_id="e", vehicle_id="v",
        opened_at_ms=NOON, closed_at_ms=NOON + 7, last_seen_ms=NOON + 7, fix_count=1, reason_zh="", reason_en="", driver_id="d",
    )  # fmt: skip
    charge = charge_of(data, own)
    assert (charge.enterprise_id, charge.driver_id, charge.holders) == ("", "d", ["driver/d"]), "the rule costs the enterprise nothing"
    assert charge_of(replace(data, driver_id=None), own).holders == [], "a later revision may name nobody any more"
    assert charge_of(replace(data, rule="unfiled_outlet"), own).holders == ["enterprise/e"]
    ledger, terms = CityLedger(), terms_of("driver/d", own)
    assert ledger.charge(charge, lambda holder: holder == "driver/d") == ["driver/d"] and ledger.charge(replace(charge, incident_id="j"), lambda holder: False) == []
    said = standing(ledger.accounts["driver/d"], costs(ledger.accounts["driver/d"], terms), terms, charge.at_ms, 0, 1)
    assert (said["credit"], said["points"], [reason["incident_id"] for reason in said["reasons"]]) == ("black", 4, ["i"]) and ledger.charges.keys() == {"i"}
    assert ledger.charge(replace(charge, revision=3, driver_id="other", enterprise_id="e")) == ["enterprise/e", "driver/other", "driver/d"]
    assert standing(ledger.accounts["driver/d"], costs(ledger.accounts["driver/d"], terms), terms, charge.at_ms, 0, 1)["credit"] == "normal", "there is no red list of drivers who took no parcels"


def test_what_an_incident_costs_nobody():
    own = policies("blacklisted_enterprise", "points: {speeding: 2}, black_at: 5")
    data = IncidentData(
        incident_id="i", revision=2, state="closed", rule="speeding", rule_id="s", policy="p", clause="1", severity="warning", city="1", enterprise_id="e",
        opened_at_ms=NOON, closed_at_ms=NOON + 7, last_seen_ms=NOON + 7, fix_count=1, reason_zh="", reason_en="",
    )  # fmt: skip
    assert charge_of(data, own) == Charge("e", "i", 2, "closed", "speeding", "s", NOON + 7 + own.lateness_ms)
    day_end_ms = own.newest.days.bounds_ms(own.newest.days.date_of(NOON))[1]
    by_scans = policies("blacklisted_enterprise", "points: {unfiled_outlet: 2}, black_at: 5")
    assert charge_of(replace(data, rule="unfiled_outlet"), by_scans).at_ms == day_end_ms + own.lateness_ms
    for change in ({"enterprise_id": None}, {"enterprise_id": "*"}, {"rule": "silent_vehicle"}, {"revision": 1, "state": "open"}):
        assert charge_of(replace(data, **change), own) is None
    assert charge_of(data, policies("offline_camera")) is None


def test_the_ledger_withdraws_exemptions_from_the_day_it_says():
    known = registry(ENTERPRISE, {"kind": "vehicle", "id": "v", "enterprise_id": "e"})
    assert known.enter_credit("e", Standing([(100, "black"), (200, "normal")]))
    assert not known.enter_credit("e", Standing([(100, "black"), (200, "normal")]))
    found = [known.subject("v", ms) for ms in (99, 100, 199, 200)]
    assert [(s.enterprise.credit, s.from_ms >= 100, s.until_ms) for s in found][1:3] == [("black", True, 200)] * 2
    assert [s.enterprise.credit for s in found] == ["normal", "black", "black", "normal"]


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ("points: {speedin: 2}, black_at: 5", "'speedin' is no rule that incidents come of.*speeding"),
        ("points: {speeding: 0}, black_at: 5", "speeding must cost more than 0, not 0"),
        ("points: {blacklisted_enterprise: 1}, black_at: 5", "is no rule that incidents come of"),
        ("points: {speeding: 2}", "key 'black_at' is missing"),
        ("points: {speeding: 2}, black_at: 5, drivers: {poins: {speeding: 2}, black_at: 2}", "unknown key 'poins'; did you mean 'points'"),
        ("points: {speeding: 2}, black_at: 5, drivers: {points: {speeding: 2}}", "key 'black_at' is missing"),
        ("points: {speeding: 2}, black_at: 5, drivers: {points: {unfiled_outlet: 2}, black_at: 2}", "drivers: points: unfiled_outlet is not about vehicles, so its incidents name no driver"),
        ("points: {speeding: 2}, black_at: 5, drivers: {points: {speedin: 2}, black_at: 2}", "drivers: points: 'speedin' is no rule.*speeding"),
        ("points: {speeding: 2}, black_at: 5, drivers: {points: {speeding: -1}, black_at: 2}", "drivers: points: speeding must"),
        ("points: {speeding: 2}, black_at: 5, drivers: {points: {speeding: 1}, black_at: -2}", "drivers: black_at must not be negative"),
    ],
)
def test_a_bad_ledger_is_refused(keys, message):
    with pytest.raises(BadInput, match=message):
        policies("blacklisted_enterprise", keys)


def test_what_is_said_of_a_driver_is_about_no_enterprise_of_the_same_id():
    reference, standing = Reference("nowhere:1", "p"), b'{"effective": [[100, "black"]]}'
    reference._publish("p", policies("offline_camera").versions)
    reference.registry.add([decode_entry(json.dumps(ENTERPRISE).encode())])
    for kind, credit in (("driver", "normal"), ("enterprise", "black")):
        said = SimpleNamespace(topic=CREDIT.name, partition=0, offset=0, timestamp=0, key=f"{kind}/e".encode(), value=standing)
        assert reference._apply(said) is (kind == "enterprise") and reference.registry.enterprise("e", 200).credit == credit
