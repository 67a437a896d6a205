"""A permitted temporary stop that lasts longer than its limit.

What
    The fix is inside one of ``zones`` and stopped (``speed_kmh`` <= ``stopped_below_kmh``; a fix without speed is not
    known to stand still). It is an incident when the run lasts longer than ``limit``.

Clause
    推广分时停车、错时停车,进一步提高停车设施利用率 (Hohhot 三（十一）);
    引导分时、错时停车，进一步提高停车设施利用率 (Hezhou 二（三）10);
    推广分时停车、错时停车等措施，进一步提高停车设施利用率 (Shaoxing 五);
    根据不同路段确定允许临时停车时段、时长、车辆类型 (Yunnan 三（十一）);
    推广分时停车、错时停车，进一步提高停车设施利用率 (Yunnan 三（十一）);
    合理规划设置快递配送车辆临时停车位 (Wulong 二（二）2).

Parameters
    ``zones`` and ``limit`` are required; ``stopped_below_kmh`` (1.0).

Example
    >>> from streams.wire.events import Fix
    >>> from streams.registry.registry import Subject
    >>> stands = prepare(Parameters(limit=Duration(600_000)), Subject("v", None, None, (), 0, 1), None)
    >>> stands(Fix("e", 1, "v", 111.0, 40.0, speed_kmh=0.4), ("yard",), None)
    True
    >>> minimum_ms(Parameters(limit=Duration(600_000)))  # strictly longer than ten minutes
    600001
"""

from __future__ import annotations

import msgspec

from streams.clock import Duration
from streams.patterns import Pattern
from streams.registry.registry import Subject
from streams.rules._predicates import Predicate, stopped

ZONES = "required"
PERMITTED = "optional"
TITLE_ZH = "临时停靠超时"
ASKS_ZH = "{whom}{where}临时停靠，每次不得超过{limit}{unless}。"
ASKS_EN = "{whom} must not stop for more than {limit} at a time{where}{unless}."
REASON_ZH = "车辆 {vehicle_id} 在 {zone_zh} 停靠 {minutes} 分钟，超过限时"
REASON_EN = "vehicle {vehicle_id} stood in {zone_en} for {minutes} min, longer than allowed"


class Parameters(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """``limit`` as a duration, ``stopped_below_kmh`` in km/h."""

    limit: Duration
    stopped_below_kmh: float = 1.0


def minimum_ms(parameters: Parameters) -> int:
    """Longer than the limit, in whole milliseconds."""
    return parameters.limit + 1


def prepare(
    parameters: Parameters, subject: Subject, identifier: Pattern | None
) -> Predicate:
    """Stopped or not."""
    return stopped(parameters.stopped_below_kmh)
