"""What the Replay view asks: which hours there are, vehicles by id or plate, the ways of an hour, and files of them."""

from __future__ import annotations

import asyncio
import re
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from typing import Any, NamedTuple

import orjson
from aiohttp import web

from consumers.console.accounts.access import require, visitor_of, write_export
from consumers.console.city.city import City
from consumers.console.city.zones import zone_shapes, zone_states
from consumers.console.fleet.replay import MOST_VEHICLES, STOP_MS, STOP_RADIUS_M, Hour, Way, as_shown, geojson, gpx
from consumers.console.fleet.tracks import thinned
from consumers.console.replies import json_reply, refusal
from consumers.console.web.pages import Feed
from streams.clock import HOUR_MS, MINUTE_MS, local_datetime, now_ms
from streams.errors import YichengError
from streams.policy.policy import Policies
from streams.registry.records import Vehicle
from streams.wire.decode import Malformed
from streams.wire.ids import is_id

KEPT_S, MOST_KEPT = 120.0, 50
"""A vehicle's hour is remembered for so long, so that a file of it holds what the page shows."""
AT_ONCE, MOST_WAITING = 2, 10
"""So many readings go on beside each other, and so many may wait."""
MOST_OFFERED = 20
Remembered = tuple[float, Way, list[dict[str, str]]]
"""Until when it is remembered (s), a way, and what could not be told of it."""


class Asked(NamedTuple):
    """A question: from when on (ms), of which vehicles."""

    from_ms: int
    vehicle_ids: tuple[str, ...]


class ReplayPages:
    """Answers questions about the hours that a feed can still read; ``is_stopping`` ends readings early."""

    def __init__(self, city: City, feed: Feed, is_stopping: Callable[[], bool]) -> None:
        self.city, self.feed, self.is_stopping = city, feed, is_stopping
        self._turn = asyncio.Semaphore(AT_ONCE)
        self._waiting = 0
        self._kept: dict[tuple[int, str], Remembered] = {}
        self._lock = threading.Lock()

    def routes(self) -> list[web.RouteDef]:
        """What is asked where."""
        return [
            web.get("/api/replay/hours", self.hours), web.get("/api/replay/vehicles", self.vehicles), web.get("/api/replay/ways", self.ways),
            web.get("/api/track", self.track), web.get("/api/replay/export.geojson", self.as_geojson), web.get("/api/replay/export.gpx", self.as_gpx),
        ]  # fmt: skip

    async def hours(self, request: web.Request) -> web.StreamResponse:
        """The first and last minute at which a replay can begin, the one that is offered, in the city's local time, and what counts as a stop."""
        try:
            first_ms, last_ms = await asyncio.to_thread(self.feed.span_ms)
        except YichengError as error:
            return _refusal(error)
        offered_ms = max(first_ms, min(last_ms, self.city.stream_ms or last_ms) - HOUR_MS)
        return json_reply(orjson.dumps({
            "first": self._local(first_ms), "last": self._local(last_ms), "offered": self._local(offered_ms), "most_vehicles": MOST_VEHICLES,
            "stop_radius_m": STOP_RADIUS_M, "stop_minutes": STOP_MS // MINUTE_MS,
        }))  # fmt: skip

    async def vehicles(self, request: web.Request) -> web.StreamResponse:
        """Ids and plates of the vehicles whose number has a text in it, or whose plate, for those who see plates."""
        by_plate = "plate" not in visitor_of(request).what
        return json_reply(orjson.dumps(await asyncio.to_thread(self._offered, request.query.get("q", "").strip().lower(), by_plate)))

    async def ways(self, request: web.Request) -> web.StreamResponse:
        """The ways of vehicles in an hour with their stops, and what zones forbade then."""
        try:
            hour = await self._hour(request)
        except (Malformed, YichengError) as error:
            return _refusal(error)
        return json_reply(orjson.dumps(await asyncio.to_thread(self._shown, hour)))

    async def track(self, request: web.Request) -> web.StreamResponse:
        """The way of a vehicle (``id``) in the hour before the console began to follow the fixes, thinned as tracks are; none once that is over an hour ago."""
        name, from_ms = request.query.get("id", ""), self._unfollowed_ms()
        if from_ms is None or not is_id(name):
            return json_reply(orjson.dumps({"points": []}))
        try:
            hour = await self._in_turn(Asked(from_ms, (name,)))
        except YichengError as error:
            return _refusal(error)
        return json_reply(orjson.dumps({"points": thinned(as_shown(hour.ways[0])["points"])}))

    def _unfollowed_ms(self) -> int | None:
        """The beginning of the hour before the console's first fixes (ms), as long as that counts; None in a recorded day, which begins with them."""
        with self.city.lock:
            since_ms, reached_ms = self.city.followed_from_ms or now_ms() // MINUTE_MS * MINUTE_MS, self.city.stream_ms
        return None if self.city.replaying or reached_ms - since_ms > HOUR_MS else since_ms - HOUR_MS

    async def as_geojson(self, request: web.Request) -> web.StreamResponse:
        """The same as a file of GeoJSON."""
        return await self._file(request, "geojson", "application/geo+json", lambda hour: orjson.dumps(geojson(hour)))

    async def as_gpx(self, request: web.Request) -> web.StreamResponse:
        """The same as a file of GPX."""
        return await self._file(request, "gpx", "application/gpx+xml", gpx)

    async def _file(self, request: web.Request, suffix: str, kind: str, made: Callable[[Hour], bytes]) -> web.StreamResponse:
        require(request, "officer")
        try:
            hour = await self._hour(request)
            await write_export(request, f"{suffix} of {self._local(hour.from_ms)}", vehicles=", ".join(way.vehicle_id for way in hour.ways))
        except (Malformed, YichengError) as error:
            return _refusal(error)
        name = f"yicheng-{self._local(hour.from_ms).replace(':', '')}.{suffix}"
        return web.Response(body=await asyncio.to_thread(made, hour), content_type=kind, headers={"Content-Disposition": f'attachment; filename="{name}"', "Cache-Control": "no-store"})

    async def _hour(self, request: web.Request) -> Hour:
        """The hour that is asked for; ``Malformed`` and ``YichengError`` say what is wrong with the question, or why there is no answer."""
        first_ms, last_ms = await asyncio.to_thread(self.feed.span_ms)
        return await self._in_turn(self._asked(request, first_ms, last_ms))

    async def _in_turn(self, asked: Asked) -> Hour:
        """An hour, once it is its turn."""
        if self._waiting >= MOST_WAITING:
            raise YichengError("too many hours are being read at once; try again in a moment / 同时回放的人太多，请稍后再试")
        self._waiting += 1
        try:
            async with self._turn:
                return await asyncio.to_thread(self._read, asked)
        finally:
            self._waiting -= 1

    def _read(self, asked: Asked) -> Hour:
        known = self._remember({})
        missing = [name for name in asked.vehicle_ids if (asked.from_ms, name) not in known]
        if missing:
            hour = self.feed.hour(missing, asked.from_ms, self.is_stopping)
            until_s = time.monotonic() + KEPT_S
            read = {(asked.from_ms, way.vehicle_id): (until_s, way, hour.notes) for way in hour.ways}
            self._remember(read)
            known |= read
        found = [known[asked.from_ms, name] for name in asked.vehicle_ids]
        notes = {note["en"]: note for _, _, said in found for note in said}
        return Hour(asked.from_ms, [way for _, way, _ in found], list(notes.values()))

    def _remember(self, read: Mapping[tuple[int, str], Remembered]) -> dict[tuple[int, str], Remembered]:
        """Keep what was read for a while, beside what other readings have brought meanwhile; returns all that is kept."""
        with self._lock:
            now_s = time.monotonic()
            fresh = {**{key: kept for key, kept in self._kept.items() if kept[0] > now_s}, **read}
            self._kept = dict(list(fresh.items())[-MOST_KEPT:])
            return dict(self._kept)

    def _asked(self, request: web.Request, first_ms: int, last_ms: int) -> Asked:
        text = request.query.get("hour", "")
        if not re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d", text, re.ASCII):
            raise Malformed("hour is a local time such as 2026-06-25T12:00 / 起始时间应为当地时间，例如 2026-06-25T12:00")
        try:
            from_ms = int(datetime.fromisoformat(text).replace(tzinfo=self.city.registry.timezone).timestamp() * 1000)
        except (ValueError, OverflowError):
            raise Malformed(f"{text} is no time that there is / 没有这个时间：{text}") from None
        if not first_ms - MINUTE_MS < from_ms <= last_ms:
            first, last = (self._local(moment).replace("T", " ") for moment in (first_ms, last_ms))
            raise Malformed(f"only hours from {first} to {last} can be replayed / 只能回放 {first} 至 {last}")
        names = tuple(dict.fromkeys(request.query.getall("v", [])))
        if not all(map(is_id, names)):
            raise Malformed("v is a vehicle's number / v 应为车辆编号")
        if not 0 < len(names) <= MOST_VEHICLES:
            raise Malformed(f"choose 1 to {MOST_VEHICLES} vehicles / 请选择 1 至 {MOST_VEHICLES} 辆车")
        return Asked(from_ms, names)

    def _local(self, time_ms: int) -> str:
        """An instant in the city's local time, to the minute."""
        return local_datetime(time_ms, self.city.registry.timezone).strftime("%Y-%m-%dT%H:%M")

    def _offered(self, text: str, by_plate: bool) -> list[dict[str, Any]]:
        with self.city.lock:
            known = dict(zip(self.city.fleet.ids, self.city.fleet.plates, strict=True))
            known |= {entry.id: entry.plate or known.get(entry.id) for entry in self.city.registry.each("vehicle") if isinstance(entry, Vehicle)}
        fitting = sorted((name, plate) for name, plate in known.items() if text in name.lower() or (by_plate and text in (plate or "").lower()))
        return [{"vehicle_id": name, "plate": plate} for name, plate in fitting[:MOST_OFFERED]]

    def _shown(self, hour: Hour) -> dict[str, Any]:
        with self.city.lock:
            entries = [self.city.registry.at("vehicle", way.vehicle_id, hour.from_ms) for way in hour.ways]
            zones = list(_zones_shown(self.city.policies, hour.from_ms, self.city.stream_ms or now_ms())) if self.city.policies else []
        vehicles = [{**as_shown(way), "plate": getattr(entry, "plate", None) or way.plate} for way, entry in zip(hour.ways, entries, strict=True)]
        return {"from_ms": hour.from_ms, "until_ms": hour.from_ms + HOUR_MS, "vehicles": vehicles, "zones": zones, "notes": hour.notes}


def zones_of_hour(policies: Policies, from_ms: int) -> Iterator[tuple[int, list[dict[str, Any]]]]:
    """What zones forbid from an instant on, and from each further one at which that may change within the hour."""
    moment = from_ms
    while moment < from_ms + HOUR_MS:
        yield moment, zone_states(policies, moment)
        moment = policies.period_ms(moment)[1]


def _zones_shown(policies: Policies, from_ms: int, at_ms: int) -> Iterator[tuple[int, list[dict[str, Any]], dict[str, Any] | None]]:
    """The same, with their shapes where the version of then is not the one whose shapes pages have, since it counts at ``at_ms``."""
    for moment, states in zones_of_hour(policies, from_ms):
        yield moment, states, None if policies.at(moment) is policies.at(at_ms) else zone_shapes(policies, moment)


def _refusal(error: Exception) -> web.Response:
    return refusal(400 if isinstance(error, Malformed) else 503, str(error))
