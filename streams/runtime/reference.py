"""Reference data, tailed whole from compacted topics: registry, policy, credit, and how far all partitions have come.

A Faust ``GlobalTable`` over a topic that others write hangs its assignor, so this is a consumer of its own, without a group.
"""

from __future__ import annotations

import asyncio
import unicodedata
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, get_args

import msgspec
import structlog
from aiokafka import AIOKafkaConsumer, TopicPartition
from mode import Service

from streams import metrics
from streams.clock import BEGINNING_MS, now_ms
from streams.errors import BadInput
from streams.policy.policy import Policies, Policy
from streams.policy.reader import decode_policy
from streams.process.kafka_login import client_options
from streams.process.unreadable import passed_over
from streams.registry.key_figures import TITLES, active_vehicles, network
from streams.registry.records import Energy, Standing, decode_versions
from streams.registry.registry import Registry
from streams.runtime import patches
from streams.watermark import CLOCK_KEY, decode_clock
from streams.wire.events import LAST_MS
from streams.wire.ids import UNSEEN
from streams.wire.overtaken import Overtaken
from streams.wire.topics import CLOCK, CREDIT, METADATA_MAX_AGE_MS, POLICY, REFERENCE, REGISTRY

log = structlog.get_logger()


class Reference(Service):
    """Reads these topics to their ends, then sets ``ready`` and goes on. ``on_change`` is called after every change."""

    def __init__(self, bootstrap: str, policy_name: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.bootstrap = bootstrap
        self.policy_name = policy_name
        self.policies: Policies | None = None
        self.registry: Registry | None = None
        self.watermark_ms = BEGINNING_MS
        self.ready = asyncio.Event()
        self.on_change: Callable[[], None] = lambda: None
        self._packs: dict[str, list[Policy]] = {}
        self._missing_logged = False
        self._measured_on = ""
        self._waiting: list[Any] = []
        self._overtaken = Overtaken()

    @Service.task
    async def _tail(self) -> None:
        consumer = AIOKafkaConsumer(
            bootstrap_servers=self.bootstrap, enable_auto_commit=False, auto_offset_reset="earliest", isolation_level="read_committed",
            metadata_max_age_ms=METADATA_MAX_AGE_MS, **client_options(),
        )  # fmt: skip
        await consumer.start()
        try:
            await _add(consumer, all_partitions(await patches.partition_counts(consumer)))
            ends = await consumer.end_offsets(list(consumer.assignment()))
            while not self.should_stop:
                batches = await consumer.getmany(timeout_ms=200, max_records=20_000)
                changed = False
                for _, records in sorted(batches.items(), key=lambda batch: batch[0].topic != POLICY.name):
                    for record in records:
                        changed |= self._apply(record)
                if not self.ready.is_set():
                    read = [await consumer.position(partition) >= end for partition, end in ends.items()]
                    if all(read):
                        self._become_ready()
                elif changed:
                    self._changed()
                else:
                    self._measure_daily(now_ms())
                await _add(consumer, all_partitions({topic.name: len(consumer.partitions_for_topic(topic.name) or ()) for topic in REFERENCE}))
        finally:
            await consumer.stop()

    def _apply(self, record: Any) -> bool:
        """Whether a record changes what applies. One that cannot be read is passed over: the version before it stays in force."""
        if record.topic in {REGISTRY.name, CREDIT.name} and self.registry is None:
            self._waiting.append(record)
            return False
        if self._overtaken.has(record):
            return False
        try:
            changed = self._take(record.topic, _key_of(record.key), record.value)
            self._overtaken.taken(record)
            return changed
        except Exception as error:  # noqa: BLE001 - whatever a record says, it ends nobody
            why = str(error) if isinstance(error, BadInput | ValueError) else type(error).__name__
            passed_over(record.topic, record.partition, record.offset, f"reference record refused: {why}")
            return False

    def _take(self, topic: str, key: str, value: bytes | None) -> bool:
        """Enter what a record says; whether that changes what applies."""
        if topic == CLOCK.name:
            if key.encode() == CLOCK_KEY and value:
                self.watermark_ms = max(self.watermark_ms, _watermark_ms(value))
            return False
        if topic == POLICY.name:
            versions = decode_policy(value) if value else []
            if any(version.name != key for version in versions):
                raise BadInput("a pack of another name stands under the key")
            self._publish(key, versions)
            return True
        assert self.registry is not None
        kind, _, name = key.partition("/")
        if topic == CREDIT.name:
            return kind == "enterprise" and self.registry.enter_credit(name, msgspec.json.decode(value, type=Standing) if value else Standing())
        self.registry.put(kind, name, decode_versions(value) if value else [])
        return True

    def _publish(self, name: str, versions: list[Policy]) -> None:
        """Packs of the same city are versions of its policy, whatever they are called; their validity tells which counts."""
        self._packs[name] = versions
        own = self._packs.get(self.policy_name)
        if not own:
            return
        city = own[-1].pack.city.adcode
        self.policies = Policies([version for found in self._packs.values() for version in found if version.pack.city.adcode == city])
        log.info("policy in force", policy=self.policy_name, versions=len(self.policies.versions))
        if self.registry is None:
            self.registry = Registry(self.policies.newest.timezone)
            for record in self._waiting:
                self._apply(record)
            self._waiting.clear()

    def _become_ready(self) -> None:
        if self.policies is None:
            if self._missing_logged:
                return
            self._missing_logged = True
            log.warning("policy is not published yet", policy=self.policy_name, hint="run: yicheng policy publish " + self.policy_name)
            return
        log.info("reference data read", policy=self.policy_name, registry_records=len(self.registry or ()))
        self.ready.set()
        self._changed()

    def _changed(self) -> None:
        """Let everybody know."""
        if self.policies is not None and self.registry is not None:
            self._take_over(partial(self._measure, now_ms()))
            self._take_over(self.on_change)

    def _measure_daily(self, at_ms: int) -> None:
        """Set the gauges again where the city's date is another than when they were set: validities begin and end with days."""
        if self.policies is not None and self.policies.newest.days.date_of(at_ms) != self._measured_on:
            self._take_over(partial(self._measure, at_ms))

    def _take_over(self, step: Callable[[], None]) -> None:
        """What cannot be made of reference data ends nobody."""
        try:
            step()
        except Exception:
            metrics.UNREADABLE.labels(POLICY.name).inc()
            log.exception("reference data that cannot be taken over: what was made of those before stays", policy=self.policy_name)

    def _measure(self, at_ms: int) -> None:
        assert self.policies is not None and self.registry is not None
        self._measured_on = self.policies.newest.days.date_of(at_ms)
        measure_network(self.policies.at(at_ms) or self.policies.newest, self.registry, at_ms)


def all_partitions(counts: Mapping[str, int]) -> set[TopicPartition]:
    """What is read of topics of so many partitions; a key's records stand in one of them, in their order, until there are more (``overtaken.py``)."""
    return {TopicPartition(topic.name, number) for topic in REFERENCE for number in range(counts.get(topic.name, 0))}


async def _add(consumer: AIOKafkaConsumer, partitions: set[TopicPartition]) -> None:
    """Read these too, from their beginnings; those that are read already go on where they are."""
    known = consumer.assignment()
    if partitions <= known:
        return
    positions = {partition: await consumer.position(partition) for partition in known}
    consumer.assign(sorted(partitions | known))
    for partition, position in positions.items():
        consumer.seek(partition, position)
    await consumer.seek_to_beginning(*partitions - known)


def _key_of(key: bytes | None) -> str:
    """A key of reference data; ``ValueError`` where it is none."""
    text = (key or b"").decode()
    if not text or not UNSEEN.isdisjoint(map(unicodedata.category, text)):
        raise ValueError("the key is no name")
    return text


def _watermark_ms(value: bytes) -> int:
    """How far time has come; ``ValueError`` where no calendar goes so far."""
    watermark_ms = decode_clock(value).watermark_ms
    if watermark_ms >= LAST_MS:
        raise ValueError("no time comes so far")
    return watermark_ms


def measure_network(policy: Policy, registry: Registry, now_ms: int) -> None:
    """Set the gauges that follow from the registry and the policy alone; what neither says any more is no series any more."""
    city, named = policy.pack.city.adcode, policy.pack.city
    metrics.CITY.labels(city).info({"name_zh": named.name_zh, "name_en": named.name_en, "policy": policy.name, "continued_by": policy.continued_by(now_ms) or ""})
    fleet = active_vehicles(registry.valid(now_ms, city))
    metrics.show_only(metrics.VEHICLES_ACTIVE, {(city, energy): sum(v.energy == energy for v in fleet) for energy in get_args(Energy)})
    found = network(registry, now_ms, city, policy.pack.subsidised)
    metrics.show_only(metrics.NETWORK, {(city, measure): found[measure] for measure in TITLES if measure in found})
    metrics.show_only(metrics.NEV_RATIO, {(city,): found["nev_share"]} if "nev_share" in found else {})
    targets = policy.pack.targets
    metrics.show_only(metrics.TARGET_RATIO, {(city, measure): target.value for measure, target in targets.items()})
    metrics.show_only(metrics.TARGET_INFO, {(city, measure, t.by or "", t.clause or "", t.basis or t.source, t.scope or ""): 1 for measure, t in targets.items()})
    primary = {entry.id for entry in registry.each("enterprise") if registry.is_primary_brand(entry.id, now_ms)} or {""}  # of nobody, where nobody is one
    metrics.show_only(metrics.TARGET_SCOPE, {(city, name, measure): 1 for measure, target in targets.items() if target.scope == "primary_brands" for name in primary})
