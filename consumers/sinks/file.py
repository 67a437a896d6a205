"""The file sink: one CloudEvent a line, handed to the operating system line by line, whole or not at all."""

from __future__ import annotations

import os
import stat
from contextlib import suppress
from pathlib import Path

import orjson

from streams.errors import BadInput, Unavailable

_TAIL_BYTES = 2_000_000
"""No event is longer."""


class FileSink:
    """Appends incidents to a JSONL file, which only its user may read."""

    name = "file"
    real = False

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise BadInput(f"sink file {path}: {error.strerror}; set YICHENG_SINK_FILE to a file that can be written") from None
        self._regular = stat.S_ISREG(os.fstat(self._file).st_mode)
        self._whole = not self._regular  # whether the last line is

    def deliver(self, event_id: str, body: bytes) -> None:
        """Append one event. ``Unavailable`` where the disk does not take all of it; then nothing of it stays."""
        try:
            if not self._whole:
                self._mend_last_line()
                self._whole = True
            self._append(body + b"\n")
        except OSError as error:
            raise Unavailable(f"sink file {self.path}: {str(error.strerror).lower()}; mend that, it goes on by itself and nothing is lost") from None

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
        """A last line without an end is a torn event of ours, which is delivered again, or somebody's text, which is kept."""
        size = os.fstat(self._file).st_size
        tail = os.pread(self._file, _TAIL_BYTES, max(0, size - _TAIL_BYTES))
        last = tail[tail.rfind(b"\n") + 1 :]
        if not last:
            return
        with suppress(orjson.JSONDecodeError):
            orjson.loads(last)
            last = b""
        if last.startswith(b"{"):
            self._cut(len(last))
        else:
            os.write(self._file, b"\n")

    def flush(self) -> None:
        """Nothing is held back: what was delivered survives this process."""

    def give_up(self) -> None:
        """Nothing here takes long."""

    def close(self) -> None:
        """Close the file."""
        os.close(self._file)
