"""Recorded traffic: whatever ``record_files`` reads as a stream of records in file order."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec
import orjson

from producers.faults import Sent
from streams.files.record_columns import KEYS
from streams.files.record_files import MOST_LINE_BYTES, How, open_records


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
    """Records of files or folders (in name order). Broken ones go out as they are, so that they reach the dead letters.

    Raises ``BadInput`` for what is no file of records, or ends too early.
    """
    noted = noted if noted is not None else Noted()

    def passed_over(_: str) -> None:
        noted.passed_over += 1

    for file in open_records(paths, msgspec.structs.replace(how or How(), on_passed_over=passed_over)):
        for line, value in file.records:
            if value is None:
                noted.too_long += 1
                noted.note(file.name, line, f"a line of more than {MOST_LINE_BYTES:,} bytes, which is not sent")
                continue
            due, key, problem = _time_and_key(value, KEYS[file.kind])
            if problem:
                noted.broken += 1
                noted.note(file.name, line, problem)
            yield due, file.kind, key, value


def _time_and_key(value: bytes, key_name: str) -> tuple[int, str, str]:
    """When a record is due, its key, and why it has neither."""
    try:
        event = orjson.loads(value)
        return int(event["event_time_ms"]), str(event[key_name]), ""
    except (orjson.JSONDecodeError, TypeError, ValueError, OverflowError) as error:
        return 0, "", f"not a record: {error}"
    except KeyError as error:
        return 0, "", f"a record without {error}"
