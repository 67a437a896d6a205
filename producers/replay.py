"""Recorded traffic: whatever ``record_files`` reads as one stream of records, files merged by event time."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from heapq import heapify, heappop, heappush
from itertools import islice
from pathlib import Path

import msgspec
import orjson

from producers.faults import Sent
from streams.files.record_columns import KEYS
from streams.files.record_files import MOST_LINE_BYTES, How, RecordFile, Records, open_records
from streams.files.text_files import size_of

MOST_OPEN = 200
"""So many files are read at once; a file that begins while so many others last waits until one of them has ended."""


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

    Broken ones go out as they are, so that they reach the dead letters: after the record before them in their file, and
    with its time (0 where there is none). Raises ``BadInput`` for what is no file of records, or ends too early.
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


class _File:
    """A file and its ``next`` record (None: it has no more).

    Until its first record has gone out it is closed again, if it can be: there may be thousands, each for a time of its own.
    """

    def __init__(self, file: RecordFile, how: How, noted: Noted) -> None:
        self.name, self.kind, self.how, self.noted = file.name, file.kind, how, noted
        self.read, self.reached_ms = 0, 0
        self.next: Sent | None = None
        self._records: Records | None = file.records
        if self.advance() and size_of(self.name) is not None:
            self._records = None

    @property
    def is_open(self) -> bool:
        """Whether it is being read."""
        return self._records is not None

    def advance(self) -> bool:
        """Go on to the next record; False where there is none."""
        if self._records is None:
            (file,) = open_records([self.name], self.how)
            self._records = islice(file.records, self.read, None)
        for line, value in self._records:
            self.read += 1
            if value is None:
                self.noted.too_long += 1
                self.noted.note(self.name, line, f"a line of more than {MOST_LINE_BYTES:,} bytes, which is not sent")
                continue
            due, key, problem = _time_and_key(value, KEYS[self.kind])
            if problem:
                self.noted.broken += 1
                self.noted.note(self.name, line, problem)
                due = self.reached_ms
            self.next, self.reached_ms = (due, self.kind, key, value), due
            return True
        self.next, self._records = None, None
        return False


def _time_and_key(value: bytes, key_name: str) -> tuple[int, str, str]:
    """When a record is due, its key, and why it has neither."""
    try:
        event = orjson.loads(value)
        return int(event["event_time_ms"]), str(event[key_name]), ""
    except (orjson.JSONDecodeError, TypeError, ValueError, OverflowError) as error:
        return 0, "", f"not a record: {error}"
    except KeyError as error:
        return 0, "", f"a record without {error}"
