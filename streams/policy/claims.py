"""What a pack claims of its document, and whether it may: its basis, its quotes, the time in which the document is in force."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from zoneinfo import ZoneInfo

from streams.clock import bound_ms
from streams.policy.pack import CONDITIONS, Exemption, Pack, Rule, Target


def claim_problem(rule: Rule) -> tuple[tuple[str | int, ...], str] | None:
    """The keys that lead to what a rule claims and may not, and why."""
    if rule.basis and rule.illustrative is not None and rule.illustrative is not (rule.basis == "illustrative"):
        return ("basis",), f"basis {rule.basis} and illustrative: {str(rule.illustrative).lower()} contradict each other; basis alone is enough"
    if rule.basis in {"stated", "encouraged"}:
        for key in ("quote", "clause", "duty_of"):
            if not getattr(rule, key):
                return ("basis",), f"rule {rule.id}: basis {rule.basis} needs {key}; what the document does not say is illustrative"
    for path, exemption in exemptions(rule):
        if exemption.basis in {"stated", "encouraged"} and not exemption.quote:
            return (*path, "basis"), f"rule {rule.id}: exempt: basis {exemption.basis} needs quote; what the document does not say is illustrative"
        if isinstance(rule.exempt, list) and not exemption.conditions:
            return path, f"rule {rule.id}: exempt: an alternative without a condition exempts everybody; name whom, by one of {', '.join(CONDITIONS)}"
    return None


def exemptions(rule: Rule) -> Iterator[tuple[tuple[str | int, ...], Exemption]]:
    """The exemptions of a rule as they are written, and the keys that lead to each."""
    if isinstance(rule.exempt, Exemption):
        yield ("exempt",), rule.exempt
    for index, exemption in enumerate(rule.exempt if isinstance(rule.exempt, list) else ()):
        yield ("exempt", index), exemption


def target_problem(measure: str, target: Target) -> str | None:
    """What a target claims of its document and may not."""
    if target.source == "document" and not target.clause:
        return f"target {measure}: source document needs clause; a target that no clause sets is the operator's"
    if target.source == "operator" and (target.clause or target.quote or target.basis):
        return f"target {measure}: clause, quote and basis are a document's; this target is the operator's"
    return None


def document_problem(pack: Pack, timezone: ZoneInfo) -> tuple[tuple[str, ...], str] | None:
    """The keys that lead to a time that cannot be, or that the pack goes beyond without a word, and why."""
    in_force = pack.document.in_force
    if in_force is None or in_force.until is None:
        return (("continued",), "continued: the document has no end (document.in_force.until) to go beyond") if pack.continued else None
    if in_force.until < in_force.from_:
        return ("document", "in_force", "until"), f"in_force: until {in_force.until} is before from {in_force.from_}"
    beyond = not pack.valid_until or bound_ms(pack.valid_until, timezone, end=True) > bound_ms(in_force.until, timezone, end=True)
    if beyond and pack.continued is None:
        until = f"until {pack.valid_until}" if pack.valid_until else "without end"
        return ("document", "in_force", "until"), (
            f"the document is in force until {in_force.until} and the pack is valid {until}; end it with valid_until, or say who goes on and why: continued: {{by: …, reason: …}}"
        )
    return None


def misquotes(pack: Pack, document: str) -> Iterator[tuple[tuple[str | int, ...], str]]:
    """The keys that lead to quotes that are not in the document's text, and what is not there."""
    text = plain(document)
    for index, rule in enumerate(pack.rules):
        quotes: list[tuple[tuple[str | int, ...], str]] = [(("rules", index, "quote"), rule.quote)]
        quotes += [(("rules", index, *path, "quote"), exemption.quote) for path, exemption in exemptions(rule)]
        for path, quote in quotes:
            if quote and not stands_in(quote, text):
                yield path, f"rule {rule.id}: “{quote}” is not in {pack.document.file}"
    for measure, target in pack.targets.items():
        if target.quote and not stands_in(target.quote, text):
            yield ("targets", measure, "quote"), f"target {measure}: “{target.quote}” is not in {pack.document.file}"


def stands_in(quote: str, text: str) -> bool:
    """Whether a quote stands in a ``plain`` text; of one with ``……`` every part does, in this order."""
    parts = [plain(part) for part in re.split("…+", quote)]
    return re.search(".*?".join(map(re.escape, parts)), text) is not None


def plain(text: str) -> str:
    """A text without white space, full-width and half-width characters alike.

    >>> plain("统一编号， GPS（快递）") == plain("统一编号,GPS (快递)")
    True
    """
    return "".join(unicodedata.normalize("NFKC", text).split())
