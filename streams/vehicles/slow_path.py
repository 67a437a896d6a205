"""What a fix means. Alone decides that: the quick path (``streams.vehicles.quiet``) only leaves out what would change nothing here.

A fix is refused as a duplicate, as one too many or as late, or is accepted; then stream time passes, the vehicle's rules are asked, and the
fix becomes the newest of its vehicle or, if it comes late, is put in its place (``streams.vehicles.insertion``).
"""

from __future__ import annotations

from typing import NamedTuple

from streams.fix_batch import DEGREE, PLACE, SIZE, StoredFix, with_offences
from streams.policy.policy import Policies
from streams.vehicles.compiled_rules import Offence, RuleCompiler, RuleSet, offences_by_itself, pair_offences
from streams.vehicles.history import FixHistory
from streams.vehicles.incidents import IncidentTracker, Transition
from streams.vehicles.insertion import LateInsertion
from streams.vehicles.late import FEW, Late
from streams.vehicles.offence_sets import OffenceSets
from streams.vehicles.parking import Parking
from streams.vehicles.partition import FixPartition
from streams.vehicles.reported import NOTHING, Report, last_report
from streams.vehicles.reported import append as append_report
from streams.vehicles.state import JudgedFix, VehicleState
from streams.vehicles.timers import Timers
from streams.wire.events import DUPLICATE, LATE, LOADS, TOO_MANY, Fix

MOST_A_SECOND = 10.0
"""So many fixes a vehicle are accepted for every second of the lateness (semantics 2.6)."""


class SuspectFix(NamedTuple):
    """A fix that is not quiet: itself, and what its chunk says of it.

    ``id``, ``row``: as they are stored; ``exact``: position and speed, if the row does not say them exactly; ``zones``: the number of its set of zones;
    ``prefilter``: the bits of the predicates that can hold for it; ``reports``: the hash of plate and driver (``Chunk.reports``); ``stream_time_ms``: how far
    it carries stream time.
    """

    fix: Fix
    id: bytes
    row: bytes
    exact: tuple[float, float, float | None] | None
    zones: int
    prefilter: int
    reports: int
    stream_time_ms: int

    @property
    def key(self) -> tuple[int, str]:
        """Event time (ms) and id."""
        return self.fix.event_time_ms, self.fix.event_id


class SlowPath:
    """Judges one fix at a time."""

    def __init__(self, compiler: RuleCompiler, tracker: IncidentTracker, offence_sets: OffenceSets, insertion: LateInsertion, timers: Timers, parking: Parking) -> None:
        self.compiler = compiler
        self.tracker = tracker
        self.offence_sets = offence_sets
        self.insertion = insertion
        self.timers = timers
        self.parking = parking

    def judge(self, partition: FixPartition, vehicle: VehicleState, suspect: SuspectFix, transitions: list[Transition]) -> str | None:
        """Accept a fix and append the transitions that follow; or the reason for which it is refused."""
        reason = self._refusal(partition, vehicle, suspect)
        if reason is not None:
            return reason
        latest, fix = partition.store.latest.data, suspect.fix
        latest["kept"][vehicle.slot] += 1
        self.timers.pass_time(partition, suspect.stream_time_ms, transitions)
        history = partition.store.check_out(vehicle)
        partition.touch(vehicle)
        rule_set = self._rules(partition, vehicle, suspect)
        offences = self._offences(vehicle, rule_set, suspect)
        if not history.rows or suspect.key > (history.ends(), history.last_id()):
            found = self._append(partition, vehicle, history, suspect, rule_set, offences)
        else:
            found = self.insertion.add(partition, vehicle, self._late(suspect, offences), self._fresh(partition, vehicle, history))
        transitions.extend(found)
        may_fall_silent = rule_set.silences and fix.ignition and vehicle.due_ms > fix.event_time_ms + self.tracker.shortest_silence_ms
        waits = vehicle.waiting is not None and vehicle.due_ms > vehicle.waiting.until_ms
        if found or may_fall_silent or waits:
            self.timers.schedule(partition, vehicle)
            self.timers.pass_time(partition, partition.stream_time_ms, transitions)
        partition.store.touched[vehicle.slot] = vehicle
        return None

    def _refusal(self, partition: FixPartition, vehicle: VehicleState, suspect: SuspectFix) -> str | None:
        """Why a fix is refused, if it is (semantics 2)."""
        history, waiting = partition.store.history(vehicle), vehicle.waiting
        event_time_ms, high_water_ms, lateness_ms = suspect.fix.event_time_ms, history.ends(), self.compiler.policies.lateness_ms
        is_late = event_time_ms < high_water_ms - lateness_ms
        if not is_late and event_time_ms <= high_water_ms:
            waits = waiting is not None and suspect.key in waiting.fixes
            if waits or history.has(event_time_ms, suspect.id):
                return DUPLICATE
        kept, most = partition.store.latest.data["kept"].item(vehicle.slot), most_kept(self.compiler.policies)
        if kept >= most:
            border_ms = max(high_water_ms, event_time_ms) - lateness_ms
            older = history.older_than(border_ms) + (waiting.older_than(border_ms) if waiting is not None else 0)
            if kept - older >= most:
                return TOO_MANY
        return LATE if is_late else None

    def _rules(self, partition: FixPartition, vehicle: VehicleState, suspect: SuspectFix) -> RuleSet:
        """The rules that apply to a vehicle at its fix. Notes whether what the fix reports of plate and driver can offend."""
        event_time_ms, reports = suspect.fix.event_time_ms, partition.store.latest.data["report"]
        known_report = reports.item(vehicle.slot)
        compiled = vehicle.compiled
        if compiled is None or not compiled.holds_at(event_time_ms, self.compiler.generation):
            compiled, vehicle.subject = self.compiler.compiled(vehicle.vehicle_id, event_time_ms)
            vehicle.compiled, known_report = compiled, 0
        if vehicle.subject is None:
            vehicle.subject = self.compiler.registry.subject(vehicle.vehicle_id, event_time_ms)
        if known_report != suspect.reports:
            reports[vehicle.slot] = 0 if compiled.rule_set.offends(suspect.fix, vehicle.subject) else suspect.reports
        return compiled.rule_set

    def _offences(self, vehicle: VehicleState, rule_set: RuleSet, suspect: SuspectFix) -> tuple[Offence, ...]:
        """The offences that a fix commits by itself."""
        zone_rules = self.compiler.zone_rules(rule_set, suspect.zones)
        if not zone_rules.asked:
            return zone_rules.always
        return offences_by_itself(zone_rules, suspect.fix, self.compiler.policies.zones(suspect.zones), vehicle.subject, suspect.prefilter)

    def _append(
        self, partition: FixPartition, vehicle: VehicleState, history: FixHistory, suspect: SuspectFix, rule_set: RuleSet, offences: tuple[Offence, ...]
    ) -> list[Transition]:
        """Keep a fix that is newer than all of its vehicle; what follows."""
        fix = suspect.fix
        if rule_set.pairs and history.rows and _moved_deg(history, fix) > rule_set.reach_deg - 1e-6:
            offences += pair_offences(rule_set, history.newest(), _stored(fix))
        before, stored = history.newest() if history.rows else None, _stored(fix)
        if before is not None:
            partition.empty_run.add_leg(before, stored, self.compiler.policies.newest.days)
        self.parking.add_step(partition.fleet_days, before, stored, number=suspect.zones)
        history.append(suspect.row, suspect.id)
        if (report := _report(fix)) != last_report(vehicle.reported):
            vehicle.reported = append_report(vehicle.reported, *suspect.key, report, history.oldest_ms())
        if suspect.exact is not None:
            history.keep_exact(*suspect.key, suspect.exact)
        if offences:
            number = self.offence_sets.number(offences)
            vehicle.count_offences(number, 1)
            history.set_offences(number)
        return self.tracker.apply_in_order(vehicle, _judged(fix, offences)) if offences or vehicle.episodes else []

    def _fresh(self, partition: FixPartition, vehicle: VehicleState, history: FixHistory) -> int:
        """How many fixes of a vehicle within the lateness were there before the one that is judged; 0 where ``FEW`` are kept at all."""
        kept = partition.store.latest.data["kept"].item(vehicle.slot) - 1
        return kept - history.older_than(history.ends() - self.compiler.policies.lateness_ms) if kept > FEW else 0

    def _late(self, suspect: SuspectFix, offences: tuple[Offence, ...]) -> Late:
        """A late fix, to be inserted."""
        number, row = self.offence_sets.number(offences), suspect.row
        return Late(_stored(suspect.fix, number), row[:-2] + with_offences(row, -1, number), suspect.exact, _report(suspect.fix))


def most_kept(policies: Policies) -> int:
    """So many fixes of a vehicle within the lateness are accepted, and no more."""
    return max(1, int(policies.lateness_ms * MOST_A_SECOND / 1000))


def _moved_deg(history: FixHistory, fix: Fix) -> float:
    """How far a fix is from the newest of its vehicle, in degrees of longitude and latitude together."""
    _, lon, lat = PLACE.unpack_from(history.rows, len(history.rows) - SIZE)
    return float(abs(fix.lon - lon / DEGREE) + abs(fix.lat - lat / DEGREE))


def _judged(fix: Fix, offences: tuple[Offence, ...]) -> JudgedFix:
    return JudgedFix(fix.event_time_ms, fix.event_id, fix.lon, fix.lat, fix.speed_kmh, fix.ignition is True, offences, _report(fix))


def _report(fix: Fix) -> Report:
    return Report(fix.plate or None, fix.synthetic, fix.driver_id or None) if fix.plate or fix.synthetic or fix.driver_id else NOTHING


def _stored(fix: Fix, offence_set: int = 0) -> StoredFix:
    return StoredFix(fix.event_time_ms, fix.event_id, fix.lon, fix.lat, fix.speed_kmh, fix.ignition is True, offence_set, LOADS[fix.load])
