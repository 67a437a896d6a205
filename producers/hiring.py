"""Which registered vehicles drive, and what the registry has against each."""

from __future__ import annotations

import random
from collections.abc import Callable
from itertools import islice

from producers.sample_registry import LAPSED, plate_prefix
from streams.policy.pack import Rule
from streams.policy.policy import Policy
from streams.registry.records import Driver, Pass, Vehicle
from streams.registry.registry import Registry

VANS = ("micro_van", "light_van", "truck")
DEFECT_OF = {
    "malformed_identifier": "malformed", "unmarked_vehicle": "unmarked", "nonstandard_vehicle": "open",
    "untrained_driver": "untrained", "uninsured_driver": "uninsured",
}  # fmt: skip
"""What the registry has against a vehicle that breaks a rule by being on the road at all."""
FIRST_STRANGER = 99_000


class Pool:
    """Vehicles with an id and a plate, in random order; each is hired once."""

    def __init__(self, policy: Policy, registry: Registry, at_ms: int, rng: random.Random) -> None:
        self.policy, self.registry, self.at_ms = policy, registry, at_ms
        self._passes = {owner for p in registry.each("pass") if isinstance(p, Pass) for owner in (p.vehicle_id, p.enterprise_id)}
        self._vehicles = [v for v in registry.each("vehicle") if isinstance(v, Vehicle) and v.id and v.plate]
        rng.shuffle(self._vehicles)
        self._defects = {v.id: self._defects_of(v) for v in self._vehicles}
        self._taken: set[str] = set()

    def hire(self, number: int, defect: str = "", wanted: Callable[[Vehicle], bool] = lambda _: True) -> list[Vehicle]:
        """So many at most, of those that are wanted and have this defect only (else none)."""
        defects = {defect} if defect else set()
        fitting = (v for v in self._vehicles if v.id not in self._taken and self._defects[v.id] == defects and wanted(v))
        chosen = list(islice(fitting, number))
        self._taken.update(v.id for v in chosen)
        return chosen

    def stranger(self, number: int) -> Vehicle:
        """A vehicle that nobody has registered."""
        prefix = self.policy.pack.identifier.pattern.split("-")[0] if self.policy.pack.identifier else "V"
        number += FIRST_STRANGER
        return Vehicle(id=f"{prefix}-{number}", plate=f"{plate_prefix(self.policy)}{number}")

    def concerns(self, rule: Rule, vehicle: Vehicle) -> bool:
        """Whether a rule is about a vehicle."""
        return rule.vehicles is None or rule.vehicles.matches(self.registry.subject(vehicle.id, self.at_ms))

    def is_van_of(self, rule: Rule, vehicle: Vehicle) -> bool:
        """Whether a vehicle is a van or a truck that a rule is about."""
        return vehicle.vehicle_class in VANS and self.concerns(rule, vehicle)

    def is_exempt(self, vehicle: Vehicle, rule: Rule) -> bool:
        """Whether a rule makes an exception of a vehicle."""
        has_pass = vehicle.id in self._passes or vehicle.enterprise_id in self._passes
        return bool(rule.alternatives) and (has_pass or self.is_free(vehicle, rule))

    def is_free(self, vehicle: Vehicle, rule: Rule) -> bool:
        """Whether a vehicle is exempt everywhere, for what it is."""
        return "*" in rule.freed_zones(self.registry.subject(vehicle.id, self.at_ms), frozenset())

    def cross_border_zones(self, vehicle: Vehicle) -> frozenset[str]:
        """Where its foreign plate is recognised; ``*``: everywhere."""
        return self.registry.subject(vehicle.id, self.at_ms).pass_zones(["cross_border"])

    def _defects_of(self, vehicle: Vehicle) -> set[str]:
        pattern = self.policy.identifier
        drivers = [d for name in vehicle.driver_ids if isinstance(d := self.registry.at("driver", name, self.at_ms), Driver)]
        found = {
            "suspended": vehicle.status != "active",
            "unmarked": vehicle.marked is False,
            "malformed": pattern is not None and not pattern.fullmatch(vehicle.id),
            "open": vehicle.body == "open" and vehicle.vehicle_class in VANS,
            "untrained": any(d.trained_until == LAPSED for d in drivers),
            "uninsured": vehicle.insured_until == LAPSED,
            "foreign": not str(vehicle.plate).startswith(plate_prefix(self.policy)),
        }
        return {name for name, holds in found.items() if holds}
