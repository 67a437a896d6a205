"""The Feishu sink (飞书自定义机器人): a card to a group, signed where the robot's security setting asks for it (签名校验)."""

from __future__ import annotations

import base64
import hmac
import re
from collections.abc import Mapping
from typing import Any, ClassVar
from urllib.parse import quote

from consumers.messages.message import Message
from consumers.sinks._fitting import TITLE_BYTES, cut
from consumers.sinks._options import read_options
from consumers.sinks._robot import Robot, RobotOptions

_COLOURS = {"violation": "red", "warning": "orange"}
_MENTION = re.compile(r"<(?=\s*/?\s*at\b)", re.IGNORECASE)


class FeishuOptions(RobotOptions, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """``token``: what the robot's address has after ``/hook/``. ``secret``: of the setting 签名校验, where it is chosen."""

    token: str
    secret: str | None = None


class FeishuSink(Robot):
    """Posts messages to a Feishu group, a hundred a minute and five a second at most."""

    limits: tuple[tuple[int, float], ...] = ((100, 60.0), (5, 1.0))
    platform_url = "https://open.feishu.cn"
    most_bytes = 18_000
    """The whole of a request may take 20 KB."""
    titled = False
    code_names = ("code", "StatusCode")
    said_name = "msg"
    too_fast: ClassVar[Mapping[int, float]] = {9499: 60.0, 11232: 60.0, 11233: 60.0, 11247: 60.0}
    not_taken = frozenset({19002, 19036, 11246})
    to_mend: ClassVar[Mapping[int, str]] = {
        19001: "token is no robot's; copy it from the robot's address", 19021: "secret is not the robot's, or this machine's clock is wrong by more than an hour",
        19022: "this machine's address is not among the robot's", 19024: "the text lacks the robot's keyword",
    }  # fmt: skip

    def __init__(self, name: str, options: Mapping[str, object]) -> None:
        read = read_options(name, FeishuOptions, options)
        self._secret = read.secret
        super().__init__(name, read, f"/open-apis/bot/v2/hook/{quote(read.token, safe='')}", read.token, read.secret)

    def content(self, message: Message, now_s: float) -> dict[str, Any]:
        """A card in the colour of the severity."""
        title = {"tag": "plain_text", "content": cut(message.title or message.message_id, TITLE_BYTES)}
        words = {"tag": "markdown", "content": self.words(message)}
        card = {
            "config": {"wide_screen_mode": True},
            "header": {"template": _COLOURS.get(message.severity, "blue"), "title": title},
            "elements": [words],
        }
        signed = {} if self._secret is None else signature(self._secret, int(now_s))
        return {**signed, "msg_type": "interactive", "card": card}

    def mentioning_nobody(self, text: str) -> str:
        """The text, in which data that reads like the mention of a member is none."""
        return _MENTION.sub("< ", text)


def signature(secret: str, now_s: int) -> dict[str, str]:
    """``timestamp`` and ``sign`` of a robot's message: HMAC-SHA-256 of nothing, with the time in seconds and the secret as its key."""
    signed = hmac.digest(f"{now_s}\n{secret}".encode(), b"", "sha256")
    return {"timestamp": str(now_s), "sign": base64.b64encode(signed).decode()}
