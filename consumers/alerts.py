"""Alerts about the system itself, from Alertmanager to the sinks: ``POST /v1/alerts`` of the notifier. Kafka has no part in it, since it may be what is down.

An alert becomes a CloudEvent of type ``yicheng.alert.firing.v1`` or ``yicheng.alert.resolved.v1``. It is taken when every sink has taken it; else
Alertmanager is told so and sends it again, under the same id. Sinks that reach real police are left out: alerts are the operators' affair.
"""

from __future__ import annotations

import hmac
import re
import time
from collections.abc import Sequence
from datetime import datetime
from typing import Literal, Protocol

import msgspec

from streams import metrics
from streams.cloudevents import structured
from streams.decode import Malformed, decoded
from streams.pages import PLAIN, Answer, Request

ALERTS_PATH = "/v1/alerts"
MOST_ALERTS = 1_000
TAKEN_WITHIN_S = 8.0
"""So long are sinks waited for; Alertmanager waits no longer than that for an answer."""
_UNFIT = re.compile(r"[^A-Za-z0-9_.:-]")


class Alert(msgspec.Struct, rename="camel"):
    """One alert of an Alertmanager webhook message (version 4)."""

    status: Literal["firing", "resolved"]
    labels: dict[str, str]
    fingerprint: str
    starts_at: datetime
    ends_at: datetime
    annotations: dict[str, str] = {}


class _Message(msgspec.Struct):
    version: Literal["4"]
    alerts: list[Alert]


_decode = msgspec.json.Decoder(_Message).decode


class AlertSink(Protocol):
    """A sink's delivery, as far as alerts go."""

    takes_alerts: bool

    def take_alert(self, event_id: str, body: bytes, deadline_s: float) -> bool:
        """Whether the sink took the event, now or before, until the deadline (monotonic seconds)."""


class AlertReceiver:
    """Hands each alert to every sink that takes alerts. ``token``: what callers must show; without one anybody on this address may call."""

    def __init__(self, sinks: Sequence[AlertSink], token: str | None) -> None:
        self.sinks = [sink for sink in sinks if sink.takes_alerts]
        self.token = token

    def receive(self, request: Request) -> Answer:
        """200: every sink has every alert. 400: no such message. 401: a wrong token. 503: to be sent again."""
        if self.token is not None and not hmac.compare_digest(request.headers.get("Authorization", "").encode(), f"Bearer {self.token}".encode()):
            return 401, PLAIN, b"the bearer token is not that of YICHENG_ALERTS_TOKEN\n"
        try:
            alerts = read_alerts(request.body)
        except Malformed as error:
            return 400, PLAIN, f"no message of Alertmanager (webhook, version 4): {error}\n".encode()
        if not self.sinks:
            return 503, PLAIN, b"no sink takes alerts: those that reach real police do not; set YICHENG_SINK_FILE\n"
        deadline_s = time.monotonic() + TAKEN_WITHIN_S
        taken = [[sink.take_alert(*alert_event(alert), deadline_s) for sink in self.sinks] for alert in alerts]
        for alert, by in zip(alerts, taken, strict=True):
            metrics.ALERTS_RECEIVED.labels(alert.status).inc(all(by))
        if all(map(all, taken)):
            return 200, PLAIN, b"taken\n"
        return 503, PLAIN, b"not every sink took every alert; send them again\n"


def read_alerts(body: bytes) -> list[Alert]:
    """The alerts of a webhook message; ``Malformed`` where it is none."""
    alerts = decoded(body, _decode).alerts
    if len(alerts) > MOST_ALERTS:
        raise Malformed(f"more than {MOST_ALERTS:,} alerts")
    return alerts


def alert_event(alert: Alert) -> tuple[str, bytes]:
    """Id and body of the CloudEvent; the same alert has the same id each time that it is sent."""
    moment = alert.starts_at if alert.status == "firing" else alert.ends_at
    event_id = f"alert/{_UNFIT.sub('_', alert.fingerprint)[:40]}/{int(alert.starts_at.timestamp() * 1000)}/{alert.status}"
    return event_id, structured(event_id, "alertmanager", f"alert.{alert.status}", f"alert/{alert.labels.get('alertname', '')}", moment, alert)
