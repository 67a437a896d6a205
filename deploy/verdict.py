"""Was everything injected found, and nothing else? Compares what reached the sink and the rates topic with the truth file."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import msgspec
import orjson

from producers.truth import Truth
from streams.clock import LocalDays
from streams.counts import HANDLING, is_of_day
from streams.rules import judged
from streams.vehicles.empty_run import is_about_driving
from streams.wire.cloudevents import subject_of


class Produced(msgspec.Struct):
    """What a producer wrote down: the numbers sent by kind, and what it injected (nothing for recorded files)."""

    sent: dict[str, int]
    truth: Truth | None = None


class TruthComparison(msgspec.Struct):
    """The comparison in numbers, with the differences in words."""

    expected: int
    found: int
    rates_expected: int
    differences: list[str]

    @property
    def holds(self) -> bool:
        """Whether everything was found and nothing else."""
        return not self.differences


def read_produced(path: Path) -> Produced | None:
    """The producer's file once it is there."""
    return msgspec.json.decode(path.read_bytes(), type=Produced) if path.exists() else None


def newest(revisions: Iterable[tuple[str, dict[str, Any]]]) -> dict[str, dict[str, Any]]:
    """Of each name the row with the greatest ``revision``; repeats (at least once) fall away."""
    latest: dict[str, dict[str, Any]] = {}
    for name, row in revisions:
        if name not in latest or latest[name]["revision"] < row["revision"]:
            latest[name] = row
    return latest


def latest_incidents(sink: Path) -> dict[str, dict[str, Any]]:
    """The newest revision of each incident in the file sink, as ``data``."""
    return newest((event["data"]["incident_id"], event["data"]) for event in incident_events(sink))


def incident_events(sink: Path) -> Iterator[dict[str, Any]]:
    """The CloudEvents about incidents in a file sink; alerts about the system itself may stand between them."""
    events = map(orjson.loads, sink.read_bytes().splitlines() if sink.exists() else ())
    return (event for event in events if event["type"].startswith("yicheng.incident."))


class Stood(msgspec.Struct, frozen=True):
    """How many incidents were announced, and how many of them were ever taken back, by rule (invariant A)."""

    announced: int
    taken_back: dict[str, int]

    @property
    def count(self) -> int:
        """How many were taken back."""
        return sum(self.taken_back.values())

    def holds(self, *, disturbed: bool) -> bool:
        """None may be in undisturbed traffic; of late, repeated or broken records one in a hundred may come."""
        return self.count <= (self.announced // 100 if disturbed else 0)


def how_alarms_stood(sink: Path) -> Stood:
    """What the file sink says of that; repeats of a revision count once."""
    events = list(incident_events(sink))
    rules = {event["data"]["incident_id"]: event["data"]["rule"] for event in events}
    taken_back = {event["data"]["incident_id"] for event in events if event["type"] == "yicheng.incident.retracted.v1"}
    return Stood(len(rules), dict(sorted(Counter(rules[incident_id] for incident_id in taken_back).items())))


def compare(truth: Truth, incidents: dict[str, dict[str, Any]], rates: dict[str, dict[str, Any]], credit: dict[str, dict[str, Any]], days: LocalDays) -> TruthComparison:
    """Compare field by field; an incident still open is compared by its opening. ``rates``, ``credit``: rows as published, by key."""
    differences: list[str] = []
    standing = [data for data in incidents.values() if data["state"] != "retracted"]
    found = {(d["rule_id"], d["vehicle_id"], d["zone_id"], d["opened_at_ms"]): d for d in standing if d["vehicle_id"]}
    expected = {(t.rule_id, t.vehicle_id, t.zone_id, t.opened_at_ms): t for t in truth.incidents}
    differences += [f"missed: {_name(key)}" for key in expected.keys() - found.keys()]
    differences += [f"not injected: {_name(key)}" for key in found.keys() - expected.keys()]
    for key in expected.keys() & found.keys():
        data, true = found[key], expected[key]
        if data["driver_id"] != true.driver_id:
            differences.append(f"other driver: {_name(key)}: {data['driver_id']}, not {true.driver_id}")
        if data["state"] == "closed" and (data["last_seen_ms"], data["fix_count"]) != (true.last_seen_ms, true.fix_count):
            differences.append(f"other extent: {_name(key)}: {data['fix_count']} fixes until {data['last_seen_ms']}, not {true.fix_count} until {true.last_seen_ms}")
    low_found = Counter((d["rule_id"], d["enterprise_id"], days.date_of(d["opened_at_ms"])) for d in standing if d["rule"].startswith("low_"))
    if low_found != Counter(truth.low_days):
        differences.append(f"low-rate days: found {sorted(low_found.elements())}, injected {sorted(truth.low_days)}")
    spells = {(d["rule_id"], subject_of(d), d["opened_at_ms"], d["closed_at_ms"]) for d in standing if judged(d["rule"]) in {"silence", "credit"}}
    differences += [f"missed: {_spell(spell)}" for spell in set(truth.spells) - spells]
    differences += [f"not injected: {_spell(spell)}" for spell in spells - set(truth.spells)]
    charged = {name.removeprefix("driver/"): row["points"] for name, row in credit.items() if name.startswith("driver/") and row["points"]}
    names = charged.keys() | truth.driver_points.keys()
    differences += [f"points of driver {name}: {charged.get(name)}, not {truth.driver_points.get(name)}" for name in names if charged.get(name) != truth.driver_points.get(name)]
    missed_lines = {(d["rule_id"], d["line_id"], days.date_of(d["opened_at_ms"])) for d in standing if judged(d["rule"]) == "line"}
    differences += [f"line {' '.join(line)}: missed is not what was injected" for line in missed_lines ^ set(truth.missed_lines)]
    differences += finding_differences(truth.findings, standing, days)
    for name, counts in truth.rates.items():
        row = rates.get(name, {})
        if tuple(row.get(field) for field in ("accepted", "electronic", "green")) != counts:
            differences.append(f"rate {name}: accepted, electronic, green should be {counts}, published {row or 'nothing'}")
    of_days = {name: row for name, row in rates.items() if is_of_day(row)}
    differences += [f"rate {name} was not produced" for name, row in of_days.items() if row["accepted"] and name not in truth.rates]
    handled = {name: said for name, row in of_days.items() if (said := _handled(row))}
    names = handled.keys() | truth.handled.keys()
    differences += [f"parcels of {name}: {handled.get(name)}, not {truth.handled.get(name)}" for name in names if handled.get(name) != truth.handled.get(name)]
    driven = {row["date"]: tuple(row[f"{kind}_m"] for kind in ("empty_run", "known_run", "night_run", "run")) for row in rates.values() if is_about_driving(row)}
    drove = {date: tuple(mm / 1000 for mm in driven_mm) for date, driven_mm in truth.driven.items()}
    differences += [f"driven empty, with a known load, by night and in all on {date}: {driven.get(date)} m, not {drove.get(date)}" for date in drove.keys() | driven.keys() if driven.get(date) != drove.get(date)]
    return TruthComparison(len(expected) + len(truth.low_days) + len(truth.missed_lines) + len(truth.findings) + len(truth.spells), len(standing), len(truth.rates), sorted(differences))


def _handled(row: dict[str, Any]) -> dict[str, int]:
    """What a row says of how parcels went and were delivered, as the truth has it."""
    said = {name: row.get(name, 0) for name in HANDLING} | {f"in {hours} h": number for hours, number in row.get("transit_hours", {}).items()}
    return {name: number for name, number in said.items() if number}


def finding_differences(expected: Mapping[str, tuple[int, ...]], standing: Iterable[dict[str, Any]], days: LocalDays) -> list[str]:
    """What incidents about scans say otherwise than ``expected``: ``rule id, subject, date`` → first and last scan, how many.

    Of one still open only the first scan is compared; all other incidents are passed over.
    """
    about_scans = (data for data in standing if judged(data["rule"]) == "scan")
    found = {f"{data['rule_id']} {subject_of(data)} {days.date_of(data['opened_at_ms'])}": data for data in about_scans}
    differences = [f"missed: {name}" for name in expected.keys() - found.keys()]
    differences += [f"not injected: {name}" for name in found.keys() - expected.keys()]
    for name in expected.keys() & found.keys():
        known = None if found[name]["state"] == "closed" else 1
        extent = tuple(found[name][field] for field in ("opened_at_ms", "last_seen_ms", "fix_count"))
        if extent[:known] != expected[name][:known]:
            differences.append(f"other extent: {name}: {extent}, not {expected[name]}")
    return differences


def _spell(spell: tuple[str, str, int, int | None]) -> str:
    rule_id, subject, from_ms, until_ms = spell
    return f"{rule_id} of {subject} from {from_ms} until {until_ms or 'the end'}"


def _name(key: tuple[Any, ...]) -> str:
    rule_id, vehicle_id, zone_id, opened_at_ms = key
    return f"{rule_id} by {vehicle_id}{f' in {zone_id}' if zone_id else ''} at {opened_at_ms}"
