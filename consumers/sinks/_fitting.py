"""Text cut to what a receiver takes: whole lines, and a word on how many are left out."""

from __future__ import annotations

from bisect import bisect_right
from itertools import accumulate

import orjson

from consumers.messages.message import Message

TITLE_BYTES = 400
"""A title is one line that is seen at a glance."""


def json_bytes(text: str) -> int:
    """How many bytes a text takes within JSON (UTF-8), which is never less than by itself."""
    return len(orjson.dumps(text)) - 2


def words_of(message: Message, words: str, *, titled: bool) -> str:
    """What is said of a message: the words, before them its title where that is to stand there, and at the end its id, by which a repeat is known. Nothing twice."""
    lines = [words or message.text]
    if titled and message.title and message.title not in lines[0]:
        lines.insert(0, cut(message.title, TITLE_BYTES))
    if message.message_id not in lines[-1].rpartition("\n")[2]:
        lines.append(message.message_id)
    return "\n".join(filter(None, lines))


def fitted(text: str, most_bytes: int, line_end: str = "\n") -> str:
    r"""As many whole lines, from the first on, as take ``most_bytes`` within JSON at most, and always the last line (it holds the id).

    >>> print(fitted("\n".join(["one", "two", *["!" * 30] * 3, "I1/1"]), 75))
    one
    two
    （另有 3 行未列出 · lines left out: 3）
    I1/1
    """
    *lines, last = text.split("\n")
    whole = line_end.join([*lines, last])
    if json_bytes(whole) <= most_bytes:
        return whole
    room = most_bytes - json_bytes(line_end.join(["", _left_out(len(lines)), last]))
    if room <= 0 or not lines:
        return cut(text.replace("\n", " "), most_bytes)
    kept: list[str] = []
    for line in lines:
        taken = json_bytes(line_end + line)
        if taken > room:
            if taken > most_bytes // 2:  # a line so long is not left out as a whole
                kept.append(cut(line, room - json_bytes(line_end)))
            break
        kept.append(line)
        room -= taken
    left_out = len(lines) - len(kept)
    return line_end.join([*kept, *([_left_out(left_out)] if left_out else []), last])


def _left_out(lines: int) -> str:
    return f"（另有 {lines} 行未列出 · lines left out: {lines}）"


def cut(line: str, most_bytes: int) -> str:
    """A line, or its beginning where all of it takes more bytes within JSON.

    >>> cut("京A12345", 100), cut("京A12345", 7)
    ('京A12345', '京A…')
    """
    if json_bytes(line) <= most_bytes:
        return line
    taken = [*accumulate(json_bytes(character) for character in line)]
    return line[: bisect_right(taken, most_bytes - json_bytes("…"))] + "…"
