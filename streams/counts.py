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
OUTLET = "outlet"
"""Begins the window of a row about one outlet or facility."""
HOUR, HOUR_MINUTES = "hour", 60
"""The window of the last 60 minutes, the present one included."""
MinuteCounts = tuple[int, int, int]
"""Parcels accepted in a minute, and how many of them with an electronic waybill and in green packaging."""


def share(part: int, whole: int) -> float | None:
    """From 0 to 1; of nothing there is no share."""
    return part / whole if whole else None


class Counts(msgspec.Struct, omit_defaults=True):
    """What parcels of a (city, enterprise, local day) come to.

    Accepted parcels: how many had what, of how many nobody said it (``…_unknown``), and how many were made up. Of screening it is
    counted how many scans say it: before it was counted, nobody asked. Delivered parcels: by which method, and at night.
    Ways: a parcel counts once for each ``mode`` that its scans name. Rides: once for each vehicle on file with an enterprise, and ``joint``
    where that is another than the scan's. ``transit_hours``: delivered parcels by the whole hours since their acceptance.
    """

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
    screened: int = 0
    screened_known: int = 0
    not_repackaged_unknown: int = 0
    reusable_bag_unknown: int = 0
    real_name_unknown: int = 0
    inspected_unknown: int = 0
    delivered: int = 0
    method_known: int = 0
    locker: int = 0
    night_delivered: int = 0
    mode_known: int = 0
    rail: int = 0
    air: int = 0
    vehicle_known: int = 0
    joint: int = 0
    transit_hours: dict[int, int] = {}

    def add(self, features: int, number: int = 1) -> None:
        """Count so many parcels by their features (``FEATURE_BITS``), or take them back."""
        for name in counted_as(features & _OF_FIELDS):
            setattr(self, name, getattr(self, name) + number)
        if features > _OF_FIELDS:
            self._took((features >> TRANSIT_SHIFT) - 1, number)

    def _took(self, hours: int, number: int) -> None:
        self.transit_hours[hours] = self.transit_hours.get(hours, 0) + number
        if not self.transit_hours[hours]:
            del self.transit_hours[hours]

    def merge(self, other: Counts, sign: int = 1) -> None:
        """Add another partition's counts, or take them away."""
        for name in _NUMBERS:
            if number := getattr(other, name):
                setattr(self, name, getattr(self, name) + sign * number)
        for hours, number in other.transit_hours.items():
            self._took(hours, sign * number)

    def says_something(self) -> bool:
        """Whether anything was counted."""
        return bool(self.transit_hours) or any(getattr(self, name) for name in _NUMBERS)

    def known(self, measure: str) -> int:
        """How many accepted parcels say a measure."""
        return self.taped if measure == "narrow_tape" else self.screened_known if measure == "screened" else self.accepted - getattr(self, f"{measure}_unknown")

    def rates(self) -> dict[str, float | None]:
        """Every share by its name; those of nothing are None."""
        shares = {f"{name}_rate": share(getattr(self, part), getattr(self, whole)) for name, (part, whole) in RATES_OF.items()}
        return shares | {f"{name}_rate": share(getattr(self, part), self.known(name)) for name, part in SAID_OR_NOT.items()}

    @property
    def electronic_rate(self) -> float | None:
        """Share of electronic waybills; None where nothing was accepted."""
        return share(self.electronic, self.accepted)

    @property
    def green_rate(self) -> float | None:
        """Share of green packaging; None where nothing was accepted."""
        return share(self.green, self.accepted)


RATES_OF = {
    "electronic": ("electronic", "accepted"), "green": ("green", "accepted"),
    "locker": ("locker", "method_known"), "night_delivery": ("night_delivered", "delivered"),
    "rail": ("rail", "mode_known"), "air": ("air", "mode_known"), "joint_delivery": ("joint", "vehicle_known"),
}  # fmt: skip
"""Numerator and denominator of each rate (semantics 8)."""
_MEASURES = {"electronic": "electronic_waybill", "green": "green_packaging"}
SAID_OR_NOT = {
    "narrow_tape": "narrow_tape", "not_repackaged": "not_repackaged", "reusable_bag": "reusable_bag", "real_name": "real_name_verified",
    "inspected": "inspected", "screened": "screened",
}  # fmt: skip
"""Measures that are shares of the accepted parcels that say them: unknown is not no."""
UNSAID = ("not_repackaged", "reusable_bag", "real_name", "inspected")
"""Those of which it is counted who does not say them."""
FEATURES = (*Counts.__struct_fields__[1:9], "screened")
"""What accepted parcels are counted for beside being accepted."""
HANDLING = ("delivered", "method_known", "locker", "night_delivered", "mode_known", "rail", "air", "vehicle_known", "joint")
"""What is counted of parcels on their way."""
_NUMBERS = Counts.__struct_fields__[:-1]
FEATURE_BITS = _NUMBERS[1:]
"""What one counted scan stands for, a bit each; above them, from ``TRANSIT_SHIFT`` on, its hours in transit and one more."""
TRANSIT_SHIFT = 40
assert len(FEATURE_BITS) <= TRANSIT_SHIFT
_OF_FIELDS = (1 << TRANSIT_SHIFT) - 1


def bit(name: str) -> int:
    """A feature's bit."""
    return 1 << FEATURE_BITS.index(name)


ELECTRONIC, GREEN, MADE_UP = bit("electronic"), bit("green"), bit("synthetic")
NOT_ACCEPTED = bit("delivered") | bit("mode_known") | bit("vehicle_known")
"""Any of them stands for what happened to a parcel after its acceptance."""


@lru_cache(4_096)
def counted_as(features: int) -> tuple[str, ...]:
    """The fields that features add to."""
    named = tuple(name for place, name in enumerate(FEATURE_BITS) if features >> place & 1)
    return named if features & NOT_ACCEPTED else ("accepted", *named)


def quantile_hours(transit_hours: Mapping[int, int], per_cent: int) -> int | None:
    """The least number of whole hours in which so many per cent of the parcels arrived; None where there are none.

    >>> quantile_hours({5: 1, 30: 1}, 50), quantile_hours({5: 9, 30: 1}, 90), quantile_hours({5: 1, 30: 1}, 90)
    (5, 5, 30)
    """
    reached, total = 0, sum(transit_hours.values())
    for hours, number in sorted(transit_hours.items()):
        reached += number
        if reached * 100 >= total * per_cent:
            return hours
    return None


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
        for measure in UNSAID:  # they are not counted by the minute
            setattr(counts, f"{measure}_unknown", counts.accepted)
        return counts


def state_key(kind: str, *names: str) -> str:
    """The key of a state record about a parcel, a day or a violation."""
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
    return {"city": day.city, "enterprise_id": day.enterprise_id, "date": day.date, **figures(counts)}


def figures(counts: Counts) -> dict[str, Any]:
    """Counts and shares by their names in a row."""
    row: dict[str, Any] = {}
    row.update((name, getattr(counts, name)) for name in ("accepted", *FEATURES, *HANDLING))
    row.update((f"{measure}_known", counts.known(measure)) for measure in SAID_OR_NOT)
    row.update((f"{measure}_unknown_rate", share(counts.accepted - counts.known(measure), counts.accepted)) for measure in SAID_OR_NOT)
    took = counts.transit_hours
    row |= {"transit_known": sum(took.values()), "transit_hours": {str(hours): number for hours, number in sorted(took.items())}}
    return {**row, "transit_median_hours": quantile_hours(took, 50), "transit_p90_hours": quantile_hours(took, 90), **counts.rates()}


def counts_of(row: Mapping[str, Any]) -> Counts:
    """The counts that a row was made of, to sum several; in rows of before, whoever did not say something counted as "no"."""
    counts = Counts(**{name: row[name] for name in ("accepted", *FEATURES, *HANDLING) if name in row})
    counts.screened_known = row.get("screened_known", 0)
    for measure in UNSAID:
        setattr(counts, f"{measure}_unknown", counts.accepted - row.get(f"{measure}_known", counts.accepted))
    counts.transit_hours = {int(hours): number for hours, number in row.get("transit_hours", {}).items()}
    return counts


def outlet_row(city: str, outlet_id: str, date: str) -> dict[str, Any]:
    """What ``rates.jsonl`` and ``courier.rates.v1`` say of an outlet or facility: the last local ``date`` on which it was scanned at."""
    return {"city": city, "enterprise_id": CITY_WIDE, "date": date, "window": f"{OUTLET} {outlet_id}", "outlet_id": outlet_id}


def is_of_outlet(row: dict[str, Any]) -> bool:
    """Whether a row says when an outlet or facility was last scanned at."""
    return str(row.get("window", "")).startswith(f"{OUTLET} ")


def is_of_day(row: dict[str, Any]) -> bool:
    """Whether a row is about one local day (there are others about the last 30)."""
    return bool(row.get("window", row["date"]) == row["date"])


def measure_of(feature: str) -> str:
    """What targets call the share of a feature.

    >>> measure_of("electronic"), measure_of("narrow_tape")
    ('electronic_waybill', 'narrow_tape')
    """
    return _MEASURES.get(feature, feature)
