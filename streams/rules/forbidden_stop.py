"""Stopped where, or when, stopping is not allowed.

What
    The fix is inside one of ``zones`` and stopped (``speed_kmh`` <= ``stopped_below_kmh``) at a time in none of the
    ``permitted`` windows (none given: always).

Clause
    根据不同路段确定允许临时停车时段、时长、车辆类型 (Yunnan 三（十一）);
    允许其在不影响交通安全和畅通的情况下，可以在除城市快速路、主干道以外道路临时停靠装卸快件 (Wulong 二（二）2).

Parameters
    ``zones`` is required; ``permitted``; ``stopped_below_kmh`` (1.0).

Example
    >>> from streams.wire.events import Fix
    >>> from streams.registry.registry import Subject
    >>> stands = prepare(Parameters(), Subject("v", None, None, (), 0, 1), None)
    >>> stands(Fix("e", 1, "v", 107.7, 29.3, speed_kmh=0.0), ("main-road",), None)
    True
    >>> stands(Fix("e", 1, "v", 107.7, 29.3), ("main-road",), None)  # no speed: not known to stand still
    False
"""

from __future__ import annotations

import msgspec

from streams.patterns import Pattern
from streams.registry.registry import Subject
from streams.rules._predicates import Predicate, stopped

ZONES = "required"
PERMITTED = "optional"
TITLE_ZH = "违规停车"
ASKS_ZH = "{whom}不得{where}停车{unless}。"
ASKS_EN = "{whom} must not stop{where}{unless}."
REASON_ZH = "车辆 {vehicle_id} 在{zone_zh}违规停车"
REASON_EN = "vehicle {vehicle_id} stopped in {zone_en} where or when that is not allowed"


class Parameters(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """``stopped_below_kmh`` in km/h."""

    stopped_below_kmh: float = 1.0


def prepare(parameters: Parameters, subject: Subject, identifier: Pattern | None) -> Predicate:
    """Stopped or not."""
    return stopped(parameters.stopped_below_kmh)
