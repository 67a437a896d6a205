"""The thread in which aiokafka fetches and commits for the chunk consumer."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from aiokafka.errors import CommitFailedError, IllegalStateError
from aiokafka.structs import OffsetAndMetadata, TopicPartition
from faust.transport.drivers import aiokafka as driver
from faust.types import TP

from streams.runtime import patches
from streams.runtime.kafka_log import READ_COMMITTED
from streams.wire.topics import CHUNKED

CHUNKED_TOPICS = frozenset(topic.name for topic in CHUNKED)
FETCH_MAX_WAIT_MS = 20


class ConsumerThread(driver.AIOKafkaConsumerThread):
    """Faust's, but for how long a fetch may last and which records it gives; and it remembers how far each fetch came."""

    positions: Mapping[TP, int] = {}

    async def commit_with_notes(self, notes: Mapping[TP, tuple[int, str]]) -> bool:
        """Commit offsets with a note each; False where a partition is not this member's any more."""

        async def commit() -> bool:
            try:
                await self._ensure_consumer().commit({TopicPartition(*tp): OffsetAndMetadata(*note) for tp, note in notes.items()})
            except (CommitFailedError, IllegalStateError):
                return False
            return True

        return await self.call_thread(commit)

    async def committed_notes(self, partitions: Iterable[TP]) -> dict[TP, str]:
        """The notes beside the committed offsets of partitions that have some."""

        async def fetch() -> dict[TP, str]:
            notes = await patches.committed_notes(self._ensure_consumer(), [TopicPartition(*tp) for tp in partitions])
            return {TP(*tp): note for tp, note in notes.items()}

        return await self.call_thread(fetch)

    def _create_worker_consumer(self, transport: Any) -> Any:
        consumer = super()._create_worker_consumer(transport)
        patches.fetch_by(consumer, FETCH_MAX_WAIT_MS, self.consumer.isolation_level)
        return consumer

    async def _fetch_records(self, consumer: Any, *args: Any, **kwargs: Any) -> Any:
        records = await super()._fetch_records(consumer, *args, **kwargs)
        self.positions = {TP(*tp): position for tp, position in patches.positions(consumer) if tp.topic in CHUNKED_TOPICS}
        return records

    def readable_to(self, tp: TP) -> tuple[int | None, int | None]:
        """Where a partition ends, and where what can be read of it ends: at the first open transaction. None: not known yet."""
        consumer = self._ensure_consumer()
        if tp not in consumer.assignment():
            return None, None
        end = consumer.highwater(tp)
        return end, consumer.last_stable_offset(tp) if self.consumer.isolation_level == READ_COMMITTED else end
