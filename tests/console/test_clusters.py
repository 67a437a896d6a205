"""Very many vehicles on a small scale: squares of a grid with their numbers, in one frame a tick."""

import struct
import time
import urllib.request

import numpy as np
import pytest

from console.console_site import Site, T
from consumers.console.fleet.positions import SILENT_MS, Fleet
from streams.wire.events import Fix


def fleet_of(number, epoch=7):
    """Vehicles on a lattice of a city and, each tenth, in another far away; each fifth is at fault, and each second of the others has been silent for long."""
    fleet = Fleet(epoch)
    for n in range(number):
        lon, lat = (120.0, 30.0) if n % 10 == 0 else (111.4 + n % 100 / 200, 40.6 + n // 100 % 100 / 250)
        fleet.enter(Fix(f"e{n}", T - n % 2 * 2 * SILENT_MS, f"v{n}", lon, lat))
    fleet.tick(T, [f"v{n}" for n in range(0, number, 5)])
    return fleet


def squares(data):
    """A frame, read by its description alone: what it says of all, and of each square where it is, how many it holds, at fault, and silent."""
    magic, epoch, sequence, zoom, count, vehicles, stream_ms = struct.unpack_from("<4sIIIIId", data)
    assert magic == b"YCG1" and len(data) == -(-(32 + 20 * count) // 8) * 8
    columns = [np.frombuffer(data, kind, count, 32 + 4 * count * place).tolist() for place, kind in enumerate(("<i4", "<i4", "<u4", "<u4", "<u4"))]
    return (epoch, sequence, zoom, vehicles, stream_ms), [(lon / 1e7, lat / 1e7, *numbers) for lon, lat, *numbers in zip(*columns, strict=True)]


@pytest.mark.parametrize("zoom", [0, 4, 8, 10])
def test_every_vehicle_is_counted_once_in_the_square_where_it_is(zoom):
    fleet = fleet_of(3_000)
    head, found = squares(fleet.clustered(0, 0, zoom))
    assert head == (7, 1, zoom, 3_000, T) and [sum(numbers) for numbers in zip(*(numbers for _, _, *numbers in found), strict=True)] == [3_000, 600, 1_200]
    far = [numbers for lon, lat, *numbers in found if (lon, lat) == (120.0, 30.0)]
    assert far == [[300, 300, 0]] and len(found) < 1_000
    side = 360 / 2 ** (zoom + 4)
    assert all(offending + silent <= number for _, _, number, offending, silent in found)
    columns = [int((lon + 180) / side) for lon, lat, *_ in found if lat > 35]
    assert len(set(columns)) >= min(len(columns), int(0.4 / side)), "squares are as wide as the grid says"


def test_a_tick_is_counted_once_and_told_once_to_each_viewer():
    fleet = fleet_of(100)
    first = fleet.clustered(0, 0, 8)
    assert fleet.clustered(0, 0, 8) is first and fleet.clustered(1, 7, 8) == b"" and fleet.clustered(1, 6, 8) is first
    fleet.tick(T, [])
    (head, found) = squares(fleet.clustered(1, 7, 8))
    assert head[1] == 2 and sum(offending for *_, offending, _ in found) == 0


def get(url):
    with urllib.request.urlopen(url, timeout=30) as answer:
        return answer.read()


def test_a_map_of_a_small_scale_gets_squares_and_a_large_one_points(tmp_path, monkeypatch):
    monkeypatch.setattr("consumers.console.web.pages.FROM_VEHICLES", 1_000)
    site = Site(tmp_path)
    site.city.history_is_read()
    site.city.fleet, site.city.stream_ms = fleet_of(1_001, site.city.log.epoch), T
    kinds = {zoom: get(f"{site.url}/api/positions?since=0{zoom}")[:4] for zoom in ("", "&zoom=10.9", "&zoom=11", "&zoom=0", "&zoom=x", "&zoom=-1", "&zoom=1e3")}
    assert kinds == {"": b"YCP1", "&zoom=10.9": b"YCG1", "&zoom=11": b"YCP1", "&zoom=0": b"YCG1", "&zoom=x": b"YCP1", "&zoom=-1": b"YCP1", "&zoom=1e3": b"YCP1"}
    (_, sequence, *_), _ = squares(get(f"{site.url}/api/positions?since=0&zoom=9"))
    began_s = time.monotonic()
    frames = (get(f"{site.url}/api/positions?since={sequence}&epoch={site.city.log.epoch}&zoom=9") for _ in range(10))
    (_, later, *_), _ = squares(next(filter(None, frames)))
    assert later > sequence and time.monotonic() - began_s < 20, "the next tick's come by themselves"
    site.city.fleet = fleet_of(1_000, site.city.log.epoch)
    assert get(f"{site.url}/api/positions?since=0&zoom=5")[:4] == b"YCP1", "there are not so many"
    site.stop()


def test_a_vehicle_that_is_linked_to_is_ringed_and_gone_to_among_squares(tmp_path, monkeypatch, watch):
    """The page knows no places of single vehicles then; the server says where this one is."""
    monkeypatch.setattr("consumers.console.web.pages.FROM_VEHICLES", 1_000)
    site = Site(tmp_path)
    site.city.history_is_read()
    site.city.fleet, site.city.stream_ms = fleet_of(1_001, site.city.log.epoch), T
    watched = watch(site.url)
    page = watched.open("/?lang=en#vehicle=v10")
    page.wait_for_function("() => yicheng.fleet.clusters && yicheng.map.chosen.place")
    page.wait_for_function("() => { const { lng, lat } = yicheng.map.map.getCenter(); return Math.hypot(lng - 120, lat - 30) < 0.01; }")
    page.wait_for_function("() => yicheng.map.map.querySourceFeatures('chosen').length === 1 && yicheng.state.header && document.documentElement.dataset.ticks > 1")
    assert page.evaluate("yicheng.map.map.getCenter().lng") == pytest.approx(120, abs=0.01), "it stays there, also when the city is known"
    page.click("#panel [data-close]")
    page.wait_for_function("() => yicheng.map.map.querySourceFeatures('chosen').length === 0")
    watched.check()
    site.stop()
