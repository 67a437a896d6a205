"""Which chunks have been delivered, and up to where all of them are judged and durable: so far may be committed."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping

from faust.types import TP, Message

from streams.errors import LostState
from streams.runtime.consumer_thread import CHUNKED_TOPICS


class ReadOffsets(dict[TP, int | None]):
    """Faust's read offsets, for topics that are not chunked.

    Faust drops a message whose offset is below the partition's read offset. Around a rebalance that offset can be a
    stale one, and a chunk fetched again would vanish; the judging state has a fence of its own against repeats.
    """

    def __missing__(self, tp: TP) -> None:
        return None

    def __setitem__(self, tp: TP, offset: int | None) -> None:
        if tp.topic not in CHUNKED_TOPICS:
            super().__setitem__(tp, offset)

    def update(self, offsets: Mapping[TP, int | None]) -> None:  # type: ignore[override]
        """Enter several."""
        for tp, offset in offsets.items():
            self[TP(*tp)] = offset


class ChunkLedger:
    """The chunks of each partition since the last seek.

    ``delivered``: in order, those that are not part of the ``durable`` prefix yet (the offset after it); ``reached``: the
    offset up to which a partition has been read, where that is known.
    """

    def __init__(self) -> None:
        self.delivered: dict[TP, deque[Message]] = {}
        self.durable: dict[TP, int] = {}
        self.reached: dict[TP, int] = {}

    def enter(self, message: Message) -> None:
        """A chunk is being delivered."""
        self.delivered.setdefault(message.tp, deque()).append(message)

    def holds(self, message: Message) -> bool:
        """Whether a chunk was delivered since the last seek, and is not durable yet."""
        return any(message is entry for entry in self.delivered.get(message.tp, ()))

    def committable(self, tp: TP) -> int | None:
        """The offset after the longest prefix of chunks that are acked; None where there is none."""
        chunks = self.delivered.get(tp)
        while chunks and chunks[0].acked:
            self.durable[tp] = chunks.popleft().offset + 1
        return self.durable.get(tp)

    def passed_over(self, positions: Mapping[TP, int], committed: Mapping[TP, int | None]) -> dict[TP, int]:
        """How far each partition has been read where that is further than its last record; ``LostState`` where one begins again."""
        further = {}
        for tp, position in positions.items():
            reached = self.reached.get(tp, committed.get(tp) or 0)
            if position < reached:
                raise LostState(
                    f"{tp.topic}[{tp.partition}] was read up to {reached}, but begins again at {position}: the topic was deleted and made anew; stop all workers"
                    " and run ./yicheng topics rewind, which drops the state that no longer fits: what the topics hold now is then judged from the beginning"
                )
            if position > reached:
                self.reached[tp] = further[tp] = position
        return further

    def clear(self) -> None:
        """Forget all: what was delivered is fetched again."""
        self.delivered.clear()
        self.durable.clear()
        self.reached.clear()
