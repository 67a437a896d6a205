"""The thread in which aiokafka fetches and commits for the chunk consumer."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from aiokafka.errors import CommitFailedError, IllegalStateError
from aiokafka.structs import OffsetAndMetadata, TopicPartition
from faust.transport.drivers import aiokafka as driver
from faust.types import TP

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
            coordinator = self._ensure_consumer()._coordinator  # noqa: SLF001 - ``committed`` keeps the note to itself
            found = await coordinator.fetch_committed_offsets([TopicPartition(*tp) for tp in partitions])
            return {TP(*tp): committed.metadata for tp, committed in found.items() if committed.metadata}

        return await self.call_thread(fetch)

    def _create_worker_consumer(self, transport: Any) -> Any:
        consumer = super()._create_worker_consumer(transport)
        consumer._fetch_max_wait_ms = FETCH_MAX_WAIT_MS  # noqa: SLF001 - Faust has no setting for it
        consumer._isolation_level = self.consumer.isolation_level  # noqa: SLF001 - nor for this one
        return consumer

    async def _fetch_records(self, consumer: Any, *args: Any, **kwargs: Any) -> Any:
        records = await super()._fetch_records(consumer, *args, **kwargs)
        self.positions = {tp: state.position for tp, state in self._chunked(consumer) if state.has_valid_position}
        return records

    def _chunked(self, consumer: Any) -> Iterator[tuple[TP, Any]]:
        subscription = consumer._subscription.subscription  # noqa: SLF001 - one look, between two steps of the fetcher
        assignment = subscription.assignment if subscription is not None else None
        for tp in assignment.tps if assignment is not None else ():
            if tp.topic in CHUNKED_TOPICS:
                yield TP(*tp), assignment.state_value(tp)

    def readable_to(self, tp: TP) -> tuple[int | None, int | None]:
        """Where a partition ends, and where what can be read of it ends: at the first open transaction. None: not known yet."""
        consumer = self._ensure_consumer()
        if tp not in consumer.assignment():
            return None, None
        end = consumer.highwater(tp)
        return end, consumer.last_stable_offset(tp) if self.consumer.isolation_level == READ_COMMITTED else end
