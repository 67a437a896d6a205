"""Zones with holes, boundaries and overlaps; coordinate systems within half a metre."""

import random

import pytest
import shapely

from streams.geo import ZoneIndex, haversine_m, to_wgs84, wgs84_to_gcj02

SQUARE = shapely.Polygon([(0, 0), (4, 0), (4, 4), (0, 4)], [[(1, 1), (2, 1), (2, 2), (1, 2)]])
TWO = shapely.MultiPolygon([shapely.box(3, 3, 5, 5), shapely.box(10, 10, 11, 11)])


@pytest.mark.parametrize(
    ("point", "zones"),
    [
        ((0.5, 0.5), ("square",)), ((0, 0), ("square",)), ((4, 2), ("square",)), ((1.5, 1.5), ()), ((1, 1.5), ("square",)),
        ((3.5, 3.5), ("square", "two")), ((10.5, 10.5), ("two",)), ((7, 7), ()), ((4.000001, 2), ()),
    ],
)  # fmt: skip
def test_points_in_zones(point, zones):
    index = ZoneIndex({"square": SQUARE, "two": TWO})
    assert index.locate([point[0]], [point[1]]) == [zones]


def test_a_chunk_gives_what_single_points_give():
    rng = random.Random(5)
    index = ZoneIndex({"square": SQUARE, "two": TWO})
    lons, lats = [[rng.uniform(-1, 12) for _ in range(500)] for _ in range(2)]
    assert index.locate(lons, lats) == [index.locate([x], [y])[0] for x, y in zip(lons, lats, strict=True)]
    assert ZoneIndex({}).locate(lons, lats) == [()] * 500 and index.locate([], []) == []


def test_gcj02_and_bd09_return_within_half_a_metre():
    import math

    rng = random.Random(1)
    for _ in range(2_000):
        lon, lat = rng.uniform(73.6, 134.7), rng.uniform(18.2, 53.5)
        gcj = wgs84_to_gcj02(lon, lat)
        assert haversine_m(*to_wgs84(*gcj, "gcj02"), lon, lat) < 0.5, (lon, lat)
        radius = math.hypot(*gcj) + 0.00002 * math.sin(gcj[1] * math.pi * 3000 / 180)
        angle = math.atan2(gcj[1], gcj[0]) + 0.000003 * math.cos(gcj[0] * math.pi * 3000 / 180)
        bd = radius * math.cos(angle) + 0.0065, radius * math.sin(angle) + 0.006
        assert haversine_m(*to_wgs84(*bd, "bd09"), lon, lat) < 0.5, (lon, lat)


def test_outside_china_and_wgs84_stay():
    assert to_wgs84(2.35, 48.85, "gcj02") == (2.35, 48.85)
    assert to_wgs84(116.4, 39.9, "wgs84") == (116.4, 39.9)


def test_the_offset_is_what_is_published_for_a_known_place():
    """Tiananmen: the GCJ-02 offset there is about 0.0062° east and 0.0014° north (published conversion tables)."""
    lon, lat = wgs84_to_gcj02(116.3912, 39.9073)
    assert lon - 116.3912 == pytest.approx(0.00624, abs=2e-4)
    assert lat - 39.9073 == pytest.approx(0.0014, abs=2e-4)
