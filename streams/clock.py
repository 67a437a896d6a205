"""Local time: dates, times of day and durations around integer milliseconds since 1970-01-01 UTC (semantics 1)."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, time, timedelta
from functools import cache
from zoneinfo import ZoneInfo

BEGINNING_MS = -(2**62)
END_MS = 2**62
MINUTE_MS = 60_000
DAY_MS = 1_440 * MINUTE_MS
_UNIT_MS = {"ms": 1, "s": 1_000, "m": MINUTE_MS, "h": 3_600_000, "d": 86_400_000}


class Duration(int):
    """Milliseconds, written in a pack as ``90s``, ``10m`` or ``1h``."""


def duration_ms(text: str) -> int:
    """Parse ``90s``, ``2m``, ``1h30m`` into milliseconds; ``ValueError`` says what is accepted.

    >>> duration_ms("1h30m")
    5400000
    """
    parts = re.findall(r"(\d+(?:\.\d+)?)(ms|s|m|h|d)", text)
    if not parts or "".join(n + u for n, u in parts) != text:
        raise ValueError(f"duration {text!r} is not a number with ms, s, m, h or d, such as 90s, 10m or 1h30m")
    return round(sum(float(n) * _UNIT_MS[u] for n, u in parts))


def instant_ms(day: date, minute_of_day: int, timezone: ZoneInfo) -> int:
    """First instant (ms) of a local day plus so many minutes of local time; 24*60 is the next day's start."""
    extra_days, minute = divmod(minute_of_day, 1440)
    local = datetime.combine(day + timedelta(days=extra_days), time(minute // 60, minute % 60), timezone)
    return int(local.timestamp() * 1000)


def bound_ms(text: str, timezone: ZoneInfo, *, end: bool) -> int:
    """A validity bound in ms: a bare date is a whole local day (``end``: until its end), else an ISO instant."""
    try:
        if len(text) == 10:
            return instant_ms(date.fromisoformat(text), 1440 if end else 0, timezone)
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise ValueError(f"{text!r} is neither a date such as 2019-11-01 nor an instant such as 2019-11-01T08:00:00+08:00") from None
    return int((moment if moment.tzinfo else moment.replace(tzinfo=timezone)).timestamp() * 1000)


class LocalDays:
    """Turns instants into local dates of one timezone, remembering quarter hours already seen."""

    def __init__(self, timezone: ZoneInfo) -> None:
        self.timezone = timezone
        self._seen: dict[int, str] = {}

    def date_of(self, event_time_ms: int) -> str:
        """The local date ``YYYY-MM-DD`` of an instant."""
        quarter = event_time_ms // 900_000
        day = self._seen.get(quarter)
        if day is None:
            if len(self._seen) > 100_000:
                self._seen.clear()
            day = self._seen[quarter] = local_datetime(event_time_ms, self.timezone).date().isoformat()
        return day

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
    """The instant as a local date and time."""
    return (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=event_time_ms)).astimezone(timezone)
