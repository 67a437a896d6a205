"""Reads an hour of fixes from Kafka, on demand, with a consumer of its own that commits nothing; bounded in records and time.

    courier.gps.v1 by offset, courier.dead.v1 and courier.late.v1 of the same time ──▶ replay.py

A record whose event time lies in the hour arrived no earlier than five minutes before it; one that comes after its partition's stream time has
left the hour by more than the policy's lateness is refused. So reading begins and ends exactly, whatever the traffic's pace.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator

import msgspec
from kafka import TopicPartition
from kafka.partitioner.default import murmur2

from consumers.console.fleet.replay import MOST_FIXES, Hour, WayCollector
from consumers.console.sources.past_records import PastRecords, past_records
from streams.wire.decode import Malformed, decoded
from streams.wire.events import FUTURE_TOLERANCE_MS, refuse_time
from streams.wire.topics import BY_BROKER, DEAD, GPS, LATE

MOST_RECORDS = 3_000_000
MOST_S = 20.0
"""Reading ends after so many records or so many seconds, whatever is still to come."""


def read_hour(bootstrap: str, vehicle_ids: Collection[str], from_ms: int, lateness_ms: int, is_stopping: Callable[[], bool]) -> Hour:
    """The ways of vehicles in the hour from an instant on; ``Unavailable`` where Kafka does not answer."""
    collector = WayCollector(vehicle_ids, from_ms)
    with past_records(bootstrap, MOST_RECORDS, MOST_S, is_stopping) as records:
        notes = _Reading(records, collector, lateness_ms).read()
    return Hour(from_ms, collector.ways(), notes)


class _Time(msgspec.Struct):
    event_time_ms: int


_decode_time = msgspec.json.Decoder(_Time).decode


class _Reading:
    """One reading of an hour into a collector."""

    def __init__(self, records: PastRecords, collector: WayCollector, lateness_ms: int) -> None:
        self.records, self.collector = records, collector
        self.since_ms = max(0, collector.from_ms - FUTURE_TOLERANCE_MS)
        self.over_ms = collector.until_ms + lateness_ms
        self.is_cut = False

    def read(self) -> list[dict[str, str]]:
        """Fill the collector; returns what could not be read, in words."""
        everywhere = self.records.partitions(GPS.name)
        own = {partition for partition in everywhere for name in self.collector.missing() if partition.partition == (murmur2(name.encode()) & 0x7FFFFFFF) % len(everywhere)}
        self._read_fixes(own)
        if self.collector.missing():  # whoever sent them may choose partitions in another way
            self._read_fixes(set(everywhere) - own)
        is_all = not self.records.is_cut_short
        self._read_refusals()
        return list(self._notes(is_all))

    def _read_fixes(self, partitions: Collection[TopicPartition]) -> None:
        spans = self.records.spans(partitions, self.since_ms)
        begun = self.records.consumer.beginning_offsets(list(spans)) if spans else {}
        self.is_cut = self.is_cut or any(0 < begun[partition] == start for partition, (start, _) in spans.items())
        reached_ms = dict.fromkeys(spans, 0)
        for partition, record in self.records.each(spans, lambda partition: reached_ms[partition] > self.over_ms):
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
        letters = [partition for topic in (DEAD, LATE) for partition in self.records.partitions(topic.name)]
        for _, record in self.records.each(self.records.spans(letters, self.since_ms)):
            said = dict(record.headers)
            numbers = said.get("partition", b""), said.get("offset", b"")
            if said.get("topic") == GPS.name.encode() and all(number.isdigit() for number in numbers):
                self.collector.refuse(tuple(map(int, numbers)))

    def _notes(self, is_all: bool) -> Iterator[dict[str, str]]:
        if not is_all or self.collector.is_full:
            yield {"zh": f"这一小时的记录多于一次可读取的数量（{MOST_RECORDS:,}条记录、{MOST_FIXES:,}个定位或{MOST_S:.0f}秒），轨迹可能不完整；请减少车辆后再试。",
                   "en": f"This hour holds more than is read at once ({MOST_RECORDS:,} records, {MOST_FIXES:,} fixes or {MOST_S:.0f} s), so ways may be incomplete; choose fewer vehicles."}  # fmt: skip
        elif self.records.is_cut_short:
            yield {"zh": "来不及核对被系统拒绝的定位，其中可能有个别未剔除。", "en": "There was no time to look up which fixes were refused; some of them may be shown."}
        if self.is_cut:
            yield {"zh": "Kafka 已不再保存这一小时开头的部分记录。", "en": "Kafka no longer holds all records of the beginning of this hour."}
