"""What applies at a place and time that somebody asks about: the zones there, how long that stays so, and the sentences of ``policy check``. Pure."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from consumers.console.city.zones import zone_states
from streams.clock import bound_ms, local_date
from streams.errors import BadInput
from streams.policy.policy import Policies, Policy
from streams.words.terms import LANGUAGES, Lang

Sentences = Callable[[Policy, str, tuple[float, float], Lang], str]
"""What ``policy check --date --at`` says of a policy, a local date or instant, a place (longitude, latitude) and in a language."""


def applies(policies: Policies, sentences: Sentences, lon: float, lat: float, moment: str) -> dict[str, Any]:
    """The zones that hold a place (degrees) with what each forbids, until when that stays so (ms), and the sentences in both languages.

    ``moment`` is a local date or an ISO instant, which is local where it names no offset; zones are told of an instant only. ``BadInput`` where it is neither,
    or the place is none.
    """
    if not (math.isfinite(lon) and math.isfinite(lat) and abs(lon) <= 180 and abs(lat) <= 90):
        raise BadInput("the place is given as longitude and latitude in degrees, such as 111.66 and 40.81 / 位置请填经度和纬度，例如 111.66 和 40.81")
    try:
        at_ms = bound_ms(moment, policies.newest.timezone, end=False)
    except (ValueError, OverflowError):
        raise BadInput("the time is given as a date and a time of day, such as 2026-11-11 12:00 / 时间请填日期和时刻，例如 2026-11-11 12:00") from None
    policy = policies.at(at_ms) or policies.newest
    index = policy.zone_index
    here = index.sets[index.locate([lon], [lat])[0]]
    is_instant = local_date(moment) is None
    return {
        "lon": lon, "lat": lat, "at_ms": at_ms, "is_instant": is_instant,
        "zones": [state for state in zone_states(policies, at_ms) if state["zone_id"] in here] if is_instant else [],
        "lines": {lang: sentences(policy, moment, (lon, lat), lang).split("\n") for lang in LANGUAGES},
    }  # fmt: skip
