"""What several rules are made of: how an offence shows, and predicates about speed and drivers.

A predicate is the same object for all vehicles to which the same applies, so that they can share what is planned for them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from enum import StrEnum
from functools import cache

import msgspec
import numpy as np

from streams.clock import END_MS
from streams.events import LOADS, Fix
from streams.registry import Subject

_STIR = np.int64(0x9E3779B97F4A7C15 - 2**64)
"""So that the hash of two things is not the same when they change places."""


def hash_of(plate: str | None, synthetic: bool) -> int:
    """The hash of what a fix reports of itself, as in ``Chunk.reported``."""
    return ~hash(plate) if synthetic else hash(plate)


class Chunk:
    """A chunk of n fixes, and as arrays what is asked of all of them at once (ms, degrees, km/h; NaN where absent).

    ``reports``: hashes of plate and driver, ``reported``: of plate and synthetic.

    ``arrived``: when (``END_MS``: not known), from Kafka or else as the fix says (``all_arrived``: from Kafka, all); ``stream_times``: how far each carries its partition's stream time.
    """

    def __init__(self, fixes: list[Fix], arrivals: Sequence[int | None]) -> None:
        self.fixes = fixes
        self.times = np.array([fix.event_time_ms for fix in fixes], dtype=np.int64)
        known = arrivals
        self.all_arrived = None not in arrivals
        if not self.all_arrived:
            known = [fix.arrival_time_ms if at is None else at for at, fix in zip(arrivals, fixes, strict=True)]
            known = [END_MS if at is None else at for at in known]
        self.arrived = np.array(known, dtype=np.int64)
        self.stream_times = np.minimum(self.times, self.arrived)
        self.lons = np.array([fix.lon for fix in fixes], dtype=float)
        self.lats = np.array([fix.lat for fix in fixes], dtype=float)
        self.speeds = np.array([fix.speed_kmh for fix in fixes], dtype=float)
        self.ignition = np.array([fix.ignition is True for fix in fixes], dtype=bool)

        self.loads = np.array([LOADS[fix.load] for fix in fixes], dtype=np.uint16)
        self.synthetic = np.array([fix.synthetic for fix in fixes], dtype=bool)
        plates = np.array([hash(fix.plate or None) for fix in fixes], dtype=np.int64)
        self.reports = plates * _STIR ^ np.array([hash(fix.driver_id) for fix in fixes], dtype=np.int64)
        self.reported = np.where(self.synthetic, ~plates, plates)


class Predicate(msgspec.Struct, eq=False, frozen=True):
    """Whether a fix violates, by what it says, the zones it is inside and what the registry says about its vehicle.

    ``possible`` finds the fixes of a chunk (n booleans) for which it can hold; the others are not asked. ``reported`` says
    whether it can hold, anywhere, for fixes with the same plate and driver while nothing about their vehicle changes; it is
    asked when a vehicle reports others than before.
    """

    holds: Callable[[Fix, tuple[str, ...], Subject], bool]
    possible: Callable[[Chunk], np.ndarray] | None = None
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
