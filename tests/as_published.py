"""What was published, read by the names of its fields alone: what tests compare with the oracle calls no code of the product."""

import json

from oracle import SCAN_RULES

SILENCES = ("offline_camera", "interrupted_feed")


def newest(revisions):
    """Of each name the row with the greatest revision, of (name, row)."""
    latest = {}
    for name, row in revisions:
        if name not in latest or latest[name]["revision"] < row["revision"]:
            latest[name] = row
    return latest


def events_of(sink):
    """The events in a file, in order; none where there is no file."""
    return [json.loads(line) for line in sink.read_bytes().splitlines()] if sink.exists() else []


def standing(events):
    """What is said last of each incident (``data``) that was not taken back."""
    latest = newest((event["data"]["incident_id"], event["data"]) for event in events)
    return [data for data in latest.values() if data["state"] != "retracted"]


def taken_back(events):
    """How many incidents were announced, and the rules of those that were ever taken back."""
    rules = {event["data"]["incident_id"]: event["data"]["rule"] for event in events}
    return len(rules), sorted(rules[name] for name in {e["data"]["incident_id"] for e in events if e["type"] == "yicheng.incident.retracted.v1"})


def subject_of(data):
    """Whom an incident is about, as ``kind/id``."""
    kind = "vehicle" if data["vehicle_id"] else "outlet" if data["outlet_id"] else "enterprise"
    return f"{kind}/{data[f'{kind}_id']}"


def of_days(rows):
    """The rows that are about one local day."""
    return [row for row in rows if row.get("window", row["date"]) == row["date"]]


def of_driving(rows):
    """The rows that are about distances driven."""
    return [row for row in rows if row.get("window", "").startswith("driven ")]


def low_days(incidents):
    """Days and months with low rates, as ``Oracle.low_bounds``: (rule id, enterprise, from, until)."""
    return {(d["rule_id"], d["enterprise_id"], d["opened_at_ms"], d["closed_at_ms"]) for d in incidents if d["rule"].startswith("low_")}


def silences(incidents):
    """Silences, as ``Oracle.spells``: (rule id, subject, from, until)."""
    return {(d["rule_id"], subject_of(d), d["opened_at_ms"], d["closed_at_ms"]) for d in incidents if d["rule"] in SILENCES}


def black_lists(incidents):
    """Times on the black list, as ``Oracle.black``: (rule id, enterprise, from, until)."""
    return {(d["rule_id"], d["enterprise_id"], d["opened_at_ms"], d["closed_at_ms"]) for d in incidents if d["rule"] == "blacklisted_enterprise"}


def check_findings(incidents, expected, oracle, name=""):
    """Incidents about scans are those expected, as ``Oracle.findings``; of one still open only the first scan is compared."""
    about = [data for data in incidents if data["rule"] in SCAN_RULES]
    found = {(d["rule_id"], subject_of(d), oracle.local(d["opened_at_ms"]).date().isoformat()): d for d in about}
    wanted = {row[:3]: row[3:] for row in expected}
    assert len(found) == len(about) and found.keys() == wanted.keys(), f"{name}: {found.keys() ^ wanted.keys()}"
    for key, data in found.items():
        extent = (data["opened_at_ms"], data["last_seen_ms"], data["fix_count"])
        known = 3 if data["state"] == "closed" else 1
        assert extent[:known] == wanted[key][:known], f"{name}: {key} {extent}, not {wanted[key]}"
