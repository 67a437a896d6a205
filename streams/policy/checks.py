"""What the types of a pack cannot say about its numbers and lists: shares, limits, sizes, names that must not be given twice."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import date
from itertools import product
from typing import Any, get_args

import msgspec
import re2

from streams.errors import BadInput, nearest
from streams.patterns import compile_pattern
from streams.registry.records import Body, Energy, VehicleClass
from streams.rules import RULES, judged

MOST_PACK_BYTES = 1_000_000
"""Of all versions of a pack with their zones, as one record on Kafka."""
SHARES = {"electronic_waybill", "green_packaging", "narrow_tape", "not_repackaged", "reusable_bag", "real_name", "inspected", "screened"}
SHARES |= {"locker", "night_delivery", "joint_delivery", "rail", "air"}
"""Targets that are shares from 0 to 1, as are all called a share, a coverage or a ratio; others are numbers."""


KINDS = {"classes": frozenset(get_args(VehicleClass)), "energy": frozenset(get_args(Energy)), "body": frozenset(get_args(Body))}
"""Keys of selectors and exemptions, and all that a vehicle can be."""
_ABOVE_ZERO = {"limit", "limit_kmh", "max_speed_kmh", "target", "black_at"}
"""Parameters that would judge all or nobody with 0."""
_EMPTY = {
    "points": "nobody would ever be on the black list", "hours": "leave it out where it means always", "lines": "leave it out where it means all",
    "allow": "say by classes, body or energy what is allowed",
}  # fmt: skip


def is_share(measure: str) -> bool:
    """Whether a measure or target is a share from 0 to 1, not a number of things."""
    return measure in SHARES or measure.endswith(("_share", "_coverage", "_ratio"))


def pack_record(sources: list[dict[str, str]]) -> bytes:
    """The versions of a pack as the policy topic holds them; ``BadInput`` where they are too large for Kafka."""
    record = msgspec.json.encode(sources)
    if len(record) > MOST_PACK_BYTES:
        versions = f" in {len(sources)} versions" if len(sources) > 1 else ""
        raise BadInput(f"the pack with its zones{versions} is {len(record):,} bytes, more than the {MOST_PACK_BYTES:,} that can be published; simplify the zones")
    return record


def number_problem(name: str, value: float, *, share: bool) -> str | None:
    """Why a target or limit is refused."""
    if not math.isfinite(value):
        return f"{name} must be a number, not {value}"
    if share and not 0 <= value <= 1:
        return f"{name} must be a share from 0 to 1, not {value:g}{f'; {value:g} % is {value / 100:g}' if 1 < value <= 100 else ''}"
    if value < 0:
        return f"{name} must not be negative, not {value:g}"
    return None


def parameter_problems(parameters: Any) -> Iterator[tuple[str, str]]:
    """The keys of a rule's own parameters whose numbers cannot be, and why."""
    for key in getattr(parameters, "__struct_fields__", ()):
        value = getattr(parameters, key)
        if value in ([], {}) or (isinstance(value, msgspec.Struct) and not any(msgspec.structs.astuple(value))):
            yield key, f"{key} is empty; {_EMPTY.get(key, 'leave it out')}"
        if isinstance(value, msgspec.Struct):
            yield from ((key, f"{key}: {problem}") for _, problem in parameter_problems(value))
        numbers = value.items() if isinstance(value, dict) else [(key, value)]
        for name, number in numbers:
            if isinstance(number, int | float) and not isinstance(number, bool):
                problem = number_problem(f"{key}: {name}" if name != key else key, number, share=key == "target")
                if problem:
                    yield key, problem
                elif name in _ABOVE_ZERO and not number:
                    yield key, f"{name} must be more than 0"


def points_problem(parameters: Any) -> tuple[tuple[str, ...], str] | None:
    """The keys of a ledger's points that cannot be, and why: they cost something, by rules that incidents come of; drivers', by rules about vehicles."""
    for keys, terms in (((), parameters), (("drivers",), parameters.drivers)):
        said = ": ".join((*keys, "points"))
        for name, cost in terms.points.items() if terms else ():
            if name not in RULES or judged(name) == "credit":
                return (*keys, "points"), f"{said}: {name!r} is no rule that incidents come of{nearest(name, RULES)}"
            if keys and judged(name) != "fix":
                return (*keys, "points"), f"{said}: {name} is not about vehicles, so its incidents name no driver"
            if cost <= 0:
                return (*keys, "points"), f"{said}: {name} must cost more than 0, not {cost:g}"
    return None


def list_problem(rule: Any) -> tuple[str, str] | None:
    """The key of a rule whose list says nothing, or something twice, and what is wrong with it."""
    allow = getattr(rule.parameters, "allow", None)
    lists = {"zones": rule.zones} | {f"allow.{key}": getattr(allow, key) for key in KINDS if allow} | ({f"vehicles.{key}": getattr(rule.vehicles, key) for key in KINDS} if rule.vehicles else {})
    for key, given in lists.items():
        if isinstance(given, list) and not given:
            effect = "every vehicle would violate the rule" if key.startswith("allow.") else "the rule would never apply"
            return key.partition(".")[0], f"{key} is empty, so {effect}; leave {key.rpartition('.')[2]} out where it means all"
        if isinstance(given, list) and len(set(given)) < len(given):
            return key.partition(".")[0], f"{key} names {next(x for x in given if given.count(x) > 1)!r} twice"
    return None


def pattern_problem(pattern: str) -> str | None:
    """Why a pattern is refused."""
    try:
        compiled: Any = compile_pattern(pattern)
    except ValueError as error:
        return str(error)
    try:
        _, largest = compiled.possiblematchrange(8)
    except re2.error:  # too many texts to tell the largest
        return None
    return None if largest else "a pattern that no number can match; write one such as [A-Z]{2}-[0-9]{5}, or leave it out"


def exempts_everybody(rule: Any, calendars: Mapping[str, Iterable[Any]], *, but_black: bool = False) -> str | None:
    """The keys by which a rule's exemptions together free every vehicle that it is about, all days of a year; ``but_black``: every one whose enterprise is not on the black list."""
    freeing = [each for each in rule.alternatives if each.conditions.keys() <= {*KINDS, "calendars"} and each.conditions and (but_black or not each.unless_credit)]
    vehicles = list(product(*(getattr(rule.vehicles, key, None) or words for key, words in KINDS.items())))
    dates = {name: list(ranges) for name, ranges in calendars.items()}
    years = [date(2025, 1, 1), *(date.fromisoformat(range_.from_) for each in freeing for name in each.calendars for range_ in dates.get(name, ()) if range_.from_)]

    def is_all(alternatives: Sequence[Any]) -> bool:
        return any(_frees_all(alternatives, vehicles, dates, year) for year in dict.fromkeys(years))

    if not is_all(freeing):
        return None
    for each in list(freeing):
        without = [other for other in freeing if other is not each]
        freeing = without if is_all(without) else freeing
    return ", ".join(dict.fromkeys(key for each in freeing for key in each.conditions))


def _frees_all(alternatives: Sequence[Any], vehicles: Iterable[tuple[str, ...]], calendars: Mapping[str, Iterable[Any]], first: date) -> bool:
    """Whether alternatives of class, energy, body and calendars free each of the vehicles (in the order of ``KINDS``) on each of the 365 days from the first on."""
    year = range(first.toordinal(), first.toordinal() + 365)
    middle = date.fromordinal(min(year[182], date.max.toordinal()))
    on = {
        name: {day for range_ in ranges for begins, ends in range_.days(middle) for day in range(max(begins.toordinal(), year[0]), min(ends.toordinal(), year[-1]) + 1)}
        for name, ranges in calendars.items()
    }
    freed = [([getattr(each, key) for key in KINDS], set[int]().union(*(on.get(name, ()) for name in each.calendars)) if each.calendars else set(year)) for each in alternatives]
    return all(
        set(year) <= set[int]().union(*(days for allowed, days in freed if all(not words or word in words for words, word in zip(allowed, vehicle, strict=True))))
        for vehicle in vehicles
    )
