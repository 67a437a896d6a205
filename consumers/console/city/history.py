"""What was told to viewers, with ids, so that one who comes back misses nothing; what is too long ago is a fresh start."""

from __future__ import annotations

import math
from collections import deque
from typing import NamedTuple

EVENTS_KEPT = 5_000


class Told(NamedTuple):
    """An event as viewers get it: its id (``epoch-number``), its kind, its data (JSON)."""

    event_id: str
    kind: str
    data: bytes

    def as_sent(self) -> bytes:
        """In the words of server-sent events; the data is one line."""
        return b"id: %b\nevent: %b\ndata: %b\n\n" % (self.event_id.encode(), self.kind.encode(), self.data)


class EventLog:
    """The last events, numbered from 1 on within an ``epoch``."""

    def __init__(self, epoch: int) -> None:
        self.epoch = epoch
        self.number = 0
        self._kept: deque[Told] = deque(maxlen=EVENTS_KEPT)
        self._last: dict[str, tuple[bytes, float]] = {}

    @property
    def newest_id(self) -> str:
        """The id of the last event."""
        return f"{self.epoch}-{self.number}"

    def begin_anew(self, epoch: int) -> None:
        """Forget all: whoever comes back starts afresh."""
        self.epoch, self.number = epoch, 0
        self._kept.clear()
        self._last.clear()

    def tell(self, kind: str, data: bytes) -> None:
        """Append an event."""
        self.number += 1
        self._kept.append(Told(self.newest_id, kind, data))

    def tell_changed(self, kind: str, data: bytes, now_s: float, every_s: float = 0.0) -> None:
        """Append an event unless it says what the last of its kind did, or that is less than ``every_s`` ago: then it is to be tried again.

        >>> log = EventLog(7)
        >>> for now_s, data in ((0.0, b"1"), (6.0, b"1"), (7.0, b"2"), (8.0, b"3"), (12.0, b"3")):
        ...     log.tell_changed("views", data, now_s, every_s=5.0)
        >>> [told.data for told in log.after("7-0")]
        [b'1', b'2', b'3']
        """
        last, told_s = self._last.get(kind, (b"", -math.inf))
        if data != last and now_s - told_s >= every_s:
            self._last[kind] = data, now_s
            self.tell(kind, data)

    def after(self, event_id: str) -> list[Told] | None:
        """The events after one; None where that is not known any more, or not of this epoch.

        >>> log = EventLog(7)
        >>> log.tell("incident", b"1"); log.tell("incident", b"2")
        >>> [told.data for told in log.after("7-1")], log.after("7-2"), log.after("6-1"), log.after("rubbish")
        ([b'2'], [], None, None)
        """
        epoch, _, number = event_id.partition("-")
        if epoch != str(self.epoch) or not (number.isascii() and number.isdigit()) or len(number) > 15:
            return None
        missing = self.number - int(number)
        if not 0 <= missing <= len(self._kept):
            return None
        return list(self._kept)[len(self._kept) - missing :]
