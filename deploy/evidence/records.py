"""The records that an incident rests on, read again from Kafka as they stand there, and which of them Kafka holds no more."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import msgspec
from kafka import TopicPartition
from kafka.partitioner.default import murmur2

from deploy.admin import CLOSE_TIMEOUT_MS, read_records, reader
from streams.clock import MINUTE_MS
from streams.wire.decode import Malformed, decoded
from streams.wire.events import FUTURE_TOLERANCE_MS
from streams.wire.topics import GPS, SCAN, Topic

AROUND_MS = 10 * MINUTE_MS
"""So much of a vehicle's way before and after an incident belongs to the picture."""


class KafkaRecord(msgspec.Struct, frozen=True, omit_defaults=True):
    """A record as Kafka holds it: where it stands, when it came (ms), and its bytes, as text where they are UTF-8. ``sha256`` is that of the bytes."""

    topic: str
    partition: int
    offset: int
    timestamp_ms: int
    sha256: str
    key: str | None = None
    value: str | None = None
    value_base64: str | None = None


def record_as_held(record: Any) -> KafkaRecord:
    """A record of a consumer, to be written down."""
    raw: bytes = record.value or b""
    try:
        text, encoded = raw.decode(), None
    except UnicodeDecodeError:
        text, encoded = None, base64.b64encode(raw).decode()
    key = None if record.key is None else record.key.decode("utf-8", "backslashreplace")
    return KafkaRecord(record.topic, record.partition, record.offset, record.timestamp, hashlib.sha256(raw).hexdigest(), key, text, encoded)


def is_whole(record: KafkaRecord) -> bool:
    """Whether a record's hash is that of its bytes; ``ValueError`` where they are not written as they should be."""
    raw = base64.b64decode(record.value_base64, validate=True) if record.value_base64 is not None else (record.value or "").encode()
    return hashlib.sha256(raw).hexdigest() == record.sha256


class _Event(msgspec.Struct):
    event_id: str


_decode_event = msgspec.json.Decoder(_Event).decode


def event_id_of(record: KafkaRecord) -> str | None:
    """Of a record of fixes or scans the event's id."""
    if record.topic not in {GPS.name, SCAN.name} or record.value is None:
        return None
    try:
        return decoded(record.value.encode(), _decode_event).event_id
    except Malformed:
        return None


def records_that(bootstrap: str, topic: Topic, concerns: Callable[[Any], bool]) -> list[Any]:
    """The records of a whole topic that concern somebody, by partition and offset."""
    found = [record for record in read_records(bootstrap, topic.name) if concerns(record)]
    return sorted(found, key=lambda record: (record.partition, record.offset))


class Window(msgspec.Struct, frozen=True):
    """What is looked for in an input topic: records that arrived in a time (ms) and that concern somebody, known by a key or by bytes in them.

    ``wanted``: ids of events; when all of them have been found no further partition is read.
    """

    topic: Topic
    from_ms: int
    until_ms: int
    key: bytes
    wanted: frozenset[str]


class Found(NamedTuple):
    """The records of a window, and whether Kafka has deleted some that arrived in it, or before it and perhaps in it."""

    records: list[Any]
    cut: bool


def records_in(bootstrap: str, window: Window, concerns: Callable[[Any], str | None]) -> Found:
    """The records of a window of which ``concerns`` says an event's id. The partition that the key belongs to is read first, mostly that is all."""
    missing, found, cut = set(window.wanted), list[Any](), False
    consumer = reader(bootstrap)
    try:
        numbers = sorted(consumer.partitions_for_topic(window.topic.name) or ())
        own = (murmur2(window.key) & 0x7FFFFFFF) % len(numbers) if numbers else 0
        for number in sorted(numbers, key=lambda number: number != own):
            partition = TopicPartition(window.topic.name, number)
            start, end = _span(consumer, partition, window)
            cut = cut or start == consumer.beginning_offsets([partition])[partition] > 0
            for record in _between(consumer, partition, start, end):
                if (event_id := concerns(record)) is not None:
                    found.append(record)
                    missing.discard(event_id)
            if window.wanted and not missing:
                break
    finally:
        consumer.close(timeout_ms=CLOSE_TIMEOUT_MS)
    return Found(found, cut)


def _span(consumer: Any, partition: TopicPartition, window: Window) -> tuple[int, int]:
    """The offsets at which the window begins and ends."""
    first = consumer.offsets_for_times({partition: max(0, window.from_ms - FUTURE_TOLERANCE_MS)})[partition]
    after = consumer.offsets_for_times({partition: window.until_ms})[partition]
    end = consumer.end_offsets([partition])[partition]
    return end if first is None else first.offset, end if after is None else after.offset


def _between(consumer: Any, partition: TopicPartition, start: int, end: int) -> Iterator[Any]:
    consumer.assign([partition])
    consumer.seek(partition, start)
    while consumer.position(partition) < end:
        for records in consumer.poll(timeout_ms=500).values():
            yield from (record for record in records if record.offset < end)
