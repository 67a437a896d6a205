"""Zones with holes, boundaries and overlaps; coordinate systems within half a metre."""

import random

import pytest
import shapely

from streams.geo import GRID, ZoneIndex, haversine_m, to_wgs84, wgs84_to_gcj02

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
    assert index.sets[index.locate([point[0]], [point[1]])[0]] == zones


def test_a_chunk_gives_what_each_point_gives_by_itself():
    """The raster answers for most cells; what it says is what the geometries say, on their edges and on those of its cells too."""
    rng = random.Random(5)
    zones = {"square": SQUARE, "two": TWO, "small": shapely.box(2.0001, 2.0001, 2.0002, 2.0002), "slanted": shapely.Point(7, 6).buffer(1.7)}
    index = ZoneIndex(zones)
    edges = [11 * number / GRID for number in range(GRID + 1)] + [1.0, 2.0, 3.0, 4.0, 5.0, 10.0, 2.00015, 11.0]
    lons, lats = [[rng.choice((rng.uniform(-1, 12), rng.choice(edges))) for _ in range(5_000)] for _ in range(2)]
    truth = [tuple(name for name, zone in zones.items() if zone.intersects(shapely.Point(x, y))) for x, y in zip(lons, lats, strict=True)]
    for _ in range(2):  # the second time the cells are known
        assert [index.sets[number] for number in index.locate(lons, lats)] == truth
    assert not ZoneIndex({}).locate(lons, lats).any() and index.locate([], []).tolist() == []


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
