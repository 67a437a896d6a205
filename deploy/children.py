"""How Python children are started: with this Python and this code, and nothing from the current directory (``-P``)."""

from __future__ import annotations

import os
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def python_command(*arguments: object) -> list[str]:
    """The command of a Python child."""
    return [sys.executable, "-P", *map(str, arguments)]


def python_environment(*folders: Path) -> dict[str, str]:
    """The environment of a Python child: its modules come from here, from ``folders`` and from .venv, as do those of its own children."""
    return {**os.environ, "PYTHONPATH": os.pathsep.join(map(str, (ROOT, *folders))), "PYTHONSAFEPATH": "1"}


def absolute_path() -> str:
    """``PATH`` without the entries that mean the current directory or depend on it."""
    return os.pathsep.join(entry for entry in os.environ.get("PATH", os.defpath).split(os.pathsep) if Path(entry).is_absolute())
