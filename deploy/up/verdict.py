"""Was everything injected found, and nothing else? Compares what reached the sink and the rates topic with the truth file.

What is compared is read as it was published, by the names of interfaces.md: nothing that judges has a say in it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import msgspec
import orjson

from producers.truth import Truth, local_date

INTERVAL_RULES = {"interrupted_feed", "offline_camera", "blacklisted_enterprise"}
"""Rules whose incidents last from a moment to another: silences, and times on a black list."""
HANDLING = ("delivered", "method_known", "locker", "night_delivered", "mode_known", "rail", "air", "vehicle_known", "joint")
"""What rows of rates count beside what was accepted."""


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


def verdict_on(truth: Truth, sink: Path, rates: dict[str, dict[str, Any]], credit: dict[str, dict[str, Any]], timezone: ZoneInfo, *, disturbed: bool) -> TruthComparison:
    """``compare`` with the incidents of a file sink, and whether they stood; ``disturbed``: faults were injected."""
    verdict = compare(truth, latest_incidents(sink), rates, credit, timezone)
    stood = how_alarms_stood(sink)
    if not stood.holds(disturbed=disturbed):
        verdict.differences.append(f"taken back: {stood.count} of {stood.announced} announced incidents: {stood.taken_back}")
    return verdict


def compare(truth: Truth, incidents: dict[str, dict[str, Any]], rates: dict[str, dict[str, Any]], credit: dict[str, dict[str, Any]], timezone: ZoneInfo) -> TruthComparison:
    """Compare field by field; an incident still open is compared by its opening. ``rates``, ``credit``: rows as published, by key."""
    standing = [data for data in incidents.values() if data["state"] != "retracted"]
    differences = [
        *_vehicle_differences(truth, standing),
        *_low_day_differences(truth, standing, timezone),
        *_interval_differences(truth, standing),
        *_driver_differences(truth, credit),
        *_line_differences(truth, standing, timezone),
        *violation_differences(truth.violations, standing, timezone),
        *_rate_differences(truth, rates),
        *_handling_differences(truth, rates),
        *_driving_differences(truth, rates),
    ]
    expected = len(truth.incidents) + len(truth.low_days) + len(truth.missed_lines) + len(truth.violations) + len(truth.intervals)
    return TruthComparison(expected, len(standing), len(truth.rates), sorted(differences))


def _vehicle_differences(truth: Truth, standing: list[dict[str, Any]]) -> Iterator[str]:
    """Incidents of vehicles: by rule, vehicle, zone and opening."""
    found = {(d["rule_id"], d["vehicle_id"], d["zone_id"], d["opened_at_ms"]): d for d in standing if d["vehicle_id"]}
    expected = {(t.rule_id, t.vehicle_id, t.zone_id, t.opened_at_ms): t for t in truth.incidents}
    yield from _missed_or_not_injected(expected.keys(), found.keys(), _vehicle_incident)
    for key in expected.keys() & found.keys():
        data, true = found[key], expected[key]
        if data["driver_id"] != true.driver_id:
            yield f"other driver: {_vehicle_incident(key)}: {data['driver_id']}, not {true.driver_id}"
        if data["state"] == "closed" and (data["last_seen_ms"], data["fix_count"]) != (true.last_seen_ms, true.fix_count):
            yield f"other extent: {_vehicle_incident(key)}: {data['fix_count']} fixes until {data['last_seen_ms']}, not {true.fix_count} until {true.last_seen_ms}"


def _low_day_differences(truth: Truth, standing: list[dict[str, Any]], timezone: ZoneInfo) -> Iterator[str]:
    found = Counter((d["rule_id"], d["enterprise_id"], local_date(d["opened_at_ms"], timezone)) for d in standing if d["rule"].startswith("low_"))
    if found != Counter(truth.low_days):
        yield f"low-rate days: found {sorted(found.elements())}, injected {sorted(truth.low_days)}"


def _interval_differences(truth: Truth, standing: list[dict[str, Any]]) -> Iterator[str]:
    """Silences, and times on a black list."""
    found = {(d["rule_id"], _subject(d), d["opened_at_ms"], d["closed_at_ms"]) for d in standing if d["rule"] in INTERVAL_RULES}
    yield from _missed_or_not_injected(set(truth.intervals), found, _interval)


def _driver_differences(truth: Truth, credit: dict[str, dict[str, Any]]) -> Iterator[str]:
    points = {name.removeprefix("driver/"): row["points"] for name, row in credit.items() if name.startswith("driver/") and row["points"]}
    for name in _differing(points, truth.driver_points):
        yield f"points of driver {name}: {points.get(name)}, not {truth.driver_points.get(name)}"


def _line_differences(truth: Truth, standing: list[dict[str, Any]], timezone: ZoneInfo) -> Iterator[str]:
    found = {(d["rule_id"], d["line_id"], local_date(d["opened_at_ms"], timezone)) for d in standing if d.get("line_id")}
    for line in found ^ set(truth.missed_lines):
        yield f"line {' '.join(line)}: missed is not what was injected"


def _rate_differences(truth: Truth, rates: dict[str, dict[str, Any]]) -> Iterator[str]:
    """Parcels of each day: accepted, with electronic waybills, in green packaging."""
    for name, counts in truth.rates.items():
        row = rates.get(name, {})
        if tuple(row.get(field) for field in ("accepted", "electronic", "green")) != counts:
            yield f"rate {name}: accepted, electronic, green should be {counts}, published {row or 'nothing'}"
    for name, row in rates.items():
        if _is_of_day(row) and row["accepted"] and name not in truth.rates:
            yield f"rate {name} was not produced"


def _handling_differences(truth: Truth, rates: dict[str, dict[str, Any]]) -> Iterator[str]:
    """How the parcels of each day went and were delivered."""
    handled = {name: said for name, row in rates.items() if _is_of_day(row) and (said := _handled(row))}
    for name in _differing(handled, truth.handled):
        yield f"parcels of {name}: {handled.get(name)}, not {truth.handled.get(name)}"


def _driving_differences(truth: Truth, rates: dict[str, dict[str, Any]]) -> Iterator[str]:
    """How far the fleet drove each day."""
    driven_m = {row["date"]: tuple(row[f"{kind}_m"] for kind in ("empty_run", "known_run", "night_run", "run")) for row in rates.values() if str(row.get("window")).startswith("driven")}
    true_m = {date: tuple(mm / 1000 for mm in driven_mm) for date, driven_mm in truth.driven.items()}
    for date in _differing(driven_m, true_m):
        yield f"driven empty, with a known load, by night and in all on {date}: {driven_m.get(date)} m, not {true_m.get(date)}"


def _differing(found: Mapping[str, Any], expected: Mapping[str, Any]) -> list[str]:
    """The names of which two tables say different things, or one says nothing."""
    return [name for name in found.keys() | expected.keys() if found.get(name) != expected.get(name)]


def _missed_or_not_injected(expected: Collection[Any], found: Collection[Any], in_words: Callable[[Any], str]) -> Iterator[str]:
    yield from (f"missed: {in_words(each)}" for each in expected if each not in found)
    yield from (f"not injected: {in_words(each)}" for each in found if each not in expected)


def _handled(row: dict[str, Any]) -> dict[str, int]:
    """What a row says of how parcels went and were delivered, as the truth has it."""
    said = {name: row.get(name, 0) for name in HANDLING} | {f"in {hours} h": number for hours, number in row.get("transit_hours", {}).items()}
    return {name: number for name, number in said.items() if number}


def violation_differences(expected: Mapping[str, tuple[int, ...]], standing: Iterable[dict[str, Any]], timezone: ZoneInfo) -> list[str]:
    """What incidents about scans say otherwise than ``expected``: ``rule id, subject, date`` → first and last scan, how many.

    Of one still open only the first scan is compared; all other incidents are passed over.
    """
    about_scans = (data for data in standing if not (data["vehicle_id"] or data.get("line_id") or data["rule"] in INTERVAL_RULES or data["rule"].startswith("low_")))
    found = {f"{data['rule_id']} {_subject(data)} {local_date(data['opened_at_ms'], timezone)}": data for data in about_scans}
    differences = list(_missed_or_not_injected(expected.keys(), found.keys(), str))
    for name in expected.keys() & found.keys():
        known = None if found[name]["state"] == "closed" else 1
        summary = tuple(found[name][field] for field in ("opened_at_ms", "last_seen_ms", "fix_count"))
        if summary[:known] != expected[name][:known]:
            differences.append(f"other extent: {name}: {summary}, not {expected[name]}")
    return differences


def _is_of_day(row: dict[str, Any]) -> bool:
    """Whether a row is about one local day; there are others about the last 30, and about driving."""
    return bool(row.get("window", row["date"]) == row["date"])


def _subject(data: dict[str, Any]) -> str:
    """The outlet or the enterprise that an incident is about."""
    return f"outlet/{data['outlet_id']}" if data["outlet_id"] else f"enterprise/{data['enterprise_id']}"


def _interval(interval: tuple[str, str, int, int | None]) -> str:
    rule_id, subject, from_ms, until_ms = interval
    return f"{rule_id} of {subject} from {from_ms} until {until_ms or 'the end'}"


def _vehicle_incident(key: tuple[Any, ...]) -> str:
    rule_id, vehicle_id, zone_id, opened_at_ms = key
    return f"{rule_id} by {vehicle_id}{f' in {zone_id}' if zone_id else ''} at {opened_at_ms}"
