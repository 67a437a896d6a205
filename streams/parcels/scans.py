"""Parcels and their daily rates (semantics 8). Pure: a partition's parcels and a chunk of scans in, counts out.

A parcel is known for three days after its acceptance, on the clock of its partition's scans; a scan older than that is
late. So a repeat within three days never counts, and one after more than three days is another acceptance. The same holds of
its delivery, and of each mode of transport and each vehicle that its scans name: the first scan counts. A parcel that is
delivered more than three days after its acceptance counts as delivered, and has no time in transit.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence

import msgspec

from streams.clock import END_MS
from streams.counts import OTHER, TRANSIT_SHIFT, Counts, DayKey, shared_day
from streams.enterprises.liveness import gather, heartbeat_gap_ms
from streams.parcels import facts
from streams.parcels.partition import ScanPartition
from streams.parcels.store import Parcel, parcel_key
from streams.parcels.violations import ViolatingScan, violated
from streams.policy.policy import Policies, Policy
from streams.registry.cities import belongs
from streams.registry.registry import Registry
from streams.wire.decode import SCANS
from streams.wire.events import DUPLICATE, MALFORMED, Record, Reject, Scan, refused
from streams.wire.intake import read_new, refuse_event

COUNTED = "counted"


class Tally(msgspec.Struct):
    """What a chunk of scans came to: refused records, scans by (city, kind, outcome), parcels newly accepted by day.

    ``deliveries``: (city, ms since the acceptance) of each delivered scan of a parcel that is known.
    """

    rejects: list[Reject]
    outcomes: Counter[tuple[str, str, str]]
    accepted: dict[DayKey, Counts]
    deliveries: list[tuple[str, int]]


Whose = Callable[[Scan], tuple[str, str]]
"""In which city, and as whose, a scan's parcel counts."""


def by_name(scan: Scan) -> tuple[str, str]:
    """As the scan says it: there are as many cities and enterprises as somebody makes up."""
    return scan.city, scan.enterprise_id


def by_registry(registry: Registry, own_city: str) -> Whose:
    """Only enterprises with a record of their own, and cities that some record speaks of, count by themselves; all others are ``other``."""

    def whose(scan: Scan) -> tuple[str, str]:
        city = scan.city if scan.city == own_city or registry.names("city", scan.city) else OTHER
        return city, scan.enterprise_id if registry.knows("enterprise", scan.enterprise_id) else OTHER

    return whose


def count_scans(
    partition: ScanPartition, records: Sequence[Record], policies: Policies, registry: Registry, whose: Whose = by_name, *, refuses_synthetic: bool = False
) -> Tally:
    """Count and judge a chunk in offset order; records below the partition's ``next_offset`` were counted before.

    A scan of a city that belongs to the pack's counts as the pack's: under a province's pack its prefectures' parcels are the province's.
    """
    read, rejects = read_new(partition, records, SCANS)
    own_city = policies.newest.pack.city.adcode
    for scan in (scan for _, scan in read if belongs(scan.city, own_city)):
        scan.city = own_city
    scans = [(record, scan, parcel_key(scan.waybill_id) if asks_of_parcel(scan) else b"") for record, scan in read]
    partition.parcels.look_up(key for _, scan, parcel in scans if parcel for key in keys_of(scan, parcel))
    counting = _Counting(partition, policies, registry, whose)
    outcomes: Counter[tuple[str, str, str]] = Counter()
    if rejects:
        outcomes[OTHER, OTHER, MALFORMED] = len(rejects)
    for record, scan, key in scans:
        outcome = refuse_event(partition, record, scan, refuses_synthetic=refuses_synthetic)
        if outcome is None:
            outcome = counting.count(scan, key)
        else:
            rejects.append(refused(record, scan, outcome))
        outcomes[scan.city, scan.kind, outcome] += 1
    partition.flush()
    counting.enter_heartbeats()
    partition.sweep(policies.newest.days)
    accepted: dict[DayKey, Counts] = {}
    for (day, features), number in counting.accepted.items():
        accepted.setdefault(day, Counts()).add(features, number)
    return Tally(rejects, outcomes, accepted, counting.deliveries)


class _Counting:
    """A chunk of accepted scans on its way into a partition: parcels ``accepted`` by day, ``deliveries``, and ``heartbeats`` (ms) by enterprise."""

    def __init__(self, partition: ScanPartition, policies: Policies, registry: Registry, whose: Whose) -> None:
        self.partition = partition
        self.policies = policies
        self.registry = registry
        self.whose = whose
        self.city = policies.newest.pack.city.adcode
        self.accepted: Counter[tuple[DayKey, int]] = Counter()
        self.deliveries: list[tuple[str, int]] = []
        self.heartbeats: dict[str, list[int]] = {}
        self.days = policies.newest.days
        self._policy: Policy | None = None
        self._from_ms = self._until_ms = END_MS

    def count(self, scan: Scan, key: bytes) -> str:
        """Take in an accepted scan, and the ``key`` of its parcel where it is about one; what it came to."""
        date, policy = self.days.date_of(scan.event_time_ms), None
        if scan.city == self.city:
            self._note_sign(scan)
            if scan.outlet_id is not None and date > self.partition.seen.get(scan.outlet_id, ""):
                self._note_outlet(scan.outlet_id, scan.event_time_ms, date)
            policy = self._policy if self._from_ms <= scan.event_time_ms < self._until_ms else self._policy_at(scan.event_time_ms)
        if policy is not None:
            for violation in violated(scan, policy.scan_rules["all"], self.registry, date):
                self.partition.enter(violation, scan.event_id, ViolatingScan(scan.event_time_ms, scan.event_id, scan.enterprise_id, scan.synthetic))
        if not key:
            return COUNTED
        day = shared_day(*self.whose(scan), date)
        if scan.mode is not None or scan.vehicle_id is not None:
            self._note_way(scan, key, day)
        if scan.kind == "delivered":
            self._deliver(scan, key, day)
        return self._accept_parcel(scan, key, day, policy) if scan.kind == "accepted" else COUNTED

    def _note_outlet(self, outlet_id: str, event_time_ms: int, date: str) -> None:
        """An outlet, or a facility, that is on record was scanned at on a later date than ever."""
        if any(self.registry.at(kind, outlet_id, event_time_ms) is not None for kind in ("outlet", "facility")):
            self.partition.seen[outlet_id] = date
            self.partition.dirty_seen[outlet_id] = None

    def _policy_at(self, event_time_ms: int) -> Policy | None:
        """The policy that is valid at an instant, kept for the next scans."""
        self._policy, (self._from_ms, self._until_ms) = self.policies.at(event_time_ms), self.policies.period_ms(event_time_ms)
        return self._policy

    def _note_sign(self, scan: Scan) -> None:
        """A scan is a sign of life of its enterprise's feed; of enterprises without a record none are expected."""
        times = self.heartbeats.get(scan.enterprise_id)
        if times is None:
            if not self.registry.knows("enterprise", scan.enterprise_id):
                return
            times = self.heartbeats[scan.enterprise_id] = []
        times.append(scan.event_time_ms)
        if scan.synthetic and self.partition.made_up is not None:
            self.partition.made_up.setdefault(f"enterprise/{scan.enterprise_id}", set()).add(scan.event_time_ms)

    def _deliver(self, scan: Scan, key: bytes, day: DayKey) -> None:
        """Count a parcel's delivery by the earliest of its delivered scans, with the time since its acceptance."""
        accepted_ms = self.partition.parcels.accepted_at(key)
        if accepted_ms is not None and accepted_ms <= scan.event_time_ms:
            self.deliveries.append((scan.city, scan.event_time_ms - accepted_ms))
        features = facts.delivery(scan, self.days)
        if accepted_ms is not None and accepted_ms >= self.partition.known_since_ms:
            features |= facts.transit(accepted_ms, scan.event_time_ms)
        self.partition.put_first(facts.delivery_key(key), Parcel(scan.event_time_ms, scan.event_id, day, features))

    def _note_way(self, scan: Scan, key: bytes, day: DayKey) -> None:
        """Count by which mode of transport, and on whose vehicle, a parcel goes."""
        if scan.mode is not None:
            self.partition.put_first(facts.way_key(key, scan.mode), Parcel(scan.event_time_ms, scan.event_id, day, facts.way(scan.mode)))
        if scan.vehicle_id is not None:
            owner = getattr(self.registry.at("vehicle", scan.vehicle_id, scan.event_time_ms), "enterprise_id", None)
            if owner is not None:
                features = facts.ride(is_joint=owner != scan.enterprise_id)
                self.partition.put_first(facts.ride_key(key, scan.vehicle_id), Parcel(scan.event_time_ms, scan.event_id, day, features))

    def _accept_parcel(self, scan: Scan, key: bytes, day: DayKey, policy: Policy | None) -> str:
        """Count a parcel by the earliest of its acceptances."""
        known = self.partition.known(key)
        if known is None or (scan.event_time_ms, scan.event_id) < known[:2]:
            violations = violated(scan, policy.scan_rules["accepted"], self.registry, day.date) if policy is not None else ()
            parcel = Parcel(scan.event_time_ms, scan.event_id, day, facts.acceptance(scan), violations)
            if known is None:
                self.accepted[day, parcel.features] += 1
            self.partition.put(key, parcel)
            self._time_again(key, scan.event_time_ms)
        return DUPLICATE if known is not None and scan.event_id == known.event_id else COUNTED

    def _time_again(self, key: bytes, accepted_ms: int) -> None:
        """A parcel whose delivery came before its acceptance, or before an earlier one, has another time in transit now."""
        key = facts.delivery_key(key)
        delivered = self.partition.known(key)
        if delivered is not None and accepted_ms <= delivered.event_time_ms:
            features = delivered.features % (1 << TRANSIT_SHIFT) | facts.transit(accepted_ms, delivered.event_time_ms)
            self.partition.put(key, delivered._replace(features=features))

    def enter_heartbeats(self) -> None:
        """Enter the signs of the chunk where some rule waits for them."""
        gap_ms = heartbeat_gap_ms(self.policies, "enterprise")
        for enterprise_id, times in self.heartbeats.items() if gap_ms is not None else ():
            self.partition.heartbeats.setdefault(f"enterprise/{enterprise_id}", []).extend((ms, ms) for ms in times)
        gather(self.partition.heartbeats, lambda _: gap_ms)


def asks_of_parcel(scan: Scan) -> bool:
    """Whether anything of a scan counts once for its parcel."""
    return scan.kind in {"accepted", "delivered"} or scan.mode is not None or scan.vehicle_id is not None


def keys_of(scan: Scan, key: bytes) -> Iterator[bytes]:
    """What a scan asks of its parcel, whose ``key`` is this."""
    if scan.kind in {"accepted", "delivered"}:
        yield key
        yield facts.delivery_key(key)
    if scan.mode is not None:
        yield facts.way_key(key, scan.mode)
    if scan.vehicle_id is not None:
        yield facts.ride_key(key, scan.vehicle_id)
