"""Answers to incidents: the record of ``courier.feedback.v1``, made in one place, and what the answers to one incident come to. Pure."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator
from typing import Literal, get_args

import msgspec

from streams.errors import BadInput, nearest
from streams.wire.decode import decoded
from streams.wire.ids import UNSEEN
from streams.words.basis import Words

Action = Literal["acknowledged", "dismissed", "fined", "noted", "objected", "upheld", "rejected"]
"""``objected`` is the enterprise's; ``upheld`` (the objection is right) and ``rejected`` are what police say to that."""
ACTIONS: tuple[Action, ...] = get_args(Action)
ACTION_WORDS: dict[str, Words] = {
    "acknowledged": Words("已确认，处理中", "acknowledged"),
    "dismissed": Words("已驳回", "dismissed"),
    "fined": Words("已处罚", "fined"),
    "noted": Words("备注", "note"),
    "objected": Words("企业申诉", "objection by the enterprise"),
    "upheld": Words("申诉成立", "objection upheld"),
    "rejected": Words("申诉不成立", "objection rejected"),
}
NOTHING_TO_DECIDE = Words("没有待裁定的申诉。", "No objection waits for a decision.")
NO_ANSWERS = frozenset({"noted", "objected"})
"""After these an incident waits for its answer as it did before."""
NEED_REASON = frozenset({"dismissed", "noted", "objected", "rejected"})
NEED_OBJECTION = frozenset({"upheld", "rejected"})
LONGEST_BY, LONGEST_REASON = 64, 500
"""Characters."""
_ANSWER_ID = re.compile(r"[A-Za-z0-9_.-]{8,64}")


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """One answer to an incident. ``answer_id`` is the same on every repeat of one answer; a record of before has none.

    ``revision``: which revision of the incident was looked at; ``objection``: the ``answer_id`` of the objection that this decides.
    """

    incident_id: str
    action: str
    time_ms: int = 0
    by: str | None = None
    reason: str | None = None
    answer_id: str | None = None
    revision: int | None = None
    objection: str | None = None


def made_answer(
    incident_id: str, action: str, time_ms: int, *, by: str | None, reason: str | None = None, answer_id: str | None = None, revision: int | None = None, objection: str | None = None
) -> Answer:
    """An answer as it may be published; ``BadInput`` says in one line what is wrong with it."""
    if action not in ACTIONS:
        raise BadInput(f"action: no answer of that name{nearest(action[:40], ACTIONS)}")
    by, reason = _text("by", by, LONGEST_BY), _text("reason", reason, LONGEST_REASON)
    if reason is None and action in NEED_REASON:
        raise BadInput(f"reason: an answer {action!r} says why")
    if answer_id is not None and not _ANSWER_ID.fullmatch(answer_id):
        raise BadInput("answer_id: 8 to 64 letters, digits, _, . or - are expected")
    if objection is not None and action not in NEED_OBJECTION:
        raise BadInput("objection: only upheld and rejected decide one")
    return Answer(incident_id=incident_id, action=action, time_ms=time_ms, by=by, reason=reason, answer_id=answer_id, revision=revision, objection=objection)


def _text(name: str, text: str | None, most: int) -> str | None:
    """What a person wrote, None for nothing; characters that nobody sees (a zero-width space of a chat program) are left out."""
    seen = "".join(character for character in (text or "").replace("\r\n", "\n") if unicodedata.category(character) != "Cf").strip()
    if len(seen) > most:
        raise BadInput(f"{name}: {len(seen)} characters, more than {most}")
    if any(unicodedata.category(character) in UNSEEN and character not in "\n\t" for character in seen):
        raise BadInput(f"{name}: a character in it cannot be shown")
    return seen or None


class Standing(msgspec.Struct, frozen=True):
    """What the answers to an incident come to: its answer now, when the first came (ms), and the objection that waits for a decision.

    ``state`` is acknowledged, dismissed or fined, None where nobody has answered; ``objection``: objected, upheld, rejected or None.
    """

    state: str | None = None
    first_ms: int | None = None
    objection: str | None = None
    objection_id: str | None = None


def once(answers: Iterable[Answer]) -> Iterator[Answer]:
    """The answers without repeats, which have an incident and an ``answer_id`` in common."""
    seen: set[tuple[str, str]] = set()
    for answer in answers:
        if answer.answer_id is not None:
            key = (answer.incident_id, answer.answer_id)
            if key in seen:
                continue
            seen.add(key)
        yield answer


def standing(answers: Iterable[Answer], retracted: Iterable[int] = ()) -> Standing:
    """What an incident's answers, in the order of their partition, come to: the first counts for the time, the last for the state.

    An answer to a revision that takes the incident back (``retracted``) is kept and changes nothing.

    >>> said = [("fined", 9), ("acknowledged", 5), ("noted", 1)]
    >>> standing(Answer(incident_id="I", action=action, time_ms=ms) for action, ms in said)
    Standing(state='fined', first_ms=5, objection=None, objection_id=None)
    """
    void, now = set(retracted), Standing()
    for answer in sorted(once(answers), key=lambda answer: answer.time_ms):  # what is of the same millisecond stays in order
        if answer.revision not in void:
            now = _after(now, answer)
    return now


def _after(now: Standing, answer: Answer) -> Standing:
    change = msgspec.structs.replace
    if answer.action == "objected":
        return now if now.objection == "objected" else change(now, objection="objected", objection_id=answer.answer_id)
    if answer.action in NEED_OBJECTION:
        if now.objection != "objected" or answer.objection not in (None, now.objection_id):
            return now
        first_ms = answer.time_ms if now.first_ms is None else now.first_ms
        return change(now, objection=answer.action, state="dismissed" if answer.action == "upheld" else now.state, first_ms=first_ms)
    if answer.action in NO_ANSWERS or answer.action not in ACTIONS:
        return now
    return change(now, state=answer.action, first_ms=answer.time_ms if now.first_ms is None else now.first_ms)


_ALWAYS = frozenset({"incident_id", "action", "time_ms", "by", "reason"})
_read = msgspec.json.Decoder(Answer).decode


def read_answer(value: bytes) -> Answer:
    """The answer in a record, also in those of before; ``Malformed`` where there is none."""
    return decoded(value, _read)


def record_of(answer: Answer) -> bytes:
    """The value of the record that says it; its key is the incident's id. The first five fields are always there."""
    said = msgspec.structs.asdict(answer)
    return msgspec.json.encode({name: value for name, value in said.items() if value is not None or name in _ALWAYS})
