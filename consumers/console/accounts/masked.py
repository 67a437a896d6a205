"""What leaves the console for those who do not see everything, whatever view it comes from.

Plates are masked for viewers, drivers for all who have logged in; a record of a known vehicle is shown as it is when it is unmasked with a reason.
What people wrote into their answers is left out for viewers: nobody knows of whom it speaks.
An answer that is JSON is masked, one of a kind that cannot be looked through is refused: a new view shows too little rather than too much.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

import orjson

from consumers.console.accounts.users import Role
from consumers.console.city.history import Told
from consumers.masking import KEYS, Masked, instead_of, masked

MASKED_FOR: Mapping[Role, frozenset[Masked]] = {"viewer": frozenset({"plate", "driver"}), "officer": frozenset({"driver"}), "admin": frozenset({"driver"})}
OPEN_KINDS = frozenset({"text/html", "text/javascript", "text/css", "image/svg+xml", "application/octet-stream", "text/event-stream", "text/plain"})
"""Of these the console makes pages, columns of positions and refusals; exports have kinds of their own."""
TILES = frozenset({"image/png", "image/jpeg", "image/webp", "image/avif", "application/vnd.mapbox-vector-tile"})
COLUMNS: Mapping[str, Mapping[int, Masked]] = {"/api/vehicles": {1: "plate"}}
"""Answers whose ``rows`` are lists: the columns that name somebody."""
PLATE = re.compile(r"[京津冀晋蒙辽吉黑沪苏浙皖闽赣鲁豫鄂湘粤桂琼渝川贵云藏陕甘青宁新使][A-Z](?:[ ·•.\-]?[A-Z0-9]){4,5}[ ·•.\-]?[A-Z0-9挂学警港澳领]", re.IGNORECASE)
"""Plates in texts that people write, also of other vehicles than a record's own."""


def may_be_opened(kind: str) -> bool:
    """Whether an answer of a content type holds no plates, or can be looked through."""
    return kind in OPEN_KINDS or kind in TILES or kind.endswith("json")


def masked_json(body: bytes, path: str, what: frozenset[Masked]) -> bytes:
    """The JSON of an answer without the personal data of these kinds."""
    if not what:
        return body
    found = _seen(orjson.loads(body), what)
    for place, kind in COLUMNS.get(path, {}).items():
        if kind in what and isinstance(found, dict):
            found["rows"] = [[instead_of(cell, kind) if number == place and cell else cell for number, cell in enumerate(row)] for row in found.get("rows", ())]
    return _without_plates(orjson.dumps(found), what)


@lru_cache(maxsize=2_000)
def masked_event(told: Told, what: frozenset[Masked]) -> Told:
    """An event for those who see less; made once for all of them."""
    return told._replace(data=_without_plates(orjson.dumps(_seen(orjson.loads(told.data), what)), what))


def _seen(value: Any, what: frozenset[Masked]) -> Any:
    return _each_record(_without_notes(value) if "plate" in what else value, what)


def _without_notes(value: Any) -> Any:
    """Answers (they have an ``action``) without their ``reason``."""
    if isinstance(value, list):
        return [_without_notes(inner) for inner in value]
    if not isinstance(value, dict):
        return value
    return {name: None if name == "reason" and "action" in value else _without_notes(inner) for name, inner in value.items()}


def _each_record(value: Any, what: frozenset[Masked]) -> Any:
    """Each record that names somebody is masked by itself: its texts may repeat what it names."""
    if isinstance(value, list):
        return [_each_record(inner, what) for inner in value]
    if not isinstance(value, dict):
        return value
    if any(KEYS.get(name) in what and inner for name, inner in value.items()):
        return _masked_record(orjson.dumps(value), what)
    return {name: _each_record(inner, what) for name, inner in value.items()}


@lru_cache(maxsize=8_192)
def _masked_record(encoded: bytes, what: frozenset[Masked]) -> orjson.Fragment:
    """Kept, since a list is loaded by many and again and again."""
    return orjson.Fragment(orjson.dumps(masked(orjson.loads(encoded), what)))


def _without_plates(body: bytes, what: frozenset[Masked]) -> bytes:
    if "plate" not in what:
        return body
    return PLATE.sub(lambda found: instead_of(found[0], "plate"), body.decode()).encode()
