"""The judge of fixes. Pure: a partition's state and a chunk of records in, incident transitions and rejects out.

The outcome depends on the order of records in the partition and on nothing else: not on chunk borders, not on the clock.
So a replay after a crash repeats the same transitions with the same ids and revisions.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from heapq import heappop, heappush

import msgspec
import numpy as np

from streams.clock import END_MS
from streams.events import DUPLICATE, FUTURE_TOLERANCE_MS, LAST_MS, LATE, MALFORMED, MAX_SPEED_KMH, Fix, Record, Reject, decode_fix, refuse_fix
from streams.geo import to_wgs84
from streams.incidents import OPEN, Announcer, Judged, Trace, Transition, deadline_ms, drop_old, new_trace
from streams.plan import Offence, Plan, Planner, ask, pair_violations
from streams.policy import Policies
from streams.predicates import Chunk, Form
from streams.recent import DEGREE, FULL, IGNITION, PLACE, SEPARATOR, SIZE, Exact, Kept, pack
from streams.registry import Registry
from streams.rules import RULES

ACCEPTED = "accepted"
NOWHERE = (-(2**62), 0, 0)
"""Time and place of the fix before the first."""


class FixPartition(msgspec.Struct):
    """The state of one partition: its vehicles' traces, its stream time, and who has open incidents to close.

    ``next_offset``: records below it have been judged, ``saved_offset``: as of the last checkpoint. ``dirty``: traces
    changed since.
    """

    traces: dict[str, Trace] = {}
    stream_time_ms: int = -(2**62)
    next_offset: int = 0
    saved_offset: int = 0
    dirty: list[Trace] = []
    due: list[tuple[int, str]] = []

    def touch(self, trace: Trace) -> None:
        """The trace changed, and has to be in the next checkpoint."""
        if not trace.dirty:
            trace.dirty = True
            self.dirty.append(trace)


def new_partition(next_offset: int = 0) -> FixPartition:
    """An empty partition with containers of its own."""
    return FixPartition(traces={}, next_offset=next_offset, dirty=[], due=[])


class Verdict(msgspec.Struct):
    """What a chunk came to: transitions in order, refused records, and the number of fixes by outcome."""

    transitions: list[Transition]
    rejects: list[Reject]
    outcomes: Counter[str]
    accepted: list[Fix] = []


class Engine:
    """Judges fixes by a policy's versions and the registry."""

    def __init__(self, policies: Policies, registry: Registry, identity_key: bytes) -> None:
        self.planner = Planner(policies, registry)
        self.announcer = Announcer(identity_key, self._policy_name, self.planner.silences)
        self.sets: list[tuple[Offence, ...]] = [()]
        self._set_numbers: dict[tuple[Offence, ...], int] = {(): 0}
        self.change(policies)

    @property
    def policies(self) -> Policies:
        """The policy's versions in force."""
        return self.planner.policies

    def change(self, policies: Policies) -> None:
        """Take over a policy or registry as published."""
        self.planner.change(policies)
        rules = [rule for policy in policies.versions for rule in policy.fix_rules]
        limits_ms = [rule.parameters.limit for rule in rules if getattr(RULES[rule.rule], "FORM", None) is Form.SILENCE]
        self.announcer.shortest_silence_ms = min(limits_ms, default=END_MS)

    def _policy_name(self, event_time_ms: int) -> str:
        return (self.policies.at(event_time_ms) or self.policies.newest).name

    def judge(self, partition: FixPartition, records: Sequence[Record]) -> Verdict:
        """Judge a chunk in offset order; records below the partition's ``next_offset`` were judged before."""
        transitions: list[Transition] = []
        rejects: list[Reject] = []
        if partition.due and partition.due[0][0] < partition.stream_time_ms:
            self._close_due(partition, transitions)
        taken, chunk = self._decode(records, partition.next_offset, rejects)
        if taken:
            self._take(partition, taken, chunk, transitions, rejects)
        if records:
            partition.next_offset = max(partition.next_offset, records[-1].offset + 1)
        outcomes = Counter(reject.reason for reject in rejects)
        outcomes[ACCEPTED] = len(taken) - outcomes[DUPLICATE] - outcomes[LATE]
        return Verdict(transitions, rejects, outcomes, chunk.fixes)

    def _decode(self, records: Sequence[Record], from_offset: int, rejects: list[Reject]) -> tuple[list[Record], Chunk]:
        """The well-formed, plausible fixes of a chunk, in WGS-84, and the records they came in."""
        taken: list[Record] = []
        fixes: list[Fix] = []
        for record in records:
            if record.offset < from_offset:
                continue
            try:
                fixes.append(decode_fix(record.value))
            except (msgspec.DecodeError, UnicodeDecodeError) as error:
                rejects.append(Reject(record, MALFORMED, _event_id(record.value), str(error)))
            else:
                taken.append(record)
        chunk = Chunk(fixes)
        if odd := _odd(chunk, taken):
            refused = {i: reason for i in odd if (reason := refuse_fix(fixes[i], taken[i].arrived_ms))}
            rejects.extend(Reject(taken[i], reason, fixes[i].event_id) for i, reason in refused.items())
            taken = [record for i, record in enumerate(taken) if i not in refused]
            chunk = Chunk([fix for i, fix in enumerate(fixes) if i not in refused])
        for i, fix in enumerate(chunk.fixes):
            if fix.coord_sys != "wgs84":
                lon, lat = to_wgs84(fix.lon, fix.lat, fix.coord_sys)
                fix.lon, fix.lat = chunk.lons[i], chunk.lats[i] = round(lon, 7), round(lat, 7)  # 1 cm
        return taken, chunk

    def _take(
        self, partition: FixPartition, records: list[Record], chunk: Chunk, transitions: list[Transition], rejects: list[Reject]
    ) -> None:
        """Accept or refuse each fix and judge it. The hot path: what is not kept is not allocated."""
        traces, due = partition.traces, partition.due
        lateness_ms, generation = self.policies.lateness_ms, self.planner.generation
        shortest_silence_ms = self.announcer.shortest_silence_ms
        stream_time_ms = partition.stream_time_ms
        packed, marks, inexact = pack(chunk)
        inside, possible = self.policies.locate(chunk.times, chunk.lons, chunk.lats), self.planner.possible(chunk)
        index = -1
        for record, fix, zones, bits in zip(records, chunk.fixes, inside, possible, strict=True):
            index += 1
            vehicle_id, event_time_ms, event_id = fix.vehicle_id, fix.event_time_ms, fix.event_id
            trace = traces.get(vehicle_id)
            if trace is None:
                trace = traces[vehicle_id] = new_trace(vehicle_id)
            recent = trace.recent
            rows = recent.rows
            high_water_ms, lon_before, lat_before = PLACE.unpack_from(rows, len(rows) - SIZE) if rows else NOWHERE
            name = event_id.encode() + SEPARATOR
            if (name in recent.ids or marks[2 * index : 2 * index + 2] in recent.marks) and recent.accepted_since(name, high_water_ms - lateness_ms):
                rejects.append(Reject(record, DUPLICATE, event_id))
                continue
            if event_time_ms < high_water_ms - lateness_ms:
                rejects.append(Reject(record, LATE, event_id))
                continue
            if event_time_ms > stream_time_ms:
                stream_time_ms = partition.stream_time_ms = event_time_ms
                if due and due[0][0] < stream_time_ms:
                    self._close_due(partition, transitions)
            if not trace.dirty:
                partition.touch(trace)
            plan = trace.plan
            if plan is None or plan.generation != generation or not plan.from_ms <= event_time_ms < plan.until_ms:
                plan, trace.subject = self.planner.plan(vehicle_id, event_time_ms)
                trace.plan = plan
            duties = plan.duties
            here = duties.here.get(zones) or duties.inside(zones)
            offences = ask(here, fix, zones, trace.subject, bits) if here.bits & bits else here.always
            if fix.synthetic:
                trace.synthetic = True
            exact = (fix.lon, fix.lat, fix.speed_kmh) if inexact and index in inexact else None
            changes: list[Transition] | None = None
            if event_time_ms > high_water_ms or (event_time_ms == high_water_ms and event_id > recent.last_id()):
                if duties.pairs and rows and abs(fix.lon - lon_before / DEGREE) + abs(fix.lat - lat_before / DEGREE) > duties.reach_deg - 1e-6:
                    offences += pair_violations(duties, recent.newest(), _kept(fix))
                recent.rows = rows = rows + packed[SIZE * index : SIZE * index + SIZE]
                recent.ids += name
                if exact is not None:
                    recent.keep_exact(event_time_ms, event_id, exact)
                if offences or trace.runs:
                    if offences:
                        trace.offending += 1
                        trace.plate = fix.plate or trace.plate
                        recent.set_offences(-1, self.set_number(offences))
                    changes = self.announcer.advance(trace, _judged(fix, offences))
                if len(rows) >= FULL:
                    recent.seal()
                    if number := recent.older(event_time_ms - lateness_ms):
                        drop_old(trace, number, self._judged_again(trace))
            else:
                changes = self._insert(trace, fix, plan, offences, packed[SIZE * index : SIZE * index + SIZE], exact, stream_time_ms)
            if changes:
                transitions.extend(changes)
            if changes or (duties.silences and fix.ignition and trace.due_ms > event_time_ms + shortest_silence_ms):
                self.watch(partition, trace)
                if due and due[0][0] < stream_time_ms:
                    self._close_due(partition, transitions)

    def _insert(
        self, trace: Trace, fix: Fix, plan: Plan, offences: tuple[Offence, ...], row: bytes, exact: Exact | None,
        stream_time_ms: int,
    ) -> list[Transition]:  # fmt: skip
        """Put a late fix in its place; the fix after it has another one before it now."""
        recent = trace.recent
        index = recent.place(fix.event_time_ms, fix.event_id)
        if plan.duties.pairs and index:
            offences += pair_violations(plan.duties, recent.at(index - 1), _kept(fix))
        recent.insert(index, row, fix.event_id, exact)
        relevant = bool(offences or trace.runs or trace.base or trace.incidents)
        if offences:
            trace.offending += 1
            trace.plate = fix.plate or trace.plate
            recent.set_offences(index, self.set_number(offences))
        if index + 1 < recent.opened():
            after = recent.at(index + 1)
            known = self.sets[after.offence_set]
            later = self.planner.at(trace.vehicle_id, after.event_time_ms, plan)
            if later.duties.pairs or any(offence.form is Form.PAIR for offence in known):
                by_itself = tuple(offence for offence in known if offence.form is not Form.PAIR)
                now = by_itself + pair_violations(later.duties, _kept(fix), after)
                if now != known:
                    trace.offending += bool(now) - bool(known)
                    recent.set_offences(index + 1, self.set_number(now))
                    relevant = True
            if fix.ignition and after.event_time_ms - fix.event_time_ms > self.announcer.shortest_silence_ms:
                relevant = True
        if not relevant:
            return []
        return self.announcer.derive(trace, self._judged_again(trace), stream_time_ms)

    def _judged_again(self, trace: Trace) -> Iterator[Judged]:
        sets = self.sets
        for kept in trace.recent:
            yield Judged(*kept[:6], sets[kept.offence_set])

    def set_number(self, offences: tuple[Offence, ...]) -> int:
        """A small number for a set of offences, so that a kept fix needs two bytes for it."""
        number = self._set_numbers.get(offences)
        if number is None:
            number = self._set_numbers[offences] = len(self.sets)
            if number >= IGNITION:
                raise OverflowError(f"more than {IGNITION} different sets of offences; split the pack's zones among workers")
            self.sets.append(offences)
        return number

    def watch(self, partition: FixPartition, trace: Trace) -> None:
        """See to it that stream time closes the trace's open incidents, and makes its silence one."""
        deadlines = [deadline_ms(i) for i in trace.incidents or () if i.state == OPEN]
        earliest_ms = trace.recent.ends() + self.announcer.shortest_silence_ms if trace.recent.ignition() else END_MS
        if trace.plan is None and partition.stream_time_ms < earliest_ms < END_MS:
            deadlines.append(earliest_ms)  # just restored: what the rules say is looked up when it may matter
        elif earliest_ms < END_MS:
            silent = trace.runs or {}
            due = self.planner.silences(trace.vehicle_id, trace.recent.ends(), trace.plan)
            deadlines += [due_ms for offence, due_ms in due if offence not in silent]
        deadline = min(deadlines, default=END_MS)
        if deadline < trace.due_ms:
            trace.due_ms = deadline
            heappush(partition.due, (deadline, trace.vehicle_id))

    def _close_due(self, partition: FixPartition, transitions: list[Transition]) -> None:
        """Close what the partition's stream time has passed, and open the silences it has made."""
        due, stream_time_ms = partition.due, partition.stream_time_ms
        while due and due[0][0] < stream_time_ms:
            deadline, vehicle_id = heappop(due)
            trace = partition.traces[vehicle_id]
            if trace.due_ms != deadline:
                continue
            trace.due_ms = END_MS
            changes = self.announcer.close_due(trace, stream_time_ms)
            if trace.recent.ignition() and stream_time_ms - trace.recent.ends() > self.announcer.shortest_silence_ms:
                last = trace.recent.newest()
                changes += self.announcer.fall_silent(trace, Judged(*last[:6], self.sets[last.offence_set]), stream_time_ms)
            if changes:
                transitions.extend(changes)
                partition.touch(trace)
            self.watch(partition, trace)


def _odd(chunk: Chunk, records: list[Record]) -> list[int]:
    """Indices of the fixes that ``refuse_fix`` may refuse: its conditions for a whole chunk."""
    times, lons, lats, speeds = chunk.times, chunk.lons, chunk.lats, chunk.speeds
    arrived = [fix.arrival_time_ms if record.arrived_ms is None else record.arrived_ms for record, fix in zip(records, chunk.fixes, strict=True)]
    good = (np.abs(lons) <= 180) & (np.abs(lats) <= 90) & ((lons != 0) | (lats != 0)) & (times > 0) & (times < LAST_MS)
    good &= ~(times > np.array(arrived, dtype=float) + FUTURE_TOLERANCE_MS) & (np.isnan(speeds) | ((speeds >= 0) & (speeds <= MAX_SPEED_KMH)))
    return [] if good.all() else np.flatnonzero(~good).tolist()


def _judged(fix: Fix, offences: tuple[Offence, ...]) -> Judged:
    return Judged(fix.event_time_ms, fix.event_id, fix.lon, fix.lat, fix.speed_kmh, fix.ignition is True, offences)


def _kept(fix: Fix) -> Kept:
    return Kept(fix.event_time_ms, fix.event_id, fix.lon, fix.lat, fix.speed_kmh, fix.ignition is True, 0)


def _event_id(value: bytes) -> str | None:
    """The event id of a malformed record where one can be read."""
    try:
        found = msgspec.json.decode(value)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None
    event_id = found.get("event_id") if isinstance(found, dict) else None
    return event_id if isinstance(event_id, str) else None
