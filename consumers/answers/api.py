"""``POST /v1/feedback``: answers of another system of the police, as JSON, with a bearer token."""

from __future__ import annotations

import hmac
from typing import Annotated, Literal

import msgspec

from consumers.answers.answering import Answering, Refused
from streams.clock import now_ms
from streams.errors import BadInput
from streams.process import pages
from streams.process.pages import Request
from streams.wire.answers import Action, made_answer
from streams.wire.decode import Malformed, decoded
from streams.wire.ids import is_id
from streams.words.basis import Words

FEEDBACK_PATH = "/v1/feedback"
JSON = "application/json"
HEADERS = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}
LARGEST_BYTES = 16_384


class Feedback(msgspec.Struct, forbid_unknown_fields=True):
    """What is posted. ``answer_id`` is the caller's own: the same answer sent again, with the same id, counts once."""

    answer_id: str
    incident_id: str
    action: Action
    by: Annotated[str, msgspec.Meta(min_length=1)]
    reason: str | None = None
    revision: Annotated[int, msgspec.Meta(ge=0, le=2**31)] | None = None
    objection: str | None = None


class _Said(msgspec.Struct):
    incident_id: str
    answer_id: str
    status: Literal["recorded"] = "recorded"


class _Refusal(msgspec.Struct):
    error: str
    error_zh: str


_decode = msgspec.json.Decoder(Feedback, strict=True).decode


class FeedbackApi:
    """Takes answers from whoever shows the token."""

    def __init__(self, answering: Answering, token: str) -> None:
        self._answering, self._bearer = answering, f"Bearer {token}".encode()

    def receive(self, request: Request) -> pages.Answer:
        """200: it is recorded, now or before. 400: no such answer. 401: a wrong token. 404, 409: refused, and why. 415: no JSON. 503: to be sent again."""
        if not hmac.compare_digest(request.headers.get("Authorization", "").encode("utf-8", "replace"), self._bearer):
            return _refusal(401, Words("令牌不正确。", "The bearer token is not that of YICHENG_FEEDBACK_TOKEN."))
        if request.headers.get_content_type() != JSON or len(request.body) > LARGEST_BYTES:
            return _refusal(415, Words("须为 JSON（application/json），不超过16 KB。", "A body of JSON (application/json) of at most 16 KB is expected."))
        try:
            said = decoded(request.body, _decode)
            if not said.by.strip() or not is_id(said.incident_id):
                raise BadInput("by: empty" if is_id(said.incident_id) else "incident_id: it is no id")
            answer = made_answer(said.incident_id, said.action, now_ms(), by=said.by, reason=said.reason,
                                 answer_id=said.answer_id, revision=said.revision, objection=said.objection)  # fmt: skip
            answer = self._answering.take(answer)
        except Refused as refused:
            return _refusal(refused.status, refused.words)
        except (Malformed, BadInput) as error:
            return _refusal(400, Words("不是可接受的答复，请按英文说明改正。", f"This is no answer: {error}"))
        return 200, JSON, msgspec.json.encode(_Said(answer.incident_id, answer.answer_id or "")), HEADERS


def _refusal(status: int, words: Words) -> pages.Answer:
    return status, JSON, msgspec.json.encode(_Refusal(words.en, words.zh)), HEADERS
