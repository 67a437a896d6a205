"""A sink's delivery: what it asks of Kafka."""

from types import SimpleNamespace

import consumers.delivery as module
from consumers.delivery import Delivery
from streams.settings import Settings


def test_it_notices_a_topic_that_is_made_or_grows_as_soon_as_workers_do(monkeypatch):
    """Kafka's clients look every five minutes unless told otherwise."""
    asked = {}
    monkeypatch.setattr(module, "KafkaConsumer", lambda *topics, **settings: asked.update(settings, topics=topics))
    Delivery(Settings(), SimpleNamespace(name="file"))._connect()
    assert asked["metadata_max_age_ms"] == module.METADATA_MAX_AGE_MS <= 15_000
    assert asked["topics"] == ("courier.incidents.v1",) and asked["enable_auto_commit"] is False and asked["isolation_level"] == "read_committed"
