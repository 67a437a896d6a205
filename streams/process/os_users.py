"""Users of this machine by their names: whose file something is, and who runs a command."""

from __future__ import annotations

import os
import pwd


def user_named(uid: int) -> str:
    """The name of a user, or the number where the machine has none for it, as in a container."""
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"uid {uid}"


def this_user() -> str:
    """Whoever runs this process, marked as what the system says: nobody has typed that name."""
    return f"{user_named(os.getuid())} (OS user)"
