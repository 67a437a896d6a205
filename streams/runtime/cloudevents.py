"""Transitions as CloudEvents 1.0 (structured JSON), with the clause, the evidence and the reason in words."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import orjson

from streams.clock import local_datetime
from streams.counts import CITY_WIDE
from streams.enterprises.intervals import IntervalTransition
from streams.lifecycle import CLOSED, OPEN
from streams.parcels.days import DayTransition
from streams.parcels.violations import ViolationTransition
from streams.policy.pack import Rule
from streams.policy.policy import Policies, Policy
from streams.registry.records import Enterprise, Outlet
from streams.registry.registry import Registry
from streams.rules import RULES
from streams.shares import percent, target_percent
from streams.vehicles.incidents import Transition


def incident_data(transition: Transition, policies: Policies, registry: Registry) -> dict[str, Any]:
    """The ``data`` of a vehicle incident (interfaces.md)."""
    run, offence = transition.episode, transition.episode.offence
    policy, rule = policies.rule(offence.rule_id, offence.rule, run.opened_at_ms)
    subject = registry.subject(transition.vehicle_id, run.opened_at_ms)
    zone_zh, zone_en = policy.zone_name(offence.zone_id)
    plate = run.plate or (subject.vehicle.plate if subject.vehicle else None)
    words = {
        "plate": plate or "",
        "vehicle_id": transition.vehicle_id,
        "zone_zh": zone_zh,
        "zone_en": zone_en,
        "minutes": f"{(run.last_seen_ms - run.opened_at_ms) / 60_000:.1f}",
        "speed_kmh": f"{run.top_speed_kmh or 0.0:g}",
        "place_zh": f"在{zone_zh}" if offence.zone_id else "",
        "place_en": f" in {zone_en}" if offence.zone_id else "",
    }
    first = run.evidence[0]
    return {
        **_common(transition, rule, policy),
        "zone_id": offence.zone_id,
        "vehicle_id": transition.vehicle_id,
        "plate": plate,
        "enterprise_id": subject.vehicle.enterprise_id if subject.vehicle else None,
        "outlet_id": None,
        "opened_at_ms": run.opened_at_ms,
        "last_seen_ms": run.last_seen_ms,
        "closed_at_ms": None if transition.state == OPEN else run.last_seen_ms,
        "lon": first.lon,
        "lat": first.lat,
        "fix_count": run.fix_count,
        "evidence": [
            {"event_id": f.event_id, "event_time_ms": f.event_time_ms, "lon": f.lon, "lat": f.lat, "speed_kmh": f.speed_kmh}
            for f in run.evidence
        ],
        **_reasons(rule, words),
        "superseded_by": transition.superseded_by,
        "synthetic": run.synthetic,
    }


def day_incident_data(transition: DayTransition, policies: Policies, registry: Registry) -> dict[str, Any]:
    """The ``data`` of a low-rate incident; its bounds are those of the local day or month."""
    rule, day = transition.rule, transition.day
    opened_at_ms, closed_at_ms = policies.newest.days.bounds_ms(day.date)
    policy = policies.at(opened_at_ms) or policies.newest
    name_zh, name_en = enterprise_name(day.enterprise_id, policy, registry, opened_at_ms)
    numerator, denominator = transition.counts
    words = {
        "enterprise_zh": name_zh,
        "enterprise_en": name_en,
        "date": day.date,
        "percent": percent(numerator / denominator if denominator else None, rule.parameters.target),
        "target_percent": target_percent(rule.parameters.target),
    }
    return {
        **_common(transition, rule, policy),
        "zone_id": None,
        "vehicle_id": None,
        "plate": None,
        "enterprise_id": day.enterprise_id,
        "outlet_id": None,
        "opened_at_ms": opened_at_ms,
        "last_seen_ms": closed_at_ms,
        "closed_at_ms": closed_at_ms if transition.state == CLOSED else None,
        "lon": None,
        "lat": None,
        "fix_count": denominator,
        "evidence": [],
        **_reasons(rule, words),
        "superseded_by": None,
        "synthetic": transition.synthetic,
    }


def violation_data(transition: ViolationTransition, registry: Registry) -> dict[str, Any]:
    """The ``data`` of an incident about an outlet's or enterprise's scans; its bounds are those of the first and last."""
    policy, extent, key = transition.policy, transition.extent, transition.key
    kind, _, name = key.subject.partition("/")
    first = extent.evidence[0] if extent.evidence else None
    opened_at_ms = first.event_time_ms if first else policy.days.bounds_ms(key.date)[0]
    outlet = registry.at("outlet", name, opened_at_ms) if kind == "outlet" else None
    outlet = outlet if isinstance(outlet, Outlet) else None
    enterprise_id = name if kind == "enterprise" else (outlet.enterprise_id if outlet else None) or (first.enterprise_id if first else None)
    name_zh, name_en = enterprise_name(enterprise_id or "", policy, registry, opened_at_ms)
    words = {
        "subject_zh": f"{name_zh}网点 {name}" if kind == "outlet" else name_zh,
        "subject_en": f"outlet {name} of {name_en}" if kind == "outlet" else name_en,
        "date": key.date,
        "count": str(extent.count),
        "scans_en": "1 scan" if extent.count == 1 else f"{extent.count} scans",
        "parcels_en": "1 parcel" if extent.count == 1 else f"{extent.count} parcels",
    }
    lon, lat = (outlet.lon, outlet.lat) if outlet else (None, None)
    return {
        **_common(transition, transition.rule, policy),
        "zone_id": None,
        "vehicle_id": None,
        "plate": None,
        "enterprise_id": enterprise_id,
        "outlet_id": name if kind == "outlet" else None,
        "opened_at_ms": opened_at_ms,
        "last_seen_ms": extent.last_seen_ms if first else opened_at_ms,
        "closed_at_ms": extent.last_seen_ms if transition.state == CLOSED else None,
        "lon": lon,
        "lat": lat,
        "fix_count": extent.count,
        "evidence": [
            {"event_id": s.event_id, "event_time_ms": s.event_time_ms, "lon": lon, "lat": lat, "speed_kmh": None} for s in extent.evidence
        ],
        **_reasons(transition.rule, words),
        "superseded_by": None,
        "synthetic": extent.synthetic,
    }


def interval_data(transition: IntervalTransition, registry: Registry) -> dict[str, Any]:
    """The ``data`` of an incident about a silence or a black list; its bounds are those of the spell, ``fix_count`` its size."""
    policy, spell = transition.policy, transition.spell
    kind, _, name = transition.subject.partition("/")
    record = registry.at(kind, name, spell.start_ms)
    outlet = record if isinstance(record, Outlet) else None
    enterprise_id = name if kind == "enterprise" else outlet.enterprise_id if outlet else None
    name_zh, name_en = enterprise_name(enterprise_id or "", policy, registry, spell.start_ms)
    words = {
        "subject_zh": f"{name_zh}网点 {name}" if kind == "outlet" else name_zh,
        "subject_en": f"outlet {name} of {name_en}" if kind == "outlet" else name_en,
        "since": local_datetime(spell.start_ms, policy.timezone).strftime("%Y-%m-%d %H:%M"),
        "count": str(spell.size),
    }
    last_seen_ms = spell.start_ms if spell.end_ms is None else spell.end_ms
    return {
        **_common(transition, transition.rule, policy),
        "zone_id": None,
        "vehicle_id": None,
        "plate": None,
        "enterprise_id": enterprise_id,
        "outlet_id": name if kind == "outlet" else None,
        "opened_at_ms": spell.start_ms,
        "last_seen_ms": last_seen_ms,
        "closed_at_ms": last_seen_ms if transition.state == CLOSED else None,
        "lon": outlet.lon if outlet else None,
        "lat": outlet.lat if outlet else None,
        "fix_count": spell.size,
        "evidence": [],
        **_reasons(transition.rule, words),
        "superseded_by": None,
        "synthetic": spell.synthetic,
    }


def cloudevent(kind: str, data: dict[str, Any]) -> tuple[str, bytes]:
    """The message key (the subject) and the structured CloudEvent for one transition's data."""
    subject = subject_of(data)
    moment = datetime.fromtimestamp(data["last_seen_ms"] / 1000, UTC)
    return subject, orjson.dumps(
        {
            "specversion": "1.0",
            "id": f"{data['incident_id']}/{data['revision']}",
            "source": f"yicheng/{data['city']}",
            "type": f"yicheng.incident.{kind}.v1",
            "subject": subject,
            "time": moment.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "datacontenttype": "application/json",
            "data": data,
        }
    )


def subject_of(data: dict[str, Any]) -> str:
    """Whom an incident is about: ``vehicle/<id>``, ``outlet/<id>`` or ``enterprise/<id>``."""
    kind = "vehicle" if data["vehicle_id"] else "outlet" if data["outlet_id"] else "enterprise"
    return f"{kind}/{data[f'{kind}_id']}"


def enterprise_name(enterprise_id: str, policy: Policy, registry: Registry, event_time_ms: int) -> tuple[str, str]:
    """Chinese and English name of an enterprise, or of the city for ``*``."""
    if enterprise_id == CITY_WIDE:
        return policy.pack.city.name_zh, policy.pack.city.name_en
    enterprise = registry.at("enterprise", enterprise_id, event_time_ms)
    if not isinstance(enterprise, Enterprise):
        return enterprise_id, enterprise_id
    return enterprise.name_zh or enterprise_id, enterprise.name_en or enterprise_id


def _common(transition: Transition | DayTransition | ViolationTransition | IntervalTransition, rule: Rule, policy: Policy) -> dict[str, Any]:
    return {
        "incident_id": transition.incident_id,
        "revision": transition.revision,
        "state": transition.state,
        "rule": rule.rule,
        "rule_id": rule.id,
        "policy": policy.name,
        "clause": rule.clause,
        "severity": rule.severity,
        "city": policy.pack.city.adcode,
    }


def _reasons(rule: Rule, words: dict[str, str]) -> dict[str, str]:
    module = RULES[rule.rule]
    if len(words.get("date", "")) == len("YYYY-MM"):
        return {"reason_zh": module.MONTH_ZH.format(**words), "reason_en": module.MONTH_EN.format(**words)}
    return {"reason_zh": module.REASON_ZH.format(**words), "reason_en": module.REASON_EN.format(**words)}
