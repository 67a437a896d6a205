"""The delivery network of a sample registry: facilities of all levels, as many as the city's document asks for where it gives a number, and delivery lines."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence

from streams.policy.policy import Policy
from streams.registry.records import Facility, Line, Township, Vehicle

TOWNSHIPS, URBAN, VANS_A_LINE = 30, 6, 3
_WULONG = "500156"
_OF_THE_DOCUMENTS = {"150100": {"hub": 2, "county": 5}, _WULONG: {"hub": 1, "county": 0, "township": 10, "village": 186}}
"""Numbers of facilities that a document asks for: Hohhot 一（三）, 一（四） and Wulong 二（一）3 (1+10+186)."""
_ELSEWHERE = {"hub": 1, "county": 4, "township": 28, "village": 108, "pickup_point": 40}
_LINES = {_WULONG: 5}
"""Delivery lines that a document asks for: Wulong 二（一）3."""


def townships(policy: Policy, rng: random.Random) -> Iterator[Township]:
    """Thirty townships, the first of them urban; their villages are as many as the village points, or a few more where no document gives a number."""
    villages = _numbers(policy)["village"] if policy.pack.city.adcode == _WULONG else 4 * TOWNSHIPS
    for number in range(TOWNSHIPS):
        yield Township(
            id=f"T{number:02}", covered=True, urban=number < URBAN, locker_cells=rng.randint(3000, 6000), service_stations=rng.randint(8, 14),
            villages=len(range(number, villages, TOWNSHIPS)),
        )  # fmt: skip


def facilities(policy: Policy, bounds: tuple[float, float, float, float], rng: random.Random) -> Iterator[Facility]:
    """The facilities of every level, within ``bounds`` (west, south, east, north); village points serve one village each, pick-up points urban townships."""
    west, south, east, north = bounds
    for level, wanted in _numbers(policy).items():
        for number in range(wanted):
            yield Facility(
                id=f"F-{level}-{number:03}", level=level, city=policy.pack.city.adcode,  # type: ignore[arg-type]
                lon=round(rng.uniform(west, east), 6), lat=round(rng.uniform(south, north), 6),
                township=None if level in {"hub", "county"} else f"T{number % (URBAN if level == 'pickup_point' else TOWNSHIPS):02}",
                village=f"V{number // TOWNSHIPS}" if level == "village" else None,
            )  # fmt: skip


def lines(policy: Policy, fleet: Sequence[Vehicle]) -> Iterator[Line]:
    """The delivery lines that the document asks for, each from one loading zone to the next (where vans may stand), with vans of the fleet."""
    bays = [zone for zone, kind in policy.zone_kinds.items() if kind == "loading"]
    for number in range(_LINES.get(policy.pack.city.adcode, 0) if len(bays) > 1 else 0):
        vans = fleet[VANS_A_LINE * number : VANS_A_LINE * (number + 1)] or fleet[:1]
        yield Line(id=f"L{number + 1:02}", zones=[bays[number % len(bays)], bays[(number + 1) % len(bays)]], vehicle_ids=[van.id for van in vans], city=policy.pack.city.adcode)


def _numbers(policy: Policy) -> dict[str, int]:
    return {**_ELSEWHERE, **_OF_THE_DOCUMENTS.get(policy.pack.city.adcode, {})}
