"""What a pack says that can be read, and is most likely not meant: a warning each. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from datetime import date
from typing import Any
from zoneinfo import ZoneInfo

from streams.clock import BEGINNING_MS, bound_ms
from streams.errors import nearest
from streams.policy.checks import KINDS, exempts_everybody
from streams.policy.pack import Exemption, Pack, Rule
from streams.registry.figure_clauses import SECTIONS
from streams.registry.key_figures import SUBSIDISED, TITLES
from streams.rules import judged
from streams.windows import Window

_MEASURES = {"low_electronic_waybill_rate": "electronic_waybill", "low_green_packaging_rate": "green_packaging"}
_DAY = 1440
_WEEK = range(7 * _DAY)


def doubts(pack: Pack) -> Iterator[str]:
    """What to tell the author of a pack."""
    if not re.fullmatch("[1-9][0-9]{5}", pack.city.adcode):
        yield f"city: adcode {pack.city.adcode!r} is no division code of six digits (GB/T 2260)"
    in_force, timezone = pack.document.in_force, ZoneInfo(pack.city.timezone)
    begins_ms = bound_ms(pack.valid_from, timezone, end=False) if pack.valid_from else BEGINNING_MS
    if in_force and begins_ms < bound_ms(in_force.from_, timezone, end=False):
        yield f"valid_from {pack.valid_from or 'is not given'}: the pack is applied before its document is in force, {in_force.from_}"
    if pack.credit is not None:
        yield "credit: nothing is made of this key; leave it out, rule blacklisted_enterprise has the points"
    if not pack.rules:
        yield "rules is empty, so nothing is judged"
    for measure in pack.targets:
        if measure not in TITLES:
            yield f"target {measure}: no key figure is called so, and nobody reports it{nearest(measure, TITLES)}"
    for name in pack.figure_clauses.keys() - TITLES.keys() - set(SECTIONS):
        yield f"figure_clauses: no key figure, and no section of the report, is called {name}{nearest(name, [*TITLES, *SECTIONS])}"
    for name, spoken in pack.figure_clauses.items():
        if name == SUBSIDISED and pack.subsidised is None:
            yield f"figure_clauses: {name} is counted where its window is given, such as  window: {{from: 2018-09-01, until: 2020-12-31}}"
        if name != SUBSIDISED and spoken.window:
            yield f"figure_clauses: nothing is made of the window of {name}; it is for {SUBSIDISED}"
    for rule in pack.rules:
        yield from (f"rule {rule.id}: {words}" for words in _about(rule, pack))


def past_calendars(pack: Pack, today: date) -> Iterator[str]:
    """Calendars none of whose days are still to come: exemptions by them free nobody any more."""
    for name, ranges in pack.calendars.items():
        last = max(last for range_ in ranges for _, last in range_.days(today))
        if last < today:
            yield f"calendar {name}: its last day was {last}; give the days of this year, or those of every_year"


def _about(rule: Rule, pack: Pack) -> Iterator[str]:
    measure = _MEASURES.get(rule.rule, "")
    target = pack.target_of(measure)
    if target is not None and target != rule.parameters.target:
        yield f"target {rule.parameters.target:g} is not that of targets: {measure}: {target:g}"
    if rule.permitted and is_always(rule.permitted):
        yield "permitted covers the whole week, so it is never violated"
    if judged(rule.rule) == "credit":
        ledgers = {"points": rule.parameters.points, "drivers: points": getattr(rule.parameters.drivers, "points", {})}
        given = {other.rule for other in pack.rules}
        yield from (f"{key}: {name} is no rule of this pack, so it costs nobody anything" for key, points in ledgers.items() for name in points if name not in given)
    if rule.exempt is not None:
        yield from _exempt(rule)
        if freeing := exempts_everybody(rule, pack.calendars, but_black=True):
            yield f"exempt: {freeing} together exempt everybody who is not on the black list"


def is_always(windows: Sequence[Window]) -> bool:
    """Whether windows cover every minute of the week."""
    covered = set[int]()
    for window in windows:
        until = window.until if window.until > window.from_ else window.until + _DAY
        covered |= {(day * _DAY + minute) % len(_WEEK) for day in window.days for minute in range(window.from_, until)}
    return len(covered) == len(_WEEK)


def _exempt(rule: Rule) -> Iterator[str]:
    """Exemptions that exempt nobody, or the same twice."""
    if not rule.alternatives:
        yield "exempt has no condition, so nobody is exempt; leave it out"
    said: list[Any] = []
    for alternative in rule.alternatives:
        conditions = (alternative.conditions, alternative.unless_credit)
        if conditions in said:
            yield f"exempt: {_named(alternative)} is given twice"
        said.append(conditions)
        for key, value in alternative.conditions.items():
            if isinstance(value, list) and len(set(value)) < len(value):
                yield f"exempt: {key} names {next(word for word in value if value.count(word) > 1)!r} twice"
            about = getattr(rule.vehicles, key, None) if key in KINDS else None
            if about and set(about).isdisjoint(value):
                yield f"exempt: {key} [{', '.join(value)}] exempts nobody: the rule is about [{', '.join(about)}] only"


def _named(alternative: Exemption) -> str:
    return " and ".join(f"{key}: true" if value is True else f"{key}: [{', '.join(value)}]" for key, value in alternative.conditions.items())
