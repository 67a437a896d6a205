"""What several rules are made of: how an offence shows, and predicates about speed and drivers.

A predicate is the same object for all vehicles to which the same applies, so that they can share what is planned for them.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum
from functools import cache

from streams.events import Fix
from streams.registry import Subject

Predicate = Callable[[Fix, tuple[str, ...], Subject], bool]
"""(fix, zones it is inside, what the registry says) → whether the fix violates."""


class Form(StrEnum):
    """What an offence is seen by: one fix, a fix and the one before it, or the absence of the next."""

    FIX = "fix"
    PAIR = "pair"
    SILENCE = "silence"


@cache
def stopped(threshold_kmh: float) -> Predicate:
    """At most so fast (km/h); without a speed a vehicle is not known to stand still (semantics 7)."""
    return lambda fix, inside, subject: fix.speed_kmh is not None and fix.speed_kmh <= threshold_kmh


@cache
def faster(limit_kmh: float) -> Predicate:
    """Faster than so many km/h."""
    return lambda fix, inside, subject: fix.speed_kmh is not None and fix.speed_kmh > limit_kmh


@cache
def outside(zones: frozenset[str]) -> Predicate:
    """Inside none of these zones."""
    return lambda fix, inside, subject: zones.isdisjoint(inside)


def nobody_qualifies(subject: Subject, until: str) -> Predicate:
    """The driver a fix names, else each of the vehicle's drivers, lacks a valid ``until`` (the name of a date on file)."""
    own = subject.vehicle.driver_ids if subject.vehicle else []
    return _driver_lacks(until, bool(own) and all(_lacks(subject, driver_id, until, subject.from_ms) for driver_id in own))


@cache
def _driver_lacks(until: str, none_of_own: bool) -> Predicate:
    return lambda fix, inside, subject: (
        none_of_own if fix.driver_id is None else _lacks(subject, fix.driver_id, until, fix.event_time_ms)
    )


def _lacks(subject: Subject, driver_id: str, until: str, event_time_ms: int) -> bool:
    driver = subject.driver(driver_id, event_time_ms)
    return driver is None or not subject.lasts(getattr(driver, until), event_time_ms)
