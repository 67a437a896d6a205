"""A vehicle without a unified number on file, or whose number is not in force.

What
    There is no valid ``vehicle`` record for the fix's ``vehicle_id`` at its time, or its status is not ``active``.

Clause
    制定全市快递服务车辆规范管理办法,对快递服务车辆实施统一编号和标识管理 (Hohhot 三（十）);
    鼓励对快递服务车辆实施统一编号和标识管理 (Hezhou 二（三）9);
    依法规范快递服务车辆管理，推动快递服务车辆标准化 (Shaoxing 五);
    鼓励各地对快递服务车辆实施统一编号和统一标识管理 (Yunnan 三（十）);
    研究制定快递服务车辆管理办法，对快递服务车辆实施统一编号和标识管理 (Wulong 二（二）1).

Parameters
    None.

Example
    >>> from streams.registry.registry import Subject
    >>> from streams.registry.records import Vehicle
    >>> scrapped = Vehicle(id="HH-00001", status="scrapped")
    >>> prepare(Parameters(), Subject("HH-00001", scrapped, None, (), 0, 1), None)
    True
    >>> prepare(Parameters(), Subject("HH-00001", Vehicle(id="HH-00001"), None, (), 0, 1), None)
    False
"""

from __future__ import annotations

import msgspec

from streams.patterns import Pattern
from streams.registry.registry import Subject

ZONES = "none"
PERMITTED = "none"
TITLE_ZH = "车辆没有有效登记"
ASKS_ZH = "{whom}须登记在册，登记须在有效期内，车辆须处于在用状态。"
ASKS_EN = "{whom} must be on the register, with a record that is valid and whose status is active."
REASON_ZH = "车辆 {vehicle_id} 没有有效的登记"
REASON_EN = "vehicle {vehicle_id} is not validly registered"


class Parameters(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """No keys of its own."""


def prepare(parameters: Parameters, subject: Subject, identifier: Pattern | None) -> bool:
    """Every fix violates, or none does, for as long as the record stays the same."""
    return subject.vehicle is None or subject.vehicle.status != "active"
