"""What was told to viewers, with ids, so that one who comes back misses nothing; what is too long ago is a fresh start."""

from __future__ import annotations

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

    @property
    def newest_id(self) -> str:
        """The id of the last event."""
        return f"{self.epoch}-{self.number}"

    def begin_anew(self, epoch: int) -> None:
        """Forget all: whoever comes back starts afresh."""
        self.epoch, self.number = epoch, 0
        self._kept.clear()

    def tell(self, kind: str, data: bytes) -> None:
        """Append an event."""
        self.number += 1
        self._kept.append(Told(self.newest_id, kind, data))

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
