"""What the views beside the map show: shares by enterprise and day against their targets, the register of outlets, the pack in sentences. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from streams.basis import MARKS
from streams.counts import CITY_WIDE, RATES_OF, SAID_OR_NOT
from streams.policy.policy import Policy
from streams.policy.wording import document_words, rule_words, target_words
from streams.registry.key_figures import TITLES
from streams.registry.records import AnyEntry, Facility, Line, Outlet
from streams.registry.registry import Registry

MEASURES = {feature: {"electronic": "electronic_waybill", "green": "green_packaging"}.get(feature, feature) for feature in (*RATES_OF, *SAID_OR_NOT)}
"""The rates that rows have, and what packs call them."""
_OUTLET = ("id", "enterprise_id", "township", "lon", "lat", "filed", "camera", "recycling_container")
_FACILITY = ("id", "level", "enterprise_id", "township", "village", "lon", "lat")
DAYS = 30
"""So many days, the newest, are drawn."""


def rates_view(rates: Mapping[tuple[str, str], Mapping[str, Any]], policy: Policy | None) -> dict[str, Any]:
    """Each enterprise's shares of the newest local day, the city's of the last days, and the targets, those that have one first; rows are by (enterprise or ``*``, date)."""
    dates = sorted({date for enterprise_id, date in rates if enterprise_id == CITY_WIDE})[-DAYS:]
    newest = dates[-1] if dates else None
    of_day = sorted((key[0], row) for key, row in rates.items() if key[1] == newest)
    targets = policy.pack.targets if policy else {}
    known = {feature for _, row in of_day for feature in MEASURES if row.get(f"{feature}_rate") is not None}
    measures = [
        {"feature": feature, "target": policy.pack.target_of(measure) if policy else None, **dict(zip(("zh", "en"), TITLES[measure], strict=True)),
         "words": {lang: target_words(measure, targets[measure]).line(lang) for lang in ("zh", "en")} if measure in targets else None}
        for feature, measure in MEASURES.items() if measure in TITLES and (feature in known or measure in targets)
    ]  # fmt: skip
    measures.sort(key=lambda measure: measure["target"] is None)
    return {
        "date": newest, "measures": measures,
        "rows": [{"enterprise_id": name, "accepted": row.get("accepted"), "rates": {feature: row.get(f"{feature}_rate") for feature in known}} for name, row in of_day],
        "days": [{"date": date, "accepted": rates[CITY_WIDE, date].get("accepted"), "rates": {feature: rates[CITY_WIDE, date].get(f"{feature}_rate") for feature in known}} for date in dates],
    }  # fmt: skip


def outlets_view(registry: Registry, unfiled: Iterable[tuple[str, str | None]], now_ms: int) -> dict[str, Any]:
    """The register of outlets as it is now (网点备案): where each is, whether it is on file and what it has; those seen in scans (``unfiled``: id and enterprise) that are on no file; facilities and lines."""
    current = {kind: _current(registry, kind, now_ms) for kind in ("outlet", "facility", "line")}
    outlets = [{name: getattr(entry, name) for name in _OUTLET} for entry in current["outlet"] if isinstance(entry, Outlet)]
    known = {outlet["id"] for outlet in outlets}
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


def policy_view(policy: Policy | None) -> dict[str, Any] | None:
    """The pack that is in force, in both languages: its document, each rule and each target in the sentences of ``policy check``."""
    if policy is None:
        return None
    pack = policy.pack
    document, rules = document_words(pack), [(rule, rule_words(rule, policy)) for rule in pack.rules]
    return {
        "document": {lang: document.lines(lang) for lang in ("zh", "en")},
        "rules": [
            {"id": rule.id, "rule": rule.rule, "severity": rule.severity, "basis": MARKS[rule.basis]._asdict(), "title": words.title._asdict(), "lines": {lang: words.lines(lang) for lang in ("zh", "en")}}
            for rule, words in rules
        ],
        "targets": [{lang: target_words(measure, target).line(lang) for lang in ("zh", "en")} for measure, target in pack.targets.items()],
    }  # fmt: skip
