"""The second stage, one place for a whole city: rates, days, findings, silences and credit. A thin shell around pure cores."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from typing import Any

import orjson
import structlog

from streams import metrics
from streams.city.contributions import Contribution, decode_contribution
from streams.city.ledger import CityLedger, DayCounts, Due, ViolationState
from streams.clock import BEGINNING_MS, END_MS, month_after
from streams.counts import CITY_WIDE, HOUR, MONTH, Counts, DayKey, Hour, forecast, last_days, rate_row, state_key
from streams.decode import Malformed
from streams.enterprises.credit import Account, Charge, black_intervals, costs, credit_rule, standing
from streams.enterprises.intervals import Announced, judge_intervals
from streams.enterprises.liveness import Liveness, signs_gap_ms, silences
from streams.parcels.days import DayIncident, DayJudge
from streams.parcels.violations import ViolationKey, joined, judge_violation
from streams.policy.policy import Policies
from streams.registry.registry import Registry
from streams.rules import RULES
from streams.runtime.checkpoint import Checkpoint
from streams.runtime.cloudevents import day_incident_data, interval_data, violation_data
from streams.runtime.reference import Reference
from streams.runtime.sources import Sources
from streams.runtime.stage import StatefulStage, enterprise_label, wall_clock_ms
from streams.state_records import RecordHeader, decode_fields, encode_fields
from streams.topics import CLOCK, CREDIT, PARTIALS, RATE_STATE, RATES
from streams.unreadable import passed_over
from streams.vehicles.empty_run import Millimetres, driven_row, total
from streams.watermark import CLOCK_KEY, Clock, Watermark, encode_clock

log = structlog.get_logger()


STUCK_S = 60.0
"""When an input partition has not been read for so long, the log says which."""


class CityStage(StatefulStage[CityLedger]):
    """Partials → rates and credit, and incidents about days, outlets and enterprises.

    Partials are judged one by one, so that a replay in other chunks repeats the same revisions.
    """

    def __init__(self, checkpoint: Checkpoint, reference: Reference, identity_key: bytes) -> None:
        super().__init__(checkpoint, reference, PARTIALS, RATE_STATE)
        self.identity_key = identity_key
        self.sources = Sources(checkpoint)
        self.said = Clock()
        self.began_ms = wall_clock_ms()
        self.stuck_told_s = 0.0
        metrics.WATERMARK_AGE.set_function(self.watermark_age_s)

    @property
    def known(self) -> tuple[Policies, Registry]:
        """The reference data, which are there before anything is judged."""
        assert self.reference.policies is not None and self.reference.registry is not None
        return self.reference.policies, self.reference.registry

    async def take(self, chunk: Sequence[Any]) -> None:
        """Judge a chunk of partials, then publish the rates that changed."""
        partition = await self.partition(chunk[0].partition)
        touched, partition.restored = partition.restored, set()
        records = [record for record in chunk if record.offset >= partition.next_offset]
        for record, partial in await self._read(records):
            partition.next_offset = record.offset + 1
            if isinstance(partial, str):
                passed_over(record.topic, record.partition, record.offset, partial)
            else:
                touched |= await self._take(partition, partial, BEGINNING_MS if record.timestamp is None else record.timestamp)
        await self._publish_rates(partition, touched)
        for city, date in sorted(partition.drove):
            await self._publish_driven(partition, city, date)
        partition.drove.clear()

    async def _read(self, records: Sequence[Any]) -> list[tuple[Any, Contribution | str]]:
        """Records with what they say, or why it cannot be."""
        read: list[tuple[Any, Contribution | str]] = [(record, _partial(record.value)) for record in records]
        await self.sources.look([partial for _, partial in read if isinstance(partial, Contribution)])
        return [(record, partial if isinstance(partial, str) else self.sources.excess(partial) or partial) for record, partial in read]

    async def _take(self, partition: CityLedger, partial: Contribution, said_ms: int) -> set[DayKey]:
        """Enter one partial, appended at an instant, and judge what follows; the days whose counts it changed."""
        due = self._enter(partition, partial)
        changed = set(due.days)
        if partial.marks is not None:
            self._pass_time(partition, partial, said_ms, due)
        for key in dict.fromkeys(due.findings):
            due.accounts += await self._judge_finding(partition, key)
        for day in dict.fromkeys(due.days):
            due.accounts += await self._judge_day(partition, day)
            due.months += [day._replace(date=month_after(day.date[:7], number)) for number in (0, 1)]
        for month in dict.fromkeys(due.months):
            due.accounts += await self._judge_month(partition, month)
        for subject in dict.fromkeys(due.subjects):
            due.accounts += await self._judge_silences(partition, subject)
        for enterprise_id in dict.fromkeys(due.accounts):
            await self._judge_account(partition, enterprise_id)
        if due.closed:
            partition.forget(self.known[0].newest.days, self.known[0].newest.pack.city.adcode)
        if due.subjects:
            partition.first_due_ms = min(partition.due.values(), default=END_MS)
        return changed

    # --- what a partial says, and what time brings ---
    def _enter(self, partition: CityLedger, partial: Contribution) -> Due:
        due = Due()
        if partial.finding is not None:
            if partial.finding not in partition.findings:
                partition.findings[partial.finding] = ViolationState()
                partition.closing_ms = BEGINNING_MS
            if partition.findings[partial.finding].update(partial):
                due.findings.append(partial.finding)
        if partial.counts is not None:
            for enterprise_id in (partial.enterprise_id, CITY_WIDE):
                day = DayKey(partial.city, enterprise_id, partial.date)
                if day not in partition.days:
                    partition.days[day] = DayCounts()
                    partition.closing_ms = BEGINNING_MS
                if partition.days[day].update(partial):
                    partition.note_activity(day)
                    due.days.append(day)
            if partial.minutes:
                partition.hours.setdefault((partial.city, partial.enterprise_id), Hour()).update(partial.partition, partial.next_offset, partial.minutes)
                partition.dirty["hour", partial.city, partial.enterprise_id] = None
        policies, registry = self.known
        for subject, spans in (partial.signs or {}).items():
            kind, _, name = subject.partition("/")
            gap_ms = signs_gap_ms(policies, kind)
            if gap_ms is not None and registry.knows(kind, name):  # nothing is expected of others
                partition.watched.setdefault(subject, Liveness()).see(spans, gap_ms, partition.stream_time_ms)
                due.subjects.append(subject)
        if partial.charge is not None:
            due.accounts += self._charge(partition, partial.charge)
        if partial.driven is not None:
            by_partition = partition.driven.setdefault(partial.date, {})
            if partial.partition not in by_partition or by_partition[partial.partition][0] <= partial.next_offset:
                by_partition[partial.partition] = (partial.next_offset, partial.driven)
                partition.drove.add((partial.city, partial.date))
                partition.dirty["driven", partial.city, partial.date] = None
        return due

    def _pass_time(self, partition: CityLedger, partial: Contribution, said_ms: int, due: Due) -> None:
        """Enter how far the inputs have been read, and add what that makes due: days that close, silences that last too long, points."""
        watermark = partition.watermark
        watermark.enter(partial.marks or (), partial.newest or {}, said_ms)
        partition.dirty["watermark",] = None
        before_ms, partition.stream_time_ms = partition.stream_time_ms, max(partition.stream_time_ms, watermark.ms)
        now_ms, partition.settled_ms = partition.stream_time_ms, max(partition.settled_ms, watermark.settled_ms)
        due.accounts += [enterprise_id for enterprise_id, account in partition.accounts.items() if account.due_ms <= partition.settled_ms]
        if now_ms == before_ms:
            return
        if now_ms >= partition.closing_ms:
            self._close_days(partition, before_ms, due)
        if now_ms > partition.first_due_ms:
            due.subjects += [subject for subject in partition.watched if partition.due.get(subject, END_MS) < now_ms]

    def _close_days(self, partition: CityLedger, before_ms: int, due: Due) -> None:
        """Add the days, months and findings that the watermark has closed since ``before_ms``."""
        policies, registry = self.known
        now_ms = partition.stream_time_ms
        dates = {key.date for held in (partition.days, partition.findings) for key in held}
        dates |= {date[:7] for date in dates}  # months, too
        closings_ms = {date: policies.newest.days.bounds_ms(date)[1] + policies.lateness_ms for date in dates}
        partition.closing_ms = min((ms for ms in closings_ms.values() if ms > now_ms), default=END_MS)
        closed = {date for date, ms in closings_ms.items() if before_ms < ms <= now_ms}
        due.days += [day for day in partition.days if day.date in closed]
        due.months += [DayKey(*day[:2], day.date[:7]) for day in partition.days if day.date[:7] in closed]
        due.findings += [key for key in partition.findings if key.date in closed]
        due.closed = bool(closed)
        for day in partition.days:
            if day.date in closed and registry.knows("enterprise", day.enterprise_id):
                partition.accounts.setdefault(day.enterprise_id, Account())
                due.accounts.append(day.enterprise_id)

    # --- judging ---
    async def _say(self, partition: CityLedger, kind: str, data: dict[str, Any]) -> list[str]:
        """Publish an incident's revision, and enter at once what it costs; the enterprises whose accounts it concerns."""
        charge = await self.announce(kind, data)
        return [] if charge is None else self._charge(partition, charge)

    def _charge(self, partition: CityLedger, charge: Charge) -> list[str]:
        """Enter what an incident costs; the enterprises whose accounts it concerns."""
        return partition.charge(charge, has_account=self.known[1].names("enterprise", charge.enterprise_id))

    async def _judge_finding(self, partition: CityLedger, key: ViolationKey) -> list[str]:
        policies, registry = self.known
        state = partition.findings[key]
        extent = joined(extent for _, extent in state.partials.values())
        state.incident, transitions = judge_violation(policies, self.identity_key, key, extent, state.incident, partition.stream_time_ms)
        partition.dirty["finding", *key] = None
        return [name for t in transitions for name in await self._say(partition, t.kind, violation_data(t, registry))]

    async def _judge_day(self, partition: CityLedger, day: DayKey) -> list[str]:
        policies, registry = self.known
        state = partition.days[day]
        partition.dirty["day", *day] = None
        transitions = DayJudge(policies, registry, self.identity_key).judge(day, state.counts(), state.incidents, partition.stream_time_ms)
        return [name for t in transitions for name in await self._say(partition, t.kind, day_incident_data(t, policies, registry))]

    async def _judge_month(self, partition: CityLedger, month: DayKey) -> list[str]:
        """Whether green packaging rose against the month before, once the month is closed."""
        policies, registry = self.known
        if partition.stream_time_ms < policies.newest.days.bounds_ms(month.date)[1] + policies.lateness_ms:
            return []
        counts, before = Counts(), Counts()
        for day, state in partition.days.items():
            if day[:2] == month[:2] and day.date[:7] == month.date:
                counts.merge(state.counts())
            elif day[:2] == month[:2] and day.date[:7] == month_after(month.date, -1):
                before.merge(state.counts())
        incidents = partition.months.get(month, {})
        transitions = DayJudge(policies, registry, self.identity_key).judge_month(month, counts, before, incidents, partition.stream_time_ms)
        if transitions:
            partition.months[month] = incidents
            partition.dirty["month", *month] = None
        return [name for t in transitions for name in await self._say(partition, t.kind, day_incident_data(t, policies, registry))]

    async def _judge_silences(self, partition: CityLedger, subject: str) -> list[str]:
        policies, registry = self.known
        concerned: list[str] = []
        watched, kind = partition.watched[subject], subject.partition("/")[0]
        partition.dirty["watched", subject] = None
        partition.due[subject] = END_MS
        for rule_id in dict.fromkeys(rule.id for policy in policies.versions for rule in policy.silence_rules if kind == RULES[rule.rule].SIGNS):
            spells, due_ms = silences(policies, registry, rule_id, subject, watched.spans, partition.stream_time_ms)
            partition.due[subject] = min(partition.due[subject], due_ms)
            for transition in judge_intervals(policies, self.identity_key, rule_id, subject, spells, watched.announced.setdefault(rule_id, {})):
                concerned += await self._say(partition, transition.kind, interval_data(transition, registry))
        return concerned

    async def _judge_account(self, partition: CityLedger, enterprise_id: str) -> None:
        policies, registry = self.known
        rule, account, subject = credit_rule(policies), partition.accounts[enterprise_id], f"enterprise/{enterprise_id}"
        if rule is None:
            account.due_ms = END_MS
            return
        partition.dirty["account", enterprise_id] = None
        now_ms = partition.settled_ms
        spells, account.due_ms = black_intervals(costs(account, rule), rule, now_ms)
        for transition in judge_intervals(policies, self.identity_key, rule.id, subject, spells, account.announced):
            await self.announce(transition.kind, interval_data(transition, registry))
        city, days = policies.newest.pack.city.adcode, policies.newest.days
        active_days = len(partition.active.get(enterprise_id, ()))
        tomorrow_ms = days.bounds_ms(days.date_of(max(0, now_ms)))[1]
        if row := standing(account, rule, now_ms, active_days, tomorrow_ms):
            row = self.marked({"subject": subject, "city": city, **row, "revision": partition.next_offset})
            await self.checkpoint.send(CREDIT.name, subject.encode(), orjson.dumps(row))

    # --- rates ---
    async def _publish_rates(self, partition: CityLedger, touched: set[DayKey]) -> None:
        """Publish the days whose counts changed, and the windows that they or the time that has passed changed."""
        days, now_ms = self.known[0].newest.days, max(0, partition.watermark.newest_ms)
        touched &= partition.days.keys()  # a chunk may close days that it began with
        today, minute = days.date_of(now_ms), now_ms // 60_000
        changed = {day[:2] for day in touched}
        hourly = changed if partition.told_minute == minute else {(c, e) for city, enterprise in partition.hours for c, e in ((city, enterprise), (city, CITY_WIDE))}
        monthly = changed if partition.month_until == today else {day[:2] for day in partition.days}
        partition.told_minute, partition.month_until = minute, today
        hours = {subject: self._hour(partition, subject, minute) for subject in hourly | changed}
        left = (days.bounds_ms(today)[1] - now_ms) / 3_600_000
        ahead = {DayKey(*subject, today) for subject in hourly} & partition.days.keys()
        for day in sorted(touched | ahead):
            counts = partition.days[day].counts()
            await self._publish_rate(partition, day, day.date, counts, forecast(counts, hours[day[:2]], left) if day.date == today else {})
        for subject in sorted(hourly):
            await self._publish_rate(partition, DayKey(*subject, today), HOUR, hours[subject], {})
        months = last_days(((day, state.counts()) for day, state in partition.days.items() if day[:2] in monthly), today)
        for subject in sorted(monthly):
            await self._publish_rate(partition, DayKey(*subject, today), MONTH, months.get(subject, Counts()), {})
        for day in touched:
            partition.dirty["day", *day] = None

    def _hour(self, partition: CityLedger, subject: tuple[str, str], minute: int) -> Counts:
        """What a (city, enterprise or ``*``) accepted in the last hour."""
        counts = Counts()
        for (city, enterprise_id), hour in partition.hours.items():
            if city == subject[0] and subject[1] in {enterprise_id, CITY_WIDE}:
                counts.merge(hour.counts(minute))
        return counts

    async def _publish_rate(self, partition: CityLedger, day: DayKey, window: str, counts: Counts, ahead: dict[str, float]) -> None:
        """The greatest ``revision`` counts: a worker that was suspended may send an older one later."""
        row = self.marked({**rate_row(day, counts), **ahead, "window": window, "revision": partition.next_offset})
        await self.checkpoint.send(RATES.name, "/".join((*day[:2], window)).encode(), orjson.dumps(row))
        label = enterprise_label(self.known[1], day.enterprise_id)
        if counts.accepted and label != "other":
            name = "day" if window == day.date else window
            metrics.ELECTRONIC_RATIO.labels(day.city, label, name).set(counts.electronic / counts.accepted)
            metrics.GREEN_RATIO.labels(day.city, label, name).set(counts.green / counts.accepted)
            for name, rate in counts.rates().items() if window == day.date else ():
                if rate is not None and name not in {"electronic_rate", "green_rate"}:
                    metrics.MEASURE_RATIO.labels(day.city, label, name.removesuffix("_rate")).set(rate)
            for measure, value in ahead.items():
                metrics.FORECAST.labels(day.city, label, measure.removesuffix("_forecast")).set(value)

    async def _publish_driven(self, partition: CityLedger, city: str, date: str) -> None:
        """How far a city's vehicles drove empty on a day; the gauge is about the newest day."""
        row = self.marked(driven_row(city, date, total(driven for _, driven in partition.driven[date].values())))
        await self.checkpoint.send(RATES.name, f"{city}/*/{row['window']}".encode(), orjson.dumps({**row, "revision": partition.next_offset}))
        if row["empty_run_ratio"] is not None and date == max(partition.driven):
            metrics.EMPTY_RUN.labels(city).set(row["empty_run_ratio"])

    def results(self, number: int) -> Iterator[tuple[str, bytes, bytes]]:
        """How far time has come, said by one partition of the partials for all: each comes to the same."""
        partition = self.partitions[number]
        if number == 0:
            clock = Clock(partition.stream_time_ms, partition.watermark.read_until_ms, partition.settled_ms)
            if clock != self.said:
                self.said = clock
                yield CLOCK.name, CLOCK_KEY, encode_clock(clock)
        if self.watermark_age_s() > STUCK_S and time.monotonic() > self.stuck_told_s + STUCK_S:
            self.stuck_told_s = time.monotonic()
            log.warning("time stands still: an input partition is not read", partition=partition.watermark.behind, seconds=round(self.watermark_age_s()))

    def watermark_age_s(self) -> float:
        """Seconds since what arrived was last read everywhere; since this stage began where that is not known yet."""
        known = (partition.watermark.read_until_ms for partition in self.partitions.values())
        return max((wall_clock_ms() - max(until_ms, self.began_ms) for until_ms in known), default=0) / 1_000

    # --- state ---
    def new_partition(self) -> CityLedger:
        """See ``StatefulStage``."""
        return CityLedger()

    def put(self, partition: CityLedger, key: str, value: bytes) -> None:
        """See ``StatefulStage``."""
        kind = key.partition("\x1f")[0]
        if kind == "watermark":
            (partition.watermark,) = decode_fields(value, tuple[Watermark])
            partition.settled_ms = partition.watermark.settled_ms
        elif kind == "day":
            day, partials, incidents = decode_fields(value, tuple[DayKey, dict[str, tuple[int, Counts]], dict[str, DayIncident]])
            partition.put_day(day, partials, incidents)
        elif kind == "month":
            month, incidents = decode_fields(value, tuple[DayKey, dict[str, DayIncident]])
            partition.months[month] = incidents
        elif kind == "hour":
            subject, hour = decode_fields(value, tuple[tuple[str, str], Hour])
            partition.hours[subject] = hour
        elif kind == "watched":
            name, watched = decode_fields(value, tuple[str, Liveness])
            partition.watched[name], partition.due[name] = watched, BEGINNING_MS
        elif kind == "charge":
            (charge,) = decode_fields(value, tuple[Charge])
            partition.charge(charge)
            partition.dirty.clear()
        elif kind == "driven":
            city, date, by_partition = decode_fields(value, tuple[str, str, dict[int, tuple[int, Millimetres]]])
            partition.driven[date] = by_partition
            partition.drove.add((city, date))
        elif kind == "account":
            name, announced, told, history = decode_fields(value, tuple[str, dict[int, Announced], tuple[str, float] | None, list[tuple[int, str]]])
            account = partition.accounts.setdefault(name, Account())
            account.announced, account.told, account.history = announced, told, history
        else:
            finding, state = decode_fields(value, tuple[ViolationKey, ViolationState])
            partition.findings[finding] = state

    def dirty(self, partition: CityLedger, head: RecordHeader) -> Iterator[tuple[str, bytes | None]]:
        """See ``StatefulStage``."""
        for kind, *names in sorted(partition.dirty):
            fields = self._fields(partition, kind, names)
            yield state_key(kind, *names), None if fields is None else encode_fields(fields, head)
        partition.dirty.clear()

    def _fields(self, partition: CityLedger, kind: str, names: list[str]) -> tuple[Any, ...] | None:
        """What ``put`` is to find under a key; None where it has been forgotten."""
        if kind == "watermark":
            return (partition.watermark,)
        if kind == "day":
            day = DayKey(*names)
            state = partition.days.get(day)
            return None if state is None else (day, {} if day.enterprise_id == CITY_WIDE else state.partials, state.incidents)
        if kind == "month":
            month = DayKey(*names)
            return (month, partition.months[month]) if month in partition.months else None
        if kind == "hour":
            return (names, partition.hours[names[0], names[1]])
        if kind == "driven":
            return (*names, partition.driven[names[1]]) if names[1] in partition.driven else None
        if kind == "watched":
            return names[0], partition.watched[names[0]]
        if kind == "charge":
            charge = partition.charges.get(names[0])
            return None if charge is None else (charge,)
        if kind == "account":
            account = partition.accounts[names[0]]
            return names[0], account.announced, account.told, account.history
        finding = ViolationKey(*names)
        found = partition.findings.get(finding)
        return None if found is None else (finding, found)


def _partial(value: bytes | None) -> Contribution | str:
    try:
        return decode_contribution(value)
    except Malformed as error:
        return str(error)
