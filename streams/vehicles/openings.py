"""Which announced incidents an episode goes on with (semantics 6): those whose opening fix it contains. Pure."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable

from streams.vehicles.compiled_rules import Offence
from streams.vehicles.state import Episode, Incident


class Openings:
    """Announced incidents by offence, in order of their opening fixes; ``incidents`` in the order of their announcement."""

    def __init__(self, incidents: Iterable[Incident]) -> None:
        announced: dict[Offence, list[tuple[tuple[int, str], int, Incident]]] = {}
        for place, incident in enumerate(incidents):
            announced.setdefault(incident.episode.offence, []).append((incident.opening, place, incident))
        for found in announced.values():
            found.sort(key=lambda each: each[:2])
        self._announced = announced
        self._keys = {offence: [opening for opening, _, _ in found] for offence, found in announced.items()}

    def within(self, episode: Episode) -> list[Incident]:
        """The incidents whose opening fix an episode contains, in the order of their announcement."""
        keys, found = self._keys.get(episode.offence, ()), []
        at = bisect_left(keys, (episode.opened_at_ms, episode.opened_by))
        while at < len(keys) and episode.contains(keys[at]):
            found.append(self._announced[episode.offence][at])
            at += 1
        return [incident for _, _, incident in sorted(found, key=lambda each: each[1])]
