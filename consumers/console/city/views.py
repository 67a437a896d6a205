"""What the views beside the map show: shares by enterprise and day against their targets, the register of outlets, the pack in sentences. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Any

from consumers.console.city.day_rates import DAYS
from consumers.console.city.figures import claims, figures_view, standing
from streams.counts import CITY_WIDE, RATES_OF, SAID_OR_NOT, measure_of, share
from streams.policy.policy import Policy
from streams.policy.wording import document_words, rule_words, target_words
from streams.registry.cities import belongs
from streams.registry.key_figures import TITLES
from streams.registry.records import AnyEntry, Facility, Line, Outlet
from streams.registry.registry import Registry
from streams.words.basis import MARKS
from streams.words.terms import SCOPES

MEASURES = {feature: measure_of(feature) for feature in (*RATES_OF, *SAID_OR_NOT)}
"""The rates that rows have, and what packs call them."""
_OUTLET = ("id", "enterprise_id", "township", "lon", "lat", "filed", "camera", "recycling_container", "standardised", "reusable_boxes")
_FACILITY = ("id", "level", "enterprise_id", "township", "village", "lon", "lat")


def rates_view(rates: Mapping[tuple[str, str], Mapping[str, Any]], policy: Policy | None, now_ms: int, enterprise_id: str = CITY_WIDE, network: Mapping[str, float] = MappingProxyType({}), active: Mapping[str, float] = MappingProxyType({}), is_primary: Callable[[str], bool] = bool) -> dict[str, Any]:
    """Each enterprise's shares of the newest local day, one's (or the city's) of the last days, the targets, those that have one first, and all other key figures.

    ``rates`` are by (enterprise or ``*``, date); ``network``: what the registry comes to at ``now_ms``, ``active``: how many of that are in use; ``is_primary``: whether an enterprise is a primary brand.
    """
    dates = sorted({date for name, date in rates if name == CITY_WIDE})[-DAYS:]
    newest = dates[-1] if dates else None
    of_day = sorted((key[0], row) for key, row in rates.items() if key[1] == newest)
    targets = policy.pack.targets if policy else {}
    known = {feature for _, row in of_day for feature in MEASURES if row.get(f"{feature}_rate") is not None}
    shown = {feature: measure for feature, measure in MEASURES.items() if measure in TITLES and (feature in known or measure in targets)}
    today = policy.days.date_of(now_ms) if policy else ""
    measures = []
    for feature, measure in shown.items():
        scope = targets[measure].scope if measure in targets else None
        value = _share_of(feature, [row for name, row in of_day if (name == CITY_WIDE if scope is None else name != CITY_WIDE and is_primary(name))])
        titles = dict(zip(("zh", "en"), TITLES[measure], strict=True))
        scope_words = SCOPES[scope]._asdict() if scope else None
        measures.append({"feature": feature, **titles, "value": value, "scope": scope, "scope_words": scope_words, **standing(policy, measure, value, newest or today), **claims(policy, measure)})
    measures.sort(key=lambda measure: measure["target"] is None)

    def held_against(name: str) -> dict[str, float | None]:
        """By rate the target that a row is held against; one that concerns the primary brands is neither other enterprises' nor the whole city's."""
        is_concerned = {None: True, "primary_brands": name != CITY_WIDE and is_primary(name)}
        return {measure["feature"]: measure["target"] if is_concerned[measure["scope"]] else None for measure in measures}

    days = [(date, rates[enterprise_id, date]) for date in dates if (enterprise_id, date) in rates]
    return {
        "date": newest, "measures": measures, "figures": figures_view(policy, network, shown.values(), today, active),
        "rows": [{"enterprise_id": name, "targets": held_against(name), **_shares(row, known)} for name, row in of_day],
        "days_of": enterprise_id, "days_targets": held_against(enterprise_id), "days": [{"date": date, **_shares(row, known)} for date, row in days],
    }  # fmt: skip


def city_rate(row: Mapping[str, Any], feature: str, policy: Policy | None) -> dict[str, Any]:
    """The city's share of a local day, what the day is forecast to end with, the target, and of whom alone that is (``scope``)."""
    measure = MEASURES[feature]
    target = policy.pack.targets.get(measure) if policy else None
    scope = SCOPES[target.scope]._asdict() if target and target.scope else None
    aim = policy.pack.target_of(measure) if policy else None
    return {"date": row.get("date"), "rate": row.get(f"{feature}_rate"), "forecast": row.get(f"{feature}_forecast"), "target": aim, "scope": scope, "accepted": row.get("accepted")}


def _share_of(feature: str, rows: Sequence[Mapping[str, Any]]) -> float | None:
    """The share of several enterprises' parcels together: of what each accepted."""
    if len(rows) == 1:
        return rows[0].get(f"{feature}_rate")
    if RATES_OF.get(feature, ("", ""))[1] != "accepted":
        return None  # rows do not say how many parcels say it
    return share(sum(round(row.get(f"{feature}_rate", 0.0) * row["accepted"]) for row in rows), sum(row["accepted"] for row in rows))


def _shares(row: Mapping[str, Any], known: Iterable[str]) -> dict[str, Any]:
    return {"accepted": row.get("accepted"), "rates": {feature: row.get(f"{feature}_rate") for feature in known}}


def outlets_view(registry: Registry, unfiled: Iterable[tuple[str, str | None]], now_ms: int, city: str | None = None) -> dict[str, Any]:
    """The register of outlets of a city (adcode; None: of all) as it is now (网点备案): where each is, whether it is on file and what it has; those seen in scans (``unfiled``: id and enterprise) that are on no file; facilities and lines."""
    current = {kind: _current(registry, kind, now_ms) for kind in ("outlet", "facility", "line")}
    known = {entry.id for entry in current["outlet"]}
    current = {kind: [entry for entry in entries if belongs(getattr(entry, "city", None), city)] for kind, entries in current.items()}
    outlets = [{name: getattr(entry, name) for name in _OUTLET} for entry in current["outlet"] if isinstance(entry, Outlet)]
    strangers = {outlet_id: enterprise_id for outlet_id, enterprise_id in unfiled if outlet_id not in known}
    outlets += [{**dict.fromkeys(_OUTLET), "id": outlet_id, "enterprise_id": enterprise_id, "filed": False} for outlet_id, enterprise_id in sorted(strangers.items())]
    return {
        "outlets": outlets,
        "facilities": [{name: getattr(entry, name) for name in _FACILITY} for entry in current["facility"] if isinstance(entry, Facility)],
        "lines": [{"id": entry.id, "zones": entry.zones, "vehicle_ids": entry.vehicle_ids} for entry in current["line"] if isinstance(entry, Line)],
    }  # fmt: skip


def _current(registry: Registry, kind: str, now_ms: int) -> list[AnyEntry]:
    """The records of a kind that are valid now, by id."""
    ids = sorted({entry.id for entry in registry.each(kind)})
    return [entry for entry in (registry.at(kind, entry_id, now_ms) for entry_id in ids) if entry is not None]


def policy_view(policy: Policy | None, notes: Sequence[Mapping[str, str]] = ()) -> dict[str, Any] | None:
    """The pack that is in force, in both languages: its document, ``notes`` on other versions, each rule and each target in the sentences of ``policy check``."""
    if policy is None:
        return None
    pack = policy.pack
    document, rules = document_words(pack), [(rule, rule_words(rule, policy)) for rule in pack.rules]
    return {
        "document": {lang: document.lines(lang) for lang in ("zh", "en")}, "notes": notes,
        "rules": [
            {"id": rule.id, "rule": rule.rule, "severity": rule.severity, "basis": MARKS[rule.basis]._asdict(), "title": words.title._asdict(), "lines": {lang: words.lines(lang) for lang in ("zh", "en")}}
            for rule, words in rules
        ],
        "targets": [{lang: target_words(measure, target).line(lang) for lang in ("zh", "en")} for measure, target in pack.targets.items()],
    }  # fmt: skip
