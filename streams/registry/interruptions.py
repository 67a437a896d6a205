"""When interruptions of data that notices announce count: which version of a notice holds when, and the first instant that none covers."""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise
from typing import NamedTuple, TypeVar

E = TypeVar("E")


class NoticeTimes(NamedTuple):
    """When an interruption of data was announced (if nothing is said of it, when it begins), when it begins and ends (ms)."""

    filed_ms: int
    from_ms: int
    until_ms: int


class Interruption(NamedTuple):
    """From when until when (ms) a notice covers an instant, so that nothing is due before ``until_ms``; ``filed_ms``: when it was announced."""

    from_ms: int
    before_ms: int
    until_ms: int
    filed_ms: int


def holding(versions: Sequence[tuple[int, int, E]]) -> Iterator[tuple[int, int, E]]:
    """The stretches of time (ms) in which one version after another counts, of versions in order of ``valid_from`` the last that is valid."""
    bounds = sorted({bound for from_ms, until_ms, _ in versions for bound in (from_ms, until_ms)})
    valid, number = list[int](), 0
    for from_ms, until_ms in pairwise(bounds):
        while number < len(versions) and versions[number][0] <= from_ms:
            heapq.heappush(valid, -number)
            number += 1
        while valid and versions[-valid[0]][1] <= from_ms:
            heapq.heappop(valid)
        if valid:
            yield from_ms, until_ms, versions[-valid[0]][2]


def interruptions(stretches: Iterable[tuple[int, int, NoticeTimes]]) -> Iterator[Interruption]:
    """What notices cover, each counting from when until when (ms)."""
    for from_ms, until_ms, times in stretches:
        if max(from_ms, times.from_ms) < min(until_ms, times.until_ms):
            yield Interruption(max(from_ms, times.from_ms), min(until_ms, times.until_ms), times.until_ms, times.filed_ms)


def touching(of_notice: Iterable[Interruption]) -> Iterator[list[Interruption]]:
    """What one notice announces, in order of time, with what touches together: versions of a notice speak of one interruption.

    >>> [[one[:2] for one in together] for together in touching([Interruption(8, 9, 10, 5), Interruption(9, 12, 12, 7), Interruption(20, 22, 22, 21)])]
    [[(8, 9), (9, 12)], [(20, 22)]]
    """
    together: list[Interruption] = []
    for one in of_notice:
        if together and one.from_ms != together[-1].before_ms:
            yield together
            together = []
        together.append(one)
    if together:
        yield together


def first_uncovered(found: Iterable[Interruption], event_time_ms: int, last_sign_ms: int, changes_ms: int) -> int:
    """The first instant from this one on (ms) that no interruption covers which was filed by the last sign, or the end of one from ``changes_ms`` on; they come in order of their beginnings."""
    reached_ms = event_time_ms
    for from_ms, before_ms, until_ms, filed_ms in found:
        if from_ms > event_time_ms:
            event_time_ms = reached_ms
            if from_ms > event_time_ms or event_time_ms >= changes_ms:
                break
        if event_time_ms < before_ms and filed_ms <= last_sign_ms:
            reached_ms = max(reached_ms, until_ms)
    return reached_ms
