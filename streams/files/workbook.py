"""Excel workbooks (XLSX) as rows of text, as CSV gives them."""

from __future__ import annotations

import datetime as dt
import io
import zipfile
from collections.abc import Iterator
from typing import Any

from streams.errors import BadInput
from streams.files.csv_rows import Row

MOST_UNPACKED_BYTES = 256_000_000


def is_workbook(sample: bytes) -> bool:
    """Whether a file that begins like this is one."""
    return sample.startswith(b"PK\x03\x04") and any(part in sample for part in (b"[Content_Types].xml", b"xl/", b"_rels/"))


def read_workbook(data: bytes, name: str) -> Iterator[tuple[str, Iterator[Row]]]:
    """Each sheet's title and rows that are not blank, cut or filled to the width of the first.

    A cell with a day and no time, or midnight, is a date, however it is shown. ``BadInput``: no workbook, too large unpacked, a heading
    given twice, cells beyond the heading, an error or a formula that was never worked out in a cell.
    """
    from openpyxl import load_workbook  # noqa: PLC0415  takes a third of a second, and few registries are workbooks

    try:
        unpacked = sum(part.file_size for part in zipfile.ZipFile(io.BytesIO(data)).infolist())
        if unpacked > MOST_UNPACKED_BYTES:
            raise BadInput(f"{name}: the workbook is {unpacked // 1_000_000} MB unpacked, more than {MOST_UNPACKED_BYTES // 1_000_000}; split it")
        values, formulas = (load_workbook(io.BytesIO(data), read_only=True, data_only=data_only) for data_only in (True, False))
        sheets = [(sheet.title, list(_rows(sheet, formulas[sheet.title], f"{name}:{sheet.title}"))) for sheet in values.worksheets]
    except BadInput:
        raise
    except Exception as error:  # noqa: BLE001  the library raises whatever the broken part of the file leads to
        raise BadInput(f"{name}: not a workbook that can be read ({type(error).__name__}: {error}); save it anew as .xlsx or CSV") from None
    for title, rows in sheets:
        yield title, iter(rows)


def _rows(sheet: Any, formulas: Any, where: str) -> Iterator[Row]:
    heading: list[str] | None = None
    for page in (sheet, formulas):
        page.reset_dimensions()  # what the file says of them is often wrong
    for line, (row, written) in enumerate(zip(sheet.iter_rows(), formulas.iter_rows(), strict=True), 1):
        cells = [_text(cell, source, f"{where}!{line}") for cell, source in zip(row, written, strict=True)]
        while cells and not cells[-1]:
            cells.pop()
        if not cells:
            continue
        if heading is None:
            heading = cells
            if twice := next((cell for number, cell in enumerate(cells) if cell and cell in cells[:number]), None):
                raise BadInput(f"{where}!{line}: the heading {twice!r} stands twice in this line")
        elif len(cells) > len(heading):
            raise BadInput(f"{where}!{line}: the row has more cells than the header: {len(cells)}, not {len(heading)}")
        yield Row(line, cells + [""] * (len(heading) - len(cells)))


def _text(cell: Any, written: Any, where: str) -> str:
    value = cell.value
    if cell.data_type == "e":
        raise BadInput(f"{where}: a cell holds the error {value}")
    if value is None:
        if written.data_type == "f":
            raise BadInput(f"{where}: a formula whose value is not in the file; open it in a spreadsheet, save it, and try again")
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    if isinstance(value, dt.datetime):
        return (value if value.time() != dt.time() else value.date()).isoformat()
    if isinstance(value, dt.date):
        return value.isoformat()
    return str(value).strip()
