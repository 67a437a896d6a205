"""The options of a sink, read strictly: what is unknown or of the wrong kind is one line that names the sink and the option."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeVar

import msgspec

from streams.errors import BadInput, nearest


class SinkOptions(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What every sink can be told. ``real``: it reaches real police, so nothing synthetic goes there."""

    real: bool = False


class Reach(SinkOptions, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What every sink can be told that is reached by HTTPS.

    ``private``: its address may be a private one (10.x, 172.16.x, 192.168.x, fc00::). ``hosts``: the only hosts that its address may have
    (``*.example.org``: any below). ``ca_file``: certificates in PEM of authorities that are trusted beside the public ones.
    """

    private: bool = False
    hosts: list[str] = []
    ca_file: str | None = None


Options = TypeVar("Options", bound=SinkOptions)


def read_options(name: str, kind: type[Options], options: Mapping[str, object]) -> Options:
    """The options of the sink called ``name``; ``BadInput`` where one is unknown, missing or of another type. Repeats no value."""
    for option in options:
        if option not in kind.__struct_fields__:
            raise BadInput(f"sink {name}: {option!r} is no option of it{nearest(str(option), kind.__struct_fields__)}")
    try:
        return msgspec.convert(dict(options), kind)
    except msgspec.ValidationError as error:
        said, _, path = str(error).replace("`", "").partition(" - at $.")
        missing = said.removeprefix("Object missing required field ")
        raise BadInput(
            f"sink {name}: option {missing} is missing" if missing != said else f"sink {name}: option {path}: {said[0].lower()}{said[1:]}"
        ) from None
