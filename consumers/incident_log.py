"""The topics that the notifier reads, as one member of its group: incidents and the answers to them."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import closing, suppress
from typing import Any

from kafka import KafkaAdminClient, KafkaConsumer, OffsetAndMetadata, TopicPartition
from kafka.errors import KafkaError

from streams.errors import Unavailable
from streams.process.kafka_login import client_options
from streams.settings import Settings
from streams.wire.topics import FEEDBACK, INCIDENTS, METADATA_MAX_AGE_MS

SESSION_TIMEOUT_MS = 10_000
LONGEST_STEP_MS = 3_600_000
"""A disk that is full holds up a batch; for so long the group does not take the notifier for dead."""
CLOSE_TIMEOUT_MS = 3_000
"""Leaving the group is a courtesy to the next notifier; a broker that is gone need not hear of it."""
RECORDS_AT_ONCE = 500
OVERLOOKED_S = 15.0
"""A member that joined before the topics were there may have been given those of one only; then it joins anew."""


class IncidentLog:
    """Reads from where the group has come to; from where everything had been delivered (committed beside the offset) where the outbox has not come so far.

    ``place`` says up to where a topic's partition is in the outbox: it may be new, or have lost its end with the disk.

    ``positions``: up to where each partition of incidents that this member has was read. ``topic``: the beginning of the id of the topic
    of incidents, which is another one once it was deleted and made anew. Raises ``Unavailable`` where Kafka does not answer.
    """

    def __init__(self, settings: Settings, place: Callable[[str, int], int | None]) -> None:
        self.settings = settings
        self._place = place
        self.topic = ""
        self.positions: dict[TopicPartition, int] = {}
        self._has_places = False
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
        self._assigned = set(assigned)
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
        """Whether the outbox lacks what was read: then to what had not been delivered, or, before there was an outbox, to where the slowest sink was."""
        if partition.topic == FEEDBACK.name:
            if self._has_places:
                return False
            self._consumer.seek_to_beginning(partition)
            return True
        known = self._consumer.committed(partition, metadata=True)
        place = self._place(self.topic, partition.partition)
        self._has_places |= place is not None
        if known is None or (place is not None and place >= known.offset):
            return False
        if known.metadata.isdigit():
            offset = int(known.metadata)
        else:
            with closing(self._open(f"{self.settings.group}-notifier-webhook")) as webhook:
                of_webhook = webhook.committed(partition)
            offset = known.offset if of_webhook is None else min(known.offset, of_webhook)
        first = self._consumer.beginning_offsets([partition])[partition]
        self._consumer.seek(partition, max(first, offset))
        return True

    def commit(self, settled: Callable[[TopicPartition, int], int]) -> None:
        """All that was read is in the outbox. ``settled`` says up to which offset of a partition all of it has been delivered."""
        places = {}
        for partition in self._assigned:
            position = self._consumer.position(partition)
            beside = str(settled(partition, position)) if partition.topic == INCIDENTS.name else ""
            places[partition] = OffsetAndMetadata(position, beside, -1)
        if places:
            self._consumer.commit(places)
        self.positions = {p: place.offset for p, place in places.items() if p.topic == INCIDENTS.name}

    def reconnect(self) -> None:
        """Begin again after what was committed. Raises ``Unavailable`` where Kafka does not answer."""
        self.close()
        self._assigned = set()
        self._consumer = self._connect()

    def close(self) -> None:
        """Leave the group."""
        with suppress(KafkaError, OSError):
            self._consumer.close(timeout_ms=CLOSE_TIMEOUT_MS)
