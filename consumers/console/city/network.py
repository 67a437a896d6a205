"""The registry's key figures as of now, counted anew where it, the policy or the hour is another; and how many of the facilities are in use."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from streams.clock import HOUR_MS
from streams.policy.policy import Policy
from streams.registry.key_figures import active_facilities, network
from streams.registry.records import Facility
from streams.registry.registry import Registry


class Network:
    """Remembers what it counted last."""

    def __init__(self) -> None:
        self._basis: tuple[Any, ...] = ()
        self._figures: dict[str, float] = {}
        self._facilities: list[Facility] = []

    def at(self, now_ms: int, registry: Registry, records: int, policy: Policy | None, scanned: Mapping[str, str]) -> tuple[dict[str, float], dict[str, int]]:
        """The figures at an instant, and the active ones of what they count; ``records``: how many have come, ``scanned``: by facility the last date of a scan."""
        basis = (id(registry), id(policy), records, now_ms // HOUR_MS)
        if self._basis != basis:
            now_and_here = now_ms, policy.pack.city.adcode if policy else None
            self._basis, self._figures = basis, network(registry, *now_and_here, policy.pack.subsidised if policy else None)
            self._facilities = [entry for entry in registry.valid(*now_and_here)["facility"] if isinstance(entry, Facility)]
        return self._figures, active_facilities(self._facilities, scanned, policy.days.date_of(now_ms)) if policy else {}
