"""What a checkpoint needs of a step of the dataflow: what changed, and how far it has come."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple, Protocol

from streams.watermark import Newest


class Change(NamedTuple):
    """A state record to be written: its key and its bytes (None: to be deleted)."""

    key: str
    value: bytes | None


class Reached(NamedTuple):
    """How far an input partition had been judged when a checkpoint took it down, and the event times met since the last time (watermark.py)."""

    topic: str
    partition: int
    next_offset: int
    until_ms: int
    stream_time_ms: int
    newest: Newest


class Stage(Protocol):
    """A step of the dataflow with state by partition: what a checkpoint needs of it."""

    input_topic: str
    state_topic: str

    @property
    def partitions(self) -> Mapping[int, Any]:
        """Those whose state is in memory."""

    async def process(self, chunk: Sequence[Any]) -> None:
        """Judge a chunk of one partition's records and send what comes of it."""

    async def pass_over(self, number: int, next_offset: int) -> None:
        """There is nothing to judge in a partition below this offset that has not been judged."""

    def emit(self, number: int) -> Iterable[tuple[str, bytes, bytes]]:
        """(topic, key, value) of a partition's results that are only sent once a checkpoint."""

    def reached(self, number: int) -> Reached | None:
        """How far a partition of an input topic has been judged; None where the topic is no input of the system."""

    def changes(self, number: int) -> list[Change]:
        """A partition's state that has changed since the last call, and its mark at the end; nothing if nothing has."""

    def evict(self, ends: Mapping[int, int]) -> None:
        """Drop the state in memory; it is restored when next needed.

        ``ends``: where each partition's state topic ends now. While it still ends there, nobody else has had the partition.
        """

    def expire_standby(self) -> None:
        """Drop what was kept of partitions that have not come back."""
