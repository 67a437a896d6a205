"""Files that hold a key: regular, small, and nobody else's to read."""

from __future__ import annotations

import stat
from pathlib import Path

from streams.errors import BadInput
from streams.files.small_files import read_small

OTHERS = 0o077


def read_key_file(path: Path, what: str) -> bytes:
    """The bytes of a text file; ``BadInput`` where it is none or others than its owner may read it. ``what`` names the option or setting."""
    try:
        text = read_small(path)
        mode = stat.S_IMODE(path.stat().st_mode)
    except (ValueError, OSError) as error:
        raise BadInput(f"{what}: {path}: {getattr(error, 'strerror', None) or error}") from None
    if mode & OTHERS:
        raise BadInput(f"{what}: {path} may be read by others (mode {mode:04o}); chmod 600 it")
    return text.strip().encode()
