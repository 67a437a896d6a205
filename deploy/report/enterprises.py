"""What a report says of enterprises: standing and reasons, red and black lists, drivers, interruptions. Pure."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from streams.clock import HOUR_MS
from streams.counts import CITY_WIDE, share
from streams.policy.policy import Policy
from streams.registry.records import Driver, Enterprise
from streams.registry.registry import Registry

Row = dict[str, Any]
SILENCES = {"interrupted_feed": "enterprise", "silent_vehicle": "vehicle", "offline_camera": "outlet"}
"""Rules about what stops without notice, and whose data, position or camera that is, as subjects of notices name it."""
DRIVER_RULES = ("untrained_driver", "uninsured_driver")


def named(enterprise_id: str, registry: Registry, at_ms: int) -> dict[str, str]:
    """An enterprise's id and its names on record, the id where it has none."""
    known = registry.at("enterprise", enterprise_id, at_ms)
    names = (known.name_zh, known.name_en) if isinstance(known, Enterprise) else (None, None)
    if enterprise_id == CITY_WIDE:
        names = ("全部企业合计", "all enterprises together")
    return {"enterprise_id": enterprise_id, "name_zh": names[0] or enterprise_id, "name_en": names[1] or enterprise_id}


def standings(policy: Policy, registry: Registry, credit: Iterable[Row], incidents: Sequence[Row], at_ms: int) -> list[Row]:
    """Every enterprise on record, the worst first: credit as the ledger last had it (else as registered), points, reasons, and its incidents of the period.

    ``credit``: rows of ``courier.credit.v1``. Drivers' accounts come after the enterprises, where there are any.
    """
    ledger = {row["subject"]: row for row in credit if row.get("city", policy.pack.city.adcode) == policy.pack.city.adcode}
    caused = Counter(data["enterprise_id"] for data in incidents)
    subjects = dict.fromkeys([*(f"enterprise/{known.id}" for known in registry.valid(at_ms)["enterprise"]), *ledger])
    rows = [_standing(subject, ledger.get(subject), caused, registry, at_ms) for subject in subjects]
    rank = {"black": 0, "normal": 1, "red": 2}
    return sorted(rows, key=lambda row: (row["kind"] != "enterprise", rank.get(row["credit"], 1), -(row["points"] or 0), -row["incidents"], row["subject"]))


def _standing(subject: str, said: Row | None, caused: Mapping[str, int], registry: Registry, at_ms: int) -> Row:
    kind, _, name = subject.partition("/")
    known = registry.at("enterprise", name, at_ms) if kind == "enterprise" else None
    names = named(name, registry, at_ms)
    return {
        "subject": subject, "kind": kind, "id": name, "name_zh": names["name_zh"], "name_en": names["name_en"],
        "credit": said["credit"] if said else getattr(known, "credit", "normal"),
        "source": "ledger" if said else "registry",
        "points": said["points"] if said else None,
        "reasons": said["reasons"] if said else [],
        "incidents": caused[name] if kind == "enterprise" else 0,
    }  # fmt: skip


def drivers(registry: Registry, incidents: Iterable[Row], at_ms: int) -> Row:
    """Drivers on record: of how many training and insurance are in order, have lapsed, or are not on record; incidents of the rules about them."""
    known = [record for record in registry.valid(at_ms)["driver"] if isinstance(record, Driver)]
    caused = Counter(data["rule"] for data in incidents)
    by_enterprise: dict[str, list[Driver]] = defaultdict(list)
    for driver in known:
        by_enterprise[driver.enterprise_id or ""].append(driver)
    return {
        "drivers": len(known),
        "training": _proofs(registry, [driver.trained_until for driver in known], at_ms),
        "insurance": _proofs(registry, [driver.insured_until for driver in known], at_ms),
        "incidents": {rule: caused[rule] for rule in DRIVER_RULES},
        "enterprises": [
            {
                **named(name, registry, at_ms), "drivers": len(held),
                "training": _proofs(registry, [driver.trained_until for driver in held], at_ms),
                "insurance": _proofs(registry, [driver.insured_until for driver in held], at_ms),
            }
            for name, held in sorted(by_enterprise.items())
        ],
    }  # fmt: skip


def _proofs(registry: Registry, until: Sequence[str | None], at_ms: int) -> dict[str, int]:
    """How many are in order at an instant, have lapsed, or are not on record."""
    lapsed = sum(text is not None and registry.bound_ms(text) <= at_ms for text in until)
    missing = sum(text is None for text in until)
    return {"valid": len(until) - lapsed - missing, "lapsed": lapsed, "missing": missing}


def interruptions(registry: Registry, incidents: Iterable[Row], bounds_ms: tuple[int, int]) -> list[Row]:
    """By rule and enterprise, the whole city first: interruptions of its data, of its vehicles' positions or of its cameras, announced and not, their number and hours within the period.

    Of a notice those versions count that the engine goes by; what one says and is filed after the interruption began announces nothing, and a notice of which
    nothing else is left is counted apart. Open incidents count, but not their hours.
    """
    rows: dict[tuple[str, str], Row] = defaultdict(lambda: {"announced": 0, "announced_ms": 0, "late_notices": 0, "unannounced": 0, "unannounced_ms": 0, "open": 0})
    rule_of = {kind: rule for rule, kind in SILENCES.items()}
    for subject, stretches in registry.announced():
        rule = rule_of.get(subject.partition("/")[0])  # one about anything else counts for nobody
        if rule and any(_within(one.from_ms, one.before_ms, bounds_ms) for one in stretches):
            lasts_ms = sum(_within(one.from_ms, one.before_ms, bounds_ms) for one in stretches if one.filed_ms <= stretches[0].from_ms)
            for name in (CITY_WIDE, _whose(subject, registry, bounds_ms[1] - 1)):
                row = rows[rule, name]
                row["announced"] += lasts_ms > 0
                row["announced_ms"] += lasts_ms
                row["late_notices"] += not lasts_ms
    for data in incidents:
        if data["rule"] in SILENCES:
            closed_ms = data.get("closed_at_ms")
            for name in (CITY_WIDE, data["enterprise_id"] or ""):
                row = rows[data["rule"], name]
                row["unannounced"] += 1
                row["open"] += closed_ms is None
                row["unannounced_ms"] += _within(data["opened_at_ms"], closed_ms or data["opened_at_ms"], bounds_ms)
    order = sorted(rows, key=lambda key: (list(SILENCES).index(key[0]), key[1] != CITY_WIDE, -rows[key]["unannounced"], key[1]))
    return [{"rule": rule, **_interrupted(rows[rule, name], named(name, registry, bounds_ms[1] - 1))} for rule, name in order]


def _interrupted(row: Row, names: dict[str, str]) -> Row:
    return {
        **names, **{key: row[key] for key in ("announced", "late_notices", "unannounced", "open")},
        "announced_hours": row["announced_ms"] / HOUR_MS, "unannounced_hours": row["unannounced_ms"] / HOUR_MS,
        "share_announced": share(row["announced"], row["announced"] + row["unannounced"]),
    }  # fmt: skip


def _within(from_ms: int, until_ms: int, bounds_ms: tuple[int, int]) -> int:
    return max(0, min(until_ms, bounds_ms[1]) - max(from_ms, bounds_ms[0]))


def _whose(subject: str, registry: Registry, at_ms: int) -> str:
    """The enterprise of whom or what a notice is about."""
    kind, _, name = subject.partition("/")
    return name if kind == "enterprise" else str(getattr(registry.at(kind, name, at_ms), "enterprise_id", None) or "")

