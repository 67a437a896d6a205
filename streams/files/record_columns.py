"""Columns of tables as fields of records: each typed from the definition of a fix, scan or heartbeat, or mapped by a file (``--columns``)."""

from __future__ import annotations

import datetime as dt
import math
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import msgspec
import orjson

from streams.errors import BadInput, nearest
from streams.files.csv_rows import NULLS
from streams.files.plain_yaml import read_yaml
from streams.files.small_files import read_small
from streams.wire.events import Fix, Heartbeat, Scan

KINDS: dict[str, Any] = {"gps": Fix, "scan": Scan, "heartbeat": Heartbeat}
KEYS = {"gps": "vehicle_id", "scan": "waybill_id", "heartbeat": "subject"}
"""The kinds of records, and the field that is their key on Kafka."""
NAMES = {"gps": "fixes", "scan": "scans", "heartbeat": "heartbeats"}
"""What several of each kind are called."""
_NOTHING = ("none", "NaN", "NaT", r"\N", "N/A", "#N/A", "<NA>", "(null)", "<null>")
ABSENT = frozenset(NULLS | {form(word) for word in _NOTHING for form in (str, str.lower, str.upper, str.capitalize)})
"""What stands for an absent value in a cell: nothing, and what databases and pandas write for it."""
_TRUE, _FALSE = {"true", "1", "1.0", "yes", "y", "t", "是"}, {"false", "0", "0.0", "no", "n", "f", "否"}
_WHOLE = re.compile(r"[+-]?\d{1,19}(\.0*)?", re.ASCII)
NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?", re.ASCII | re.IGNORECASE)
_MOST_WHOLE = 2**62
_LONGEST_DAY = len("2024-05-07")
"""Of a day in ISO forms without a time: 2024-05-07, 20240507, 2024-W19-2."""
_SOME_TIME = dt.datetime(2024, 5, 7, 12, 34, 56, tzinfo=dt.UTC)
Cell = Callable[[str], Any]


class Source(msgspec.Struct, forbid_unknown_fields=True):
    """Where a field comes from: a ``column`` or one ``value`` for all, or nowhere; times by ``format`` (ms, s, iso or strptime's) in a timezone; numbers ``times`` a factor."""

    column: str | None = None
    value: str | None = None
    format: str = "ms"
    timezone: str = "Asia/Shanghai"
    times: float | None = None


NOWHERE = Source()
Mapping_ = dict[str, Source]
"""Field of a record to its source; ``packaging.green`` for a field within a field. A column that has a field's name, and stands for no other, is that field without being named here."""


def read_mapping(path: Path) -> Mapping_:
    """The mapping in a YAML file: ``field: column``, ``field: {column: …, format: …}`` or ``field: null`` (left out); ``BadInput`` names line and nearest field."""
    try:
        text = read_small(path)
    except ValueError as error:
        raise BadInput(f"--columns {path}: {error}{'; save it as UTF-8' if 'UTF-8' in str(error) else ''}") from None
    data, lines = read_yaml(text, str(path))
    if not isinstance(data, dict) or not data:
        raise BadInput(f"{path}:1: a mapping has lines such as  lon: 经度  or  event_time_ms: {{column: 时间, format: iso}}")
    known = {name: typed for kind in KINDS.values() for name, typed in typed_fields(kind).items()}
    if not known.keys() & set(data) and all(isinstance(field, str) and field in known for field in data.values()):
        data, lines = _turned(data, lines, path)
    found: Mapping_ = {path[0]: NOWHERE for path in lines if len(path) == 1 and path[0] in known and path[0] not in data}
    for field, given in data.items():
        where = f"{path}:{lines[field,]}"
        if field not in known:
            raise BadInput(f"{where}: {field!r} is not a field of a record{nearest(field, known)}")
        try:
            source = Source(column=given) if isinstance(given, str) else msgspec.convert(given, Source, strict=False)
            ZoneInfo(source.timezone)
        except (msgspec.ValidationError, KeyError, ValueError, OSError) as error:
            raise BadInput(f"{where}: {field}: {error}") from None
        if (source.column is None) == (source.value is None):
            raise BadInput(f"{where}: {field} comes from a column or is one value: give one of them")
        if problem := _problem(field, known[field], source):
            raise BadInput(f"{where}: {field}: {problem}")
        found[field] = source
    return found


def _turned(data: dict[str, str], lines: Mapping[Any, int], path: Path) -> tuple[dict[str, Any], dict[Any, int]]:
    """A mapping of columns to fields as one of fields to columns, with its lines; ``BadInput`` where two columns are one field."""
    columns: dict[str, Any] = {}
    for column, field in data.items():
        if field in columns:
            raise BadInput(f"{path}:{lines[column,]}: {field} is given twice, by the columns {columns[field]!r} and {column!r}; leave one out")
        columns[field] = column
    return columns, {(field,): lines[column,] for field, column in columns.items()}


def _problem(field: str, typed: Cell, source: Source) -> str | None:
    """What is wrong with a field's source, whatever the table holds."""
    if _is_time(field) and source.format not in {"ms", "s", "iso"} and not _tells_days(source.format):
        return f"format {source.format!r} is not ms, s or iso, nor one of strptime directives such as %Y-%m-%d %H:%M:%S that tell year, month and day, each once"
    if source.value is not None and typed in _CELLS.values() and isinstance(_reader(typed, field, source)(source.value), str | None):
        return f"value {source.value!r} is {f'no time of format {source.format}' if _is_time(field) else 'no number' if typed is not _truth else 'neither true nor false'}"
    return None


def _is_time(field: str) -> bool:
    return field.endswith("_time_ms")


def _tells_days(form: str) -> bool:
    """Whether times written by a format of ``strptime`` can be read again, at least their days."""
    try:
        return dt.datetime.strptime(_SOME_TIME.strftime(form), form).date() == _SOME_TIME.date()  # noqa: DTZ007
    except (ValueError, re.error):
        return False


def typed_fields(kind: Any, prefix: str = "") -> dict[str, Cell]:
    """How a cell becomes a value, for each field of a record; fields within a field have dotted names.

    What does not fit stays text, and the record is refused like any other of a wrong type.
    """
    found: dict[str, Cell] = {}
    for field in msgspec.inspect.type_info(kind).fields:  # type: ignore[attr-defined]
        name = prefix + field.encode_name
        for option in getattr(field.type, "types", (field.type,)):
            if isinstance(option, msgspec.inspect.StructType):
                found |= {name: _json} | typed_fields(option.cls, f"{name}.")
            elif not isinstance(option, msgspec.inspect.NoneType):
                found[name] = _CELLS.get(type(option), str)
    return found


def _whole(cell: str) -> Any:
    value = int(cell.partition(".")[0]) if _WHOLE.fullmatch(cell) else cell
    return value if isinstance(value, int) and abs(value) <= _MOST_WHOLE else cell


def _number(cell: str) -> Any:
    """A finite number, nothing for ``nan``, or the text that it is: an infinite one would be no value in JSON."""
    if cell.lower() == "nan":
        return None
    value = float(cell) if NUMBER.fullmatch(cell) else math.inf
    return value if math.isfinite(value) else cell


def _truth(cell: str) -> Any:
    word = cell.lower()
    return True if word in _TRUE else False if word in _FALSE else cell


def _json(cell: str) -> Any:
    try:
        value = orjson.loads(cell)
        orjson.dumps(value)  # what is nested deeper than can be written stays text
    except (orjson.JSONDecodeError, orjson.JSONEncodeError):
        return cell
    return value


_CELLS: dict[type, Cell] = {msgspec.inspect.IntType: _whole, msgspec.inspect.FloatType: _number, msgspec.inspect.BoolType: _truth}


class Columns:
    """Makes records of one kind of the rows of one table; ``for_all``: a required field without a column is a mistake of the table's heading."""

    def __init__(self, heading: Sequence[str], kind: str, where: str, mapping: Mapping_ | None = None, *, for_all: bool = True) -> None:
        fields = typed_fields(KINDS[kind])
        self._values: list[tuple[list[str], Any]] = []
        self._cells: list[tuple[list[str], int, Cell]] = []
        places = {name: number for number, name in enumerate(heading)}
        mapped = mapping or {}
        elsewhere = mapped.keys() | {source.column for source in mapped.values()}
        sources = {name: Source(column=name) for name in heading if name in fields and name not in elsewhere} | mapped
        for field, source in sources.items():
            if field not in fields or source == NOWHERE:
                continue
            if source.column is None:
                self._values.append((field.split("."), _reader(fields[field], field, source)(source.value or "")))
            elif source.column in places:
                self._cells.append((field.split("."), places[source.column], _reader(fields[field], field, source)))
            else:
                raise BadInput(f"{where}: no column {source.column!r} for {field}{nearest(source.column, heading)}")
        required = {field.encode_name for field in msgspec.inspect.type_info(KINDS[kind]).fields if field.required}  # type: ignore[attr-defined]
        given = {path[0] for path, _ in self._values} | {path[0] for path, _, _ in self._cells}
        self.numbered = bool(mapping) and "event_id" not in given
        missing = sorted(required - given - ({"event_id"} if self.numbered else set()))
        if missing and for_all:
            raise BadInput(f"{where}: the header lacks {', '.join(missing)}; its first line names the fields of a record, in small letters, or --columns FILE maps them")

    def record(self, cells: Sequence[str], number: str) -> dict[str, Any]:
        """The record of a row; ``number`` is its event id where the table has none."""
        record: dict[str, Any] = {"event_id": number} if self.numbered else {}
        for path, value in self._values:
            _put(record, path, value)
        for path, place, read in self._cells:
            if (cell := cells[place]) not in ABSENT and (value := read(cell)) is not None:
                _put(record, path, value)
        return record


def _put(record: dict[str, Any], path: list[str], value: Any) -> None:
    """Enter a value; a field within one that another column fills with no object stays out, and the record is refused for that one."""
    for name in path[:-1]:
        inner = record.setdefault(name, {})
        if not isinstance(inner, dict):
            return
        record = inner
    record[path[-1]] = value


def _reader(typed: Cell, field: str, source: Source) -> Cell:
    if _is_time(field) and source.format != "ms":
        return lambda cell: _moment_ms(cell, source)
    if source.times is not None:
        factor = source.times
        return lambda cell: _times(_number(cell), factor, cell, is_whole=typed is _whole)
    return typed


def _times(value: Any, factor: float, cell: str, *, is_whole: bool) -> Any:
    product = value * factor if isinstance(value, float) else value
    if not isinstance(product, float):
        return product
    if not math.isfinite(product) or (is_whole and abs(product) > _MOST_WHOLE):
        return cell
    return round(product) if is_whole else product


def _moment_ms(cell: str, source: Source) -> Any:
    """Milliseconds of a time as a table writes it; what is no such time stays text."""
    try:
        if source.format == "s":
            return _whole(str(round(float(cell) * 1000))) if NUMBER.fullmatch(cell) else cell
        if source.format == "iso" and len(cell) <= _LONGEST_DAY:
            return cell  # a day is no moment
        moment = dt.datetime.fromisoformat(cell) if source.format == "iso" else dt.datetime.strptime(cell, source.format)  # noqa: DTZ007
        return round((moment if moment.tzinfo else moment.replace(tzinfo=ZoneInfo(source.timezone))).timestamp() * 1000)
    except (ValueError, OverflowError):
        return cell


def remapped(record: Any, columns: dict[tuple[str, ...], Columns], kind: str, mapping: Mapping_, where: str, number: str) -> Any:
    """A JSON record of other names by the same mapping; ``columns`` remembers those of each set of keys. One that lacks a field is refused alone."""
    if not isinstance(record, Mapping):
        return record
    heading = tuple(record)
    known = columns.get(heading)
    if known is None:
        wanted = {field: source for field, source in mapping.items() if source.column is None or source.column in record}
        known = columns[heading] = Columns(heading, kind, where, wanted, for_all=False)
    return known.record([value if isinstance(value, str) else "" if value is None else orjson.dumps(value).decode() for value in record.values()], number)
