"""What the texts of a registry record may be (semantics 2): ids where one is named, else 256 bytes at most, so that all that quotes them stays small."""

from __future__ import annotations

import msgspec

from streams.registry.records import AnyEntry, Pass
from streams.wire.events import LONGEST_TEXT_BYTES
from streams.wire.ids import NO_ID, NO_TEXT, is_id
from streams.words.shown import beginning

_IDS = {"id", "plate", "device_id", "enterprise_id", "vehicle_id", "city", "cities", "township", "driver_ids", "vehicle_ids", "zones"}
"""Keys that name somebody or something, one or several."""


def text_problem(entry: AnyEntry) -> str | None:
    """The first key of a record whose text cannot be, and why."""
    for name, value in zip(entry.__struct_fields__, msgspec.structs.astuple(entry), strict=True):
        for text in value if isinstance(value, list) else (value,) if isinstance(value, str) else ():
            if name in _IDS and not is_id(text) and not (text == "*" and name == "zones" and isinstance(entry, Pass)):
                return f"{name} {beginning(text, 80)!r} is {NO_ID}"
            if len(text) > LONGEST_TEXT_BYTES // 4 and len(text.encode("utf-8", "replace")) > LONGEST_TEXT_BYTES:
                return f"{name} {beginning(text, 80)!r} is longer than {LONGEST_TEXT_BYTES} bytes"
            if not text.isprintable() and NO_TEXT.search(text):
                return f"{name} {beginning(text, 80)!r} holds a character that no text has"
    return None
