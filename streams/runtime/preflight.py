"""What must be so between the topics before anything is judged, each refused in one line that says what to do."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from itertools import chain
from typing import Any, Protocol

import structlog

from streams import metrics
from streams.errors import BadInput, LostState, Unavailable
from streams.process.kafka_login import client_options
from streams.wire.topics import CLEANUP_POLICY

logger = structlog.get_logger()


class Log(Protocol):
    """What is asked of Kafka (``Checkpoint``)."""

    marked_ms: dict[tuple[str, int], int]

    async def partition_counts(self) -> Mapping[str, int]:
        """The number of partitions of every topic."""

    async def ends(self, topic: str, partitions: Iterable[int]) -> dict[int, int]:
        """Where partitions end."""

    async def cleanup_policies(self, topics: Iterable[str]) -> Mapping[str, str]:
        """How Kafka cleans up topics; without those that may not be looked at."""

    async def beginning(self, topic: str, partition: int) -> int:
        """Where a partition begins."""

    async def first(self, topic: str, partition: int) -> Any:
        """The first record that a partition holds, None where it holds none."""


async def refuse_misfits(log: Log, topics: Collection[tuple[str, str]], reference: Iterable[str] = ()) -> None:
    """Look at topics (input, and where its state is kept), and at those of reference data.

    ``Unavailable`` where one is missing; ``BadInput`` where the state's has fewer partitions than the input (more do no harm).
    """
    counts = await log.partition_counts()
    for topic in (*chain.from_iterable(topics), *reference):
        if topic not in counts:
            hidden = ", or this user may not see it (./yicheng topics access says what each must be allowed)" if client_options() else ""
            raise Unavailable(f"Kafka has no topic {topic}; run ./yicheng topics create{hidden}")
    for pair in topics:
        partitions, kept = (counts[topic] for topic in pair)
        if kept < partitions:
            raise BadInput(
                f"{pair[1]} has {kept} partitions, fewer than {pair[0]}, whose state it keeps ({partitions}); run ./yicheng topics create, which adds them"
            )


async def refuse_uncompacted(log: Log, topics: Iterable[str]) -> None:
    """``BadInput`` where a topic that is read back whole loses its records by and by: what is on file, or the state, would be gone at a later start."""
    for topic, policy in (await log.cleanup_policies(topics)).items():
        if policy != "compact":
            raise BadInput(f"{topic} has {CLEANUP_POLICY}={policy}, so that Kafka deletes what is still needed of it; run ./yicheng topics create, which sets it to compact")


def is_made_anew(next_offset: int, end: int, first: tuple[int, int] | None = None, marked_ms: int | None = None) -> bool:
    """Whether a partition cannot be the one whose records, as its state says, have been judged up to ``next_offset``.

    It ends before that; or its first record (offset, ms of arrival by a broker's clock) arrived after that state was saved.
    """
    if end < next_offset:
        return True
    return first is not None and marked_ms is not None and first[0] < next_offset and first[1] > marked_ms


async def refuse_made_anew(log: Log, input_topic: str, partition: int, next_offset: int, state_topic: str) -> None:
    """``LostState`` where an input partition is not the one that its state is of (``is_made_anew``): records would be skipped."""
    if not next_offset:
        return
    _tell_lost(input_topic, partition, await log.beginning(input_topic, partition) - next_offset)
    end, first = (await log.ends(input_topic, [partition]))[partition], None
    marked_ms = log.marked_ms.get((state_topic, partition))
    if end >= next_offset and marked_ms is not None:
        record = await log.first(input_topic, partition)
        first = (record.offset, record.arrived_ms) if record is not None and record.arrived_ms is not None else None
    if is_made_anew(next_offset, end, first, marked_ms):
        what = f"ends at {end}" if end < next_offset else "holds nothing that is older than its state"
        raise LostState(
            f"{input_topic}[{partition}] {what}, but was judged up to {next_offset}: the topic was deleted and made anew; stop all workers and run"
            " ./yicheng topics rewind, which drops the state that no longer fits: what the topics hold now is then judged from the beginning"
        )


def _tell_lost(topic: str, partition: int, records: int) -> None:
    """Say how many records Kafka deleted, by their age or because somebody had it do so, before they were judged."""
    if records > 0:
        metrics.RECORDS_LOST.labels(topic).inc(records)
        logger.error(
            "records were deleted before they were judged", topic=topic, partition=partition, records=records,
            hint="have Kafka keep them for longer than workers may be away: set retention.ms of the topic",
        )  # fmt: skip
