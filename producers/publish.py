"""The only Kafka writer of the producers: key, acknowledgement, idempotence, back-pressure and pace.

    made-up or recorded traffic ──▶ courier.gps.v1, courier.scan.v1, courier.heartbeat.v1

What time it is in the traffic goes to each partition of heartbeats.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from contextlib import suppress
from typing import Any

import msgspec
from kafka import KafkaProducer
from kafka.errors import KafkaError
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from producers.faults import Sent
from streams.errors import Unavailable
from streams.process.kafka_login import client_options
from streams.process.stopping import stopping
from streams.wire.events import CLOCK_SUBJECT, Heartbeat
from streams.wire.topics import ANSWERS_WITHIN_MS, GPS, HEARTBEAT, SCAN

TOPICS = {"gps": GPS.name, "scan": SCAN.name, "heartbeat": HEARTBEAT.name}
CLOSE_S = 10.0
INTERRUPTED_CLOSE_S = 1.0
"""How long the last acknowledgements may take: after everything was sent, and after an interruption."""


CLOCK_EVERY_S = 5.0
"""So often do producers say what time it is, so that time goes on where nothing else comes (semantics 1)."""


class Pace:
    """When a record is due on the wall clock: simulated time runs ``speedup`` times as fast, from a start both share (0: the first time that is known)."""

    def __init__(self, start_event_ms: int, speedup: float) -> None:
        self.start_event_ms = start_event_ms
        self.speedup = speedup
        self.started_s = time.monotonic()

    def ahead_s(self, event_time_ms: int) -> float:
        """Seconds until that event time comes; negative when behind."""
        if not self.start_event_ms:
            self.start_event_ms, self.started_s = event_time_ms, time.monotonic()
        return (event_time_ms - self.start_event_ms) / 1000 / self.speedup - (time.monotonic() - self.started_s)

    def time_ms(self) -> int:
        """What time it is in the traffic."""
        return self.start_event_ms + round((time.monotonic() - self.started_s) * self.speedup * 1000)


class RatePace(Pace):
    """So many records a second, whatever their event times; 0: as fast as they go."""

    def __init__(self, rate: float) -> None:
        super().__init__(0, 1.0)
        self.rate = rate
        self._sent = 0

    def ahead_s(self, event_time_ms: int) -> float:
        """Seconds until the next record's turn."""
        self._sent += 1
        return self._sent / self.rate - (time.monotonic() - self.started_s) if self.rate and self._sent % 16 == 0 else 0.0

    def time_ms(self) -> int:
        """Nobody knows but from the records."""
        return 0


class ClockBeats:
    """Heartbeats of subject ``clock``: what time it is in the traffic, to every partition of heartbeats."""

    def __init__(self, producer: KafkaProducer, failures: list[Any], *, synthetic: bool) -> None:
        self.producer, self.failures, self.synthetic = producer, failures, synthetic
        self.reached_ms = 0
        self._sent_s = time.monotonic()

    def reach(self, event_time_ms: int) -> None:
        """So late is it in the traffic."""
        self.reached_ms = max(self.reached_ms, event_time_ms)
        if time.monotonic() - self._sent_s > CLOCK_EVERY_S:
            self.send()

    def send(self) -> None:
        """Say so."""
        self._sent_s = time.monotonic()
        if not self.reached_ms:
            return
        value = msgspec.json.encode(Heartbeat(self.reached_ms, CLOCK_SUBJECT, f"clock-{self.reached_ms}", synthetic=self.synthetic))
        for number in self.producer.partitions_for(HEARTBEAT.name) or ():
            self.producer.send(HEARTBEAT.name, value, CLOCK_SUBJECT.encode(), partition=number).add_errback(self.failures.append)


def publish(bootstrap: str, records: Iterable[Sent], pace: Pace, *, synthetic: bool = False, total: int | None = None, quiet: bool = False) -> dict[str, int]:
    """Send records when they are due, and what time it is, and wait for every acknowledgement; returns the numbers sent by kind.

    ``synthetic``: of the records' kind, which the clock's heartbeats share. Raises ``Unavailable`` when Kafka does not answer or refuses a record.
    """
    try:
        producer = KafkaProducer(bootstrap_servers=bootstrap, acks="all", enable_idempotence=True, linger_ms=10, compression_type="lz4", bootstrap_timeout_ms=ANSWERS_WITHIN_MS, **client_options())
    except (KafkaError, OSError):
        raise Unavailable(f"Kafka at {bootstrap} does not answer; start one with ./yicheng kafka start, or set YICHENG_KAFKA_BOOTSTRAP") from None
    sent = dict.fromkeys(TOPICS, 0)
    failures: list[Any] = []
    clock = ClockBeats(producer, failures, synthetic=synthetic)
    console = Console(stderr=True)
    columns = (TextColumn("{task.description}", markup=False), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    try:
        with Progress(*columns, console=console, disable=quiet or not console.is_terminal) as progress:
            task = progress.add_task("records", total=total)
            for number, (due, kind, key, value) in enumerate(records):
                while (ahead_s := pace.ahead_s(due)) > 0.002:
                    time.sleep(min(ahead_s, CLOCK_EVERY_S))
                    clock.reach(min(pace.time_ms(), due))
                clock.reach(due)
                producer.send(TOPICS[kind], value, key.encode()).add_errback(failures.append)
                sent[kind] += 1
                if number % 500 == 0:
                    progress.update(task, completed=number)
                    if failures:
                        break
            progress.update(task, completed=sum(sent.values()))
        clock.send()
        producer.flush(60)
    except KafkaError as error:
        raise Unavailable(f"Kafka at {bootstrap} refused a record: {error}") from None
    finally:
        with suppress(KafkaError):  # what it could not send is told by what led here
            producer.close(timeout=INTERRUPTED_CLOSE_S if stopping.asked.is_set() else CLOSE_S)
    if failures:
        raise Unavailable(f"Kafka at {bootstrap} refused a record: {failures[0]}")
    return sent
