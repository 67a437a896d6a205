"""Which announced incidents an episode goes on with (semantics 6): those whose opening fix it contains. Pure."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Sequence
from itertools import islice, takewhile
from typing import NamedTuple

from streams.vehicles.compiled_rules import Offence
from streams.vehicles.state import Episode, Incident


class Opening(NamedTuple):
    """The fix (time, id) that an announced incident begins with, and its place in the order of announcement."""

    key: tuple[int, str]
    place: int
    incident: Incident


def by_opening(incidents: Iterable[Incident]) -> dict[Offence, list[Opening]]:
    """Announced incidents by their offence, in order of their openings."""
    found: dict[Offence, list[Opening]] = {}
    for place, incident in enumerate(incidents):
        found.setdefault(incident.episode.offence, []).append(Opening(incident.opening, place, incident))
    for openings in found.values():
        openings.sort(key=lambda opening: (opening.key, opening.place))
    return found


def opened_within(openings: Sequence[Opening], episode: Episode) -> list[Incident]:
    """Of incidents in order of their openings those whose opening fix an episode contains, in the order of their announcement."""
    first = bisect_left(openings, (episode.opened_at_ms, episode.opened_by), key=lambda opening: opening.key)
    found = takewhile(lambda opening: episode.contains(opening.key), islice(openings, first, None))
    return [opening.incident for opening in sorted(found, key=lambda opening: opening.place)]
