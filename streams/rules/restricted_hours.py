"""Inside a restricted zone outside the permitted hours.

What
    The fix is inside one of ``zones`` at a time in none of the ``permitted`` windows, and no exemption applies.

Clause
    制定出台全市配送车辆通行管理政策,推行夜间配送 (Hohhot 三（十一）);
    合理确定通行区域和时段 (Hezhou 二（三）10);
    完善城市配送车辆通行管理政策，合理确定通行区域和时段 (Shaoxing 五);
    制定出台城市配送车辆标识管理办法、配送车型标准和通行管理政策 (Yunnan 三（十一）);
    优先为重点快递物流企业车辆和新能源车辆、共同配送车辆办理“绿色通行证” (Wulong 二（二）2).

Parameters
    ``zones`` and ``permitted`` are required; ``vehicles`` and ``exempt`` narrow whom it concerns.

Example
    >>> from streams.registry.registry import Subject
    >>> prepare(Parameters(), Subject("v", None, None, (), 0, 1), None)  # zones and windows are the engine's part
    True
"""

from __future__ import annotations

import msgspec

from streams.patterns import Pattern
from streams.registry.registry import Subject

ZONES = "required"
PERMITTED = "required"
TITLE_ZH = "禁行时段驶入限行区域"
ASKS_ZH = "{whom}不得{where}通行{unless}。"
ASKS_EN = "{whom} must not be{where}{unless}."
REASON_ZH = "车辆 {vehicle_id} 在禁行时段进入 {zone_zh}"
REASON_EN = "vehicle {vehicle_id} was in {zone_en} outside the permitted hours"


class Parameters(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """No keys of its own."""


def prepare(parameters: Parameters, subject: Subject, identifier: Pattern | None) -> bool:
    """Being inside is all it takes."""
    return True
