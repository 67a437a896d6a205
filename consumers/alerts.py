"""Alerts about the system itself, from Alertmanager to the sinks: ``POST /v1/alerts`` of the notifier. Kafka has no part in it, since it may be what is down.

An alert becomes a CloudEvent of type ``yicheng.alert.firing.v1`` or ``yicheng.alert.resolved.v1``. It is taken when it is in the outbox; else
Alertmanager is told so and sends it again, under the same id. Sinks that reach real police are left out: alerts are the operators' affair.
"""

from __future__ import annotations

import hmac
import re
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Literal

import msgspec
import orjson
import structlog

from consumers.messages.message import Message
from consumers.outbox.rows import Entry
from streams import metrics
from streams.clock import now_ms
from streams.errors import Unavailable
from streams.process.pages import PLAIN, Answer, Request
from streams.wire.cloudevents import structured
from streams.wire.decode import Malformed, decoded
from streams.words.shown import shown

log = structlog.get_logger()

ALERTS_PATH = "/v1/alerts"
MOST_ALERTS = 1_000
SIGN_OF_LIFE = "DeadMansSwitch"
"""The alert that always fires. Sinks get it each time that it comes: whoever expects it would miss it else."""
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


class AlertReceiver:
    """Puts each alert into the outbox for every sink that takes alerts. ``token``: what callers must show; without one anybody on this address may call.

    ``put`` takes ids and bodies of CloudEvents, and says for how many sinks: it raises ``Unavailable`` where they are not on disk.
    """

    def __init__(self, put: Callable[[Sequence[Entry]], int], token: str | None) -> None:
        self.put = put
        self.token = token
        for status in ("firing", "resolved"):
            metrics.ALERTS_RECEIVED.labels(status)

    def receive(self, request: Request) -> Answer:
        """200: every alert is in the outbox. 400: no such message. 401: a wrong token. 503: to be sent again."""
        if self.token is not None and not hmac.compare_digest(request.headers.get("Authorization", "").encode(), f"Bearer {self.token}".encode()):
            return 401, PLAIN, b"the bearer token is not that of YICHENG_ALERTS_TOKEN\n"
        try:
            alerts = read_alerts(request.body)
        except Malformed as error:
            return 400, PLAIN, f"no message of Alertmanager (webhook, version 4): {error}\n".encode()
        try:
            if not self.put([alert_entry(alert, now_ms()) for alert in alerts]):
                return 503, PLAIN, b"no sink takes alerts: those that reach real police do not; set YICHENG_SINK_FILE\n"
        except Unavailable as error:
            log.error("alerts are not taken", error=str(error))
            return 503, PLAIN, b"the outbox cannot be used now; send them again\n"
        for alert in alerts:
            metrics.ALERTS_RECEIVED.labels(alert.status).inc()
        return 200, PLAIN, b"taken\n"


def read_alerts(body: bytes) -> list[Alert]:
    """The alerts of a webhook message; ``Malformed`` where it is none."""
    alerts = decoded(body, _decode).alerts
    if len(alerts) > MOST_ALERTS:
        raise Malformed(f"more than {MOST_ALERTS:,} alerts")
    return alerts


def alert_entry(alert: Alert, came_ms: int) -> Entry:
    """The alert for the outbox; the same alert is the same entry each time that it is sent, and its end follows its beginning. A sign of life is another each time."""
    moment = alert.starts_at if alert.status == "firing" else alert.ends_at
    name = f"alert/{_UNFIT.sub('_', alert.fingerprint)[:40]}/{int(alert.starts_at.timestamp() * 1000)}"
    if alert.status == "firing" and alert.labels.get("alertname") == SIGN_OF_LIFE:
        moment, name = datetime.fromtimestamp(came_ms / 1000, UTC), f"{name}/{came_ms}"
    body = structured(f"{name}/{alert.status}", "alertmanager", f"alert.{alert.status}", f"alert/{alert.labels.get('alertname', '')}", moment, alert)
    return Entry(name, 1 if alert.status == "firing" else 2, body)


def alert_message(body: bytes) -> Message:
    """An alert in the words that its rule gives it."""
    event = orjson.loads(body)
    alert = msgspec.convert(event["data"], Alert)
    status = "告警 ALERT" if alert.status == "firing" else "恢复 RESOLVED"
    title = f"[{status}] {shown(alert.labels.get('alertname', ''))}"
    notes = [shown(alert.annotations[name]) for name in ("summary_zh", "summary_en", "description_zh", "description_en", "runbook", "runbook_url") if alert.annotations.get(name)]
    text = "\n".join([title, *notes])
    return Message(message_id=event["id"], body=body, title=title, text=text, markdown=text, severity=alert.labels.get("severity", "warning"))
