"""A vehicle's state as bytes and back; states of versions 2 to 6 are read as well."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

import msgspec
import numpy as np

from streams.clock import BEGINNING_MS
from streams.fix_batch import SEPARATOR, StoredFix, row_of
from streams.lifecycle import OPEN
from streams.state_records import HEADER_FIELDS, RecordHeader, body_of, decode_record, encode_record
from streams.vehicles.block_codec import joined
from streams.vehicles.compiled_rules import Offence
from streams.vehicles.empty_run import Millimetres
from streams.vehicles.engine import Engine
from streams.vehicles.history import FixHistory
from streams.vehicles.incidents import prune
from streams.vehicles.late import Late, Waiting
from streams.vehicles.reported import NOTHING, Change, Report
from streams.vehicles.state import Episode, Incident, JudgedFix, VehicleState
from streams.vehicles.store import VehicleStore

AT_ONCE = 256
"""Vehicles whose columns are copied together."""


def encode_vehicles(store: VehicleStore, numbers: np.ndarray, engine: Engine, head: RecordHeader) -> Iterator[tuple[str, bytes]]:
    """Ids and traces, with their fixes, of vehicles by number."""
    fields = msgspec.structs.astuple(head)
    for start in range(0, len(numbers), AT_ONCE):
        for vehicle, kept in store.kept(numbers[start : start + AT_ONCE]):
            offences, used, episodes, live, carried_over, incidents = _told(vehicle, engine) if vehicle.has_offended() else _NOTHING
            yield vehicle.vehicle_id, encode_record((
                *fields, vehicle.vehicle_id, vehicle.reported or (), offences, *kept, _exactly(vehicle.recent), used, episodes, live, carried_over, incidents, vehicle.seen, _late(vehicle, engine)
            ))  # fmt: skip


_NOTHING: tuple[Any, ...] = ((), (), (), 0, (), ())


def _told(vehicle: VehicleState, engine: Engine) -> tuple[Any, ...]:
    """Offences, the sets of them that fixes refer to, runs (the live ones first, and how many), base and incidents."""
    prune(vehicle)
    episodes, carried_over, incidents = list((vehicle.episodes or {}).values()), list((vehicle.carried_over or {}).values()), vehicle.incidents or []
    stored_runs = list({id(episode): episode for episode in (*episodes, *(i.episode for i in incidents))}.values())
    places = {id(episode): place for place, episode in enumerate(stored_runs)}
    used = sorted(vehicle.offending or ())
    in_evidence = (o for episode in (*stored_runs, *carried_over) for fix in episode.evidence for o in fix.offences)
    of_runs = (episode.offence for episode in (*stored_runs, *carried_over))
    offences = list(dict.fromkeys((*of_runs, *in_evidence, *(o for n in used for o in engine.sets[n]))))
    number = {offence: index for index, offence in enumerate(offences)}

    def pack_run(episode: Episode) -> tuple[Any, ...]:
        span = (episode.opened_at_ms, episode.opened_by, episode.last_seen_ms, episode.last_id, episode.fix_count)
        evidence = [(*fix[:6], [number[o] for o in fix.offences]) for fix in episode.evidence]
        return (number[episode.offence], *span, evidence, episode.plate, episode.synthetic, episode.top_speed_kmh)

    return (
        [_packed(o) for o in offences],
        [(n, [number[o] for o in engine.sets[n]]) for n in used],
        [pack_run(episode) for episode in stored_runs],
        len(episodes),
        [pack_run(episode) for episode in carried_over],
        [
            (i.incident_id, i.opening, i.revision, i.state, places[id(i.episode)], i.superseded_by)
            for i in incidents
        ],
    )


def _exactly(recent: FixHistory | None) -> list[tuple[Any, ...]]:
    return [(*key, *value) for key, value in recent.exact.items()] if recent is not None and recent.exact else []


def _late(vehicle: VehicleState, engine: Engine) -> tuple[Any, ...] | None:
    """The late fixes of a vehicle that wait, with their offences, and since when."""
    if vehicle.waiting is None:
        return None
    said = [(*late.fix[:6], late.fix.load, [_packed(o) for o in engine.sets[late.fix.offence_set]], late.report) for late in vehicle.waiting.fixes.values()]
    return vehicle.waiting.since_ms, said


def _waiting(late: list[Any] | None, engine: Engine) -> Waiting | None:
    """What ``_late`` said."""
    if late is None:
        return None
    since_ms, said = late
    found = {}
    for at_ms, name, lon, lat, speed_kmh, ignition, load, offences, report in said:
        offence_set = engine.set_number(tuple(engine.compiler.offence(*offence) for offence in offences))
        fix = StoredFix(at_ms, name, lon, lat, speed_kmh, ignition, offence_set, load)
        found[at_ms, name] = Late(fix, *row_of(fix), Report(*report))
    return Waiting(since_ms, found)


def _packed(offence: Offence) -> tuple[Any, ...]:
    return offence.rule_id, offence.zone_id, offence.merge_gap_ms, offence.minimum_ms, offence.form, offence.rule


def decode_vehicle(value: bytes, engine: Engine) -> VehicleState:
    """The trace from what ``encode_vehicles`` wrote."""
    fields = decode_record(value)
    if fields[0] == 2:
        fields = _from_version_2(fields)
    if fields[0] < 7:
        fields = _from_version_6(fields)
    vehicle_id, reported, packed_offences, sealed, rows, ids, exact, used, stored_runs, live, carried_over, incidents, *more = body_of(fields)
    seen, late = more or (fields[2], None)
    offences = [engine.compiler.offence(*packed) for packed in packed_offences]

    def unpack_run(packed: list[Any]) -> Episode:
        offence, opened_at_ms, opened_by, last_seen_ms, last_id, fix_count, evidence, *said = packed
        fixes = [JudgedFix._make((*fix[:6], tuple(offences[index] for index in fix[6]), NOTHING)) for fix in evidence]
        return Episode(offences[offence], opened_at_ms, opened_by, last_seen_ms, last_id, fix_count, fixes, *said)

    exactly = {(t, name): (lon, lat, speed) for t, name, lon, lat, speed in exact}
    if not isinstance(ids, bytes):
        width, every_id = ids
        ids = b"".join([name + SEPARATOR for name in np.frombuffer(every_id, f"S{width}").tolist()])
    recent = FixHistory(rows, ids, sealed if fields[0] >= 5 else joined(sealed), exactly or None)
    renumbered = {n: engine.set_number(tuple(offences[index] for index in committed)) for n, committed in used}
    offending: Counter[int] = Counter()
    if renumbered:
        recent.number_anew(renumbered)
        offending.update(number for number in recent.offence_sets().tolist() if number)
    episodes = [unpack_run(packed) for packed in stored_runs]
    announced = [Incident(name, tuple(opening), revision, state, episodes[episode], by) for name, opening, revision, state, episode, by in incidents]
    return VehicleState(
        -1,
        vehicle_id,
        recent,
        b"",
        dict(offending) or None,
        {episode.offence: episode for episode in episodes[:live]} or None,
        {episode.offence: episode for episode in map(unpack_run, carried_over)} or None,
        announced or None,
        [Change(at_ms, name, Report(*report)) for at_ms, name, report in reported] or None,
        _waiting(late, engine),
        seen,
        open={incident.incident_id: incident for incident in announced if incident.state == OPEN} or None,
    )


def _from_version_2(fields: list[Any]) -> list[Any]:
    """Version 2 knew no stream time and no sealed blocks, and its ids began with a separator."""
    _, partition, next_offset, vehicle_id, plate, synthetic, offences, rows, ids, *rest = fields
    return [3, partition, next_offset, BEGINNING_MS, vehicle_id, plate, synthetic, offences, (), rows, ids[1:], b"", *rest]


def _from_version_6(fields: list[Any]) -> list[Any]:
    """Until version 6 a vehicle had one plate, and was synthetic for ever; so all its fixes and runs are taken to have reported that."""
    head, (vehicle_id, plate, synthetic, offences, sealed, rows, ids, _, exact, used, episodes, live, carried_over, incidents) = fields[:HEADER_FIELDS], body_of(fields)
    reported = [(BEGINNING_MS, "", (plate, synthetic))] if plate or synthetic else ()

    def told(episode: list[Any]) -> list[Any]:
        return [*episode, plate, synthetic, max((fix[4] for fix in episode[-1] if fix[4] is not None), default=None)]

    return [*head, vehicle_id, reported, offences, sealed, rows, ids, exact, used, list(map(told, episodes)), live, list(map(told, carried_over)), incidents]


def decode_driven(value: bytes) -> tuple[dict[str, Millimetres], list[tuple[int, int]]]:
    """What the mark of a partition of vehicles says: the days' driving, and since version 7 the offsets at which hours began."""
    by_date, *hours = body_of(decode_record(value))
    return msgspec.convert((by_date, *(hours or ([],))), tuple[dict[str, Millimetres], list[tuple[int, int]]])
