"""In which times police have confirmed an incident, by their answers: in whatever order these come, and however often. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import msgspec

from streams.clock import END_MS
from streams.wire.answers import ACTIONS, Action, Answer, read_answer, standing
from streams.wire.decode import Malformed
from streams.wire.events import LAST_MS
from streams.wire.ids import is_id

CONFIRMED = frozenset({"acknowledged", "fined"})
MOST_ANSWERS = 50
"""So many answers to one incident count, the first."""


class Answered(msgspec.Struct, array_like=True, frozen=True):
    """An answer as accounts see it: when it arrived in Kafka (its own time where that is not known), and its offset, for those of one millisecond."""

    at_ms: int
    offset: int
    incident_id: str
    action: Action
    answer_id: str | None = None
    objection: str | None = None


def answered(value: bytes | None, arrived_ms: int | None, offset: int) -> Answered:
    """What accounts are to know of a record of answers; ``Malformed`` where it is none."""
    said = read_answer(value or b"")
    names = (said.incident_id, *(name for name in (said.answer_id, said.objection) if name is not None))
    if not all(map(is_id, names)) or not 0 <= said.time_ms < LAST_MS:
        raise Malformed("no answer to an incident")
    action: Action = next((action for action in ACTIONS if action == said.action), "noted")  # what nobody knows changes nothing, but for those that repeat it
    return Answered(said.time_ms if arrived_ms is None else arrived_ms, offset, said.incident_id, action, said.answer_id, said.objection)


def with_answer(known: Sequence[Answered], new: Answered) -> list[Answered]:
    """The answers to an incident with another, in order; of repeats the first."""
    found: dict[object, Answered] = {}
    for each in sorted({*known, new}, key=lambda each: (each.at_ms, each.offset, each.action, each.answer_id or "", each.objection or "")):
        found.setdefault(each.answer_id or each, each)
    return list(found.values())[:MOST_ANSWERS]


def confirmed(answers: Sequence[Answered]) -> Iterator[tuple[int, int]]:
    """From when until when (ms) the answers to an incident, in order, come to a confirmation.

    >>> said = [("acknowledged", 5), ("noted", 6), ("dismissed", 9), ("fined", 20)]
    >>> [(from_ms, until_ms if until_ms < END_MS else None) for from_ms, until_ms in confirmed([Answered(ms, 0, "I", action) for action, ms in said])]
    [(5, 9), (20, None)]
    """
    said = [Answer(incident_id=each.incident_id, action=each.action, time_ms=each.at_ms, answer_id=each.answer_id, objection=each.objection) for each in answers]
    since_ms: int | None = None
    for number, answer in enumerate(said, 1):
        is_confirmed = standing(said[:number]).state in CONFIRMED
        if is_confirmed and since_ms is None:
            since_ms = answer.time_ms
        elif not is_confirmed and since_ms is not None:
            yield since_ms, answer.time_ms
            since_ms = None
    if since_ms is not None:
        yield since_ms, END_MS
