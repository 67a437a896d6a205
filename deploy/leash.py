"""Child processes that cannot outlive this one, however it ends.

On Linux the kernel kills them (``PR_SET_PDEATHSIG``) when the thread that started them ends. Elsewhere each has a keeper: a small process
that waits for this one's end of a pipe to close and then kills its charge.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

PR_SET_PDEATHSIG = 1
KEEPER = """
import os, subprocess, sys
sys.stdin.buffer.read()
parent = subprocess.run(["ps", "-o", "ppid=", "-p", sys.argv[1]], capture_output=True, text=True).stdout.strip()
if parent and parent != sys.argv[2]:  # an orphan has another parent; a child that ended before is nobody
    os.kill(int(sys.argv[1]), 9)
"""


def _prctl() -> Any:
    with contextlib.suppress(OSError, AttributeError):
        return ctypes.CDLL(None, use_errno=True).prctl
    return None


PRCTL = _prctl() if sys.platform == "linux" else None
"""Looked up before any fork: between fork and exec a process must not load anything."""


def leashed() -> Callable[[], None] | None:
    """What a child does between fork and exec (``preexec_fn``): bind its life to this thread's. None where that cannot be asked for."""
    prctl, parent = PRCTL, os.getpid()
    if prctl is None:
        return None

    def bind() -> None:
        prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:  # it ended in between, so nobody will send the signal
            os._exit(1)

    return bind


def start(command: Sequence[str | Path], *, leash: bool = True, **options: Any) -> subprocess.Popen[bytes]:
    """``subprocess.Popen`` in a session of its own, on the leash unless told otherwise: to be called by the main thread."""
    bind = leashed() if leash else None
    child = subprocess.Popen(command, preexec_fn=bind, start_new_session=True, **options)  # noqa: PLW1509 - two system calls, loaded before
    if leash and bind is None:
        _keep(child)
    return child


def _keep(child: subprocess.Popen[bytes]) -> None:
    keeper = subprocess.Popen(
        [sys.executable, "-I", "-S", "-c", KEEPER, str(child.pid), str(os.getpid())], stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True,
    )  # fmt: skip
    child.keeper = keeper  # type: ignore[attr-defined]  # holds the pipe open for as long as the child is known here
