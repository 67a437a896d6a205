"""The topics themselves: made, brought up to date, emptied for a new beginning, deleted."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress

from kafka import KafkaConsumer, TopicPartition
from kafka.admin import ConfigResource, ConfigResourceType, KafkaAdminClient, NewPartitions, NewTopic
from kafka.errors import TopicAlreadyExistsError

from deploy.admin import CLOSE_TIMEOUT_MS, administer, read_records, reader
from deploy.waiting import until
from streams.errors import YichengError
from streams.runtime.preflight import is_made_anew
from streams.wire import topics
from streams.wire.state_records import decode_header

DELETED_WITHIN_S = 30.0


def create_topics(bootstrap: str, partitions: int, replication: int = 1) -> list[str]:
    """Create the topics that do not exist yet, and make older ones what the workers need; returns what was done, a line each.

    Older ones: brokers write down when records arrive (``Topic.stamped``), and state has a partition for each of its input's.
    """
    admin = administer(bootstrap)
    try:
        existing = set(admin.list_topics())
        wanted = [
            NewTopic(t.name, partitions if t.partitioned else 1, replication, topic_configs=topics.kafka_config(t))
            for t in topics.ALL
            if t.name not in existing
        ]
        if wanted:
            with suppress(TopicAlreadyExistsError):  # somebody else was faster
                admin.create_topics(wanted)
            admin.wait_for_topics([topic.name for topic in wanted])
        return [*(topic.name for topic in wanted), *_add_partitions(admin), *_stamp(admin)]
    finally:
        admin.close()


def _add_partitions(admin: KafkaAdminClient) -> Iterator[str]:
    """Give state topics as many partitions as their inputs have; those that they have stay what they are."""
    counts = {found["name"]: len(found["partitions"]) for found in admin.describe_topics([t.name for pair in topics.STATE_OF.items() for t in pair])}
    for source, state in topics.STATE_OF.items():
        if counts[state.name] < counts[source.name]:
            admin.create_partitions({state.name: NewPartitions(counts[source.name])})
            yield f"{state.name}: {counts[source.name]} partitions, as {source.name} has (before: {counts[state.name]})"


def _stamp(admin: KafkaAdminClient) -> Iterator[str]:
    """Let the brokers write down when records arrive, from now on."""
    unstamped = _unstamped(admin)
    change = {topics.TIMESTAMP_TYPE: topics.LOG_APPEND_TIME}
    outcomes = admin.alter_configs([ConfigResource(ConfigResourceType.TOPIC, name, change) for name in unstamped]) if unstamped else {}
    for name, outcome in outcomes.get("topic", {}).items():
        if outcome != "OK":
            raise YichengError(f"{topics.TIMESTAMP_TYPE} of {name} cannot be set to {topics.LOG_APPEND_TIME}: {outcome}")
        yield f"{name}: {topics.TIMESTAMP_TYPE}={topics.LOG_APPEND_TIME} (before: {unstamped[name]})"


def _unstamped(admin: KafkaAdminClient) -> dict[str, str]:
    """The topics that exist and should carry the brokers' time and do not, and what they carry."""
    existing = set(admin.list_topics())
    names = [topic.name for topic in topics.ALL if topic.stamped and topic.name in existing]
    found = admin.describe_configs([ConfigResource(ConfigResourceType.TOPIC, name) for name in names], config_filter="all") if names else {}
    given = {name: settings[topics.TIMESTAMP_TYPE]["value"] for name, settings in found.get("topic", {}).items()}
    return {name: value for name, value in given.items() if value != topics.LOG_APPEND_TIME}


def unstamped_topics(bootstrap: str) -> list[str]:
    """The topics whose records' arrival is unknown, because they carry their producers' time (semantics 1)."""
    admin = administer(bootstrap)
    try:
        return sorted(_unstamped(admin))
    finally:
        admin.close()


def rewind(bootstrap: str, group: str) -> list[str]:
    """Forget a group's committed offsets; what its state has seen is not judged twice. ``YichengError`` while its workers run.

    Where an input was deleted and made anew, no state fits any more and it is dropped; returns the partitions of which that is so.
    """
    admin = administer(bootstrap)
    try:
        if any(member for described in admin.describe_groups([group]).values() for member in described["members"]):
            raise YichengError(f"workers of group {group} are running; stop them first")
        outcome = dict(admin.delete_groups([group]))[group]
        if outcome not in {"OK", "GroupIdNotFoundError"}:
            raise YichengError(f"the offsets of group {group} cannot be deleted: {outcome}")
        anew = [f"{tp.topic}[{tp.partition}]" for pair in topics.STATE_OF.items() for tp in _made_anew(bootstrap, *pair)]
        if anew:
            _empty(admin, [topic.name for topic in topics.DERIVED])
        return anew
    finally:
        admin.close()


def _made_anew(bootstrap: str, source: topics.Topic, state: topics.Topic) -> Iterator[TopicPartition]:
    """The partitions of an input that their state is not of (``is_made_anew``)."""
    marks = {}
    for record in read_records(bootstrap, state.name):
        if not record.key and record.value is not None:
            marks[record.partition] = (decode_header(record.value).next_offset, record.timestamp if record.timestamp_type == topics.BY_BROKER else None)
    consumer = reader(bootstrap)
    try:
        sources = [TopicPartition(source.name, number) for number in sorted(consumer.partitions_for_topic(source.name) or ()) if number in marks]
        ends = consumer.end_offsets(sources)
        for tp in sources:
            first = _first_arrival(consumer, tp) if consumer.beginning_offsets([tp])[tp] < ends[tp] else None
            if is_made_anew(marks[tp.partition][0], ends[tp], first, marks[tp.partition][1]):
                yield tp
    finally:
        consumer.close(timeout_ms=CLOSE_TIMEOUT_MS)


def _first_arrival(consumer: KafkaConsumer, tp: TopicPartition) -> tuple[int, int] | None:
    """Offset and time of arrival of the first record of a partition; None where no broker has written it down."""
    consumer.assign([tp])
    consumer.seek_to_beginning(tp)
    first = next((record for records in consumer.poll(timeout_ms=1_000, max_records=1).values() for record in records), None)
    return (first.offset, first.timestamp) if first is not None and first.timestamp_type == topics.BY_BROKER else None


def _empty(admin: KafkaAdminClient, names: list[str]) -> None:
    """Make topics anew, as large as they are."""
    found = {topic["name"]: topic["partitions"] for topic in admin.describe_topics(names)}
    _delete(admin, names)
    configurations = {topic.name: topics.kafka_config(topic) for topic in topics.ALL}
    admin.create_topics([NewTopic(name, len(found[name]), len(found[name][0]["replica_nodes"]), topic_configs=configurations[name]) for name in names])
    admin.wait_for_topics(names)


def delete_topics(bootstrap: str, group: str) -> None:
    """Delete the courier topics and the workers' changelogs, and wait until they are gone."""
    admin = administer(bootstrap)
    try:
        ours = [name for name in admin.list_topics() if name in {t.name for t in topics.ALL} or name.startswith(f"{group}-")]
        _delete(admin, ours)
    finally:
        admin.close()


def _delete(admin: KafkaAdminClient, names: list[str]) -> None:
    if names:
        admin.delete_topics(names)
    until(lambda: set(names).isdisjoint(admin.list_topics()), within_s=DELETED_WITHIN_S, every_s=0.1)
