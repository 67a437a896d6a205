"""The credit ledger: what closed incidents cost an enterprise, for how long, and what standing follows (red and black lists).

Points and thresholds are the policy's (``blacklisted_enterprise``); points expire after 365 days. Pure: an account is a
function of its charges, whatever the order in which they arrive.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import msgspec

from streams.clock import BEGINNING_MS, DAY_MS, END_MS
from streams.counts import CITY_WIDE
from streams.enterprises.intervals import AnnouncedInterval, Interval
from streams.incident import IncidentData
from streams.lifecycle import CLOSED, MAX_EVIDENCE
from streams.policy.pack import Rule
from streams.policy.policy import Policies
from streams.rules import RULES, judged

EXPIRE_MS = 365 * DAY_MS
BLACK = "black"


class Charge(msgspec.Struct, array_like=True, frozen=True):
    """An incident as its enterprise's account sees it: the newest revision, and from when on it costs something."""

    enterprise_id: str
    incident_id: str
    revision: int
    state: str
    rule: str
    rule_id: str
    at_ms: int
    synthetic: bool = False


class Account(msgspec.Struct):
    """An enterprise's charges by incident, its times on the black list as announced, and what was published of its standing.

    ``history``: (ms, standing): since when exemptions go by which standing. ``due_ms``: when the next of the points expire.
    """

    charges: dict[str, Charge] = {}
    announced: dict[int, AnnouncedInterval] = {}
    published: tuple[str, float] | None = None
    history: list[tuple[int, str]] = []
    due_ms: int = BEGINNING_MS


class Cost(NamedTuple):
    """What a closed incident costs, from when until when."""

    at_ms: int
    points: float
    charge: Charge

    @property
    def until_ms(self) -> int:
        """When it is forgotten."""
        return self.at_ms + EXPIRE_MS


def credit_rule(policies: Policies) -> Rule | None:
    """The rule instance that keeps the ledger, if the newest version has one."""
    return next(iter(policies.newest.credit_rules), None)


def charge_of(data: IncidentData, policies: Policies) -> Charge | None:
    """What an incident's revision means for its enterprise's account; None where it costs nobody anything."""
    rule = credit_rule(policies)
    if rule is None or not data.enterprise_id or data.enterprise_id == CITY_WIDE or data.rule not in rule.parameters.points:
        return None
    if data.revision == 1 and data.state != CLOSED:
        return None
    at_ms = settled_at_ms(data, policies)
    return Charge(data.enterprise_id, data.incident_id, data.revision, data.state, data.rule, data.rule_id, at_ms, data.synthetic)


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


def costs(account: Account, rule: Rule) -> list[Cost]:
    """What the closed incidents of an account cost, in order of time."""
    points = rule.parameters.points
    found = (Cost(charge.at_ms, points[charge.rule], charge) for charge in account.charges.values() if charge.state == CLOSED and charge.rule in points)
    return sorted(found, key=lambda cost: (cost.at_ms, cost.charge.incident_id))


def black_intervals(charged: list[Cost], rule: Rule, now_ms: int) -> tuple[list[Interval], int]:
    """The times on the black list up to an instant, and when the next of the points expire."""
    turns = sorted({ms for cost in charged for ms in (cost.at_ms, cost.until_ms)})
    spells: list[Interval] = []
    for at_ms in turns:
        if at_ms > now_ms:
            break
        held = [cost for cost in charged if cost.at_ms <= at_ms < cost.until_ms]
        black = RULES[rule.rule].standing(rule.parameters, sum(cost.points for cost in held), 0) == BLACK
        made_up = any(cost.charge.synthetic for cost in held)
        lasts = bool(spells) and spells[-1].end_ms is None
        if black and not lasts:
            spells.append(Interval(at_ms, None, len(held), made_up))
        elif lasts:
            known = spells[-1]
            spells[-1] = Interval(known.start_ms, None if black else at_ms, max(known.size, len(held)), known.synthetic or made_up)
    return spells, next((at_ms for at_ms in turns if at_ms > now_ms), END_MS)


def standing(account: Account, rule: Rule, now_ms: int, active_days: int, tomorrow_ms: int) -> dict[str, Any] | None:
    """What ``courier.credit.v1`` is to say of an enterprise at an instant, unless it has said so already.

    ``effective``: (ms, standing) pairs; exemptions go by a standing from the start of the day after it was found (``tomorrow_ms``).
    """
    held = [cost for cost in costs(account, rule) if cost.at_ms <= now_ms < cost.until_ms]
    points = sum(cost.points for cost in held)
    credit = RULES[rule.rule].standing(rule.parameters, points, active_days)
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
