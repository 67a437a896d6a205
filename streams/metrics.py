"""Every metric of every process, and the small server for ``/metrics``, ``/healthz`` and ``/readyz``."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from prometheus_client import GC_COLLECTOR, PLATFORM_COLLECTOR, PROCESS_COLLECTOR, Counter, Gauge, Histogram, Info, disable_created_metrics
from prometheus_client.metrics import MetricWrapperBase
from prometheus_client.registry import Collector

from streams.errors import Unavailable
from streams.process.exposition import Exposition
from streams.process.pages import PLAIN, Page, PageServer

_AGE_BUCKETS_S = (0.01, 0.05, 0.1, 0.5, 1, 5, 10, 60, 300, 1800, 7200, 86400, 604800)
_LATENCY_BUCKETS_S = (0.005, 0.01, 0.02, 0.03, 0.05, 0.1, 0.15, 0.3, 1, 3, 10, 60)
_ANSWER_BUCKETS_S = (60, 300, 900, 1800, 3600, 4 * 3600, 12 * 3600, 86400, 3 * 86400)

disable_created_metrics()  # type: ignore[no-untyped-call]  # a series for each series, which no rule and no panel reads

CITY = Info("courier_city", "City that this worker judges: its names, its policy pack and, where the document has ended, who goes on judging by it (continued_by)", ["city"])
FIXES = Counter("courier_fixes", "Position reports of vehicles (fixes) judged, by what became of them", ["city", "outcome"])
HEARTBEATS = Counter("courier_heartbeats", "Signs of life (heartbeats) of cameras and feeds taken; of those of another city (other) nothing is judged", ["city"])
SCANS = Counter("courier_scans", "Parcel scans counted, by kind and outcome", ["city", "kind", "outcome"])
PARCELS_ACCEPTED = Counter("courier_parcels_accepted", "Parcels accepted, by kind of waybill", ["city", "enterprise", "waybill"])
PARCELS_PACKAGED = Counter("courier_parcels_packaged", "Parcels accepted, by packaging", ["city", "enterprise", "packaging"])
PARCELS_COUNTED = Counter(
    "courier_parcels_counted", "Parcels by what rates are made of: accepted, taped and so on, numerators and denominators", ["city", "enterprise", "measure"]
)
MEASURE_RATIO = Gauge("courier_measure_ratio", "Share of the day's parcels with narrow tape, in reusable bags, inspected and so on, of those that say it; of the delivered ones into lockers and at night", ["city", "enterprise", "measure"])
ELECTRONIC_RATIO = Gauge(
    "courier_electronic_waybill_ratio", "Share of accepted parcels with an electronic waybill", ["city", "enterprise", "window"]
)
GREEN_RATIO = Gauge("courier_green_packaging_ratio", "Share of accepted parcels in green packaging", ["city", "enterprise", "window"])
FORECAST = Gauge("courier_forecast_ratio", "Share that the day will end with at the pace of its last hour; measures are called as in targets", ["city", "enterprise", "measure"])
TARGET_RATIO = Gauge("courier_target_ratio", "Target that the policy sets: a share from 0 to 1, or a number of things", ["city", "measure"])
TARGET_INFO = Gauge("courier_target_info", "1 for each target: by when it is due, its clause, its basis in the document (or the operator's own) and the enterprises that it is about", ["city", "measure", "due", "clause", "basis", "scope"])
TARGET_SCOPE = Gauge("courier_target_scope", "1 for each enterprise that a target is about, where it is not about all", ["city", "enterprise", "measure"])
INCIDENTS = Counter("courier_incidents", "Incident transitions published", ["city", "rule", "severity", "transition"])
INCIDENTS_OPEN = Gauge("courier_incidents_open", "Incidents that are open now, those that police have dismissed among them", ["city", "rule"])
VEHICLES_ACTIVE = Gauge("courier_vehicles_active", "Active registered vehicles, by energy", ["city", "energy"])
NEV_RATIO = Gauge("courier_nev_ratio", "Share of new-energy vehicles among the active registered motor vehicles", ["city"])
EMPTY_RUN = Gauge("courier_empty_run_ratio", "Share of the distance driven empty, of what was driven today with a load that is known", ["city"])
NIGHT_RUN = Gauge("courier_night_run_ratio", "Share of the distance driven today that was driven at night", ["city"])
LINES_RUN = Gauge("courier_delivery_lines_run", "Delivery lines that were driven today", ["city"])
PARKING_STOPS = Gauge("courier_parking_stops", "Stops in a loading zone today", ["city", "zone"])
PARKING_OCCUPIED = Gauge("courier_parking_occupied_seconds", "Seconds that vehicles stood in a loading zone today, all together", ["city", "zone"])
NETWORK = Gauge("courier_network", "Key figures of outlets, facilities, lines, townships, enterprises and the fleet, from the registry", ["city", "measure"])
FIX_AGE = Histogram("courier_fix_age_seconds", "Seconds from when a vehicle measured its position (a fix) until that was judged, for the oldest of the fixes that are judged together", buckets=_AGE_BUCKETS_S)
INCIDENT_LATENCY = Histogram(
    "courier_incident_latency_seconds",
    "Seconds from a fix's arrival in Kafka until what it changed of a vehicle's incidents was published, one for each change; of fixes that are judged together the first one's arrival counts. "
    "Incidents that come of scans, days and silences are not measured",
    buckets=_LATENCY_BUCKETS_S,
)
DELIVERY = Histogram("courier_delivery_seconds", "Seconds from a parcel's acceptance to its delivery", ["city"], buckets=[h * 3600 for h in (1, 2, 4, 8, 12, 24, 36, 48, 72)])
TRANSIT = Gauge("courier_transit_seconds", "Seconds (of whole hours) since acceptance within which so many per cent (percentile) of the timed parcels delivered in the last 30 days arrived", ["city", "enterprise", "percentile"])
TRANSIT_UNTIMED = Gauge(
    "courier_transit_untimed_ratio", "Share of the parcels delivered in the last 30 days that are not timed: accepted more than three days before, or without an acceptance scan", ["city", "enterprise"]
)
CHECKPOINT = Histogram("courier_checkpoint_seconds", "Seconds that a checkpoint took: the worker writes its state and how far it has read to Kafka, all or nothing, and goes on from there after a crash")
CHECKPOINT_AGE = Gauge("courier_checkpoint_age_seconds", "Seconds since this worker's last checkpoint (its state, written to Kafka) was complete; what came after it is judged again after a crash")
PARTITIONS = Gauge("courier_partitions", "Partitions of an input topic, as this worker knows them", ["topic"])
PARTITIONS_OWNED = Gauge("courier_partitions_owned", "Partitions of an input topic that this worker judges", ["topic"])
WATERMARK_AGE = Gauge("courier_watermark_age_seconds", "Seconds since what arrived was last judged in every input partition; while it grows, incidents that go by time wait")
STATE_VEHICLES = Gauge("courier_state_vehicles", "Vehicles whose state this worker holds")
VEHICLES_FORGOTTEN = Counter("courier_vehicles_forgotten", "Vehicles that no registry record knows and that were forgotten: idle for seven days, or too many (crowded)", ["city", "reason"])
REFUSED_RATIO = Gauge("courier_refused_ratio", "Share of the last records of an input (YICHENG_REFUSED_SHARE_RECORDS) that were refused, late and repeated ones not counted", ["topic"])
CONSUMER_LAG = Gauge("courier_consumer_lag", "Records of an input (position reports, scans, signs of life) not yet judged", ["topic", "partition"])
RECORDS_HELD_BACK = Gauge("courier_records_held_back", "Records behind an open transaction, which can be read when it ends", ["topic", "partition"])
RECORDS_LOST = Counter("courier_records_lost", "Records of an input that Kafka had deleted before they were judged, as this worker found when it took the partition over", ["topic"])
ARRIVAL_UNKNOWN = Counter("courier_arrival_unknown", "Records that say no time of arrival, since their topic keeps the producers' time", ["topic"])
DEAD = Counter("courier_dead", "Records sent to a dead-letter topic", ["topic", "reason"])
UNREADABLE = Counter("courier_unreadable", "Records of other topics than those of fixes, scans and heartbeats that could not be read, and were passed over", ["topic"])
NOTIFICATIONS = Counter("courier_notifications", "Incident transitions handed to a sink", ["sink", "outcome"])
NOTIFICATION_SECONDS = Histogram("courier_notification_seconds", "Seconds that one hand-over to a sink took", ["sink"])
OUTBOX_PENDING = Gauge("courier_outbox_pending", "Incident transitions published that a sink has still to take", ["sink"])
SINK_FAILING = Gauge("courier_sink_failing", "1 while a sink does not take what it is handed, else 0", ["sink"])
SINK_OFF = Gauge("courier_sink_off", "1 while a sink is switched off, since it took nothing for five days, else 0", ["sink"])
ALERTS_RECEIVED = Counter("courier_alerts_received", "Alerts that Alertmanager handed to this notifier", ["status"])
ANSWERS = Counter("courier_answers", "Answers given to incidents, by what was answered (acknowledged, dismissed, fined, noted, objected, upheld, rejected); an answer to what was taken back is none", ["city", "rule", "action"])
ACKNOWLEDGE_SECONDS = Histogram("courier_acknowledge_seconds", "Seconds from an incident's opening to its first answer", ["city", "rule"], buckets=_ANSWER_BUCKETS_S)
UNANSWERED = Gauge("courier_incidents_unanswered", "Incidents that stand and that nobody has answered, by the time since they were opened", ["city", "rule", "age"])
CONSOLE_VIEWERS = Gauge("courier_console_viewers", "Browsers that the console tells of what happens now")
CONSOLE_ANSWERS = Counter("courier_console_answers", "Answers to incidents that were given in the console, by what became of them: accepted, refused, or failed where Kafka did not take one", ["outcome"])
CONSOLE_LOGINS = Counter("courier_console_logins", "Attempts to log in to the console: accepted, refused, delayed after too many, or failed where they could not be checked", ["outcome"])
CONSOLE_LAG = Gauge("courier_console_lag", "Records of a topic that the console has not read yet", ["topic"])

OF_NOTIFIER = (UNREADABLE, NOTIFICATIONS, NOTIFICATION_SECONDS, OUTBOX_PENDING, SINK_FAILING, SINK_OFF, ALERTS_RECEIVED, ANSWERS, ACKNOWLEDGE_SECONDS, UNANSWERED)
OF_CONSOLE = (UNREADABLE, CONSOLE_VIEWERS, CONSOLE_ANSWERS, CONSOLE_LOGINS, CONSOLE_LAG)
OF_WORKER = tuple(metric for metric in list(globals().values()) if isinstance(metric, MetricWrapperBase) and metric not in (*OF_NOTIFIER[1:], *OF_CONSOLE[1:]))
"""Which metrics are on which process's page, beside those of the process itself."""

WORKER_PORT = 9108
NOTIFIER_PORT = 9109
CONSOLE_PORT = 9110


def show_only(gauge: Gauge, values: Mapping[tuple[str, ...], float]) -> None:
    """Set a gauge's series, by the values of their labels, and take all others off the page."""
    shown = {tuple(sample.labels.values()) for family in gauge.collect() for sample in family.samples}
    for labels in shown - values.keys():
        gauge.remove(*labels)
    for labels, value in values.items():
        gauge.labels(*labels).set(value)


def serve(host: str, port: int, ready: Callable[[], bool], metrics: Sequence[Collector] = OF_WORKER, posts: Mapping[str, Page] | None = None, gets: Mapping[str, Page] | None = None) -> int:
    """Serve the metrics and the two health pages from daemon threads; returns the port (useful for port 0). ``gets`` and ``posts``: further pages, the latter take a body.

    Raises ``Unavailable`` when the port is taken.
    """
    try:
        return int(PageServer(host, port, {**(gets or {}), **process_pages(ready, metrics)}, posts).server_address[1])
    except OSError as error:
        raise Unavailable(f"port {port} on {host} cannot be used ({error.strerror}); set YICHENG_METRICS_PORT to a free one") from None


def process_pages(ready: Callable[[], bool], metrics: Sequence[Collector]) -> dict[str, Page]:
    """What each process has: ``/healthz`` answers 200 while it lives, ``/readyz`` 200 or 503 by ``ready()``; ``metrics`` are on the page of that name."""
    return {
        "/metrics": _series(metrics),
        "/healthz": lambda _: (200, PLAIN, b"ok\n"),
        "/readyz": lambda _: (200, PLAIN, b"ready\n") if ready() else (503, PLAIN, b"not ready\n"),
    }


def _series(metrics: Sequence[Collector]) -> Page:
    """The page of some metrics, and of the process itself."""
    exposition = Exposition([*metrics, PROCESS_COLLECTOR, PLATFORM_COLLECTOR, GC_COLLECTOR])
    return lambda request: (200, *exposition.page(request.headers.get("Accept", "")))
