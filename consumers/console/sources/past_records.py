"""Reads records of a while ago from Kafka, between two offsets of each partition, on demand: no group, no commits, bounded in records and time."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from kafka import KafkaConsumer, TopicPartition
from kafka.errors import KafkaError, LeaderNotAvailableError

from consumers.console.sources.kafka_words import refused_by_kafka
from streams.errors import Unavailable
from streams.process.kafka_login import client_options
from streams.wire.topics import METADATA_MAX_AGE_MS

ANSWERS_WITHIN_MS = 5_000
RECORDS_AT_ONCE = 5_000
Spans = Mapping[TopicPartition, tuple[int, int]]
"""Of each partition the first offset that is read, and the first that is not."""


def open_consumer(bootstrap: str) -> KafkaConsumer:
    """A consumer without a group, of committed transactions only; it starts where a partition begins."""
    return KafkaConsumer(
        bootstrap_servers=bootstrap.split(","), group_id=None, enable_auto_commit=False, auto_offset_reset="earliest", isolation_level="read_committed",
        metadata_max_age_ms=METADATA_MAX_AGE_MS, max_poll_records=RECORDS_AT_ONCE, bootstrap_timeout_ms=ANSWERS_WITHIN_MS, **client_options(),
    )  # fmt: skip


def end_offsets(consumer: KafkaConsumer, partitions: Collection[TopicPartition]) -> dict[TopicPartition, int]:
    """Where partitions end; a ``KafkaError`` where one has no leader at the moment."""
    try:
        found: dict[TopicPartition, int] = consumer.end_offsets(list(partitions))
    except KeyError:  # so kafka-python says it
        raise LeaderNotAvailableError from None
    return found


@contextmanager
def past_records(bootstrap: str, most: int, within_s: float, is_stopping: Callable[[], bool] = lambda: False) -> Iterator[PastRecords]:
    """One reading of so many records and seconds altogether; ``Unavailable`` where Kafka does not answer."""
    try:
        consumer = open_consumer(bootstrap)
        try:
            yield PastRecords(consumer, most, within_s, is_stopping)
        finally:
            consumer.close(timeout_ms=1_000)
    except (KafkaError, OSError) as error:
        refused = refused_by_kafka(error, bootstrap)
        raise Unavailable(f"{refused['en']} / {refused['zh']}" if refused else f"Kafka does not answer ({type(error).__name__}); try again / Kafka 没有应答，请重试") from None


class PastRecords:
    """What a reading reads with; ``is_cut_short``: whether there was more than it could read."""

    def __init__(self, consumer: KafkaConsumer, most: int, within_s: float, is_stopping: Callable[[], bool]) -> None:
        self.consumer, self.is_stopping = consumer, is_stopping
        self.is_cut_short = False
        self._left, self._until_s = most, time.monotonic() + within_s

    def partitions(self, topic: str) -> list[TopicPartition]:
        """Those that a topic has."""
        return [TopicPartition(topic, number) for number in sorted(self.consumer.partitions_for_topic(topic) or ())]

    def spans(self, partitions: Collection[TopicPartition], since_ms: int, until_ms: int | None = None) -> dict[TopicPartition, tuple[int, int]]:
        """What arrived from an instant on until another (None: until now) in each partition; those that hold nothing since then are left out."""
        if not partitions:
            return {}
        found = self.consumer.offsets_for_times(dict.fromkeys(partitions, since_ms))
        starts = {partition: first.offset for partition, first in found.items() if first is not None}
        if not starts:
            return {}
        ends = end_offsets(self.consumer, starts)
        if until_ms is not None:
            ends |= {partition: after.offset for partition, after in self.consumer.offsets_for_times(dict.fromkeys(starts, until_ms)).items() if after is not None}
        return {partition: (start, ends[partition]) for partition, start in starts.items()}

    def each(self, spans: Spans, is_over: Callable[[TopicPartition], bool] = lambda _: False) -> Iterator[tuple[TopicPartition, Any]]:
        """The records of partitions, each until its span ends or it is over, while there is anything left to read with."""
        self.consumer.assign(list(spans))
        for partition, (start, _) in spans.items():
            self.consumer.seek(partition, start)
        ahead = set(spans)
        while ahead := {partition for partition in ahead if self.consumer.position(partition) < spans[partition][1] and not is_over(partition)}:
            if done := set(spans) - ahead:
                self.consumer.pause(*done)
            if self._left <= 0 or time.monotonic() > self._until_s or self.is_stopping():
                self.is_cut_short = True
                return
            for partition, records in self.consumer.poll(timeout_ms=200).items():
                self._left -= len(records)
                yield from ((partition, record) for record in records if record.offset < spans[partition][1])
