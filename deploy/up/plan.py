"""What ``yicheng up`` is to run: its options, and what follows from them for the registry and the producer."""

from __future__ import annotations

from pathlib import Path

import msgspec

from deploy.broker import KAFKA_PORT
from deploy.up.monitoring import PROMETHEUS_PORT
from producers.traffic import SAMPLE_VEHICLES, write_sample_registry
from streams.policy.policy import Policy


class UpPlan(msgspec.Struct):
    """What to run.

    ``monitoring``: with Prometheus, without, or as it is installed or not (None); ``live_map``: with the console, ``open_map``: in a browser;
    ``stay``: all stays up after the traffic has ended, until somebody stops it.
    """

    policy: Policy
    policy_source: str
    rate: float
    duration_ms: int
    seed: int
    speedup: float
    full_day: bool
    inputs: list[Path]
    registry_file: Path | None
    workers: int
    faults: str
    keep: bool
    wipe: bool
    kafka_port: int = KAFKA_PORT
    monitoring: bool | None = None
    prometheus_port: int = PROMETHEUS_PORT
    encoding: str | None = None
    columns: Path | None = None
    live_map: bool = True
    open_map: bool = False
    stay: bool = False

    def registry_in(self, folder: Path) -> Path | None:
        """The registry given; the sample; or none, where recorded traffic is judged by a pack of one's own."""
        if self.registry_file or self.inputs:
            return self.registry_file
        path = folder / f"registry-{self.policy.name}.jsonl"
        if not path.exists():
            vehicles = round(self.rate * (60 if self.full_day else 10) / self.speedup * 1.4)
            write_sample_registry(self.policy, max(SAMPLE_VEHICLES, vehicles), self.seed, path)
        return path

    def traffic(self, registry_file: Path | None, truth_file: Path) -> list[str]:
        """The command line of the producer."""
        return [*(self._replayed() if self.inputs or registry_file is None else self._made_up(registry_file)), "--truth", str(truth_file), "--quiet"]

    def _replayed(self) -> list[str]:
        rate = ["--rate", str(self.rate)] if self.rate else []
        how = [*(["--encoding", self.encoding] if self.encoding else []), *(["--columns", str(self.columns)] if self.columns else [])]
        return ["produce", "replay", *map(str, self.inputs), *rate, *how]

    def _made_up(self, registry_file: Path) -> list[str]:
        faults = ["--faults", self.faults] if self.faults else []
        day = ["--scenario", "full-day", "--interval", "1m"] if self.full_day else []
        return [
            "produce", "synthetic", "--policy", self.policy_source, "--registry", str(registry_file), "--rate", str(self.rate),
            "--duration", f"{self.duration_ms}ms", "--speedup", str(self.speedup), "--seed", str(self.seed), *faults, *day,
        ]  # fmt: skip
