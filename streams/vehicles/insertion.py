"""Puts late fixes in their places among a vehicle's earlier ones, and says what follows from that."""

from __future__ import annotations

from streams.rules._predicates import Form
from streams.vehicles.compiled_rules import CompiledRules, Offence, RuleCompiler, pair_offences
from streams.vehicles.incidents import IncidentTracker, Transition
from streams.vehicles.late import FEW, Late, Opened, Waiting, longest_wait_ms
from streams.vehicles.offence_sets import OffenceSets
from streams.vehicles.parking import Parking
from streams.vehicles.partition import FixPartition
from streams.vehicles.reported import insert as insert_report
from streams.vehicles.state import VehicleState


class LateInsertion:
    """Inserts late fixes: at once where a vehicle has few fixes, else many together (``streams.vehicles.late``)."""

    def __init__(self, compiler: RuleCompiler, tracker: IncidentTracker, offence_sets: OffenceSets, parking: Parking) -> None:
        self.compiler = compiler
        self.tracker = tracker
        self.offence_sets = offence_sets
        self.parking = parking

    def add(self, partition: FixPartition, vehicle: VehicleState, late: Late, fresh: int) -> list[Transition]:
        """Insert a late fix, or let it wait for others, of a vehicle that has ``fresh`` fixes within the lateness; what follows."""
        if vehicle.waiting is None:
            if fresh <= FEW:
                return self.insert(partition, vehicle, [late])
            vehicle.waiting = Waiting(partition.stream_time_ms + longest_wait_ms(fresh), {})
        vehicle.waiting.fixes[late.key] = late
        return self.catch_up(partition, vehicle) if vehicle.waiting.is_over(fresh) else []

    def catch_up(self, partition: FixPartition, vehicle: VehicleState) -> list[Transition]:
        """Insert the late fixes that wait; what follows."""
        if vehicle.waiting is None:
            return []
        partition.store.touched[partition.slot(vehicle)] = vehicle  # a vehicle that gets its slot here is counted with what waits
        fixes, vehicle.waiting = sorted(vehicle.waiting.fixes.values(), key=lambda late: late.key), None
        return self.insert(partition, vehicle, fixes)

    def insert(self, partition: FixPartition, vehicle: VehicleState, fixes: list[Late]) -> list[Transition]:
        """Insert late fixes, oldest first; what follows."""
        history = partition.store.check_out(vehicle)
        partition.touch(vehicle)
        opened = Opened(history, fixes[0].fix.event_time_ms)
        relevant = [self._insert_one(partition, vehicle, opened, late) for late in fixes]
        opened.close()
        transitions = []
        if any(relevant) or vehicle.episodes or vehicle.carried_over or vehicle.incidents:
            transitions = self.tracker.rebuild(vehicle, self.offence_sets.judged(vehicle, history), partition.stream_time_ms)
        if history.opened() > FEW:
            partition.store.compress([vehicle.slot], self.compiler.policies.lateness_ms, self.offence_sets.drop_oldest)
        return transitions

    def _insert_one(self, partition: FixPartition, vehicle: VehicleState, opened: Opened, late: Late) -> bool:
        """Insert a late fix; whether any incident can change by that."""
        fix = late.fix
        index, offences = opened.place(*late.key), self.offence_sets[fix.offence_set]
        compiled = self.compiler.at(vehicle.vehicle_id, fix.event_time_ms, vehicle.compiled)
        if compiled.rule_set.pairs and index:
            offences += pair_offences(compiled.rule_set, opened.at(index - 1), fix)
        opened.insert(index, late)
        after = opened.at(index + 1)
        vehicle.reported = insert_report(vehicle.reported, *late.key, late.report, (after.event_time_ms, after.event_id), opened.oldest_ms())
        self._divide_leg(partition, opened, index)
        if offences:
            self._commit(vehicle, opened, index, offences)
        next_changed = self._judge_next_again(vehicle, opened, index, compiled)
        ends_silence = fix.ignition and after.event_time_ms - fix.event_time_ms > self.tracker.shortest_silence_ms
        return bool(offences) or next_changed or ends_silence

    def _judge_next_again(self, vehicle: VehicleState, opened: Opened, index: int, compiled: CompiledRules) -> bool:
        """The fix after an inserted one has another fix before it now; whether its offences change by that."""
        fix, after = opened.at(index), opened.at(index + 1)
        known = self.offence_sets[after.offence_set]
        rule_set = self.compiler.at(vehicle.vehicle_id, after.event_time_ms, compiled).rule_set
        if not rule_set.pairs and all(offence.form is not Form.PAIR for offence in known):
            return False
        offences = tuple(offence for offence in known if offence.form is not Form.PAIR) + pair_offences(rule_set, fix, after)
        if offences == known:
            return False
        vehicle.count_offences(after.offence_set, -1)
        self._commit(vehicle, opened, index + 1, offences)
        return True

    def _commit(self, vehicle: VehicleState, opened: Opened, index: int, offences: tuple[Offence, ...]) -> None:
        """The fix at an index commits these offences."""
        number = self.offence_sets.number(offences)
        vehicle.count_offences(number, 1)
        opened.set_offences(index, number)

    def _divide_leg(self, partition: FixPartition, opened: Opened, index: int) -> None:
        """An inserted fix divides what lies between its neighbours."""
        days, fix, after = self.compiler.policies.newest.days, opened.at(index), opened.at(index + 1)
        partition.empty_run.add_leg(fix, after, days)
        before = opened.at(index - 1) if index else None
        self.parking.add_step(partition.fleet_days, before, fix)
        self.parking.add_step(partition.fleet_days, fix, after)
        self.parking.add_step(partition.fleet_days, before, after, -1)
        if before is not None:
            partition.empty_run.add_leg(before, fix, days)
            partition.empty_run.add_leg(before, after, days, -1)
