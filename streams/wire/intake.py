"""How scans and heartbeats come in: what is new of a chunk is read, and accepted in time or refused (semantics 2). Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, TypeVar

from streams.watermark import Arrivals, capped
from streams.wire.decode import Reader, malformed
from streams.wire.events import KNOWN_FOR_MS, LATE, SYNTHETIC, Heartbeat, Record, Reject, Scan, refuse_time, stamps_ms

E = TypeVar("E", bound=Scan | Heartbeat)


class InputPartition(Protocol):
    """How far a partition of an input has come: the next offset, its stream time (ms), and what is to be said of arrivals."""

    next_offset: int
    stream_time_ms: int
    arrivals: Arrivals


def read_new(partition: InputPartition, records: Sequence[Record], reader: Reader[E]) -> tuple[list[tuple[Record, E]], list[Reject]]:
    """The records from ``next_offset`` on with what they say, in offset order, and the malformed ones; the partition goes on behind them."""
    new = [record for record in records if record.offset >= partition.next_offset]
    if new:
        partition.next_offset = new[-1].offset + 1
    events, wrong = reader.read([record.value for record in new])
    readable = [record for index, record in enumerate(new) if index not in wrong] if wrong else new
    return list(zip(readable, events, strict=True)), [malformed(new[index], error) for index, error in wrong.items()]


def refuse_event(partition: InputPartition, record: Record, event: Scan | Heartbeat, *, refuses_synthetic: bool) -> str | None:
    """Why an event is not accepted, if so; one that is accepted carries on its partition's stream time."""
    stamped_ms, arrived_ms = stamps_ms(record, event.arrival_time_ms)
    if event.synthetic and refuses_synthetic:
        return SYNTHETIC
    if reason := refuse_time(event.event_time_ms, stamped_ms):
        return reason
    if event.event_time_ms < partition.stream_time_ms - KNOWN_FOR_MS:
        return LATE
    partition.stream_time_ms = max(partition.stream_time_ms, capped(event.event_time_ms, arrived_ms))
    partition.arrivals.note(arrived_ms, event.event_time_ms)
    return None
