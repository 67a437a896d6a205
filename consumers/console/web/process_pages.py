"""The pages that each process has, at the console's own address, too: ``/healthz`` and ``/readyz`` for whoever asks, ``/metrics`` behind the login."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from email.message import Message

from aiohttp import web
from aiohttp.typedefs import Handler

from streams import metrics
from streams.process.pages import Page, Request


def process_routes(ready: Callable[[], bool]) -> list[web.RouteDef]:
    """Where they are asked for."""
    return [web.get(path, _answering(page)) for path, page in metrics.process_pages(ready, metrics.OF_CONSOLE).items()]


def _answering(page: Page) -> Handler:
    async def answer(request: web.Request) -> web.Response:
        headers = Message()
        headers["Accept"] = request.headers.get("Accept", "")
        status, content_type, body, *_ = await asyncio.to_thread(page, Request(headers))
        return web.Response(status=status, body=body, headers={"Content-Type": content_type})

    return answer
