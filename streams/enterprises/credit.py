"""The credit ledger: what closed incidents cost enterprises and drivers, for how long, and what standing follows (red and black lists).

Points and thresholds are the policy's (``blacklisted_enterprise``). A driver is who the vehicle reports at the incident's first fix that names one; points expire after 365 days. Pure: an account is a
function of its charges and of the answers to their incidents, whatever the order in which they arrive.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from itertools import groupby
from operator import itemgetter
from typing import Any, NamedTuple

import msgspec

from streams.clock import BEGINNING_MS, DAY_MS, END_MS
from streams.counts import CITY_WIDE
from streams.enterprises.confirmations import Answered, confirmed
from streams.enterprises.intervals import AnnouncedInterval, Interval
from streams.lifecycle import CLOSED, MAX_EVIDENCE
from streams.policy.pack import Rule
from streams.policy.policy import Policies
from streams.rules import judged
from streams.rules.blacklisted_enterprise import Terms
from streams.rules.blacklisted_enterprise import standing as credit_of
from streams.wire.incident import IncidentData

EXPIRE_MS = 365 * DAY_MS
Answers = Mapping[str, Sequence[Answered]]
"""What police said to incidents, by their ids."""
BLACK = "black"
ENTERPRISE, DRIVER = "enterprise/", "driver/"
"""How the names of accounts begin."""


class Charge(msgspec.Struct, array_like=True, frozen=True):
    """An incident as accounts see it: the newest revision, from when on it costs something, and whom (no ``enterprise_id``, no ``driver_id``: nobody)."""

    enterprise_id: str
    incident_id: str
    revision: int
    state: str
    rule: str
    rule_id: str
    at_ms: int
    synthetic: bool = False
    driver_id: str | None = None

    @property
    def holders(self) -> list[str]:
        """Whose accounts it concerns: ``enterprise/<id>``, ``driver/<id>``."""
        named = {ENTERPRISE: self.enterprise_id, DRIVER: self.driver_id}
        return [kind + name for kind, name in named.items() if name]

    def only_of(self, has_account: Callable[[str], bool]) -> Charge:
        """The same for those holders only who have an account."""
        enterprise_id = self.enterprise_id if has_account(ENTERPRISE + self.enterprise_id) else ""
        return msgspec.structs.replace(self, enterprise_id=enterprise_id, driver_id=self.driver_id if has_account(f"{DRIVER}{self.driver_id}") else None)


class Account(msgspec.Struct):
    """The charges of an enterprise or a driver by incident, an enterprise's times on the black list as announced, and what was published of its standing.

    ``history``: (ms, standing): since when exemptions go by which standing. ``due_ms``: when points next begin or end.
    """

    charges: dict[str, Charge] = {}
    announced: dict[int, AnnouncedInterval] = {}
    published: tuple[str, float] | None = None
    history: list[tuple[int, str]] = []
    due_ms: int = BEGINNING_MS


class Cost(NamedTuple):
    """What a closed incident costs, from when until when."""

    at_ms: int
    until_ms: int
    points: float
    charge: Charge


def credit_rule(policies: Policies) -> Rule | None:
    """The rule instance that keeps the ledger, if the newest version has one."""
    return next(iter(policies.newest.credit_rules), None)


def terms_of(subject: str, policies: Policies) -> Terms | None:
    """By which terms the account of ``enterprise/<id>`` or ``driver/<id>`` is kept, if it is."""
    rule = credit_rule(policies)
    return None if rule is None else rule.parameters.drivers if subject.startswith(DRIVER) else rule.parameters


def charge_of(data: IncidentData, policies: Policies) -> Charge | None:
    """What an incident's revision means for the accounts of its enterprise and its driver; None where it costs nobody anything, whatever its other revisions say."""
    rule = credit_rule(policies)
    if rule is None or (data.revision == 1 and data.state != CLOSED):
        return None
    costs_drivers = rule.parameters.drivers is not None and data.rule in rule.parameters.drivers.points
    enterprise_id = data.enterprise_id if data.rule in rule.parameters.points and data.enterprise_id not in (None, CITY_WIDE) else None
    if enterprise_id is None and not costs_drivers:
        return None
    at_ms, driver_id = settled_at_ms(data, policies), data.driver_id if costs_drivers else None
    return Charge(enterprise_id or "", data.incident_id, data.revision, data.state, data.rule, data.rule_id, at_ms, data.synthetic, driver_id)


def settled_at_ms(data: IncidentData, policies: Policies) -> int:
    """When an incident can no more be changed by a record that comes in time: from then on it costs points (semantics 9)."""
    closed_ms = data.closed_at_ms or data.last_seen_ms
    grace_ms = policies.lateness_ms
    what = judged(data.rule)
    if what == "scan":
        closed_ms = policies.newest.days.bounds_ms(policies.newest.days.date_of(data.opened_at_ms))[1]
    elif what == "fix":
        grace_ms = max(grace_ms, int(policies.rule(data.rule_id, data.rule, data.opened_at_ms)[1].merge_gap))
    return closed_ms + grace_ms


def hears_answers(policies: Policies) -> bool:
    """Whether any version keeps accounts: a later one may have what incidents cost depend on what police have answered to them."""
    return any(policy.credit_rules for policy in policies.versions)


def costs(account: Account, terms: Terms, answers: Answers | None = None) -> list[Cost]:
    """What the closed incidents of an account cost, in order of time; where ``answers`` are given, while these confirm them."""
    points = terms.points
    found = []
    for charge in account.charges.values():
        if charge.state == CLOSED and charge.rule in points:
            for from_ms, until_ms in [(charge.at_ms, END_MS)] if answers is None else confirmed(answers.get(charge.incident_id, ())):
                begins_ms, ends_ms = max(charge.at_ms, from_ms), min(charge.at_ms + EXPIRE_MS, until_ms)
                if begins_ms < ends_ms:
                    found.append(Cost(begins_ms, ends_ms, points[charge.rule], charge))
    return sorted(found, key=lambda cost: (cost.at_ms, cost.charge.incident_id))


def black_intervals(charged: list[Cost], terms: Terms, now_ms: int) -> tuple[list[Interval], int]:
    """The times on the black list up to an instant, and when points next begin or end. One pass over the instants at which they do."""
    turns = sorted([(cost.at_ms, 1, cost) for cost in charged] + [(cost.until_ms, -1, cost) for cost in charged], key=itemgetter(0))
    intervals: list[Interval] = []
    numbers, made_up = Counter[float](), 0
    for at_ms, turning in groupby(turns, itemgetter(0)):
        if at_ms > now_ms:
            return intervals, at_ms
        for _, change, cost in turning:
            numbers[cost.points] += change
            made_up += change * cost.charge.synthetic
        size, black = numbers.total(), credit_of(terms, _points(numbers), 0) == BLACK
        lasts = bool(intervals) and intervals[-1].end_ms is None
        if black and not lasts:
            intervals.append(Interval(at_ms, None, size, made_up > 0))
        elif lasts:
            known = intervals[-1]
            intervals[-1] = Interval(known.start_ms, None if black else at_ms, max(known.size, size), known.synthetic or made_up > 0)
    return intervals, END_MS


def _points(numbers: Mapping[float, int]) -> float:
    """What incidents come to, by how many cost how much; ten at 0.1 are 1."""
    return round(sum(points * number for points, number in numbers.items()), 9)


def standing(account: Account, charged: list[Cost], terms: Terms, now_ms: int, active_days: int, tomorrow_ms: int) -> dict[str, Any] | None:
    """What ``courier.credit.v1`` is to say of an account, whose ``costs`` are ``charged``, at an instant, unless it has said so already.

    ``effective``: (ms, standing) pairs; exemptions go by a standing from the start of the day after it was found (``tomorrow_ms``).
    """
    held = [cost for cost in charged if cost.at_ms <= now_ms < cost.until_ms]
    points = _points(Counter(cost.points for cost in held))
    credit = credit_of(terms, points, active_days)
    if account.published == (credit, points):
        return None
    if (account.history[-1][1] if account.history else "normal") != credit:
        account.history = [*account.history[1 - MAX_EVIDENCE :], (tomorrow_ms, credit)]
    account.published = credit, points
    reasons = [
        {"incident_id": c.charge.incident_id, "rule": c.charge.rule, "rule_id": c.charge.rule_id, "points": c.points, "at_ms": c.at_ms, "expires_ms": c.until_ms}
        for c in held[-MAX_EVIDENCE:]
    ]  # fmt: skip
    return {"credit": credit, "points": points, "active_days": active_days, "reasons": reasons, "effective": account.history}
