"""Hashing and checking passwords with argon2id, in threads, so that the pages go on meanwhile."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from consumers.console.accounts.users import User
from streams.errors import BadInput, Unavailable

SHORTEST, LONGEST = 10, 200
"""Characters of a password."""
AT_ONCE, MOST_WAITING = 2, 20
"""Each takes 64 MiB and some 50 ms of a core."""
_hasher = PasswordHasher()


def hashed(password: str) -> str:
    """The argon2id hash of a new password; ``BadInput`` where it is too short or too long."""
    if not SHORTEST <= len(password) <= LONGEST:
        raise BadInput(f"a password has {SHORTEST} to {LONGEST} characters, not {len(password)}")
    return _hasher.hash(password)


def fits(password: str, known: str) -> bool:
    """Whether a password is the one of a hash."""
    try:
        return _hasher.verify(known, password)
    except (VerificationError, InvalidHashError):
        return False


class Passwords:
    """Checks who a name and a password belong to: two at a time, and few may wait."""

    def __init__(self) -> None:
        self._threads = ThreadPoolExecutor(AT_ONCE, "console-passwords")
        self._waiting = 0

    async def user(self, users: Mapping[str, User], name: str, password: str) -> User | None:
        """The user, or None; an unknown name takes as long as a known one, since the password is checked against somebody else's hash. ``Unavailable`` where too many ask."""
        if self._waiting >= MOST_WAITING:
            raise Unavailable("too many log in at this moment; try again in a few seconds / 登录人数过多，请稍后再试")
        known = users.get(name)
        checked = known or secrets.choice(list(users.values()))
        self._waiting += 1
        try:
            is_right = await asyncio.get_running_loop().run_in_executor(self._threads, fits, password[: LONGEST + 1], checked.password)
        finally:
            self._waiting -= 1
        return known if is_right else None
