"""What a policy means for one vehicle during one period: the rules that can be violated, and nothing else.

Windows, calendars, passes, classes and credit change seldom. They are settled once for a period in which none of them
changes; within it a fix is judged by the few predicates that are left.
"""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from streams.events import Fix
from streams.policy import Policy
from streams.registry import Registry
from streams.rules import RULES

Predicate = Callable[[Fix, tuple[str, ...]], bool]


class Offence(msgspec.Struct, eq=False, gc=False):
    """A rule instance in a zone (or none): what runs of fixes are counted for. One object each, compared by identity."""

    rule_id: str
    zone_id: str | None
    merge_gap_ms: int
    minimum_ms: int


class Plan(msgspec.Struct):
    """What a vehicle can violate in ``[from_ms, until_ms)``."""

    from_ms: int
    until_ms: int
    always: tuple[Offence, ...] = ()
    anywhere: tuple[tuple[Offence, Predicate], ...] = ()
    by_zone: dict[str, tuple[tuple[Offence, Predicate | None], ...]] = {}

    def violations(self, fix: Fix, inside: tuple[str, ...]) -> tuple[Offence, ...]:
        """The offences that this fix commits."""
        found = self.always
        for offence, predicate in self.anywhere:
            if predicate(fix, inside):
                found += (offence,)
        if inside and self.by_zone:
            for zone_id in inside:
                for offence, zone_predicate in self.by_zone.get(zone_id, ()):
                    if zone_predicate is None or zone_predicate(fix, inside):
                        found += (offence,)
        return found


class Planner:
    """Makes plans from a policy and the registry, and remembers each vehicle's latest."""

    def __init__(self, policy: Policy, registry: Registry) -> None:
        self.policy = policy
        self.registry = registry
        self.latest: dict[str, Plan] = {}
        self._offences: dict[tuple[str, str | None, int, int], Offence] = {}

    def offence(self, rule_id: str, zone_id: str | None, merge_gap_ms: int, minimum_ms: int) -> Offence:
        """The one object for a rule instance in a zone with these parameters."""
        key = (rule_id, zone_id, merge_gap_ms, minimum_ms)
        return self._offences.setdefault(key, Offence(*key))

    def plan(self, vehicle_id: str, event_time_ms: int) -> Plan:
        """The vehicle's plan for the period around an instant."""
        policy = self.policy
        from_ms, until_ms = policy.period_ms(event_time_ms)
        subject = self.registry.subject(vehicle_id, event_time_ms)
        plan = Plan(max(from_ms, subject.from_ms), min(until_ms, subject.until_ms))
        self.latest[vehicle_id] = plan
        if not policy.valid_from_ms <= event_time_ms < policy.valid_until_ms:
            return plan
        calendars = policy.calendars_at(event_time_ms)
        by_zone: dict[str, tuple[tuple[Offence, Predicate | None], ...]] = {}
        for rule in policy.fix_rules:
            if rule.vehicles is not None and not rule.vehicles.matches(subject):
                continue
            if rule.permitted is not None and policy.permits(rule, event_time_ms):
                continue
            prepared = RULES[rule.rule].prepare(rule.parameters, subject, policy)
            if prepared is False:
                continue
            for zone_id in (None,) if rule.zone_ids is None else rule.zone_ids:
                if rule.exempt and rule.exempt.frees(subject, zone_id, calendars):
                    continue
                offence = self.offence(rule.id, zone_id, int(rule.merge_gap), rule.minimum_ms)
                if zone_id is not None:
                    by_zone[zone_id] = (*by_zone.get(zone_id, ()), (offence, None if prepared is True else prepared))
                elif prepared is True:
                    plan.always += (offence,)
                else:
                    plan.anywhere += ((offence, prepared),)
        plan.by_zone = by_zone
        return plan
