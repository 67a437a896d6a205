"""What the types of a pack cannot say about its numbers and lists: shares, limits, sizes, names that must not be given twice."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from datetime import date
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
_WHOLE_YEAR_DAYS = 364
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


def exempts_everybody(rule: Any, calendars: Mapping[str, Iterable[Any]]) -> str | None:
    """The key by which a rule's exemptions free every vehicle that it is about: all its classes, kinds of energy or bodies, or all days of the year."""
    about = {key: set(getattr(rule.vehicles, key, None) or words) for key, words in KINDS.items()}
    freeing = [alternative for alternative in rule.alternatives if alternative.conditions and not alternative.unless_credit]

    def is_all(key: str, value: Any) -> bool:
        if key == "calendars":
            return any((last - first).days >= _WHOLE_YEAR_DAYS for name in value for range_ in calendars.get(name, ()) for first, last in range_.days(date(2025, 6, 30)))
        return key in about and set(value) >= about[key]

    for alternative in freeing:
        if all(is_all(key, value) for key, value in alternative.conditions.items()):
            return ", ".join(alternative.conditions)
    return next((key for key, all_ in about.items() if set().union(*(getattr(each, key) for each in freeing if each.conditions.keys() == {key})) >= all_), None)
