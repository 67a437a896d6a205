"""Fixes as they travel, read as a worker reads each by itself: what can be read and is plausible, in WGS-84. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from streams.geo import to_wgs84
from streams.wire.decode import FIXES
from streams.wire.events import LAST_MS, Fix, refuse_fix


class ReadFixes(NamedTuple):
    """The plausible fixes among some records, in their order; how many records cannot be read, and how many fixes are implausible."""

    plausible: list[Fix]
    unreadable: int
    implausible: int


def read_fixes(values: Sequence[bytes | None], arrived_ms: Sequence[int | None], until_ms: int = LAST_MS) -> ReadFixes:
    """Read records that arrived then (ms; None, or negative as Kafka has it: it is not known when), and by ``until_ms`` at the latest; fixes then say it, too."""
    fixes, wrong = FIXES.read(values)
    arrivals = [moment for place, moment in enumerate(arrived_ms) if place not in wrong]
    for fix, moment in zip(fixes, arrivals, strict=True):
        if moment is not None:
            fix.arrival_time_ms = moment if moment >= 0 else None
    plausible = [fix for fix in fixes if fix.event_time_ms <= until_ms and not refuse_fix(fix, None)]
    for fix in plausible:
        if fix.coord_sys != "wgs84":
            fix.lon, fix.lat = to_wgs84(fix.lon, fix.lat, fix.coord_sys)
    return ReadFixes(plausible, len(wrong), len(fixes) - len(plausible))
