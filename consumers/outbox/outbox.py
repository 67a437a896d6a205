"""The outbox: what is to go to which sink, on disk (SQLite), from before Kafka's offset is committed until a sink has taken it.

Each delivery has the key (incident, revision, sink, step): putting it in again changes nothing. Deliveries of one incident to one sink
leave in the order in which they came. Times are milliseconds since 1970 by the clock of this machine.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from types import MappingProxyType
from typing import Any

import structlog

from consumers.messages.facts import REMINDER
from consumers.outbox.codec import SAMPLES, Codec
from consumers.outbox.entering import drop_steps, enter, is_superfluous, take_back
from consumers.outbox.file import connect
from consumers.outbox.owed import Way
from consumers.outbox.rows import DELIVERY, Delivery, Entry, delivery_of
from consumers.routing.routes import Destination
from streams.errors import Unavailable

log = structlog.get_logger()

KEPT_MS = 7 * 86_400_000
"""So long is what has been delivered remembered, for the delivery log and against repeats."""
CLOCK_JUMP_MS = 60_000
_NOWHERE: Mapping[tuple[str, int], int] = MappingProxyType({})
_FORGOTTEN = (
    (
        """SELECT no FROM deliveries WHERE state IN (1, 3) AND done_ms < :before AND (until_answered = 0 OR state = 3 OR done_ms < :answerable) LIMIT :most""",
        "DELETE FROM deliveries WHERE no = ? AND state IN (1, 3)",
    ),
    (
        """SELECT event_no FROM events e WHERE made_ms < :before AND NOT EXISTS (SELECT 1 FROM deliveries d WHERE d.event_no = e.event_no)
        AND (made_ms < :answerable OR EXISTS (SELECT 1 FROM events later WHERE later.incident_no = e.incident_no AND later.revision > e.revision)) LIMIT :most""",
        "DELETE FROM events WHERE event_no = ? AND NOT EXISTS (SELECT 1 FROM deliveries d WHERE d.event_no = events.event_no)",
    ),
    (
        "SELECT incident_no FROM incidents i WHERE NOT EXISTS (SELECT 1 FROM events e WHERE e.incident_no = i.incident_no) AND coalesce(answered_ms, 0) < :before LIMIT :most",
        "DELETE FROM incidents WHERE incident_no = ? AND NOT EXISTS (SELECT 1 FROM events e WHERE e.incident_no = incidents.incident_no)",
    ),
)
"""What is forgotten, in this order; looking for it takes a while and keeps nobody from writing. Who was escalated to is known as long as he may have to hear the end."""
_IN_ORDER = """UPDATE deliveries SET due_ms = max(due_ms, coalesce((SELECT max(o.due_ms) FROM deliveries o INDEXED BY of_incident
    WHERE o.incident_no = deliveries.incident_no AND o.sink = deliveries.sink AND o.state = 0 AND o.until_answered = 0 AND o.no < deliveries.no), 0))
  WHERE state = 0 AND until_answered = 0"""
"""Nothing of an incident is due before what came before it."""
_MOST_OWED = 5_000
_MANY_OWED = "SELECT 1 FROM deliveries INDEXED BY pending WHERE state = 0 UNION ALL SELECT 1 FROM deliveries INDEXED BY given_up WHERE state = 2 LIMIT ?"
_OWED = """SELECT partition, sink, step, min(offset), max(offset) FROM (
    SELECT e.partition, d.sink, d.step, e.offset, i.topic FROM deliveries d INDEXED BY pending JOIN events e USING(event_no) JOIN incidents i ON i.incident_no = d.incident_no WHERE d.state = 0
    UNION ALL
    SELECT e.partition, d.sink, d.step, e.offset, i.topic FROM deliveries d INDEXED BY given_up JOIN events e USING(event_no) JOIN incidents i ON i.incident_no = d.incident_no WHERE d.state = 2
  ) WHERE topic = ? AND partition IS NOT NULL GROUP BY partition, sink, step, iif(?, 0, offset) ORDER BY partition, sink, step, offset"""


class Outbox:
    """One thread's view of the outbox. Every call is one transaction; ``Unavailable`` where the disk is full or the file cannot be written now."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._db = connect(path)
        self._codec = Codec(self._db)

    def close(self) -> None:
        """Give the file back."""
        self._db.close()

    def put(self, entries: Iterable[tuple[Entry, Sequence[Destination]]], made_ms: int, places: Mapping[tuple[str, int], int] = _NOWHERE) -> list[Destination]:
        """Enter what is to be delivered; what was entered before stays as it is. ``places``: up to where each topic and partition was read. Returns what is new."""
        new: list[Destination] = []
        with self._transaction():
            self._db.executemany("INSERT OR REPLACE INTO places VALUES (?, ?, ?)", [(*place, position) for place, position in places.items()])
            for entry, destinations in entries:
                incident_no = self._incident_no(entry.incident_id, entry.topic)
                values = (incident_no, entry.revision, entry.partition, entry.offset, made_ms, self._codec.compressed(entry.body), entry.name)
                known = not self._db.execute("INSERT OR IGNORE INTO events(incident_no, revision, partition, offset, made_ms, body, name) VALUES (?, ?, ?, ?, ?, ?, ?)", values).rowcount
                event_no = self._db.execute("SELECT event_no FROM events WHERE incident_no = ? AND revision = ? AND name = ?", (incident_no, entry.revision, entry.name)).fetchone()[0]
                for to in destinations:
                    if entry.takes_back and take_back(self._db, incident_no, to.sink, made_ms):
                        continue
                    if not is_superfluous(self._db, incident_no, to) and enter(self._db, event_no, incident_no, to, made_ms):
                        new.append(to)
                if known:
                    continue
                if entry.takes_back:
                    drop_steps(self._db, incident_no, "taken back", made_ms, given_up_too=True)
                elif entry.over:
                    drop_steps(self._db, incident_no, "over", made_ms, given_up_too=True, from_step=REMINDER)
            self._learn()
        return new

    def _learn(self) -> None:
        """What events have in common is learnt from the newest of them, from time to time."""
        newest = self._db.execute("SELECT max(event_no) FROM events").fetchone()[0] or 0
        if self._codec.is_to_learn(newest):
            kept = self._db.execute("SELECT body FROM events ORDER BY event_no DESC LIMIT ?", (SAMPLES,)).fetchall()
            self._codec.learn(newest, [self._codec.decompressed(body) for (body,) in kept])

    def _incident_no(self, incident_id: str, topic: str) -> int:
        self._db.execute("INSERT OR IGNORE INTO incidents(incident_id, topic) VALUES (?, ?)", (incident_id, topic))
        found: int = self._db.execute("SELECT incident_no FROM incidents WHERE incident_id = ? AND topic = ?", (incident_id, topic)).fetchone()[0]
        return found

    def due(self, sink: str, at_ms: int, most: int) -> list[Delivery]:
        """What a sink is to get now, in order."""
        rows = self._read(f"{DELIVERY} WHERE d.sink = ? AND d.state = 0 AND d.due_ms <= ? ORDER BY d.due_ms, d.no LIMIT ?", (sink, at_ms, most))
        return [delivery_of(row, self._codec) for row in rows]

    def waiting(self, numbers: Sequence[int]) -> list[Delivery]:
        """Those of some deliveries that have still to be made, in the order given."""
        rows = [row for number in numbers for row in self._read(f"{DELIVERY} WHERE d.no = ? AND d.state = 0", (number,))]
        return [delivery_of(row, self._codec) for row in rows]

    def sent(self, sink: str, since_ms: int) -> list[int]:
        """When a sink took a message since then, in order."""
        return [done_ms for (done_ms,) in self._read("SELECT DISTINCT done_ms FROM deliveries WHERE sink = ? AND state = 1 AND done_ms >= ? ORDER BY done_ms", (sink, since_ms))]

    def pending(self, sink: str) -> int:
        """How many deliveries a sink has still to take, those included that are not due yet."""
        found: int = self._read("SELECT count(*) FROM deliveries WHERE sink = ? AND state = 0", (sink,))[0][0]
        return found

    def sinks_waited_for(self) -> set[str]:
        """The sinks that have still to take something."""
        return {sink for (sink,) in self._read("SELECT DISTINCT sink FROM deliveries WHERE state = 0")}

    def delivered(self, taken: Sequence[tuple[int, float, str | None]], done_ms: int) -> None:
        """A sink has taken these: their numbers, how many seconds each took, and what was answered."""
        statement = "UPDATE deliveries SET state = 1, attempts = attempts + 1, done_ms = ?, took_ms = ?, answer = ? WHERE no = ?"
        with self._transaction():
            self._db.executemany(statement, [(done_ms, round(took_s * 1000), answer, no) for no, took_s, answer in taken])

    def set_aside(self, delivery: Delivery, due_ms: int, reason: str, *, charged: bool = True) -> None:
        """Try this again at ``due_ms``, and nothing of the same incident before; ``charged``: one more of its attempts has failed."""
        with self._transaction():
            self._db.execute("UPDATE deliveries SET attempts = attempts + ?, reason = ?, fixed = 0 WHERE no = ?", (charged, reason, delivery.no))
            self._db.execute(
                "UPDATE deliveries INDEXED BY of_incident SET due_ms = max(due_ms, ?) WHERE state = 0 AND sink = ? AND incident_no = (SELECT incident_no FROM deliveries WHERE no = ?)",
                (due_ms, delivery.sink, delivery.no),
            )

    def not_taken(self, numbers: Sequence[int], reason: str) -> None:
        """A sink that is not well did not take these; they stay where they are."""
        with self._transaction():
            self._db.executemany("UPDATE deliveries SET reason = ? WHERE no = ?", [(reason, no) for no in numbers])

    def fail(self, numbers: Sequence[int], done_ms: int, reason: str) -> None:
        """These are given up; ``retry`` brings them back."""
        with self._transaction():
            self._db.executemany("UPDATE deliveries SET state = 2, attempts = attempts + 1, done_ms = ?, reason = ? WHERE no = ?", [(done_ms, reason, no) for no in numbers])

    def drop_waiting(self, incident_id: str, topic: str, reason: str, done_ms: int, *, answered_ms: int) -> int:
        """Somebody has answered: no further step of the incident's escalation and no reminder goes out."""
        with self._transaction():
            incident_no = self._incident_no(incident_id, topic)
            self._db.execute("UPDATE incidents SET answered_ms = max(coalesce(answered_ms, 0), ?) WHERE incident_no = ?", (answered_ms, incident_no))
            return drop_steps(self._db, incident_no, reason, done_ms, given_up_too=False)

    def claim(self, no: int) -> bytes | None:
        """What is to be said by a delivery that waits for an answer: the newest of its incident. It counts as tried from now on. None: nobody is to be asked any more."""
        with self._transaction():
            if not self._db.execute("UPDATE deliveries SET tried = 1 WHERE no = ? AND state = 0", (no,)).rowcount:
                return None
            statement = "SELECT e.body FROM events e JOIN deliveries d USING(incident_no) WHERE d.no = ? ORDER BY e.name <> '', e.revision DESC LIMIT 1"
            return self._codec.decompressed(self._db.execute(statement, (no,)).fetchone()[0])

    def was_told(self, no: int) -> bool:
        """Whether the sink of a delivery was told of its incident before, or may have been."""
        statement = """SELECT 1 FROM deliveries d JOIN deliveries o INDEXED BY of_incident ON o.incident_no = d.incident_no AND o.sink = d.sink AND o.no <> d.no
          WHERE d.no = ? AND (o.attempts > 0 OR o.tried OR (o.state = 0 AND o.until_answered = 0 AND o.only_if_told = 0)) LIMIT 1"""
        return bool(self._read(statement, (no,)))

    def drop(self, numbers: Sequence[int], done_ms: int, reason: str) -> None:
        """These are not delivered any more."""
        with self._transaction():
            self._db.executemany("UPDATE deliveries SET state = 3, done_ms = ?, reason = ? WHERE no = ?", [(done_ms, reason, no) for no in numbers])

    def event(self, incident_id: str, revision: int | None = None) -> bytes | None:
        """A revision of an incident, or the newest that is kept."""
        statement = "SELECT e.body FROM events e JOIN incidents i USING(incident_no) WHERE i.incident_id = ? AND e.revision = coalesce(?, e.revision)"
        rows = self._read(f"{statement} ORDER BY i.incident_no DESC, e.revision DESC LIMIT 1", (incident_id, revision))
        return self._codec.decompressed(rows[0][0]) if rows else None

    def stood(self, incident_id: str, topic: str) -> list[tuple[int, int]]:
        """The partitions and offsets of the revisions of an incident."""
        return self._read("SELECT e.partition, e.offset FROM events e JOIN incidents i USING(incident_no) WHERE i.incident_id = ? AND i.topic = ? AND e.partition IS NOT NULL", (incident_id, topic))

    def place(self, topic: str, partition: int) -> int | None:
        """Up to where a partition was read and what it said is in the outbox; None: never."""
        rows = self._read("SELECT position FROM places WHERE topic = ? AND partition = ?", (topic, partition))
        return rows[0][0] if rows else None

    def owed(self, topic: str) -> dict[int, dict[Way, list[tuple[int, int]]]]:
        """What waits or was given up, by partition, sink and step: the runs of its offsets, in order; where there is much of it one run of each."""
        roughly = len(self._read(_MANY_OWED, (_MOST_OWED + 1,))) > _MOST_OWED
        rows = self._read(_OWED, (topic, roughly))
        found: dict[int, dict[Way, list[tuple[int, int]]]] = {}
        for partition, sink, step, first, last in rows:
            found.setdefault(partition, {}).setdefault((sink, step), []).append((first, last))
        return found

    def follow_clock(self, at_ms: int, jump_ms: int = 0) -> None:
        """The clock was set back or forward by ``jump_ms`` (0: see whether it was, while nobody looked): what is due moves along, but for what a digest or a mute holds until a time of day."""
        if not jump_ms:
            newest = self._read("SELECT max(made_ms) FROM (SELECT made_ms FROM events ORDER BY event_no DESC LIMIT 1000)")[0][0] or at_ms
            jump_ms = min(0, at_ms - newest)
        if abs(jump_ms) > CLOCK_JUMP_MS:
            log.warning("the clock jumped; what waits to be delivered moves along", seconds=jump_ms // 1000)
            with self._transaction():
                self._db.execute("UPDATE deliveries SET due_ms = due_ms + ? WHERE state = 0 AND NOT fixed", (jump_ms,))
                self._db.execute(_IN_ORDER)
                self._db.execute("UPDATE sinks SET wait_until_ms = wait_until_ms + ? WHERE wait_until_ms > 0", (jump_ms,))

    def failing(self, sink: str, more_s: float | None) -> float:
        """Seconds for which a sink has been failing, with ``more_s`` added; None: it takes again."""
        with self._transaction():
            self._db.execute("INSERT OR IGNORE INTO sinks(sink) VALUES (?)", (sink,))
            self._db.execute("UPDATE sinks SET failing_s = ? * (failing_s + ?) WHERE sink = ?", (0 if more_s is None else 1, more_s or 0, sink))
            found: float = self._db.execute("SELECT failing_s FROM sinks WHERE sink = ?", (sink,)).fetchone()[0]
            return found

    def is_off(self, sink: str) -> bool:
        """Whether a sink was switched off."""
        return self._read("SELECT off FROM sinks WHERE sink = ?", (sink,)) == [(1,)]

    def let_alone(self, sink: str, until_ms: int) -> None:
        """A sink asked to be handed nothing before an instant."""
        with self._transaction():
            self._db.execute("INSERT INTO sinks(sink, wait_until_ms) VALUES (?, ?) ON CONFLICT(sink) DO UPDATE SET wait_until_ms = excluded.wait_until_ms", (sink, until_ms))

    def waits_until_ms(self, sink: str) -> int:
        """Before when a sink is to be handed nothing."""
        rows = self._read("SELECT wait_until_ms FROM sinks WHERE sink = ?", (sink,))
        return int(rows[0][0]) if rows else 0

    def put_together(self, numbers: Sequence[int]) -> None:
        """These are about to go out as one digest."""
        with self._transaction():
            self._db.executemany("UPDATE deliveries SET batch = NULL WHERE batch = (SELECT batch FROM deliveries WHERE no = ?)", [(number,) for number in numbers])
            self._db.executemany("UPDATE deliveries SET batch = ? WHERE no = ?", [(numbers[0], number) for number in numbers])

    def batches(self, sink: str) -> list[list[int]]:
        """The digests of which something has still to be made, each the numbers that went into it."""
        found: dict[int, list[int]] = {}
        statement = "SELECT batch, no FROM deliveries WHERE batch IN (SELECT batch FROM deliveries WHERE sink = ? AND state = 0 AND batch IS NOT NULL) ORDER BY no"
        for batch, number in self._read(statement, (sink,)):
            found.setdefault(batch, []).append(number)
        return list(found.values())

    def switch(self, sink: str, *, off: bool) -> None:
        """Switch a sink off, or on again."""
        with self._transaction():
            self._db.execute("INSERT INTO sinks(sink, off) VALUES (?, ?) ON CONFLICT(sink) DO UPDATE SET off = excluded.off, failing_s = 0", (sink, off))

    def forget(self, before_ms: int, answerable_ms: int, most: int = 5_000) -> int:
        """Delete what was delivered or dropped before; failed deliveries stay, and an incident's newest revision if it was made since ``answerable_ms``. Returns how many went."""
        for found_by, forgotten_by in _FORGOTTEN:
            if found := self._read(found_by, {"before": before_ms, "answerable": answerable_ms, "most": most}):
                with self._transaction():
                    self._db.executemany(forgotten_by, found)
                return len(found)
        return 0

    def _read(self, statement: str, values: tuple[object, ...] | dict[str, object] = ()) -> list[tuple[Any, ...]]:
        try:
            return self._db.execute(statement, values).fetchall()
        except sqlite3.OperationalError as error:
            raise self._unavailable(error) from None

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        """All of it or nothing."""
        try:
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield
                self._db.execute("COMMIT")
            except BaseException:
                with suppress(sqlite3.Error):
                    self._db.execute("ROLLBACK")
                self._codec = Codec(self._db)  # what it has learnt just now may not be on disk
                raise
        except sqlite3.OperationalError as error:
            raise self._unavailable(error) from None

    def _unavailable(self, error: sqlite3.OperationalError) -> Unavailable:
        return Unavailable(f"outbox {self.path}: {error}; mend that, it goes on by itself and nothing is lost")
