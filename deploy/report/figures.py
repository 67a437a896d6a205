"""A report's key figures: what was measured in a period and in the one before it, and how that stands to the targets. Pure."""

from __future__ import annotations

import calendar
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import date, timedelta
from typing import Any, NamedTuple

from streams.clock import LocalDays, month_after
from streams.counts import CITY_WIDE, Counts, counts_of, is_of_day, measure_of, share
from streams.errors import BadInput
from streams.policy.checks import is_share
from streams.policy.pack import Target
from streams.policy.policy import Policy
from streams.policy.targets import status
from streams.registry.figure_clauses import Clauses
from streams.registry.key_figures import READINGS, TITLES, network
from streams.registry.registry import Registry
from streams.vehicles.empty_run import is_about_driving
from streams.words.shares import MOST_DIGITS
from streams.words.terms import LANGUAGES

SCANNED = {rate: measure_of(rate.removesuffix("_rate")) for rate in Counts().rates()}
"""Key of a row of rates → measure: the shares of parcels."""
FIRST_YEAR = 2000
"""Records of before are refused."""


class Period(NamedTuple):
    """Local days from ``first`` to ``last``, both included."""

    first: date
    last: date

    @classmethod
    def checked(cls, first: date, last: date) -> Period:
        """A period as it is asked for; ``BadInput`` where it ends before it begins, or lies before all records."""
        if last < first:
            raise BadInput(f"--until {last} is before --from {first}")
        if first.year < FIRST_YEAR:
            raise BadInput(f"--from {first} is before {FIRST_YEAR}-01-01; no record is that old")
        return cls(first, last)

    @property
    def dates(self) -> list[str]:
        """Each of its days, ``YYYY-MM-DD``."""
        return [(self.first + timedelta(days=n)).isoformat() for n in range((self.last - self.first).days + 1)]

    @property
    def before(self) -> Period:
        """As many whole months before where it is whole months, else as many days."""
        end = self.first - timedelta(days=1)
        if self.first.day == 1 and self.last.day == calendar.monthrange(self.last.year, self.last.month)[1]:
            months = (self.last.year - self.first.year) * 12 + self.last.month - self.first.month + 1
            return Period(date.fromisoformat(f"{month_after(self.first.isoformat()[:7], -months)}-01"), end)
        return Period(end - (self.last - self.first), end)

    def bounds_ms(self, days: LocalDays) -> tuple[int, int]:
        """Its first instant, and the first one after it."""
        return days.bounds_ms(self.first.isoformat())[0], days.bounds_ms(self.last.isoformat())[1]

    def covers(self, day: str) -> bool:
        """Whether a local date lies in it."""
        return self.first.isoformat() <= day <= self.last.isoformat()


def summed(rows: Iterable[dict[str, Any]], by: Callable[[dict[str, Any]], str]) -> dict[str, Counts]:
    """The counts of rows, by what ``by`` says of each; nothing, where no row is."""
    sums: dict[str, Counts] = defaultdict(Counts)
    for row in rows:
        sums[by(row)].merge(counts_of(row))
    return sums


def measured(policy: Policy, registry: Registry, rows: Sequence[dict[str, Any]], period: Period) -> dict[str, float | None]:
    """What the registry said at the period's end, and what the parcels of the whole city (or those whom a target is about) and its vehicles' driving came to."""
    at_ms = period.bounds_ms(policy.days)[1] - 1
    within = [row for row in rows if period.covers(row["date"])]
    driven = list(filter(is_about_driving, within))
    by_enterprise = summed(filter(is_of_day, within), lambda row: row["enterprise_id"])
    primary = Counts()
    for name, counts in by_enterprise.items():
        if registry.is_primary_brand(name, at_ms):
            primary.merge(counts)
    whole = by_enterprise.get(CITY_WIDE, Counts())
    scopes = {measure: target.scope for measure, target in policy.pack.targets.items()}
    scanned = {measure: (primary if scopes.get(measure) == "primary_brands" else whole).rates()[rate] for rate, measure in SCANNED.items()}
    empty_run = share(sum(row["empty_run_m"] for row in driven), sum(row["known_run_m"] for row in driven))
    by_night = share(sum(row.get("night_run_m", 0) for row in driven), sum(row.get("run_m", 0) for row in driven))
    ever = summed((row for row in rows if is_of_day(row) and row["date"] <= period.last.isoformat()), lambda row: row["enterprise_id"])
    served = sum(getattr(ever[CITY_WIDE], name) for name in ("accepted", "delivered")) if CITY_WIDE in ever else None
    return {**network(registry, at_ms, policy.pack.city.adcode, policy.pack.subsidised), **scanned, "served_parcels": served, "empty_run_ratio": empty_run, **({} if by_night is None else {"night_run_ratio": by_night})}


def document_facts(policy: Policy, last: str) -> dict[str, Any]:
    """The document's facts, which of them are assumed, and who goes on judging by it after its end."""
    document = policy.pack.document
    in_force = {"from": document.in_force.from_, "until": document.in_force.until} if document.in_force else None
    ended, continued = document.has_ended(last), policy.pack.continued
    return {
        "title": document.title, "number": document.number, "published": document.published, "in_force": in_force, "source": document.source,
        "assumed": list(document.assumed), "ended": ended, "continued": {"by": continued.by, "reason": continued.reason} if ended and continued else None,
    }  # fmt: skip


def whole_period(policy: Policy, rates: Iterable[dict[str, Any]], opened_ms: Iterable[int]) -> Period | None:
    """The days that rows of rates and the openings of incidents are about; None where there are none."""
    dates = {row["date"] for row in rates if is_of_day(row) or is_about_driving(row)} | {policy.days.date_of(ms) for ms in opened_ms}
    return Period(date.fromisoformat(min(dates)), date.fromisoformat(max(dates))) if dates else None


Measured = Mapping[str, float | None]
"""Measure → value; None where nobody reports it."""


def is_a_share(measure: str) -> bool:
    """Whether a measure is a share from 0 to 1, not a number of things."""
    return is_share(measure) or measure in SCANNED.values()


def key_figures(measured: Measured, before: Measured, targets: Mapping[str, Target], clauses: Clauses, until: str, active: Mapping[str, float] | None = None) -> list[dict[str, Any]]:
    """A row for each measure that is measured or has a target, as of the last local day ``until``, with the clause that speaks of it (``clauses``).

    ``active``: how many of what a measure counts are in use; a target is reached by these.
    """
    names = [*TITLES, *(name for name in (*measured, *targets) if name not in TITLES)]
    return [
        _key_figure(name, measured, before, targets.get(name), until, (active or {}).get(name))
        | dict(zip(("figure_clause", "figure_quote"), clauses.get(name, (None, None)), strict=True))
        | {"figure_reading": dict(zip(LANGUAGES, READINGS[name], strict=True)) if name in READINGS else None}
        for name in dict.fromkeys(names) if name in measured or name in targets
    ]  # fmt: skip


def _key_figure(measure: str, measured: Measured, before: Measured, target: Target | None, until: str, active: float | None) -> dict[str, Any]:
    value, earlier = measured.get(measure), before.get(measure)
    standing = status(measure, value if value is None or active is None else min(value, active), target, until)
    claims = {key: getattr(target, key, None) or None for key in ("by", "clause", "quote", "source", "scope", "basis", "reading")}
    return {
        "measure": measure, "value": value, "active": active, "before": earlier, "change": None if value is None or earlier is None else value - earlier,
        "target": target.value if target else None, **claims, "status": standing, "met": {"met": True, "missed": False}.get(standing),
    }  # fmt: skip


def change_text(change: float | None, *, share: bool, points: str) -> str:
    """What a figure has changed by: per cent ``points`` of a share, or a number of things.

    >>> change_text(-0.0126, share=True, points=" pp"), change_text(3, share=False, points=""), change_text(0.0, share=True, points=" pp"), change_text(1e-5, share=True, points="")
    ('−1.3 pp', '+3', '±0', '+0.001')
    """
    if change is None:
        return "–"
    if not change:
        return "±0"
    size = abs(change * 100 if share else change)
    digits = next((n for n in range(1, MOST_DIGITS) if float(f"{size:.{n}f}")), MOST_DIGITS)
    return f"{'+' if change > 0 else '−'}{f'{size:.{digits}f}' if share else f'{size:,.12g}'}{points}"
