"""What is said when Kafka does not take what a worker writes: which topic and partition, why, and how to go on."""

from __future__ import annotations

from typing import NamedTuple

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError, MessageSizeTooLargeError, RecordListTooLargeError, TopicAuthorizationFailedError, UnknownTopicOrPartitionError
from aiokafka.partitioner import DefaultPartitioner

from streams.errors import WriteRefused

LONGEST_MESSAGE = 1_048_576
"""Bytes that Kafka takes by default, and that our producer asks it to; what a worker writes itself is shorter than a quarter of that."""
_HOW = (
    ((MessageSizeTooLargeError, RecordListTooLargeError), "a message is longer than it takes: set the topic's max.message.bytes to 1048588"),
    ((TopicAuthorizationFailedError,), "this worker's user may not write there: grant it WRITE"),
    ((UnknownTopicOrPartitionError,), "there is no such topic or partition: ./yicheng topics create makes it"),
)


class Destination(NamedTuple):
    """Where something that is on its way goes; the partition follows from the key unless it is given."""

    topic: str
    partition: int | None
    key: bytes | None = None


async def refusal(producer: AIOKafkaProducer, destination: Destination, error: KafkaError) -> WriteRefused:
    """The error in one line."""
    topic, partition, key = destination
    if partition is None and key is not None:
        known = sorted(await producer.partitions_for(topic) or ())
        partition = DefaultPartitioner()(key, known, known) if known else None
    where = topic if partition is None else f"{topic}[{partition}]"
    why = next((text for kinds, text in _HOW if isinstance(error, kinds)), f"{type(error).__name__}: {error}".partition("\n")[0])
    return WriteRefused(f"{where} does not take what is written to it: {why}; then start the worker again, it goes on from its last checkpoint")
