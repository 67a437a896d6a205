"""Rows of local days' rates as the console keeps them: those that hold together, of the last days, and of each what is shown. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import msgspec

from streams.clock import DAY_MS, is_local_date
from streams.counts import CITY_WIDE, RATES_OF, SAID_OR_NOT, is_of_day, is_of_outlet
from streams.wire.decode import Malformed, decoded

DAYS = 30
"""So many days, the newest, are kept and drawn."""
MOST_ENTERPRISES = 1_000
MOST_SCANNED = 100_000
"""So many outlets and facilities are known by their last scan."""
MOST_PARCELS = 2**53
"""From there on browsers cannot count."""
_SHARES = (*(f"{feature}_rate" for feature in (*RATES_OF, *SAID_OR_NOT)), "electronic_forecast", "green_forecast")
_decode = msgspec.json.Decoder(dict[str, Any]).decode
Row = Mapping[str, Any]


def read_row(value: bytes | None) -> dict[str, Any]:
    """A row of rates, of whatever; ``Malformed`` where it is none."""
    row = decoded(value or b"", _decode)
    if not all(isinstance(row.get(name), str) for name in ("city", "enterprise_id", "date")):
        raise Malformed("no row of rates")
    return row


def rate_of(row: dict[str, Any], sent_ms: int | None) -> dict[str, Any] | None:
    """What is shown of a row of a local day's rates that was ``sent_ms`` (None: not known when); None where it is about something else. ``Malformed`` where it cannot be right."""
    if not is_of_day(row) or "accepted" not in row:
        return None
    if not is_local_date(row["date"]) or (sent_ms is not None and row["date"] > _after(sent_ms)):
        raise Malformed("date: no local day, or one that is still to come")
    counts = {name: row.get(name, 0) for name in ("accepted", "revision")}
    if not all(type(number) is int and 0 <= number < MOST_PARCELS for number in counts.values()):
        raise Malformed("accepted, revision: not a number of things")
    shares = {name: row.get(name) for name in _SHARES}
    if wrong := [name for name, share in shares.items() if not (share is None or (type(share) in {int, float} and abs(share) < MOST_PARCELS))]:
        raise Malformed(f"{wrong[0]}: not a number")
    return {"enterprise_id": row["enterprise_id"], "date": row["date"], **counts, **{name: share for name, share in shares.items() if share is not None}}


class DayRates:
    """The newest row by (enterprise or ``*``, local date)."""

    def __init__(self) -> None:
        self.rows: dict[tuple[str, str], Row] = {}
        self._names: dict[str, set[str]] = {}
        self.scanned: dict[str, str] = {}
        """By outlet or facility the last local date on which it was scanned at."""

    def enter_scanned(self, row: dict[str, Any]) -> None:
        """Take over when an outlet or facility was last scanned at, if the row is about that."""
        outlet_id, day = row.get("outlet_id"), row.get("date")
        if is_of_outlet(row) and isinstance(outlet_id, str) and isinstance(day, str) and is_local_date(day) and (outlet_id in self.scanned or len(self.scanned) < MOST_SCANNED):
            self.scanned[outlet_id] = max(day, self.scanned.get(outlet_id, ""))

    def enter(self, row: Row) -> bool:
        """Take over a row; False where a later one is known, or there are too many."""
        name, day = row["enterprise_id"], row["date"]
        known = self.rows.get((name, day))
        if known is not None and known["revision"] > row["revision"]:
            return False
        names = self._names.setdefault(day, set())
        if known is None and name != CITY_WIDE and len(names) >= MOST_ENTERPRISES:
            return False
        names.add(name)
        self.rows[name, day] = row
        if len(self._names) > DAYS:
            oldest = min(self._names)
            for gone in self._names.pop(oldest):
                del self.rows[gone, oldest]
        return (name, day) in self.rows

    def newest(self, enterprise_id: str = CITY_WIDE) -> Row:
        """The row of an enterprise's newest day; an empty one where there is none."""
        days = [day for name, day in self.rows if name == enterprise_id]
        return self.rows[enterprise_id, max(days)] if days else {}


def _after(sent_ms: int) -> str:
    """No local day that has begun at an instant is later than this date, wherever it is."""
    try:
        return datetime.fromtimestamp((sent_ms + DAY_MS) / 1000, UTC).date().isoformat()
    except (ValueError, OverflowError, OSError):
        return "9999-12-31"
