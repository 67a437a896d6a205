"""What a vehicle's fixes report beside where they are: its plate, who drives, and whether they are synthetic. Pure.

Most vehicles report the same all the time. So no fix carries it: what is kept are the fixes from which on it is something
else (``Change``), in order of (time, id), and before the first of them nothing is reported.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from streams.fix_batch import StoredFix


class Report(NamedTuple):
    """A plate and a driver's id, where they are given, and whether the fix is synthetic."""

    plate: str | None = None
    synthetic: bool = False
    driver_id: str | None = None


NOTHING = Report()


class Change(NamedTuple):
    """The fix (time, id) from which on a vehicle reports something else."""

    event_time_ms: int
    event_id: str
    report: Report


def last_report(changes: list[Change] | None) -> Report:
    """What the newest fix reports."""
    return changes[-1].report if changes else NOTHING


def append(changes: list[Change] | None, event_time_ms: int, event_id: str, report: Report, oldest_ms: int) -> list[Change] | None:
    """The changes with a fix that is newer than all before; those of fixes older than ``oldest_ms`` are forgotten."""
    if report == last_report(changes):
        return changes
    return _forget([*(changes or ()), Change(event_time_ms, event_id, report)], oldest_ms)


def insert(
    changes: list[Change] | None, event_time_ms: int, event_id: str, report: Report, following: tuple[int, str], oldest_ms: int
) -> list[Change] | None:
    """The changes with a fix that came late; ``following``: the one (time, id) after it, which goes on reporting what it did."""
    known = list(changes or ())
    at = bisect_right(known, (event_time_ms, event_id), key=lambda change: change[:2])
    before = known[at - 1].report if at else NOTHING
    if report == before:
        return changes
    if at == len(known) or known[at][:2] != following:
        known.insert(at, Change(*following, before))
    elif known[at].report == report:
        del known[at]
    known.insert(at, Change(event_time_ms, event_id, report))
    return _forget(known, oldest_ms)


def _forget(changes: list[Change], oldest_ms: int) -> list[Change]:
    """Without those that are about older fixes only."""
    gone = 0
    while gone + 1 < len(changes) and changes[gone + 1].event_time_ms < oldest_ms:
        gone += 1
    return changes[gone:]


def along(changes: list[Change] | None, fixes: Iterable[StoredFix]) -> Iterator[tuple[StoredFix, Report]]:
    """Fixes in order, each with what it reports."""
    report, waiting = NOTHING, iter(changes or ())
    change = next(waiting, None)
    for fix in fixes:
        while change is not None and change[:2] <= fix[:2]:
            report, change = change.report, next(waiting, None)
        yield fix, report
