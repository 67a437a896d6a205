"""Which records of reference data count where a key's stand in several partitions: once partitions are added, its further records go to another one. Pure."""

from __future__ import annotations

from typing import Any

from streams.wire.topics import STANDING

_NAMES = {topic.name for topic in STANDING}


class Overtaken:
    """Remembers of each key the record that counts.

    In a partition the later record counts; between partitions the one that brokers took down later, in whatever order they are read. A
    deletion counts as long as Kafka keeps it (``delete.retention.ms``); what it deleted in another partition comes back after that,
    so ``doctor`` tells of a registry or policy that has several. Records of other topics are never overtaken.
    """

    def __init__(self) -> None:
        self._counts: dict[tuple[str, bytes | None], tuple[int, int]] = {}

    def has(self, record: Any) -> bool:
        """Whether a later record of the same key, in another partition, has been ``taken``."""
        timestamp, partition = self._counts.get((record.topic, record.key), (0, record.partition))
        return bool(partition != record.partition and (record.timestamp, record.partition) < (timestamp, partition))

    def taken(self, record: Any) -> None:
        """A record has been taken over."""
        if record.topic in _NAMES:
            self._counts[record.topic, record.key] = record.timestamp, record.partition
