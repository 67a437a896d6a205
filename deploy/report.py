"""``yicheng report``: a city's figures over local days, from what was published or from files that ``judge`` wrote.

``gather`` makes one plain structure; ``as_json``, ``as_csv`` and ``as_html`` write it. ``draw`` chooses vehicles and outlets
for inspection (双随机一公开: Hohhot 二（五）, Hezhou 二（一）1, Shaoxing 十, Wulong 三（三）) so that anyone can repeat it.
"""

from __future__ import annotations

import csv
import hashlib
import io
import re
import statistics
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import msgspec
import orjson
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from deploy import published
from streams.counts import CITY_WIDE, FEATURES, Counts, is_of_day, share
from streams.errors import BadInput
from streams.policy.checks import is_share
from streams.policy.policy import Policy
from streams.registry.key_figures import TITLES, network
from streams.registry.records import Enterprise
from streams.registry.registry import Registry
from streams.rules import RULES
from streams.shares import figure, percent
from streams.shown import shown
from streams.vehicles.empty_run import is_about_driving

GREEN_POINT_PARCELS = 100
_FORMULA = re.compile(r"[\s\x00-\x1f]*[=+\-@＝＋－＠|%]")


Published = tuple[list[dict[str, Any]], list[dict[str, Any]], list[dict[str, Any]]]


def published_now(bootstrap: str) -> Published:
    """Rates by subject and day, incidents as last revised, and police feedback, as the topics hold them now."""
    return list(published.rates(bootstrap).values()), list(published.incidents(bootstrap).values()), list(published.answers(bootstrap))


def judged_files(folder: Path) -> Published:
    """Rates, incidents and (no) feedback from a folder that ``judge`` wrote."""
    try:
        summary = orjson.loads((folder / "summary.json").read_bytes())
        rates, incidents = ([orjson.loads(line) for line in (folder / name).read_bytes().splitlines()] for name in ("rates.jsonl", "incidents.jsonl"))
    except OSError as error:
        raise BadInput(f"{error.filename}: {error.strerror}; --judged takes the folder given to ./yicheng judge --out") from None
    except orjson.JSONDecodeError as error:
        raise BadInput(f"{folder}: rates.jsonl, incidents.jsonl or summary.json is not what ./yicheng judge writes: {error}") from None
    return [*rates, *summary["driven"]], incidents, []


def gather(
    policy: Policy, registry: Registry, rates: Sequence[dict[str, Any]], incidents: Iterable[dict[str, Any]], feedback: Iterable[dict[str, Any]],
    from_: date, until: date,
) -> dict[str, Any]:  # fmt: skip
    """Everything a report says about local days from ``from_`` to ``until``, both included. Rates are shares from 0 to 1 or None.

    ``rates``: rows of rates.jsonl or courier.rates.v1; ``incidents``: ``data`` of final incidents, of which those count that
    were opened in the period; ``feedback``: ``incident_id`` and ``time_ms`` of courier.feedback.v1.
    """
    if until < from_:
        raise BadInput(f"--until {until} is before --from {from_}")
    dates = [(from_ + timedelta(days=n)).isoformat() for n in range((until - from_).days + 1)]
    city, start_ms, end_ms = policy.pack.city, policy.days.bounds_ms(dates[0])[0], policy.days.bounds_ms(dates[-1])[1]
    of_period = [row for row in rates if row["city"] == city.adcode and row["date"] in set(dates)]
    days = [row for row in of_period if is_of_day(row)]
    city_wide = [row for row in days if row["enterprise_id"] == CITY_WIDE]
    by_enterprise = _summed(days, lambda row: row["enterprise_id"])
    by_date, by_month = _summed(city_wide, lambda row: row["date"]), _summed(city_wide, lambda row: row["date"][:7])
    measured = {**network(registry, end_ms - 1, policy.pack.city.adcode), **_measured(by_enterprise[CITY_WIDE], filter(is_about_driving, of_period))}
    within = [data for data in incidents if data["city"] == city.adcode and start_ms <= data["opened_at_ms"] < end_ms and data["state"] != "retracted"]
    return {
        "city": {"adcode": city.adcode, "name_zh": city.name_zh, "name_en": city.name_en},
        "policy": policy.name,
        "document": {"title": policy.pack.document.title, "number": policy.pack.document.shown_number},
        "from": dates[0],
        "until": dates[-1],
        "kpis": _key_figures(measured, {measure: target.value for measure, target in policy.pack.targets.items()}),
        "enterprises": [_rates(counts, **_named(name, registry, end_ms - 1)) for name, counts in sorted(by_enterprise.items()) if counts.accepted],
        "days": [_rates(by_date[day], date=day) for day in dates if by_date[day].accepted],
        "months": _rising([_rates(counts, month=month) for month, counts in sorted(by_month.items()) if counts.accepted]),
        "incidents": _by_rule(policy, within),
        "response": _response(within, feedback),
    }


def _summed(rows: Iterable[dict[str, Any]], by: Callable[[dict[str, Any]], str]) -> dict[str, Counts]:
    """The counts of rows, by what ``by`` says of each; nothing, where no row is."""
    sums: dict[str, Counts] = defaultdict(Counts)
    for row in rows:
        sums[by(row)].merge(msgspec.convert({name: row[name] for name in ("accepted", *FEATURES)}, Counts))
    return sums


def _measured(whole: Counts, driving: Iterable[dict[str, Any]]) -> dict[str, float | None]:
    """What the parcels of the whole city and its vehicles' driving have come to, by measure."""
    rates, driven = whole.rates(), list(driving)
    return {
        "electronic_waybill": rates["electronic_rate"],
        "green_packaging": rates["green_rate"],
        **{name: rates[f"{name}_rate"] for name in ("narrow_tape", "not_repackaged", "reusable_bag", "real_name", "inspected")},
        "empty_run_ratio": share(sum(row["empty_run_m"] for row in driven), sum(row["known_run_m"] for row in driven)),
    }


def _key_figures(measured: Mapping[str, float | None], targets: Mapping[str, float]) -> list[dict[str, Any]]:
    return [
        {"measure": measure, "value": measured.get(measure), "target": targets.get(measure), "met": _met(measure, measured.get(measure), targets.get(measure))}
        for measure in TITLES if measure in measured or measure in targets
    ]  # fmt: skip


def _met(measure: str, value: float | None, target: float | None) -> bool | None:
    if value is None or target is None:
        return None
    return value <= target if measure == "empty_run_ratio" else value >= target


def _named(enterprise_id: str, registry: Registry, at_ms: int) -> dict[str, str]:
    known = registry.at("enterprise", enterprise_id, at_ms)
    names = (known.name_zh, known.name_en) if isinstance(known, Enterprise) else (None, None)
    if enterprise_id == CITY_WIDE:
        names = ("全市", "whole city")
    return {"enterprise_id": enterprise_id, "name_zh": names[0] or enterprise_id, "name_en": names[1] or enterprise_id}


def _rates(counts: Counts, **of: str) -> dict[str, Any]:
    """Counts and shares. Green points (绿色信用): one for every whole hundred parcels in green packaging, and in reusable bags."""
    return {
        **of,
        **msgspec.structs.asdict(counts),
        **counts.rates(),
        "green_points": counts.green // GREEN_POINT_PARCELS + counts.reusable_bag // GREEN_POINT_PARCELS,
    }


def _rising(months: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Whether green packaging rose against the month before (不断提高: Hohhot 六（十七）); None for the first."""
    before: list[dict[str, Any] | None] = [None, *months]
    return [{**month, "green_rising": month["green_rate"] > last["green_rate"] if last else None} for last, month in zip(before, months, strict=False)]


def _by_rule(policy: Policy, incidents: list[dict[str, Any]]) -> list[dict[str, Any]]:
    count: Counter[str] = Counter(data["rule_id"] for data in incidents)
    still_open: Counter[str] = Counter(data["rule_id"] for data in incidents if data["state"] == "open")
    rules = {rule.id: (rule.rule, rule.clause, rule.severity) for rule in policy.pack.rules}
    rules |= {data["rule_id"]: (data["rule"], data["clause"], data["severity"]) for data in incidents if data["rule_id"] not in rules}
    return [
        {
            "rule_id": rule_id, "rule": rule, "clause": clause, "severity": severity, "incidents": count[rule_id], "open": still_open[rule_id],
            "title_zh": RULES[rule].TITLE_ZH, "title_en": str(RULES[rule].__doc__).partition("\n")[0].rstrip("."),
        }
        for rule_id, (rule, clause, severity) in rules.items()
    ]  # fmt: skip


def _response(incidents: list[dict[str, Any]], feedback: Iterable[dict[str, Any]]) -> dict[str, Any]:
    """How long police took from an incident's opening to their first answer."""
    first: dict[str, int] = {}
    for answer in feedback:
        first[answer["incident_id"]] = min(answer["time_ms"], first.get(answer["incident_id"], answer["time_ms"]))
    waited = [(first[d["incident_id"]] - d["opened_at_ms"]) / 60_000 for d in incidents if d["incident_id"] in first]
    return {"incidents": len(incidents), "answered": len(waited), "median_minutes": round(statistics.median(waited), 1) if waited else None}


def as_json(report: dict[str, Any]) -> str:
    """Indented JSON."""
    return orjson.dumps(report, option=orjson.OPT_INDENT_2).decode() + "\n"


def as_csv(report: dict[str, Any]) -> str:
    """One figure a line: section, subject, measure, value, target."""
    out = io.StringIO()
    rows = csv.writer(out, lineterminator="\n")
    for row in _figures(report):
        rows.writerow([_cell(value) for value in row])
    return out.getvalue()


def _figures(report: dict[str, Any]) -> Iterator[tuple[Any, ...]]:
    yield "section", "subject", "measure", "value", "target"
    for kpi in report["kpis"]:
        yield "kpi", report["city"]["adcode"], kpi["measure"], kpi["value"], kpi["target"]
    for section, name in (("enterprises", "enterprise_id"), ("days", "date"), ("months", "month")):
        for row in report[section]:
            yield from ((section, row[name], measure, value, None) for measure, value in row.items() if isinstance(value, int | float))
    for row in report["incidents"]:
        yield "incidents", row["rule_id"], row["rule"], row["incidents"], None
    yield "response", report["city"]["adcode"], "median_minutes", report["response"]["median_minutes"], None


def _cell(value: Any) -> Any:
    """A value as a cell; a name that a spreadsheet would take for a formula, or for several lines, is written as text."""
    if not isinstance(value, str):
        return value
    return f"'{shown(value)}" if _FORMULA.match(value) else shown(value)


def as_html(report: dict[str, Any]) -> str:
    """One page in Chinese and English that needs nothing else: no script, no network."""
    environment = Environment(loader=FileSystemLoader(Path(__file__).parent), autoescape=True, undefined=StrictUndefined, trim_blocks=True)
    environment.filters |= {"percent": percent, "figure": lambda value, measure, target=None: figure(value, share=is_share(measure), target=target)}
    most = max((row["incidents"] for row in report["incidents"]), default=0)
    return environment.get_template("report.html").render(**{**report, "titles": TITLES, "most": most or 1, "until_": report["until"], "from_": report["from"]})


FORMATS = {"json": as_json, "csv": as_csv, "html": as_html}


def draw(policy: Policy, registry: Registry, *, seed: str, count: int, on: date) -> dict[str, Any]:
    """``count`` vehicles and as many outlets of the registry on a date, at random from a seed and from nothing else.

    Each candidate's ticket is the SHA-256 of ``seed/kind/id``; the lowest tickets are drawn. So the order of the registry
    does not matter, and nobody can add or withdraw a candidate to have another one drawn. ``candidates_sha256`` is of
    the sorted ids, one a line, so that the list can be held against the registry later.
    """
    at_ms = policy.days.bounds_ms(on.isoformat())[1] - 1
    valid = registry.valid(at_ms)
    drawn: dict[str, Any] = {"city": policy.pack.city.adcode, "date": on.isoformat(), "seed": seed}
    for kind in ("vehicle", "outlet"):
        ids = sorted(entry.id for entry in valid[kind] if getattr(entry, "status", "active") == "active")
        if count > len(ids):
            raise BadInput(f"--count {count}: the registry holds only {len(ids)} {kind}s on {on}")
        tickets = sorted((hashlib.sha256(f"{seed}/{kind}/{name}".encode()).hexdigest(), name) for name in ids)
        drawn[f"{kind}s"] = {
            "candidates": len(ids),
            "candidates_sha256": hashlib.sha256("".join(f"{name}\n" for name in ids).encode()).hexdigest(),
            "drawn": [{"id": name, "ticket": ticket} for ticket, name in tickets[:count]],
        }
    return drawn
