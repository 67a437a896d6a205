"""A vehicle's state as bytes and back; states of versions 2 to 7 are read as well."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
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
from streams.vehicles.state import Episode, Incident, JudgedFix, VehicleState
from streams.vehicles.store import VehicleStore
from streams.vehicles.vehicle_record import (
    EpisodeRecord,
    EvidenceRecord,
    ExactFix,
    IncidentRecord,
    LateFix,
    OffenceRecord,
    OffenceSetRecord,
    VehicleRecord,
    WaitingRecord,
)
from streams.wire.state_records import HEADER_FIELDS, RecordHeader, body_of, decode_record, encode_record

AT_ONCE = 256
"""Vehicles that are copied together."""


def encode_vehicles(store: VehicleStore, slots: np.ndarray, engine: Engine, head: RecordHeader) -> Iterator[tuple[str, bytes]]:
    """Ids and states, with their fixes, of the vehicles in these slots."""
    for start in range(0, len(slots), AT_ONCE):
        for vehicle, stored in store.stored(slots[start : start + AT_ONCE]):
            offended = _offended(vehicle, engine) if vehicle.has_offended() else NOTHING_OFFENDED
            exact = vehicle.history.exact if vehicle.history is not None else None
            record = VehicleRecord(
                head.version, head.partition, head.next_offset, head.stream_time_ms, vehicle.vehicle_id, vehicle.reported or (), offended.offences,
                stored.compressed, stored.rows, stored.ids if stored.id_width is None else (stored.id_width, stored.ids),
                [ExactFix(at_ms, name, *position) for (at_ms, name), position in exact.items()] if exact else (),
                offended.sets, offended.episodes, offended.live, offended.carried_over, offended.incidents, vehicle.seen, _waiting_record(vehicle, engine),
            )  # fmt: skip
            yield vehicle.vehicle_id, encode_record((*msgspec.structs.astuple(record), *_lines(vehicle.on_lines)) if vehicle.on_lines else record)


class Offended(NamedTuple):
    """What a vehicle has done, with the names of the fields of ``VehicleRecord`` that say it."""

    offences: Sequence[OffenceRecord] = ()
    sets: Sequence[OffenceSetRecord] = ()
    episodes: Sequence[EpisodeRecord] = ()
    live: int = 0
    carried_over: Sequence[EpisodeRecord] = ()
    incidents: Sequence[IncidentRecord] = ()


NOTHING_OFFENDED = Offended()


def _offended(vehicle: VehicleState, engine: Engine) -> Offended:
    """What a vehicle has done that is not forgotten yet."""
    prune(vehicle)
    episodes, carried_over, incidents = list((vehicle.episodes or {}).values()), list((vehicle.carried_over or {}).values()), vehicle.incidents or []
    stored = list({id(episode): episode for episode in (*episodes, *(i.episode for i in incidents))}.values())
    places = {id(episode): place for place, episode in enumerate(stored)}
    sets = {number: engine.offence_sets[number] for number in sorted(vehicle.offending or ())}
    in_evidence = (o for episode in (*stored, *carried_over) for fix in episode.evidence for o in fix.offences)
    of_episodes = (episode.offence for episode in (*stored, *carried_over))
    offences = list(dict.fromkeys((*of_episodes, *in_evidence, *(o for committed in sets.values() for o in committed))))
    place_of = {offence: place for place, offence in enumerate(offences)}
    return Offended(
        [_offence_record(offence) for offence in offences],
        [OffenceSetRecord(number, [place_of[o] for o in committed]) for number, committed in sets.items()],
        [_episode_record(episode, place_of) for episode in stored],
        len(episodes),
        [_episode_record(episode, place_of) for episode in carried_over],
        [IncidentRecord(i.incident_id, i.opening, i.revision, i.state, places[id(i.episode)], i.superseded_by) for i in incidents],
    )


def _offence_record(offence: Offence) -> OffenceRecord:
    return OffenceRecord(offence.rule_id, offence.zone_id, offence.merge_gap_ms, offence.minimum_ms, offence.form, offence.rule)


def _episode_record(episode: Episode, place_of: Mapping[Offence, int]) -> EpisodeRecord:
    return EpisodeRecord(
        place_of[episode.offence], episode.opened_at_ms, episode.opened_by, episode.last_seen_ms, episode.last_id, episode.fix_count,
        [EvidenceRecord(*fix[:6], [place_of[o] for o in fix.offences]) for fix in episode.evidence],
        episode.plate, episode.synthetic, episode.top_speed_kmh, episode.driver_id,
    )  # fmt: skip


def _waiting_record(vehicle: VehicleState, engine: Engine) -> WaitingRecord | None:
    if vehicle.waiting is None:
        return None
    fixes = [
        LateFix(*late.fix[:6], late.fix.load, [_offence_record(o) for o in engine.offence_sets[late.fix.offence_set]], late.report)
        for late in vehicle.waiting.fixes.values()
    ]
    return WaitingRecord(vehicle.waiting.until_ms, fixes)


def _lines(on_lines: OnLines) -> Iterator[list[Any]]:
    for key, progress in on_lines.items():
        yield [*key, *msgspec.structs.astuple(progress)]


def decode_vehicle(value: bytes, engine: Engine) -> VehicleState:
    """The state that ``encode_vehicles`` wrote, or that earlier versions did; ``ValueError`` where it is of none of them."""
    fields = decode_record(value)
    if fields[0] == 2:
        fields = _from_version_2(fields)
    body_of(fields)
    if fields[0] < 5:
        fields = _from_version_4(fields)
    if fields[0] < 7:
        fields = _from_version_6(fields)
    record = msgspec.convert(fields, VehicleRecord)
    offences = [engine.compiler.offence(*offence) for offence in record.offences]
    history = _history(record)
    episodes = [_episode(episode, offences) for episode in record.episodes]
    incidents = [Incident(i.incident_id, i.opening, i.revision, i.state, episodes[i.episode], i.superseded_by) for i in record.incidents]
    return VehicleState(
        slot=-1,
        vehicle_id=record.vehicle_id,
        history=history,
        offending=_renumbered(history, record.sets, offences, engine),
        episodes={episode.offence: episode for episode in episodes[: record.live]} or None,
        carried_over={episode.offence: episode for episode in (_episode(episode, offences) for episode in record.carried_over)} or None,
        incidents=incidents or None,
        reported=list(record.reported) or None,
        waiting=_waiting(record.waiting, engine),
        on_lines=_on_lines(fields[len(VehicleRecord.__struct_fields__) :]),
        seen=record.next_offset if record.seen is None else record.seen,
        open={incident.incident_id: incident for incident in incidents if incident.state == OPEN} or None,
    )


def _history(record: VehicleRecord) -> FixHistory:
    ids = record.ids
    if not isinstance(ids, bytes):
        width, every_id = ids
        ids = b"".join([name + SEPARATOR for name in np.frombuffer(every_id, f"S{width}").tolist()])
    exact = {(fix.event_time_ms, fix.event_id): (fix.lon, fix.lat, fix.speed_kmh) for fix in record.exact}
    return FixHistory(record.rows, ids, record.compressed, exact or None)


def _episode(record: EpisodeRecord, offences: Sequence[Offence]) -> Episode:
    evidence = [JudgedFix(*fix[:6], tuple(offences[place] for place in fix.offences)) for fix in record.evidence]
    return Episode(
        offences[record.offence], record.opened_at_ms, record.opened_by, record.last_seen_ms, record.last_id, record.fix_count, evidence,
        record.plate, record.synthetic, record.top_speed_kmh, record.driver_id,
    )  # fmt: skip


def _renumbered(history: FixHistory, sets: Sequence[OffenceSetRecord], offences: Sequence[Offence], engine: Engine) -> dict[int, int] | None:
    """Give a history's sets of offences the numbers that they have in this process; how many fixes commit each."""
    if not sets:
        return None
    history.number_anew({each.number: engine.offence_sets.number(tuple(offences[place] for place in each.offences)) for each in sets})
    return dict(Counter(number for number in history.offence_sets().tolist() if number)) or None


def _waiting(record: WaitingRecord | None, engine: Engine) -> Waiting | None:
    if record is None:
        return None
    found = {}
    for late in record.fixes:
        offence_set = engine.offence_sets.number(tuple(engine.compiler.offence(*offence) for offence in late.offences))
        fix = StoredFix(*late[:6], offence_set, late.load)
        found[late.event_time_ms, late.event_id] = Late(fix, *row_of(fix), late.report)
    return Waiting(record.until_ms, found)


def _on_lines(written: Sequence[Any]) -> OnLines | None:
    """What ``_lines`` wrote; version 7 wrote one array of all."""
    if written and isinstance(written[0][0], list):
        (written,) = written
    return {(date, line_id): msgspec.convert(progress, Progress) for date, line_id, *progress in written} or None


def _from_version_2(fields: list[Any]) -> list[Any]:
    """Version 2 knew no stream time and no compressed blocks, and its ids began with a separator."""
    _, partition, next_offset, vehicle_id, plate, synthetic, offences, rows, ids, *rest = fields
    return [3, partition, next_offset, BEGINNING_MS, vehicle_id, plate, synthetic, offences, (), rows, ids[1:], b"", *rest]


def _from_version_4(fields: list[Any]) -> list[Any]:
    """Until version 4 blocks stood in a list, and did not say how long they were."""
    vehicle_id, plate, synthetic, offences, blocks, *rest = body_of(fields)
    return [*fields[:HEADER_FIELDS], vehicle_id, plate, synthetic, offences, joined(blocks), *rest]


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
