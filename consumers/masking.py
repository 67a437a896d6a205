"""Personal data out of an incident's event: plates, ids of vehicles and of drivers, wherever its texts repeat them. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, Literal, get_args

Masked = Literal["plate", "vehicle", "driver"]
MASKED: tuple[Masked, ...] = get_args(Masked)
KEYS: dict[str, Masked] = {
    "plate": "plate", "vehicle_id": "vehicle", "driver_id": "driver", "driver_ids": "driver",
    "driver": "driver", "driver_name": "driver", "driver_name_zh": "driver", "driver_name_en": "driver",
}  # fmt: skip
"""What names somebody, and of which kind it is: a text, or a list of them."""
_KEPT = {
    "specversion", "id", "source", "type", "time", "datacontenttype", "dataschema",
    "incident_id", "state", "rule", "rule_id", "policy", "clause", "severity", "city", "zone_id", "enterprise_id", "outlet_id", "line_id",
    "superseded_by", "clause_text", "document", "document_number", "basis", "figures", "duty_of", "responsible", "continued_by", "lead", "reading", "stands_in_for",
}  # fmt: skip
"""What never names a vehicle or a driver; all other texts, also those of later versions, are looked through."""
_BETWEEN = r"[\s·•.\-]?"
"""What a plate may be written with between its characters: 京A·12345."""
_SEPARATORS = re.compile(_BETWEEN.removesuffix("?"))
_SHORT = 3


def masked(event: dict[str, Any], what: frozenset[Masked]) -> dict[str, Any]:
    """The event without the personal data of these kinds; what it is about otherwise stays.

    >>> masked({"id": "x/1", "data": {"plate": "京A12345", "vehicle_id": "V-77", "reason_zh": "京A·12345 超速"}}, frozenset({"plate"}))["data"]
    {'plate': '京A***5', 'vehicle_id': 'V-77', 'reason_zh': '京A***5 超速'}
    >>> masked({"plate": "X-1234", "vehicle_id": "x1234"}, frozenset({"plate"}))
    {'plate': 'X-***4', 'vehicle_id': 'X-***4'}
    """
    texts = _characters("\n".join(_texts(event, what)))
    hidden = [(_pattern(text), instead_of(text, kind)) for kind, text in _personal(event) if kind in what and text and _characters(text) in texts]
    return _without(event, hidden, what)  # type: ignore[no-any-return]


def _personal(value: Any, key: str = "") -> Iterator[tuple[Masked, str]]:
    """Each personal text of an event."""
    if isinstance(value, dict):
        for name, inner in value.items():
            yield from _personal(inner, name)
    elif isinstance(value, list):
        for inner in value:
            yield from _personal(inner, key)
    elif isinstance(value, str) and key in KEYS:
        yield KEYS[key], value


def _texts(value: Any, what: frozenset[Masked], key: str = "") -> Iterator[str]:
    """Each text of an event that may repeat a personal one: also an id, where ids are not masked."""
    if key in _KEPT or KEYS.get(key) in what:
        return
    if isinstance(value, dict):
        for name, inner in value.items():
            yield from _texts(inner, what, name)
    elif isinstance(value, list):
        for inner in value:
            yield from _texts(inner, what, key)
    elif isinstance(value, str):
        yield value


def _characters(text: str) -> str:
    """A text without what may stand between them, in one case: a pattern is made for what is found in that alone, since making one takes a millisecond."""
    return _SEPARATORS.sub("", text).casefold()


def _pattern(text: str) -> re.Pattern[str]:
    characters = _SEPARATORS.sub("", text) or text
    spelled = _BETWEEN.join(map(re.escape, characters))
    return re.compile(spelled if len(characters) >= _SHORT else rf"(?<![0-9A-Za-z]){spelled}(?![0-9A-Za-z])", re.IGNORECASE)


def instead_of(text: str, kind: Masked) -> str:
    """What is shown for a text: of a plate the place and the last character stay, of a long id the last two."""
    if kind == "plate" and len(text) > 4:
        return f"{text[:2]}***{text[-1]}"
    return f"***{text[-2:]}" if kind == "vehicle" and len(text) > 5 else "***"


def _without(value: Any, hidden: list[tuple[re.Pattern[str], str]], what: frozenset[Masked], key: str = "") -> Any:
    if key in _KEPT:
        return value
    if isinstance(value, dict):
        return {name: _without(inner, hidden, what, name) for name, inner in value.items()}
    if isinstance(value, list):
        return [_without(inner, hidden, what, key) for inner in value]
    if not isinstance(value, str):
        return value
    if KEYS.get(key) in what:
        return instead_of(value, KEYS[key])
    for pattern, instead in hidden:
        value = instead.join(pattern.split(value))
    return value
