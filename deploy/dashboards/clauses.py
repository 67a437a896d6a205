"""What the cities' documents say about what the dashboards show: clauses from the packs."""

from __future__ import annotations

from functools import cache

from streams.policy.checks import is_share
from streams.policy.pack import Rule
from streams.policy.policy import Policy
from streams.policy.reader import load_policy, packs
from streams.registry.key_figures import READINGS, TITLES
from streams.words.basis import FIGURES_WORDS, MARKS

Words = tuple[str, str]
"""The same in Chinese and in English."""


@cache
def _policies() -> dict[str, Policy]:
    return {name: load_policy(name) for name in packs()}


def clauses(*rules: str) -> Words:
    """The clauses of the cities' documents from which these rules come, by their basis.

    >>> clauses("uninsured_driver")[1]
    'Clauses (encouraged): Hezhou 二（三）9, Hohhot 三（十）, Shaoxing 五, Yunnan 三（十）. Clauses (illustrative): Wulong 二（二）1.'
    """
    found: dict[Words, dict[Words, None]] = {}
    for policy in _policies().values():
        city = policy.pack.city
        for rule in policy.pack.rules:
            if rule.rule in rules:
                found.setdefault(_basis(rule), {})[f"{city.name_zh} {rule.clause}", f"{city.name_en} {rule.clause}"] = None
    chinese = (f"条款（{basis}）：{'，'.join(clause for clause, _ in of)}。" for (basis, _), of in found.items())
    english = (f"Clauses ({basis}): {', '.join(clause for _, clause in of)}." for (_, basis), of in found.items())
    return "".join(chinese), " ".join(english)


def _basis(rule: Rule) -> Words:
    mark = MARKS[rule.basis]
    return (f"{mark.zh}；{FIGURES_WORDS.zh}", f"{mark.en}; {FIGURES_WORDS.en}") if rule.figures else mark


def readings(*, shares: bool) -> Words:
    """What in the key figures that are shares, or numbers of things, is our own.

    >>> readings(shares=False)[1].startswith("Of hubs, county centres, township stations, village points, public pick-up points: in use is what was scanned at within 30 days;")
    True
    """
    own: dict[Words, list[Words]] = {}
    for measure, reading in READINGS.items():
        if is_share(measure) is shares:
            own.setdefault(reading, []).append(TITLES[measure])
    chinese = (f"{'、'.join(zh for zh, _ in titles)}：{reading[0]}。" for reading, titles in own.items())
    english = (f"Of {', '.join(en for _, en in titles)}: {reading[1]}." for reading, titles in own.items())
    return "".join(chinese), " ".join(english)
