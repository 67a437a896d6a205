"""Fixes of a while ago, read on demand: from Kafka between two offsets, by a consumer that joins no group and commits nothing."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from kafka import KafkaConsumer, TopicPartition
from kafka.errors import KafkaError

from streams.clock import MINUTE_MS
from streams.decode import FIXES
from streams.errors import Unavailable
from streams.events import Fix, refuse_fix
from streams.geo import to_wgs84
from streams.topics import GPS

LATE_MS = 2 * MINUTE_MS
"""Fixes that arrived so long after an instant are still looked at."""
MOST_RECORDS = 1_000_000
WITHIN_S = 15.0
"""What is further is left out, and the answer says so."""
_ANSWERS_WITHIN_MS = 5_000


class Past(NamedTuple):
    """Fixes as they travelled, when each arrived (ms; None: unknown), up to which instant they were asked for (ms), and whether all of them were read."""

    until_ms: int
    values: list[bytes | None]
    arrived_ms: list[int | None]
    is_whole: bool

    def fixes(self) -> Iterator[Fix]:
        """Those that can be read and are plausible, in WGS-84."""
        return accepted_fixes(self.values, self.arrived_ms)


def accepted_fixes(values: Sequence[bytes | None], arrived_ms: Sequence[int | None]) -> Iterator[Fix]:
    """The fixes among some records that can be read and are plausible, in WGS-84."""
    fixes, wrong = FIXES.read(values)
    arrivals = (moment for place, moment in enumerate(arrived_ms) if place not in wrong)
    for fix, moment in zip(fixes, arrivals, strict=True):
        if not refuse_fix(fix, moment):
            fix.lon, fix.lat = to_wgs84(fix.lon, fix.lat, fix.coord_sys)
            yield fix


def read_past(bootstrap: str, from_ms: int, until_ms: int) -> Past:
    """The fixes that Kafka took between two instants, and a little later; ``Unavailable`` where it does not answer."""
    try:
        consumer = KafkaConsumer(
            bootstrap_servers=bootstrap.split(","), group_id=None, enable_auto_commit=False, isolation_level="read_committed", bootstrap_timeout_ms=_ANSWERS_WITHIN_MS, max_poll_records=20_000,
        )  # fmt: skip
        try:
            return _read(consumer, from_ms, until_ms)
        finally:
            consumer.close(timeout_ms=1_000)
    except (KafkaError, OSError):
        raise Unavailable("Kafka does not answer; try again / Kafka 没有应答，请重试") from None


def _read(consumer: KafkaConsumer, from_ms: int, until_ms: int) -> Past:
    stops = _between(consumer, from_ms, until_ms + LATE_MS)
    behind, give_up_s = set(stops), time.monotonic() + WITHIN_S
    found = Past(until_ms, [], [], is_whole=True)
    while behind:
        if time.monotonic() > give_up_s or len(found.values) >= MOST_RECORDS:
            return found._replace(is_whole=False)
        for partition, records in consumer.poll(timeout_ms=200).items():
            wanted = [record for record in records if record.offset < stops[partition]]
            found.values.extend(record.value for record in wanted)
            found.arrived_ms.extend(record.timestamp for record in wanted)
        if reached := {partition for partition in behind if consumer.position(partition) >= stops[partition]}:
            consumer.pause(*reached)
            behind -= reached
    return found


def _between(consumer: KafkaConsumer, from_ms: int, until_ms: int) -> dict[TopicPartition, int]:
    """Go to the first record of each partition after an instant; returns where the first one after another instant stands, of partitions that hold any between."""
    partitions = [TopicPartition(GPS.name, number) for number in sorted(consumer.partitions_for_topic(GPS.name) or ())]
    if not partitions:
        return {}
    ends = consumer.end_offsets(partitions)
    starts, stops = (consumer.offsets_for_times(dict.fromkeys(partitions, moment)) for moment in (from_ms, until_ms))
    wanted = {partition: (found.offset, stops[partition].offset if stops[partition] else ends[partition]) for partition, found in starts.items() if found}
    wanted = {partition: bounds for partition, bounds in wanted.items() if bounds[0] < bounds[1]}
    consumer.assign(list(wanted))
    for partition, (start, _) in wanted.items():
        consumer.seek(partition, start)
    return {partition: stop for partition, (_, stop) in wanted.items()}
