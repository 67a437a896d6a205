"""The processes of ``yicheng up``: started with a log and a metrics port each, started again when they die, stopped within a limited time."""

from __future__ import annotations

import contextlib
import subprocess
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import msgspec
import requests

from deploy import leash
from deploy.children import python_command
from deploy.ports import free_port
from streams.errors import BadInput, LostState, YichengError

MOST_RESTARTS = 5
NEVER_AGAIN = {BadInput.exit_code, LostState.exit_code}
"""A process that ends so says what is to be done first; started again it would say the same."""
READY_TIMEOUT_S = 60.0
ANSWERS_WITHIN_S = 2.0
GONE_S = 1.0
"""So long after SIGKILL a process may still be there: the kernel takes its memory back first."""
HTTP = requests.Session()
HTTP.trust_env = False  # a proxy is no way to this machine


class Process(msgspec.Struct):
    """A child process: how to start it again, and how often that was needed."""

    name: str
    arguments: list[str]
    environment: dict[str, str]
    log: Path
    wanted_port: int
    port: int = 0
    child: Any = None
    restarts: int = 0

    @property
    def running(self) -> bool:
        """Whether it was started and has not ended."""
        return self.child is not None and self.child.poll() is None

    def launch(self) -> None:
        """Start it, now or again, with its metrics at the wanted port or a free one; what it prints goes to the end of its log."""
        self.port = free_port(self.wanted_port)
        environment = {**self.environment, "YICHENG_METRICS_PORT": str(self.port)}
        with self.log.open("ab") as log:
            command = python_command("-m", "deploy.cli", *self.arguments)
            self.child = leash.start(command, env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT)

    def launch_if_dead(self) -> None:
        """A process that died is started again and goes on from its last checkpoint.

        ``YichengError`` where that happens too often, or where somebody must do something first.
        """
        if not self.running:
            if self.child is not None and self.child.returncode in NEVER_AGAIN:
                raise YichengError(f"{self.name} cannot go on: {self.last_words()}")
            self.restarts += 1
            if self.restarts > MOST_RESTARTS:
                raise YichengError(f"{self.name} died {self.restarts} times; its log is {self.log}")
            self.launch()

    def last_words(self) -> str:
        """The last line of its log, as text."""
        lines = self.log.read_text("utf-8", errors="replace").strip().splitlines() or [f"its log is {self.log}"]
        try:
            return str(msgspec.json.decode(lines[-1])["event"])
        except (msgspec.DecodeError, KeyError, TypeError):
            return lines[-1].removeprefix("yicheng: ")

    def page(self, name: str) -> str:
        """The address of one of its pages: metrics, healthz, readyz."""
        return f"http://127.0.0.1:{self.port}/{name}"

    def get(self, name: str) -> str | None:
        """What one of its pages says; None where it does not answer, or with an error, as ``readyz`` does until it is ready."""
        try:
            answer = HTTP.get(self.page(name), timeout=ANSWERS_WITHIN_S)
        except requests.RequestException:
            return None
        return answer.content.decode() if answer.ok else None


def stop(processes: Iterable[Process | None], within_s: float) -> None:
    """Ask all of them together to stop, and kill those that still run after so long."""
    running = [process.child for process in processes if process is not None and process.running]
    deadline = time.monotonic() + within_s
    for child in running:
        child.terminate()
    for child in running:
        with contextlib.suppress(subprocess.TimeoutExpired):
            child.wait(max(0.0, deadline - time.monotonic()))
    kill(running)


def kill(children: Iterable[subprocess.Popen[bytes] | None]) -> None:
    """End them at once, suspended or not, and wait until they are gone."""
    running = [child for child in children if child is not None and child.poll() is None]
    for child in running:
        child.kill()
    for child in running:
        with contextlib.suppress(subprocess.TimeoutExpired):
            child.wait(GONE_S)

