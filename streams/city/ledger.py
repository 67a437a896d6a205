"""What is known of a city, summed over the partitions of its inputs: rates, violations, silences, credit. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

import msgspec

from streams.city.contributions import AsOf, Contribution, enter_latest
from streams.city.line_days import DAYS_HEARD, LineDay, days_around
from streams.clock import BEGINNING_MS, DAY_MS, LocalDays
from streams.counts import CITY_WIDE, Counts, DayKey, Hour
from streams.enterprises.confirmations import Answered, with_answer
from streams.enterprises.credit import EXPIRE_MS, Account, Charge
from streams.enterprises.liveness import SETTLED_MS, Liveness, Span
from streams.lifecycle import Announced
from streams.parcels.days import DayIncident
from streams.parcels.violations import ScanViolation, ViolationKey, ViolationSummary
from streams.vehicles.empty_run import Millimetres
from streams.vehicles.fleet_day import FleetDay
from streams.watermark import Watermark

ACCOUNT_RECORDS = {"enterprise": "account", "driver": "driver"}
"""The kind of the state record of each holder's account."""
DAYS_KEPT_MS = 66 * DAY_MS
"""So long are days kept after their end: for the last 30 days, enterprises' days of activity, and two months that late scans may change."""


class DayCounts(msgspec.Struct):
    """What is kept of one (city, enterprise or ``*``, day): the latest counts by enterprise and scan partition, incidents by rule.

    ``total``: their sum, once somebody has asked for it.
    """

    contributions: dict[str, AsOf[Counts]] = {}
    incidents: dict[str, DayIncident] = {}
    total: Counts | None = None

    def update(self, contribution: Contribution) -> bool:
        """Take in a partition's counts unless newer ones are known; whether they were."""
        source = f"{contribution.enterprise_id}/{contribution.partition}"
        known = self.contributions.get(source)
        if contribution.counts is None or not enter_latest(self.contributions, source, AsOf(contribution.next_offset, contribution.counts)):
            return False
        if self.total is not None:
            self.total.merge(contribution.counts)
            if known is not None:
                self.total.merge(known.value, -1)
        return True

    def counts(self) -> Counts:
        """The sum over partitions and enterprises."""
        if self.total is None:
            self.total = Counts()
            for latest in self.contributions.values():
                self.total.merge(latest.value)
        return self.total

    def among(self, is_wanted: Callable[[str], bool]) -> Counts:
        """The sum over the enterprises that are wanted."""
        summed = Counts()
        for source, latest in self.contributions.items():
            if is_wanted(source.rpartition("/")[0]):
                summed.merge(latest.value)
        return summed


class ViolationState(msgspec.Struct, array_like=True):
    """What is kept of one violation: the latest summary by scan partition, and the incident."""

    contributions: dict[int, AsOf[ViolationSummary]] = {}
    incident: ScanViolation | None = None

    def update(self, contribution: Contribution) -> bool:
        """Take in a partition's summary unless a newer one is known; whether it was."""
        return contribution.summary is not None and enter_latest(self.contributions, contribution.partition, AsOf(contribution.next_offset, contribution.summary))


class CityLedger(msgspec.Struct):
    """All that is known of the cities of a partition of partials, and how far it has been read; its stream time is the watermark.

    ``closing_ms``: when the next of its days closes; ``due``: after which watermark each watched subject may be silent, the
    first of them ``first_due_ms``. ``month_until``, ``told_minute``: up to when windows were published. ``dirty``: the keys of
    what changed since the last checkpoint, ``restored``: the days whose rates are to be published anew after a restart.
    ``accounts``: by ``enterprise/<id>`` and ``driver/<id>``. ``answers``: to incidents, by their ids. ``active``: each enterprise's dates with acceptances. ``driven``: how far vehicles drove, by date and fix partition, and what of it to publish;
    ``fleet``: what else they came to, so as well; ``line_days``: the days whose lines were judged; ``seen``: the last date of each outlet and facility with a scan, ``saw``: what of it to publish.
    """

    watermark: Watermark = msgspec.field(default_factory=Watermark)
    days: dict[DayKey, DayCounts] = {}
    hours: dict[tuple[str, str], Hour] = {}
    months: dict[DayKey, dict[str, DayIncident]] = {}
    violations: dict[ViolationKey, ViolationState] = {}
    watched: dict[str, Liveness] = {}
    accounts: dict[str, Account] = {}
    charges: dict[str, Charge] = {}
    answers: dict[str, list[Answered]] = {}
    next_offset: int = 0
    saved_offset: int = 0
    stream_time_ms: int = BEGINNING_MS
    settled_ms: int = BEGINNING_MS
    closing_ms: int = BEGINNING_MS
    due: dict[str, int] = {}
    first_due_ms: int = BEGINNING_MS
    month_until: str = ""
    told_minute: int = 0
    dirty: dict[tuple[str, ...], None] = {}
    restored: set[DayKey] = set()
    active: dict[str, set[str]] = {}
    driven: dict[str, dict[int, AsOf[Millimetres]]] = {}
    drove: set[tuple[str, str]] = set()
    fleet: dict[str, dict[int, AsOf[FleetDay]]] = {}
    fleet_changed: set[tuple[str, str]] = set()
    line_days: dict[str, LineDay] = {}
    seen: dict[str, str] = {}
    saw: set[tuple[str, str]] = set()

    def enter_violation(self, contribution: Contribution) -> list[ViolationKey]:
        """Enter what a partition's violating scans have come to; the violation, if that is news."""
        key = contribution.violation
        if key is None:
            return []
        if key not in self.violations:
            self.violations[key] = ViolationState()
            self.closing_ms = BEGINNING_MS
        return [key] if self.violations[key].update(contribution) else []

    def enter_counts(self, contribution: Contribution) -> list[DayKey]:
        """Enter a partition's counts of an enterprise's day; the days that they change, the whole city's among them."""
        if contribution.counts is None:
            return []
        own = DayKey(contribution.city, contribution.enterprise_id, contribution.date)
        changed = []
        for day in (own, own._replace(enterprise_id=CITY_WIDE)):
            if day not in self.days:
                self.days[day] = DayCounts()
                self.closing_ms = BEGINNING_MS
            if self.days[day].update(contribution):
                changed.append(day)
        self._note_activity(own)
        if contribution.minutes:
            subject = contribution.city, contribution.enterprise_id
            self.hours.setdefault(subject, Hour()).update(contribution.partition, contribution.next_offset, contribution.minutes)
            self.dirty["hour", *subject] = None
        return changed

    def enter_heartbeats(self, subject: str, spans: list[Span], gap_ms: int) -> None:
        """Enter signs of life."""
        self.watched.setdefault(subject, Liveness()).observe(spans, gap_ms, self.stream_time_ms)

    def enter_driven(self, contribution: Contribution) -> None:
        """Enter how far a partition's vehicles drove on a day, unless newer figures are known."""
        if contribution.driven is None:
            return
        by_partition = self.driven.setdefault(contribution.date, {})
        if enter_latest(by_partition, contribution.partition, AsOf(contribution.next_offset, contribution.driven)):
            self.drove.add((contribution.city, contribution.date))
            self.dirty["driven", contribution.city, contribution.date] = None

    def enter_fleet(self, contribution: Contribution, days: LocalDays) -> list[str]:
        """Enter what a partition's vehicles have come to on a day, unless newer figures are known; the dates whose lines that may change."""
        if contribution.fleet is None or days.bounds_ms(contribution.date)[1] + DAYS_KEPT_MS < self.stream_time_ms:
            return []  # of a day that was forgotten only clocks can speak that are wrong
        date, is_new = contribution.date, contribution.date not in self.fleet
        if not enter_latest(self.fleet.setdefault(date, {}), contribution.partition, AsOf(contribution.next_offset, contribution.fleet)):
            return []
        concerned = [date]
        if is_new:
            self.closing_ms = BEGINNING_MS
            concerned = [after for after in days_around(date, 0, DAYS_HEARD) if after in self.fleet]
        self.fleet_changed.update((contribution.city, each) for each in concerned)
        self.dirty["fleet", contribution.city, date] = None
        return concerned

    def enter_seen(self, contribution: Contribution) -> None:
        """Enter when outlets were last scanned at."""
        for outlet_id, date in (contribution.seen or {}).items():
            if date > self.seen.get(outlet_id, ""):
                self.seen[outlet_id] = date
                self.saw.add((contribution.city, outlet_id))
                self.dirty["seen", contribution.city, outlet_id] = None

    def month_among(self, month: DayKey, is_wanted: Callable[[str], bool]) -> Counts:
        """The counts of a month, summed over the enterprises that are wanted."""
        summed = Counts()
        for day, state in self.days.items():
            if day._replace(date=day.date[:7]) == month:
                summed.merge(state.among(is_wanted))
        return summed

    def month_counts(self, months: Iterable[DayKey]) -> dict[DayKey, Counts]:
        """The counts of months (their date is ``YYYY-MM``), summed over their days."""
        sums = {month: Counts() for month in months}
        for day, state in self.days.items():
            month = day._replace(date=day.date[:7])
            if month in sums:
                sums[month].merge(state.counts())
        return sums

    def hour_counts(self, subject: tuple[str, str], minute: int) -> Counts:
        """What a (city, enterprise or ``*``) accepted in the hour that ends with a minute."""
        counts = Counts()
        for (city, enterprise_id), hour in self.hours.items():
            if city == subject[0] and subject[1] in {enterprise_id, CITY_WIDE}:
                counts.merge(hour.counts(minute))
        return counts

    def forget(self, days: LocalDays, city: str) -> None:
        """Drop what nothing can change and nobody asks for any more: old days and violations, expired charges, answers as old."""
        now_ms = self.stream_time_ms
        for day in [day for day in self.days if days.bounds_ms(day.date)[1] + DAYS_KEPT_MS < now_ms]:
            del self.days[day]
            self.active.get(day.enterprise_id, set()).discard(day.date)
            self.dirty["day", *day] = None
        for date in [date for date in self.driven if days.bounds_ms(date)[1] + DAYS_KEPT_MS < now_ms]:
            del self.driven[date]
            self.dirty["driven", city, date] = None
        for date in [date for date in self.fleet if days.bounds_ms(date)[1] + DAYS_KEPT_MS < now_ms]:
            del self.fleet[date]
            self.line_days.pop(date, None)
            self.dirty["fleet", city, date] = None
        for outlet_id in [name for name, date in self.seen.items() if days.bounds_ms(date)[1] + DAYS_KEPT_MS < now_ms]:
            del self.seen[outlet_id]
            self.dirty["seen", city, outlet_id] = None
        for month in [month for month in self.months if days.bounds_ms(month.date)[1] + DAYS_KEPT_MS < now_ms]:
            del self.months[month]
            self.dirty["month", *month] = None
        for key in [key for key in self.violations if days.bounds_ms(key.date)[1] + SETTLED_MS < now_ms]:
            del self.violations[key]
            self.dirty["finding", *key] = None
        for charge in [charge for charge in self.charges.values() if charge.at_ms + EXPIRE_MS + SETTLED_MS < now_ms]:
            self._drop(charge)
        for name in [name for name, said in self.answers.items() if name not in self.charges and said[-1].at_ms + EXPIRE_MS + SETTLED_MS < now_ms]:
            del self.answers[name]
            self.dirty["answers", name] = None

    def put_day(self, day: DayKey, contributions: dict[str, AsOf[Counts]], incidents: dict[str, DayIncident]) -> None:
        """Enter a restored day. The whole city's counts are those of its enterprises, and are kept with them only."""
        for key in (day, day._replace(enterprise_id=CITY_WIDE)):
            state = self.days.setdefault(key, DayCounts())
            for source, latest in contributions.items():
                enter_latest(state.contributions, source, latest)
            state.total = None
            self.restored.add(key)
        self._note_activity(day)
        self.days[day].incidents = incidents

    def _note_activity(self, day: DayKey) -> None:
        """Enter whether an enterprise accepted parcels on a day."""
        dates = self.active.setdefault(day.enterprise_id, set())
        (dates.add if self.days[day].counts().accepted > 0 else dates.discard)(day.date)

    def charge(self, charge: Charge, has_account: Callable[[str], bool] = lambda _: True) -> list[str]:
        """Enter an incident's revision in the accounts of its enterprise and driver, where they have some, unless a newer one is known; those that it changes already, others fall due."""
        known = self.charges.get(charge.incident_id)
        if known is not None and known.revision >= charge.revision:
            return []
        if known is not None:  # whose outlet it is, or who drove, may have turned out otherwise
            self._drop(known)
        entered = charge.only_of(has_account)
        for holder in entered.holders:
            self.charges[charge.incident_id] = self.accounts.setdefault(holder, Account()).charges[charge.incident_id] = entered
            self.dirty["charge", charge.incident_id] = None
        concerned = [*entered.holders, *(known.holders if known is not None else ())]
        for account in (self.accounts[holder] for holder in concerned):
            account.due_ms = min(account.due_ms, entered.at_ms, entered.at_ms if known is None else known.at_ms)
        return [holder for holder in concerned if self.accounts[holder].due_ms <= self.settled_ms]

    def enter_answer(self, answer: Answered) -> list[str]:
        """Enter what police said to an incident, whether or not it costs anybody anything yet; the accounts that it concerns."""
        self.answers[answer.incident_id] = with_answer(self.answers.get(answer.incident_id, ()), answer)
        self.dirty["answers", answer.incident_id] = None
        return self.charges[answer.incident_id].holders if answer.incident_id in self.charges else []

    def _drop(self, charge: Charge) -> None:
        """Forget a charge."""
        del self.charges[charge.incident_id]
        for holder in charge.holders:
            del self.accounts[holder].charges[charge.incident_id]
        self.dirty["charge", charge.incident_id] = None


def announced(ledger: CityLedger) -> Iterator[tuple[str, Announced]]:
    """Every incident that a ledger knows, with the id of its rule."""
    for incidents in (*(day.incidents for day in ledger.days.values()), *ledger.months.values()):
        yield from incidents.items()
    for line_day in ledger.line_days.values():
        yield from ((name.partition("/")[0], incident) for name, incident in line_day.incidents.items())
    for key, violation in ledger.violations.items():
        if violation.incident is not None:
            yield key.rule_id, violation.incident
    for watched in ledger.watched.values():
        yield from ((rule_id, incident) for rule_id, found in watched.announced.items() for incident in found.values())
    for account in ledger.accounts.values():
        yield from (("blacklisted_enterprise", incident) for incident in account.announced.values())
