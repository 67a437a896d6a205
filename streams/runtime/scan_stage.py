"""Scans → each partition's counts by (city, enterprise, day), and violations. A thin shell around the parcels' room."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, get_args

from streams import metrics
from streams.city.contributions import encode_contribution, of_scans
from streams.counts import FEATURES, OTHER, Counts, DayKey, shared_day, state_key
from streams.parcels.partition import ScanPartition, new_scan_partition
from streams.parcels.scans import by_registry, count_scans
from streams.parcels.store import Parcel
from streams.parcels.violating_scans import ViolatingScans
from streams.parcels.violations import ViolatingScan, ViolationKey
from streams.runtime.checkpoint import Checkpoint
from streams.runtime.reference import Reference
from streams.runtime.refused_share import RefusedShare
from streams.runtime.stage import StatefulStage, enterprise_label
from streams.wire.events import LATE, ScanKind
from streams.wire.state_records import RecordHeader, decode_fields, decode_header, encode_fields
from streams.wire.topics import PARCEL_STATE, PARTIALS, SCAN

PAGES_SINCE = 7
"""Since this version of the state a violation's scans are kept in pages; before, all in one record."""


class ScanStage(StatefulStage[ScanPartition]):
    """Scans → each partition's counts by (city, enterprise, day)."""

    def __init__(self, checkpoint: Checkpoint, reference: Reference, refused_share: RefusedShare | None = None) -> None:
        super().__init__(checkpoint, reference, SCAN, PARCEL_STATE, refused_share)

    async def process(self, chunk: Sequence[Any]) -> None:
        """Count a chunk of one partition's records."""
        policies, registry = self.reference.policies, self.reference.registry
        assert policies is not None and registry is not None
        partition = await self.partition(chunk[0].partition)
        city = self.city
        tally = count_scans(partition, chunk, policies, registry, by_registry(registry, city), refuses_synthetic=not self.checkpoint.origin.rehearsal)
        partition.arrivals.read_until(chunk[-1].arrived_ms)
        await self.refuse(tally.rejects, chunk)
        for kind in get_args(ScanKind):
            metrics.SCANS.labels(city, kind, LATE)
        for (scan_city, kind, outcome), count in tally.outcomes.items():
            metrics.SCANS.labels(scan_city if scan_city == city else OTHER, kind, outcome).inc(count)
        for scan_city, took_ms in tally.deliveries:
            metrics.DELIVERY.labels(scan_city if scan_city == city else OTHER).observe(took_ms / 1000)
        for day, counted in tally.accepted.items():
            labels = (day.city if day.city == city else OTHER, enterprise_label(registry, day.enterprise_id))
            metrics.PARCELS_ACCEPTED.labels(*labels, "electronic").inc(counted.electronic)
            metrics.PARCELS_ACCEPTED.labels(*labels, "other").inc(counted.accepted - counted.electronic)
            metrics.PARCELS_PACKAGED.labels(*labels, "green").inc(counted.green)
            metrics.PARCELS_PACKAGED.labels(*labels, "other").inc(counted.accepted - counted.green)
            for what in ("accepted", *FEATURES):
                metrics.PARCELS_COUNTED.labels(*labels, what).inc(getattr(counted, what))

    def new_partition(self) -> ScanPartition:
        """See ``StatefulStage``."""
        return new_scan_partition()

    async def _load(self, number: int) -> ScanPartition:
        partition = await super()._load(number)
        assert self.reference.policies is not None
        partition.recount_minutes()
        partition.sweep(self.reference.policies.newest.days)
        partition.expired, partition.pending_tombstones = [], partition.expired
        return partition

    def put(self, partition: ScanPartition, key: str, value: bytes) -> None:
        """See ``StatefulStage``."""
        kind, _, name = key.partition("\x1f")
        if kind == "parcel":
            parcel = decode_fields(value, Parcel)
            partition.parcels.put(bytes.fromhex(name), parcel._replace(day=shared_day(*parcel.day)))
            partition.parcels.flush()
        elif kind == "day":
            day, counts = decode_fields(value, tuple[DayKey, Counts])
            partition.counts[day] = counts
        elif kind == "seen":
            outlet_id, date = decode_fields(value, tuple[str, str])
            partition.seen[outlet_id] = date
        elif kind == "sightings":
            violation, page, violating_scans = decode_fields(value, tuple[ViolationKey, int, dict[str, ViolatingScan]])
            partition.violations.setdefault(violation, ViolatingScans()).put(page, violating_scans)
        elif decode_header(value).version < PAGES_SINCE:
            violation, violating_scans = decode_fields(value, tuple[ViolationKey, dict[str, ViolatingScan]])
            for scan, violating_scan in violating_scans.items():
                partition.violations.setdefault(violation, ViolatingScans()).observe(scan, violating_scan)
            partition.changed_violations[violation] = None

    def dirty(self, partition: ScanPartition, head: RecordHeader) -> Iterator[tuple[str, bytes | None]]:
        """See ``StatefulStage``."""
        for parcel_key, parcel in partition.dirty_parcels.items():  # dropped since or not: what the topic says of it may be younger
            yield state_key("parcel", parcel_key.hex()), encode_fields(parcel, head)
        for day in partition.changed_days:
            yield state_key("day", *day), encode_fields((day, partition.counts[day]), head)
        for outlet_id in partition.changed_seen:
            yield state_key("seen", outlet_id), encode_fields((outlet_id, partition.seen[outlet_id]), head)
        for violation in partition.changed_violations:
            violating_scans = partition.violations[violation]
            yield state_key("finding", *violation), encode_fields((violation, violating_scans.count), head)
            for page in sorted(violating_scans.dirty):
                yield state_key("sightings", *violation, str(page)), encode_fields((violation, page, violating_scans.page(page)), head)
            violating_scans.dirty.clear()
        pending_tombstones = [(key, bytes.fromhex(key.partition("\x1f")[2]) if key.startswith("parcel") else b"") for key in partition.pending_tombstones]
        partition.parcels.look_up(parcel_key for _, parcel_key in pending_tombstones if parcel_key)
        for key, parcel_key in pending_tombstones:
            kind, _, name = key.partition("\x1f")
            if not (parcel_key and partition.parcels.get(parcel_key) is not None) and not (kind == "seen" and name in partition.seen):  # neither came again
                yield key, None
        partition.dirty_parcels.clear()
        partition.changed_days, partition.changed_violations, partition.changed_seen = [], {}, {}
        partition.expired, partition.pending_tombstones = [], partition.expired

    def emit(self, number: int) -> Iterator[tuple[str, bytes, bytes]]:
        """What has changed, whole, so that a repeated message changes nothing."""
        assert self.reference.policies is not None
        for contribution in of_scans(self.partitions[number], number, self.city):
            yield PARTIALS.name, contribution.city.encode(), encode_contribution(contribution)
