"""The ways of vehicles in one hour: collected from records in whatever order, with their stops, as GeoJSON and as GPX. Pure."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np

from consumers.console.fleet.positions import SILENT_MS
from streams.clock import HOUR_MS, MINUTE_MS
from streams.geo import haversine_m, to_wgs84
from streams.wire.decode import FIXES, Malformed
from streams.wire.events import refuse_fix

STOP_RADIUS_M, STOP_MS = 30.0, 2 * MINUTE_MS
"""A vehicle stops where it stays within so many metres of where it came to stand, for so long at least."""
MOST_VEHICLES = 10
MOST_FIXES = 100_000
"""So many fixes of all vehicles together are held; in an hour ten vehicles at 1 Hz have 36,000."""
GPX, TRACK_POINT = "http://www.topografix.com/GPX/1/1", "http://www.garmin.com/xmlschemas/TrackPointExtension/v2"
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_NO_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


class Point(NamedTuple):
    """An accepted fix: milliseconds UTC, WGS-84 degrees, km/h (None: it says none)."""

    time_ms: int
    lon: float
    lat: float
    speed_kmh: float | None


class Stop(NamedTuple):
    """Where a vehicle stopped (the mean of its fixes, degrees), from its first fix there until its last."""

    from_ms: int
    until_ms: int
    lon: float
    lat: float


class Way(NamedTuple):
    """A vehicle's fixes of an hour, in order of time, each (time, event id) once; the plate is the one read last."""

    vehicle_id: str
    plate: str | None
    points: list[Point]


class Hour(NamedTuple):
    """The ways of some vehicles from an instant on, and what could not be told of them, in both languages."""

    from_ms: int
    ways: list[Way]
    notes: list[dict[str, str]]


class WayCollector:
    """Takes records of fixes, in whatever order, and holds those of some vehicles in the hour from ``from_ms`` on that a worker would accept by themselves.

    ``refused_ids``: events that are known to have been refused nevertheless.
    """

    def __init__(self, vehicle_ids: Iterable[str], from_ms: int, refused_ids: Container[str] = frozenset()) -> None:
        self.from_ms, self.until_ms = from_ms, from_ms + HOUR_MS
        self.refused_ids, self.is_full = refused_ids, False
        self._points: dict[str, dict[tuple[int, str], Point]] = {name: {} for name in vehicle_ids}
        self._plates: dict[str, str] = {}
        self._keys = {name.encode() for name in self._points}
        self._origins: dict[Any, tuple[str, tuple[int, str]]] = {}

    def enter(self, value: bytes | None, arrived_ms: int | None, *, key: bytes | None = None, origin: Any = None) -> None:
        """Take over a record of any vehicle; ``origin``: by which ``refuse`` may name it later."""
        if not value or not (key in self._keys or any(mark in value for mark in self._keys) or b"\\u" in value):
            return
        try:
            fix = FIXES.read_one(value)
        except Malformed:
            return
        held = self._points.get(fix.vehicle_id)
        if held is None or not self.from_ms <= fix.event_time_ms < self.until_ms or fix.event_id in self.refused_ids or refuse_fix(fix, arrived_ms):
            return
        if sum(map(len, self._points.values())) >= MOST_FIXES:
            self.is_full = True
            return
        name = (fix.event_time_ms, fix.event_id)
        if name not in held:
            lon, lat = to_wgs84(fix.lon, fix.lat, fix.coord_sys)
            held[name] = Point(fix.event_time_ms, lon, lat, fix.speed_kmh)
            self._origins[origin] = fix.vehicle_id, name
        if fix.plate:
            self._plates[fix.vehicle_id] = fix.plate

    def refuse(self, origin: Any) -> None:
        """Forget the fix that was read there: a worker has refused it."""
        vehicle_id, name = self._origins.pop(origin, ("", (0, "")))
        self._points.get(vehicle_id, {}).pop(name, None)

    def missing(self) -> set[str]:
        """The vehicles without a fix so far."""
        return {name for name, points in self._points.items() if not points}

    def ways(self) -> list[Way]:
        """What was found; of one instant the fixes are in the order of their ids."""
        return [Way(name, self._plates.get(name), [point for _, point in sorted(points.items())]) for name, points in self._points.items()]


def segments(points: Sequence[Point]) -> Iterator[list[Point]]:
    """A way in pieces: between fixes more than five minutes apart nobody knows where the vehicle was."""
    begins = [0, *(place for place in range(1, len(points)) if points[place].time_ms - points[place - 1].time_ms > SILENT_MS), len(points)]
    return (list(points[start:end]) for start, end in pairwise(begins) if end > start)


def stops(points: Sequence[Point]) -> list[Stop]:
    """The stops of a way, in order.

    >>> stops([Point(minute * 60_000, 111.65, 40.8 + (0.01 if minute > 3 else 0.0), 0.0) for minute in range(5)])
    [Stop(from_ms=0, until_ms=180000, lon=111.65, lat=40.8)]
    """
    return [stop for segment in segments(points) for stop in _stops_of(segment)]


def _stops_of(segment: list[Point]) -> Iterator[Stop]:
    times, lons, lats = (np.array(column) for column in list(zip(*segment, strict=True))[:3])
    start = 0
    while start < len(segment):
        end = _leaves(lons, lats, start)
        if times[end - 1] - times[start] >= STOP_MS:
            yield Stop(int(times[start]), int(times[end - 1]), round(float(lons[start:end].mean()), 7), round(float(lats[start:end].mean()), 7))
            start = end
        else:
            start += 1


def _leaves(lons: np.ndarray, lats: np.ndarray, start: int) -> int:
    """The first of the fixes after one that is no longer near it, or how many there are."""
    place, size = start, 32
    while place < len(lons):
        piece = slice(place, place + size)
        away = np.flatnonzero(haversine_m(lons[start : start + 1], lats[start : start + 1], lons[piece], lats[piece]) > STOP_RADIUS_M)
        if away.size:
            return place + int(away[0])
        place, size = place + size, 4 * size
    return len(lons)


def as_shown(way: Way) -> dict[str, Any]:
    """A way for the page: rows of time, degrees and km/h; where a fix says no speed it is that of the way from the one before."""
    rows, before = list[tuple[int, float, float, float | None]](), None
    for point in way.points:
        speed_kmh = point.speed_kmh
        if speed_kmh is None and before is not None and 0 < point.time_ms - before.time_ms <= SILENT_MS:
            speed_kmh = haversine_m(before.lon, before.lat, point.lon, point.lat) / (point.time_ms - before.time_ms) * 3600
        rows.append((point.time_ms, round(point.lon, 7), round(point.lat, 7), None if speed_kmh is None else round(speed_kmh, 1)))
        before = point
    return {"vehicle_id": way.vehicle_id, "plate": way.plate, "points": rows, "stops": [stop._asdict() for stop in stops(way.points)]}


def geojson(hour: Hour) -> dict[str, Any]:
    """A FeatureCollection (RFC 7946): of each vehicle its way with times (UTC) and reported speeds (km/h, null: none was), its stops, and fixes that stand alone."""
    return {"type": "FeatureCollection", "features": [feature for way in hour.ways for feature in _features(way)]}


def _features(way: Way) -> Iterator[dict[str, Any]]:
    about = {"vehicle_id": way.vehicle_id, "plate": way.plate}
    pieces = list(segments(way.points))
    if lines := [piece for piece in pieces if len(piece) > 1]:
        places, times, speeds = ([[field(point) for point in line] for line in lines] for field in (_place, lambda point: utc(point.time_ms), lambda point: point.speed_kmh))
        is_one = len(lines) == 1
        said = {"times": times[0] if is_one else times, "speeds_kmh": speeds[0] if is_one else speeds}
        geometry = {"type": "LineString", "coordinates": places[0]} if is_one else {"type": "MultiLineString", "coordinates": places}
        yield {"type": "Feature", "properties": {**about, "kind": "track", "coordinateProperties": said}, "geometry": geometry}
    for point in (piece[0] for piece in pieces if len(piece) == 1):
        yield _point_feature(point.lon, point.lat, {**about, "kind": "fix", "time": utc(point.time_ms), "speed_kmh": point.speed_kmh})
    for stop in stops(way.points):
        yield _point_feature(stop.lon, stop.lat, {**about, "kind": "stop", "from": utc(stop.from_ms), "until": utc(stop.until_ms), "seconds": (stop.until_ms - stop.from_ms) // 1000})


def _place(point: Point) -> tuple[float, float]:
    return round(point.lon, 7), round(point.lat, 7)


def _point_feature(lon: float, lat: float, properties: Mapping[str, Any]) -> dict[str, Any]:
    return {"type": "Feature", "properties": properties, "geometry": {"type": "Point", "coordinates": (round(lon, 7), round(lat, 7))}}


def gpx(hour: Hour) -> bytes:
    """A GPX 1.1 file: stops as waypoints, a track for each vehicle, a segment for each piece of its way; speeds in Garmin's extension (m/s)."""
    ET.register_namespace("", GPX)
    ET.register_namespace("gpxtpx", TRACK_POINT)
    root = ET.Element(f"{{{GPX}}}gpx", {"version": "1.1", "creator": "Yicheng"})
    _added(_added(root, "metadata"), "time", utc(hour.from_ms))
    for way in hour.ways:
        for stop in stops(way.points):
            waypoint = _added(root, "wpt", lon=stop.lon, lat=stop.lat)
            _added(waypoint, "time", utc(stop.from_ms))
            _added(waypoint, "name", f"{way.vehicle_id} stop 停留")
            _added(waypoint, "desc", f"{(stop.until_ms - stop.from_ms) // 1000} s")
    for way in hour.ways:
        track = _added(root, "trk")
        _added(track, "name", way.vehicle_id)
        if way.plate:
            _added(track, "desc", way.plate)
        for piece in segments(way.points):
            _add_segment(track, piece)
    return bytes(ET.tostring(root, "utf-8", xml_declaration=True))


def _add_segment(track: ET.Element, piece: list[Point]) -> None:
    segment = _added(track, "trkseg")
    for point in piece:
        fix = _added(segment, "trkpt", lon=round(point.lon, 7), lat=round(point.lat, 7))
        _added(fix, "time", utc(point.time_ms))
        if point.speed_kmh is not None:
            extension = ET.SubElement(_added(fix, "extensions"), f"{{{TRACK_POINT}}}TrackPointExtension")
            ET.SubElement(extension, f"{{{TRACK_POINT}}}speed").text = f"{point.speed_kmh / 3.6:.2f}"


def _added(parent: ET.Element, tag: str, text: str = "", *, lon: float | None = None, lat: float | None = None) -> ET.Element:
    place = {} if lon is None else {"lat": f"{lat:.7f}", "lon": f"{lon:.7f}"}
    element = ET.SubElement(parent, f"{{{GPX}}}{tag}", place)
    if text:
        element.text = _NO_XML.sub("\ufffd", text)
    return element


def utc(time_ms: int) -> str:
    """An instant as ISO 8601 writes it.

    >>> utc(1_782_446_400_123)
    '2026-06-26T04:00:00.123Z'
    """
    return (_EPOCH + timedelta(milliseconds=time_ms)).isoformat(timespec="milliseconds").replace("+00:00", "Z")
