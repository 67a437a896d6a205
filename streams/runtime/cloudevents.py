"""Incidents as CloudEvents 1.0 (structured JSON)."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import msgspec
import orjson

from streams.incident import IncidentData, subject_name


def cloudevent(kind: str, data: IncidentData) -> tuple[str, bytes]:
    """The message key (the subject) and the structured CloudEvent for one revision of an incident."""
    moment = datetime.fromtimestamp(data.last_seen_ms / 1000, UTC)
    return data.subject, orjson.dumps(
        {
            "specversion": "1.0",
            "id": f"{data.incident_id}/{data.revision}",
            "source": f"yicheng/{data.city}",
            "type": f"yicheng.incident.{kind}.v1",
            "subject": data.subject,
            "time": moment.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "datacontenttype": "application/json",
            "data": msgspec.to_builtins(data),
        }
    )


def subject_of(data: Mapping[str, Any]) -> str:
    """Whom an incident is about, from its ``data`` as it was read."""
    return subject_name(data["vehicle_id"], data["outlet_id"], data["enterprise_id"])
