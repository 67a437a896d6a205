"""What a policy means for one vehicle during one period: the rules that can be violated, and nothing else.

Windows, calendars, passes, classes and credit change seldom. They are settled once for a period in which none of them
changes; within it a fix is judged by the few predicates that are left.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import msgspec
import numpy as np

from streams.clock import END_MS
from streams.fix_batch import Chunk, StoredFix
from streams.policy.pack import Rule
from streams.policy.policy import Policies, Policy
from streams.registry.registry import Registry, Subject
from streams.rules import RULES
from streams.rules._predicates import Form, Predicate
from streams.vehicles.growable import GrowableArray
from streams.wire.events import LAST_MS, Fix

PairPredicate = Callable[[StoredFix, StoredFix], bool]


class Offence(msgspec.Struct, eq=False, gc=False):
    """A rule instance in a zone (or none): what runs of fixes are counted for. One object each, compared by identity."""

    rule_id: str
    zone_id: str | None
    merge_gap_ms: int
    minimum_ms: int
    form: Form
    rule: str


COMPILED = np.dtype([("from_ms", "<i8"), ("until_ms", "<i8"), ("rule_set", "<i4")])
RULE_SETS = np.dtype([("reach_deg", "<f8"), ("watches", "?")])
"""Of rule sets: from which distance to the fix before on one asks further, and whether silences are watched for."""
ASKABLE = 62
"""So many predicates have a bit in the arrays; whatever depends on others takes the slow path."""
LARGEST = 2_048
"""Of the table of rule sets and sets of zones; what is beyond takes the slow path."""


class ZoneRules(NamedTuple):
    """What can be violated inside certain zones: by every fix, and by those that a predicate holds for (``bit``: its own)."""

    always: tuple[Offence, ...]
    bits: int
    asked: tuple[tuple[int, Offence, Predicate], ...]


class RuleSet(msgspec.Struct):
    """What can be violated: one object for all vehicles to which the same applies.

    ``by_itself``: by one fix, with the zones that a rule is about; ``pairs``: by a fix and the one before it if they are
    ``reach_deg`` apart; ``silences``: by no fix for so many ms. ``by_zones``: what is known of the sets of zones asked about so far;
    ``report_predicates``: those that go by what is reported of plate and driver.
    """

    number: int

    by_itself: tuple[tuple[Offence, ZoneScope, Predicate | None, int], ...] = ()
    pairs: tuple[tuple[Offence, PairPredicate], ...] = ()
    reach_deg: float = 360.0
    silences: tuple[tuple[Offence, int], ...] = ()
    by_zones: dict[int, ZoneRules] = {}
    report_predicates: tuple[Predicate, ...] = ()

    def inside(self, zones: tuple[str, ...]) -> ZoneRules:
        """What can be violated inside these zones."""
        found = [(offence, predicate, bit) for offence, where, predicate, bit in self.by_itself if where.applies(zones)]
        asked = tuple((bit, offence, predicate) for offence, predicate, bit in found if predicate is not None)
        always = tuple(offence for offence, predicate, _ in found if predicate is None)
        return ZoneRules(always, sum({bit for bit, _, _ in asked}), asked)

    def offends(self, fix: Fix, subject: Subject) -> bool:
        """Whether what a fix reports of plate and driver can offend."""
        return any(predicate.reported(fix, subject) for predicate in self.report_predicates if predicate.reported)


def offences_by_itself(zone_rules: ZoneRules, fix: Fix, zones: tuple[str, ...], subject: Subject | None, prefilter: int) -> tuple[Offence, ...]:
    """The offences that a fix commits by itself; ``prefilter`` has the bits of the predicates that can hold for it."""
    assert subject is not None
    found = zone_rules.always
    for bit, offence, predicate in zone_rules.asked:
        if bit & prefilter and predicate.holds(fix, zones, subject):
            found += (offence,)
    return found


def pair_offences(rule_set: RuleSet, before: StoredFix, fix: StoredFix) -> tuple[Offence, ...]:
    """The offences that a fix commits by where the fix before it was."""
    if abs(fix.lon - before.lon) + abs(fix.lat - before.lat) < rule_set.reach_deg:
        return ()
    return tuple(offence for offence, predicate in rule_set.pairs if predicate(before, fix))


class ZoneScope(NamedTuple):
    """The zones that a rule is about: everywhere, inside one, or outside all of them."""

    inside: str | None = None
    outside: frozenset[str] | None = None

    def applies(self, zones: tuple[str, ...]) -> bool:
        """Whether it is about a fix inside these zones."""
        return (self.inside is None or self.inside in zones) and (self.outside is None or self.outside.isdisjoint(zones))


class CompiledRules(msgspec.Struct, gc=False):
    """What can be violated in ``[from_ms, until_ms)``, as of a ``generation`` of policy and registry; shared like its rule set."""

    from_ms: int
    until_ms: int
    generation: int
    rule_set: RuleSet
    number: int

    def holds_at(self, event_time_ms: int, generation: int) -> bool:
        """Whether these rules apply at an instant, as of a generation."""
        return self.generation == generation and self.from_ms <= event_time_ms < self.until_ms


class Period(NamedTuple):
    """``[from_ms, until_ms)`` in which no window, calendar or validity of the policy changes: its version, calendars that are on, rules not permitted to be broken."""

    from_ms: int
    until_ms: int
    policy: Policy | None
    calendars: frozenset[str]
    rules: tuple[Rule, ...]


class RuleCompiler:
    """Compiles rules from the policy's versions and the registry. ``generation`` grows whenever these change: what was compiled before is then old.

    As arrays, for whole chunks: ``compiled_rules`` and ``rule_set`` by number, and ``bits[rule set, set of zones]`` of the predicates to be asked
    (-1: no bits say it all).
    """

    def __init__(self, policies: Policies, registry: Registry) -> None:
        self.policies = policies
        self.registry = registry
        self.generation = 0
        self._offences: dict[tuple[str, str | None, int, int, str, str], Offence] = {}
        self._rule_sets: dict[tuple[object, ...], RuleSet] = {}
        self._compiled: dict[tuple[int, int, int], CompiledRules] = {}
        self._bits: dict[Predicate, int] = {}
        self._period: Period | None = None
        self.change(policies)

    def change(self, policies: Policies) -> None:
        """Take over what was published."""
        self.policies = policies
        self.generation += 1
        self._rule_sets.clear()
        self._compiled.clear()
        self._bits.clear()
        self._period = None
        self.compiled_rules, self.rule_set = GrowableArray(COMPILED), GrowableArray(RULE_SETS)
        self.compiled_rules.add((END_MS, END_MS, 0))
        self.rule_set.add((0.0, False))
        self.bits = np.full((16, 16), -1)

    def zone_rules(self, rule_set: RuleSet, zones: int) -> ZoneRules:
        """What can be violated inside a set of zones (its number), worked out once."""
        found = rule_set.by_zones.get(zones)
        if found is None:
            found = rule_set.by_zones[zones] = rule_set.inside(self.policies.zones(zones))
            if rule_set.number < LARGEST and zones < LARGEST:
                self._make_room(rule_set.number, zones)
                self.bits[rule_set.number, zones] = -1 if found.always or found.bits >> ASKABLE else found.bits
        return found

    def _make_room(self, rule_set: int, zones: int) -> None:
        """The last row and the last column stay free, for numbers beyond."""
        height, width = self.bits.shape
        while rule_set >= height - 1 or zones >= width - 1:
            taller, wider = (height if rule_set >= height - 1 else 0), (width if zones >= width - 1 else 0)
            self.bits = np.pad(self.bits, ((0, taller), (0, wider)), constant_values=-1)
            height, width = self.bits.shape

    def predicate_bits(self, rule_set: np.ndarray, zones: np.ndarray) -> np.ndarray:
        """The bits of the predicates to be asked of n fixes; -1 where that does not say it all."""
        height, width = self.bits.shape
        found: np.ndarray = self.bits[np.minimum(rule_set, height - 1), np.minimum(zones, width - 1)]
        return found

    def report_bits(self) -> int:
        """The bits of the predicates that go by what is reported of plate and driver."""
        return sum(bit for predicate, bit in list(self._bits.items())[:ASKABLE] if predicate.reported is not None)

    def prefilter(self, chunk: Chunk) -> np.ndarray:
        """For each of n fixes the bits of the predicates that can hold for it; those of predicates not met yet are all set."""
        known = list(self._bits.items())[:ASKABLE]
        bits = np.full(len(chunk.fixes), -1 << len(known))
        for predicate, bit in known:
            bits |= bit if predicate.prefilter is None else np.where(predicate.prefilter(chunk), bit, 0)
        return bits

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

    def silences(self, vehicle_id: str, event_time_ms: int, known: CompiledRules | None = None) -> list[tuple[Offence, int]]:
        """If nothing follows a report of this time: the offences that will come of it, and the stream time each takes to pass.

        An interruption announced by then puts it off until its end. Registration and exemptions count at that time as well.
        """
        found = []
        compiled = self.at(vehicle_id, event_time_ms, known)
        for offence, limit_ms in compiled.rule_set.silences:
            due_ms = self.registry.unannounced_ms("vehicle", vehicle_id, event_time_ms + limit_ms, event_time_ms)
            if due_ms < LAST_MS and any(offence is later for later, _ in self.at(vehicle_id, due_ms, compiled).rule_set.silences):
                found.append((offence, due_ms))
        return found

    def at(self, vehicle_id: str, event_time_ms: int, known: CompiledRules | None) -> CompiledRules:
        """The vehicle's rules at an instant: the known ones where they still hold."""
        if known is not None and known.holds_at(event_time_ms, self.generation):
            return known
        return self.compiled(vehicle_id, event_time_ms)[0]

    def compiled(self, vehicle_id: str, event_time_ms: int) -> tuple[CompiledRules, Subject]:
        """The vehicle's rules for the period around an instant, and what the registry says about it then."""
        period = self._period
        if period is None or not period.from_ms <= event_time_ms < period.until_ms:
            period = self._period = self._period_around(event_time_ms)
        subject = self.registry.subject(vehicle_id, event_time_ms)
        rule_set = self._rule_set_of(subject, period)
        key = (max(period.from_ms, subject.from_ms), min(period.until_ms, subject.until_ms), rule_set.number)
        compiled = self._compiled.get(key)
        if compiled is None:
            compiled = self._compiled[key] = CompiledRules(*key[:2], self.generation, rule_set, self.compiled_rules.add(key))
        return compiled, subject

    def _period_around(self, event_time_ms: int) -> Period:
        policy = self.policies.at(event_time_ms)
        bounds_ms = self.policies.period_ms(event_time_ms)
        if policy is None:
            return Period(*bounds_ms, policy, frozenset(), ())
        permitted = policy.permitted_at(event_time_ms)
        return Period(*bounds_ms, policy, policy.calendars_at(event_time_ms), tuple(rule for rule in policy.fix_rules if rule.id not in permitted))

    def _rule_set_of(self, subject: Subject, period: Period) -> RuleSet:
        applying: list[tuple[Rule, Any, frozenset[str]]] = []
        for rule in period.rules:
            if rule.vehicles is not None and not rule.vehicles.matches(subject):
                continue
            freed = rule.freed_zones(subject, period.calendars)
            if "*" in freed:
                continue
            prepared = RULES[rule.rule].prepare(rule.parameters, subject, period.policy.identifier if period.policy else None)
            if prepared is not False:
                applying.append((rule, prepared, freed))
        key = (id(period.policy), *((rule.id, prepared, freed) for rule, prepared, freed in applying))
        rule_set = self._rule_sets.get(key)
        if rule_set is None:
            rule_set = self._rule_sets[key] = self._make_rule_set(applying)
        return rule_set

    def _make_rule_set(self, applying: list[tuple[Rule, Any, frozenset[str]]]) -> RuleSet:
        rule_set = RuleSet(self.rule_set.count, by_zones={})
        for rule, prepared, freed in applying:
            module, predicate = RULES[rule.rule], None if prepared is True else prepared
            zones = rule.zone_ids
            if zones is not None and module.ZONES != "outside":
                places: list[tuple[str | None, ZoneScope]] = [(zone_id, ZoneScope(zone_id)) for zone_id in zones if zone_id not in freed]
            else:
                places = [(None, ZoneScope(outside=frozenset(zones) if zones is not None else None))]
            for zone_id, where in places:
                offence = self._offence_of(rule, zone_id)
                if offence.form is Form.SILENCE:
                    rule_set.silences += ((offence, int(rule.parameters.limit)),)
                elif offence.form is Form.PAIR:
                    rule_set.pairs += ((offence, prepared),)
                    rule_set.reach_deg = min(rule_set.reach_deg, module.reach_deg(rule.parameters))
                else:
                    bit = self._bits.setdefault(predicate, 1 << len(self._bits)) if predicate else 0
                    rule_set.by_itself += ((offence, where, predicate, bit),)
        rule_set.report_predicates = tuple(dict.fromkeys(p for _, _, p, _ in rule_set.by_itself if p is not None and p.reported is not None))
        self.rule_set.add((rule_set.reach_deg if rule_set.pairs else np.inf, bool(rule_set.silences)))
        return rule_set
