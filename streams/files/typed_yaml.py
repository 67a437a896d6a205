"""YAML read as a typed struct; every mistake names file, line and the nearest valid key or word."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import msgspec

from streams.clock import Duration, duration_ms
from streams.errors import BadInput, nearest
from streams.files.plain_yaml import Path, read_yaml
from streams.windows import MinuteOfDay, Weekdays, minute_of_day, weekdays


def read_scalar(kind: type, value: Any) -> Any:
    """A value as a duration, a time of day or days of the week; ``ValueError`` says what is accepted."""
    if kind is Duration:
        return Duration(duration_ms(str(value)))
    if kind is MinuteOfDay:
        return minute_of_day(str(value))
    if kind is Weekdays:
        return weekdays(str(value))
    raise NotImplementedError(kind)


class YamlSource:
    """A YAML text as ``data``, with the line of every key, so that each mistake can be pointed at.

    ``kind``: the struct that it is to be; ``name``: what people call it; ``read_scalar``: reads values of types that YAML does not have;
    ``words``: those that its enumerations know; ``hints``: what to say besides where a key is missing.
    """

    def __init__(
        self, text: str, where: str, kind: Any, name: str, read_scalar: Callable[[type, Any], Any] = read_scalar, *, words: Iterable[str] = (), hints: Mapping[str, str] | None = None
    ) -> None:
        self.where, self.kind, self.name, self.read_scalar, self.words, self.hints = where, kind, name, read_scalar, words, hints or {}
        data, self.lines = read_yaml(text, where)
        self.data: dict[str, Any] = data if data is not None else {}
        if not isinstance(self.data, dict):
            needed = [field.encode_name for field in msgspec.structs.fields(kind) if field.required]
            raise BadInput(f"{where}:1: {name} is a mapping with the keys {', '.join(needed)}, …")

    def bad(self, path: Path, message: str) -> BadInput:
        """What is wrong at a path, with file and line."""
        while path and path not in self.lines:
            path = path[:-1]
        return BadInput(f"{self.where}:{self.lines.get(path, 1)}: {message}")

    def converted(self, given: Any, kind: Any, path: Path = ()) -> Any:
        """The whole, or a part that stands at a path, read as its type."""
        try:
            return msgspec.convert(given, kind, strict=False, dec_hook=self.read_scalar)
        except msgspec.ValidationError as error:
            raise self.explain(error, path, kind) from None

    def explain(self, error: msgspec.ValidationError, prefix: Path, kind: Any) -> BadInput:
        """Turn msgspec's path into a line, and an unknown key into the nearest valid one; ``kind``: the type of what stands at ``prefix``."""
        message, _, where = str(error).partition(" - at `$")
        steps = re.findall(r"\.([^.\[\]`]+)|\[(\d+|\.\.\.)\]", where.rstrip("`"))
        path = prefix + tuple(int(i) if i.isdigit() else name or i for name, i in steps)
        if unknown := re.search(r"unknown field `(.+?)`", message):
            known = keys_at(kind, path[len(prefix) :])
            return self.bad((*path, unknown[1]), f"unknown key {unknown[1]!r}{nearest(unknown[1], known)}")
        if missing := re.search(r"missing required field `(.+?)`", message):
            place = ".".join(str(step) for step in path) or self.name
            return self.bad(path, f"key {missing[1]!r} is missing in {place}{self.hints.get(missing[1], '')}")
        if wrong := re.search(r"[Ii]nvalid enum value '(.+?)'", message):
            message += nearest(wrong[1], self.words)
        key = next((str(step) for step in reversed(path) if isinstance(step, str) and step != "..."), self.name)
        return self.bad(path, f"{key}: {message[0].lower()}{message[1:]}")


def keys_at(struct: Any, path: tuple[Any, ...]) -> list[str]:
    """The valid keys of the struct that a path leads to."""
    for step in path:
        kinds = [struct]
        if isinstance(step, str) and hasattr(struct, "__struct_fields__"):
            names = dict(zip(struct.__struct_encode_fields__, struct.__struct_fields__, strict=True))
            info = msgspec.inspect.type_info(struct)
            kinds = [field.type for field in getattr(info, "fields", ()) if field.name == names.get(step)]
        struct = _struct_in(kinds[0]) if kinds else struct
    return list(getattr(struct, "__struct_encode_fields__", ()))


def _struct_in(kind: Any) -> Any:
    """The struct inside lists, dicts and unions of msgspec's type descriptions."""
    for attribute in ("item_type", "value_type"):
        if inner := getattr(kind, attribute, None):
            return _struct_in(inner)
    for option in getattr(kind, "types", ()):
        if found := _struct_in(option):
            return found
    return getattr(kind, "cls", kind if hasattr(kind, "__struct_fields__") else None)
