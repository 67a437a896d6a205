"""The incidents that the console shows, as last revised, and what was answered to them. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

from consumers.incident_events import Reported, read_event
from streams.answers import Answer, made_answer, read_answer, record_of, standing
from streams.decode import Malformed, decoded
from streams.errors import BadInput
from streams.events import LAST_MS
from streams.ids import is_id
from streams.lifecycle import OPEN, RETRACTED

MOST_INCIDENTS = 50_000
"""The oldest are let go of, whether they are open or not."""
MOST_ANSWERS = 20
"""Of one incident the last so many are shown."""
DISMISSED = "dismissed"
OFFERED = ("acknowledged", DISMISSED, "noted")
"""What the page can answer."""


class Evidence(msgspec.Struct):
    """A fix or scan that an incident rests on."""

    event_time_ms: int
    event_id: str | None = None
    lon: float | None = None
    lat: float | None = None
    speed_kmh: float | None = None


class Incident(Reported):
    """What the console says of an incident."""

    evidence: list[Evidence] = msgspec.field(default_factory=list)
    figures: str | None = None
    duty_of: str | None = None


class _Event(msgspec.Struct):
    data: Incident


_decode_event = msgspec.json.Decoder(_Event).decode
_SUMMARY = (
    "incident_id", "revision", "state", "rule", "rule_id", "clause", "severity", "basis", "city", "zone_id", "vehicle_id", "plate", "enterprise_id", "outlet_id", "line_id",
    "opened_at_ms", "last_seen_ms", "closed_at_ms", "lon", "lat", "reason_zh", "reason_en", "synthetic",
)  # fmt: skip


class Incidents:
    """By id; a later revision takes an earlier one's place."""

    def __init__(self) -> None:
        self.latest: dict[str, Incident] = {}
        self.answers: dict[str, list[Answer]] = {}
        self.open_of: Counter[str] = Counter()
        """Open incidents by vehicle: those that were dismissed do not count."""

    def enter(self, value: bytes | None) -> Incident | None:
        """Enter a revision; None where a later one is known. ``Malformed`` where the record is no incident."""
        event = read_event(value)
        incident = decoded(event.body, _decode_event).data
        if not is_id(incident.incident_id) or not all(0 <= moment < LAST_MS for moment in (incident.opened_at_ms, incident.last_seen_ms)):
            raise Malformed("no incident of ours")
        known = self.latest.get(incident.incident_id)
        if known is not None and known.revision >= incident.revision:
            return None
        self._count(known, -1)
        self.latest[incident.incident_id] = incident
        self._count(incident, 1)
        if len(self.latest) > MOST_INCIDENTS:
            self._let_go_of_oldest()
        return incident

    def enter_answer(self, value: bytes | None) -> Answer:
        """Enter an answer, whether or not its incident is known. ``Malformed`` where the record is none."""
        answer = read_answer(value or b"")
        if not is_id(answer.incident_id) or not 0 <= answer.time_ms < LAST_MS:
            raise Malformed("no answer to an incident")
        incident = self.latest.get(answer.incident_id)
        self._count(incident, -1)
        said = self.answers.setdefault(answer.incident_id, [])
        if answer not in said:
            said.append(answer)
            del said[:-MOST_ANSWERS]
        self._count(incident, 1)
        return answer

    def answer_to(self, incident_id: str) -> str | None:
        """What its answers come to: acknowledged, dismissed or fined; None where nobody has answered."""
        said = self.answers.get(incident_id)
        return standing(said).state if said else None

    def standing(self) -> Iterator[Incident]:
        """Those that were not retracted."""
        return (incident for incident in self.latest.values() if incident.state != RETRACTED)

    def upheld(self) -> list[Incident]:
        """Those that were neither retracted nor dismissed."""
        return [incident for incident in self.standing() if self.answer_to(incident.incident_id) != DISMISSED]

    def counts(self) -> dict[str, int]:
        """How many are open, and how many nobody has answered."""
        return {"open": sum(incident.state == OPEN for incident in self.upheld()), "unanswered": sum(self.answer_to(incident.incident_id) is None for incident in self.standing())}

    def summary(self, incident: Incident) -> dict[str, Any]:
        """A row of the list."""
        row = {name: getattr(incident, name) for name in _SUMMARY}
        return {**row, "answer": self.answer_to(incident.incident_id)}

    def details(self, incident: Incident) -> dict[str, Any]:
        """All that there is to say of one."""
        found: dict[str, Any] = msgspec.to_builtins(incident)
        return {**found, "answer": self.answer_to(incident.incident_id), "answers": msgspec.to_builtins(self.answers.get(incident.incident_id, []))}

    def of_vehicle(self, vehicle_id: str, since_ms: int) -> list[dict[str, Any]]:
        """Rows of a vehicle's incidents, the newest first."""
        found = [incident for incident in self.standing() if incident.vehicle_id == vehicle_id and incident.last_seen_ms >= since_ms]
        return [self.summary(incident) for incident in sorted(found, key=lambda incident: -incident.opened_at_ms)]

    def _count(self, incident: Incident | None, number: int) -> None:
        if incident is not None and incident.vehicle_id and incident.state == OPEN and self.answer_to(incident.incident_id) != DISMISSED:
            self.open_of[incident.vehicle_id] += number
            if self.open_of[incident.vehicle_id] <= 0:
                del self.open_of[incident.vehicle_id]

    def _let_go_of_oldest(self) -> None:
        oldest = next(iter(self.latest.values()))  # the first that was heard of
        self._count(oldest, -1)
        del self.latest[oldest.incident_id]


def answer_record(asked: Mapping[str, Any], now_ms: int) -> tuple[bytes, bytes]:
    """Key and value of ``courier.feedback.v1`` for an answer that the page sends; ``Malformed`` says what is wrong with it.

    >>> answer_record({"incident_id": "a", "action": "acknowledged", "by": "", "reason": None}, 5)[1]
    b'{"incident_id":"a","action":"acknowledged","time_ms":5,"by":null,"reason":null}'
    """
    name, action = asked.get("incident_id"), asked.get("action")
    by, reason = (" ".join(str(asked.get(key) or "").split()) or None for key in ("by", "reason"))
    if not isinstance(name, str) or not is_id(name):
        raise Malformed("no incident is named")
    if action not in OFFERED:
        raise Malformed("an answer is acknowledged, dismissed or noted")
    if action != "acknowledged" and reason is None:
        raise Malformed("a reason is needed / 请填写原因")
    try:
        return name.encode(), record_of(made_answer(name, str(action), now_ms, by=by, reason=reason))
    except BadInput as error:
        raise Malformed(str(error)) from None
