"""A chunk of fixes in columns: as they are judged (``Chunk``), and as they are stored, 20 bytes each and the id (``PackedFixes``). Pure.

Positions of up to seven decimals (1 cm) and speeds of up to two are stored exactly as integers; whatever does not fit stands
beside, in ``Exact``. Nothing is rounded.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from struct import Struct
from typing import NamedTuple

import numpy as np

from streams.clock import END_MS
from streams.wire.events import LOADS, Fix

_STIR = np.int64(0x9E3779B97F4A7C15 - 2**64)
"""So that the hash of two things is not the same when they change places."""


def report_hashes(plates: Iterable[str | None], driver_ids: Iterable[str | None]) -> np.ndarray:
    """Hashes of plates and drivers, as in ``Chunk.reports``."""
    by_plate, by_driver = (np.array([hash(name or None) for name in names], dtype=np.int64) for names in (plates, driver_ids))
    return by_plate * _STIR ^ by_driver


def marked_synthetic(hashes: np.ndarray, synthetic: np.ndarray) -> np.ndarray:
    """Hashes that differ where fixes are synthetic, as in ``Chunk.reported``."""
    return np.where(synthetic, ~hashes, hashes)


class Chunk:
    """A chunk of n fixes, and as arrays what is asked of all of them at once (ms, degrees, km/h; NaN where absent).

    ``reports``: hashes of plate and driver, ``reported``: of plate, driver and synthetic.

    ``arrived``: when (``END_MS``: not known), from Kafka or else as the fix says (``all_arrived``: from Kafka, all); ``stream_times``: how far each carries its partition's stream time.
    """

    def __init__(self, fixes: list[Fix], arrivals: Sequence[int | None]) -> None:
        self.fixes = fixes
        self.times = np.array([fix.event_time_ms for fix in fixes], dtype=np.int64)
        known = arrivals
        self.all_arrived = None not in arrivals
        if not self.all_arrived:
            known = [fix.arrival_time_ms if at is None else at for at, fix in zip(arrivals, fixes, strict=True)]
            known = [END_MS if at is None else at for at in known]
        self.arrived = np.array(known, dtype=np.int64)
        self.stream_times = np.minimum(self.times, self.arrived)
        self.lons = np.array([fix.lon for fix in fixes], dtype=float)
        self.lats = np.array([fix.lat for fix in fixes], dtype=float)
        self.speeds = np.array([fix.speed_kmh for fix in fixes], dtype=float)
        self.ignition = np.array([fix.ignition is True for fix in fixes], dtype=bool)

        self.loads = np.array([LOADS[fix.load] for fix in fixes], dtype=np.uint16)
        self.synthetic = np.array([fix.synthetic for fix in fixes], dtype=bool)
        self.reports = report_hashes((fix.plate for fix in fixes), (fix.driver_id for fix in fixes))
        self.reported = marked_synthetic(self.reports, self.synthetic)


ROW = np.dtype([("time", "<i8"), ("lon", "<i4"), ("lat", "<i4"), ("speed", "<u2"), ("what", "<u2")])
ROW_STRUCT = Struct("<qiiHH")
OFFENCES_STRUCT = Struct("<H")
SIZE = ROW_STRUCT.size
PLACE = Struct("<qii")
"""The beginning of a row: time (ms), longitude and latitude in ``1 / DEGREE`` of a degree."""
DEGREE = 1e7
NO_SPEED, SEE_EXACT = 65_535, 65_534
IGNITION = 0x8000
"""In a row's ``what``: the ignition was on. Two bits tell the load, the others number the set of offences, 0 being none."""
LOAD_SHIFT = 13
SETS = (1 << LOAD_SHIFT) - 1
SEPARATOR = b"\xff"
"""Behind each id; no UTF-8 text contains it."""


class StoredFix(NamedTuple):
    """A fix as it is kept: ms, id, degrees, km/h, ignition on, number of its set of offences, load (``events.LOADS``)."""

    event_time_ms: int
    event_id: str
    lon: float
    lat: float
    speed_kmh: float | None
    ignition: bool
    offence_set: int
    load: int = 0


Exact = tuple[float, float, float | None]
"""Longitude, latitude and speed as reported."""


class PackedFixes(NamedTuple):
    """n fixes as they are kept: rows (``ROW``), ids, offsets, loads (``events.LOADS``), hashes of what they report (``Chunk.reported``).

    And whether each fits a row exactly, and whether its id fits a column.
    """

    rows: np.ndarray
    names: list[bytes]
    ids: np.ndarray
    offsets: np.ndarray
    loads: np.ndarray
    reported: np.ndarray
    fits: np.ndarray
    short: np.ndarray | bool


def pack(chunk: Chunk, offsets: np.ndarray, longest_id: int) -> PackedFixes:
    """What is kept of a chunk's fixes, which stand at these offsets; ids of up to so many bytes fit."""
    rows = np.zeros(len(chunk.fixes), ROW)
    rows["time"] = chunk.times
    fits = np.ones(len(chunk.fixes), bool)
    for name, degrees in (("lon", chunk.lons), ("lat", chunk.lats)):
        scaled = np.rint(degrees * DEGREE)
        rows[name] = scaled
        fits &= scaled / DEGREE == degrees
    unknown = np.isnan(chunk.speeds)
    scaled = np.rint(np.where(unknown, 0.0, chunk.speeds) * 100)
    fits &= unknown | (scaled / 100 == chunk.speeds)
    rows["speed"] = np.where(fits, np.where(unknown, NO_SPEED, scaled), SEE_EXACT)
    rows["what"] = np.where(chunk.ignition, IGNITION, 0) | chunk.loads << LOAD_SHIFT
    names = [fix.event_id.encode() for fix in chunk.fixes]
    ids = np.array(names, "S")
    short: np.ndarray | bool = True
    if ids.itemsize > longest_id or any(name.endswith(b"\0") for name in names):
        short = np.array([len(name) <= longest_id and not name.endswith(b"\0") for name in names])
        ids = ids.astype(f"S{min(ids.itemsize, longest_id)}")
    return PackedFixes(rows, names, ids, offsets, chunk.loads, chunk.reported, fits, short)


def with_offences(rows: bytes | bytearray, index: int, offence_set: int) -> bytes:
    """What a row (-1: the last) ends with if it commits a set of offences (by number)."""
    end = len(rows) if index == -1 else index * SIZE + SIZE
    return OFFENCES_STRUCT.pack(OFFENCES_STRUCT.unpack_from(rows, end - OFFENCES_STRUCT.size)[0] & ~SETS | offence_set)


def row_of(fix: StoredFix) -> tuple[bytes, Exact | None]:
    """A fix as it is kept: its row, and what does not fit there."""
    lon, lat = round(fix.lon * DEGREE), round(fix.lat * DEGREE)
    speed = NO_SPEED if fix.speed_kmh is None else round(fix.speed_kmh * 100)
    fits = (lon / DEGREE, lat / DEGREE) == (fix.lon, fix.lat) and (fix.speed_kmh is None or speed / 100 == fix.speed_kmh)
    what = (IGNITION if fix.ignition else 0) | fix.load << LOAD_SHIFT | fix.offence_set
    row = ROW_STRUCT.pack(fix.event_time_ms, lon, lat, speed if fits else SEE_EXACT, what)
    return row, None if fits else (fix.lon, fix.lat, fix.speed_kmh)


def times_of(rows: bytes) -> np.ndarray:
    """Event times (ms) of rows."""
    times: np.ndarray = np.frombuffer(rows, ROW)["time"]
    return times
