"""A vehicle's state as bytes and back; states of versions 2 to 7 are read as well."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import msgspec
import numpy as np

from streams.clock import BEGINNING_MS
from streams.fix_batch import SEPARATOR, StoredFix, row_of
from streams.lifecycle import OPEN
from streams.vehicles.block_codec import joined
from streams.vehicles.compiled_rules import Offence
from streams.vehicles.empty_run import Millimetres
from streams.vehicles.engine import Engine
from streams.vehicles.history import FixHistory
from streams.vehicles.incidents import prune
from streams.vehicles.late import Late, Waiting
from streams.vehicles.lines import OnLines, Progress
from streams.vehicles.reported import NOTHING, Change, Report
from streams.vehicles.state import Episode, Incident, JudgedFix, VehicleState
from streams.vehicles.store import Stored, VehicleStore
from streams.wire.state_records import HEADER_FIELDS, RecordHeader, body_of, decode_record, encode_record

AT_ONCE = 256
"""Vehicles that are copied together."""


def encode_vehicles(store: VehicleStore, slots: np.ndarray, engine: Engine, head: RecordHeader) -> Iterator[tuple[str, bytes]]:
    """Ids and states, with their fixes, of the vehicles in these slots."""
    fields = msgspec.structs.astuple(head)
    for start in range(0, len(slots), AT_ONCE):
        for vehicle, stored in store.stored(slots[start : start + AT_ONCE]):
            offended = _offended(vehicle, engine) if vehicle.has_offended() else NOTHING_OFFENDED
            yield vehicle.vehicle_id, encode_record((
                *fields, vehicle.vehicle_id, vehicle.reported or (), offended.offences, *_history_fields(vehicle, stored),
                offended.sets, offended.episodes, offended.live, offended.carried_over, offended.incidents, vehicle.seen, _late(vehicle, engine), *_lines(vehicle),
            ))  # fmt: skip


def _history_fields(vehicle: VehicleState, stored: Stored) -> tuple[Any, ...]:
    """Compressed blocks, open rows, ids (with separators, or their width and all), and what does not fit a row."""
    exact = vehicle.history.exact if vehicle.history is not None else None
    ids = stored.ids if stored.id_width is None else (stored.id_width, stored.ids)
    return stored.compressed, stored.rows, ids, [(*key, *value) for key, value in exact.items()] if exact else []


class Offended(NamedTuple):
    """What a vehicle has done, as it is written: offences; by number the sets of them (indices) that its fixes refer to; episodes.

    The ``live`` first episodes contain the newest fix; those of ``incidents`` are among ``episodes``, by index.
    """

    offences: Sequence[Any] = ()
    sets: Sequence[Any] = ()
    episodes: Sequence[Any] = ()
    live: int = 0
    carried_over: Sequence[Any] = ()
    incidents: Sequence[Any] = ()


NOTHING_OFFENDED = Offended()


def _offended(vehicle: VehicleState, engine: Engine) -> Offended:
    """What a vehicle has done that is not forgotten yet."""
    prune(vehicle)
    episodes, carried_over, incidents = list((vehicle.episodes or {}).values()), list((vehicle.carried_over or {}).values()), vehicle.incidents or []
    stored = list({id(episode): episode for episode in (*episodes, *(i.episode for i in incidents))}.values())
    places = {id(episode): place for place, episode in enumerate(stored)}
    used = sorted(vehicle.offending or ())
    in_evidence = (o for episode in (*stored, *carried_over) for fix in episode.evidence for o in fix.offences)
    of_runs = (episode.offence for episode in (*stored, *carried_over))
    offences = list(dict.fromkeys((*of_runs, *in_evidence, *(o for n in used for o in engine.offence_sets[n]))))
    number = {offence: index for index, offence in enumerate(offences)}

    def pack_episode(episode: Episode) -> tuple[Any, ...]:
        span = (episode.opened_at_ms, episode.opened_by, episode.last_seen_ms, episode.last_id, episode.fix_count)
        evidence = [(*fix[:6], [number[o] for o in fix.offences]) for fix in episode.evidence]
        return (number[episode.offence], *span, evidence, episode.plate, episode.synthetic, episode.top_speed_kmh, episode.driver_id)

    return Offended(
        [_packed(o) for o in offences],
        [(n, [number[o] for o in engine.offence_sets[n]]) for n in used],
        [pack_episode(episode) for episode in stored],
        len(episodes),
        [pack_episode(episode) for episode in carried_over],
        [
            (i.incident_id, i.opening, i.revision, i.state, places[id(i.episode)], i.superseded_by)
            for i in incidents
        ],
    )


def _late(vehicle: VehicleState, engine: Engine) -> tuple[Any, ...] | None:
    """The late fixes of a vehicle that wait, with their offences, and until when."""
    if vehicle.waiting is None:
        return None
    said = [(*late.fix[:6], late.fix.load, [_packed(o) for o in engine.offence_sets[late.fix.offence_set]], late.report) for late in vehicle.waiting.fixes.values()]
    return vehicle.waiting.until_ms, said


def _lines(vehicle: VehicleState) -> Iterator[list[Any]]:
    """How far a vehicle has come on lines, if it has."""
    if vehicle.on_lines:
        yield [(*key, *msgspec.structs.astuple(progress)) for key, progress in vehicle.on_lines.items()]


def _on_lines(said: Sequence[Any] = ()) -> OnLines | None:
    """What ``_lines`` said."""
    return {(date, line_id): msgspec.convert(progress, Progress) for date, line_id, *progress in said} or None


def _waiting(late: list[Any] | None, engine: Engine) -> Waiting | None:
    """What ``_late`` said."""
    if late is None:
        return None
    until_ms, said = late
    found = {}
    for at_ms, name, lon, lat, speed_kmh, ignition, load, offences, report in said:
        offence_set = engine.offence_sets.number(tuple(engine.compiler.offence(*offence) for offence in offences))
        fix = StoredFix(at_ms, name, lon, lat, speed_kmh, ignition, offence_set, load)
        found[at_ms, name] = Late(fix, *row_of(fix), Report(*report))
    return Waiting(until_ms, found)


def _packed(offence: Offence) -> tuple[Any, ...]:
    return offence.rule_id, offence.zone_id, offence.merge_gap_ms, offence.minimum_ms, offence.form, offence.rule


def decode_vehicle(value: bytes, engine: Engine) -> VehicleState:
    """The state that ``encode_vehicles`` wrote."""
    fields = decode_record(value)
    if fields[0] == 2:
        fields = _from_version_2(fields)
    if fields[0] < 7:
        fields = _from_version_6(fields)
    vehicle_id, reported, packed, compressed, rows, ids, exact, sets, episodes, live, carried_over, incidents, *more = body_of(fields)
    seen, late, *lines = more or (fields[2], None)
    offences = [engine.compiler.offence(*offence) for offence in packed]
    history = _history(compressed if fields[0] >= 5 else joined(compressed), rows, ids, exact)
    stored = [_episode(episode, offences) for episode in episodes]
    announced = [Incident(name, tuple(opening), revision, state, stored[index], by) for name, opening, revision, state, index, by in incidents]
    return VehicleState(
        slot=-1,
        vehicle_id=vehicle_id,
        history=history,
        offending=_renumbered(history, sets, offences, engine),
        episodes={episode.offence: episode for episode in stored[:live]} or None,
        carried_over={episode.offence: episode for episode in (_episode(episode, offences) for episode in carried_over)} or None,
        incidents=announced or None,
        reported=[Change(at_ms, name, Report(*report)) for at_ms, name, report in reported] or None,
        waiting=_waiting(late, engine),
        on_lines=_on_lines(*lines),
        seen=seen,
        open={incident.incident_id: incident for incident in announced if incident.state == OPEN} or None,
    )


def _history(compressed: bytes, rows: bytes, ids: bytes | list[Any], exact: list[Any]) -> FixHistory:
    """What ``_history_fields`` said."""
    if not isinstance(ids, bytes):
        width, every_id = ids
        ids = b"".join([name + SEPARATOR for name in np.frombuffer(every_id, f"S{width}").tolist()])
    exactly = {(at_ms, name): (lon, lat, speed_kmh) for at_ms, name, lon, lat, speed_kmh in exact}
    return FixHistory(rows, ids, compressed, exactly or None)


def _episode(packed: list[Any], offences: list[Offence]) -> Episode:
    offence, opened_at_ms, opened_by, last_seen_ms, last_id, fix_count, evidence, *said = packed
    fixes = [JudgedFix._make((*fix[:6], tuple(offences[index] for index in fix[6]), NOTHING)) for fix in evidence]
    return Episode(offences[offence], opened_at_ms, opened_by, last_seen_ms, last_id, fix_count, fixes, *said)


def _renumbered(history: FixHistory, sets: list[Any], offences: list[Offence], engine: Engine) -> dict[int, int] | None:
    """Give a history's sets of offences the numbers that they have in this process; how many fixes commit each."""
    if not sets:
        return None
    history.number_anew({n: engine.offence_sets.number(tuple(offences[index] for index in committed)) for n, committed in sets})
    return dict(Counter(number for number in history.offence_sets().tolist() if number)) or None


def _from_version_2(fields: list[Any]) -> list[Any]:
    """Version 2 knew no stream time and no compressed blocks, and its ids began with a separator."""
    _, partition, next_offset, vehicle_id, plate, synthetic, offences, rows, ids, *rest = fields
    return [3, partition, next_offset, BEGINNING_MS, vehicle_id, plate, synthetic, offences, (), rows, ids[1:], b"", *rest]


def _from_version_6(fields: list[Any]) -> list[Any]:
    """Until version 6 a vehicle had one plate, and was synthetic for ever; so all its fixes and runs are taken to have reported that."""
    head, (vehicle_id, plate, synthetic, offences, compressed, rows, ids, _, exact, used, episodes, live, carried_over, incidents) = fields[:HEADER_FIELDS], body_of(fields)
    reported = [(BEGINNING_MS, "", (plate, synthetic))] if plate or synthetic else ()

    def with_report(episode: list[Any]) -> list[Any]:
        return [*episode, plate, synthetic, max((fix[4] for fix in episode[-1] if fix[4] is not None), default=None)]

    return [*head, vehicle_id, reported, offences, compressed, rows, ids, exact, used, list(map(with_report, episodes)), live, list(map(with_report, carried_over)), incidents]


def decode_driven(value: bytes) -> tuple[dict[str, Millimetres], list[tuple[int, int]]]:
    """What the mark of a partition of vehicles says: the days' driving, and since version 7 the offsets at which hours began."""
    by_date, *hours = body_of(decode_record(value))
    return msgspec.convert((by_date, *(hours or ([],))), tuple[dict[str, Millimetres], list[tuple[int, int]]])
