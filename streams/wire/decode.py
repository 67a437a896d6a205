"""The bytes of input records to fixes, scans and heartbeats. Whatever the bytes are, they are read, or malformed (semantics 2.1).

A chunk is read at once where it can be. Of usual records nothing need be checked then: their fields are all known, their ids are
neither empty nor long, and no byte of them can belong to a character that no id has. Of all others every field is looked at: null
for an optional field is as good as nothing, and so is "" for an id. What is read at once is what would be read one by one.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from operator import attrgetter
from typing import Annotated, Any, Generic, TypeVar, get_args, get_type_hints

import msgspec
import numpy as np

from streams.wire.events import CLOCK_SUBJECT, LONGEST_TEXT_BYTES, MALFORMED, Fix, Heartbeat, Id, Packaging, Record, Reject, Scan, Text
from streams.wire.ids import LONGEST_ID_BYTES, NO_ID, RESERVED, is_id

E = TypeVar("E", bound=Fix | Scan | Heartbeat)
T = TypeVar("T")

NESTED_MOST = 300
"""Values nested deeper than that are malformed, wherever they stand: how deep Python itself reads depends on who asks."""
ODD_LEADS = tuple(bytes((lead,)) for lead in (0xC2, 0xD8, 0xDB, 0xDC, 0xE0, 0xE1, 0xE2, 0xEF, 0xF0, 0xF1, 0xF2, 0xF3, 0xF4))
"""With these bytes begin, in UTF-8, all characters that no id has and that are not ASCII; and some others, such as those of Lao."""
LONGEST_USUAL = LONGEST_ID_BYTES // 3
"""So few characters are never too many bytes; those of four bytes are not usual."""
LongId = Annotated[str, msgspec.Meta(min_length=max(map(len, RESERVED)) + 1, max_length=LONGEST_USUAL)]
"""Longer than any reserved word, so that nobody need look for these."""
ShortId = Annotated[str, msgspec.Meta(min_length=1, max_length=LONGEST_USUAL)]
UsualText = Annotated[str, msgspec.Meta(max_length=LONGEST_TEXT_BYTES // 4)]
UsualSubject = Annotated[str, msgspec.Meta(pattern=r"^(clock\Z|(outlet|enterprise)/.)", max_length=LONGEST_USUAL)]
UNUSUAL_IDS = RESERVED | {""}
AnyId = Annotated[str, msgspec.Meta(max_length=LONGEST_ID_BYTES)]
TOO_DEEP = f"nested more than {NESTED_MOST} deep"
PIECE = 32
"""Of a chunk with a few records that are not well-formed most is read at once nevertheless, so many at a time."""


class Malformed(ValueError):
    """The record cannot be read. The text says why, and nothing of what stands in the record."""


class Reader(Generic[E]):
    """Reads the records of one kind; ``short_ids``: some of its ids are usually no longer than a reserved word."""

    def __init__(self, kind: type[E], *, short_ids: bool = False) -> None:
        hints = get_type_hints(kind, include_extras=True)
        fields = msgspec.structs.fields(kind)
        self.ids = [name for name, hint in hints.items() if Id in (hint, *get_args(hint))]
        self.texts = [name for name, hint in hints.items() if Text in (hint, *get_args(hint))]
        self.defaults = {field.name: field.default for field in fields if field.default not in (None, msgspec.NODEFAULT)}
        lenient = {name: AnyId | None for name in self.ids if hints[name] is not Id}
        lenient |= {name: hints[name] | None for name in self.defaults}
        self._any = msgspec.json.Decoder(_variant(kind, lenient))
        self._long, self._short = (msgspec.json.Decoder(_variant(kind, self._usual(hints, usual), strict=True)) for usual in (LongId, ShortId))
        self._short_ids = short_ids
        self._ids_of = attrgetter(*self.ids)
        self._defaulted_of = attrgetter(*self.defaults, *self.defaults)  # of a single name it would be the value alone

    def _usual(self, hints: dict[str, Any], usual_id: Any) -> dict[str, Any]:
        """The types of what is usual."""
        types = {name: usual_id if hints[name] is Id else usual_id | None for name in self.ids} | dict.fromkeys(self.texts, UsualText | None)
        others = {"subject": UsualSubject, "packaging": _variant(Packaging, {}, strict=True) | None}
        return types | {name: usual for name, usual in others.items() if name in hints}

    def read(self, values: Sequence[bytes | None]) -> tuple[list[E], dict[int, Malformed]]:
        """The events in n records, in their order, and what is wrong with the others, by their index."""
        if (events := self._at_once(values)) is not None:
            return events, {}
        events = []
        wrong: dict[int, Malformed] = {}
        for start in range(0, len(values), PIECE):
            piece = values[start : start + PIECE]
            at_once = self._at_once(piece) if len(values) > PIECE else None
            for index, value in enumerate(piece if at_once is None else (), start):
                try:
                    events.append(self.read_one(value))
                except Malformed as error:
                    wrong[index] = error
            events += at_once or ()
        return events, wrong

    def _at_once(self, values: Sequence[bytes | None]) -> list[E] | None:
        """N events, or None where a value may be anything but one event.

        Lines of a record could add up with those of others; but where each begins and ends with a brace, JSON has no place for
        ``}``, a line's end and ``{`` except between two values. So n values from n such records are one of each.
        """
        if not all([value is not None and value[:1] == b"{" and value[-1:] == b"}" for value in values]):  # noqa: C419 - a list is faster
            return None
        lines = b"\n".join(values)  # type: ignore[arg-type]
        events = self._usual_lines(lines)
        if events is None and lines.count(b"[") + lines.count(b"{") < len(values) + NESTED_MOST:
            with suppress(Malformed):
                events = [self._checked(event) for event in decoded(lines, self._any.decode_lines)]
        return events if events is not None and len(events) == len(values) else None

    def _usual_lines(self, lines: bytes) -> list[E] | None:
        """The events of usual lines, of which nothing need be checked any more."""
        if not _is_usual(lines):
            return None
        if not self._short_ids:
            with suppress(msgspec.DecodeError, UnicodeDecodeError):
                return self._long.decode_lines(lines)
        if b'other"' not in lines:
            with suppress(msgspec.DecodeError, UnicodeDecodeError):
                return self._short.decode_lines(lines)
        return None

    def read_one(self, value: bytes | None) -> E:
        """The event in a record; ``Malformed`` where there is none."""
        if not value:
            raise Malformed("the record is empty")
        event = decoded(value, self._any.decode)
        if value.count(b"[") + value.count(b"{") > NESTED_MOST < depth(value):
            raise Malformed(TOO_DEEP)
        return self._checked(event)

    def _checked(self, event: E) -> E:
        """The event without what is as good as absent; ``Malformed`` where an id is none or a text too long."""
        if None in self._defaulted_of(event):
            for name, default in self.defaults.items():
                setattr(event, name, default if getattr(event, name) is None else getattr(event, name))
        self._check_ids(event)
        for name in self.texts:
            text = getattr(event, name)
            if text and len(text.encode()) > LONGEST_TEXT_BYTES:
                raise Malformed(f"more than {LONGEST_TEXT_BYTES} bytes - at `$.{name}`")
        if isinstance(event, Heartbeat) and event.subject != CLOCK_SUBJECT and not is_subject(event.subject):
            raise Malformed("neither outlet/ID, enterprise/ID nor clock - at `$.subject`")
        return event

    def _check_ids(self, event: E) -> None:
        """Refuse ids that are none; an empty one is as good as absent."""
        ids = self._ids_of(event)
        together = "".join(filter(None, ids))
        if UNUSUAL_IDS.isdisjoint(ids) and together.isprintable() and (len(together) <= LONGEST_USUAL or together.isascii()):
            return
        for name, text in zip(self.ids, ids, strict=True):
            if text == "":
                setattr(event, name, None)
            elif text is not None and not is_id(text):
                raise Malformed(f"{NO_ID} - at `$.{name}`")


def _variant(kind: type[Any], types: dict[str, Any], *, strict: bool = False) -> Any:
    """The same structure with other types of some fields; ``strict``: unknown fields are errors."""
    defaults = {field.name: () if field.default is msgspec.NODEFAULT else (field.default,) for field in msgspec.structs.fields(kind)}
    fields = [(name, made, *defaults[name]) for name, made in types.items()]
    return msgspec.defstruct(kind.__name__, fields, bases=(kind,), gc=False, omit_defaults=True, forbid_unknown_fields=strict)


def _is_usual(lines: bytes) -> bool:
    """Whether all that stands in quotes there is what it looks like, can be seen, and is not ``*``."""
    if b"\\" in lines or b"\x7f" in lines or b"*" in lines:
        return False
    return lines.isascii() or not any(lead in lines for lead in ODD_LEADS)


def decoded(value: bytes, decode: Callable[[bytes], T]) -> T:
    """What a decoder makes of JSON; ``Malformed`` says why it makes nothing of it."""
    try:
        if not value.isascii():
            value.decode()
        return decode(value)
    except msgspec.ValidationError as error:
        raise Malformed(_without_values(str(error))) from None
    except msgspec.DecodeError as error:
        raise Malformed(str(error)) from None
    except UnicodeDecodeError:
        raise Malformed("not UTF-8") from None
    except RecursionError:
        raise Malformed(TOO_DEEP) from None


def is_subject(text: str) -> bool:
    """Whether a text is ``outlet/<id>`` or ``enterprise/<id>``."""
    kind, _, name = text.partition("/")
    return kind in {"outlet", "enterprise"} and is_id(name)


def outside_strings(value: bytes) -> bytes:
    """What of a JSON text that can be read stands outside of its strings."""
    return b"".join(value.replace(rb"\\", b"").replace(rb"\"", b"").split(b'"')[::2])


_STEPS = bytes.maketrans(b"[{]}", b"\x01\x01\xff\xff")
_NO_BRACKETS = bytes(set(range(256)) - set(b"[{]}"))


def depth(value: bytes) -> int:
    r"""How deep the values of a JSON text that can be read are nested.

    >>> depth(b'{"a": [[], {"[[[": "\\\\"}]}')
    3
    """
    steps = np.frombuffer(outside_strings(value).translate(_STEPS, _NO_BRACKETS), np.int8)
    return int(steps.cumsum(dtype=np.int32).max(initial=0))


def _without_values(message: str) -> str:
    """What msgspec says, but for the values that it quotes."""
    what, at, where = message.rpartition(" - at ")
    return f"not one of the known words{at}{where}" if what.startswith("Invalid enum value") else message


class _Identity(msgspec.Struct, gc=False):
    """What a dead letter may say of a record that is malformed."""

    event_id: Any = None
    event_time_ms: Any = None


_decode_identity = msgspec.json.Decoder(_Identity).decode


def malformed(record: Record, error: Malformed) -> Reject:
    """A record that cannot be read as what it should be, with its event id and time where these can be read nevertheless."""
    try:
        identity = _decode_identity(record.value or b"")
    except (ValueError, RecursionError):
        identity = _Identity()
    event_id = identity.event_id if isinstance(identity.event_id, str) and is_id(identity.event_id) else None
    in_range = type(identity.event_time_ms) is int and abs(identity.event_time_ms) <= 2**62
    return Reject(record, MALFORMED, event_id, str(error), identity.event_time_ms if in_range else None)


FIXES, SCANS, HEARTBEATS = Reader(Fix), Reader(Scan, short_ids=True), Reader(Heartbeat)
