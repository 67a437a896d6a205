"""A policy pack in words: what, where, when, who is exempt."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from streams.basis import BASIS_WORDS, Basis, basis_words
from streams.clock import Duration, bound_ms, local_date, local_datetime
from streams.errors import BadInput
from streams.policy.claims import exemptions
from streams.policy.pack import Exemption, Pack, Rule
from streams.policy.policy import Policy
from streams.policy.reader import load_policy, packs
from streams.rules import RULES
from streams.shown import shown
from streams.windows import WEEKDAYS, Window

_MARKS: dict[Basis | None, str] = {"encouraged": "+", "illustrative": "°"}
"""How clauses are marked that demand nothing."""


def explain(policy: Policy) -> str:
    """The whole pack, a few lines a rule."""
    pack = policy.pack
    lines = [
        f"{policy.name}: {pack.city.name_zh} {pack.city.name_en} (adcode {pack.city.adcode}, {pack.city.timezone})",
        f"  {pack.document.title}, {pack.document.shown_number}",
        *(f"  {line}" for line in _document(pack)),
        f"  the pack is valid from {pack.valid_from or 'the beginning'} until {pack.valid_until or 'it is replaced'}; late fixes up to {minutes(policy.lateness_ms)}",
        f"  zones: {', '.join(policy.zone_name(zone)[1] for zone in pack.geometries) or 'none'}",
        f"  targets: {', '.join(f'{name} {target.value:g}' for name, target in pack.targets.items()) or 'none'}",
    ]
    for rule in pack.rules:
        lines += ["", f"{rule.id} ({rule.rule}, {rule.severity}) clause {rule.clause}{f' [{rule.basis}]' if rule.basis else ''}"]
        lines += [f"  {line}" for line in (*_claims(rule), *_conditions(rule, policy))]
    return "\n".join(map(shown, lines))


def _document(pack: Pack) -> Iterator[str]:
    """When the document counts, from where that is known, and who goes on after its end."""
    document, said = pack.document, []
    if document.published:
        said.append((f"{document.published} 公布", f"published {document.published}", "published"))
    if document.in_force:
        from_, until = document.in_force.from_, document.in_force.until
        said.append((f"{from_} 起施行{f'，至 {until}' if until else ''}", f"in force from {from_}{f' until {until}' if until else ''}", "in_force"))
    if said:
        yield "；".join(f"{zh}{'（推定）' if key in document.assumed else ''}" for zh, _, key in said)
        yield "; ".join(f"{en}{' (assumed)' if key in document.assumed else ''}" for _, en, key in said)
    if document.source:
        yield f"来源 source: {document.source}"
    if pack.continued:
        yield f"期满后继续适用 continued beyond its end by {pack.continued.by}: {pack.continued.reason}"


def _claims(rule: Rule) -> Iterator[str]:
    """The clause's words, and what they are worth, in Chinese and in English."""
    if rule.quote:
        yield f"“{rule.quote}”"
    yield from basis_words(rule.basis, rule.figures, rule.duty_of, rule.responsible) or ()
    if rule.stands_in_for:
        yield f"本包暂代《{rule.stands_in_for}》，该办法由主管部门制定"
        yield f"the pack stands in for rules that the authorities are to make: {rule.stands_in_for}"


def answer(policy: Policy, moment: str, place: tuple[float, float] | None) -> str:
    """What applies on a local date, or at an instant, everywhere or at a place (lon, lat): a line a rule.

    Raises ``BadInput`` where the moment is no date and no instant.
    """
    try:
        moment_ms = bound_ms(moment, policy.timezone, end=False)
    except ValueError as error:
        raise BadInput(f"--date: {error}") from None
    whole_day = local_date(moment) is not None
    local = local_datetime(moment_ms, policy.timezone)
    inside = policy.zone_index.sets[policy.zone_index.locate([place[0]], [place[1]])[0]] if place else ()
    calendars = policy.calendars_at(moment_ms)
    where = f" at {place[0]:g}, {place[1]:g} ({', '.join(policy.zone_name(zone)[1] for zone in inside) or 'in no zone'})" if place else ""
    when = f"{WEEKDAYS[local.weekday()]} {moment}" + (f", {', '.join(sorted(calendars))}" if calendars else "")
    lines = [f"{policy.name}{where} on {when}:"]
    if not policy.valid_from_ms <= moment_ms < policy.valid_until_ms:
        return "\n".join(map(shown, [*lines, f"  nothing: the pack is valid from {policy.pack.valid_from} until {policy.pack.valid_until or 'it is replaced'}"]))
    for rule in policy.fix_rules:
        outside = RULES[rule.rule].ZONES == "outside"
        zones = None if rule.zone_ids is None else [zone for zone in rule.zone_ids if place is None or zone in inside]
        if zones is not None and bool(place) and bool(zones) is outside:
            continue
        forbidden = _forbidden(rule, policy, moment_ms, whole_day=whole_day)
        if not forbidden:
            continue
        parts = [f"{rule.id} ({rule.rule}): {forbidden}"]
        parts += [line for line in _conditions(rule, policy) if not line.startswith(("permitted", "where"))]
        if on := {name for each in rule.alternatives if each.conditions.keys() == {"calendars"} for name in each.calendars} & calendars:
            parts.append("all are exempt during " + ", ".join(sorted(on)))
        lines.append("  " + "; ".join(parts))
    return "\n".join(map(shown, lines))


def _forbidden(rule: Rule, policy: Policy, moment_ms: int, *, whole_day: bool) -> str:
    """When a rule's windows do not permit it: on the whole local day, or right then; empty: never."""
    if not whole_day:
        return "" if policy.permits(rule, moment_ms) else "applies then"
    spans: list[tuple[int, int]] = []
    end_ms = policy.days.bounds_ms(policy.days.date_of(moment_ms))[1]
    while moment_ms < end_ms:
        until_ms = min(policy.period_ms(moment_ms)[1], end_ms)
        if not policy.permits(rule, moment_ms):
            start_ms = spans.pop()[0] if spans and spans[-1][1] == moment_ms else moment_ms
            spans.append((start_ms, until_ms))
        moment_ms = until_ms
    clock = [(local_datetime(a, policy.timezone).strftime("%H:%M"), local_datetime(b, policy.timezone).strftime("%H:%M")) for a, b in spans]
    return ", ".join("all day" if pair == ("00:00", "00:00") else f"{pair[0]}–{pair[1].replace('00:00', '24:00')}" for pair in clock)


def rule_table(*, chinese: bool = False) -> str:
    """Every rule, what is wrong, and the clause of each city's document under which it stands and on what basis, as a Markdown table."""
    policies = [load_policy(name) for name in packs()]
    cities = [policy.pack.city.name_zh if chinese else policy.pack.city.name_en for policy in policies]
    lines = [f"| {' | '.join(['规则', '违规行为', *cities] if chinese else ['rule', 'what is wrong', *cities])} |", "|---" * (len(cities) + 2) + "|"]
    for name, module in RULES.items():
        what = module.TITLE_ZH if chinese else str(module.__doc__).partition("\n")[0]
        clauses = ["、".join(dict.fromkeys(rule.clause + _MARKS.get(rule.basis, "") for rule in policy.pack.rules if rule.rule == name)) or "–" for policy in policies]
        lines.append(f"| {' | '.join([f'[`{name}`](streams/rules/{name}.py)', what, *clauses])} |")
    lines += ["", "; ".join(f"{mark}: {BASIS_WORDS[basis].zh if chinese else BASIS_WORDS[basis].en}" for basis, mark in _MARKS.items() if basis)]
    return "\n".join(map(shown, lines))


def minutes(duration_ms: int) -> str:
    """A duration for people."""
    return f"{duration_ms / 60_000:g} min" if duration_ms >= 60_000 else f"{duration_ms / 1000:g} s"


def _conditions(rule: Rule, policy: Policy) -> list[str]:
    lines = []
    if rule.zone_ids is not None:
        lines.append("where: " + ", ".join(policy.zone_name(zone)[1] for zone in rule.zone_ids))
    if rule.vehicles is not None:
        chosen = (rule.vehicles.classes, rule.vehicles.energy, rule.vehicles.body)
        lines.append("who: " + "; ".join(", ".join(values) for values in chosen if values))
    if rule.permitted:
        lines.append("permitted: " + "; ".join(_window(window) for window in rule.permitted))
    lines += [f"exempt: {_exemption(exemption)}" for _, exemption in exemptions(rule)]
    for name in rule.parameters.__struct_fields__:
        value = getattr(rule.parameters, name)
        if isinstance(value, msgspec.Struct):
            allowed = [f"{key} {', '.join(values)}" for key, values in msgspec.structs.asdict(value).items() if values is not None]
            lines.append(f"{name}: {'; '.join(allowed)}")
            continue
        if isinstance(value, dict):
            lines.append(f"{name}: {', '.join(f'{key} {number:g}' for key, number in value.items())}")
            continue
        if name == "hours":
            lines.append("hours: " + ("; ".join(_window(window) for window in value) if value else "all"))
            continue
        lines.append(f"{name}: {minutes(value) if isinstance(value, Duration) else f'{value:g}' if isinstance(value, float) else value}")
    return lines


def _window(window: Window) -> str:
    days = "every day" if len(window.days) == 7 else ", ".join(WEEKDAYS[day] for day in sorted(window.days))
    return f"{days} {window.from_ // 60:02}:{window.from_ % 60:02}–{window.until // 60:02}:{window.until % 60:02}"


def _exemption(exempt: Exemption) -> str:
    parts = [f"pass {kind}" for kind in exempt.passes] + [f"{what} vehicles" for what in (*exempt.energy, *exempt.classes, *exempt.body)]
    parts += [what.replace("_", " ") for what in ("marked", "key_enterprise", "joint_delivery") if getattr(exempt, what)]
    parts += [f"during {calendar}" for calendar in exempt.calendars]
    said = ", ".join(parts) + (f"; none for enterprises on the {exempt.unless_credit} list" if exempt.unless_credit else "")
    words = basis_words(exempt.basis, None, None, None)
    return said + (f" (“{exempt.quote}”)" if exempt.quote else "") + (f" [{words.zh}; {words.en}]" if words else "")
