"""State records that are too large for one message, in pieces. Pure.

What grows is kept apart in bounded records where that can be foreseen (violating_scans.py). A record that is large nevertheless, say of
a vehicle with thousands of incidents, is cut: under its key stands how many pieces there are, and each piece has a key of its own.
All of them have one head, so that what counts of them is of one checkpoint. Pieces that are left over, since there are fewer now, are
deleted by the checkpoint after the one that no longer needs them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from streams.errors import LostState
from streams.wire.state_records import RecordHeader, decode_fields, encode_fields

PIECE_BYTES = 200_000
"""No state record is longer than this and its head."""
BETWEEN = "\x1d"
"""Between a key and the number of a piece; no key of ours contains it."""
_CUT = "\x1dpieces"
_AT_MOST = 64
"""Bytes of a record within which its first field begins."""


class Pieces:
    """Of one partition: how many pieces the large records have, and which pieces may be deleted."""

    def __init__(self) -> None:
        self._counts: dict[str, int] = {}
        self._spare: list[str] = []

    def cut(self, changes: Iterable[tuple[str, bytes | None]], head: RecordHeader) -> Iterator[tuple[str, bytes | None]]:
        """Changed records with the large ones cut, and what the last checkpoint has made superfluous."""
        spare, self._spare = self._spare, []
        yield from ((key, None) for key in spare)
        for key, value in changes:
            count = 0 if value is None or len(value) <= PIECE_BYTES else -(-len(value) // PIECE_BYTES)
            before = self._counts.pop(key, 0)
            if count and value is not None:
                self._counts[key] = count
                yield key, encode_fields((_CUT, count), head)
                for number in range(count):
                    yield _piece(key, number), encode_fields((value[number * PIECE_BYTES : (number + 1) * PIECE_BYTES],), head)
            else:
                yield key, value
            self._spare += [_piece(key, number) for number in range(count, before)]

    def join(self, found: Mapping[str, bytes]) -> dict[str, bytes]:
        """The records of a restored partition, whole; ``LostState`` where a piece is missing."""
        if not any(BETWEEN in key for key in found):
            return dict(found)
        whole = {key: value for key, value in found.items() if BETWEEN not in key}
        needed = set()
        for key, value in whole.items():
            if _CUT.encode() in value[:_AT_MOST]:
                (_, count) = decode_fields(value, tuple[str, int])
                names = [_piece(key, number) for number in range(count)]
                if missing := [name for name in names if name not in found]:
                    raise LostState(f"{len(missing)} of {count} pieces of a state record are gone; ./yicheng topics rewind judges what is retained anew")
                whole[key] = b"".join(_content(found[name]) for name in names)
                self._counts[key] = count
                needed.update(names)
        self._spare += [key for key in found if BETWEEN in key and key not in needed]
        return whole


def _piece(key: str, number: int) -> str:
    return f"{key}{BETWEEN}{number}"


def _content(value: bytes) -> bytes:
    content: bytes
    (content,) = decode_fields(value, tuple[bytes])
    return content
