"""The apprise sink: mail, and whatever else apprise knows, by one apprise URL (``mailtos://user:password@mail.example/?to=duty@police.example``).

Apprise runs in a process of its own that is killed when it takes too long, since neither a look-up that hangs nor a server that drips can be ended otherwise.
"""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import orjson

from consumers.messages.message import Message
from consumers.sinks._fitting import words_of
from consumers.sinks._https import trusting
from consumers.sinks._options import Reach, read_options
from streams.errors import BadInput, Unavailable

TIMEOUT_S = 30.0
"""For all of a message: connecting, keys, and sending it to everybody whom the URL names."""
STARTED_WITHIN_S = 60.0
"""Importing apprise takes a second, and more where the machine is busy."""
_PROGRAM = Path(__file__).with_name("_apprise_process.py")
_WRONG = {
    "unknown": "url is none that apprise knows; see https://github.com/caronc/apprise/wiki",
    "plain": "url is not encrypted, or does not verify certificates; incidents name vehicles, and go unencrypted to this machine only",
    "private": "url is a private address; set private: true if it is meant (link-local ones never are)",
    "hosts": "the host of url is none of hosts",
}
_NOT_REACHED = {"private": "its name stands for addresses that are not public", "hosts": "it looks up a host that is none of hosts"}
_TYPES = {"violation": "failure", "warning": "warning"}


class AppriseOptions(Reach, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """``url``: an apprise URL. ``hosts``: the only hosts that anything in it may look up, also those of the service that it names."""

    url: str


class AppriseSink:
    """Hands messages to apprise, which says only whether all went well; so whatever fails is tried again."""

    limits: tuple[tuple[int, float], ...] = ()
    """As the service wants; none for mail."""
    folds = True
    takes_digests = takes_alerts = True

    def __init__(self, name: str, options: Mapping[str, object]) -> None:
        read = read_options(name, AppriseOptions, options)
        self.name, self.real = name, read.real
        scheme = re.match(r"[a-z0-9]+(?=://)", read.url.lower())
        self.where = f"sink {name}: apprise {scheme[0] if scheme else ''}".rstrip()
        trusting(name, read.ca_file)  # as the process will
        self._first = {"url": read.url, "ca_file": read.ca_file, "private": read.private, "hosts": read.hosts}
        self._lock = threading.Lock()
        self._given_up = False
        self._process: subprocess.Popen[bytes] | None = None
        self._start()

    def deliver(self, message: Message) -> None:
        """Send one message. ``Unavailable`` where it did not go to all, within the limit."""
        if self._process is None:
            self._start()
        words = {"title": message.title, "body": words_of(message, message.text, titled=False), "type": _TYPES.get(message.severity, "info")}
        taken = self._ask({**words, "timeout_s": TIMEOUT_S}, TIMEOUT_S)
        if isinstance(taken, str):
            raise Unavailable(f"{self.where}: {_NOT_REACHED[taken]}")
        if not taken:
            raise Unavailable(f"{self.where} did not take the message; apprise does not say why")

    def _start(self) -> None:
        """Start the process; ``BadInput`` where apprise knows no such URL, or the sink may not reach what it names."""
        with self._lock:
            if self._given_up:
                raise Unavailable(f"{self.where}: given up, as the notifier stops")
            self._socket, others = socket.socketpair()
            with others:
                self._process = subprocess.Popen(
                    [sys.executable, "-P", str(_PROGRAM)],
                    stdin=others.fileno(),
                    stdout=others.fileno(),
                    stderr=subprocess.DEVNULL,
                    env=_environment(),
                )
        said = self._ask(self._first, STARTED_WITHIN_S)
        if "wrong" in said:
            self._end()
            raise BadInput(f"sink {self.name}: {_WRONG[said['wrong']]}")
        self.limits = ((1, said["apart_s"]),) if said["apart_s"] else ()

    def _ask(self, request: Mapping[str, Any], timeout_s: float) -> Any:
        """What the process answers; where it does not, it is ended."""
        deadline_s = time.monotonic() + timeout_s
        answered = b""
        with suppress(OSError):
            self._socket.settimeout(timeout_s)
            self._socket.sendall(orjson.dumps(request) + b"\n")
            while not answered.endswith(b"\n") and (left_s := deadline_s - time.monotonic()) > 0:
                self._socket.settimeout(left_s)
                if not (more := self._socket.recv(100)):
                    break
                answered += more
        if answered.endswith(b"\n"):
            return orjson.loads(answered)
        self._end()
        if self._given_up:
            raise Unavailable(f"{self.where}: given up, as the notifier stops")
        late = time.monotonic() >= deadline_s - 0.1  # the process ends itself, too, when it is late
        raise Unavailable(f"{self.where} {f'took longer than {timeout_s:.0f} s' if late else 'ended in the middle of a message'}")

    def _end(self) -> None:
        with self._lock:
            if self._process is not None:
                self._process.kill()
                self._process.wait()
                self._socket.close()
                self._process = None

    def fits(self, message: Message) -> bool:
        """There is room for any."""
        return True

    def flush(self) -> None:
        """Nothing is held back."""

    def give_up(self) -> None:
        """End a delivery that is under way, from any thread; what was not delivered will be."""
        self._given_up = True
        with self._lock:
            if self._process is not None:
                self._process.kill()

    def close(self) -> None:
        """End the process."""
        self._end()


def _environment() -> dict[str, str]:
    """The environment without proxies, password files and our own secrets."""
    kept = {name: value for name, value in os.environ.items() if not name.lower().endswith("_proxy") and not name.startswith("YICHENG_")}
    return {**kept, "NETRC": os.devnull}
