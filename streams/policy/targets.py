"""How a figure stands to its target on a local day: the report and the console say it alike. Pure."""

from __future__ import annotations

from typing import Literal

from streams.policy.pack import Target
from streams.words.basis import Words

Status = Literal["met", "missed", "not_due", "undated", "no_target", "unknown"]
"""``not_due`` before the target's date, ``undated`` where it has none (never missed), ``unknown`` where nobody reports."""
STATUS_WORDS: dict[str, Words] = {
    "met": Words("达标", "met"),
    "missed": Words("未达标", "missed"),
    "not_due": Words("未到期", "not yet due"),
    "undated": Words("未达，未定期限", "below, no date set"),
    "no_target": Words("未设目标", "no target"),
    "unknown": Words("无数据", "not reported"),
}
LOWER_IS_BETTER = frozenset({"empty_run_ratio"})
"""Measures whose target is met from above."""


def status(measure: str, value: float | None, target: Target | None, day: str) -> Status:
    """How a value stands to its target on a local date (``YYYY-MM-DD``).

    >>> [status("locker_cells", 9.0, Target(value=10, source="operator", by="2019-12-31"), day) for day in ("2019-12-30", "2019-12-31")]
    ['not_due', 'missed']
    >>> status("locker_cells", 9.0, Target(value=10, source="operator"), "2030-01-01")
    'undated'
    """
    if target is None:
        return "no_target"
    if value is None:
        return "unknown"
    if reached(measure, value, target.value):
        return "met"
    if target.by is None:
        return "undated"
    return "missed" if target.is_due(day) else "not_due"


def reached(measure: str, value: float, target: float) -> bool:
    """Whether a value is on the good side of its target."""
    return value <= target if measure in LOWER_IS_BETTER else value >= target
