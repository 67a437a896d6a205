"""The Alertmanager sink: each incident is an alert (``POST /api/v2/alerts``) that fires while it is open and is resolved when it is closed or retracted.

Alertmanager keeps alerts in memory only: one that starts anew has forgotten those of open incidents, and knows of one again with the next revision that a route tells it.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import orjson

from consumers.incident_events import IncidentEvent, read_event
from consumers.messages.message import Message
from consumers.sinks._https import HttpsClient
from consumers.sinks._options import Reach, read_options
from streams.errors import BadInput
from streams.wire.decode import Malformed
from streams.words.shown import shown

TRIAL, TRIAL_S = "yicheng.test.v1", 60.0
OPEN_FOR_S = 3_650 * 86_400.0
"""So long an alert fires that nothing more is heard of: an incident of the black list is open for a year and longer. Without an end Alertmanager would take it for resolved after five minutes."""


class AlertmanagerOptions(Reach, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """``url``: where Alertmanager is, with its path prefix if it has one. ``token``: a bearer token, if it stands behind something that asks for one."""

    url: str
    token: str | None = None


class AlertmanagerSink:
    """Posts incidents as alerts, whose labels are what stays the same over an incident's life: rule, incident, city, and whom it is about."""

    limits: tuple[tuple[int, float], ...] = ()
    folds = takes_digests = takes_alerts = False  # an alert for each incident; alerts come from Alertmanager, and are not to go round in circles

    def __init__(self, name: str, options: Mapping[str, object]) -> None:
        read = read_options(name, AlertmanagerOptions, options)
        if read.token is not None and not (read.token.strip() and read.token.isprintable()):
            raise BadInput(f"sink {name}: token is empty, or has a sign that no token has; leave it out where none is asked for")
        if {"?", "#"} & set(read.url):
            raise BadInput(f"sink {name}: url goes on after its path; it is where Alertmanager is, such as https://alerts.example/alertmanager")
        self.name, self.real = name, read.real
        self._headers = {"content-type": "application/json", **({"authorization": f"Bearer {read.token}"} if read.token else {})}
        self._client = HttpsClient(name, read.url.rstrip("/") + "/api/v2/alerts", read)

    def deliver(self, message: Message) -> str:
        """Post one incident, or a trial. ``BadInput`` where the message is about something else."""
        now_s = time.time()
        if orjson.loads(message.body).get("type") == TRIAL:
            sent = trial(message, self.name, now_s)
        else:
            try:
                sent = alert(read_event(message.body), message, now_s)
            except Malformed as error:
                raise BadInput(f"{self._client.where} takes incidents only, and {shown(message.message_id)} is none: {error}") from None
        return self._client.check_taken(self._client.post(orjson.dumps([sent]), self._headers))

    def fits(self, message: Message) -> bool:
        """There is room for any."""
        return True

    def flush(self) -> None:
        """Nothing is held back."""

    def give_up(self) -> None:
        """End a delivery that is under way, from any thread; what was not delivered will be."""
        self._client.give_up()

    def close(self) -> None:
        """Give the connections back."""
        self._client.close()


def alert(event: IncidentEvent, message: Message, now_s: float) -> dict[str, Any]:
    """An incident as an alert of Alertmanager's API, version 2."""
    incident = event.incident
    begins_s = incident.opened_at_ms / 1000 or now_s
    if incident.state == "open":
        ends_s = now_s + OPEN_FOR_S
    else:
        ends_s = min(now_s, incident.closed_at_ms / 1000) if incident.closed_at_ms is not None else now_s
    about = {
        "alertname": incident.rule or "incident", "incident_id": incident.incident_id, "city": incident.city, "vehicle_id": incident.vehicle_id,
        "enterprise_id": incident.enterprise_id, "outlet_id": incident.outlet_id, "line_id": incident.line_id, "synthetic": str(incident.synthetic).lower(),
    }  # fmt: skip
    said = {
        "summary": message.title,
        "description": message.text,
        "severity": incident.severity,
        "clause": incident.clause,
        "event_id": event.event_id,
    }
    return {
        "labels": {name: value for name, value in about.items() if value},
        "annotations": {name: value for name, value in said.items() if value},
        "startsAt": _rfc3339(min(begins_s, ends_s)),
        "endsAt": _rfc3339(ends_s),
    }


def trial(message: Message, sink: str, now_s: float) -> dict[str, Any]:
    """What ``notifier test`` sends: an alert that says so, and ends by itself."""
    return {
        "labels": {"alertname": "YichengTest", "sink": sink, "severity": "info"}, "annotations": {"summary": message.title, "description": message.text},
        "startsAt": _rfc3339(now_s), "endsAt": _rfc3339(now_s + TRIAL_S),
    }  # fmt: skip


def _rfc3339(moment_s: float) -> str:
    return datetime.fromtimestamp(moment_s, UTC).isoformat(timespec="milliseconds")
