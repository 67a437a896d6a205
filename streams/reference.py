"""Reference data, tailed whole from compacted topics: registry, policy, credit, and how far all partitions have come.

A Faust ``GlobalTable`` over a topic that others write hangs its assignor, so this is a consumer of its own, without a group.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any

import msgspec
import structlog
from aiokafka import AIOKafkaConsumer, TopicPartition
from mode import Service

from streams import metrics
from streams.clock import BEGINNING_MS
from streams.errors import BadInput
from streams.network import active_vehicles, network
from streams.policy import Policies, Policy, decode_policy
from streams.registry import Registry, Standing, decode_versions
from streams.topics import CLOCK, CREDIT, POLICY, REGISTRY
from streams.watermark import CLOCK_KEY, decode_clock

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
        self._missing_told = False
        self._waiting: list[tuple[str, str, bytes | None]] = []

    @Service.task
    async def _tail(self) -> None:
        partitions = [TopicPartition(topic.name, 0) for topic in (POLICY, REGISTRY, CREDIT, CLOCK)]
        consumer = AIOKafkaConsumer(bootstrap_servers=self.bootstrap, enable_auto_commit=False, auto_offset_reset="earliest")
        await consumer.start()
        try:
            consumer.assign(partitions)
            await consumer.seek_to_beginning(*partitions)
            ends = await consumer.end_offsets(partitions)
            while not self.should_stop:
                batches = await consumer.getmany(timeout_ms=200, max_records=20_000)
                changed = False
                for partition, records in sorted(batches.items(), key=lambda batch: batch[0].topic != POLICY.name):
                    for record in records:
                        changed |= self._apply(partition.topic, (record.key or b"").decode(), record.value)
                if not self.ready.is_set():
                    read = [await consumer.position(p) >= ends[p] for p in partitions]
                    if all(read):
                        self._become_ready()
                elif changed:
                    self._changed()
        finally:
            await consumer.stop()

    def _apply(self, topic: str, key: str, value: bytes | None) -> bool:
        """Whether a record changes what applies. One bad record is logged and skipped: the version before it stays in force."""
        try:
            if topic == CLOCK.name:
                if key.encode() == CLOCK_KEY and value:
                    self.watermark_ms = max(self.watermark_ms, decode_clock(value).watermark_ms)
                return False
            if topic == POLICY.name:
                self._publish(key, decode_policy(value) if value else [])
            elif self.registry is None:
                self._waiting.append((topic, key, value))
            elif topic == CREDIT.name:
                return self.registry.enter_credit(key.partition("/")[2], msgspec.json.decode(value, type=Standing) if value else Standing())
            else:
                kind, _, entry_id = key.partition("/")
                self.registry.put(kind, entry_id, decode_versions(value) if value else [])
        except (BadInput, ValueError, KeyError) as error:
            log.error("reference record refused", topic=topic, key=key, error=str(error))
            return False
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
                self._apply(*record)
            self._waiting.clear()

    def _become_ready(self) -> None:
        if self.policies is None:
            if self._missing_told:
                return
            self._missing_told = True
            log.warning("policy is not published yet", policy=self.policy_name, hint="run: yicheng policy publish " + self.policy_name)
            return
        log.info("reference data read", policy=self.policy_name, registry_records=len(self.registry or ()))
        self.ready.set()
        self._changed()

    def _changed(self) -> None:
        if self.policies is not None and self.registry is not None:
            measure_network(self.policies.newest, self.registry, time.time_ns() // 1_000_000)
            self.on_change()


def measure_network(policy: Policy, registry: Registry, now_ms: int) -> None:
    """Set the gauges that follow from the registry and the policy alone."""
    city = policy.pack.city.adcode
    valid = registry.valid(now_ms)
    fleet = active_vehicles(valid)
    for energy in ("electric", "hybrid", "fuel"):
        metrics.VEHICLES_ACTIVE.labels(city, energy).set(sum(v.energy == energy for v in fleet))
    for measure, value in network(valid).items():
        metrics.NETWORK.labels(city, measure).set(value)
        if measure == "nev_share":
            metrics.NEV_RATIO.labels(city).set(value)
    for measure, target in policy.pack.targets.items():
        metrics.TARGET_RATIO.labels(city, measure).set(target)
