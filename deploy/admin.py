"""Administration of topics and reference data, with kafka-python."""

from __future__ import annotations

import contextlib
import socket
import ssl
import sys
from collections.abc import Callable, Iterable, Iterator
from typing import Any, TypeVar
from zoneinfo import ZoneInfo

import msgspec
from kafka import KafkaConsumer, KafkaProducer, TopicPartition
from kafka.admin import KafkaAdminClient
from kafka.errors import KafkaError

from streams.errors import BadInput, Unavailable
from streams.policy.checks import pack_record
from streams.policy.policy import Policy
from streams.policy.reader import decode_policy
from streams.process.kafka_login import client_options
from streams.registry.changes import Changes, changes_of
from streams.registry.records import AnyEntry, decode_versions
from streams.registry.registry import Registry
from streams.wire import topics
from streams.wire.overtaken import Overtaken
from streams.words.shown import shown

T = TypeVar("T")

MOST_RECORD_BYTES = 1_000_000
CLOSE_TIMEOUT_MS = 2_000
"""A broker that does not answer any more is not waited for at the end."""
CONNECTS_WITHIN_S = 2.0
SPEAKS_TLS = "speaks TLS at that port; set YICHENG_KAFKA_TLS=1"


def publish_policy(bootstrap: str, policy: Policy) -> int:
    """Publish a pack with its zones: beside the published versions of its name, in place of one valid from the same time.

    Returns the number of versions now published. Raises ``BadInput`` where together they are too large.
    """
    versions = policy_held(bootstrap, policy.name)
    versions = [known for known in versions if known.valid_from_ms != policy.valid_from_ms] + [policy]
    sources = [{"yaml": known.pack.source["yaml"], "geojson": known.pack.source.get("geojson", "")} for known in versions]
    produce(bootstrap, topics.POLICY.name, [(policy.name.encode(), pack_record(sources))])
    return len(sources)


def policy_held(bootstrap: str, name: str) -> list[Policy]:
    """The published versions of a pack: as they were last published so that they can be read."""
    held: list[Policy] = []

    def enter(record: Any) -> None:
        if record.key == name.encode():
            held[:] = decode_policy(record.value) if record.value else []

    for _ in readable(bootstrap, topics.POLICY.name, enter):
        pass
    return held


def publish_registry(bootstrap: str, records: Iterable[tuple[str, list[AnyEntry]]]) -> int:
    """Publish registry records, all versions of one ``kind/id`` together; returns how many."""
    return produce(bootstrap, topics.REGISTRY.name, ((key.encode(), msgspec.json.encode(entries)) for key, entries in records))


def import_registry(bootstrap: str, registry: Registry, *, replace: bool, dry_run: bool = False) -> Changes:
    """Publish the records of a file: their versions beside those that Kafka holds, in place of one valid from the same time.

    ``replace``: in place of all versions of their ids. What changes nothing is not sent; with ``dry_run`` nothing is.
    ``BadInput``: a record too large.
    """
    changes = changes_of(registry_held(bootstrap), registry, replace=replace)
    changed = list[tuple[bytes, bytes]]()
    for record in changes.records:
        if record.is_unchanged:
            continue
        value = msgspec.json.encode(record.versions)
        if len(value) > MOST_RECORD_BYTES:
            raise BadInput(f"{record.key}: its {len(record.versions)} versions are {len(value):,} bytes, more than the {MOST_RECORD_BYTES:,} that can be published")
        changed.append((record.key.encode(), value))
    if not dry_run:
        produce(bootstrap, topics.REGISTRY.name, changed)
    return changes


def produce(bootstrap: str, topic: str, records: Iterable[tuple[bytes, bytes]]) -> int:
    """Send (key, value) pairs and wait for their acknowledgement; returns how many."""
    return send_records(bootstrap, ((topic, key, value, None) for key, value in records))


def send_records(bootstrap: str, records: Iterable[tuple[str, bytes | None, bytes | None, int | None]]) -> int:
    """Send (topic, key, value, partition or None) and wait for their acknowledgement; returns how many."""
    try:
        producer = KafkaProducer(bootstrap_servers=bootstrap, acks="all", linger_ms=5, bootstrap_timeout_ms=topics.ANSWERS_WITHIN_MS, **client_options())
    except (KafkaError, OSError) as error:
        raise unreachable(bootstrap) from error
    try:
        sent = [producer.send(topic, value, key, partition=partition) for topic, key, value, partition in records]
        producer.flush(60)
        for future in sent:
            future.get(60)
    except KafkaError as error:
        raise Unavailable(f"Kafka at {bootstrap} did not take every record ({error}); run this again") from error
    finally:
        with contextlib.suppress(KafkaError):  # what it could not send is told by what led here
            producer.close(timeout=CLOSE_TIMEOUT_MS / 1000)
    return len(sent)


def registry_held(bootstrap: str) -> dict[str, list[AnyEntry]]:
    """The versions of every registry record that Kafka holds, by ``kind/id``: the last that can be read, as workers have it."""
    held = Registry(ZoneInfo("UTC"))

    def enter(record: Any) -> None:
        kind, _, name = (record.key or b"").decode().partition("/")
        held.put(kind, name, decode_versions(record.value) if record.value else [])

    for _ in readable(bootstrap, topics.REGISTRY.name, enter):
        pass
    return dict(held.grouped())


def read_registry(bootstrap: str, only: str | None = None) -> Iterator[str]:
    """Every registry record that Kafka holds (or those of one ``kind/id``), one JSON text each."""
    for key, entries in sorted(registry_held(bootstrap).items()):
        if only in (None, key):
            yield from (msgspec.json.encode(entry).decode() for entry in entries)


def readable(bootstrap: str, topic: str, read: Callable[[Any], T]) -> Iterator[T]:
    """What ``read`` makes of the records of a topic, without those that are ``Overtaken``; those that it cannot read are left out, which one line on standard error says."""
    first, number, overtaken = "", 0, Overtaken()
    for record in read_records(bootstrap, topic):
        if overtaken.has(record):
            continue
        try:
            yield read(record)
            overtaken.taken(record)
        except (BadInput, ValueError, RecursionError) as error:
            first = first or f"partition {record.partition}, offset {record.offset}: {shown(error)[:200]}"
            number += 1
    if number:
        print(f"yicheng: {topic}: {number} {'record' if number == 1 else 'records'} cannot be read and are left out (first: {first})", file=sys.stderr)


def read_topic(bootstrap: str, topic: str) -> Iterator[tuple[str, bytes | None]]:
    """(key, value) of every record in a topic, as ``read_records`` reads it; bytes of a key that are not UTF-8 are escaped."""
    return (((record.key or b"").decode("utf-8", "backslashreplace"), record.value) for record in read_records(bootstrap, topic))


def read_records(bootstrap: str, topic: str) -> Iterator[Any]:
    """Every record in a topic, from its beginning to its present end (of what can be read: the first open transaction)."""
    consumer = reader(bootstrap)
    try:
        partitions = [TopicPartition(topic, number) for number in consumer.partitions_for_topic(topic) or ()]
        if not partitions:  # no such topic, or a new one that the broker does not name yet
            return
        consumer.assign(partitions)
        consumer.seek_to_beginning(*partitions)
        ends = consumer.end_offsets(partitions)
        while any(consumer.position(partition) < end for partition, end in ends.items()):
            for records in consumer.poll(timeout_ms=500).values():
                yield from records
    finally:
        consumer.close(timeout_ms=CLOSE_TIMEOUT_MS)


def reader(bootstrap: str, group: str | None = None, **options: Any) -> KafkaConsumer:
    """A reader of committed records, to the first open transaction; ``options``: others of the client's."""
    try:
        return KafkaConsumer(
            bootstrap_servers=bootstrap.split(","), group_id=group, enable_auto_commit=False, isolation_level="read_committed",
            bootstrap_timeout_ms=topics.ANSWERS_WITHIN_MS, **client_options(), **options,
        )  # fmt: skip
    except (KafkaError, OSError) as error:
        raise unreachable(bootstrap) from error


def administer(bootstrap: str) -> KafkaAdminClient:
    """A client for topics and groups; ``Unavailable`` where Kafka does not answer."""
    try:
        return KafkaAdminClient(bootstrap_servers=bootstrap, bootstrap_timeout_ms=topics.ANSWERS_WITHIN_MS, **client_options())
    except (KafkaError, OSError) as error:
        raise unreachable(bootstrap) from error


def unreachable(bootstrap: str) -> Unavailable:
    """Kafka does not answer, or does not let us in: what to do about it."""
    return Unavailable(f"Kafka at {bootstrap} {_why(bootstrap)}")


def _why(bootstrap: str) -> str:
    """Looks at the first address: whether TLS is spoken there, and by somebody we trust."""
    host, _, port = bootstrap.partition(",")[0].rpartition(":")
    secured = client_options()
    try:
        with socket.create_connection((host.strip("[]"), int(port)), CONNECTS_WITHIN_S) as connection:
            (secured.get("ssl_context") or ssl.create_default_context()).wrap_socket(connection, server_hostname=host.strip("[]")).close()
    except ssl.SSLCertVerificationError as error:
        return f"has a certificate that is not trusted ({error.verify_message}); check YICHENG_KAFKA_CA" if secured else SPEAKS_TLS
    except (ssl.SSLError, ConnectionResetError):
        if secured:
            return "does not speak TLS at that port; check YICHENG_KAFKA_BOOTSTRAP, or unset YICHENG_KAFKA_TLS"
    except OSError:
        pass
    else:
        return "does not let us in; check YICHENG_KAFKA_USER and YICHENG_KAFKA_PASSWORD" if secured else SPEAKS_TLS
    return "does not answer; start one with ./yicheng kafka start, or set YICHENG_KAFKA_BOOTSTRAP"
