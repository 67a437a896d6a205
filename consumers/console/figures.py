"""The key figures of the network beside the shares of parcels: value, target, clause, the clause's words and date. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from streams.policy.checks import is_share
from streams.policy.policy import Policy
from streams.policy.wording import target_words
from streams.registry.figure_clauses import clauses_of
from streams.registry.key_figures import TITLES
from streams.words.terms import LANGUAGES


def figures_view(policy: Policy | None, measured: Mapping[str, float], elsewhere: Iterable[str]) -> list[dict[str, Any]]:
    """A row for each figure that is measured or has a target, but for those that are shown ``elsewhere``; a value of None: nobody reports it."""
    targets = policy.pack.targets if policy else {}
    names = [*TITLES, *(name for name in targets if name not in TITLES)]
    shown = [name for name in names if (name in measured or name in targets) and name not in elsewhere]
    return [_figure(policy, name, measured.get(name)) for name in shown]


def _figure(policy: Policy | None, name: str, value: float | None) -> dict[str, Any]:
    said = claims(policy, name)
    is_met = None if value is None or said["target"] is None else value >= said["target"]
    return {"figure": name, **dict(zip(("zh", "en"), TITLES.get(name, (name, name)), strict=True)), "is_share": is_share(name), "value": value, "is_met": is_met, **said}


def claims(policy: Policy | None, name: str) -> dict[str, Any]:
    """The target of a measure, its date and whose it is, in fields and in one sentence; the clause that speaks of it, and its words."""
    target = policy.pack.targets.get(name) if policy else None
    spoken = clauses_of(policy.pack.city.adcode, policy.pack.document.title) if policy else {}
    clause, quote = spoken.get(name, (None, ""))
    if target is None:
        return {"target": None, "by": None, "source": None, "clause": clause, "quote": quote, "words": None}
    sentence = target_words(name, target)
    return {
        "target": target.value, "by": target.by, "source": target.source, "clause": target.clause or clause, "quote": target.quote or quote,
        "words": {lang: sentence.line(lang) for lang in LANGUAGES},
    }  # fmt: skip
