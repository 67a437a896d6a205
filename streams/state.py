"""State as bytes: vehicle traces and parcels in the form that the changelog keeps (versioned msgpack, never pickle)."""

from __future__ import annotations

from typing import Any

import msgspec

from streams.engine import Engine
from streams.incidents import Incident, Judged, Run, Trace
from streams.rates import DayKey, Parcel
from streams.recent import Recent

VERSION = 3
_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.decode


def encode_trace(trace: Trace, engine: Engine, partition: int, next_offset: int) -> bytes:
    """A vehicle's trace with the partition it belongs to and the offset up to which it has seen that partition."""
    runs, base, incidents = list((trace.runs or {}).values()), list((trace.base or {}).values()), trace.incidents or []
    loose = [i.run for i in incidents if not any(i.run is run for run in runs)]
    stored_runs = [*runs, *loose]
    recent = trace.recent
    used = sorted(set(recent.offence_sets().tolist()) - {0}) if trace.offending else []
    in_evidence = (o for run in (*stored_runs, *base) for fix in run.evidence for o in fix.offences)
    of_runs = (run.offence for run in (*stored_runs, *base))
    offences = list(dict.fromkeys((*of_runs, *in_evidence, *(o for n in used for o in engine.sets[n]))))
    number = {offence: index for index, offence in enumerate(offences)}

    def pack_run(run: Run) -> tuple[Any, ...]:
        span = (run.opened_at_ms, run.opened_by, run.last_seen_ms, run.last_id, run.fix_count)
        return (number[run.offence], *span, [(*fix[:6], [number[o] for o in fix.offences]) for fix in run.evidence])

    return _encode(
        (
            VERSION,
            partition,
            next_offset,
            trace.vehicle_id,
            trace.plate,
            trace.synthetic,
            [(o.rule_id, o.zone_id, o.merge_gap_ms, o.minimum_ms, o.form, o.rule) for o in offences],
            recent.sealed,
            recent.rows,
            recent.ids,
            recent.marks,
            [(*key, *value) for key, value in (recent.exact or {}).items()],
            [(n, [number[o] for o in engine.sets[n]]) for n in used],
            [pack_run(run) for run in stored_runs],
            len(runs),
            [pack_run(run) for run in base],
            [
                (i.incident_id, i.opening, i.revision, i.state, next(n for n, r in enumerate(stored_runs) if r is i.run), i.superseded_by)
                for i in incidents
            ],
        )
    )


def decode_trace(value: bytes, engine: Engine) -> tuple[int, int, Trace]:
    """Partition, next offset and trace from what ``encode_trace`` wrote."""
    version, *rest = _decode(value)
    if version == 2:
        rest = _from_version_2(rest)
    else:
        _check(version)
    partition, next_offset, vehicle_id, plate, synthetic, packed_offences, sealed, rows, ids, marks, exact, used, *rest = rest
    stored_runs, live, base, incidents = rest
    offences = [engine.planner.offence(*packed) for packed in packed_offences]

    def unpack_run(packed: list[Any]) -> Run:
        offence, opened_at_ms, opened_by, last_seen_ms, last_id, fix_count, evidence = packed
        fixes = [Judged._make((*fix[:6], tuple(offences[index] for index in fix[6]))) for fix in evidence]
        return Run(offences[offence], opened_at_ms, opened_by, last_seen_ms, last_id, fix_count, fixes)

    exactly = {(t, name): (lon, lat, speed) for t, name, lon, lat, speed in exact}
    recent = Recent(rows, ids, marks, tuple(sealed), exactly or None)
    renumbered = {n: engine.set_number(tuple(offences[index] for index in committed)) for n, committed in used}
    if renumbered:
        recent.unseal()
    offending = 0
    for index, offence_set in enumerate(recent.offence_sets().tolist() if renumbered else ()):
        if offence_set:
            offending += 1
            recent.set_offences(index, renumbered[offence_set])
    runs = [unpack_run(packed) for packed in stored_runs]
    trace = Trace(
        vehicle_id,
        recent,
        offending,
        {run.offence: run for run in runs[:live]} or None,
        {run.offence: run for run in map(unpack_run, base)} or None,
        [Incident(name, tuple(opening), revision, state, runs[run], by) for name, opening, revision, state, run, by in incidents] or None,
        plate,
        synthetic,
    )
    return partition, next_offset, trace


def _from_version_2(rest: list[Any]) -> list[Any]:
    """Version 2 knew no sealed blocks, and its ids began with a separator."""
    return [*rest[:6], (), rest[6], rest[7][1:], b"", *rest[8:]]


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


