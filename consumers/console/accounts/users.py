"""Who may log in to the console: a YAML file of names, roles and argon2 hashes of passwords, read again when it changes.

    users:
      wang: {role: officer, password: "$argon2id$v=19$m=65536,t=3,p=4$…"}

``./yicheng console user`` writes it.
"""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Literal, NamedTuple, get_args

import msgspec
import structlog

from streams.errors import BadInput
from streams.files.key_files import read_key_file
from streams.files.small_files import read_small
from streams.files.typed_yaml import YamlSource
from streams.words.shown import shown

log = structlog.get_logger()

Role = Literal["viewer", "officer", "admin"]
ROLES: tuple[Role, ...] = get_args(Role)
"""In rising order: each may do what those before it may."""
SETTING = "YICHENG_CONSOLE_USERS"
NAME = re.compile(r"\w[\w.@-]{0,63}")
_HASH = re.compile(r"\$argon2id\$v=19\$m=(\d{1,8}),t=(\d{1,3}),p=\d{1,3}\$[A-Za-z0-9+/]{11,86}\$[A-Za-z0-9+/]{22,86}")
_LEAST_KIB, _MOST_KIB = 7_168, 1_048_576
"""Memory of a hash: less is weak (OWASP), more would stop the console."""
_MOST_ROUNDS = 20
HEAD = "# Who may log in to the console: ./yicheng console user NAME --role ROLE\nusers:\n"
_MAKE = "./yicheng console user NAME --role ROLE makes one"


class User(NamedTuple):
    """Somebody who may log in; ``password``: its argon2id hash in the form ``$argon2id$v=19$…``."""

    name: str
    role: Role
    password: str


class _Entry(msgspec.Struct, forbid_unknown_fields=True):
    role: Role
    password: str


class _File(msgspec.Struct, forbid_unknown_fields=True):
    users: dict[str, _Entry]


def read_users(path: Path) -> dict[str, User]:
    """The users of a file by name; ``BadInput`` names the line that is wrong, and never repeats a hash. Others than its owner may neither read nor write it."""
    read_key_file(path, SETTING)
    try:
        return users_of(read_small(path), str(path))
    except ValueError as error:
        raise BadInput(f"{SETTING}: {path}: {error}") from None


def users_of(text: str, where: str) -> dict[str, User]:
    """The users that a text names."""
    try:
        source = YamlSource(text, where, _File, "a file of users", words=ROLES)
    except BadInput as error:  # YAML's own words may repeat a part of a hash
        place, found, _ = str(error).partition(": not YAML")
        raise BadInput(f'{place}{found}; a line is NAME: {{role: officer, password: "$argon2id$…"}}') if found else error from None
    given = source.data.get("users")
    for name, entry in given.items() if isinstance(given, dict) else ():
        source.converted(entry, _Entry, ("users", name))
    entries: dict[str, _Entry] = source.converted(source.data, _File).users
    if not entries:
        raise source.bad(("users",), f"nobody is named; {_MAKE}")
    for name, entry in entries.items():
        if not NAME.fullmatch(name):
            raise source.bad(("users", name), f"{shown(name)!r} is no name: 1 to 64 letters, digits, _, ., @ or - are expected")
        if problem := _hash_problem(entry.password):
            raise source.bad(("users", name, "password"), f"password of {name}: {problem}; {_MAKE}")
    return {name: User(name, entry.role, entry.password) for name, entry in entries.items()}


def _hash_problem(text: str) -> str | None:
    found = _HASH.fullmatch(text)
    if found is None:
        return "no argon2id hash ($argon2id$v=19$m=…,t=…,p=…$…$…)"
    memory_kib, rounds = int(found[1]), int(found[2])
    if not (_LEAST_KIB <= memory_kib <= _MOST_KIB and 1 <= rounds <= _MOST_ROUNDS):
        return f"its hash takes {memory_kib} KiB of memory and {rounds} rounds; {_LEAST_KIB} to {_MOST_KIB} and 1 to {_MOST_ROUNDS} are expected"
    return None


class UsersFile:
    """A file of users that is read again when it has changed. What is wrong then is logged once, and the users read before stay."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._state = _state(path)
        self._users = read_users(path)

    def current(self) -> Mapping[str, User]:
        """The users as of now, by name."""
        state = _state(self.path)
        if state != self._state:
            self._state = state
            try:
                self._users = read_users(self.path)
                log.info("users read again", file=str(self.path), users=len(self._users))
            except BadInput as error:
                log.error("the file of users has a mistake; those read before stay", error=shown(error))
        return self._users


def _state(path: Path) -> tuple[int, int, int, int] | None:
    try:
        known = path.stat()
    except OSError:
        return None
    return known.st_mtime_ns, known.st_ctime_ns, known.st_size, known.st_ino


def line_of(user: User) -> str:
    """A user as a line of the file."""
    return f'  {user.name}: {{role: {user.role}, password: "{user.password}"}}'


def write_user(path: Path, user: User) -> bool:
    """Add a user to a file of 0600, or take the place of the line that names it; returns whether it was there. ``BadInput`` where that cannot be done line by line."""
    text = read_small(path) if path.exists() else ""
    known = users_of(text, str(path)) if text.strip() else {}
    lines, begins = (text if known else HEAD).splitlines(), f"  {user.name}: {{"
    places = [place for place, line in enumerate(lines) if line.startswith(begins)]
    if user.name in known and len(places) != 1:
        raise BadInput(f"{path}: {user.name} does not stand in a line of its own there; put this in its place: {line_of(user).strip()}")
    place = places[0] if places else len(lines)
    written = "\n".join([*lines[:place], line_of(user), *lines[place + 1 :]]) + "\n"
    try:
        is_read = users_of(written, str(path)) == {**known, user.name: user}
    except BadInput:
        is_read = False
    if not is_read:
        raise BadInput(f"{path}: a line at its end would not be read as a user; put this where it belongs: {line_of(user).strip()}")
    descriptor, beside = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(written)
        file.flush()
        os.fsync(file.fileno())
    Path(beside).replace(path)
    return user.name in known
