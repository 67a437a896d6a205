"""A JSON array of records, as many programs export them in place of one record a line."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from streams.errors import BadInput

_decode = msgspec.json.Decoder(list[msgspec.Raw]).decode


def elements(data: bytes, name: str) -> Iterator[tuple[int, bytes]]:
    """The line that each element of an array begins on, and its bytes; ``BadInput`` where it is no JSON array."""
    try:
        found = _decode(data)
    except (msgspec.DecodeError, RecursionError) as error:
        raise BadInput(f"{name}: it begins like a JSON array and is none: {error}; one record a line is read as well") from None
    line, at = 1, 0
    for raw in found:
        element = bytes(raw)
        start = data.index(element, at)
        line += data.count(b"\n", at, start)
        yield line, element
        line += element.count(b"\n")
        at = start + len(element)
