"""What was published, read by the names of its fields alone: what tests compare with the oracle calls no code of the product."""

import json

from oracle import SCAN_RULES

FIELDS = ("rule", "rule_id", "vehicle_id", "zone_id", "opened_at_ms", "last_seen_ms", "fix_count", "state")
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


def of_vehicles(incidents):
    """Vehicles' incidents as ``Oracle.fixes`` has them; see ``as_announced``."""
    return as_announced(tuple(data[field] for field in FIELDS) for data in incidents if data["vehicle_id"])


def as_announced(rows):
    """Of an incident that is open only its opening: its end is announced when it closes."""
    return {row[:5] if row[7] == "open" else row for row in rows}


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


PARCELS = (
    "accepted", "electronic", "green", "narrow_tape", "narrow_tape_known", "not_repackaged", "not_repackaged_known", "reusable_bag", "reusable_bag_known", "real_name_known",
    "inspected", "inspected_known", "screened", "screened_known", "delivered", "method_known", "locker", "night_delivered", "mode_known", "rail", "air", "vehicle_known", "joint",
)  # fmt: skip


def of_parcels(rows):
    """What the rows of days say of parcels, as ``Oracle.counted`` but for what it tells apart in vain; the shares must follow from it."""
    found = {}
    for row in of_days(rows):
        counts = {name: row[name] for name in PARCELS if row[name]} | ({"real_name": row["real_name_verified"]} if row["real_name_verified"] else {})
        for rate, (part, whole) in SHARES.items():
            assert row[f"{rate}_rate"] == (counts.get(part, 0) / counts[whole] if counts.get(whole) else None), (rate, row)
        found[row["city"], row["enterprise_id"], row["date"]] = counts | {("hours", int(hours)): parcels for hours, parcels in row["transit_hours"].items()}
    return {key: counts for key, counts in found.items() if counts}


SHARES = {
    "electronic": ("electronic", "accepted"), "green": ("green", "accepted"), "locker": ("locker", "method_known"), "night_delivery": ("night_delivered", "delivered"),
    "rail": ("rail", "mode_known"), "air": ("air", "mode_known"), "joint_delivery": ("joint", "vehicle_known"),
    **{name: (name, f"{name}_known") for name in ("narrow_tape", "not_repackaged", "reusable_bag", "real_name", "inspected", "screened")},
}  # fmt: skip


def told_apart(counts):
    """``Oracle.counted`` without what the rows do not tell apart."""
    return {key: {name: number for name, number in names.items() if name not in {"road", "door", "station"}} for key, names in counts.items()}


def of_outlets(rows):
    """Outlet or facility → the last date of a scan there, as ``Oracle.last_seen``."""
    return {row["outlet_id"]: row["date"] for row in rows if row.get("window", "").startswith("outlet ")}


def of_driving(rows):
    """The rows that are about distances driven."""
    return [row for row in rows if row.get("window", "").startswith("driven ")]


def low_days(incidents):
    """Days and months with low rates, as ``Oracle.low_bounds``: (rule id, enterprise, from, until)."""
    return {(d["rule_id"], d["enterprise_id"], d["opened_at_ms"], d["closed_at_ms"]) for d in incidents if d["rule"].startswith("low_")}


def silences(incidents):
    """Silences, as ``Oracle.intervals``: (rule id, subject, from, until)."""
    return {(d["rule_id"], subject_of(d), d["opened_at_ms"], d["closed_at_ms"]) for d in incidents if d["rule"] in SILENCES}


def black_lists(incidents):
    """Times on the black list, as ``Oracle.black``: (rule id, enterprise, from, until)."""
    return {(d["rule_id"], d["enterprise_id"], d["opened_at_ms"], d["closed_at_ms"]) for d in incidents if d["rule"] == "blacklisted_enterprise"}


def check_violations(incidents, expected, oracle, name=""):
    """Incidents about scans are those expected, as ``Oracle.violations``; of one still open only the first scan is compared."""
    about = [data for data in incidents if data["rule"] in SCAN_RULES]
    found = {(d["rule_id"], subject_of(d), oracle.local(d["opened_at_ms"]).date().isoformat()): d for d in about}
    wanted = {row[:3]: row[3:] for row in expected}
    assert len(found) == len(about) and found.keys() == wanted.keys(), f"{name}: {found.keys() ^ wanted.keys()}"
    for key, data in found.items():
        summary = (data["opened_at_ms"], data["last_seen_ms"], data["fix_count"])
        known = 3 if data["state"] == "closed" else 1
        assert summary[:known] == wanted[key][:known], f"{name}: {key} {summary}, not {wanted[key]}"
