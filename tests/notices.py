"""Events of incidents as workers publish them, for tests of what the notifier does with them."""

from datetime import datetime
from zoneinfo import ZoneInfo

from consumers.incident_events import read_event
from streams.wire.cloudevents import cloudevent
from streams.wire.incident import Evidence, IncidentData

SHANGHAI = ZoneInfo("Asia/Shanghai")


def at_ms(text, timezone=SHANGHAI):
    """A local time such as 2026-11-11T08:00 in ms."""
    return int(datetime.fromisoformat(text).replace(tzinfo=timezone).timestamp() * 1000)


OPENED_MS = at_ms("2026-11-11T08:00")


def event(kind="opened", *, opened_at_ms=OPENED_MS, **fields):
    """One revision of an incident about a speeding vehicle of Hohhot, unless the fields say otherwise."""
    state = {"opened": "open", "updated": "open"}.get(kind, kind)
    said = {
        "incident_id": "INCIDENT1", "revision": 1, "state": state, "rule": "speeding", "rule_id": "speeding-ring", "policy": "hohhot-2019", "clause": "二（四）",
        "severity": "violation", "city": "150100", "zone_id": "ring", "vehicle_id": "V-100001", "plate": "蒙A12345", "enterprise_id": "ent-1",
        "opened_at_ms": opened_at_ms, "last_seen_ms": opened_at_ms + 90_000, "closed_at_ms": None if state == "open" else opened_at_ms + 90_000,
        "lon": 111.66, "lat": 40.81, "fix_count": 7,
        "evidence": (Evidence("V-100001/1", opened_at_ms, 111.66, 40.81, 48.5), Evidence("V-100001/2", opened_at_ms + 1, 111.66, 40.81, 31.0), Evidence("V-100001/3", opened_at_ms + 2, 111.66, 40.81, None)),
        "reason_zh": "车辆 蒙A12345 在环路以 48.5 公里/小时行驶", "reason_en": "Vehicle 蒙A12345 (V-100001) drove 48.5 km/h on the ring road",
        "clause_text": "限速四十公里", "document": "管理办法", "document_number": "呼政发〔2019〕1号", "basis": "stated", "figures": "illustrative",
        "duty_of": "driver", "responsible": ("公安机关交通管理部门",),
    }  # fmt: skip
    return read_event(cloudevent(kind, IncidentData(**(said | fields)))[1])
