"""Parcels and their daily rates (semantics 8). Pure: a partition's parcels and a chunk of scans in, counts out.

A parcel is known for three days after its acceptance, on the clock of its partition's scans; a scan older than that is
late. So a repeat within three days never counts, and one after more than three days is another acceptance.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import date, timedelta
from functools import lru_cache
from typing import Any

import msgspec

from streams.clock import BEGINNING_MS, END_MS, MINUTE_MS, LocalDays
from streams.decode import SCANS, malformed
from streams.events import DUPLICATE, KNOWN_FOR_MS, LATE, MALFORMED, SYNTHETIC, Record, Reject, Scan, refuse_time, refused, stamps_ms
from streams.findings import FindingKey, Sighting, violated
from streams.incidents import CLOSED, RETRACTED, Kind, incident_id, steps
from streams.parcels import DayKey, Parcel, Parcels, parcel_key
from streams.policy import Policies, Policy, Rule
from streams.registry import Enterprise, Registry
from streams.rules import RULES
from streams.sightings import Sightings
from streams.silences import Span, gather, signs_gap_ms
from streams.watermark import Arrivals, capped

CITY_WIDE = "*"
OTHER = "other"
"""Stands for all enterprises, or cities, that no registry record speaks of: anybody can make those up."""
MONTH, MONTH_DAYS = "30d", 30
"""The window of the last 30 local days, the present one included."""
HOUR, HOUR_MINUTES = "hour", 60
"""The window of the last 60 minutes, the present one included."""
NARROW_TAPE_MM = 45.0
MinuteCounts = tuple[int, int, int]
"""Parcels accepted in a minute, and how many of them with an electronic waybill and in green packaging."""


def share(part: int, whole: int) -> float | None:
    """From 0 to 1; of nothing there is no share."""
    return part / whole if whole else None


class Counts(msgspec.Struct):
    """Accepted parcels of a (city, enterprise, local day), how many of them had what, and how many were made up."""

    accepted: int = 0
    electronic: int = 0
    green: int = 0
    taped: int = 0
    narrow_tape: int = 0
    not_repackaged: int = 0
    reusable_bag: int = 0
    real_name_verified: int = 0
    inspected: int = 0
    synthetic: int = 0

    def add(self, features: int, sign: int = 1) -> None:
        """Count one parcel by its features (a bit each, in the order of the fields), or take it back."""
        self.accepted += sign
        for name in NAMES[features]:
            setattr(self, name, getattr(self, name) + sign)

    def merge(self, other: Counts) -> None:
        """Add another partition's counts."""
        for name in Counts.__struct_fields__:
            setattr(self, name, getattr(self, name) + getattr(other, name))

    def rates(self) -> dict[str, float | None]:
        """Every share by its name; those of nothing are None. Tape is measured on taped parcels only."""
        return {f"{name}_rate": share(getattr(self, part), getattr(self, whole)) for name, (part, whole) in RATES_OF.items()}

    @property
    def electronic_rate(self) -> float | None:
        """Share of electronic waybills; None where nothing was accepted."""
        return share(self.electronic, self.accepted)

    @property
    def green_rate(self) -> float | None:
        """Share of green packaging; None where nothing was accepted."""
        return share(self.green, self.accepted)


RATES_OF = {
    "electronic": ("electronic", "accepted"), "green": ("green", "accepted"), "narrow_tape": ("narrow_tape", "taped"),
    "not_repackaged": ("not_repackaged", "accepted"), "reusable_bag": ("reusable_bag", "accepted"),
    "real_name": ("real_name_verified", "accepted"), "inspected": ("inspected", "accepted"),
}  # fmt: skip
"""Numerator and denominator of each rate (semantics 8)."""
FEATURES = Counts.__struct_fields__[1:-1]
"""What parcels are counted for beside being accepted."""
_BITS = (*FEATURES, "synthetic")
NAMES = [[name for bit, name in enumerate(_BITS) if number >> bit & 1] for number in range(2 ** len(_BITS))]
ELECTRONIC, GREEN, MADE_UP = 1, 2, 1 << len(FEATURES)
"""The first two of their bits, and the last."""


class Hour(msgspec.Struct, array_like=True):
    """The latest counts of each minute by scan partition, (as of which offset, counts), as far back as the last hour goes."""

    minutes: dict[int, dict[int, tuple[int, MinuteCounts]]] = {}

    def update(self, partition: int, next_offset: int, minutes: Mapping[int, MinuteCounts]) -> None:
        """Take in a partition's minutes unless newer ones are known."""
        for minute, counts in minutes.items():
            by_partition = self.minutes.setdefault(minute, {})
            if partition not in by_partition or by_partition[partition][0] <= next_offset:
                by_partition[partition] = (next_offset, counts)

    def counts(self, now_minute: int) -> Counts:
        """The sum of the last hour; what is older than that is dropped."""
        for minute in [minute for minute in self.minutes if minute <= now_minute - HOUR_MINUTES]:
            del self.minutes[minute]
        counts = Counts()
        for by_partition in self.minutes.values():
            for _, (accepted, electronic, green) in by_partition.values():
                counts.merge(Counts(accepted, electronic, green))
        return counts


class ScanPartition(msgspec.Struct):
    """The state of one scan partition: parcels of the last three days, counts by day, violating scans by finding.

    ``dirty_*``: changed since the last checkpoint, in that order; ``changed_*``: sent on by this one, and to be saved;
    ``expired``: keys of state dropped since; ``buried``: of state that was dropped before the last checkpoint was complete,
    and may be deleted. ``signs``: of enterprises' feeds, to be sent on; ``made_up``: the times of the synthetic ones, where somebody asks. ``sweep_ms``: when to look for expired parcels again.
    """

    parcels: Parcels = msgspec.field(default_factory=Parcels)
    counts: dict[DayKey, Counts] = {}
    minutes: dict[DayKey, dict[int, list[int]]] = {}
    findings: dict[FindingKey, Sightings] = {}
    arrivals: Arrivals = msgspec.field(default_factory=Arrivals)
    stream_time_ms: int = BEGINNING_MS
    next_offset: int = 0
    saved_offset: int = 0
    sweep_ms: int = BEGINNING_MS
    dirty_parcels: dict[bytes, Parcel] = {}
    dirty_days: dict[DayKey, None] = {}
    dirty_minutes: dict[DayKey, set[int]] = {}
    dirty_findings: dict[FindingKey, None] = {}
    changed_days: list[DayKey] = []
    changed_findings: dict[FindingKey, None] = {}
    unsettled: dict[FindingKey, None] = {}
    signs: dict[str, list[Span]] = {}
    made_up: dict[str, set[int]] | None = None
    expired: list[str] = []
    buried: list[str] = []

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
                self.findings[finding].drop(_acceptance(key, before))
                self.dirty_findings[finding] = self.unsettled[finding] = None
        self.parcels.put(key, parcel)
        self.dirty_parcels[key] = parcel
        self.counts.setdefault(parcel.day, Counts()).add(parcel.features)
        self._count_minute(parcel, 1)
        self.dirty_days[parcel.day] = None
        for finding in parcel.findings:
            self.sight(finding, _acceptance(key, parcel), Sighting(*parcel[:2], parcel.day.enterprise_id, bool(parcel.features & MADE_UP)))

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

    def recount_minutes(self) -> None:
        """Count the minutes of the last hour again, from the parcels."""
        for parcel in self.parcels.since(self.stream_time_ms - HOUR_MINUTES * MINUTE_MS):
            self._count_minute(parcel, 1)
        self.dirty_minutes.clear()

    def sight(self, key: FindingKey, name: str, sighting: Sighting) -> None:
        """Enter a violating scan under a name that a repeat of it has, too; of repeats the earliest counts."""
        sightings = self.findings.get(key)
        if sightings is None:
            sightings = self.findings[key] = Sightings()
        self.unsettled[key] = None
        if sightings.see(name, sighting):
            self.dirty_findings[key] = None

    def settle(self) -> None:
        """Put away what a chunk opened."""
        self.parcels.settle()
        for key in self.unsettled:
            self.findings[key].settle()
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


def _acceptance(key: bytes, parcel: Parcel) -> str:
    """The name of one acceptance: a waybill that is accepted again after more than three days has another."""
    return f"{key.hex()}\x1f{parcel.event_time_ms}"


def state_key(kind: str, *names: str) -> str:
    """The key of a state record about a parcel, a day or a finding."""
    return "\x1f".join((kind, *names))


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
    days, city = policies.newest.days, policies.newest.pack.city.adcode
    rejects: list[Reject] = []
    outcomes: Counter[tuple[str, str, str]] = Counter()
    accepted: dict[DayKey, Counts] = {}
    feed_gap_ms = signs_gap_ms(policies, "enterprise")
    new = [record for record in records if record.offset >= partition.next_offset]
    read, wrong = SCANS.read([record.value for record in new])
    if new:
        partition.next_offset = new[-1].offset + 1
    if wrong:
        rejects += [malformed(new[index], error) for index, error in wrong.items()]
        outcomes["other", "other", MALFORMED] = len(wrong)
        new = [record for index, record in enumerate(new) if index not in wrong]
    scans = [(record, scan, parcel_key(scan.waybill_id) if scan.kind in {"accepted", "delivered"} else b"") for record, scan in zip(new, read, strict=True)]
    times: dict[str, list[int]] = {}
    deliveries: list[tuple[str, int]] = []
    policy, from_ms, until_ms = None, END_MS, END_MS
    partition.parcels.look_up(key for _, _, key in scans if key)
    for record, scan, key in scans:
        stamped_ms, arrived_ms = stamps_ms(record, scan.arrival_time_ms)
        if reason := SYNTHETIC if scan.synthetic and refuses_synthetic else refuse_time(scan.event_time_ms, stamped_ms):
            rejects.append(refused(record, scan, reason))
            outcomes[scan.city, scan.kind, reason] += 1
            continue
        if scan.event_time_ms < partition.stream_time_ms - KNOWN_FOR_MS:
            rejects.append(refused(record, scan, LATE))
            outcomes[scan.city, scan.kind, LATE] += 1
            continue
        partition.stream_time_ms = max(partition.stream_time_ms, capped(scan.event_time_ms, arrived_ms))
        partition.arrivals.note(arrived_ms, scan.event_time_ms)
        outcome, counts, date = "counted", False, days.date_of(scan.event_time_ms)
        if scan.kind == "delivered":
            accepted_ms = partition.parcels.accepted_at(key)
            if accepted_ms is not None and accepted_ms <= scan.event_time_ms:
                deliveries.append((scan.city, scan.event_time_ms - accepted_ms))
        elif key:
            known = partition.known(key)
            counts = known is None or (scan.event_time_ms, scan.event_id) < known[:2]
            if known is not None and scan.event_id == known.event_id:
                outcome = DUPLICATE
        own = scan.city == city
        if own and registry.knows("enterprise", scan.enterprise_id):  # of others no signs are expected
            times.setdefault(scan.enterprise_id, []).append(scan.event_time_ms)
            if scan.synthetic and partition.made_up is not None:
                partition.made_up.setdefault(f"enterprise/{scan.enterprise_id}", set()).add(scan.event_time_ms)
        if own and not from_ms <= scan.event_time_ms < until_ms:
            policy, (from_ms, until_ms) = policies.at(scan.event_time_ms), policies.period_ms(scan.event_time_ms)
        if own and policy is not None:
            for finding in violated(scan, policy.scan_rules["all"], registry, date):
                partition.sight(finding, scan.event_id, Sighting(scan.event_time_ms, scan.event_id, scan.enterprise_id, scan.synthetic))
        if counts:
            day = shared_day(*whose(scan), date)
            findings = violated(scan, policy.scan_rules["accepted"], registry, date) if own and policy is not None else ()
            parcel = Parcel(scan.event_time_ms, scan.event_id, day, features_of(scan), findings)
            if known is None:
                accepted.setdefault(day, Counts()).add(parcel.features)
            partition.put(key, parcel)
        outcomes[scan.city, scan.kind, outcome] += 1
    partition.settle()
    for enterprise_id, signs in times.items() if feed_gap_ms is not None else ():
        partition.signs.setdefault(f"enterprise/{enterprise_id}", []).extend((ms, ms) for ms in signs)
    gather(partition.signs, lambda _: feed_gap_ms)
    partition.sweep(days)
    return Tally(rejects, outcomes, accepted, deliveries)


@lru_cache(4_096)
def shared_day(*day: str) -> DayKey:
    """One object for all parcels of a day."""
    return DayKey(*day)


def features_of(scan: Scan) -> int:
    """What an accepted scan counts for, a bit each in the order of the fields of ``Counts``."""
    packaging = scan.packaging
    features = (scan.waybill_kind == "electronic") * ELECTRONIC | (scan.real_name_verified is True) << 6 | (scan.inspected is True) << 7 | scan.synthetic * MADE_UP
    if packaging is not None:
        features |= (packaging.green is True) * GREEN | (packaging.repackaged is False) << 4 | (packaging.reusable_bag is True) << 5
        if packaging.tape_mm is not None:
            features |= 1 << 2 | (packaging.tape_mm <= NARROW_TAPE_MM) << 3
    return features


def totals(partials: Iterable[Mapping[DayKey, Counts]]) -> dict[DayKey, Counts]:
    """Sum partitions' counts, with the whole city (``*``) beside its enterprises."""
    summed: dict[DayKey, Counts] = {}
    for counts in partials:
        for day, part in counts.items():
            for key in (day, day._replace(enterprise_id=CITY_WIDE)):
                summed.setdefault(key, Counts()).merge(part)
    return {key: counts for key, counts in sorted(summed.items()) if counts.accepted}


def last_days(counts: Iterable[tuple[DayKey, Counts]], until: str) -> dict[tuple[str, str], Counts]:
    """(city, enterprise or ``*``) → the counts of the 30 local days that end with the date ``until``."""
    first = (date.fromisoformat(until) - timedelta(days=MONTH_DAYS - 1)).isoformat()
    summed: dict[tuple[str, str], Counts] = {}
    for day, counted in counts:
        if first <= day.date <= until:
            summed.setdefault((day.city, day.enterprise_id), Counts()).merge(counted)
    return summed


def forecast(today: Counts, hour: Counts, hours_left: float) -> dict[str, float]:
    """Which shares the day will end with if it goes on as in the last hour; nothing where nothing was accepted."""
    accepted = today.accepted + hour.accepted * hours_left
    shares = {"electronic": today.electronic + hour.electronic * hours_left, "green": today.green + hour.green * hours_left}
    return {f"{name}_forecast": part / accepted for name, part in shares.items()} if accepted else {}


def rate_row(day: DayKey, counts: Counts) -> dict[str, Any]:
    """One line of ``rates.jsonl`` and the value of a ``courier.rates.v1`` record."""
    row: dict[str, Any] = {"city": day.city, "enterprise_id": day.enterprise_id, "date": day.date}
    row.update((name, getattr(counts, name)) for name in ("accepted", *FEATURES))
    return {**row, **counts.rates()}


def is_of_day(row: dict[str, Any]) -> bool:
    """Whether a row is about one local day (there are others about the last 30)."""
    return bool(row.get("window", row["date"]) == row["date"])


class DayIncident(msgspec.Struct):
    """A low-rate incident about one subject's day, as last announced."""

    incident_id: str
    revision: int
    state: str
    counts: tuple[int, int]


class DayTransition(msgspec.Struct):
    """One revision of a low-rate incident. ``counts``: numerator and denominator; ``synthetic``: whether any parcel that it rests on is."""

    kind: Kind
    incident_id: str
    revision: int
    state: str
    rule: Rule
    day: DayKey
    counts: tuple[int, int]
    synthetic: bool = False


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
        return [t for rule in policy.day_rules for t in self._announce(policy, rule, day, self._low(rule, day, counts, start_ms), counts, incidents)]

    def judge_month(self, month: DayKey, counts: Counts, before: Counts, incidents: dict[str, DayIncident], stream_time_ms: int) -> list[DayTransition]:
        """Compare a month (its date is ``YYYY-MM``) with the one before, if it is closed, by the rules that ask for a rate that rises."""
        start_ms, end_ms = self.policies.newest.days.bounds_ms(month.date)
        policy = self.policies.at(start_ms)
        if policy is None or month.city != policy.pack.city.adcode or stream_time_ms < end_ms + self.policies.lateness_ms:
            return []
        transitions = []
        for rule in (rule for rule in policy.day_rules if getattr(rule.parameters, "rising", False)):
            (part, whole), (part_before, whole_before) = (RULES[rule.rule].rate(each) for each in (counts, before))
            least = max(rule.parameters.min_sample, 1)
            low = min(whole, whole_before) >= least and part * whole_before <= part_before * whole and self._concerns(rule, month, start_ms)
            transitions += self._announce(policy, rule, month, low, counts, incidents, synthetic=bool(before.synthetic))
        return transitions

    def _low(self, rule: Rule, day: DayKey, counts: Counts, start_ms: int) -> bool:
        part, whole = RULES[rule.rule].rate(counts)
        low: bool = whole >= max(rule.parameters.min_sample, 1) and part / whole < rule.parameters.target
        return low and self._concerns(rule, day, start_ms)

    def _concerns(self, rule: Rule, day: DayKey, start_ms: int) -> bool:
        """Whether a rule is about all enterprises, or about this one as a primary brand."""
        if day.enterprise_id == OTHER:
            return False  # of many, who are not known
        if not rule.parameters.primary_brands_only or day.enterprise_id == CITY_WIDE:
            return True
        enterprise = self.registry.at("enterprise", day.enterprise_id, start_ms)
        return isinstance(enterprise, Enterprise) and enterprise.primary_brand

    def _announce(
        self, policy: Policy, rule: Rule, day: DayKey, low: bool, counts: Counts, incidents: dict[str, DayIncident], *, synthetic: bool = False
    ) -> list[DayTransition]:
        numerator, denominator = RULES[rule.rule].rate(counts)
        known = incidents.get(rule.id)
        if known is None:
            if not low:
                return []
            subject = f"enterprise/{day.enterprise_id}"
            name = incident_id(self.identity_key, policy.name, rule.id, subject, None, f"{day.city}/{day.date}")
            known = incidents[rule.id] = DayIncident(name, 0, RETRACTED, (0, 0))
        out = []
        for kind, state in steps(known.state, CLOSED if low else RETRACTED, differs=known.counts != (numerator, denominator)):
            known.revision += 1
            known.state, known.counts = state, (numerator, denominator)
            out.append(DayTransition(kind, known.incident_id, known.revision, state, rule, day, known.counts, synthetic or bool(counts.synthetic)))
        return out
