"""What is kept of one partition of scans. Pure: of whatever counts once, the first scan is kept for three days, and counted.

A parcel's acceptance is kept under the parcel's key (``store.parcel_key``), what else is said of it under keys of their own
(``facts.py``): an earlier scan of the same takes the place of a later one, and a repeat changes nothing.
"""

from __future__ import annotations

import msgspec

from streams.clock import BEGINNING_MS, HOUR_MS, MINUTE_MS, LocalDays
from streams.counts import ELECTRONIC, GREEN, HOUR_MINUTES, MADE_UP, NOT_ACCEPTED, Counts, DayKey, MinuteCounts, state_key
from streams.enterprises.liveness import Span
from streams.parcels.store import Parcel, Parcels
from streams.parcels.violating_scans import ViolatingScans
from streams.parcels.violations import ViolatingScan, ViolationKey
from streams.watermark import Arrivals
from streams.wire.events import KNOWN_FOR_MS


class ScanPartition(msgspec.Struct):
    """The state of one scan partition: parcels and their ways of the last three days, counts by day, violating scans by violation.

    ``uncounted``: parcels of this chunk by day and features. ``dirty_*``: changed since the last checkpoint, in that order; ``changed_*``: sent on by this one, and to be saved;
    ``expired``: keys of state dropped since; ``pending_tombstones``: of state that was dropped before the last checkpoint was complete,
    and may be deleted. ``heartbeats``: of enterprises' feeds, to be sent on; ``made_up``: the times of the synthetic ones, where somebody asks.
    ``seen``: the last local date on which each outlet was scanned at; ``dirty_seen``, ``changed_seen``: of which that changed. ``sweep_ms``: when to look for expired parcels again.
    """

    parcels: Parcels = msgspec.field(default_factory=Parcels)
    counts: dict[DayKey, Counts] = {}
    minutes: dict[DayKey, dict[int, list[int]]] = {}
    uncounted: dict[tuple[DayKey, int], int] = {}
    violations: dict[ViolationKey, ViolatingScans] = {}
    arrivals: Arrivals = msgspec.field(default_factory=Arrivals)
    stream_time_ms: int = BEGINNING_MS
    next_offset: int = 0
    saved_offset: int = 0
    sweep_ms: int = BEGINNING_MS
    dirty_parcels: dict[bytes, Parcel] = {}
    dirty_days: dict[DayKey, None] = {}
    dirty_minutes: dict[DayKey, set[int]] = {}
    dirty_violations: dict[ViolationKey, None] = {}
    changed_days: list[DayKey] = []
    changed_violations: dict[ViolationKey, None] = {}
    unsettled: dict[ViolationKey, None] = {}
    heartbeats: dict[str, list[Span]] = {}
    made_up: dict[str, set[int]] | None = None
    seen: dict[str, str] = {}
    dirty_seen: dict[str, None] = {}
    changed_seen: dict[str, None] = {}
    expired: list[str] = []
    pending_tombstones: list[str] = []

    def known(self, key: bytes) -> Parcel | None:
        """What was counted under a key, unless it is too long ago; it must have been looked up."""
        parcel = self.parcels.get(key)
        return parcel if parcel is not None and parcel.event_time_ms >= self.known_since_ms else None

    @property
    def known_since_ms(self) -> int:
        """What was scanned before is not known any more."""
        return self.stream_time_ms - KNOWN_FOR_MS

    def put(self, key: bytes, parcel: Parcel) -> None:
        """Count what a scan says of a parcel in place of what was counted before, if anything."""
        before = self.known(key)
        if before is not None:
            self._count(before, -1)
            self._count_minute(before, -1)
            self.dirty_days[before.day] = None
            for violation in before.violations:
                self.violations[violation].drop(acceptance_name(key, before))
                self.dirty_violations[violation] = self.unsettled[violation] = None
        self.parcels.put(key, parcel)
        self.dirty_parcels[key] = parcel
        self._count(parcel, 1)
        self._count_minute(parcel, 1)
        self.dirty_days[parcel.day] = None
        for violation in parcel.violations:
            self.enter(violation, acceptance_name(key, parcel), ViolatingScan(*parcel[:2], parcel.day.enterprise_id, bool(parcel.features & MADE_UP)))

    def put_first(self, key: bytes, parcel: Parcel) -> bool:
        """Count what a scan says of a parcel unless an earlier scan said it; whether it is new."""
        known = self.known(key)
        if known is None or parcel[:2] < known[:2]:
            self.put(key, parcel)
        return known is None

    def _count(self, parcel: Parcel, sign: int) -> None:
        key = parcel.day, parcel.features
        self.uncounted[key] = self.uncounted.get(key, 0) + sign

    def _count_minute(self, parcel: Parcel, sign: int) -> None:
        minute = parcel.event_time_ms // MINUTE_MS
        if not parcel.features & NOT_ACCEPTED and minute > self.stream_time_ms // MINUTE_MS - HOUR_MINUTES:
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
        days, violations = list(self.dirty_days), list(self.dirty_violations)
        self.changed_days = days
        self.changed_violations.update(self.dirty_violations)
        self.dirty_days.clear()
        self.dirty_violations.clear()
        return days, violations

    def take_seen(self) -> dict[str, str]:
        """The outlets whose last date has changed since the last call; the next checkpoint saves them."""
        changed = {outlet_id: self.seen[outlet_id] for outlet_id in self.dirty_seen}
        self.changed_seen.update(self.dirty_seen)
        self.dirty_seen.clear()
        return changed

    def recount_minutes(self) -> None:
        """Count the minutes of the last hour again, from the parcels."""
        for parcel in self.parcels.since(self.stream_time_ms - HOUR_MINUTES * MINUTE_MS):
            self._count_minute(parcel, 1)
        self.dirty_minutes.clear()

    def enter(self, key: ViolationKey, name: str, violating_scan: ViolatingScan) -> None:
        """Enter a violating scan under a name that a repeat of it has, too; of repeats the earliest counts."""
        violating_scans = self.violations.get(key)
        if violating_scans is None:
            violating_scans = self.violations[key] = ViolatingScans()
        self.unsettled[key] = None
        if violating_scans.observe(name, violating_scan):
            self.dirty_violations[key] = None

    def flush(self) -> None:
        """Enter in the counts what a chunk has counted, and put away what it opened."""
        for (day, features), number in self.uncounted.items():
            self.counts.setdefault(day, Counts()).add(features, number)
        self.uncounted.clear()
        self.parcels.flush()
        for key in self.unsettled:
            self.violations[key].flush()
        self.unsettled.clear()

    def sweep(self, days: LocalDays) -> None:
        """Drop, every hour of stream time, the parcels that are not known any more and the days that nothing can change."""
        if self.stream_time_ms < self.sweep_ms:
            return
        self.sweep_ms = self.stream_time_ms + HOUR_MS
        horizon_ms = self.stream_time_ms - KNOWN_FOR_MS
        self.expired += [state_key("parcel", key.hex()) for key in self.parcels.drop(horizon_ms)]
        for day in [day for day in self.counts if day not in self.dirty_days and days.bounds_ms(day.date)[1] < horizon_ms]:
            del self.counts[day]
            self.minutes.pop(day, None)
            self.expired.append(state_key("day", *day))
        for outlet_id in [name for name, date in self.seen.items() if name not in self.dirty_seen and days.bounds_ms(date)[1] < horizon_ms]:
            del self.seen[outlet_id]
            self.changed_seen.pop(outlet_id, None)
            self.expired.append(state_key("seen", outlet_id))
        for key in [key for key in self.violations if key not in self.dirty_violations and days.bounds_ms(key.date)[1] < horizon_ms]:
            self.expired += [state_key("finding", *key), *(state_key("sightings", *key, str(page)) for page in self.violations.pop(key).pages())]


def acceptance_name(key: bytes, parcel: Parcel) -> str:
    """The name of one acceptance: a waybill that is accepted again after more than three days has another."""
    return f"{key.hex()}\x1f{parcel.event_time_ms}"


def new_scan_partition(next_offset: int = 0) -> ScanPartition:
    """An empty partition; msgspec gives each its own containers."""
    return ScanPartition(next_offset=next_offset)
