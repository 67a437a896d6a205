"""What a report says of places: the network by level with its map, loading zones, time in transit. Pure."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from typing import Any

from deploy.report_enterprises import HOUR_MS, named
from streams.policy.policy import Policy
from streams.registry.registry import Registry

Row = dict[str, Any]
Ring = list[tuple[float, float]]
LEVELS = ("hub", "county", "township", "village", "pickup_point")
_TRANSIT = re.compile(r"transit_(?P<what>[a-z0-9]+)_(?P<unit>ms|s|min|h|hours)")
_UNIT_HOURS = {"ms": 1 / HOUR_MS, "s": 1 / 3600, "min": 1 / 60, "h": 1.0, "hours": 1.0}


def network_on_map(policy: Policy, registry: Registry, at_ms: int) -> Row:
    """How many facilities of each level and outlets are on record, and where they and the zones lie (WGS-84 degrees)."""
    valid, city = registry.valid(at_ms), policy.pack.city.adcode
    facilities = [record for record in valid["facility"] if record.city in (None, city)]
    outlets = [record for record in valid["outlet"] if record.city in (None, city)]
    levels = Counter(record.level for record in facilities)
    return {
        "levels": [{"level": level, "number": levels[level]} for level in LEVELS],
        "outlets": len(outlets),
        "filed": sum(record.filed for record in outlets),
        "lines": len(valid["line"]),
        "zones": [_zone(policy, zone) for zone in policy.pack.geometries],
        "places": [
            *({"kind": record.level, "id": record.id, "lon": record.lon, "lat": record.lat} for record in facilities if _placed(record)),
            *({"kind": "outlet" if record.filed else "unfiled_outlet", "id": record.id, "lon": record.lon, "lat": record.lat} for record in outlets if _placed(record)),
        ],
    }  # fmt: skip


def _placed(record: Any) -> bool:
    return record.lon is not None and record.lat is not None


def _zone(policy: Policy, zone_id: str) -> Row:
    geometry = policy.pack.geometries[zone_id]
    name_zh, name_en = policy.zone_name(zone_id)
    rings: list[Ring] = [list(ring.coords) for part in getattr(geometry, "geoms", [geometry]) for ring in (part.exterior, *part.interiors)]
    return {
        "id": zone_id, "name_zh": name_zh, "name_en": name_en, "kind": policy.zone_kinds.get(zone_id, ""),
        "illustrative": zone_id in policy.pack.illustrative_zones, "rings": rings, "centre": geometry.representative_point().coords[0],
    }  # fmt: skip


def parking(policy: Policy, rows: Iterable[Row]) -> list[Row]:
    """Stops and occupied hours of each loading zone over the days that say so; empty where nobody does."""
    zones: dict[str, list[Row]] = defaultdict(list)
    for row in rows:
        if isinstance(row.get("zone_id"), str) and _is_number(row.get("stops")):
            zones[row["zone_id"]].append(row)
    return [_parked(policy, zone_id, held) for zone_id, held in sorted(zones.items())]


def _parked(policy: Policy, zone_id: str, rows: Sequence[Row]) -> Row:
    name_zh, name_en = policy.zone_name(zone_id)
    occupied = [row["occupied_ms"] for row in rows if _is_number(row.get("occupied_ms"))]
    days, stops = len({row["date"] for row in rows}), sum(row["stops"] for row in rows)
    return {
        "zone_id": zone_id, "name_zh": name_zh, "name_en": name_en, "days": days, "stops": stops, "stops_per_day": stops / days,
        "occupied_hours": sum(occupied) / HOUR_MS if occupied else None,
    }  # fmt: skip


def _is_number(value: object) -> bool:
    return type(value) in {int, float}


def transit(registry: Registry, rows: Iterable[Row], at_ms: int) -> list[Row]:
    """Hours between acceptance and delivery by enterprise, of the latest day that says so: ``transit_median_…``, ``transit_p90_…``."""
    latest: dict[str, Row] = {}
    for row in sorted(rows, key=lambda row: str(row["date"])):
        if any(_TRANSIT.fullmatch(key) and _is_number(value) for key, value in row.items()):
            latest[row["enterprise_id"]] = row
    return [{**named(name, registry, at_ms), "date": row["date"], "hours": _transit_hours(row)} for name, row in sorted(latest.items())]


def _transit_hours(row: Row) -> dict[str, float]:
    found = {key: _TRANSIT.fullmatch(key) for key, value in row.items() if _is_number(value)}
    return {match["what"]: row[key] * _UNIT_HOURS[match["unit"]] for key, match in found.items() if match}
