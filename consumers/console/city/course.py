"""How the rates of the newest local day went, minute by minute, of the city and of each enterprise, and the incidents opened meanwhile. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any

from streams.clock import MINUTE_MS, LocalDays

FEATURES = ("electronic", "green")
"""The rates that have a course, and stand above every page."""
MOST_ENTERPRISES = 1_000
BIN_MINUTES = 10
"""Incidents are counted over so many minutes."""
NO_COURSE = {"zh": "今天还没有按分钟的数据。", "en": "Nothing is known by the minute yet today."}
NO_MINUTES = {"zh": "回放的数据只含每日结果，因此没有按分钟的曲线。", "en": "A recorded day holds each day's result alone, so there is no curve by the minute."}


class DayCourse:
    """The share of the day's parcels as it stood at each minute, of the newest day of which rows came."""

    def __init__(self) -> None:
        self.date = ""
        self._shares: dict[str, dict[int, tuple[float | None, ...]]] = {}

    def enter(self, row: Mapping[str, Any], at_ms: int, days: LocalDays) -> None:
        """Take over a day's row of rates as of an instant (ms); one that is not of that day says nothing of its course."""
        if row["date"] != days.date_of(at_ms) or row["date"] < self.date:
            return
        if row["date"] > self.date:
            self.date = row["date"]
            self._shares.clear()
        if row["enterprise_id"] in self._shares or len(self._shares) < MOST_ENTERPRISES:
            minute = (at_ms - days.bounds_ms(self.date)[0]) // MINUTE_MS
            self._shares.setdefault(row["enterprise_id"], {})[minute] = tuple(row.get(f"{feature}_rate") for feature in FEATURES)

    def of(self, enterprise_id: str, row: Mapping[str, Any], opened: Callable[[int, int], Mapping[int, int]], days: LocalDays) -> dict[str, Any] | None:
        """One enterprise's (``*``: the city's) course: minutes of the day and shares, the forecasts of its newest ``row``, and how many incidents were opened in each ten minutes.

        ``opened``: how many were opened at which instants (ms) between two.
        """
        known = self._shares.get(enterprise_id)
        if not known:
            return None
        from_ms, until_ms = days.bounds_ms(self.date)
        minutes, bins = sorted(known), Counter[int]()
        for at_ms, number in opened(from_ms, until_ms).items():
            bins[(at_ms - from_ms) // MINUTE_MS // BIN_MINUTES * BIN_MINUTES] += number
        return {
            "enterprise_id": enterprise_id, "date": self.date, "day_minutes": (until_ms - from_ms) // MINUTE_MS, "minutes": minutes,
            "rates": {feature: [known[minute][place] for minute in minutes] for place, feature in enumerate(FEATURES)},
            "forecast": {feature: row.get(f"{feature}_forecast") for feature in FEATURES}, "incidents": sorted((+bins).items()), "bin_minutes": BIN_MINUTES,
        }  # fmt: skip
