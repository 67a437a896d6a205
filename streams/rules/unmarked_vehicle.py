"""A registered vehicle without the unified marking, or driving with another plate than the registered one.

What
    The vehicle is registered (whatever its status) and ``marked`` is false (not said: unknown, which is no violation), or the fix and the record both give a
    plate and they differ, however they are written (云A·12345 is 云A12345).

Clause
    制定全市快递服务车辆规范管理办法,对快递服务车辆实施统一编号和标识管理 (Hohhot 三（十）);
    鼓励对快递服务车辆实施统一编号和标识管理 (Hezhou 二（三）9);
    依法规范快递服务车辆管理，推动快递服务车辆标准化 (Shaoxing 五);
    鼓励各地对快递服务车辆实施统一编号和统一标识管理 (Yunnan 三（十）);
    研究制定快递服务车辆管理办法，对快递服务车辆实施统一编号和标识管理 (Wulong 二（二）1).

Parameters
    None.

Example
    >>> from streams.wire.events import Fix
    >>> from streams.registry.registry import Subject
    >>> from streams.registry.records import Vehicle
    >>> subject = Subject("v", Vehicle(id="v", plate="蒙A1"), None, (), 0, 1)
    >>> prepare(Parameters(), subject, None)(Fix("e", 1, "v", 111.0, 40.0, plate="蒙A2"), (), subject)
    True
    >>> prepare(Parameters(), subject, None)(Fix("e", 1, "v", 111.0, 40.0, plate="蒙a·1"), (), subject)
    False
    >>> prepare(Parameters(), Subject("v", Vehicle(id="v", marked=False), None, (), 0, 1), None)
    True
"""

from __future__ import annotations

import msgspec

from streams.patterns import Pattern
from streams.plates import plain_plate
from streams.registry.registry import Subject
from streams.rules._predicates import Predicate
from streams.wire.events import Fix

ZONES = "none"
PERMITTED = "none"
TITLE_ZH = "未喷涂统一标识或号牌不符"
ASKS_ZH = "{whom}须有统一标识，上报的号牌须与登记的号牌一致。"
ASKS_EN = "{whom} must bear the unified marking, and the plate that is reported must be the registered one."
REASON_ZH = "车辆 {vehicle_id} 没有统一标识，或号牌与登记不符"
REASON_EN = "vehicle {vehicle_id} lacks the unified marking or shows another plate than the registered one"


class Parameters(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """No keys of its own."""


def prepare(
    parameters: Parameters, subject: Subject, identifier: Pattern | None
) -> bool | Predicate:
    """Constant for an unmarked vehicle; otherwise each reported plate is compared."""
    vehicle = subject.vehicle
    if vehicle is None:
        return False
    if vehicle.marked is False:
        return True
    return _other_plate if vehicle.plate else False


def _differs(fix: Fix, subject: Subject) -> bool:
    registered = subject.vehicle.plate if subject.vehicle else None
    return bool(fix.plate and registered and plain_plate(fix.plate) != plain_plate(registered))


_other_plate = Predicate(lambda fix, inside, subject: _differs(fix, subject), reported=_differs)
