"""``GET /v1/deliveries?incident=ID``: who was notified of an incident, when and with what result, as JSON, with a bearer token. The console asks it."""

from __future__ import annotations

import hmac
import sqlite3
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import msgspec

from consumers.outbox.log import logged, sinks_off
from consumers.outbox.rows import STATES, Delivery
from streams.errors import BadInput
from streams.process import pages
from streams.process.pages import Request
from streams.wire.ids import is_id
from streams.words.shown import shown

DELIVERIES_PATH = "/v1/deliveries"
MOST_SHOWN = 200
HEADERS = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}


class DeliveriesApi:
    """Reads an outbox for whoever shows the token."""

    def __init__(self, file: Path, token: str) -> None:
        self._file, self._bearer = file, f"Bearer {token}".encode()

    def read(self, request: Request) -> pages.Answer:
        """200: the deliveries, of an incident that is not known none. 400: no id. 401: a wrong token. 503: the outbox cannot be read now."""
        if not hmac.compare_digest(request.headers.get("Authorization", "").encode("utf-8", "replace"), self._bearer):
            return _refusal(401, "The bearer token is not that of YICHENG_DELIVERIES_TOKEN.")
        asked = parse_qs(request.query).get("incident", [""])[0]
        if not is_id(asked):
            return _refusal(400, "incident: it is no id")
        try:
            return 200, "application/json", msgspec.json.encode(rows_of(self._file, asked)), HEADERS
        except (BadInput, sqlite3.Error, OSError):
            return _refusal(503, "the outbox cannot be read now")


def rows_of(file: Path, incident_id: str) -> list[dict[str, Any]]:
    """The deliveries of an incident in the order in which they ended, those that wait at last; ``BadInput``, ``OSError`` or an error of SQLite where they cannot be read."""
    off = sinks_off(file)
    return [_row(one, off) for one in logged(file, incident_id=incident_id, most=MOST_SHOWN)]


def _row(one: Delivery, off: frozenset[str]) -> dict[str, Any]:
    return {
        "sink": one.sink, "route": one.route, "step": one.step, "revision": one.revision, "state": STATES[one.state], "attempts": one.attempts,
        "made_ms": one.made_ms, "due_ms": one.due_ms, "done_ms": one.done_ms, "took_ms": one.took_ms, "answer": shown(one.outcome) or None,
        "is_off": one.sink in off,
    }  # fmt: skip


def _refusal(status: int, error: str) -> pages.Answer:
    return status, "application/json", msgspec.json.encode({"error": error}), HEADERS
