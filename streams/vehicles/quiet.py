"""The quick path: which fixes of a chunk are quiet, and in which rounds they are appended. Pure, on arrays of n fixes.

A quiet fix changes nothing but its vehicle's newest fix. A fix that is not goes the slow path, and so do the later ones of its vehicle in the chunk.
"""

from __future__ import annotations

import numpy as np

from streams.fix_batch import DEGREE, Chunk, PackedFixes
from streams.vehicles.compiled_rules import RuleCompiler

FEWEST_A_ROUND = 4
"""So many vehicles at least make it worthwhile to append another fix of each at once, instead of judging them one by one."""


def quiet_fixes(
    chunk: Chunk,
    packed: PackedFixes,
    latest: np.ndarray,
    zones: np.ndarray,
    prefilter: np.ndarray,
    compiler: RuleCompiler,
    *,
    stream_time_ms: int,
    shortest_silence_ms: int,
) -> np.ndarray:
    """Which of n fixes are quiet, as n booleans, each by itself.

    ``latest``: what is known of its vehicle before each (``store.LATEST``); ``zones``: the number of its set of zones; ``prefilter``: the bits of the
    predicates that can hold for it; ``stream_time_ms``: that of the partition before the chunk.
    """
    times = chunk.times
    compiled = compiler.compiled_rules.data.take(latest["compiled"])
    rule_set = compiler.rule_set.data.take(compiled["rule_set"])
    bits = compiler.predicate_bits(compiled["rule_set"], zones)
    same_report = latest["report"] == chunk.reports
    can_hold = np.where(same_report, prefilter & ~compiler.report_bits(), prefilter)
    reached_ms = np.maximum.accumulate(np.maximum(chunk.stream_times, stream_time_ms))
    moved_deg = np.abs(chunk.lons - latest["lon"] / DEGREE) + np.abs(chunk.lats - latest["lat"] / DEGREE)

    is_newest = times > latest["time_ms"]
    rules_hold = (compiled["from_ms"] <= times) & (times < compiled["until_ms"])
    no_rule_can_hold = (bits >= 0) & (bits & can_hold == 0)
    near_enough = moved_deg <= rule_set["reach_deg"] - 1e-6
    no_timer_falls = latest["due_ms"] >= reached_ms
    needs_timer = rule_set["watches"] & chunk.ignition & (latest["due_ms"] > times + shortest_silence_ms)
    reports_as_before = latest["reported"] == chunk.reported
    leg_is_inexact = latest["checked_out"]  # the row may not say where it began
    storable = packed.fits & packed.short
    quiet: np.ndarray = (
        storable & is_newest & rules_hold & no_rule_can_hold & near_enough & no_timer_falls & ~needs_timer & reports_as_before & ~leg_is_inexact
    )
    return quiet


def earlier_of_same(slots: np.ndarray, order: np.ndarray) -> np.ndarray:
    """How many fixes of the same vehicle stand before each of n fixes; ``order`` sorts them by vehicle."""
    mine = slots[order]
    firsts = np.concatenate(([True], mine[1:] != mine[:-1]))
    places = np.arange(len(mine))
    before = np.empty(len(mine), np.int64)
    before[order] = places - np.maximum.accumulate(np.where(firsts, places, 0))
    return before


def rounds(slots: np.ndarray, order: np.ndarray, quiet: np.ndarray) -> tuple[np.ndarray, list[np.ndarray]]:
    """Which of n fixes are appended, and their indices in rounds of at most one a vehicle; ``order`` sorts the fixes by vehicle.

    All others go the slow path: those that are not quiet, those of the same vehicle after one that is not, and those of a round with too few vehicles.
    """
    if not quiet.any():
        return quiet, []
    mine = slots[order]
    first = np.concatenate(([True], mine[1:] != mine[:-1]))
    if first.all():
        return quiet, [np.flatnonzero(quiet)]
    starts, suspect = np.flatnonzero(first), ~quiet[order]
    vehicle = np.cumsum(first) - 1
    round_of = np.arange(len(mine)) - starts[vehicle]
    suspects_so_far = np.cumsum(suspect)
    suspects_before_vehicle = (suspects_so_far - suspect)[starts][vehicle]
    suspect |= suspects_so_far > suspects_before_vehicle
    worthwhile = int((np.bincount(round_of[~suspect]) >= FEWEST_A_ROUND).sum())
    suspect |= round_of >= worthwhile
    appended = np.empty_like(quiet)
    appended[order] = ~suspect
    return appended, [order[~suspect & (round_of == number)] for number in range(worthwhile)]
