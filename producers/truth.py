"""What was injected into synthetic traffic, written down as it was made: what judging must find, and nothing else."""

from __future__ import annotations

import msgspec

DAY_HOURS = (7, 20)
"""All other local hours are night."""


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

    ``findings``: what scans have against outlets and enterprises, by rule id, subject and date: first and last scan, and how many.
    ``handled``: how parcels went and were delivered, by city/enterprise/date and by name as in rows of rates; ``in 5 h``: delivered after so many whole hours.
    ``driven``: by local date, how far vehicles drove: empty, with a load that is known, by night, and at all (mm). ``missed_lines``: delivery lines that
    nobody drove on a day: rule id, line, date.
    ``spells``: silences and times on the black list: rule id, subject, from when, until when (ms; None: to the end). ``driver_points``: what incidents cost their drivers.
    """

    incidents: list[TrueIncident] = []
    rates: dict[str, tuple[int, int, int]] = {}
    low_days: list[tuple[str, str, str]] = []
    findings: dict[str, tuple[int, int, int]] = {}
    spells: list[tuple[str, str, int, int | None]] = []
    driver_points: dict[str, float] = {}
    handled: dict[str, dict[str, int]] = {}
    driven: dict[str, tuple[int, int, int, int]] = {}
    missed_lines: list[tuple[str, str, str]] = []
    skipped: dict[str, str] = {}
