"""The fixes of a chunk of records: well-formed, plausible, in WGS-84. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from streams.fix_batch import Chunk
from streams.geo import to_wgs84
from streams.wire.decode import FIXES, malformed
from streams.wire.events import FIRST_MS, FUTURE_TOLERANCE_MS, LAST_MS, MAX_SPEED_KMH, SYNTHETIC, Record, Reject, refuse_fix, refused


class DecodedChunk(NamedTuple):
    """n plausible fixes, the n records that they came in, and the records that were refused."""

    chunk: Chunk
    records: list[Record]
    rejects: list[Reject]


def decode_chunk(records: Sequence[Record], from_offset: int, *, refuses_synthetic: bool) -> DecodedChunk:
    """The fixes of the records at or above an offset."""
    taken = list(records) if records[0].offset >= from_offset else [record for record in records if record.offset >= from_offset]
    fixes, errors = FIXES.read([record.value for record in taken])
    rejects = [malformed(taken[index], error) for index, error in errors.items()]
    if errors:
        taken = [record for index, record in enumerate(taken) if index not in errors]
    chunk = Chunk(fixes, [record.arrived_ms for record in taken])
    reasons = _refusals(chunk, taken, refuses_synthetic=refuses_synthetic)
    if reasons:
        rejects.extend(refused(taken[index], fixes[index], reason) for index, reason in reasons.items())
        taken = [record for index, record in enumerate(taken) if index not in reasons]
        chunk = Chunk([fix for index, fix in enumerate(fixes) if index not in reasons], [record.arrived_ms for record in taken])
    _to_wgs84(chunk)
    return DecodedChunk(chunk, taken, rejects)


def _refusals(chunk: Chunk, records: Sequence[Record], *, refuses_synthetic: bool) -> dict[int, str]:
    """Why fixes are refused, by their index in the chunk."""
    reasons = {}
    for index in implausible(chunk, records, refuses_synthetic=refuses_synthetic):
        fix = chunk.fixes[index]
        reason = SYNTHETIC if fix.synthetic and refuses_synthetic else refuse_fix(fix, records[index].timestamp)
        if reason:
            reasons[index] = reason
    return reasons


def _to_wgs84(chunk: Chunk) -> None:
    """Convert the positions that are given in another system, rounded to 1 cm."""
    for index, fix in enumerate(chunk.fixes):
        if fix.coord_sys != "wgs84":
            lon, lat = to_wgs84(fix.lon, fix.lat, fix.coord_sys)
            fix.lon, fix.lat = chunk.lons[index], chunk.lats[index] = round(lon, 7), round(lat, 7)


def implausible(chunk: Chunk, records: Sequence[Record], *, refuses_synthetic: bool) -> list[int]:
    """Indices of the fixes that may be refused: the conditions of ``refuse_fix`` for a whole chunk."""
    times, lons, lats, speeds = chunk.times, chunk.lons, chunk.lats, chunk.speeds
    good = (np.abs(lons) <= 180) & (np.abs(lats) <= 90) & ((lons != 0) | (lats != 0)) & (times >= FIRST_MS) & (times < LAST_MS)
    stamped = chunk.arrived if chunk.all_arrived else _stamped(chunk, records)
    good &= (times <= stamped + FUTURE_TOLERANCE_MS) & (np.isnan(speeds) | ((speeds >= 0) & (speeds <= MAX_SPEED_KMH)))
    if refuses_synthetic:
        good &= ~chunk.synthetic
    return [] if good.all() else np.flatnonzero(~good).tolist()


def _stamped(chunk: Chunk, records: Sequence[Record]) -> np.ndarray:
    """When records were sent or arrived (ms), whichever their timestamps say: a fix from beyond that is refused even where arrival is unknown."""
    known = [arrived if record.timestamp is None else record.timestamp for record, arrived in zip(records, chunk.arrived.tolist(), strict=True)]
    return np.array(known, dtype=np.int64)
