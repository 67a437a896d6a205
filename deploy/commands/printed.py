"""What commands print: nothing that data has a part in steers a terminal, and what a terminal's encoding cannot show is written as an escape."""

from __future__ import annotations

import sys

from streams.words.shown import shown_lines


def say(text: object) -> None:
    """Print a line, or several, that data may have a part in."""
    print(_encodable(shown_lines(text)))


def print_text(text: str) -> None:
    """Print a whole file as it is, to a file or a pipe; to a terminal as it may be shown."""
    print(_encodable(shown_lines(text) if sys.stdout.isatty() else text), end="")


def _encodable(text: str) -> str:
    encoding = sys.stdout.encoding or "utf-8"
    return text.encode(encoding, "backslashreplace").decode(encoding)
