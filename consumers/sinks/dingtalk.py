"""The DingTalk sink (钉钉群自定义机器人): Markdown to a group, signed where the robot's security setting asks for it (加签)."""

from __future__ import annotations

import base64
import hmac
from collections.abc import Mapping
from typing import Any, ClassVar
from urllib.parse import urlencode

from consumers.messages.message import Message
from consumers.sinks._fitting import TITLE_BYTES, cut
from consumers.sinks._options import read_options
from consumers.sinks._robot import Robot, RobotOptions

_BLOCKED_S = 600.0
"""So long DingTalk takes nothing more of a robot that sent more than twenty messages within a minute."""


class DingTalkOptions(RobotOptions, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """``access_token``: what the robot's address has after ``access_token=``. ``secret``: of the setting 加签 (SEC…), where it is chosen."""

    access_token: str
    secret: str | None = None


class DingTalkSink(Robot):
    """Posts messages to a DingTalk group, twenty a minute at most."""

    limits: tuple[tuple[int, float], ...] = ((20, 60.0),)
    platform_url = "https://oapi.dingtalk.com"
    most_bytes = 20_000
    line_end = "\n\n"
    """Of lines with one end between them DingTalk makes one."""
    too_fast: ClassVar[Mapping[int, float]] = {130101: _BLOCKED_S, 410100: _BLOCKED_S, 90030: _BLOCKED_S}
    not_taken = frozenset({40035, 400105, 430101, 430102, 430103, 430104, 460101})
    to_mend: ClassVar[Mapping[int, str]] = {
        310000: "secret is not the robot's, this machine's clock is wrong, its address is not among the robot's, or the text lacks the robot's keyword",
        300001: "access_token is no robot's; copy it from the robot's address", 400101: "access_token is no robot's; copy it from the robot's address",
        400102: "the robot has been switched off", 400106: "the robot does not exist any more", 400013: "the group does not exist any more",
    }  # fmt: skip

    def __init__(self, name: str, options: Mapping[str, object]) -> None:
        read = read_options(name, DingTalkOptions, options)
        self._secret = read.secret
        super().__init__(name, read, f"/robot/send?{urlencode({'access_token': read.access_token})}", read.access_token, read.secret)

    def content(self, message: Message, now_s: float) -> dict[str, Any]:
        """A Markdown message; it mentions nobody."""
        title = cut(message.title or message.message_id, TITLE_BYTES)
        return {"msgtype": "markdown", "markdown": {"title": title, "text": self.words(message)}, "at": {"isAtAll": False}}

    def query(self, now_s: float) -> dict[str, str]:
        """The time, and its signature."""
        return {} if self._secret is None else signature(self._secret, int(now_s * 1000))


def signature(secret: str, now_ms: int) -> dict[str, str]:
    """``timestamp`` and ``sign`` of a robot's address: HMAC-SHA-256 with the secret, over the time in ms and the secret."""
    signed = hmac.digest(secret.encode(), f"{now_ms}\n{secret}".encode(), "sha256")
    return {"timestamp": str(now_ms), "sign": base64.b64encode(signed).decode()}
