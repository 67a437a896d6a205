"""A report as a page (HTML) and on paper (PDF), in Chinese, English or both. The page needs nothing else: no script, no network."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from deploy.report import atlas, plots
from deploy.report.content import EMISSIONS, gather, published_now
from deploy.report.enterprises import DRIVER_RULES, SILENCES
from deploy.report.figures import SCANNED, Period, change_text, is_a_share, whole_period
from deploy.report.words import WORDS, Language, Writer, in_use_words, own_language
from streams.errors import YichengError
from streams.policy.conditions import NOTHING, title_words
from streams.policy.policy import Policy
from streams.policy.wording import clause_words, source_words
from streams.registry.key_figures import TITLES
from streams.registry.registry import Registry
from streams.words.basis import MARKS, OWN_WORDS, basis_words, in_language, reading_words, stands_in_words
from streams.words.shares import figure, percent, target_percent
from streams.words.terms import quoted

Row = dict[str, Any]
MEASURES_ABREAST = 7
"""So many shares fit beside each other on A4."""
PLOTTED = ("electronic_rate", "green_rate")
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome", "microsoft-edge")
PRINTED_WITHIN_S = 120


def as_html(report: Row, language: Language = "both") -> str:
    """One page."""
    t = Writer(language)
    environment = Environment(loader=FileSystemLoader(Path(__file__).parent), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    environment.filters |= _filters(t)
    return environment.get_template("page.html").render(**_said(t, report), language=language, r=report, t=t, plots=plots, atlas=atlas)


def _filters(t: Writer) -> dict[str, Callable[..., Any]]:
    """How values are written."""
    return {
        "percent": percent, "is_share": is_a_share, "count": lambda value: "–" if value is None else f"{value:,}",
        "hours": lambda value: "–" if value is None else f"{value:,.1f}",
        "in_use_words": in_use_words,
        "figure": lambda value, measure, target=None: figure(value, share=is_a_share(measure), target=target),
        "target": lambda target, measure: target_percent(target) if is_a_share(measure) else figure(target, share=False),
        "change": lambda value, measure: change_text(value, share=is_a_share(measure), points=WORDS["points"].zh if t.language == "zh" else WORDS["points"].en),
    }  # fmt: skip


def _said(t: Writer, report: Row) -> dict[str, Any]:
    """What the page asks for beside the report: names and wordings, sums, pictures."""
    language = t.language
    kinds = {place["kind"] for place in report["network"]["places"]}
    return {
        "measure_title": lambda measure: t.pair(*TITLES.get(measure, (measure, measure))), "name": lambda row: t.pair(row["name_zh"], row["name_en"]),
        "word": WORDS.__getitem__, "basis": lambda row: basis(t, row), "said": lambda text: text if language == "both" else in_language(text, language), "stands_in": lambda row: t.words(stands_in_words(row["stands_in_for"]) or NOTHING), "clause": lambda spoken: t.words(clause_words(*spoken)),
        "source": lambda kpi: t.words(source_words(kpi["source"], kpi["clause"])), "reading": lambda kpi: t.words(reading_words(kpi["reading"])), "mark": lambda claimed: t.words(MARKS[claimed]), "quoted": quoted,
        "reasons": lambda row: list(reasons(t, row)), "response": lambda: _response(t, report["response"]),
        "rates": _measure_groups(report["enterprises"]), "targets": {kpi["measure"]: kpi["target"] for kpi in report["kpis"]}, "totals": _totals(report),
        "listed": {credit: [row for row in report["standings"] if row["credit"] == credit] for credit in ("black", "red", "normal")},
        "most": max((row["incidents"] for row in report["incidents"]), default=0), "silent": [row for row in report["incidents"] if not row["incidents"]],
        "silences": list(_silences(report)), "driver_rules": [(rule, title_words(rule)) for rule in DRIVER_RULES],
        "dates": Period(*(date.fromisoformat(report[bound]) for bound in ("from", "until"))).dates, "series": _series(t, report, "days", "date"), "monthly": _series(t, report, "months", "month"),
        "zone_rules": {zone["id"]: [row for row in report["incidents"] if zone["id"] in (held["id"] for held in row["zones"])] for zone in report["network"]["zones"]},
        "emissions": [measure for measure in EMISSIONS if any(month[measure] for month in report["months"])],
        "maps": atlas.maps(t, report["network"]), "outside": atlas.outside(report["network"]), "place_kinds": [kind for kind in atlas.PLACES if kind in kinds],
    }  # fmt: skip


def _silences(report: Row) -> Iterator[tuple[str, list[Row], list[Row]]]:
    """Each rule about interruptions that the pack has or somebody gave notice for, its rows, and what the pack claims for it."""
    for rule in SILENCES:
        rows, claims = ([row for row in report[section] if row["rule"] == rule] for section in ("interruptions", "incidents"))
        if rows or claims:
            yield rule, rows, claims


def _response(t: Writer, said: Row) -> Markup:
    """How many incidents were answered, and how soon."""
    after = WORDS["response_after"] if said["median_minutes"] is not None else ("", "")
    zh, en = (f"{text}{end}".format(**said, minutes=said["median_minutes"]) for text, end in zip(WORDS["response"], after, strict=True))
    return t.pair(f"{zh}。", f"{en}.")


def basis(t: Writer, row: Row) -> Markup:
    """On what a rule rests, in the words of packs and messages."""
    return t.words(basis_words(row["basis"], row["figures"], row["duty_of"], row["responsible"], row["lead"], row["reading"]) or OWN_WORDS)


def reasons(t: Writer, row: Row) -> Iterator[Markup]:
    """Why an enterprise stands as it does, a line a rule: how many incidents, how many points."""
    by_rule: dict[str, list[float]] = defaultdict(list)
    for reason in row["reasons"]:
        by_rule[reason["rule"]].append(reason["points"])
    for rule, points in by_rule.items():
        zh, en = (text.format(title=title, count=len(points), points=f"{sum(points):g}") for text, title in zip(WORDS["reason"], title_words(rule), strict=True))
        yield t.pair(zh, en)


def _measure_groups(enterprises: Sequence[Row]) -> list[list[tuple[str, str]]]:
    """The shares that anybody reports, (key of a row, measure), as many together as fit on a page."""
    known = [(rate, measure) for rate, measure in SCANNED.items() if any(row.get(rate) is not None for row in enterprises)]
    return [known[start : start + MEASURES_ABREAST] for start in range(0, len(known), MEASURES_ABREAST)]


def _totals(report: Row) -> dict[str, Any]:
    standing = [kpi["status"] for kpi in report["kpis"]]
    return {
        "parcels": sum(row["accepted"] for row in report["days"]), "incidents": report["response"]["incidents"], "open": sum(row["open"] for row in report["incidents"]),
        "met": standing.count("met"), "missed": standing.count("missed"), "with_target": sum(kpi["target"] is not None for kpi in report["kpis"]),
        "black": sum(row["credit"] == "black" for row in report["standings"]) or (0 if report["keeps_credit"] else None),
    }  # fmt: skip


def _series(t: Writer, report: Row, section: str, time: str) -> list[plots.Series]:
    """Electronic waybills and green packaging, day by day or month by month."""
    targets: Mapping[str, float | None] = {kpi["measure"]: kpi["target"] for kpi in report["kpis"]}
    said = [(rate, SCANNED[rate]) for rate in PLOTTED]
    return [(t.plain_pair(*TITLES[measure]), {row[time]: row[rate] for row in report[section]}, targets.get(measure)) for rate, measure in said]


def write_report(bootstrap: str, policy: Policy, registry: Registry, path: Path) -> None:
    """Write the page of all days that the topics speak of; nothing where they speak of none, or a file of before would stay."""
    path.unlink(missing_ok=True)
    found = published_now(bootstrap)
    if period := whole_period(policy, found.rates, (data["opened_at_ms"] for data in found.incidents)):
        path.write_text(as_html(gather(policy, registry, found, *period), own_language()), "utf-8")


def need_browser() -> str:
    """The path of a Chromium; ``YichengError`` says how to get one."""
    if browser := next(filter(None, map(shutil.which, BROWSERS)), None):
        return browser
    raise YichengError("a PDF is printed by Chromium, which is not installed: apt-get install chromium fonts-noto-cjk (or open the HTML in any browser and print it)")


def as_pdf(report: Row, language: Language = "both") -> bytes:
    """The page on A4, printed by a Chromium of this machine; an error says how to get one."""
    return printed(as_html(report, language))


def printed(html: str) -> bytes:
    """A page as a PDF, printed by a Chromium of this machine; an error says how to get one."""
    browser = need_browser()
    with tempfile.TemporaryDirectory() as folder:
        page, pdf = Path(folder) / "report.html", Path(folder) / "report.pdf"
        page.write_text(html, "utf-8")
        sandbox = ["--no-sandbox"] if os.geteuid() == 0 else []
        quiet = ["--headless", "--disable-gpu", "--disable-background-networking", "--disable-component-update", "--disable-sync", "--no-first-run"]
        command = [browser, *quiet, *sandbox, f"--user-data-dir={folder}/profile", "--no-pdf-header-footer", f"--print-to-pdf={pdf}", page.as_uri()]
        try:
            done = subprocess.run(command, capture_output=True, text=True, errors="replace", timeout=PRINTED_WITHIN_S, check=False)
        except subprocess.TimeoutExpired:
            raise YichengError(f"{browser} printed nothing within {PRINTED_WITHIN_S} s; open the HTML in a browser and print it") from None
        if not pdf.exists():
            raise YichengError(f"{browser} printed nothing: {(done.stderr.strip().splitlines() or ['it said nothing'])[-1]}")
        return pdf.read_bytes()
