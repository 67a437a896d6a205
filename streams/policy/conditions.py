"""The parts of a rule's sentence, in Chinese and English: of whom, where, when, with which figures, and who is exempt."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

from streams.clock import Duration
from streams.policy.claims import exemptions
from streams.policy.examples import example_of
from streams.policy.pack import Exemption, Rule, Selector
from streams.policy.policy import Policy
from streams.registry.records import NEW_ENERGY
from streams.rules import RULES
from streams.words.basis import BASIS_WORDS, EXTENT_WORDS, Words
from streams.words.terms import (
    BODIES,
    CALENDARS,
    CLASSES,
    ENERGIES,
    PASSES,
    Lang,
    distance_words,
    duration_words,
    listed,
    quoted,
    speed_words,
    term,
    value_words,
    windows_words,
)  # fmt: skip

NOTHING = Words("", "")
HOME_PLATE = "京"
"""What plates in examples begin with."""
COUNTED = "①②③④⑤⑥⑦⑧⑨⑩⑪⑫⑬⑭⑮⑯⑰⑱⑲⑳"
_FLAGS = {
    "primary_brands_only": {
        True: Words("主要品牌快递企业（逐家及合计）", "the primary brands, each of them and all together,"),
        False: Words("快递企业（逐家及合计）", "express enterprises, each of them and all together,"),
    },
    "rising": {
        True: Words("，且每月须高于上月（已达100%的除外）", ", and the share of each month must be above that of the month before (unless it is 100%)"),
        False: NOTHING,
    },
    "confirmed_only": {
        True: Words(
            "仅对公安机关已确认或已处罚的事件计分；被驳回或申诉成立的，自答复之时起不再计分。",
            " Only incidents that police have acknowledged or fined cost points; one that is dismissed, or an objection to which is upheld, costs none from then on.",
        ),
        False: NOTHING,
    },
}
"""What parameters that are on or off add to a sentence."""
_DRIVERS: dict[Lang, str] = {
    "zh": "事件发生时车辆报送的驾驶人另行计分（{points}），365天内累计达到{black_at}分的，其信用为黑。",
    "en": " The driver whom the vehicle reports has points of his own ({points}); with {black_at} points within 365 days his credit is black.",
}


def both(said: Callable[[Lang], str]) -> Words:
    """The same in both languages."""
    return Words(said("zh"), said("en"))


def title_words(rule: str) -> Words:
    """What is wrong, in a few words."""
    module = RULES[rule]
    return Words(module.TITLE_ZH, str(module.__doc__).partition("\n")[0].removesuffix("."))


def whom_words(selector: Selector | None) -> Words:
    """The vehicles that a rule is about."""

    def said(lang: Lang) -> str:
        vehicles = {"zh": "快递服务车辆", "en": "courier vehicles"}[lang]
        if selector is None:
            return vehicles
        kinds = [energy_words(selector.energy, lang)] if selector.energy else []
        kinds += [listed(_names(BODIES, selector.body, lang), lang, "or")] if selector.body else []
        classes = listed(_names(CLASSES, selector.classes or (), lang), lang) or vehicles
        if lang == "en":
            return " ".join((", ".join(kinds), classes)).strip()
        return f"{'、'.join(kinds)}的{classes}" if kinds else classes

    return both(said)


def zones_words(rule: Rule, policy: Policy) -> Words:
    """The names of a rule's zones; empty where it is not tied to any."""
    return both(lambda lang: listed((quoted(policy.zone_name(zone)[lang == "en"]) for zone in rule.zone_ids or ()), lang, "or"))


def where_words(rule: Rule, policy: Policy) -> Words:
    """In which zones, as it stands in a sentence; empty where it is not tied to any."""
    zones = zones_words(rule, policy)
    return Words(f"在{zones.zh}内", f" in {zones.en}") if rule.zone_ids else NOTHING


def when_words(rule: Rule) -> Words:
    """The windows in which it is permitted; empty where there are none."""
    return both(lambda lang: windows_words(rule.permitted or (), lang))


def unless_words(rule: Rule) -> Words:
    """Those windows as they stand at the end of a sentence."""
    if not rule.permitted:
        return NOTHING
    when, several = when_words(rule), len({window.days for window in rule.permitted}) > 1
    return Words(f"（下列时段除外：{when.zh}）" if several else f"（{when.zh}除外）", f", except {when.en}")


def parameter_words(rule: Rule) -> dict[str, Words]:
    """A rule's own parameters by name, each as it stands in a sentence."""
    return {name: _parameter(name, getattr(rule.parameters, name), rule.vehicles) for name in getattr(rule.parameters, "__struct_fields__", ())}


def _parameter(name: str, value: Any, selector: Selector | None) -> Words:
    if name == "hours":
        return both(lambda lang: {"zh": "在{}内", "en": ", {}"}[lang].format(windows_words(value, lang))) if value else NOTHING
    if name == "allow":
        return both(lambda lang: _allowed(value, selector, lang))
    if name == "points":
        return both(lambda lang: _points(value, lang))
    if name == "drivers":
        return both(lambda lang: _DRIVERS[lang].format(points=_points(value.points, lang), black_at=f"{value.black_at:g}")) if value else NOTHING
    if name.endswith("_pattern"):
        return _plate(value)
    if isinstance(value, bool):
        return _FLAGS.get(name, {}).get(value) or Words("是" if value else "否", "yes" if value else "no")
    if isinstance(value, list | tuple):
        return both(lambda lang: listed(map(quoted, map(str, value)), lang))
    return both(lambda lang: _number(name, value, lang))


def _number(name: str, value: Any, lang: Lang) -> str:
    if isinstance(value, Duration):
        return duration_words(value, lang)
    if name.endswith("_kmh"):
        return speed_words(value, lang)
    if name.endswith("_m"):
        return distance_words(value, lang)
    if value is None:
        return {"zh": "全部", "en": "all"}[lang]
    return value_words(value, share=name == "target") if isinstance(value, int | float) else str(value)


def _plate(pattern: str) -> Words:
    example = example_of(pattern, prefer=HOME_PLATE)
    return Words(f"“{example}”", f"“{example}”") if example else Words("符合本包所定格式", "one of the form that the pack sets")


def identifier_words(policy: Policy) -> Words:
    """The scheme of vehicle numbers, by an example; without one it is only said that there is a scheme."""
    pattern = policy.pack.identifier.pattern if policy.pack.identifier else ""
    example = example_of(pattern) if pattern else None
    if example:
        return Words(f"统一编号规则（例如 {example}）", f"the unified scheme (for example {example})")
    return Words("本包所定的统一编号格式", "the form of number that the pack sets")


def _allowed(allow: Any, selector: Selector | None, lang: Lang) -> str:
    """What a standard vehicle must be; its class only where the rule is about others too."""
    parts = []
    said = selector is not None and selector.classes is not None and set(selector.classes) <= set(allow.classes or ()) and bool(allow.body or allow.energy)
    for given, names in ((not said and allow.classes, _names(CLASSES, allow.classes or (), lang)), (allow.body, _names(BODIES, allow.body or (), lang))):
        if given:
            parts.append({"zh": "为{}", "en": "be {}"}[lang].format(listed(names, lang, "or")))
    if allow.energy:
        parts.append({"zh": "为{}", "en": "be {}"}[lang].format(energy_words(allow.energy, lang)))
    return listed(parts, lang) if lang == "en" else "且".join(parts)


def _points(points: dict[str, float], lang: Lang) -> str:
    """What each rule costs."""
    each = (f"{getattr(title_words(rule), lang)}{f'{cost:g}分' if lang == 'zh' else f': {cost:g}'}" for rule, cost in points.items())
    return ("、" if lang == "zh" else "; ").join(each)


def energy_words(given: Iterable[str], lang: Lang) -> str:
    """Kinds of energy; all of new energy by that name."""
    names = listed(_names(ENERGIES, given, lang), lang, "or")
    if set(given) != NEW_ENERGY:
        return names
    return f"新能源（{names}）" if lang == "zh" else f"new-energy ({names})"


def _names(terms: dict[str, Words], given: Iterable[str], lang: Lang) -> Iterator[str]:
    return (getattr(term(terms, word), lang) for word in given)


def calendar_words(name: str) -> Words:
    """A calendar by its name, in quotation marks."""
    return both(lambda lang: quoted(getattr(term(CALENDARS, name), lang)))


def alternative_words(exemption: Exemption, rule: Rule) -> Words:
    """The conditions of one alternative, all of which must hold, as they stand after “if”."""
    return both(lambda lang: _alternative(exemption, rule, lang))


def _alternative(exemption: Exemption, rule: Rule, lang: Lang) -> str:
    everywhere = rule.zone_ids is None or RULES[rule.rule].ZONES == "outside"
    passes = listed(_names(PASSES, exemption.passes, lang), lang, "or")
    calendars = listed((getattr(calendar_words(name), lang) for name in exemption.calendars), lang, "or")
    energy, body = energy_words(exemption.energy, lang), listed(_names(BODIES, exemption.body, lang), lang, "or")
    if lang == "zh":
        classes = listed(_names(CLASSES, exemption.classes, lang), lang, "or")
        conditions = [
            (passes, f"持有{'全域' if everywhere else '该区域'}有效的{passes}"), (energy, f"车辆为{energy}"), (classes, f"车型为{classes}"), (body, f"车身为{body}"),
            (exemption.marked, "车辆有统一标识"), (exemption.key_enterprise, "属于重点企业"), (exemption.joint_delivery, "参加共同配送"), (calendars, f"在{calendars}期间"),
        ]  # fmt: skip
        return "，且".join(words for asked, words in conditions if asked)
    classes = listed((f"{'an' if name[0] in 'aeiou' else 'a'} {name.removesuffix('s')}" for name in _names(CLASSES, exemption.classes, lang)), lang, "or")
    conditions = [
        (passes, f"it holds a {passes} that is valid {'everywhere' if everywhere else 'for the zone'}"), (energy, f"it is {energy}"), (classes, f"it is {classes}"),
        (body, f"it is {body}"), (exemption.marked, "it bears the unified marking"), (exemption.key_enterprise, "it belongs to a key enterprise"),
        (exemption.joint_delivery, "it takes part in joint delivery"), (calendars, f"it drives during {calendars}"),
    ]  # fmt: skip
    return " and ".join(words for asked, words in conditions if asked)


def exempt_words(rule: Rule) -> Words:
    """Who is exempt, on what basis and by which words; empty where nobody is."""
    return both(lambda lang: _exempt(rule, lang))


def _exempt(rule: Rule, lang: Lang) -> str:
    alternatives = [alternative for alternative in rule.alternatives if alternative.conditions]
    if not alternatives:
        return ""
    claims = {(alternative.basis, alternative.figures, alternative.quote) for alternative in alternatives}
    withdrawn = {alternative.unless_credit for alternative in alternatives}
    items = []
    for alternative in alternatives:
        notes = [_withdrawn(lang, short=True)] if alternative.unless_credit and len(withdrawn) > 1 else []
        notes += [claim_words(alternative, lang)] if len(claims) > 1 else []
        said = _alternative(alternative, rule, lang)
        noted = ("；" if lang == "zh" else "; ").join(filter(None, notes))
        items.append(said + (f"（{noted}）" if lang == "zh" else f" ({noted})") * bool(noted))
    sentences = [_either_of(items, lang)]
    if len(withdrawn) == 1 and withdrawn != {None}:
        sentences.append(_withdrawn(lang, short=False))
    if len(claims) == 1 and (claim := claim_words(alternatives[0], lang)):
        sentences.append({"zh": f"豁免的{claim}。", "en": f"The exemption's {claim}."}[lang])
    return ("" if lang == "zh" else " ").join(sentences)


def _either_of(items: list[str], lang: Lang) -> str:
    if len(items) == 1:
        return {"zh": f"豁免：{items[0]}的，不受此限。", "en": f"Exempt is a vehicle if {items[0]}."}[lang]
    if lang == "zh":
        return "豁免：有下列情形之一的，不受此限：" + "；".join(f"{COUNTED[n % len(COUNTED)]}{item}" for n, item in enumerate(items)) + "。"
    return "Exempt is a vehicle of which any of these is true: " + "; ".join(f"({n}) {item}" for n, item in enumerate(items, 1)) + "."


def _withdrawn(lang: Lang, *, short: bool) -> str:
    if short:
        return {"zh": "列入黑名单的企业除外", "en": "unless its enterprise is on the black list"}[lang]
    return {"zh": "列入黑名单的企业，其车辆不得豁免。", "en": "Vehicles of an enterprise on the black list are not exempt."}[lang]


def claim_words(exemption: Exemption, lang: Lang) -> str:
    """On what an exemption rests, and by which words."""
    parts = [{"zh": "依据：", "en": "basis: "}[lang] + getattr(BASIS_WORDS[exemption.basis], lang)] if exemption.basis else []
    parts += [getattr(EXTENT_WORDS, lang)] if exemption.figures else []
    parts += [{"zh": "原文：", "en": "words: "}[lang] + quoted(exemption.quote)] if exemption.quote else []
    return ("；" if lang == "zh" else "; ").join(parts)


def exemption_bases(rule: Rule) -> set[str]:
    """The bases that a rule's exemptions claim."""
    return {exemption.basis for _, exemption in exemptions(rule) if exemption.basis}
