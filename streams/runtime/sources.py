"""Where the partitions end that partials speak of: nobody can have judged records that are not there (reliability.md)."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import NamedTuple

from streams.city.contributions import Contribution
from streams.runtime.checkpoint import Checkpoint
from streams.watermark import INPUTS


class Position(NamedTuple):
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

    async def look(self, contributions: Collection[Contribution]) -> None:
        """Learn what is needed to tell whether partials, published before now, claim what is there."""
        beyond = [position for contribution in contributions for position in positions_in(contribution) if position.topic in INPUTS and self._excess(position)]
        if any(position.partitions > self._counts.get(position.topic, 0) for position in beyond):
            self._counts = await self._checkpoint.partition_counts()
        for topic in {position.topic for position in beyond}:
            ends = await self._checkpoint.ends(topic, range(self._counts.get(topic, 0)))
            self._ends.update({(topic, number): end for number, end in ends.items()})

    def excess(self, contribution: Contribution) -> str | None:
        """What a partial claims that is not there, in words; None where all is."""
        return next(filter(None, map(self._excess, positions_in(contribution))), None)

    def _excess(self, position: Position) -> str | None:
        if position.topic not in INPUTS:
            return f"{position.topic!r} is no input topic"
        count, end = self._counts.get(position.topic, 0), self._ends.get((position.topic, position.partition), -1)
        if position.partitions > count:
            return f"{position.topic} has {count} partitions, not {position.partitions}"
        if position.next_offset > end:
            return f"{position.topic}[{position.partition}] ends at offset {end}, before {position.next_offset}"
        return None


def positions_in(contribution: Contribution) -> Iterator[Position]:
    """What a partial says of partitions; what an incident costs says nothing of any."""
    if contribution.partition >= 0 or contribution.next_offset:
        yield Position(contribution.topic, contribution.partition, contribution.next_offset, contribution.partition + 1)
    for mark in contribution.marks or ():
        yield Position(mark.topic, mark.partition, mark.next_offset, mark.partitions)
