"""Which vehicles are inside a zone that somebody draws, now or a day ago: the same inside as the engine's, boundaries included. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Any, NamedTuple

import numpy as np

from consumers.console.fleet.positions import SILENT_MS, Fleet
from streams.geo import ZoneIndex
from streams.policy.zone_file import read_zones
from streams.registry.records import Vehicle
from streams.registry.registry import Registry
from streams.wire.events import Fix

MOST_LISTED = 500
"""So many vehicles are listed; all are counted."""


class Snapshot(NamedTuple):
    """Where vehicles were at an instant (ms): ids, plates, and by vehicle longitude, latitude (degrees) and time (ms) of the newest fix; whether that is all."""

    at_ms: int
    ids: list[str]
    plates: list[str | None]
    lons: np.ndarray
    lats: np.ndarray
    times_ms: np.ndarray
    is_whole: bool = True


def snapshot_of_fleet(fleet: Fleet, at_ms: int) -> Snapshot:
    """Where the fleet is now."""
    lons, lats, times_ms = fleet.places()
    return Snapshot(at_ms, list(fleet.ids), list(fleet.plates), lons, lats, times_ms)


def snapshot_of_fixes(fixes: Iterable[Fix], at_ms: int, *, is_whole: bool = True) -> Snapshot:
    """Where vehicles were at an instant, by the newest fix of each that is not older than a vehicle may be silent."""
    newest: dict[str, Fix] = {}
    for fix in fixes:
        known = newest.get(fix.vehicle_id)
        if at_ms - SILENT_MS <= fix.event_time_ms <= at_ms and (known is None or fix.event_time_ms > known.event_time_ms):
            newest[fix.vehicle_id] = fix
    held = list(newest.values())
    lons, lats = (np.array([getattr(fix, name) for fix in held], dtype=float) for name in ("lon", "lat"))
    times_ms = np.array([fix.event_time_ms for fix in held], dtype=np.int64)
    return Snapshot(at_ms, list(newest), [fix.plate for fix in held], lons, lats, times_ms, is_whole)


def who_is_inside(geojson: str, snapshot: Snapshot, registry: Registry) -> dict[str, Any]:
    """How many vehicles of a snapshot are in any zone of a FeatureCollection, by enterprise and each by id and plate; ``BadInput`` as of ``read_zones``.

    ``silent`` counts those inside that had said nothing for a while. Papers are those of then.
    """
    zones = read_zones(geojson, "zone")
    chosen = np.flatnonzero(ZoneIndex(zones.geometries).locate(snapshot.lons, snapshot.lats))
    records = {number: registry.at("vehicle", snapshot.ids[number], snapshot.at_ms) for number in chosen.tolist()}
    papers = {number: record if isinstance(record, Vehicle) else None for number, record in records.items()}
    rows = [
        {"vehicle_id": snapshot.ids[number], "plate": (paper and paper.plate) or snapshot.plates[number], "enterprise_id": paper.enterprise_id if paper else None,
         "time_ms": int(snapshot.times_ms[number])}
        for number, paper in papers.items()
    ]  # fmt: skip
    counts = Counter(row["enterprise_id"] for row in rows)
    rows.sort(key=lambda row: (str(row["enterprise_id"] or ""), str(row["vehicle_id"])))
    return {
        "at_ms": snapshot.at_ms, "is_whole": snapshot.is_whole, "known": len(snapshot.ids), "inside": len(rows),
        "silent": int((snapshot.at_ms - snapshot.times_ms[chosen] > SILENT_MS).sum()),
        "enterprises": [{"enterprise_id": name, "inside": number} for name, number in counts.most_common()], "vehicles": rows[:MOST_LISTED],
    }  # fmt: skip
