"""Makes the schemas of this folder: of a published one the fields that our files use, and no words.

    .venv/bin/python -m deploy.schemas.trim PUBLISHED "NAME AND VERSION" FILE... > deploy/schemas/NAME.json

``PUBLISHED`` is a JSON schema, or a CustomResourceDefinition; ``FILE`` is YAML. A field that none of the files uses is refused
by the result: whoever uses a new one makes the schema anew, from what is published then.
"""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

_WORDS = frozenset({"description", "title", "examples", "deprecated", "default", "$id", "$schema"})
_DEFINITIONS = "$defs"


class _Loader(yaml.SafeLoader):
    """YAML in which a bare ``=`` is a text, as everybody else reads it."""


_Loader.add_constructor("tag:yaml.org,2002:value", lambda _, node: str(node.value))


def names_used(value: Any) -> Iterator[str]:
    """The keys of all mappings, at whatever depth."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield str(key)
            yield from names_used(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from names_used(inner)


def published_schema(document: dict[str, Any]) -> dict[str, Any]:
    """A JSON schema; of a CustomResourceDefinition the one of the version that is stored, closed to unknown fields."""
    if document.get("kind") != "CustomResourceDefinition":
        return document
    version = next(version for version in document["spec"]["versions"] if version["storage"])
    names = {"apiVersion": f"{document['spec']['group']}/{version['name']}", "kind": document["spec"]["names"]["kind"]}
    schema: dict[str, Any] = _closed(version["schema"]["openAPIV3Schema"])
    schema["properties"] |= {key: {"const": value} for key, value in names.items()}
    schema["required"] = sorted({*schema.get("required", ()), *names, "metadata", "spec"})
    return schema


def _closed(schema: Any) -> Any:
    """The same, where objects have no fields but those that are named: the API server drops others without a word."""
    if isinstance(schema, list):
        return [_closed(inner) for inner in schema]
    if not isinstance(schema, dict):
        return schema
    closed = {key: _closed(inner) for key, inner in schema.items() if not key.startswith("x-kubernetes-")}
    if isinstance(schema.get("properties"), dict) and not schema.get("x-kubernetes-preserve-unknown-fields"):
        closed.setdefault("additionalProperties", False)
    return closed


def trimmed(schema: Any, names: frozenset[str]) -> Any:
    """The schema without words, and without the properties that have none of these names."""
    if isinstance(schema, list):
        return [trimmed(inner, names) for inner in schema]
    if not isinstance(schema, dict):
        return schema
    result = {}
    for key, inner in schema.items():
        if key == "properties":
            result[key] = {name: trimmed(field, names) for name, field in inner.items() if name in names}
        elif key == _DEFINITIONS:
            result[key] = {name: trimmed(definition, names) for name, definition in inner.items()}
        elif key not in _WORDS:
            result[key] = trimmed(inner, names)
    return result


def reachable(schema: dict[str, Any]) -> dict[str, Any]:
    """The schema with those definitions only that it refers to, directly or through others."""
    definitions = schema.get(_DEFINITIONS, {})
    rest = {key: inner for key, inner in schema.items() if key != _DEFINITIONS}
    wanted: dict[str, Any] = {}
    waiting = list(_referred(rest))
    while waiting:
        name = waiting.pop()
        if name not in wanted:
            wanted[name] = definitions[name]
            waiting.extend(_referred(definitions[name]))
    return rest | ({_DEFINITIONS: dict(sorted(wanted.items()))} if wanted else {})


def _referred(schema: Any) -> Iterator[str]:
    if isinstance(schema, dict):
        if isinstance(target := schema.get("$ref"), str):
            yield target.removeprefix(f"#/{_DEFINITIONS}/")
        for inner in schema.values():
            yield from _referred(inner)
    elif isinstance(schema, list):
        for inner in schema:
            yield from _referred(inner)


def main(published: str, source: str, *files: str) -> None:
    """Print the schema, with where it is from."""
    given = Path(published).read_bytes()
    names = frozenset(name for file in files for document in yaml.safe_load_all(Path(file).read_text("utf-8")) for name in names_used(document))
    schema = reachable(trimmed(published_schema(_Loader(given).get_single_data()), names))
    about = f"Fields that Yicheng uses, of {source}, sha256 {hashlib.sha256(given).hexdigest()}; made by deploy/schemas/trim.py"
    print(json.dumps({"$comment": about, "$schema": "https://json-schema.org/draft/2020-12/schema", **schema}, indent=1, ensure_ascii=False))


if __name__ == "__main__":
    main(*sys.argv[1:])
