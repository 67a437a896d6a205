"""Where the partitions end that partials speak of: nobody can have judged records that are not there (reliability.md)."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import NamedTuple

from streams.city.contributions import Contribution
from streams.runtime.checkpoint import Checkpoint
from streams.watermark import INPUTS


class Claim(NamedTuple):
    """A partial says that the records of a partition have been judged below an offset, and how many ``partitions`` the topic has at least."""

    topic: str
    partition: int
    next_offset: int
    partitions: int


class Sources:
    """The input topics as last looked at; looked at again where a partial claims more of them."""

    def __init__(self, checkpoint: Checkpoint) -> None:
        self._checkpoint = checkpoint
        self._counts: Mapping[str, int] = {}
        self._ends: dict[tuple[str, int], int] = {}

    async def look(self, partials: Collection[Contribution]) -> None:
        """Learn what is needed to tell whether partials, published before now, claim what is there."""
        beyond = [claim for partial in partials for claim in claims(partial) if claim.topic in INPUTS and self._is_beyond(claim)]
        if not beyond:
            return
        self._counts = await self._checkpoint.partition_counts()
        for topic in {claim.topic for claim in beyond}:
            numbers = {claim.partition for claim in beyond if claim.topic == topic and 0 <= claim.partition < self._counts.get(topic, 0)}
            ends = await self._checkpoint.ends(topic, sorted(numbers))
            self._ends.update({(topic, number): end for number, end in ends.items()})

    def excess(self, partial: Contribution) -> str | None:
        """What a partial claims that is not there, in words; None where all is."""
        for claim in claims(partial):
            if claim.topic not in INPUTS:
                return f"{claim.topic!r} is no input topic"
            count, end = self._counts.get(claim.topic, 0), self._ends.get((claim.topic, claim.partition), -1)
            if claim.partitions > count:
                return f"{claim.topic} has {count} partitions, not {claim.partitions}"
            if claim.next_offset > end:
                return f"{claim.topic}[{claim.partition}] ends at offset {end}, before {claim.next_offset}"
        return None

    def _is_beyond(self, claim: Claim) -> bool:
        count, end = self._counts.get(claim.topic, 0), self._ends.get((claim.topic, claim.partition), -1)
        return claim.partitions > count or claim.next_offset > end


def claims(partial: Contribution) -> Iterator[Claim]:
    """What a partial says of partitions; what an incident costs says nothing of any."""
    if partial.partition >= 0 or partial.next_offset:
        yield Claim(partial.topic, partial.partition, partial.next_offset, partial.partition + 1)
    for mark in partial.marks or ():
        yield Claim(mark.topic, mark.partition, mark.next_offset, mark.partitions)
