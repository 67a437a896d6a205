"""What a report says of places: the network by level with its map, loading zones, time in transit. Pure."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from datetime import date, timedelta
from typing import Any

from deploy.report.enterprises import named
from deploy.report.figures import Period, summed
from streams.clock import HOUR_MS
from streams.counts import MONTH_DAYS, is_of_day, is_of_outlet, quantile_hours, share
from streams.policy.policy import Policy
from streams.registry.key_figures import LEVELS as MEASURES
from streams.registry.key_figures import active_facilities
from streams.registry.registry import Registry

Row = dict[str, Any]
Ring = list[tuple[float, float]]
LEVELS = ("hub", "county", "township", "village", "pickup_point")


def network_on_map(policy: Policy, registry: Registry, rows: Iterable[Row], at_ms: int) -> Row:
    """How many facilities of each level and outlets are on record and active, and where they and the zones lie (WGS-84 degrees).

    Active is what was scanned at on one of the 30 local days before ``at_ms`` (ms), by the ``rows`` of rates; None where no row says.
    """
    valid = registry.valid(at_ms, policy.pack.city.adcode)
    last = policy.days.date_of(at_ms)
    first = (date.fromisoformat(last) - timedelta(days=MONTH_DAYS - 1)).isoformat()
    scanned = {row["outlet_id"]: row["date"] for row in rows if is_of_outlet(row)}
    active = {place for place, day in scanned.items() if first <= day <= last}
    facilities, outlets = valid["facility"], valid["outlet"]
    levels, in_use = Counter(record.level for record in facilities), active_facilities(facilities, scanned, last)
    return {
        "levels": [
            {"level": level, "number": levels[level], "active": in_use.get(MEASURES[level])} for level in LEVELS
        ],
        "outlets": len(outlets),
        "active": sum(record.id in active for record in outlets) if scanned else None,
        "filed": sum(record.filed is True for record in outlets),
        "lines": len(valid["line"]),
        "zones": [zone_on_map(policy, zone) for zone in policy.pack.geometries],
        "places": [
            *({"kind": record.level, "id": record.id, "lon": record.lon, "lat": record.lat} for record in facilities if _placed(record)),
            *({"kind": "outlet" if record.filed else "unfiled_outlet", "id": record.id, "lon": record.lon, "lat": record.lat} for record in outlets if _placed(record)),
        ],
    }  # fmt: skip


def active_numbers(policy: Policy, registry: Registry, rows: Sequence[Row], period: Period) -> dict[str, float]:
    """Measure → how many of what it counts were in use in a period: facilities scanned at within the 30 days before its end, delivery lines run a day; what no row says is left out."""
    network, run = network_on_map(policy, registry, rows, period.bounds_ms(policy.days)[1] - 1), lines_run(row for row in rows if period.covers(row["date"]))
    found: dict[str, float] = {MEASURES[row["level"]]: row["active"] for row in network["levels"] if row["active"] is not None and row["number"]}
    return found | ({"delivery_lines": run["run"] / run["days"]} if run else {})


def _placed(record: Any) -> bool:
    return record.lon is not None and record.lat is not None


def zone_on_map(policy: Policy, zone_id: str) -> Row:
    """A zone of a pack as the map draws it: names, kind, rings and a place inside (WGS-84 degrees)."""
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
    """By enterprise the parcels delivered on the days of rows, those of them that are timed (``parcels``), the share that is not, and the whole hours since acceptance: median and 90th percentile.

    A parcel whose acceptance was more than three days before, or was not scanned, has no time. Empty where nobody delivered any.
    """
    delivered = summed(filter(is_of_day, rows), lambda row: row["enterprise_id"])
    return [
        {
            **named(name, registry, at_ms), "delivered": counts.delivered, "parcels": (timed := sum(counts.transit_hours.values())),
            "untimed_share": share(counts.delivered - timed, counts.delivered),
            "median_hours": quantile_hours(counts.transit_hours, 50), "p90_hours": quantile_hours(counts.transit_hours, 90),
        }
        for name, counts in sorted(delivered.items()) if counts.delivered
    ]  # fmt: skip


def lines_run(rows: Iterable[Row]) -> Row | None:
    """Of the days whose delivery lines are known: how many, how many runs were due, how many were made; None where there is no such day."""
    known = [row for row in rows if _is_number(row.get("lines_run")) and _is_number(row.get("lines"))]
    return {"days": len(known), "due": sum(row["lines"] for row in known), "run": sum(row["lines_run"] for row in known)} if known else None
