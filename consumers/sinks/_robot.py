"""What the robots of group chats (WeCom, DingTalk, Feishu) have in common: a message in Markdown is posted, and a code in a small JSON says what came of it."""

from __future__ import annotations

import re
import time
from abc import abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar

import orjson

from consumers.messages.message import Message
from consumers.sinks._fitting import fitted, json_bytes, words_of
from consumers.sinks._https import Answer, HttpsClient
from consumers.sinks._options import Reach
from consumers.sinks._public import is_this_machine
from streams.errors import AskedToWait, BadInput, NotTaken, Unavailable
from streams.words.shown import shown

ANSWER_BYTES = 16_384
"""Longer is no answer of a robot."""
_HEADERS = {"content-type": "application/json; charset=utf-8"}
_SAID_CHARACTERS = 160
_KEY = re.compile(r"[A-Za-z0-9_.~-]+")


class RobotOptions(Reach, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """``base_url``: where the platform is, if not at its public address: a private deployment (with ``private: true``), or this machine, for tests."""

    base_url: str = ""


class Robot:
    """Posts messages to a group's robot, at most as many as the platform allows; above that a digest stands for many.

    ``titled``: the words begin with the title; ``line_end``: what ends a line. ``code_names``: where the answer has its code, 0 if the message is taken, ``said_name``: and its words. ``too_fast``: codes that ask to wait, and
    how many seconds. ``not_taken``: codes that are about this message. ``to_mend``: codes that are about the settings, and what to do.
    """

    limits: tuple[tuple[int, float], ...]
    folds = True
    takes_digests = takes_alerts = True
    platform_url: ClassVar[str]
    most_bytes: ClassVar[int]
    titled: ClassVar[bool] = True
    line_end: ClassVar[str] = "\n"
    code_names: ClassVar[tuple[str, ...]] = ("errcode",)
    said_name: ClassVar[str] = "errmsg"
    too_fast: ClassVar[Mapping[int, float]]
    not_taken: ClassVar[frozenset[int]]
    to_mend: ClassVar[Mapping[int, str]]

    def __init__(self, name: str, options: RobotOptions, path: str, *secrets: str | None) -> None:
        self.name, self.real = name, options.real
        if not (secrets[0] and _KEY.fullmatch(secrets[0])):
            raise BadInput(f"sink {name}: key or token is no robot's: it is the last part of the robot's address, of letters, digits and dashes")
        self._secrets = [secret for secret in secrets if secret]
        base_url = (options.base_url or self.platform_url).rstrip("/")
        self._client = HttpsClient(name, base_url + path, options, option="base_url")
        if options.base_url and not options.private and not is_this_machine(self._client.host):
            self.close()
            raise BadInput(f"sink {name}: base_url is another address than {self.platform_url}; set private: true if the platform is deployed there")

    @abstractmethod
    def content(self, message: Message, now_s: float) -> dict[str, Any]:
        """The body to post for a message."""

    def query(self, now_s: float) -> dict[str, str]:
        """What is added to the address."""
        return {}

    def words(self, message: Message) -> str:
        """What is said of a message, in the Markdown of the platform and no longer than it takes."""
        return fitted(self._all_words(message), self.most_bytes, self.line_end)

    def fits(self, message: Message) -> bool:
        """Whether the platform takes all that is said of a message."""
        return json_bytes(self._all_words(message).replace("\n", self.line_end)) <= self.most_bytes

    def _all_words(self, message: Message) -> str:
        return self.mentioning_nobody(words_of(message, message.markdown, titled=self.titled))

    def mentioning_nobody(self, text: str) -> str:
        """The text, in which data that reads like the mention of a member is none."""
        return text

    def deliver(self, message: Message) -> str:
        """Post one message; the status and the code. ``AskedToWait`` where the robot's budget is used up, ``NotTaken`` where it does not take this one, else ``Unavailable``."""
        now_s = time.time()
        answer = self._client.post(orjson.dumps(self.content(message, now_s)), _HEADERS, self.query(now_s), ANSWER_BYTES)
        code, said = self._answered(answer)
        if code is not None:
            self._check_code(code, said)
        status = self._client.check_taken(answer)
        if code != 0:
            raise Unavailable(f"{self._client.where} answered {answer.status}, but not as this platform's robots do")
        return f"{status}, code {code}"

    def _answered(self, answer: Answer) -> tuple[int | None, str]:
        """The code and the words of an answer; no code where it is none of a robot."""
        try:
            read = orjson.loads(answer.body)
        except orjson.JSONDecodeError:
            return None, ""
        if not isinstance(read, dict):
            return None, ""
        code = next((read[name] for name in self.code_names if type(read.get(name)) is int), None)
        said = shown(read.get(self.said_name, ""))
        for secret in self._secrets:
            said = said.replace(secret, "…")
        return code, said[:_SAID_CHARACTERS]

    def _check_code(self, code: int, said: str) -> None:
        answered = f"{self._client.where} answered code {code} ({said})"
        if code in self.too_fast:
            raise AskedToWait(f"{answered}: too many messages, waiting {self.too_fast[code]:.0f} s", self.too_fast[code])
        if code in self.not_taken:
            raise NotTaken(f"{answered}: it does not take this message")
        if code in self.to_mend:
            raise Unavailable(f"{answered}: {self.to_mend[code]}")
        if code != 0:
            raise Unavailable(answered)

    def flush(self) -> None:
        """Nothing is held back."""

    def give_up(self) -> None:
        """End a delivery that is under way, from any thread; what was not delivered will be."""
        self._client.give_up()

    def close(self) -> None:
        """Give the connections back."""
        self._client.close()
