"""Reports and inspection draws: figures against targets, three formats, and a draw that anyone can repeat."""

import csv
import io
import json
import random
from datetime import date

import pytest
from conftest import ROOT
from make_day import SEED, VEHICLES
from oracle import Oracle

from deploy.judge import judge_files
from deploy.report.content import Published, as_json, gather, judged_files
from deploy.report.draw import draw
from deploy.report.page import as_html
from deploy.report.tables import as_csv
from producers.traffic import write_sample_registry
from streams.clock import bound_ms
from streams.counts import FEATURES
from streams.errors import BadInput
from streams.files.text_files import open_lines
from streams.policy.reader import PACKS, load_policy
from streams.policy.targets import reached
from streams.registry.files import load_registry
from streams.registry.key_figures import network
from streams.registry.records import decode_entry
from streams.registry.registry import Registry
from streams.vehicles.empty_run import Millimetres, driven_row

GOLDEN = ROOT / "tests" / "golden" / "hohhot-2019"


@pytest.fixture(scope="module")
def policy():
    return load_policy("hohhot-2019")


def registry_of(policy, *records):
    made = Registry(policy.timezone)
    made.add(decode_entry(json.dumps(record).encode()) for record in records)
    return made


@pytest.fixture(scope="module")
def judged(policy, tmp_path_factory):
    """The golden day of Hohhot, judged, with the sample registry."""
    out = tmp_path_factory.mktemp("judged")
    write_sample_registry(policy, VEHICLES, SEED, out / "registry.jsonl")
    registry = load_registry(out / "registry.jsonl", policy.timezone)
    judge_files(policy, registry, [str(GOLDEN / "gps.jsonl.zst")], [str(GOLDEN / "scans.jsonl.zst")], out)
    return registry, out


def test_key_figures_are_of_the_records_valid_then(policy):
    registry = registry_of(
        policy,
        {"kind": "vehicle", "id": "1", "vehicle_class": "light_van", "energy": "electric", "joint_delivery": True}, {"kind": "vehicle", "id": "2", "vehicle_class": "truck", "energy": "plug_in_hybrid"},
        {"kind": "vehicle", "id": "3", "vehicle_class": "micro_van", "energy": "fuel", "valid_until": "2019-06-30"}, {"kind": "vehicle", "id": "3", "vehicle_class": "micro_van", "energy": "electric", "valid_from": "2019-07-01"},
        {"kind": "vehicle", "id": "4", "vehicle_class": "truck", "energy": "electric", "status": "scrapped"}, {"kind": "vehicle", "id": "5", "vehicle_class": "truck"},
        {"kind": "outlet", "id": "1", "filed": True, "recycling_container": True}, {"kind": "outlet", "id": "2", "valid_from": "2019-07-01"},
        {"kind": "township", "id": "1", "covered": True, "locker_cells": 70_000, "service_stations": 9}, {"kind": "township", "id": "2", "locker_cells": 5_000},
    )  # fmt: skip
    june, july = (bound_ms(day, policy.timezone, end=True) - 1 for day in ("2019-06-30", "2019-07-01"))
    assert network(registry, june) == {
        "nev_share": 0.5, "joint_delivery_share": 1.0, "joint_delivery_unknown_share": 0.75, "filed_outlet_share": 1.0, "recycling_outlet_share": 1.0, "township_coverage": 0.5,
        "locker_cells": 75_000, "service_stations": 9,
    }  # fmt: skip
    assert network(registry, july)["nev_share"] == 0.75 and network(registry, july)["filed_outlet_share"] == 0.5
    assert network(registry_of(policy), june) == {}
    kpis = {kpi["measure"]: kpi for kpi in gather(policy, registry, Published([], []), date(2019, 6, 30), date(2019, 6, 30))["kpis"]}
    assert (kpis["locker_cells"]["value"], kpis["locker_cells"]["target"]) == (75_000, 130_000)
    assert kpis["nev_share"]["status"] == "no_target" and kpis["green_packaging"]["status"] == "unknown"


def test_driving_empty_is_summed_over_the_days_asked_for(policy):
    """Less of it is better, so a target is met from above."""
    driven = {"2019-06-28": Millimetres(9_000_000, 9_000_000), "2019-06-29": Millimetres(1_000_000, 4_000_000), "2019-06-30": Millimetres(0, 6_000_000)}
    rows = [driven_row(policy.pack.city.adcode, day, mm) for day, mm in driven.items()]
    told = {kpi["measure"]: kpi for kpi in gather(policy, Registry(policy.timezone), Published(rows, []), date(2019, 6, 29), date(2019, 6, 30))["kpis"]}
    assert told["empty_run_ratio"]["value"] == 0.1
    assert [reached("empty_run_ratio", 0.1, target) for target in (0.2, 0.05)] == [True, False]
    assert driven_row("1", "2019-06-30", Millimetres())["empty_run_ratio"] is None


def test_a_report_says_what_the_oracle_says(policy, judged):
    registry, out = judged
    made = gather(policy, registry, judged_files(out), date(2026, 6, 25), date(2026, 6, 27))
    oracle = Oracle(PACKS / "hohhot-2019.yaml", out / "registry.jsonl")
    lines = [line for line in open_lines(str(GOLDEN / "scans.jsonl.zst")) if line.strip()]
    counts, low = oracle.scans(lines)
    summed = {}
    for (_, enterprise, _), row in counts.items():
        summed[enterprise] = [a + b for a, b in zip(summed.get(enterprise, [0, 0, 0]), row, strict=True)]
    assert {row["enterprise_id"]: [row["accepted"], row["electronic"], row["green"]] for row in made["enterprises"]} == summed
    assert {row["date"]: row["accepted"] for row in made["days"]} == {day: row[0] for (_, enterprise, day), row in counts.items() if enterprise == "*"}
    vehicles, _ = oracle.fixes(line for line in open_lines(str(GOLDEN / "gps.jsonl.zst")) if line.strip())
    reported = {row["rule_id"]: row["incidents"] for row in made["incidents"]}
    intervals = oracle.intervals(*oracle.heartbeats([lines]))
    for rule in policy.pack.rules:
        expected = sum(row[1] == rule.id for row in vehicles) + sum(row[0] == rule.id for row in (*low, *oracle.violations(lines), *intervals))
        assert reported[rule.id] == expected, rule.id
    assert all(row["green_points"] == row["green"] // 100 + row["reusable_bag"] // 100 for row in made["enterprises"])
    one_day = gather(policy, registry, judged_files(out), date(2026, 6, 26), date(2026, 6, 26))
    assert [row["date"] for row in one_day["days"]] == ["2026-06-26"]


def test_three_formats_say_the_same(policy, judged):
    registry, out = judged
    made = gather(policy, registry, judged_files(out), date(2026, 6, 25), date(2026, 6, 27))
    assert json.loads(as_json(made)) == json.loads(json.dumps(made))
    rows = list(csv.DictReader(io.StringIO(as_csv(made))))
    told = {(row["subject"], row["measure"]): float(row["value"]) for row in rows if row["section"] == "enterprises"}
    for row in made["enterprises"]:
        assert told[row["enterprise_id"], "electronic_rate"] == row["electronic_rate"] and told[row["enterprise_id"], "accepted"] == row["accepted"]
    page = as_html(made)
    assert "<script" not in page and "http" not in page.replace("http-equiv", "")
    for row in made["enterprises"]:
        assert row["name_zh"] in page and f"{row['green_rate']:.1%}" in page


def test_names_from_the_registry_cannot_write_html(policy):
    registry = registry_of(policy, {"kind": "enterprise", "id": "e", "name_zh": "<script>alert(1)</script>"})
    row = {"city": "150100", "enterprise_id": "e", "date": "2019-06-30", "accepted": 1, **dict.fromkeys(FEATURES, 0)}
    assert "<script" not in as_html(gather(policy, registry, Published([row], []), date(2019, 6, 30), date(2019, 6, 30)))


def test_months_rise_or_do_not_and_answers_take_their_time(policy):
    def row(day, green):
        return {"city": "150100", "enterprise_id": "*", "date": day, "accepted": 100, **dict.fromkeys(FEATURES, 0), "green": green}

    opened = policy.days.bounds_ms("2019-05-02")[0]
    incident = {"city": "150100", "state": "closed", "rule": "speeding", "rule_id": "r", "clause": "1", "severity": "warning", "enterprise_id": None}
    incidents = [{**incident, "incident_id": name, "opened_at_ms": opened + n} for n, name in enumerate("abc")]
    incidents += [{**incident, "incident_id": "d", "opened_at_ms": opened, "state": "retracted"}, {**incident, "incident_id": "e", "opened_at_ms": 0}]
    feedback = [{"incident_id": "a", "time_ms": opened + 600_000}, {"incident_id": "a", "time_ms": opened + 900_000}, {"incident_id": "x", "time_ms": 1}]
    rates = [row("2019-05-01", 50), row("2019-06-01", 60), row("2019-07-01", 60), row("2019-08-01", 100), row("2019-09-01", 100)]
    made = gather(policy, registry_of(policy), Published(rates, incidents, feedback), date(2019, 5, 1), date(2019, 9, 1))
    assert [month["green_rising"] for month in made["months"]] == [None, True, False, True, True], "rising is met at 100 %"
    assert made["response"] == {"incidents": 3, "answered": 1, "median_minutes": 10.0}
    assert next(r["incidents"] for r in made["incidents"] if r["rule_id"] == "r") == 3


def test_a_draw_follows_from_its_seed_and_the_registry_alone(policy):
    records = [{"kind": "vehicle", "id": f"v{n}"} for n in range(50)] + [{"kind": "outlet", "id": f"o{n}"} for n in range(50)]
    records.append({"kind": "vehicle", "id": "scrapped", "status": "scrapped"})
    settings = {"seed": "2026-11-24 witness", "count": 5, "on": date(2026, 11, 24)}
    first = draw(policy, registry_of(policy, *records), **settings)
    random.Random(1).shuffle(records)
    assert draw(policy, registry_of(policy, *records), **settings) == first
    assert first["vehicles"]["candidates"] == 50 and len({row["id"] for row in first["outlets"]["drawn"]}) == 5
    other = draw(policy, registry_of(policy, *records), **{**settings, "seed": "another"})
    assert other["vehicles"]["drawn"] != first["vehicles"]["drawn"]
    more = draw(policy, registry_of(policy, *records, {"kind": "vehicle", "id": "new"}), **settings)
    assert len({r["id"] for r in more["vehicles"]["drawn"]} & {r["id"] for r in first["vehicles"]["drawn"]}) >= 4
    with pytest.raises(BadInput, match="--count 51: the registry holds only 50 vehicles"):
        draw(policy, registry_of(policy, *records), **{**settings, "count": 51})


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--from", "2026-06-25", "--until", "2026-06-24"], "--until 2026-06-24 is before --from 2026-06-25"),
        (["--from", "25.6.", "--until", "2026-06-24"], "--from: '25.6.' is not a date such as 2026-06-25"),
        (["--from", "2026-06-25", "--until", "2026-06-25", "--format", "jsn"], "did you mean 'json'"),
        (["--from", "2026-06-25", "--until", "2026-06-25", "--judged", "/nowhere"], "--judged takes the folder given to ./yicheng judge --out"),
        (["--from", "2026-06-25", "--until", "2026-06-25", "--city", "hohot"], "did you mean 'hohhot'"),
        (["--lang", "zn"], "--lang 'zn' is not one of zh, en, both; known: both, en, zh"),
        (["--format", "pdf"], "--format pdf needs --out FILE"),
        (["--from", "1999-12-31"], "--from 1999-12-31 is before 2000-01-01; no record is that old"),
    ],
)
def test_bad_input_is_one_line(yicheng, judged, arguments, says):
    judged_at = [] if "--judged" in arguments else ["--judged", judged[1]]
    done = yicheng.run("report", *arguments, *judged_at, "--registry", judged[1] / "registry.jsonl")
    assert done.returncode == 2 and says in done.stderr and len(done.stderr.splitlines()) == 1


@pytest.mark.parametrize("name", ["summary.json", "rates.jsonl", "incidents.jsonl"])
@pytest.mark.parametrize("text", ["5", "null", "[]", "{}", "[[]]", '"text"', '{"date": 5}', '{"credit": [5], "driven": [{}]}', "{", "\x00", "[" * 5_000])
def test_files_that_judge_did_not_write_are_refused(judged, name, text, tmp_path):
    for kept in ("summary.json", "rates.jsonl", "incidents.jsonl"):
        (tmp_path / kept).write_bytes((judged[1] / kept).read_bytes())
    (tmp_path / name).write_text(text)
    if name == "summary.json" and text in {"{}", '{"date": 5}'}:  # one of before says less
        assert judged_files(tmp_path).rates
        return
    with pytest.raises(BadInput) as caught:
        judged_files(tmp_path)
    assert "is not what ./yicheng judge writes" in str(caught.value) and len(str(caught.value).splitlines()) == 1


def test_the_command_writes_a_page(yicheng, judged, tmp_path):
    period = ("--from", "2026-06-25", "--until", "2026-06-27", "--judged", judged[1], "--registry", judged[1] / "registry.jsonl")
    done = yicheng.run("report", *period, "--out", tmp_path / "report.html")
    assert done.returncode == 0, done.stderr
    assert "青城速递" in (tmp_path / "report.html").read_text("utf-8")
    drawn = yicheng.run("report", "draw", "--seed", "s", "--count", "3", "--on", "2026-06-26", "--registry", judged[1] / "registry.jsonl")
    assert drawn.returncode == 0 and len(json.loads(drawn.stdout)["vehicles"]["drawn"]) == 3
