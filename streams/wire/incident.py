"""What is said of an incident: the ``data`` of a record of ``courier.incidents.v1``, a public contract (its fields in this order)."""

from __future__ import annotations

import msgspec

from streams.words.basis import Basis, Duty, Figures
from streams.words.shown import beginning

LONGEST_BEGINNING = 500
MOST_RESPONSIBLE = 20
MOST_EVIDENCE = 20
"""Of these many characters and entries an incident consists where it would be too large."""


class Evidence(msgspec.Struct, frozen=True):
    """A fix or scan that an incident rests on; degrees, km/h, milliseconds UTC."""

    event_id: str
    event_time_ms: int
    lon: float | None
    lat: float | None
    speed_kmh: float | None


class IncidentData(msgspec.Struct, frozen=True, kw_only=True):
    """One revision of an incident, of whatever rule.

    ``closed_at_ms`` is None while it is open; ``lon`` and ``lat`` are those of its first evidence, or of the outlet;
    ``fix_count``: of how many fixes, scans, parcels or charges it is made. An id is None where it is about no such thing.
    ``clause_text`` and what follows it: what the pack says of its document, None and empty where it says nothing;
    ``continued_by``: who goes on judging by the document where it was over when the incident began;
    ``lead``: who of ``responsible`` leads, where the document says it; ``reading``: how its words are read where they do not spell it out;
    ``stands_in_for``: the rules that the document tells an authority to make, in whose place the pack's rule stands.
    """

    incident_id: str
    revision: int
    state: str
    rule: str
    rule_id: str
    policy: str
    clause: str
    severity: str
    city: str
    zone_id: str | None = None
    vehicle_id: str | None = None
    plate: str | None = None
    enterprise_id: str | None = None
    outlet_id: str | None = None
    opened_at_ms: int
    last_seen_ms: int
    closed_at_ms: int | None
    lon: float | None = None
    lat: float | None = None
    fix_count: int
    evidence: tuple[Evidence, ...] = ()
    reason_zh: str
    reason_en: str
    superseded_by: str | None = None
    synthetic: bool = False
    clause_text: str | None = None
    document: str | None = None
    document_number: str | None = None
    basis: Basis | None = None
    figures: Figures | None = None
    duty_of: Duty | None = None
    responsible: tuple[str, ...] = ()
    continued_by: str | None = None
    line_id: str | None = None
    driver_id: str | None = None
    lead: str | None = None
    reading: str | None = None
    stands_in_for: str | None = None

    @property
    def subject(self) -> str:
        """Whom it is about."""
        return subject_name(self.vehicle_id, self.outlet_id, self.enterprise_id, self.line_id)


def shortened(data: IncidentData) -> IncidentData:
    """The same with the beginnings of its texts, for a message that would be too large: ids and figures are short, and stay."""
    texts = {name: beginning(text, LONGEST_BEGINNING) for name in IncidentData.__struct_fields__ if isinstance(text := getattr(data, name), str)}
    responsible = tuple(beginning(name, LONGEST_BEGINNING) for name in data.responsible[:MOST_RESPONSIBLE])
    return msgspec.structs.replace(data, **texts, responsible=responsible, evidence=data.evidence[:MOST_EVIDENCE])


def subject_name(vehicle_id: str | None, outlet_id: str | None, enterprise_id: str | None, line_id: str | None = None) -> str:
    """``vehicle/<id>``, ``line/<id>``, ``outlet/<id>`` or ``enterprise/<id>``: the first that is given."""
    if vehicle_id:
        return f"vehicle/{vehicle_id}"
    if line_id:
        return f"line/{line_id}"
    return f"outlet/{outlet_id}" if outlet_id else f"enterprise/{enterprise_id}"
