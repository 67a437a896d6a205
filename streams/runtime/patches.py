"""What libraries offer no setting and no method for: what is changed in them, and what is read of them that they keep to themselves.

Nothing else under ``streams/runtime`` does either, but for the classes of Faust and aiokafka that are subclassed there
(``transport.py``, ``consumer_thread.py``, ``fetched.py``). ``tests/unit/test_patches.py`` fails when any of it has changed.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from aiokafka import AIOKafkaConsumer, codec
from aiokafka.consumer import fetcher
from aiokafka.structs import TopicPartition

from streams.runtime.fetched import PartitionRecords

LZ4_LEVEL = 1


def compress_less() -> None:
    """Have lz4 compress at its fastest: aiokafka compresses as hard as lz4 can, which took a twelfth of a worker's time."""
    codec.lz4_encode.__defaults__ = (LZ4_LEVEL,)


def read_by_structs() -> None:
    """From now on, aiokafka's consumers in this process make ``Fetched`` of what they fetch."""
    fetcher.PartitionRecords = PartitionRecords


def fetch_by(consumer: AIOKafkaConsumer, max_wait_ms: int, isolation_level: str) -> None:
    """How long a fetch may last and which records it gives, of a consumer that Faust has made: Faust has no setting for either."""
    consumer._fetch_max_wait_ms = max_wait_ms  # noqa: SLF001
    consumer._isolation_level = isolation_level  # noqa: SLF001


async def committed_notes(consumer: AIOKafkaConsumer, partitions: Iterable[TopicPartition]) -> dict[TopicPartition, str]:
    """The notes beside the committed offsets of partitions that have some; ``committed`` gives the offset alone."""
    found = await consumer._coordinator.fetch_committed_offsets(list(partitions))  # noqa: SLF001
    return {partition: committed.metadata for partition, committed in found.items() if committed.metadata}


def positions(consumer: AIOKafkaConsumer) -> Iterator[tuple[TopicPartition, int]]:
    """How far each assigned partition has been fetched, as it is between two steps of the fetcher; ``position`` would wait for one."""
    subscription = consumer._subscription.subscription  # noqa: SLF001
    if subscription is None or subscription.assignment is None:
        return
    for partition in subscription.assignment.tps:
        state = subscription.assignment.state_value(partition)
        if state.has_valid_position:
            yield partition, state.position


async def partition_counts(consumer: AIOKafkaConsumer) -> Mapping[str, int]:
    """The number of partitions of every topic, as it is now; the consumer tells only what it has known before."""
    found = await consumer._client.fetch_all_metadata()  # noqa: SLF001
    return {topic: len(found.partitions_for_topic(topic) or ()) for topic in found.topics()}
