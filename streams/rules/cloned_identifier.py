"""One unified number in two places.

What
    From the previous accepted fix of that number, this one is at least ``min_distance_m`` away (haversine) and the speed
    that takes exceeds ``max_speed_kmh``. Two fixes of the same millisecond that far apart violate too.

Clause
    对快递服务车辆实施统一编号和标识管理 (Hohhot 三（十）, Wulong 二（二）1);
    鼓励对快递服务车辆实施统一编号和标识管理 (Hezhou 二（三）9);
    依法规范快递服务车辆管理，推动快递服务车辆标准化 (Shaoxing 五);
    鼓励各地对快递服务车辆实施统一编号和统一标识管理 (Yunnan 三（十）).
    A number names one vehicle.

Parameters
    ``max_speed_kmh`` (200), ``min_distance_m`` (1000).

Example
    >>> from streams.fix_batch import StoredFix
    >>> from streams.registry.registry import Subject
    >>> elsewhere = prepare(Parameters(), Subject("v", None, None, (), 0, 1), None)
    >>> here = StoredFix(0, "a", 111.60, 40.80, None, False, 0)
    >>> elsewhere(here, StoredFix(60_000, "b", 111.70, 40.80, None, False, 0))  # 8.4 km in a minute
    True
    >>> elsewhere(here, StoredFix(600_000, "b", 111.70, 40.80, None, False, 0))  # in ten
    False
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import msgspec

from streams.fix_batch import StoredFix
from streams.geo import METRES_PER_DEGREE, haversine_m
from streams.patterns import Pattern
from streams.registry.registry import Subject
from streams.rules._predicates import Form

ZONES = "none"
PERMITTED = "none"
FORM = Form.PAIR
TITLE_ZH = "一号多车"
ASKS_ZH = "一个编号只能用于一辆车：同一编号先后出现在相距至少{min_distance_m}的两处，其间所需车速超过{max_speed_kmh}的，视为一号多车。"
ASKS_EN = "A number belongs to one vehicle: it must not be seen at two places at least {min_distance_m} apart where going from one to the other would take more than {max_speed_kmh}."
REASON_ZH = "编号 {vehicle_id} 同时出现在两处"
REASON_EN = "number {vehicle_id} was seen in two places at once"


class Parameters(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Speed in km/h, distance in metres."""

    max_speed_kmh: float = 200.0
    min_distance_m: float = 1000.0


def reach_deg(parameters: Parameters) -> float:
    """Two fixes that are nearer than so many degrees (east and north added up) cannot violate."""
    return parameters.min_distance_m / METRES_PER_DEGREE


def prepare(parameters: Parameters, subject: Subject, identifier: Pattern | None) -> Callable[[StoredFix, StoredFix], bool]:
    """Too far in too short a time."""
    return _elsewhere(parameters.max_speed_kmh, parameters.min_distance_m)


@cache
def _elsewhere(max_speed_kmh: float, min_distance_m: float) -> Callable[[StoredFix, StoredFix], bool]:
    def elsewhere(before: StoredFix, fix: StoredFix) -> bool:
        distance_m = haversine_m(before.lon, before.lat, fix.lon, fix.lat)
        duration_ms = fix.event_time_ms - before.event_time_ms
        return distance_m >= min_distance_m and (duration_ms == 0 or distance_m * 3600 / duration_ms > max_speed_kmh)

    return elsewhere
