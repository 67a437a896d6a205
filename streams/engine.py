"""The judge of fixes. Pure: a partition's state and a chunk of records in, incident transitions and rejects out.

The outcome depends on the order of records in the partition and on nothing else: not on chunk borders, not on the clock.
So a replay after a crash repeats the same transitions with the same ids and revisions.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from heapq import heappop, heappush

import msgspec

from streams.events import DUPLICATE, LATE, MALFORMED, Fix, Record, Reject, decode_fix, refuse_fix
from streams.geo import to_wgs84
from streams.incidents import OPEN, Announcer, Judged, Trace, Transition, deadline_ms, drop_old, new_trace
from streams.plan import Planner
from streams.policy import Policy
from streams.registry import Registry

ACCEPTED = "accepted"


class FixPartition(msgspec.Struct):
    """The state of one partition: its vehicles' traces, its stream time, and who has open incidents to close.

    ``next_offset``: records below it have been judged, ``saved_offset``: as of the last checkpoint. ``dirty``: vehicles
    changed since. ``fences``: after a restart, the offset up to which a vehicle's restored state has seen the partition.
    """

    traces: dict[str, Trace] = {}
    fences: dict[str, int] = {}
    stream_time_ms: int = -(2**62)
    next_offset: int = 0
    saved_offset: int = 0
    dirty: set[str] = set()
    due: list[tuple[int, str]] = []
    queued: dict[str, int] = {}

    def watch(self, trace: Trace) -> None:
        """See to it that the trace's open incidents are closed once stream time passes them."""
        deadline = min((deadline_ms(i) for i in trace.incidents if i.state == OPEN), default=None)
        if deadline is not None and deadline < self.queued.get(trace.vehicle_id, 2**62):
            self.queued[trace.vehicle_id] = deadline
            heappush(self.due, (deadline, trace.vehicle_id))


def new_partition(next_offset: int = 0) -> FixPartition:
    """An empty partition with containers of its own."""
    return FixPartition(traces={}, fences={}, next_offset=next_offset, dirty=set(), due=[], queued={})


class Verdict(msgspec.Struct):
    """What a chunk came to: transitions in order, refused records, and the number of fixes by outcome."""

    transitions: list[Transition]
    rejects: list[Reject]
    outcomes: Counter[str]
    accepted: list[Fix] = []


class Engine:
    """Judges fixes by one policy and the registry."""

    def __init__(self, policy: Policy, registry: Registry, identity_key: bytes) -> None:
        self.policy = policy
        self.planner = Planner(policy, registry)
        self.announcer = Announcer(identity_key, policy.name)

    def judge(self, partition: FixPartition, records: Sequence[Record]) -> Verdict:
        """Judge a chunk in offset order; records below the partition's ``next_offset`` were judged before."""
        transitions: list[Transition] = []
        rejects: list[Reject] = []
        if partition.fences and records and records[0].offset >= max(partition.fences.values()):
            partition.fences.clear()
        accepted = self._decode(records, partition.next_offset, rejects)
        if accepted:
            inside = self.policy.zone_index.locate([fix.lon for _, fix in accepted], [fix.lat for _, fix in accepted])
            self._take(partition, accepted, inside, transitions, rejects)
        if records:
            partition.next_offset = max(partition.next_offset, records[-1].offset + 1)
        outcomes = Counter(reject.reason for reject in rejects)
        outcomes[ACCEPTED] = len(accepted) - outcomes[DUPLICATE] - outcomes[LATE]
        return Verdict(transitions, rejects, outcomes, [fix for _, fix in accepted])

    def _decode(self, records: Sequence[Record], from_offset: int, rejects: list[Reject]) -> list[tuple[Record, Fix]]:
        """The well-formed, plausible fixes of a chunk, in WGS-84."""
        good: list[tuple[Record, Fix]] = []
        for record in records:
            if record.offset < from_offset:
                continue
            try:
                fix = decode_fix(record.value)
            except (msgspec.DecodeError, UnicodeDecodeError) as error:
                rejects.append(Reject(record, MALFORMED, _event_id(record.value), str(error)))
                continue
            if reason := refuse_fix(fix, record.arrived_ms):
                rejects.append(Reject(record, reason, fix.event_id))
                continue
            if fix.coord_sys != "wgs84":
                fix.lon, fix.lat = to_wgs84(fix.lon, fix.lat, fix.coord_sys)
            good.append((record, fix))
        return good

    def _take(
        self,
        partition: FixPartition,
        fixes: list[tuple[Record, Fix]],
        inside: list[tuple[str, ...]],
        transitions: list[Transition],
        rejects: list[Reject],
    ) -> None:
        """Accept or refuse each fix and judge it. The hot path: what is not kept is not allocated."""
        traces, fences, plans = partition.traces, partition.fences, self.planner.latest
        announcer, due = self.announcer, partition.due
        lateness_ms = self.policy.lateness_ms
        slack_ms = lateness_ms // 4
        mark_dirty = partition.dirty.add
        for (record, fix), zones in zip(fixes, inside, strict=True):
            vehicle_id, event_time_ms, event_id = fix.vehicle_id, fix.event_time_ms, fix.event_id
            partition.stream_time_ms = max(partition.stream_time_ms, event_time_ms)
            if due and due[0][0] < partition.stream_time_ms:
                self._close_due(partition, transitions)
            trace = traces.get(vehicle_id)
            if trace is None:
                trace = traces[vehicle_id] = new_trace(vehicle_id)
            elif fences and record.offset < fences.get(vehicle_id, 0):
                continue
            high_water_ms = trace.high_water_ms
            seen_at = trace.seen.get(event_id)
            if seen_at is not None and seen_at >= high_water_ms - lateness_ms:
                rejects.append(Reject(record, DUPLICATE, event_id))
                continue
            if event_time_ms < high_water_ms - lateness_ms:
                rejects.append(Reject(record, LATE, event_id))
                continue
            mark_dirty(vehicle_id)
            plan = plans.get(vehicle_id)
            if plan is None or not plan.from_ms <= event_time_ms < plan.until_ms:
                plan = self.planner.plan(vehicle_id, event_time_ms)
            offences = plan.violations(fix, zones)
            judged = Judged(event_time_ms, event_id, fix.lon, fix.lat, fix.speed_kmh, offences)
            trace.seen[event_id] = event_time_ms
            recent = trace.recent
            if fix.plate:
                trace.plate = fix.plate
            if fix.synthetic:
                trace.synthetic = True
            changes: list[Transition] | None = None
            if event_time_ms > high_water_ms or (event_time_ms, event_id) > recent[-1][:2]:
                trace.high_water_ms = event_time_ms
                recent.append(judged)
                if offences or trace.runs:
                    changes = announcer.advance(trace, judged)
                if recent[0][0] < event_time_ms - lateness_ms - slack_ms:
                    drop_old(trace, event_time_ms - lateness_ms)
            else:
                changes = announcer.insert(trace, judged, partition.stream_time_ms)
            if changes:
                transitions.extend(changes)
                partition.watch(trace)
                if due and due[0][0] < partition.stream_time_ms:
                    self._close_due(partition, transitions)

    def _close_due(self, partition: FixPartition, transitions: list[Transition]) -> None:
        """Close what the partition's stream time has passed."""
        due, queued = partition.due, partition.queued
        while due and due[0][0] < partition.stream_time_ms:
            deadline, vehicle_id = heappop(due)
            if queued.get(vehicle_id) != deadline:
                continue
            del queued[vehicle_id]
            trace = partition.traces[vehicle_id]
            if closed := self.announcer.close_due(trace, partition.stream_time_ms):
                transitions.extend(closed)
                partition.dirty.add(vehicle_id)
            partition.watch(trace)


def _event_id(value: bytes) -> str | None:
    """The event id of a malformed record where one can be read."""
    try:
        found = msgspec.json.decode(value)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None
    event_id = found.get("event_id") if isinstance(found, dict) else None
    return event_id if isinstance(event_id, str) else None
