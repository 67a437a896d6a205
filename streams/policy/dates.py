"""Dates as packs write them: local dates, as much of one as is known, days of every year."""

from __future__ import annotations

import calendar
from collections.abc import Iterator
from datetime import date

import msgspec


class LocalDate(str):
    """A local date ``YYYY-MM-DD``."""

    __slots__ = ()


class Bound(str):
    """When the validity of a pack begins or ends: a local date ``YYYY-MM-DD``, or an instant (``YYYY-MM-DDThh:mm``, local where it names no offset)."""

    __slots__ = ()


class PublishedDate(str):
    """A local date, or only as much of it as is known: ``YYYY``, ``YYYY-MM``, ``YYYY-MM-DD``."""

    __slots__ = ()


class DaysOfYear(str):
    """Days of any year ``MM-DD…MM-DD``, both included."""

    __slots__ = ()


class DateRange(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """Local dates, both included: ``from`` and ``until``, or the same days of ``every_year``, which may go beyond the new year (``12-20…01-05``)."""

    from_: LocalDate | None = msgspec.field(name="from", default=None)
    until: LocalDate | None = None
    every_year: DaysOfYear | None = None

    def __post_init__(self) -> None:
        """``ValueError`` where it is neither, or both."""
        if (self.from_ is None) is not (self.until is None) or (self.from_ is None) is (self.every_year is None):
            raise ValueError("a calendar has dates from and until, or the same days of every_year")

    def days(self, around: date) -> Iterator[tuple[date, date]]:
        """First and last day; of those of every year the ones that are nearest to a date. 29 February is the 28th where there is none."""
        if self.from_ and self.until:
            yield date.fromisoformat(self.from_), date.fromisoformat(self.until)
        if self.every_year:
            first, last = self.every_year.split("…")
            for year in range(max(around.year - 1, date.min.year), min(around.year + 1, date.max.year - 1) + 1):
                yield _day_of(year, first), _day_of(year + (last < first), last)


def _day_of(year: int, text: str) -> date:
    month, day = map(int, text.split("-"))
    return date(year, month, min(day, calendar.monthrange(year, month)[1]))
