"""What the cities' documents say about what the dashboards show: clauses from the packs, and dates by which a figure is due."""

from __future__ import annotations

from functools import cache

from streams.policy.policy import Policy
from streams.policy.reader import load_policy, packs
from streams.registry.key_figures import TITLES

Words = tuple[str, str]
"""The same in Chinese and in English."""


@cache
def _policies() -> dict[str, Policy]:
    return {name: load_policy(name) for name in packs()}


def clauses(*rules: str) -> Words:
    """The clause of each city's document from which these rules come.

    >>> clauses("unverified_sender")[1]
    'Clauses: Shaoxing 七, Wulong 三（七）, Yunnan 一（四）.'
    """
    found = {policy: "、".join(dict.fromkeys(rule.clause for rule in policy.pack.rules if rule.rule in rules)) for policy in _policies().values()}
    chinese, english = (
        [f"{getattr(policy.pack.city, name)} {clause}" for policy, clause in found.items() if clause] for name in ("name_zh", "name_en")
    )  # fmt: skip
    return f"条款：{'，'.join(chinese)}。", f"Clauses: {', '.join(english)}."


def due_figures() -> dict[str, list[str]]:
    """Date and clause, or whose it is → the figures whose targets these are, as ``city/measure``."""
    due: dict[str, list[str]] = {}
    for policy in _policies().values():
        for measure, target in policy.pack.targets.items():
            if measure in TITLES:
                said = f"{target.by or '–'} {target.clause}" if target.source == "document" else "运营方 operator"
                due.setdefault(said, []).append(f"{policy.pack.city.adcode}/{measure}")
    return due
