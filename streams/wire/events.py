"""Fixes and scans as they travel (interfaces.md), and the reasons for refusing one (semantics 2)."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

from streams.clock import DAY_MS
from streams.wire.ids import LONGEST_ID_BYTES

LONGEST_TEXT_BYTES = 256
Id = Annotated[str, msgspec.Meta(min_length=1, max_length=LONGEST_ID_BYTES)]
"""Somebody's or something's id (ids.py); an optional one that is empty is absent."""
Text = Annotated[str, msgspec.Meta(max_length=LONGEST_TEXT_BYTES)]
Milliseconds = Annotated[int, msgspec.Meta(ge=-(2**62), le=2**62)]
FIRST_MS = 946_684_800_000
"""2000-01-01 UTC. Nothing was reported before; whoever gives seconds for milliseconds is in 1970."""
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
TOO_MANY = "too_many"
LATE = "late"
EXPLAINED = {
    MALFORMED: "not JSON of the fields that are asked for",
    INVALID_POSITION: "lon and lat are no place on earth, or exactly 0, 0",
    INVALID_TIME: "event_time_ms is before 2000-01-01 (are these seconds?) or beyond the year 6429 (microseconds?); milliseconds are expected",
    FUTURE: "event_time_ms is more than 5 min after the record's arrival",
    INVALID_SPEED: "speed_kmh is negative or more than 500",
    SYNTHETIC: "a made-up record, and this worker judges for real (YICHENG_REHEARSAL)",
    DUPLICATE: "accepted before, with the same event_time_ms and event_id",
    TOO_MANY: "the vehicle has had ten fixes accepted for every second of the policy's lateness",
    LATE: "event_time_ms is further back than the policy's lateness (fixes) or three days (scans, heartbeats) allow",
}
"""Why a record is refused, for people; in the order in which the reasons are looked for (semantics 2)."""
REASONS = tuple(EXPLAINED)


class Fix(msgspec.Struct, gc=False, omit_defaults=True):
    """One position report (``courier.gps.v1``); degrees, km/h, metres, milliseconds UTC."""

    event_id: Id
    event_time_ms: Milliseconds
    vehicle_id: Id
    lon: float
    lat: float
    device_id: Id | None = None
    plate: Id | None = None
    coord_sys: Literal["wgs84", "gcj02", "bd09"] = "wgs84"
    speed_kmh: float | None = None
    heading_deg: float | None = None
    altitude_m: float | None = None
    accuracy_m: float | None = None
    ignition: bool | None = None
    load: Literal["empty", "partial", "full"] | None = None
    driver_id: Id | None = None
    backfill: bool = False
    source: Text | None = None
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


ScanKind = Literal["accepted", "departed", "arrived", "out_for_delivery", "delivered", "returned"]


class Scan(msgspec.Struct, gc=False, omit_defaults=True):
    """One parcel scan (``courier.scan.v1``)."""

    event_id: Id
    event_time_ms: Milliseconds
    waybill_id: Id
    enterprise_id: Id
    city: Id
    kind: ScanKind
    outlet_id: Id | None = None
    district: Text | None = None
    waybill_kind: Literal["electronic", "paper"] | None = None
    packaging: Packaging | None = None
    real_name_verified: bool | None = None
    inspected: bool | None = None
    screened: bool | None = None
    courier_id: Id | None = None
    vehicle_id: Id | None = None
    delivery_method: Literal["door", "locker", "station"] | None = None
    mode: Literal["road", "rail", "air"] | None = None
    synthetic: bool = False
    arrival_time_ms: Milliseconds | None = None


CLOCK_SUBJECT = "clock"
"""Subject of heartbeats that say what time it is, and nobody's sign of life."""


class Heartbeat(msgspec.Struct, gc=False, omit_defaults=True):
    """A sign of life (``courier.heartbeat.v1``) of ``outlet/<id>``, a camera, or ``enterprise/<id>``, a feed; ``clock`` only moves time."""

    event_time_ms: Milliseconds
    subject: Annotated[str, msgspec.Meta(max_length=LONGEST_ID_BYTES + len("enterprise/"))]
    event_id: Id | None = None
    city: Id | None = None
    synthetic: bool = False
    arrival_time_ms: Milliseconds | None = None


class Record(msgspec.Struct, gc=False):
    """One record of an input partition or file, named as Kafka clients name it: its bytes, where it stands, when it arrived (ms or None)."""

    value: bytes | None
    offset: int
    timestamp: int | None = None

    @property
    def arrived_ms(self) -> int | None:
        """When it arrived (semantics 1); on Kafka only what a broker wrote down counts (``fetched.Fetched``)."""
        return self.timestamp


class Reject(msgspec.Struct, gc=False):
    """A refused record, and what could be read of it; ``error`` is for people and says nothing of what stands in the record."""

    record: Record
    reason: str
    event_id: str | None = None
    error: str = ""
    event_time_ms: int | None = None


def refused(record: Record, event: Fix | Scan | Heartbeat, reason: str) -> Reject:
    """An event that was read, and is not accepted."""
    return Reject(record, reason, event.event_id, EXPLAINED.get(reason, reason), event.event_time_ms)


def stamps_ms(record: Record, arrival_time_ms: int | None) -> tuple[int | None, int | None]:
    """The time that a record carries, whoever wrote it there, and that of its arrival (offline both are what it says of it)."""
    if record.timestamp is None:
        return arrival_time_ms, arrival_time_ms
    return record.timestamp, record.arrived_ms


def refuse_time(event_time_ms: int, arrived_ms: int | None) -> str | None:
    """Semantics 2.3: ``invalid_time`` before 2000 or beyond calendars, ``future`` more than 5 min after arrival (None, or negative as Kafka has it: unknown)."""
    if not FIRST_MS <= event_time_ms < LAST_MS:
        return INVALID_TIME
    if arrived_ms is not None and arrived_ms >= 0 and event_time_ms > arrived_ms + FUTURE_TOLERANCE_MS:
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
