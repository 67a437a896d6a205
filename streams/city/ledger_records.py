"""A city's ledger in state records: a kind and names make the key, fields the value (``CityLedger.dirty`` holds the keys that changed). Pure."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from streams.city.contributions import AsOf
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


class RecordKind(NamedTuple):
    """A kind of record: the types of its fields, how those are entered, and what they are now, by the names of its key (None: forgotten)."""

    fields: Any
    put: Callable[..., None]
    get: Callable[..., tuple[Any, ...] | None]


def put_record(ledger: CityLedger, key: str, value: bytes) -> None:
    """Enter a restored record."""
    kind = RECORDS[key.partition("\x1f")[0]]
    kind.put(ledger, *decode_fields(value, kind.fields))


def record_fields(ledger: CityLedger, kind: str, names: Sequence[str]) -> tuple[Any, ...] | None:
    """What ``put_record`` is to find under a key; None where it has been forgotten."""
    return RECORDS[kind].get(ledger, *names)


def _put_watermark(ledger: CityLedger, watermark: Watermark) -> None:
    ledger.watermark, ledger.settled_ms = watermark, watermark.settled_ms


def _watermark(ledger: CityLedger) -> tuple[Watermark]:
    return (ledger.watermark,)


def _day(ledger: CityLedger, *names: str) -> tuple[DayKey, dict[str, AsOf[Counts]], dict[str, DayIncident]] | None:
    day = DayKey(*names)
    state = ledger.days.get(day)
    return None if state is None else (day, {} if day.enterprise_id == CITY_WIDE else state.contributions, state.incidents)


def _put_month(ledger: CityLedger, month: DayKey, incidents: dict[str, DayIncident]) -> None:
    ledger.months[month] = incidents


def _month(ledger: CityLedger, *names: str) -> tuple[DayKey, dict[str, DayIncident]] | None:
    month = DayKey(*names)
    return (month, ledger.months[month]) if month in ledger.months else None


def _put_hour(ledger: CityLedger, subject: tuple[str, str], hour: Hour) -> None:
    ledger.hours[subject] = hour


def _hour(ledger: CityLedger, city: str, enterprise_id: str) -> tuple[tuple[str, str], Hour]:
    return (city, enterprise_id), ledger.hours[city, enterprise_id]


def _put_watched(ledger: CityLedger, subject: str, watched: Liveness) -> None:
    ledger.watched[subject], ledger.due[subject] = watched, BEGINNING_MS


def _watched(ledger: CityLedger, subject: str) -> tuple[str, Liveness]:
    return subject, ledger.watched[subject]


def _put_charge(ledger: CityLedger, charge: Charge) -> None:
    ledger.charge(charge)
    ledger.dirty.clear()


def _charge(ledger: CityLedger, incident_id: str) -> tuple[Charge] | None:
    charge = ledger.charges.get(incident_id)
    return None if charge is None else (charge,)


def _put_answers(ledger: CityLedger, answers: list[Answered]) -> None:
    ledger.answers[answers[0].incident_id] = answers


def _answers(ledger: CityLedger, incident_id: str) -> tuple[list[Answered]] | None:
    return (ledger.answers[incident_id],) if incident_id in ledger.answers else None


def _put_driven(ledger: CityLedger, city: str, date: str, by_partition: dict[int, AsOf[Millimetres]]) -> None:
    ledger.driven[date] = by_partition
    ledger.drove.add((city, date))


def _driven(ledger: CityLedger, city: str, date: str) -> tuple[str, str, dict[int, AsOf[Millimetres]]] | None:
    return (city, date, ledger.driven[date]) if date in ledger.driven else None


def _put_fleet(ledger: CityLedger, city: str, date: str, by_partition: dict[int, AsOf[FleetDay]], lines: LineDay | None) -> None:
    ledger.fleet[date] = by_partition
    ledger.fleet_changed.add((city, date))
    if lines is not None:
        ledger.line_days[date] = lines


def _fleet(ledger: CityLedger, city: str, date: str) -> tuple[str, str, dict[int, AsOf[FleetDay]], LineDay | None] | None:
    return (city, date, ledger.fleet[date], ledger.line_days.get(date)) if date in ledger.fleet else None


def _put_seen(ledger: CityLedger, _city: str, outlet_id: str, date: str) -> None:
    ledger.seen[outlet_id] = date


def _seen(ledger: CityLedger, city: str, outlet_id: str) -> tuple[str, str, str] | None:
    return (city, outlet_id, ledger.seen[outlet_id]) if outlet_id in ledger.seen else None


def _put_violation(ledger: CityLedger, key: ViolationKey, state: ViolationState) -> None:
    ledger.violations[key] = state


def _violation(ledger: CityLedger, *names: str) -> tuple[ViolationKey, ViolationState] | None:
    key = ViolationKey(*names)
    return (key, ledger.violations[key]) if key in ledger.violations else None


def _account_kind(holder: str) -> RecordKind:
    """The accounts of enterprises, or of drivers: what was announced and published of them; their charges are records of their own."""

    def put(
        ledger: CityLedger, name: str, announced: dict[int, AnnouncedInterval], published: tuple[str, float] | None, history: list[tuple[int, str]]
    ) -> None:
        account = ledger.accounts.setdefault(f"{holder}/{name}", Account())
        account.announced, account.published, account.history = announced, published, history

    def get(ledger: CityLedger, name: str) -> tuple[Any, ...]:
        account = ledger.accounts[f"{holder}/{name}"]
        return name, account.announced, account.published, account.history

    return RecordKind(tuple[str, dict[int, AnnouncedInterval], tuple[str, float] | None, list[tuple[int, str]]], put, get)


RECORDS = {
    "watermark": RecordKind(tuple[Watermark], _put_watermark, _watermark),
    "day": RecordKind(tuple[DayKey, dict[str, AsOf[Counts]], dict[str, DayIncident]], CityLedger.put_day, _day),
    "month": RecordKind(tuple[DayKey, dict[str, DayIncident]], _put_month, _month),
    "hour": RecordKind(tuple[tuple[str, str], Hour], _put_hour, _hour),
    "watched": RecordKind(tuple[str, Liveness], _put_watched, _watched),
    "charge": RecordKind(tuple[Charge], _put_charge, _charge),
    "answers": RecordKind(tuple[list[Answered]], _put_answers, _answers),
    "driven": RecordKind(tuple[str, str, dict[int, AsOf[Millimetres]]], _put_driven, _driven),
    "fleet": RecordKind(tuple[str, str, dict[int, AsOf[FleetDay]], LineDay | None], _put_fleet, _fleet),
    "seen": RecordKind(tuple[str, str, str], _put_seen, _seen),
    "finding": RecordKind(tuple[ViolationKey, ViolationState], _put_violation, _violation),
    **{record: _account_kind(holder) for holder, record in ACCOUNT_RECORDS.items()},
}
"""By the first part of the key."""
