"""Answers to Kafka: ``courier.feedback.v1``, written by whoever takes an answer while the notifier runs."""

from __future__ import annotations

import threading
from contextlib import suppress

from kafka import KafkaProducer
from kafka.errors import KafkaError

from streams.errors import Unavailable
from streams.process.kafka_login import client_options
from streams.wire.answers import Answer, record_of
from streams.wire.topics import FEEDBACK

WITHIN_MS = 6_000
"""Somebody waits for the page, and a page has ten seconds."""
CLOSE_TIMEOUT_S = 1.0


class AnswerTopic:
    """Publishes answers, from any thread; connects when it has to. An answer that was not acknowledged in time may still arrive: repeats have its ``answer_id``."""

    def __init__(self, bootstrap: str) -> None:
        self.bootstrap = bootstrap
        self._producer: KafkaProducer | None = None
        self._lock = threading.Lock()

    def publish(self, answer: Answer) -> None:
        """Return when every replica has the answer; ``Unavailable`` where Kafka does not say so in time."""
        self.send(answer.incident_id.encode(), record_of(answer))

    def send(self, key: bytes, value: bytes) -> None:
        """The same for an answer's record."""
        try:
            with self._lock:
                if self._producer is None:
                    self._producer = KafkaProducer(
                        bootstrap_servers=self.bootstrap.split(","), acks="all", bootstrap_timeout_ms=WITHIN_MS // 2, **client_options(),
                        max_block_ms=WITHIN_MS // 2, request_timeout_ms=WITHIN_MS // 2, delivery_timeout_ms=WITHIN_MS,
                    )  # fmt: skip
                producer = self._producer
            producer.send(FEEDBACK.name, value, key).get(timeout=WITHIN_MS / 1000)
        except (KafkaError, OSError) as error:
            raise Unavailable(f"Kafka at {self.bootstrap} did not take the answer ({type(error).__name__}); try again") from None

    def close(self) -> None:
        """Let go of the connection."""
        with self._lock, suppress(KafkaError):
            if self._producer is not None:
                self._producer.close(timeout=CLOSE_TIMEOUT_S)
                self._producer = None
