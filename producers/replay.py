"""Recorded traffic: JSONL, CSV, T-Drive and GeoLife files as a stream of records in file order."""

from __future__ import annotations

import csv
import datetime as dt
from collections.abc import Iterator
from pathlib import Path
from zoneinfo import ZoneInfo

import msgspec
import orjson

from producers.faults import Sent
from streams.errors import BadInput
from streams.events import Fix

_BEIJING = ZoneInfo("Asia/Shanghai")


def read_records(paths: list[Path]) -> Iterator[Sent]:
    """Records of files or folders (in name order). The format follows from the name and the first line.

    ``.plt``: GeoLife (GMT). ``.csv`` with a header naming fields of a fix. ``.jsonl``: fixes, or scans where the name
    says ``scan``; lines go out as they are, so broken ones reach the dead letters. ``.txt``: T-Drive
    ``taxi_id,datetime,lon,lat`` (Beijing time). Raises ``BadInput`` for anything else.
    """
    for path in paths:
        if path.is_dir():
            yield from read_records(sorted(p for p in path.iterdir() if p.suffix in _READERS))
            continue
        reader = _READERS.get(path.suffix)
        if reader is None:
            raise BadInput(f"{path}: unknown format {path.suffix or '(no ending)'!r}; known: {', '.join(_READERS)}")
        try:
            yield from reader(path)
        except OSError as error:
            raise BadInput(f"{path}: {error.strerror}") from None
        except UnicodeDecodeError:
            raise BadInput(f"{path}: not UTF-8 text") from None


_KEYS = {"scan": "waybill_id", "heartbeat": "subject", "gps": "vehicle_id"}
"""The kinds of records, which a file's name tells, and their keys."""


def _jsonl(path: Path) -> Iterator[Sent]:
    kind = next((kind for kind in _KEYS if kind in path.name), "gps")
    with path.open("rb") as lines:
        for line in lines:
            if line := line.strip():
                yield (*_key_and_time(line, _KEYS[kind], kind), line)


def _key_and_time(line: bytes, key_name: str, kind: str) -> tuple[int, str, str]:
    try:
        event = orjson.loads(line)
        return int(event["event_time_ms"]), kind, str(event[key_name])
    except (orjson.JSONDecodeError, KeyError, TypeError, ValueError):
        return 0, kind, ""


def _csv(path: Path) -> Iterator[Sent]:
    numbers = {"event_time_ms": int, "lon": float, "lat": float, "speed_kmh": float, "heading_deg": float, "altitude_m": float}
    with path.open(newline="", encoding="utf-8") as file:
        reader = csv.DictReader(file)
        missing = {"event_id", "event_time_ms", "vehicle_id", "lon", "lat"} - set(reader.fieldnames or ())
        if missing:
            raise BadInput(f"{path}:1: the header lacks {', '.join(sorted(missing))}; its first line names the fields of a fix")
        for row in reader:
            try:
                event = {k: numbers[k](v) if k in numbers else v for k, v in row.items() if v}
            except ValueError as error:
                raise BadInput(f"{path}:{reader.line_num}: {error}") from None
            yield int(event["event_time_ms"]), "gps", str(event["vehicle_id"]), orjson.dumps(event)


def _tdrive(path: Path) -> Iterator[Sent]:
    with path.open(encoding="utf-8") as lines:
        for number, line in enumerate(lines, 1):
            if not line.strip():
                continue
            try:
                taxi, moment, lon, lat = line.strip().split(",")
                local = dt.datetime.strptime(moment, "%Y-%m-%d %H:%M:%S").replace(tzinfo=_BEIJING)
                position = float(lon), float(lat)
            except ValueError:
                raise BadInput(f"{path}:{number}: not a T-Drive line taxi_id,YYYY-MM-DD hh:mm:ss,lon,lat") from None
            yield _sent(f"tdrive-{taxi}-{number:05}", f"tdrive-{taxi}", local, *position)


def _geolife(path: Path) -> Iterator[Sent]:
    user, _, trip = path.stem.partition("_")
    with path.open(encoding="utf-8") as lines:
        for number, line in enumerate(lines, 1):
            if number <= 6 or not line.strip():
                continue
            try:
                lat, lon, _, _, _, day, moment = line.strip().split(",")
                utc = dt.datetime.strptime(f"{day} {moment}", "%Y-%m-%d %H:%M:%S").replace(tzinfo=dt.UTC)
                position = float(lon), float(lat)
            except ValueError:
                raise BadInput(f"{path}:{number}: not a GeoLife line lat,lon,0,altitude,days,date,time") from None
            yield _sent(f"geolife-{user}-{trip}-{number:05}", f"geolife-{user}", utc, *position)


def _sent(event_id: str, vehicle_id: str, moment: dt.datetime, lon: float, lat: float) -> Sent:
    event_time_ms = int(moment.timestamp() * 1000)
    return event_time_ms, "gps", vehicle_id, msgspec.json.encode(Fix(event_id, event_time_ms, vehicle_id, lon, lat, source="replay"))


_READERS = {".jsonl": _jsonl, ".csv": _csv, ".txt": _tdrive, ".plt": _geolife}
