"""Incidents, and whatever else is told, as CloudEvents 1.0 (structured JSON)."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import msgspec
import orjson

from streams.wire.incident import IncidentData, subject_name


def cloudevent(kind: str, data: IncidentData) -> tuple[str, bytes]:
    """The message key (the subject) and the structured CloudEvent for one revision of an incident."""
    moment = datetime.fromtimestamp(data.last_seen_ms / 1000, UTC)
    return data.subject, structured(f"{data.incident_id}/{data.revision}", data.city, f"incident.{kind}", data.subject, moment, data)


def structured(event_id: str, origin: str, kind: str, subject: str, moment: datetime, data: msgspec.Struct) -> bytes:
    """An event of ``yicheng/<origin>`` of type ``yicheng.<kind>.v1``; ``moment`` (UTC) is when what it tells happened."""
    return orjson.dumps(
        {
            "specversion": "1.0",
            "id": event_id,
            "source": f"yicheng/{origin}",
            "type": f"yicheng.{kind}.v1",
            "subject": subject,
            "time": moment.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "datacontenttype": "application/json",
            "data": msgspec.to_builtins(data),
        }
    )


def subject_of(data: Mapping[str, Any]) -> str:
    """Whom an incident is about, from its ``data`` as it was read."""
    return subject_name(data["vehicle_id"], data["outlet_id"], data["enterprise_id"], data.get("line_id"))
