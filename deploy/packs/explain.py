"""A policy pack explained to an official, in one language: its document, every rule in sentences, targets, and what in it is illustrative."""

from __future__ import annotations

from collections.abc import Iterator

from streams.policy.conditions import exemption_bases
from streams.policy.pack import Pack, Rule
from streams.policy.policy import Policy
from streams.policy.reader import load_policy, packs
from streams.policy.wording import calendars_words, document_words, rule_words, target_words, zone_list
from streams.rules import RULES
from streams.words.basis import BASIS_WORDS, MARKS, Basis
from streams.words.shown import shown
from streams.words.terms import Lang, listed

_MARKS: dict[Basis | None, str] = {"encouraged": "+", "illustrative": "°"}
"""How clauses are marked that demand nothing."""


def explain(policy: Policy, lang: Lang = "en") -> str:
    """The whole pack, a paragraph a rule."""
    pack, chinese = policy.pack, lang == "zh"
    city, *document = document_words(pack).lines(lang)
    lines = [city, *document]
    if pack.geometries:
        lines.append(f"{'区域：' if chinese else 'Zones: '}{zone_list(policy, pack.geometries, lang)}{'。' if chinese else '.'}")
    if calendars := getattr(calendars_words(pack), lang):
        lines.append(f"日历：{calendars}。" if chinese else f"Calendars: {calendars}.")
    lines += ["", f"一、规则（共{len(pack.rules)}条）" if chinese else f"I. Rules ({len(pack.rules)})"]
    for number, rule in enumerate(pack.rules, 1):
        lines += ["", *rule_lines(rule, policy, lang, f"{number}.")]
    lines += ["", "二、目标" if chinese else "II. Targets"]
    lines += [f"   {target_words(measure, target).line(lang)}" for measure, target in pack.targets.items()] or ["   （无）" if chinese else "   (none)"]
    lines += ["", "三、哪些是示例，哪些是本包的理解" if chinese else "III. What is illustrative, and what is read into the words", *(f"   {line}" for line in _illustrative(pack, lang))]
    return "\n".join(map(shown, lines))


def rule_lines(rule: Rule, policy: Policy, lang: Lang, mark: str) -> list[str]:
    """A rule's title, on what it rests and its id, and its sentences below."""
    words = rule_words(rule, policy)
    basis = getattr(MARKS[rule.basis], lang)
    title = f"{words.title.zh}（{basis}）〔{rule.id}〕" if lang == "zh" else f"{words.title.en} ({basis}) [{rule.id}]"
    return [f"{mark} {title}", *(f"   {line}" for line in words.lines(lang))]


def _illustrative(pack: Pack, lang: Lang) -> Iterator[str]:
    """Which rules, figures and exemptions are examples, on which nothing is claimed of the document, and where its words are read in a way that they do not spell out."""
    numbered = list(enumerate(pack.rules, 1))
    wholly = [number for number, rule in numbered if rule.basis == "illustrative"]
    figures = [number for number, rule in numbered if rule.figures and not rule.reading and rule.basis in {"stated", "encouraged"}]
    exempt = [number for number, rule in numbered if "illustrative" in exemption_bases(rule)]
    unclaimed = [number for number, rule in numbered if rule.basis is None]
    said = {
        "zh": ("整条为示例，文件未作此要求", "文件有此要求或鼓励，其中的数值、区域或时段为示例", "豁免范围为示例", "由运营方自行规定，未称出自文件"),
        "en": ("wholly illustrative, the document does not ask for it", "demanded or encouraged by the document, with illustrative figures, zones or hours", "with illustrative exemptions", "on the operator's own word, nothing is claimed of the document"),
    }  # fmt: skip
    readings = [number for number, rule in numbered if rule.reading]
    targets = [target_words(measure, target).title for measure, target in pack.targets.items() if target.reading]
    found = [(numbers, words) for numbers, words in zip((wholly, figures, exempt, unclaimed), said[lang], strict=True) if numbers]
    for numbers, words in found:
        which = listed(map(str, numbers), lang)
        yield f"第{which}条：{words}。" if lang == "zh" else f"{'Rule' if len(numbers) == 1 else 'Rules'} {which}: {words}."
    if readings or targets:
        where = [f"第{listed(map(str, readings), lang)}条" if lang == "zh" else f"rule{'s' * (len(readings) > 1)} {listed(map(str, readings), lang)}"] if readings else []
        where += [f"目标“{title.zh}”" if lang == "zh" else f"the target “{title.en}”" for title in targets]
        said_of = listed(where, lang)
        yield f"{said_of}：含本包对文件的理解，见各条所注。" if lang == "zh" else f"{said_of[:1].upper()}{said_of[1:]}: the words are read in a way that they do not spell out, as is said there."
    elif not found:
        yield "（无）" if lang == "zh" else "(nothing)"


def rule_table(*, chinese: bool = False) -> str:
    """Every rule, what is wrong, and the clause of each city's document under which it stands and on what basis, as a Markdown table."""
    policies = [load_policy(name) for name in packs()]
    cities = [policy.pack.city.name_zh if chinese else policy.pack.city.name_en for policy in policies]
    lines = [f"| {' | '.join(['规则', '情形', *cities] if chinese else ['rule', 'what is wrong', *cities])} |", "|---" * (len(cities) + 2) + "|"]
    for name, module in RULES.items():
        what = module.TITLE_ZH if chinese else str(module.__doc__).partition("\n")[0]
        clauses = ["、".join(dict.fromkeys(rule.clause + _MARKS.get(rule.basis, "") for rule in policy.pack.rules if rule.rule == name)) or "–" for policy in policies]
        lines.append(f"| {' | '.join([f'[`{name}`](streams/rules/{name}.py)', what, *clauses])} |")
    lines += ["", "; ".join(f"{mark}: {BASIS_WORDS[basis].zh if chinese else BASIS_WORDS[basis].en}" for basis, mark in _MARKS.items() if basis)]
    return "\n".join(map(shown, lines))
