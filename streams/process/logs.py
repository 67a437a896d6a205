"""Logs: JSON lines, for our own events and for the libraries' warnings, with nothing in them that steers a terminal."""

from __future__ import annotations

import json
import logging
import logging.config
import sys
import time
from contextlib import suppress
from typing import Any

import structlog

from streams.words.shown import shown_json

AGAIN_S, MOST_KNOWN = 30.0, 1_000
"""A library says the same thing again after so long; so many things are remembered."""


class _AsOneLine(logging.Formatter):
    """A library's warning as ours look, with its traceback unless all that failed is a connection or a file."""

    def format(self, record: logging.LogRecord) -> str:
        event = {"level": record.levelname.lower(), "logger": record.name, "event": record.getMessage()}
        if record.exc_info and record.exc_info[1] is not None:
            error = record.exc_info[1]
            event["exception"] = f"{type(error).__name__}: {error}" if isinstance(error, OSError) else self.formatException(record.exc_info)
        return _one_line(event, ensure_ascii=False)


class _NotAgain(logging.Filter):
    """The same warning once in a while: while Kafka is away, its client repeats each line several times a second."""

    def __init__(self) -> None:
        super().__init__()
        self._next_s: dict[str, float] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        said, now_s = f"{record.name} {record.msg} {record.args}", time.monotonic()
        if now_s < self._next_s.get(said, 0.0):
            return False
        if len(self._next_s) >= MOST_KNOWN:
            self._next_s.clear()
        self._next_s[said] = now_s + AGAIN_S
        return True


LIBRARIES: dict[str, Any] = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"line": {"()": _AsOneLine}},
    "filters": {"not_again": {"()": _NotAgain}},
    "handlers": {"lines": {"class": "logging.StreamHandler", "formatter": "line", "filters": ["not_again"]}},
    "root": {"level": "WARNING", "handlers": ["lines"]},
}
"""For ``logging.config.dictConfig``: Faust sets up logging once more when it starts, and takes this."""


class _Lines(structlog.PrintLogger):
    """Lines on stdout, which are lost where nobody can take them: a full disk under a log ends no worker."""

    def msg(self, message: str) -> None:
        """Write one line."""
        with suppress(OSError):
            super().msg(message)

    log = debug = info = warn = warning = error = critical = fatal = exception = failure = msg


def configure_logs(level: str) -> None:
    """JSON lines on stdout for our own events, on stderr for the libraries' warnings."""
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso"),
            structlog.processors.format_exc_info,
            structlog.processors.JSONRenderer(serializer=_one_line, ensure_ascii=False),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=lambda *_: _Lines(sys.stdout),
    )
    logging.disable(logging.INFO)  # Faust sets the root logger to DEBUG: every request of aiokafka would be written up for nobody
    logging.config.dictConfig(LIBRARIES)


def _one_line(event: Any, **options: Any) -> str:
    return shown_json(json.dumps(event, **options))
