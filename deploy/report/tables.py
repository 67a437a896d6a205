"""A report as CSV: all figures in one file, or a folder of tables. What comes from outside is text, never a formula."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from streams.words.shown import shown

Row = dict[str, Any]
_FORMULA = re.compile(r"[\s\x00-\x1f]*[=+\-@＝＋－＠|%]")


def as_csv(report: Row) -> str:
    """One figure a line: section, subject, measure, value, target; the clause that speaks of the measure, and whose the target is."""
    heading, *rows = _figures(report)
    return _written([heading, *([*row, *[None] * (len(heading) - len(row))] for row in rows)])


def _figures(report: Row) -> Iterator[Sequence[Any]]:
    clauses = {section: clause for section, (clause, _) in report["clauses"].items()}
    yield "section", "subject", "measure", "value", "target", "clause", "target_source", "target_by"
    yield from (("document", report["city"]["adcode"], key, value, None, None) for key, value in _document(report).items())
    for kpi in report["kpis"]:
        aim = kpi["target"], kpi["figure_clause"], kpi["source"], kpi["by"]
        yield "kpi", report["city"]["adcode"], kpi["measure"], kpi["value"], *aim
        if kpi["active"] is not None:
            yield "kpi", report["city"]["adcode"], f"{kpi['measure']}_active", kpi["active"], *aim
    for section, name in (("enterprises", "enterprise_id"), ("days", "date"), ("months", "month"), ("parking", "zone_id"), ("transit", "enterprise_id")):
        for row in report[section]:
            yield from ((section, row[name], measure, value, None, clauses.get(section)) for measure, value in row.items() if isinstance(value, int | float))
    for row in report["interruptions"]:
        clause = clauses.get("interruptions") if row["rule"] == "interrupted_feed" else None
        yield from (("interruptions", row["enterprise_id"], f"{row['rule']}_{measure}", value, None, clause) for measure, value in row.items() if isinstance(value, int | float))
    for row in report["incidents"]:
        yield "incidents", row["rule_id"], row["rule"], row["incidents"], None, row["clause"]
    yield "response", report["city"]["adcode"], "median_minutes", report["response"]["median_minutes"], None, None


def write_tables(report: Row, folder: Path) -> list[Path]:
    """Write each part of a report that has rows as a table of its own; the red and the black list always. UTF-8 with a mark, as spreadsheets want it."""
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    for name, rows in tables(report).items():
        heading = list(dict.fromkeys(key for row in rows for key in row))
        path = folder / f"{name}.csv"
        path.write_text(_written([heading or _LIST_HEADING, *([row.get(key) for key in heading] for row in rows)]), "utf-8-sig", newline="")
        written.append(path)
    return written


def _document(report: Row) -> Row:
    """The facts of the document and the period, each as text; who goes on after its end is among them."""
    document = report["document"]
    said = {key: document[key] for key in ("title", "number", "published", "in_force", "source", "assumed", "continued")}
    return {"from": report["from"], "until": report["until"], "policy": report["policy"], **_flat({key: value for key, value in said.items() if value})}


_LIST_HEADING = ["id", "name_zh", "name_en", "credit", "points", "source", "incidents", "reasons"]


def tables(report: Row) -> dict[str, list[Row]]:
    """The tables by name: plain values only. Empty ones are left out, but for the red and the black list."""
    lists = {f"{credit}_list": [_listed(row) for row in report["standings"] if row["credit"] == credit] for credit in ("red", "black")}
    found = {
        "document": [_document(report)], "key_figures": report["kpis"], "enterprises": report["enterprises"], "standings": [_listed(row) for row in report["standings"]],
        "days": report["days"], "months": report["months"], "incidents": [{**row, "zones": [zone["id"] for zone in row["zones"]]} for row in report["incidents"]], "interruptions": report["interruptions"],
        "drivers": report["drivers"]["enterprises"], "draws": report["draws"], "parking": report["parking"], "transit": report["transit"], "network": report["network"]["levels"],
    }  # fmt: skip
    return {**{name: [_flat(row) for row in rows] for name, rows in found.items() if rows}, **lists}


def _listed(row: Row) -> Row:
    reasons = "; ".join(f"{reason['rule']} {reason['incident_id']} {reason['points']:g}" for reason in row["reasons"])
    return {**{key: row[key] for key in _LIST_HEADING[:-1]}, "reasons": reasons}


def _flat(row: Row) -> Row:
    """Lists joined, and what is inside of others beside them: ``training`` gives ``training_valid`` and so on."""
    flat: Row = {}
    for key, value in row.items():
        if isinstance(value, dict):
            flat |= {f"{key}_{name}": inner for name, inner in value.items()}
        else:
            flat[key] = "、".join(map(str, value)) if isinstance(value, list) else value
    return flat


def _written(rows: Iterable[Sequence[Any]]) -> str:
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    for row in rows:
        writer.writerow([_cell(value) for value in row])
    return out.getvalue()


def _cell(value: Any) -> Any:
    """A value as a cell; a name that a spreadsheet would take for a formula, or for several lines, is written as text."""
    if not isinstance(value, str):
        return value
    return f"'{shown(value)}" if _FORMULA.match(value) else shown(value)
