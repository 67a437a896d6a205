"""The only Kafka writer of the producers: key, acknowledgement, idempotence, back-pressure and pace."""

from __future__ import annotations

import time
from collections.abc import Iterable
from contextlib import suppress
from typing import Any

from kafka import KafkaProducer
from kafka.errors import KafkaError
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from producers.faults import Sent
from streams.errors import Unavailable
from streams.stopping import stopping
from streams.topics import GPS, HEARTBEAT, SCAN

TOPICS = {"gps": GPS.name, "scan": SCAN.name, "heartbeat": HEARTBEAT.name}
CLOSE_S = 10.0
INTERRUPTED_CLOSE_S = 1.0
"""How long the last acknowledgements may take: after everything was sent, and after an interruption."""


class Pace:
    """When a record is due on the wall clock: simulated time runs ``speedup`` times as fast, from a start both share."""

    def __init__(self, start_event_ms: int, speedup: float) -> None:
        self.start_event_ms = start_event_ms
        self.speedup = speedup
        self.started_s = time.monotonic()

    def wait_until(self, event_time_ms: int) -> None:
        """Sleep until that event time has come; returns at once when behind."""
        ahead_s = (event_time_ms - self.start_event_ms) / 1000 / self.speedup - (time.monotonic() - self.started_s)
        if ahead_s > 0.002:
            time.sleep(ahead_s)


class RatePace(Pace):
    """So many records a second, whatever their event times; 0: as fast as they go."""

    def __init__(self, rate: float) -> None:
        super().__init__(0, 1.0)
        self.rate = rate
        self._sent = 0

    def wait_until(self, event_time_ms: int) -> None:
        """Sleep until the next record's turn."""
        self._sent += 1
        if self.rate and self._sent % 16 == 0:
            ahead_s = self._sent / self.rate - (time.monotonic() - self.started_s)
            if ahead_s > 0:
                time.sleep(ahead_s)


def publish(bootstrap: str, records: Iterable[Sent], pace: Pace, *, total: int | None = None, quiet: bool = False) -> dict[str, int]:
    """Send records when they are due and wait for every acknowledgement; returns the numbers sent by kind.

    Raises ``Unavailable`` when Kafka does not answer or refuses a record.
    """
    try:
        producer = KafkaProducer(bootstrap_servers=bootstrap, acks="all", enable_idempotence=True, linger_ms=10, compression_type="lz4")
    except (KafkaError, OSError):
        raise Unavailable(f"Kafka at {bootstrap} does not answer; start one with ./yicheng kafka start, or set YICHENG_KAFKA_BOOTSTRAP") from None
    sent = dict.fromkeys(TOPICS, 0)
    failures: list[Any] = []
    console = Console(stderr=True)
    columns = (TextColumn("{task.description}", markup=False), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    try:
        with Progress(*columns, console=console, disable=quiet or not console.is_terminal) as progress:
            task = progress.add_task("records", total=total)
            for number, (due, kind, key, value) in enumerate(records):
                pace.wait_until(due)
                producer.send(TOPICS[kind], value, key.encode()).add_errback(failures.append)
                sent[kind] += 1
                if number % 500 == 0:
                    progress.update(task, completed=number)
                    if failures:
                        break
            progress.update(task, completed=sum(sent.values()))
        producer.flush(60)
    except KafkaError as error:
        raise Unavailable(f"Kafka at {bootstrap} refused a record: {error}") from None
    finally:
        with suppress(KafkaError):  # what it could not send is told by what led here
            producer.close(timeout=INTERRUPTED_CLOSE_S if stopping.asked.is_set() else CLOSE_S)
    if failures:
        raise Unavailable(f"Kafka at {bootstrap} refused a record: {failures[0]}")
    return sent
