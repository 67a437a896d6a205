"""What somebody says of an incident on its page, as a record. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from streams.errors import BadInput
from streams.wire.answers import NEED_OBJECTION, NEED_REASON, made_answer, record_of
from streams.wire.decode import Malformed
from streams.wire.ids import is_id

OFFERED = ("acknowledged", "dismissed", "noted", "upheld", "rejected")
"""What the page can answer; the last two decide an enterprise's objection."""


def decides(asked: Mapping[str, Any]) -> bool:
    """Whether an answer decides an objection."""
    return asked.get("action") in NEED_OBJECTION


def answer_record(asked: Mapping[str, Any], now_ms: int) -> tuple[bytes, bytes]:
    """Key and value of ``courier.feedback.v1`` for an answer that the page sends; ``Malformed`` says what is wrong with it.

    >>> answer_record({"incident_id": "a", "action": "acknowledged", "by": "", "reason": None}, 5)[1]
    b'{"incident_id":"a","action":"acknowledged","time_ms":5,"by":null,"reason":null}'
    """
    name, action = asked.get("incident_id"), asked.get("action")
    by, reason = (" ".join(str(asked.get(key) or "").split()) or None for key in ("by", "reason"))
    if not isinstance(name, str) or not is_id(name):
        raise Malformed("no incident is named")
    if action not in OFFERED:
        raise Malformed("an answer is acknowledged, dismissed, noted, upheld or rejected")
    if action in NEED_REASON and reason is None:
        raise Malformed("a reason is needed / 请填写原因")
    answer_id, revision, objection = asked.get("answer_id"), asked.get("revision"), asked.get("objection")
    if not isinstance(answer_id, str | None) or not isinstance(objection, str | None) or not (revision is None or type(revision) is int):
        raise Malformed("answer_id and objection are texts, and revision a number")
    try:
        return name.encode(), record_of(made_answer(name, str(action), now_ms, by=by, reason=reason, answer_id=answer_id, revision=revision, objection=objection))
    except BadInput as error:
        raise Malformed(str(error)) from None
