"""Which Kafka the tests run on: on every machine some, and which one is said."""

import threading
from types import SimpleNamespace

import brokers
import pytest
from brokers import Broker
from testcontainers.community import kafka as testcontainers_kafka


@pytest.fixture
def engine(monkeypatch):
    """An engine that answers, and what is done with its containers."""
    made = SimpleNamespace(happened=[], error=None, ready=threading.Event())
    made.ready.set()

    class Container:
        def __init__(self, image):
            made.happened.append(image)

        def with_kraft(self):
            made.happened.append("kraft")
            return self

        def with_env(self, name, value):
            return self

        def start(self, timeout):
            made.ready.wait(10)
            if made.error:
                raise made.error

        def get_bootstrap_server(self):
            return "localhost:12345"

        def stop(self):
            made.happened.append("stopped")

    monkeypatch.setattr(brokers, "no_engine", lambda: "")
    monkeypatch.setattr(brokers, "answers", lambda bootstrap: True)
    monkeypatch.setattr(testcontainers_kafka, "KafkaContainer", Container)
    return made


def test_a_container_of_an_image_that_testcontainers_knows_is_used_and_stopped(engine):
    """It runs /etc/confluent/docker/launch, which only Confluent's images have."""
    broker = Broker({})
    broker.choose()
    assert broker.start(None) == "localhost:12345" and broker.about.startswith("container confluentinc/cp-kafka:")
    broker.stop()
    broker.stop()
    assert engine.happened == [brokers.IMAGE, "kraft", "stopped"]


def test_where_no_container_is_up_in_time_the_embedded_broker_is_used_and_the_reason_said(engine):
    engine.ready.clear()
    broker = Broker({"YICHENG_TEST_KAFKA": "container"}, patience_s=0.1)
    broker.choose()
    assert broker.bootstrap == "" and broker.about == f"embedded (no container of {brokers.IMAGE} was up within 0 s)"
    engine.ready.set()  # it comes too late, and is stopped
    wait_until_stopped = next(thread for thread in threading.enumerate() if thread.name == "container")
    wait_until_stopped.join(10)
    assert engine.happened[-1] == "stopped"


def test_where_the_image_is_not_to_be_had_the_embedded_broker_is_used_and_the_reason_said(engine):
    engine.error = OSError("no such image")
    broker = Broker({})
    broker.choose()
    assert broker.bootstrap == "" and broker.about == f"embedded (no container of {brokers.IMAGE}: no such image)"


def test_the_environment_chooses(engine, monkeypatch):
    for environment, about in (
        ({"YICHENG_TEST_KAFKA": "embedded"}, "embedded, as YICHENG_TEST_KAFKA says"),
        ({"YICHENG_TEST_KAFKA": "embedded-3.9"}, "embedded-3.9, as YICHENG_TEST_KAFKA says"),
        ({"YICHENG_KAFKA_BOOTSTRAP": "there:9092"}, "given, there:9092"),
        ({"YICHENG_TEST_KAFKA": "docker"}, "embedded (YICHENG_TEST_KAFKA is container, embedded or embedded-3.9, not 'docker')"),
    ):
        broker = Broker(environment)
        broker.choose()
        assert broker.about == about and engine.happened == []
    monkeypatch.setattr(brokers, "no_engine", lambda: "no docker command")
    broker = Broker({})
    broker.choose()
    assert broker.about == "embedded (no docker command)"
