"""Answers to incidents → what accounts are to know of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import msgspec

from streams.city.contributions import Contribution, encode_contribution
from streams.clock import BEGINNING_MS
from streams.enterprises.confirmations import answered
from streams.enterprises.credit import hears_answers
from streams.process.unreadable import passed_over
from streams.runtime.checkpoint import Checkpoint
from streams.runtime.reference import Reference
from streams.runtime.stage import StatefulStage
from streams.watermark import Arrivals
from streams.wire.decode import Malformed
from streams.wire.state_records import RecordHeader
from streams.wire.topics import FEEDBACK, FEEDBACK_STATE, PARTIALS


class AnswerPartition(msgspec.Struct):
    """How far a partition of answers has come; what time it is does not go by them."""

    next_offset: int = 0
    saved_offset: int = 0
    stream_time_ms: int = BEGINNING_MS
    arrivals: Arrivals = msgspec.field(default_factory=Arrivals)


class AnswerStage(StatefulStage[AnswerPartition]):
    """Answers to incidents → what accounts are to know of them."""

    def __init__(self, checkpoint: Checkpoint, reference: Reference) -> None:
        super().__init__(checkpoint, reference, FEEDBACK, FEEDBACK_STATE)

    async def process(self, chunk: Sequence[Any]) -> None:
        """Send on a chunk of one partition's answers, where what incidents cost depends on them."""
        assert self.reference.policies is not None
        partition = await self.partition(chunk[0].partition)
        is_wanted = hears_answers(self.reference.policies)
        for record in chunk:
            if record.offset < partition.next_offset:
                continue
            partition.next_offset = record.offset + 1
            try:
                answer = answered(record.value, record.arrived_ms, record.offset)
            except Malformed as error:
                passed_over(record.topic, record.partition, record.offset, str(error))
                continue
            if is_wanted:
                await self.checkpoint.send(PARTIALS.name, self.city.encode(), encode_contribution(Contribution(self.city, FEEDBACK.name, answer=answer)))
        partition.arrivals.read_until(chunk[-1].arrived_ms)

    def new_partition(self) -> AnswerPartition:
        """See ``StatefulStage``."""
        return AnswerPartition()

    def dirty(self, partition: AnswerPartition, head: RecordHeader) -> Iterator[tuple[str, bytes | None]]:
        """Its mark says all."""
        return iter(())
