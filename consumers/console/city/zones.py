"""What each zone of a pack forbids at an instant, until when, and in which words."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from shapely.geometry import mapping

from streams.clock import DAY_MS
from streams.policy.conditions import title_words
from streams.policy.pack import Rule
from streams.policy.policy import Policies, Policy
from streams.policy.wording import document_words, rule_words
from streams.rules import RULES
from streams.words.terms import LANGUAGES

CLOSED, NO_STOPPING, LIMITED, AREA, FREE = "closed", "no_stopping", "limited", "area", "free"
LEVELS = (CLOSED, NO_STOPPING, LIMITED, AREA, FREE)
"""What a zone is coloured by, the gravest first: no entry, no stopping, limits on speed or time, not to be left, nothing at present."""
_LEVEL_OF = {"restricted_hours": CLOSED, "forbidden_stop": NO_STOPPING, "outside_operating_area": AREA}
NO_ZONES = {"zh": "政策包没有划定区域。", "en": "The pack draws no zones."}
AHEAD_MS = 8 * DAY_MS
"""So far ahead is it looked for the next change: every weekly window comes round by then."""


def zone_states(policies: Policies, now_ms: int) -> list[dict[str, Any]]:
    """Every zone of the version then valid (named by when that begins): its level, the rules that count in it now, those that will or did, and when that changes (ms; None: not in sight)."""
    return _states_since(policies, policies.period_ms(now_ms)[0])


@lru_cache(maxsize=64)
def _states_since(policies: Policies, now_ms: int) -> list[dict[str, Any]]:
    """The same in all of a period, which begins then."""
    policy = policies.at(now_ms)
    if policy is None:
        return []
    changes = _changes_ms(policies, now_ms)
    return [_state(policy, policies, zone_id, now_ms, changes) for zone_id in policy.pack.geometries]


def zone_shapes(policies: Policies, now_ms: int) -> dict[str, Any]:
    """The zones as GeoJSON."""
    policy = policies.at(now_ms)
    zones = policy.pack.geometries.items() if policy is not None else ()
    return {"type": "FeatureCollection", "features": [{"type": "Feature", "id": place, "properties": {"zone_id": name}, "geometry": mapping(shape)} for place, (name, shape) in enumerate(zones)]}


def _changes_ms(policies: Policies, now_ms: int) -> list[int]:
    """The instants ahead at which a window, calendar or version may change."""
    found, moment = [], now_ms
    while moment < now_ms + AHEAD_MS:
        moment = policies.period_ms(moment)[1]
        found.append(moment)
    return found


def _in_force(policy: Policy, zone_id: str, now_ms: int) -> tuple[Rule, ...]:
    """The rules of a zone that forbid something at an instant."""
    permitted = policy.permitted_at(now_ms)
    return tuple(rule for rule in policy.fix_rules if zone_id in (rule.zone_ids or ()) and rule.id not in permitted)


def _state(policy: Policy, policies: Policies, zone_id: str, now_ms: int, changes: list[int]) -> dict[str, Any]:
    rules = _in_force(policy, zone_id, now_ms)
    ids = [rule.id for rule in rules]
    until_ms = next((moment for moment in changes if (then := policies.at(moment)) is None or [rule.id for rule in _in_force(then, zone_id, moment)] != ids), None)
    levels = [_LEVEL_OF.get(rule.rule, LIMITED) for rule in rules] or [FREE]
    others = [rule for rule in policy.fix_rules if zone_id in (rule.zone_ids or ()) and rule.id not in ids]
    name = policy.zone_name(zone_id)
    return {
        "zone_id": zone_id, "valid_from_ms": policy.valid_from_ms, "name_zh": name[0], "name_en": name[1], "level": min(levels, key=LEVELS.index), "until_ms": until_ms,
        "illustrative": zone_id in policy.pack.illustrative_zones, "document": document_words(policy.pack).title._asdict(),
        "rules": [_words(rule, policy) for rule in rules], "later": [_words(rule, policy) for rule in others],
    }  # fmt: skip


def _words(rule: Rule, policy: Policy) -> dict[str, Any]:
    """A rule in the sentences of ``policy check``: what it asks, then who is exempt and what it claims."""
    words = rule_words(rule, policy)
    return {"id": rule.id, "lines": {lang: words.lines(lang) for lang in LANGUAGES}, "clause": rule.clause, "basis": rule.basis}


def rule_titles() -> dict[str, dict[str, str]]:
    """What each rule is called in both languages."""
    return {name: {"zh": title_words(name).zh, "en": title_words(name).en} for name in RULES}
