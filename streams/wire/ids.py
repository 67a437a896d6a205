"""What may be somebody's id (semantics 2): 1 to 128 bytes of UTF-8 that can be seen, and no word that means something to us."""

from __future__ import annotations

import re
import unicodedata

LONGEST_ID_BYTES = 128
RESERVED = frozenset({"*", "other"})
"""The whole city in rates and passes, and in metrics whoever is not registered."""
UNSEEN = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})
"""Categories of characters that no id has: controls, formats, surrogates, separators of lines and paragraphs."""
NO_ID = f"not an id: 1 to {LONGEST_ID_BYTES} bytes that can be seen, and no reserved word"
"""What is said of a text that is none."""
NO_TEXT = re.compile("[\\0\ud800-\udfff]")
"""A NUL, or half a character: escapes can write them, and no text holds them."""


def is_id(text: str) -> bool:
    r"""Whether a text may be an id.

    >>> [is_id(text) for text in ("HH-12345", "京 A/1", "", "*", "other", "a\nb", "a" * 129)]
    [True, True, False, False, False, False, False]
    """
    if not text or text in RESERVED or len(text) > LONGEST_ID_BYTES:
        return False
    if text.isascii():
        return text.isprintable()
    if not text.isprintable() and not UNSEEN.isdisjoint(map(unicodedata.category, text)):
        return False
    return len(text) <= LONGEST_ID_BYTES // 4 or len(text.encode()) <= LONGEST_ID_BYTES


def id_of(raw: bytes | None) -> str | None:
    """The id that a record's key is, if it is one."""
    try:
        text = (raw or b"").decode()
    except UnicodeDecodeError:
        return None
    return text if is_id(text) else None
