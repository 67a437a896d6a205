"""The judge of fixes. Pure: a partition's state and a chunk of records in, incident transitions and refused records out.

How a chunk is judged: decode it and refuse the impossible (``decoding``); give each vehicle its slot in the store; put off the timers that this chunk
postpones (``timers``); locate each fix in its set of zones; compile the rules for these instants (``compiled_rules``). A fix is **quiet** if it is
newer than all of its vehicle, has a new id, no rule can hold for it, no timer falls and nothing of its vehicle is open: it changes nothing but its
vehicle's newest fix (``quiet``). Quiet fixes are appended, a round at a time (``store``). All others, in offset order, take the slow path, which
alone defines what a fix means (``slow_path``). Full histories are compressed, and the vehicles that were checked out are checked in.

The outcome depends on the order of records in the partition and on nothing else: not on chunk borders, not on the clock. So a replay after
a crash repeats the same transitions with the same ids and revisions. With ``quiet=False`` every fix takes the slow path, and everything
comes out the same.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

import msgspec
import numpy as np

from streams.clock import END_MS
from streams.fix_batch import DEGREE, Chunk, PackedFixes, pack
from streams.policy.policy import Policies
from streams.registry.registry import Registry
from streams.rules import RULES
from streams.rules._predicates import Form
from streams.vehicles.compiled_rules import RuleCompiler
from streams.vehicles.decoding import DecodedChunk, decode_chunk
from streams.vehicles.empty_run import APART_MS, dates_of
from streams.vehicles.growable import as_bytes
from streams.vehicles.incidents import IncidentTracker, Transition
from streams.vehicles.insertion import LateInsertion
from streams.vehicles.latest import BEFORE_FIRST_MS
from streams.vehicles.lines import Lines, note_visits
from streams.vehicles.offence_sets import OffenceSets
from streams.vehicles.parking import Parking
from streams.vehicles.partition import FixPartition
from streams.vehicles.quiet import earlier_of_same, quiet_fixes, rounds
from streams.vehicles.slow_path import SlowPath, SuspectFix, most_kept
from streams.vehicles.store import LONGEST_ID
from streams.vehicles.strangers import forget, parts
from streams.vehicles.timers import Timers
from streams.wire.events import DUPLICATE, LATE, TOO_MANY, Record, Reject, refused

ACCEPTED = "accepted"
MOST_COMPILED = 100_000
"""So many compiled rules, and eight more for every vehicle, are kept before all are compiled anew: those of past hours are of no use."""


class ChunkResult(msgspec.Struct):
    """What a chunk came to: transitions in order, refused records, and the number of fixes by outcome.

    ``chunk``: the plausible fixes, accepted or not; ``forgotten``: the number of vehicles, by reason.
    """

    transitions: list[Transition]
    rejects: list[Reject]
    outcomes: Counter[str]
    chunk: Chunk | None = None
    forgotten: Counter[str] = msgspec.field(default_factory=Counter)


class Engine:
    """Judges fixes by a policy's versions and the registry; synthetic ones too unless ``refuses_synthetic``."""

    def __init__(
        self, policies: Policies, registry: Registry, identity_key: bytes, *, refuses_synthetic: bool = False, forgets: bool = False, quiet: bool = True
    ) -> None:
        self.quiet = quiet
        self.refuses_synthetic = refuses_synthetic
        self.forgets = forgets
        self.compiler = RuleCompiler(policies, registry)
        self.tracker = IncidentTracker(identity_key, self._policy_name, self.compiler.silences)
        self.offence_sets = OffenceSets()
        self.parking = Parking(policies)
        self.lines: Lines | None = None
        insertion = LateInsertion(self.compiler, self.tracker, self.offence_sets, self.parking)
        self.timers = Timers(self.compiler, self.tracker, insertion)
        self.slow_path = SlowPath(self.compiler, self.tracker, self.offence_sets, insertion, self.timers, self.parking)
        self.change(policies)

    @property
    def policies(self) -> Policies:
        """The policy's versions in force."""
        return self.compiler.policies

    def change(self, policies: Policies) -> None:
        """Take over a policy or registry as published."""
        self.compiler.change(policies)
        self.parking.change(policies)
        self.lines = None
        rules = [rule for policy in policies.versions for rule in policy.fix_rules]
        limits_ms = [rule.parameters.limit for rule in rules if getattr(RULES[rule.rule], "FORM", None) is Form.SILENCE]
        self.tracker.shortest_silence_ms = min(limits_ms, default=END_MS)

    def _policy_name(self, event_time_ms: int) -> str:
        return (self.policies.at(event_time_ms) or self.policies.newest).name

    def judge(self, partition: FixPartition, records: Sequence[Record]) -> ChunkResult:
        """Judge a chunk in offset order; records below the partition's ``next_offset`` were judged before."""
        if not (self.forgets and records):
            return self._judge_part(partition, records)
        results, forgotten = [], Counter[str]()
        for border, part in parts(records, partition.next_offset):
            if border:
                forgotten += forget(partition, self.compiler.registry, self.compiler.generation)
                partition.store.compact()
            results.append(self._judge_part(partition, part))
        return ChunkResult(
            [transition for result in results for transition in result.transitions],
            [reject for result in results for reject in result.rejects],
            sum((result.outcomes for result in results), Counter()),
            results[-1].chunk,
            forgotten,
        )

    def finish(self, partition: FixPartition) -> list[Transition]:
        """Nothing will follow any more: no late fix waits any longer."""
        waiting = [vehicle for vehicle in partition.vehicles.values() if vehicle.waiting]
        found = [transition for vehicle in waiting for transition in self.slow_path.insertion.catch_up(partition, vehicle)]
        self._flush(partition)
        return found

    def _judge_part(self, partition: FixPartition, records: Sequence[Record]) -> ChunkResult:
        transitions: list[Transition] = []
        self.timers.pass_time(partition, partition.stream_time_ms, transitions)
        if not records:
            self._flush(partition)
            return ChunkResult(transitions, [], Counter())
        decoded = decode_chunk(records, partition.next_offset, refuses_synthetic=self.refuses_synthetic)
        chunk, rejects = decoded.chunk, decoded.rejects
        partition.arrivals.note_all(chunk.arrived, chunk.stream_times)
        if chunk.fixes:
            self._judge_fixes(partition, decoded, transitions)
        self._flush(partition)
        partition.next_offset = max(partition.next_offset, records[-1].offset + 1)
        outcomes = Counter(reject.reason for reject in rejects)
        outcomes[ACCEPTED] = len(chunk.fixes) - outcomes[DUPLICATE] - outcomes[TOO_MANY] - outcomes[LATE]
        return ChunkResult(transitions, rejects, outcomes, chunk)

    def _judge_fixes(self, partition: FixPartition, decoded: DecodedChunk, transitions: list[Transition]) -> None:
        """Append the quiet fixes; the others take the slow path, one by one."""
        chunk, store = decoded.chunk, partition.store
        self._renew_compiled(partition)
        slots = partition.slots([fix.vehicle_id for fix in chunk.fixes])
        order = np.argsort(slots, kind="stable")
        self.timers.reschedule(partition, int(chunk.stream_times.max()))
        self._flush(partition)
        packed = pack(chunk, np.array([record.offset for record in decoded.records]), LONGEST_ID)
        zones, prefilter = self.policies.locate(chunk.times, chunk.lons, chunk.lats), self.compiler.prefilter(chunk)
        latest = store.latest_before(slots, order, packed)
        self._compile_for(partition, chunk, slots, latest)
        quiet = self._quiet(partition, chunk, packed, latest, zones, prefilter)
        if int(latest["kept"].max()) + len(slots) > most_kept(self.policies):
            quiet &= latest["kept"] + earlier_of_same(slots, order) < most_kept(self.policies)
        appended, in_rounds = rounds(slots, order, quiet)
        for chosen in in_rounds:
            full = store.append(slots[chosen], packed, chosen)
            if full:
                store.compress(full, self.policies.lateness_ms, self.offence_sets.drop_oldest)
        self._drive(partition, chunk, latest, appended)
        self.parking.add_steps(partition.fleet_days, chunk, latest, zones, appended)
        accepted = appended.copy()
        reached_ms = np.maximum.accumulate(np.where(appended, chunk.stream_times, partition.stream_time_ms)).tolist()
        for index, suspect in _suspects(chunk, packed, zones, prefilter, np.flatnonzero(~appended)):
            self.timers.pass_time(partition, reached_ms[index], transitions)
            slot, record = slots.item(index), decoded.records[index]
            reason = self.slow_path.judge(partition, store.vehicles[slot], suspect, transitions)
            accepted[index] = reason is None
            if reason is None:
                store.latest.data["seen"][slot] = record.offset
            else:
                decoded.rejects.append(refused(record, suspect.fix, reason))
        self._note_days(partition, chunk, slots, zones, accepted)
        self.timers.pass_time(partition, reached_ms[-1], transitions)

    def _quiet(
        self, partition: FixPartition, chunk: Chunk, packed: PackedFixes, latest: np.ndarray, zones: np.ndarray, prefilter: np.ndarray
    ) -> np.ndarray:
        """Which of n fixes are quiet; none, where the quick path is switched off."""
        if not self.quiet:
            return np.zeros(len(chunk.fixes), bool)
        shortest_ms = self.tracker.shortest_silence_ms
        return quiet_fixes(
            chunk, packed, latest, zones, prefilter, self.compiler, stream_time_ms=partition.stream_time_ms, shortest_silence_ms=shortest_ms
        )

    def _renew_compiled(self, partition: FixPartition) -> None:
        """Rules compiled for what has changed since count no more, nor do those of past hours, once they are too many."""
        if self.compiler.compiled_rules.count > MOST_COMPILED + 8 * len(partition.vehicles):
            self.compiler.change(self.policies)
        if partition.generation != self.compiler.generation:
            partition.generation, partition.store.latest.data["compiled"] = self.compiler.generation, 0

    def _compile_for(self, partition: FixPartition, chunk: Chunk, slots: np.ndarray, latest: np.ndarray) -> None:
        """Compile the rules of the vehicles of n fixes whose rules do not hold any more, so that their fixes can be quiet.

        Not of vehicles with episodes, whose fixes are not quiet anyway, nor of those that report for the first time.
        """
        store, compiled = partition.store, self.compiler.compiled_rules.data.take(latest["compiled"])
        outdated = (latest["time_ms"] > BEFORE_FIRST_MS) & (chunk.times > latest["time_ms"])
        outdated &= (chunk.times < compiled["from_ms"]) | (chunk.times >= compiled["until_ms"])
        if not outdated.any():
            return
        for slot, index in dict(zip(slots[outdated].tolist(), np.flatnonzero(outdated).tolist(), strict=True)).items():
            vehicle = store.vehicles[slot]
            if vehicle.episodes:
                continue
            fix = chunk.fixes[index]
            vehicle.compiled, subject = self.compiler.compiled(vehicle.vehicle_id, fix.event_time_ms)
            vehicle.subject = None
            store.latest.data["compiled"][slot] = vehicle.compiled.number
            store.latest.data["report"][slot] = 0 if vehicle.compiled.rule_set.offends(fix, subject) else chunk.reports[index]
        for name in ("compiled", "report"):
            latest[name] = store.latest.data[name][slots]

    def _drive(self, partition: FixPartition, chunk: Chunk, latest: np.ndarray, appended: np.ndarray) -> None:
        """Enter the legs that end with the appended ones of n fixes."""
        known = appended & (chunk.times - latest["time_ms"] <= APART_MS)
        if known.any():
            before = latest["lon"][known] / DEGREE, latest["lat"][known] / DEGREE
            after = chunk.lons[known], chunk.lats[known]
            partition.empty_run.add_legs(latest["load"][known], before, after, (latest["time_ms"][known], chunk.times[known]), self.policies.newest.days)

    def _note_days(self, partition: FixPartition, chunk: Chunk, slots: np.ndarray, zones: np.ndarray, accepted: np.ndarray) -> None:
        """Enter the local days of the accepted ones of n fixes, and those in zones of their vehicles' lines."""
        for date in dates_of(chunk.times[accepted], self.policies.newest.days):
            partition.fleet_days.of(date)
        if self.lines is None:
            self.lines = Lines(self.policies, self.compiler.registry)
        vehicle_ids, visits = self.lines.vehicle_ids, []
        for index in np.flatnonzero(accepted & self.lines.zone_sets.contain(zones)).tolist():
            fix = chunk.fixes[index]
            if fix.vehicle_id in vehicle_ids:
                vehicle = partition.store.vehicles[slots.item(index)]
                if vehicle.on_lines is None:
                    vehicle.on_lines = {}
                visits.append((vehicle.on_lines, index, fix))
        if visits:
            note_visits(self.lines, partition.fleet_days, zones, visits)

    def _flush(self, partition: FixPartition) -> None:
        """Bring the store up to date with the vehicles that were judged one by one."""
        generation = self.compiler.generation if self.compiler.generation == partition.generation else -1
        partition.store.flush(generation, self.policies.lateness_ms, self.offence_sets.drop_oldest)


def _suspects(chunk: Chunk, packed: PackedFixes, zones: np.ndarray, prefilter: np.ndarray, indices: np.ndarray) -> Iterator[tuple[int, SuspectFix]]:
    """The fixes of a chunk at these indices, for the slow path."""
    rows = as_bytes(packed.rows)
    for index in indices.tolist():
        fix = chunk.fixes[index]
        yield index, SuspectFix(
            fix=fix, id=packed.names[index], row=rows[index].tobytes(), exact=None if packed.fits[index] else (fix.lon, fix.lat, fix.speed_kmh),
            zones=zones.item(index), prefilter=prefilter.item(index), reports=chunk.reports.item(index), stream_time_ms=chunk.stream_times.item(index),
        )  # fmt: skip
