"""Which of a policy's sets of zones contain any of some zones, for n fixes at once. Pure."""

from __future__ import annotations

from collections.abc import Collection

import numpy as np

from streams.policy.policy import Policies

_UNKNOWN = 2


class ZoneSets:
    """Remembers the answer for each number of a set of zones (``Policies.zones``)."""

    def __init__(self, policies: Policies, wanted: Collection[str]) -> None:
        self.policies = policies
        self.wanted = frozenset(wanted)
        self._known = np.full(64, _UNKNOWN, np.int8)

    def contain(self, numbers: np.ndarray) -> np.ndarray:
        """N booleans for n numbers."""
        if not self.wanted:
            return np.zeros(len(numbers), bool)
        highest = int(numbers.max(initial=0))
        if highest >= len(self._known):
            self._known = np.concatenate((self._known, np.full(highest + 64, _UNKNOWN, np.int8)))
        found = self._known[numbers]
        if (unknown := found == _UNKNOWN).any():
            for number in np.unique(numbers[unknown]).tolist():
                self._known[number] = not self.wanted.isdisjoint(self.policies.zones(number))
            found = self._known[numbers]
        contain: np.ndarray = found == 1
        return contain

    def of(self, number: int) -> tuple[str, ...]:
        """Those of the wanted zones that are in a set."""
        return tuple(zone for zone in self.policies.zones(number) if zone in self.wanted)
