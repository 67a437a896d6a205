"""What sinks have still to take of a partition of incidents. It is written beside Kafka's offset, so that an outbox that is lost sends nothing again that was taken.

A note reads ``first until sink=7,9-12 sink#2=9``: from offset ``until`` on nobody has had anything; before it only what is named has still to be taken, or was
given up: by sink, after # the step of an escalation. A note of one number means: from there on. Where a note would be too long, runs of offsets that are near
each other become one: something is then sent again, and nothing is left out.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from consumers.outbox.outbox import Outbox
    from consumers.routing.routes import Destination

LONGEST_NOTE = 3_500
"""Characters; a broker takes 4,096 (offset.metadata.max.bytes)."""
PART = 0.1
"""So much of the time may looking up what is owed take; with a large backlog a note is older for it, and says too much, never too little."""
_NOTE = re.compile(r"[0-9]{1,18}( [0-9]{1,18}( [A-Za-z0-9_.-]+(#[0-9]{1,9})?=[0-9]{1,18}(-[0-9]{1,18})?(,[0-9]{1,18}(-[0-9]{1,18})?)*)+)?")
Way = tuple[str, int]
"""A sink and a step."""
Runs = tuple[tuple[int, int], ...]
"""Of offsets, in order, each with its first and last."""


class Owed(NamedTuple):
    """Of one partition; ``runs`` end before ``until``."""

    until: int
    runs: Mapping[Way, Runs]

    @property
    def first(self) -> int:
        """The first offset of which something is owed."""
        return min([self.until, *(runs[0][0] for runs in self.runs.values())])

    def owes(self, way: Way, offset: int) -> bool:
        """Whether a sink has still to have what stands there, at a step."""
        return offset >= self.until or any(first <= offset <= last for first, last in self.runs.get(way, ()))

    def still(self, offset: int, destinations: Sequence[Destination]) -> list[Destination]:
        """Of those to which routes send what stands there the ones that have still to have it; in place of a sink that they do not name any more all of its step."""
        if offset >= self.until:
            return list(destinations)
        named = {way for way in self.runs if self.owes(way, offset)}
        of_gone = {step for sink, step in named - {(to.sink, to.step) for to in destinations}}
        return [to._replace(only_if_told=False) for to in destinations if (to.sink, to.step) in named or to.step in of_gone]


def note_of(owed: Owed) -> str:
    """What is written beside the offset.

    >>> note_of(Owed(20, {("duty", 0): ((7, 7), (9, 12)), ("chief", 2): ((9, 9),)})), note_of(Owed(20, {}))
    ('7 20 duty=7,9-12 chief#2=9', '20')
    """
    gap = 1
    while len(note := _written(owed)) > LONGEST_NOTE:
        if all(len(runs) == 1 for runs in owed.runs.values()):
            return str(owed.first)
        gap *= 2
        owed = Owed(owed.until, {way: _joined(runs, gap) for way, runs in owed.runs.items()})
    return note


def _written(owed: Owed) -> str:
    ways = [f"{sink}{f'#{step}' if step else ''}={','.join(_run(*run) for run in runs)}" for (sink, step), runs in owed.runs.items()]
    return " ".join([str(owed.first), str(owed.until), *ways]) if ways else str(owed.until)


def _run(first: int, last: int) -> str:
    return str(first) if first == last else f"{first}-{last}"


def _joined(runs: Iterable[tuple[int, int]], gap: int) -> Runs:
    """Runs, of which those that are no further apart than ``gap`` are one."""
    found: list[tuple[int, int]] = []
    for first, last in runs:
        if found and first - found[-1][1] <= gap:
            found[-1] = found[-1][0], max(last, found[-1][1])
        else:
            found.append((first, last))
    return tuple(found)


def owed_in(note: str) -> Owed | None:
    """What a note says; None where it is none.

    >>> owed_in("7 20 duty=7,9-12").owes(("duty", 0), 8), owed_in("7").owes(("duty", 0), 8), owed_in("")
    (False, True, None)
    """
    if not _NOTE.fullmatch(note):
        return None
    first, *rest = note.split(" ")
    if not rest:
        return Owed(int(first), {})
    runs = {}
    for way, _, said in (word.partition("=") for word in rest[1:]):
        sink, _, step = way.partition("#")
        pairs = [run.partition("-") for run in said.split(",")]
        runs[sink, int(step or 0)] = tuple((int(low), int(high or low)) for low, _, high in pairs)
    return Owed(int(rest[0]), runs)


class Notes:
    """The notes of all partitions, from what the outbox holds."""

    def __init__(self, outbox: Outbox) -> None:
        self._outbox = outbox
        self._made: dict[int, tuple[int, str]] = {}
        self._again_s = float("-inf")

    def beside(self, topic: str, positions: Mapping[int, int]) -> dict[int, str]:
        """By partition; ``positions``: up to where each was read and is in the outbox."""
        began_s = time.monotonic()
        if began_s > self._again_s or any(p not in self._made or position < self._made[p][0] for p, position in positions.items()):
            owed = self._outbox.owed(topic)
            self._made = {p: (position, note_of(Owed(position, {way: _joined(runs, 1) for way, runs in owed.get(p, {}).items()}))) for p, position in positions.items()}
            ended_s = time.monotonic()
            self._again_s = ended_s + (ended_s - began_s) / PART
        return {p: self._made[p][1] for p in positions}
