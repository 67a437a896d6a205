"""The console's web pages and what they ask: static files, the state, positions, events, panels, the base map, answers."""

from __future__ import annotations

import asyncio
import gzip
import importlib.util
import re
import time
from collections.abc import Callable, Collection, Iterator
from pathlib import Path
from typing import Any, Protocol

import orjson
import structlog
from aiohttp import web

from consumers.console.accounts.access import ACCESS, as_seen, is_still_in, page_of, visitor_of
from consumers.console.city.city import City
from consumers.console.fleet.basemap import INKS, LEAST_ZOOM, ZOOM
from consumers.console.fleet.clusters import BELOW_ZOOM, FROM_VEHICLES
from consumers.console.fleet.replay import Hour
from consumers.console.replies import asked_of, json_reply, refusal
from consumers.console.sources.past_fixes import Past
from consumers.console.web.asked_answers import answer_record, decides
from streams.clock import now_ms
from streams.counts import CITY_WIDE
from streams.errors import Unavailable, YichengError
from streams.wire.answers import NOTHING_TO_DECIDE
from streams.wire.decode import Malformed
from streams.wire.ids import is_id

log = structlog.get_logger()

STATIC = Path(__file__).parents[1] / "static"
TYPES = {".html": "text/html", ".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml"}
VENDOR = ("maplibre-gl.js", "maplibre-gl.css")
CSP = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; connect-src 'self'; font-src 'self'; worker-src blob:;"
    " base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
HEADERS = {
    "Content-Security-Policy": CSP, "Referrer-Policy": "no-referrer", "X-Content-Type-Options": "nosniff", "X-Frame-Options": "DENY",
    "Cross-Origin-Opener-Policy": "same-origin", "Cross-Origin-Resource-Policy": "same-origin",
}  # fmt: skip
TICK_S, LOOK_S = 1.0, 0.2
"""So often are positions encoded, and looked whether there is something to tell."""
SAVED_EVERY_S = 60.0
WAITED_S = 20.0
"""So long is a request for positions kept waiting; after such a silence events send a sign of life."""
MOST_VIEWERS = 200
MOST_LOOKED_FOR = 2
"""So many old incidents are looked for at once."""


class Feed(Protocol):
    """Where the city's records come from, and answers go to."""

    def start(self) -> None:
        """Begin."""

    def stop(self) -> None:
        """End soon."""

    def answer(self, key: bytes, value: bytes) -> None:
        """Publish an answer; ``Unavailable`` where it is not taken."""

    def span_ms(self) -> tuple[int, int]:
        """From when until when (ms) hours can be replayed."""

    def hour(self, vehicle_ids: Collection[str], from_ms: int, is_stopping: Callable[[], bool]) -> Hour:
        """The ways of vehicles in the hour from an instant on; ``Unavailable`` where they cannot be read. Takes its time: not for the event loop."""

    def past(self, from_ms: int, until_ms: int) -> Past:
        """The fixes between two instants; ``Unavailable`` where they cannot be read."""

    def past_incident(self, incident_id: str) -> bytes | None:
        """The last revision of an incident that is not held; ``Unavailable`` where it cannot be looked for. Takes its time: not for the event loop."""


class Pages:
    """Answers requests about a city until ``stop``; the viewers that wait are woken by ``run``."""

    def __init__(self, city: City, feed: Feed) -> None:
        self.city, self.feed = city, feed
        self.stopping = asyncio.Event()
        self._news = asyncio.Condition()
        self._viewers = self._looked_for = 0
        self._failed = ""
        self._files = dict(_static_files())

    def routes(self) -> list[web.RouteDef]:
        """What is asked where."""
        return [
            web.get("/", self.file), web.get("/static/{name}", self.file), web.get("/vendor/{name}", self.file),
            web.get("/api/state", self.state), web.get("/api/events", self.events), web.get("/api/positions", self.positions),
            web.get("/api/views", self.views), web.get("/api/vehicles", self.vehicles), web.get("/api/vehicle", self.vehicle), web.get("/api/incident", self.incident),
            web.get("/basemap/{theme}/{zoom:\\d{1,2}}/{column:\\d{1,6}}/{row:\\d{1,6}}.png", self.tile), web.post("/api/answer", self.answer),
        ]  # fmt: skip

    async def run(self) -> None:
        """Have time go on: a tick a second, and news as soon as there are any."""
        ticked_s, told, keeping = 0.0, "", asyncio.create_task(self._keep())
        while not self.stopping.is_set():
            now_s = time.monotonic()
            if is_due := now_s - ticked_s >= TICK_S:
                ticked_s = now_s
                await asyncio.to_thread(self._tick)
            if is_due or self.city.log.newest_id != told:
                told = self.city.log.newest_id
                await self._wake()
            await asyncio.sleep(LOOK_S)
        keeping.cancel()
        await self._wake()

    async def _keep(self) -> None:
        """Now and then keep the base map on disk, beside all else."""
        while True:
            await asyncio.sleep(SAVED_EVERY_S)
            await asyncio.to_thread(self.city.basemap.save)

    def _tick(self) -> None:
        """Settle a second; whatever goes wrong in it is logged once, and the next second comes."""
        try:
            self.city.tick()
            self._failed = ""
        except Exception as error:
            if self._failed != (failed := f"{type(error).__name__}: {error}"):
                log.exception("a second could not be settled; the console goes on")
            self._failed = failed

    async def _wake(self) -> None:
        async with self._news:
            self._news.notify_all()

    async def _wait(self) -> None:
        """Until there may be news, or for as long as a viewer can wait."""
        try:
            async with asyncio.timeout(WAITED_S), self._news:
                await self._news.wait()
        except TimeoutError:
            return

    async def file(self, request: web.Request) -> web.StreamResponse:
        """A page, style or module."""
        name = request.match_info.get("name", page_of(request))
        found = self._files.get(name)
        if found is None:
            raise web.HTTPNotFound(text="no such page / 没有这个页面\n")
        kind, tag, packed = found
        headers = {"ETag": tag, "Cache-Control": "no-cache", "Vary": "Accept-Encoding"}
        if tag in request.headers.get("If-None-Match", ""):  # a proxy may have said it in its own way
            return web.Response(status=304, headers=headers)
        if is_packed := "gzip" in request.headers.get("Accept-Encoding", ""):
            headers["Content-Encoding"] = "gzip"
        return web.Response(body=packed if is_packed else gzip.decompress(packed), content_type=kind, charset=None if kind.startswith("image/") else "utf-8", headers=headers)

    async def state(self, request: web.Request) -> web.StreamResponse:
        """All that a page begins with."""
        return json_reply(await asyncio.to_thread(lambda: orjson.dumps(self.city.state())))

    async def views(self, request: web.Request) -> web.StreamResponse:
        """The rates by enterprise and day, the course of an ``enterprise`` (else the city's), the register of outlets, and the pack in sentences."""
        enterprise_id = request.query.get("enterprise", CITY_WIDE)
        return json_reply(await asyncio.to_thread(lambda: orjson.dumps(self.city.views(enterprise_id))))

    async def vehicles(self, request: web.Request) -> web.StreamResponse:
        """Ids and plates from a number on."""
        since = _number(request, "since")
        return json_reply(await asyncio.to_thread(lambda: orjson.dumps(self.city.vehicle_table(since))))

    async def vehicle(self, request: web.Request) -> web.StreamResponse:
        """What there is to say of a vehicle."""
        return _found(await asyncio.to_thread(self.city.vehicle, request.query.get("id", "")))

    async def incident(self, request: web.Request) -> web.StreamResponse:
        """What there is to say of an incident; one that is not held is looked for."""
        name = request.query.get("id", "")
        found = await asyncio.to_thread(self.city.incident, name)
        if found is not None or not is_id(name):
            return _found(found)
        if self._looked_for >= MOST_LOOKED_FOR:
            return refusal(503, "too many old incidents are being looked for; try again in a moment / 正在查找的旧事件太多，请稍后再试")
        self._looked_for += 1
        try:
            return _found(await asyncio.to_thread(self._look_for, name))
        except YichengError as error:
            return refusal(503, str(error))
        finally:
            self._looked_for -= 1

    def _look_for(self, name: str) -> dict[str, Any] | None:
        value = self.feed.past_incident(name)
        if value is None:
            return None
        self.city.enter_past_incident(value)
        return self.city.incident(name) or self.city.past_incident(value)

    async def positions(self, request: web.Request) -> web.StreamResponse:
        """The frames of positions after one, or, on a small scale (``zoom``) with very many vehicles, clusters; waits for the next where there is none."""
        asked = _number(request, "since"), _number(request, "epoch"), _zoom(request)
        frames = await asyncio.to_thread(self._frames, *asked)
        if not frames and not self.stopping.is_set():
            await self._wait()
            frames = await asyncio.to_thread(self._frames, *asked)
        return web.Response(body=frames, content_type="application/octet-stream", headers={"Cache-Control": "no-store"})

    def _frames(self, since: int, epoch: int, zoom: int) -> bytes:
        with self.city.lock:
            fleet = self.city.fleet
            return fleet.clustered(since, epoch, zoom) if zoom < BELOW_ZOOM and len(fleet) > FROM_VEHICLES else fleet.since(since, epoch)

    async def events(self, request: web.Request) -> web.StreamResponse:
        """Server-sent events after the one that the browser has; ``fresh`` where that is not known any more: then it asks for the state."""
        if self._viewers >= MOST_VIEWERS:
            raise web.HTTPServiceUnavailable(text="too many viewers / 同时查看的人太多\n")
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream", "Cache-Control": "no-store", "X-Accel-Buffering": "no"})
        self._viewers += 1
        try:
            await response.prepare(request)
            await response.write(b"retry: 1000\n\n")
            await self._tell(request, response, request.headers.get("Last-Event-ID") or request.query.get("since", ""))
        except ConnectionError:
            pass  # the viewer has gone
        finally:
            self._viewers -= 1
        return response

    async def _tell(self, request: web.Request, response: web.StreamResponse, told: str) -> None:
        sent_s = time.monotonic()
        while not self.stopping.is_set() and is_still_in(request):
            with self.city.lock:
                missing, newest = self.city.log.after(told), self.city.log.newest_id
            if missing is None:
                await response.write(b"id: %b\nevent: fresh\ndata: {}\n\n" % newest.encode())
            elif missing:
                await response.write(b"".join(as_seen(request, event).as_sent() for event in missing))
            elif time.monotonic() - sent_s > WAITED_S / 2:
                await response.write(b": still here\n\n")
            if told != newest or missing is None:
                sent_s = time.monotonic()
            told = newest
            await self._wait()

    async def tile(self, request: web.Request) -> web.StreamResponse:
        """A tile of the base map."""
        theme, (zoom, column, row) = request.match_info["theme"], (int(request.match_info[name]) for name in ("zoom", "column", "row"))
        if theme not in INKS or not LEAST_ZOOM <= zoom <= ZOOM or not (column < 2**zoom and row < 2**zoom):
            raise web.HTTPNotFound(text="no such tile\n")
        image = await asyncio.to_thread(self.city.basemap.tile, theme, zoom, column, row)
        return web.Response(body=image, content_type="image/png", headers={"Cache-Control": "private, max-age=3600"})

    async def answer(self, request: web.Request) -> web.StreamResponse:
        """Publish what somebody says of an incident."""
        access, visitor = request.app[ACCESS], visitor_of(request)
        try:
            asked = await asked_of(request)
            key, value = answer_record({**asked, "by": visitor.name or asked.get("by")}, now_ms())
        except Malformed as error:
            return refusal(400, str(error))
        incident = self.city.incident(key.decode())
        if incident is None:
            return refusal(404, "no such incident / 没有这个事件")
        if decides(asked) and not incident["objected"]:
            return refusal(409, f"{NOTHING_TO_DECIDE.en} / {NOTHING_TO_DECIDE.zh}")
        try:
            await access.publish(value, lambda: self.feed.answer(key, value))
        except YichengError as error:
            return refusal(503 if isinstance(error, Unavailable) else 409, str(error))
        return json_reply(value)


def _number(request: web.Request, name: str) -> int:
    text = request.query.get(name, "0")
    return int(text) if text.isascii() and text.isdigit() and len(text) < 16 else 0


def _zoom(request: web.Request) -> int:
    """The whole zoom of a map; that of points where it is not given."""
    match = re.fullmatch(r"(\d{1,2})(\.\d*)?", request.query.get("zoom", ""), re.ASCII)
    return int(match[1]) if match else BELOW_ZOOM


def _found(data: dict[str, Any] | None) -> web.Response:
    return refusal(404, "nothing is known of this / 没有相关记录") if data is None else json_reply(orjson.dumps(data))


def _static_files() -> Iterator[tuple[str, tuple[str, str, bytes]]]:
    """Each file's content type, tag and content, packed once; MapLibre comes from the wheel that brings it (which is not imported)."""
    found = importlib.util.find_spec("maplibre")
    folders = [Path(place) / "srcjs" for place in (found.submodule_search_locations or ())] if found else []
    for path in [*sorted(STATIC.iterdir()), *(folder / name for folder in folders for name in VENDOR)]:
        if path.suffix in TYPES:
            data = path.read_bytes()
            yield path.name, (TYPES[path.suffix], f'"{hash(data):x}"', gzip.compress(data, 6))


async def add_headers(request: web.Request, response: web.StreamResponse) -> None:
    """What every answer says to browsers."""
    response.headers.update(HEADERS)
