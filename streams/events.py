"""Fixes and scans as they travel (interfaces.md), and the reasons for refusing one (semantics 2)."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

from streams.clock import DAY_MS

NonEmpty = Annotated[str, msgspec.Meta(min_length=1)]
Milliseconds = Annotated[int, msgspec.Meta(ge=-(2**62), le=2**62)]
LAST_MS = 2**47
"""The year 6429; calendars end a little later."""

FUTURE_TOLERANCE_MS = 5 * 60_000
MAX_SPEED_KMH = 500.0
KNOWN_FOR_MS = 3 * DAY_MS
"""A parcel is known for so long; a scan or heartbeat that is older than that, on its partition's clock, is late."""

MALFORMED = "malformed"
INVALID_POSITION = "invalid_position"
INVALID_TIME = "invalid_time"
FUTURE = "future"
INVALID_SPEED = "invalid_speed"
SYNTHETIC = "synthetic"
"""Made-up records, which a real worker refuses."""
DUPLICATE = "duplicate"
LATE = "late"
REASONS = (MALFORMED, INVALID_POSITION, INVALID_TIME, FUTURE, INVALID_SPEED, SYNTHETIC, DUPLICATE, LATE)


class Fix(msgspec.Struct, gc=False, omit_defaults=True):
    """One position report (``courier.gps.v1``); degrees, km/h, metres, milliseconds UTC."""

    event_id: str
    event_time_ms: Milliseconds
    vehicle_id: NonEmpty
    lon: float
    lat: float
    device_id: str | None = None
    plate: str | None = None
    coord_sys: Literal["wgs84", "gcj02", "bd09"] = "wgs84"
    speed_kmh: float | None = None
    heading_deg: float | None = None
    altitude_m: float | None = None
    accuracy_m: float | None = None
    ignition: bool | None = None
    load: Literal["empty", "partial", "full"] | None = None
    driver_id: str | None = None
    backfill: bool = False
    source: str | None = None
    synthetic: bool = False
    arrival_time_ms: Milliseconds | None = None


EMPTY, LOADED = 1, 2
LOADS = {None: 0, "empty": EMPTY, "partial": LOADED, "full": LOADED}
"""What is kept of a load: not known, empty, or not."""


class Packaging(msgspec.Struct, gc=False, omit_defaults=True):
    """What a parcel is wrapped in; ``tape_mm`` is the width of its sealing tape."""

    green: bool | None = None
    tape_mm: float | None = None
    repackaged: bool | None = None
    reusable_bag: bool | None = None


class Scan(msgspec.Struct, gc=False, omit_defaults=True):
    """One parcel scan (``courier.scan.v1``)."""

    event_id: str
    event_time_ms: Milliseconds
    waybill_id: NonEmpty
    enterprise_id: NonEmpty
    city: NonEmpty
    kind: Literal["accepted", "departed", "arrived", "out_for_delivery", "delivered", "returned"]
    outlet_id: str | None = None
    district: str | None = None
    waybill_kind: Literal["electronic", "paper"] | None = None
    packaging: Packaging | None = None
    real_name_verified: bool | None = None
    inspected: bool | None = None
    courier_id: str | None = None
    vehicle_id: str | None = None
    synthetic: bool = False
    arrival_time_ms: Milliseconds | None = None


class Heartbeat(msgspec.Struct, gc=False, omit_defaults=True):
    """A sign of life (``courier.heartbeat.v1``) of an outlet's camera or an enterprise's feed."""

    event_time_ms: Milliseconds
    subject: Annotated[str, msgspec.Meta(pattern="^(outlet|enterprise)/.")]
    event_id: str | None = None
    city: str | None = None
    synthetic: bool = False
    arrival_time_ms: Milliseconds | None = None


class Record(msgspec.Struct, gc=False):
    """One record of an input partition or file, named as Kafka clients name it: its bytes, where it stands, when it arrived (ms or None)."""

    value: bytes | None
    offset: int
    timestamp: int | None = None


class Reject(msgspec.Struct, gc=False):
    """A refused record; ``error`` is for people."""

    record: Record
    reason: str
    event_id: str | None = None
    error: str = ""


_fix_decoder = msgspec.json.Decoder(Fix)
decode_fix = _fix_decoder.decode
decode_scan = msgspec.json.Decoder(Scan).decode
decode_heartbeat = msgspec.json.Decoder(Heartbeat).decode


def decode_fixes(values: list[bytes]) -> list[Fix] | None:
    """N fixes at once, or None where a value may be anything but one fix.

    Lines of a record could add up with those of others; but where each begins and ends with a brace, JSON has no place for
    ``}``, a line's end and ``{`` except between two values. So n values from n such records are one of each.
    """
    if not all([value[:1] == b"{" and value[-1:] == b"}" for value in values]):  # noqa: C419 - a list is faster
        return None
    try:
        fixes = _fix_decoder.decode_lines(b"\n".join(values))
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None
    return fixes if len(fixes) == len(values) else None


def refuse_time(event_time_ms: int, arrived_ms: int | None) -> str | None:
    """Semantics 2.3: ``invalid_time`` at or before 1970 or beyond calendars, ``future`` more than 5 min after arrival."""
    if not 0 < event_time_ms < LAST_MS:
        return INVALID_TIME
    if arrived_ms is not None and event_time_ms > arrived_ms + FUTURE_TOLERANCE_MS:
        return FUTURE
    return None


def refuse_fix(fix: Fix, arrived_ms: int | None) -> str | None:
    """Semantics 2.2 to 2.4 in their order: the reason to refuse this fix, or None."""
    lon, lat = fix.lon, fix.lat
    if not (-180.0 <= lon <= 180.0 and -90.0 <= lat <= 90.0) or (lon == 0.0 and lat == 0.0):
        return INVALID_POSITION
    if reason := refuse_time(fix.event_time_ms, fix.arrival_time_ms if arrived_ms is None else arrived_ms):
        return reason
    speed_kmh = fix.speed_kmh
    if speed_kmh is not None and not 0.0 <= speed_kmh <= MAX_SPEED_KMH:
        return INVALID_SPEED
    return None
