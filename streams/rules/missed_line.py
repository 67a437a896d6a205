"""A day on which no vehicle of a delivery line drove it.

What
    On a local day no vehicle of a line (registry: ``line``) entered all of its zones in their order: there are no accepted fixes
    of one vehicle on that day at times t1 ≤ t2 ≤ …, by time and id, of which the first lies in the first zone, the second in the second,
    and so on; one fix may lie in several. Judged when the watermark has passed the day's end and the lateness; one incident
    for a line and day, which is taken back if fixes that come later still show that it was driven.
    A line counts on a day by its record of the day's beginning, if its city is this one and the pack has all its zones; what the registry says
    of it afterwards changes nothing. A day is judged if the pack is valid when it begins, and if fixes of the city, of whatever vehicle, were
    accepted on the day itself and on one of the seven days before: nobody is blamed for a day of which nothing, or only a part, was received.

Clause
    开通5条物流配送专线，实现城区仓储配送中心至镇街级区域中转站 (Wulong 二（一）3).

Parameters
    ``lines``: ids of the lines; all, if not given.

Example
    >>> entered(0, (0,)), entered(1, (0, 2)), entered(1, (1, 2))
    (1, 1, 3)
"""

from __future__ import annotations

from collections.abc import Collection

import msgspec

TITLE_ZH = "物流配送专线未开行"
ASKS_ZH = "物流配送专线（{lines}）每日须有一辆车依次驶入线路的各区域。"
ASKS_EN = "On every day a vehicle of each delivery line ({lines}) must enter the line's zones in order."
REASON_ZH = "物流配送专线 {line_id} {date} 没有车辆依次驶入 {zones_zh}"
REASON_EN = "on {date} no vehicle of delivery line {line_id} entered, in this order, {zones_en}"


class Parameters(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """``lines``: ids, or None for all."""

    lines: list[str] | None = None

    def __post_init__(self) -> None:
        """``ValueError`` where it names none, or one twice."""
        if self.lines is not None and (not self.lines or len(set(self.lines)) < len(self.lines)):
            raise ValueError("lines names no line, or one twice; leave it out where it means all")


def entered(before: int, places: Collection[int]) -> int:
    """How many of a line's zones have been entered in order, ``before`` of them until a fix in the zones at these places of the line."""
    while before in places:
        before += 1
    return before
