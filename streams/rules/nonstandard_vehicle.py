"""A vehicle of a class, body or energy that the city's standard does not allow.

What
    The vehicle is registered and some attribute listed in ``allow`` is not one of its allowed values.

Clause
    引导企业优先使用新能源全封闭轻型、微型配送车辆,推动电商快递业务实现“绿色物流”转型升级,推进配送车辆标准化、厢式化 (Hohhot 三（十）);
    引导邮政企业、快递企业使用符合相关标准的车辆，推动快递服务车辆标准化、厢式化 (Hezhou 二（三）9);
    依法规范快递服务车辆管理，推动快递服务车辆标准化 (Shaoxing 五);
    引导企业使用符合标准的配送车型，推动配送车辆标准化、厢式化 (Yunnan 三（十）);
    推动配送车辆标准化、厢式化 (Wulong 二（二）1).

Parameters
    ``allow``: lists ``classes``, ``body``, ``energy``; an attribute without a list is free.

Example
    >>> from streams.registry.registry import Subject
    >>> from streams.registry.records import Vehicle
    >>> boxed = Parameters(allow=Allow(body=["box"]))
    >>> prepare(boxed, Subject("v", Vehicle(id="v", body="open"), None, (), 0, 1), None)
    True
    >>> prepare(boxed, Subject("v", Vehicle(id="v", body="box"), None, (), 0, 1), None)
    False
"""

from __future__ import annotations

import msgspec

from streams.patterns import Pattern
from streams.registry.records import Body, Energy, VehicleClass
from streams.registry.registry import Subject

ZONES = "optional"
PERMITTED = "none"
TITLE_ZH = "非标准化车型"
ASKS_ZH = "{whom}{where}须{allow}。"
ASKS_EN = "{whom}{where} must {allow}."
REASON_ZH = "车辆 {vehicle_id} 不是标准化车型"
REASON_EN = "vehicle {vehicle_id} is not of a standard type"


class Allow(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Allowed values by attribute; None: any."""

    classes: list[VehicleClass] | None = None
    body: list[Body] | None = None
    energy: list[Energy] | None = None


class Parameters(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """``allow`` is required."""

    allow: Allow


def prepare(parameters: Parameters, subject: Subject, identifier: Pattern | None) -> bool:
    """Every fix violates, or none does."""
    vehicle, allow = subject.vehicle, parameters.allow
    if vehicle is None:
        return False
    pairs = ((allow.classes, vehicle.vehicle_class), (allow.body, vehicle.body), (allow.energy, vehicle.energy))
    return any(allowed is not None and value not in allowed for allowed, value in pairs)
