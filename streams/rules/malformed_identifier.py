"""A vehicle number that does not follow the city's scheme.

What
    The fix's ``vehicle_id`` does not fully match the pack's ``identifier.pattern``.

Clause
    对快递服务车辆实施统一编号和标识管理 (Hohhot 三（十）, Wulong 二（二）1);
    鼓励对快递服务车辆实施统一编号和标识管理 (Hezhou 二（三）9);
    依法规范快递服务车辆管理，推动快递服务车辆标准化 (Shaoxing 五);
    鼓励各地对快递服务车辆实施统一编号和统一标识管理 (Yunnan 三（十）).

Parameters
    None; the scheme is the pack's ``identifier.pattern``.

Example
    >>> from streams.patterns import compile_pattern
    >>> from streams.registry.registry import Subject
    >>> identifier = compile_pattern("HH-[0-9]{5}")
    >>> prepare(Parameters(), Subject("HH-12", None, None, (), 0, 1), identifier)
    True
    >>> prepare(Parameters(), Subject("HH-00012", None, None, (), 0, 1), identifier)
    False
"""

from __future__ import annotations

import msgspec

from streams.patterns import Pattern
from streams.registry.registry import Subject

ZONES = "none"
PERMITTED = "none"
TITLE_ZH = "编号不符合规则"
ASKS_ZH = "{whom}的编号须符合{identifier}。"
ASKS_EN = "The numbers of {whom} must follow {identifier}."
REASON_ZH = "车辆编号 {vehicle_id} 不符合统一编号规则"
REASON_EN = "identifier {vehicle_id} does not follow the city's numbering scheme"


class Parameters(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """No keys of its own."""


def prepare(parameters: Parameters, subject: Subject, identifier: Pattern | None) -> bool:
    """Every fix violates, or none does."""
    return identifier is not None and identifier.fullmatch(subject.vehicle_id) is None
