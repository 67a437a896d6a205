"""What was injected into synthetic traffic, written down as it was made: what judging must find, and nothing else.

Dates and ways are reckoned here in their own words: what is compared must not come from what it is compared with.
"""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import msgspec

EARTH_RADIUS_MM = 6_371_008_800.0

DAY_HOURS = (7, 20)
"""All other local hours are night."""


def local_time(event_time_ms: int, timezone: ZoneInfo) -> datetime:
    """An instant by the clocks of a place."""
    return (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=event_time_ms)).astimezone(timezone)


def local_date(event_time_ms: int, timezone: ZoneInfo) -> str:
    """Its date there, ``YYYY-MM-DD``."""
    return local_time(event_time_ms, timezone).date().isoformat()


def way_mm(lon: float, lat: float, to_lon: float, to_lat: float) -> int:
    """The great circle between two WGS-84 places in degrees, in whole millimetres.

    >>> way_mm(111.65, 40.82, 111.65, 40.83)
    1111951
    """
    south, north = math.radians(lat), math.radians(to_lat)
    half = math.sin((north - south) / 2) ** 2 + math.cos(south) * math.cos(north) * math.sin(math.radians(to_lon - lon) / 2) ** 2
    return round(2 * EARTH_RADIUS_MM * math.asin(math.sqrt(half)))


class TrueIncident(msgspec.Struct):
    """One incident that must be found, and no other."""

    rule_id: str
    vehicle_id: str
    zone_id: str | None
    opened_at_ms: int
    last_seen_ms: int
    fix_count: int
    driver_id: str | None = None


class Truth(msgspec.Struct):
    """What was injected: incidents of vehicles, counts by (city, enterprise or ``*``, date), low-rate days, skipped rules.

    ``violations``: what scans have against outlets and enterprises, by rule id, subject and date: first and last scan, and how many.
    ``handled``: how parcels went and were delivered, by city/enterprise/date and by name as in rows of rates; ``in 5 h``: delivered after so many whole hours.
    ``driven``: by local date, how far vehicles drove: empty, with a load that is known, by night, and at all (mm). ``missed_lines``: delivery lines that
    nobody drove on a day: rule id, line, date.
    ``intervals``: silences and times on the black list: rule id, subject, from when, until when (ms; None: to the end). ``driver_points``: what incidents cost their drivers.
    """

    incidents: list[TrueIncident] = []
    rates: dict[str, tuple[int, int, int]] = {}
    low_days: list[tuple[str, str, str]] = []
    violations: dict[str, tuple[int, int, int]] = {}
    intervals: list[tuple[str, str, int, int | None]] = []
    driver_points: dict[str, float] = {}
    handled: dict[str, dict[str, int]] = {}
    driven: dict[str, tuple[int, int, int, int]] = {}
    missed_lines: list[tuple[str, str, str]] = []
    skipped: dict[str, str] = {}
