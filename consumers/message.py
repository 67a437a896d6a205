"""What a sink is to take: one revision of an incident, an alert about the system itself, or a digest of several, in words and as a CloudEvent."""

from __future__ import annotations

from typing import Protocol

import msgspec


class Message(msgspec.Struct, frozen=True, kw_only=True):
    """``message_id`` is the same on every repeat; ``body`` is a structured CloudEvent on one line (JSON, UTF-8).

    ``title`` is one line; ``text`` and ``markdown`` say the same for people, in the route's language.
    """

    message_id: str
    body: bytes
    title: str = ""
    text: str = ""
    markdown: str = ""
    severity: str = "info"


class Sink(Protocol):
    """Where messages go. ``name`` is the operator's; ``real``: it reaches real police, so nothing synthetic goes there.

    ``limits``: at most so many messages within so many seconds, each a pair; ``folds``: a digest may stand for many messages.
    """

    name: str
    real: bool
    limits: tuple[tuple[int, float], ...]
    folds: bool

    def deliver(self, message: Message) -> None:
        """Take one message. Raise ``Unavailable`` where the sink is not well (``AskedToWait``: later), ``NotTaken`` where it does not take this one now, ``BadInput`` where it never will."""

    def flush(self) -> None:
        """Make everything delivered durable."""

    def give_up(self) -> None:
        """End a delivery that is under way; may be called from any thread."""

    def close(self) -> None:
        """Release what is held."""
