"""The topics that the notifier reads, as one member of its group: incidents and the answers to them."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import closing, suppress
from typing import Any

import structlog
from kafka import KafkaAdminClient, KafkaConsumer, OffsetAndMetadata, TopicPartition
from kafka.errors import KafkaError

from consumers.outbox.owed import Owed, owed_in
from consumers.routing.routes import Destination
from streams.errors import Unavailable
from streams.process.kafka_login import client_options
from streams.settings import Settings
from streams.wire.topics import FEEDBACK, INCIDENTS, METADATA_MAX_AGE_MS

log = structlog.get_logger()

SESSION_TIMEOUT_MS = 10_000
LONGEST_STEP_MS = 3_600_000
"""A disk that is full holds up a batch; for so long the group does not take the notifier for dead."""
CLOSE_TIMEOUT_MS = 3_000
"""Leaving the group is a courtesy to the next notifier; a broker that is gone need not hear of it."""
RECORDS_AT_ONCE = 500
OVERLOOKED_S = 15.0
"""A member that joined before the topics were there may have been given those of one only; then it joins anew."""


class IncidentLog:
    """Reads from where the group has come to; where the outbox has not come so far, from the first that is owed to somebody (owed.py, committed beside the offset).

    ``place`` says up to where a topic's partition is in the outbox: it may be new, or have lost its end with the disk. What is read again is not
    committed before all of it is in the outbox, and answers wait until then: a crash in between begins again.

    ``positions``: up to where each partition of incidents that this member has was read. ``topic``: the beginning of the id of the topic
    of incidents, which is another one once it was deleted and made anew. Raises ``Unavailable`` where Kafka does not answer.
    """

    def __init__(self, settings: Settings, place: Callable[[str, int], int | None]) -> None:
        self.settings = settings
        self._place = place
        self.topic = ""
        self.positions: dict[TopicPartition, int] = {}
        self._has_places = False
        self._owed: dict[TopicPartition, Owed] = {}
        self._known_until: dict[TopicPartition, int] = {}
        """Up to where each partition had been read that is read again."""
        self._since_s = time.monotonic()
        self._placed: set[TopicPartition] = set()
        self._assigned: set[TopicPartition] = set()
        self._consumer = self._connect()

    @property
    def joined(self) -> bool:
        """Whether there are partitions of incidents to read."""
        return any(partition.topic == INCIDENTS.name for partition in self._assigned)

    def _connect(self) -> KafkaConsumer:
        try:
            consumer = self._open(f"{self.settings.group}-notifier")
            for topic in (INCIDENTS, FEEDBACK):
                consumer.partitions_for_topic(topic.name)  # a member that shares them out before it knows them gives itself none, perhaps for good
            consumer.subscribe([INCIDENTS.name, FEEDBACK.name])
            return consumer
        except (KafkaError, OSError):
            raise Unavailable(f"Kafka at {self.settings.kafka_bootstrap} does not answer; start it or set YICHENG_KAFKA_BOOTSTRAP") from None

    def _open(self, group: str) -> KafkaConsumer:
        return KafkaConsumer(
            bootstrap_servers=self.settings.kafka_bootstrap.split(","), group_id=group, auto_offset_reset="earliest", enable_auto_commit=False, **client_options(),
            session_timeout_ms=SESSION_TIMEOUT_MS, heartbeat_interval_ms=3_000, max_poll_interval_ms=LONGEST_STEP_MS, metadata_max_age_ms=METADATA_MAX_AGE_MS,
            max_poll_records=RECORDS_AT_ONCE, isolation_level="read_committed",
        )  # fmt: skip

    def read(self) -> list[Any]:
        """The next records, those of a partition in order; none where nothing has come within 200 ms."""
        batches = self._consumer.poll(timeout_ms=200)
        assigned = self._consumer.assignment()
        if assigned - self._assigned:
            self.topic = self._topic_id()
        for partition in sorted(assigned - self._assigned, key=lambda partition: partition.topic == FEEDBACK.name):
            if partition not in self._placed and self._go_back(partition):
                batches.pop(partition, None)
            self._placed.add(partition)
        if assigned - self._assigned:
            self._say_what_is_read_again()
        self._assigned = set(assigned)
        self._hear_answers_again()
        if not self.joined and time.monotonic() > self._since_s + OVERLOOKED_S:
            self._since_s = time.monotonic()
            if self._consumer.partitions_for_topic(INCIDENTS.name):
                self.reconnect()
                return []
        of_incidents = [p for p in assigned if p.topic == INCIDENTS.name]
        self.positions = {p: batches[p][0].offset if batches.get(p) else self._consumer.position(p) for p in of_incidents}
        return [record for records in batches.values() for record in records]

    def _topic_id(self) -> str:
        with closing(KafkaAdminClient(bootstrap_servers=self.settings.kafka_bootstrap.split(","), **client_options())) as admin:
            return str(admin.describe_topics([INCIDENTS.name])[0]["topic_id"])[:8]

    def _go_back(self, partition: TopicPartition) -> bool:
        """Whether the outbox lacks what was read: then to what is owed, or, before there was an outbox, to where the slowest sink was. All answers come again then."""
        known = self._consumer.committed(partition, metadata=True)
        if partition.topic == FEEDBACK.name:
            if self._has_places and not self._owed:
                return False
            self._known_until[partition] = known.offset if known else 0
            self._consumer.seek_to_beginning(partition)
            if self._owed:
                self._consumer.pause(partition)
            return True
        place = self._place(self.topic, partition.partition)
        self._has_places |= place is not None
        if known is None or (place is not None and place >= known.offset):
            return False
        owed = owed_in(known.metadata)
        if owed is None:
            with closing(self._open(f"{self.settings.group}-notifier-webhook")) as webhook:
                of_webhook = webhook.committed(partition)
            owed = Owed(known.offset if of_webhook is None else min(known.offset, of_webhook), {})
        first = self._consumer.beginning_offsets([partition])[partition]
        self._owed[partition], self._known_until[partition] = owed, known.offset
        self._consumer.seek(partition, max(first, owed.first))
        return True

    def _say_what_is_read_again(self) -> None:
        if self._owed:
            owed = sorted({f"{sink}: {sum(last - first + 1 for first, last in runs)}" for each in self._owed.values() for (sink, _), runs in each.runs.items()})
            log.warning(
                "the outbox lacks what was read; what sinks had not taken, or was given up, is read from Kafka again, under the same ids. "
                "Lost: the delivery log, alerts that waited, who was told by escalation, and links to incidents before that",
                incidents=sum(self._known_until[partition] - each.first for partition, each in self._owed.items()), owed=owed,
            )  # fmt: skip

    def _hear_answers_again(self) -> None:
        """Answers come when the incidents that they are about are in the outbox."""
        if (paused := self._consumer.paused()) and all(self._consumer.position(partition) >= self._known_until[partition] for partition in self._owed.keys() & self._assigned):
            self._consumer.resume(*paused)

    def is_again(self, record: Any) -> bool:
        """Whether a record had been read before the outbox was lost."""
        return bool(record.offset < self._known_until.get(TopicPartition(record.topic, record.partition), 0))

    def still_owed(self, partition: int, offset: int, destinations: Sequence[Destination]) -> list[Destination]:
        """Of those to which routes send what stands there the ones that have still to have it: all, unless it is read again."""
        owed = self._owed.get(TopicPartition(INCIDENTS.name, partition))
        return owed.still(offset, destinations) if owed else list(destinations)

    def commit(self, notes: Callable[[str, dict[int, int]], dict[int, str]]) -> None:
        """All that was read is in the outbox. ``notes`` says by partition of incidents, of the topic of an id, what is to stand beside the offset."""
        places = {partition: self._consumer.position(partition) for partition in self._assigned}
        self.positions = {p: position for p, position in places.items() if p.topic == INCIDENTS.name}
        places = {p: position for p, position in places.items() if position >= self._known_until.get(p, 0)}
        beside = notes(self.topic, {p.partition: position for p, position in places.items() if p.topic == INCIDENTS.name})
        if places:
            self._consumer.commit({p: OffsetAndMetadata(position, beside[p.partition] if p.topic == INCIDENTS.name else "", -1) for p, position in places.items()})

    def reconnect(self) -> None:
        """Begin again after what was committed. Raises ``Unavailable`` where Kafka does not answer."""
        self.close()
        self._assigned = set()
        self._consumer = self._connect()

    def close(self) -> None:
        """Leave the group."""
        with suppress(KafkaError, OSError):
            self._consumer.close(timeout_ms=CLOSE_TIMEOUT_MS)
