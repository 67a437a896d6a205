"""The notifier's place in the topics: what it asks of Kafka."""

from unittest.mock import Mock, call

import consumers.incident_log as module
from consumers.incident_log import IncidentLog
from streams.settings import Settings


def test_it_notices_a_topic_that_is_made_or_grows_as_soon_as_workers_do(monkeypatch):
    """Kafka's clients look every five minutes unless told otherwise."""
    made = Mock()
    monkeypatch.setattr(module, "KafkaConsumer", made)
    IncidentLog(Settings(), lambda topic, partition: None)
    asked = made.call_args.kwargs
    assert asked["metadata_max_age_ms"] == module.METADATA_MAX_AGE_MS <= 15_000
    assert asked["enable_auto_commit"] is False and asked["isolation_level"] == "read_committed"


def test_it_knows_the_partitions_before_it_joins_the_group_that_shares_them_out(monkeypatch):
    """A member that does not know them gives itself none; it was seen without any for longer than a minute."""
    made = Mock()
    monkeypatch.setattr(module, "KafkaConsumer", made)
    IncidentLog(Settings(), lambda topic, partition: None)
    assert made.call_args.args == ()
    topics = ["courier.incidents.v1", "courier.feedback.v1"]
    assert made.return_value.mock_calls == [*[call.partitions_for_topic(topic) for topic in topics], call.subscribe(topics)]
