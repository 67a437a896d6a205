"""What scans have against an outlet or an enterprise on a local day: one incident each. Pure.

A scan partition collects the scans that violate (``ViolatingScan``) and sends on what they come to (``ViolationSummary``); the second
stage joins the partitions' summaries and decides what to publish. An incident opens with its first scan, grows in silence
while its day lasts, closes when stream time passes the day's end + lateness, and is updated, or retracted, when later
scans change what was said.
"""

from __future__ import annotations

from collections.abc import Iterable
from heapq import nsmallest
from typing import NamedTuple

import msgspec

from streams.lifecycle import CLOSED, MAX_EVIDENCE, OPEN, RETRACTED, Announced, Revision, announce, incident_id
from streams.policy.pack import Rule
from streams.policy.policy import Policies, Policy
from streams.registry.registry import Registry
from streams.rules import RULES
from streams.wire.events import Scan


class ViolationKey(NamedTuple):
    """A rule instance, ``outlet/<id>`` or ``enterprise/<id>``, and a local date."""

    rule_id: str
    subject: str
    date: str


class ViolatingScan(NamedTuple):
    """A violating scan: when, its id, whose, and whether it was made up."""

    event_time_ms: int
    event_id: str
    enterprise_id: str
    synthetic: bool = False


class ViolationSummary(msgspec.Struct, array_like=True, frozen=True):
    """How many scans, the last's time, the earliest of them in order, and whether any was made up."""

    count: int
    last_seen_ms: int
    evidence: tuple[ViolatingScan, ...]
    synthetic: bool = False


def summary_of(violating_scans: Iterable[ViolatingScan]) -> ViolationSummary:
    """What violating scans come to; a count of 0 where there are none."""
    found = list(violating_scans)
    return ViolationSummary(len(found), max((s.event_time_ms for s in found), default=0), tuple(nsmallest(MAX_EVIDENCE, found)), any(s.synthetic for s in found))


def joined(summaries: Iterable[ViolationSummary]) -> ViolationSummary:
    """The summary over several partitions."""
    parts = list(summaries)
    evidence = nsmallest(MAX_EVIDENCE, (s for part in parts for s in part.evidence))
    last_seen_ms = max((part.last_seen_ms for part in parts), default=0)
    return ViolationSummary(sum(part.count for part in parts), last_seen_ms, tuple(evidence), any(part.synthetic for part in parts))


def violated(scan: Scan, rules: Iterable[Rule], registry: Registry, date: str) -> tuple[ViolationKey, ...]:
    """The violations that a scan adds to."""
    found = []
    for rule in rules:
        module = RULES[rule.rule]
        if module.violates(scan, registry):
            is_outlets = scan.outlet_id and getattr(module, "SUBJECT", "outlet") == "outlet"
            found.append(ViolationKey(rule.id, f"outlet/{scan.outlet_id}" if is_outlets else f"enterprise/{scan.enterprise_id}", date))
    return tuple(found)


class ScanViolation(Announced, array_like=True):
    """An incident of this kind as last announced."""

    summary: ViolationSummary


class ViolationTransition(Revision):
    """One revision of it."""

    policy: Policy
    rule: Rule
    key: ViolationKey
    summary: ViolationSummary


def judge_violation(
    policies: Policies, identity_key: bytes, key: ViolationKey, summary: ViolationSummary, known: ScanViolation | None, stream_time_ms: int
) -> tuple[ScanViolation | None, list[ViolationTransition]]:
    """What is to be announced now that a violation has come to ``summary``, and what is known of it afterwards."""
    start_ms, end_ms = policies.newest.days.bounds_ms(key.date)
    policy, rule = policies.rule(key.rule_id, "", start_ms)
    if (known is None and not summary.count) or not rule.rule:
        return known, []
    if known is None:
        name = incident_id(identity_key, policy.name, key.rule_id, key.subject, None, key.date)
        known = ScanViolation(name, 0, RETRACTED, summary)
    state = RETRACTED if not summary.count else CLOSED if stream_time_ms >= end_ms + policies.lateness_ms else OPEN
    # of an open one only its opening has been told
    differs = summary != known.summary if state == CLOSED else summary.evidence[:1] != known.summary.evidence[:1]
    known, revisions = announce(known, state, differs=differs, summary=summary)
    return known, [ViolationTransition(kind, said.incident_id, said.revision, said.state, policy, rule, key, summary) for kind, said in revisions]
