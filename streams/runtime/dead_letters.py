"""What is kept of a refused record: where it stands and why it was refused, never what it says (reliability.md, *Dead letters*).

The value is event id, time and kind where these can be read, else nothing. The key is the original's where that is an id.
The SHA-256 and the length tell whether what stands there is still what was refused.
"""

from __future__ import annotations

import hashlib
from typing import NamedTuple

import orjson

from streams.wire.events import Reject
from streams.wire.ids import id_of
from streams.wire.topics import GPS, HEARTBEAT, SCAN

KINDS = {GPS.name: "fix", SCAN.name: "scan", HEARTBEAT.name: "heartbeat"}


class Letter(NamedTuple):
    """A dead or late letter, as Kafka has it."""

    key: bytes | None
    value: bytes
    headers: list[tuple[str, bytes]]


def letter(reject: Reject, topic: str, partition: int, key: bytes | None) -> Letter:
    """The letter about a refused record of an input partition."""
    record = reject.record
    identity = {"event_id": reject.event_id, "event_time_ms": reject.event_time_ms, "kind": KINDS.get(topic, topic)}
    headers = {
        "reason": reject.reason, "error": reject.error, "topic": topic, "partition": str(partition), "offset": str(record.offset),
        "sha256": hashlib.sha256(record.value or b"").hexdigest(), "length": str(len(record.value or b"")),
    }  # fmt: skip
    value = b"" if reject.event_id is None and reject.event_time_ms is None else orjson.dumps(identity)  # null without a key is no record
    return Letter(key if id_of(key) else None, value, [(name, text.encode()) for name, text in headers.items()])
