"""Transitions of incidents, in words and figures: who, where, when, by which clause, on what evidence. Pure."""

from __future__ import annotations

from typing import Any

from streams.city.line_days import LineTransition
from streams.clock import local_datetime
from streams.counts import CITY_WIDE
from streams.enterprises.intervals import IntervalTransition
from streams.lifecycle import CLOSED, OPEN, Revision
from streams.parcels.days import DayTransition
from streams.parcels.violations import ViolationTransition
from streams.policy.pack import Rule
from streams.policy.policy import Policies, Policy
from streams.registry.records import Enterprise, Outlet
from streams.registry.registry import Registry
from streams.rules import RULES
from streams.vehicles.incidents import Transition
from streams.wire.incident import Evidence, IncidentData
from streams.words.shares import percent, target_percent


def incident_data(transition: Transition, policies: Policies, registry: Registry) -> IncidentData:
    """What is said of a vehicle's incident."""
    episode, offence = transition.episode, transition.episode.offence
    policy, rule = policies.rule(offence.rule_id, offence.rule, episode.opened_at_ms)
    subject = registry.subject(transition.vehicle_id, episode.opened_at_ms)
    zone_zh, zone_en = policy.zone_name(offence.zone_id)
    plate = episode.plate or (subject.vehicle.plate if subject.vehicle else None)
    words = {
        "plate": plate or "",
        "vehicle_id": transition.vehicle_id,
        "zone_zh": zone_zh,
        "zone_en": zone_en,
        "minutes": f"{(episode.last_seen_ms - episode.opened_at_ms) / 60_000:.1f}",
        "speed_kmh": f"{episode.top_speed_kmh or 0.0:g}",
        "place_zh": f"在{zone_zh}" if offence.zone_id else "",
        "place_en": f" in {zone_en}" if offence.zone_id else "",
    }
    first = episode.evidence[0]
    return IncidentData(
        **_common(transition, rule, policy, words, episode.opened_at_ms),
        zone_id=offence.zone_id,
        vehicle_id=transition.vehicle_id,
        plate=plate,
        enterprise_id=subject.vehicle.enterprise_id if subject.vehicle else None,
        opened_at_ms=episode.opened_at_ms,
        last_seen_ms=episode.last_seen_ms,
        closed_at_ms=None if transition.state == OPEN else episode.last_seen_ms,
        lon=first.lon,
        lat=first.lat,
        fix_count=episode.fix_count,
        evidence=tuple(Evidence(fix.event_id, fix.event_time_ms, fix.lon, fix.lat, fix.speed_kmh) for fix in episode.evidence),
        superseded_by=transition.superseded_by,
        synthetic=episode.synthetic,
        driver_id=episode.driver_id,
    )


def day_incident_data(transition: DayTransition, policies: Policies, registry: Registry) -> IncidentData:
    """What is said of a low rate; its bounds are those of the local day or month."""
    rule, day = transition.rule, transition.day
    opened_at_ms, closed_at_ms = policies.newest.days.bounds_ms(day.date)
    policy = policies.at(opened_at_ms) or policies.newest
    name_zh, name_en = enterprise_name(day.enterprise_id, policy, registry, opened_at_ms)
    if day.enterprise_id == CITY_WIDE and rule.parameters.primary_brands_only:
        name_zh, name_en = f"{name_zh}主要品牌快递企业", f"primary brands of {name_en}"
    numerator, denominator = transition.counts
    words = {
        "enterprise_zh": name_zh,
        "enterprise_en": name_en,
        "date": day.date,
        "percent": percent(numerator / denominator if denominator else None, rule.parameters.target),
        "target_percent": target_percent(rule.parameters.target),
    }
    return IncidentData(
        **_common(transition, rule, policy, words, opened_at_ms),
        enterprise_id=day.enterprise_id,
        opened_at_ms=opened_at_ms,
        last_seen_ms=closed_at_ms,
        closed_at_ms=closed_at_ms if transition.state == CLOSED else None,
        fix_count=denominator,
        synthetic=transition.synthetic,
    )


def violation_data(transition: ViolationTransition, registry: Registry) -> IncidentData:
    """What is said of an outlet's or enterprise's scans of a day; its bounds are those of the first and last."""
    policy, summary, key = transition.policy, transition.summary, transition.key
    kind, _, name = key.subject.partition("/")
    first = summary.evidence[0] if summary.evidence else None
    opened_at_ms = first.event_time_ms if first else policy.days.bounds_ms(key.date)[0]
    outlet = _outlet(registry, key.subject, opened_at_ms)
    enterprise_id = name if kind == "enterprise" else (outlet.enterprise_id if outlet else None) or (first.enterprise_id if first else None)
    words = {
        **_subject_words(key.subject, enterprise_name(enterprise_id or "", policy, registry, opened_at_ms)),
        "date": key.date,
        "count": str(summary.count),
        "scans_en": "1 scan" if summary.count == 1 else f"{summary.count} scans",
        "parcels_en": "1 parcel" if summary.count == 1 else f"{summary.count} parcels",
    }
    lon, lat = (outlet.lon, outlet.lat) if outlet else (None, None)
    return IncidentData(
        **_common(transition, transition.rule, policy, words, opened_at_ms),
        enterprise_id=enterprise_id,
        outlet_id=name if kind == "outlet" else None,
        opened_at_ms=opened_at_ms,
        last_seen_ms=summary.last_seen_ms if first else opened_at_ms,
        closed_at_ms=summary.last_seen_ms if transition.state == CLOSED else None,
        lon=lon,
        lat=lat,
        fix_count=summary.count,
        evidence=tuple(Evidence(scan.event_id, scan.event_time_ms, lon, lat, None) for scan in summary.evidence),
        synthetic=summary.synthetic,
    )


def interval_data(transition: IntervalTransition, registry: Registry) -> IncidentData:
    """What is said of a silence or a black list; its bounds are those of the interval, ``fix_count`` its size."""
    policy, interval = transition.policy, transition.interval
    kind, _, name = transition.subject.partition("/")
    outlet = _outlet(registry, transition.subject, interval.start_ms)
    enterprise_id = name if kind == "enterprise" else outlet.enterprise_id if outlet else None
    words = {
        **_subject_words(transition.subject, enterprise_name(enterprise_id or "", policy, registry, interval.start_ms)),
        "since": local_datetime(interval.start_ms, policy.timezone).strftime("%Y-%m-%d %H:%M"),
        "count": str(interval.size),
    }
    last_seen_ms = interval.start_ms if interval.end_ms is None else interval.end_ms
    return IncidentData(
        **_common(transition, transition.rule, policy, words, interval.start_ms),
        enterprise_id=enterprise_id,
        outlet_id=name if kind == "outlet" else None,
        opened_at_ms=interval.start_ms,
        last_seen_ms=last_seen_ms,
        closed_at_ms=last_seen_ms if transition.state == CLOSED else None,
        lon=outlet.lon if outlet else None,
        lat=outlet.lat if outlet else None,
        fix_count=interval.size,
        synthetic=interval.synthetic,
    )


def line_data(transition: LineTransition) -> IncidentData:
    """What is said of a delivery line that nobody drove; its bounds are those of the local day."""
    policy = transition.policy
    opened_at_ms, closed_at_ms = policy.days.bounds_ms(transition.date)
    names = [policy.zone_name(zone) for zone in transition.zones]
    words = {
        "line_id": transition.line_id, "date": transition.date,
        "zones_zh": "、".join(zh for zh, _ in names), "zones_en": ", ".join(en for _, en in names),
    }  # fmt: skip
    return IncidentData(
        **_common(transition, transition.rule, policy, words, policy.days.bounds_ms(transition.date)[0]),
        opened_at_ms=opened_at_ms,
        last_seen_ms=closed_at_ms,
        closed_at_ms=closed_at_ms if transition.state == CLOSED else None,
        fix_count=0,
        line_id=transition.line_id,
    )


def enterprise_name(enterprise_id: str, policy: Policy, registry: Registry, event_time_ms: int) -> tuple[str, str]:
    """Chinese and English name of an enterprise, or of the city for ``*``."""
    if enterprise_id == CITY_WIDE:
        return policy.pack.city.name_zh, policy.pack.city.name_en
    enterprise = registry.at("enterprise", enterprise_id, event_time_ms)
    if not isinstance(enterprise, Enterprise):
        return enterprise_id, enterprise_id
    return enterprise.name_zh or enterprise_id, enterprise.name_en or enterprise_id


def _outlet(registry: Registry, subject: str, event_time_ms: int) -> Outlet | None:
    kind, _, name = subject.partition("/")
    record = registry.at(kind, name, event_time_ms)
    return record if isinstance(record, Outlet) else None


def _subject_words(subject: str, enterprise_names: tuple[str, str]) -> dict[str, str]:
    """How an outlet, or an enterprise, is called in Chinese and English."""
    kind, _, name = subject.partition("/")
    name_zh, name_en = enterprise_names
    if kind == "outlet":
        return {"subject_zh": f"{name_zh}网点 {name}", "subject_en": f"outlet {name} of {name_en}"}
    return {"subject_zh": name_zh, "subject_en": name_en}


def _common(transition: Revision, rule: Rule, policy: Policy, words: dict[str, str], opened_at_ms: int) -> dict[str, Any]:
    """The fields that every incident gets alike; ``words`` go into its reason."""
    module = RULES[rule.rule]
    of_month = len(words.get("date", "")) == len("YYYY-MM")
    reason_zh, reason_en = (module.MONTH_ZH, module.MONTH_EN) if of_month else (module.REASON_ZH, module.REASON_EN)
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
        "reason_zh": reason_zh.format(**words),
        "reason_en": reason_en.format(**words),
        "continued_by": policy.continued_by(opened_at_ms) if rule.clause else None,
        **_claims(rule, policy),
    }


def _claims(rule: Rule, policy: Policy) -> dict[str, Any]:
    """What the pack says of its document; nothing of a rule that was withdrawn, of which no clause is known."""
    document = policy.pack.document
    return {
        "clause_text": rule.quote or None,
        "document": document.title if rule.clause else None,
        "document_number": document.number if rule.clause else None,
        "basis": rule.basis,
        "figures": rule.figures,
        "duty_of": rule.duty_of,
        "responsible": tuple(rule.responsible),
        "lead": document.lead_of(rule.responsible),
        "reading": rule.reading or None,
        "stands_in_for": rule.stands_in_for,
    }
