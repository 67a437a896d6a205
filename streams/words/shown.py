"""Text that comes from data, as people may be shown it: what would steer a terminal, or order words anew, is written out."""

from __future__ import annotations

import re
import unicodedata

_STEERING = {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}


def _steers(character: str) -> bool:
    return not character.isprintable() and unicodedata.category(character) in _STEERING


def shown(text: object) -> str:
    r"""One line of text, with control, formatting and unassigned characters as escapes.

    >>> shown("京A\x1b[2J\n12345\u202e")
    '京A\\x1b[2J\\n12345\\u202e'
    """
    plain = str(text)
    if plain.isprintable():
        return plain
    return "".join(repr(character)[1:-1] if _steers(character) else character for character in plain)


def beginning(text: str, most: int) -> str:
    """At most so many characters of a text, and a sign where it goes on.

    >>> beginning("12345", 5), beginning("123456", 5)
    ('12345', '12345…')
    """
    return text if len(text) <= most else f"{text[:most]}…"


def shown_lines(text: object) -> str:
    """Several lines of text: as ``shown``, but line ends and tabs stay."""
    return re.sub(r"[^\n\t]+", lambda part: shown(part[0]), str(text))


def shown_json(text: str) -> str:
    r"""JSON text that means the same, with such characters as JSON escapes.

    >>> shown_json('{"plate":"\x9b2J"}')
    '{"plate":"\\u009b2J"}'
    """
    return re.sub(r"[^\n\t\x20-\x7e]", _json_escape, text)


def _json_escape(found: re.Match[str]) -> str:
    character = found[0]
    if not _steers(character):
        return character
    units = character.encode("utf-16-be", "surrogatepass")
    return "".join(f"\\u{units[n] << 8 | units[n + 1]:04x}" for n in range(0, len(units), 2))

