"""The judge of fixes. Pure: a partition's state and a chunk of records in, incident transitions and rejects out.

The outcome depends on the order of records in the partition and on nothing else: not on chunk borders, not on the clock.
So a replay after a crash repeats the same transitions with the same ids and revisions.
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from heapq import heappop, heappush
from typing import NamedTuple

import msgspec
import numpy as np

from streams.clock import END_MS
from streams.decode import FIXES, malformed
from streams.events import DUPLICATE, LATE, LOADS, SYNTHETIC, TOO_MANY, Fix, Record, Reject, refuse_fix, refused
from streams.fix_batch import DEGREE, PLACE, SETS, SIZE, Chunk, PackedFixes, StoredFix, pack, with_offences
from streams.geo import to_wgs84
from streams.policy.policy import Policies
from streams.registry.registry import Registry
from streams.rules import RULES
from streams.rules._predicates import Form
from streams.vehicles.compiled_rules import Offence, RuleCompiler, ask, pair_offences
from streams.vehicles.empty_run import APART_MS
from streams.vehicles.growable import as_bytes
from streams.vehicles.history import FixHistory
from streams.vehicles.incidents import IncidentTracker, Transition, deadline_ms, drop_old
from streams.vehicles.late import FEW, Late, Opened, Waiting
from streams.vehicles.partition import FixPartition
from streams.vehicles.quiet import earlier_of_same, implausible, rounds
from streams.vehicles.reported import NOTHING, Report, along, last_report
from streams.vehicles.reported import append as append_report
from streams.vehicles.reported import insert as insert_report
from streams.vehicles.state import JudgedFix, VehicleState, new_vehicle_state
from streams.vehicles.store import FROM_ROW, LONGEST_ID
from streams.vehicles.strangers import forget, parts

ACCEPTED = "accepted"
MOST_A_SECOND = 10.0
"""So many fixes a vehicle are accepted for every second of the lateness (semantics 2.6)."""
MOST_COMPILED = 100_000
"""So many plans, and eight more for every vehicle, are kept before all are made anew: those of past hours are of no use."""
NOWHERE = (-(2**62), 0, 0)
"""Time and place of the fix before the first."""


class SuspectFix(NamedTuple):
    """A fix that needs a closer look: its id and row as they are kept, and whether the row says it exactly.

    Then the number of its set of zones, the bits of the predicates that can hold for it, what it reports (``Chunk.reports``),
    and how far it carries stream time.
    """

    fix: Fix
    name: bytes
    row: bytes
    fits: bool
    zones: int
    possible: int
    reports: int
    stream_time_ms: int


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
    """Judges fixes by a policy's versions and the registry; synthetic ones too unless ``refuses_synthetic``.

    A fix is quiet if it is newer than all of its vehicle, has a new id, no rule can hold for it, no timer falls and nothing of its vehicle is
    open: it changes nothing but its vehicle's newest fix, and quiet fixes are appended many at a time. All others take the slow path, in
    offset order (``_look``), which alone defines what a fix means. With ``quiet=False`` all do, and everything comes out the same.
    """

    def __init__(
        self, policies: Policies, registry: Registry, identity_key: bytes, *, refuses_synthetic: bool = False, forgets: bool = False, quiet: bool = True
    ) -> None:
        self.quiet = quiet
        self.refuses_synthetic = refuses_synthetic
        self.forgets = forgets
        self.compiler = RuleCompiler(policies, registry)
        self.tracker = IncidentTracker(identity_key, self._policy_name, self.compiler.silences)
        self.sets: list[tuple[Offence, ...]] = [()]
        self._set_numbers: dict[tuple[Offence, ...], int] = {(): 0}
        self.change(policies)

    @property
    def policies(self) -> Policies:
        """The policy's versions in force."""
        return self.compiler.policies

    def change(self, policies: Policies) -> None:
        """Take over a policy or registry as published."""
        self.compiler.change(policies)
        rules = [rule for policy in policies.versions for rule in policy.fix_rules]
        limits_ms = [rule.parameters.limit for rule in rules if getattr(RULES[rule.rule], "FORM", None) is Form.SILENCE]
        self.tracker.shortest_silence_ms = min(limits_ms, default=END_MS)

    @property
    def most_kept(self) -> int:
        """So many fixes of a vehicle within the lateness are accepted, and no more."""
        return max(1, int(self.policies.lateness_ms * MOST_A_SECOND / 1000))

    def _policy_name(self, event_time_ms: int) -> str:
        return (self.policies.at(event_time_ms) or self.policies.newest).name

    def judge(self, partition: FixPartition, records: Sequence[Record]) -> ChunkResult:
        """Judge a chunk in offset order; records below the partition's ``next_offset`` were judged before."""
        if not (self.forgets and records):
            return self._judge_part(partition, records)
        verdicts, forgotten = [], Counter[str]()
        for border, part in parts(records, partition.next_offset):
            if border:
                forgotten += forget(partition, self.compiler.registry, self.compiler.generation)
                partition.store.compact()
            verdicts.append(self._judge_part(partition, part))
        verdict = verdicts[-1]
        if len(verdicts) > 1:
            verdict.transitions = [transition for each in verdicts for transition in each.transitions]
            verdict.rejects = [reject for each in verdicts for reject in each.rejects]
            verdict.outcomes = sum((each.outcomes for each in verdicts), Counter())
        verdict.forgotten = forgotten
        return verdict

    def _judge_part(self, partition: FixPartition, records: Sequence[Record]) -> ChunkResult:
        transitions: list[Transition] = []
        rejects: list[Reject] = []
        self._pass_time(partition, partition.stream_time_ms, transitions)
        if not records:
            self._settle(partition)
            return ChunkResult(transitions, rejects, Counter())
        taken, chunk = self._decode(records, partition.next_offset, rejects)
        partition.arrivals.note_all(chunk.arrived, chunk.stream_times)
        if taken:
            self._take(partition, taken, chunk, transitions, rejects)
        self._settle(partition)
        partition.next_offset = max(partition.next_offset, records[-1].offset + 1)
        outcomes = Counter(reject.reason for reject in rejects)
        outcomes[ACCEPTED] = len(taken) - outcomes[DUPLICATE] - outcomes[TOO_MANY] - outcomes[LATE]
        return ChunkResult(transitions, rejects, outcomes, chunk)

    def _decode(self, records: Sequence[Record], from_offset: int, rejects: list[Reject]) -> tuple[list[Record], Chunk]:
        """The well-formed, plausible fixes of a chunk, in WGS-84, and the records they came in."""
        taken = list(records) if records[0].offset >= from_offset else [record for record in records if record.offset >= from_offset]
        fixes, wrong = FIXES.read([record.value for record in taken])
        if wrong:
            rejects.extend(malformed(taken[i], error) for i, error in wrong.items())
            taken = [record for i, record in enumerate(taken) if i not in wrong]
        chunk = Chunk(fixes, [record.arrived_ms for record in taken])
        if odd := implausible(chunk, taken, refuses_synthetic=self.refuses_synthetic):
            reasons = {i: reason for i in odd if (reason := self._refuse(fixes[i], taken[i].timestamp))}
            rejects.extend(refused(taken[i], fixes[i], reason) for i, reason in reasons.items())
            taken = [record for i, record in enumerate(taken) if i not in reasons]
            chunk = Chunk([fix for i, fix in enumerate(fixes) if i not in reasons], [record.arrived_ms for record in taken])
        for i, fix in enumerate(chunk.fixes):
            if fix.coord_sys != "wgs84":
                lon, lat = to_wgs84(fix.lon, fix.lat, fix.coord_sys)
                fix.lon, fix.lat = chunk.lons[i], chunk.lats[i] = round(lon, 7), round(lat, 7)  # 1 cm
        return taken, chunk

    def _refuse(self, fix: Fix, arrived_ms: int | None) -> str | None:
        return SYNTHETIC if fix.synthetic and self.refuses_synthetic else refuse_fix(fix, arrived_ms)

    def _take(
        self, partition: FixPartition, records: list[Record], chunk: Chunk, transitions: list[Transition], rejects: list[Reject]
    ) -> None:
        """Accept or refuse each fix and judge it: most change nothing but what is newest of their vehicle, the others are looked at one by one.

        A vehicle's fixes of a chunk from the first on that needs a closer look all get it, so nothing overtakes it.
        """
        store = partition.store
        if self.compiler.compiled_rules.count > MOST_COMPILED + 8 * len(partition.vehicles):
            self.compiler.change(self.policies)
        if partition.generation != self.compiler.generation:
            partition.generation, store.latest.data["compiled"] = self.compiler.generation, 0
        numbers = self._numbers(partition, [fix.vehicle_id for fix in chunk.fixes])
        order = np.argsort(numbers, kind="stable")
        self._put_off(partition, int(chunk.stream_times.max()))
        self._settle(partition)
        packed = pack(chunk, np.array([record.offset for record in records]), LONGEST_ID)
        zones, possible = self.policies.locate(chunk.times, chunk.lons, chunk.lats), self.compiler.possible(chunk)
        latest = self._latest(partition, numbers, order, packed)
        self._compile_for(partition, chunk, numbers, latest)
        plain = self._plain(partition, chunk, latest, packed, zones, possible) if self.quiet else np.zeros(len(numbers), bool)
        if int(latest["kept"].max()) + len(numbers) > self.most_kept:
            plain &= latest["kept"] + earlier_of_same(numbers, order) < self.most_kept
        for chosen in rounds(numbers, order, plain):
            full = store.append(numbers[chosen], packed, chosen)
            if full:
                store.seal(full, self.policies.lateness_ms, self._forget)
        self._drive(partition, chunk, latest, plain)
        reached_ms = np.maximum.accumulate(np.where(plain, chunk.stream_times, partition.stream_time_ms)).tolist()
        touched = np.flatnonzero(~plain)
        indices = touched.tolist()
        candidates = itertools.starmap(SuspectFix, zip(
            [chunk.fixes[index] for index in indices], [packed.names[index] for index in indices], as_bytes(packed.rows)[touched].tolist(),
            packed.fits[touched].tolist(), zones[touched].tolist(), possible[touched].tolist(),
            chunk.reports[touched].tolist(), chunk.stream_times[touched].tolist(), strict=True,
        ))  # fmt: skip
        for index, number, candidate in zip(indices, numbers[touched].tolist(), candidates, strict=True):
            self._pass_time(partition, reached_ms[index], transitions)
            reason = self._look(partition, store.vehicles[number], candidate, transitions)
            if reason is None:
                store.latest.data["seen"][number] = records[index].offset
            else:
                rejects.append(refused(records[index], candidate.fix, reason))
        self._pass_time(partition, reached_ms[-1], transitions)

    @staticmethod
    def _numbers(partition: FixPartition, vehicle_ids: list[str]) -> np.ndarray:
        """The numbers of the vehicles of n fixes in the columns; those that report for the first time are entered."""
        vehicles, store = partition.vehicles, partition.store
        numbers = store.numbers.find(vehicle_ids)
        for vehicle in store.come_back(numbers[numbers >= 0]):
            vehicles[vehicle.vehicle_id] = vehicle
            partition.strangers.ids[vehicle.vehicle_id] = None
        if numbers.min() >= 0:
            return numbers
        new = dict.fromkeys(vehicle_ids[index] for index in np.flatnonzero(numbers < 0).tolist())
        for vehicle_id in [name.encode().decode() for name in new]:  # copies: kept for long, they would lie between what is soon dropped
            if vehicle_id not in vehicles:
                vehicles[vehicle_id] = new_vehicle_state(vehicle_id)
                partition.strangers.ids[vehicle_id] = None
        entered = [vehicles[vehicle_id] for vehicle_id in new]
        store.enter(entered)
        store.touched.update((vehicle.number, vehicle) for vehicle in entered if vehicle.recent is not None and vehicle.recent.rows)  # just restored
        return store.numbers.find(vehicle_ids)

    def _compile_for(self, partition: FixPartition, chunk: Chunk, numbers: np.ndarray, latest: np.ndarray) -> None:
        """Make plans for the vehicles of n fixes that have none for their newest, so that these need no closer look for that alone.

        Not for those with runs, which are looked at anyway, nor for those that report for the first time.
        """
        store, compiled_rules = partition.store, self.compiler.compiled_rules.data.take(latest["compiled"])
        void = (latest["time_ms"] > NOWHERE[0]) & (chunk.times > latest["time_ms"])
        void &= (chunk.times < compiled_rules["from_ms"]) | (chunk.times >= compiled_rules["until_ms"])
        if not void.any():
            return
        for number, index in dict(zip(numbers[void].tolist(), np.flatnonzero(void).tolist(), strict=True)).items():
            vehicle = store.vehicles[number]
            if vehicle.episodes:
                continue
            fix = chunk.fixes[index]
            vehicle.compiled, subject = self.compiler.compiled(vehicle.vehicle_id, fix.event_time_ms)
            vehicle.subject = None
            store.latest.data["compiled"][number] = vehicle.compiled.number
            store.latest.data["report"][number] = 0 if vehicle.compiled.rule_set.offends(fix, subject) else chunk.reports[index]
        for name in ("compiled", "report"):
            latest[name] = store.latest.data[name][numbers]

    def _plain(
        self, partition: FixPartition, chunk: Chunk, latest: np.ndarray, packed: PackedFixes, zones: np.ndarray, possible: np.ndarray
    ) -> np.ndarray:
        """Which of n fixes are newer than all before them, of vehicles with nothing open, and can neither offend nor make anything due."""
        compiler, times = self.compiler, chunk.times
        compiled_rules = compiler.compiled_rules.data.take(latest["compiled"])
        rule_set = compiler.rule_set.data.take(compiled_rules["rule_set"])
        reached_ms = np.maximum.accumulate(np.maximum(chunk.stream_times, partition.stream_time_ms))
        plain: np.ndarray = packed.fits & packed.short & (times > latest["time_ms"]) & (compiled_rules["from_ms"] <= times) & (times < compiled_rules["until_ms"])
        asks = compiler.asks(compiled_rules["rule_set"], zones)
        possible = np.where(latest["report"] == chunk.reports, possible & ~compiler.told(), possible)
        plain &= (asks >= 0) & (asks & possible == 0) & (latest["due_ms"] >= reached_ms)
        moved_deg = np.abs(chunk.lons - latest["lon"] / DEGREE) + np.abs(chunk.lats - latest["lat"] / DEGREE)
        plain &= latest["reported"] == chunk.reported
        plain &= moved_deg <= rule_set["reach_deg"] - 1e-6
        plain &= ~(latest["out"] & (latest["load"] > 0))  # where it was may not be known exactly here, and how far it drove shall be
        plain &= ~(rule_set["watches"] & chunk.ignition & (latest["due_ms"] > times + self.tracker.shortest_silence_ms))
        return plain

    @staticmethod
    def _latest(partition: FixPartition, numbers: np.ndarray, order: np.ndarray, packed: PackedFixes) -> np.ndarray:
        """What is known of the vehicles of n fixes (``LATEST``) before each: of several of a vehicle each follows the one before."""
        latest: np.ndarray = partition.store.latest.data.take(numbers)
        mine = numbers[order]
        again = np.flatnonzero(mine[1:] == mine[:-1])
        if again.size:
            for name, field in FROM_ROW:
                latest[name][order[again + 1]] = packed.rows[field][order[again]]
            latest["load"][order[again + 1]] = packed.loads[order[again]]
            latest["reported"][order[again + 1]] = packed.reported[order[again]]
        return latest

    def _drive(self, partition: FixPartition, chunk: Chunk, latest: np.ndarray, plain: np.ndarray) -> None:
        """Enter how far the vehicles of the plain ones of n fixes drove with a load that is known."""
        known = plain & (latest["load"] > 0) & (chunk.times - latest["time_ms"] <= APART_MS)
        if known.any():
            before = latest["lon"][known] / DEGREE, latest["lat"][known] / DEGREE
            after = chunk.lons[known], chunk.lats[known]
            partition.empty_run.stretches(latest["load"][known], before, after, chunk.times[known], self.policies.newest.days)

    def _forget(self, vehicle: VehicleState, old: Iterable[StoredFix]) -> None:
        """Forget the oldest fixes of a vehicle that may have offended with them."""
        fixes = list(old)
        for offence_set, count in Counter([kept.offence_set for kept in fixes]).items():
            vehicle.count_offences(offence_set, -count)
        drop_old(vehicle, self._judged(vehicle, fixes))

    def _pass_time(self, partition: FixPartition, stream_time_ms: int, transitions: list[Transition]) -> None:
        """Stream time has come so far."""
        partition.stream_time_ms = max(partition.stream_time_ms, stream_time_ms)
        if partition.due and partition.due[0][0] < partition.stream_time_ms:
            self._close_due(partition, transitions)

    def _look(self, partition: FixPartition, vehicle: VehicleState, candidate: SuspectFix, transitions: list[Transition]) -> str | None:
        """Accept one fix and judge it; the reason if it is refused."""
        store, lateness_ms = partition.store, self.policies.lateness_ms
        fix, name, row, fits, zones, possible, reports, stream_time_ms = candidate
        recent = store.recent(vehicle)
        rows = recent.rows
        high_water_ms, lon_before, lat_before = PLACE.unpack_from(rows, len(rows) - SIZE) if rows else NOWHERE
        event_time_ms, event_id = fix.event_time_ms, fix.event_id
        late = event_time_ms < high_water_ms - lateness_ms
        waiting = vehicle.waiting
        known = waiting is not None and (event_time_ms, event_id) in waiting.fixes
        if not late and event_time_ms <= high_water_ms and (known or recent.has(event_time_ms, name)):
            return DUPLICATE
        kept, most = store.latest.data["kept"].item(vehicle.number), self.most_kept
        if kept >= most:
            border_ms = max(high_water_ms, event_time_ms) - lateness_ms
            if kept - recent.older_than(border_ms) - (waiting.older_than(border_ms) if waiting is not None else 0) >= most:
                return TOO_MANY
        if late:
            return LATE
        store.latest.data["kept"][vehicle.number] += 1
        self._pass_time(partition, stream_time_ms, transitions)
        recent = store.check_out(vehicle)
        partition.touch(vehicle)
        compiled, report = vehicle.compiled, store.latest.data["report"].item(vehicle.number)
        if compiled is None or compiled.generation != self.compiler.generation or not compiled.from_ms <= event_time_ms < compiled.until_ms:
            compiled, vehicle.subject = self.compiler.compiled(vehicle.vehicle_id, event_time_ms)
            vehicle.compiled, report = compiled, 0
        if vehicle.subject is None:
            vehicle.subject = self.compiler.registry.subject(vehicle.vehicle_id, event_time_ms)
        rule_set, subject = compiled.rule_set, vehicle.subject
        if report != reports:
            store.latest.data["report"][vehicle.number] = 0 if rule_set.offends(fix, subject) else reports
        here = self.compiler.here(rule_set, zones)
        offences = ask(here, fix, self.policies.zones(zones), subject, possible) if here.asked else here.always
        exact = None if fits else (fix.lon, fix.lat, fix.speed_kmh)
        changes: list[Transition] | None = None
        if event_time_ms > high_water_ms or (event_time_ms == high_water_ms and event_id > recent.last_id()):
            if rule_set.pairs and rows and abs(fix.lon - lon_before / DEGREE) + abs(fix.lat - lat_before / DEGREE) > rule_set.reach_deg - 1e-6:
                offences += pair_offences(rule_set, recent.newest(), _kept(fix))
            if recent.load():
                partition.empty_run.stretch(recent.newest(), _kept(fix), self.policies.newest.days)
            recent.append(row, name)
            if (report_of_it := _report(fix)) != last_report(vehicle.reported):
                vehicle.reported = append_report(vehicle.reported, event_time_ms, event_id, report_of_it, recent.oldest_ms())
            if exact is not None:
                recent.keep_exact(event_time_ms, event_id, exact)
            if offences or vehicle.episodes:
                if offences:
                    offence_set = self.set_number(offences)
                    vehicle.count_offences(offence_set, 1)
                    recent.set_offences(offence_set)
                changes = self.tracker.apply_in_order(vehicle, _judged(fix, offences))
        else:
            offence_set = self.set_number(offences)
            put = Late(_kept(fix)._replace(offence_set=offence_set), row[:-2] + with_offences(row, -1, offence_set), exact, _report(fix))
            fresh = kept - recent.older_than(high_water_ms - lateness_ms) if kept > FEW else 0
            changes = self._insert(partition, vehicle, [put]) if waiting is None and fresh <= FEW else self._wait(partition, vehicle, put, fresh)
        if changes:
            transitions.extend(changes)
        if changes or (rule_set.silences and fix.ignition and vehicle.due_ms > event_time_ms + self.tracker.shortest_silence_ms):
            self.watch(partition, vehicle)
            self._pass_time(partition, partition.stream_time_ms, transitions)
        store.touched[vehicle.number] = vehicle
        return None

    def _settle(self, partition: FixPartition) -> None:
        """Bring the columns up to date; a vehicle with runs stays out, for it needs a closer look at its next fix."""
        generation = self.compiler.generation if self.compiler.generation == partition.generation else -1
        partition.store.settle(generation, self.policies.lateness_ms, self._forget)

    def _wait(self, partition: FixPartition, vehicle: VehicleState, late: Late, fresh: int) -> list[Transition] | None:
        """Keep a late fix of a vehicle for now, of which so many are kept; what follows if that is enough."""
        if vehicle.waiting is None:
            vehicle.waiting = Waiting(partition.stream_time_ms, {})
        vehicle.waiting.fixes[late.key] = late
        if vehicle.waiting.is_over(fresh):
            return self._catch_up(partition, vehicle)
        self.watch(partition, vehicle)
        return None

    def _catch_up(self, partition: FixPartition, vehicle: VehicleState) -> list[Transition]:
        """Put the late fixes that wait in their places, and say what follows."""
        if vehicle.waiting is None:
            return []
        fixes, vehicle.waiting = sorted(vehicle.waiting.fixes.values(), key=lambda late: late.key), None
        partition.store.touched[partition.number(vehicle)] = vehicle
        return self._insert(partition, vehicle, fixes)

    def finish(self, partition: FixPartition) -> list[Transition]:
        """Nothing will follow any more: no late fix waits any longer."""
        found = [transition for vehicle in partition.vehicles.values() if vehicle.waiting for transition in self._catch_up(partition, vehicle)]
        self._settle(partition)
        return found

    def _insert(self, partition: FixPartition, vehicle: VehicleState, fixes: list[Late]) -> list[Transition]:
        """Put late fixes in their places; the fix after each has another one before it now."""
        recent = partition.store.check_out(vehicle)
        partition.touch(vehicle)
        opened = Opened(recent, fixes[0].fix.event_time_ms)
        relevant = [self._insert_one(partition, vehicle, recent, opened, late) for late in fixes]
        opened.close()
        changes = []
        if any(relevant) or vehicle.episodes or vehicle.carried_over or vehicle.incidents:
            changes = self.tracker.rebuild(vehicle, self._judged(vehicle, recent), partition.stream_time_ms)
        if recent.opened() > FEW:
            partition.store.seal([vehicle.number], self.policies.lateness_ms, self._forget)
        return changes

    def _insert_one(self, partition: FixPartition, vehicle: VehicleState, recent: FixHistory, opened: Opened, late: Late) -> bool:
        """Put a late fix in its place; whether any incident can change by that."""
        fix = late.fix
        index, offences = opened.place(*late.key), self.sets[fix.offence_set]
        compiled = self.compiler.at(vehicle.vehicle_id, fix.event_time_ms, vehicle.compiled)
        if compiled.rule_set.pairs and index:
            offences += pair_offences(compiled.rule_set, opened.at(index - 1), fix)
        opened.insert(index, late)
        after = opened.at(index + 1)
        vehicle.reported = insert_report(vehicle.reported, *late.key, late.report, (after.event_time_ms, after.event_id), recent.oldest_ms())
        self._divide(partition, opened, index)
        if offences:
            vehicle.count_offences(self.set_number(offences), 1)
            opened.set_offences(index, self.set_number(offences))
        relevant = bool(offences)
        known = self.sets[after.offence_set]
        later = self.compiler.at(vehicle.vehicle_id, after.event_time_ms, compiled)
        if later.rule_set.pairs or any(offence.form is Form.PAIR for offence in known):
            by_itself = tuple(offence for offence in known if offence.form is not Form.PAIR)
            now = by_itself + pair_offences(later.rule_set, fix, after)
            if now != known:
                vehicle.count_offences(after.offence_set, -1)
                vehicle.count_offences(self.set_number(now), 1)
                opened.set_offences(index + 1, self.set_number(now))
                relevant = True
        return relevant or (fix.ignition and after.event_time_ms - fix.event_time_ms > self.tracker.shortest_silence_ms)

    def _divide(self, partition: FixPartition, opened: Opened, index: int) -> None:
        """A fix that came late divides the stretch it falls into."""
        days, fix, after = self.policies.newest.days, opened.at(index), opened.at(index + 1)
        partition.empty_run.stretch(fix, after, days)
        if index:
            before = opened.at(index - 1)
            partition.empty_run.stretch(before, fix, days)
            partition.empty_run.stretch(before, after, days, -1)

    def _judged(self, vehicle: VehicleState, fixes: Iterable[StoredFix]) -> Iterator[JudgedFix]:
        sets = self.sets
        for kept, report in along(vehicle.reported, fixes):
            yield JudgedFix(*kept[:6], sets[kept.offence_set], report)

    def set_number(self, offences: tuple[Offence, ...]) -> int:
        """A small number for a set of offences, so that a kept fix needs two bytes for it."""
        number = self._set_numbers.get(offences)
        if number is None:
            number = self._set_numbers[offences] = len(self.sets)
            if number > SETS:
                raise OverflowError(f"more than {SETS} different sets of offences; split the pack's zones among workers")
            self.sets.append(offences)
        return number

    def watch(self, partition: FixPartition, vehicle: VehicleState) -> None:
        """See to it that stream time closes the trace's open incidents, and makes its silence one."""
        recent = partition.store.recent(vehicle)
        deadlines = [deadline_ms(incident) for incident in vehicle.open.values()] if vehicle.open else []
        if vehicle.waiting is not None:
            deadlines.append(vehicle.waiting.due_ms)
        earliest_ms = recent.ends() + self.tracker.shortest_silence_ms if recent.ignition() else END_MS
        if vehicle.compiled is None and partition.stream_time_ms < earliest_ms < END_MS:
            deadlines.append(earliest_ms)  # just restored: what the rules say is looked up when it may matter
        elif earliest_ms < END_MS:
            silent = vehicle.episodes or {}
            due = self.compiler.silences(vehicle.vehicle_id, recent.ends(), vehicle.compiled)
            deadlines += [due_ms for offence, due_ms in due if offence not in silent]
        deadline = min(deadlines, default=END_MS)
        if deadline < vehicle.due_ms:
            vehicle.due_ms = deadline
            heappush(partition.due, (deadline, vehicle.vehicle_id))

    def _close_due(self, partition: FixPartition, transitions: list[Transition]) -> None:
        """Close what the partition's stream time has passed, and open the silences it has made."""
        due, stream_time_ms = partition.due, partition.stream_time_ms
        while due and due[0][0] < stream_time_ms:
            deadline, vehicle_id = heappop(due)
            vehicle = partition.vehicles.get(vehicle_id)
            if vehicle is None or vehicle.due_ms != deadline:
                continue
            vehicle.due_ms = END_MS
            changes = self._catch_up(partition, vehicle) if vehicle.waiting is not None and vehicle.waiting.due_ms < stream_time_ms else []
            recent = partition.store.check_out(vehicle)
            changes += self.tracker.close_due(vehicle, stream_time_ms)
            if recent.ignition() and stream_time_ms - recent.ends() > self.tracker.shortest_silence_ms:
                last = recent.newest()
                changes += self.tracker.fall_silent(vehicle, JudgedFix(*last[:6], self.sets[last.offence_set], last_report(vehicle.reported)), stream_time_ms)
            if changes:
                transitions.extend(changes)
                partition.touch(vehicle)
            self.watch(partition, vehicle)
            partition.store.touched[partition.number(vehicle)] = vehicle

    def _put_off(self, partition: FixPartition, reached_ms: int) -> None:
        """Of vehicles that have reported since they were last watched, what falls due by this stream time is put off without a closer look."""
        due, early = partition.due, []
        while due and due[0][0] < reached_ms:
            early.append(heappop(due))
        for deadline, vehicle_id in early:
            vehicle = partition.vehicles.get(vehicle_id)
            if vehicle is not None and vehicle.due_ms == deadline:
                vehicle.due_ms = END_MS
                self.watch(partition, vehicle)
                partition.store.touched[partition.number(vehicle)] = vehicle


def _judged(fix: Fix, offences: tuple[Offence, ...]) -> JudgedFix:
    return JudgedFix(fix.event_time_ms, fix.event_id, fix.lon, fix.lat, fix.speed_kmh, fix.ignition is True, offences, _report(fix))


def _report(fix: Fix) -> Report:
    return Report(fix.plate or None, fix.synthetic) if fix.plate or fix.synthetic else NOTHING


def _kept(fix: Fix) -> StoredFix:
    return StoredFix(fix.event_time_ms, fix.event_id, fix.lon, fix.lat, fix.speed_kmh, fix.ignition is True, 0, LOADS[fix.load])
