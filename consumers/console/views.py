"""What the Rates and Policy views show: shares by enterprise and day against their targets, and the pack in sentences. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from streams.basis import MARKS
from streams.counts import CITY_WIDE, RATES_OF, SAID_OR_NOT
from streams.policy.policy import Policy
from streams.policy.wording import document_words, rule_words, target_words
from streams.registry.key_figures import TITLES

MEASURES = {feature: {"electronic": "electronic_waybill", "green": "green_packaging"}.get(feature, feature) for feature in (*RATES_OF, *SAID_OR_NOT)}
"""The rates that rows have, and what packs call them."""
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
