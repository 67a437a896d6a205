"""Child processes that cannot outlive this one, however it ends.

On Linux the kernel kills them (``PR_SET_PDEATHSIG``) when the thread that started them ends. Elsewhere each has a keeper: a small process
that waits for this one's end of a pipe to close and then kills its charge. A child that may be let go later has one everywhere: what
was asked of the kernel cannot be taken back.
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
LET_GO = b"let go"
KEEPER_ENDS_S = 5.0
KEEPER = """
import psutil, sys
try:
    charge = psutil.Process(int(sys.stdin.buffer.readline()))
    if not sys.stdin.buffer.read():
        charge.kill()  # psutil looks whether it is still the same process
except (ValueError, psutil.NoSuchProcess):
    pass  # nobody was started, or it ended before
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


def start(command: Sequence[str | Path], *, releasable: bool = False, **options: Any) -> subprocess.Popen[bytes]:
    """``subprocess.Popen`` in a session of its own, on the leash: to be called by the main thread. ``releasable``: ``release`` may follow."""
    bind = None if releasable else leashed()
    if bind is not None:
        return subprocess.Popen(command, preexec_fn=bind, start_new_session=True, **options)  # noqa: PLW1509 - two system calls, loaded before
    keeper = subprocess.Popen(
        [sys.executable, "-I", "-c", KEEPER], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
    )
    assert keeper.stdin is not None
    pipe = keeper.stdin.fileno()

    def introduce() -> None:
        """The child tells its keeper who it is, before it is anything else; until then it holds the pipe open, too."""
        os.write(pipe, b"%d\n" % os.getpid())

    try:
        child = subprocess.Popen(command, preexec_fn=introduce, start_new_session=True, **options)  # noqa: PLW1509 - two system calls, loaded before
    except BaseException:
        _dismiss(keeper)
        raise
    child.keeper = keeper  # type: ignore[attr-defined]  # holds the pipe open for as long as the child is known here
    return child


def release(child: subprocess.Popen[bytes]) -> None:
    """From now on a child that was started as ``releasable`` lives on without this process."""
    keeper = child.keeper  # type: ignore[attr-defined]
    keeper.stdin.write(LET_GO)
    _dismiss(keeper)


def _dismiss(keeper: subprocess.Popen[bytes]) -> None:
    assert keeper.stdin is not None
    with contextlib.suppress(OSError):  # it may have been killed
        keeper.stdin.close()
    with contextlib.suppress(subprocess.TimeoutExpired):
        keeper.wait(KEEPER_ENDS_S)
