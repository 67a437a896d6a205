"""What ends a worker at once: a failure, a standstill, a suspension that was too long."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable
from typing import Any

import structlog

from streams.errors import YichengError

log = structlog.get_logger()


HEARTBEAT_S = 1.0
"""So soon do the brokers notice that members come or go."""


class Watchdog:
    """Ends a worker that has work and makes no progress: consumers have stopped fetching after broker trouble before.

    Also one that was suspended for so long that its partitions are others' now, before it can write anything more.
    """

    def __init__(self, patience_s: float, session_timeout_s: float = 10.0) -> None:
        self.patience_s = patience_s
        self.session_timeout_s = session_timeout_s
        self._progress: object = None
        self._since_s = 0.0
        self._alive_s: float | None = None

    @staticmethod
    def longest_s(session_timeout_s: float) -> float:
        """So long may a suspension last that the brokers, which last heard of the worker up to a heartbeat before, still know it."""
        return session_timeout_s - HEARTBEAT_S - 1.0

    def alive(self, now_s: float) -> None:
        """The worker runs."""
        self._alive_s = now_s

    def woken(self, now_s: float) -> None:
        """The process goes on after having been suspended."""
        if self._alive_s is not None and now_s - self._alive_s > self.longest_s(self.session_timeout_s):
            log.error("suspended for too long, its partitions have gone to others; the worker starts afresh", seconds=round(now_s - self._alive_s))
            self.fail()

    def check(self, now_s: float, progress: object, *, has_work: bool) -> None:
        """``progress`` is anything that changes while work is being done."""
        if not has_work or progress != self._progress:
            self._progress, self._since_s = progress, now_s
        elif now_s - self._since_s > self.patience_s:
            log.error("no progress in spite of work to do; the worker stops here and starts afresh", seconds=round(now_s - self._since_s))
            self.fail()

    def fail(self) -> None:
        """End the process; nothing is acked any more."""
        os._exit(1)


async def fail_fast(work: Awaitable[Any]) -> Any:
    """Await work whose failure must end the process before anything else is acked or committed."""
    try:
        return await work
    except asyncio.CancelledError:
        raise
    except YichengError as error:
        try:
            log.error(str(error))
        finally:  # also where the disk under the log is full
            os._exit(error.exit_code)
    except Exception:  # noqa: BLE001 - it ends the process
        try:
            log.exception("worker failed; it stops here and replays from its last checkpoint when started again")
        finally:
            os._exit(1)
