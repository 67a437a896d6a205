"""Key figures of a city's courier network, from its registry at an instant (semantics 9). Pure.

>>> from zoneinfo import ZoneInfo
>>> from streams.registry.records import Outlet
>>> from streams.registry.registry import Registry
>>> registry = Registry(ZoneInfo("Asia/Shanghai"))
>>> registry.add([Outlet(id="1", filed=True), Outlet(id="2"), Outlet(id="3", filed=True, valid_until="2018-12-31")])
>>> network(registry.valid(1_700_000_000_000))
{'filed_outlet_share': 0.5, 'recycling_outlet_share': 0.0}
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from streams.counts import share
from streams.registry.records import NEW_ENERGY, Vehicle

TITLES = {
    "nev_share": ("新能源车辆占比", "new-energy vehicles"),
    "joint_delivery_share": ("共同配送车辆占比", "vehicles in joint delivery"),
    "empty_run_ratio": ("空驶率", "distance driven empty"),
    "filed_outlet_share": ("网点备案率", "outlets on file"),
    "recycling_outlet_share": ("设包装回收装置网点占比", "outlets with a recycling container"),
    "township_coverage": ("乡镇网点覆盖率", "townships covered"),
    "locker_cells": ("智能快件箱格口", "smart-locker cells"),
    "service_stations": ("公共服务站", "public service stations"),
    "electronic_waybill": ("电子运单使用率", "electronic waybills"),
    "green_packaging": ("绿色包装使用率", "green packaging"),
    "narrow_tape": ("45 mm 以下胶带封装占比", "taped with tape of at most 45 mm"),
    "not_repackaged": ("不再二次包装占比", "not packaged again"),
    "reusable_bag": ("循环中转袋使用率", "in reusable bags"),
    "real_name": ("实名收寄率", "senders verified"),
    "inspected": ("收寄验视率", "inspected when accepted"),
}
"""What each measure and target is called, in Chinese and English."""


def network(valid: Mapping[str, Sequence[Any]]) -> dict[str, float]:
    """Measure → value (shares from 0 to 1, or numbers) of records by kind; what there are no records for is left out.

    ``nev_share`` and ``joint_delivery_share`` are of the active vehicles (joint delivery 共同配送: Hohhot, Shaoxing, Wulong);
    outlets on file (Hohhot 二（五） and all others), recycling containers, townships and smart-locker cells (Hohhot, Hezhou).
    """
    vehicles, outlets, townships = active_vehicles(valid), valid["outlet"], valid["township"]
    measured = {
        "nev_share": share(sum(v.energy in NEW_ENERGY for v in vehicles), len(vehicles)),
        "joint_delivery_share": share(sum(v.joint_delivery for v in vehicles), len(vehicles)),
        "filed_outlet_share": share(sum(o.filed for o in outlets), len(outlets)),
        "recycling_outlet_share": share(sum(o.recycling_container for o in outlets), len(outlets)),
        "township_coverage": share(sum(t.covered for t in townships), len(townships)),
        "locker_cells": sum(t.locker_cells for t in townships) if townships else None,
        "service_stations": sum(t.service_stations for t in townships) if townships else None,
    }
    return {measure: value for measure, value in measured.items() if value is not None}


def active_vehicles(valid: Mapping[str, Sequence[Any]]) -> list[Vehicle]:
    """The vehicles among records by kind that are neither suspended nor scrapped."""
    return [vehicle for vehicle in valid["vehicle"] if vehicle.status == "active"]
