"""What stream time brings about of a vehicle without a fix of its own: open incidents close, silences become incidents, late fixes stop waiting."""

from __future__ import annotations

from heapq import heappop, heappush

from streams.clock import END_MS
from streams.vehicles.compiled_rules import RuleCompiler
from streams.vehicles.incidents import IncidentTracker, Transition, deadline_ms
from streams.vehicles.insertion import LateInsertion
from streams.vehicles.partition import FixPartition
from streams.vehicles.reported import last_report
from streams.vehicles.state import JudgedFix, VehicleState


class Timers:
    """Keeps a timer for each vehicle that has something to come (``FixPartition.timers``), at the earliest stream time (ms) of all of it.

    A timer falls once stream time is past it. Of a vehicle's timers only the one at its ``due_ms`` counts: the others are of before.
    """

    def __init__(self, compiler: RuleCompiler, tracker: IncidentTracker, insertion: LateInsertion) -> None:
        self.compiler = compiler
        self.tracker = tracker
        self.insertion = insertion

    def schedule(self, partition: FixPartition, vehicle: VehicleState) -> None:
        """Set a vehicle's timer, unless one falls earlier already."""
        history = partition.store.history(vehicle)
        deadlines = [deadline_ms(incident) for incident in vehicle.open.values()] if vehicle.open else []
        if vehicle.waiting is not None:
            deadlines.append(vehicle.waiting.until_ms)
        earliest_ms = history.ends() + self.tracker.shortest_silence_ms if history.ignition() else END_MS
        if vehicle.compiled is None and partition.stream_time_ms < earliest_ms < END_MS:
            deadlines.append(earliest_ms)  # just restored: what the rules say is looked up when it may matter
        elif earliest_ms < END_MS:
            silent = vehicle.episodes or {}
            silences = self.compiler.silences(vehicle.vehicle_id, history.ends(), vehicle.compiled)
            deadlines += [due_ms for offence, due_ms in silences if offence not in silent]
        deadline = min(deadlines, default=END_MS)
        if deadline < vehicle.due_ms:
            vehicle.due_ms = deadline
            heappush(partition.timers, (deadline, vehicle.vehicle_id))

    def reschedule(self, partition: FixPartition, reached_ms: int) -> None:
        """Put off the timers before a stream time whose vehicles have reported since they were set."""
        early = []
        while (vehicle := _pop_due(partition, reached_ms)) is not None:
            early.append(vehicle)
        for vehicle in early:
            self.schedule(partition, vehicle)
            partition.store.touched[partition.slot(vehicle)] = vehicle

    def pass_time(self, partition: FixPartition, stream_time_ms: int, transitions: list[Transition]) -> None:
        """Stream time has come so far: append what follows."""
        partition.stream_time_ms = max(partition.stream_time_ms, stream_time_ms)
        while (vehicle := _pop_due(partition, partition.stream_time_ms)) is not None:
            transitions.extend(self._fall(partition, vehicle))

    def _fall(self, partition: FixPartition, vehicle: VehicleState) -> list[Transition]:
        """A vehicle's timer falls."""
        stream_time_ms, transitions = partition.stream_time_ms, list[Transition]()
        if vehicle.waiting is not None and vehicle.waiting.until_ms < stream_time_ms:
            transitions += self.insertion.catch_up(partition, vehicle)
        history = partition.store.check_out(vehicle)
        transitions += self.tracker.close_due(vehicle, stream_time_ms)
        if history.ignition() and stream_time_ms - history.ends() > self.tracker.shortest_silence_ms:
            newest = history.newest()
            offences = self.insertion.offence_sets[newest.offence_set]
            last = JudgedFix(*newest[:6], offences, last_report(vehicle.reported))
            transitions += self.tracker.fall_silent(vehicle, last, stream_time_ms)
        if transitions:
            partition.touch(vehicle)
        self.schedule(partition, vehicle)
        partition.store.touched[partition.slot(vehicle)] = vehicle
        return transitions


def _pop_due(partition: FixPartition, before_ms: int) -> VehicleState | None:
    """Take out the earliest timer that counts and is before a stream time; its vehicle."""
    timers = partition.timers
    while timers and timers[0][0] < before_ms:
        deadline, vehicle_id = heappop(timers)
        vehicle = partition.vehicles.get(vehicle_id)
        if vehicle is not None and vehicle.due_ms == deadline:
            vehicle.due_ms = END_MS
            return vehicle
    return None
