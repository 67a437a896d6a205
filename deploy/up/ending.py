"""When everything that was sent has been judged: the inputs are read, time has come to their end, and what follows is published."""

from __future__ import annotations

from contextlib import suppress

from kafka import KafkaConsumer, TopicPartition

from deploy.admin import read_topic
from streams.clock import now_ms
from streams.process.kafka_login import client_options
from streams.watermark import CLOCK_KEY, DISORDER_MS, INPUTS, Clock, decode_clock
from streams.wire.topics import CLOCK, PARTIALS

Ends = dict[TopicPartition, int]


class Ending:
    """Asked again and again whether a group of workers is done with what was sent until now."""

    def __init__(self, bootstrap: str, group: str) -> None:
        self.bootstrap, self.group = bootstrap, group
        self.sent_ms = now_ms()
        self._sums: Ends | None = None

    def reached(self) -> bool:
        """Whether all is judged, and all that was to be published before the workers' last checkpoint is."""
        if self._sums is None and self._time_is_up():
            self._sums = ends(self.bootstrap, PARTIALS.name)
        return self._sums is not None and committed_to(self.bootstrap, self.group, self._sums)

    def _time_is_up(self) -> bool:
        clock = read_clock(self.bootstrap)
        if clock.read_until_ms <= self.sent_ms + DISORDER_MS + 1_000 or clock.settled_ms < clock.watermark_ms - 1:
            return False
        return all(committed_to(self.bootstrap, self.group, ends(self.bootstrap, topic)) for topic in INPUTS)


def read_clock(bootstrap: str) -> Clock:
    """How far time has come, as the workers last said."""
    said = []
    for key, value in read_topic(bootstrap, CLOCK.name):
        with suppress(ValueError, RecursionError):  # what cannot be read, workers pass over, too
            if value and key == CLOCK_KEY.decode():
                said.append(decode_clock(value))
    return max(said, key=lambda clock: clock.read_until_ms, default=Clock())


def ends(bootstrap: str, topic: str) -> Ends:
    """Where a topic's partitions end now."""
    consumer = KafkaConsumer(bootstrap_servers=bootstrap.split(","), enable_auto_commit=False, isolation_level="read_committed", **client_options())
    try:
        return dict(consumer.end_offsets([TopicPartition(topic, number) for number in consumer.partitions_for_topic(topic) or ()]))
    finally:
        consumer.close()


def committed_to(bootstrap: str, group: str, wanted: Ends) -> bool:
    """Whether a group has committed partitions so far."""
    consumer = KafkaConsumer(bootstrap_servers=bootstrap.split(","), group_id=group, enable_auto_commit=False, **client_options())
    try:
        return all((consumer.committed(partition) or 0) >= end for partition, end in wanted.items())
    finally:
        consumer.close()
