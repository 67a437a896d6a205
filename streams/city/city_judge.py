"""What follows from a city's ledger: violations, low days and months, silences, credit. One order of judging, for a worker and for ``judge``. Pure."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from functools import partial
from typing import Any

import msgspec

from streams.city.contributions import Contribution
from streams.city.incident_data import day_incident_data, interval_data, line_data, violation_data
from streams.city.ledger import ACCOUNT_RECORDS, CityLedger
from streams.city.line_days import is_heard_of, judge_line_day
from streams.clock import END_MS, month_after
from streams.counts import DayKey
from streams.enterprises.credit import ENTERPRISE, Account, Charge, black_intervals, charge_of, costs, credit_rule, standing, terms_of
from streams.enterprises.intervals import judge_intervals
from streams.enterprises.liveness import heartbeat_gap_ms, silences
from streams.lifecycle import Kind
from streams.parcels.days import DayJudge
from streams.parcels.violations import ViolationKey, joined, judge_violation
from streams.policy.policy import Policies
from streams.registry.registry import Registry
from streams.rules import RULES
from streams.vehicles.fleet_day import lines_driven
from streams.wire.incident import IncidentData


class Due(msgspec.Struct):
    """What a partial makes necessary to judge, and whether it has closed a day."""

    days: list[DayKey] = []
    months: list[DayKey] = []
    violations: list[ViolationKey] = []
    subjects: list[str] = []
    accounts: list[str] = []
    fleet_dates: list[str] = []
    closed: bool = False


class CityResult(msgspec.Struct):
    """What there is to publish: revisions of incidents, rows about enterprises' standing, and the days whose counts changed."""

    incidents: list[tuple[Kind, IncidentData]] = []
    standings: list[dict[str, Any]] = []
    days: set[DayKey] = set()


class CityJudge:
    """Enters contributions in a ledger and judges what they, and time, make due, by what is known of policies and registry.

    ``rehearsal``: all that is said is synthetic; ``has_account``: of which enterprises and drivers (``enterprise/<id>``, ``driver/<id>``) an account is kept;
    ``made_up``: by subject, the times (ms) of signs of life that are synthetic.
    """

    def __init__(
        self, policies: Policies, registry: Registry, identity_key: bytes, *, rehearsal: bool = False, has_account: Callable[[str], bool] | None = None,
        made_up: Mapping[str, Collection[int]] | None = None,
    ) -> None:  # fmt: skip
        self.policies = policies
        self.registry = registry
        self.identity_key = identity_key
        self.rehearsal = rehearsal
        self.has_account = has_account or self._is_registered
        self.made_up = made_up or {}
        self.day_judge = DayJudge(policies, registry, identity_key)

    def take(self, ledger: CityLedger, contribution: Contribution, said_ms: int) -> CityResult:
        """Enter a contribution that the brokers took down at an instant, and judge what follows."""
        due = Due()
        self.enter(ledger, contribution, due)
        changed = set(due.days)
        if contribution.marks is not None:
            ledger.watermark.enter(contribution.marks, contribution.newest or {}, said_ms)
            ledger.dirty["watermark",] = None
            self.advance(ledger, ledger.watermark.ms, ledger.watermark.settled_ms, due)
        result = self.judge(ledger, due)
        result.days = changed
        if due.closed:
            ledger.forget(self.policies.newest.days, self.policies.newest.pack.city.adcode)
        return result

    # --- what is due ---
    def enter(self, ledger: CityLedger, contribution: Contribution, due: Due) -> None:
        """Enter what a contribution says, and add what has to be judged because of it."""
        due.violations += ledger.enter_violation(contribution)
        due.days += ledger.enter_counts(contribution)
        for subject, spans in (contribution.heartbeats or {}).items():
            kind, _, name = subject.partition("/")
            gap_ms = heartbeat_gap_ms(self.policies, kind)
            if gap_ms is not None and self.registry.knows(kind, name):  # nothing is expected of others
                ledger.enter_heartbeats(subject, spans, gap_ms)
                due.subjects.append(subject)
        if contribution.charge is not None:
            due.accounts += self._charge(ledger, contribution.charge)
        if contribution.answer is not None:
            due.accounts += ledger.enter_answer(contribution.answer)
        ledger.enter_driven(contribution)
        due.fleet_dates += ledger.enter_fleet(contribution, self.policies.newest.days)
        ledger.enter_seen(contribution)

    def advance(self, ledger: CityLedger, now_ms: int, settled_ms: int, due: Due) -> None:
        """Time has come so far, and no later than ``settled_ms`` can incidents still change: add the days that close, silences and points."""
        before_ms, ledger.stream_time_ms = ledger.stream_time_ms, max(ledger.stream_time_ms, now_ms)
        now_ms, ledger.settled_ms = ledger.stream_time_ms, max(ledger.settled_ms, settled_ms)
        due.accounts += [holder for holder, account in ledger.accounts.items() if account.due_ms <= ledger.settled_ms]
        if now_ms == before_ms:
            return
        if now_ms >= ledger.closing_ms:
            self._close_days(ledger, before_ms, due)
        if now_ms > ledger.first_due_ms:
            due.subjects += [subject for subject in ledger.watched if ledger.due.get(subject, END_MS) < now_ms]

    def _close_days(self, ledger: CityLedger, before_ms: int, due: Due) -> None:
        """Add the days, months and violations that time has closed since ``before_ms``."""
        now_ms, bounds_ms = ledger.stream_time_ms, self.policies.newest.days.bounds_ms
        dates = {key.date for held in (ledger.days, ledger.violations) for key in held}
        dates |= {date[:7] for date in dates}  # months, too
        dates |= ledger.fleet.keys()
        closings_ms = {date: bounds_ms(date)[1] + self.policies.lateness_ms for date in dates}
        ledger.closing_ms = min((ms for ms in closings_ms.values() if ms > now_ms), default=END_MS)
        closed = {date for date, ms in closings_ms.items() if before_ms < ms <= now_ms}
        due.days += [day for day in ledger.days if day.date in closed]
        due.months += [DayKey(*day[:2], day.date[:7]) for day in ledger.days if day.date[:7] in closed]
        due.violations += [key for key in ledger.violations if key.date in closed]
        due.fleet_dates += [date for date in ledger.fleet if date in closed]
        due.closed = bool(closed)
        for day in ledger.days:
            if day.date in closed and self.registry.knows("enterprise", day.enterprise_id):
                ledger.accounts.setdefault(ENTERPRISE + day.enterprise_id, Account())
                due.accounts.append(ENTERPRISE + day.enterprise_id)

    # --- judging ---
    def judge(self, ledger: CityLedger, due: Due) -> CityResult:
        """Judge all that is due; what an incident costs its enterprise is entered at once."""
        result = CityResult()
        for key in dict.fromkeys(due.violations):
            due.accounts += self._judge_violation(ledger, key, result)
        for day in dict.fromkeys(due.days):
            due.accounts += self._judge_day(ledger, day, result)
            due.months += [day._replace(date=month_after(day.date[:7], number)) for number in (0, 1)]
        due.accounts += self._judge_months(ledger, dict.fromkeys(due.months), result)
        for date in dict.fromkeys(due.fleet_dates):
            due.accounts += self._judge_lines(ledger, date, result)
        for subject in dict.fromkeys(due.subjects):
            due.accounts += self._judge_silences(ledger, subject, result)
        if due.subjects:
            ledger.first_due_ms = min(ledger.due.values(), default=END_MS)
        for holder in dict.fromkeys(due.accounts):
            self._judge_account(ledger, holder, result)
        return result

    def _announce(self, ledger: CityLedger, said: Iterable[tuple[Kind, IncidentData]], result: CityResult) -> list[str]:
        """Add revisions to what is published, and enter what they cost; whose accounts that concerns."""
        concerned: list[str] = []
        for kind, plain in said:
            data = msgspec.structs.replace(plain, synthetic=True) if self.rehearsal else plain
            result.incidents.append((kind, data))
            charge = charge_of(data, self.policies)
            concerned += self._charge(ledger, charge) if charge is not None else ()
        return concerned

    def _charge(self, ledger: CityLedger, charge: Charge) -> list[str]:
        return ledger.charge(charge, self.has_account)

    def _is_registered(self, subject: str) -> bool:
        kind, _, name = subject.partition("/")
        return self.registry.knows(kind, name) if kind == "driver" else self.registry.names(kind, name)

    def _judge_violation(self, ledger: CityLedger, key: ViolationKey, result: CityResult) -> list[str]:
        state = ledger.violations[key]
        summary = joined(latest.value for latest in state.contributions.values())
        state.incident, transitions = judge_violation(self.policies, self.identity_key, key, summary, state.incident, ledger.stream_time_ms)
        ledger.dirty["finding", *key] = None
        return self._announce(ledger, ((t.kind, violation_data(t, self.registry)) for t in transitions), result)

    def _judge_day(self, ledger: CityLedger, day: DayKey, result: CityResult) -> list[str]:
        state = ledger.days[day]
        ledger.dirty["day", *day] = None
        transitions = self.day_judge.judge(day, state.counts(), state.incidents, ledger.stream_time_ms, state.among)
        return self._announce(ledger, ((t.kind, day_incident_data(t, self.policies, self.registry)) for t in transitions), result)

    def _judge_months(self, ledger: CityLedger, months: Iterable[DayKey], result: CityResult) -> list[str]:
        """Whether a measure rose against the month before, of the months that are closed."""
        closed_ms = ledger.stream_time_ms - self.policies.lateness_ms
        before = {month: month._replace(date=month_after(month.date, -1)) for month in months if self.policies.newest.days.bounds_ms(month.date)[1] <= closed_ms}
        counts = ledger.month_counts({*before, *before.values()}) if before else {}
        concerned: list[str] = []
        for month, month_before in before.items():
            incidents = ledger.months.get(month, {})
            among = partial(ledger.month_among, month), partial(ledger.month_among, month_before)
            transitions = self.day_judge.judge_month(month, counts[month], counts[month_before], incidents, ledger.stream_time_ms, among)
            if transitions:
                ledger.months[month] = incidents
                ledger.dirty["month", *month] = None
            concerned += self._announce(ledger, ((t.kind, day_incident_data(t, self.policies, self.registry)) for t in transitions), result)
        return concerned

    def _judge_lines(self, ledger: CityLedger, date: str, result: CityResult) -> list[str]:
        """Whether each delivery line was driven on a day, if enough was heard of it, or was when it was judged first."""
        known = ledger.line_days.get(date)
        if known is None and not is_heard_of(date, ledger.fleet):
            return []
        driven = lines_driven(latest.value for latest in ledger.fleet[date].values())
        judged, transitions = judge_line_day(self.policies, self.registry, self.identity_key, date, driven, known, ledger.stream_time_ms)
        if judged is not None:
            ledger.line_days[date] = judged
            ledger.dirty["fleet", self.policies.newest.pack.city.adcode, date] = None
        return self._announce(ledger, ((t.kind, line_data(t)) for t in transitions), result)

    def _judge_silences(self, ledger: CityLedger, subject: str, result: CityResult) -> list[str]:
        concerned: list[str] = []
        watched, kind = ledger.watched[subject], subject.partition("/")[0]
        made_up = frozenset(self.made_up.get(subject, ()))
        ledger.dirty["watched", subject] = None
        ledger.due[subject] = END_MS
        for rule_id in dict.fromkeys(rule.id for policy in self.policies.versions for rule in policy.silence_rules if kind == RULES[rule.rule].SIGNS):
            found, due_ms = silences(self.policies, self.registry, rule_id, subject, watched.spans, ledger.stream_time_ms)
            found = [silence._replace(synthetic=not made_up.isdisjoint(silence[:2])) for silence in found] if made_up else found
            ledger.due[subject] = min(ledger.due[subject], due_ms)
            transitions = judge_intervals(self.policies, self.identity_key, rule_id, subject, found, watched.announced.setdefault(rule_id, {}))
            concerned += self._announce(ledger, ((t.kind, interval_data(t, self.registry)) for t in transitions), result)
        return concerned

    def _judge_account(self, ledger: CityLedger, holder: str, result: CityResult) -> None:
        rule, terms, account = credit_rule(self.policies), terms_of(holder, self.policies), ledger.accounts[holder]
        if rule is None or terms is None:
            account.due_ms = END_MS
            return
        kind, _, name = holder.partition("/")
        ledger.dirty[ACCOUNT_RECORDS[kind], name] = None
        now_ms, answers = ledger.settled_ms, ledger.answers if rule.parameters.confirmed_only else None
        charged = costs(account, terms, answers)
        found, account.due_ms = black_intervals(charged, terms, now_ms)
        if kind == "enterprise":  # of drivers only the standing is published
            transitions = judge_intervals(self.policies, self.identity_key, rule.id, holder, found, account.announced)
            self._announce(ledger, ((t.kind, interval_data(t, self.registry)) for t in transitions), result)
        city, days = self.policies.newest.pack.city.adcode, self.policies.newest.days
        active_days = len(ledger.active.get(name, ())) if kind == "enterprise" else 0
        tomorrow_ms = days.bounds_ms(days.date_of(max(0, now_ms)))[1]
        if row := standing(account, charged, terms, now_ms, active_days, tomorrow_ms):
            result.standings.append({"subject": holder, "city": city, **row, "revision": ledger.next_offset})
