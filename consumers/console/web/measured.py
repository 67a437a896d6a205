"""What the console's metrics count: who looks, and what became of answers and of logins. One place that sees every request."""

from __future__ import annotations

from aiohttp import web
from aiohttp.typedefs import Handler

from consumers.console.accounts.oidc import CALLBACK
from streams import metrics

_COUNTED = {"/api/answer": metrics.CONSOLE_ANSWERS, "/api/login": metrics.CONSOLE_LOGINS, CALLBACK: metrics.CONSOLE_LOGINS}
_OUTCOMES = {200: "accepted", 429: "delayed", 503: "failed"}
"""By the status of the reply; all others are refusals."""
_REFUSED = "refused"
for _counter in set(_COUNTED.values()):
    for _outcome in (*_OUTCOMES.values(), _REFUSED):
        _counter.labels(_outcome)


@web.middleware
async def measured(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Count a request by what becomes of it."""
    if request.path == "/api/events":
        with metrics.CONSOLE_VIEWERS.track_inprogress():
            return await handler(request)
    counter = _COUNTED.get(request.path)
    if counter is None:
        return await handler(request)
    status = 500
    try:
        response = await handler(request)
        status = response.status
    except web.HTTPException as error:
        status = error.status
        raise
    finally:
        counter.labels(_OUTCOMES.get(status, _REFUSED)).inc()
    return response
