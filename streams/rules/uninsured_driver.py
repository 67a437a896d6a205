"""A driver without accident insurance.

What
    Where the fix names a driver: that driver is not on file, or ``insured_until`` is missing or has passed. Where it does not:
    the vehicle is registered with drivers and none of them qualifies. A valid ``insured_until`` of the
    vehicle is enough.

Clause
    支持快递企业为快递服务车辆统一购买交通意外险 (Hohhot 三（十）, Shaoxing 五, Yunnan 三（十）);
    支持邮政企业、快递企业为快递服务车辆统一购买交通意外险 (Hezhou 二（三）9);
    鼓励保险公司开发符合快递业特点的道路交通安全事故险等险种 (Wulong 二（二）1).

Parameters
    None. A bare date counts until the end of that day.

Example
    >>> from zoneinfo import ZoneInfo
    >>> from streams.wire.events import Fix
    >>> from streams.registry.records import Driver, Vehicle
    >>> from streams.registry.registry import Registry
    >>> registry = Registry(ZoneInfo("Asia/Shanghai"))
    >>> registry.add([Driver(id="d", insured_until="2019-12-31"), Vehicle(id="v", driver_ids=["d"])])
    >>> subject = registry.subject("v", 1_577_000_000_000)
    >>> lacking = prepare(Parameters(), subject, None)
    >>> fix = Fix("e", 1_577_000_000_000, "v", 111.0, 40.0)
    >>> lacking(fix, (), subject), lacking(msgspec.structs.replace(fix, driver_id="x"), (), subject)
    (False, True)
"""

from __future__ import annotations

import msgspec

from streams.patterns import Pattern
from streams.registry.registry import Subject
from streams.rules._predicates import Predicate, nobody_qualifies

ZONES = "optional"
PERMITTED = "none"
TITLE_ZH = "驾驶人未投保交通意外险"
ASKS_ZH = "{whom}{where}行驶时，车辆或其驾驶人须有有效的交通意外险。"
ASKS_EN = "{whom}{where}, or their drivers, must have valid accident insurance."
REASON_ZH = "车辆 {vehicle_id} 及其驾驶人没有有效的交通意外险"
REASON_EN = "neither vehicle {vehicle_id} nor its driver has valid accident insurance"


class Parameters(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """No keys of its own."""


def prepare(parameters: Parameters, subject: Subject, identifier: Pattern | None) -> bool | Predicate:
    """By the driver that each fix names, else by the vehicle's drivers."""
    vehicle = subject.vehicle
    if vehicle is not None and subject.lasts(vehicle.insured_until, subject.from_ms):
        return False
    return nobody_qualifies(subject, "insured_until")
