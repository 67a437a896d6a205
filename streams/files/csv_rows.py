"""CSV with a heading, read as its rules say: rows end where CSV ends them, and what breaks the rules is refused with its line."""

from __future__ import annotations

import csv
import re
from collections.abc import Collection, Iterable, Iterator
from typing import NamedTuple

from streams.errors import BadInput

SEPARATORS = (",", ";", "\t", "|")
NULLS = {"", "null", "Null", "NULL", "~"}
"""What stands for an absent value in a cell."""
_BLANK = "".join(SEPARATORS) + ' "\ufeff'
_SEPARATOR_NAMED = re.compile(r"sep=.?", re.IGNORECASE)


class Row(NamedTuple):
    """The line that a row begins on, and its cells."""

    line: int
    cells: list[str]


def separator_of(text: str, known: Collection[str]) -> str:
    r"""The separator by which most words of a table's heading are known ones (else the comma).

    >>> separator_of("sep=;\n;;\nlat;lon\n", {"lat", "lon"})
    ';'
    """
    heading = first_words(text)
    return max(SEPARATORS, key=lambda separator: sum(cell.strip(' "\r\n\ufeff') in known for cell in heading.split(separator)))


def first_words(text: str) -> str:
    """The first line that says something: blank rows and Excel's ``sep=;`` say nothing."""
    lines = (found[0] for found in re.finditer(r"[^\r\n]+", text))
    return next((line for line in lines if line.strip(_BLANK) and not _names_a_separator(line)), "")


def _names_a_separator(line: str) -> bool:
    return _SEPARATOR_NAMED.fullmatch(line.strip(_BLANK)) is not None


def read_rows(lines: Iterable[str], where: str, separator: str) -> Iterator[Row]:
    """The heading and every row that is not blank, each with as many cells as the heading.

    ``lines`` end as they do in the file; spaces and tabs after a separator say nothing, nor does a heading again, as files put one after another have it. ``BadInput`` names
    the line of a column named twice, of a heading in another order, of a row with more or fewer cells, of a quote that never closes or closes in the middle of a
    cell, and of a cell beyond 131,072 characters.
    """
    heading: list[str] | None = None
    first = 0
    for row in _rows(lines, where, separator):
        cells = [cell.strip() for cell in row.cells]
        if not any(cells) or cells == heading:
            continue
        if heading is None and _names_a_separator(separator.join(cells)):
            continue
        if heading is None:
            heading, first = cells, row.line
            _check_heading(heading, f"{where}:{row.line}")
        elif cells[0] in heading and sorted(cells) == sorted(heading):
            raise BadInput(f"{where}:{row.line}: a heading whose columns stand in another order than line {first}'s; read each file by itself")
        elif len(cells) != len(heading):
            raise BadInput(f"{where}:{row.line}: the row has more or fewer cells than the header: {len(cells)}, not {len(heading)}")
        yield Row(row.line, cells)


def _check_heading(heading: list[str], where: str) -> None:
    for number, name in enumerate(heading):
        if name and name in heading[:number]:
            raise BadInput(f"{where}: the heading {name!r} stands twice in this line, over columns {heading.index(name) + 1} and {number + 1}")


def _rows(lines: Iterable[str], where: str, separator: str) -> Iterator[Row]:
    begun: list[str] = []
    tabs = re.compile(rf'(^|{re.escape(separator)})[ \t]+"(?!"[^{re.escape(separator)}\r\n])')

    def remembered() -> Iterator[str]:
        for line in lines:
            if "\t" in line and separator != "\t":
                line = tabs.sub(r'\1"', line)  # the reader skips spaces only  # noqa: PLW2901
            begun.append(line)
            yield line

    reader = csv.reader(remembered(), delimiter=separator, skipinitialspace=True, strict=True)
    line = 1
    while True:
        try:
            cells = next(reader, None)
        except csv.Error as error:
            raise BadInput(_problem(where, line, begun, str(error))) from None
        if cells is None:
            return
        yield Row(line, cells)
        line += len(begun)
        begun.clear()


def _problem(where: str, line: int, begun: list[str], error: str) -> str:
    """What is wrong with a row that begins on a line: mostly a quote, and then where it opens."""
    opened = _open_quote(begun)
    at = f"{where}:{line if opened is None else line + opened}"
    if "unexpected end" in error:
        return f"{at}: a quote opens here and never closes"
    if "field limit" in error:
        return f"{at}: a cell of more than {csv.field_size_limit():,} characters begins here{'; does its quote close?' if opened is not None else ''}"
    if "expected after" in error:
        return f"{where}:{line}: text follows a closing quote; a quote inside a quoted cell is written twice"
    return f"{where}:{line}: not CSV: {error}"


def _open_quote(begun: list[str]) -> int | None:
    """In which of a row's lines (from 0) the quote opens that is still open at their end."""
    opened = None
    for number, text in enumerate(begun):
        at = 0
        while (at := text.find('"', at)) >= 0:
            if opened is None:
                opened = number
            elif text[at + 1 : at + 2] == '"':
                at += 1
            else:
                opened = None
            at += 1
    return opened
