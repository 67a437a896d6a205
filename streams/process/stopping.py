"""How a process is stopped: a signal asks, a second one insists, and whoever takes too long is ended.

TERM, INT and HUP mean the same. The first asks: what is under way may be finished, for so many seconds (``grace_s``). The next
one ends the process at once, and so does the end of that time. A thread of its own sees to both. It learns of signals from the
byte that the interpreter writes for each (``signal.set_wakeup_fd``), so it works while the main thread waits in a library that
nothing can interrupt: for a name server, for a broker that is gone. INT counts where the parent has it ignored, as a shell
does for its background jobs; HUP does not where it is ignored (``nohup``).

Ending a process is always safe: what must not be lost is never in memory only.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import sys
import threading
import time
from collections.abc import Callable
from typing import NoReturn

INTERRUPTED = 130
COMMAND_GRACE_S = 3.0
PROCESS_GRACE_S = 10.0
BOUNCE_S = 0.2
"""``timeout`` and some terminals send a signal twice; within so short a time it is the same one."""
LAST_WORDS_S = 1.0
SIGNALS = frozenset({signal.SIGTERM, signal.SIGINT, signal.SIGHUP})
_COUNT_DOWN = b"\0"


def interrupt() -> NoReturn:
    """What a command does when asked: unwind the main thread from wherever it is."""
    raise KeyboardInterrupt


def leave(code: int) -> NoReturn:
    """End the process without waiting for any thread; what was printed is flushed, if that can be done."""
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError):
            stream.flush()
    os._exit(code)


def _say_nothing() -> None:
    """Nobody has anything to add."""


class Stopping:
    """What a signal means to this process at present."""

    def __init__(self) -> None:
        self.asked = threading.Event()
        self._told = False
        self._ask: Callable[[], object] = lambda: leave(INTERRUPTED)
        self._grace_s = COMMAND_GRACE_S
        self._last_words: Callable[[], object] = _say_nothing
        self._late_code = INTERRUPTED
        self._pipe: tuple[int, int] | None = None

    def watch(self) -> None:
        """Begin, in the main thread and as early as can be; a second call changes nothing."""
        if self._pipe is not None:
            return
        self._pipe = os.pipe()
        for end in self._pipe:
            os.set_blocking(end, False)
        signal.set_wakeup_fd(self._pipe[1], warn_on_full_buffer=False)
        for number in SIGNALS:
            if number != signal.SIGHUP or signal.getsignal(number) != signal.SIG_IGN:
                signal.signal(number, self._on_signal)
        threading.Thread(target=self._guard, args=(self._pipe[0],), daemon=True, name="stopping").start()

    def when_asked(
        self, ask: Callable[[], object], grace_s: float = COMMAND_GRACE_S, last_words: Callable[[], object] = _say_nothing, late_code: int = INTERRUPTED
    ) -> None:
        """From now on the first signal makes the main thread call ``ask``; ``grace_s`` later the process ends with ``late_code``.

        ``last_words`` is called before the process is ended, in whichever way that comes, but not when it ends by itself.
        """
        self._grace_s, self._last_words, self._late_code = grace_s, last_words, late_code
        self._ask = ask

    def count_down(self) -> None:
        """The process stops for a reason of its own: it has ``grace_s`` for it, as if it had been asked."""
        if self._pipe is not None:
            with contextlib.suppress(OSError):
                os.write(self._pipe[1], _COUNT_DOWN)

    def _on_signal(self, *_: object) -> None:
        if not self._told:
            self._told = True
            sys.unraisablehook = lambda _: None  # what libraries cannot finish in their destructors is no news now
            self._ask()

    def _guard(self, reader: int) -> None:
        since_s: float | None = None
        first_s: float | None = None
        while True:
            left_s = None if since_s is None else max(0.0, since_s + self._grace_s - time.monotonic())
            if not select.select([reader], [], [], left_s)[0]:
                self._end(self._late_code)
            numbers, now_s = os.read(reader, 256), time.monotonic()
            for number in numbers:
                if number in SIGNALS and first_s is not None and now_s - first_s > BOUNCE_S:
                    self._end(INTERRUPTED)
                if number in SIGNALS and first_s is None:
                    first_s = now_s
                    self.asked.set()
                if since_s is None and (number in SIGNALS or number == _COUNT_DOWN[0]):
                    since_s = now_s

    def _end(self, code: int) -> NoReturn:
        """The end, whatever state the other threads and the disks are in: the last words have a second of their own."""
        with contextlib.suppress(Exception):
            speaker = threading.Thread(target=self._speak, daemon=True)
            speaker.start()
            speaker.join(LAST_WORDS_S)
        os._exit(code)

    def _speak(self) -> None:
        with contextlib.suppress(Exception):
            self._last_words()


stopping = Stopping()
"""This process's; signals belong to a process as a whole."""
