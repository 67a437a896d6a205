"""Messages as rows of a CSV file: flat, in quotes, and with nothing that a spreadsheet would take for a formula."""

from __future__ import annotations

import csv
import io
import re

import msgspec

from consumers.incident_events import Reported, read_event
from consumers.messages.message import Message
from streams.wire.decode import Malformed
from streams.words.shown import shown

COLUMNS = ("message_id", "title", *Reported.__struct_fields__)
"""What each column holds; those of an incident are empty for a message about something else."""
HEAD = "\ufeff" + ",".join(f'"{column}"' for column in COLUMNS) + "\n"
"""The first line of a file; by its first character spreadsheets know UTF-8."""
_FORMULA = re.compile(r"\s*[=+\-@]")


def row(message: Message) -> bytes:
    """A message as one line."""
    try:
        incident = msgspec.to_builtins(read_event(message.body).incident)
    except Malformed:
        incident = {}
    out = io.StringIO()
    said = {**incident, "message_id": message.message_id, "title": message.title}
    csv.writer(out, quoting=csv.QUOTE_ALL, lineterminator="\n").writerow([cell(said.get(column)) for column in COLUMNS])
    return out.getvalue().encode()


def is_whole(line: bytes) -> bool:
    """Whether a line without an end is a whole row, of which only the end is missing."""
    try:
        (cells,) = csv.reader([line.decode()], strict=True)
    except (csv.Error, UnicodeDecodeError, ValueError):
        return False
    return len(cells) == len(COLUMNS) and line.endswith(b'"')


def cell(value: object) -> str:
    """A value as a cell: one line of text; what a spreadsheet would take for a formula is written as text.

    >>> cell("=1+1"), cell(-3.5), cell(["a", "b"]), cell(None), cell(True)
    ("'=1+1", '-3.5', 'a; b', '', 'true')
    """
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int | float):
        return str(value)
    text = shown("; ".join(map(str, value)) if isinstance(value, list) else value)
    return f"'{text}" if _FORMULA.match(text) else text
