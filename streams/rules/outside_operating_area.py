"""Outside the area in which a courier vehicle may operate.

What
    The fix is inside none of ``zones``. The incident has no zone.

Clause
    合理确定通行区域和时段 (Hezhou 二（三）10);
    合理确定通行区域和时段，对快递服务车辆给予通行便利 (Shaoxing 五).

Parameters
    ``zones`` is required; ``permitted`` windows, ``vehicles`` and ``exempt`` narrow whom and when it concerns.

Example
    >>> from streams.registry.registry import Subject
    >>> prepare(Parameters(), Subject("v", None, None, (), 0, 1), None)  # zones are the engine's part
    True
"""

from __future__ import annotations

import msgspec

from streams.patterns import Pattern
from streams.registry.registry import Subject

ZONES = "outside"
PERMITTED = "optional"
TITLE_ZH = "驶出通行区域"
ASKS_ZH = "{whom}不得驶出{zones}{unless}。"
ASKS_EN = "{whom} must not leave {zones}{unless}."
REASON_ZH = "车辆 {vehicle_id} 驶出允许通行区域"
REASON_EN = "vehicle {vehicle_id} left its operating area"


class Parameters(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """No keys of its own."""


def prepare(parameters: Parameters, subject: Subject, identifier: Pattern | None) -> bool:
    """Being outside is all it takes."""
    return True
