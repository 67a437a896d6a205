"""A pack in clear Chinese and English sentences, made here and nowhere else: rules, targets, the document.

``rule_words``, ``target_words`` and ``document_words`` give named parts in both languages; ``lines`` puts them together.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from streams.policy.checks import is_share
from streams.policy.conditions import (
    NOTHING,
    both,
    calendar_words,
    exempt_words,
    identifier_words,
    parameter_words,
    title_words,
    unless_words,
    when_words,
    where_words,
    whom_words,
    zones_words,
)  # fmt: skip
from streams.policy.dates import DateRange
from streams.policy.pack import Document, Pack, Rule, Target
from streams.policy.policy import Policy
from streams.registry.key_figures import TITLES, UNITS
from streams.rules import RULES
from streams.words.basis import ASKERS, BASIS_WORDS, OWN_WORDS, Words, basis_words, in_language, reading_words, responsible_words, stands_in_words
from streams.words.terms import SCOPES, SEVERITIES, Lang, date_words, duration_words, listed, quoted, speed_words, term, value_words

COMMON_GAP_MS = 120_000
"""Interruptions this long, as most rules have it, are not worth a word."""


class RuleWords(NamedTuple):
    """A rule in words. Empty is what there is nothing to say of; all but ``whom``, ``where`` and ``when`` are whole sentences, or stand alone."""

    title: Words
    whom: Words
    where: Words
    when: Words
    demand: Words
    exempt: Words
    figures: Words
    clause: Words
    basis: Words
    responsible: Words
    stands_in_for: Words
    severity: Words

    def lines(self, lang: Lang) -> list[str]:
        """The rule, a line for each thing that there is to say."""
        asked = ("" if lang == "zh" else " ").join(filter(None, (getattr(self.demand, lang), getattr(self.figures, lang))))
        parts = (self.exempt, self.clause, self.basis, self.responsible, self.stands_in_for, self.severity)
        return [asked, *(text for words in parts if (text := getattr(words, lang)))]


class TargetWords(NamedTuple):
    """A target in words: what is measured, the value to be reached, until when, of whom, and whose target it is by which words."""

    title: Words
    value: Words
    by: Words
    scope: Words
    source: Words

    def line(self, lang: Lang) -> str:
        """The target as a sentence."""
        if lang == "zh":
            return f"{self.title.zh}：{self.scope.zh}应达到{self.value.zh}，{self.by.zh}；{self.source.zh}。"
        return f"{self.title.en}: {self.scope.en}{self.value.en} {self.by.en}; {self.source.en}."


class DocumentWords(NamedTuple):
    """A pack and its document in words: whose, which document, its dates and from where they are known, who goes on after its end, the pack's own time."""

    city: Words
    title: Words
    dates: Words
    source: Words
    continued: Words
    validity: Words

    def lines(self, lang: Lang) -> list[str]:
        """A line for each thing that there is to say."""
        return [text for words in self if (text := getattr(words, lang))]


def rule_words(rule: Rule, policy: Policy) -> RuleWords:
    """A rule of a pack in words."""
    return RuleWords(
        title=title_words(rule.rule),
        whom=whom_words(rule.vehicles),
        where=where_words(rule, policy),
        when=when_words(rule),
        demand=demand_words(rule, policy),
        exempt=exempt_words(rule),
        figures=figures_words(rule),
        clause=clause_words(rule.clause, rule.quote),
        basis=rule_basis_words(rule),
        responsible=_responsible(rule, policy.pack.document),
        stands_in_for=stands_in_words(rule.stands_in_for) or NOTHING,
        severity=both(lambda lang: {"zh": "运营方{}。", "en": "The operator treats it as {}."}[lang].format(getattr(SEVERITIES[rule.severity], lang))),
    )


def demand_words(rule: Rule, policy: Policy) -> Words:
    """What is forbidden or asked, where, when, of whom: the sentence of the rule's module, else that its title is wrong.

    By the operator, where the document does not demand it, or demands something of somebody who is not judged. Of a rule that was withdrawn only its name is known: it is said by its title too.
    """
    module, parameters = RULES[rule.rule], parameter_words(rule)
    slots = {
        "whom": whom_words(rule.vehicles), "where": where_words(rule, policy), "zones": zones_words(rule, policy), "unless": unless_words(rule),
        "identifier": identifier_words(policy), **parameters,
    }  # fmt: skip
    if rule.parameters is None or not hasattr(module, "ASKS_ZH"):
        title, where, unless = title_words(rule.rule), slots["where"], slots["unless"]
        figures = both(lambda lang: listed((getattr(words, lang) for words in parameters.values()), lang))
        return Words(
            f"不得有下列情形：{where.zh}{title.zh}{unless.zh}{f'（{figures.zh}）' if figures.zh else ''}。",
            f"This must not be: {title.en[:1].lower()}{title.en[1:]}{where.en}{unless.en}{f' ({figures.en})' if figures.en else ''}.",
        )
    zh = module.ASKS_ZH.format_map({name: words.zh for name, words in slots.items()})
    en = _capital(module.ASKS_EN.format_map({name: words.en for name, words in slots.items()}))
    asker = ASKERS.get((rule.basis, rule.duty_of)) or ASKERS.get((rule.basis, None), NOTHING)
    return Words(f"{asker.zh}{zh}", f"{asker.en}{en}")


def _capital(sentence: str) -> str:
    return sentence[:1].upper() + sentence[1:]


def figures_words(rule: Rule) -> Words:
    """The figures that the sentence itself does not name."""
    zh, en = [], []
    if (stopped := getattr(rule.parameters, "stopped_below_kmh", None)) is not None:
        zh.append(f"车速不高于{speed_words(stopped, 'zh')}视为停车。")
        en.append(f"At most {speed_words(stopped, 'en')} counts as stopped.")
    if rule.min_duration:
        zh.append(f"持续不足{duration_words(rule.min_duration, 'zh')}的不计。")
        en.append(f"What lasts less than {duration_words(rule.min_duration, 'en')} does not count.")
    if rule.merge_gap != COMMON_GAP_MS:
        zh.append(f"中间间隔不超过{duration_words(rule.merge_gap, 'zh')}的，算作同一起。")
        en.append(f"Gaps of at most {duration_words(rule.merge_gap, 'en')} do not end it.")
    return Words("".join(zh), " ".join(en))


def clause_words(clause: str, quote: str) -> Words:
    """The clause and its own words; empty where there is none."""
    if not clause:
        return NOTHING
    if not quote:
        return Words(f"条款：{clause}。", f"Clause {clause}.")
    return Words(f"条款：{clause}，原文：{quoted(quote)}。", f"Clause {clause}: {quoted(quote)}.")


def rule_basis_words(rule: Rule) -> Words:
    """What the document says of it, how it is read or which figures are not the document's, whom the words bind."""
    said = basis_words(rule.basis, rule.figures, rule.duty_of, None, reading=rule.reading)
    if said is None:
        return Words(f"依据：{OWN_WORDS.zh}。", f"{_capital(OWN_WORDS.en)}.")
    return Words(f"{said.zh}。", f"{_capital(said.en)}.")


def _responsible(rule: Rule, document: Document) -> Words:
    """The authorities that the document names; that it names none, where something is claimed of it."""
    if not rule.responsible and rule.basis not in {"stated", "encouraged"}:
        return NOTHING
    zh, en = responsible_words(rule.responsible, document.lead_of(rule.responsible))
    return Words(f"{zh}。", f"{_capital(en)}.")


def target_words(measure: str, target: Target) -> TargetWords:
    """A target in words; which measure it is of is said as everywhere, one of somebody's own as it is written."""
    title = Words(*TITLES[measure]) if measure in TITLES else term({}, measure)
    value = target_value_words(measure, target.value)
    return TargetWords(
        title=Words(title.zh, _capital(title.en)),
        value=value,
        by=_by_words(target),
        scope=_scope_words(target),
        source=_claims_words(target),
    )


def _by_words(target: Target) -> Words:
    if target.by is None:
        return Words("未定期限", "without a date")
    return Words(f"期限为{date_words(target.by, 'zh')}", f"by {date_words(target.by, 'en')}")


def _scope_words(target: Target) -> Words:
    return Words(SCOPES[target.scope].zh, f"{SCOPES[target.scope].en}, ") if target.scope else NOTHING


def target_value_words(measure: str, value: float) -> Words:
    """The value that is to be reached, at least: a share, or a number of things.

    >>> target_value_words("locker_cells", 130_000), target_value_words("township_coverage", 1.0).zh
    (Words(zh='130,000个以上', en='at least 130,000'), '100%')
    """
    said, share = value_words(value, share=is_share(measure)), is_share(measure)
    return Words(said, said) if share and value == 1 else Words(f"{said}{'' if share else UNITS.get(measure, '')}以上", f"at least {said}")


def source_words(source: str, clause: str | None) -> Words:
    """Whose target it is."""
    if source == "operator":
        return Words("运营方的目标，不是文件所定", "the operator's target, not the document's")
    return Words(f"文件所定，条款{clause or '未注明'}", f"the document's target, clause {clause or 'not given'}")


def _claims_words(target: Target) -> Words:
    zh, en = source_words(target.source, target.clause)
    if target.quote:
        zh, en = f"{zh}，原文：{quoted(target.quote)}", f"{en}: {quoted(target.quote)}"
    said = [BASIS_WORDS[target.basis]] if target.basis else []
    said += [reading_words(target.reading)] if target.reading else []
    return Words("；".join([zh, *(words.zh for words in said)]), "; ".join([en, *(words.en for words in said)]))


def document_words(pack: Pack) -> DocumentWords:
    """The pack and its document in words."""
    city, document = pack.city, pack.document
    number = Words(f"文号{document.number}", f"number {document.number}") if document.number else Words("原文未载文号", "it bears no number")
    own_zh = [f"自{date_words(pack.valid_from, 'zh')}起" if pack.valid_from else "自始", f"至{date_words(pack.valid_until, 'zh')}止" if pack.valid_until else "至被新版替代为止"]
    own_en = [f"from {date_words(pack.valid_from, 'en')}" if pack.valid_from else "from the beginning", f"until {date_words(pack.valid_until, 'en')}" if pack.valid_until else "until it is replaced"]
    late = both(lambda lang: duration_words(pack.lateness, lang))
    return DocumentWords(
        city=Words(f"{city.name_zh}（行政区划代码 {city.adcode}）政策包 {pack.policy}", f"{city.name_en} (division code {city.adcode}), policy pack {pack.policy}"),
        title=Words(f"所依据的文件：《{document.title}》，{number.zh}。", f"The document: 《{document.title}》, {number.en}."),
        dates=_dates_words(pack),
        source=both(lambda lang: {"zh": "日期来源：{}。", "en": "Source of the dates: {}."}[lang].format(in_language(document.source, lang).rstrip("。."))) if document.source else NOTHING,
        continued=both(lambda lang: _continued(pack, lang)),
        validity=Words(f"本包{own_zh[0]}适用，{own_zh[1]}；迟到不超过{late.zh}的定位仍计入。", f"The pack is applied {own_en[0]} {own_en[1]}; fixes count that are late by at most {late.en}."),
    )


def _dates_words(pack: Pack) -> Words:
    document, zh, en = pack.document, [], []
    if document.published:
        assumed = "published" in document.assumed
        zh.append(f"{date_words(document.published, 'zh')}公布{'（推定）' if assumed else ''}")
        en.append(f"published {date_words(document.published, 'en')}{' (assumed)' if assumed else ''}")
    if document.in_force:
        from_, until, assumed = document.in_force.from_, document.in_force.until, "in_force" in document.assumed
        zh.append(f"自{date_words(from_, 'zh')}起施行" + (f"，至{date_words(until, 'zh')}止" if until else "，未定终止日期") + ("（推定）" if assumed else ""))
        en.append(f"in force from {date_words(from_, 'en')}" + (f" until {date_words(until, 'en')}" if until else ", no end given") + (" (assumed)" if assumed else ""))
    return Words(f"文件{'；'.join(zh)}。", f"{_capital('; '.join(en))}.") if zh else Words("文件的公布和施行日期：未注明。", "Its dates of publication and force are not given.")


def _continued(pack: Pack, lang: Lang) -> str:
    if pack.continued is None:
        return ""
    by, reason = in_language(pack.continued.by, lang), in_language(pack.continued.reason, lang).rstrip("。.")
    return {"zh": f"文件期满后仍继续适用。决定者：{by}。理由：{reason}。", "en": f"It goes on being applied after its end. By whom: {by}. Why: {reason}."}[lang]


def dates_words(ranges: Iterable[DateRange], lang: Lang) -> str:
    """When a calendar is on."""
    said = []
    for range_ in ranges:
        first, last = range_.every_year.split("…") if range_.every_year else (range_.from_ or "", range_.until or "")
        every = {"zh": "每年", "en": "every year "}[lang] if range_.every_year else ""
        said.append(every + {"zh": "{}至{}", "en": "{} to {}"}[lang].format(date_words(first, lang), date_words(last, lang)))
    return ("；" if lang == "zh" else "; ").join(said)


def calendars_words(pack: Pack) -> Words:
    """All calendars of a pack, by name, with their days; empty where there are none."""
    return both(lambda lang: ("；" if lang == "zh" else "; ").join(f"{getattr(calendar_words(name), lang)}{'：' if lang == 'zh' else ': '}{dates_words(ranges, lang)}" for name, ranges in pack.calendars.items()))


def zone_list(policy: Policy, zones: Iterable[str], lang: Lang) -> str:
    """Zones by name."""
    return listed((quoted(policy.zone_name(zone)[lang == "en"]) for zone in zones), lang)
