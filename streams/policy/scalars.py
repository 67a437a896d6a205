"""The scalar types that packs add to YAML's: durations, times of day, weekdays, dates, days of every year."""

from __future__ import annotations

import re
from typing import Any

from streams.clock import Duration, duration_ms, local_date
from streams.policy.pack import DaysOfYear, LocalDate, PublishedDate
from streams.windows import MinuteOfDay, Weekdays, minute_of_day, weekdays

_DAY = r"((?:0[1-9]|1[0-2])-(?:0[1-9]|1\d|2\d|30(?<!02-30)|31(?<!0[2469]-31)(?<!11-31)))"
"""A month and a day that there is in some year."""


def read_scalar(kind: type, value: Any) -> Any:
    """A value as a scalar type of packs; ``ValueError`` says what is accepted."""
    if kind is Duration:
        return Duration(duration_ms(str(value)))
    if kind is MinuteOfDay:
        return minute_of_day(str(value))
    if kind is Weekdays:
        return weekdays(str(value))
    if kind is LocalDate:
        try:
            day = local_date(str(value))
        except ValueError:
            day = None
        if day is None:
            raise ValueError(f"date {value!r} is not YYYY-MM-DD")
        return LocalDate(day.isoformat())
    if kind is PublishedDate:
        if not re.fullmatch(r"\d{4}(-(0[1-9]|1[0-2])(-(0[1-9]|[12]\d|3[01]))?)?", str(value)):
            raise ValueError(f"date {value!r} is not YYYY, YYYY-MM or YYYY-MM-DD")
        return PublishedDate(value)
    if kind is DaysOfYear:
        bounds = re.fullmatch(rf"{_DAY}(?:…|\.\.\.?|–|/){_DAY}", str(value))
        if bounds is None:
            raise ValueError(f"every_year {value!r} is not MM-DD…MM-DD, such as 11-01…11-20")
        return DaysOfYear("…".join(bounds.groups()))
    raise NotImplementedError(kind)
