"""A driver without valid safety training.

What
    Where the fix names a driver: that driver is not on file, or ``trained_until`` is missing or has passed. Where it does not:
    the vehicle is registered with drivers and none of them qualifies.

Clause
    督导企业建立快递服务车辆驾驶人安全管理和培训制度 (Hohhot 三（十）);
    加强对快递服务车辆驾驶人交通安全教育 (Hezhou 二（三）9, Yunnan 三（十）);
    加强对快递服务车辆驾驶人员交通安全教育 (Shaoxing 五).

Parameters
    None. A bare date counts until the end of that day.

Example
    >>> from zoneinfo import ZoneInfo
    >>> from streams.wire.events import Fix
    >>> from streams.registry.records import Driver, Vehicle
    >>> from streams.registry.registry import Registry
    >>> registry = Registry(ZoneInfo("Asia/Shanghai"))
    >>> registry.add([Driver(id="d", trained_until="2019-12-31"), Vehicle(id="v", driver_ids=["d"])])
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
TITLE_ZH = "驾驶人未经安全培训"
ASKS_ZH = "{whom}{where}行驶时，驾驶人须有有效的交通安全培训记录。"
ASKS_EN = "The drivers of {whom}{where} must have a valid record of safety training."
REASON_ZH = "车辆 {vehicle_id} 的驾驶人没有有效的交通安全培训记录"
REASON_EN = "the driver of vehicle {vehicle_id} has no valid safety training"


class Parameters(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """No keys of its own."""


def prepare(parameters: Parameters, subject: Subject, identifier: Pattern | None) -> bool | Predicate:
    """By the driver that each fix names, else by the vehicle's drivers."""
    return nobody_qualifies(subject, "trained_until")
