"""The notifier: incidents from Kafka to every sink, at least once, each sink at its own pace.

    courier.incidents.v1 ──▶ a delivery for each sink (delivery.py)
    courier.incidents.v1, courier.feedback.v1 ──▶ what waits for an answer: metrics (answers.py)
    POST /v1/alerts of Alertmanager ──▶ the same deliveries (alerts.py)

Offsets of a sink are committed only after it has taken a batch, so a crash repeats events and never loses one; the
CloudEvent's id (incident and revision) tells repeats apart.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence

import structlog

from consumers.alerts import ALERTS_PATH, AlertReceiver
from consumers.answers import AnswersReader, pending
from consumers.delivery import Delivery, Sink
from consumers.sinks.file import FileSink
from consumers.sinks.webhook import WebhookSink
from streams import metrics
from streams.errors import BadInput
from streams.logs import configure_logs
from streams.pages import Page, is_loopback
from streams.settings import Settings
from streams.stopping import PROCESS_GRACE_S, stopping

log = structlog.get_logger()


def open_sinks(settings: Settings) -> list[Sink]:
    """The sinks that the settings name; ``BadInput`` where there is none or one is configured badly."""
    sinks: list[Sink] = []
    if settings.sink_file:
        sinks.append(FileSink(settings.sink_file))
    if settings.webhook_url:
        if settings.webhook_secret is None:
            raise BadInput("YICHENG_WEBHOOK_URL is set without YICHENG_WEBHOOK_SECRET; webhooks are always signed")
        url, secret = settings.webhook_url.get_secret_value(), settings.webhook_secret.get_secret_value()
        sinks.append(WebhookSink(url, secret, real=settings.webhook_real, private=settings.webhook_private))
    if not sinks:
        raise BadInput("no sink is configured; set YICHENG_SINK_FILE, or YICHENG_WEBHOOK_URL and YICHENG_WEBHOOK_SECRET")
    return sinks


class Notifier:
    """Delivers to every sink until told to stop; one that fails for good ends all, and the reason is raised."""

    def __init__(self, settings: Settings) -> None:
        self.deliveries = [Delivery(settings, sink) for sink in open_sinks(settings)]
        self.answers = AnswersReader(settings)
        self._failure: BaseException | None = None

    @property
    def joined(self) -> bool:
        """Whether every sink's delivery has partitions to read."""
        return all(delivery.joined for delivery in self.deliveries)

    def stop(self) -> None:
        """Deliver nothing more."""
        self.answers.stop()
        for delivery in self.deliveries:
            delivery.stop()

    def run(self) -> None:
        """Deliver until ``stop``. ``Unavailable`` where Kafka does not answer at first."""
        for delivery in self.deliveries:
            delivery.take_over()
            self._show(delivery)
        self.answers.start()
        threads = [threading.Thread(target=self._run, args=(delivery,), daemon=True, name=delivery.sink.name) for delivery in self.deliveries]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        if self._failure is not None:
            raise self._failure

    def _show(self, delivery: Delivery) -> None:
        """Have the page say how a sink does before anything happens."""
        name = delivery.sink.name
        metrics.SINK_FAILING.labels(name).set(0)
        metrics.OUTBOX_PENDING.labels(name).set_function(lambda: pending(dict(self.answers.ends), dict(delivery.taken)))

    def _run(self, delivery: Delivery) -> None:
        try:
            delivery.run()
        except BaseException as error:  # noqa: BLE001 - raised again by the thread that waits
            self._failure = self._failure or error
            self.stop()


def _cut_short() -> None:
    log.warning("stopped in the middle of a delivery; what was not committed is delivered again")


def run_notifier(settings: Settings) -> None:
    """Run until asked to stop."""
    configure_logs(settings.log_level)
    notifier = Notifier(settings)
    stopping.when_asked(notifier.stop, PROCESS_GRACE_S, _cut_short, late_code=1)
    port = settings.metrics_port or metrics.NOTIFIER_PORT
    metrics.serve(settings.metrics_host, port, lambda: notifier.joined, metrics.OF_NOTIFIER, _alerts_page(settings, notifier.deliveries))
    notifier.run()


def _alerts_page(settings: Settings, deliveries: Sequence[Delivery]) -> dict[str, Page]:
    """Where Alertmanager hands alerts over: not without a token where others than this machine can call."""
    token = settings.alerts_token.get_secret_value() if settings.alerts_token else None
    if token is None and not is_loopback(settings.metrics_host):
        log.info("alerts of Alertmanager are not taken: set YICHENG_ALERTS_TOKEN, since the metrics page listens on more than this machine")
        return {}
    return {ALERTS_PATH: AlertReceiver(deliveries, token).receive}
