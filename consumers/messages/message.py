"""What a sink is to take: one revision of an incident, an alert about the system itself, or a digest of several, in words and as a CloudEvent."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import msgspec


class Message(msgspec.Struct, frozen=True, kw_only=True):
    """``message_id`` is the same on every repeat; ``body`` is a structured CloudEvent on one line (JSON, UTF-8).

    ``title`` is one line; ``text`` and ``markdown`` say the same for people, in the route's language; ``link``: where one incident can be looked at.
    """

    message_id: str
    body: bytes
    title: str = ""
    text: str = ""
    markdown: str = ""
    severity: str = "info"
    link: str = ""


class Sink(Protocol):
    """Where messages go. ``name`` is the operator's; ``real``: it reaches real police, so nothing synthetic goes there.

    ``limits``: at most so many messages within so many seconds, each a pair; ``folds``: a digest may stand for many messages. ``takes_digests``: else what a
    route holds back for one goes out one by one; ``takes_alerts``: about the system itself.
    """

    name: str
    real: bool
    limits: tuple[tuple[int, float], ...]
    folds: bool
    takes_digests: bool
    takes_alerts: bool

    def deliver(self, message: Message) -> str | None:
        """Take one message; what its receiver answered, in a few characters such as ``HTTP 202``, None where none answers. Raise ``Unavailable`` where the sink is not well (``AskedToWait``: later), ``NotTaken`` where it does not take this one now, ``BadInput`` where it never will."""

    def fits(self, message: Message) -> bool:
        """Whether there is room for all that a message says in words."""

    def flush(self) -> None:
        """Make everything delivered durable. ``Unavailable`` where that is not so: all of it since the last flush is to be delivered again."""

    def give_up(self) -> None:
        """End a delivery that is under way; may be called from any thread."""

    def close(self) -> None:
        """Release what is held."""


class Words(Protocol):
    """What says deliveries in words (routes.py, alerts.py); nothing older than ``oldest_ms`` escalates."""

    @property
    def oldest_ms(self) -> int:
        """How old an incident may be."""

    def message(self, body: bytes, route: str, step: int, newest: bytes | None = None) -> Message:
        """One delivery's message. ``newest``: of one that waits for an answer, what is known of its incident now."""

    def digest(self, messages: Sequence[Message], route: str, now_ms: int, following: int = 0) -> Message:
        """One message for several; ``following``: so many more at least go out after it."""

    def withheld(self, body: bytes, route: str) -> str | None:
        """Why a sink that reaches real police is not to have something; None: it may."""
