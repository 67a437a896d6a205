"""Prometheus beside ``yicheng up``: the rules of ``deploy/prometheus`` over the processes of this run."""

from __future__ import annotations

import shutil
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import orjson
import requests
import yaml

from deploy import leash
from deploy.debian import command_for
from deploy.ports import free_port
from deploy.up.supervisor import ANSWERS_WITHIN_S, HTTP, kill
from deploy.waiting import until
from streams.errors import Unavailable

PROGRAM = "prometheus"
PROMETHEUS_PORT = 9090
RULES = Path(__file__).parents[1] / "prometheus"
READY_WITHIN_S = 20.0
SCRAPED_EVERY_S = 2
"""A run may be short."""
AGAIN_AFTER_S = 10.0
"""Where it ends, it is started again; so long after its last start at the soonest."""
WORKERS, NOTIFIERS, CONSOLES = "yicheng-worker", "yicheng-notifier", "yicheng-console"
"""The jobs that the rules know."""


def available() -> bool:
    """Whether Prometheus is installed."""
    return shutil.which(PROGRAM) is not None


def need_prometheus() -> None:
    """``Unavailable`` where it is not installed, with the command that installs it."""
    if not available():
        raise Unavailable(f"Prometheus is not installed; on Debian: {command_for(PROGRAM)}. Without --monitoring it is left out")


class Prometheus:
    """One Prometheus with its data in a folder; it finds processes by a file, which is written again when their ports change."""

    def __init__(
        self, folder: Path, wanted_port: int = PROMETHEUS_PORT, rules: Path = RULES, alertmanager_port: int | None = None, scraped_every_s: int = SCRAPED_EVERY_S,
        flags: Sequence[str] = (), say: Callable[[str], None] = print,
    ) -> None:
        self.folder = folder
        self.wanted_port = wanted_port
        self.rules = rules
        self.alertmanager_port = alertmanager_port
        self.scraped_every_s = scraped_every_s
        self.flags = flags
        self.port = 0
        self.process: subprocess.Popen[bytes] | None = None
        self.say = say
        self._targets: dict[str, list[int]] = {}
        self._launched_s = 0.0

    @property
    def log(self) -> Path:
        """What it says of itself."""
        return self.folder / "prometheus.log"

    @property
    def url(self) -> str:
        """Its address."""
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Start it, after ``watch``; ``Unavailable`` where it is not installed or does not become ready."""
        need_prometheus()
        self.port = free_port(self.wanted_port)
        (self.folder / "prometheus.yml").write_text(yaml.safe_dump(self._configuration(), allow_unicode=True), "utf-8")
        self._launch()
        if not until(self.ready, within_s=READY_WITHIN_S, every_s=0.1):
            self.stop(0.0)
            raise Unavailable(f"Prometheus is not ready after {READY_WITHIN_S:.0f} s; its log is {self.log}")

    def started(self, *, insisted: bool) -> bool:
        """Start it; where that fails and nobody insists on it, say so, and that it is left out."""
        try:
            self.start()
        except Unavailable as error:
            if insisted:
                raise
            self.say(f"going on without Prometheus 不启用 Prometheus: {error}")
            return False
        return True

    def _launch(self) -> None:
        self._launched_s = time.monotonic()
        with self.log.open("ab") as log:
            self.process = leash.start(self._command(), stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT)

    def launch_if_dead(self) -> None:
        """Start it again where it has ended, at its address, and say so."""
        if self.process is not None and self.process.poll() is not None and time.monotonic() > self._launched_s + AGAIN_AFTER_S:
            self.say(f"Prometheus has ended and is started again 已重新启动; its log is {self.log}")
            self._launch()

    def _command(self) -> list[str]:
        return [
            PROGRAM, f"--config.file={self.folder / 'prometheus.yml'}", f"--storage.tsdb.path={self.folder / 'data'}", "--storage.tsdb.retention.time=30d",
            f"--web.listen-address=127.0.0.1:{self.port}", "--enable-feature=exemplar-storage", "--log.level=warn", *self.flags,
        ]  # fmt: skip

    def _configuration(self) -> dict[str, Any]:
        """That of ``deploy/prometheus``, with the addresses of this machine."""
        known = yaml.safe_load((RULES / "prometheus.yml").read_text("utf-8"))
        jobs = [{"job_name": job, "file_sd_configs": [{"files": [str(self.folder / f"{job}.json")]}]} for job in (WORKERS, NOTIFIERS, CONSOLES)]
        alertmanagers = [{"static_configs": [{"targets": [f"127.0.0.1:{self.alertmanager_port}"]}]}] if self.alertmanager_port else []
        every = f"{self.scraped_every_s}s"
        return {
            "global": {**known["global"], "scrape_interval": every, "scrape_timeout": every, "evaluation_interval": every},
            "rule_files": [str(self.rules / name) for name in known["rule_files"]],
            "scrape_configs": jobs,
            "alerting": {"alertmanagers": alertmanagers},
        }

    def watch(self, ports: Mapping[str, Sequence[int]]) -> None:
        """Which ports of this machine each job has."""
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        for job, found in ports.items():
            if self._targets.get(job) != list(found):
                self._targets[job] = list(found)
                new = self.folder / f"{job}.json.new"
                new.write_bytes(orjson.dumps([{"targets": [f"127.0.0.1:{port}" for port in found]}]))
                new.replace(self.folder / f"{job}.json")

    def ready(self) -> bool:
        """Whether it answers."""
        try:
            return HTTP.get(f"{self.url}/-/ready", timeout=ANSWERS_WITHIN_S).ok
        except requests.RequestException:
            return False

    def stop(self, within_s: float) -> None:
        """Ask it to stop, and kill it where it takes longer."""
        if self.process is not None and self.process.poll() is None:
            self.process.terminate()
            with suppress(subprocess.TimeoutExpired):
                self.process.wait(within_s)
            kill([self.process])
