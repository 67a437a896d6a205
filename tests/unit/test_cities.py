"""Of which city a record is: a pack counts and judges its own and what lies in it, everywhere alike, and says what it leaves out."""

from __future__ import annotations

import json
from datetime import date

import pytest

from consumers.console.city.views import outlets_view
from deploy.intake import account
from deploy.judge import judge_files
from deploy.report.content import Published, gather
from deploy.report.draw import draw
from streams.policy.reader import load_policy
from streams.registry.gaps import gaps
from streams.registry.records import decode_entry
from streams.registry.registry import Registry

DAY = date(2026, 6, 26)
NOON_MS = 1_782_446_400_000


def registry_of(policy, *records):
    found = Registry(policy.timezone)
    found.add(decode_entry(json.dumps(record).encode()) for record in records)
    return found


def placed(name, city, **keys):
    return {"id": name, "city": city, "lon": 110.0, "lat": 30.0, **keys}


def network_of(policy, cities):
    """A hub, an outlet, a line and a vehicle of each city."""
    records = []
    for number, city in enumerate(cities):
        records += [placed(f"h{number}", city, kind="facility", level="hub"), placed(f"o{number}", city, kind="outlet", filed=True, camera=True)]
        records += [{"kind": "line", "id": f"l{number}", "city": city, "zones": ["z"], "vehicle_ids": []}]
        records += [{"kind": "vehicle", "id": f"v{number}", "city": city, "vehicle_class": "e_bike"}]
    return registry_of(policy, *records)


@pytest.mark.parametrize(
    ("name", "cities", "own"),
    [
        ("hohhot-2019", ["451100", "150100", "150121", "150000", "150200"], ["150100", "150121"]),
        ("yunnan-2018", ["530100", "530102", "520100", "530000"], ["530100", "530102", "530000"]),
        ("wulong-2019", ["500156", "500100", "500101"], ["500156"]),
    ],
)
def test_all_parts_of_a_report_and_the_console_count_the_same_records(name, cities, own):
    policy = load_policy(name)
    registry, adcode = network_of(policy, cities), policy.pack.city.adcode
    kept = [number for number, city in enumerate(cities) if city in own]
    seen = [{"city": adcode, "enterprise_id": "*", "date": "2026-06-26", "window": f"outlet h{number}", "outlet_id": f"h{number}"} for number in range(len(cities))]
    report = gather(policy, registry, Published(seen, []), DAY, DAY)
    figures = {kpi["measure"]: kpi for kpi in report["kpis"]}
    network, levels = report["network"], {row["level"]: row for row in report["network"]["levels"]}
    assert figures["hubs"]["value"] == figures["hubs"]["active"] == levels["hub"]["number"] == levels["hub"]["active"] == len(own)
    assert figures["delivery_lines"]["value"] == network["lines"] == network["outlets"] == figures["e_bikes"]["value"] == len(own)
    assert [place["id"] for place in network["places"]] == [f"{kind}{number}" for kind in "ho" for number in kept]
    shown = outlets_view(registry, (), NOON_MS, adcode)
    assert {kind: [row["id"] for row in shown[kind]] for kind in shown} == {kind: [f"{kind[:1] if kind != 'facilities' else 'h'}{number}" for number in kept] for kind in shown}
    drawn = draw(policy, registry, seed="1", count=len(own), on=DAY)
    assert {row["id"] for row in drawn["outlets"]["drawn"]} == {f"o{number}" for number in kept}


def test_records_of_other_cities_are_said():
    policy = load_policy("hohhot-2019")
    found = gaps(network_of(policy, ["150121", "451100", "451100"]), NOON_MS, {}, "150100")
    assert ("2 个网点（o1, o2）填写的城市（city）为 451100，不属于 150100：不计入 150100 的主要指标", "2 outlets (o1, o2) of another city than 150100 (city: 451100): counted in no key figure of 150100") in found.doubtful
    assert [said.split(" of another")[0] for _, said in found.doubtful if "of another" in said] == ["2 vehicles (v1, v2)", "2 outlets (o1, o2)", "2 facilities (h1, h2)", "2 lines (l1, l2)"]
    assert not [said for _, said in gaps(network_of(policy, ["150121", None]), NOON_MS, {}, "150100").doubtful if "another city" in said]


def test_scans_of_a_prefecture_are_judged_as_its_provinces_and_those_of_others_are_said(tmp_path):
    policy = load_policy("yunnan-2018")
    scans = [
        {"event_id": city, "event_time_ms": NOON_MS, "waybill_id": city, "enterprise_id": "e", "city": city, "kind": "accepted", "outlet_id": f"o{city}", "real_name_verified": False}
        for city in ("530000", "530100", "530102", "520100")
    ]
    (tmp_path / "scans.jsonl").write_text("".join(f"{json.dumps(scan)}\n" for scan in scans), "utf-8")
    registry = registry_of(policy, {"kind": "enterprise", "id": "e"}, *(placed(f"o{city}", city, kind="outlet") for city in ("530000", "530100", "530102", "520100")))
    summary = judge_files(policy, registry, [], [str(tmp_path / "scans.jsonl")], tmp_path / "out")
    read = [[json.loads(line) for line in (tmp_path / "out" / f"{name}.jsonl").read_text().splitlines()] for name in ("incidents", "rates")]
    assert {(data["rule"], data["city"], data["outlet_id"]) for data in read[0]} == {(rule, "530000", f"o{city}") for rule in ("unfiled_outlet", "unverified_sender") for city in ("530000", "530100", "530102")}
    assert {(row["city"], row["enterprise_id"]): row["accepted"] for row in read[1]} == {("530000", "e"): 3, ("530000", "*"): 3, ("520100", "e"): 1, ("520100", "*"): 1}
    assert {row["outlet_id"] for row in summary["outlets"]} == {"o530000", "o530100", "o530102"}
    assert summary["scans_of_other_cities"] == 1 and any(line.startswith("1 条扫描属于其他城市") for line in account(summary))
    assert not [line for line in account(summary | {"scans_of_other_cities": 0}) if "其他城市" in line]


def test_heartbeats_of_other_cities_are_said(tmp_path):
    beats = [{"event_time_ms": NOON_MS + number, "subject": "outlet/o", **of} for number, of in enumerate(({}, {"city": "530100"}, {"city": "520100"}, {"city": "150100"}))]
    (tmp_path / "beats.jsonl").write_text("".join(f"{json.dumps(beat)}\n" for beat in beats), "utf-8")
    policy = load_policy("yunnan-2018")
    summary = judge_files(policy, registry_of(policy, placed("o", "530100", kind="outlet")), [], [], tmp_path / "out", heartbeats=[str(tmp_path / "beats.jsonl")])
    assert summary["heartbeats_of_other_cities"] == 2 and any(line.startswith("2 条心跳属于其他城市") for line in account(summary))
