"""A base map of the operator's own below the fleet's tracks: a PMTiles file that is read here, or a tile server, to which alone browsers may then go."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from html import unescape
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import orjson
from aiohttp import web
from pmtiles.reader import MmapSource, Reader
from pmtiles.tile import Compression, TileType

from streams.errors import BadInput
from streams.process.pages import is_loopback
from streams.settings import Settings

RASTER = {TileType.PNG: "image/png", TileType.JPEG: "image/jpeg", TileType.WEBP: "image/webp", TileType.AVIF: "image/avif"}
VECTOR = {TileType.MVT: "application/vnd.mapbox-vector-tile"}
ENCODINGS = {Compression.NONE: None, Compression.UNKNOWN: None, Compression.GZIP: "gzip", Compression.BROTLI: "br", Compression.ZSTD: "zstd"}
MOST_ZOOM = 20
_TRANSPARENT = bytes.fromhex(
    "89504e470d0a1a0a0000000d4948445200000001000000010804000000b51c0c020000000b4944415478da6364600000000600023081d02f0000000049454e44ae426082"
)
"""A PNG of one pixel that nobody sees."""
_NAME = "YICHENG_CONSOLE_TILES"


class Tiles(NamedTuple):
    """What browsers are told of the base map (None: there is none), from where else than here they may have tiles, and what reads a file's tiles."""

    about: dict[str, Any] | None = None
    origin: str | None = None
    reader: Reader | None = None
    content_type: str = ""
    encoding: str | None = None

    def routes(self) -> list[web.RouteDef]:
        """What is asked where."""
        return [web.get("/api/tiles", self._about), web.get("/tiles/{zoom:\\d{1,2}}/{column:\\d{1,8}}/{row:\\d{1,8}}", self._tile)]

    async def _about(self, request: web.Request) -> web.Response:
        return web.Response(body=orjson.dumps(self.about), content_type="application/json", headers={"Cache-Control": "no-store"})

    async def _tile(self, request: web.Request) -> web.Response:
        zoom, column, row = (int(request.match_info[name]) for name in ("zoom", "column", "row"))
        if self.reader is None or zoom > MOST_ZOOM or max(column, row) >= 2**zoom:
            raise web.HTTPNotFound(text="no such tile\n")
        found, headers = self.reader.get(zoom, column, row), {"Cache-Control": "max-age=3600"}
        if not found:  # an empty vector tile is one; an empty image is none
            is_vector = self.content_type in VECTOR.values()
            return web.Response(body=b"" if is_vector else _TRANSPARENT, content_type=self.content_type if is_vector else "image/png", headers=headers)
        if self.encoding:
            headers["Content-Encoding"] = self.encoding
        return web.Response(body=found, content_type=self.content_type, headers=headers)

    def allow(self) -> Callable[[web.Request, web.StreamResponse], Awaitable[None]]:
        """What lets browsers go to the tile server and nowhere else."""

        async def widen(request: web.Request, response: web.StreamResponse) -> None:
            policy = response.headers.get("Content-Security-Policy")
            if policy and self.origin:
                response.headers["Content-Security-Policy"] = re.sub(r"\b(img-src|connect-src) 'self'", rf"\1 'self' {self.origin}", policy)

        return widen


def read_tiles(settings: Settings) -> Tiles:
    """The base map that the settings name; ``BadInput`` where it is neither a PMTiles file nor the address of a tile server."""
    given = settings.console_tiles
    if given is None:
        if settings.console_gcj02:
            raise BadInput(f"YICHENG_CONSOLE_GCJ02 says that tiles are in GCJ-02, but {_NAME} names none; the fleet's own tracks need no shift")
        return Tiles()
    return _server(given, settings) if "://" in given else _file(Path(given), settings)


def _server(template: str, settings: Settings) -> Tiles:
    """Tiles of a server, by the template of their address."""
    try:
        parts = urlsplit(template)
        host, port = parts.hostname or "", f":{parts.port}" if parts.port else ""
    except ValueError:
        raise BadInput(f"{_NAME}: not an address; write it as https://tiles.example/{{z}}/{{x}}/{{y}}.png") from None
    if missing := [part for part in ("{z}", "{x}", "{y}") if part not in parts.path + parts.query]:
        raise BadInput(f"{_NAME}: the address has no {missing[0]}; write it as https://tiles.example/{{z}}/{{x}}/{{y}}.png")
    if not re.fullmatch(r"[a-z0-9.-]+|[0-9a-f:]+", host) or "@" in parts.netloc:
        raise BadInput(f"{_NAME}: the address names one host, without a user; write it as https://tiles.example/{{z}}/{{x}}/{{y}}.png")
    if parts.scheme != "https" and not (parts.scheme == "http" and is_loopback(host)):
        raise BadInput(f"{_NAME}: {parts.scheme}://{host} is not encrypted; tile servers are called by https, or by http on this machine")
    origin = f"{parts.scheme}://{f'[{host}]' if ':' in host else host}{port}"
    return Tiles({"kind": "raster", "url": template, "min_zoom": 0, "max_zoom": 18, "attribution": "", "layers": [], "gcj02": settings.console_gcj02}, origin)


def _file(path: Path, settings: Settings) -> Tiles:
    """Tiles of a PMTiles file, which stays open."""
    try:
        with path.open("rb") as file:
            reader = Reader(MmapSource(file))
        header, metadata = reader.header(), reader.metadata()
        reader.get(header["min_zoom"], 0, 0)
    except OSError as error:
        raise BadInput(f"{_NAME}={path}: cannot be read ({error.strerror}); give a PMTiles file or the address of a tile server") from None
    except Exception as error:  # noqa: BLE001 - the library's errors have no common class
        raise BadInput(f"{_NAME}={path}: not a PMTiles file of version 3 ({type(error).__name__}); give one, or the address of a tile server") from None
    content_type = (RASTER | VECTOR).get(header["tile_type"])
    if content_type is None or header["tile_compression"] not in ENCODINGS:
        raise BadInput(f"{_NAME}={path}: its tiles are neither images nor vector tiles (MVT)")
    kind = "raster" if header["tile_type"] in RASTER else "vector"
    if settings.console_gcj02 and kind == "vector":
        raise BadInput(f"YICHENG_CONSOLE_GCJ02: {path} holds vector tiles, and only images are moved; convert the file to WGS-84")
    layers = [str(layer.get("id")) for layer in metadata.get("vector_layers") or () if isinstance(layer, dict)] if isinstance(metadata, dict) else []
    attribution = unescape(re.sub(r"<[^>]*>", "", str(metadata.get("attribution") or "")))[:200] if isinstance(metadata, dict) else ""
    about = {
        "kind": kind, "url": "/tiles/{z}/{x}/{y}", "min_zoom": header["min_zoom"], "max_zoom": header["max_zoom"], "attribution": attribution, "layers": layers,
        "gcj02": settings.console_gcj02,
    }  # fmt: skip
    return Tiles(about, None, reader, content_type, ENCODINGS[header["tile_compression"]])
