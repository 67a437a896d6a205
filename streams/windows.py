"""Weekly windows of local time, as packs write them (semantics 4)."""

from __future__ import annotations

import re
from datetime import date, timedelta
from zoneinfo import ZoneInfo

import msgspec

from streams.clock import stretches_ms
from streams.errors import nearest

WEEKDAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")


class MinuteOfDay(int):
    """A local time of day in minutes, written ``HH:MM`` up to ``24:00``."""


class Weekdays(frozenset[int]):
    """Days of the week (Monday 0), written ``mon-fri`` or ``sat,sun``."""


class Window(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """A weekly window of local time, half-open, wrapping past midnight when until <= from (semantics 4)."""

    days: Weekdays = Weekdays(range(7))
    from_: MinuteOfDay = msgspec.field(name="from")
    until: MinuteOfDay

    def intervals_ms(self, day: date, timezone: ZoneInfo) -> list[tuple[int, int]]:
        """The instants it covers among those windows that start the day before, on or after ``day``.

        Windows are local times of day: what clocks show decides, so an hour that comes twice may be covered twice.
        """
        found: list[tuple[int, int]] = []
        for ordinal in range(max(1, day.toordinal() - 1), min(date.max.toordinal(), day.toordinal() + 1) + 1):
            start = date.fromordinal(ordinal)
            if start.weekday() in self.days:
                found += self._started_ms(start, timezone)
        return found

    def _started_ms(self, start: date, timezone: ZoneInfo) -> list[tuple[int, int]]:
        """The instants covered by the window that starts on a date: one interval unless clocks are set meanwhile."""
        until = self.until if self.until > self.from_ else self.until + 1440
        parts = stretches_ms(start, self.from_, min(until, 1440), timezone)
        if until > 1440 and start < date.max:
            parts += stretches_ms(start + timedelta(days=1), max(self.from_ - 1440, 0), until - 1440, timezone)
        found: list[tuple[int, int]] = []
        for from_ms, until_ms in parts:
            if found and found[-1][1] == from_ms:
                found[-1] = (found[-1][0], until_ms)
            else:
                found.append((from_ms, until_ms))
        return found


def minute_of_day(text: str) -> MinuteOfDay:
    """Parse ``07:30``; ``ValueError`` says what is accepted.

    >>> minute_of_day("07:30")
    450
    """
    if match := re.fullmatch(r"([01]\d|2[0-3]):([0-5]\d)|(24):(00)", text):
        hour, minute = (int(part) for part in match.groups() if part)
        return MinuteOfDay(hour * 60 + minute)
    raise ValueError(f"time {text!r} is not HH:MM from 00:00 to 24:00")


def weekdays(text: str) -> Weekdays:
    """Parse ``mon-fri`` or ``sat,sun``; ``ValueError`` names the nearest day.

    >>> sorted(weekdays("sat,sun"))
    [5, 6]
    """
    return Weekdays(day for part in text.split(",") for day in _weekday_range(part.strip()))


def _weekday_range(text: str) -> list[int]:
    first, _, last = text.partition("-")
    for word in (first, last or first):
        if word not in WEEKDAYS:
            raise ValueError(f"day {word!r} is not a weekday{nearest(word, WEEKDAYS)}")
    start, end = WEEKDAYS.index(first), WEEKDAYS.index(last or first)
    return [(start + step) % 7 for step in range((end - start) % 7 + 1)]
