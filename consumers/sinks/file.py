"""The file sink: one message a line, handed to the operating system line by line, whole or not at all. JSONL (CloudEvents) or CSV; a full file makes way for a new one.

Anybody may move the file away, or delete it: what comes then goes into a new one. What a deleted file had and was not yet marked as delivered is written again.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Literal

import msgspec
import orjson

from consumers.messages.message import Message
from consumers.sinks import _csv
from consumers.sinks._options import SinkOptions, read_options
from streams.errors import BadInput, Unavailable

_TAIL_BYTES = 2_000_000
"""No event is longer."""
_MB = 1_000_000
MOST_KEPT = 1_000


class FileOptions(SinkOptions, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """``rotate_mb``: a file that would become larger (in 10⁶ bytes) is set aside as ``path.1``, that as ``path.2``, and ``keep`` of these stay."""

    path: str
    format: Literal["jsonl", "csv"] = "jsonl"
    rotate_mb: Annotated[float, msgspec.Meta(gt=0)] | None = None
    keep: Annotated[int, msgspec.Meta(ge=1, le=MOST_KEPT)] = 10


class FileSink:
    """Appends messages to a file, which only its user may read."""

    limits: tuple[tuple[int, float], ...] = ()
    folds = False
    takes_alerts = True

    def __init__(self, name: str, options: Mapping[str, object]) -> None:
        self._options = read = read_options(name, FileOptions, options)
        self.name, self.real, self.path = name, read.real, Path(read.path)
        self.takes_digests = read.format == "jsonl"  # a row of a table has room for one incident
        self._most_bytes = read.rotate_mb * _MB if read.rotate_mb is not None else None
        try:
            self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._open()
        except OSError as error:
            raise BadInput(f"sink {name}: path {self.path}: {error.strerror}; set it to a file that can be written") from None
        self._unflushed = False  # whether something was written since the last flush
        self._lost = ""  # by what something of that was lost

    def _open(self) -> None:
        self._file = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        self._regular = stat.S_ISREG(os.fstat(self._file).st_mode)
        self._whole = not self._regular  # whether the last line is

    def _reopen(self) -> None:
        """Go on with the file that the path names now."""
        left = self._file
        self._open()
        os.close(left)

    def deliver(self, message: Message) -> None:
        """Append one message. ``Unavailable`` where the disk does not take all of it; then nothing of it stays."""
        line = message.body + b"\n" if self._options.format == "jsonl" else _csv.row(message)
        try:
            self._follow_path()
            self._write(line)
            while self._follow_path():  # moved meanwhile, and perhaps read to its end before the line came
                self._write(line)
        except OSError as error:
            raise self._failing(error) from None

    def _follow_path(self) -> bool:
        """Open the file anew where somebody moved or deleted it; whether that was so."""
        if not self._regular or self._is_named():
            return False
        if os.fstat(self._file).st_nlink:
            self._sync()
        elif self._unflushed:
            self._lost, self._unflushed = "somebody deleted what was written", False
        self._reopen()
        self._sync_folder()
        return True

    def _is_named(self) -> bool:
        try:
            return os.path.samestat(self.path.stat(), os.fstat(self._file))
        except (FileNotFoundError, NotADirectoryError):
            return False

    def _write(self, line: bytes) -> None:
        if not self._whole:
            self._mend_last_line()
            self._whole = True
        self._rotate_before(line)
        if self._options.format == "csv" and self._regular and not os.fstat(self._file).st_size:
            line = _csv.HEAD.encode() + line
        self._append(line)
        self._unflushed = True

    def _failing(self, error: OSError) -> Unavailable:
        return Unavailable(f"sink {self.name}: {self.path}: {str(error.strerror).lower()}; mend that, it goes on by itself and nothing is lost")

    def _append(self, line: bytes) -> None:
        written = 0
        try:
            while written < len(line):
                written += os.write(self._file, line[written:])
        except OSError:
            if written and self._regular:
                self._whole = False
                self._cut(written)
                self._whole = True
            raise

    def _cut(self, length: int) -> None:
        """Take back what was just written."""
        os.ftruncate(self._file, os.fstat(self._file).st_size - length)

    def _mend_last_line(self) -> None:
        """A last line without an end is a torn one of ours, which is delivered again, or somebody's text, which is kept."""
        size = os.fstat(self._file).st_size
        tail = os.pread(self._file, _TAIL_BYTES, max(0, size - _TAIL_BYTES))
        last = tail[tail.rfind(b"\n") + 1 :]
        if not last:
            return
        if self._is_torn(last):
            self._cut(len(last))
        else:
            os.write(self._file, b"\n")

    def _is_torn(self, last: bytes) -> bool:
        if self._options.format == "csv":
            return _csv.HEAD.encode().startswith(last) or (last.startswith(b'"') and not _csv.is_whole(last))
        with suppress(orjson.JSONDecodeError):
            orjson.loads(last)
            return False
        return last.startswith(b"{")

    def _rotate_before(self, line: bytes) -> None:
        """Set the file aside where it would become too large by a line. Ended at any point it loses nothing."""
        size = os.fstat(self._file).st_size
        if self._most_bytes is None or not self._regular or not size or size + len(line) <= self._most_bytes:
            return
        self._sync()
        for number in range(self._options.keep - 1, 0, -1):
            with suppress(FileNotFoundError):
                self._aside(number).replace(self._aside(number + 1))
        with suppress(FileNotFoundError):
            self.path.replace(self._aside(1))
        self._reopen()
        self._sync_folder()

    def _aside(self, number: int) -> Path:
        return self.path.with_name(f"{self.path.name}.{number}")

    def _sync_folder(self) -> None:
        folder = os.open(self.path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)

    def fits(self, message: Message) -> bool:
        """There is room for any."""
        return True

    def flush(self) -> None:
        """Have what was delivered survive a power failure. ``Unavailable`` where the disk did not take it, now or at a change of files before, or it was deleted."""
        try:
            if self._regular and not self._follow_path():
                self._sync()
        except OSError as error:
            self._lost = ""
            raise self._failing(error) from None
        if self._lost:
            lost, self._lost = self._lost, ""
            raise Unavailable(f"sink {self.name}: {self.path}: {lost}; it is written again")

    def _sync(self) -> None:
        """A disk tells a failure once, and what it did not take is gone: it has to be written again, to the file opened anew."""
        try:
            os.fsync(self._file)
        except OSError:
            self._lost = "the disk did not take what was written"
            self._reopen()
            raise
        self._unflushed = False

    def give_up(self) -> None:
        """Nothing here takes long."""

    def close(self) -> None:
        """Close the file."""
        os.close(self._file)
