"""Low-rate incidents of closed days and months (semantics 8). Pure."""

from __future__ import annotations

from collections.abc import Callable

from streams.counts import CITY_WIDE, OTHER, Counts, DayKey
from streams.lifecycle import CLOSED, RETRACTED, Announced, Revision, announce, incident_id
from streams.policy.pack import Rule
from streams.policy.policy import Policies, Policy
from streams.registry.registry import Registry
from streams.rules import RULES

Among = Callable[[Callable[[str], bool]], Counts]
"""The counts of those enterprises that a condition on their ids selects."""


class DayIncident(Announced):
    """A low-rate incident about one subject's day, as last announced."""

    counts: tuple[int, int]


class DayTransition(Revision):
    """One revision of a low-rate incident. ``counts``: numerator and denominator; ``synthetic``: whether any parcel that it rests on is."""

    rule: Rule
    day: DayKey
    counts: tuple[int, int]
    synthetic: bool = False


class DayJudge:
    """Raises low-rate incidents for closed days, and corrects them when later scans change the counts."""

    def __init__(self, policies: Policies, registry: Registry, identity_key: bytes) -> None:
        self.policies = policies
        self.registry = registry
        self.identity_key = identity_key

    def judge(
        self, day: DayKey, counts: Counts, incidents: dict[str, DayIncident], stream_time_ms: int, among: Among | None = None
    ) -> list[DayTransition]:  # fmt: skip
        """Compare a day with the targets if it is closed; the policy is the one valid when it began.

        ``incidents``: its own, by rule. ``among``: what enterprises that are wanted have counted, for rules about primary brands alone.
        """
        start_ms, end_ms = self.policies.newest.days.bounds_ms(day.date)
        policy = self.policies.at(start_ms)
        if policy is None or day.city != policy.pack.city.adcode or stream_time_ms < end_ms + self.policies.lateness_ms:
            return []
        transitions = []
        for rule in policy.day_rules:
            concerned = self._concerned(rule, day, counts, among, start_ms)
            transitions += self._announce(policy, rule, day, self._low(rule, day, concerned, start_ms), concerned, incidents)
        return transitions

    def judge_month(
        self, month: DayKey, counts: Counts, before: Counts, incidents: dict[str, DayIncident], stream_time_ms: int,
        among: tuple[Among, Among] | None = None,
    ) -> list[DayTransition]:  # fmt: skip
        """Compare a month (its date is ``YYYY-MM``) with the one before, if it is closed, by the rules that ask for a rate that rises.

        Nothing rises above 100 %: that is met. ``among``: as for a day, of the month and of the one before.
        """
        start_ms, end_ms = self.policies.newest.days.bounds_ms(month.date)
        policy = self.policies.at(start_ms)
        if policy is None or month.city != policy.pack.city.adcode or stream_time_ms < end_ms + self.policies.lateness_ms:
            return []
        transitions = []
        for rule in (rule for rule in policy.day_rules if getattr(rule.parameters, "rising", False)):
            ours, theirs = (self._concerned(rule, month, *each, start_ms) for each in zip((counts, before), among or (None, None), strict=True))
            (part, whole), (part_before, whole_before) = (RULES[rule.rule].rate(each) for each in (ours, theirs))
            enough = min(whole, whole_before) >= max(rule.parameters.min_sample, 1)
            low = enough and part < whole and part * whole_before <= part_before * whole and self._concerns(rule, month, start_ms)
            transitions += self._announce(policy, rule, month, low, ours, incidents, synthetic=bool(theirs.synthetic))
        return transitions

    def _concerned(self, rule: Rule, day: DayKey, counts: Counts, among: Among | None, at_ms: int) -> Counts:
        """What a rule judges: of the whole city the primary brands alone, where it is about these."""
        if rule.parameters.primary_brands_only and day.enterprise_id == CITY_WIDE and among is not None:
            return among(lambda enterprise_id: self.registry.is_primary_brand(enterprise_id, at_ms))
        return counts

    def _low(self, rule: Rule, day: DayKey, counts: Counts, start_ms: int) -> bool:
        part, whole = RULES[rule.rule].rate(counts)
        low: bool = whole >= max(rule.parameters.min_sample, 1) and part / whole < rule.parameters.target
        return low and self._concerns(rule, day, start_ms)

    def _concerns(self, rule: Rule, day: DayKey, start_ms: int) -> bool:
        """Whether a rule is about all enterprises, or about this one as a primary brand."""
        if day.enterprise_id == OTHER:
            return False  # of many, who are not known
        if not rule.parameters.primary_brands_only or day.enterprise_id == CITY_WIDE:
            return True
        return self.registry.is_primary_brand(day.enterprise_id, start_ms)

    def _announce(
        self, policy: Policy, rule: Rule, day: DayKey, low: bool, counts: Counts, incidents: dict[str, DayIncident], *, synthetic: bool = False
    ) -> list[DayTransition]:
        numerator, denominator = RULES[rule.rule].rate(counts)
        known = incidents.get(rule.id)
        if known is None:
            if not low:
                return []
            subject = f"enterprise/{day.enterprise_id}"
            name = incident_id(self.identity_key, policy.name, rule.id, subject, None, f"{day.city}/{day.date}")
            known = DayIncident(name, 0, RETRACTED, (0, 0))
        counted, made_up = (numerator, denominator), synthetic or bool(counts.synthetic)
        incidents[rule.id], revisions = announce(known, CLOSED if low else RETRACTED, differs=known.counts != counted, counts=counted)
        return [DayTransition(kind, said.incident_id, said.revision, said.state, rule, day, counted, made_up) for kind, said in revisions]
