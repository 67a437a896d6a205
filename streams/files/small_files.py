"""Small text files that come from elsewhere (packs, zones, configuration): regular, bounded, and where they ought to be."""

from __future__ import annotations

import os
import stat
from pathlib import Path

LARGEST_BYTES = 1_000_000
"""A Kafka record can hold no more, and no city's zones need it."""


def read_small(path: Path) -> str:
    """The UTF-8 text of a regular file (a byte order mark is skipped); ``ValueError`` says in a few words what is wrong with it.

    A pipe or a device is not read: the one may never end and the other never begin.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except (OSError, ValueError) as error:
        raise ValueError(str(getattr(error, "strerror", None) or "no usable path").lower()) from None
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise ValueError("not a regular file")
    with os.fdopen(descriptor, "rb") as file:
        try:
            text = file.read(LARGEST_BYTES + 1)
        except OSError as error:
            raise ValueError(str(error.strerror).lower()) from None
    if len(text) > LARGEST_BYTES:
        raise ValueError(f"larger than {LARGEST_BYTES // 1_000_000} MB")
    try:
        return text.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise ValueError("not UTF-8") from None


def read_beside(path: Path, name: str) -> str:
    """The text of a file that stands in the folder of another, or in a folder therein; links that lead out are refused."""
    folder = path.parent.resolve()
    wanted = folder / name
    if not wanted.resolve().is_relative_to(folder):
        raise ValueError(f"it is not inside {path.parent}")
    return read_small(wanted)
