"""What the registry holds: vehicles, drivers, enterprises, outlets, passes, notices, townships, facilities, delivery lines, and how each is read."""

from __future__ import annotations

from typing import Annotated, Any, Literal, get_args

import msgspec

from streams.errors import BadInput, nearest
from streams.wire.events import Id, Milliseconds

VehicleClass = Literal["e_tricycle", "e_bike", "micro_van", "light_van", "truck", "other"]
Energy = Literal["electric", "plug_in_hybrid", "fuel_cell", "hybrid", "fuel"]
NEW_ENERGY: frozenset[Energy] = frozenset({"electric", "plug_in_hybrid", "fuel_cell"})
"""New energy (新能源) as China's rules of access to market mean it: a hybrid that cannot be plugged in is none."""
Body = Literal["box", "open"]
Number = Annotated[int, msgspec.Meta(ge=0, le=10**9)]
PassKind = Literal["green", "freight", "temporary", "peak_season", "joint_delivery", "cross_border"]


class Entry(msgspec.Struct, tag_field="kind", forbid_unknown_fields=True, omit_defaults=True, kw_only=True):
    """What every record has. A bare date means the whole local day (semantics 1); an optional text that is "" is absent (semantics 2)."""

    id: Id
    valid_from: str | None = None
    valid_until: str | None = None

    def __post_init__(self) -> None:
        """Whatever it was made from."""
        if "" in msgspec.structs.astuple(self):
            for field in msgspec.structs.fields(self):
                if field.default is None and getattr(self, field.name) == "":
                    setattr(self, field.name, None)


class Vehicle(Entry, tag="vehicle", kw_only=True):
    """A courier vehicle; ``id`` is its unified number. What it does not say is unknown."""

    plate: str | None = None
    device_id: str | None = None
    enterprise_id: str | None = None
    city: str | None = None
    vehicle_class: VehicleClass | None = None
    energy: Energy | None = None
    plate_kind: Literal["motor", "non_motor"] | None = None
    emission_standard: str | None = None
    body: Body | None = None
    marked: bool | None = None
    status: Literal["active", "suspended", "scrapped"] = "active"
    driver_ids: list[str] = msgspec.field(default_factory=list)
    insured_until: str | None = None
    joint_delivery: bool | None = None


class Driver(Entry, tag="driver", kw_only=True):
    """A driver with training and accident insurance."""

    enterprise_id: str | None = None
    trained_until: str | None = None
    insured_until: str | None = None


class Enterprise(Entry, tag="enterprise", kw_only=True):
    """An express enterprise, until when it is licensed, and its credit standing."""

    name_zh: str | None = None
    name_en: str | None = None
    primary_brand: bool = False
    key_enterprise: bool = False
    licensed_until: str | None = None
    cities: list[str] = msgspec.field(default_factory=list)
    credit: Literal["red", "normal", "black"] = "normal"


class Outlet(Entry, tag="outlet", kw_only=True):
    """An outlet where parcels are handed in or out, and the id of the ``township`` that it serves; what it does not say is unknown."""

    enterprise_id: str | None = None
    city: str | None = None
    lon: float | None = None
    lat: float | None = None
    filed: bool | None = None
    camera: bool | None = None
    recycling_container: bool | None = None
    standardised: bool | None = None
    reusable_boxes: bool | None = None
    township: str | None = None


class Pass(Entry, tag="pass", kw_only=True):
    """A pass for a vehicle, or for every vehicle of an enterprise, in zones (``*``: everywhere)."""

    pass_kind: PassKind
    vehicle_id: str | None = None
    enterprise_id: str | None = None
    zones: list[str] = msgspec.field(default_factory=lambda: ["*"])


class Notice(Entry, tag="notice", kw_only=True):
    """An interruption of data; it counts if it was announced beforehand: ``filed_at``, else when it begins."""

    subject: Annotated[str, msgspec.Meta(min_length=1)]
    from_: str = msgspec.field(name="from")
    until: str
    filed_at: str | None = None
    reason: str | None = None


class Standing(msgspec.Struct):
    """What ``courier.credit.v1`` says of an enterprise: (ms, standing), since when its exemptions go by which standing."""

    effective: list[tuple[Milliseconds, str]] = []


class Township(Entry, tag="township", kw_only=True):
    """Coverage figures of one township or subdistrict, whether it is ``urban``, and the number of its villages."""

    covered: bool | None = None
    urban: bool | None = None
    locker_cells: Number | None = None
    service_stations: Number | None = None
    villages: Number | None = None


class Facility(Entry, tag="facility", kw_only=True):
    """A place of the delivery network: a hub, a county centre, a township or village station, a pick-up point.

    ``township``: the id of the township that it stands in; ``village``: the name of the village that it serves.
    """

    level: Literal["hub", "county", "township", "village", "pickup_point"]
    enterprise_id: str | None = None
    city: str | None = None
    lon: float | None = None
    lat: float | None = None
    township: str | None = None
    village: str | None = None


class Line(Entry, tag="line", kw_only=True):
    """A delivery line: the ``zones`` that one of its vehicles enters in this order every day."""

    zones: Annotated[list[str], msgspec.Meta(min_length=1)]
    vehicle_ids: list[str]
    city: str | None = None


AnyEntry = Vehicle | Driver | Enterprise | Outlet | Pass | Notice | Township | Facility | Line
KINDS: dict[str, type[AnyEntry]] = {
    "vehicle": Vehicle, "driver": Driver, "enterprise": Enterprise, "outlet": Outlet,
    "pass": Pass, "notice": Notice, "township": Township, "facility": Facility, "line": Line,
}  # fmt: skip
_decoder: msgspec.json.Decoder[AnyEntry] = msgspec.json.Decoder(AnyEntry)
_list_decoder: msgspec.json.Decoder[list[msgspec.Raw]] = msgspec.json.Decoder(list[msgspec.Raw])


def decode_entry(line: bytes) -> AnyEntry:
    """One record from JSON, in which null is absent; ``BadInput`` says what is wrong with it."""
    try:
        try:
            return _decoder.decode(line)
        except msgspec.ValidationError as error:
            return _without_nulls(line, error)
    except (msgspec.DecodeError, RecursionError) as error:  # also of what stands after the first mistake
        raise BadInput(f"not a JSON record: {error}") from None


def _without_nulls(line: bytes, error: msgspec.ValidationError) -> AnyEntry:
    """The record where only nulls were in the way; else ``BadInput`` from the decoder's error."""
    raw = msgspec.json.decode(line)
    if not isinstance(raw, dict):
        raise BadInput(f"not a JSON record: {error}") from None
    given = {key: value for key, value in raw.items() if value is not None}
    if len(given) < len(raw):
        try:
            entry: AnyEntry = msgspec.convert(given, AnyEntry)
            return entry
        except msgspec.ValidationError as other:
            error = other
    raise BadInput(_explain(str(error), given)) from None


def decode_versions(value: bytes) -> list[AnyEntry]:
    """The versions of one record as the registry topic holds them: a list, or a single record; ``BadInput`` as of ``decode_entry``."""
    if not value.lstrip().startswith(b"["):
        return [decode_entry(value)]
    try:
        versions = _list_decoder.decode(value)
    except (msgspec.DecodeError, RecursionError) as error:
        raise BadInput(f"not a JSON list of records: {error}") from None
    return [decode_entry(bytes(version)) for version in versions]


def entry_from_text(row: dict[str, Any]) -> AnyEntry:
    """One record whose values are text, as YAML and CSV files hold them (``"true"`` becomes a bool where one is due)."""
    try:
        entry: AnyEntry = msgspec.convert(row, AnyEntry, strict=False)
        return entry
    except msgspec.ValidationError as error:
        raise BadInput(_explain(str(error), row)) from None


def _explain(message: str, raw: dict[str, Any]) -> str:
    kind, said = raw.get("kind"), str(raw.get("id", "?"))[:80]
    if not isinstance(kind, str) or kind not in KINDS:
        return f"kind {repr(kind)[:80]} is not a registry kind{nearest(str(kind)[:80], KINDS)}"
    if "unknown field" in message:
        known = KINDS[kind].__struct_encode_fields__
        unknown = next((key for key in raw if key != "kind" and key not in known), "?")
        return f"{kind} {said}: unknown key {unknown[:80]!r}{nearest(unknown[:80], known)}"
    return f"{kind} {said}: {message.replace(' - at `$.', ' at key `')}{_given(kind, message, raw)}"


def _given(kind: str, message: str, raw: dict[str, Any]) -> str:
    """What stands at the key that a message is about, or which words may stand there."""
    key = message.rpartition("`$.")[2].rstrip("`")
    field = next((field for field in msgspec.structs.fields(KINDS[kind]) if field.encode_name == key), None)
    if field and message.startswith("Invalid enum value"):
        return nearest(str(raw.get(key))[:80], {word for option in (field.type, *get_args(field.type)) for word in get_args(option) if isinstance(word, str)})
    return f"; it says {repr(raw[key])[:80]}" if isinstance(raw.get(key), str | int | float) else ""
