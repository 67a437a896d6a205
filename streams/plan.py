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
from streams.policy import Policies, Rule
from streams.predicates import Form, Predicate, outside
from streams.recent import Kept
from streams.registry import Registry, Subject
from streams.rules import RULES

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


class Duties(msgspec.Struct):
    """What can be violated: one object for all vehicles to which the same applies.

    ``always``: with every fix, ``anywhere``: by a predicate, ``by_zone``: inside a zone, ``pairs``: by a fix and the one
    before it if they are ``reach_deg`` apart, ``silences``: by no fix for so many ms.
    """

    always: tuple[Offence, ...] = ()
    anywhere: tuple[tuple[Offence, Predicate], ...] = ()
    by_zone: ZonePlan = {}
    pairs: tuple[tuple[Offence, PairPredicate], ...] = ()
    reach_deg: float = 360.0
    silences: tuple[tuple[Offence, int], ...] = ()


class Plan(msgspec.Struct):
    """What a vehicle can violate in ``[from_ms, until_ms)``, as of a ``generation`` of policy and registry."""

    from_ms: int
    until_ms: int
    generation: int
    subject: Subject
    duties: Duties

    def violations(self, fix: Fix, inside: tuple[str, ...]) -> tuple[Offence, ...]:
        """The offences that this fix commits by itself."""
        duties, subject = self.duties, self.subject
        found = duties.always
        for offence, predicate in duties.anywhere:
            if predicate(fix, inside, subject):
                found += (offence,)
        if inside and duties.by_zone:
            for zone_id in inside:
                for offence, zone_predicate in duties.by_zone.get(zone_id, ()):
                    if zone_predicate is None or zone_predicate(fix, inside, subject):
                        found += (offence,)
        return found

    def pair_violations(self, before: Kept, fix: Kept) -> tuple[Offence, ...]:
        """The offences that a fix commits by where the fix before it was."""
        duties = self.duties
        if abs(fix.lon - before.lon) + abs(fix.lat - before.lat) < duties.reach_deg:
            return ()
        return tuple(offence for offence, predicate in duties.pairs if predicate(before, fix))


class Planner:
    """Makes plans from the policy's versions and the registry. ``generation`` grows whenever they change: plans are then old."""

    def __init__(self, policies: Policies, registry: Registry) -> None:
        self.policies = policies
        self.registry = registry
        self.generation = 0
        self._offences: dict[tuple[str, str | None, int, int, str, str], Offence] = {}
        self._duties: dict[tuple[object, ...], Duties] = {}

    def change(self, policies: Policies) -> None:
        """Take over what was published."""
        self.policies = policies
        self.generation += 1
        self._duties.clear()

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

    def silences(self, vehicle_id: str, event_time_ms: int, known: Plan | None = None) -> list[tuple[Offence, int]]:
        """If nothing follows a report of this time: the offences that will come of it, and the stream time each takes to pass.

        An announced interruption puts it off until its end. Registration and exemptions count at that time as well.
        """
        found = []
        plan = self.at(vehicle_id, event_time_ms, known)
        for offence, limit_ms in plan.duties.silences:
            due_ms = self.registry.after_notices(vehicle_id, event_time_ms + limit_ms)
            if any(offence is later for later, _ in self.at(vehicle_id, due_ms, plan).duties.silences):
                found.append((offence, due_ms))
        return found

    def at(self, vehicle_id: str, event_time_ms: int, known: Plan | None) -> Plan:
        """The vehicle's plan at an instant: the known one where it still holds."""
        if known is not None and known.generation == self.generation and known.from_ms <= event_time_ms < known.until_ms:
            return known
        return self.plan(vehicle_id, event_time_ms)

    def plan(self, vehicle_id: str, event_time_ms: int) -> Plan:
        """The vehicle's plan for the period around an instant."""
        policies = self.policies
        from_ms, until_ms = policies.period_ms(event_time_ms)
        subject = self.registry.subject(vehicle_id, event_time_ms)
        period = max(from_ms, subject.from_ms), min(until_ms, subject.until_ms)
        policy = policies.at(event_time_ms)
        if policy is None:
            return Plan(*period, self.generation, subject, NO_DUTIES)
        calendars = policy.calendars_at(event_time_ms)
        applying: list[tuple[Rule, Any, frozenset[str]]] = []
        for rule in policy.fix_rules:
            if rule.vehicles is not None and not rule.vehicles.matches(subject):
                continue
            if rule.permitted is not None and policy.permits(rule, event_time_ms):
                continue
            freed = rule.exempt.freed_zones(subject, calendars) if rule.exempt else _NOWHERE
            if "*" in freed:
                continue
            prepared = RULES[rule.rule].prepare(rule.parameters, subject, policy)
            if prepared is not False:
                applying.append((rule, prepared, freed))
        key = (id(policy), *((rule.id, prepared, freed) for rule, prepared, freed in applying))
        duties = self._duties.get(key)
        if duties is None:
            duties = self._duties[key] = self._make_duties(applying)
        return Plan(*period, self.generation, subject, duties)

    def _make_duties(self, applying: list[tuple[Rule, Any, frozenset[str]]]) -> Duties:
        duties = Duties(by_zone={})
        for rule, prepared, freed in applying:
            module = RULES[rule.rule]
            if rule.zone_ids is not None and module.ZONES != "outside":
                for zone_id in rule.zone_ids:
                    if zone_id not in freed:
                        entry = self._offence_of(rule, zone_id), None if prepared is True else prepared
                        duties.by_zone[zone_id] = (*duties.by_zone.get(zone_id, ()), entry)
                continue
            offence = self._offence_of(rule, None)
            if offence.form is Form.SILENCE:
                duties.silences += ((offence, int(rule.parameters.limit)),)
            elif offence.form is Form.PAIR:
                duties.pairs += ((offence, prepared),)
                duties.reach_deg = min(duties.reach_deg, module.reach_deg(rule.parameters))
            elif module.ZONES == "outside":
                duties.anywhere += ((offence, outside(frozenset(rule.zone_ids or ()))),)
            elif prepared is True:
                duties.always += (offence,)
            else:
                duties.anywhere += ((offence, prepared),)
        return duties


NO_DUTIES = Duties()
