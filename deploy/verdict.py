"""Was everything injected found, and nothing else? Compares what reached the sink and the rates topic with the truth file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import orjson

from producers.synthetic import Truth
from streams.clock import LocalDays

EXTENT = ("opened_at_ms", "last_seen_ms", "fix_count")


class Produced(msgspec.Struct):
    """What a producer wrote down: the numbers sent by kind, and what it injected (nothing for recorded files)."""

    sent: dict[str, int]
    truth: Truth | None = None


class Verdict(msgspec.Struct):
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


def latest_incidents(sink: Path) -> dict[str, dict[str, Any]]:
    """The newest revision of each incident in the file sink, as ``data``; repeats (at least once) fall away."""
    latest: dict[str, dict[str, Any]] = {}
    if sink.exists():
        for line in sink.read_bytes().splitlines():
            data = orjson.loads(line)["data"]
            known = latest.get(data["incident_id"])
            if known is None or known["revision"] < data["revision"]:
                latest[data["incident_id"]] = data
    return latest


def compare(truth: Truth, incidents: dict[str, dict[str, Any]], rates: dict[str, dict[str, Any]], days: LocalDays) -> Verdict:
    """Compare field by field; an incident still open is compared by its opening."""
    differences: list[str] = []
    standing = [data for data in incidents.values() if data["state"] != "retracted"]
    found = {(d["rule_id"], d["vehicle_id"], d["zone_id"], d["opened_at_ms"]): d for d in standing if d["vehicle_id"]}
    expected = {(t.rule_id, t.vehicle_id, t.zone_id, t.opened_at_ms): t for t in truth.incidents}
    differences += [f"missed: {_name(key)}" for key in expected.keys() - found.keys()]
    differences += [f"not injected: {_name(key)}" for key in found.keys() - expected.keys()]
    for key in expected.keys() & found.keys():
        data, true = found[key], expected[key]
        if data["state"] == "closed" and (data["last_seen_ms"], data["fix_count"]) != (true.last_seen_ms, true.fix_count):
            differences.append(f"other extent: {_name(key)}: {data['fix_count']} fixes until {data['last_seen_ms']}, not {true.fix_count} until {true.last_seen_ms}")
    low_found = {(d["rule_id"], d["enterprise_id"], d["opened_at_ms"]) for d in standing if d["rule"].startswith("low_")}
    low_expected = len(truth.low_days)
    if len(low_found) != low_expected or {x[:2] for x in low_found} != {(rule, subject) for rule, subject, _ in truth.low_days}:
        differences.append(f"low-rate days: found {sorted(low_found)}, injected {sorted(truth.low_days)}")
    scanned = {name: d for d in standing if (name := finding_name(d, days))}
    differences += [f"missed: {name}" for name in truth.findings.keys() - scanned.keys()]
    differences += [f"not injected: {name}" for name in scanned.keys() - truth.findings.keys()]
    for name in truth.findings.keys() & scanned.keys():
        known = len(EXTENT) if scanned[name]["state"] == "closed" else 1
        extent, true_extent = tuple(scanned[name][field] for field in EXTENT), truth.findings[name]
        if extent[:known] != true_extent[:known]:
            differences.append(f"other extent: {name}: {extent}, not {true_extent}")
    for name, counts in truth.rates.items():
        row = rates.get(name, {})
        if tuple(row.get(field) for field in ("accepted", "electronic", "green")) != counts:
            differences.append(f"rate {name}: accepted, electronic, green should be {counts}, published {row or 'nothing'}")
    differences += [f"rate {name} was not produced" for name in rates.keys() - truth.rates.keys()]
    return Verdict(len(expected) + low_expected + len(truth.findings), len(standing), len(truth.rates), sorted(differences))


def finding_name(data: dict[str, Any], days: LocalDays) -> str:
    """The name in the truth of an incident about scans; empty for all others."""
    if data["vehicle_id"] or data["rule"].startswith("low_"):
        return ""
    subject = f"outlet/{data['outlet_id']}" if data["outlet_id"] else f"enterprise/{data['enterprise_id']}"
    return f"{data['rule_id']} {subject} {days.date_of(data['opened_at_ms'])}"


def _name(key: tuple[Any, ...]) -> str:
    rule_id, vehicle_id, zone_id, opened_at_ms = key
    return f"{rule_id} by {vehicle_id}{f' in {zone_id}' if zone_id else ''} at {opened_at_ms}"
