"""How far a run of ``up`` has come: what the workers' metrics say, and the incidents that reached its file."""

from __future__ import annotations

import time
from collections import Counter, deque
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import msgspec
import orjson
from prometheus_client.parser import text_string_to_metric_families

from deploy.up.supervisor import Process
from streams.counts import CITY_WIDE
from streams.words.shown import shown

LATEST_SHOWN = 6
RATES_KEPT = 8
RATIOS = {"courier_electronic_waybill_ratio": "electronic_waybill", "courier_green_packaging_ratio": "green_packaging"}


class Reading(msgspec.Struct):
    """What the processes' metrics say now, summed over the workers."""

    fixes: Counter[str] = msgspec.field(default_factory=Counter)
    scans: int = 0
    lag: int = 0
    open: Counter[str] = msgspec.field(default_factory=Counter)
    opened: Counter[str] = msgspec.field(default_factory=Counter)
    ratios: dict[str, float] = msgspec.field(default_factory=dict)

    def add(self, name: str, labels: dict[str, str], value: float) -> None:
        """Take one sample of one worker into account."""
        if name == "courier_fixes_total":
            self.fixes[labels["outcome"]] += int(value)
        elif name == "courier_scans_total":
            self.scans += int(value)
        elif name == "courier_consumer_lag":
            self.lag += int(value)
        elif name == "courier_incidents_total" and labels["transition"] == "opened":
            self.opened[labels["rule"]] += int(value)
        elif name == "courier_incidents_open":
            self.open[labels["rule"]] += int(value)
        elif name in RATIOS and labels["enterprise"] == CITY_WIDE:
            self.ratios[RATIOS[name]] = value


def is_delivered(notifier: Process) -> bool:
    """Whether nothing waits for the file of incidents any more."""
    families = text_string_to_metric_families(notifier.get("metrics") or "")
    waiting = [sample.value for family in families for sample in family.samples if sample.name == "courier_outbox_pending" and sample.labels["sink"] == "file"]
    return waiting == [0.0]


class Progress:
    """``reading``: the metrics as last read; ``latest``: the newest incidents in words; ``first_incident_s``: after the command."""

    def __init__(self, sink: Path) -> None:
        self.sink = sink
        self.reading = Reading()
        self.latest: deque[str] = deque(maxlen=LATEST_SHOWN)
        self.first_incident_s: float | None = None
        self._started_s = time.monotonic()
        self._sink_read = 0
        self._rates = deque[tuple[float, int]](maxlen=RATES_KEPT)

    @property
    def elapsed_s(self) -> float:
        """Seconds since the command."""
        return time.monotonic() - self._started_s

    @property
    def fixes_per_second(self) -> float:
        """Over the last readings."""
        if len(self._rates) < 2 or self._rates[-1][0] == self._rates[0][0]:
            return 0.0
        return (self._rates[-1][1] - self._rates[0][1]) / (self._rates[-1][0] - self._rates[0][0])

    def read(self, workers: Iterable[Process]) -> None:
        """Read the workers' metrics and the incidents file."""
        reading = Reading()
        for worker in workers:
            for family in text_string_to_metric_families(worker.get("metrics") or ""):
                for sample in family.samples:
                    reading.add(sample.name, sample.labels, sample.value)
        self.reading = reading
        self._rates.append((time.monotonic(), reading.fixes.total()))
        self.read_sink()

    def read_sink(self) -> None:
        """Put the newest incidents into words."""
        if not self.sink.exists():
            return
        with self.sink.open("rb") as file:
            file.seek(self._sink_read)
            for line in file:
                if not line.endswith(b"\n"):
                    break
                self._sink_read += len(line)
                self._note(orjson.loads(line))

    def _note(self, event: dict[str, Any]) -> None:
        if not event["type"].startswith("yicheng.incident."):
            return
        if self.first_incident_s is None:
            self.first_incident_s = self.elapsed_s
        if event["type"].endswith("opened.v1"):
            data = event["data"]
            self.latest.append(shown(f"{time.strftime('%H:%M:%S')}  {data.get('reason_zh')} · {data.get('reason_en')}  [{data.get('clause')}]"))
