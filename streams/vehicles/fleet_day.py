"""What a partition's vehicles have come to on each local day, beside distances: lines driven, stays in loading zones. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

import msgspec

from streams.clock import LocalDays
from streams.vehicles.empty_run import KEPT_MS

KEY = "\x1fday\x1f"
"""The keys of these state records begin with this; no vehicle's id does."""


class Stays(NamedTuple):
    """Stops in a loading zone, and how long vehicles stood there (ms)."""

    stops: int = 0
    occupied_ms: int = 0

    def __add__(self, other: tuple[int, ...]) -> Stays:  # type: ignore[override]
        return Stays(self.stops + other[0], self.occupied_ms + other[1])


class FleetDay(msgspec.Struct, array_like=True):
    """A day on which fixes were accepted: the ids of the lines that were driven, and the stays in each loading zone."""

    lines: list[str] = []
    stays: dict[str, Stays] = {}


class FleetDays:
    """Days by local date; those that changed since they were last ``published``, and since they were last ``stored``."""

    def __init__(self) -> None:
        self.by_date: dict[str, FleetDay] = {}
        self.changed: set[str] = set()
        self.unstored: set[str] = set()

    def of(self, date: str) -> FleetDay:
        """A day, which is known from now on."""
        if date not in self.by_date:
            self.by_date[date] = FleetDay()
            self._note(date)
        return self.by_date[date]

    def has_driven(self, date: str, line_id: str) -> bool:
        """Whether a line was driven on a day."""
        return date in self.by_date and line_id in self.by_date[date].lines

    def drive(self, date: str, line_id: str) -> None:
        """A line was driven."""
        day = self.of(date)
        if line_id not in day.lines:
            day.lines = sorted([*day.lines, line_id])
            self._note(date)

    def stay(self, date: str, zone_id: str, stays: Stays) -> None:
        """So many more stops, and so much longer."""
        day = self.of(date)
        day.stays[zone_id] = day.stays.get(zone_id, Stays()) + stays
        self._note(date)

    def _note(self, date: str) -> None:
        self.changed.add(date)
        self.unstored.add(date)

    def published(self, days: LocalDays, stream_time_ms: int) -> None:
        """What changed has been sent on; days that nothing can change any more are forgotten."""
        self.changed.clear()
        for date in [date for date in self.by_date if days.bounds_ms(date)[1] + KEPT_MS < stream_time_ms]:
            del self.by_date[date]
            self.unstored.add(date)

    def stored(self) -> Iterator[tuple[str, FleetDay | None]]:
        """Keys of state records and the days that changed since the last call; None where one was forgotten."""
        dates, self.unstored = sorted(self.unstored), set()
        yield from ((KEY + date, self.by_date.get(date)) for date in dates)


def lines_driven(parts: Iterable[FleetDay]) -> set[str]:
    """The lines that the vehicles of any partition drove."""
    return {line_id for part in parts for line_id in part.lines}


def stays_in_all(parts: Iterable[FleetDay]) -> dict[str, Stays]:
    """The stays of all partitions, by zone."""
    found: dict[str, Stays] = {}
    for part in parts:
        for zone_id, stays in part.stays.items():
            found[zone_id] = found.get(zone_id, Stays()) + stays
    return found


def lines_row(city: str, date: str, driven: Iterable[str], lines: Mapping[str, Any] | None) -> dict[str, Any]:
    """What ``courier.rates.v1`` says of a day's lines: how many of those that count were driven (``lines``: None where that is not known)."""
    run = set(driven) if lines is None else lines.keys() & set(driven)
    return {"city": city, "enterprise_id": "*", "date": date, "window": f"lines {date}", "lines_run": len(run), "lines": None if lines is None else len(lines)}


def stays_row(city: str, date: str, zone_id: str, stays: Stays) -> dict[str, Any]:
    """What ``courier.rates.v1`` says of a loading zone's day: stops (its turnover), and for how long vehicles stood there, all together (ms)."""
    return {
        "city": city, "enterprise_id": "*", "date": date, "window": f"parking {date} {zone_id}",
        "zone_id": zone_id, "stops": stays.stops, "occupied_ms": stays.occupied_ms,
    }  # fmt: skip
