"""What applies on a day or at an instant, everywhere or at a place, and whether a vehicle may be there: the same sentences, chosen by time and place."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from deploy.packs.asked_place import Place, zones_in_part, zones_inside
from deploy.packs.asked_vehicle import Asked, Outcome, outcome_lines, outcome_of
from deploy.packs.explain import rule_lines
from streams.clock import bound_ms, local_date, local_datetime
from streams.errors import BadInput
from streams.policy.conditions import calendar_words, title_words, when_words, zones_words
from streams.policy.pack import Rule
from streams.policy.policy import Policy
from streams.policy.wording import document_words, zone_list
from streams.rules import RULES
from streams.words.shown import shown
from streams.words.terms import DAYS, Lang, date_words, listed, span_words


class Moment(NamedTuple):
    """A local day, or an instant of it; the zones of the place that is asked about (None: everywhere); the calendars that are on."""

    at_ms: int
    whole_day: bool
    inside: tuple[str, ...] | None
    calendars: frozenset[str]


class Sorted(NamedTuple):
    """The rules about time or place: those that forbid, with the times of the day; those from which a calendar exempts all; those that forbid nothing then and there.

    The last two with the reason. ``always``: the rules about vehicles that apply at all times and places.
    """

    forbid: list[tuple[Rule, str]]
    by_calendar: list[tuple[Rule, str]]
    free: list[tuple[Rule, str]]
    always: list[Rule]

    def forbidding(self) -> list[tuple[Rule, str]]:
        """The rules that forbid unless a vehicle is exempt, by a calendar too."""
        return [*self.forbid, *((rule, "") for rule, _ in self.by_calendar)]


def may(policy: Policy, moment: str, place: Place, asked: Asked) -> Outcome:
    """Whether a vehicle may be at a place on a local date, or at an instant. ``BadInput`` as of ``answer``."""
    when = _moment(policy, moment, place)
    if not policy.valid_from_ms <= when.at_ms < policy.valid_until_ms:
        return "yes"
    return outcome_of(policy, when, _sorted(policy, when, "en").forbidding(), asked)


def _moment(policy: Policy, moment: str, place: Place | None) -> Moment:
    try:
        at_ms = bound_ms(moment, policy.timezone, end=False)
    except ValueError as error:
        raise BadInput(f"--date: {error}") from None
    return Moment(at_ms, local_date(moment) is not None, zones_inside(place, policy) if place else None, policy.calendars_at(at_ms))


def answer(policy: Policy, moment: str, place: Place | None, lang: Lang = "en", asked: Asked | None = None) -> str:
    """What applies on a local date, or at an instant, everywhere or at a place, and whether a vehicle that is ``asked`` about may be at that place.

    Raises ``BadInput`` where the moment is no date and no instant.
    """
    when = _moment(policy, moment, place)
    at_ms = when.at_ms
    lines = list(_head(policy, when, place, lang))
    if not policy.valid_from_ms <= at_ms < policy.valid_until_ms:
        lines.append({"zh": "本包届时不适用，没有任何规则：", "en": "Nothing applies: "}[lang] + getattr(document_words(policy.pack).validity, lang))
        return "\n".join(map(shown, lines))
    chosen = _sorted(policy, when, lang)
    if asked is not None:
        lines += ["", *outcome_lines(policy, when, chosen, asked, lang)]
    lines += _sections(policy, when, chosen, lang)
    return "\n".join(map(shown, lines))


def _head(policy: Policy, when: Moment, place: Place | None, lang: Lang) -> Iterator[str]:
    """Where and when, the calendars that are on, and whether the document is over."""
    pack = policy.pack
    local = local_datetime(when.at_ms, policy.timezone)
    day = f"{date_words(local.date().isoformat(), lang)}{'（' if lang == 'zh' else ' ('}{getattr(DAYS[local.weekday()], lang)}{'）' if lang == 'zh' else ')'}"
    clock = "" if when.whole_day else f"{local:%H:%M}"
    where = _where(policy, when, place, lang) if place else ""
    if lang == "zh":
        yield f"{pack.city.name_zh}（政策包 {policy.name}），{day}{clock}{where}："
    else:
        yield f"{pack.city.name_en} (policy pack {policy.name}), {day}{f' {clock}' if clock else ''}{where}:"
    if place and (parts := zone_list(policy, zones_in_part(place, policy), lang)):
        yield {"zh": f"该区域有一部分还在{parts}内，那里另有规定的，请用经纬度另行查询。", "en": f"A part of it is also in {parts}; what else applies there is answered for longitude,latitude."}[lang]
    yield getattr(document_words(pack).title, lang)
    if when.calendars:
        names = listed((getattr(calendar_words(name), lang) for name in sorted(when.calendars)), lang)
        yield {"zh": f"当日在{names}期间。", "en": f"It is the time of {names}."}[lang]
    if policy.continued_by(when.at_ms):
        yield getattr(document_words(pack).continued, lang)


def _where(policy: Policy, when: Moment, place: Place, lang: Lang) -> str:
    zones = zone_list(policy, when.inside or (), lang)
    if isinstance(place, str):
        return {"zh": f"，在{zones}内", "en": f", in {zones}"}[lang]
    if lang == "zh":
        return f"，位置 {place[0]:g}, {place[1]:g}（{f'在{zones}内' if zones else '不在任何区域内'}）"
    return f", at {place[0]:g}, {place[1]:g} ({f'in {zones}' if zones else 'in no zone'})"


def _sorted(policy: Policy, when: Moment, lang: Lang) -> Sorted:
    """The rules about vehicles and drivers by what time and place decide about them."""
    found = Sorted([], [], [], [rule for rule in policy.fix_rules if not is_about_time_or_place(rule)])
    for rule in filter(is_about_time_or_place, policy.fix_rules):
        spans = _spans(rule, policy, when, lang)
        if elsewhere := _elsewhere(rule, when, lang):
            found.free.append((rule, elsewhere))
        elif spans is None:
            found.free.append((rule, _permitted(rule, lang)))
        elif freed := _freed(rule, when, lang):
            found.by_calendar.append((rule, freed))
        else:
            found.forbid.append((rule, spans))
    return found


def is_about_time_or_place(rule: Rule) -> bool:
    """Whether it depends on time or place what a rule forbids."""
    return rule.zone_ids is not None or bool(rule.permitted)


def _permitted(rule: Rule, lang: Lang) -> str:
    when = getattr(when_words(rule), lang)
    return {"zh": f"在允许时段内（{when}）", "en": f"it is permitted then ({when})"}[lang]


def _elsewhere(rule: Rule, when: Moment, lang: Lang) -> str:
    """That a rule is about other places; empty: it is about this one."""
    if when.inside is not None and rule.zone_ids is not None:
        outside, inside = RULES[rule.rule].ZONES == "outside", bool(set(rule.zone_ids) & set(when.inside))
        if outside is inside:
            return {"zh": "此处在区域内" if inside else "此处不在区域内", "en": "the place is inside" if inside else "the place is not inside"}[lang]
    return ""


def _freed(rule: Rule, when: Moment, lang: Lang) -> str:
    """The calendars of which one alone exempts everybody from a rule; empty: none is on."""
    for alternative in rule.alternatives:
        on = sorted(when.calendars.intersection(alternative.calendars))
        if on and alternative.conditions.keys() == {"calendars"}:
            names = listed((getattr(calendar_words(name), lang) for name in on), lang)
            black = {"zh": "，列入黑名单的企业除外", "en": ", but for enterprises on the black list"}[lang] if alternative.unless_credit else ""
            return {"zh": f"{names}期间所有车辆均免{black}", "en": f"all vehicles are exempt during {names}{black}"}[lang]
    return ""


def _spans(rule: Rule, policy: Policy, when: Moment, lang: Lang) -> str | None:
    """The times of the local day, or the instant, at which a rule's windows do not permit it (empty: at all times); None: they permit it."""
    if not when.whole_day:
        return None if policy.permits(rule, when.at_ms) else ""
    spans: list[tuple[int, int]] = []
    at_ms, end_ms = when.at_ms, policy.days.bounds_ms(policy.days.date_of(when.at_ms))[1]
    while at_ms < end_ms:
        until_ms = min(policy.period_ms(at_ms)[1], end_ms)
        if not policy.permits(rule, at_ms):
            start_ms = spans.pop()[0] if spans and spans[-1][1] == at_ms else at_ms
            spans.append((start_ms, until_ms))
        at_ms = until_ms
    if not spans:
        return None
    if spans == [(when.at_ms, end_ms)]:
        return ""
    minutes = [tuple(local.hour * 60 + local.minute for local in (local_datetime(bound, policy.timezone) for bound in span)) for span in spans]
    return listed((span_words(from_, until, lang) for from_, until in minutes), lang)


def _sections(policy: Policy, when: Moment, chosen: Sorted, lang: Lang) -> Iterator[str]:
    """What is forbidden then and there, what is not, and what applies always: to vehicles and drivers, to parcels, outlets and enterprises."""
    here = when.inside is not None
    now = {"zh": ("当日" if when.whole_day else "此时") + ("此地" if here else ""), "en": ("on this day" if when.whole_day else "now") + (", here" if here else "")}[lang]
    yield from _section({"zh": f"{now}的禁止和限制", "en": f"Forbidden or limited {now}"}[lang], lang, _forbidding(policy, chosen.forbid, lang))
    if free := [*chosen.by_calendar, *chosen.free]:
        yield from ("", {"zh": f"{now}不受限制", "en": f"Not limited {now}"}[lang])
        for rule, reason in free:
            title, zones = getattr(title_words(rule.rule), lang), getattr(zones_words(rule, policy), lang)
            named = (f"（{zones}）" if lang == "zh" else f" ({zones})") if zones else ""
            yield f"- {title}{named}{'：' if lang == 'zh' else ': '}{reason}{'。' if lang == 'zh' else '.'}"
    others = [rule for rule in policy.pack.rules if rule not in policy.fix_rules]
    for title, rules in (({"zh": "车辆和驾驶人随时须符合", "en": "Of vehicles and drivers, always"}, chosen.always), ({"zh": "快件、网点和企业须符合", "en": "Of parcels, outlets and enterprises, always"}, others)):
        yield from _section(title[lang], lang, (rule_lines(rule, policy, lang, "-") for rule in rules))


def _forbidding(policy: Policy, rules: Sequence[tuple[Rule, str]], lang: Lang) -> Iterator[list[str]]:
    for rule, spans in rules:
        title, *lines = rule_lines(rule, policy, lang, "-")
        yield [title, *([{"zh": f"   当日适用：{spans}。", "en": f"   On this day: {spans}."}[lang]] if spans else []), *lines]


def _section(title: str, lang: Lang, rules: Iterator[list[str]]) -> Iterator[str]:
    yield from ("", title)
    empty = True
    for lines in rules:
        empty = False
        yield from lines
    if empty:
        yield {"zh": "（无）", "en": "(nothing)"}[lang]
