"""Incidents of before the last day, read from Kafka with a consumer of its own, the newest first: one that somebody asks for, or as many as are held.

A subject's incidents are in one partition, so what is read first of an incident is its last revision.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from consumers.console.sources.past_records import PastRecords, end_offsets, past_records
from consumers.incident_events import read_event
from streams.errors import Unavailable
from streams.wire.decode import Malformed
from streams.wire.topics import INCIDENTS

AT_ONCE = 200
"""So many records of each partition are read before the ones in front of them."""
MOST_RECORDS, MOST_S = 2_000_000, 900.0
"""Reading all of them ends after so many records or seconds."""
FIND_RECORDS, FIND_S = 500_000, 3.0
"""And for one that somebody asks for sooner."""


def each_past_incident(bootstrap: str, before_ms: int, is_stopping: Callable[[], bool], pause: Callable[[], object]) -> Iterator[bytes]:
    """The revisions that arrived before an instant, each partition's newest first; ``pause`` is called now and then. ``Unavailable`` where Kafka does not answer."""
    with past_records(bootstrap, MOST_RECORDS, MOST_S, is_stopping) as records:
        for chunk in _backwards(records, before_ms):
            yield from chunk
            pause()


def find_incident(bootstrap: str, incident_id: str, is_stopping: Callable[[], bool] = lambda: False) -> bytes | None:
    """The last revision of an incident; None where there is none. ``Unavailable`` where Kafka does not answer, or it holds more than can be looked through."""
    name = incident_id.encode()
    with past_records(bootstrap, FIND_RECORDS, FIND_S, is_stopping) as records:
        for chunk in _backwards(records, None):
            if found := next((value for value in chunk if name in value and _is_of(value, incident_id)), None):
                return found
        if records.is_cut_short:
            raise Unavailable(f"not found among the incidents that could be read within {FIND_S:.0f} s; it may be older / 在 {FIND_S:.0f} 秒内读取的事件中没有找到，可能更早")
    return None


def _is_of(value: bytes, incident_id: str) -> bool:
    """Whether a record is a revision of an incident; others may name it, too."""
    try:
        return read_event(value).incident.incident_id == incident_id
    except Malformed:
        return False


def _backwards(records: PastRecords, before_ms: int | None) -> Iterator[list[bytes]]:
    """Chunks of values, each partition's newest first."""
    partitions = records.partitions(INCIDENTS.name)
    if not partitions:
        return
    ahead = end_offsets(records.consumer, partitions)
    if before_ms is not None:
        ahead |= {partition: first.offset for partition, first in records.consumer.offsets_for_times(dict.fromkeys(partitions, before_ms)).items() if first is not None}
    begins = records.consumer.beginning_offsets(partitions)
    while spans := {partition: (max(begins[partition], end - AT_ONCE), end) for partition, end in ahead.items() if begins[partition] < end}:
        chunk = [record.value for _, record in records.each(spans) if record.value]
        yield chunk[::-1]
        if records.is_cut_short:
            return
        ahead = {partition: start for partition, (start, _) in spans.items()}
