"""What a worker asks Kafka for, and how what it hands to Kafka is acknowledged: its producer, its readers, its state topics."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from typing import Any

import structlog
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import KafkaError

from streams.errors import BadInput, unreadable_state
from streams.process.kafka_login import client_options
from streams.runtime import patches
from streams.runtime.durable import Change
from streams.runtime.refusals import LONGEST_MESSAGE, Destination, refusal
from streams.runtime.snapshots import Snapshots
from streams.wire.topics import CLEANUP_POLICY

log = structlog.get_logger()

READ_COMMITTED = "read_committed"
BATCH_BYTES = 256 * 1024


class KafkaLog:
    """The producer of all results and state, and the readers of what Kafka holds; each is started on first use.

    ``marked_ms``: by state topic and partition, when its restored mark was written, by the broker's clock.
    """

    def __init__(self, bootstrap: str) -> None:
        self.bootstrap = bootstrap
        self.isolation_level = READ_COMMITTED
        self.marked_ms: dict[tuple[str, int], int] = {}
        self._producer: AIOKafkaProducer | None = None
        self._reader: AIOKafkaConsumer | None = None
        self._follower: AIOKafkaConsumer | None = None
        self._bound: dict[asyncio.Future[Any], Destination] = {}

    async def producer(self) -> AIOKafkaProducer:
        """The one producer, started on first use."""
        if self._producer is None:
            self._producer = AIOKafkaProducer(
                bootstrap_servers=self.bootstrap, acks="all", enable_idempotence=True, compression_type="lz4", linger_ms=1,
                max_batch_size=BATCH_BYTES, max_request_size=LONGEST_MESSAGE, **client_options(),
            )  # fmt: skip
            await self._producer.start()
        return self._producer

    async def readable_ends(self, topic: str, partitions: Iterable[int]) -> dict[int, int]:
        """Where what can be read of partitions ends: at the first open transaction, unless open ones are read, too."""
        if self.isolation_level != READ_COMMITTED:
            return await self.ends(topic, partitions)
        if self._follower is None:
            self._follower = AIOKafkaConsumer(bootstrap_servers=self.bootstrap, enable_auto_commit=False, isolation_level=READ_COMMITTED, **client_options())
            await self._follower.start()
        return await _ends(self._follower, topic, partitions)

    async def _read(self) -> AIOKafkaConsumer:
        if self._reader is None:
            self._reader = AIOKafkaConsumer(
                bootstrap_servers=self.bootstrap, enable_auto_commit=False, auto_offset_reset="earliest", fetch_max_wait_ms=100, **client_options()
            )
            await self._reader.start()
        return self._reader

    async def ends(self, topic: str, partitions: Iterable[int]) -> dict[int, int]:
        """The offset after the last record of partitions of a topic."""
        return await _ends(await self._read(), topic, partitions)

    async def beginning(self, topic: str, partition: int) -> int:
        """The offset of the first record that a partition may hold."""
        source = TopicPartition(topic, partition)
        return int((await (await self._read()).beginning_offsets([source]))[source])

    async def partition_counts(self) -> Mapping[str, int]:
        """The number of partitions of every topic, as it is now."""
        return await patches.partition_counts(await self._read())

    async def cleanup_policies(self, topics: Iterable[str]) -> Mapping[str, str]:
        """How Kafka cleans topics up; without those that this user may not look at."""
        admin = AIOKafkaAdminClient(bootstrap_servers=self.bootstrap, **client_options())
        await admin.start()
        try:
            answers = await admin.describe_configs([ConfigResource(ConfigResourceType.TOPIC, topic, {CLEANUP_POLICY: ""}) for topic in topics])
        finally:
            await admin.close()
        return {name: entry[1] for answer in answers for _, _, _, name, entries in answer.resources for entry in entries if entry[0] == CLEANUP_POLICY}

    async def first(self, topic: str, partition: int) -> Any:
        """The first record that a partition holds, None where it holds none."""
        reader, source = await self._read(), TopicPartition(topic, partition)
        reader.assign([source])
        await reader.seek_to_beginning(source)
        records = await reader.getmany(timeout_ms=1_000, max_records=1)
        return next((record for batch in records.values() for record in batch), None)

    async def restore(self, topic: str, partition: int) -> dict[str, bytes]:
        """The state of every key as of the partition's latest complete checkpoint.

        Not always the last record of a key: part of a checkpoint may have been written before a crash (then its mark is
        missing), and a worker that was suspended while its partition went to another may still write what it had in its
        buffers. Such records are put right at once. Compaction leaves them time: what they replace is in the topic still.
        """
        counts = await self.partition_counts()
        if partition >= counts.get(topic, 0):  # the input has grown since the start
            raise BadInput(f"{topic} has {counts.get(topic, 0)} partitions, fewer than the input whose state it keeps; run ./yicheng topics create, which adds them")
        found = await self._snapshots(topic, partition)
        state, wrong = found.latest()
        if wrong:
            log.warning("state records outside the last complete checkpoint are put right", topic=topic, partition=partition, keys=len(wrong))
            await self._acknowledged(await self._save(topic, partition, [Change(key, state[key]) for key in wrong if key in state]))
        return state

    async def _snapshots(self, topic: str, partition: int) -> Snapshots:
        """All that a partition of a state topic holds."""
        reader, source = await self._read(), TopicPartition(topic, partition)
        end = (await self.ends(topic, [partition]))[partition]
        found = Snapshots()
        self.marked_ms.pop((topic, partition), None)
        if not end:
            return found
        reader.assign([source])
        await reader.seek_to_beginning(source)
        while await reader.position(source) < end:
            for records in (await reader.getmany(timeout_ms=500, max_records=50_000)).values():
                for record in records:
                    try:
                        found.add((record.key or b"").decode(), record.value)
                    except (ValueError, TypeError, RecursionError) as error:
                        raise unreadable_state(topic, partition, repr(record.key), error) from None
                    if not record.key and record.arrived_ms is not None:  # a mark
                        self.marked_ms[topic, partition] = record.arrived_ms
        return found

    async def _acknowledged(self, sends: Iterable[asyncio.Future[Any]]) -> None:
        waiting = list(sends)
        try:
            await asyncio.gather(*waiting)
        except KafkaError as error:
            failed = next((sent for sent in waiting if sent.done() and not sent.cancelled() and sent.exception() is error), None)
            destination = self._bound.get(failed) if failed is not None else None
            raise (await refusal(await self.producer(), destination, error) if destination else error) from None
        finally:
            for sent in waiting:
                self._bound.pop(sent, None)

    async def _save(self, topic: str, partition: int, changes: Iterable[Change]) -> list[asyncio.Future[Any]]:
        """Hand changed state to the producer, batched here: record by record it would take most of a worker's time."""
        producer = await self.producer()
        saved = []
        batch = None
        for change in changes:
            key = change.key.encode()
            if batch is None or batch.append(key=key, value=change.value, timestamp=None) is None:
                if batch is not None:
                    saved.append(await self._send_batch(producer, batch, topic, partition))
                batch = producer.create_batch()
                batch.append(key=key, value=change.value, timestamp=None)  # the first always fits
        if batch is not None:
            saved.append(await self._send_batch(producer, batch, topic, partition))
        return saved

    async def _send_batch(self, producer: AIOKafkaProducer, batch: Any, topic: str, partition: int) -> asyncio.Future[Any]:
        try:
            sent: asyncio.Future[Any] = await producer.send_batch(batch, topic, partition=partition)
        except KafkaError as error:
            raise await refusal(producer, Destination(topic, partition), error) from None
        self._bound[sent] = Destination(topic, partition)
        return sent

    async def stop(self) -> None:
        """Stop what was started."""
        for client in (self._producer, self._reader, self._follower):
            if client is not None:
                await client.stop()


async def _ends(reader: AIOKafkaConsumer, topic: str, partitions: Iterable[int]) -> dict[int, int]:
    sources = [TopicPartition(topic, number) for number in partitions]
    found = await reader.end_offsets(sources) if sources else {}
    return {source.partition: end for source, end in found.items()}
