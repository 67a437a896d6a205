"""The files that routes were read from: when they were changed, by what hash they are known, and whose they are."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from streams.process.os_users import user_named

State = tuple[int, int, int, int] | None
"""Of a file: when it was changed and written (ns), its size and number; None where it is not there."""


def state_of(path: Path) -> State:
    """A file as it is now."""
    try:
        known = path.stat()
    except (OSError, ValueError):
        return None
    return known.st_ctime_ns, known.st_mtime_ns, known.st_size, known.st_ino


class Origin(NamedTuple):
    """The names of files, the SHA-256 of one after the other (``cat`` and ``sha256sum`` have the same), which of them was changed last, and whose that one is."""

    files: tuple[str, ...]
    sha256: str
    changed: str
    owner: str


def origin_of(files: Mapping[Path, State]) -> Origin:
    """Of files as they were looked at; one that cannot be read any more counts for nothing."""
    found = hashlib.sha256()
    for path in files:
        with suppress(OSError, ValueError):
            found.update(path.read_bytes() if path.is_file() else b"")
    changed = max(files, key=lambda path: files[path] or (0,))
    owner = "unknown"
    with suppress(OSError):
        owner = user_named(changed.stat().st_uid)
    return Origin(tuple(path.name for path in files), found.hexdigest(), changed.name, owner)
