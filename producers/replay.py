"""Recorded traffic: whatever ``record_files`` reads as one stream of records, files merged by event time."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from heapq import heapify, heappop, heappush
from itertools import islice
from pathlib import Path
from typing import NamedTuple

import msgspec
import orjson

from producers.faults import Sent
from streams.clock import DAY_MS
from streams.files.record_columns import KEYS
from streams.files.record_files import MOST_LINE_BYTES, How, RecordFile, Records, open_records
from streams.files.text_files import size_of
from streams.wire.events import LAST_MS
from streams.wire.ids import is_id

MOST_OPEN = 200
"""So many files are read at once; a file that begins while so many others last waits until one of them has ended."""
LOOKED_AHEAD = 100
"""Records of a file. A time more than a day ahead of what comes before it and of most of so many after it is that of a wrong clock."""


class Noted(msgspec.Struct):
    """What is to be said of files that were read: records that nobody can read (they go out as they are), lines too long to be sent."""

    broken: int = 0
    too_long: int = 0
    passed_over: int = 0
    first: str | None = None

    def note(self, file: str, line: int, problem: str) -> None:
        """Keep the first place."""
        if self.first is None:
            self.first = f"{file}:{line}: {problem}"


def read_records(paths: Sequence[str | Path], how: How | None = None, noted: Noted | None = None) -> Iterator[Sent]:
    """Records of files and folders in order of event time across files; within each file they stay in its own order.

    Broken ones go out as they are, so that they reach the dead letters, and so do those of a wrong clock: after the record
    before them in their file, and as if of its time (0 where there is none; a wrong clock has that of the next). Raises ``BadInput`` for what is no file of records, or ends too early.
    """
    noted = noted if noted is not None else Noted()

    def passed_over(_: str) -> None:
        noted.passed_over += 1

    how = msgspec.structs.replace(how or How(), on_passed_over=passed_over)
    files = [_File(file, how, noted) for file in open_records(paths, how)]
    heap = [(file.next[0], number, file) for number, file in enumerate(files) if file.next]
    heapify(heap)
    waiting: deque[tuple[int, _File]] = deque()
    opened = sum(file.is_open for file in files)
    while heap:
        _, number, file = heappop(heap)
        assert file.next
        yield file.next
        if not file.is_open and opened >= MOST_OPEN:
            waiting.append((number, file))
            continue
        opened += not file.is_open
        while not file.advance():
            if not waiting:
                opened -= 1
                break
            number, file = waiting.popleft()
        else:
            assert file.next
            heappush(heap, (file.next[0], number, file))


class _Read(NamedTuple):
    """A record that was read ahead: its line, itself (None: too long), its event time (None: it has none that can be), its key, what is wrong with it."""

    line: int
    value: bytes | None
    time_ms: int | None
    key: str
    problem: str


class _File:
    """A file and its ``next`` record (None: it has no more).

    Until its first record has gone out it is closed again, if it can be: there may be thousands, each for a time of its own.
    """

    def __init__(self, file: RecordFile, how: How, noted: Noted) -> None:
        self.name, self.kind, self.how, self.noted = file.name, file.kind, how, noted
        self.taken, self.reached_ms = 0, 0
        self.next: Sent | None = None
        self._records: Records | None = file.records
        self._ahead: deque[_Read] = deque()
        if self.advance() and size_of(self.name) is not None:
            self._records = None
            self._ahead.clear()

    @property
    def is_open(self) -> bool:
        """Whether it is being read."""
        return self._records is not None

    def advance(self) -> bool:
        """Go on to the next record; False where there is none."""
        if self._records is None:
            (file,) = open_records([self.name], self.how)
            self._records = islice(file.records, self.taken, None)
        while True:
            self._ahead.extend(_read(line, value, KEYS[self.kind]) for line, value in islice(self._records, LOOKED_AHEAD + 1 - len(self._ahead)))
            if not self._ahead:
                self.next, self._records = None, None
                return False
            record = self._ahead.popleft()
            self.taken += 1
            if record.problem:
                self.noted.note(self.name, record.line, record.problem)
            if record.value is None:
                self.noted.too_long += 1
                continue
            self.noted.broken += bool(record.problem)
            due_ms = self._due_ms(record)
            self.reached_ms = max(self.reached_ms, due_ms)
            self.next = due_ms, self.kind, record.key, record.value
            return True

    def _due_ms(self, record: _Read) -> int:
        if record.time_ms is None:
            return self.next[0] if self.next else 0
        if record.time_ms <= self.reached_ms + DAY_MS:
            return record.time_ms
        later_ms = sorted(later.time_ms for later in self._ahead if later.time_ms is not None)
        usual_ms = later_ms[len(later_ms) // 2] if later_ms else self.reached_ms or record.time_ms
        if record.time_ms <= usual_ms + DAY_MS:
            return record.time_ms
        return self.reached_ms or next(time_ms for time_ms in later_ms if time_ms > usual_ms - DAY_MS)


def _read(line: int, value: bytes | None, key_name: str) -> _Read:
    """A line as it is to be sent. What has no id that may be one has no key, either."""
    if value is None:
        return _Read(line, None, None, "", f"a line of more than {MOST_LINE_BYTES:,} bytes, which is not sent")
    try:
        event = orjson.loads(value)
        time_ms, key = int(event["event_time_ms"]), str(event[key_name])
    except (orjson.JSONDecodeError, TypeError, ValueError, OverflowError) as error:
        return _Read(line, value, None, "", f"not a record: {error}")
    except KeyError as error:
        return _Read(line, value, None, "", f"a record without {error}")
    return _Read(line, value, time_ms if 0 <= time_ms < LAST_MS else None, key if is_id(key) else "", "")
