"""The operator's own base map: a PMTiles file read here, a tile server to which alone the browser may go, tiles in GCJ-02 moved to where they belong."""

import gzip
import http.server
import math
import threading

import pytest
from pmtiles.tile import Compression, TileType, zxy_to_tileid
from pmtiles.writer import Writer

from console.test_server import ask
from consumers.console.fleet.basemap import _png
from consumers.console.fleet.tiles import read_tiles
from streams.errors import BadInput
from streams.geo import wgs84_to_gcj02
from streams.settings import Settings

READY = "() => window.yicheng?.fleet.count >= 10 && yicheng.map?.fitted"


def image():
    import numpy as np

    return _png(np.full((256, 256), 9.0, np.float32), (200, 30, 30))


def write_file(path, kind=TileType.PNG, tiles=(), compression=Compression.NONE, **metadata):
    with path.open("wb") as file:
        writer = Writer(file)
        for place, data in sorted(tiles, key=lambda tile: zxy_to_tileid(*tile[0])):
            writer.write_tile(zxy_to_tileid(*place), data)
        header = {
            "tile_type": kind, "tile_compression": compression, "min_zoom": 0, "max_zoom": 12, "min_lon_e7": 0, "min_lat_e7": 0, "max_lon_e7": 1, "max_lat_e7": 1, "center_zoom": 0,
            "center_lon_e7": 0, "center_lat_e7": 0,
        }  # fmt: skip
        writer.finalize(header, metadata)
    return path


def tiles_of(given, **more):
    return read_tiles(Settings(console_tiles=str(given), **more))


@pytest.mark.parametrize(
    ("given", "said"),
    [("nowhere.pmtiles", "No such file"), ("http://tiles.example/{z}/{x}/{y}.png", "not encrypted"), ("ftp://127.0.0.1/{z}/{x}/{y}", "not encrypted"), ("https://tiles.example/{z}/{x}.png", "no {y}"),
     ("https://me:word@tiles.example/{z}/{x}/{y}.png", "without a user"), ("https://*.example/{z}/{x}/{y}.png", "one host"), ("https://a;b/{z}/{x}/{y}.png", "one host"), ("https:///{z}/{x}/{y}.png", "one host"),
     ("https://{z}/{x}/{y}", "no {z}"), ("https://[x/{z}/{x}/{y}", "not an address")],
)  # fmt: skip
def test_what_is_no_base_map_is_one_sentence(given, said):
    with pytest.raises(BadInput) as refused:
        tiles_of(given)
    assert said in str(refused.value) and "YICHENG_CONSOLE_TILES" in str(refused.value) and "word" not in str(refused.value) and "\n" not in str(refused.value)


def test_files_that_are_none_are_one_sentence(tmp_path):
    for name, content in (("empty", b""), ("text", b"no tiles " * 100), ("cut", write_file(tmp_path / "whole", tiles=[((0, 0, 0), image())]).read_bytes()[:130])):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(BadInput, match="YICHENG_CONSOLE_TILES"):
            tiles_of(tmp_path / name)
    vector = write_file(tmp_path / "vector", TileType.MVT, [((0, 0, 0), b"\x1a\x00")], vector_layers=[{"id": "roads"}])
    with pytest.raises(BadInput, match="only images are moved"):
        tiles_of(vector, console_gcj02=True)
    with pytest.raises(BadInput, match="names none"):
        read_tiles(Settings(console_gcj02=True))
    assert tiles_of(vector).about["layers"] == ["roads"] and read_tiles(Settings()).about is None


@pytest.mark.parametrize(("given", "origin"), [("https://Tiles.Example:8443/a/{z}/{x}/{y}.png?key=1", "https://tiles.example:8443"), ("http://127.0.0.1:99/{z}/{x}/{y}", "http://127.0.0.1:99"), ("http://[::1]:9/{z}/{x}/{y}", "http://[::1]:9")])
def test_a_server_is_one_origin(given, origin):
    assert tiles_of(given).origin == origin


@pytest.mark.long
def test_a_file_is_read_here_and_the_policy_stays_as_strict(console, recorded_day, tmp_path, watch):
    file = write_file(tmp_path / "city.pmtiles", tiles=[((0, 0, 0), image()), ((10, 829, 386), image())], attribution='<a href="https://x.example">© <b>X</b> &amp; Y</a>')
    demo = console("--demo", recorded_day, "--speedup", 600, YICHENG_CONSOLE_TILES=str(file))
    status, headers, body = ask(f"{demo.url}/tiles/10/829/386")
    assert (status, headers["Content-Type"], body) == (200, "image/png", image()) and "http" not in headers["Content-Security-Policy"]
    assert ask(f"{demo.url}/tiles/10/1/1")[2].startswith(b"\x89PNG") and [ask(f"{demo.url}/tiles/{path}")[0] for path in ("10/1024/1", "21/1/1", "99/1/1", "1/1/-1")] == [404] * 4
    watched = watch(demo.url)
    page = watched.open("/?lang=en&theme=dark")
    page.wait_for_function(READY)
    page.wait_for_function("() => document.querySelector('.attribution') && yicheng.map.map.getLayer('basemap of the operator') && yicheng.map.map.isSourceLoaded('basemap of the operator')")
    assert page.text_content(".attribution") == "© X & Y" and any("/tiles/" in url for url in watched.asked)
    page.click("#theme")
    page.wait_for_function("() => yicheng.map.map.getLayer('basemap of the operator') && yicheng.map.map.getPaintProperty('basemap of the operator', 'raster-brightness-max') === 1")
    watched.check()


def test_of_vector_tiles_roads_and_water_are_drawn_and_no_borders(console, recorded_day, tmp_path, watch):
    layers = [{"id": name} for name in ("water", "roads", "boundaries", "road_labels", "buildings")]
    file = write_file(tmp_path / "city.pmtiles", TileType.MVT, [((0, 0, 0), gzip.compress(b""))], Compression.GZIP, vector_layers=layers)
    demo = console("--demo", recorded_day, "--speedup", 600, YICHENG_CONSOLE_TILES=str(file))
    assert ask(f"{demo.url}/tiles/0/0/0")[1]["Content-Encoding"] == "gzip" and ask(f"{demo.url}/tiles/5/0/0")[2] == b""
    watched = watch(demo.url)
    page = watched.open("/?lang=en&theme=light")
    page.wait_for_function(READY)
    page.wait_for_function("() => yicheng.map.map.getSource('basemap of the operator') && yicheng.map.map.isSourceLoaded('basemap of the operator')")
    drawn = page.evaluate("yicheng.map.map.getStyle().layers.map((layer) => layer['source-layer']).filter(Boolean)")
    assert drawn == ["water", "buildings", "roads"]
    watched.check()


@pytest.fixture
def tile_server():
    """A tile server of somebody's, and which tiles it was asked for."""
    asked = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            asked.append(self.path)
            self.send_response(200)
            self.send_header("Content-Type", "image/png")
            self.send_header("Access-Control-Allow-Origin", "*")
            self.end_headers()
            self.wfile.write(image())

        def log_message(self, *_):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}", asked
    server.shutdown()
    server.server_close()


def pixel(lon, lat, zoom):
    """The published formula of web-map tiles."""
    size = 256 * 2**zoom
    return (lon + 180) / 360 * size, (1 - math.asinh(math.tan(math.radians(lat))) / math.pi) / 2 * size


def test_tiles_in_gcj02_are_moved_by_the_published_offset(modules):
    for zoom, lon, lat in ((16, 111.66, 40.81), (15, 120.58, 30.01), (12, 102.7, 25.0)):
        x, y = (int(value // 256) for value in pixel(lon, lat, zoom))
        middle = ((x + 0.5) / 2**zoom * 360 - 180, math.degrees(math.atan(math.sinh(math.pi * (1 - 2 * (y + 0.5) / 2**zoom)))))
        there = pixel(*wgs84_to_gcj02(*middle), zoom)
        moved = modules.evaluate("async ([z, x, y]) => (await import('/static/gcj02.js')).movedBy(z, x, y)", [zoom, x, y])
        assert moved == [pytest.approx(there[0] - (x + 0.5) * 256, abs=0.51), pytest.approx(there[1] - (y + 0.5) * 256, abs=0.51)] and moved != [0, 0]
    assert modules.evaluate("async () => (await import('/static/gcj02.js')).movedBy(10, 10, 10)") == [0, 0]


@pytest.mark.long
def test_a_server_s_tiles_in_gcj02_are_moved_to_where_they_belong(console, recorded_day, tile_server, watch):
    address, asked = tile_server
    demo = console("--demo", recorded_day, "--speedup", 600, YICHENG_CONSOLE_TILES=f"{address}/{{z}}/{{x}}/{{y}}.png", YICHENG_CONSOLE_GCJ02="1")
    policy = ask(demo.url)[1]["Content-Security-Policy"]
    assert f"img-src 'self' {address} data: blob:" in policy and f"connect-src 'self' {address};" in policy and policy.count("http") == 2 and "unsafe" not in policy
    watched = watch(demo.url)
    page = watched.open("/?lang=en&theme=light")
    page.wait_for_function(READY)
    page.wait_for_function("() => yicheng.map.map.getLayer('basemap of the operator') && yicheng.map.map.isSourceLoaded('basemap of the operator')")
    assert asked and all(path.endswith(".png") for path in asked)
    strange = [url for url in watched.asked if not url.startswith((demo.url, f"blob:{demo.url}", "data:", address))]
    assert strange == [] and page.evaluate("window.refusals") == [] and watched.complaints == []
