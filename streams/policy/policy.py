"""A policy by instant: which version, calendars and windows count, and in which zones a fix is."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from functools import cached_property
from typing import NamedTuple
from zoneinfo import ZoneInfo

import numpy as np

from streams.clock import BEGINNING_MS, END_MS, LocalDays, bound_ms, instant_ms, local_datetime
from streams.geo import ZoneIndex
from streams.patterns import compile_pattern
from streams.policy.pack import Pack, Rule
from streams.rules import RULES, judged


class Settled(NamedTuple):
    """A period in which no window or calendar changes: the calendars that are on, the rules whose windows permit."""

    from_ms: int
    until_ms: int
    calendars: frozenset[str]
    permitted: frozenset[str]


class Policy:
    """A pack ready to be asked: zones indexed, windows and calendars resolved by instant."""

    def __init__(self, pack: Pack) -> None:
        self.pack = pack
        self.warnings: tuple[str, ...] = ()
        self.name = pack.policy
        self.timezone = ZoneInfo(pack.city.timezone)
        self.days = LocalDays(self.timezone)
        self.lateness_ms = int(pack.lateness)
        self.valid_from_ms = bound_ms(pack.valid_from, self.timezone, end=False) if pack.valid_from else BEGINNING_MS
        self.valid_until_ms = bound_ms(pack.valid_until, self.timezone, end=True) if pack.valid_until else END_MS
        rules: dict[str, list[Rule]] = {kind: [] for kind in ("fix", "scan", "day", "silence", "credit", "line")}
        for rule in pack.rules:
            rules[judged(rule.rule)].append(rule)
        self.fix_rules, self.day_rules, self.silence_rules, self.credit_rules = rules["fix"], rules["day"], rules["silence"], rules["credit"]
        self.line_rules = rules["line"]
        self.scan_rules = {kind: [rule for rule in rules["scan"] if kind == RULES[rule.rule].SCANS] for kind in ("accepted", "all")}
        self.rule_of_id = {rule.id: rule for rule in pack.rules}
        self.identifier = compile_pattern(pack.identifier.pattern) if pack.identifier else None
        self._periods: deque[Settled] = deque(maxlen=8)

    def continued_by(self, event_time_ms: int) -> str | None:
        """Who goes on judging by the document, where that is over at an instant."""
        continued = self.pack.continued
        return continued.by if continued and self.pack.document.has_ended(self.days.date_of(event_time_ms)) else None

    @property
    def zone_kinds(self) -> dict[str, str]:
        """Each zone's kind by its id."""
        return self.pack.zone_kinds

    @cached_property
    def zone_index(self) -> ZoneIndex:
        """The index over the pack's zones."""
        return ZoneIndex(self.pack.geometries)

    def calendars_at(self, event_time_ms: int) -> frozenset[str]:
        """Names of the calendars that are on at an instant."""
        return self._settled(event_time_ms).calendars

    def permits(self, rule: Rule, event_time_ms: int) -> bool:
        """Whether an instant lies in one of the rule's permitted windows."""
        return rule.id in self.permitted_at(event_time_ms)

    def permitted_at(self, event_time_ms: int) -> frozenset[str]:
        """Ids of the rules of which an instant lies in a permitted window."""
        return self._settled(event_time_ms).permitted

    def period_ms(self, event_time_ms: int) -> tuple[int, int]:
        """The longest known ``[from, until)`` around an instant in which no window, calendar or validity changes."""
        settled = self._settled(event_time_ms)
        return settled.from_ms, settled.until_ms

    def _settled(self, event_time_ms: int) -> Settled:
        """What windows and calendars say around an instant; the last few answers are remembered."""
        for known in self._periods:
            if known.from_ms <= event_time_ms < known.until_ms:
                return known
        day = local_datetime(event_time_ms, self.timezone).date()
        bounds = {instant_ms(day, 0, self.timezone), instant_ms(day, 1440, self.timezone), self.valid_from_ms, self.valid_until_ms, BEGINNING_MS, END_MS}
        permitted = set()
        for rule in self.fix_rules:
            for window in rule.permitted or ():
                for from_ms, until_ms in window.intervals_ms(day, self.timezone):
                    bounds |= {from_ms, until_ms}
                    if from_ms <= event_time_ms < until_ms:
                        permitted.add(rule.id)
        calendars = (name for name, ranges in self.pack.calendars.items() if any(first <= day <= last for dates in ranges for first, last in dates.days(day)))
        period = max(b for b in bounds if b <= event_time_ms), min(b for b in bounds if b > event_time_ms)
        self._periods.appendleft(Settled(*period, frozenset(calendars), frozenset(permitted)))
        return self._periods[0]

    def zone_name(self, zone_id: str | None) -> tuple[str, str]:
        """A zone's name in Chinese and English (its id where it has none)."""
        return self.pack.zone_names.get(zone_id or "", (zone_id or "", zone_id or ""))


class Policies:
    """The versions of one city's policy; the one that counts at an instant is the latest of those then valid (semantics 1)."""

    def __init__(self, versions: Sequence[Policy]) -> None:
        self.versions = sorted(versions, key=lambda policy: policy.valid_from_ms)
        self.newest = self.versions[-1]
        self.name = self.newest.name
        self.lateness_ms = max(policy.lateness_ms for policy in versions)

    def at(self, event_time_ms: int) -> Policy | None:
        """The version that is valid then."""
        valid = (p for p in reversed(self.versions) if p.valid_from_ms <= event_time_ms < p.valid_until_ms)
        return next(valid, None)

    def period_ms(self, event_time_ms: int) -> tuple[int, int]:
        """``[from, until)`` around an instant in which the same version holds and nothing in it changes."""
        policy = self.at(event_time_ms)
        bounds = [bound for p in self.versions for bound in (p.valid_from_ms, p.valid_until_ms)]
        bounds += policy.period_ms(event_time_ms) if policy else (BEGINNING_MS, END_MS)
        return max(b for b in bounds if b <= event_time_ms), min(b for b in bounds if b > event_time_ms)

    def locate(self, times: np.ndarray, lons: np.ndarray, lats: np.ndarray) -> np.ndarray:
        """For n fixes (ms, degrees) the numbers (see ``zones``) of the sets of zones each is inside, by the version valid at its time."""
        earliest_ms, latest_ms = int(times.min()), int(times.max())
        first = self.at(earliest_ms)
        if len(self.versions) == 1 or (first is self.at(latest_ms) and self.period_ms(earliest_ms) == self.period_ms(latest_ms)):
            return self._numbers(first or self.newest, lons, lats)
        numbers = np.zeros(len(times), np.int64)
        holders = [self.at(time_ms) for time_ms in times.tolist()]
        for policy in {id(p): p for p in holders if p is not None}.values():
            chosen = [index for index, holder in enumerate(holders) if holder is policy]
            numbers[chosen] = self._numbers(policy, lons[chosen], lats[chosen])
        return numbers

    def _numbers(self, policy: Policy, lons: np.ndarray, lats: np.ndarray) -> np.ndarray:
        numbers: np.ndarray = policy.zone_index.locate(lons, lats).astype(np.int64) * len(self.versions) + self.versions.index(policy)
        return numbers

    def zones(self, number: int) -> tuple[str, ...]:
        """The ids of a set of zones."""
        place, version = divmod(number, len(self.versions))
        return self.versions[version].zone_index.sets[place]

    def rule(self, rule_id: str, name: str, event_time_ms: int) -> tuple[Policy, Rule]:
        """A rule instance by its id, and the version it stands in: the one valid then, else the newest that has it.

        An incident may outlive a rule that was withdrawn; then only the rule's ``name`` is known.
        """
        for policy in (self.at(event_time_ms), *reversed(self.versions)):
            if policy is not None and rule_id in policy.rule_of_id:
                return policy, policy.rule_of_id[rule_id]
        return self.newest, Rule(rule=name, id=rule_id, clause="", severity="violation")
