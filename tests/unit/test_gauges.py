"""The gauges of rates and of open incidents: what is not true any more is not on the page."""

from streams import metrics
from streams.city.ledger import CityLedger, DayCounts, ViolationState, announced
from streams.city.rates import Rate
from streams.counts import HOUR, MONTH, Counts, DayKey
from streams.enterprises.credit import Account
from streams.enterprises.intervals import AnnouncedInterval
from streams.enterprises.liveness import Liveness
from streams.parcels.days import DayIncident
from streams.parcels.violations import ScanViolation, ViolationKey
from streams.runtime.open_incidents import OpenIncidents
from streams.runtime.rate_gauges import RateGauges
from streams.vehicles.empty_run import Millimetres, driven_row
from streams.vehicles.fleet_day import Stays, lines_row, stays_row

GAUGES = (metrics.ELECTRONIC_RATIO, metrics.GREEN_RATIO, metrics.MEASURE_RATIO, metrics.FORECAST)


def shown(city="c"):
    samples = [sample for gauge in GAUGES for sample in gauge.collect()[0].samples]
    return {(s.name.removeprefix("courier_"), *list(s.labels.values())[1:]): s.value for s in samples if s.labels["city"] == city}


def rate(date, window, accepted, electronic=0, ahead=None):
    return Rate(DayKey("c", "e", date), window, Counts(accepted=accepted, electronic=electronic), ahead or {})


def test_windows_without_parcels_and_days_that_are_over_disappear():
    gauges = RateGauges()
    gauges.show(rate("2026-01-01", "2026-01-01", 4, 3, {"electronic_forecast": 0.5}), "e", "2026-01-01")
    gauges.show(rate("2026-01-01", HOUR, 2, 1), "e", "2026-01-01")
    gauges.show(rate("2026-01-01", MONTH, 2, 2), "e", "2026-01-01")
    assert shown()["electronic_waybill_ratio", "e", "day"] == 0.75 and shown()["forecast_ratio", "e", "electronic_waybill"] == 0.5
    assert shown()["measure_ratio", "e", "inspected"] == 0.0 and ("measure_ratio", "e", "narrow_tape") not in shown()  # no tape, no share
    gauges.show(rate("2025-12-31", "2025-12-31", 100, 0), "e", "2026-01-01")  # late scans of yesterday
    assert shown()["electronic_waybill_ratio", "e", "day"] == 0.75
    gauges.show(rate("2026-01-02", HOUR, 0), "e", "2026-01-02")
    assert shown() == {("electronic_waybill_ratio", "e", "30d"): 1.0, ("green_packaging_ratio", "e", "30d"): 0.0}
    gauges.clear()
    assert not shown()


def test_time_in_transit_stands_beside_the_share_that_is_not_timed():
    gauges, day = RateGauges(), "2026-01-01"

    def of_transit():
        return [{tuple(s.labels.values())[1:]: s.value for s in gauge.collect()[0].samples if s.labels["city"] == "c"} for gauge in (metrics.TRANSIT, metrics.TRANSIT_UNTIMED)]

    for window in (day, HOUR, MONTH):
        gauges.show(Rate(DayKey("c", "e", day), window, Counts(delivered=5, transit_hours={2: 3, 40: 1}), {}), "e", day)
    assert of_transit() == [{("e", "50"): 7_200, ("e", "90"): 144_000}, {("e",): 0.2}]
    gauges.show(Rate(DayKey("c", "e", day), MONTH, Counts(delivered=5), {}), "e", day)
    assert of_transit() == [{}, {("e",): 1.0}]
    gauges.clear()
    assert of_transit() == [{}, {}]


def of_fleet(city="c"):
    gauges = (metrics.EMPTY_RUN, metrics.NIGHT_RUN, metrics.LINES_RUN, metrics.PARKING_STOPS, metrics.PARKING_OCCUPIED)
    samples = [sample for gauge in gauges for sample in gauge.collect()[0].samples]
    return {(s.name.removeprefix("courier_"), *list(s.labels.values())[1:]): s.value for s in samples if s.labels["city"] == city}


def test_the_fleet_s_gauges_are_about_today():
    """Driving, lines, loading zones (H Z S Y: parking places; W: five lines run each day; H 11: night)."""
    gauges, first, second = RateGauges(), "2026-01-01", "2026-01-02"
    lines, stays = lines_row("c", first, ["l1", "l2"], {"l1": None, "l3": None}), stays_row("c", first, "z", Stays(3, 5_400_000))
    gauges.show_driven(driven_row("c", first, Millimetres(empty=1, known=4, night=2, run=10)), first)
    gauges.show_fleet("c", first, [lines, stays], first)
    today = {("empty_run_ratio",): 0.25, ("night_run_ratio",): 0.2, ("delivery_lines_run",): 1, ("parking_stops", "z"): 3, ("parking_occupied_seconds", "z"): 5_400}
    assert of_fleet() == today
    gauges.show_driven(driven_row("c", "2025-12-31", Millimetres(1, 1, 1, 1)), first)  # late fixes of yesterday
    gauges.show_fleet("c", "2025-12-31", [stays_row("c", "2025-12-31", "z", Stays(9, 9))], first)
    assert of_fleet() == today
    gauges.show_driven(driven_row("c", second, Millimetres(run=10)), second)
    assert of_fleet() == {("night_run_ratio",): 0.0}, "no load is known, and nothing stood anywhere"
    gauges.clear()
    assert not of_fleet()


def count(rule):
    return metrics.INCIDENTS_OPEN.labels("c", rule)._value.get()


def test_an_incident_is_open_once_until_it_closes_or_its_partition_goes():
    incidents = OpenIncidents()
    for state in ("open", "open", "open"):
        incidents.note("i", "c", "r", state)
    incidents.note("j", "c", "r", "open")
    incidents.note("closed before", "c", "r", "closed")
    assert count("r") == 2
    incidents.note("i", "c", "r", "retracted")
    assert count("r") == 1
    incidents.clear()
    incidents.clear()
    assert count("r") == 0


def test_a_ledger_tells_all_that_it_has_announced():
    interval = lambda name: AnnouncedInterval(name, 1, "open", None)  # noqa: E731
    day = DayIncident("low day", 1, "open", (1, 2))
    ledger = CityLedger(
        days={DayKey("c", "e", "2026-01-01"): DayCounts(incidents={"low": day})}, months={DayKey("c", "e", "2026-01"): {"rising": day}},
        violations={ViolationKey("unfiled", "outlet/o", "2026-01-01"): ViolationState(incident=ScanViolation("found", 1, "open", None)), ViolationKey("x", "y", "z"): ViolationState()},
        watched={"outlet/o": Liveness(announced={"cameras": {0: interval("silent")}})}, accounts={"enterprise/e": Account(announced={0: interval("black")})},
    )  # fmt: skip
    assert sorted((rule, incident.incident_id) for rule, incident in announced(ledger)) == [
        ("blacklisted_enterprise", "black"), ("cameras", "silent"), ("low", "low day"), ("rising", "low day"), ("unfiled", "found"),
    ]  # fmt: skip
