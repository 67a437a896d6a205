"""What one scan says of its parcel, as bits (``counts.FEATURE_BITS``), and under which key it counts once. Pure."""

from __future__ import annotations

import hashlib
from typing import Literal

from streams.clock import HOUR_MS, LocalDays
from streams.counts import ELECTRONIC, GREEN, MADE_UP, TRANSIT_SHIFT, bit
from streams.wire.events import Scan

NARROW_TAPE_MM = 45.0
LONGEST_TRANSIT_HOURS = 100
"""An acceptance is known for three days, so none is longer; what is left of the bits."""

_TAPED, _NARROW, _WRAPPED_ONCE, _BAG = bit("taped"), bit("narrow_tape"), bit("not_repackaged"), bit("reusable_bag")
_OF_WRAPPING = {None: bit("not_repackaged_unknown"), False: _WRAPPED_ONCE, True: 0}
_OF_BAG = {None: bit("reusable_bag_unknown"), False: 0, True: _BAG}
_OF_NAME = {None: bit("real_name_unknown"), False: 0, True: bit("real_name_verified")}
_OF_INSPECTION = {None: bit("inspected_unknown"), False: 0, True: bit("inspected")}
_OF_SCREENING = {None: 0, False: bit("screened_known"), True: bit("screened_known") | bit("screened")}
_OF_METHOD = {None: 0, "door": bit("method_known"), "station": bit("method_known"), "locker": bit("method_known") | bit("locker")}
_OF_MODE = {"road": bit("mode_known"), "rail": bit("mode_known") | bit("rail"), "air": bit("mode_known") | bit("air")}
_DELIVERED, _AT_NIGHT = bit("delivered"), bit("night_delivered")
_OF_RIDE = {False: bit("vehicle_known"), True: bit("vehicle_known") | bit("joint")}
_MODES = {"road": 1, "rail": 2, "air": 3}


def acceptance(scan: Scan) -> int:
    """What the scan that accepts a parcel counts for."""
    packaging = scan.packaging
    features = (scan.waybill_kind == "electronic") * ELECTRONIC | _OF_NAME[scan.real_name_verified] | _OF_INSPECTION[scan.inspected] | scan.synthetic * MADE_UP
    features |= _OF_SCREENING[scan.screened]
    if packaging is None:
        return features | _OF_WRAPPING[None] | _OF_BAG[None]
    features |= (packaging.green is True) * GREEN | _OF_WRAPPING[packaging.repackaged] | _OF_BAG[packaging.reusable_bag]
    if packaging.tape_mm is not None:
        features |= _TAPED | (packaging.tape_mm <= NARROW_TAPE_MM) * _NARROW
    return features


def delivery(scan: Scan, days: LocalDays) -> int:
    """What a delivered scan counts for, but for the time in transit."""
    return _DELIVERED | _OF_METHOD[scan.delivery_method] | days.is_night(scan.event_time_ms) * _AT_NIGHT


def transit(accepted_ms: int, delivered_ms: int) -> int:
    """The bits of the whole hours that a parcel was under way; none where its acceptance is later."""
    if accepted_ms > delivered_ms:
        return 0
    return (min((delivered_ms - accepted_ms) // HOUR_MS, LONGEST_TRANSIT_HOURS) + 1) << TRANSIT_SHIFT


def way(mode: Literal["road", "rail", "air"]) -> int:
    """What the first scan of a parcel counts for that names a mode of transport."""
    return _OF_MODE[mode]


def ride(*, is_joint: bool) -> int:
    """What the first scan of a parcel counts for that names a vehicle whose enterprise is known."""
    return _OF_RIDE[is_joint]


def delivery_key(key: bytes) -> bytes:
    """Under which a parcel's delivery is kept: its ``parcel_key`` turned round, as good as another hash and cheaper."""
    return key[4:] + key[:4]


def way_key(key: bytes, mode: Literal["road", "rail", "air"]) -> bytes:
    """Under which it is kept that a parcel went by a mode of transport."""
    turned = _MODES[mode]
    return key[turned:] + key[:turned]


def ride_key(key: bytes, vehicle_id: str) -> bytes:
    """Under which it is kept that a parcel was on a vehicle."""
    return hashlib.blake2b(vehicle_id.encode(), digest_size=12, key=key).digest()
