"""Parcels and their daily rates (semantics 8). Pure: a partition's parcels and a chunk of scans in, counts out.

A parcel is known for three days after its acceptance, on the clock of its partition's scans; a scan older than that is
late. So a repeat within three days never counts, and one after more than three days is another acceptance.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import msgspec

from streams.clock import BEGINNING_MS, DAY_MS, LocalDays
from streams.events import DUPLICATE, LATE, MALFORMED, Record, Reject, Scan, decode_scan, refuse_time
from streams.findings import FindingKey, Sighting, violated
from streams.incidents import CLOSED, RETRACTED, Kind, incident_id
from streams.policy import Policies, Policy, Rule
from streams.registry import Enterprise, Registry
from streams.rules import RULES

CITY_WIDE = "*"
NARROW_TAPE_MM = 45.0
KNOWN_FOR_MS = 3 * DAY_MS


def share(part: int, whole: int) -> float | None:
    """From 0 to 1; of nothing there is no share."""
    return part / whole if whole else None


class Counts(msgspec.Struct):
    """Accepted parcels of a (city, enterprise, local day), and how many of them had what."""

    accepted: int = 0
    electronic: int = 0
    green: int = 0
    taped: int = 0
    narrow_tape: int = 0
    not_repackaged: int = 0
    reusable_bag: int = 0
    real_name_verified: int = 0
    inspected: int = 0

    def add(self, features: Iterable[int], sign: int = 1) -> None:
        """Count one parcel's features (0 or 1 each, in field order after ``accepted``), or take them back."""
        self.accepted += sign
        for name, feature in zip(FEATURES, features, strict=True):
            if feature:
                setattr(self, name, getattr(self, name) + sign)

    def merge(self, other: Counts) -> None:
        """Add another partition's counts."""
        for name in Counts.__struct_fields__:
            setattr(self, name, getattr(self, name) + getattr(other, name))

    @property
    def electronic_rate(self) -> float | None:
        """Share of electronic waybills; None where nothing was accepted."""
        return share(self.electronic, self.accepted)

    @property
    def green_rate(self) -> float | None:
        """Share of green packaging; None where nothing was accepted."""
        return share(self.green, self.accepted)


FEATURES = Counts.__struct_fields__[1:]


class DayKey(NamedTuple):
    """What parcels are counted by; ``date`` is local."""

    city: str
    enterprise_id: str
    date: str


class Parcel(NamedTuple):
    """A parcel's acceptance: when, by which scan, where it counts and as what, and what it has against whom."""

    event_time_ms: int
    event_id: str
    day: DayKey
    features: tuple[int, ...]
    findings: tuple[FindingKey, ...] = ()


class ScanPartition(msgspec.Struct):
    """The state of one scan partition: parcels of the last three days, counts by day, violating scans by finding.

    ``dirty_*``: changed since the last checkpoint, in that order; ``changed_*``: sent on by this one, and to be saved;
    ``expired``: keys of state dropped since; ``buried``: of state that was dropped before the last checkpoint was complete,
    and may be deleted. ``told_ms``: the stream time last sent on with counts. ``sweep_ms``: when to look for expired parcels again.
    """

    parcels: dict[str, Parcel] = {}
    counts: dict[DayKey, Counts] = {}
    findings: dict[FindingKey, dict[str, Sighting]] = {}
    stream_time_ms: int = BEGINNING_MS
    next_offset: int = 0
    saved_offset: int = 0
    told_ms: int = BEGINNING_MS
    sweep_ms: int = BEGINNING_MS
    dirty_parcels: dict[str, None] = {}
    dirty_days: dict[DayKey, None] = {}
    dirty_findings: dict[FindingKey, None] = {}
    changed_days: list[DayKey] = []
    changed_findings: list[FindingKey] = []
    expired: list[str] = []
    buried: list[str] = []

    def known(self, waybill_id: str) -> Parcel | None:
        """A parcel's acceptance, unless it is too long ago."""
        parcel = self.parcels.get(waybill_id)
        return parcel if parcel is not None and parcel.event_time_ms >= self.stream_time_ms - KNOWN_FOR_MS else None

    def put(self, waybill_id: str, parcel: Parcel) -> None:
        """Count a parcel's acceptance in place of the one counted before, if any."""
        before = self.known(waybill_id)
        if before is not None:
            self.counts[before.day].add(before.features, -1)
            self.dirty_days[before.day] = None
            for key in before.findings:
                self.findings[key].pop(waybill_id, None)
                self.dirty_findings[key] = None
        self.parcels[waybill_id] = parcel
        self.dirty_parcels[waybill_id] = None
        self.counts.setdefault(parcel.day, Counts()).add(parcel.features)
        self.dirty_days[parcel.day] = None
        for key in parcel.findings:
            self.sight(key, waybill_id, Sighting(parcel.event_time_ms, parcel.event_id, parcel.day.enterprise_id))

    def sight(self, key: FindingKey, name: str, sighting: Sighting) -> None:
        """Enter a violating scan under a name that a repeat of it has, too; of repeats the earliest counts."""
        sightings = self.findings.setdefault(key, {})
        if name not in sightings or sighting < sightings[name]:
            sightings[name] = sighting
            self.dirty_findings[key] = None

    def sweep(self, days: LocalDays) -> None:
        """Drop, every hour of stream time, the parcels that are not known any more and the days that nothing can change."""
        if self.stream_time_ms < self.sweep_ms:
            return
        self.sweep_ms = self.stream_time_ms + 3_600_000
        horizon_ms = self.stream_time_ms - KNOWN_FOR_MS
        self.expired += [state_key("parcel", name) for name in _drop(self.parcels, lambda _, parcel: parcel.event_time_ms < horizon_ms)]
        for kind, held, dirty in (("day", self.counts, self.dirty_days), ("finding", self.findings, self.dirty_findings)):
            gone = _drop(held, lambda key, _, dirty=dirty: key not in dirty and days.bounds_ms(key.date)[1] < horizon_ms)
            self.expired += [state_key(kind, *key) for key in gone]


def state_key(kind: str, *names: str) -> str:
    """The key of a state record about a parcel, a day or a finding."""
    return "\x1f".join((kind, *names))


def _drop(held: Any, old: Callable[..., bool]) -> list[Any]:
    gone = [key for key, value in held.items() if old(key, value)]
    for key in gone:
        del held[key]
    return gone


def new_scan_partition(next_offset: int = 0) -> ScanPartition:
    """An empty partition; msgspec gives each its own containers."""
    return ScanPartition(next_offset=next_offset)


class Tally(msgspec.Struct):
    """What a chunk of scans came to: refused records, scans by (city, kind, outcome), parcels newly accepted by day."""

    rejects: list[Reject]
    outcomes: Counter[tuple[str, str, str]]
    accepted: dict[DayKey, Counts]


def count_scans(partition: ScanPartition, records: Sequence[Record], policies: Policies, registry: Registry) -> Tally:
    """Count and judge a chunk in offset order; records below the partition's ``next_offset`` were counted before."""
    days, city = policies.newest.days, policies.newest.pack.city.adcode
    rejects: list[Reject] = []
    outcomes: Counter[tuple[str, str, str]] = Counter()
    accepted: dict[DayKey, Counts] = {}
    for record in records:
        if record.offset < partition.next_offset:
            continue
        partition.next_offset = record.offset + 1
        try:
            scan = decode_scan(record.value)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            rejects.append(Reject(record, MALFORMED, None, str(error)))
            outcomes["other", "other", MALFORMED] += 1
            continue
        arrived_ms = scan.arrival_time_ms if record.arrived_ms is None else record.arrived_ms
        if reason := refuse_time(scan.event_time_ms, arrived_ms):
            rejects.append(Reject(record, reason, scan.event_id))
            outcomes[scan.city, scan.kind, reason] += 1
            continue
        if scan.event_time_ms < partition.stream_time_ms - KNOWN_FOR_MS:
            rejects.append(Reject(record, LATE, scan.event_id))
            outcomes[scan.city, scan.kind, LATE] += 1
            continue
        partition.stream_time_ms = max(partition.stream_time_ms, scan.event_time_ms)
        outcome, counts, date = "counted", False, days.date_of(scan.event_time_ms)
        if scan.kind == "accepted":
            known = partition.known(scan.waybill_id)
            counts = known is None or (scan.event_time_ms, scan.event_id) < known[:2]
            if known is not None and scan.event_id == known.event_id:
                outcome = DUPLICATE
        policy = policies.at(scan.event_time_ms) if scan.city == city else None
        if policy is not None:
            for key in violated(scan, policy.scan_rules["all"], registry, date):
                partition.sight(key, scan.event_id, Sighting(scan.event_time_ms, scan.event_id, scan.enterprise_id))
        if counts:
            day = DayKey(scan.city, scan.enterprise_id, date)
            findings = violated(scan, policy.scan_rules["accepted"], registry, date) if policy is not None else ()
            parcel = Parcel(scan.event_time_ms, scan.event_id, day, features_of(scan), findings)
            if known is None:
                accepted.setdefault(day, Counts()).add(parcel.features)
            partition.put(scan.waybill_id, parcel)
        outcomes[scan.city, scan.kind, outcome] += 1
    partition.sweep(days)
    return Tally(rejects, outcomes, accepted)


def features_of(scan: Scan) -> tuple[int, ...]:
    """What an accepted scan counts for, in the order of ``FEATURES``."""
    packaging = scan.packaging
    tape_mm = packaging.tape_mm if packaging else None
    return (
        int(scan.waybill_kind == "electronic"),
        int(packaging is not None and packaging.green is True),
        int(tape_mm is not None),
        int(tape_mm is not None and tape_mm <= NARROW_TAPE_MM),
        int(packaging is not None and packaging.repackaged is False),
        int(packaging is not None and packaging.reusable_bag is True),
        int(scan.real_name_verified is True),
        int(scan.inspected is True),
    )


def totals(partials: Iterable[Mapping[DayKey, Counts]]) -> dict[DayKey, Counts]:
    """Sum partitions' counts, with the whole city (``*``) beside its enterprises."""
    summed: dict[DayKey, Counts] = {}
    for counts in partials:
        for day, part in counts.items():
            for key in (day, day._replace(enterprise_id=CITY_WIDE)):
                summed.setdefault(key, Counts()).merge(part)
    return {key: counts for key, counts in sorted(summed.items()) if counts.accepted}


def rate_row(day: DayKey, counts: Counts) -> dict[str, Any]:
    """One line of ``rates.jsonl`` and the value of a ``courier.rates.v1`` record."""
    row: dict[str, Any] = {"city": day.city, "enterprise_id": day.enterprise_id, "date": day.date}
    row.update((name, getattr(counts, name)) for name in Counts.__struct_fields__)
    return {**row, "electronic_rate": counts.electronic_rate, "green_rate": counts.green_rate}


class DayIncident(msgspec.Struct):
    """A low-rate incident about one subject's day, as last announced."""

    incident_id: str
    revision: int
    state: str
    counts: tuple[int, int]


class DayTransition(msgspec.Struct):
    """One revision of a low-rate incident. ``counts``: numerator and denominator."""

    kind: Kind
    incident_id: str
    revision: int
    state: str
    rule: Rule
    day: DayKey
    counts: tuple[int, int]


class DayJudge:
    """Raises low-rate incidents for closed days, and corrects them when later scans change the counts."""

    def __init__(self, policies: Policies, registry: Registry, identity_key: bytes) -> None:
        self.policies = policies
        self.registry = registry
        self.identity_key = identity_key

    def judge(self, day: DayKey, counts: Counts, incidents: dict[str, DayIncident], stream_time_ms: int) -> list[DayTransition]:
        """Compare a day with the targets if it is closed; the policy is the one valid when it began. ``incidents``: its own, by rule."""
        start_ms, end_ms = self.policies.newest.days.bounds_ms(day.date)
        policy = self.policies.at(start_ms)
        if policy is None or day.city != policy.pack.city.adcode or stream_time_ms < end_ms + self.policies.lateness_ms:
            return []
        return [t for rule in policy.day_rules for t in self._judge_day(policy, rule, day, counts, incidents, start_ms)]

    def _judge_day(
        self, policy: Policy, rule: Rule, day: DayKey, counts: Counts, incidents: dict[str, DayIncident], start_ms: int
    ) -> list[DayTransition]:
        numerator, denominator = RULES[rule.rule].rate(counts)
        parameters = rule.parameters
        low = denominator >= max(parameters.min_sample, 1) and numerator / denominator < parameters.target
        if low and parameters.primary_brands_only and day.enterprise_id != CITY_WIDE:
            enterprise = self.registry.at("enterprise", day.enterprise_id, start_ms)
            low = isinstance(enterprise, Enterprise) and enterprise.primary_brand
        known = incidents.get(rule.id)
        if known is None:
            if not low:
                return []
            subject = f"enterprise/{day.enterprise_id}"
            name = incident_id(self.identity_key, policy.name, rule.id, subject, None, f"{day.city}/{day.date}")
            known = incidents[rule.id] = DayIncident(name, 0, RETRACTED, (0, 0))
        kinds: list[tuple[Kind, str]] = []
        if low and known.state == RETRACTED:
            kinds = [("opened", "open"), ("closed", CLOSED)]
        elif low and known.counts != (numerator, denominator):
            kinds = [("updated", CLOSED)]
        elif not low and known.state != RETRACTED:
            kinds = [("retracted", RETRACTED)]
        out = []
        for kind, state in kinds:
            known.revision += 1
            known.state, known.counts = state, (numerator, denominator)
            out.append(DayTransition(kind, known.incident_id, known.revision, state, rule, day, known.counts))
        return out
