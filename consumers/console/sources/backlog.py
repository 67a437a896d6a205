"""Asks Kafka now and then how many records wait for the workers: a client of its own, which reads nothing and joins no group."""

from __future__ import annotations

import threading
from contextlib import closing

import structlog
from kafka import TopicPartition
from kafka.admin import KafkaAdminClient, OffsetSpec
from kafka.errors import KafkaError

from consumers.console.signs import FAILED, NO_ANSWER, Signs
from consumers.console.sources.kafka_words import refused_by_kafka
from streams.clock import now_ms
from streams.process.kafka_login import client_options
from streams.settings import Settings
from streams.watermark import INPUTS
from streams.wire.topics import ANSWERS_WITHIN_MS

log = structlog.get_logger()

ASKED_EVERY_S = 5.0


class Backlog:
    """Counts in a thread of its own until ``stop``."""

    def __init__(self, settings: Settings, signs: Signs) -> None:
        self.bootstrap, self.group, self.signs = settings.kafka_bootstrap, settings.group, signs
        self._stopping = threading.Event()

    def start(self) -> None:
        """Begin."""
        threading.Thread(target=self._run, daemon=True, name="console-backlog").start()

    def stop(self) -> None:
        """End soon."""
        self._stopping.set()

    def _run(self) -> None:
        while not self._stopping.is_set():
            try:
                self._follow()
            except (KafkaError, OSError, ValueError) as error:
                log.debug("how many records wait is not known", kafka=self.bootstrap, error=type(error).__name__)
                self.signs.not_counted(refused_by_kafka(error, self.bootstrap) or NO_ANSWER)
            except Exception:
                log.exception("how many records wait is not known", kafka=self.bootstrap)
                self.signs.not_counted(FAILED)
            self._stopping.wait(ASKED_EVERY_S)

    def _follow(self) -> None:
        """Ask until Kafka goes."""
        with closing(KafkaAdminClient(bootstrap_servers=self.bootstrap.split(","), bootstrap_timeout_ms=ANSWERS_WITHIN_MS, **client_options())) as admin:
            while not self._stopping.is_set():
                self._ask(admin)
                self._stopping.wait(ASKED_EVERY_S)

    def _ask(self, admin: KafkaAdminClient) -> None:
        known = {topic["name"]: len(topic["partitions"]) for topic in admin.describe_topics(list(INPUTS)) if not topic["error_code"]}
        partitions = [TopicPartition(name, number) for name, count in known.items() for number in range(count)]
        ends = admin.list_partition_offsets(dict.fromkeys(partitions, OffsetSpec.LATEST), isolation_level="read_committed") if partitions else {}
        committed = admin.list_group_offsets({self.group: partitions}).get(self.group, {}) if partitions else {}
        judged = {partition: place.offset for partition, place in committed.items() if place.offset >= 0}
        self.signs.counted(self.group, {partition: end.offset for partition, end in ends.items()}, judged, now_ms())
