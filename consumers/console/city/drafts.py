"""Zones that somebody draws: what the packs' reader says of them, in both languages, and the file that takes the place of the pack's. Pure; no policy is changed."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from typing import Any

import orjson
import shapely
from shapely.geometry.base import BaseGeometry

from streams.errors import BadInput
from streams.geo import METRES_PER_DEGREE, haversine_m
from streams.policy.policy import Policy
from streams.policy.reader import parse_policy
from streams.policy.zone_file import Zones, read_zones

SMALLEST_M2 = 400.0
"""A zone as small as 20 m × 20 m is no larger than what positions of vehicles are off by."""
FARTHEST_M = 100_000.0
"""A zone so far from all zones of the pack is hardly the city's."""
_AT = r"\[([-\d.]+) ([-\d.]+)\]"
_SAID = (
    (rf"Self-intersection{_AT}", "its edge crosses or touches itself at {0}, {1}; move or remove a point near there", "边界在 {0}, {1} 处与自身相交或相接，请移动或删除附近的点"),
    ("Hole lies outside shell", "a hole lies outside of it; move the hole inside or remove it", "有挖空部分在区域之外，请移入区域内或删除"),
    ("Holes are nested|Nested shells|Duplicate Rings", "parts of it lie inside one another; remove one of them", "各部分互相包含，请删除其中之一"),
    ("Interior is disconnected", "a hole cuts it in two; draw two zones", "挖空部分把区域切成了两块，请分别画成两个区域"),
    ("Too few points|Invalid number of points", "it needs at least three different points", "至少要有三个不同的点"),
    ("do not form a closed", "its edge is not closed; its last point must be its first", "边界没有闭合，最后一点应与第一点相同"),
    ("its geometry is null|has an empty geometry", "it has no points yet", "还没有任何点"),
    ("repeats the zone id", "another zone has the same id; give it an id of its own", "编号与另一区域相同，请换一个编号"),
    ("(id ''|'id'\\)|id None)", "it has no id; give it one, such as old-town", "还没有编号，请填写，例如 old-town"),
    ("latitude and longitude are swapped", "its longitude and latitude have changed places", "经度和纬度写反了"),
    ("lies at ([-\\d.e+]+), ([-\\d.e+]+), outside China", "it reaches {0}, {1}, outside China; is that meant?", "延伸到了中国境外（{0}, {1}），请核对"),
    ("lies at ([-\\d.e+]+), ([-\\d.e+]+):", "it reaches {0}, {1}, which are no degrees of longitude and latitude", "点 {0}, {1} 不是经纬度"),
    ("zone '([^']+)' is not in", "a rule of the pack names the zone “{0}”, which is not there any more; keep it or give its id back", "政策包的规则引用了区域“{0}”，请保留该区域或恢复其编号"),
    ("no zone is of kind '([^']+)'", "a rule of the pack is for zones of kind “{0}”, of which there is none any more", "政策包的规则针对类别为“{0}”的区域，但已没有这类区域"),
    ("more than the ([\\d,]+) that can be published", "the file is larger than the {0} bytes that can be published; remove points", "文件超过了可发布的 {0} 字节，请减少点数"),
    ("holds no zone", "no zone is left; a pack with zones needs one", "一个区域也没有了，至少要保留一个"),
)
"""What the reader's messages mean to somebody who draws: a pattern, and the sentence in English and Chinese."""


def check_draft(policy: Policy, collection: dict[str, Any]) -> dict[str, Any]:
    """What is wrong with drawn zones (each ``zone_id``, ``en``, ``zh``), what may be, each zone's area (m²), and the file's name and text where a pack may have it.

    It is what ``policy check`` says of the pack with this file: each zone is read alone first, so that every one has its own sentence.
    """
    features = collection.get("features")
    if not isinstance(features, list) or not all(isinstance(feature, dict) for feature in features):
        raise BadInput("not a GeoJSON FeatureCollection / 不是 GeoJSON FeatureCollection")
    name = policy.pack.zones or f"{policy.name}.geojson"
    problems: list[dict[str, Any]] = []
    warnings: list[dict[str, Any]] = []
    areas: dict[str, int] = {}
    for feature in features:
        zone_id = _id_of(feature)
        try:
            zones = read_zones(zone_file_text({**collection, "features": [feature]}), name)
        except BadInput as error:
            problems.append(_said(str(error), zone_id))
            continue
        warnings += [_said(text, zone_id) for text in zones.warnings] + list(_doubts(zones, policy))
        areas |= {zone: round(_area_m2(shape)) for zone, shape in zones.geometries.items()}
    text = zone_file_text(collection)
    if not problems:
        try:
            parse_policy(policy.pack.source["yaml"], "pack", lambda _: text) if policy.pack.zones else read_zones(text, name)
        except BadInput as error:
            problems.append(_said(str(error), None))
    return {"problems": problems, "warnings": warnings, "areas_m2": areas, "name": name, "text": None if problems else text}


def zone_file_text(collection: dict[str, Any]) -> str:
    """A FeatureCollection as the packs have theirs: a line for each zone."""
    head = orjson.dumps({key: value for key, value in collection.items() if key != "features"}).decode()
    features = ",\n".join(orjson.dumps(feature).decode() for feature in collection["features"])
    return f'{head[:-1]}{"," if len(head) > 2 else ""}"features":[\n{features}\n]}}\n'


def _id_of(feature: dict[str, Any]) -> str:
    properties = feature.get("properties")
    return str(properties.get("id") or "") if isinstance(properties, dict) else ""


def _said(message: str, zone_id: str | None) -> dict[str, Any]:
    """The reader's message as a sentence in both languages; as it is where it is of another kind."""
    for pattern, en, zh in _SAID:
        if found := re.search(pattern, message):
            return {"zone_id": zone_id, "en": en.format(*found.groups()), "zh": zh.format(*found.groups())}
    return {"zone_id": zone_id, "en": message, "zh": f"政策包的检查未通过：{message}"}


def _doubts(zones: Zones, policy: Policy) -> Iterator[dict[str, Any]]:
    """What the reader takes and yet is hardly meant: zones that are tiny, or far from the city's others."""
    for zone_id, shape in zones.geometries.items():
        area_m2 = _area_m2(shape)
        if area_m2 < SMALLEST_M2:
            yield {"zone_id": zone_id, "en": f"it is only {area_m2:.0f} m² large, less than positions are off by", "zh": f"面积仅 {area_m2:.0f} 平方米，小于定位误差"}
        away_m = _away_m(shape, list(policy.pack.geometries.values()))
        if away_m > FARTHEST_M:
            yield {"zone_id": zone_id, "en": f"it lies {away_m / 1000:.0f} km from the pack's zones; is it in the city?", "zh": f"距政策包的其他区域约 {away_m / 1000:.0f} 公里，请核对是否在本市"}


def _area_m2(shape: BaseGeometry) -> float:
    """The area of a zone, which is small beside the earth."""
    return float(shape.area) * METRES_PER_DEGREE**2 * math.cos(math.radians(shape.centroid.y))


def _away_m(shape: BaseGeometry, others: list[BaseGeometry]) -> float:
    """From a zone's middle to the rectangle around some others; 0 where there are none."""
    if not others:
        return 0.0
    west, south, east, north = shapely.total_bounds(others)
    x, y = shape.centroid.x, shape.centroid.y
    return haversine_m(x, y, float(min(max(x, west), east)), float(min(max(y, south), north)))
