"""A sample registry: fictional enterprises, vehicles, drivers, outlets, passes and townships, the same for the same seed."""

from __future__ import annotations

import random
from collections.abc import Iterator

from streams.policy.policy import Policy
from streams.registry.records import AnyEntry, Driver, Enterprise, Outlet, Pass, Township, Vehicle

ENTERPRISES = (
    ("qingcheng", "青城速递", "Qingcheng Express", True), ("dahei", "大黑河快运", "Daheihe Express", True),
    ("yinshan", "阴山快递", "Yinshan Courier", True), ("chilechuan", "敕勒川物流", "Chilechuan Logistics", True),
    ("saishang", "塞上通达", "Saishang Tongda", True), ("muyun", "牧云速运", "Muyun Express", True),
    ("caoyuan", "草原风快递", "Prairie Wind Courier", False), ("baita", "白塔同城", "White Pagoda City Courier", False),
    ("zhaojun", "昭君配送", "Zhaojun Delivery", False), ("tumote", "土默特快运", "Tumed Express", False),
    ("fengzhou", "丰州物流", "Fengzhou Logistics", False), ("wulan", "乌兰速递", "Ulaan Express", False),
)  # fmt: skip
"""Twelve fictional enterprises: id, Chinese and English name, whether a primary brand."""

_CLASSES = ("e_tricycle", "e_bike", "micro_van", "light_van", "truck")
_CLASS_WEIGHTS = (38, 10, 22, 20, 10)


ODDITIES = ("suspended", "unmarked", "malformed", "open", "untrained", "uninsured", "foreign")
GOOD, LAPSED = "2035-12-31", "2015-12-31"
_PLATES = {"15": "蒙A", "45": "桂J", "33": "浙D", "53": "云A", "50": "渝G"}


def plate_prefix(policy: Policy) -> str:
    """How the plates of the city's vehicles begin."""
    return _PLATES.get(policy.pack.city.adcode[:2], "京A")


def sample_registry(policy: Policy, vehicles: int, seed: int) -> Iterator[AnyEntry]:
    """At least what a city of this many vehicles has on file, drawn around the pack's zones.

    Most vehicles are in order. About one in fifty each is suspended, unmarked, filed under a malformed number, a van
    with an open body, without a trained driver, uninsured or, where a rule is about them, under a foreign plate.
    """
    rng = random.Random(seed)
    city = policy.pack.city.adcode
    bounds = [geometry.bounds for geometry in policy.pack.geometries.values()] or [(111.6, 40.7, 111.8, 40.9)]
    west, south = min(b[0] for b in bounds), min(b[1] for b in bounds)
    east, north = max(b[2] for b in bounds), max(b[3] for b in bounds)
    for enterprise_id, name_zh, name_en, primary in ENTERPRISES:
        yield Enterprise(id=enterprise_id, name_zh=name_zh, name_en=name_en, primary_brand=primary, cities=[city])
    for number in range(120):
        enterprise_id = rng.choice(ENTERPRISES)[0]
        lon, lat = round(rng.uniform(west, east), 6), round(rng.uniform(south, north), 6)
        yield Outlet(
            id=f"O{number:04}", enterprise_id=enterprise_id, city=city, lon=lon, lat=lat, filed=rng.random() < 0.97,
            camera=rng.random() < 0.8, recycling_container=rng.random() < 0.6,
        )  # fmt: skip
    for number in range(30):
        yield Township(id=f"T{number:02}", covered=True, locker_cells=rng.randint(3000, 6000), service_stations=rng.randint(8, 14))
    number_of = iter(rng.sample(range(10_000, 90_000), vehicles + vehicles // 25))
    for number in range(vehicles):
        yield from _vehicle(policy, rng, number, next(number_of))


def _vehicle(policy: Policy, rng: random.Random, number: int, unified_number: int) -> Iterator[AnyEntry]:
    enterprise_id = rng.choice(ENTERPRISES)[0]
    kind = rng.choices(_CLASSES, _CLASS_WEIGHTS)[0]
    energy = "electric" if kind.startswith("e_") else rng.choices(("electric", "hybrid", "fuel"), (45, 10, 45))[0]
    oddity = rng.choices(("", *ODDITIES), (86, *(2 for _ in ODDITIES)))[0]
    if oddity == "open" and kind.startswith("e_"):
        kind, energy = "light_van", "fuel"
    foreign = oddity == "foreign" and any(rule.rule == "unrecognised_foreign_plate" for rule in policy.fix_rules)
    prefix = policy.pack.identifier.pattern.split("-")[0] if policy.pack.identifier else "V"
    vehicle_id = f"{prefix}-{unified_number}"
    if oddity == "malformed":
        vehicle_id = f"{prefix}{unified_number}X"
    driver = f"D{number:05}"
    yield Driver(
        id=driver, enterprise_id=enterprise_id, trained_until=LAPSED if oddity == "untrained" else GOOD,
        insured_until=LAPSED if oddity == "uninsured" else GOOD,
    )  # fmt: skip
    yield Vehicle(
        id=vehicle_id,
        plate=f"ກຂ{unified_number}" if foreign else f"{plate_prefix(policy)}{unified_number}",
        device_id=f"{13_000_000_000 + number}",
        enterprise_id=enterprise_id,
        city=policy.pack.city.adcode,
        vehicle_class=kind,  # type: ignore[arg-type]
        energy=energy,  # type: ignore[arg-type]
        body="open" if kind == "e_bike" or oddity == "open" else "box",
        marked=oddity != "unmarked",
        status="suspended" if oddity == "suspended" else "active",
        driver_ids=[driver],
        insured_until=LAPSED if oddity == "uninsured" else GOOD,
        joint_delivery=rng.random() < 0.05,
    )
    if kind in {"light_van", "truck"} and energy != "electric" and rng.random() < 0.2:
        yield Pass(id=f"P{number:05}", pass_kind="green", vehicle_id=vehicle_id, zones=["*"])
    if foreign and (recognised := rng.choice(("", "corridor", "*"))):
        corridors = [zone for zone, kind_of_zone in policy.zone_kinds.items() if kind_of_zone == "corridor"]
        zones = ["*"] if recognised == "*" or not corridors else [rng.choice(corridors)]
        yield Pass(id=f"X{number:05}", pass_kind="cross_border", vehicle_id=vehicle_id, zones=zones)
