"""The sets of offences that fixes commit, numbered, so that a stored fix needs two bytes for its own."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator

from streams.fix_batch import SETS, StoredFix
from streams.vehicles.compiled_rules import Offence
from streams.vehicles.incidents import drop_old
from streams.vehicles.reported import along
from streams.vehicles.state import JudgedFix, VehicleState


class OffenceSets:
    """Sets of offences by number; 0 is the empty set."""

    def __init__(self) -> None:
        self._sets: list[tuple[Offence, ...]] = [()]
        self._numbers: dict[tuple[Offence, ...], int] = {(): 0}

    def __getitem__(self, number: int) -> tuple[Offence, ...]:
        return self._sets[number]

    def number(self, offences: tuple[Offence, ...]) -> int:
        """The number of a set; a new set gets the next one. ``OverflowError`` beyond ``SETS``."""
        number = self._numbers.get(offences)
        if number is None:
            number = self._numbers[offences] = len(self._sets)
            if number > SETS:
                raise OverflowError(f"more than {SETS} different sets of offences; split the pack's zones among workers")
            self._sets.append(offences)
        return number

    def judged(self, vehicle: VehicleState, fixes: Iterable[StoredFix]) -> Iterator[JudgedFix]:
        """Stored fixes of a vehicle with their offences and reports."""
        for stored, report in along(vehicle.reported, fixes):
            yield JudgedFix(*stored[:6], self._sets[stored.offence_set], report)

    def drop_oldest(self, vehicle: VehicleState, fixes: Iterable[StoredFix]) -> None:
        """Take a vehicle's oldest fixes, which are about to be dropped from its history, out of its episodes and counts."""
        dropped = list(fixes)
        for number, count in Counter([stored.offence_set for stored in dropped]).items():
            vehicle.count_offences(number, -count)
        drop_old(vehicle, self.judged(vehicle, dropped))
