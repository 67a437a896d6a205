"""The key figures of the network beside the shares of parcels: value, target, clause, the clause's words and date. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Any

from streams.policy.checks import is_share
from streams.policy.claims import figure_clauses
from streams.policy.policy import Policy
from streams.policy.targets import STATUS_WORDS, status
from streams.policy.wording import target_words
from streams.registry.key_figures import READINGS, TITLES
from streams.words.terms import LANGUAGES


def figures_view(policy: Policy | None, measured: Mapping[str, float], elsewhere: Iterable[str], day: str, active: Mapping[str, float] = MappingProxyType({})) -> list[dict[str, Any]]:
    """A row for each figure that is measured or has a target, but for those that are shown ``elsewhere``, as of a local ``day``; a value of None: nobody reports it.

    ``active``: how many of what a figure counts are in use; a target is reached by these, as in the report.
    """
    targets = policy.pack.targets if policy else {}
    names = [*TITLES, *(name for name in targets if name not in TITLES)]
    shown = [name for name in names if (name in measured or name in targets) and name not in elsewhere]
    return [_figure(policy, name, measured.get(name), day, active.get(name)) for name in shown]


def _figure(policy: Policy | None, name: str, value: float | None, day: str, active: float | None) -> dict[str, Any]:
    titles = dict(zip(("zh", "en"), TITLES.get(name, (name, name)), strict=True))
    return {"figure": name, **titles, "is_share": is_share(name), "value": value, "active": active, **standing(policy, name, value if value is None or active is None else min(value, active), day), **claims(policy, name)}


def standing(policy: Policy | None, name: str, value: float | None, day: str) -> dict[str, Any]:
    """How a value stands to the pack's target on a local ``day``, and in words."""
    found = status(name, value, policy.pack.targets.get(name) if policy else None, day)
    return {"status": found, "standing": STATUS_WORDS[found]._asdict()}


def claims(policy: Policy | None, name: str) -> dict[str, Any]:
    """The target of a measure, its date and whose it is, in fields and in one sentence; the clause that speaks of it, and its words; what in the measure is our own."""
    reading = dict(zip(LANGUAGES, READINGS[name], strict=True)) if name in READINGS else None
    target = policy.pack.targets.get(name) if policy else None
    spoken = figure_clauses(policy.pack) if policy else {}
    clause, quote = spoken.get(name, (None, ""))
    if target is None:
        return {"target": None, "by": None, "source": None, "clause": clause, "quote": quote, "words": None, "reading": reading}
    sentence = target_words(name, target)
    return {
        "target": target.value, "by": target.by, "source": target.source, "clause": target.clause or clause, "quote": target.quote or quote,
        "words": {lang: sentence.line(lang) for lang in LANGUAGES}, "reading": reading,
    }  # fmt: skip
