"""Fixes of a while ago, read from Kafka on demand (sources/past_records.py): as they travelled, and those among them that are plausible."""

from __future__ import annotations

from typing import NamedTuple

from consumers.console.fleet.fixes import read_fixes
from consumers.console.sources.past_records import past_records
from streams.clock import MINUTE_MS
from streams.wire.events import Fix
from streams.wire.topics import GPS

LATE_MS = 2 * MINUTE_MS
"""Fixes that arrived so long after an instant are still looked at."""
MOST_RECORDS = 1_000_000
WITHIN_S = 15.0
"""What is further is left out, and the answer says so."""


class Past(NamedTuple):
    """Fixes as they travelled, when each arrived (ms; None: unknown), up to which instant they were asked for (ms), and whether all of them were read."""

    until_ms: int
    values: list[bytes | None]
    arrived_ms: list[int | None]
    is_whole: bool

    def fixes(self) -> list[Fix]:
        """Those that can be read and are plausible, in WGS-84."""
        return read_fixes(self.values, self.arrived_ms).plausible


def read_past(bootstrap: str, from_ms: int, until_ms: int) -> Past:
    """The fixes that Kafka took between two instants, and a little later; ``Unavailable`` where it does not answer."""
    with past_records(bootstrap, MOST_RECORDS, WITHIN_S) as past:
        spans = past.spans(past.partitions(GPS.name), from_ms, until_ms + LATE_MS)
        records = [record for _, record in past.each(spans)]
        return Past(until_ms, [record.value for record in records], [record.timestamp for record in records], not past.is_cut_short)
