"""A pack's zones: a GeoJSON FeatureCollection of polygons in WGS-84, longitude first (RFC 7946), and what is often wrong with one."""

from __future__ import annotations

import math
import re
from typing import Any

import msgspec
import shapely
from shapely.geometry.base import BaseGeometry

from streams.errors import BadInput
from streams.wire.ids import NO_ID, NO_TEXT, is_id

_WGS84 = re.compile(r"(.*[:/])?(CRS84|EPSG[:/]+([\d.]+[:/])?4326|WGS ?84)", re.IGNORECASE)
_CGCS2000 = re.compile(r".*EPSG[:/]+([\d.]+[:/])?(4490|4479|4480)", re.IGNORECASE)
_MERCATOR_RADIUS_M = 6_378_137.0
_KEYS = re.compile(r'[{}]|(?P<text>"[^"\\]*(?:\\.[^"\\]*)*")(?P<colon>\s*:)?')
"""Where objects of a JSON text begin and end, and its texts; those before a colon are keys."""


LONGEST_TEXT_BYTES = 2_000
"""Of every text of a pack and its zones that is no id: incidents quote several."""


class Zones(msgspec.Struct):
    """Polygons in file order, names (zh, en) and kinds by zone id, ids of those that are examples; whose they are (None: not said); what may be wrong with them."""

    geometries: dict[str, BaseGeometry] = {}
    names: dict[str, tuple[str, str]] = {}
    kinds: dict[str, str] = {}
    illustrative: set[str] = set()
    adcode: str | None = None
    warnings: list[str] = []


def read_zones(text: str, where: str) -> Zones:
    """The zones of a FeatureCollection; ``BadInput`` names the line and the feature."""
    try:
        collection = msgspec.json.decode(text.removeprefix("\ufeff"))
        features = collection["features"]
        if collection["type"] != "FeatureCollection" or not isinstance(features, list):
            raise KeyError("type")
    except (msgspec.DecodeError, KeyError, TypeError, RecursionError):
        raise BadInput(f"{where}: not a GeoJSON FeatureCollection") from None
    _check_keys(text, where)
    found = Zones({}, {}, {}, set(), warnings=[])
    if "adcode" in collection:
        try:
            found.adcode = _text(collection, "adcode") or None
        except ValueError as error:
            raise BadInput(f"{where}: {error}") from None
    _check_crs(collection, where, found)
    if not features:
        raise BadInput(f"{where}: holds no zone; its features are polygons")
    for number, feature in enumerate(features, 1):
        _add(found, feature, number, text, where)
    return found


def _check_keys(text: str, where: str) -> None:
    """Refuse keys that are given twice, of which readers take one or the other; the text is JSON."""
    objects: list[dict[str, int]] = []
    for token in _KEYS.finditer(text):
        if token[0] == "{":
            objects.append({})
        elif token[0] == "}":
            objects.pop()
        elif token["colon"]:
            key = msgspec.json.decode(token["text"], type=str)
            if key in objects[-1]:
                line, first = (text.count("\n", 0, place) + 1 for place in (token.start(), objects[-1][key]))
                raise BadInput(f"{where}:{line}: key {key[:80]!r} is given twice{f' (first in line {first})' if first != line else ''}; leave one out")
            objects[-1][key] = token.start()


def _add(found: Zones, feature: Any, number: int, text: str, where: str) -> None:
    zone_id = "?"
    try:
        properties = feature["properties"]
        if not is_id(given := _text(properties, "id")):
            raise ValueError(f"id {given[:80]!r} is {NO_ID}")
        zone_id = given
        names = tuple(_text(properties, key) or zone_id for key in ("name_zh", "name_en"))
        kind = _text(properties, "kind")
        if feature["geometry"] is None:
            raise ValueError("its geometry is null")
        geometry = shapely.force_2d(shapely.from_geojson(msgspec.json.encode(feature["geometry"])))
    except (KeyError, TypeError, ValueError, AttributeError, RecursionError, shapely.errors.ShapelyError) as error:
        raise BadInput(f"{where}:{_line_of(text, zone_id)}: feature {number} has no usable id or geometry ({error})") from None
    if zone_id in found.geometries:
        raise BadInput(f"{where}:{_line_of(text, zone_id, 2)}: feature {number} repeats the zone id {zone_id!r}; ids are unique")
    at, what = f"{where}:{_line_of(text, zone_id)}", f"zone {zone_id!r} (feature {number})"
    _check_crs(feature, at, found)
    _check_crs(feature["geometry"], at, found)
    if geometry.is_empty:
        raise BadInput(f"{at}: {what} has an empty geometry; a zone is a polygon")
    _check_positions(geometry, f"{at}: {what}", found)
    if geometry.geom_type not in {"Polygon", "MultiPolygon"} or not geometry.is_valid:
        problem = shapely.is_valid_reason(geometry) if geometry.geom_type.endswith("Polygon") else geometry.geom_type
        raise BadInput(f"{at}: {what} is not a valid polygon: {problem}")
    found.geometries[zone_id] = geometry
    found.names[zone_id] = (names[0], names[1])
    found.kinds[zone_id] = kind
    if properties.get("illustrative") is True:
        found.illustrative.add(zone_id)


def _text(held: dict[str, Any], key: str) -> str:
    """A text, or a number as one ("" where there is none); ``ValueError`` where it is anything else, or too long."""
    given = held.get(key)
    text = str(given) if isinstance(given, str | int) and not isinstance(given, bool) else "" if given is None else None
    if text is None or NO_TEXT.search(text) or len(text.encode()) > LONGEST_TEXT_BYTES:
        raise ValueError(f"{key} {repr(given)[:80]} is no text of at most {LONGEST_TEXT_BYTES:,} bytes")
    return text


def _line_of(text: str, zone_id: str, occurrence: int = 1) -> int:
    """The line on which a zone's id stands (1 where it cannot be found)."""
    found = list(re.finditer(rf'"id"\s*:\s*{re.escape(msgspec.json.encode(zone_id).decode())}', text))
    return text.count("\n", 0, found[occurrence - 1].start()) + 1 if len(found) >= occurrence else 1


def _check_crs(held: dict[str, Any], where: str, found: Zones) -> None:
    """GeoJSON of before 2016 may name a coordinate reference system."""
    crs = held.get("crs")
    if crs is None:
        return
    properties = crs.get("properties") if isinstance(crs, dict) else None
    name = (str(properties.get("name", "")) if isinstance(properties, dict) else str(crs))[:80]
    if _CGCS2000.fullmatch(name):
        found.warnings.append(f"{where}: CRS {name} (CGCS2000) is taken for WGS-84; they differ by less than a metre")
    elif not _WGS84.fullmatch(name):
        raise BadInput(f"{where}: the CRS is {name or 'not named'}, not WGS-84; convert the zones to EPSG:4326")


def _check_positions(geometry: BaseGeometry, what: str, found: Zones) -> None:
    """Refuse positions that are no degrees, or longitudes and latitudes that have changed places; warn of zones abroad."""
    abroad = None
    for x, y in shapely.get_coordinates(geometry).tolist():
        if _in_china(x, y):
            continue
        on_earth = abs(x) <= 180 and abs(y) <= 90
        meant = _meant(x, y)
        if meant is None and on_earth:
            abroad = abroad or (x, y)
            continue
        raise BadInput(f"{what} lies at {x:g}, {y:g}: {meant or 'not degrees; projected?'}; positions are WGS-84 degrees, longitude first")
    if abroad:
        found.warnings.append(f"{what} lies at {abroad[0]:g}, {abroad[1]:g}, outside China; are these WGS-84 degrees, longitude first?")


def _meant(x: float, y: float) -> str | None:
    """What a position outside China seems to be, if that would lie in China."""
    if _in_china(y, x):
        return "latitude and longitude are swapped"
    for digits in (6, 7):
        scale = 10.0**digits
        if _in_china(x / scale, y / scale) or _in_china(y / scale, x / scale):
            return f"degrees times 1e{digits}"
    if _in_china(_from_minutes(x), _from_minutes(y)):
        return "degrees and minutes in one number"
    if abs(y) < 1e8 and _in_china(math.degrees(x / _MERCATOR_RADIUS_M), math.degrees(math.atan(math.sinh(y / _MERCATOR_RADIUS_M)))):
        return "projected (Web Mercator)"
    if any(3e5 < abs(a) < 6.5e7 and 3e5 < abs(b) < 6e6 for a, b in ((x, y), (y, x))):
        return "projected (metres)"
    return None


def _from_minutes(value: float) -> float:
    return value // 100 + value % 100 / 60 if math.isfinite(value) else value


def _in_china(lon: float, lat: float) -> bool:
    return 73 <= lon <= 136 and 3 <= lat <= 54
