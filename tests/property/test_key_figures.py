"""Key figures against a recount, over registries in which records begin and end at midnight, are withdrawn, or say little."""

from __future__ import annotations

import datetime as dt
import json
from fractions import Fraction
from zoneinfo import ZoneInfo

from hypothesis import given
from hypothesis import strategies as st

from streams.policy.checks import is_share
from streams.registry.key_figures import TITLES, network
from streams.registry.records import decode_entry
from streams.registry.registry import Registry

CITY = ZoneInfo("Asia/Shanghai")
DAYS = [f"2026-06-{day}" for day in range(24, 29)]
TOWNS, BRANDS = ["t", "u"], ["e", "f"]
yes_no, town = st.sampled_from([True, False, None]), st.sampled_from([*TOWNS, "elsewhere", None])
number, city = st.sampled_from([0, 1, 3, None]), st.sampled_from(["530000", "530100", "530102", "520100", None])
OWN_CITIES = {None: {"530000", "530100", "530102", "520100"}, "530000": {"530000", "530100", "530102"}, "530100": {"530100", "530102"}, "530102": {"530102"}}
KEYS = {
    "vehicle": {
        "vehicle_class": st.sampled_from(["e_bike", "e_tricycle", "micro_van", "truck", "other", None]), "energy": st.sampled_from(["electric", "plug_in_hybrid", "fuel_cell", "hybrid", "fuel", None]),
        "plate_kind": st.sampled_from(["motor", "non_motor", None]), "status": st.sampled_from(["active", "active", "suspended", "scrapped"]), "joint_delivery": yes_no, "city": city,
    },
    "outlet": {"filed": yes_no, "camera": yes_no, "recycling_container": yes_no, "standardised": yes_no, "reusable_boxes": yes_no, "township": town, "enterprise_id": st.sampled_from([*BRANDS, None]), "city": city},
    "enterprise": {"primary_brand": yes_no, "licensed_until": st.sampled_from([*DAYS, None])},
    "township": {"covered": yes_no, "urban": yes_no, "locker_cells": number, "service_stations": number, "villages": number},
    "facility": {"level": st.sampled_from(["hub", "county", "township", "village", "pickup_point"]), "township": town, "village": st.sampled_from(["a", "b", None]), "city": city},
    "line": {"city": city},
}  # fmt: skip
IDS = {"vehicle": ["1", "2", "3"], "outlet": ["1", "2", "3"], "enterprise": BRANDS, "township": TOWNS, "facility": ["1", "2", "3"], "line": ["1", "2"]}


@st.composite
def records(draw):
    """Up to three versions of each id, of different beginnings."""
    found = []
    for kind, names in IDS.items():
        for name in names:
            for since in draw(st.lists(st.sampled_from([None, *DAYS]), unique=True, max_size=3)):
                ends = [day for day in DAYS if since is None or day >= since]
                given_ = {key: draw(values) for key, values in KEYS[kind].items()} | {"valid_from": since, "valid_until": draw(st.sampled_from([None, *ends]))}
                given_ |= {"zones": ["z"], "vehicle_ids": []} if kind == "line" else {}
                found.append({"kind": kind, "id": name, **{key: value for key, value in given_.items() if value is not None}})
    return found


def counting_on(rows, day, own):
    """By kind the rows that count on a date for a city: of those that are valid the one that began last, unless it is another city's."""
    found = {kind: {} for kind in IDS}
    for row in sorted(rows, key=lambda row: row.get("valid_from", "")):
        if row.get("valid_from", "") <= day <= row.get("valid_until", "9999"):
            found[row["kind"]][row["id"]] = row
    return {kind: [row for row in held.values() if row.get("city") in {None, *OWN_CITIES[own]}] for kind, held in found.items()}


def part(some, whole):
    return Fraction(len(some), len(whole)) if whole else None


def recount(rows, day, own):
    """Each figure by the words of its definition; None: it does not exist."""
    of = counting_on(rows, day, own)
    on_duty = [v for v in of["vehicle"] if v["status"] == "active"]
    motor = [v for v in on_duty if v.get("vehicle_class") in {"micro_van", "truck"} and v.get("plate_kind") != "non_motor"]
    outlets, towns, places = of["outlet"], of["township"], of["facility"]
    brands = {e["id"] for e in of["enterprise"] if e.get("primary_brand")}
    standard = [o for o in outlets if o.get("standardised") and o.get("enterprise_id") in brands]
    served = {o.get("township") for o in outlets if o.get("filed")}
    covered = [t for t in towns if t.get("covered") or t["id"] in served]
    licensed = [e for e in of["enterprise"] if "licensed_until" in e]
    villages = {(f["village"], f.get("township")) for f in places if "village" in f}
    all_villages = sum(t.get("villages", 0) for t in towns)
    reached = sum(min(t.get("villages", 0), sum(where == t["id"] for _, where in villages)) for t in towns)
    points = {f["township"] for f in places if f["level"] == "pickup_point" and "township" in f}
    urban = [t for t in towns if t.get("urban")]
    found = {
        "nev_share": part([v for v in motor if v.get("energy") in {"electric", "plug_in_hybrid", "fuel_cell"}], motor) if any("energy" in v for v in motor) else None,
        "filed_outlet_share": part([o for o in outlets if o.get("filed")], outlets) if any("filed" in o for o in outlets) else None,
        "township_coverage": part(covered, towns) if covered or any("covered" in t for t in towns) else None,
        "village_coverage": Fraction(reached, all_villages) if villages and all_villages else None,
        "pickup_point_coverage": part([t for t in urban if t["id"] in points], urban) if points else None,
        "licensed_enterprise_share": part([e for e in licensed if day <= e["licensed_until"]], licensed),
        "licence_unknown_share": unknown(of["enterprise"], licensed),
    }
    for share, silent, whole, key in (
        ("joint_delivery_share", "joint_delivery_unknown_share", on_duty, "joint_delivery"), ("camera_outlet_share", "camera_unknown_share", outlets, "camera"),
        ("recycling_outlet_share", "recycling_unknown_share", outlets, "recycling_container"), ("reusable_box_outlet_share", "reusable_box_unknown_share", standard, "reusable_boxes"),
    ):  # fmt: skip
        said = [row for row in whole if key in row]
        found |= {share: part([row for row in said if row[key]], said), silent: unknown(whole, said)}
    for name, one in (("e_bikes", "e_bike"), ("e_tricycles", "e_tricycle")):
        found[name] = sum(v.get("vehicle_class") == one for v in on_duty) or None
    for name, level in (("hubs", "hub"), ("county_centres", "county"), ("township_stations", "township"), ("village_points", "village"), ("pickup_points", "pickup_point")):
        found[name] = sum(f["level"] == level for f in places) or None
    found["delivery_lines"] = len(of["line"]) or None
    for name in ("locker_cells", "service_stations"):
        said = [t[name] for t in towns if name in t]
        found[name] = sum(said) if said else None
    return {name: value for name, value in found.items() if value is not None}


def unknown(whole, said):
    return 1 - Fraction(len(said), len(whole)) if 0 < len(said) < len(whole) else None


def midnight_ms(day):
    return int(dt.datetime.combine(dt.date.fromisoformat(day), dt.time(), CITY).timestamp() * 1000)


@given(records(), st.sampled_from(list(OWN_CITIES)))
def test_every_key_figure_equals_a_recount_from_midnight_to_midnight(rows, own):
    registry = Registry(CITY)
    registry.add(decode_entry(json.dumps(row).encode()) for row in rows)
    for day in DAYS:
        for at_ms in (midnight_ms(day), midnight_ms(day) + 86_400_000 - 1):
            found = network(registry, at_ms, own)
            wanted = {name: float(value) for name, value in recount(rows, day, own).items()}
            assert found == wanted and found.keys() <= TITLES.keys()
            assert all(0 <= value <= 1 for name, value in found.items() if is_share(name))
