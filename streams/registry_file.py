"""Registry files: JSONL (one record a line), YAML (a list of records) and CSV (a header, then one record a row)."""

from __future__ import annotations

import csv
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import yaml

from streams.errors import BadInput, nearest
from streams.plain_yaml import compose_plain
from streams.registry import AnyEntry, Pass, Registry, decode_entry, entry_from_text

_LISTS = {"driver_ids", "cities", "zones"}


def load_registry(path: Path, timezone: ZoneInfo, zones: Collection[str] | None = None) -> Registry:
    """Read a registry file, its format told by its name; ``BadInput`` names the file, the line, the key and the nearest valid key.

    In CSV an empty cell is an absent key, and lists are separated by spaces or semicolons. Where the policy's ``zones`` are
    given, passes for others are refused.
    """
    registry = Registry(timezone)
    try:
        text = path.read_text("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        problem = getattr(error, "strerror", None) or "not UTF-8"
        raise BadInput(f"registry {path}: {problem}; give a .jsonl, .yaml or .csv file of records") from None
    read = {".yaml": _yaml, ".yml": _yaml, ".csv": _csv}.get(path.suffix, _jsonl)
    number = 1
    try:
        for number, parse in read(text):  # noqa: B007  an error names it
            entry = parse()
            if zones is not None and isinstance(entry, Pass):
                _check_zones(entry, zones)
            registry.add([entry])
    except BadInput as error:
        raise BadInput(f"{path}:{number}: {error}") from None
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        raise BadInput(f"{path}:{mark.line + 1 if mark else 1}: not YAML: {getattr(error, 'problem', error)}") from None
    return registry


def _jsonl(text: str) -> Iterator[tuple[int, Any]]:
    for number, line in enumerate(text.split("\n"), 1):
        if line.strip():
            yield number, lambda line=line: decode_entry(line.encode())


def _yaml(text: str) -> Iterator[tuple[int, Any]]:
    records = compose_plain(text)
    if records is None:
        return
    if not isinstance(records, yaml.SequenceNode):
        yield 1, lambda: _refuse("a YAML registry is a list of records, each with kind and id")
        return
    for node in records.value:
        row = yaml.BaseLoader("").construct_object(node, deep=True)
        yield node.start_mark.line + 1, lambda row=row: entry_from_text(row) if isinstance(row, dict) else _refuse(f"{row!r} is not a record")


def _csv(text: str) -> Iterator[tuple[int, Any]]:
    reader = csv.DictReader(text.splitlines())
    for row in reader:
        yield reader.line_num, lambda row=row: _entry_from_cells(row)


def _entry_from_cells(row: dict[str | None, Any]) -> AnyEntry:
    if None in row or None in row.values():
        return _refuse("the row has more or fewer cells than the header")
    given = {key: value.strip() for key, value in row.items() if key and value.strip()}
    return entry_from_text({key: value.replace(";", " ").split() if key in _LISTS else value for key, value in given.items()})


def _check_zones(held: Pass, zones: Collection[str]) -> None:
    for zone in held.zones:
        if zone not in zones and zone != "*":
            raise BadInput(f"pass {held.id}: zone {zone!r} is not in the policy{nearest(zone, zones)}")


def _refuse(problem: str) -> AnyEntry:
    raise BadInput(problem)
