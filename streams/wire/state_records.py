"""State records, in versioned msgpack. Each begins with a head that says as of when it is."""

from __future__ import annotations

from typing import Any

import msgspec

from streams.clock import BEGINNING_MS

VERSION = 8
"""Until version 7 only acceptances of parcels were kept. Until version 6 runs did not say what plate their fixes gave, fixes had marks, and a violation's scans stood in one record. Until version 5 all ids had separators. Blocks of versions 3 and 4 did not say how long they were; those of version 3 have no steps in them, and say so themselves."""
COMMIT_MARKER = ""
"""Key of a partition's own state record, only a head: written last, it says that a checkpoint is complete. No id is empty."""
encode_record = msgspec.msgpack.Encoder().encode
decode_record = msgspec.msgpack.decode


class RecordHeader(msgspec.Struct, array_like=True, frozen=True):
    """The beginning of every state record: the partition, and how far it had been judged when this was its state."""

    version: int
    partition: int
    next_offset: int
    stream_time_ms: Any

    @property
    def age(self) -> tuple[int, int]:
        """The greater it is, the later the state, whoever wrote it when."""
        return self.next_offset, BEGINNING_MS if self.version == 2 else self.stream_time_ms


HEADER_FIELDS = len(RecordHeader.__struct_fields__)


def header_of(partition: int, next_offset: int, stream_time_ms: int) -> RecordHeader:
    """The head of what is written now."""
    return RecordHeader(VERSION, partition, next_offset, stream_time_ms)


decode_header = msgspec.msgpack.Decoder(RecordHeader).decode
"""The head of a state record, without reading the rest."""


def encode_header(head: RecordHeader) -> bytes:
    """A record that is nothing but a head."""
    return encode_record(head)


def encode_fields(fields: tuple[Any, ...], head: RecordHeader) -> bytes:
    """State that msgspec can write as it is."""
    return encode_record((*msgspec.structs.astuple(head), *fields))


def decode_fields(value: bytes, kind: Any) -> Any:
    """The fields that ``encode_fields`` wrote, as a tuple of the types of ``kind``."""
    return msgspec.convert(body_of(decode_record(value)), kind)


def has_fields(value: bytes) -> bool:
    """Whether a record says anything beside its head."""
    return len(decode_record(value)) > HEADER_FIELDS


def body_of(fields: list[Any]) -> list[Any]:
    """What follows the head; ``ValueError`` where another version wrote it."""
    if fields[0] not in {3, 4, 5, 6, 7, VERSION}:
        raise ValueError(f"state of version {fields[0]} cannot be read by this worker, which knows version {VERSION}")
    return fields[HEADER_FIELDS:]
