"""Delivery lines that nobody drove on a day (``rules.missed_line``). Pure."""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection

import msgspec

from streams.lifecycle import CLOSED, RETRACTED, Announced, Revision, announce, incident_id
from streams.policy.pack import Rule
from streams.policy.policy import Policies, Policy
from streams.registry.registry import Registry
from streams.vehicles.lines import lines_of_day

DAYS_HEARD = 7
"""Fixes of one of so many days before, as well as of the day itself, make a day one of which all was received."""


class MissedLine(Announced):
    """An incident about a line's day as last announced."""


class LineDay(msgspec.Struct):
    """A judged day: the zones of each line that counted when it was judged first, and incidents by rule and line."""

    lines: dict[str, list[str]] = {}
    incidents: dict[str, MissedLine] = {}


class LineTransition(Revision):
    """One revision of an incident about a line's day."""

    policy: Policy
    rule: Rule
    line_id: str
    date: str
    zones: list[str]


def is_heard_of(date: str, dates: Collection[str]) -> bool:
    """Whether the dates on which fixes were accepted contain a day, and one of the days before."""
    return date in dates and any(before in dates for before in days_around(date, -DAYS_HEARD, -1))


def days_around(date: str, first: int, last: int) -> list[str]:
    """The dates from so many days after a date (before: negative) to so many, both included.

    >>> days_around("2024-02-28", 0, 2)
    ['2024-02-28', '2024-02-29', '2024-03-01']
    """
    day = dt.date.fromisoformat(date)
    return [(day + dt.timedelta(days=number)).isoformat() for number in range(first, last + 1)]


def judge_line_day(
    policies: Policies, registry: Registry, identity_key: bytes, date: str, driven: Collection[str], known: LineDay | None, stream_time_ms: int
) -> tuple[LineDay | None, list[LineTransition]]:
    """What is to be announced of a day that was heard of, if it is closed, and what is known of it afterwards (None: it is not judged yet)."""
    start_ms, end_ms = policies.newest.days.bounds_ms(date)
    policy = policies.at(start_ms)
    if policy is None or stream_time_ms < end_ms + policies.lateness_ms:
        return known, []
    if known is None:
        known = LineDay({name: line.zones for name, line in lines_of_day(policies, registry, date).items()}, {})
    transitions: list[LineTransition] = []
    for rule in policy.line_rules:
        for line_id in known.lines if rule.parameters.lines is None else known.lines.keys() & set(rule.parameters.lines):
            transitions += _announce(identity_key, policy, rule, date, line_id, known, missed=line_id not in driven)
    return known, sorted(transitions, key=lambda transition: (transition.rule.id, transition.line_id, transition.revision))


def _announce(identity_key: bytes, policy: Policy, rule: Rule, date: str, line_id: str, day: LineDay, *, missed: bool) -> list[LineTransition]:
    name = f"{rule.id}/{line_id}"
    incident = day.incidents.get(name)
    if incident is None:
        if not missed:
            return []
        incident = MissedLine(incident_id(identity_key, policy.name, rule.id, f"line/{line_id}", None, date), 0, RETRACTED)
    day.incidents[name], revisions = announce(incident, CLOSED if missed else RETRACTED, differs=False)
    return [LineTransition(kind, said.incident_id, said.revision, said.state, policy, rule, line_id, date, day.lines[line_id]) for kind, said in revisions]
