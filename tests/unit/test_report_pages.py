"""The report as officials read it: targets around their dates, lists, drivers, interruptions, languages, tables, paper."""

import csv
import hashlib
import io
import json
import re
import shutil
from collections import Counter
from datetime import date
from html import unescape
from html.parser import HTMLParser

import pytest
from conftest import ROOT
from make_day import SEED, VEHICLES

from deploy.judge import judge_files
from deploy.report.atlas import PLACES, View, maps, outside
from deploy.report.content import Published, gather, judged_files
from deploy.report.draw import draw, read_inspectors
from deploy.report.figures import Period
from deploy.report.inspections import read_answers, read_draw
from deploy.report.page import BROWSERS, as_html, as_pdf
from deploy.report.tables import as_csv, tables, write_tables
from deploy.report.words import WORDS, ZONE_KINDS, Writer, key_figure_lines
from producers.traffic import write_sample_registry
from streams.counts import FEATURES, outlet_row
from streams.errors import BadInput, YichengError
from streams.geo import haversine_m
from streams.lifecycle import MAX_EVIDENCE
from streams.policy.claims import figure_clauses
from streams.policy.conditions import exempt_words, title_words
from streams.policy.pack import Target
from streams.policy.reader import decode_policy, load_policy, packs
from streams.policy.targets import status
from streams.policy.wording import demand_words
from streams.registry.figure_clauses import SECTIONS
from streams.registry.files import load_registry
from streams.registry.key_figures import READINGS, TITLES
from streams.registry.records import decode_entry
from streams.registry.registry import Registry
from streams.rules import RULES
from streams.vehicles.empty_run import Millimetres, driven_row
from streams.wire.answers import Answer, record_of
from streams.words.basis import BASIS_WORDS, DUTY_WORDS, FIGURES_WORDS, MARKS, in_language

GOLDEN = ROOT / "tests" / "golden"
HAN = re.compile(r"[\u4e00-\u9fff]")
DAY = date(2026, 6, 26)


@pytest.fixture(scope="module")
def policy():
    return load_policy("hohhot-2019")


@pytest.fixture(scope="module")
def wulong(tmp_path_factory):
    """Wulong's golden day (it keeps credit), judged, with its registry."""
    policy, out = load_policy("wulong-2019"), tmp_path_factory.mktemp("wulong")
    write_sample_registry(policy, VEHICLES, SEED, out / "registry.jsonl")
    registry, day = load_registry(out / "registry.jsonl", policy.timezone), GOLDEN / "wulong-2019"
    judge_files(policy, registry, [str(day / "gps.jsonl.zst")], [str(day / "scans.jsonl.zst")], out, heartbeats=[str(day / "heartbeats.jsonl.zst")])
    return policy, registry, out


@pytest.fixture(scope="module")
def made(wulong):
    policy, registry, out = wulong
    return gather(policy, registry, judged_files(out), DAY, date(2026, 6, 27))


def registry_of(policy, *records):
    found = Registry(policy.timezone)
    found.add(decode_entry(json.dumps(record).encode()) for record in records)
    return found


def rates_of(city, day, enterprise, accepted, **features):
    return {"city": city, "enterprise_id": enterprise, "date": day, "accepted": accepted, **dict.fromkeys(FEATURES, 0), **features}


def inside(words):
    """Words as they stand in a quotation."""
    return words.replace("“", "‘").replace("”", "’")


def text_of(page):
    """What is read of a page: without styles, tags and titles of shapes."""
    return unescape(re.sub(r"<[^>]+>", " ", re.sub(r"<(style|title)>.*?</\1>", " ", page, flags=re.DOTALL)))


# --- targets and trends ---
@pytest.mark.parametrize(
    ("value", "by", "until", "expected"),
    [
        (9, "2019-12-31", "2019-12-30", "not_due"), (9, "2019-12-31", "2019-12-31", "missed"), (9, "2019-12-31", "2020-01-01", "missed"),
        (10, "2019-12-31", "2019-01-01", "met"), (10, "2019-12-31", "2030-01-01", "met"), (9, None, "2030-01-01", "undated"),
        (10, None, "2030-01-01", "met"), (None, "2019-12-31", "2030-01-01", "unknown"),
    ],
)  # fmt: skip
def test_nothing_is_missed_before_its_date_or_without_one(value, by, until, expected):
    target = Target(value=10, by=by, source="document", clause="一")
    assert status("locker_cells", value, target, until) == expected
    assert status("locker_cells", value, None, until) == "no_target"


def test_a_figure_is_compared_with_as_many_days_or_months_before():
    assert Period(date(2026, 3, 1), date(2026, 3, 31)).before == (date(2026, 2, 1), date(2026, 2, 28))
    assert Period(date(2026, 1, 1), date(2026, 3, 31)).before == (date(2025, 10, 1), date(2025, 12, 31))
    assert Period(date(2025, 11, 1), date(2026, 2, 28)).before == (date(2025, 7, 1), date(2025, 10, 31))
    assert Period(date(2026, 3, 2), date(2026, 3, 31)).before == (date(2026, 1, 31), date(2026, 3, 1))
    assert Period(date(2026, 3, 1), date(2026, 3, 1)).before == (date(2026, 2, 28), date(2026, 2, 28))


def with_targets(policy, targets):
    """The same pack with other targets."""
    yaml = re.sub(r"^targets:.*?(?=^\S|\Z)", f"targets: {targets}\n", policy.pack.source["yaml"], flags=re.MULTILINE | re.DOTALL)
    return decode_policy(json.dumps([{**policy.pack.source, "yaml": yaml}]).encode())[0]


def test_targets_name_their_clause_or_the_operator_and_of_whom_they_are(policy):
    pack = with_targets(
        policy,
        "{electronic_waybill: {value: 0.9, source: document, clause: 六（十六）, basis: encouraged, quote: 鼓励应用电子运单, scope: primary_brands}, "
        "locker_cells: {value: 100, by: 2026-06-27, source: document, clause: 四（十二）}, green_packaging: 0.9}",
    )
    records = [{"kind": "enterprise", "id": "a", "primary_brand": True}, {"kind": "enterprise", "id": "b"}, {"kind": "township", "id": "t", "locker_cells": 7}]
    rows = [rates_of("150100", "2026-06-26", "*", 200, electronic=140), rates_of("150100", "2026-06-26", "a", 100, electronic=95)]
    rows += [rates_of("150100", "2026-06-26", "b", 100, electronic=45), rates_of("150100", "2026-06-25", "*", 10), rates_of("150100", "2026-06-25", "a", 10, electronic=9)]
    report = gather(pack, registry_of(pack, *records), Published(rows, []), DAY, DAY)
    kpis = {kpi["measure"]: kpi for kpi in report["kpis"]}
    assert kpis["electronic_waybill"]["value"] == 0.95 and kpis["electronic_waybill"]["change"] == pytest.approx(0.05) and kpis["electronic_waybill"]["status"] == "met"
    assert kpis["locker_cells"]["status"] == "not_due" and kpis["locker_cells"]["by"] == "2026-06-27"
    assert kpis["green_packaging"]["source"] == "operator" and kpis["green_packaging"]["status"] == "undated"
    page = text_of(as_html(report, "en"))
    assert all(words in page for words in ("the document's target, clause 六（十六）", "primary brands together", "27 June 2026", "not yet due", "the operator's target, not the document's", "+5.0 pp"))
    later = gather(pack, registry_of(pack, *records), Published(rows, []), DAY, date(2026, 6, 27))
    assert next(kpi["status"] for kpi in later["kpis"] if kpi["measure"] == "locker_cells") == "missed"
    assert "未达标" in text_of(as_html(later, "zh"))


@pytest.mark.parametrize("name", packs())
def test_every_key_figure_and_section_names_the_clause_that_speaks_of_it(name, tmp_path):
    policy = load_policy(name)
    city = policy.pack.city.adcode
    row = {**rates_of(city, "2026-06-26", "*", 9, **dict.fromkeys(FEATURES, 3)), "zone_id": "z", "stops": 2, "delivered": 1, "transit_hours": {"5": 1}}
    driven = driven_row(city, "2026-06-26", Millimetres(1_000, 2_000, 3_000, 4_000))
    write_sample_registry(policy, 300, 1, tmp_path / "registry.jsonl")
    registry = load_registry(tmp_path / "registry.jsonl", policy.timezone)
    registry.add(decode_entry(json.dumps({"kind": "vehicle", "id": standard, "emission_standard": standard}).encode()) for standard in ("国三", "Euro 2"))
    report = gather(policy, registry, Published([row, driven], []), DAY, DAY)
    spoken = figure_clauses(policy.pack)
    clauses, sections = ({name: said for name, said in spoken.items() if (name in SECTIONS) is is_section} for is_section in (False, True))
    assert {kpi["measure"]: (kpi["figure_clause"], kpi["figure_quote"]) for kpi in report["kpis"] if kpi["figure_clause"]} == clauses
    assert report["clauses"] == sections and {"transit", "draw"} <= sections.keys()
    page, table = text_of(as_html(report, "zh")), list(csv.DictReader(io.StringIO(as_csv(report))))
    assert all(f"{clause} “{inside(words)}”" in page for clause, words in clauses.values())
    assert all(f"条款：{clause}，原文：“{inside(words)}”。" in page for section, (clause, words) in sections.items() if section != "draw")
    readings = {kpi["measure"]: kpi["figure_reading"] for kpi in report["kpis"] if kpi["figure_reading"]}
    assert readings == {kpi["measure"]: dict(zip(("zh", "en"), READINGS[kpi["measure"]], strict=True)) for kpi in report["kpis"] if kpi["measure"] in READINGS}
    assert {"night_run_ratio", "joint_delivery", "hubs"} <= readings.keys() and all(reading["zh"] in page for reading in readings.values())
    assert {line["measure"]: line["clause"] for line in table if line["section"] == "kpi" and line["clause"]} == {measure: clause for measure, (clause, _) in clauses.items()}
    drawn = draw(policy, registry, seed="s", count=1, on=DAY)
    assert (drawn["clause"], drawn["clause_text"]) == sections["draw"] and bool(drawn["document"]["continued"]) is (name == "hohhot-2019")


def test_a_target_of_places_and_lines_is_reached_by_those_in_use(wulong):
    policy, *_ = wulong
    facilities = [{"kind": "facility", "id": f"T{n}", "level": "township"} for n in range(10)]
    lines = [{"kind": "line", "id": f"L{n}", "zones": ["centre"], "vehicle_ids": ["v"]} for n in range(5)]
    of_city = {"city": "500156", "enterprise_id": "*", "date": "2026-06-26"}
    rows = [outlet_row("500156", f"T{n}", "2026-06-20" if n else "2026-01-01") for n in range(10)] + [{**of_city, "lines": 5, "lines_run": run, "date": day} for run, day in ((4, "2026-06-25"), (5, "2026-06-26"))]
    report = gather(policy, registry_of(policy, *facilities, *lines), Published(rows, []), date(2026, 6, 25), DAY)
    kpis = {kpi["measure"]: (kpi["value"], kpi["active"], kpi["status"]) for kpi in report["kpis"]}
    assert kpis["township_stations"] == (10, 9, "undated") and kpis["delivery_lines"] == (5, 4.5, "undated")
    page = text_of(as_html(report, "zh"))
    assert "近30天有扫描 9" in page and "日均开行 4.5" in page
    unknown = {kpi["measure"]: (kpi["active"], kpi["status"]) for kpi in gather(policy, registry_of(policy, *facilities), Published([], []), DAY, DAY)["kpis"]}
    assert unknown["township_stations"] == (None, "met")


def test_the_fleet_is_told_month_by_month(policy):
    rows = [rates_of("150100", day, "*", 100) for day in ("2026-04-10", "2026-05-10", "2026-06-10")]
    of = {"kind": "vehicle", "vehicle_class": "truck"}
    records = [{**of, "id": "1", "energy": "fuel", "emission_standard": "V", "valid_until": "2026-05-30"}, {**of, "id": "2", "energy": "electric", "valid_from": "2026-05-01"}]
    records += [{**of, "id": "3", "energy": "electric", "valid_from": "2026-06-01", "emission_standard": "国六"}]
    report = gather(policy, registry_of(policy, *records), Published(rows, []), DAY, DAY)
    told = [(month["month"], month["nev_share"], month["emission_5"], month["emission_6"]) for month in report["months"]]
    assert told == [("2026-04", 0.0, 1, 0), ("2026-05", 1.0, None, None), ("2026-06", 1.0, 0, 1)], "no standard on record: unknown, not none"
    section = as_html(report, "zh").partition("排放标准逐月")[2].partition("</table>")[0]
    assert "国五排放标准车辆" in section and "国三" not in section
    assert re.findall(r"<td>([^<]*)</td>", section) == ["2026年4月", "1", "0", "2026年5月", "–", "–", "2026年6月", "0", "1"]
    bare = gather(policy, registry_of(policy), Published(rows, []), DAY, DAY)
    assert "排放标准逐月" not in as_html(bare, "zh")


def test_what_a_rule_claims_of_its_zones_is_told_in_full():
    """Also of rules that nobody has broken: what is asked, who is exempt and by which words, and in the legend of the map which rules a zone is for."""
    policy = load_policy("yunnan-2018")
    report = gather(policy, Registry(policy.timezone), Published([], []), DAY, DAY)
    for language, lang in (("zh", 0), ("en", 1)):
        page = text_of(as_html(report, language))
        rules, legend = re.sub(r"\s+", " ", page), page.partition("km")[2]
        for rule in policy.pack.rules:
            if rule.zone_ids:
                assert demand_words(rule, policy)[lang] in rules and exempt_words(rule)[lang] in rules and inside(rule.quote) in inside(rules), rule.id
                assert f"{title_words(rule.rule)[lang]} · {rule.clause} · {MARKS[rule.basis][lang]}" in legend, rule.id
    table = next(row for row in tables(report)["incidents"] if row["rule_id"] == "kunming-core")
    assert table["zones"] == "kunming-core" and "给予通行便利" in table["exempt_zh"]


def test_a_share_just_below_its_target_is_seen_below_it(policy):
    rows = [rates_of("150100", "2026-06-26", "*", 10_000, electronic=8_996)]
    report = gather(with_targets(policy, "{electronic_waybill: 0.90}"), Registry(policy.timezone), Published(rows, []), DAY, DAY)
    assert "89.96%" in text_of(as_html(report, "en"))


def test_who_goes_on_after_the_documents_end_is_told_and_only_then(policy, tmp_path):
    def page(day):
        return as_html(gather(policy, Registry(policy.timezone), Published([], []), day, day), "zh")

    assert policy.pack.document.in_force.until == "2024-06-30" and policy.pack.continued
    after = page(date(2024, 7, 1))
    assert all(in_language(text, "zh") in unescape(after) and text not in unescape(after) for text in (policy.pack.continued.by, policy.pack.continued.reason, policy.pack.document.source))
    assert "2024年6月30日" in after.partition('id="continued"')[2]
    assert 'id="continued"' not in page(date(2024, 6, 30))
    report = gather(policy, Registry(policy.timezone), Published([], []), date(2024, 7, 1), date(2024, 7, 1))
    rows = {row["measure"]: row["value"] for row in csv.DictReader(io.StringIO(as_csv(report))) if row["section"] == "document"}
    assert rows["continued_by"] == policy.pack.continued.by and rows["in_force_until"] == "2024-06-30"
    assert list(key_figure_lines({"document": report["document"], "key_figures": []})) == ["文件有效期已于 2024-06-30 届满。 The document ended on 2024-06-30."]
    summary = judge_files(policy, Registry(policy.timezone), [], [str(GOLDEN / "hohhot-2019" / "scans.jsonl.zst")], tmp_path)
    assert summary["document"]["ended"] and summary["document"]["continued"]["by"] == policy.pack.continued.by


def test_what_is_assumed_of_a_document_is_told():
    policy = load_policy("shaoxing-2019")
    assert policy.pack.document.assumed
    assert "推定" in as_html(gather(policy, Registry(policy.timezone), Published([], []), DAY, DAY), "zh")


# --- recounts ---
def test_figures_are_those_of_a_plain_recount(wulong, made):
    policy, _, out = wulong
    incidents = [json.loads(line) for line in (out / "incidents.jsonl").read_text().splitlines()]
    assert {row["rule_id"]: row["incidents"] for row in made["incidents"] if row["incidents"]} == Counter(data["rule_id"] for data in incidents)
    rows = [json.loads(line) for line in (out / "rates.jsonl").read_text().splitlines()]
    whole = [row for row in rows if row["enterprise_id"] == "*"]
    value = next(kpi["value"] for kpi in made["kpis"] if kpi["measure"] == "green_packaging")
    assert value == sum(row["green"] for row in whole) / sum(row["accepted"] for row in whole)
    records = [json.loads(line) for line in (out / "registry.jsonl").read_text().splitlines()]
    drivers = [record for record in records if record["kind"] == "driver"]
    lapsed = [sum(driver[key] <= "2026-06-26" for driver in drivers) for key in ("trained_until", "insured_until")]
    assert made["drivers"]["drivers"] == len(drivers) and [made["drivers"][proof]["lapsed"] for proof in ("training", "insurance")] == lapsed
    assert sum(row["drivers"] for row in made["drivers"]["enterprises"]) == len(drivers) and sum(lapsed) > 0
    page = text_of(as_html(made, "zh"))
    for rule, heading in (("interrupted_feed", "企业数据中断"), ("silent_vehicle", "车辆停止上报位置")):
        silent = [data for data in incidents if data["rule"] == rule]
        (city,) = (row for row in made["interruptions"] if (row["rule"], row["enterprise_id"]) == (rule, "*"))
        assert (city["unannounced"], city["announced"], city["share_announced"], heading in page) == (len(silent), 0, 0.0, True) and silent
        assert city["unannounced_hours"] == pytest.approx(sum((data["closed_at_ms"] or data["opened_at_ms"]) - data["opened_at_ms"] for data in silent) / 3_600_000)
    for row in made["incidents"]:
        if row["incidents"]:
            assert row["clause_text"] in page and row["title_zh"] in page and all(name in page for name in row["responsible"])
            assert (row["lead"], f"牵头单位：{row['lead']}" in page) == (row["responsible"][0], True) if row["responsible"] else row["lead"] is None
    assert policy.pack.document.title in page and policy.pack.document.number in page


def test_judge_says_the_key_figures_with_whose_targets_they_are(wulong, made):
    _, _, out = wulong
    summary = json.loads((out / "summary.json").read_text())
    said = summary["key_figures"]
    assert summary["transit"] == made["transit"] and [row["unannounced"] for row in summary["interruptions"]] == [row["unannounced"] for row in made["interruptions"]]
    assert {section: tuple(spoken) for section, spoken in summary["clauses"].items()} == made["clauses"] and {"transit", "interruptions"} <= made["clauses"].keys()
    assert (summary["parking"], summary["lines"]) == (made["parking"], made["lines"]) and summary["parking"]
    assert [(row["measure"], row["value"], row["status"]) for row in said] == [(kpi["measure"], kpi["value"], kpi["status"]) for kpi in made["kpis"]]
    missed = {**said[0], "measure": "locker_cells", "value": 7, "active": None, "target": 9, "clause": "四（十二）", "by": "2019-12-31", "status": "missed"}
    lines = list(key_figure_lines({"document": None, "key_figures": [missed, {**missed, "measure": "hubs", "active": 2}]}))
    assert lines == [
        "智能快件箱格口 smart-locker cells: 7 (target 目标 9, 四（十二）, 2019-12-31): 未达标 missed",
        "一级物流枢纽（配送中心） hubs: 7, 近30天有扫描 2, 2 scanned at within 30 days (target 目标 9, 四（十二）, 2019-12-31): 未达标 missed",
    ]
    assert sum("the operator's target, not the document's 运营方的目标，不是文件所定" in line for line in key_figure_lines({"document": None, "key_figures": said})) == sum(row["source"] == "operator" and row["value"] is not None for row in said)


def test_red_and_black_lists_have_reasons(wulong, made):
    _, _, out = wulong
    black = {row["id"] for row in made["standings"] if row["credit"] == "black"}
    charged = [json.loads(line) for line in (out / "incidents.jsonl").read_text().splitlines()]
    assert black == {data["enterprise_id"] for data in charged if data["rule"] == "blacklisted_enterprise" and data["state"] == "open"} and len(black) >= 3
    assert all(row["reasons"] and (sum(reason["points"] for reason in row["reasons"]) == row["points"] or len(row["reasons"]) == MAX_EVIDENCE) for row in made["standings"] if row["credit"] == "black")
    section = as_html(made, "zh").partition('id="lists"')[2].partition("</section>")[0]
    listed = section.partition(">红名单<")[0]
    for row in made["standings"]:
        assert (row["name_zh"] in listed) is (row["credit"] == "black")
    assert re.search(r"网点未备案：\d+ 起，\d+ 分", listed)


def test_lists_of_a_pack_without_points_are_as_registered(policy):
    registry = registry_of(policy, {"kind": "enterprise", "id": "r", "name_zh": "红企业", "credit": "red"}, {"kind": "enterprise", "id": "n", "name_zh": "常企业"})
    section = as_html(gather(policy, registry, Published([], []), DAY, DAY), "zh").partition('id="lists"')[2].partition("</section>")[0]
    assert "红企业" in section and "登记信息载明" in section and "常企业" not in section
    tile = r"<b>([^<]*)</b><span>黑名单企业"
    assert re.search(tile, as_html(gather(policy, registry, Published([], []), DAY, DAY), "zh"))[1] == "–", "nobody keeps a ledger: unknown, not none"
    black = registry_of(policy, {"kind": "enterprise", "id": "b", "credit": "black"})
    assert re.search(tile, as_html(gather(policy, black, Published([], []), DAY, DAY), "zh"))[1] == "1"


def test_a_notice_announces_what_begins_after_it_was_filed(policy):
    start, hour = policy.days.bounds_ms("2026-06-26")[0], 3_600_000

    def incident(rule, hours, enterprise="a", closed=True):
        closed_at_ms = start + int(hours * hour) if closed else None
        return {
            "incident_id": rule, "city": "150100", "rule": rule, "rule_id": rule, "clause": "1", "severity": "warning", "state": "closed" if closed else "open",
            "enterprise_id": enterprise, "opened_at_ms": start, "closed_at_ms": closed_at_ms,
        }  # fmt: skip

    notice = {"kind": "notice", "from": "2026-06-26T08:00:00+08:00", "until": "2026-06-26T10:00:00+08:00"}
    registry = registry_of(
        policy,
        {"kind": "enterprise", "id": "a"}, {"kind": "vehicle", "id": "v", "enterprise_id": "a"},
        {**notice, "id": "1", "subject": "enterprise/a", "filed_at": "2026-06-25"},
        {**notice, "id": "2", "subject": "vehicle/v"},  # filed when it begins
        {**notice, "id": "3", "subject": "enterprise/a", "filed_at": "2026-06-26T08:00:01+08:00"},
        {**notice, "id": "4", "subject": "enterprise/b", "from": "2026-06-25", "until": "2026-06-26T01:00:00+08:00"},
        {**notice, "id": "5", "subject": "enterprise/a", "from": "2026-06-27", "until": "2026-06-28"},
        {**notice, "id": "6", "subject": "a"},  # of whom it is, nobody can tell
    )  # fmt: skip
    incidents = [incident("silent_vehicle", 1.5), incident("interrupted_feed", 30), incident("offline_camera", 1, closed=False), incident("speeding", 1)]
    report = gather(policy, registry, Published([], incidents), DAY, DAY)
    keys = ("announced", "announced_hours", "late_notices", "unannounced", "unannounced_hours", "open", "share_announced")
    assert {(row["rule"], row["enterprise_id"]): tuple(row[key] for key in keys) for row in report["interruptions"]} == {
        ("interrupted_feed", "*"): (2, 3.0, 1, 1, 24.0, 0, 2 / 3), ("interrupted_feed", "a"): (1, 2.0, 1, 1, 24.0, 0, 0.5), ("interrupted_feed", "b"): (1, 1.0, 0, 0, 0.0, 0, 1.0),
        ("silent_vehicle", "*"): (1, 2.0, 0, 1, 1.5, 0, 0.5), ("silent_vehicle", "a"): (1, 2.0, 0, 1, 1.5, 0, 0.5),
        ("offline_camera", "*"): (0, 0.0, 0, 1, 0.0, 1, 0.0), ("offline_camera", "a"): (0, 0.0, 0, 1, 0.0, 1, 0.0),
    }, "an interruption of data, a vehicle that is silent and a camera are three things"  # fmt: skip
    told = {line["measure"] for line in csv.DictReader(io.StringIO(as_csv(report))) if line["section"] == "interruptions" and line["subject"] == "a"}
    assert {"interrupted_feed_announced", "silent_vehicle_unannounced_hours", "offline_camera_open"} <= told


def test_of_a_notice_the_versions_count_that_the_engine_goes_by(policy):
    notice = {"kind": "notice", "id": "1", "subject": "enterprise/a", "from": "2026-06-26T08:00:00+08:00", "until": "2026-06-26T10:00:00+08:00", "filed_at": "2026-06-25T09:00:00+08:00"}
    longer = {**notice, "until": "2026-06-26T12:00:00+08:00", "valid_from": "2026-06-25T18:00:00+08:00"}
    while_it_lasts = {**longer, "valid_from": "2026-06-26T09:00:00+08:00"}
    for records, announced, hours, late in (
        ([notice, longer], 1, 4.0, 0), ([notice, while_it_lasts], 1, 4.0, 0),
        ([notice, {**while_it_lasts, "filed_at": "2026-06-26T09:00:00+08:00"}], 1, 1.0, 0),  # what was added too late is announced to nobody
        ([{**notice, "filed_at": "2026-06-26T09:00:00+08:00"}], 0, 0.0, 1),
        ([{**notice, "valid_until": "2026-06-25"}], None, None, None),  # withdrawn the day before
        ([{**notice, "valid_until": "2026-06-26T09:30:00+08:00"}], 1, 1.5, 0),
    ):  # fmt: skip
        said = [row for row in gather(policy, registry_of(policy, *records), Published([], []), DAY, DAY)["interruptions"] if row["enterprise_id"] == "a"]
        assert [(row["announced"], row["announced_hours"], row["late_notices"]) for row in said] == ([(announced, hours, late)] if announced is not None else [])


def test_what_some_rows_say_of_parking_and_transit_is_shown_and_what_none_says_is_not(policy):
    zone = next(iter(policy.pack.geometries))
    parked = [
        {"city": "150100", "enterprise_id": "*", "date": day, "window": f"parking {zone} {day}", "zone_id": zone, "stops": stops, "occupied_ms": hours * 3_600_000}
        for day, stops, hours in (("2026-06-26", 7, 3), ("2026-06-27", 4, 2))
    ]
    travelled = [{**rates_of("150100", day, "a", 0), "delivered": delivered, "transit_hours": hours} for day, delivered, hours in (("2026-06-26", 9, {"2": 8, "25": 1}), ("2026-06-27", 16, {"3": 10, "40": 1}))]
    travelled += [{**rates_of("150100", "2026-06-27", "b", 0), "delivered": 3}, *({**travelled[1], "window": window} for window in ("hour", "30d"))]
    driven = [{**driven_row("150100", "2026-06-26", Millimetres()), "night_run_m": 25.0, "run_m": 100.0}]
    lines = [{"city": "150100", "enterprise_id": "*", "date": day, "window": f"lines {day}", "lines_run": run, "lines": known} for day, run, known in (("2026-06-26", 4, 5), ("2026-06-27", 1, None))]
    until = date(2026, 6, 27)
    report = gather(policy, Registry(policy.timezone), Published([*parked, *travelled, *driven, *lines], []), DAY, until)
    assert [(row["stops"], row["stops_per_day"], row["occupied_hours"]) for row in report["parking"]] == [(11, 5.5, 5.0)]
    keys = ("enterprise_id", "delivered", "parcels", "untimed_share", "median_hours", "p90_hours")
    assert [tuple(row[key] for key in keys) for row in report["transit"]] == [("a", 25, 20, 0.2, 3, 3), ("b", 3, 0, 1.0, None, None)], "each parcel once, whatever other windows say"
    told = {(line["subject"], line["measure"]): line["value"] for line in csv.DictReader(io.StringIO(as_csv(report))) if line["section"] == "transit"}
    assert told["a", "delivered"] == "25" and told["a", "parcels"] == "20" and told["a", "untimed_share"] == "0.2" and tables(report)["transit"][0]["untimed_share"] == 0.2
    assert report["lines"] == {"days": 1, "due": 5, "run": 4}
    assert next(kpi["value"] for kpi in report["kpis"] if kpi["measure"] == "night_run_ratio") == 0.25
    page = text_of(as_html(report, "en"))
    assert "Loading zones" in page and policy.zone_name(zone)[1] in page and "Time in transit" in page and "4 of 5 runs were made" in page and "25.0%" in page and "without an acceptance scan: not timed" in page and "20.0%" in page
    assert "Loading zones" not in text_of(as_html(gather(policy, Registry(policy.timezone), Published([], []), DAY, until), "en"))


# --- the page ---
def quoted(report):
    """What a page takes over word for word: of the document, the pack and the registry."""
    document = report["document"]
    yield from (document["title"], document["number"] or "", report["policy"])
    for row in (*report["incidents"], *report["kpis"]):
        yield from (row["clause"] or "", row.get("clause_text") or "", row.get("stands_in_for") or "", *row.get("responsible", ()))
        yield from re.findall("原文：“([^”]*)”", row.get("exempt_zh", ""))
        yield from re.findall("例如 ([A-Z0-9-]+)", row.get("demand_zh", ""))
        yield from (row.get("figure_clause") or "", inside(row.get("figure_quote") or ""))
    yield from (inside(words) for spoken in report["clauses"].values() for words in spoken)
    yield from (row["enterprise_id"] for row in report["enterprises"])


def without_quotes(report, text):
    for words in sorted(set(quoted(report)), key=len, reverse=True):
        text = text.replace(words, " ") if words else text
    return text


def test_each_language_stands_alone(wulong, made, policy):
    empty = gather(policy, Registry(policy.timezone), Published([], []), DAY, DAY)
    for report in (made, empty):
        english = without_quotes(report, text_of(as_html(report, "en")))
        assert not HAN.search(english.replace("、", "")), HAN.search(english)
        chinese = without_quotes(report, text_of(as_html(report, "zh")))
        assert set(re.findall(r"[A-Za-z]+", chinese)) <= {"mm", "km"}, set(re.findall(r"[A-Za-z]+", chinese))
        both = text_of(as_html(report, "both"))
        assert "主要指标" in both and "Key figures" in both and both.index("主要指标") < both.index("Key figures")


def test_every_wording_has_two_languages_and_a_use():
    sources = "".join((ROOT / "deploy" / "report" / name).read_text("utf-8") for name in ("page.html", "page.py", "plots.py", "atlas.py"))
    dynamic = {"in_use", "run_daily", "met", "missed", "not_due", "undated", "no_target", "unknown", "primary_brands", "hub", "county", "township", "village", "pickup_point", "outlet", "unfiled_outlet"}
    dynamic |= {"violation", "warning", "red", "black", "normal", "training", "insurance", "valid", "lapsed", "missing", "interrupted_feed", "silent_vehicle", "offline_camera"}
    unused = [key for key in WORDS if key not in dynamic and f"'{key}'" not in sources and f'"{key}"' not in sources]
    assert unused == []
    for words in (*WORDS.values(), *ZONE_KINDS.values(), *BASIS_WORDS.values(), *DUTY_WORDS.values(), FIGURES_WORDS, *TITLES.values()):
        assert HAN.search(words[0]) or words[0].strip("，。 ") == "", words
        assert words[1].strip() and not HAN.search(words[1]), words
        assert set(re.findall("[A-Za-z]+", re.sub(r"{[^}]*}", "", words[0]))) <= {"mm"}, words
    assert all(HAN.search(module.TITLE_ZH) for module in RULES.values())


class Balance(HTMLParser):
    """Whether every element that is opened is closed, in order."""

    def __init__(self):
        super().__init__()
        self.open, self.ids = [], []

    def handle_starttag(self, tag, attrs):
        self.ids += [value for key, value in attrs if key == "id"]
        if tag not in {"meta", "br"}:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        """Closed at once."""

    def handle_endtag(self, tag):
        assert self.open.pop() == tag, self.getpos()


def test_the_page_is_well_formed(made, policy):
    for report in (made, gather(policy, Registry(policy.timezone), Published([], []), DAY, DAY)):
        for language in ("zh", "en", "both"):
            balance = Balance()
            balance.feed(as_html(report, language))
            assert balance.open == [] and len(balance.ids) == len(set(balance.ids))


def test_every_row_of_a_table_has_as_many_cells_as_its_heading(made):
    for table in re.findall(r"<table.*?</table>", as_html(made, "both"), re.DOTALL):
        rows = [len(re.findall(r"<t[dh]\b", row)) for row in re.findall(r"<tr.*?</tr>", table, re.DOTALL)]
        assert len(set(rows)) == 1 and len(rows) > 1, table[:300]


def test_the_page_asks_nothing_of_anybody(made):
    for language in ("zh", "en", "both"):
        page = as_html(made, language)
        assert not re.search(r"<script|<link|<img|<iframe|https?:|src=|@import|\son\w+=", page)
        assert set(re.findall(r"url\((.)", page)) <= {"#"}


def test_nothing_from_outside_writes_html(wulong):
    policy, _, _ = wulong
    bad = "<script>alert(1)</script>\" onload=x '&"
    pack = decode_policy(json.dumps([policy.pack.source]).encode())[0]
    pack.pack.zone_names = dict.fromkeys(pack.pack.zone_names, (bad, bad))
    pack.pack.document.title, pack.pack.document.number, pack.pack.document.source = bad, bad, bad
    for rule in pack.pack.rules:
        rule.quote, rule.responsible, rule.clause = bad, [bad], bad
    registry = registry_of(
        pack, {"kind": "enterprise", "id": "e", "name_zh": bad, "name_en": bad, "credit": "black"}, {"kind": "outlet", "id": "o", "lon": 107.7, "lat": 29.3},
        {"kind": "driver", "id": "d", "enterprise_id": "e"}, {"kind": "notice", "id": "n", "subject": "enterprise/e", "from": "2026-06-26", "until": "2026-06-26"},
    )  # fmt: skip
    incident = {
        "incident_id": "i", "city": "500156", "rule": "speeding", "rule_id": bad, "clause": bad, "severity": "warning", "state": "open", "enterprise_id": "e",
        "opened_at_ms": pack.days.bounds_ms("2026-06-26")[0], "closed_at_ms": None, "clause_text": bad, "responsible": [bad], "basis": "stated",
    }  # fmt: skip
    rows = [rates_of("500156", "2026-06-26", name, 5) for name in ("*", "e")]
    for language in ("zh", "en", "both"):
        page = as_html(gather(pack, registry, Published(rows, [incident]), DAY, DAY), language)
        assert "<script" not in page and "&lt;script&gt;" in page and not re.search(r"<[^>]*\sonload=x", page)


def test_a_period_without_anything_is_a_report_too(policy):
    page = text_of(as_html(gather(policy, Registry(policy.timezone), Published([], []), DAY, DAY), "zh"))
    for words in ("此期间没有快件", "此期间没有事件", "此期间没有数据中断", "登记信息中没有驾驶人"):
        assert words in page
    figures = re.findall(r"\d+(?:\.\d+)?%", as_html(gather(policy, Registry(policy.timezone), Published([], []), DAY, DAY), "zh").partition('id="key-figures"')[2].partition("</table>")[0])
    assert "0.0%" not in figures, "what nobody reports is not zero"


def test_days_without_a_report_leave_a_gap(policy):
    rows = [rates_of("150100", day, "*", 100, electronic=95, green=92) for day in ("2026-06-01", "2026-06-02", "2026-06-05", "2026-06-06")]
    page = as_html(gather(policy, Registry(policy.timezone), Published(rows, []), date(2026, 6, 1), date(2026, 6, 8)), "zh")
    lines = re.findall(r'<polyline points="([^"]*)"', page)
    assert [len(line.split()) for line in lines] == [2, 2, 2, 2] and "目标 90%" in page


def test_the_map_shows_every_place_that_lies_near_zones_and_marks_examples(policy):
    (west, south, east, north) = next(iter(policy.pack.geometries.values())).bounds
    middle = (west + east) / 2, (south + north) / 2
    records = [{"kind": "outlet", "id": f"o{n}", "lon": middle[0] + n / 1000, "lat": middle[1], "filed": n > 0} for n in range(4)]
    records += [{"kind": "facility", "id": level, "level": level, "lon": middle[0], "lat": middle[1] + n / 1000} for n, level in enumerate(("hub", "county", "village"))]
    records += [{"kind": "outlet", "id": "far", "lon": 0.1, "lat": 0.1, "filed": True}, {"kind": "facility", "id": "x", "level": "hub"}]
    report = gather(policy, registry_of(policy, *records), Published([], []), DAY, DAY)
    assert [(row["level"], row["number"]) for row in report["network"]["levels"]][:2] == [("hub", 2), ("county", 1)]
    page = as_html(report, "zh")
    (drawn,) = re.findall(r'class="plot map">.*?</svg>', page, re.DOTALL)
    marks = {kind: drawn.count(str(mark)) for kind, mark in PLACES.items()}
    assert marks == {"hub": 1, "county": 1, "township": 0, "village": 1, "pickup_point": 0, "outlet": 3, "unfiled_outlet": 1}
    assert outside(report["network"]) == 1 and "另有 1 处位置" in page
    assert drawn.count("stroke-dasharray") == sum(zone in policy.pack.illustrative_zones for zone in policy.pack.geometries) > 0
    assert drawn.count('class="number"') == len(policy.pack.geometries) and "示例区域" in page
    real = gather(policy, registry_of(policy), Published([], []), DAY, DAY)
    for zone in real["network"]["zones"]:
        zone["illustrative"] = False
    assert "stroke-dasharray" not in "".join(picture for _, picture in maps(Writer("zh"), real["network"]))
    assert "没有可标注的位置" in as_html({**real, "network": {**real["network"], "zones": [], "places": []}}, "zh")


def test_zones_that_fall_together_have_a_detail_of_their_own():
    policy = load_policy("yunnan-2018")
    report = gather(policy, Registry(policy.timezone), Published([], []), DAY, DAY)
    drawn = maps(Writer("en"), report["network"])
    labels = [re.findall(r'class="number">([^<]*)<', picture) for _, picture in drawn]
    assert [letter for letter, _ in drawn] == ["", "A"] and "A" in labels[0]
    assert sorted(label for held in labels for label in held if label != "A") == sorted(str(n + 1) for n in range(len(policy.pack.geometries)))
    assert "detail A" in as_html(report, "en") and as_html(report, "en").count('id="hatch"') == 1


def test_a_map_keeps_shapes_as_on_the_ground():
    view = View.of((111.0, 40.0, 112.0, 40.5))
    (x0, y0), (x1, y1) = view.at(111.2, 40.1), view.at(111.3, 40.2)
    across_m, up_m = haversine_m(111.2, 40.25, 111.3, 40.25), haversine_m(111.2, 40.1, 111.2, 40.2)
    assert (x1 - x0) / (y0 - y1) == pytest.approx(float(across_m / up_m), rel=0.01) and y1 < y0


def test_dates_and_languages():
    writer = Writer("both")
    assert str(writer.pair("a<b", "a<b")) == "a&lt;b" and '<span class="en" lang="en">' in writer("key_figures")
    assert Writer("zh").date("2026-06") == "2026年6月" and Writer("en").date("2026-12-31") == "31 December 2026"


# --- tables and paper ---
def test_tables_say_what_the_report_says(made, tmp_path):
    written = write_tables(made, tmp_path / "csv")
    assert {path.stem for path in written} == set(tables(made)) >= {"key_figures", "enterprises", "incidents", "red_list", "black_list", "interruptions", "drivers"}
    read = {path.stem: list(csv.DictReader(path.open(encoding="utf-8-sig", newline=""))) for path in written}
    assert {row["measure"]: row["status"] for row in read["key_figures"]} == {kpi["measure"]: kpi["status"] for kpi in made["kpis"]}
    assert [row["id"] for row in read["black_list"]] == [row["id"] for row in made["standings"] if row["credit"] == "black"] and read["red_list"] == []
    assert (tmp_path / "csv" / "red_list.csv").read_text("utf-8-sig").startswith("id,name_zh,")
    assert {row["rule_id"]: int(row["incidents"]) for row in read["incidents"]} == {row["rule_id"]: row["incidents"] for row in made["incidents"]}
    assert all(row["reasons"].count(";") == len(standing["reasons"]) - 1 for row, standing in zip(read["black_list"], made["standings"], strict=False))


def test_a_formula_in_a_table_is_text(policy, tmp_path):
    registry = registry_of(policy, {"kind": "enterprise", "id": "e", "name_zh": "=1+1\n@x", "credit": "black"})
    write_tables(gather(policy, registry, Published([], []), DAY, DAY), tmp_path)
    (row,) = csv.DictReader((tmp_path / "black_list.csv").open(encoding="utf-8-sig", newline=""))
    assert row["name_zh"] == "'=1+1\\n@x"


def test_a_pdf_is_printed_where_there_is_a_browser(made):
    if not any(map(shutil.which, BROWSERS)):
        pytest.skip("no Chromium on this machine")
    pdf = as_pdf(made, "zh")
    assert pdf.startswith(b"%PDF-") and len(re.findall(rb"/Type\s*/Page\b", pdf)) >= 3


def test_without_a_browser_one_line_says_how_to_get_one(made, monkeypatch):
    monkeypatch.setattr(shutil, "which", lambda _: None)
    with pytest.raises(YichengError, match=r"^a PDF is printed by Chromium, which is not installed: apt-get install chromium .*$"):
        as_pdf(made)


# --- inspectors ---
def test_every_drawn_vehicle_and_outlet_gets_an_inspector_whom_anybody_can_draw_again(policy, tmp_path):
    registry = registry_of(policy, *({"kind": kind, "id": f"{kind}{n}"} for kind in ("vehicle", "outlet") for n in range(20)))
    names = ["张三", "李四", "Wang Wu"]
    settings = {"seed": "s", "count": 5, "on": DAY}
    drawn = draw(policy, registry, **settings, inspectors=names)
    assert draw(policy, registry, **settings, inspectors=names[::-1]) == drawn
    order = sorted(names, key=lambda name: hashlib.sha256(f"s/inspector/{name}".encode()).hexdigest())
    got = [row["inspector"] for kind in ("vehicles", "outlets") for row in drawn[kind]["drawn"]]
    assert got == [order[n % 3] for n in range(10)]
    assert drawn["inspectors"] == {"candidates": 3, "candidates_sha256": hashlib.sha256("".join(f"{name}\n" for name in sorted(names)).encode()).hexdigest()}
    plain = draw(policy, registry, **settings)
    assert [row["id"] for row in plain["vehicles"]["drawn"]] == [row["id"] for row in drawn["vehicles"]["drawn"]] and "SHA-256" in drawn["method"]["zh"]
    (tmp_path / "names").write_text("\ufeff张三\n\n 李四 \n", "utf-8")
    assert read_inspectors(tmp_path / "names") == ["张三", "李四"]


def test_what_came_of_a_draw_is_told_from_the_answers(policy, yicheng, tmp_path):
    """双随机、一公开: the results come back through feedback."""
    start = policy.days.bounds_ms("2026-06-26")[0]
    registry = registry_of(policy, *({"kind": kind, "id": f"{kind}{n}"} for kind in ("vehicle", "outlet") for n in range(2)))
    (tmp_path / "draw.json").write_text(json.dumps(draw(policy, registry, seed="s", count=2, on=DAY, inspectors=["张三"])), "utf-8")
    of = {"city": "150100", "rule": "speeding", "rule_id": "r", "clause": "1", "severity": "warning", "state": "closed", "enterprise_id": None, "closed_at_ms": start + 9}
    incidents = [{**of, "incident_id": name, "vehicle_id": "vehicle0", "opened_at_ms": start + n} for n, name in enumerate("abcd")]
    incidents += [{**of, "incident_id": "before", "vehicle_id": "vehicle0", "opened_at_ms": start - 1}, {**of, "incident_id": "e", "vehicle_id": None, "outlet_id": "outlet1", "opened_at_ms": start}]
    said = [("a", "acknowledged"), ("a", "fined"), ("b", "fined"), ("b", "objected"), ("b", "upheld"), ("c", "noted"), ("e", "acknowledged"), ("before", "fined")]
    answers = tmp_path / "answers.jsonl"
    answers.write_bytes(b"".join(record_of(Answer(incident_id=name, action=action, time_ms=start + 100 + n)) + b"\n" for n, (name, action) in enumerate(said)))
    found = Published([], incidents, read_answers(answers))
    report = gather(policy, registry, found, date(2026, 6, 25), DAY, [read_draw(tmp_path / "draw.json", "150100")])
    told = {row["id"]: tuple(row[key] for key in ("inspector", "incidents", "acknowledged", "fined", "dismissed", "unanswered")) for row in report["draws"]}
    assert told == {"vehicle0": ("张三", 4, 0, 1, 1, 2), "vehicle1": ("张三", 0, 0, 0, 0, 0), "outlet0": ("张三", 0, 0, 0, 0, 0), "outlet1": ("张三", 1, 1, 0, 0, 0)}
    assert report["response"]["answered"] == 4, "a note and an objection are no answers"
    page = text_of(as_html(report, "zh"))
    assert "双随机抽查结果" in page and "车辆 vehicle0" in page and "条款：二（五），原文：“全面推行‘双随机、一公开’监管”。" in page and len(tables(report)["draws"]) == 4
    (tmp_path / "none").write_text("{}")
    (tmp_path / "deep").write_text(f'{(tmp_path / "draw.json").read_text("utf-8")[:-1]}, "x": {"[" * 100_000}{"]" * 100_000}}}', "utf-8")
    for path, city, says in ((tmp_path / "deep", "150100", "nested more than 300 deep"), (tmp_path / "none", "150100", "is not what ./yicheng report draw --publish writes"), (tmp_path / "draw.json", "1", "is of 150100, and the report of 1"), (tmp_path / "x", "1", "No such file")):
        with pytest.raises(BadInput, match=says):
            read_draw(path, city)
    answers.write_text("{}\n", "utf-8")
    with pytest.raises(BadInput, match=f"--answers {answers}:1: "):
        read_answers(answers)
    done = yicheng.run("report", "--answers", answers, "--from", "2026-06-26", "--until", "2026-06-26")
    assert done.returncode == 2 and "--answers goes with --judged DIR" in done.stderr


@pytest.mark.parametrize(
    ("content", "says"), [(b"", "it holds no name"), (b"a\nb\na\n", ":3: a stands on line 1 already"), (b"\xff", "not UTF-8"), (None, "No such file")]
)  # fmt: skip
def test_a_list_of_inspectors_that_cannot_be_drawn_from_is_one_line(content, says, tmp_path):
    path = tmp_path / "names"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(BadInput, match=re.escape(says)):
        read_inspectors(path)


def test_the_command_needs_nothing_but_the_folder_and_the_registry(yicheng, wulong, tmp_path):
    _, _, out = wulong
    done = yicheng.run("report", "--judged", out, "--registry", out / "registry.jsonl", "--lang", "zh", "--out", tmp_path / "r.html", "--csv", tmp_path / "tables")
    assert done.returncode == 0, done.stderr
    page = (tmp_path / "r.html").read_text("utf-8")
    assert "武隆区" in page and "2026年6月26日 – 2026年6月27日" in page and (tmp_path / "tables" / "black_list.csv").exists()
    (tmp_path / "names").write_text("a\nb\n")
    draw_ = ("report", "draw", "--seed", "s", "--count", "3", "--on", "2026-06-26", "--registry", out / "registry.jsonl", "--policy", "wulong-2019")
    drawn = yicheng.run(*draw_, "--inspectors", tmp_path / "names", "--publish", tmp_path / "draw.json")
    assert drawn.returncode == 0 and json.loads(drawn.stdout) == json.loads((tmp_path / "draw.json").read_text())
    incident = json.loads((out / "incidents.jsonl").read_text().splitlines()[0])
    (tmp_path / "answers").write_bytes(record_of(Answer(incident_id=incident["incident_id"], action="fined", time_ms=incident["opened_at_ms"] + 60_000)))
    done = yicheng.run("report", "--judged", out, "--registry", out / "registry.jsonl", "--format", "json", "--draw", tmp_path / "draw.json", "--answers", tmp_path / "answers")
    assert done.returncode == 0, done.stderr
    assert len(json.loads(done.stdout)["draws"]) == 6 and json.loads(done.stdout)["response"]["answered"] == 1


def test_months_have_a_plot_once_there_are_two(policy):
    """Month on month (Hohhot 六（十七）: 不断提高), with the targets; a single month is no course."""
    rows = [rates_of("150100", day, "*", 100, electronic=electronic, green=green) for day, electronic, green in (("2026-04-30", 80, 70), ("2026-05-01", 95, 85), ("2026-06-01", 97, 91))]
    page = lambda rows: as_html(gather(policy, Registry(policy.timezone), Published(rows, []), date(2026, 6, 1), date(2026, 6, 8)), "zh")  # noqa: E731
    plots = re.findall(r'<svg [^>]*class="plot">.*?</svg>', page(rows), re.DOTALL)
    assert [re.findall(r"<title>(.{7}) (\d+\.\d)%", plot) for plot in plots] == [
        [], [("2026-04", "80.0"), ("2026-05", "95.0"), ("2026-06", "97.0"), ("2026-04", "70.0"), ("2026-05", "85.0"), ("2026-06", "91.0")],
    ]  # fmt: skip
    assert all("目标 90%" in plot for plot in plots) and len(re.findall('class="plot">', page(rows[-1:]))) == 1
