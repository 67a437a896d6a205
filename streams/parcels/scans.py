"""Parcels and their daily rates (semantics 8). Pure: a partition's parcels and a chunk of scans in, counts out.

A parcel is known for three days after its acceptance, on the clock of its partition's scans; a scan older than that is
late. So a repeat within three days never counts, and one after more than three days is another acceptance.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence

import msgspec

from streams.clock import BEGINNING_MS, END_MS, MINUTE_MS, LocalDays
from streams.counts import ELECTRONIC, GREEN, HOUR_MINUTES, MADE_UP, OTHER, Counts, DayKey, MinuteCounts, shared_day, state_key
from streams.decode import SCANS
from streams.enterprises.liveness import Span, gather, signs_gap_ms
from streams.events import DUPLICATE, KNOWN_FOR_MS, MALFORMED, Record, Reject, Scan, refused
from streams.intake import read_new, refuse_event
from streams.parcels.store import Parcel, Parcels, parcel_key
from streams.parcels.violating_scans import ViolatingScans
from streams.parcels.violations import ViolatingScan, ViolationKey, violated
from streams.policy.policy import Policies, Policy
from streams.registry.registry import Registry
from streams.watermark import Arrivals

NARROW_TAPE_MM = 45.0
OF_A_PARCEL = {"accepted", "delivered"}
"""Scans that ask what is known of their parcel."""
COUNTED = "counted"


class ScanPartition(msgspec.Struct):
    """The state of one scan partition: parcels of the last three days, counts by day, violating scans by finding.

    ``dirty_*``: changed since the last checkpoint, in that order; ``changed_*``: sent on by this one, and to be saved;
    ``expired``: keys of state dropped since; ``pending_tombstones``: of state that was dropped before the last checkpoint was complete,
    and may be deleted. ``signs``: of enterprises' feeds, to be sent on; ``made_up``: the times of the synthetic ones, where somebody asks. ``sweep_ms``: when to look for expired parcels again.
    """

    parcels: Parcels = msgspec.field(default_factory=Parcels)
    counts: dict[DayKey, Counts] = {}
    minutes: dict[DayKey, dict[int, list[int]]] = {}
    findings: dict[ViolationKey, ViolatingScans] = {}
    arrivals: Arrivals = msgspec.field(default_factory=Arrivals)
    stream_time_ms: int = BEGINNING_MS
    next_offset: int = 0
    saved_offset: int = 0
    sweep_ms: int = BEGINNING_MS
    dirty_parcels: dict[bytes, Parcel] = {}
    dirty_days: dict[DayKey, None] = {}
    dirty_minutes: dict[DayKey, set[int]] = {}
    dirty_findings: dict[ViolationKey, None] = {}
    changed_days: list[DayKey] = []
    changed_findings: dict[ViolationKey, None] = {}
    unsettled: dict[ViolationKey, None] = {}
    signs: dict[str, list[Span]] = {}
    made_up: dict[str, set[int]] | None = None
    expired: list[str] = []
    pending_tombstones: list[str] = []

    def known(self, key: bytes) -> Parcel | None:
        """A parcel's acceptance, unless it is too long ago; it must have been looked up."""
        parcel = self.parcels.get(key)
        return parcel if parcel is not None and parcel.event_time_ms >= self.stream_time_ms - KNOWN_FOR_MS else None

    def put(self, key: bytes, parcel: Parcel) -> None:
        """Count a parcel's acceptance in place of the one counted before, if any."""
        before = self.known(key)
        if before is not None:
            self.counts[before.day].add(before.features, -1)
            self._count_minute(before, -1)
            self.dirty_days[before.day] = None
            for finding in before.findings:
                self.findings[finding].drop(acceptance_name(key, before))
                self.dirty_findings[finding] = self.unsettled[finding] = None
        self.parcels.put(key, parcel)
        self.dirty_parcels[key] = parcel
        self.counts.setdefault(parcel.day, Counts()).add(parcel.features)
        self._count_minute(parcel, 1)
        self.dirty_days[parcel.day] = None
        for finding in parcel.findings:
            self.sight(finding, acceptance_name(key, parcel), ViolatingScan(*parcel[:2], parcel.day.enterprise_id, bool(parcel.features & MADE_UP)))

    def _count_minute(self, parcel: Parcel, sign: int) -> None:
        minute = parcel.event_time_ms // MINUTE_MS
        if minute > self.stream_time_ms // MINUTE_MS - HOUR_MINUTES:
            counts = self.minutes.setdefault(parcel.day, {}).setdefault(minute, [0, 0, 0])
            counts[0] += sign
            counts[1] += sign * bool(parcel.features & ELECTRONIC)
            counts[2] += sign * bool(parcel.features & GREEN)
            self.dirty_minutes.setdefault(parcel.day, set()).add(minute)

    def changed_minutes(self, day: DayKey) -> dict[int, MinuteCounts] | None:
        """The counts of the minutes of a day's last hour that have changed since the last call."""
        held, oldest = self.minutes.get(day, {}), self.stream_time_ms // MINUTE_MS - HOUR_MINUTES
        for minute in [minute for minute in held if minute <= oldest]:
            del held[minute]
        return {minute: (held[minute][0], held[minute][1], held[minute][2]) for minute in self.dirty_minutes.pop(day, ()) if minute in held} or None

    def take_changed(self) -> tuple[list[DayKey], list[ViolationKey]]:
        """The days and violations that have changed since the last call; the next checkpoint saves them."""
        days, violations = list(self.dirty_days), list(self.dirty_findings)
        self.changed_days = days
        self.changed_findings.update(self.dirty_findings)
        self.dirty_days.clear()
        self.dirty_findings.clear()
        return days, violations

    def recount_minutes(self) -> None:
        """Count the minutes of the last hour again, from the parcels."""
        for parcel in self.parcels.since(self.stream_time_ms - HOUR_MINUTES * MINUTE_MS):
            self._count_minute(parcel, 1)
        self.dirty_minutes.clear()

    def sight(self, key: ViolationKey, name: str, sighting: ViolatingScan) -> None:
        """Enter a violating scan under a name that a repeat of it has, too; of repeats the earliest counts."""
        sightings = self.findings.get(key)
        if sightings is None:
            sightings = self.findings[key] = ViolatingScans()
        self.unsettled[key] = None
        if sightings.observe(name, sighting):
            self.dirty_findings[key] = None

    def flush(self) -> None:
        """Put away what a chunk opened."""
        self.parcels.flush()
        for key in self.unsettled:
            self.findings[key].flush()
        self.unsettled.clear()

    def sweep(self, days: LocalDays) -> None:
        """Drop, every hour of stream time, the parcels that are not known any more and the days that nothing can change."""
        if self.stream_time_ms < self.sweep_ms:
            return
        self.sweep_ms = self.stream_time_ms + 3_600_000
        horizon_ms = self.stream_time_ms - KNOWN_FOR_MS
        self.expired += [state_key("parcel", key.hex()) for key in self.parcels.drop(horizon_ms)]
        for day in [day for day in self.counts if day not in self.dirty_days and days.bounds_ms(day.date)[1] < horizon_ms]:
            del self.counts[day]
            self.minutes.pop(day, None)
            self.expired.append(state_key("day", *day))
        for key in [key for key in self.findings if key not in self.dirty_findings and days.bounds_ms(key.date)[1] < horizon_ms]:
            self.expired += [state_key("finding", *key), *(state_key("sightings", *key, str(page)) for page in self.findings.pop(key).pages())]


def acceptance_name(key: bytes, parcel: Parcel) -> str:
    """The name of one acceptance: a waybill that is accepted again after more than three days has another."""
    return f"{key.hex()}\x1f{parcel.event_time_ms}"


def new_scan_partition(next_offset: int = 0) -> ScanPartition:
    """An empty partition; msgspec gives each its own containers."""
    return ScanPartition(next_offset=next_offset)


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
    """Count and judge a chunk in offset order; records below the partition's ``next_offset`` were counted before."""
    read, rejects = read_new(partition, records, SCANS)
    scans = [(record, scan, parcel_key(scan.waybill_id) if scan.kind in OF_A_PARCEL else b"") for record, scan in read]
    partition.parcels.look_up(key for _, _, key in scans if key)
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
    counting.enter_signs()
    partition.sweep(policies.newest.days)
    return Tally(rejects, outcomes, counting.accepted, counting.deliveries)


class _Counting:
    """A chunk of accepted scans on its way into a partition: parcels ``accepted`` by day, ``deliveries``, and ``signs`` (ms) by enterprise."""

    def __init__(self, partition: ScanPartition, policies: Policies, registry: Registry, whose: Whose) -> None:
        self.partition = partition
        self.policies = policies
        self.registry = registry
        self.whose = whose
        self.city = policies.newest.pack.city.adcode
        self.accepted: dict[DayKey, Counts] = {}
        self.deliveries: list[tuple[str, int]] = []
        self.signs: dict[str, list[int]] = {}
        self.days = policies.newest.days
        self._policy: Policy | None = None
        self._from_ms = self._until_ms = END_MS

    def count(self, scan: Scan, key: bytes) -> str:
        """Take in an accepted scan, and the ``key`` of its parcel where it is about one; what it came to."""
        date, policy = self.days.date_of(scan.event_time_ms), None
        if scan.city == self.city:
            self._note_sign(scan)
            policy = self._policy if self._from_ms <= scan.event_time_ms < self._until_ms else self._policy_at(scan.event_time_ms)
        if policy is not None:
            for violation in violated(scan, policy.scan_rules["all"], self.registry, date):
                self.partition.sight(violation, scan.event_id, ViolatingScan(scan.event_time_ms, scan.event_id, scan.enterprise_id, scan.synthetic))
        if scan.kind == "delivered":
            self._note_delivery(scan, key)
        elif key:
            return self._accept_parcel(scan, key, date, policy)
        return COUNTED

    def _policy_at(self, event_time_ms: int) -> Policy | None:
        """The policy that is valid at an instant, kept for the next scans."""
        self._policy, (self._from_ms, self._until_ms) = self.policies.at(event_time_ms), self.policies.period_ms(event_time_ms)
        return self._policy

    def _note_sign(self, scan: Scan) -> None:
        """A scan is a sign of life of its enterprise's feed; of enterprises without a record none are expected."""
        times = self.signs.get(scan.enterprise_id)
        if times is None:
            if not self.registry.knows("enterprise", scan.enterprise_id):
                return
            times = self.signs[scan.enterprise_id] = []
        times.append(scan.event_time_ms)
        if scan.synthetic and self.partition.made_up is not None:
            self.partition.made_up.setdefault(f"enterprise/{scan.enterprise_id}", set()).add(scan.event_time_ms)

    def _note_delivery(self, scan: Scan, key: bytes) -> None:
        accepted_ms = self.partition.parcels.accepted_at(key)
        if accepted_ms is not None and accepted_ms <= scan.event_time_ms:
            self.deliveries.append((scan.city, scan.event_time_ms - accepted_ms))

    def _accept_parcel(self, scan: Scan, key: bytes, date: str, policy: Policy | None) -> str:
        """Count a parcel by the earliest of its acceptances."""
        known = self.partition.known(key)
        if known is None or (scan.event_time_ms, scan.event_id) < known[:2]:
            day = shared_day(*self.whose(scan), date)
            violations = violated(scan, policy.scan_rules["accepted"], self.registry, date) if policy is not None else ()
            parcel = Parcel(scan.event_time_ms, scan.event_id, day, features_of(scan), violations)
            if known is None:
                self.accepted.setdefault(day, Counts()).add(parcel.features)
            self.partition.put(key, parcel)
        return DUPLICATE if known is not None and scan.event_id == known.event_id else COUNTED

    def enter_signs(self) -> None:
        """Enter the signs of the chunk where some rule waits for them."""
        gap_ms = signs_gap_ms(self.policies, "enterprise")
        for enterprise_id, signs in self.signs.items() if gap_ms is not None else ():
            self.partition.signs.setdefault(f"enterprise/{enterprise_id}", []).extend((ms, ms) for ms in signs)
        gather(self.partition.signs, lambda _: gap_ms)


def features_of(scan: Scan) -> int:
    """What an accepted scan counts for, a bit each in the order of the fields of ``Counts``."""
    packaging = scan.packaging
    features = (scan.waybill_kind == "electronic") * ELECTRONIC | (scan.real_name_verified is True) << 6 | (scan.inspected is True) << 7 | scan.synthetic * MADE_UP
    if packaging is not None:
        features |= (packaging.green is True) * GREEN | (packaging.repackaged is False) << 4 | (packaging.reusable_bag is True) << 5
        if packaging.tape_mm is not None:
            features |= 1 << 2 | (packaging.tape_mm <= NARROW_TAPE_MM) << 3
    return features
