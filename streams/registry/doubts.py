"""Records that can be read, and are most likely not meant: a sentence each, in both languages. Pure."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from itertools import pairwise
from typing import Any

from streams.errors import closest
from streams.plates import plain_plate
from streams.registry.key_figures import MOTOR
from streams.registry.records import Vehicle
from streams.registry.registry import Registry, validity_ms

Words = tuple[str, str]
"""The same in Chinese and in English."""
_DOUBTS: tuple[tuple[str, Callable[[Any], bool], str, str], ...] = (
    ("line", lambda line: not line.vehicle_ids, "专线 {} 没有车辆（vehicle_ids），会每日被判为未开行", "line {} has no vehicles (vehicle_ids), so it is missed every day"),
    ("line", lambda line: any(a == b for a, b in pairwise(line.zones)), "专线 {} 的同一区域接连写了两次（zones）", "line {} names one zone twice in a row (zones)"),
    (
        "pass", lambda held: not (held.vehicle_id or held.enterprise_id), "通行证 {} 未写车辆（vehicle_id）或企业（enterprise_id），对谁都不起作用",
        "pass {} names no vehicle (vehicle_id) and no enterprise (enterprise_id), so it frees nobody",
    ),
    ("pass", lambda held: not held.zones, "通行证 {} 未写区域（zones），在任何地方都不起作用", "pass {} names no zones (zones), so it frees nobody anywhere"),
    (
        "vehicle", lambda vehicle: vehicle.vehicle_class in MOTOR and vehicle.plate_kind == "non_motor", "车辆 {} 的车型（vehicle_class）是机动车，号牌种类（plate_kind）却是非机动车",
        "vehicle {} is of a motor vehicle's class (vehicle_class) and bears a plate of another kind (plate_kind)",
    ),
    *(
        (
            kind, lambda place: place.lon is not None and place.lat is not None and place.lon <= place.lat, f"{zh} {{}} 的经度（lon）不大于纬度（lat），中国境内没有这样的地方，是否写反了？",
            f"{kind} {{}} stands at a longitude (lon) that is not above its latitude (lat), as no place in China does; are they swapped?",
        )
        for kind, zh in (("outlet", "网点"), ("facility", "设施"))
    ),
    *(
        (kind, lambda place: (place.lon is None) is not (place.lat is None), f"{zh} {{}} 只填了经度（lon）、纬度（lat）之一，不会出现在地图上", f"{kind} {{}} gives only one of lon and lat, so it is on no map")
        for kind, zh in (("outlet", "网点"), ("facility", "设施"))
    ),
)  # fmt: skip
"""Kind, what is doubtful of a record, and how that is said of its id."""


def doubts(registry: Registry) -> Iterator[Words]:
    """What is doubtful of records, whenever they are valid; each record once."""
    for kind, doubtful, zh, en in _DOUBTS:
        yield from ((zh.format(name), en.format(name)) for name in dict.fromkeys(record.id for record in registry.each(kind) if doubtful(record)))
    yield from _shared(registry)


def _shared(registry: Registry) -> Iterator[Words]:
    """Plates and terminals that one active vehicle has while the one that had them last still has them, with the first two."""
    for key, zh, en, form in (("plate", "号牌", "plate", plain_plate), ("device_id", "终端", "terminal", str)):
        holders: dict[str, list[tuple[int, str]]] = {}
        for vehicle in registry.each("vehicle"):
            if isinstance(vehicle, Vehicle) and vehicle.status == "active" and (value := getattr(vehicle, key)):
                holders.setdefault(form(value), []).append((validity_ms(vehicle, registry.timezone)[0], vehicle.id))
        for value, held in holders.items():
            pairs = ((one, other) for (_, one), (ms, other) in pairwise(sorted(held)) if one != other and all(form(_borne(registry, name, ms, key)) == value for name in (one, other)))
            if pair := next(pairs, None):
                yield f"车辆 {pair[0]} 与 {pair[1]} 同时使用同一{zh} {value}（{key}）", f"vehicles {pair[0]} and {pair[1]} have one {en} at the same time, {value} ({key})"


def _borne(registry: Registry, vehicle_id: str, event_time_ms: int, key: str) -> str:
    """The plate or terminal that an active vehicle has at an instant; empty for none."""
    vehicle = registry.at("vehicle", vehicle_id, event_time_ms)
    return getattr(vehicle, key) or "" if isinstance(vehicle, Vehicle) and vehicle.status == "active" else ""


def unknown_lines(registry: Registry, lines: Collection[str]) -> Iterator[Words]:
    """The delivery lines that a pack judges and no record describes."""
    for name in lines:
        if not registry.knows("line", name):
            meant = closest(name, [line.id for line in registry.each("line")], 0.8)
            guess = (f"；是否为 {meant}？", f"; did you mean {meant}?") if meant else ("", "")
            yield f"政策包要判断的专线 {name} 不在登记资料中{guess[0]}", f"line {name}, which the pack judges, is not in the registry{guess[1]}"
