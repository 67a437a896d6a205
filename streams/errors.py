"""Every error that Yicheng raises on purpose: one line for a person, an exit code, and whether to retry."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches


class YichengError(Exception):
    """Something failed that a person can act on; the text is one line saying what, where and how to fix it."""

    exit_code = 1
    retry = False


class BadInput(YichengError):
    """A wrong argument, policy pack, registry record or input file."""

    exit_code = 2


class Unavailable(YichengError):
    """A part that is needed does not answer now: Kafka, a download, a port."""

    retry = True


class AskedToWait(Unavailable):
    """A part that answers, and asks to be called again after ``after_s`` seconds."""

    def __init__(self, message: str, after_s: float) -> None:
        super().__init__(message)
        self.after_s = after_s


class NotTaken(Unavailable):
    """A part that is well and does not take this one thing; it may, later."""


class LostState(YichengError):
    """The state that belongs to committed offsets is not there; going on would forget open incidents and counted parcels."""

    exit_code = 3


class WriteRefused(YichengError):
    """Kafka does not take what a worker writes; nothing is acked, and nothing is lost."""


class TooManyRefused(YichengError):
    """Most records of an input are refused, and the operator wants the worker to end then."""

    exit_code = 2


class ForeignState(YichengError):
    """The state belongs to a worker of another kind, or with another identity key; going on would mix what must stay apart."""

    exit_code = 2


def unreadable_state(topic: str, partition: int, key: str, error: Exception) -> LostState:
    """A state record that cannot be read: passing over it would forget what it said."""
    return LostState(
        f"{topic}[{partition}] holds a record that cannot be read ({type(error).__name__}; its key has {len(key)} characters); stop all workers, delete the topic"
        f" {topic}, run ./yicheng topics create and ./yicheng topics rewind: what is retained is then judged again, under the same ids"
    )


def closest(word: str, known: Iterable[str], likeness: float = 0.6) -> str | None:
    """Return the known word that is most like this one, if any is so much like it (0 to 1)."""
    return next(iter(get_close_matches(word, sorted(known), n=1, cutoff=likeness)), None)


def nearest(word: str, known: Iterable[str]) -> str:
    """Return ``; did you mean 'x'?`` for the closest known word, else the known words.

    >>> nearest("zonse", ["zones", "limit"])
    "; did you mean 'zones'?"
    """
    choices = sorted(known)
    if meant := closest(word, choices):
        return f"; did you mean {meant!r}?"
    return f"; known: {', '.join(choices[:30])}" if choices else ""
