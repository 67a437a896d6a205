"""Reads an hour of fixes from Kafka, on demand, with a consumer of its own that commits nothing; bounded in records and time.

    courier.gps.v1 by offset, courier.dead.v1 and courier.late.v1 of the same time ──▶ replay.py

A record whose event time lies in the hour arrived no earlier than five minutes before it; one that comes after its partition's stream time has
left the hour by more than the policy's lateness is refused. So reading begins and ends exactly, whatever the traffic's pace.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterator, Mapping
from typing import Any

import msgspec
from kafka import KafkaConsumer, TopicPartition
from kafka.errors import KafkaError, LeaderNotAvailableError
from kafka.partitioner.default import murmur2

from consumers.console.replay import MOST_FIXES, Hour, WayCollector
from streams.decode import Malformed, decoded
from streams.errors import Unavailable
from streams.events import FUTURE_TOLERANCE_MS, refuse_time
from streams.topics import BY_BROKER, DEAD, GPS, LATE, METADATA_MAX_AGE_MS

ANSWERS_WITHIN_MS = 5_000
RECORDS_AT_ONCE = 5_000
MOST_RECORDS = 3_000_000
MOST_S = 20.0
"""Reading ends after so many records or so many seconds, whatever is still to come."""


def open_consumer(bootstrap: str) -> KafkaConsumer:
    """A consumer without a group, of committed transactions only; it starts where a partition begins."""
    return KafkaConsumer(
        bootstrap_servers=bootstrap.split(","), group_id=None, enable_auto_commit=False, auto_offset_reset="earliest", isolation_level="read_committed",
        metadata_max_age_ms=METADATA_MAX_AGE_MS, max_poll_records=RECORDS_AT_ONCE, bootstrap_timeout_ms=ANSWERS_WITHIN_MS,
    )  # fmt: skip


def read_hour(bootstrap: str, vehicle_ids: Collection[str], from_ms: int, lateness_ms: int, is_stopping: Callable[[], bool]) -> Hour:
    """The ways of vehicles in the hour from an instant on; ``Unavailable`` where Kafka does not answer."""
    collector = WayCollector(vehicle_ids, from_ms)
    try:
        consumer = open_consumer(bootstrap)
        try:
            notes = _Reading(consumer, collector, lateness_ms, is_stopping).read()
        finally:
            consumer.close(timeout_ms=1_000)
    except (KafkaError, OSError) as error:
        raise Unavailable(f"Kafka does not answer ({type(error).__name__}); try again / Kafka 没有应答，请重试") from None
    return Hour(from_ms, collector.ways(), notes)


class _Time(msgspec.Struct):
    event_time_ms: int


_decode_time = msgspec.json.Decoder(_Time).decode


class _Reading:
    """One reading, which may take ``MOST_RECORDS`` and ``MOST_S`` altogether."""

    def __init__(self, consumer: KafkaConsumer, collector: WayCollector, lateness_ms: int, is_stopping: Callable[[], bool]) -> None:
        self.consumer, self.collector, self.is_stopping = consumer, collector, is_stopping
        self.since_ms = max(0, collector.from_ms - FUTURE_TOLERANCE_MS)
        self.over_ms = collector.until_ms + lateness_ms
        self.left, self.until_s = MOST_RECORDS, time.monotonic() + MOST_S
        self.is_cut = False

    def read(self) -> list[dict[str, str]]:
        """Fill the collector; returns what could not be read, in words."""
        everywhere = self._partitions(GPS.name)
        own = {partition for partition in everywhere for name in self.collector.missing() if partition.partition == (murmur2(name.encode()) & 0x7FFFFFFF) % len(everywhere)}
        self._read_fixes(own)
        if self.collector.missing():  # whoever sent them may choose partitions in another way
            self._read_fixes(set(everywhere) - own)
        is_all = not self.spent
        self._read_refusals()
        return list(self._notes(is_all))

    @property
    def spent(self) -> bool:
        """Whether there is nothing left to be read with."""
        return self.left <= 0 or time.monotonic() > self.until_s or self.is_stopping()

    def _partitions(self, topic: str) -> list[TopicPartition]:
        return [TopicPartition(topic, number) for number in sorted(self.consumer.partitions_for_topic(topic) or ())]

    def _spans(self, partitions: Collection[TopicPartition]) -> dict[TopicPartition, tuple[int, int]]:
        """Where to begin and to end in each partition; those that hold nothing since then are left out."""
        if not partitions:
            return {}
        found = self.consumer.offsets_for_times(dict.fromkeys(partitions, self.since_ms))
        starts = {partition: first.offset for partition, first in found.items() if first is not None}
        try:
            ends = self.consumer.end_offsets(list(starts)) if starts else {}
        except KeyError:  # so kafka-python says that a partition has no leader at the moment
            raise LeaderNotAvailableError from None
        return {partition: (start, ends[partition]) for partition, start in starts.items()}

    def _read_fixes(self, partitions: Collection[TopicPartition]) -> None:
        spans = self._spans(partitions)
        begun = self.consumer.beginning_offsets(list(spans)) if spans else {}
        self.is_cut = self.is_cut or any(0 < begun[partition] == start for partition, (start, _) in spans.items())
        reached_ms = dict.fromkeys(spans, 0)
        for partition, record in self._each(spans, lambda partition: reached_ms[partition] > self.over_ms):
            if reached_ms[partition] > self.over_ms:
                continue
            arrived_ms = record.timestamp if record.timestamp_type == BY_BROKER else None
            self.collector.enter(record.value, arrived_ms, key=record.key, origin=(partition.partition, record.offset))
            try:
                time_ms = decoded(record.value or b"", _decode_time).event_time_ms
            except Malformed:
                continue
            if time_ms > reached_ms[partition] and refuse_time(time_ms, arrived_ms) is None:
                reached_ms[partition] = time_ms

    def _read_refusals(self) -> None:
        """Take out what a worker has refused: each letter names the record that it is about."""
        for _, record in self._each(self._spans([*self._partitions(DEAD.name), *self._partitions(LATE.name)])):
            said = dict(record.headers)
            numbers = said.get("partition", b""), said.get("offset", b"")
            if said.get("topic") == GPS.name.encode() and all(number.isdigit() for number in numbers):
                self.collector.refuse(tuple(map(int, numbers)))

    def _each(self, spans: Mapping[TopicPartition, tuple[int, int]], is_over: Callable[[TopicPartition], bool] = lambda _: False) -> Iterator[tuple[TopicPartition, Any]]:
        """The records of partitions, each from one offset until another, or until it is over, while there is anything left to read with."""
        self.consumer.assign(list(spans))
        for partition, (start, _) in spans.items():
            self.consumer.seek(partition, start)
        ahead = set(spans)
        while ahead := {partition for partition in ahead if self.consumer.position(partition) < spans[partition][1] and not is_over(partition)}:
            if done := set(spans) - ahead:
                self.consumer.pause(*done)
            if self.spent:
                return
            for partition, records in self.consumer.poll(timeout_ms=200).items():
                self.left -= len(records)
                yield from ((partition, record) for record in records if record.offset < spans[partition][1])

    def _notes(self, is_all: bool) -> Iterator[dict[str, str]]:
        if not is_all or self.collector.is_full:
            yield {"zh": f"这一小时的记录多于一次可读取的数量（{MOST_RECORDS:,}条记录、{MOST_FIXES:,}个定位或{MOST_S:.0f}秒），轨迹可能不完整；请减少车辆后再试。",
                   "en": f"This hour holds more than is read at once ({MOST_RECORDS:,} records, {MOST_FIXES:,} fixes or {MOST_S:.0f} s), so ways may be incomplete; choose fewer vehicles."}  # fmt: skip
        elif self.spent:
            yield {"zh": "来不及核对被系统拒绝的定位，其中可能有个别未剔除。", "en": "There was no time to look up which fixes were refused; some of them may be shown."}
        if self.is_cut:
            yield {"zh": "Kafka 已不再保存这一小时开头的部分记录。", "en": "Kafka no longer holds all records of the beginning of this hour."}
