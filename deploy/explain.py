"""A policy pack in words: what, where, when, who is exempt."""

from __future__ import annotations

from streams.policy import WEEKDAYS, Exemption, Policy, Rule, Window, load_policy, packs
from streams.rules import RULES


def explain(policy: Policy) -> str:
    """The whole pack, a few lines a rule."""
    pack = policy.pack
    lines = [
        f"{policy.name}: {pack.city.name_zh} {pack.city.name_en} (adcode {pack.city.adcode}, {pack.city.timezone})",
        f"  {pack.document.title}, {pack.document.number}",
        f"  in force from {pack.valid_from or 'the beginning'} until {pack.valid_until or 'it is replaced'}; late fixes up to {minutes(policy.lateness_ms)}",
        f"  zones: {', '.join(policy.zone_name(zone)[1] for zone in pack.geometries) or 'none'}",
        f"  targets: {', '.join(f'{name} {value:g}' for name, value in pack.targets.items()) or 'none'}",
    ]
    for rule in pack.rules:
        lines += ["", f"{rule.id} ({rule.rule}, {rule.severity}) clause {rule.clause}{' [illustrative]' if rule.illustrative else ''}"]
        if rule.quote:
            lines.append(f"  “{rule.quote}”")
        lines += [f"  {line}" for line in _conditions(rule, policy)]
    return "\n".join(lines)


def rule_table(*, chinese: bool = False) -> str:
    """Every rule, what is wrong, and the clause of each city's document that it comes from, as a Markdown table."""
    policies = [load_policy(name) for name in packs()]
    cities = [policy.pack.city.name_zh if chinese else policy.pack.city.name_en for policy in policies]
    lines = [f"| {' | '.join(['规则', '违规行为', *cities] if chinese else ['rule', 'what is wrong', *cities])} |", "|---" * (len(cities) + 2) + "|"]
    for name, module in RULES.items():
        what = module.TITLE_ZH if chinese else str(module.__doc__).partition("\n")[0]
        clauses = ["、".join(dict.fromkeys(rule.clause for rule in policy.pack.rules if rule.rule == name)) or "–" for policy in policies]
        lines.append(f"| {' | '.join([f'[`{name}`](streams/rules/{name}.py)', what, *clauses])} |")
    return "\n".join(lines)


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
    if rule.exempt:
        lines.append("exempt: " + _exemption(rule.exempt))
    for name in rule.parameters.__struct_fields__:
        value = getattr(rule.parameters, name)
        lines.append(f"{name}: {minutes(value) if isinstance(value, int) and value >= 1000 else value}")
    return lines


def _window(window: Window) -> str:
    days = "every day" if len(window.days) == 7 else ", ".join(WEEKDAYS[day] for day in sorted(window.days))
    return f"{days} {window.from_ // 60:02}:{window.from_ % 60:02}–{window.until // 60:02}:{window.until % 60:02}"


def _exemption(exempt: Exemption) -> str:
    parts = [f"pass {kind}" for kind in exempt.passes] + [f"{energy} vehicles" for energy in exempt.energy]
    parts += ["joint delivery"] if exempt.joint_delivery else []
    parts += [f"during {calendar}" for calendar in exempt.calendars]
    return ", ".join(parts) + (f"; none for enterprises on the {exempt.unless_credit} list" if exempt.unless_credit else "")
