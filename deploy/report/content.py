"""``yicheng report``: a city's figures over local days, from what was published or from files that ``judge`` wrote.

``gather`` makes one plain structure, in no language; ``as_json`` writes it, ``tables`` (CSV) and ``page`` (HTML, PDF) write it for people.
"""

from __future__ import annotations

import statistics
from calendar import monthrange
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import Any, NamedTuple

import orjson
from msgspec import structs

from deploy import published
from deploy.report.enterprises import drivers, interruptions, named, standings
from deploy.report.figures import Period, document_facts, key_figures, measured, summed
from deploy.report.inspections import Draw, results
from deploy.report.network import active_numbers, lines_run, network_on_map, parking, transit
from streams.counts import CITY_WIDE, Counts, figures, is_of_day
from streams.errors import BadInput
from streams.policy.claims import figure_clauses
from streams.policy.conditions import exempt_words, title_words
from streams.policy.policy import Policy
from streams.policy.reader import packs
from streams.policy.wording import demand_words
from streams.registry.figure_clauses import SECTIONS
from streams.registry.key_figures import network
from streams.registry.registry import Registry
from streams.wire.answers import NO_ANSWERS
from streams.words.terms import LANGUAGES

GREEN_POINT_PARCELS = 100
MONTHS_SHOWN = 12
EMISSIONS = ("emission_3", "emission_4", "emission_5", "emission_6", "emission_other")
"""Numbers of vehicles by their emission standard on record."""
Row = dict[str, Any]


class Published(NamedTuple):
    """What a report is made of: rows of rates, ``data`` of incidents as last revised, answers to them, enterprises' credit."""

    rates: Sequence[Row]
    incidents: Sequence[Row]
    feedback: Sequence[Row] = ()
    credit: Sequence[Row] = ()


def published_now(bootstrap: str) -> Published:
    """What the topics hold now."""
    return Published(
        list(published.rates(bootstrap).values()), list(published.incidents(bootstrap).values()),
        list(map(structs.asdict, published.answers(bootstrap))), list(published.credit(bootstrap).values()),
    )  # fmt: skip


def judged_files(folder: Path) -> Published:
    """What a folder holds that ``judge`` wrote (no feedback)."""
    try:
        summary = {**orjson.loads((folder / "summary.json").read_bytes())}
        rates = [orjson.loads(line) for line in (folder / "rates.jsonl").read_bytes().splitlines()]
        rows = [*rates, *(row for name in ("driven", "handled", "outlets", "fleet") for row in summary.get(name, ()))]
        incidents = [published.judged_incident_in(_as_published(orjson.loads(line))) for line in (folder / "incidents.jsonl").read_bytes().splitlines()]
        credit = [published.standing_in(_as_published(row)) for row in summary.get("credit", [])]
        return Published([published.rate_in(_as_published(row)) for row in rows], incidents, credit=credit)
    except OSError as error:
        raise BadInput(f"{error.filename}: {error.strerror}; --judged takes the folder given to ./yicheng judge --out") from None
    except (ValueError, KeyError, TypeError) as error:
        raise BadInput(f"{folder}: rates.jsonl, incidents.jsonl or summary.json is not what ./yicheng judge writes: {error}") from None


def _as_published(row: Row) -> bytes:
    """A row that ``judge`` wrote as it would stand in its topic: files hold the last revision alone, and of a day no other window."""
    said = {"revision": 1, **row}
    return orjson.dumps({"window": said.get("date"), **said})


def judged_policy(folder: Path) -> str:
    """The name of the pack that ``judge`` judged by; ``BadInput`` where that is none that comes with Yicheng."""
    try:
        name = str(orjson.loads((folder / "summary.json").read_bytes())["policy"])
    except (OSError, orjson.JSONDecodeError, KeyError, TypeError):
        judged_files(folder)
        raise BadInput(f"{folder}: summary.json names no pack; give --policy") from None
    if name not in packs():
        raise BadInput(f"{folder} was judged by a pack of your own, {name}: give its path with --policy")
    return name


def gather(policy: Policy, registry: Registry, found: Published, from_: date, until: date, draws: Sequence[Draw] = ()) -> Row:
    """Everything a report says about local days from ``from_`` to ``until``, both included. Rates are shares from 0 to 1 or None.

    Of the incidents those count that were opened in the period. ``draws``: those of whose results it is to tell.
    """
    period = Period.checked(from_, until)
    city, pack, bounds_ms = policy.pack.city, policy.pack, period.bounds_ms(policy.days)
    at_ms, last = bounds_ms[1] - 1, period.last.isoformat()
    spoken = figure_clauses(pack)
    of_city = [row for row in found.rates if row["city"] == city.adcode]
    of_period = [row for row in of_city if period.covers(row["date"])]
    days = [row for row in of_period if is_of_day(row)]
    city_wide = [row for row in days if row["enterprise_id"] == CITY_WIDE]
    by_enterprise, by_date = summed(days, lambda row: row["enterprise_id"]), summed(city_wide, lambda row: row["date"])
    within = [data for data in found.incidents if data["city"] == city.adcode and bounds_ms[0] <= data["opened_at_ms"] < bounds_ms[1] and data["state"] != "retracted"]
    return {
        "city": {"adcode": city.adcode, "name_zh": city.name_zh, "name_en": city.name_en},
        "policy": policy.name,
        "document": document_facts(policy, last),
        "from": period.first.isoformat(),
        "until": last,
        "before": {"from": period.before.first.isoformat(), "until": period.before.last.isoformat()},
        "kpis": key_figures(measured(policy, registry, of_city, period), measured(policy, registry, of_city, period.before), pack.targets, spoken, last, active_numbers(policy, registry, of_city, period)),
        "clauses": {section: spoken[section] for section in SECTIONS if section in spoken},
        "enterprises": [_rates(counts, **named(name, registry, at_ms)) for name, counts in sorted(by_enterprise.items()) if counts.accepted],
        "standings": standings(policy, registry, found.credit, within, at_ms),
        "keeps_credit": bool(policy.credit_rules),
        "confirmed_only": any(rule.parameters.confirmed_only for rule in policy.credit_rules),
        "drivers": drivers(registry, within, at_ms),
        "days": [_rates(by_date[day], date=day) for day in sorted(by_date) if by_date[day].accepted],
        "months": _months(policy, registry, of_city, last),
        "incidents": _by_rule(policy, within),
        "interruptions": interruptions(registry, within, bounds_ms),
        "parking": parking(policy, of_period), "transit": transit(registry, of_period, at_ms), "lines": lines_run(of_period),
        "network": network_on_map(policy, registry, of_city, at_ms),
        "response": _response(within, found.feedback),
        "draws": list(results(draws, within, found.feedback, policy.days)),
        "synthetic": sum(bool(data.get("synthetic")) for data in within),
    }  # fmt: skip


def _rates(counts: Counts, **of: str) -> Row:
    """Counts and shares. Green points (绿色信用): one for every whole hundred parcels in green packaging, and in reusable bags."""
    return {
        **of,
        "synthetic": counts.synthetic,
        **figures(counts),
        "green_points": counts.green // GREEN_POINT_PARCELS + counts.reusable_bag // GREEN_POINT_PARCELS,
    }


def _months(policy: Policy, registry: Registry, rows: Iterable[Row], last: str) -> list[Row]:
    """The last months up to a local date, each whole as far as it goes, whether green packaging rose against the month before, and the fleet on record at its end.

    不断提高 (Hohhot 六（十七）); None for the first, and met at 100 %. 逐步提高新能源汽车使用比例 (all five).
    """
    city_wide = (row for row in rows if is_of_day(row) and row["enterprise_id"] == CITY_WIDE and row["date"] <= last)
    sums = {month: counts for month, counts in sorted(summed(city_wide, lambda row: row["date"][:7]).items()) if counts.accepted}
    months = [_rates(counts, month=month) for month, counts in sums.items()][-MONTHS_SHOWN:]
    before: list[Row | None] = [None, *months]
    rising = [month["green_rate"] > earlier["green_rate"] or month["green_rate"] == 1 if earlier else None for earlier, month in zip(before, months, strict=False)]
    return [{**month, "green_rising": rose, **_fleet(policy, registry, min(f"{month['month']}-31", last))} for month, rose in zip(months, rising, strict=True)]


def _fleet(policy: Policy, registry: Registry, day: str) -> Row:
    """The share of new-energy vehicles and the emission standards on record at the end of a local date, or of its month where that has fewer days.

    Of a standard that no vehicle has there are none, where any standard is on record; else nobody knows.
    """
    year, month, number = map(int, day.split("-"))
    known = network(registry, policy.days.bounds_ms(date(year, month, min(number, monthrange(year, month)[1])).isoformat())[1] - 1, policy.pack.city.adcode)
    none = 0 if any(measure in known for measure in EMISSIONS) else None
    return {"nev_share": known.get("nev_share"), **{measure: known.get(measure, none) for measure in EMISSIONS}}


def _by_rule(policy: Policy, incidents: Sequence[Row]) -> list[Row]:
    """A row for each rule of the pack, and for those of before that incidents name: how many, what it asks, who is exempt, on what basis, by which words, who is responsible."""
    pack = policy.pack
    count: Counter[str] = Counter(data["rule_id"] for data in incidents)
    still_open: Counter[str] = Counter(data["rule_id"] for data in incidents if data["state"] == "open")
    rules: dict[str, Mapping[str, Any]] = {
        rule.id: {"rule": rule.rule, "clause": rule.clause, "severity": rule.severity, "clause_text": rule.quote, "basis": rule.basis, "figures": rule.figures,
                  "duty_of": rule.duty_of, "responsible": rule.responsible, "lead": pack.document.lead_of(rule.responsible), "reading": rule.reading, "stands_in_for": rule.stands_in_for, "zones": rule.zone_ids,
                  **_sentences("demand", demand_words(rule, policy)), **_sentences("exempt", exempt_words(rule))}
        for rule in pack.rules
    }  # fmt: skip
    rules |= {data["rule_id"]: data for data in incidents if data["rule_id"] not in rules}
    return [
        {
            "rule_id": rule_id, **{key: said[key] for key in ("rule", "clause", "severity")}, "incidents": count[rule_id], "open": still_open[rule_id],
            **{key: said.get(key) or None for key in ("basis", "figures", "duty_of", "lead", "reading", "stands_in_for")}, "clause_text": said.get("clause_text") or "",
            "zones": [{"id": zone, **_sentences("name", policy.zone_name(zone))} for zone in said.get("zones") or ()],
            "responsible": list(said.get("responsible") or ()), **_sentences("title", title_words(said["rule"])),
            **{f"{part}_{lang}": said.get(f"{part}_{lang}", "") for part in ("demand", "exempt") for lang in LANGUAGES},
        }
        for rule_id, said in rules.items()
    ]  # fmt: skip


def _sentences(part: str, said: tuple[str, str]) -> dict[str, str]:
    """The same in Chinese and in English, as keys of a row."""
    return {f"{part}_{lang}": text for lang, text in zip(LANGUAGES, said, strict=True)}


def _response(incidents: Sequence[Row], feedback: Iterable[Row]) -> Row:
    """How long police took from an incident's opening to their first answer."""
    first: dict[str, int] = {}
    for answer in (said for said in feedback if said.get("action") not in NO_ANSWERS):
        first[answer["incident_id"]] = min(answer["time_ms"], first.get(answer["incident_id"], answer["time_ms"]))
    waited = [(first[d["incident_id"]] - d["opened_at_ms"]) / 60_000 for d in incidents if d["incident_id"] in first]
    return {"incidents": len(incidents), "answered": len(waited), "median_minutes": round(statistics.median(waited), 1) if waited else None}


def as_json(report: Row) -> str:
    """Indented JSON."""
    return orjson.dumps(report, option=orjson.OPT_INDENT_2).decode() + "\n"
