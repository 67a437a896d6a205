"""Faster than the limit of a class or a zone.

What
    ``speed_kmh`` is above ``limit_kmh``, inside one of ``zones`` where they are given. A fix without speed violates nothing.

Clause
    加强对快递服务车辆驾驶人交通安全教育 (Hohhot 三（十）, Hezhou 二（三）9);
    加强对快递服务车辆驾驶人员交通安全教育 (Shaoxing 五).
    YZ/T 0136-2014 limits electric express tricycles to 15 km/h.

Parameters
    ``limit_kmh`` is required; ``zones``, ``vehicles``, ``permitted``.

Example
    >>> from streams.wire.events import Fix
    >>> from streams.registry.registry import Subject
    >>> speeds = prepare(Parameters(limit_kmh=15), Subject("v", None, None, (), 0, 1), None)
    >>> speeds(Fix("e", 1, "v", 111.0, 40.0, speed_kmh=15.1), (), None), speeds(Fix("e", 1, "v", 111.0, 40.0, speed_kmh=15.0), (), None)
    (True, False)
"""

from __future__ import annotations

import msgspec

from streams.patterns import Pattern
from streams.registry.registry import Subject
from streams.rules._predicates import Predicate, faster

ZONES = "optional"
PERMITTED = "optional"
TITLE_ZH = "超速"
ASKS_ZH = "{whom}{where}行驶，车速不得超过{limit_kmh}{unless}。"
ASKS_EN = "{whom} must not drive faster than {limit_kmh}{where}{unless}."
REASON_ZH = "车辆 {vehicle_id} {place_zh}超速，最高 {speed_kmh} 公里/小时"
REASON_EN = "vehicle {vehicle_id} was speeding{place_en}, up to {speed_kmh} km/h"


class Parameters(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """``limit_kmh`` in km/h."""

    limit_kmh: float


def prepare(parameters: Parameters, subject: Subject, identifier: Pattern | None) -> Predicate:
    """Above the limit or not."""
    return faster(parameters.limit_kmh)
