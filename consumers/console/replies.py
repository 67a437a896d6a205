"""How the console's pages read what is posted, and answer: JSON, and refusals of one sentence."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import orjson
from aiohttp import web
from aiohttp.typedefs import Handler

from streams.wire.decode import Malformed

SENTENCES = {
    404: "there is nothing at this address / 没有这个地址", 405: "this address takes no such request / 此地址不接受这种请求",
    413: "that is more than is taken at once / 内容超过一次可接受的大小",
}  # fmt: skip
"""What is said where a request is refused before anything here has looked at it."""


@web.middleware
async def in_sentences(request: web.Request, handler: Handler) -> web.StreamResponse:
    """A sentence in the place of a bare ``404: Not Found``."""
    try:
        return await handler(request)
    except web.HTTPException as error:
        if error.status in SENTENCES and (error.status == 413 or error.text == f"{error.status}: {error.reason}"):
            error.text = SENTENCES[error.status] + "\n"
        raise


async def asked_of(request: web.Request) -> dict[str, Any]:
    """The JSON object that was posted; ``Malformed`` where there is none."""
    try:
        asked = json.loads(await request.read())
    except (ValueError, RecursionError):
        raise Malformed("not JSON") from None
    if not isinstance(asked, dict):
        raise Malformed("an object is expected")
    return asked


def line_in(asked: Mapping[str, Any], name: str) -> str:
    """A text that was posted, as one line; empty where there is none."""
    value = asked.get(name)
    return " ".join(value.split()) if isinstance(value, str) else ""


def json_reply(body: bytes) -> web.Response:
    """An answer that is not kept, and packed where it is long."""
    response = web.Response(body=body, content_type="application/json", headers={"Cache-Control": "no-store"})
    if len(body) > 2_000:
        response.enable_compression()
    return response


def refusal(status: int, message: str) -> web.Response:
    """What is wrong, in one sentence."""
    return web.Response(status=status, body=orjson.dumps({"error": message}), content_type="application/json", headers={"Cache-Control": "no-store"})
