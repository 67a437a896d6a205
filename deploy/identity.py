"""Keys that name incidents, and whether a worker's is that of the state it would go on with."""

from __future__ import annotations

import secrets
import time

from kafka import KafkaConsumer, TopicPartition
from kafka.errors import KafkaError

from streams.process.kafka_login import client_options
from streams.runtime.origin import Origin, refuse_foreign, unsigned
from streams.wire.state_records import COMMIT_MARKER
from streams.wire.topics import ALL

KEY_BYTES = 32
LOOK_S = 5.0
"""Longer than that a start does not wait for a look at the state; whoever restores it looks again."""


def new_key() -> str:
    """A key that nobody can guess, in characters that need no quotes anywhere."""
    return secrets.token_hex(KEY_BYTES)


def refuse_foreign_state(bootstrap: str, own: Origin) -> None:
    """``ForeignState`` where a partition's state ends with the mark of a worker of another kind or with another key."""
    try:
        consumer = KafkaConsumer(bootstrap_servers=bootstrap, group_id=None, enable_auto_commit=False, **client_options())
    except KafkaError:
        return
    try:
        topics = [topic.name for topic in ALL if topic.state]
        ends = consumer.end_offsets([TopicPartition(name, number) for name in topics for number in consumer.partitions_for_topic(name) or ()])
        waiting = {partition for partition, end in ends.items() if end}
        consumer.assign(sorted(waiting))
        for partition in waiting:
            consumer.seek(partition, ends[partition] - 1)
        deadline_s = time.monotonic() + LOOK_S
        while waiting and time.monotonic() < deadline_s:
            for partition, records in consumer.poll(200).items():
                waiting.discard(partition)
                for record in records:
                    if record.key == COMMIT_MARKER.encode() and record.value:
                        refuse_foreign(f"{partition.topic}[{partition.partition}]", unsigned(record.value)[1], own)
    except KafkaError:
        return
    finally:
        consumer.close(autocommit=False)
