"""The WeCom sink (企业微信群机器人): Markdown to a group, by the key in the robot's address."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar
from urllib.parse import urlencode

from consumers.messages.message import Message
from consumers.sinks._options import read_options
from consumers.sinks._robot import Robot, RobotOptions


class WeComOptions(RobotOptions, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """``key``: what the robot's address has after ``key=``."""

    key: str


class WeComSink(Robot):
    """Posts messages to a WeCom group, twenty a minute at most."""

    limits: tuple[tuple[int, float], ...] = ((20, 60.0),)
    platform_url = "https://qyapi.weixin.qq.com"
    most_bytes = 4_096
    too_fast: ClassVar[Mapping[int, float]] = {45009: 60.0, 45033: 60.0}
    not_taken = frozenset({40008, 40058, 44004, 45002})
    to_mend: ClassVar[Mapping[int, str]] = {
        93000: "key is no robot's; copy it from the robot's address", 93008: "the robot is not in the group any more", 93017: "the robot has been removed from the group"
    }  # fmt: skip

    def __init__(self, name: str, options: Mapping[str, object]) -> None:
        read = read_options(name, WeComOptions, options)
        super().__init__(name, read, f"/cgi-bin/webhook/send?{urlencode({'key': read.key})}", read.key)

    def content(self, message: Message, now_s: float) -> dict[str, Any]:
        """A Markdown message."""
        return {"msgtype": "markdown", "markdown": {"content": self.words(message)}}

    def mentioning_nobody(self, text: str) -> str:
        """The text, in which data that reads like the mention of a member is none."""
        return text.replace("<@", "< @")
