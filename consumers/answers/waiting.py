"""Which incidents wait for an answer of the police, and how long answers take: the notifier's metrics of enforcement.

    courier.incidents.v1, courier.feedback.v1 ──▶ metrics

Both topics are read whole, by a consumer of its own that commits nothing: what waits is known again after a restart.
"""

from __future__ import annotations

import threading
import time
from collections import Counter
from typing import Any, NamedTuple

import msgspec
import structlog
from kafka import KafkaConsumer, TopicPartition
from kafka.errors import KafkaError

from streams import metrics
from streams.clock import now_ms
from streams.counts import OTHER
from streams.lifecycle import RETRACTED
from streams.process.kafka_login import client_options
from streams.process.unreadable import passed_over
from streams.settings import Settings
from streams.wire.answers import ACTIONS, Answer, Standing, read_answer, standing
from streams.wire.decode import Malformed, decoded
from streams.wire.topics import FEEDBACK, INCIDENTS, METADATA_MAX_AGE_MS

log = structlog.get_logger()

AGES_S = {"under_15m": 900, "15m_to_1h": 3600, "1h_to_4h": 4 * 3600, "4h_to_1d": 86_400}
OLDEST = "over_1d"
"""Labels of the time since an incident was published, and its end in seconds; the last has none."""
FORGOTTEN_S = 30 * 86_400
"""So long is an answer waited for."""
MOST_LABELS = 1_000
"""Pairs of city and rule; further ones, which are none of ours, count as other."""
LONGEST_EXEMPLAR = 100
"""Characters of an id that go beside a measurement: OpenMetrics allows 128 with the label's name."""
SHOWN_EVERY_S = 5.0
RECORDS_AT_ONCE = 2_000
KEPT_INCIDENTS, KEPT_ANSWERS = 200_000, 100
"""Of so many incidents, and so many of each, answers are known to the pages; the oldest incident's are forgotten first."""


class Waiting(NamedTuple):
    """An incident that nobody has answered: its city and rule, and when it was published."""

    city: str
    rule: str
    since_ms: int


class _Incident(msgspec.Struct):
    incident_id: str
    city: str
    rule: str
    state: str
    revision: int = 0


class _Event(msgspec.Struct):
    data: _Incident


_decode_event = msgspec.json.Decoder(_Event).decode


class Answers:
    """What waits, and what was answered. Times are those of the records (ms since 1970).

    ``said``: the answers to each incident, each once; ``retracted``: the revisions that took an incident back.
    """

    def __init__(self) -> None:
        self.waiting: dict[str, Waiting] = {}
        self.answered: dict[str, Waiting | None] = {}
        self.said: dict[str, list[Answer]] = {}
        self.retracted: dict[str, set[int]] = {}
        self._gone: dict[str, int] = {}
        self._labels: set[tuple[str, str]] = set()

    def enter_incident(self, value: bytes | None, at_ms: int) -> None:
        """Enter a revision of an incident; ``Malformed`` where it is none. What is retracted waits for nobody."""
        incident = decoded(value or b"", _decode_event).data
        name = incident.incident_id
        if incident.state == RETRACTED:
            self._retract(name, incident.revision)
        elif name not in self.waiting and incident.revision >= max(self.retracted.get(name, ()), default=0):  # else it is a repeat of before
            self._gone.pop(name, None)
            known = Waiting(*self._bounded(incident.city, incident.rule), at_ms)
            if name not in self.answered:
                self.waiting[name] = known
            elif self.answered[name] is None:
                self.answered[name] = known

    def _retract(self, name: str, revision: int) -> None:
        self.waiting.pop(name, None)
        self.retracted.setdefault(name, set()).add(revision)
        self._gone[name] = revision
        if self._standing(name).first_ms is None:
            self.answered.pop(name, None)

    def enter_answer(self, value: bytes | None, at_ms: int, *, count: bool) -> None:
        """Enter an answer; ``Malformed`` where it is none. ``count`` says whether the metrics are to have it: those given before this process are not counted again.

        An answer to a revision that took the incident back is kept and changes nothing else, and so does a repeat. One that names no revision is about the last.
        An objection waits for its decision as an incident does for its first answer, from when it came.
        """
        answer = read_answer(value or b"")
        name = answer.incident_id
        answer = msgspec.structs.replace(answer, time_ms=answer.time_ms or at_ms, revision=self._gone.get(name) if answer.revision is None else answer.revision)
        if not self._keep(answer) or answer.revision in self.retracted.get(name, ()):
            return
        now = self._standing(name)
        answers = now.first_ms is not None
        first = answers and name not in self.answered
        incident = self.waiting.get(name) or self.answered.get(name)
        if answers:
            self.answered.setdefault(name, incident)
            waits = self.waiting.pop(name, None)
            if now.objection == "objected" and incident is not None:
                self.waiting[name] = waits or incident._replace(since_ms=at_ms)
        if not count or incident is None:
            return
        metrics.ANSWERS.labels(incident.city, incident.rule, answer.action if answer.action in ACTIONS else OTHER).inc()
        if first:
            metrics.ACKNOWLEDGE_SECONDS.labels(incident.city, incident.rule).observe(max(0, at_ms - incident.since_ms) / 1000, {"incident_id": name[:LONGEST_EXEMPLAR]})

    def _keep(self, answer: Answer) -> bool:
        """Whether an answer is no repeat."""
        said = self.said.setdefault(answer.incident_id, [])
        if answer.answer_id is not None and any(known.answer_id == answer.answer_id for known in said):
            return False
        said.append(answer)
        if len(said) > KEPT_ANSWERS:
            del said[1]
        if len(self.said) > KEPT_INCIDENTS:
            del self.said[next(iter(self.said))]
        return True

    def _standing(self, name: str) -> Standing:
        return standing(self.said.get(name, ()), self.retracted.get(name, ()))

    def show(self, now_ms: int) -> None:
        """Set the gauge; what is too old is forgotten."""
        for name in [name for name, incident in self.waiting.items() if now_ms - incident.since_ms > FORGOTTEN_S * 1000]:
            del self.waiting[name]
        counts: dict[tuple[str, ...], float] = {(city, rule, age): 0 for city, rule in self._labels for age in (*AGES_S, OLDEST)}
        counts.update(Counter((incident.city, incident.rule, _age((now_ms - incident.since_ms) / 1000)) for incident in self.waiting.values()))
        metrics.show_only(metrics.UNANSWERED, counts)

    def _bounded(self, city: str, rule: str) -> tuple[str, str]:
        """Labels of an incident: anybody who may write to the topic can make up others."""
        if (city, rule) in self._labels:
            return city, rule
        if len(self._labels) >= MOST_LABELS:
            city, rule = OTHER, OTHER
        self._labels.add((city, rule))
        for action in (*ACTIONS, OTHER):  # from zero on: Prometheus takes a first value for no increase
            metrics.ANSWERS.labels(city, rule, action)
        metrics.ACKNOWLEDGE_SECONDS.labels(city, rule)
        return city, rule


def _age(seconds: float) -> str:
    return next((age for age, end_s in AGES_S.items() if seconds < end_s), OLDEST)


class AnswersReader:
    """Follows the two topics in a thread of its own, until told to stop. ``ends``: how far each partition of incidents is known to go."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.ends: dict[TopicPartition, int] = {}
        self.known = Answers()
        self._counted: dict[TopicPartition, int] = {}
        self._stopping = threading.Event()
        self._began_ms = now_ms()

    def start(self) -> None:
        """Begin."""
        threading.Thread(target=self._run, daemon=True, name="answers").start()

    def stop(self) -> None:
        """End soon; from any thread."""
        self._stopping.set()

    def answers_to(self, incident_id: str) -> list[Answer]:
        """The answers to an incident, in their order, as far as they have been read; from any thread."""
        return list(self.known.said.get(incident_id, ()))

    def _run(self) -> None:
        while not self._stopping.is_set():
            try:
                self._follow()
            except (KafkaError, OSError) as error:
                log.warning("answers are not followed, trying again", kafka=self.settings.kafka_bootstrap, error=type(error).__name__)
                self._stopping.wait(1.0)

    def _follow(self) -> None:
        consumer = KafkaConsumer(
            bootstrap_servers=self.settings.kafka_bootstrap.split(","), group_id=None, enable_auto_commit=False, auto_offset_reset="earliest",
            metadata_max_age_ms=METADATA_MAX_AGE_MS, max_poll_records=RECORDS_AT_ONCE, isolation_level="read_committed", **client_options(),
        )  # fmt: skip
        try:
            partitions = _partitions(consumer)
            if not partitions:  # the topics have not been made yet
                self._stopping.wait(SHOWN_EVERY_S)
                return
            consumer.assign(partitions)
            consumer.seek_to_beginning()
            self._read(consumer, partitions)
        finally:
            consumer.close(timeout_ms=1_000)

    def _read(self, consumer: KafkaConsumer, partitions: list[TopicPartition]) -> None:
        """Until there are others. Incidents of a batch come before its answers; nothing is shown until all that there was is known."""
        answers, shown_at_s = Answers(), float("-inf")
        behind = consumer.end_offsets(partitions)
        while not self._stopping.is_set():
            for partition, records in sorted(consumer.poll(timeout_ms=500).items(), key=lambda batch: batch[0].topic == FEEDBACK.name):
                for record in records:
                    self._enter(answers, record)
                if partition.topic == INCIDENTS.name:
                    self.ends[partition] = consumer.position(partition)
            behind = {partition: end for partition, end in behind.items() if consumer.position(partition) < end}
            if not behind:
                self.known = answers
            if not behind and time.monotonic() > shown_at_s + SHOWN_EVERY_S:
                shown_at_s = time.monotonic()
                answers.show(now_ms())
                if _partitions(consumer) != partitions:
                    return

    def _enter(self, answers: Answers, record: Any) -> None:
        at_ms = record.timestamp if record.timestamp >= 0 else self._began_ms
        try:
            if record.topic == INCIDENTS.name:
                answers.enter_incident(record.value, at_ms)
            else:
                partition = TopicPartition(record.topic, record.partition)
                new = record.offset >= self._counted.get(partition, 0)  # else it was counted before Kafka had to be asked anew
                self._counted[partition] = max(record.offset + 1, self._counted.get(partition, 0))
                answers.enter_answer(record.value, at_ms, count=new and at_ms >= self._began_ms)
        except Malformed as error:
            if record.topic == FEEDBACK.name:  # of incidents each delivery says it
                passed_over(record.topic, record.partition, record.offset, str(error))


def _partitions(consumer: KafkaConsumer) -> list[TopicPartition]:
    return [TopicPartition(topic.name, number) for topic in (INCIDENTS, FEEDBACK) for number in sorted(consumer.partitions_for_topic(topic.name) or ())]


def pending(ends: dict[TopicPartition, int], taken: dict[TopicPartition, int]) -> int:
    """Records of incidents that a sink has still to take, of the partitions that it reads here."""
    return sum(max(0, ends.get(partition, 0) - offset) for partition, offset in taken.items())
