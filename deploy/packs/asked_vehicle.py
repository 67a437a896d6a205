"""Whether a vehicle, as an official describes it, may be somewhere at some time, and by which words."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from msgspec.structs import replace

from streams.errors import BadInput, closest
from streams.policy.conditions import alternative_words, claim_words, exempt_words, title_words
from streams.policy.pack import Exemption, Rule
from streams.policy.policy import Policy
from streams.policy.wording import clause_words, rule_basis_words, rule_words
from streams.registry.records import Enterprise, Pass, Vehicle
from streams.registry.registry import Subject
from streams.rules import RULES
from streams.words.basis import Words
from streams.words.terms import BODIES, CLASSES, ENERGIES, PASSES, Lang, either, listed

if TYPE_CHECKING:
    from deploy.packs.applies import Moment, Sorted

_ATTRIBUTES = {"classes": ("vehicle_class", CLASSES, Words("车型", "class")), "energy": ("energy", ENERGIES, Words("能源类型", "energy")), "body": ("body", BODIES, Words("车身", "body"))}
_FACTS = {
    "marked": Words("统一标识", "marked"),
    "unmarked": Words("无统一标识", "unmarked"),
    "key_enterprise": Words("重点企业", "key enterprise"),
    "joint_delivery": Words("共同配送", "joint delivery"),
    "black": Words("黑名单", "black list"),
}
_OF_THE_VEHICLE = {"nonstandard_vehicle", "unmarked_vehicle", "speeding"}
"""Rules that go by what is said of a vehicle, wherever it is; of the others that apply always nobody can tell by its class, energy, body and marking."""


class Asked(NamedTuple):
    """What is said of a vehicle; attributes that are not said are unknown."""

    subject: Subject
    words: Words


def read_vehicle(text: str) -> Asked:
    """A description such as ``light_van,electric,box,marked,pass:green``, in words of the schema, English or Chinese; ``BadInput`` names the nearest."""
    said: dict[str, str] = {}
    facts: set[str] = set()
    passes: list[Pass] = []
    shown: list[Words] = []
    for word in filter(None, (part.strip() for part in re.split("[,，、]", text))):
        kind = either(word.removeprefix("pass:").removeprefix("通行证："), PASSES)
        if kind and kind != either(word, _FACTS):
            passes.append(Pass(id="-", pass_kind=kind, vehicle_id="-"))  # type: ignore[arg-type]
            shown.append(PASSES[kind])
        elif fact := either(word, _FACTS):
            facts.add(fact)
            shown.append(_FACTS[fact])
        else:
            name, found, words = _attribute(word)
            if name in said:
                raise BadInput(f"--vehicle: {said[name]!r} and {word!r} cannot both be; a vehicle has one class, one energy, one body")
            said[name] = found
            shown.append(words)
    if not shown:
        raise BadInput("--vehicle: nothing is said of it; say it as in light_van,electric,box,marked,pass:green")
    if facts >= {"marked", "unmarked"}:
        raise BadInput("--vehicle: marked (统一标识) and unmarked (无统一标识) cannot both be")
    marked = True if "marked" in facts else False if "unmarked" in facts else None
    vehicle = Vehicle(id="-", marked=marked, joint_delivery="joint_delivery" in facts or None, enterprise_id="-", **said)  # type: ignore[arg-type]
    enterprise = Enterprise(id="-", key_enterprise="key_enterprise" in facts, credit="black" if "black" in facts else "normal")
    described = Words("、".join(words.zh for words in shown), ", ".join(words.en for words in shown))
    return Asked(Subject("-", vehicle, enterprise, tuple(passes), 0, 1), described)


def _attribute(word: str) -> tuple[str, str, Words]:
    for name, terms, _ in _ATTRIBUTES.values():
        if found := either(word, terms):
            return name, found, Words(terms[found].zh, terms[found].en.removesuffix("s"))
    if re.search("[\u4e00-\u9fff]", word):
        known = [words.zh for terms in (CLASSES, ENERGIES, BODIES, PASSES, _FACTS) for words in terms.values()]
        raise _unknown(word, known, "轻型货车,纯电动,厢式,绿色通行证", "、")
    raise _unknown(word, [*CLASSES, *ENERGIES, *BODIES, *(f"pass:{kind}" for kind in PASSES), *_FACTS], "light_van,electric,box,pass:green", ", ")


def _unknown(word: str, known: Sequence[str], example: str, comma: str) -> BadInput:
    meant = closest(word, known)
    return BadInput(f"--vehicle: {word!r} is not known; {f'did you mean {meant!r}? ' if meant else ''}say it as in {example}; known: {comma.join(known)}")


class _Finding(NamedTuple):
    """What a rule means for the vehicle, and the alternative that frees it, or what is not known of it; ``limit``: what it must keep to there."""

    kind: Literal["forbidden", "freed", "unknown", "other", "limit"]
    rule: Rule
    spans: str
    by: Any = None


Outcome = Literal["yes", "no", "unless", "unknown"]
"""Whether it may be there; ``unless``: no, but there are exemptions that it may have; ``unknown``: that depends on what was not said."""


def _outcome(found: Sequence[_Finding], asked: Asked) -> Outcome:
    forbidden = [finding.rule for finding in found if finding.kind == "forbidden"]
    if not forbidden:
        return "unknown" if any(finding.kind == "unknown" for finding in found) else "yes"
    return "unless" if all(_may_be_exempt(rule, asked) for rule in forbidden) else "no"


def _findings(policy: Policy, when: Moment, rules: Sequence[tuple[Rule, str]], asked: Asked) -> list[_Finding]:
    return [finding for rule, spans in rules if (finding := _finding(policy, when, rule, asked.subject, spans))]


def outcome_of(policy: Policy, when: Moment, forbidding: Sequence[tuple[Rule, str]], asked: Asked) -> Outcome:
    """Whether the vehicle may be there; ``forbidding``: the rules whose time and place it is, with the times of a day."""
    return _outcome(_findings(policy, when, forbidding, asked), asked)


def outcome_lines(policy: Policy, when: Moment, chosen: Sorted, asked: Asked, lang: Lang) -> Iterator[str]:
    """Yes, no or that it depends, the sentences by which, and what else is asked of such a vehicle."""
    findings = _findings(policy, when, chosen.forbidding(), asked)
    found, limits = [finding for finding in findings if finding.kind != "limit"], [finding for finding in findings if finding.kind == "limit"]
    vehicle = getattr(asked.words, lang)
    always = any(finding.kind == "forbidden" and not finding.spans for finding in found)
    no = {"zh": "不可以" if always else "部分时段不可以", "en": "No" if always else "Not all day"}[lang]
    if all(finding.rule.basis == "illustrative" for finding in found if finding.kind == "forbidden"):
        no += {"zh": "（所依规则为示例）", "en": ", by rules that are illustrative"}[lang]
    yield {
        "no": {"zh": f"问：{vehicle}，可否通行？答：{no}。", "en": f"May this vehicle be there ({vehicle})? {no}."},
        "unless": {"zh": f"问：{vehicle}，可否通行？答：{no}，除非另有所列的豁免情形。", "en": f"May this vehicle be there ({vehicle})? {no}, unless it is exempt as said here."},
        "unknown": {"zh": f"问：{vehicle}，可否通行？答：尚不能定。", "en": f"May this vehicle be there ({vehicle})? That depends."},
        "yes": {"zh": f"问：{vehicle}，可否通行？答：可以。", "en": f"May this vehicle be there ({vehicle})? Yes."},
    }[_outcome(found, asked)][lang]
    for finding in found:
        yield f"- {_reason(finding, policy, lang)}"
    if not found:
        yield {"zh": "- 此时此地没有禁止通行的规则。", "en": "- No rule forbids being there then."}[lang]
    for finding in (*limits, *_findings(policy, when, [(rule, "") for rule in chosen.always if rule.rule in _OF_THE_VEHICLE], asked)):
        words = rule_words(finding.rule, policy)
        if finding.kind == "forbidden":
            said = (getattr(part, lang) for part in (words.demand, words.clause, words.basis))
            yield {"zh": "- 但该车不符合要求：", "en": "- But it is not as asked: "}[lang] + ("" if lang == "zh" else " ").join(said)
        elif finding.kind in {"limit", "unknown"}:
            yield {"zh": "- 但须遵守：", "en": "- But: "}[lang] + getattr(words.demand, lang)


def _may_be_exempt(rule: Rule, asked: Asked) -> bool:
    """Whether a rule has an exemption that the vehicle's enterprise has not lost."""
    credit = asked.subject.enterprise.credit if asked.subject.enterprise else None
    return any(alternative.unless_credit != credit for alternative in rule.alternatives)


def _finding(policy: Policy, when: Moment, rule: Rule, subject: Subject, spans: str) -> _Finding | None:
    """None: the rule has nothing against it, or is about what it does and not about this vehicle."""
    vehicle, offence, selector = subject.vehicle, _offence(policy, rule, subject), rule.vehicles
    if offence == "none":
        return None
    asked = {key: getattr(selector, key) for key in _ATTRIBUTES if selector is not None and getattr(selector, key)}
    values = {key: getattr(vehicle, _ATTRIBUTES[key][0]) for key in _ATTRIBUTES}
    if any(values[key] is not None and values[key] not in allowed for key, allowed in asked.items()):
        return None if offence == "conduct" else _Finding("other", rule, spans)
    for alternative in rule.alternatives:
        if _frees(alternative, rule, when, subject):
            return None if offence == "conduct" else _Finding("freed", rule, spans, alternative)
    if offence == "conduct":
        return _Finding("limit", rule, spans)
    needed = {*asked, *(_allowed(rule) if offence == "unknown" else ())}
    missing = [key for key in _ATTRIBUTES if key in needed and values[key] is None]
    return _Finding("unknown", rule, spans, missing) if missing or offence == "unknown" else _Finding("forbidden", rule, spans)


def _offence(policy: Policy, rule: Rule, subject: Subject) -> Literal["presence", "unknown", "conduct", "none"]:
    """By what the vehicle violates a rule: by being there, or by what it does; ``unknown``: that depends on what was not said of it."""
    vehicle = subject.vehicle or Vehicle(id="-")
    worst = {"marked": bool(vehicle.marked)}
    best = {"marked": vehicle.marked is not False} | {name: allowed[0] for name, allowed in _allowed(rule).values() if getattr(vehicle, name) is None}
    at_worst, at_best = (RULES[rule.rule].prepare(rule.parameters, replace(subject, vehicle=replace(vehicle, **said)), policy.identifier) for said in (worst, best))
    if at_worst is not True:
        return "conduct" if at_worst else "none"
    return "presence" if at_best is True else "unknown"


def _allowed(rule: Rule) -> dict[str, tuple[str, list[str]]]:
    """The attributes that a rule limits to some values: by the schema's key the record's, and the values."""
    allow = getattr(rule.parameters, "allow", None)
    return {key: (name, values) for key, (name, *_) in _ATTRIBUTES.items() if (values := getattr(allow, key, None))}


def _frees(alternative: Exemption, rule: Rule, when: Moment, subject: Subject) -> bool:
    """Whether an alternative exempts the vehicle; a pass that is said is one that is valid everywhere."""
    return "*" in alternative.freed_zones(subject, when.calendars)


def _reason(finding: _Finding, policy: Policy, lang: Lang) -> str:
    """Why, with the words by which."""
    rule = finding.rule
    title, demand, clause, basis = (getattr(words, lang) for words in (title_words(rule.rule), rule_words(rule, policy).demand, clause_words(rule.clause, rule.quote), rule_basis_words(rule)))
    space = "" if lang == "zh" else " "
    if finding.kind == "other":
        return {"zh": f"不属于“{title}”所限的车辆：{demand}", "en": f"The vehicle is none of those that are concerned: {demand}"}[lang]
    if finding.kind == "freed":
        why = getattr(alternative_words(finding.by, rule), lang)
        claim = claim_words(finding.by, lang)
        claimed = {"zh": f"（{claim}）", "en": f" ({claim})"}[lang] if claim else ""
        return {"zh": f"{demand}但该车豁免：{why}{claimed}。{clause}{basis}", "en": f"{demand} But it is exempt: {why}{claimed}. {clause} {basis}"}[lang]
    if finding.kind == "unknown":
        missing = listed((getattr(_ATTRIBUTES[key][2], lang) for key in finding.by), lang)
        return {"zh": f"须先说明该车的{missing}：{demand}", "en": f"Say the vehicle's {missing} first: {demand}"}[lang]
    times = {"zh": f"当日{finding.spans}不可以。", "en": f"Not {finding.spans} on this day."}[lang] if finding.spans else ""
    return space.join(filter(None, (times, demand, getattr(exempt_words(rule), lang), clause, basis)))
