"""What a pack claims of its document, and whether it may: its basis, its quotes, the time in which the document is in force."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple
from zoneinfo import ZoneInfo

from streams.clock import bound_ms
from streams.policy.checks import SHARES, is_share
from streams.policy.clauses import parts_of, plain, sections, stands_in
from streams.policy.pack import CONDITIONS, Document, Exemption, Pack, Rule, Target
from streams.registry.figure_clauses import Clauses
from streams.registry.key_figures import TITLES

Path = tuple[str | int, ...]
"""The keys that lead to something in a pack."""
FEWEST_QUOTED = 4
"""Letters and digits of each part of a quote: fewer stand in any document."""
TO_FILL_IN = "待填"
SCOPED = SHARES | {"reusable_box_outlet_share"}
"""Measures that are told apart by enterprise, so that a target may be that of the primary brands."""


def claim_problem(rule: Rule) -> tuple[Path, str] | None:
    """The keys that lead to what a rule claims and may not, and why."""
    if rule.basis and rule.illustrative is not None and rule.illustrative is not (rule.basis == "illustrative"):
        return ("basis",), f"basis {rule.basis} and illustrative: {str(rule.illustrative).lower()} contradict each other; basis alone is enough"
    if rule.basis in {"stated", "encouraged"}:
        for key in ("quote", "clause", "duty_of"):
            if not (getattr(rule, key) or "").strip():
                return ("basis",), f"rule {rule.id}: basis {rule.basis} needs {key}; what the document does not say is illustrative"
    for path, exemption in exemptions(rule):
        if exemption.basis in {"stated", "encouraged"} and not exemption.quote.strip():
            return (*path, "basis"), f"rule {rule.id}: exempt: basis {exemption.basis} needs quote; what the document does not say is illustrative"
        if isinstance(rule.exempt, list) and not exemption.conditions:
            return path, f"rule {rule.id}: exempt: an alternative without a condition exempts everybody; name whom, by one of {', '.join(CONDITIONS)}"
    return None


def exemptions(rule: Rule) -> Iterator[tuple[Path, Exemption]]:
    """The exemptions of a rule as they are written, and the keys that lead to each."""
    if isinstance(rule.exempt, Exemption):
        yield ("exempt",), rule.exempt
    for index, exemption in enumerate(rule.exempt if isinstance(rule.exempt, list) else ()):
        yield ("exempt", index), exemption


def target_problem(measure: str, target: Target, document: Document) -> str | None:
    """What a target claims of its document and may not, or cannot be."""
    of_document, begins = target.source == "document", document.published or (document.in_force.from_ if document.in_force else "")
    mistakes = (
        (of_document and not (target.clause or "").strip(), "source document needs clause; a target that no clause sets is the operator's"),
        (not of_document and (target.clause or target.quote or target.basis), "clause, quote and basis are a document's; this target is the operator's"),
        (target.basis and not target.quote.strip(), f"basis {target.basis} needs quote"),
        (of_document and target.by and target.by < begins, f"by {target.by} is before the document, which is of {begins}"),
        (measure in TITLES and not is_share(measure) and target.value % 1, f"it is a number of things, so {target.value:g} cannot be"),
        (target.scope and measure not in SCOPED, f"scope is said of {', '.join(sorted(SCOPED))} only"),
    )
    return next((f"target {measure}: {words}" for wrong, words in mistakes if wrong), None)


def figure_clauses(pack: Pack) -> Clauses:
    """Key figure, or section of the report → the clause that speaks of it, and its words."""
    return {name: (spoken.clause, spoken.quote) for name, spoken in pack.figure_clauses.items()}


def document_problem(pack: Pack, timezone: ZoneInfo) -> tuple[tuple[str, ...], str] | None:
    """The keys that lead to a time that cannot be, or that the pack goes beyond without a word, and why."""
    document, in_force, continued = pack.document, pack.document.in_force, pack.continued
    if unknown := [fact for fact in document.assumed if getattr(document, fact) is None]:
        return ("document", "assumed"), f"assumed names {unknown[0]}, which the document does not give"
    if continued and not (continued.by.strip() and continued.reason.strip()):
        return ("continued",), "continued: by and reason say who goes on and why; neither may be blank"
    if document.published and in_force and document.published > in_force.from_:
        return ("document", "published"), f"published {document.published} is after in_force: from {in_force.from_}"
    if in_force is None or in_force.until is None:
        return (("continued",), "continued: the document has no end (document.in_force.until) to go beyond") if continued else None
    if in_force.until < in_force.from_:
        return ("document", "in_force", "until"), f"in_force: until {in_force.until} is before from {in_force.from_}"
    beyond = not pack.valid_until or bound_ms(pack.valid_until, timezone, end=True) > bound_ms(in_force.until, timezone, end=True)
    if beyond and continued is None:
        until = f"until {pack.valid_until}" if pack.valid_until else "without end"
        return ("document", "in_force", "until"), (
            f"the document is in force until {in_force.until} and the pack is valid {until}; end it with valid_until, or say who goes on and why: continued: {{by: …, reason: …}}"
        )
    return None


class Said(NamedTuple):
    """Words that a pack takes from its document: the keys that lead to them, in whose name, under which clause they are to be found (None: anywhere)."""

    path: Path
    named: str
    words: str
    clause: str | None = None
    is_quote: bool = True


def _said(pack: Pack) -> Iterator[Said]:
    """All of a pack's words that must stand in its document."""
    yield Said(("document", "title"), "document", pack.document.title, is_quote=False)
    if pack.document.number is not None:
        yield Said(("document", "number"), "document", pack.document.number, is_quote=False)
    for index, rule in enumerate(pack.rules):
        path, named = ("rules", index), f"rule {rule.id}"
        quotes = [((*path, "quote"), rule.quote), *(((*path, *keys, "quote"), exemption.quote) for keys, exemption in exemptions(rule))]
        yield from (Said(keys, named, quote, rule.clause) for keys, quote in quotes if quote)
        yield from (Said((*path, "responsible"), named, name, is_quote=False) for name in rule.responsible)
        if rule.stands_in_for is not None:
            yield Said((*path, "stands_in_for"), named, rule.stands_in_for, is_quote=False)
    yield from (Said(("figure_clauses", name, "quote"), f"figure {name}", spoken.quote, spoken.clause) for name, spoken in pack.figure_clauses.items())
    yield from (Said(("targets", measure, "quote"), f"target {measure}", target.quote, target.clause) for measure, target in pack.targets.items() if target.quote)


def misquotes(pack: Pack, document: str) -> Iterator[tuple[Path, str]]:
    """The keys that lead to quotes, names of authorities, a title or a number that are not in the document's text, and what is wrong with each."""
    text = plain(document)
    for path, named, words, _, is_quote in _said(pack):
        if not plain(words):
            yield path, f"{named}: {path[-1]} is blank; leave it out where the document says nothing"
        elif is_quote and min(sum(map(str.isalnum, part)) for part in parts_of(words)) < FEWEST_QUOTED:
            yield path, f"{named}: “{words}” quotes too little: each part has at least {FEWEST_QUOTED} of the document's characters"
        elif not stands_in(words, text):
            yield path, f"{named}: {'' if is_quote else f'{path[-1]} '}“{words}” is not in {pack.document.file}"


def misplaced(pack: Pack, document: str) -> Iterator[str]:
    """Quotes that the document's headings have under another clause than the pack names."""
    clauses = sections(document)
    for _, named, words, clause, _ in _said(pack):
        places = [section.clause for section in clauses if stands_in(words, section.text)]
        if clause is not None and all(places) and places and not any(plain(place).startswith(plain(clause)) for place in places):
            yield f"{named}: “{words}” stands under {places[0]}, not under {clause}"


def unfilled(pack: Pack) -> list[int]:
    """The lines of a pack in which ``policy new`` left something to be filled in."""
    return [number for number, line in enumerate(pack.source["yaml"].splitlines(), 1) if TO_FILL_IN in line.partition("#")[0]]
