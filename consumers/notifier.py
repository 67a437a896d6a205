"""The notifier: incidents from Kafka to every sink, at least once.

    courier.incidents.v1 ──▶ decode ──▶ each sink (tried again until it takes the event) ──▶ flush ──▶ commit

Offsets are committed only after all sinks have taken a batch, so a crash repeats events and never loses one; the
CloudEvent's id (incident and revision) tells repeats apart.
"""

from __future__ import annotations

import random
import threading
import time
from contextlib import suppress
from typing import Protocol

import msgspec
import structlog
from kafka import KafkaConsumer
from kafka.errors import KafkaError

from consumers.sinks.file import FileSink
from consumers.sinks.webhook import WebhookSink
from streams import metrics
from streams.decode import NESTED_MOST, Malformed, decoded, depth
from streams.errors import BadInput, Unavailable
from streams.ids import is_id
from streams.logs import configure_logs
from streams.settings import Settings
from streams.stopping import PROCESS_GRACE_S, stopping
from streams.topics import INCIDENTS
from streams.unreadable import passed_over

log = structlog.get_logger()

LONGEST_WAIT_S = 30.0
CLOSE_TIMEOUT_MS = 3_000
"""Leaving the group is a courtesy to the next notifier; a broker that is gone need not hear of it."""


class Sink(Protocol):
    """Where incidents go."""

    name: str
    real: bool

    def deliver(self, event_id: str, body: bytes) -> None:
        """Take one event, or raise ``Unavailable`` (try again) or ``BadInput`` (never)."""

    def flush(self) -> None:
        """Make everything delivered durable."""

    def close(self) -> None:
        """Release what is held."""


def open_sinks(settings: Settings) -> list[Sink]:
    """The sinks that the settings name; ``BadInput`` where there is none or one is configured badly."""
    sinks: list[Sink] = []
    if settings.sink_file:
        sinks.append(FileSink(settings.sink_file))
    if settings.webhook_url:
        if settings.webhook_secret is None:
            raise BadInput("YICHENG_WEBHOOK_URL is set without YICHENG_WEBHOOK_SECRET; webhooks are always signed")
        secret = settings.webhook_secret.get_secret_value()
        sinks.append(WebhookSink(settings.webhook_url.get_secret_value(), secret, real=settings.webhook_real))
    if not sinks:
        raise BadInput("no sink is configured; set YICHENG_SINK_FILE, or YICHENG_WEBHOOK_URL and YICHENG_WEBHOOK_SECRET")
    return sinks


class Data(msgspec.Struct):
    """What the notifier asks of an incident."""

    incident_id: str
    revision: int
    synthetic: bool


class Event(msgspec.Struct):
    """An incident's revision as it is published; sinks get it as it is."""

    id: str
    data: Data


_decode = msgspec.json.Decoder(Event).decode


def read_event(value: bytes | None) -> Event:
    """The event in a record; ``Malformed`` where there is none of ours."""
    if not value:
        raise Malformed("the record is empty")
    event = decoded(value, _decode)
    if not is_id(event.id) or b"\n" in value or b"\r" in value or depth(value) > NESTED_MOST:
        raise Malformed("no incident of ours")
    return event


class Notifier:
    """Delivers until told to stop."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.sinks = open_sinks(settings)
        self.stopping = threading.Event()
        self.joined = False

    def run(self) -> None:
        """Consume, deliver, commit; returns after ``stopping`` is set. ``Unavailable`` where Kafka does not answer at first."""
        consumer = self._connect()
        try:
            while not self.stopping.is_set():
                try:
                    self._step(consumer)
                except (KafkaError, OSError) as error:
                    log.warning("Kafka does not answer, trying again", kafka=self.settings.kafka_bootstrap, error=type(error).__name__)
                    self.joined = False
                    consumer = self._reconnect(consumer)
        finally:
            with suppress(KafkaError, OSError):
                consumer.close(timeout_ms=CLOSE_TIMEOUT_MS)
            for sink in self.sinks:
                try:
                    sink.close()
                except OSError as error:
                    log.error("sink does not close; what it did not take is delivered again", sink=sink.name, error=error.strerror)

    def _connect(self) -> KafkaConsumer:
        try:
            return KafkaConsumer(
                INCIDENTS.name, bootstrap_servers=self.settings.kafka_bootstrap.split(","), group_id=f"{self.settings.group}-notifier",
                auto_offset_reset="earliest", enable_auto_commit=False, session_timeout_ms=10_000, heartbeat_interval_ms=3_000,
            )  # fmt: skip
        except (KafkaError, OSError):
            raise Unavailable(f"Kafka at {self.settings.kafka_bootstrap} does not answer; start it or set YICHENG_KAFKA_BOOTSTRAP") from None

    def _reconnect(self, consumer: KafkaConsumer) -> KafkaConsumer:
        """A fresh consumer, as soon as Kafka answers: it begins after what was committed, and repeats what was not."""
        with suppress(KafkaError, OSError):
            consumer.close(timeout_ms=CLOSE_TIMEOUT_MS)
        while not self.stopping.wait(1.0):
            with suppress(Unavailable):
                return self._connect()
        return consumer

    def _step(self, consumer: KafkaConsumer) -> None:
        batches = consumer.poll(timeout_ms=200)
        self.joined = bool(consumer.assignment())
        for records in batches.values():
            for record in records:
                try:
                    event = read_event(record.value)
                except Malformed as error:
                    passed_over(record.topic, record.partition, record.offset, str(error))
                else:
                    self.deliver(event, record.value)
        if batches and not self.stopping.is_set():
            for sink in self.sinks:
                sink.flush()
            consumer.commit()

    def deliver(self, event: Event, body: bytes) -> None:
        """Hand one event to every sink; a sink that does not answer is tried again, one that refuses is not.

        Synthetic incidents never reach a sink that is real.
        """
        for sink in self.sinks:
            if sink.real and event.data.synthetic:
                metrics.NOTIFICATIONS.labels(sink.name, "synthetic").inc()
                continue
            wait_s = 0.2
            while not self.stopping.is_set():
                started = time.perf_counter()
                try:
                    sink.deliver(event.id, body)
                except Unavailable as error:
                    metrics.NOTIFICATIONS.labels(sink.name, "retried").inc()
                    log.warning("sink does not answer, trying again", sink=sink.name, error=str(error))
                    self.stopping.wait(wait_s * random.uniform(0.5, 1.0))
                    wait_s = min(wait_s * 2, LONGEST_WAIT_S)
                    continue
                except BadInput as error:
                    metrics.NOTIFICATIONS.labels(sink.name, "refused").inc()
                    log.error("sink refused an incident", sink=sink.name, event_id=event.id, error=str(error))
                else:
                    metrics.NOTIFICATIONS.labels(sink.name, "delivered").inc()
                    metrics.NOTIFICATION_SECONDS.labels(sink.name).observe(time.perf_counter() - started)
                break


def _cut_short() -> None:
    log.warning("stopped in the middle of a delivery; what was not committed is delivered again")


def run_notifier(settings: Settings) -> None:
    """Run until asked to stop."""
    configure_logs(settings.log_level)
    notifier = Notifier(settings)
    stopping.when_asked(notifier.stopping.set, PROCESS_GRACE_S, _cut_short, late_code=1)
    metrics.serve(settings.metrics_host, settings.metrics_port or metrics.NOTIFIER_PORT, lambda: notifier.joined)
    notifier.run()
