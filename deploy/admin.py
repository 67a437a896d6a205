"""Administration of topics and reference data, with kafka-python."""

from __future__ import annotations

from collections.abc import Iterable

import orjson
from kafka import KafkaProducer
from kafka.admin import KafkaAdminClient, NewTopic
from kafka.errors import KafkaError, TopicAlreadyExistsError

from streams import topics
from streams.errors import Unavailable
from streams.policy import Policy
from streams.registry import AnyEntry
import msgspec


def create_topics(bootstrap: str, partitions: int, replication: int = 1) -> list[str]:
    """Create the topics that do not exist yet; returns their names."""
    try:
        admin = KafkaAdminClient(bootstrap_servers=bootstrap)
    except (KafkaError, OSError) as error:
        raise unreachable(bootstrap) from error
    try:
        existing = set(admin.list_topics())
        wanted = [
            NewTopic(t.name, partitions if t.partitioned else 1, replication, topic_configs=topics.kafka_config(t))
            for t in topics.ALL
            if t.name not in existing
        ]
        if wanted:
            admin.create_topics(wanted)
        return [topic.name for topic in wanted]
    except TopicAlreadyExistsError:
        return []
    finally:
        admin.close()


def publish_policy(bootstrap: str, policy: Policy) -> None:
    """Publish a pack with its zones to the policy topic."""
    value = orjson.dumps({"yaml": policy.pack.source["yaml"], "geojson": policy.pack.source.get("geojson", "")})
    _produce(bootstrap, topics.POLICY.name, [(policy.name.encode(), value)])


def publish_registry(bootstrap: str, records: Iterable[tuple[str, list[AnyEntry]]]) -> int:
    """Publish registry records, all versions of one ``kind/id`` together; returns how many."""
    return _produce(bootstrap, topics.REGISTRY.name, ((key.encode(), msgspec.json.encode(entries)) for key, entries in records))


def _produce(bootstrap: str, topic: str, records: Iterable[tuple[bytes, bytes]]) -> int:
    try:
        producer = KafkaProducer(bootstrap_servers=bootstrap, acks="all", linger_ms=5)
    except (KafkaError, OSError) as error:
        raise unreachable(bootstrap) from error
    sent = [producer.send(topic, value, key) for key, value in records]
    producer.flush(60)
    for future in sent:
        future.get(60)
    producer.close()
    return len(sent)


def unreachable(bootstrap: str) -> Unavailable:
    """Kafka does not answer: what to do about it."""
    return Unavailable(f"Kafka at {bootstrap} does not answer; start one with ./yicheng kafka start, or set YICHENG_KAFKA_BOOTSTRAP")
