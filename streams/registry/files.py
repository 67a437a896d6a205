"""Registry files: JSONL (one record a line) or a JSON array, YAML (a list of records), CSV and XLSX (a heading, then one record a row)."""

from __future__ import annotations

import io
import json
import re
from collections.abc import Callable, Collection, Iterator
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import msgspec

from streams.errors import BadInput, nearest
from streams.files.csv_rows import read_rows, separator_of
from streams.files.json_array import elements
from streams.files.plain_yaml import read_yaml
from streams.files.record_columns import ABSENT
from streams.files.text_files import PACKED_SUFFIXES, as_text, decoded, open_bytes, read_pieces
from streams.files.workbook import is_workbook, read_workbook
from streams.registry.records import KINDS, AnyEntry, Facility, Line, Notice, Outlet, Pass, decode_entry, entry_from_text
from streams.registry.registry import Registry, validity_ms

MOST_BYTES = 256_000_000
MOST_SAID = 1_000
"""So many characters are said of a record that is wrong, which may quote it."""
_LIST_SEPARATORS = re.compile(r"[;；、,，\s]+")
_NO_SEPARATORS = re.compile(r"[|/\\｜／]|^[({\"']")
_LISTS = 'lists are separated by ; ； 、 , ， or spaces, and names in which such characters, | or / stand are written as ["D/1", "D/2"]'
_WORDS = {"yes": "true", "y": "true", "是": "true", "1.0": "true", "no": "false", "n": "false", "否": "false", "0.0": "false"}
Rows = Iterator[tuple[str, Callable[[], AnyEntry]]]
"""Where each record stands (a line, or a sheet and its row), and how to read it."""


def load_registry(path: Path, timezone: ZoneInfo, zones: Collection[str] | None = None, *, encoding: str | None = None) -> Registry:
    """Read a registry file, packed or not, its format told by its name and content; ``encoding`` if it is not UTF-8.

    ``BadInput`` names the file, the line, the key and the nearest valid key; a table, YAML or JSON without a record is refused. In text formats null
    and ``~`` are absent, in cells all of ``ABSENT``; in a cell, lists are separated by ``;``, ``；``, ``、``, ``,`` or spaces, or written as JSON. The same kind and id with the same
    ``valid_from`` may stand there once. Where the policy's ``zones`` are given, passes for others and lines through others are refused.
    """
    registry = Registry(timezone)
    places: dict[tuple[str, str, int], str] = {}
    for place, parse in _rows(str(path), encoding):
        try:
            entry = parse()
            if zones is not None and isinstance(entry, Pass | Line):
                _check_zones(entry, zones)
            if isinstance(entry, Outlet | Facility):
                _check_place(entry)
            kind = str(type(entry).__struct_config__.tag)
            version = kind, entry.id, validity_ms(entry, timezone)[0]
            if first := places.get(version):
                since = f"valid_from {entry.valid_from}" if entry.valid_from else "no valid_from"
                raise BadInput(f"{kind} {entry.id} with {since} stood in {'line ' if first.isdigit() else ''}{first} already; versions of one id differ in valid_from")
            places[version] = place
            registry.add([entry])
            if isinstance(entry, Notice):
                _check_times(entry, registry)
        except BadInput as error:
            raise BadInput(f"{path}:{place}: {str(error)[:MOST_SAID]}") from None
    if not places and not {".jsonl", ".ndjson"} & set(map(str.lower, path.suffixes)):  # of lines there may be none, a table is made to hold some
        raise BadInput(f"{path}: holds no record; give a file with at least one, each with kind and id, such as vehicle and HH-12345")
    return registry


def _rows(name: str, encoding: str | None) -> Rows:
    try:
        sample, pieces = open_bytes(name)
        workbook = read_pieces(name, pieces, MOST_BYTES) if is_workbook(sample) else None
        text = "" if workbook else decoded(name, read_pieces(name, as_text(name, sample, pieces, encoding)[1], MOST_BYTES))
    except BadInput as error:
        raise BadInput(f"registry {error}") from None
    if workbook:
        yield from _of_workbook(workbook, name)
        return
    yield from _format(name, text)(text, name)


def _format(name: str, text: str) -> Callable[[str, str], Rows]:
    path = Path(name.lower())
    suffix = Path(path.stem).suffix if path.suffix in PACKED_SUFFIXES else path.suffix
    start = text.lstrip()[:1]
    if suffix in {".yaml", ".yml"}:
        return _yaml
    if suffix in {".csv", ".tsv"}:
        return _csv
    if start == "[":
        return _array
    if start == "{" or suffix in {".jsonl", ".json", ".ndjson"}:
        return _jsonl
    return _yaml if start == "-" else _csv if "kind" in text.partition("\n")[0] else _jsonl


def _jsonl(text: str, name: str) -> Rows:
    for number, line in enumerate(text.split("\n"), 1):
        if line.strip():
            yield str(number), lambda line=line: _entry_of_json(line)  # type: ignore[misc]


def _array(text: str, name: str) -> Rows:
    for line, element in elements(text.encode(), name):
        yield str(line), lambda element=element: _entry_of_json(element.decode())  # type: ignore[misc]


def _entry_of_json(text: str) -> AnyEntry:
    entry = decode_entry(text.encode())
    try:
        json.loads(text, object_pairs_hook=_unique)
    except RecursionError:
        raise BadInput("nested too deeply") from None
    return entry


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object of JSON; ``BadInput`` where a key stands in it twice."""
    found = dict(pairs)
    if len(found) < len(pairs):
        keys = [key for key, _ in pairs]
        raise BadInput(f"key {next(key for key in keys if keys.count(key) > 1)!r} is given twice")
    return found


def _yaml(text: str, name: str) -> Rows:
    records, lines = read_yaml(text, name)
    if records is None:
        return
    if not isinstance(records, list):
        yield "1", lambda: _refuse("a YAML registry is a list of records, each with kind and id")
        return
    for index, row in enumerate(records):
        yield str(lines[index,]), lambda row=row: _entry_of_text(row) if isinstance(row, dict) else _refuse(f"{row!r} is not a record")  # type: ignore[misc]


def _csv(text: str, name: str) -> Rows:
    separator = separator_of(text, _known())
    rows = read_rows(io.StringIO(text, newline=""), name, separator)
    heading = next(rows, None)
    if heading is None:
        return
    _check_heading(heading.cells, f"{name}:{heading.line}")
    for row in rows:
        yield str(row.line), lambda cells=row.cells: _entry_of_cells(heading.cells, cells)  # type: ignore[misc]


def _of_workbook(data: bytes, name: str) -> Rows:
    for sheet, rows in read_workbook(data, name):
        heading = next(rows, None)
        if heading is None:
            continue
        _check_heading(heading.cells, f"{name}:{sheet}!{heading.line}")
        for row in rows:
            yield f"{sheet}!{row.line}", lambda cells=row.cells, names=heading.cells: _entry_of_cells(names, cells)  # type: ignore[misc]


def _check_heading(names: list[str], where: str) -> None:
    missing = [name for name in ("kind", "id") if name not in names]
    if missing:
        raise BadInput(f"{where}: the heading lacks {' and '.join(missing)}; its cells name the keys of registry records, in small letters")


def _entry_of_cells(names: list[str], cells: list[str]) -> AnyEntry:
    given = {name: cell for name, cell in zip(names, cells, strict=False) if cell not in ABSENT}
    if "" in given:
        return _refuse(f"{given['']!r} stands under no heading")
    return _entry_of_text(given)


def _entry_of_text(row: dict[str, Any]) -> AnyEntry:
    """A record whose values are text: lists are taken apart, words for yes and no are read."""
    kind = KINDS.get(str(row.get("kind")))
    if kind is None:
        return entry_from_text(row)
    shapes = _shapes(kind)
    values = {key: _value(value, shapes.get(key, "")) for key, value in row.items()}
    return entry_from_text({key: value for key, value in values.items() if value is not None})


def _value(value: Any, shape: str) -> Any:
    if not isinstance(value, str):
        return value
    if shape == "list":
        return _parts(value) or None
    return _WORDS.get(value.lower(), value) if shape == "bool" else value


def _parts(text: str) -> list[str]:
    """The list that a text is: one of JSON, or names between separators. What is neither is refused, for it would be one strange name."""
    if text.lstrip().startswith("["):
        try:
            return msgspec.json.decode(text, type=list[str])
        except (msgspec.DecodeError, RecursionError):
            raise BadInput(f"{text[:80]!r} begins with [ and is no list of JSON texts; {_LISTS}") from None
    parts = [part for part in _LIST_SEPARATORS.split(text) if part]
    if wrong := next((part for part in parts if _NO_SEPARATORS.search(part)), None):
        raise BadInput(f"{wrong[:80]!r} is not taken for one name nor for several; {_LISTS}")
    return parts


def _shapes(kind: type[AnyEntry]) -> dict[str, str]:
    """The keys of a kind that hold lists and bools."""
    found = dict[str, str]()
    for field in msgspec.inspect.type_info(kind).fields:  # type: ignore[attr-defined]
        for option in getattr(field.type, "types", (field.type,)):
            if isinstance(option, msgspec.inspect.ListType | msgspec.inspect.BoolType):
                found[field.encode_name] = "list" if isinstance(option, msgspec.inspect.ListType) else "bool"
    return found


def _known() -> set[str]:
    return {"kind", *(name for kind in KINDS.values() for name in kind.__struct_encode_fields__)}


def _check_zones(entry: Pass | Line, zones: Collection[str]) -> None:
    for zone in entry.zones:
        if zone not in zones and not (zone == "*" and isinstance(entry, Pass)):
            raise BadInput(f"{type(entry).__name__.lower()} {entry.id}: zone {zone!r} is not in the policy{nearest(zone, zones)}")


def _check_times(notice: Notice, registry: Registry) -> None:
    _, from_ms, until_ms = registry.notice_times(notice)
    if until_ms < from_ms or (until_ms == from_ms and notice.until != notice.from_):  # the end of a day is the beginning of the next
        raise BadInput(f"notice {notice.id}: until {notice.until} is before from {notice.from_}")


def _check_place(entry: Outlet | Facility) -> None:
    for name, value, most in (("lon", entry.lon, 180), ("lat", entry.lat, 90)):
        if value is not None and not -most <= value <= most:
            swapped = "; lon and lat look swapped" if name == "lat" and abs(value) <= 180 else ""
            raise BadInput(f"{type(entry).__name__.lower()} {entry.id}: {name} {value:g} is not between -{most} and {most} degrees{swapped}")


def _refuse(problem: str) -> AnyEntry:
    raise BadInput(problem)
