"""One sink's deliveries: its own consumer, group and thread, so that no sink waits for another.

Read, hand to the sink (again and again until it takes the event), flush, commit. Alerts about the system itself come
between, from the page that Alertmanager posts them to: whether the sink has taken one is said there.
"""

from __future__ import annotations

import queue
import random
import threading
import time
from collections import OrderedDict
from contextlib import closing, suppress
from operator import not_
from typing import Any

import msgspec
import structlog
import tenacity
from kafka import KafkaConsumer, OffsetAndMetadata, TopicPartition
from kafka.errors import CommitFailedError, KafkaError, UnknownMemberIdError

from consumers.incident_events import IncidentEvent, read_event
from consumers.message import Message, Sink
from streams import metrics
from streams.decode import Malformed
from streams.errors import AskedToWait, BadInput, NotTaken, Unavailable
from streams.settings import Settings
from streams.topics import INCIDENTS, METADATA_MAX_AGE_MS
from streams.unreadable import passed_over

log = structlog.get_logger()

FIRST_WAIT_S = 0.2
LONGEST_WAIT_S = 30.0
SESSION_TIMEOUT_MS = 10_000
SETTLED_WITHIN_S = SESSION_TIMEOUT_MS / 1000 + 5
"""A notifier that was killed is still a member of its group, for as long as its session lasts."""
SETTLE_EVERY_S = 0.5
LONGEST_BATCH_MS = 3_600_000
"""A sink that is down holds up a batch; for so long the group does not take the notifier for dead, which would repeat the batch."""
ALERTS_REMEMBERED = 1_000
CLOSE_TIMEOUT_MS = 3_000
"""Leaving the group is a courtesy to the next notifier; a broker that is gone need not hear of it."""


class HandedAlert(msgspec.Struct):
    """An alert on its way from the page to the sink; ``taken`` becomes set when it has it."""

    event_id: str
    body: bytes
    deadline_s: float
    taken: threading.Event


class Delivery:
    """Delivers to one sink until told to stop. ``joined`` says whether it has partitions to read, ``taken`` from which offsets on the sink lacks them."""

    def __init__(self, settings: Settings, sink: Sink) -> None:
        self.settings = settings
        self.sink = sink
        notifiers = f"{settings.group}-notifier"
        self.groups = [notifiers] if sink.name == "file" else [f"{notifiers}-{sink.name}", notifiers]
        self.joined = False
        self.stopping = threading.Event()
        self.takes_alerts = not sink.real
        self.taken: dict[TopicPartition, int] = {}
        self._assigned: set[TopicPartition] = set()
        self._alerts: queue.Queue[HandedAlert] = queue.Queue(ALERTS_REMEMBERED)
        self._alerts_taken: OrderedDict[str, None] = OrderedDict()
        pause = tenacity.sleep_using_event(self.stopping)
        self._insist = tenacity.Retrying(
            retry=tenacity.retry_if_exception_type(Unavailable), wait=_wait_s, stop=tenacity.stop_when_event_set(self.stopping), sleep=pause,
            retry_error_callback=lambda _: None,
        )  # fmt: skip
        self._settle = tenacity.Retrying(
            retry=tenacity.retry_if_result(not_), wait=tenacity.wait_fixed(SETTLE_EVERY_S), stop=tenacity.stop_after_delay(SETTLED_WITHIN_S), sleep=pause,
            retry_error_callback=lambda _: False,
        )  # fmt: skip

    def stop(self) -> None:
        """Deliver nothing more; from any thread."""
        self.stopping.set()
        self.sink.give_up()

    def take_alert(self, event_id: str, body: bytes, deadline_s: float) -> bool:
        """Have the sink take an alert, from any thread, until a deadline (monotonic seconds); whether it did, now or before."""
        alert = HandedAlert(event_id, body, deadline_s, threading.Event())
        with suppress(queue.Full):  # the sink has been taking nothing for long
            self._alerts.put_nowait(alert)
        return alert.taken.wait(max(0.0, deadline_s - time.monotonic()))

    def take_over(self) -> None:
        """Settle where a sink that has never delivered begins; to be called before any sink delivers.

        Where all sinks were when they shared a group (version 0.1), or where the others are now; else at the beginning. It is
        committed at once, so from then on only what the sink has taken counts.
        """
        if len(self.groups) == 1:
            return
        try:
            own, others = (self._consumer(group) for group in self.groups)
            with closing(own), closing(others):
                if not self._settle(self._settled, own, others):
                    raise Unavailable(f"the group {self.groups[0]} is in use by somebody who commits nothing; end that, or set YICHENG_GROUP")
        except (KafkaError, OSError):
            raise self._unreachable() from None

    def _settled(self, own: KafkaConsumer, others: KafkaConsumer) -> bool:
        """Whether the beginning is committed, by an earlier run or now; False where the group does not take it yet."""
        partitions = [TopicPartition(INCIDENTS.name, number) for number in own.partitions_for_topic(INCIDENTS.name) or ()]
        if not partitions or self.stopping.is_set() or any(own.committed(partition) is not None for partition in partitions):
            return True
        start = {**own.beginning_offsets(partitions), **{p: offset for p in partitions if (offset := others.committed(p)) is not None}}
        own.assign(partitions)
        try:
            own.commit({partition: OffsetAndMetadata(offset, "", -1) for partition, offset in start.items()})
        except (CommitFailedError, UnknownMemberIdError):
            return False
        return True

    def run(self) -> None:
        """Consume, deliver, commit; returns after ``stop``. ``Unavailable`` where Kafka does not answer at first."""
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
            try:
                self.sink.close()
            except OSError as error:
                log.error("sink does not close; what it did not take is delivered again", sink=self.sink.name, error=error.strerror)

    def _connect(self) -> KafkaConsumer:
        try:
            consumer = self._consumer(self.groups[0])
            consumer.partitions_for_topic(INCIDENTS.name)  # a member that shares them out before it knows them gives itself none, perhaps for good
            consumer.subscribe([INCIDENTS.name])
            return consumer
        except (KafkaError, OSError):
            raise self._unreachable() from None

    def _unreachable(self) -> Unavailable:
        return Unavailable(f"Kafka at {self.settings.kafka_bootstrap} does not answer; start it or set YICHENG_KAFKA_BOOTSTRAP")

    def _consumer(self, group: str) -> KafkaConsumer:
        return KafkaConsumer(
            bootstrap_servers=self.settings.kafka_bootstrap.split(","), group_id=group,
            auto_offset_reset="earliest", enable_auto_commit=False, session_timeout_ms=SESSION_TIMEOUT_MS, heartbeat_interval_ms=3_000,
            max_poll_interval_ms=LONGEST_BATCH_MS, metadata_max_age_ms=METADATA_MAX_AGE_MS, max_poll_records=100, isolation_level="read_committed",
        )  # fmt: skip

    def _reconnect(self, consumer: KafkaConsumer) -> KafkaConsumer:
        """A fresh consumer, as soon as Kafka answers: it begins after what was committed, and repeats what was not."""
        with suppress(KafkaError, OSError):
            consumer.close(timeout_ms=CLOSE_TIMEOUT_MS)
        while not self.stopping.wait(1.0):
            self._hand_over_alerts()
            with suppress(Unavailable):
                return self._connect()
        return consumer

    def _step(self, consumer: KafkaConsumer) -> None:
        self._hand_over_alerts()
        batches = consumer.poll(timeout_ms=200)
        self._keep_place(consumer, batches)
        for records in batches.values():
            for record in records:
                try:
                    event = read_event(record.value)
                except Malformed as error:
                    self._count("unreadable")
                    passed_over(record.topic, record.partition, record.offset, str(error))
                else:
                    self.deliver(event)
                    self._hand_over_alerts()
                if not self.stopping.is_set():
                    self.taken[TopicPartition(record.topic, record.partition)] = record.offset + 1
        if batches and not self.stopping.is_set():
            self.sink.flush()
            consumer.commit()

    def _keep_place(self, consumer: KafkaConsumer, batches: dict[TopicPartition, list[Any]]) -> None:
        """Commit where newly assigned partitions begin, before anything of them is delivered: a topic may be younger than this process."""
        assigned = consumer.assignment()
        new = {p: batches[p][0].offset if batches.get(p) else consumer.position(p) for p in assigned - self._assigned if consumer.committed(p) is None}
        if new:
            consumer.commit({partition: OffsetAndMetadata(offset, "", -1) for partition, offset in new.items()})
        self._assigned = set(assigned)
        self.joined = bool(assigned)
        self.taken = {p: batches[p][0].offset if batches.get(p) else consumer.position(p) for p in assigned}

    def deliver(self, event: IncidentEvent) -> None:
        """Hand over one event; a sink that does not answer is tried again, one that refuses is not.

        Synthetic incidents never reach a sink that is real.
        """
        if self.sink.real and event.synthetic:
            self._count("synthetic")
        else:
            self._insist(self._hand_over, event)

    def _hand_over_alerts(self) -> None:
        """Hand over the alerts that wait, once each: whoever sent them tries again."""
        while not self._alerts.empty():
            alert = self._alerts.get()
            if time.monotonic() > alert.deadline_s:
                continue
            if alert.event_id not in self._alerts_taken:
                try:
                    self.sink.deliver(Message(message_id=alert.event_id, body=alert.body))
                    self.sink.flush()
                except (Unavailable, BadInput) as error:
                    log.warning("sink does not take an alert", sink=self.sink.name, event_id=alert.event_id, error=str(error))
                    continue
                self._alerts_taken[alert.event_id] = None
                if len(self._alerts_taken) > ALERTS_REMEMBERED:
                    self._alerts_taken.popitem(last=False)
            alert.taken.set()

    def _hand_over(self, event: IncidentEvent) -> None:
        if self.stopping.is_set():
            return
        started_s = time.perf_counter()
        try:
            self.sink.deliver(Message(message_id=event.event_id, body=event.body))
        except NotTaken as error:
            self._refused(event, error)
        except Unavailable as error:
            self._count("retried")
            metrics.SINK_FAILING.labels(self.sink.name).set(1)
            log.warning("sink takes nothing now, trying again", sink=self.sink.name, event_id=event.event_id, error=str(error))
            raise
        except BadInput as error:
            self._refused(event, error)
        else:
            self._count("delivered")
            metrics.SINK_FAILING.labels(self.sink.name).set(0)
            metrics.NOTIFICATION_SECONDS.labels(self.sink.name).observe(time.perf_counter() - started_s)

    def _refused(self, event: IncidentEvent, error: Exception) -> None:
        self._count("refused")
        log.error("sink refused an incident", sink=self.sink.name, event_id=event.event_id, error=str(error))

    def _count(self, outcome: str) -> None:
        metrics.NOTIFICATIONS.labels(self.sink.name, outcome).inc()


_doubling = tenacity.wait_exponential(multiplier=FIRST_WAIT_S, max=LONGEST_WAIT_S)


def _wait_s(attempt: tenacity.RetryCallState) -> float:
    """Twice as long after each failure, and never at the same time as other notifiers; at least as long as the sink has asked for."""
    error = attempt.outcome.exception() if attempt.outcome else None
    asked_s = error.after_s if isinstance(error, AskedToWait) else 0.0
    return max(asked_s, _doubling(attempt) * random.uniform(0.5, 1.0))
