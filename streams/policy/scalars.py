"""The scalar types that packs add to those of all our YAML files: dates, days of every year."""

from __future__ import annotations

import re
from typing import Any

from streams.clock import local_date
from streams.files import typed_yaml
from streams.policy.dates import DaysOfYear, LocalDate, PublishedDate

_DAY = r"((?:0[1-9]|1[0-2])-(?:0[1-9]|1\d|2\d|30(?<!02-30)|31(?<!0[2469]-31)(?<!11-31)))"
"""A month and a day that there is in some year."""


def read_scalar(kind: type, value: Any) -> Any:
    """A value as a scalar type of packs; ``ValueError`` says what is accepted."""
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
    return typed_yaml.read_scalar(kind, value)
