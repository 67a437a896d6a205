"""What several rules are made of: how an offence shows, and predicates about speed and drivers.

A predicate is the same object for all vehicles to which the same applies, so that they can share what is planned for them.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum
from functools import cache

import msgspec
import numpy as np

from streams.fix_batch import Chunk
from streams.registry.registry import Subject
from streams.wire.events import Fix


class Predicate(msgspec.Struct, eq=False, frozen=True):
    """Whether a fix violates, by what it says, the zones it is inside and what the registry says about its vehicle.

    ``prefilter`` finds the fixes of a chunk (n booleans) for which it can hold; the others are not asked. ``reported`` says
    whether it can hold, anywhere, for fixes with the same plate and driver while nothing about their vehicle changes; it is
    asked when a vehicle reports others than before.
    """

    holds: Callable[[Fix, tuple[str, ...], Subject], bool]
    prefilter: Callable[[Chunk], np.ndarray] | None = None
    reported: Callable[[Fix, Subject], bool] | None = None

    def __call__(self, fix: Fix, inside: tuple[str, ...], subject: Subject) -> bool:
        """See ``holds``."""
        return self.holds(fix, inside, subject)


class Form(StrEnum):
    """What an offence is seen by: one fix, a fix and the one before it, or the absence of the next."""

    FIX = "fix"
    PAIR = "pair"
    SILENCE = "silence"


@cache
def stopped(threshold_kmh: float) -> Predicate:
    """At most so fast (km/h); without a speed a vehicle is not known to stand still (semantics 7)."""
    return Predicate(
        lambda fix, inside, subject: fix.speed_kmh is not None and fix.speed_kmh <= threshold_kmh, lambda chunk: chunk.speeds <= threshold_kmh
    )


@cache
def faster(limit_kmh: float) -> Predicate:
    """Faster than so many km/h."""
    return Predicate(lambda fix, inside, subject: fix.speed_kmh is not None and fix.speed_kmh > limit_kmh, lambda chunk: chunk.speeds > limit_kmh)


def nobody_qualifies(subject: Subject, until: str) -> Predicate:
    """The driver a fix names, else each of the vehicle's drivers, lacks a valid ``until`` (the name of a date on file)."""
    own = subject.vehicle.driver_ids if subject.vehicle else []
    return _driver_lacks(until, bool(own) and all(_lacks(subject, driver_id, until, subject.from_ms) for driver_id in own))


@cache
def _driver_lacks(until: str, none_of_own: bool) -> Predicate:
    def holds(fix: Fix, inside: tuple[str, ...], subject: Subject) -> bool:
        return none_of_own if fix.driver_id is None else _lacks(subject, fix.driver_id, until, fix.event_time_ms)

    def reported(fix: Fix, subject: Subject) -> bool:
        """Of drivers that are not the vehicle's own, nobody says when their records change."""
        others = fix.driver_id is not None and (subject.vehicle is None or fix.driver_id not in subject.vehicle.driver_ids)
        return others or holds(fix, (), subject)

    return Predicate(holds, reported=reported)


def _lacks(subject: Subject, driver_id: str, until: str, event_time_ms: int) -> bool:
    driver = subject.driver(driver_id, event_time_ms)
    return driver is None or not subject.lasts(getattr(driver, until), event_time_ms)
