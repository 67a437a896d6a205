"""What the topics say now, for people: incidents, rates, answers. Records that cannot be read are left out, which one line a topic says."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any, Literal

import msgspec

from deploy.admin import readable
from deploy.up.verdict import newest
from streams.clock import is_local_date
from streams.counts import FEATURES, HANDLING, SAID_OR_NOT, is_of_day, is_of_outlet
from streams.rules import RULES
from streams.vehicles.empty_run import is_about_driving
from streams.wire.answers import Answer, once, read_answer
from streams.wire.decode import AnyId, Malformed, decoded
from streams.wire.events import LAST_MS
from streams.wire.ids import RESERVED, id_of, is_id
from streams.wire.topics import CREDIT, FEEDBACK, INCIDENTS, RATES
from streams.words.basis import Basis, Duty, Figures


class _Data(msgspec.Struct):
    """What is made use of in an incident."""

    incident_id: AnyId
    revision: int
    state: Literal["open", "closed", "retracted"]
    rule: str
    rule_id: str
    clause: str
    severity: str
    city: str
    vehicle_id: str | None
    enterprise_id: str | None
    outlet_id: str | None
    opened_at_ms: int
    reason_zh: str
    reason_en: str
    synthetic: bool
    closed_at_ms: int | None = None
    last_seen_ms: int = 0
    clause_text: str | None = None
    basis: Basis | None = None
    figures: Figures | None = None
    duty_of: Duty | None = None
    responsible: list[str] = []


class _Event(msgspec.Struct):
    id: str
    data: _Data


_Number = Annotated[int, msgspec.Meta(ge=0, lt=2**53)]
_Metres = Annotated[float, msgspec.Meta(ge=0, lt=2**53)]
_Hours = Annotated[str, msgspec.Meta(pattern=r"^\d{1,5}\Z")]


class _Row(msgspec.Struct):
    """What is made use of in every row of rates, if it is there."""

    city: str
    enterprise_id: AnyId
    date: Annotated[str, msgspec.Meta(pattern=r"^\d{4}-\d\d-\d\d\Z")]
    window: str
    revision: _Number
    transit_hours: dict[_Hours, _Number] = {}
    outlet_id: AnyId | None = None
    zone_id: AnyId | None = None
    stops: _Number | None = None
    occupied_ms: _Number | None = None
    lines: _Number | None = None
    lines_run: _Number | None = None
    night_run_m: _Metres = 0.0
    run_m: _Metres = 0.0


_LATER = (*HANDLING, "screened", *(f"{measure}_known" for measure in SAID_OR_NOT))
"""Numbers of a day that rows of before do not have."""
_Rate = msgspec.defstruct("_Rate", [(name, _Number, 0) for name in _LATER], bases=(_Row,))
_Day = msgspec.defstruct("_Day", [(name, _Number) for name in ("accepted", *FEATURES[:8])], bases=(_Rate,), kw_only=True)
_Driving = msgspec.defstruct("_Driving", [(name, _Metres) for name in ("empty_run_m", "known_run_m")], bases=(_Rate,), kw_only=True)
_Outlet = msgspec.defstruct("_Outlet", [("outlet_id", AnyId)], bases=(_Rate,), kw_only=True)
_KINDS = ((is_of_day, _Day), (is_about_driving, _Driving), (is_of_outlet, _Outlet))
"""What a row is about, and what it must hold to be that."""


_decode_event, _decode_data = msgspec.json.Decoder(_Event).decode, msgspec.json.Decoder(_Data).decode
_DECODE = {kind: msgspec.json.Decoder(kind).decode for kind in (_Rate, _Day, _Driving, _Outlet)}


class _Cost(msgspec.Struct):
    rule: str
    points: float
    at_ms: int


class _Credit(msgspec.Struct):
    """What is made use of in a standing."""

    subject: str
    credit: Literal["red", "normal", "black"]
    points: float
    revision: int
    reasons: list[_Cost]


_decode_credit = msgspec.json.Decoder(_Credit).decode
_decode_row = msgspec.json.Decoder(dict[str, Any]).decode


def incident_in(value: bytes | None) -> dict[str, Any]:
    """The ``data`` of an incident's revision; ``Malformed`` where there is none."""
    _check(decoded(value or b"", _decode_event).data)
    found: dict[str, Any] = decoded(value or b"", _decode_row)["data"]
    return found


def judged_incident_in(line: bytes) -> dict[str, Any]:
    """The same of a line that ``judge`` wrote, which is the ``data`` alone."""
    _check(decoded(line, _decode_data))
    found: dict[str, Any] = decoded(line, _decode_row)
    return found


def _check(data: _Data) -> None:
    if not is_id(data.incident_id) or data.rule not in RULES or not 0 <= data.opened_at_ms < LAST_MS:
        raise Malformed("no incident of ours")


def incidents(bootstrap: str) -> dict[str, dict[str, Any]]:
    """Every incident by its id, as last revised."""
    return newest((data["incident_id"], data) for data in readable(bootstrap, INCIDENTS.name, lambda record: incident_in(record.value)))


def rates(bootstrap: str) -> dict[str, dict[str, Any]]:
    """Rates by ``city/enterprise/window``, as last published."""
    return newest(readable(bootstrap, RATES.name, _rate))


def answers(bootstrap: str) -> Iterator[Answer]:
    """The answers to incidents, each once, in the order in which they are read: of one incident in that of its partition."""
    return once(readable(bootstrap, FEEDBACK.name, _answer))


def credit(bootstrap: str) -> dict[str, dict[str, Any]]:
    """Standing, points and reasons by ``enterprise/ID`` and ``driver/ID``, as last published."""
    return newest(readable(bootstrap, CREDIT.name, _credit))


def _credit(record: Any) -> tuple[str, dict[str, Any]]:
    row = standing_in(record.value)
    return row["subject"], row


def standing_in(value: bytes | None) -> dict[str, Any]:
    """A standing with its reasons; ``Malformed`` where there is none."""
    said, row = decoded(value or b"", _decode_credit), decoded(value or b"", _decode_row)
    if not all(0 <= cost.at_ms < LAST_MS and cost.rule in RULES for cost in said.reasons):
        raise Malformed("a reason is none of ours")
    return row


def _answer(record: Any) -> Answer:
    name, said = id_of(record.key), read_answer(record.value or b"")
    if name is None or not 0 <= said.time_ms < LAST_MS:
        raise Malformed("no answer to an incident")
    return msgspec.structs.replace(said, incident_id=name)


def _rate(record: Any) -> tuple[str, dict[str, Any]]:
    return (record.key or b"").decode("utf-8", "backslashreplace"), rate_in(record.value)


def rate_in(value: bytes | None) -> dict[str, Any]:
    """A row of rates, of whose fields each that is made use of is what it should be; ``Malformed`` where one is not."""
    row: dict[str, Any] = decoded(value or b"", _decode_row)
    kind = next((kind for is_one, kind in _KINDS if "date" in row and is_one(row)), _Rate)
    said: Any = decoded(value or b"", _DECODE[kind])
    if not (said.enterprise_id in RESERVED or is_id(said.enterprise_id)) or not is_local_date(said.date):
        raise Malformed("no row of an enterprise's day")
    return row
