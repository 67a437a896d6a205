"""Key figures of a city's courier network, from its registry at an instant (semantics 9). Pure.

>>> from zoneinfo import ZoneInfo
>>> from streams.registry.records import Outlet
>>> from streams.registry.registry import Registry
>>> registry = Registry(ZoneInfo("Asia/Shanghai"))
>>> registry.add([Outlet(id="1", filed=True, camera=True), Outlet(id="2"), Outlet(id="3", filed=True, valid_until="2018-12-31")])
>>> network(registry, 1_700_000_000_000)
{'filed_outlet_share': 0.5, 'camera_outlet_share': 1.0, 'camera_unknown_share': 0.5}
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import date, timedelta
from typing import Any

from streams.clock import DAY_HOURS, bound_ms
from streams.counts import MONTH_DAYS, share
from streams.registry.records import NEW_ENERGY, Facility, Outlet, Township, Vehicle
from streams.registry.registry import Registry, validity_ms

SUBSIDISED = "subsidy_window_vehicles"
TITLES = {
    "nev_share": ("机动车中新能源车辆占比", "new-energy vehicles among motor vehicles"),
    "e_bikes": ("电动自行车", "e-bikes"),
    "e_tricycles": ("电动三轮车", "e-tricycles"),
    "emission_3": ("国三排放标准车辆", "vehicles of emission standard China III"),
    "emission_4": ("国四排放标准车辆", "vehicles of emission standard China IV"),
    "emission_5": ("国五排放标准车辆", "vehicles of emission standard China V"),
    "emission_6": ("国六排放标准车辆", "vehicles of emission standard China VI"),
    "emission_other": ("其他排放标准车辆", "vehicles of another emission standard"),
    "subsidy_window_vehicles": ("购车补贴期内首次登记的新能源机动车（“绿色环保型”按新能源计）", "new-energy motor vehicles first registered while purchases of green ones are subsidised, which are read as these"),
    "joint_delivery_share": ("共同配送车辆占比", "vehicles in joint delivery, of those that say"),
    "joint_delivery_unknown_share": ("未填是否从事共同配送的车辆占比", "vehicles that do not say whether they deliver jointly"),
    "empty_run_ratio": ("空驶率", "distance driven empty"),
    "filed_outlet_share": ("网点备案率", "outlets on file"),
    "camera_outlet_share": ("设视频监控网点占比", "outlets with a camera, of those that say"),
    "camera_unknown_share": ("未填是否设视频监控的网点占比", "outlets that do not say whether they have a camera"),
    "recycling_outlet_share": ("设包装回收装置网点占比", "outlets with a recycling container, of those that say"),
    "recycling_unknown_share": ("未填是否设包装回收装置的网点占比", "outlets that do not say whether they have a recycling container"),
    "reusable_box_outlet_share": ("主要品牌标准化网点配置可回收利用包装箱占比", "standardised outlets of primary brands with reusable boxes"),
    "reusable_box_unknown_share": ("未填是否配置可回收利用包装箱的主要品牌标准化网点占比", "standardised outlets of primary brands that do not say whether they have reusable boxes"),
    "township_coverage": ("乡镇网点覆盖率", "townships covered"),
    "village_coverage": ("村村通快递覆盖率", "villages with a delivery point"),
    "hubs": ("一级物流枢纽（配送中心）", "hubs"),
    "county_centres": ("县级集散（配送）中心", "county centres"),
    "township_stations": ("乡镇级站点", "township stations"),
    "village_points": ("村级服务点", "village points"),
    "pickup_points": ("末端公共取送点", "public pick-up points"),
    "pickup_point_coverage": ("城区设末端公共取送点的乡镇（街道）占比", "urban townships and subdistricts with a public pick-up point"),
    "delivery_lines": ("配送专线", "delivery lines"),
    "locker_cells": ("智能快件箱格口", "smart-locker cells"),
    "service_stations": ("公共服务站", "public service stations"),
    "licensed_enterprise_share": ("经营许可在有效期内的企业占比", "enterprises with a valid licence, of those that say"),
    "licence_unknown_share": ("未填经营许可有效期的企业占比", "enterprises that do not say until when they are licensed"),
    "electronic_waybill": ("电子运单使用率", "electronic waybills"),
    "green_packaging": ("绿色包装使用率", "green packaging"),
    "narrow_tape": ("45 mm 以下胶带封装占比", "taped with tape of at most 45 mm"),
    "not_repackaged": ("不再二次包装占比", "not packaged again"),
    "reusable_bag": ("循环中转袋使用率", "in reusable bags"),
    "real_name": ("实名收寄率", "senders verified"),
    "inspected": ("收寄验视率", "inspected when accepted"),
    "screened": ("过机安检率", "screened when accepted"),
    "served_parcels": ("累计收寄和投递快件", "parcels accepted and delivered, cumulative"),
    "locker": ("箱递率", "delivered into lockers"),
    "night_delivery": ("夜间投递占比", "delivered at night"),
    "night_run_ratio": ("夜间行驶里程占比", "distance driven at night"),
    "joint_delivery": ("共同配送件次占比", "legs on another enterprise's vehicle"),
    "rail": ("铁路运输件次占比", "legs by rail"),
    "air": ("航空运输件次占比", "legs by air"),
}
"""What each measure and target is called, in Chinese and English. An unknown share stands beside the share of those that say it, where some do not."""
UNITS = {
    **dict.fromkeys(("hubs", "county_centres", "township_stations", "village_points", "pickup_points", "locker_cells"), "个"),
    "delivery_lines": "条", "service_stations": "处", "served_parcels": "件",
}  # fmt: skip
"""Measure words of numbers in Chinese."""
MOTOR = ("micro_van", "light_van", "truck")
"""The classes of vehicles that are motor vehicles, unless one's plate says that it is none."""
LEVELS = {"hub": "hubs", "county": "county_centres", "township": "township_stations", "village": "village_points", "pickup_point": "pickup_points"}
"""The measure that counts the facilities of each level."""
_NIGHT = (f"夜间按当地时间{DAY_HOURS[1]}:00至次日{DAY_HOURS[0]:02}:00计，文件未写明，由本系统所定", f"night is from {DAY_HOURS[1]}:00 to {DAY_HOURS[0]:02}:00 local time; no document says so, it is set here")
_IN_USE = (f"最近{MONTH_DAYS}天内有扫描的计为在用，文件未写明，由本系统所定", f"in use is what was scanned at within {MONTH_DAYS} days; no document says so, it is set here")
READINGS = {
    **dict.fromkeys(("night_delivery", "night_run_ratio"), _NIGHT),
    **dict.fromkeys(LEVELS.values(), _IN_USE),
    "joint_delivery": ("由登记在另一企业名下的车辆承运的计为共同配送，文件未写明，由本系统所定", "joint is what a vehicle carries that is on file as another enterprise's; no document says so, it is set here"),
    "empty_run_ratio": ("按间隔不超过5分钟的相邻定位之间、车辆报送空载的里程计，由本系统所定", "counted between fixes at most 5 minutes apart, by what the vehicle reports of its load; it is set here"),
    "narrow_tape": ("45 mm 是胶带行业标准的数值，文件未写明", "45 mm is the figure of the tape standard; no document gives one"),
}
"""What in a measure is our own, in Chinese and English: hours, days and whom it counts. It is said wherever the measure's clause is."""
_STANDARD = re.compile(r"(?:国|CHINA)? ?(?:(VI|6|六)|(V|5|五)|(IV|4|四)|(III|3|三)) ?[AB]?(?:排放)?(?:标准)?")


def network(registry: Registry, at_ms: int, city: str | None = None, subsidised: tuple[str, str] | None = None) -> dict[str, float]:
    """Measure → value (shares from 0 to 1, or numbers) of the records valid at an instant (ms); what no record says is left out.

    ``city``: adcode of the city that it is about, records of others do not count; ``subsidised``: first and last local date on which the
    purchase of green vehicles is (its pack says so). The clauses are in the packs.
    """
    valid = registry.valid(at_ms, city)
    vehicles, outlets, townships = active_vehicles(valid), valid["outlet"], valid["township"]
    motor = [vehicle for vehicle in vehicles if is_motor(vehicle)]
    licences = [registry.bound_ms(e.licensed_until) for e in valid["enterprise"] if e.licensed_until]
    measured = {
        "nev_share": share(sum(v.energy in NEW_ENERGY for v in motor), len(motor)) if any(v.energy for v in motor) else None,
        **_numbers("e_bikes" if v.vehicle_class == "e_bike" else "e_tricycles" for v in vehicles if v.vehicle_class in {"e_bike", "e_tricycle"}),
        **_numbers(f"emission_{emission_standard(v.emission_standard)}" for v in vehicles if v.emission_standard),
        SUBSIDISED: _in_subsidy_window(registry, motor, subsidised),
        "joint_delivery_share": _share(vehicles, "joint_delivery"),
        "joint_delivery_unknown_share": _unknown_share(vehicles, "joint_delivery"),
        "filed_outlet_share": _share(outlets, "filed", unknown_is_no=True),
        "camera_outlet_share": _share(outlets, "camera"),
        "camera_unknown_share": _unknown_share(outlets, "camera"),
        "recycling_outlet_share": _share(outlets, "recycling_container"),
        "recycling_unknown_share": _unknown_share(outlets, "recycling_container"),
        "reusable_box_outlet_share": _share(standardised_outlets(valid), "reusable_boxes"),
        "reusable_box_unknown_share": _unknown_share(standardised_outlets(valid), "reusable_boxes"),
        "township_coverage": _township_coverage(townships, outlets),
        "village_coverage": _village_coverage(townships, valid["facility"]),
        "pickup_point_coverage": _pickup_point_coverage(townships, valid["facility"]),
        **_numbers(LEVELS[facility.level] for facility in valid["facility"]),
        "delivery_lines": len(valid["line"]) or None,
        "locker_cells": _sum(townships, "locker_cells"),
        "service_stations": _sum(townships, "service_stations"),
        "licensed_enterprise_share": share(sum(at_ms < until_ms for until_ms in licences), len(licences)),
        "licence_unknown_share": _unknown_share(valid["enterprise"], "licensed_until"),
    }
    return {measure: value for measure, value in measured.items() if value is not None}


def active_vehicles(valid: Mapping[str, Sequence[Any]]) -> list[Vehicle]:
    """The vehicles among records by kind that are neither suspended nor scrapped."""
    return [vehicle for vehicle in valid["vehicle"] if vehicle.status == "active"]


def is_motor(vehicle: Vehicle) -> bool:
    """Whether a vehicle is a motor vehicle: a van or a truck that has no non-motor plate."""
    return vehicle.vehicle_class in MOTOR and vehicle.plate_kind != "non_motor"


def standardised_outlets(valid: Mapping[str, Sequence[Any]]) -> list[Outlet]:
    """The standardised outlets of primary brands among records by kind (Hohhot 六（十七）)."""
    primary = {enterprise.id for enterprise in valid["enterprise"] if enterprise.primary_brand}
    return [outlet for outlet in valid["outlet"] if outlet.standardised and outlet.enterprise_id in primary]


def served_townships(outlets: Iterable[Outlet]) -> set[str | None]:
    """The ids of the townships that outlets on file serve."""
    return {outlet.township for outlet in outlets if outlet.filed}


def emission_standard(text: str) -> str:
    """The stage of an emission standard as it is written: ``3`` to ``6``, else ``other``.

    >>> [emission_standard(text) for text in ("国六", "VI", "国Ⅵb", "china 5", "国四标准", "Euro 6")]
    ['6', '6', '6', '5', '4', 'other']
    """
    match = _STANDARD.fullmatch(unicodedata.normalize("NFKC", text).strip().upper())
    return str(6 - match.groups().index(match[match.lastindex or 1])) if match else "other"


def active_facilities(facilities: Iterable[Facility], scanned: Mapping[str, str], last: str) -> dict[str, int]:
    """Measure → how many facilities of its level were scanned at on one of the 30 local days that end with ``last``; empty where nothing is known of scans.

    ``scanned``: by outlet or facility the local date of its last scan. What is on record counts for a target as far as it is active.
    """
    if not scanned:
        return {}
    first = (date.fromisoformat(last) - timedelta(days=MONTH_DAYS - 1)).isoformat()
    found = dict.fromkeys(LEVELS.values(), 0)
    for facility in facilities:
        found[LEVELS[facility.level]] += first <= scanned.get(facility.id, "") <= last
    return found


def _numbers(measures: Iterable[str]) -> dict[str, int]:
    return dict(Counter(measures))


def _share(records: Sequence[Any], key: str, *, unknown_is_no: bool = False) -> float | None:
    """The share for which a key is true, of the records that say it, or of all; None where none says it."""
    said = [value for record in records if (value := getattr(record, key)) is not None]
    return share(sum(said), len(records) if unknown_is_no else len(said)) if said else None


def _unknown_share(records: Sequence[Any], key: str) -> float | None:
    """The share that does not say a key; None where all say it or none does, for then its figure is whole or unknown."""
    silent = sum(getattr(record, key) is None for record in records)
    return share(silent, len(records)) if silent < len(records) and silent else None


def _sum(records: Sequence[Any], key: str) -> int | None:
    said = [value for record in records if (value := getattr(record, key)) is not None]
    return sum(said) if said else None


def _township_coverage(townships: Sequence[Township], outlets: Sequence[Outlet]) -> float | None:
    """The share of townships that say that they are covered, or that an outlet on file serves; None where nobody says anything of it."""
    served = served_townships(outlets)
    covered = [township.covered or township.id in served for township in townships]
    return share(sum(covered), len(covered)) if any(covered) or any(t.covered is not None for t in townships) else None


def _village_coverage(townships: Sequence[Township], facilities: Sequence[Facility]) -> float | None:
    """The share of villages that a facility serves, of the townships that say how many villages they have; None where no facility names a village."""
    served = Counter(township for township, _ in {(f.township, f.village) for f in facilities if f.village})
    known = {township.id: township.villages for township in townships if township.villages is not None}
    return share(sum(min(served[name], villages) for name, villages in known.items()), sum(known.values())) if served else None


def _pickup_point_coverage(townships: Sequence[Township], facilities: Sequence[Facility]) -> float | None:
    """The share of urban townships in which a pick-up point stands; None where no pick-up point says where it stands, or no township is urban."""
    served = {f.township for f in facilities if f.level == "pickup_point" and f.township}
    urban = [township.id for township in townships if township.urban]
    return share(sum(name in served for name in urban), len(urban)) if served else None


def _in_subsidy_window(registry: Registry, vehicles: Iterable[Vehicle], subsidised: tuple[str, str] | None) -> int | None:
    """How many of these vehicles are of new energy and have their first record from a day on which their purchase was subsidised."""
    if subsidised is None:
        return None
    first, last = subsidised
    from_ms, until_ms = bound_ms(first, registry.timezone, end=False), bound_ms(last, registry.timezone, end=True)
    since = [min(validity_ms(version, registry.timezone)[0] for version in registry.versions("vehicle", v.id)) for v in vehicles if v.valid_from and v.energy in NEW_ENERGY]
    return sum(from_ms <= ms < until_ms for ms in since) if since else None
