"""The scalar types that packs add to those of all our YAML files: dates, days of every year."""

from __future__ import annotations

import re
from datetime import date
from typing import Any

from streams.clock import local_date
from streams.files import typed_yaml
from streams.policy.dates import Bound, DaysOfYear, LocalDate, PublishedDate

_DAY = r"((?:0[1-9]|1[0-2])-(?:0[1-9]|1\d|2\d|30(?<!02-30)|31(?<!0[2469]-31)(?<!11-31)))"
"""A month and a day that there is in some year."""


def read_scalar(kind: type, value: Any) -> Any:
    """A value as a scalar type of packs; ``ValueError`` says what is accepted."""
    if kind is LocalDate:
        day = _day(str(value))
        if day is None:
            raise ValueError(f"date {value!r} is not YYYY-MM-DD")
        return LocalDate(day.isoformat())
    if kind is PublishedDate:
        if re.fullmatch(r"(?!0000)[0-9]{4}(-(0[1-9]|1[0-2]))?", str(value)):
            return PublishedDate(value)
        day = _day(str(value))
        if day is None:
            raise ValueError(f"date {value!r} is not YYYY, YYYY-MM or YYYY-MM-DD")
        return PublishedDate(day.isoformat())
    if kind is Bound:
        return _bound(value)
    if kind is DaysOfYear:
        bounds = re.fullmatch(rf"{_DAY}(?:…|\.\.\.?|–|/){_DAY}", str(value))
        if bounds is None:
            raise ValueError(f"every_year {value!r} is not MM-DD…MM-DD, such as 11-01…11-20")
        return DaysOfYear("…".join(bounds.groups()))
    return typed_yaml.read_scalar(kind, value)


def _day(text: str) -> date | None:
    """The date that a text is, in any of the forms in use; None where the calendar has none such."""
    try:
        return local_date(text)
    except ValueError:
        return None


def _bound(value: Any) -> Bound:
    """The bound with its date written ``YYYY-MM-DD``; what is no date is left for the check that names its key."""
    if not isinstance(value, str):
        raise TypeError("a list or a mapping is no date; write it as in 2019-11-01")
    given, *time = re.split("[Tt ]", value.strip(), maxsplit=1)
    day = _day(given)
    return Bound("T".join([day.isoformat(), *map(str.strip, time)]) if day else value)
