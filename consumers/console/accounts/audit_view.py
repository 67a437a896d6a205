"""The audit log for admins: its newest lines, and whether every line fits the one before."""

from __future__ import annotations

import asyncio
from collections import deque
from pathlib import Path
from typing import Any

import msgspec
import orjson
from aiohttp import web

from consumers.audit import LONGEST_LINE_BYTES, Entry, verify
from consumers.console.accounts.access import ACCESS, require
from consumers.console.replies import json_reply

SHOWN = 300
_decode = msgspec.json.Decoder(Entry).decode


def routes() -> list[web.RouteDef]:
    """What is asked where."""
    return [web.get("/api/audit", audit)]


async def audit(request: web.Request) -> web.StreamResponse:
    """For admins: the newest lines first, how many fit, and the first that does not."""
    require(request, "admin")
    return json_reply(orjson.dumps(await asyncio.to_thread(audit_view, request.app[ACCESS].audit.path)))


def audit_view(path: Path) -> dict[str, Any]:
    """The newest lines of a log, the newest first; what is no line is left out, and ``broken`` tells its number."""
    if not path.exists():
        return {"lines": 0, "last": None, "broken": None, "entries": []}
    found, newest = verify(path), deque[bytes](maxlen=SHOWN)
    with path.open("rb") as file:
        while line := file.readline(LONGEST_LINE_BYTES + 1):
            newest.append(line)
    return {"lines": found.lines, "last": found.last, "broken": found.broken, "entries": [entry for line in reversed(newest) if (entry := _entry(line)) is not None]}


def _entry(line: bytes) -> dict[str, Any] | None:
    try:
        entry = _decode(line)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None
    return {"number": entry.number, "time_ms": entry.time_ms, "action": entry.action, "by": entry.by, "about": entry.about}
