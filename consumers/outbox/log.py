"""What an operator asks of the outbox: what was delivered when and with what answer, what failed, and to try it again."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import zstandard

from consumers.messages.facts import OBJECTION_ESCALATES
from consumers.outbox.codec import Codec
from consumers.outbox.file import add_columns, connect
from consumers.outbox.rows import DELIVERED, DELIVERY, DROPPED, FAILED, PENDING, Delivery, delivery_of
from streams.clock import now_ms
from streams.errors import BadInput

MOST_SHOWN = 100_000
_NUMBERS = "SELECT d.no FROM deliveries d JOIN events e USING(event_no) JOIN incidents i ON i.incident_no = d.incident_no"
_ANSWERED = """SELECT 1 FROM deliveries d JOIN incidents i USING(incident_no)
  WHERE d.no = ? AND d.state <> ? AND d.until_answered = 1 AND i.answered_ms IS NOT NULL AND (d.step < ? OR i.answered_ms >= d.done_ms)"""
"""A step of an escalation that was answered, or one of an objection's or a reminder after which there was another answer."""


def logged(path: Path, *, sink: str | None = None, incident_id: str | None = None, since_ms: int = 0, until_ms: int | None = None, most: int = MOST_SHOWN) -> list[Delivery]:
    """Deliveries in the order in which they ended, those that wait at last."""
    conditions, values = ["e.made_ms >= ?"], [since_ms]
    return _chosen(path, _narrowed(conditions, values, sink, incident_id, until_ms), values, f"ORDER BY d.done_ms IS NULL, d.done_ms, d.no LIMIT {most:d}")


def numbers(path: Path, *, sink: str | None = None, incident_id: str | None = None, since_ms: int = 0, until_ms: int | None = None) -> list[int]:
    """The numbers of all first notices: of an incident, or of a span of time. Of what escalated only what a sink that is named was told, or was to be."""
    conditions, values = ["(d.step = 0 OR (? AND d.step < ? AND d.state IN (?, ?)))", "e.made_ms >= ?"], [sink is not None, OBJECTION_ESCALATES, DELIVERED, FAILED, since_ms]
    where = " AND ".join(_narrowed(conditions, values, sink, incident_id, until_ms))
    with _existing(path) as db:
        return [number for (number,) in db.execute(f"{_NUMBERS} WHERE {where} ORDER BY d.no", values)]


def sinks_off(path: Path) -> frozenset[str]:
    """The sinks that were switched off, after they had failed for days."""
    with _existing(path) as db:
        return frozenset(sink for (sink,) in db.execute("SELECT sink FROM sinks WHERE off = 1"))


def failed(path: Path, *, sink: str | None = None, incident_id: str | None = None) -> list[Delivery]:
    """Deliveries that were given up, in order."""
    conditions, values = ["d.state = ?"], [FAILED]
    return _chosen(path, _narrowed(conditions, values, sink, incident_id, None), values, "ORDER BY d.no")


class Again(NamedTuple):
    """How many deliveries are to be made again, and how many are not, since somebody has answered what they would ask for."""

    again: int
    answered: int


def again(path: Path, numbers: Sequence[int]) -> Again:
    """Deliver these again, whether they had been delivered, dropped or given up; the sink is switched on. Of an escalation only what nobody has answered."""
    statement = "UPDATE deliveries SET state = ?, tried = max(tried, attempts > 0), attempts = 0, due_ms = ?, done_ms = NULL WHERE no = ? AND state <> ?"
    with _existing(path) as db, db:
        answered = {number for number in numbers if db.execute(_ANSWERED, (number, PENDING, OBJECTION_ESCALATES)).fetchone()}
        count = sum(db.execute(statement, (PENDING, now_ms(), number, PENDING)).rowcount for number in numbers if number not in answered)
        for number in numbers:
            db.execute("UPDATE sinks SET off = 0, failing_s = 0 WHERE sink = (SELECT sink FROM deliveries WHERE no = ?)", (number,))
        return Again(count, len(answered))


def switch_on(path: Path, sink: str) -> None:
    """Try a sink again that was switched off."""
    with _existing(path) as db, db:
        db.execute("UPDATE sinks SET off = 0, failing_s = 0, wait_until_ms = 0 WHERE sink = ?", (sink,))


def drop(path: Path, numbers: Sequence[int], reason: str) -> int:
    """Give these up for good. Returns how many."""
    with _existing(path) as db, db:
        statement = "UPDATE deliveries SET state = ?, done_ms = ?, reason = ? WHERE no = ? AND state IN (?, ?)"
        return sum(db.execute(statement, (DROPPED, now_ms(), reason, number, PENDING, FAILED)).rowcount for number in numbers)


def drop_waiting(path: Path, sink: str, reason: str) -> int:
    """Give up for good what waits for a sink. Returns how many."""
    with _existing(path) as db, db:
        return db.execute("UPDATE deliveries SET state = ?, done_ms = ?, reason = ? WHERE sink = ? AND state = ?", (DROPPED, now_ms(), reason, sink, PENDING)).rowcount


def _narrowed(conditions: list[str], values: list[Any], sink: str | None, incident_id: str | None, until_ms: int | None) -> list[str]:
    for condition, value in (("d.sink = ?", sink), ("i.incident_id = ?", incident_id), ("e.made_ms < ?", until_ms)):
        if value is not None:
            conditions.append(condition)
            values.append(value)
    return conditions


def _chosen(path: Path, conditions: list[str], values: list[Any], order: str) -> list[Delivery]:
    with _existing(path) as db:
        codec = Codec(db)
        return [delivery_of(row, codec) for row in db.execute(f"{DELIVERY} WHERE {' AND '.join(conditions)} {order}", values)]


@contextmanager
def _existing(path: Path) -> Iterator[sqlite3.Connection]:
    """The outbox, for one look or change; ``BadInput`` where there is none, or it cannot be used, also where that turns out in the middle."""
    if not path.exists():
        raise BadInput(f"no outbox at {path}; a notifier makes it under YICHENG_STATE_DIR when it runs")
    try:
        with closing(connect(path)) as db:
            db.execute("SELECT 1 FROM deliveries LIMIT 1")
            add_columns(db)
            db.isolation_level = "IMMEDIATE"
            yield db
    except (sqlite3.DatabaseError, zstandard.ZstdError) as error:
        raise BadInput(f"outbox {path} cannot be read: {error}") from None
    except UnicodeEncodeError:
        raise BadInput("a name in this command is no text (UTF-8); copy it from ./yicheng notifier log") from None
