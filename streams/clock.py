"""Local time: dates, times of day and durations around integer milliseconds since 1970-01-01 UTC (semantics 1)."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, time, timedelta
from functools import cache, lru_cache
from time import time_ns
from zoneinfo import ZoneInfo

BEGINNING_MS = -(2**62)
END_MS = 2**62
MINUTE_MS = 60_000
QUARTER_MS = 15 * MINUTE_MS
"""Local hours begin with one of these, in every timezone."""
HOUR_MS = 60 * MINUTE_MS
DAY_MS = 1_440 * MINUTE_MS
DAY_HOURS = (7, 20)
"""The rest is night (推行夜间配送: Hohhot 三（十一）); the document gives no hours, these are ours, as ``key_figures.READINGS`` says."""
_EPOCH = date(1970, 1, 1)
_FIRST_MS, _LAST_MS = ((day.toordinal() - _EPOCH.toordinal()) * DAY_MS for day in (date(1, 1, 2), date.max))
"""Instants that have a date in every timezone."""
LONGEST_DURATION_MS = 36_600 * DAY_MS
_UNIT_MS = {"ms": 1, "s": 1_000, "m": MINUTE_MS, "h": HOUR_MS, "d": DAY_MS}


class Duration(int):
    """Milliseconds, written in a pack as ``90s``, ``10m`` or ``1h``."""


def now_ms() -> int:
    """The clock of this machine."""
    return time_ns() // 1_000_000


def duration_ms(text: str) -> int:
    """Parse ``90s``, ``2m``, ``1h30m`` into milliseconds; ``ValueError`` says what is accepted.

    >>> duration_ms("1h30m")
    5400000
    """
    parts = re.findall(r"(\d+(?:\.\d+)?)(ms|s|m|h|d)", text)
    if not parts or "".join(n + u for n, u in parts) != text:
        raise ValueError(f"duration {text!r} is not a number with ms, s, m, h or d, such as 90s, 10m or 1h30m")
    length_ms = sum(float(n) * _UNIT_MS[u] for n, u in parts)
    if length_ms > LONGEST_DURATION_MS:
        raise ValueError(f"duration {text!r} is longer than a hundred years")
    return round(length_ms)


def instant_ms(day: date, minute_of_day: int, timezone: ZoneInfo) -> int:
    """First instant (ms) of a local day plus so many minutes of local time; 24*60 is the next day's start."""
    extra_days, minute = divmod(minute_of_day, 1440)
    if day.toordinal() + extra_days > date.max.toordinal():  # the year 9999 ends like any other
        return instant_ms(day, 0, timezone) + minute_of_day * MINUTE_MS
    local = datetime.combine(day + timedelta(days=extra_days), time(minute // 60, minute % 60), timezone)
    return int(local.timestamp() * 1000)


def stretches_ms(day: date, from_minute: int, until_minute: int, timezone: ZoneInfo) -> list[tuple[int, int]]:
    """The instants ``[from, until)`` at which clocks show this local date and a time of day from one minute to another.

    One stretch; two where an hour comes twice, none where it is left out (semantics 4).
    """
    midnight_ms = (day.toordinal() - _EPOCH.toordinal()) * DAY_MS
    found = []
    for start_ms, end_ms, ahead_ms in _offsets(day, timezone):
        from_ms = max(start_ms, midnight_ms + from_minute * MINUTE_MS - ahead_ms)
        until_ms = min(end_ms, midnight_ms + until_minute * MINUTE_MS - ahead_ms)
        if from_ms < until_ms:
            found.append((from_ms, until_ms))
    return found


@lru_cache(maxsize=4096)
def _offsets(day: date, timezone: ZoneInfo) -> tuple[tuple[int, int, int], ...]:
    """From when until when (ms) in a local day its clocks are how far ahead of UTC (ms); clocks are set once a day at most."""
    start_ms, end_ms = instant_ms(day, 0, timezone), instant_ms(day, 1440, timezone)
    if start_ms >= end_ms:  # a date that was left out when a country changed sides
        return ()
    before, after = _ahead_ms(start_ms, timezone), _ahead_ms(end_ms - 1, timezone)
    if before == after:
        return ((start_ms, end_ms, before),)
    low_ms, high_ms = start_ms, end_ms - 1
    while high_ms - low_ms > 1:
        middle_ms = (low_ms + high_ms) // 2
        low_ms, high_ms = (middle_ms, high_ms) if _ahead_ms(middle_ms, timezone) == before else (low_ms, middle_ms)
    return (start_ms, high_ms, before), (high_ms, end_ms, after)


def _ahead_ms(event_time_ms: int, timezone: ZoneInfo) -> int:
    offset = local_datetime(event_time_ms, timezone).utcoffset()
    assert offset is not None
    return round(offset.total_seconds() * 1000)


_DATE = re.compile(r"(\d{4})(?:([-/.])(\d{1,2})\2(\d{1,2})|年(\d{1,2})月(\d{1,2})日|(\d{2})(\d{2}))", re.ASCII)
"""A date as people and their programs write it, year first: 2024-05-07, 2024/5/7, 2024.5.7, 20240507, 2024年5月7日."""


def local_date(text: str) -> date | None:
    """The date that a text is, in any of the forms in use; None where it is something else.

    >>> local_date("20240507"), local_date("2024-05-07T00:00")
    (datetime.date(2024, 5, 7), None)
    """
    match = _DATE.fullmatch(text.strip())
    return _as_date(match) if match else None


def _as_date(match: re.Match[str]) -> date:
    year, month, day = (int(part) for part in match.groups() if part and part.isdigit())
    return date(year, month, day)


def is_local_date(text: str) -> bool:
    """Whether a text is the local date (``YYYY-MM-DD``) of an instant that a record may have.

    >>> [is_local_date(text) for text in ("2026-11-30", "2026-11-31", "20261130", "1999-12-31")]
    [True, False, False, False]
    """
    try:
        return date.fromisoformat(text).isoformat() == text and "2000" <= text < "6429"
    except ValueError:
        return False


def bound_ms(text: str, timezone: ZoneInfo, *, end: bool) -> int:
    """A validity bound in ms: a bare date is a whole local day (``end``: until its end), else an ISO instant."""
    text = text.strip()
    try:
        if day := local_date(text):
            return instant_ms(day, 1440 if end else 0, timezone)
        match = _DATE.match(text)
        if match is None or text[match.end() : match.end() + 1] not in {"T", "t", " "}:
            raise ValueError(text)
        local = datetime.combine(_as_date(match), time.fromisoformat(text[match.end() + 1 :].strip()))
    except ValueError:
        raise ValueError(f"{text!r} is neither a date such as 2019-11-01 nor an instant such as 2019-11-01T08:00:00+08:00") from None
    return int((local if local.tzinfo else local.replace(tzinfo=timezone)).timestamp() * 1000)


class LocalDays:
    """Turns instants into local dates of one timezone, remembering quarter hours already seen."""

    def __init__(self, timezone: ZoneInfo) -> None:
        self.timezone = timezone
        self._seen: dict[int, tuple[str, int]] = {}

    def date_of(self, event_time_ms: int) -> str:
        """The local date ``YYYY-MM-DD`` of an instant."""
        return (self._seen.get(event_time_ms // QUARTER_MS) or self._look(event_time_ms))[0]

    def hour_of(self, event_time_ms: int) -> int:
        """The local hour of an instant, from 0 to 23."""
        return (self._seen.get(event_time_ms // QUARTER_MS) or self._look(event_time_ms))[1]

    def is_night(self, event_time_ms: int) -> bool:
        """Whether an instant lies at night: between 20:00 and 07:00 local time."""
        return not DAY_HOURS[0] <= self.hour_of(event_time_ms) < DAY_HOURS[1]

    def _look(self, event_time_ms: int) -> tuple[str, int]:
        """The local date and hour of an instant, remembered for its quarter hour."""
        if len(self._seen) > 100_000:
            self._seen.clear()
        local = local_datetime(event_time_ms, self.timezone)
        found = self._seen[event_time_ms // QUARTER_MS] = local.date().isoformat(), local.hour
        return found

    def bounds_ms(self, day: str) -> tuple[int, int]:
        """First instant of a local date (or month, ``YYYY-MM``) and of the next."""
        return _bounds_ms(day, self.timezone)


@cache
def _bounds_ms(day: str, timezone: ZoneInfo) -> tuple[int, int]:
    if len(day) == len("YYYY-MM"):
        return instant_ms(date.fromisoformat(f"{day}-01"), 0, timezone), instant_ms(date.fromisoformat(f"{month_after(day)}-01"), 0, timezone)
    local = date.fromisoformat(day)
    return instant_ms(local, 0, timezone), instant_ms(local, 1440, timezone)


def month_after(month: str, number: int = 1) -> str:
    """The month (``YYYY-MM``) so many after another.

    >>> month_after("2026-12"), month_after("2026-01", -1)
    ('2027-01', '2025-12')
    """
    years, months = divmod(int(month[:4]) * 12 + int(month[5:7]) - 1 + number, 12)
    return f"{years:04}-{months + 1:02}"


def local_datetime(event_time_ms: int, timezone: ZoneInfo) -> datetime:
    """The instant as a local date and time; where calendars end (the years 1 and 9999), their first or last day."""
    within_ms = min(max(event_time_ms, _FIRST_MS), _LAST_MS)
    return (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=within_ms)).astimezone(timezone)
