"""Sessions of those who have logged in, and how long somebody waits who guesses passwords. In memory, bounded; time (s) is an argument."""

from __future__ import annotations

import hashlib
import secrets
from collections import OrderedDict
from typing import NamedTuple

from consumers.console.accounts.users import Role

IDLE_S, LONGEST_S = 30 * 60.0, 12 * 3600.0
"""A session ends when its browser has asked for nothing for so long (an open page asks every second), and in any case after so long."""
MOST_SESSIONS, MOST_OF_ONE = 1_000, 10
"""Of all and of one name; the oldest is ended for a further one."""
FREE_ATTEMPTS, LONGEST_WAIT_S, FORGOTTEN_S = 3, 60.0, 900.0
MOST_REMEMBERED = 10_000


class Session(NamedTuple):
    """Somebody who has logged in; ``password``: the hash that the password fitted, None where another service vouched for the role."""

    name: str
    role: Role
    password: str | None
    began_s: float
    seen_s: float


class Sessions:
    """By the hash of their ids, so that none is found by trying how long a comparison takes."""

    def __init__(self) -> None:
        self._sessions: OrderedDict[bytes, Session] = OrderedDict()

    def __len__(self) -> int:
        return len(self._sessions)

    def begin(self, name: str, role: Role, password: str | None, now_s: float) -> str:
        """A new session's id: 256 random bits."""
        for key in [key for key, session in self._sessions.items() if _is_over(session, now_s)]:
            del self._sessions[key]
        own = [key for key, session in self._sessions.items() if session.name == name]
        for key in own[: max(0, len(own) + 1 - MOST_OF_ONE)]:
            del self._sessions[key]
        if len(self._sessions) >= MOST_SESSIONS:
            self._sessions.popitem(last=False)
        session_id = secrets.token_urlsafe(32)
        self._sessions[_key(session_id)] = Session(name, role, password, now_s, now_s)
        return session_id

    def find(self, session_id: str, now_s: float) -> Session | None:
        """The session of an id, which is seen by that; None where there is none, or it is over."""
        key = _key(session_id)
        session = self._sessions.get(key)
        if session is None:
            return None
        if _is_over(session, now_s):
            del self._sessions[key]
            return None
        session = self._sessions[key] = session._replace(seen_s=now_s)
        return session

    def end(self, session_id: str) -> None:
        """End a session, if there is one."""
        self._sessions.pop(_key(session_id), None)


def _key(session_id: str) -> bytes:
    return hashlib.sha256(session_id.encode("utf-8", "replace")).digest()


def _is_over(session: Session, now_s: float) -> bool:
    return now_s - session.seen_s > IDLE_S or now_s - session.began_s > LONGEST_S


class BackOff:
    """How long each name or address waits after its failures: three are free, then 1 s, 2 s, 4 s, … up to a minute."""

    def __init__(self) -> None:
        self._failures: OrderedDict[str, tuple[int, float]] = OrderedDict()

    def wait_s(self, key: str, now_s: float) -> float:
        """Seconds until the next attempt is looked at; 0: it is now."""
        count, last_s = self._failures.get(key, (0, now_s))
        if count < FREE_ATTEMPTS or now_s - last_s > FORGOTTEN_S:
            return 0.0
        return max(0.0, last_s + min(LONGEST_WAIT_S, 2.0 ** (count - FREE_ATTEMPTS)) - now_s)

    def failed(self, key: str, now_s: float) -> None:
        """Note a failure."""
        count, last_s = self._failures.pop(key, (0, now_s))
        self._failures[key] = (1 if now_s - last_s > FORGOTTEN_S else min(count + 1, 99), now_s)
        if len(self._failures) > MOST_REMEMBERED:
            self._failures.popitem(last=False)

    def succeeded(self, key: str) -> None:
        """Forget the failures."""
        self._failures.pop(key, None)
