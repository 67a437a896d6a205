"""One ``yicheng up`` at a time in a folder."""

from __future__ import annotations

import fcntl
from pathlib import Path
from typing import IO

from streams.errors import YichengError


def alone(folder: Path) -> IO[str]:
    """A lock on a folder, held while it is open: a second ``up`` would delete what the first one runs on. ``YichengError`` where one has it."""
    folder.mkdir(parents=True, exist_ok=True)
    lock = (folder / "up.lock").open("a")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        lock.close()
        raise YichengError(f"another ./yicheng up runs in {folder}; stop it, or set YICHENG_STATE_DIR to another folder") from None
    return lock
