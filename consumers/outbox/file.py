"""The file of the outbox: made, looked over, and put aside where it is damaged."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import structlog

from streams.clock import now_ms
from streams.errors import BadInput

log = structlog.get_logger()

FILE = "outbox.db"
_BUSY_S = 30.0
_SCHEMA = """
CREATE TABLE IF NOT EXISTS incidents(incident_no INTEGER PRIMARY KEY, incident_id TEXT NOT NULL, topic TEXT NOT NULL, answered_ms INTEGER, UNIQUE(incident_id, topic));
CREATE TABLE IF NOT EXISTS events(event_no INTEGER PRIMARY KEY AUTOINCREMENT, incident_no INTEGER NOT NULL, revision INTEGER NOT NULL, partition INTEGER, offset INTEGER,
  made_ms INTEGER NOT NULL, body BLOB NOT NULL, name TEXT NOT NULL DEFAULT '', UNIQUE(incident_no, revision, name));
CREATE TABLE IF NOT EXISTS deliveries(no INTEGER PRIMARY KEY AUTOINCREMENT, event_no INTEGER NOT NULL, incident_no INTEGER NOT NULL, sink TEXT NOT NULL, route TEXT NOT NULL,
  step INTEGER NOT NULL, due_ms INTEGER NOT NULL, fold TEXT, until_answered INTEGER NOT NULL, state INTEGER NOT NULL DEFAULT 0, attempts INTEGER NOT NULL DEFAULT 0,
  done_ms INTEGER, took_ms INTEGER, reason TEXT, only_if_told INTEGER NOT NULL DEFAULT 0, tried INTEGER NOT NULL DEFAULT 0,
  fixed INTEGER NOT NULL DEFAULT 0, batch INTEGER, answer TEXT, UNIQUE(event_no, sink, step));
CREATE INDEX IF NOT EXISTS pending ON deliveries(sink, due_ms, no) WHERE state = 0;
CREATE INDEX IF NOT EXISTS given_up ON deliveries(no) WHERE state = 2;
CREATE INDEX IF NOT EXISTS of_incident ON deliveries(incident_no, sink);
CREATE INDEX IF NOT EXISTS folds ON deliveries(sink, fold, due_ms) WHERE state = 0 AND fold IS NOT NULL;
CREATE TABLE IF NOT EXISTS places(topic TEXT NOT NULL, partition INTEGER NOT NULL, position INTEGER NOT NULL, PRIMARY KEY(topic, partition));
CREATE TABLE IF NOT EXISTS dictionaries(dictionary_id INTEGER PRIMARY KEY, after_event_no INTEGER NOT NULL, content BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS sinks(sink TEXT PRIMARY KEY, failing_s REAL NOT NULL DEFAULT 0, off INTEGER NOT NULL DEFAULT 0, wait_until_ms INTEGER NOT NULL DEFAULT 0);
"""
_ADDED = {
    "deliveries": ("only_if_told INTEGER NOT NULL DEFAULT 0", "tried INTEGER NOT NULL DEFAULT 0", "fixed INTEGER NOT NULL DEFAULT 0", "batch INTEGER", "answer TEXT"),
    "sinks": ("wait_until_ms INTEGER NOT NULL DEFAULT 0",),
}
"""Columns that a file of an earlier version lacks."""
_OF_ADDED = "CREATE INDEX IF NOT EXISTS batches ON deliveries(batch) WHERE batch IS NOT NULL"


def connect(path: Path) -> sqlite3.Connection:
    """A connection for one thread: nothing is lost that it has committed, even if the power fails."""
    connection = sqlite3.connect(path, timeout=_BUSY_S, isolation_level=None, check_same_thread=False)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    return connection


def add_columns(db: sqlite3.Connection) -> None:
    """Give a file of an earlier version what it lacks."""
    for table, columns in _ADDED.items():
        known = {name for _, name, *_ in db.execute(f"PRAGMA table_info({table})")}
        for column in columns:
            if column.partition(" ")[0] not in known:
                db.execute(f"ALTER TABLE {table} ADD COLUMN {column}")
    db.execute(_OF_ADDED)


def prepare(path: Path) -> None:
    """Make the file if there is none. A damaged one is put aside under another name, which a line in the log says."""
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not path.exists():
            path.touch(mode=0o600)
        elif not _is_sound(path):
            aside = path.with_name(f"{path.name}.damaged-{now_ms()}")
            for suffix in ("", "-wal", "-shm"):
                part = path.with_name(path.name + suffix)
                if part.exists():
                    part.rename(aside.with_name(aside.name + suffix))
            log.error("the outbox is damaged and was put aside; what sinks had not taken is read from Kafka again, its delivery log and alerts that waited are lost", outbox=str(path), aside=str(aside))
            path.touch(mode=0o600)
        with closing(connect(path)) as connection:
            connection.executescript(_SCHEMA)
            add_columns(connection)
    except (OSError, sqlite3.OperationalError) as error:
        raise BadInput(f"outbox {path}: {getattr(error, 'strerror', None) or error}; set YICHENG_STATE_DIR to a folder that can be written") from None


def _is_sound(path: Path) -> bool:
    try:
        with closing(connect(path)) as connection:
            return bool(connection.execute("PRAGMA quick_check(1)").fetchone() == ("ok",))
    except sqlite3.DatabaseError as error:
        if isinstance(error, sqlite3.OperationalError):  # locked, or no right to read it: that is no damage
            raise
        return False
