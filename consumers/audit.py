"""The audit log: who answered, dismissed, objected, exported or changed a route, one line of JSON each, every line with the hash of the line before.

What was changed, taken out or put in between later no longer fits, and ``verify`` names the first line of which that is so. Lines cut off at the
end leave a shorter log that fits: whoever wants to notice that keeps the hash of the last line, which ``verify`` tells, somewhere else.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

import msgspec

from streams.clock import now_ms
from streams.errors import BadInput

NOTHING = "0" * 64
"""What the first line says of the line before."""
LONGEST_LINE_BYTES = 16_384
LONGEST_TEXT = 300
FILE = "audit.jsonl"
"""Its name in the state directory."""


class Entry(msgspec.Struct, frozen=True):
    """One line: what was done, by whom as far as that is said, and the ids that it is about. ``before``: SHA-256 of the line before, without its end."""

    number: int
    time_ms: int
    action: str
    by: str | None
    about: dict[str, str | int | None]
    before: str


class Verified(msgspec.Struct, frozen=True):
    """How many lines fit, and the hash of the last of them; ``broken``: the number of the first that does not, and why; ``torn``: bytes of a line that was never finished."""

    lines: int
    last: str
    broken: int | None = None
    why: str = ""
    torn: int = 0


_decode = msgspec.json.Decoder(Entry).decode


class Audit:
    """Appends to the log; several processes may. A line is on the disk when ``append`` returns; ``OSError`` where it could not be written."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def append(self, action: str, by: str | None = None, **about: str | int | None) -> None:
        """Write down that somebody did something."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        new = not self.path.exists()
        with os.fdopen(os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600), "r+b", buffering=0) as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            last, torn = _end(file)
            if torn:  # it was never said to be written; what it was is told by its hash
                file.truncate(file.seek(0, os.SEEK_END) - len(torn))
                last = _write(file, last, "torn line removed", None, {"bytes": len(torn), "sha256": _hash(torn)})
            _write(file, last, action, by, about)
            os.fsync(file.fileno())
        if new:
            _sync_folder(self.path.parent)

    def newest(self, action: str) -> Entry | None:
        """The last line of such an action; None where there is none. What is no entry is passed over."""
        found = None
        try:
            with self.path.open("rb") as file:
                while line := file.readline(LONGEST_LINE_BYTES + 1):
                    with suppress(msgspec.DecodeError, UnicodeDecodeError):
                        entry = _decode(line)
                        found = entry if entry.action == action else found
        except FileNotFoundError:
            return None
        return found


def _write(file: BinaryIO, last: bytes | None, action: str, by: str | None, about: dict[str, str | int | None]) -> bytes:
    number = _number(last) + 1
    before = NOTHING if last is None else _hash(last)
    shortened = {name: value[:LONGEST_TEXT] if isinstance(value, str) else value for name, value in about.items()}
    line = msgspec.json.encode(Entry(number, now_ms(), action, by and by[:LONGEST_TEXT], shortened, before))
    written = file.write(line + b"\n")
    if written != len(line) + 1:
        raise OSError(f"{file.name}: only {written} bytes of a line could be written")
    return line


def _number(line: bytes | None) -> int:
    """Of a line; of one that cannot be read 0, and then ``verify`` names it or the next."""
    try:
        return _decode(line).number if line else 0
    except (msgspec.DecodeError, UnicodeDecodeError):
        return 0


def _end(file: BinaryIO) -> tuple[bytes | None, bytes]:
    """The last whole line, None where there is none, and what stands behind it."""
    size = file.seek(0, os.SEEK_END)
    file.seek(max(0, size - 2 * LONGEST_LINE_BYTES))
    rest, _, torn = file.read().rpartition(b"\n")
    return (rest.rpartition(b"\n")[2] or None), torn


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def verify(path: Path) -> Verified:
    """Whether every line fits the one before; ``BadInput`` where the file cannot be read."""
    before, number = NOTHING, 0
    try:
        with path.open("rb") as file:
            while line := file.readline(LONGEST_LINE_BYTES + 1):
                if not line.endswith(b"\n"):
                    too_long = len(line) > LONGEST_LINE_BYTES
                    return Verified(number, before, number + 1, "it is too long") if too_long else Verified(number, before, torn=len(line))
                if why := _wrong(line[:-1], number + 1, before):
                    return Verified(number, before, number + 1, why)
                number, before = number + 1, _hash(line[:-1])
    except OSError as error:
        raise BadInput(f"{path}: {error.strerror}; the audit log is {FILE} in YICHENG_STATE_DIR") from None
    return Verified(number, before)


def _wrong(line: bytes, number: int, before: str) -> str:
    try:
        entry = _decode(line)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return "it is no entry of an audit log"
    if entry.before != before:
        return "it does not fit the line before: one of the two was changed, or a line between them is missing or was put in"
    return "" if entry.number == number else f"it says that it is number {entry.number}"


def _hash(line: bytes) -> str:
    return hashlib.sha256(line).hexdigest()
