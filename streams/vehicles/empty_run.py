"""How far vehicles drove: in all, by night, empty, and with a load that is known (semantics 9), by local day. Pure, and exact.

A leg lies between two consecutive fixes of a vehicle, at most five minutes apart, and is driven with the load that the
first of them reports; by night, if both lie between 20:00 and 07:00 local time. It counts for the local date of the second, in whole millimetres, so that sums do not depend on the
order in which they were made; a fix that comes late divides a leg into two.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import numpy as np

from streams.clock import DAY_MS, QUARTER_MS, LocalDays
from streams.counts import share
from streams.fix_batch import StoredFix
from streams.geo import haversine_m
from streams.wire.events import EMPTY

APART_MS = 5 * 60_000
KEPT_MS = 40 * DAY_MS
"""Vehicles that lag behind the others by more than that are not expected."""
WINDOW = "driven"
"""The window of ``courier.rates.v1`` rows about a day's driving is this and the date."""


class Millimetres(NamedTuple):
    """Driven empty, driven with a load that is known, driven by night, and driven at all; states of before hold the first two."""

    empty: int = 0
    known: int = 0
    night: int = 0
    run: int = 0

    def __add__(self, other: tuple[int, ...]) -> Millimetres:  # type: ignore[override]
        return Millimetres(*map(sum, zip(self, other, strict=True)))


def total(parts: Iterable[Millimetres]) -> Millimetres:
    """The sum of several."""
    return sum(parts, Millimetres())


def driven_row(city: str, date: str, empty_run: Millimetres) -> dict[str, Any]:
    """What ``courier.rates.v1`` says of a day's driving (metres; the ratios do not exist where no load is known, or nothing was driven)."""
    return {
        "city": city, "enterprise_id": "*", "date": date, "window": f"{WINDOW} {date}",
        "empty_run_m": empty_run.empty / 1000, "known_run_m": empty_run.known / 1000, "empty_run_ratio": share(empty_run.empty, empty_run.known),
        "night_run_m": empty_run.night / 1000, "run_m": empty_run.run / 1000, "night_run_ratio": share(empty_run.night, empty_run.run),
    }  # fmt: skip


def is_about_driving(row: Mapping[str, Any]) -> bool:
    """Whether a row of ``courier.rates.v1`` is one of these."""
    return str(row.get("window", "")).startswith(WINDOW)


class EmptyRun:
    """Sums by local date, and the dates that have changed since they were last published."""

    def __init__(self, by_date: Mapping[str, Millimetres] | None = None) -> None:
        self.by_date = dict(by_date or {})
        self.changed: set[str] = set()

    def add(self, date: str, empty_run: Millimetres) -> None:
        """So much more on a day."""
        self.by_date[date] = self.by_date.get(date, Millimetres()) + empty_run
        self.changed.add(date)

    def published(self, days: LocalDays, stream_time_ms: int) -> None:
        """What changed has been sent on; days that nothing can change any more are forgotten."""
        self.changed.clear()
        for date in [date for date in self.by_date if days.bounds_ms(date)[1] + KEPT_MS < stream_time_ms]:
            del self.by_date[date]

    def add_leg(self, before: StoredFix, after: StoredFix, days: LocalDays, sign: int = 1) -> None:
        """Enter the leg between two consecutive fixes, or take it back (-1)."""
        if after.event_time_ms - before.event_time_ms <= APART_MS:
            length_mm = sign * round(haversine_m(before.lon, before.lat, after.lon, after.lat) * 1000)
            by_night = days.is_night(before.event_time_ms) and days.is_night(after.event_time_ms)
            driven = Millimetres(length_mm * (before.load == EMPTY), length_mm * (before.load > 0), length_mm * by_night, length_mm)
            self.add(days.date_of(after.event_time_ms), driven)

    def add_legs(
        self, loads: np.ndarray, before: tuple[np.ndarray, np.ndarray], after: tuple[np.ndarray, np.ndarray], times: tuple[np.ndarray, np.ndarray], days: LocalDays
    ) -> None:
        """Enter n legs: loads, positions (lon, lat in degrees) before and after, and their beginnings and ends (ms)."""
        lengths_mm = np.rint(haversine_m(*before, *after) * 1000).astype(np.int64)
        by_night = are_night(times[0], days) & are_night(times[1], days)
        dates, ends = dates_of(times[1], days), times[1]
        of = np.array([days.date_of(ms) for ms in ends.tolist()]) if len(dates) > 1 else np.full(len(ends), dates[0])
        for date in dates:
            mm, there = lengths_mm, of == date
            self.add(date, Millimetres(*(int(mm[there & which].sum()) for which in (loads == EMPTY, loads > 0, by_night, there))))


def dates_of(times: np.ndarray, days: LocalDays) -> list[str]:
    """The local dates of n instants, each once."""
    if not times.size:
        return []
    first, last = days.date_of(int(times.min())), days.date_of(int(times.max()))
    return [first] if first == last else sorted({days.date_of(ms) for ms in times.tolist()})


def are_night(times: np.ndarray, days: LocalDays) -> np.ndarray:
    """Which of n instants lie at night."""
    first, last = int(times.min()) // QUARTER_MS, int(times.max()) // QUARTER_MS
    if first == last:
        return np.full(len(times), days.is_night(int(times[0])))
    quarters, place = np.unique(times // QUARTER_MS, return_inverse=True)
    return np.array([days.is_night(quarter * QUARTER_MS) for quarter in quarters.tolist()])[place]
