"""Finds incidents among all that are held, the newest first, a page at a time. Pure."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from consumers.console.city.incidents import Held, Order
from streams.wire.decode import Malformed
from streams.wire.ids import is_id

CHOSEN = {"rule": "rule", "city": "city", "enterprise": "enterprise_id", "severity": "severity", "basis": "basis"}
"""What a question may choose by, and the field of an incident that it is about."""
USUAL, MOST_ROWS = 100, 500
LONGEST_TEXT = 200


class Question(NamedTuple):
    """Which incidents are asked for: by fields, by a text in what names them, those that nobody has answered; before which, and how many."""

    chosen: Mapping[str, str]
    text: str
    is_unanswered: bool
    before: Order | None
    limit: int


class Found(NamedTuple):
    """The first incidents that fit, how many fit altogether, and after which to go on (None: there are no more)."""

    rows: list[Held]
    number: int
    last: Order | None


def question_of(query: Mapping[str, str]) -> Question:
    """What a page asks; ``Malformed`` says what is wrong with it."""
    chosen = {field: query[name] for name, field in CHOSEN.items() if query.get(name)}
    limit = query.get("limit", "")
    if limit and not (limit.isascii() and limit.isdigit() and 0 < int(limit[:6]) <= MOST_ROWS):
        raise Malformed(f"limit: a number from 1 to {MOST_ROWS} is expected / limit 应为 1 至 {MOST_ROWS}")
    return Question(chosen, query.get("q", "").strip().lower()[:LONGEST_TEXT], query.get("unanswered") == "1", _order_of(query.get("before", "")), int(limit or USUAL))


def _order_of(text: str) -> Order | None:
    moment, _, name = text.partition("-")
    if not text:
        return None
    if not (moment.isascii() and moment.isdigit() and len(moment) < 16 and is_id(name)):
        raise Malformed("before: what the last answer says is expected / before 应为上一次返回的值")
    return int(moment), name


def cursor(order: Order | None) -> str | None:
    """A place in the order as pages hand it back.

    >>> cursor((5, "a-b")), _order_of("5-a-b")
    ('5-a-b', (5, 'a-b'))
    """
    return None if order is None else f"{order[0]}-{order[1]}"


def search(order: Sequence[Order], held: Callable[[str], Held | None], question: Question, named_by: Sequence[str]) -> Found:
    """Look through incidents in ``order``, the oldest first; ``named_by``: the fields in which a text is looked for."""
    rows, number, last, is_more = list[Held](), 0, None, False
    until = len(order) if question.before is None else bisect_left(order, question.before)
    for place in range(len(order) - 1, -1, -1):
        one = held(order[place][1])
        if one is None or not _fits(one, question, named_by):
            continue
        number += 1
        if place < until and len(rows) < question.limit:
            rows.append(one)
            last = order[place]
        elif place < until:
            is_more = True
    return Found(rows, number, last if is_more else None)


def _fits(one: Held, question: Question, named_by: Sequence[str]) -> bool:
    if question.is_unanswered and not one.is_unanswered:
        return False
    if any(getattr(one, field) != value for field, value in question.chosen.items()):
        return False
    return not question.text or any(question.text in (getattr(one, field) or "").lower() for field in named_by)
