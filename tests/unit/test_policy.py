"""Packs: windows, validity, and every mistake named with file, line and the nearest valid word."""

import datetime as dt
from zoneinfo import ZoneInfo

import pytest

from deploy.packs.applies import answer
from streams.errors import BadInput
from streams.policy.doubts import past_calendars
from streams.policy.reader import load_policy, packs, parse_policy

PACK = load_policy("hohhot-2019").pack.source


def parse(text):
    return parse_policy(text, "pack.yaml", lambda _: PACK["geojson"])


def at(text):
    return int(dt.datetime.fromisoformat(text).replace(tzinfo=ZoneInfo("Asia/Shanghai")).timestamp() * 1000)


MISTAKES = [
    ("zones: [core]", "zonse: [core]", ":123: unknown key 'zonse' in rule restricted_hours; did you mean 'zones'?"),
    ("zones: [core]", "zones: [cor]", ":123: zone 'cor' is not in zones/hohhot.geojson; did you mean 'core'?"),
    ("    zones: [core]\n", "", ": rule restricted_hours needs the key 'zones'"),
    ("severity: violation", "severity: violatin", "did you mean 'violation'?"),
    ("rule: overstayed_stop", "rule: overstaid_stop", ": unknown rule 'overstaid_stop'; did you mean 'overstayed_stop'?"),
    ("limit: 10m", "limit: ten", ": limit: duration 'ten' is not a number with ms, s, m, h or d"),
    ("limit: 10m", "limt: 10m", "did you mean 'limit'?"),
    ('from: "20:00"', 'from: "25:00"', ":125: from: time '25:00' is not HH:MM from 00:00 to 24:00"),
    ("lateness:", "latenes:", ":18: unknown key 'latenes'; did you mean 'lateness'?"),
    ("timezone: Asia/Shanghai", "timzone: Asia/Shanghai", "did you mean 'timezone'?"),
    ("timezone: Asia/Shanghai", "timezone: Asia/Shanghia", "timezone 'Asia/Shanghia' is unknown"),
    ("id: number-scheme", "id: number-on-file", "rule id 'number-on-file' is used twice (first in line 22)"),
    ("lateness: 10m", "lateness: 10m\ncalendars: {fair: [{from: 2019-11-01, until: 2019-10-20}]}", "until 2019-10-20 is before from 2019-11-01"),
    ("lateness: 10m", "lateness: 10m\ncalendars: {fair: [{from: 2019-11-01, until: 2019-11-31}]}", "date '2019-11-31' is not YYYY-MM-DD"),
    ("lateness: 10m", "lateness: 10m\ncalendars: {fair: [{from: 2019-11-01}]}", ":19: calendars: a calendar has dates from and until, or the same days of every_year"),
    ("lateness: 10m", "lateness: 10m\ncalendars: {fair: [{every_year: 11-31…12-01}]}", "every_year '11-31…12-01' is not MM-DD…MM-DD, such as 11-01…11-20"),
    ("classes: [light_van, truck]", "classes: [light_vn, truck]", "did you mean 'light_van'?"),
    ("- passes: [green, temporary]", "- passes: [gren]", "did you mean 'green'?"),
    ("- passes: [green, temporary]\n        unless_credit", "- unless_credit", ": rule core-daytime: exempt: an alternative without a condition exempts everybody; name whom, by one of passes,"),
    ("kind: loading", "kind: loadin", "no zone is of kind 'loadin'; did you mean 'loading'?"),
    ("- passes: [green, temporary]", "- calendars: [fair]", ": calendar 'fair' is not defined"),
    ("days: mon-sun", "days: mon-snu", "day 'snu' is not a weekday; did you mean 'sun'?"),
    ("target: 0.90", "target: high", ": target: expected `float`, got `str`"),
    ("reusable_bag: 0.90", "reusable_bag: 1.9", "target reusable_bag must be a share from 0 to 1, not 1.9"),
    ("township_coverage: {value: 1.0", "township_coverage: {value: 100", "target township_coverage must be a share from 0 to 1, not 100"),
    ("green_packaging: 0.90", "green_packaging: 90", "must be a share from 0 to 1, not 90"),
    ("value: 130000, by: 2019-12-31, source: document", "value: 130000, by: 2019-12-31", "key 'source' is missing in targets"),
    ("value: 130000, by: 2019-12-31, source: document", "value: 130000, by: 2019, source: document", "date '2019' is not YYYY-MM-DD"),
    ("source: document, clause: 四（十二）,", "source: document,", ": target locker_cells: source document needs clause; a target that no clause sets is the operator's"),
    ("source: document, clause: 四（十二）", "source: operator, clause: 四（十二）", ": target locker_cells: clause, quote and basis are a document's; this target is the operator's"),
    ("rules:", "rules: [", ": not YAML"),
    ('"HH-[0-9]{5}"', '"HH-[0-9"', "pattern 'HH-[0-9' is no regular expression"),
    ("policy: hohhot-2019", "policy: a\npolicy: b", ":5: key 'policy' is given twice"),
    ("zones: zones/hohhot.geojson", "zones: zones/nowhere.geojson", "zones/nowhere.geojson"),
    # claims
    ("basis: stated", "basis: none", ":25: basis: invalid enum value 'none'; known: encouraged, illustrative, stated; or leave basis out"),
    ("basis: stated", "basis: null", ":25: basis is empty; give it a value, or leave it out"),
    ("duty_of: authority", "duty_of: nobody", ":26: duty_of: invalid enum value 'nobody'; known: authority, driver, enterprise, others"),
    ("basis: encouraged, scope", "basis: illustrative, scope", "basis: invalid enum value 'illustrative'; known: encouraged, stated; or leave basis out"),
    ("basis: stated, quote: 2019年底快递公共服务站要达到300处", "basis: stated", ": target service_stations: basis stated needs quote"),
    ("value: 300, by: 2019-12-31", "value: 300, by: 2018-12-31", ": target service_stations: by 2018-12-31 is before the document, which is of 2019-07-01"),
    ("hubs: {value: 2,", "hubs: {value: 1.5,", ": target hubs: it is a number of things, so 1.5 cannot be"),
    ("hubs: {value: 2,", "hubs: {value: 2, scope: primary_brands,", ": target hubs: scope is said of "),
    ("  by: 驿程示例 Yicheng, as an example", '  by: " "', ": continued: by and reason say who goes on and why; neither may be blank"),
    ("  in_force: {", "  published: 2019-08-01\n  in_force: {", ": published 2019-08-01 is after in_force: from 2019-07-01"),
    ("assumed: [in_force]", "assumed: [published]", ": assumed names published, which the document does not give"),
    ("lateness: 10m", "lateness: 10m\ncalendars: {fair: []}", ":19: calendar fair has no days; leave it out"),
    # numbers and lists that would judge all or nobody
    ("limit: 10m", "limit: 0s", ": limit must be more than 0"),
    ("limit_kmh: 15", "limit_kmh: 0", ": limit_kmh must be more than 0"),
    ("target: 0.90", "target: 0", ": target must be more than 0"),
    ('hours: [{days: mon-sun, from: "08:00", until: "20:00"}]', "hours: []", ": hours is empty; leave it out where it means always"),
    ("allow: {body: [box]}", "allow: {}", ": allow is empty; say by classes, body or energy what is allowed"),
    ("allow: {body: [box]}", "allow: {body: []}", ": allow.body is empty, so every vehicle would violate the rule"),
    ("severity: violation\n\n  - rule: low_electronic", "severity: violation\n  - {rule: blacklisted_enterprise, id: c, clause: 一, severity: warning, points: {}, black_at: 6}\n  - rule: low_electronic", ": points is empty; nobody would"),
    ("severity: violation\n\n  - rule: low_electronic", "severity: violation\n  - {rule: blacklisted_enterprise, id: c, clause: 一, severity: warning, points: {speeding: 1}, black_at: 0}\n  - rule: low_electronic", ": black_at must be more"),
]
EVERYBODY = ": rule core-daytime: exempt: {} together exempt everybody whom the rule is about; leave the rule out, or name whom it frees"
EXEMPTION = "      - passes: [green, temporary]\n        unless_credit: black\n        basis: illustrative\n        quote: 对快递服务车辆等城市配送车辆给予通行便利\n"
FREES_ALL = [
    ("[{classes: [e_tricycle, e_bike, micro_van, light_van, truck, other]}]", "classes"),
    ("[{classes: [truck, light_van]}]", "classes"),
    ("[{body: [box, open]}]", "body"),
    ("[{body: [box]}, {body: [open]}]", "body"),
    ("[{passes: [green]}, {energy: [electric, plug_in_hybrid, fuel_cell, hybrid, fuel], body: [box, open]}]", "energy, body"),
    ("{body: [box, open]}", "body"),
    ("[{calendars: [always]}]", "calendars"),
    ("[{calendars: [summer, winter]}]", "calendars"),
    ("[{calendars: [summer]}, {passes: [green]}, {calendars: [winter], classes: [light_van, truck]}]", "calendars, classes"),
    ("[{calendars: [of_2026, of_2027]}]", "calendars"),
    ("[{energy: [electric], body: [box]}, {energy: [electric], body: [open]}, {energy: [plug_in_hybrid, fuel_cell, hybrid, fuel]}]", "energy, body"),
    ("[{classes: [truck], body: [box]}, {classes: [truck], body: [open], calendars: [always]}, {classes: [light_van]}]", "classes, body, calendars"),
]
YEARS = """{always: [{every_year: 07-01…06-30}], summer: [{every_year: 04-01…09-30}], winter: [{every_year: 09-20…03-31}], autumn: [{every_year: 10-01…03-30}],
  of_2026: [{from: 2026-03-01, until: 2026-12-31}], of_2027: [{from: 2027-01-01, until: 2027-02-28}], of_2028: [{from: 2028-01-01, until: 2028-12-31}]}"""
DOUBTS = [
    (f"exempt:\n{EXEMPTION}", "exempt: {energy: [electric, plug_in_hybrid, fuel_cell, hybrid, fuel], unless_credit: black}\n", "rule core-daytime: exempt: energy together exempt everybody who is not on the black list"),
    (f"exempt:\n{EXEMPTION}", "exempt: [{body: [box], unless_credit: black}, {body: [open]}, {passes: [green]}]\n", "rule core-daytime: exempt: body together exempt everybody who is not on the black list"),
    (f"exempt:\n{EXEMPTION}", "exempt: {unless_credit: black}\n", "rule core-daytime: exempt has no condition, so nobody is exempt; leave it out"),
    (f"exempt:\n{EXEMPTION}", "exempt: []\n", "exempt has no condition"),
    (f"exempt:\n{EXEMPTION}", "exempt: [{classes: [e_bike]}]\n", "rule core-daytime: exempt: classes [e_bike] exempts nobody: the rule is about [light_van, truck] only"),
    (f"exempt:\n{EXEMPTION}", "exempt: [{passes: [green]}, {passes: [green]}]\n", "exempt: passes: [green] is given twice"),
    (f"exempt:\n{EXEMPTION}", "exempt: [{passes: [green, green]}]\n", "exempt: passes names 'green' twice"),
    ('permitted: [{days: mon-sun, from: "20:00", until: "07:00"}]', 'permitted: [{from: "20:00", until: "07:00"}, {from: "07:00", until: "20:00"}]', "permitted covers the whole week, so it is never violated"),
    ('adcode: "150100"', 'adcode: "15010"', "city: adcode '15010' is no division code of six digits (GB/T 2260)"),
    ("  reusable_bag: 0.90", "  lokcer_cells: 90", "target lokcer_cells: no key figure is called so, and nobody reports it; did you mean 'locker_cells'?"),
    ("electronic_waybill: {value: 0.90", "electronic_waybill: {value: 0.80", "rule electronic-waybill-90: target 0.9 is not that of targets: electronic_waybill: 0.8"),
    ("severity: violation\n\n  - rule: low_electronic", "severity: violation\n  - {rule: blacklisted_enterprise, id: c, clause: 一, severity: warning, points: {forbidden_stop: 1}, black_at: 6}\n  - rule: low_electronic",
     "rule c: points: forbidden_stop is no rule of this pack, so it costs nobody anything"),
]  # fmt: skip


@pytest.mark.parametrize(("exempt", "keys"), FREES_ALL)
def test_exemptions_that_leave_nobody_are_refused(exempt, keys):
    text = PACK["yaml"].replace(f"exempt:\n{EXEMPTION}", f"exempt: {exempt}\n").replace("lateness: 10m", "lateness: 10m\ncalendars: " + YEARS)
    with pytest.raises(BadInput) as caught:
        parse(text)
    assert str(caught.value).endswith(EVERYBODY.format(keys))


@pytest.mark.parametrize("exempt", [
    "[{classes: [truck]}]", "[{body: [box]}, {energy: [electric]}]", "[{body: [box, open], marked: true}]", "[{calendars: [summer, autumn]}]", "[{calendars: [of_2026]}]",
    "[{energy: [electric], body: [box]}, {energy: [plug_in_hybrid, fuel_cell, hybrid, fuel]}]", "[{calendars: [summer]}, {calendars: [winter], body: [box]}]",
])  # fmt: skip
def test_exemptions_that_leave_somebody_are_not(exempt):
    text = PACK["yaml"].replace(f"exempt:\n{EXEMPTION}", f"exempt: {exempt}\n").replace("lateness: 10m", "lateness: 10m\ncalendars: " + YEARS)
    assert parse(text).warnings == ()


@pytest.mark.parametrize(("right", "doubtful", "warning"), DOUBTS, ids=[d[2][:30] for d in DOUBTS])
def test_what_is_most_likely_not_meant_is_warned_of(right, doubtful, warning):
    assert PACK["yaml"].count(right) >= 1 and parse(PACK["yaml"]).warnings == ()
    said = parse_policy(PACK["yaml"].replace(right, doubtful, 1), "pack.yaml", lambda _: PACK["geojson"].replace("150100", "15010") if "adcode" in right else PACK["geojson"]).warnings
    assert len(said) == 1 and warning in said[0]


@pytest.mark.parametrize(("right", "wrong", "message"), MISTAKES, ids=[m[1][:30] for m in MISTAKES])
def test_a_mistake_is_one_line_with_the_place_and_a_suggestion(right, wrong, message, tmp_path):
    assert right in PACK["yaml"]
    (tmp_path / "zones").mkdir()
    (tmp_path / "zones" / "hohhot.geojson").write_text(PACK["geojson"], "utf-8")
    path = tmp_path / "pack.yaml"
    path.write_text(PACK["yaml"].replace(right, wrong, 1), "utf-8")
    with pytest.raises(BadInput) as caught:
        load_policy(str(path))
    text = str(caught.value)
    assert message in text and text.startswith(f"{path}:") and "\n" not in text
    assert caught.value.exit_code == 2


def test_a_self_crossing_polygon_is_refused_with_its_id():
    crossing = PACK["geojson"].replace("[111.5765, 40.785], [111.5765, 40.7885]", "[111.5765, 40.7885], [111.5765, 40.785]")
    assert crossing != PACK["geojson"]
    with pytest.raises(BadInput, match="loading-west.*not a valid polygon: Self-intersection"):
        parse_policy(PACK["yaml"], "pack.yaml", lambda _: crossing)


def test_mistakes_in_zones_name_the_line():
    text = PACK["geojson"]
    for wrong, message in [
        (text.replace('"id": "loading-south"', '"id": "loading-west"'), r"hohhot.geojson:\d+: feature 4 repeats the zone id 'loading-west'"),
        (text.replace('"adcode": "150100"', '"adcode": "451100"'), r"pack.yaml:\d+: zones/hohhot.geojson holds the zones of adcode 451100, but the pack is for 150100"),
        (text.replace('"type": "Polygon"', '"type": "Polygone"', 1), r"hohhot.geojson:\d+: feature 1 has no usable id or geometry"),
    ]:  # fmt: skip
        assert wrong != text
        with pytest.raises(BadInput, match=message):
            parse_policy(PACK["yaml"], "pack.yaml", lambda _, wrong=wrong: wrong)


@pytest.mark.parametrize(
    ("moment", "place", "present", "absent"),
    [
        ("2026-06-26", (111.66, 40.81), ["26 June 2026 (Friday), at 111.66, 40.81", "[core-daytime]\n   On this day: 07:00–20:00.\n   The operator asks: Light vans and trucks must not be in"], ["all vehicles are exempt"]),
        ("2026-06-26T21:00", (111.66, 40.81), ["[number-on-file]", "it is permitted then (daily 20:00–07:00 the next day)"], ["[core-daytime]"]),
        ("2018-12-31", None, ["Nothing applies: The pack is applied from 1 July 2019"], ["[core-daytime]", "Light vans"]),
    ],
)  # fmt: skip
def test_a_pack_answers_what_applies_there_and_then(moment, place, present, absent):
    text = answer(load_policy("hohhot-2019"), moment, place)
    assert all(part in text for part in present) and not any(part in text for part in absent), text


def test_windows_are_half_open_wrap_past_midnight_and_belong_to_the_day_they_start_on():
    text = PACK["yaml"].replace('{days: mon-sun, from: "20:00", until: "07:00"}', '{days: fri, from: "20:00", until: "07:00"}', 1)
    policy = parse(text)
    rule = policy.rule_of_id["core-daytime"]
    friday = "2026-11-20"
    assert dt.date.fromisoformat(friday).weekday() == 4
    for moment, permitted in [
        (f"{friday}T19:59:59.999", False), (f"{friday}T20:00", True), ("2026-11-21T06:59:59.999", True),
        ("2026-11-21T07:00", False), ("2026-11-21T20:00", False), (f"{friday}T06:00", False),
    ]:  # fmt: skip
        assert policy.permits(rule, at(moment)) is permitted, moment


def test_equal_bounds_mean_a_whole_day_and_24_00_is_allowed():
    policy = parse(PACK["yaml"].replace('from: "20:00", until: "07:00"', 'from: "08:00", until: "08:00"', 1))
    assert all(policy.permits(policy.rule_of_id["core-daytime"], at(f"2026-11-20T{hour:02}:00")) for hour in range(24))
    policy = parse(PACK["yaml"].replace('from: "20:00", until: "07:00"', 'from: "12:00", until: "24:00"', 1))
    assert policy.permits(policy.rule_of_id["core-daytime"], at("2026-11-20T23:59:59.999"))
    assert not policy.permits(policy.rule_of_id["core-daytime"], at("2026-11-21T00:00"))


def test_nothing_changes_within_a_period():
    policy = load_policy("yunnan-2018")
    for hour in range(48):
        moment = at("2019-10-31T00:30") + hour * 3_600_000
        from_ms, until_ms = policy.period_ms(moment)
        assert from_ms <= moment < until_ms
        for rule in policy.fix_rules:
            inside = {policy.permits(rule, t) for t in (from_ms, moment, until_ms - 1)}
            assert len(inside) == 1
        assert policy.calendars_at(from_ms) == policy.calendars_at(until_ms - 1)


def test_calendars_include_both_dates():
    policy = load_policy("yunnan-2018")
    for year in (2018, 2019, 2026):
        assert policy.calendars_at(at(f"{year}-11-01T00:00")) == {"double_eleven"}
        assert policy.calendars_at(at(f"{year}-11-20T23:59:59.999")) == {"double_eleven"}
        assert policy.calendars_at(at(f"{year}-11-21T00:00")) == policy.calendars_at(at(f"{year}-10-31T23:59")) == frozenset()
    assert policy.calendars_at(at("2023-08-20T23:59")) == {"trade_fair"} and policy.calendars_at(at("2024-08-18T12:00")) == frozenset()


def test_a_calendar_of_every_year_goes_beyond_the_new_year():
    policy = parse(PACK["yaml"].replace("lateness: 10m", "lateness: 10m\ncalendars: {winter: [{every_year: 12-20…02-29}]}", 1))
    for moment, on in [
        ("2025-12-19T23:59:59", False), ("2025-12-20T00:00", True), ("2026-01-01T12:00", True), ("2026-02-28T23:59:59", True), ("2026-03-01T00:00", False),
        ("2028-02-29T12:00", True), ("2028-03-01T00:00", False),
    ]:  # fmt: skip
        assert bool(policy.calendars_at(at(moment))) is on, moment


def test_calendars_that_are_over_are_told():
    """No days of a pack that comes with Yicheng are all past, whatever the year."""
    policy = parse(PACK["yaml"].replace("lateness: 10m", "lateness: 10m\ncalendars: {fair: [{from: 2019-06-12, until: 2019-06-18}, {from: 2023-08-16, until: 2023-08-20}]}", 1))
    assert list(past_calendars(policy.pack, dt.date(2023, 8, 20))) == []
    assert list(past_calendars(policy.pack, dt.date(2023, 8, 21))) == ["calendar fair: its last day was 2023-08-20; give the days of this year, or those of every_year"]
    assert not [told for name in packs() for told in past_calendars(load_policy(name).pack, dt.date(2100, 1, 1))]
    assert load_policy("yunnan-2018").calendars_at(at("2026-06-12T00:00")) == {"trade_fair"}


def test_targets_have_a_value_a_date_and_a_source_and_plain_numbers_are_the_operators():
    targets = load_policy("hohhot-2019").pack.targets
    lockers, green = targets["locker_cells"], targets["green_packaging"]
    assert (lockers.value, lockers.by, lockers.source, lockers.clause) == (130_000, "2019-12-31", "document", "四（十二）")
    assert not lockers.is_due("2019-12-30") and lockers.is_due("2019-12-31")
    assert (green.value, green.by, green.source, green.clause, green.is_due("2030-01-01")) == (0.9, None, "operator", None, False)


def test_an_unknown_pack_name_gets_a_suggestion():
    with pytest.raises(BadInput, match="did you mean 'hohhot-2019'"):
        load_policy("hohot-2019")
