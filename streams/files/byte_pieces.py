"""Pieces of bytes, as they come out of a file, a pipe or an unpacker: as a stream, as lines, or with their beginning in hand."""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator
from itertools import chain
from typing import Any

SAMPLE_BYTES = 1 << 16
"""So much of a file is looked at to tell what it is."""
Pieces = Iterator[bytes]


class Stream(io.RawIOBase):
    """Pieces as a stream that can be read."""

    def __init__(self, pieces: Iterable[bytes]) -> None:
        super().__init__()
        self._pieces = iter(pieces)
        self._rest = memoryview(b"")

    def readable(self) -> bool:
        """It can."""
        return True

    def readinto(self, buffer: Any) -> int:
        """Fill a buffer as far as the next piece reaches."""
        while not self._rest:
            piece = next(self._pieces, None)
            if piece is None:
                return 0
            self._rest = memoryview(piece)
        size = min(len(buffer), len(self._rest))
        buffer[:size] = self._rest[:size]
        self._rest = self._rest[size:]
        return size


def head(pieces: Iterator[bytes], size_bytes: int) -> tuple[bytes, Iterator[bytes]]:
    """The first bytes (all there are, up to so many), and all pieces."""
    held, size = [], 0
    for piece in pieces:
        held.append(piece)
        if (size := size + len(piece)) >= size_bytes:
            break
    return b"".join(held)[:size_bytes], chain(held, pieces)


def lines(pieces: Iterable[bytes], most_bytes: int) -> Iterator[tuple[int, bytes | None]]:
    """The lines that are not blank, without their ends, and their numbers; None for one of more than so many bytes, which is never held as a whole.

    Among other lines some may end as on old Macs, after files were put together: those have one number.
    """
    number, rest, dropping = 0, b"", False
    for piece in pieces:
        found = (rest + piece).split(b"\n")
        rest = found.pop()
        for line in found:
            number += 1
            if dropping or len(line) > most_bytes:
                dropping = False
                yield number, None
            else:
                yield from _parts(number, line)
        if len(rest) > most_bytes:
            rest, dropping = b"", True
    if dropping:
        yield number + 1, None
    else:
        yield from _parts(number + 1, rest)


def _parts(number: int, line: bytes) -> Iterator[tuple[int, bytes]]:
    return ((number, found) for part in line.split(b"\r") if (found := part.strip()))
