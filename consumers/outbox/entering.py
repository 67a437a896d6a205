"""What follows for a sink from what is put into the outbox: it is entered, left out, taken back while it is held, or dropped. Each within the caller's transaction."""

from __future__ import annotations

import sqlite3

from consumers.messages.facts import OBJECTION_ESCALATES, REMINDER
from consumers.routing.routes import Destination

_INSERT = """INSERT INTO deliveries(event_no, incident_no, sink, route, step, due_ms, fold, until_answered, only_if_told, fixed) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
  ON CONFLICT(event_no, sink, step) DO """
_ON_ITS_WAY_MS = 2_000
"""What is due so soon a dispatch may be sending before this is on disk."""


def take_back(db: sqlite3.Connection, incident_no: int, sink: str, at_ms: int) -> bool:
    """Whether a sink has heard nothing of an incident yet, since all is still held back, and now never will."""
    from_ms = at_ms + _ON_ITS_WAY_MS
    held, heard = db.execute(
        """SELECT coalesce(sum(state = 0 AND until_answered = 0 AND attempts = 0 AND due_ms > ?), 0),
          coalesce(sum(state IN (1, 2) OR attempts > 0 OR tried OR (state = 0 AND until_answered = 0 AND due_ms <= ?)), 0)
        FROM deliveries INDEXED BY of_incident WHERE incident_no = ? AND sink = ?""",
        (from_ms, from_ms, incident_no, sink),
    ).fetchone()
    if held and not heard:
        statement = "UPDATE deliveries SET state = 3, done_ms = ?, reason = 'taken back while it was held' WHERE incident_no = ? AND sink = ? AND until_answered = 0 AND state = 0"
        db.execute(statement, (at_ms, incident_no, sink))
    return bool(held and not heard)


def is_superfluous(db: sqlite3.Connection, incident_no: int, to: Destination) -> bool:
    """What goes on where nothing was said or may be; a step of an escalation that was entered before, or comes too late for an answer. Reminders follow each acknowledgement, and an objection the answers before it.

    Whether a sink was told that may have been is decided when its turn comes (``Outbox.was_told``): a step may be on its way there now.
    """
    if to.only_if_told:
        statement = "SELECT 1 FROM deliveries INDEXED BY of_incident WHERE incident_no = ? AND sink = ? AND (state <> 3 OR attempts > 0 OR tried) LIMIT 1"
        return db.execute(statement, (incident_no, to.sink)).fetchone() is None
    if not to.until_answered or to.step >= REMINDER:
        return False
    answered = db.execute("SELECT answered_ms FROM incidents WHERE incident_no = ?", (incident_no,)).fetchone()[0]
    values = (incident_no, to.sink, to.step, to.due_ms)
    entered = db.execute("SELECT 1 FROM deliveries INDEXED BY of_incident WHERE incident_no = ? AND sink = ? AND step = ? AND until_answered = 1 AND (state IN (0, 1) OR due_ms = ?)", values).fetchone()
    return bool(entered or (answered and to.step < OBJECTION_ESCALATES))


def enter(db: sqlite3.Connection, event_no: int, incident_no: int, to: Destination, at_ms: int) -> bool:
    """Together with the digest that waits for more of the same, but not before what waits of the same incident; of what waits for an answer, what was tried."""
    statement = "SELECT max(due_ms) FROM deliveries INDEXED BY of_incident WHERE incident_no = ? AND sink = ? AND state = 0 AND (until_answered = 0 OR tried)"
    held = db.execute(statement, (incident_no, to.sink)).fetchone()[0]
    joined = to.due_ms
    if to.fold is not None:
        statement = "SELECT min(due_ms) FROM deliveries WHERE sink = ? AND fold = ? AND due_ms > ? AND state = 0"
        joined = min(to.due_ms, db.execute(statement, (to.sink, to.fold, at_ms)).fetchone()[0] or to.due_ms)
    due_ms = joined if to.until_answered else max(joined, held or 0)
    values = (event_no, incident_no, to.sink, to.route, to.step, due_ms, to.fold, to.until_answered, to.only_if_told, to.fixed)
    again = "UPDATE SET state = 0, tried = max(tried, attempts > 0), attempts = 0, done_ms = NULL, due_ms = excluded.due_ms" if to.step >= REMINDER else "NOTHING"
    return db.execute(_INSERT + again, values).rowcount > 0


def drop_steps(db: sqlite3.Connection, incident_no: int, reason: str, done_ms: int, *, given_up_too: bool, from_step: int = 0) -> int:
    """What waits for an answer waits no more. Returns how many."""
    statement = """UPDATE deliveries INDEXED BY of_incident SET state = 3, done_ms = ?, reason = ?
      WHERE incident_no = ? AND until_answered = 1 AND step >= ? AND (state = 0 OR (state = 2 AND ?))"""
    return db.execute(statement, (done_ms, reason, incident_no, from_step, given_up_too)).rowcount
