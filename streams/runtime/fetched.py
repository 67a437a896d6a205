"""Records as they come out of a fetch: one small struct each, of committed transactions only.

aiokafka makes a dataclass of every record and looks at each batch again for each of its records, for which it takes longer
than for all the rest of a fetch. Here a record is a ``msgspec.Struct`` with the same fields.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import msgspec
from aiokafka.consumer import fetcher
from aiokafka.errors import CorruptRecordException

from streams.wire.topics import BY_BROKER


class Fetched(msgspec.Struct, gc=False):
    """One record, with the fields of aiokafka's ``ConsumerRecord`` (bytes; ms, None where the record says none).

    ``arrived_ms``: when the record arrived (semantics 1): its timestamp where a broker wrote that down, else unknown.
    """

    topic: str
    partition: int
    offset: int
    timestamp: int | None
    timestamp_type: int
    arrived_ms: int | None
    key: bytes | None
    value: bytes | None
    headers: Sequence[tuple[str, bytes]]
    checksum: None = None

    @property
    def serialized_key_size(self) -> int:
        """Bytes of the key, -1 where there is none."""
        return -1 if self.key is None else len(self.key)

    @property
    def serialized_value_size(self) -> int:
        """Bytes of the value, -1 where there is none."""
        return -1 if self.value is None else len(self.value)


class PartitionRecords(fetcher.PartitionRecords):  # type: ignore[misc]
    """aiokafka's, but for what it makes of a record and how often it asks what. Deserialisers are Faust's business, which has none here.

    ``next_fetch_offset`` goes past whatever is left out: marks of transactions, aborted records, what compaction has taken out.
    """

    next_fetch_offset: int

    def __iter__(self) -> Iterator[Fetched]:
        return self._records_iterator  # type: ignore[no-any-return]

    def _unpack_records(self) -> Iterator[Fetched]:
        (topic, partition), records = self._tp, self._records
        while records.has_next():
            batch = records.next_batch()
            if not batch.validate_crc():
                raise CorruptRecordException(f"{topic}[{partition}] has a batch whose checksum is wrong")
            for record in () if self._is_left_out(batch) else batch:
                offset = record.offset
                if offset >= self.next_fetch_offset:
                    self.next_fetch_offset = offset + 1
                    time_ms, kind = record.timestamp, record.timestamp_type
                    known_ms = time_ms if time_ms >= 0 else None
                    arrived_ms = known_ms if kind == BY_BROKER else None
                    yield Fetched(topic, partition, offset, known_ms, kind, arrived_ms, record.key, record.value, record.headers)
            self.next_fetch_offset = batch.next_offset

    def _is_left_out(self, batch: Any) -> bool:
        """Whether a batch holds marks of transactions, or records of one that was aborted and not everything is to be read."""
        if self._isolation_level == fetcher.READ_COMMITTED and batch.producer_id is not None:
            self._consume_aborted_up_to(batch.base_offset)
            if batch.is_control_batch:
                if self._contains_abort_marker(batch):
                    self._aborted_producers.discard(batch.producer_id)
            elif batch.is_transactional and batch.producer_id in self._aborted_producers:
                return True
        return bool(batch.is_control_batch)
