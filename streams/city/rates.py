"""Which rates of a city are to be published anew: of days, of the last hour, of the last 30 days. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from streams.city.ledger import CityLedger
from streams.city.line_days import is_heard_of
from streams.clock import BEGINNING_MS, HOUR_MS, MINUTE_MS, LocalDays
from streams.counts import CITY_WIDE, HOUR, MONTH, Counts, DayKey, forecast, last_days
from streams.policy.policy import Policies
from streams.registry.registry import Registry
from streams.vehicles.fleet_day import lines_driven, lines_row, stays_in_all, stays_row
from streams.vehicles.lines import lines_of_day

Subject = tuple[str, str]
"""City, and enterprise or ``*``."""


class Rate(NamedTuple):
    """The counts of a ``window``: a local day's (its date), the last hour's or the last 30 days', as of the day named; ``ahead``: the day's forecast."""

    day: DayKey
    window: str
    counts: Counts
    ahead: Mapping[str, float]


def changed_rates(ledger: CityLedger, touched: set[DayKey], days: LocalDays) -> list[Rate]:
    """The days ``touched``, whose counts changed, and the windows that they, or the time that has passed, changed."""
    changed = touched & ledger.days.keys()  # a chunk may close days that it began with
    for day in changed:
        ledger.dirty["day", *day] = None
    now_ms = ledger.watermark.newest_ms
    if now_ms == BEGINNING_MS:  # no input has said yet how far it has come: nobody knows what day it is
        return [Rate(day, day.date, ledger.days[day].counts(), {}) for day in sorted(changed)]
    today, minute = days.date_of(now_ms), now_ms // MINUTE_MS
    subjects = {day[:2] for day in changed}
    hourly = subjects if ledger.told_minute == minute else _all_with_hours(ledger)
    monthly = subjects if ledger.month_until == today else {day[:2] for day in ledger.days}
    ledger.told_minute, ledger.month_until = minute, today
    hours = {subject: ledger.hour_counts(subject, minute) for subject in hourly | subjects}
    hours_left = (days.bounds_ms(today)[1] - now_ms) / HOUR_MS
    of_days = _rates_of_days(ledger, changed | {DayKey(*subject, today) for subject in hourly}, today, hours, hours_left)
    of_hours = [Rate(DayKey(*subject, today), HOUR, hours[subject], {}) for subject in sorted(hourly)]
    return [*of_days, *of_hours, *_rates_of_months(ledger, monthly, today)]


def _all_with_hours(ledger: CityLedger) -> set[Subject]:
    """Every enterprise that accepted parcels of late, and its city."""
    return {subject for city, enterprise_id in ledger.hours for subject in ((city, enterprise_id), (city, CITY_WIDE))}


def _rates_of_days(ledger: CityLedger, wanted: set[DayKey], today: str, hours: Mapping[Subject, Counts], hours_left: float) -> list[Rate]:
    """The rates of days; today's with what they will come to if the rest of it is as the last hour was."""
    rates = []
    for day in sorted(wanted & ledger.days.keys()):
        counts = ledger.days[day].counts()
        ahead = forecast(counts, hours[day[:2]], hours_left) if day.date == today else {}
        rates.append(Rate(day, day.date, counts, ahead))
    return rates


def _rates_of_months(ledger: CityLedger, subjects: set[Subject], today: str) -> list[Rate]:
    """The rates of the 30 days that end today."""
    sums = last_days(((day, state.counts()) for day, state in ledger.days.items() if day[:2] in subjects), today)
    return [Rate(DayKey(*subject, today), MONTH, sums.get(subject, Counts()), {}) for subject in sorted(subjects)]


def fleet_rows(ledger: CityLedger, policies: Policies, registry: Registry, city: str, date: str) -> list[dict[str, Any]]:
    """The rows of ``courier.rates.v1`` about a day's delivery lines (if there are any) and loading zones."""
    parts = [latest.value for latest in ledger.fleet.get(date, {}).values()]
    judged, driven = ledger.line_days.get(date), lines_driven(parts)
    lines: Mapping[str, Any] | None = lines_of_day(policies, registry, date) if judged is None else judged.lines
    rows = [lines_row(city, date, driven, lines if judged or is_heard_of(date, ledger.fleet) else None)] if lines or driven else []
    return [*rows, *(stays_row(city, date, zone_id, stays) for zone_id, stays in sorted(stays_in_all(parts).items()))]
