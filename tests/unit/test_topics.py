"""How topics are kept: long enough for whoever reads them later."""

import pytest

from streams.wire.topics import ALL, DEAD, GPS, HEARTBEAT, LATE, PARTIALS, REGISTRY, SCAN, VEHICLE_STATE, kafka_config, lacking


def test_what_a_letter_or_a_last_checkpoint_speaks_of_is_kept_as_long_as_it_is():
    inputs = [topic.retention_ms for topic in (GPS, SCAN, HEARTBEAT)]
    assert min(inputs) >= max(DEAD.retention_ms, LATE.retention_ms), "a letter whose original is gone can be neither shown nor redriven"
    assert PARTIALS.retention_ms >= max(inputs), "what a worker said before it stopped is read at the next start"


@pytest.mark.parametrize("topic", ALL, ids=lambda topic: topic.name)
def test_a_topic_as_it_is_made_lacks_nothing(topic):
    assert lacking(topic, kafka_config(topic)) == {}


@pytest.mark.parametrize(
    ("topic", "found", "lacks"),
    [
        (REGISTRY, kafka_config(REGISTRY) | {"cleanup.policy": "delete", "retention.ms": "604800000"}, {"cleanup.policy": "compact"}),
        (REGISTRY, {"cleanup.policy": "compact,delete"}, kafka_config(REGISTRY)),
        (PARTIALS, kafka_config(PARTIALS) | {"retention.ms": "86400000"}, {"retention.ms": str(PARTIALS.retention_ms)}),  # as it was made before
        (GPS, kafka_config(GPS) | {"retention.ms": "-1"}, {}),  # for ever
        (GPS, kafka_config(GPS) | {"retention.ms": "2592000000"}, {}),
        (GPS, kafka_config(GPS) | {"cleanup.policy": "compact"}, {"cleanup.policy": "delete"}),  # all but a vehicle's newest fix would go
        (VEHICLE_STATE, kafka_config(VEHICLE_STATE) | {"segment.ms": "3600000", "min.compaction.lag.ms": "600000"}, {}),  # its operator's affair
        (VEHICLE_STATE, kafka_config(VEHICLE_STATE) | {"min.compaction.lag.ms": "0"}, {"min.compaction.lag.ms": "300000"}),
    ],
)
def test_what_others_have_made_is_brought_up_to_what_is_needed_and_what_is_more_stays(topic, found, lacks):
    assert lacking(topic, found) == lacks


def test_a_state_topic_that_nobody_thought_of_is_given_all_of_its_settings():
    found = {"cleanup.policy": "delete", "message.timestamp.type": "CreateTime", "min.compaction.lag.ms": "0", "segment.ms": "604800000", "segment.bytes": "1073741824", "min.cleanable.dirty.ratio": "0.5"}
    assert lacking(VEHICLE_STATE, found) == kafka_config(VEHICLE_STATE)
