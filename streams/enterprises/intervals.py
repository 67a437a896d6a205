"""Intervals: times in which somebody is at fault, known by their beginnings, and the incidents they make. Pure.

A silence between two signs of life is one, and so is the time an enterprise is on the black list. Whatever arrives late,
all of a subject's intervals are derived anew and only what differs from what was said is published.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from streams.lifecycle import CLOSED, OPEN, RETRACTED, Announced, Revision, announce, incident_id
from streams.policy.pack import Rule
from streams.policy.policy import Policies, Policy


class Interval(NamedTuple):
    """From its beginning (ms) to its end (None: it lasts); ``size``: of how many it is made, such as the charges of a black list.

    ``synthetic``: whether any of them, or of the signs around it, was made up.
    """

    start_ms: int
    end_ms: int | None
    size: int = 0
    synthetic: bool = False


class AnnouncedInterval(Announced, array_like=True):
    """An interval's incident as last announced."""

    interval: Interval


class IntervalTransition(Revision):
    """One revision of it. ``subject``: ``outlet/<id>`` or ``enterprise/<id>``."""

    policy: Policy
    rule: Rule
    subject: str
    interval: Interval


def judge_intervals(
    policies: Policies, identity_key: bytes, rule_id: str, subject: str, intervals: Iterable[Interval], announced: dict[int, AnnouncedInterval]
) -> list[IntervalTransition]:
    """What is to be announced now that these are a subject's intervals; ``announced``, by beginnings, is brought up to date."""
    wanted = {interval.start_ms: interval for interval in intervals}
    transitions = []
    for start_ms in sorted(wanted.keys() | announced.keys()):
        policy, rule = policies.rule(rule_id, "", start_ms)
        if not rule.rule:
            continue
        known, interval = announced.get(start_ms), wanted.get(start_ms)
        if known is None:
            name = incident_id(identity_key, policy.name, rule_id, subject, None, str(start_ms))
            known = AnnouncedInterval(name, 0, RETRACTED, wanted[start_ms])
        state = RETRACTED if interval is None else OPEN if interval.end_ms is None else CLOSED
        interval = interval or known.interval
        differs = state != known.state or (state == CLOSED and interval != known.interval)
        announced[start_ms], revisions = announce(known, state, differs=differs, interval=interval)
        for kind, said in revisions:
            as_of = interval._replace(end_ms=None) if said.state == OPEN else interval
            transitions.append(IntervalTransition(kind, said.incident_id, said.revision, said.state, policy, rule, subject, as_of))
    return transitions
