"""A sample registry: fictional enterprises, vehicles, drivers, outlets, passes, townships, facilities and lines, the same for the same seed."""

from __future__ import annotations

import random
from collections.abc import Iterator
from datetime import date, timedelta

import msgspec

from producers.sample_network import TOWNSHIPS, facilities, lines, townships
from streams.policy.policy import Policy
from streams.registry.key_figures import MOTOR
from streams.registry.records import AnyEntry, Driver, Enterprise, Outlet, Pass, PassKind, Vehicle

ENTERPRISES = (
    ("qingcheng", "青城速递", "Qingcheng Express", True), ("dahei", "大黑河快运", "Daheihe Express", True),
    ("yinshan", "阴山快递", "Yinshan Courier", True), ("chilechuan", "敕勒川物流", "Chilechuan Logistics", True),
    ("saishang", "塞上通达", "Saishang Tongda", True), ("muyun", "牧云速运", "Muyun Express", True),
    ("caoyuan", "草原风快递", "Prairie Wind Courier", False), ("baita", "白塔同城", "White Pagoda City Courier", False),
    ("zhaojun", "昭君配送", "Zhaojun Delivery", False), ("tumote", "土默特快运", "Tumed Express", False),
    ("fengzhou", "丰州物流", "Fengzhou Logistics", False), ("wulan", "乌兰速递", "Ulaan Express", False),
)  # fmt: skip
"""Twelve fictional enterprises: id, Chinese and English name, whether a primary brand."""
KEY_ENTERPRISES = {"qingcheng", "dahei"}
WITHOUT_CAMERA = 3
LICENCE_LAPSED, LICENCE_UNKNOWN = {"fengzhou", "wulan"}, {"zhaojun"}

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
    rng, more = random.Random(seed), random.Random(f"more/{seed}")
    places = [geometry.bounds for geometry in policy.pack.geometries.values()] or [(111.6, 40.7, 111.8, 40.9)]
    bounds = (min(b[0] for b in places), min(b[1] for b in places), max(b[2] for b in places), max(b[3] for b in places))
    yield from _enterprises(policy)
    yield from _outlets(policy, bounds, rng, more)
    yield from townships(policy, rng)
    number_of = iter(rng.sample(range(10_000, 90_000), vehicles + vehicles // 25))
    fleet: list[Vehicle] = []
    for number in range(vehicles):
        for entry in _vehicle(policy, rng, number, next(number_of)):
            if isinstance(entry, Vehicle):
                fleet.append(_equipped(entry, policy, more))
            yield fleet[-1] if isinstance(entry, Vehicle) else entry
    yield from facilities(policy, bounds, more)
    yield from lines(policy, [vehicle for vehicle in fleet if _is_in_order(vehicle, policy)])


def _enterprises(policy: Policy) -> Iterator[Enterprise]:
    """Two are key enterprises; the licence of two has lapsed, one does not say until when it is licensed."""
    for enterprise_id, name_zh, name_en, primary in ENTERPRISES:
        yield Enterprise(
            id=enterprise_id, name_zh=name_zh, name_en=name_en, primary_brand=primary, key_enterprise=enterprise_id in KEY_ENTERPRISES, cities=[policy.pack.city.adcode],
            licensed_until=None if enterprise_id in LICENCE_UNKNOWN else LAPSED if enterprise_id in LICENCE_LAPSED else GOOD,
        )  # fmt: skip


def _outlets(policy: Policy, bounds: tuple[float, float, float, float], rng: random.Random, more: random.Random) -> Iterator[Outlet]:
    """Most have a camera; of the others at most three that are on file have none (``camera: false``), the rest do not say. Two in three name the township that they serve."""
    primary = {enterprise_id for enterprise_id, _, _, is_primary in ENTERPRISES if is_primary}
    west, south, east, north = bounds
    without = 0
    for number in range(120):
        enterprise_id = rng.choice(ENTERPRISES)[0]
        lon, lat = round(rng.uniform(west, east), 6), round(rng.uniform(south, north), 6)
        filed, camera, recycling = rng.random() < 0.97, rng.random() < 0.8, rng.random() < 0.6
        has_none = filed and not camera and without < WITHOUT_CAMERA
        without += has_none
        standardised = more.random() < (0.7 if enterprise_id in primary else 0.2)
        yield Outlet(
            id=f"O{number:04}", enterprise_id=enterprise_id, city=policy.pack.city.adcode, lon=lon, lat=lat, filed=filed,
            camera=True if camera else False if has_none else None, recycling_container=recycling, standardised=standardised,
            reusable_boxes=more.random() < 0.85 if standardised else None, township=f"T{more.randrange(TOWNSHIPS):02}" if more.random() < 0.67 else None,
        )  # fmt: skip


def _equipped(vehicle: Vehicle, policy: Policy, more: random.Random) -> Vehicle:
    """The vehicle with its kind of plate, its drive and its emission standard; where purchases are subsidised, most with the day of their registration."""
    motor = vehicle.vehicle_class in MOTOR or not str(vehicle.plate).startswith(plate_prefix(policy))  # foreign plates are of motor vehicles
    energy = vehicle.energy
    if energy == "fuel" and more.random() < 0.15:
        energy = "fuel_cell" if vehicle.vehicle_class == "truck" else "plug_in_hybrid"
    burns = motor and energy in {"fuel", "hybrid", "plug_in_hybrid"}
    standard = more.choice(("IV", "V", "V", "VI", "VI")) if burns and more.random() < 0.9 else None
    since = date(2018, 3, 1) + timedelta(days=more.randrange(1_000)) if policy.pack.subsidised and more.random() < 0.8 else None
    return msgspec.structs.replace(
        vehicle, energy=energy, plate_kind="motor" if motor else "non_motor", emission_standard=standard, valid_from=since.isoformat() if since else None
    )


def _is_in_order(vehicle: Vehicle, policy: Policy) -> bool:
    """Whether it is a van or a truck that nothing is wrong with."""
    numbered = policy.identifier is None or policy.identifier.fullmatch(vehicle.id) is not None
    at_home = str(vehicle.plate).startswith(plate_prefix(policy))
    return vehicle.vehicle_class in MOTOR and numbered and at_home and vehicle.marked is True and vehicle.status == "active" and vehicle.body == "box" and vehicle.insured_until == GOOD


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
        yield Pass(id=f"P{number:05}", pass_kind=_pass_kind(policy), vehicle_id=vehicle_id, zones=["*"])
    if foreign and (recognised := rng.choice(("", "corridor", "*"))):
        corridors = [zone for zone, kind_of_zone in policy.zone_kinds.items() if kind_of_zone == "corridor"]
        zones = ["*"] if recognised == "*" or not corridors else [rng.choice(corridors)]
        yield Pass(id=f"X{number:05}", pass_kind="cross_border", vehicle_id=vehicle_id, zones=zones)


def _pass_kind(policy: Policy) -> PassKind:
    """The pass that the city's document knows: a freight pass where the pack asks for one, else a green one."""
    asked = {kind for rule in policy.pack.rules for exemption in rule.alternatives for kind in exemption.passes}
    return "freight" if "freight" in asked else "green"
