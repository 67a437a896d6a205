"""A city's ledger in state records: a kind and names make the key, fields the value (``CityLedger.dirty`` holds the keys that changed). Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from streams.city.ledger import ACCOUNT_RECORDS, CityLedger, ViolationState
from streams.city.line_days import LineDay
from streams.clock import BEGINNING_MS
from streams.counts import CITY_WIDE, Counts, DayKey, Hour
from streams.enterprises.confirmations import Answered
from streams.enterprises.credit import Account, Charge
from streams.enterprises.intervals import AnnouncedInterval
from streams.enterprises.liveness import Liveness
from streams.parcels.days import DayIncident
from streams.parcels.violations import ViolationKey
from streams.vehicles.empty_run import Millimetres
from streams.vehicles.fleet_day import FleetDay
from streams.watermark import Watermark
from streams.wire.state_records import decode_fields

HOLDERS = {record: holder for holder, record in ACCOUNT_RECORDS.items()}


def put_record(ledger: CityLedger, key: str, value: bytes) -> None:
    """Enter a restored record."""
    kind = key.partition("\x1f")[0]
    if kind == "watermark":
        (ledger.watermark,) = decode_fields(value, tuple[Watermark])
        ledger.settled_ms = ledger.watermark.settled_ms
    elif kind == "day":
        day, partials, incidents = decode_fields(value, tuple[DayKey, dict[str, tuple[int, Counts]], dict[str, DayIncident]])
        ledger.put_day(day, partials, incidents)
    elif kind == "month":
        month, incidents = decode_fields(value, tuple[DayKey, dict[str, DayIncident]])
        ledger.months[month] = incidents
    elif kind == "hour":
        subject, hour = decode_fields(value, tuple[tuple[str, str], Hour])
        ledger.hours[subject] = hour
    elif kind == "watched":
        name, watched = decode_fields(value, tuple[str, Liveness])
        ledger.watched[name], ledger.due[name] = watched, BEGINNING_MS
    elif kind == "charge":
        (charge,) = decode_fields(value, tuple[Charge])
        ledger.charge(charge)
        ledger.dirty.clear()
    elif kind == "answers":
        (answers,) = decode_fields(value, tuple[list[Answered]])
        ledger.answers[answers[0].incident_id] = answers
    elif kind == "driven":
        city, date, by_partition = decode_fields(value, tuple[str, str, dict[int, tuple[int, Millimetres]]])
        ledger.driven[date] = by_partition
        ledger.drove.add((city, date))
    elif kind == "fleet":
        _put_fleet(ledger, value)
    elif kind == "seen":
        _, outlet_id, date = decode_fields(value, tuple[str, str, str])
        ledger.seen[outlet_id] = date
    elif kind in HOLDERS:
        _put_account(ledger, HOLDERS[kind], value)
    else:
        finding, state = decode_fields(value, tuple[ViolationKey, ViolationState])
        ledger.findings[finding] = state


def _put_fleet(ledger: CityLedger, value: bytes) -> None:
    city, date, of_fleet, line_day = decode_fields(value, tuple[str, str, dict[int, tuple[int, FleetDay]], LineDay | None])
    ledger.fleet[date] = of_fleet
    ledger.fleet_changed.add((city, date))
    if line_day is not None:
        ledger.line_days[date] = line_day


def _put_account(ledger: CityLedger, holder: str, value: bytes) -> None:
    fields = tuple[str, dict[int, AnnouncedInterval], tuple[str, float] | None, list[tuple[int, str]]]
    name, announced, published, history = decode_fields(value, fields)
    account = ledger.accounts.setdefault(f"{holder}/{name}", Account())
    account.announced, account.published, account.history = announced, published, history


def record_fields(ledger: CityLedger, kind: str, names: Sequence[str]) -> tuple[Any, ...] | None:
    """What ``put_record`` is to find under a key; None where it has been forgotten."""
    if kind == "watermark":
        return (ledger.watermark,)
    if kind == "day":
        day = DayKey(*names)
        state = ledger.days.get(day)
        return None if state is None else (day, {} if day.enterprise_id == CITY_WIDE else state.partials, state.incidents)
    if kind == "month":
        month = DayKey(*names)
        return (month, ledger.months[month]) if month in ledger.months else None
    if kind == "hour":
        return (names, ledger.hours[names[0], names[1]])
    if kind == "driven":
        return (*names, ledger.driven[names[1]]) if names[1] in ledger.driven else None
    if kind == "fleet":
        return (*names, ledger.fleet[names[1]], ledger.line_days.get(names[1])) if names[1] in ledger.fleet else None
    if kind == "seen":
        return (*names, ledger.seen[names[1]]) if names[1] in ledger.seen else None
    if kind == "watched":
        return names[0], ledger.watched[names[0]]
    if kind == "charge":
        charge = ledger.charges.get(names[0])
        return None if charge is None else (charge,)
    if kind == "answers":
        return (ledger.answers[names[0]],) if names[0] in ledger.answers else None
    if kind in HOLDERS:
        account = ledger.accounts[f"{HOLDERS[kind]}/{names[0]}"]
        return names[0], account.announced, account.published, account.history
    finding = ViolationKey(*names)
    found = ledger.findings.get(finding)
    return None if found is None else (finding, found)
