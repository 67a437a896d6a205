"""What happens to synthetic parcels after their acceptance: by which mode and on whose vehicle they go, how and when they are delivered."""

from __future__ import annotations

import random
from collections import Counter
from typing import Any

from producers.truth import DAY_HOURS
from streams.clock import HOUR_MS, local_datetime
from streams.policy.policy import Policy
from streams.registry.records import Vehicle
from streams.registry.registry import Registry


class Handling:
    """Draws the steps of parcels, and counts them by (enterprise or ``*``, local date) as they are sent."""

    def __init__(self, policy: Policy, registry: Registry, seed: int) -> None:
        self.policy = policy
        self.rng = random.Random(f"handling/{seed}")
        self.owner_of = {v.id: v.enterprise_id for v in registry.each("vehicle") if isinstance(v, Vehicle) and v.enterprise_id and v.valid_from is None is v.valid_until}
        self.vehicles = list(self.owner_of)
        self.counts: dict[tuple[str, str], Counter[str]] = {}

    def departure(self) -> dict[str, Any]:
        """By which mode a parcel leaves; one scan in ten does not say."""
        return {"mode": self.rng.choices(("road", "rail", "air", None), (70, 12, 8, 10))[0]}

    def delivery(self, accepted_ms: int) -> list[tuple[str, int, dict[str, Any]]]:
        """Every other parcel is delivered within two days; one scan in five says neither how nor by which vehicle."""
        if self.rng.random() < 0.5:
            return []
        says = self.rng.random() < 0.8
        fields = {
            "delivery_method": self.rng.choice(("door", "locker", "station")) if says else None,
            "vehicle_id": self.rng.choice(self.vehicles) if says and self.vehicles else None,
        }
        return [("delivered", accepted_ms + self.rng.randrange(2 * HOUR_MS, 46 * HOUR_MS), fields)]

    def note(self, enterprise_id: str, accepted_ms: int, kind: str, event_time_ms: int, fields: dict[str, Any]) -> None:
        """Count a step that is sent; what its scan says, it says for the first time."""
        said: Counter[str] = Counter()
        if mode := fields.get("mode"):
            said.update(mode_known=1, rail=int(mode == "rail"), air=int(mode == "air"))
        if vehicle_id := fields.get("vehicle_id"):
            said.update(vehicle_known=1, joint=int(self.owner_of[vehicle_id] != enterprise_id))
        if kind == "delivered":
            hour = local_datetime(event_time_ms, self.policy.timezone).hour
            said.update(delivered=1, night_delivered=int(not DAY_HOURS[0] <= hour < DAY_HOURS[1]))
            said[f"in {(event_time_ms - accepted_ms) // HOUR_MS} h"] += 1
            if method := fields["delivery_method"]:
                said.update(method_known=1, locker=int(method == "locker"))
        for subject in (enterprise_id, "*"):
            self.counts.setdefault((subject, self.policy.days.date_of(event_time_ms)), Counter()).update(said)

    def truth(self) -> dict[str, dict[str, int]]:
        """What was counted, by ``city/enterprise/date``."""
        city = self.policy.pack.city.adcode
        return {f"{city}/{subject}/{day}": {name: int(number) for name, number in (+counted).items()} for (subject, day), counted in sorted(self.counts.items()) if +counted}
