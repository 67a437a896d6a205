"""The gauges of rates: each window's as it is now, and nothing of windows that have no parcels any more; of the fleet's days, today's."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from prometheus_client import Gauge

from streams import metrics
from streams.city.rates import Rate
from streams.clock import HOUR_MS
from streams.counts import MONTH, Counts, measure_of, quantile_hours, share

DAY = "day"
Series = tuple[Gauge, tuple[str, ...]]
"""A gauge, and the values of its labels."""


class RateGauges:
    """What the page shows of each partition of partials, by subject (city and label of the enterprise) and window."""

    def __init__(self) -> None:
        self._today = ""
        self._shown: dict[tuple[str, str, str], set[Series]] = {}

    def show(self, rate: Rate, label: str, today: str) -> None:
        """Show a rate; of days only the present one's."""
        self._turn_to(today)
        is_day = rate.window == rate.day.date
        if not is_day or rate.day.date == self._today:
            self._replace((rate.day.city, label, DAY if is_day else rate.window), _values(rate, label))

    def show_driven(self, row: Mapping[str, Any], today: str) -> None:
        """Show how far vehicles drove empty and by night (``driven_row``), if that is today."""
        self._turn_to(today)
        if row["date"] == self._today:
            of_city = {metrics.EMPTY_RUN: row["empty_run_ratio"], metrics.NIGHT_RUN: row["night_run_ratio"]}
            self._replace((row["city"], "driven", DAY), {(gauge, (row["city"],)): value for gauge, value in of_city.items() if value is not None})

    def show_fleet(self, city: str, date: str, rows: Iterable[Mapping[str, Any]], today: str) -> None:
        """Show the lines driven and the stays in loading zones (``fleet_rows``), if they are of today."""
        self._turn_to(today)
        if date != self._today:
            return
        values: dict[Series, float] = {}
        for row in rows:
            if "zone_id" in row:
                labels = city, row["zone_id"]
                values |= {(metrics.PARKING_STOPS, labels): row["stops"], (metrics.PARKING_OCCUPIED, labels): row["occupied_ms"] / 1000}
            else:
                values[metrics.LINES_RUN, (city,)] = row["lines_run"]
        self._replace((city, "fleet", DAY), values)

    def _turn_to(self, today: str) -> None:
        """Once a new day has begun, show nothing more of the one before."""
        if today > self._today:
            self._today = today
            for key in [key for key in self._shown if key[2] == DAY]:
                self._replace(key, {})

    def clear(self) -> None:
        """The partitions are given up: whoever has them next shows theirs."""
        for key in list(self._shown):
            self._replace(key, {})

    def _replace(self, key: tuple[str, str, str], values: dict[Series, float]) -> None:
        for (gauge, labels), value in values.items():
            gauge.labels(*labels).set(value)
        for gauge, labels in self._shown.pop(key, set()) - values.keys():
            gauge.remove(*labels)
        if values:
            self._shown[key] = set(values)


def _values(rate: Rate, label: str) -> dict[Series, float]:
    """A window's shares; of a day also the further measures, and what the day will come to; of 30 days the time in transit. Nothing where nothing was counted."""
    city, is_day = rate.day.city, rate.window == rate.day.date
    shares = rate.counts.rates()
    values: dict[Series, float] = {}
    for gauge, name in ((metrics.ELECTRONIC_RATIO, "electronic_rate"), (metrics.GREEN_RATIO, "green_rate")):
        if (value := shares.pop(name)) is not None:
            values[gauge, (city, label, DAY if is_day else rate.window)] = value
    if is_day:
        values.update({(metrics.MEASURE_RATIO, (city, label, name.removesuffix("_rate"))): share for name, share in shares.items() if share is not None})
    if rate.window == MONTH:
        values |= _transit(rate.counts, city, label)
    return {**values, **{(metrics.FORECAST, (city, label, measure_of(name.removesuffix("_forecast")))): share for name, share in rate.ahead.items()}}


def _transit(counts: Counts, city: str, label: str) -> dict[Series, float]:
    """Median and 90th percentile of the time in transit, and the share of the delivered parcels that are not timed."""
    untimed = share(counts.delivered - sum(counts.transit_hours.values()), counts.delivered)
    values: dict[Series, float] = {} if untimed is None else {(metrics.TRANSIT_UNTIMED, (city, label)): untimed}
    hours = {percentile: quantile_hours(counts.transit_hours, percentile) for percentile in (50, 90)}
    return values | {(metrics.TRANSIT, (city, label, str(percentile))): number * HOUR_MS / 1000 for percentile, number in hours.items() if number is not None}
