"""State as bytes: vehicle traces and parcels in the form that the changelog keeps (versioned msgpack, never pickle)."""

from __future__ import annotations

from typing import Any

import msgspec

from streams.incidents import Incident, Judged, Run, Trace
from streams.plan import Planner
from streams.rates import DayKey, Parcel

VERSION = 1
_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.decode


def encode_trace(trace: Trace, partition: int, next_offset: int) -> bytes:
    """A vehicle's trace with the partition it belongs to and the offset up to which it has seen that partition."""
    runs = list(trace.runs.values())
    base = list(trace.base.values())
    loose = [i.run for i in trace.incidents if not any(i.run is run for run in runs)]
    offences = list({run.offence: None for run in (*runs, *base, *loose)})
    offences += [o for o in {o: None for fix in trace.recent for o in fix.offences} if o not in offences]
    number = {offence: index for index, offence in enumerate(offences)}
    stored_runs = [*runs, *loose]

    def pack_fix(fix: Judged) -> tuple[Any, ...]:
        return (*fix[:5], [number[offence] for offence in fix.offences if offence in number])

    def pack_run(run: Run) -> tuple[Any, ...]:
        span = (run.opened_at_ms, run.opened_by, run.last_seen_ms, run.last_id, run.fix_count)
        return (number[run.offence], *span, [pack_fix(fix) for fix in run.evidence])

    return _encode(
        (
            VERSION,
            partition,
            next_offset,
            trace.vehicle_id,
            trace.high_water_ms,
            trace.plate,
            trace.synthetic,
            [(o.rule_id, o.zone_id, o.merge_gap_ms, o.minimum_ms) for o in offences],
            [pack_fix(fix) for fix in trace.recent],
            list(trace.seen.items()),
            [pack_run(run) for run in stored_runs],
            len(runs),
            [pack_run(run) for run in base],
            [
                (i.incident_id, i.opening, i.revision, i.state, next(n for n, r in enumerate(stored_runs) if r is i.run), i.superseded_by)
                for i in trace.incidents
            ],
        )
    )


def decode_trace(value: bytes, planner: Planner) -> tuple[int, int, Trace]:
    """Partition, next offset and trace from what ``encode_trace`` wrote."""
    version, partition, next_offset, vehicle_id, high_water_ms, plate, synthetic, *rest = _decode(value)
    _check(version)
    packed_offences, recent, seen, stored_runs, live, base, incidents = rest
    offences = [planner.offence(*packed) for packed in packed_offences]

    def unpack_fix(packed: list[Any]) -> Judged:
        event_time_ms, event_id, lon, lat, speed_kmh, committed = packed
        return Judged(event_time_ms, event_id, lon, lat, speed_kmh, tuple(offences[index] for index in committed))

    def unpack_run(packed: list[Any]) -> Run:
        offence, opened_at_ms, opened_by, last_seen_ms, last_id, fix_count, evidence = packed
        return Run(
            offences[offence], opened_at_ms, opened_by, last_seen_ms, last_id, fix_count, [unpack_fix(fix) for fix in evidence]
        )

    runs = [unpack_run(packed) for packed in stored_runs]
    trace = Trace(
        vehicle_id,
        high_water_ms,
        [unpack_fix(packed) for packed in recent],
        dict(seen),
        {run.offence: run for run in runs[:live]},
        {run.offence: run for run in map(unpack_run, base)},
        [Incident(name, tuple(opening), revision, state, runs[run], by) for name, opening, revision, state, run, by in incidents],
        plate,
        synthetic,
    )
    return partition, next_offset, trace


def encode_parcel(parcel: Parcel, partition: int) -> bytes:
    """A parcel's acceptance with the partition it belongs to."""
    return _encode((VERSION, partition, *parcel))


def decode_parcel(value: bytes) -> tuple[int, Parcel]:
    """Partition and acceptance from what ``encode_parcel`` wrote."""
    version, partition, event_time_ms, event_id, day, features = _decode(value)
    _check(version)
    return partition, Parcel(event_time_ms, event_id, DayKey(*day), tuple(features))


def encode_mark(partition: int, next_offset: int, stream_time_ms: int) -> bytes:
    """How far a partition has been judged, and its stream time."""
    return _encode((VERSION, partition, next_offset, stream_time_ms))


def decode_mark(value: bytes) -> tuple[int, int, int]:
    """Partition, next offset and stream time from what ``encode_mark`` wrote."""
    version, partition, next_offset, stream_time_ms = _decode(value)
    _check(version)
    return partition, next_offset, stream_time_ms


def _check(version: int) -> None:
    if version != VERSION:
        raise ValueError(f"state of version {version} cannot be read by this worker, which knows version {VERSION}")


