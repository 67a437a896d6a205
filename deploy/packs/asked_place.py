"""The place that an official asks about: longitude and latitude, or a zone by its id or its name."""

from __future__ import annotations

from streams.errors import BadInput, nearest
from streams.policy.policy import Policy

Place = tuple[float, float] | str
"""Longitude and latitude in degrees, or the id of a zone whose inside is meant."""
_NO_PLACE = "is not longitude,latitude such as 111.66,40.81"


def read_coordinates(at: str) -> tuple[float, float]:
    """``longitude,latitude`` in degrees; ``BadInput`` where it is something else."""
    try:
        lon, lat = map(float, at.replace("，", ",").split(","))
    except ValueError:
        raise BadInput(f"--at: {at!r} {_NO_PLACE}") from None
    if not (abs(lon) <= 180 and abs(lat) <= 90):
        raise BadInput(f"--at: {at!r} is no place on earth; longitude comes first, then latitude, in degrees such as 111.66,40.81")
    return lon, lat


def read_place(at: str, policy: Policy) -> Place:
    """A place or a zone of the pack, by its id or its name in either language, with or without what its name has in brackets; ``BadInput`` names the nearest."""
    asked, zones = at.strip(), policy.pack.geometries
    if asked in zones:
        return asked
    called = [zone for zone in zones if asked.casefold() in {form.casefold() for name in (zone, *policy.zone_name(zone)) for form in (name, _bare(name))}]
    if len(called) > 1:
        raise BadInput(f"--at: {at!r} is the name of several zones; say by its id which of them: {', '.join(called)}")
    if called:
        return called[0]
    try:
        return read_coordinates(at)
    except BadInput as error:
        if _NO_PLACE not in str(error):
            raise
        names = [_bare(policy.zone_name(zone)[asked.isascii()]) for zone in zones]
        raise BadInput(f"{error}, nor a zone of the pack{nearest(asked, [*zones, *names])}") from None


def zones_inside(place: Place, policy: Policy) -> tuple[str, ...]:
    """The zones that a place is inside; of a zone those that all of it lies in."""
    if isinstance(place, str):
        shape = policy.pack.geometries[place]
        return tuple(zone for zone, other in policy.pack.geometries.items() if zone == place or other.covers(shape))
    index = policy.zone_index
    inside: tuple[str, ...] = index.sets[index.locate([place[0]], [place[1]])[0]]
    return inside


def zones_in_part(place: Place, policy: Policy) -> tuple[str, ...]:
    """The zones that only a part of a zone lies in: what is said of its inside need not hold there."""
    if not isinstance(place, str):
        return ()
    shape, whole = policy.pack.geometries[place], zones_inside(place, policy)
    return tuple(zone for zone, other in policy.pack.geometries.items() if zone not in whole and other.intersects(shape))


def _bare(name: str) -> str:
    return name.partition("（")[0].partition(" (")[0].strip()
