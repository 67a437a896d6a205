"""What a policy means for one vehicle during one period: the rules that can be violated, and nothing else.

Windows, calendars, passes, classes and credit change seldom. They are settled once for a period in which none of them
changes; within it a fix is judged by the few predicates that are left.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from streams.clock import END_MS
from streams.events import Fix
from streams.policy import Policies, Policy, Rule
from streams.predicates import Form
from streams.recent import Kept
from streams.registry import Registry
from streams.rules import RULES

Predicate = Callable[[Fix, tuple[str, ...]], bool]
PairPredicate = Callable[[Kept, Kept], bool]


class Offence(msgspec.Struct, eq=False, gc=False):
    """A rule instance in a zone (or none): what runs of fixes are counted for. One object each, compared by identity."""

    rule_id: str
    zone_id: str | None
    merge_gap_ms: int
    minimum_ms: int
    form: Form
    rule: str


ZonePlan = dict[str, tuple[tuple[Offence, Predicate | None], ...]]
_NOWHERE: frozenset[str] = frozenset()


class Plan(msgspec.Struct):
    """What a vehicle can violate in ``[from_ms, until_ms)``.

    ``always``: with every fix, ``anywhere``: by a predicate, ``by_zone``: inside a zone, ``pairs``: by a fix and the one
    before it, ``silences``: by no fix for so many ms.
    """

    from_ms: int
    until_ms: int
    always: tuple[Offence, ...] = ()
    anywhere: tuple[tuple[Offence, Predicate], ...] = ()
    by_zone: ZonePlan = {}
    pairs: tuple[tuple[Offence, PairPredicate], ...] = ()
    silences: tuple[tuple[Offence, int], ...] = ()

    def violations(self, fix: Fix, inside: tuple[str, ...]) -> tuple[Offence, ...]:
        """The offences that this fix commits by itself."""
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

    def pair_violations(self, before: Kept, fix: Kept) -> tuple[Offence, ...]:
        """The offences that a fix commits by where the fix before it was."""
        return tuple(offence for offence, predicate in self.pairs if predicate(before, fix))


class Planner:
    """Makes plans from the policy's versions and the registry, and remembers each vehicle's latest."""

    def __init__(self, policies: Policies, registry: Registry) -> None:
        self.policies = policies
        self.registry = registry
        self.latest: dict[str, Plan] = {}
        self._offences: dict[tuple[str, str | None, int, int, str, str], Offence] = {}
        self._zone_plans: dict[tuple[object, ...], ZonePlan] = {}

    def change(self, policies: Policies) -> None:
        """Take over what was published; plans are made anew."""
        self.policies = policies
        self.latest.clear()
        self._zone_plans.clear()

    def offence(self, rule_id: str, zone_id: str | None, merge_gap_ms: int, minimum_ms: int, form: str, rule: str) -> Offence:
        """The one object for a rule instance in a zone with these parameters."""
        key = (rule_id, zone_id, merge_gap_ms, minimum_ms, form, rule)
        known = self._offences.get(key)
        if known is None:
            known = self._offences[key] = Offence(rule_id, zone_id, merge_gap_ms, minimum_ms, Form(form), rule)
        return known

    def _offence_of(self, rule: Rule, zone_id: str | None) -> Offence:
        form = getattr(RULES[rule.rule], "FORM", Form.FIX)
        merge_gap_ms = END_MS if form is Form.SILENCE else int(rule.merge_gap)  # only the next fix ends a silence
        return self.offence(rule.id, zone_id, merge_gap_ms, rule.minimum_ms, form, rule.rule)

    def at(self, vehicle_id: str, event_time_ms: int) -> Plan:
        """The vehicle's plan at an instant, whether or not it is the latest."""
        latest = self.latest.get(vehicle_id)
        if latest is not None and latest.from_ms <= event_time_ms < latest.until_ms:
            return latest
        return self._make(vehicle_id, event_time_ms)

    def plan(self, vehicle_id: str, event_time_ms: int) -> Plan:
        """The vehicle's plan for the period around an instant, remembered."""
        plan = self.latest[vehicle_id] = self._make(vehicle_id, event_time_ms)
        return plan

    def silences(self, vehicle_id: str, event_time_ms: int) -> list[tuple[Offence, int]]:
        """If nothing follows a report of this time: the offences that will come of it, and the stream time each takes to pass.

        An announced interruption puts it off until its end. Registration and exemptions count at that time as well.
        """
        found = []
        for offence, limit_ms in self.at(vehicle_id, event_time_ms).silences:
            due_ms = self.registry.after_notices(vehicle_id, event_time_ms + limit_ms)
            if any(offence is later for later, _ in self.at(vehicle_id, due_ms).silences):
                found.append((offence, due_ms))
        return found

    def _make(self, vehicle_id: str, event_time_ms: int) -> Plan:
        policies = self.policies
        from_ms, until_ms = policies.period_ms(event_time_ms)
        subject = self.registry.subject(vehicle_id, event_time_ms)
        plan = Plan(max(from_ms, subject.from_ms), min(until_ms, subject.until_ms))
        policy = policies.at(event_time_ms)
        if policy is None:
            return plan
        calendars = policy.calendars_at(event_time_ms)
        in_zones: list[tuple[Rule, object, frozenset[str]]] = []
        for rule in policy.fix_rules:
            if rule.vehicles is not None and not rule.vehicles.matches(subject):
                continue
            if rule.permitted is not None and policy.permits(rule, event_time_ms):
                continue
            freed = rule.exempt.freed_zones(subject, calendars) if rule.exempt else _NOWHERE
            if "*" in freed:
                continue
            prepared = RULES[rule.rule].prepare(rule.parameters, subject, policy)
            if prepared is False:
                continue
            if rule.zone_ids is not None and RULES[rule.rule].ZONES != "outside":
                in_zones.append((rule, prepared, freed))
            else:
                self._add(plan, rule, prepared)
        if in_zones:
            plan.by_zone = self._in_zones(policy, in_zones)
        return plan

    def _add(self, plan: Plan, rule: Rule, prepared: Any) -> None:
        """Enter a rule that is not tied to single zones."""
        module = RULES[rule.rule]
        offence = self._offence_of(rule, None)
        if offence.form is Form.SILENCE:
            plan.silences += ((offence, int(rule.parameters.limit)),)
        elif offence.form is Form.PAIR:
            plan.pairs += ((offence, prepared),)
        elif module.ZONES == "outside":
            plan.anywhere += ((offence, _outside(rule.zone_ids or [])),)
        elif prepared is True:
            plan.always += (offence,)
        else:
            plan.anywhere += ((offence, prepared),)

    def _in_zones(self, policy: Policy, rules: list[tuple[Rule, Any, frozenset[str]]]) -> ZonePlan:
        """What is judged in which zone; one object for all vehicles to which the same applies."""
        key = (id(policy), *((rule.id, prepared, freed) for rule, prepared, freed in rules))
        by_zone = self._zone_plans.get(key)
        if by_zone is None:
            by_zone = self._zone_plans[key] = {}
            for rule, prepared, freed in rules:
                for zone_id in rule.zone_ids or ():
                    if zone_id not in freed:
                        offence = self._offence_of(rule, zone_id)
                        by_zone[zone_id] = (*by_zone.get(zone_id, ()), (offence, None if prepared is True else prepared))
        return by_zone


def _outside(zone_ids: list[str]) -> Predicate:
    zones = frozenset(zone_ids)
    return lambda fix, inside: zones.isdisjoint(inside)
