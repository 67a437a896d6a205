"""Parcels counted, and the shares among them (semantics 8): of a (city, enterprise, local day), an hour, 30 days, a month. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import date, timedelta
from functools import lru_cache
from typing import Any, NamedTuple

import msgspec


class DayKey(NamedTuple):
    """What parcels are counted by; ``date`` is local."""

    city: str
    enterprise_id: str
    date: str


CITY_WIDE = "*"
OTHER = "other"
"""Stands for all enterprises, or cities, that no registry record speaks of: anybody can make those up."""
MONTH, MONTH_DAYS = "30d", 30
"""The window of the last 30 local days, the present one included."""
HOUR, HOUR_MINUTES = "hour", 60
"""The window of the last 60 minutes, the present one included."""
MinuteCounts = tuple[int, int, int]
"""Parcels accepted in a minute, and how many of them with an electronic waybill and in green packaging."""


def share(part: int, whole: int) -> float | None:
    """From 0 to 1; of nothing there is no share."""
    return part / whole if whole else None


class Counts(msgspec.Struct):
    """Accepted parcels of a (city, enterprise, local day), how many of them had what, and how many were made up."""

    accepted: int = 0
    electronic: int = 0
    green: int = 0
    taped: int = 0
    narrow_tape: int = 0
    not_repackaged: int = 0
    reusable_bag: int = 0
    real_name_verified: int = 0
    inspected: int = 0
    synthetic: int = 0

    def add(self, features: int, sign: int = 1) -> None:
        """Count one parcel by its features (a bit each, in the order of the fields), or take it back."""
        self.accepted += sign
        for name in NAMES[features]:
            setattr(self, name, getattr(self, name) + sign)

    def merge(self, other: Counts) -> None:
        """Add another partition's counts."""
        for name in Counts.__struct_fields__:
            setattr(self, name, getattr(self, name) + getattr(other, name))

    def rates(self) -> dict[str, float | None]:
        """Every share by its name; those of nothing are None. Tape is measured on taped parcels only."""
        return {f"{name}_rate": share(getattr(self, part), getattr(self, whole)) for name, (part, whole) in RATES_OF.items()}

    @property
    def electronic_rate(self) -> float | None:
        """Share of electronic waybills; None where nothing was accepted."""
        return share(self.electronic, self.accepted)

    @property
    def green_rate(self) -> float | None:
        """Share of green packaging; None where nothing was accepted."""
        return share(self.green, self.accepted)


RATES_OF = {
    "electronic": ("electronic", "accepted"), "green": ("green", "accepted"), "narrow_tape": ("narrow_tape", "taped"),
    "not_repackaged": ("not_repackaged", "accepted"), "reusable_bag": ("reusable_bag", "accepted"),
    "real_name": ("real_name_verified", "accepted"), "inspected": ("inspected", "accepted"),
}  # fmt: skip
"""Numerator and denominator of each rate (semantics 8)."""
FEATURES = Counts.__struct_fields__[1:-1]
"""What parcels are counted for beside being accepted."""
_BITS = (*FEATURES, "synthetic")
NAMES = [[name for bit, name in enumerate(_BITS) if number >> bit & 1] for number in range(2 ** len(_BITS))]
ELECTRONIC, GREEN, MADE_UP = 1, 2, 1 << len(FEATURES)
"""The first two of their bits, and the last."""


class Hour(msgspec.Struct, array_like=True):
    """The latest counts of each minute by scan partition, (as of which offset, counts), as far back as the last hour goes."""

    minutes: dict[int, dict[int, tuple[int, MinuteCounts]]] = {}

    def update(self, partition: int, next_offset: int, minutes: Mapping[int, MinuteCounts]) -> None:
        """Take in a partition's minutes unless newer ones are known."""
        for minute, counts in minutes.items():
            by_partition = self.minutes.setdefault(minute, {})
            if partition not in by_partition or by_partition[partition][0] <= next_offset:
                by_partition[partition] = (next_offset, counts)

    def counts(self, now_minute: int) -> Counts:
        """The sum of the last hour; what is older than that is dropped."""
        for minute in [minute for minute in self.minutes if minute <= now_minute - HOUR_MINUTES]:
            del self.minutes[minute]
        counts = Counts()
        for by_partition in self.minutes.values():
            for _, (accepted, electronic, green) in by_partition.values():
                counts.merge(Counts(accepted, electronic, green))
        return counts


def state_key(kind: str, *names: str) -> str:
    """The key of a state record about a parcel, a day or a finding."""
    return "\x1f".join((kind, *names))


@lru_cache(4_096)
def shared_day(*day: str) -> DayKey:
    """One object for all parcels of a day."""
    return DayKey(*day)


def last_days(counts: Iterable[tuple[DayKey, Counts]], until: str) -> dict[tuple[str, str], Counts]:
    """(city, enterprise or ``*``) → the counts of the 30 local days that end with the date ``until``."""
    first = (date.fromisoformat(until) - timedelta(days=MONTH_DAYS - 1)).isoformat()
    summed: dict[tuple[str, str], Counts] = {}
    for day, counted in counts:
        if first <= day.date <= until:
            summed.setdefault((day.city, day.enterprise_id), Counts()).merge(counted)
    return summed


def forecast(today: Counts, hour: Counts, hours_left: float) -> dict[str, float]:
    """Which shares the day will end with if it goes on as in the last hour; nothing where nothing was accepted."""
    accepted = today.accepted + hour.accepted * hours_left
    shares = {"electronic": today.electronic + hour.electronic * hours_left, "green": today.green + hour.green * hours_left}
    return {f"{name}_forecast": part / accepted for name, part in shares.items()} if accepted else {}


def rate_row(day: DayKey, counts: Counts) -> dict[str, Any]:
    """One line of ``rates.jsonl`` and the value of a ``courier.rates.v1`` record."""
    row: dict[str, Any] = {"city": day.city, "enterprise_id": day.enterprise_id, "date": day.date}
    row.update((name, getattr(counts, name)) for name in ("accepted", *FEATURES))
    return {**row, **counts.rates()}


def is_of_day(row: dict[str, Any]) -> bool:
    """Whether a row is about one local day (there are others about the last 30)."""
    return bool(row.get("window", row["date"]) == row["date"])
