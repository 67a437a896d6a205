"""Recorded fixes, scans and heartbeats in whatever files people have: what ``judge`` and ``produce replay`` read.

JSONL or a JSON array, CSV (``csv_rows``, ``record_columns``), GeoLife ``.plt`` and T-Drive ``.txt``; packed or piped
(``text_files``); alone or in folders. The format follows from the content, else from the name.
"""

from __future__ import annotations

import datetime as dt
import io
import os
import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple
from zoneinfo import ZoneInfo

import msgspec
import orjson

from streams.errors import BadInput
from streams.files.byte_pieces import Pieces, Stream, lines
from streams.files.csv_rows import first_words, read_rows, separator_of
from streams.files.encodings import not_utf8
from streams.files.json_array import elements
from streams.files.record_columns import KEYS, KINDS, NAMES, Columns, Mapping_, remapped, typed_fields
from streams.files.text_files import PACKED_SUFFIXES, STDIN, Heard, escaped, on_disk, open_text, read_pieces
from streams.wire.events import Fix

MOST_LINE_BYTES = 1_000_000
"""Of a record; a fix takes 300 bytes, and Kafka would not take more."""
MOST_ARRAY_BYTES = 256_000_000
FORMATS = {".jsonl": "jsonl", ".ndjson": "jsonl", ".json": "jsonl", ".csv": "csv", ".tsv": "csv", ".txt": "tdrive", ".plt": "geolife"}
"""The formats by the endings of names, which may be followed by that of a packer."""
_BEIJING = ZoneInfo("Asia/Shanghai")
_TDRIVE = re.compile(rb"[^,\s]+,\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,")
Records = Iterator[tuple[int, bytes | None]]
"""The line that a record begins on, and the record as JSON; None for a line beyond ``MOST_LINE_BYTES``."""


class RecordFile(NamedTuple):
    """One file: its name (``escaped``), the kind of its records (a key of ``KINDS``), and the records in file order."""

    name: str
    kind: str
    records: Records


class How(msgspec.Struct, frozen=True):
    """How to read: the kind of records (None: the content tells), the encoding if not UTF-8, a mapping of columns, who hears of bytes read."""

    kind: str | None = None
    encoding: str | None = None
    mapping: Mapping_ | None = None
    on_file: Callable[[str], Heard] = lambda _: lambda _: None
    on_passed_over: Callable[[str], None] = lambda _: None


def open_records(paths: Sequence[str | Path], how: How) -> Iterator[RecordFile]:
    """The files at paths one after the other; of folders those inside, in order of their names.

    In a folder, what is in no format known here, or of another kind than is asked for, no file or hidden, is passed over.
    ``BadInput`` for anything else that cannot be read, and for a folder with nothing to read.
    """
    for path in (escaped(str(path)) for path in paths):
        if path == STDIN or not Path(on_disk(path)).is_dir():
            found = _open(path, how)
            if found is None:
                raise BadInput(f"{path}: unknown format {Path(path).suffix or '(no ending)'!r}; known: {', '.join(FORMATS)}, alone or with {', '.join(PACKED_SUFFIXES)}")
            yield found
            continue
        opened = 0
        for name, is_readable in _inside(path):
            found = _open(name, how, in_folder=True) if is_readable else None
            if found is None:
                how.on_passed_over(name)
                continue
            opened += 1
            yield found
        if not opened:
            raise BadInput(f"{path}: no file of {NAMES[how.kind] if how.kind else 'records'} in this folder; known: {', '.join(FORMATS)}")


def _inside(folder: str) -> Iterator[tuple[str, bool]]:
    """Whatever a folder and those in it hold, and whether it is a file that may hold records. Links to folders are followed, each folder once."""
    seen = set[tuple[int, int]]()
    for home, folders, files in os.walk(on_disk(folder), onerror=_not_listed, followlinks=True):
        found = Path(home).stat()
        if (found.st_dev, found.st_ino) in seen:
            folders.clear()
            continue
        seen.add((found.st_dev, found.st_ino))
        hidden = [name for name in folders if name.startswith((".", "__MACOSX"))]
        folders[:] = sorted(set(folders) - set(hidden))
        for name in sorted(files + hidden):
            path = os.path.join(home, name)  # noqa: PTH118  a Path loses the ./ that was given
            yield escaped(path), not name.startswith((".", "__MACOSX")) and _ending(name) in FORMATS and os.path.isfile(path)  # noqa: PTH113  which never raises


def _not_listed(error: OSError) -> None:
    raise BadInput(f"{escaped(str(error.filename))}: the folder cannot be listed: {error.strerror}; let it be read, or give its files by name")


def _ending(name: str) -> str:
    path = Path(name.lower())
    while path.suffix in PACKED_SUFFIXES:
        path = path.with_suffix("")
    return path.suffix


def _open(name: str, how: How, *, in_folder: bool = False) -> RecordFile | None:
    sample, pieces = open_text(name, how.encoding, how.on_file(name))
    form = _format(name, sample, how, in_folder=in_folder)
    if form is None:
        return None
    kind = how.kind or "gps"
    if in_folder and form in {"tdrive", "geolife"}:
        kind = "gps"
    if form in {"jsonl", "array", "csv"} and (how.kind is None or in_folder):
        kind = _kind(name, sample, form, how)
    if in_folder and how.kind not in {None, kind}:
        return None
    if form == "jsonl":
        return RecordFile(name, kind, _jsonl(name, pieces, kind, how))
    if form == "array":
        return RecordFile(name, kind, _array(name, pieces, kind, how))
    if form == "csv":
        return RecordFile(name, kind, _csv(name, sample, pieces, kind, how))
    return RecordFile(name, "gps", _geolife(name, pieces) if form == "geolife" else _tdrive(name, pieces))


def _format(name: str, sample: bytes, how: How, *, in_folder: bool) -> str | None:
    """The format that a file's beginning shows, else the one that its name promises."""
    begun = [line.strip() for line in sample.split(b"\n", 100)[:100] if line.strip()]
    first, promised = begun[0] if begun else b"", FORMATS.get(_ending(name))
    if first.lower().startswith(b"geolife trajectory"):
        return "geolife"
    if first.startswith(b"["):
        return "array"
    if first.startswith(b"{") or (promised != "csv" and any(line.startswith(b"{") for line in begun)):
        return "jsonl"
    heading = _heading(sample)
    if in_folder and promised in {"csv", "tdrive"} and begun and not _TDRIVE.match(first) and not _names_a_key(heading, how):
        return None  # notes, labels, tables about something else
    if promised == "csv" or (promised in {None, "tdrive"} and _fields_in(heading, how)):
        return "csv"
    if _TDRIVE.match(first):
        return "tdrive"
    return promised or ("jsonl" if name == STDIN else None)


def _heading(sample: bytes) -> list[str]:
    text = first_words(sample.decode(errors="replace"))
    return [cell.strip(' "\r') for cell in text.split(separator_of(text, _known()))]


def _known() -> set[str]:
    return {name for kind in KINDS.values() for name in typed_fields(kind)}


def _fields_in(heading: Sequence[str], how: How) -> bool:
    """Whether at least two cells of a line name fields, or columns that are mapped."""
    known = _known() | {source.column for source in (how.mapping or {}).values()}
    return len(known & set(heading)) >= 2


def _names_a_key(heading: Sequence[str], how: How) -> bool:
    return _fields_in(heading, how) if how.mapping else bool(set(KEYS.values()) & set(heading))


def _kind(name: str, sample: bytes, form: str, how: How) -> str:
    """The kind of records by the fields of the first that can be read, else by the file's name, else fixes."""
    fields = set(_heading(sample)) if form == "csv" else _keys(sample)
    if how.mapping:
        fields |= set(how.mapping)
    for kind in ("scan", "heartbeat", "gps"):
        if KEYS[kind] in fields:
            return kind
    return next((kind for kind in KEYS if kind in Path(name).name), "gps")


def _keys(sample: bytes) -> set[str]:
    """The keys of the first record that can be read; of a long or pretty one those that stand before anything nested."""
    for line in sample.split(b"\n"):
        try:
            record = orjson.loads(line.strip(b" \r\t[],"))
        except orjson.JSONDecodeError:
            continue
        if isinstance(record, dict):
            return set(record)
    found = re.search(rb"\{[^{}]*", sample)
    return {key.decode() for key in re.findall(rb'"(\w+)"\s*:', found[0])} if found else set()


def _jsonl(name: str, pieces: Pieces, kind: str, how: How) -> Records:
    found = lines(pieces, MOST_LINE_BYTES)
    if how.mapping is None:
        yield from found
        return
    columns: dict[tuple[str, ...], Columns] = {}
    for number, line in found:
        yield number, line and _mapped(line, columns, kind, how.mapping, name, number)


def _mapped(line: bytes, columns: dict[tuple[str, ...], Columns], kind: str, mapping: Mapping_, name: str, number: int) -> bytes:
    try:
        return orjson.dumps(remapped(orjson.loads(line), columns, kind, mapping, name, f"{Path(name).stem}-{number}"))
    except (orjson.JSONDecodeError, orjson.JSONEncodeError):
        return line


def _array(name: str, pieces: Pieces, kind: str, how: How) -> Records:
    columns: dict[tuple[str, ...], Columns] = {}
    for place, (number, element) in enumerate(elements(read_pieces(name, pieces, MOST_ARRAY_BYTES), name), 1):
        value: bytes | None = element if len(element) <= MOST_LINE_BYTES else None
        if value is not None and how.mapping is not None:
            value = _mapped(value, columns, kind, how.mapping, name, place)
        yield number, value


def _csv(name: str, sample: bytes, pieces: Pieces, kind: str, how: How) -> Records:
    known = {str(source.column) for source in how.mapping.values()} if how.mapping else set(typed_fields(KINDS[kind]))
    separator = separator_of(sample.decode(errors="replace"), known)
    rows = read_rows(_text_lines(name, pieces), name, separator)
    heading = next(rows, None)
    if heading is None:
        return
    columns = Columns(heading.cells, kind, f"{name}:{heading.line}", how.mapping)
    for row in rows:
        value = orjson.dumps(columns.record(row.cells, f"{Path(name).stem}-{row.line}"))
        yield row.line, value if len(value) <= MOST_LINE_BYTES else None


def _text_lines(name: str, pieces: Pieces) -> Iterator[str]:
    """Lines with their ends, which may be any of the three."""
    number = 1
    text = io.TextIOWrapper(io.BufferedReader(Stream(pieces)), "utf-8", newline="")
    try:
        for number, line in enumerate(text, 2):  # noqa: B007  the line after it may not be text
            yield line
    except UnicodeDecodeError as error:
        raise not_utf8(f"{name}:{number}", error.object[error.start :]) from None


def _tdrive(name: str, pieces: Pieces) -> Records:
    for number, line in lines(pieces, MOST_LINE_BYTES):
        try:
            taxi, moment, lon, lat = (line or b"").decode().split(",")
            local = dt.datetime.strptime(moment, "%Y-%m-%d %H:%M:%S").replace(tzinfo=_BEIJING)
            position = float(lon), float(lat)
        except ValueError:
            raise BadInput(f"{name}:{number}: not a T-Drive line taxi_id,YYYY-MM-DD hh:mm:ss,lon,lat") from None
        yield number, _fix(f"tdrive-{taxi}-{number:05}", f"tdrive-{taxi}", local, *position)


def _geolife(name: str, pieces: Pieces) -> Records:
    """The published folders are ``<user>/Trajectory/<trip>.plt``; copies in one folder are called ``<user>_<trip>.plt``."""
    path = Path(escaped(os.path.abspath(on_disk(name))))  # noqa: PTH100  whoever stands in one of the folders names no more than the rest; links are not followed
    user, _, trip = path.name.partition(".")[0].partition("_")
    if path.parent.name.lower() == "trajectory" and path.parent.parent.name:
        user, trip = path.parent.parent.name, path.name.partition(".")[0]
    is_heading = True
    for number, line in lines(pieces, MOST_LINE_BYTES):
        if is_heading and number <= 6 and (line or b"").count(b",") != 6:
            continue
        is_heading = False
        try:
            lat, lon, _, _, _, day, moment = (line or b"").decode().replace('"', "").split(",")
            utc = dt.datetime.strptime(f"{day} {moment}", "%Y-%m-%d %H:%M:%S").replace(tzinfo=dt.UTC)
            position = float(lon), float(lat)
        except ValueError:
            raise BadInput(f"{name}:{number}: not a GeoLife line lat,lon,0,altitude,days,date,time") from None
        yield number, _fix(f"geolife-{user}-{trip}-{number:05}", f"geolife-{user}", utc, *position)


def _fix(event_id: str, vehicle_id: str, moment: dt.datetime, lon: float, lat: float) -> bytes:
    return msgspec.json.encode(Fix(event_id, int(moment.timestamp() * 1000), vehicle_id, lon, lat, source="replay"))
