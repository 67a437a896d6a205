"""What several rules are made of: how an offence shows, and predicates about speed and drivers.

Predicates of the same threshold are the same object, so that vehicles with the same rules can share a plan.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum
from functools import cache

from streams.events import Fix
from streams.registry import Subject


class Form(StrEnum):
    """What an offence is seen by: one fix, a fix and the one before it, or the absence of the next."""

    FIX = "fix"
    PAIR = "pair"
    SILENCE = "silence"


@cache
def stopped(threshold_kmh: float) -> Callable[[Fix, tuple[str, ...]], bool]:
    """At most so fast (km/h); without a speed a vehicle is not known to stand still (semantics 7)."""
    return lambda fix, inside: fix.speed_kmh is not None and fix.speed_kmh <= threshold_kmh


@cache
def faster(limit_kmh: float) -> Callable[[Fix, tuple[str, ...]], bool]:
    """Faster than so many km/h."""
    return lambda fix, inside: fix.speed_kmh is not None and fix.speed_kmh > limit_kmh


def nobody_qualifies(subject: Subject, until: str) -> Callable[[Fix, tuple[str, ...]], bool]:
    """Predicate: the driver a fix names, else each of the vehicle's drivers, lacks a valid ``until`` (a date on file)."""

    def lacks(driver_id: str, event_time_ms: int) -> bool:
        driver = subject.driver(driver_id, event_time_ms)
        return driver is None or not subject.lasts(getattr(driver, until), event_time_ms)

    own = subject.vehicle.driver_ids if subject.vehicle else []
    none_of_own = bool(own) and all(lacks(driver_id, subject.from_ms) for driver_id in own)
    return lambda fix, inside: none_of_own if fix.driver_id is None else lacks(fix.driver_id, fix.event_time_ms)
