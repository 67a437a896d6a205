"""What somebody may do about a record of theirs that was refused, in words: the commonest slips of files. Pure; nothing that stands in the record is repeated."""

from __future__ import annotations

import datetime as dt
import re
from typing import Any

import orjson

from streams.files.encodings import SAY_ENCODING
from streams.files.record_columns import KEYS, KINDS, NUMBER, typed_fields
from streams.wire.events import INVALID_POSITION, MALFORMED

_PER_LINE = "a record stands on one line, or the file is one array of records; jq -c '.[]' (or a path to them) makes lines of what lies deeper"
_COMMA_NUMBER = re.compile(r"[+-]?\d+(,\d+)+(\.\d+)?", re.ASCII)


def way_out(kind: str, reason: str, value: bytes | None) -> str | None:
    """How a refused record of a kind (``gps``, ``scan``, ``heartbeat``) can be mended; None where nothing better is known than the reason.

    >>> way_out("gps", MALFORMED, b"<html>")
    'this is HTML or XML, and no record'
    """
    if value is None or reason not in {MALFORMED, INVALID_POSITION}:
        return None
    try:
        record = orjson.loads(value)
    except orjson.JSONDecodeError:
        return _of_bytes(value)
    if not isinstance(record, dict):
        return _of_another(record)
    return _of_position(record) if reason == INVALID_POSITION else _of_fields(kind, record)


def _of_bytes(value: bytes) -> str | None:
    """Of what is no JSON."""
    text = value.strip()
    if b"\0" in value:
        return "there are NUL bytes, as after a crash or on a full disk; tr -d '\\000' takes them out"
    try:
        text.decode()
    except UnicodeDecodeError:
        return SAY_ENCODING
    if text.startswith(b"<"):
        return "this is HTML or XML, and no record"
    if text in {b"{", b"[", b"}", b"]"} or re.match(rb'"[^"]+"\s*:', text):
        return _PER_LINE
    if text.startswith(b"{'"):
        return "keys and texts stand in double quotes"
    if not text.startswith(b"{") and b"{" in text:
        return "something stands before the record; a line holds the record alone"
    return _after_the_record(text)


def _after_the_record(text: bytes) -> str | None:
    if text.endswith(b"},") and _is_json(text[:-1]):
        return "a comma follows the record; take it off, or put [ ] around all records"
    if re.search(rb"\}\s*\{", text):
        return "a line holds one record; begin a new line for each"
    return None


def _is_json(text: bytes) -> bool:
    try:
        orjson.loads(text)
    except orjson.JSONDecodeError:
        return False
    return True


def _of_another(record: Any) -> str | None:
    """Of JSON that is no object."""
    if isinstance(record, str):
        return "the record is a text in quotes; take off the outer quotes and the \\ before the inner ones"
    return "a record is an object, { } with named fields, or a row of a table with a heading"


def _of_position(record: dict[str, Any]) -> str | None:
    lon, lat = record.get("lon"), record.get("lat")
    if isinstance(lon, int | float) and isinstance(lat, int | float) and abs(lon) <= 90 < abs(lat) <= 180:
        return "lon and lat seem to have changed places"
    return None


def _of_fields(kind: str, record: dict[str, Any]) -> str | None:
    """Of an object: what it lacks, and texts where numbers are due."""
    if str(record.get("type", "")).startswith("Feature"):
        return "this is GeoJSON; a record has its fields, lon and lat among them, at the top"
    lacking = [name for name in ("event_id", "event_time_ms", KEYS[kind]) if record.get(name) is None]
    if lacking and any(isinstance(inner, dict | list) for inner in record.values()):
        return f"it lacks {', '.join(lacking)} at the top; {_PER_LINE}"
    if lacking:
        return f"it lacks {', '.join(lacking)}; --columns FILE says which column or name is which field"
    if isinstance(record["event_time_ms"], float):
        return "event_time_ms is a whole number of milliseconds since 1970 UTC"
    texts = [name for name, typed in typed_fields(KINDS[kind]).items() if typed is not str and isinstance(record.get(name), str)]
    return _of_text(texts[0], record[texts[0]]) if texts else None


def _of_text(field: str, text: str) -> str | None:
    """Of a text where a number is due."""
    if _COMMA_NUMBER.fullmatch(text):
        return f"{field} has a comma; numbers have a decimal point and nothing between thousands"
    if NUMBER.fullmatch(text):
        return f"{field} is a number in quotes, or with too few digits; write all of it, without quotes"
    if field.endswith("_time_ms") and _is_time(text):
        return f"{field} is milliseconds since 1970 UTC; --columns FILE reads other times:  {field}: {{column: {field}, format: iso}}"
    return None


def _is_time(text: str) -> bool:
    try:
        dt.datetime.fromisoformat(text)
    except ValueError:
        return re.match(r"\d{1,4}[-/年.]\d{1,2}[-/月.]\d{1,4}", text) is not None
    return True
