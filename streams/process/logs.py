"""Logs: JSON lines, for our own events and for the libraries' warnings, with nothing in them that steers a terminal."""

from __future__ import annotations

import json
import logging
import logging.config
import sys
from contextlib import suppress
from typing import Any

import structlog

from streams.words.shown import shown_json


class _AsOneLine(logging.Formatter):
    """A library's warning with its traceback, as ours look."""

    def format(self, record: logging.LogRecord) -> str:
        event = {"level": record.levelname.lower(), "logger": record.name, "event": record.getMessage()}
        if record.exc_info:
            event["exception"] = self.formatException(record.exc_info)
        return _one_line(event, ensure_ascii=False)


LIBRARIES: dict[str, Any] = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"line": {"()": _AsOneLine}},
    "handlers": {"lines": {"class": "logging.StreamHandler", "formatter": "line"}},
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
