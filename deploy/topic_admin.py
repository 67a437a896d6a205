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

    Older ones, and those of others: their settings (``topics.lacking``), and state has a partition for each of its input's.
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
        return [*(topic.name for topic in wanted), *_add_partitions(admin), *_configure(admin)]
    finally:
        admin.close()


def _add_partitions(admin: KafkaAdminClient) -> Iterator[str]:
    """Give state topics as many partitions as their inputs have; those that they have stay what they are."""
    counts = {found["name"]: len(found["partitions"]) for found in admin.describe_topics([t.name for pair in topics.STATE_OF.items() for t in pair])}
    for source, state in topics.STATE_OF.items():
        if counts[state.name] < counts[source.name]:
            admin.create_partitions({state.name: NewPartitions(counts[source.name])})
            yield f"{state.name}: {counts[source.name]} partitions, as {source.name} has (before: {counts[state.name]})"


def _configure(admin: KafkaAdminClient) -> Iterator[str]:
    """Let the brokers keep topics as they must be kept, from now on."""
    found = _lacking(admin)
    changes = [ConfigResource(ConfigResourceType.TOPIC, name, {setting: wanted for setting, (wanted, _) in settings.items()}) for name, settings in found.items()]
    outcomes = admin.alter_configs(changes) if changes else {}
    for name, outcome in outcomes.get("topic", {}).items():
        settings = found[name]
        if outcome != "OK":
            raise YichengError(f"{', '.join(settings)} of {name} cannot be set to {', '.join(wanted for wanted, _ in settings.values())}: {outcome}")
        yield from (f"{name}: {setting}={wanted} (before: {before})" for setting, (wanted, before) in settings.items())


def _lacking(admin: KafkaAdminClient) -> dict[str, dict[str, tuple[str, str]]]:
    """The settings of the topics that exist that do not do (``topics.lacking``): what each should be, and what it is."""
    existing = set(admin.list_topics())
    known = {topic.name: topic for topic in topics.ALL if topic.name in existing}
    described = admin.describe_configs([ConfigResource(ConfigResourceType.TOPIC, name) for name in known], config_filter="all") if known else {}
    given = {name: {setting: str(entry["value"]) for setting, entry in settings.items()} for name, settings in described.get("topic", {}).items()}
    found = {name: {setting: (wanted, given[name][setting]) for setting, wanted in topics.lacking(known[name], given[name]).items()} for name in given}
    return {name: settings for name, settings in found.items() if settings}


def lacking_topics(bootstrap: str) -> dict[str, set[str]]:
    """The topics that exist, each with those of its settings that ``create_topics`` would change."""
    admin = administer(bootstrap)
    try:
        return {name: set(settings) for name, settings in sorted(_lacking(admin).items())}
    finally:
        admin.close()


def divided_topics(bootstrap: str) -> dict[str, int]:
    """The topics of what is on file that somebody has given more partitions than the one they are made with, and how many they have."""
    admin = administer(bootstrap)
    try:
        names = sorted({topic.name for topic in topics.STANDING if not topic.partitioned} & set(admin.list_topics()))
        found = {described["name"]: len(described["partitions"]) for described in admin.describe_topics(names)} if names else {}
        return {name: count for name, count in found.items() if count > 1}
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
