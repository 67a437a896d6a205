"""What the registry says of a vehicle and of those who drive it. Pure."""

from __future__ import annotations

from typing import Any

import msgspec

from streams.registry.records import AnyEntry, Driver, Vehicle
from streams.registry.registry import Registry
from streams.words.terms import CLASSES, ENERGIES


def papers_of(record: AnyEntry | None, registry: Registry, now_ms: int) -> dict[str, Any] | None:
    """A vehicle's record with its class and energy in words, and each driver's ``papers`` (None: not on file); None where it is not on file itself."""
    if not isinstance(record, Vehicle):
        return None
    papers: dict[str, Any] = msgspec.to_builtins(record)
    drivers = {name: registry.at("driver", name, now_ms) for name in record.driver_ids}
    return {
        **papers,
        "lapsed": _lapsed(record, registry, now_ms),
        "class_words": CLASSES[record.vehicle_class]._asdict() if record.vehicle_class else None,
        "energy_words": ENERGIES[record.energy]._asdict() if record.energy else None,
        "drivers": [{"driver_id": name, "papers": _driver(found, registry, now_ms) if isinstance(found, Driver) else None} for name, found in drivers.items()],
    }


def _driver(driver: Driver, registry: Registry, now_ms: int) -> dict[str, Any]:
    return {"trained_until": driver.trained_until, "insured_until": driver.insured_until, "lapsed": _lapsed(driver, registry, now_ms)}


def _lapsed(record: Vehicle | Driver, registry: Registry, now_ms: int) -> list[str]:
    """What was good until a day that is over."""
    until = {name: getattr(record, name, None) for name in ("trained_until", "insured_until")}
    return [name for name, date in until.items() if date and now_ms >= registry.bound_ms(date)]
