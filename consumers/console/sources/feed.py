"""Reads the city's topics from Kafka in a thread of its own: no group, no commits. Whatever a record holds, it goes on.

    courier.gps.v1 from its end; courier.incidents.v1 of the last day, then backwards (sources/past_incidents.py) ──▶ city.py
    courier.rates.v1, courier.feedback.v1, courier.policy.v1, courier.registry.v1 whole ──▶ city.py

Answers of the pages go to courier.feedback.v1. A replay reads its hour of courier.gps.v1, and of courier.dead.v1 and courier.late.v1 what was refused then.
"""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Callable, Collection
from typing import Any

import structlog
from kafka import KafkaConsumer, TopicPartition
from kafka.errors import KafkaConnectionError, KafkaError

from consumers.answers.topic import AnswerTopic
from consumers.console.city.city import City
from consumers.console.fleet.replay import Hour
from consumers.console.sources.backlog import Backlog
from consumers.console.sources.kafka_words import refused_by_kafka
from consumers.console.sources.past_fixes import Past, read_past
from consumers.console.sources.past_hour import read_hour
from consumers.console.sources.past_incidents import each_past_incident, find_incident
from consumers.console.sources.past_records import end_offsets, open_consumer
from streams import metrics
from streams.clock import DAY_MS, MINUTE_MS, now_ms
from streams.errors import BadInput, Unavailable
from streams.process.kafka_login import client_options
from streams.process.unreadable import passed_over
from streams.settings import Settings
from streams.wire.decode import Malformed
from streams.wire.overtaken import Overtaken
from streams.wire.topics import BY_BROKER, FEEDBACK, GPS, INCIDENTS, POLICY, RATES, REGISTRY

log = structlog.get_logger()

TOPICS = (REGISTRY, POLICY, INCIDENTS, FEEDBACK, RATES, GPS)
ASKED_EVERY_S = 3.0
"""While nothing comes it is asked so often whether Kafka is there, and whether there are more topics or partitions."""
RETRY_S = 1.0
PAUSE_S = 0.1
"""So long is waited between two readings of older incidents: nobody waits for those."""
LATENESS_MS = 10 * MINUTE_MS
"""What packs allow if they say nothing else; counts where none is published."""


LOST = {"zh": "Kafka 没有应答；页面显示的是中断前的情况，恢复后会自动继续。", "en": "Kafka does not answer; the page shows how things were before, and goes on by itself once it does."}

NO_TOPICS = {"zh": "Kafka 中还没有主题；请运行 ./yicheng topics create", "en": "Kafka holds no topics yet; run ./yicheng topics create"}
NO_TOPICS_FOR_USER = {
    "zh": "Kafka 中还没有主题，或控制台的用户无权查看；请运行 ./yicheng topics create，权限见 ./yicheng topics access",
    "en": "Kafka holds no topics yet, or none that the console's user may see; run ./yicheng topics create, and ./yicheng topics access for the rights",
}


class KafkaFeed:
    """Follows the topics until told to stop, and says on the city's pages when it cannot."""

    def __init__(self, settings: Settings, city: City) -> None:
        self.bootstrap = settings.kafka_bootstrap
        self.city = city
        self._answer_topic = AnswerTopic(self.bootstrap)
        self._backlog = Backlog(settings, city.signs)
        self._overtaken = Overtaken()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True, name="console-feed")
        self._enter_one: dict[str, Callable[[Any], None]] = {
            REGISTRY.name: lambda record: city.enter_registry(record.key, record.value),
            POLICY.name: lambda record: city.enter_policy(record.key, record.value),
            INCIDENTS.name: lambda record: city.enter_incident(record.value),
            FEEDBACK.name: lambda record: city.enter_answer(record.value),
            RATES.name: lambda record: city.enter_rate(record.value, record.timestamp),
        }

    def start(self) -> None:
        """Begin."""
        self._thread.start()
        self._backlog.start()

    def stop(self) -> None:
        """End soon; from any thread."""
        self._stopping.set()
        self._backlog.stop()
        self._answer_topic.close()

    def answer(self, key: bytes, value: bytes) -> None:
        """Publish an answer; ``Unavailable`` where Kafka does not take it."""
        try:
            self._answer_topic.send(key, value)
        except Unavailable:
            raise Unavailable("Kafka did not take the answer; try again / 回复未能写入 Kafka，请重试") from None

    def span_ms(self) -> tuple[int, int]:
        """The last day, up to stream time (or, without traffic, now)."""
        until_ms = self.city.stream_ms or now_ms()
        return until_ms - DAY_MS, until_ms

    def hour(self, vehicle_ids: Collection[str], from_ms: int, is_stopping: Callable[[], bool]) -> Hour:
        """The ways of vehicles in the hour from an instant on; ``Unavailable`` where Kafka does not answer."""
        policies = self.city.policies
        return read_hour(self.bootstrap, vehicle_ids, from_ms, policies.lateness_ms if policies else LATENESS_MS, is_stopping)

    def past(self, from_ms: int, until_ms: int) -> Past:
        """The fixes that Kafka took between two instants; ``Unavailable`` where it does not answer."""
        return read_past(self.bootstrap, from_ms, until_ms)

    def past_incident(self, incident_id: str) -> bytes | None:
        """The last revision of an incident; ``Unavailable`` where it is not found in time."""
        return find_incident(self.bootstrap, incident_id, self._stopping.is_set)

    def _read_past(self, epoch: int, before_ms: int) -> None:
        """Enter older incidents until as many are held as may be, or the city begins anew."""
        try:
            for value in each_past_incident(self.bootstrap, before_ms, lambda: self._stopping.is_set() or self.city.log.epoch != epoch, lambda: self._stopping.wait(PAUSE_S)):
                with contextlib.suppress(Malformed):
                    self.city.enter_past_incident(value)
                if self.city.incidents.is_full:
                    return
        except Unavailable as error:
            log.warning("incidents of before the last day are not known", error=str(error))
        except Exception:
            log.exception("incidents of before the last day are not known")

    def _run(self) -> None:
        while not self._stopping.is_set():
            try:
                self._follow()
            except (KafkaError, OSError) as error:
                log.warning("the topics are not followed, trying again", kafka=self.bootstrap, error=type(error).__name__)
                self.city.say(refused_by_kafka(error, self.bootstrap) or LOST)
            except Exception as error:
                log.exception("the topics are not followed, trying again", kafka=self.bootstrap)
                name = type(error).__name__
                self.city.say({"zh": f"读取 Kafka 时出错（{name}），正在重试；详情见控制台日志。页面显示的是中断前的情况。", "en": f"Reading from Kafka failed ({name}) and is tried again; the console's log says more. The page shows how things were before."})
            self._stopping.wait(RETRY_S)

    def _follow(self) -> None:
        """Read until Kafka goes, or there are other topics or partitions than at first."""
        consumer = open_consumer(self.bootstrap)
        try:
            partitions = _partitions(consumer)
            if not partitions:
                self.city.say(NO_TOPICS_FOR_USER if "sasl_mechanism" in client_options() else NO_TOPICS)
                self._stopping.wait(ASKED_EVERY_S)
                return
            consumer.assign(partitions)
            since_ms = now_ms() - DAY_MS
            self._read(consumer, partitions, self._place(consumer, partitions, since_ms), since_ms)
        finally:
            consumer.close(timeout_ms=1_000)

    def _place(self, consumer: KafkaConsumer, partitions: list[TopicPartition], since_ms: int) -> dict[TopicPartition, int]:
        """Go to where each partition is to be read from; returns how far the history goes that is to be read before anything is shown."""
        consumer.seek_to_beginning(*partitions)
        if live := [partition for partition in partitions if partition.topic == GPS.name]:
            consumer.seek_to_end(*live)
        dated = [partition for partition in partitions if partition.topic == INCIDENTS.name]
        ends = end_offsets(consumer, [partition for partition in partitions if partition.topic != GPS.name])
        for partition, found in (consumer.offsets_for_times(dict.fromkeys(dated, since_ms)) if dated else {}).items():
            consumer.seek(partition, found.offset if found is not None else ends[partition])
        return ends

    def _read(self, consumer: KafkaConsumer, partitions: list[TopicPartition], behind: dict[TopicPartition, int], since_ms: int) -> None:
        self.city.begin_anew()
        self._overtaken = Overtaken()
        self.city.say(None)
        rates = [partition for partition in partitions if partition.topic == RATES.name]
        consumer.pause(*rates)  # to which minute of which day a row belongs is known once the pack is
        heard_s = asked_s = time.monotonic()
        while not self._stopping.is_set():
            batches = consumer.poll(timeout_ms=200)
            for partition, records in sorted(batches.items(), key=lambda batch: [topic.name for topic in TOPICS].index(batch[0].topic)):
                self._enter(partition.topic, records)
            now_s = time.monotonic()
            heard_s = now_s if batches else heard_s
            if self.city.reading_history:
                behind = {partition: end for partition, end in behind.items() if consumer.position(partition) < end}
                if rates and not any(partition.topic in {POLICY.name, REGISTRY.name} for partition in behind):
                    consumer.resume(*rates)
                    rates = []
                if not behind:
                    self.city.history_is_read()
                    threading.Thread(target=self._read_past, args=(self.city.log.epoch, since_ms), daemon=True, name="console-past").start()
            if now_s - asked_s > ASKED_EVERY_S:
                asked_s = now_s
                _show_lag(consumer, partitions)
                if now_s - heard_s > ASKED_EVERY_S and not _answers(self.bootstrap):
                    raise KafkaConnectionError("no broker takes a connection")
                if _partitions(consumer) != partitions:
                    return

    def _enter(self, topic: str, records: list[Any]) -> None:
        if topic == GPS.name:
            self.city.enter_fixes([record.value for record in records], [record.timestamp for record in records])
            if records[-1].timestamp_type == BY_BROKER:
                self.city.signs.heard(records[-1].timestamp, now_ms())
            return
        for record in records:
            if self._overtaken.has(record):
                continue
            try:
                self._enter_one[topic](record)
                self._overtaken.taken(record)
            except Exception as error:  # noqa: BLE001 - whatever a record says, it ends nobody, and is not read again and again
                why = str(error) if isinstance(error, BadInput | ValueError) else type(error).__name__
                passed_over(topic, record.partition, record.offset, why)


def _partitions(consumer: KafkaConsumer) -> list[TopicPartition]:
    return [TopicPartition(topic.name, number) for topic in TOPICS for number in sorted(consumer.partitions_for_topic(topic.name) or ())]


def _show_lag(consumer: KafkaConsumer, partitions: list[TopicPartition]) -> None:
    """Set the gauge by what the last fetch of each partition said of its end."""
    behind = dict.fromkeys((topic.name for topic in TOPICS), 0)
    for partition in partitions:
        behind[partition.topic] += max(0, (consumer.highwater(partition) or 0) - consumer.position(partition))
    metrics.show_only(metrics.CONSOLE_LAG, {(topic,): lag for topic, lag in behind.items()})


def _answers(bootstrap: str) -> bool:
    """Whether any broker takes a connection."""
    return any(_connects(address) for address in bootstrap.split(","))


def _connects(address: str) -> bool:
    host, _, port = address.rpartition(":")
    with contextlib.suppress(OSError), socket.create_connection((host.strip("[]"), int(port)), timeout=1.0):
        return True
    return False
