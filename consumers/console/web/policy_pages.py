"""What the view of the policy asks: what applies somewhere, the pack's zones to draw from, what is wrong with drawn ones, and who would be inside."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Callable
from typing import Any

import orjson
from aiohttp import web

from consumers.console.accounts.access import require, write_export
from consumers.console.city.city import City
from consumers.console.city.drafts import check_draft, zone_file_text
from consumers.console.city.places import Sentences, applies
from consumers.console.fleet.inside import Snapshot, snapshot_of_fixes, snapshot_of_fleet, who_is_inside
from consumers.console.fleet.positions import SILENT_MS
from consumers.console.replies import json_reply, refusal
from consumers.console.web.pages import Feed
from streams.clock import DAY_MS, MINUTE_MS, now_ms
from streams.errors import BadInput, Unavailable, YichengError
from streams.policy.checks import MOST_PACK_BYTES
from streams.policy.policy import Policies
from streams.registry.registry import Registry

LARGEST_BODY_BYTES = 2 * MOST_PACK_BYTES
SNAPSHOTS_KEPT_MS = MINUTE_MS
"""The fixes of a day ago are read once a minute at most, however often somebody asks."""


class PolicyPages:
    """Answers the questions of the policy's view about a city; ``sentences`` are those of ``policy check``."""

    def __init__(self, city: City, feed: Feed, sentences: Sentences) -> None:
        self.city, self.feed, self.sentences = city, feed, sentences
        self._reading = asyncio.Lock()
        self._yesterday: Snapshot | None = None
        self._asked_for_ms = 0

    def routes(self) -> list[web.RouteDef]:
        """What is asked where."""
        return [
            web.get("/api/policy/applies", _told(self.applies)), web.get("/api/policy/zones", _told(self.zones)),
            web.post("/api/policy/check", _told(self.check)), web.post("/api/policy/export", _told(self.export)),
            web.post("/api/policy/inside", _told(self.inside)),
        ]  # fmt: skip

    def _policies(self) -> Policies:
        with self.city.lock:
            policies = self.city.policies
        if policies is None:
            raise Unavailable("no pack is published yet / 尚未发布政策包")
        return policies

    async def applies(self, request: web.Request) -> dict[str, Any]:
        """What applies at a place (``lon``, ``lat``) and a local time (``at``)."""
        lon, lat = (_degrees(request.query.get(name, "")) for name in ("lon", "lat"))
        return await asyncio.to_thread(self._applies, lon, lat, request.query.get("at", ""))

    def _applies(self, lon: float, lat: float, moment: str) -> dict[str, Any]:
        with self.city.lock:  # a policy remembers its last answers
            return applies(self._policies(), self.sentences, lon, lat, moment)

    async def zones(self, request: web.Request) -> dict[str, Any]:
        """The zone file of the newest version, from which drafts begin."""
        policy = self._policies().newest
        text = policy.pack.source.get("geojson") or '{"type":"FeatureCollection","features":[]}'
        return {
            "policy": policy.name, "file": policy.pack.zones or f"{policy.name}.geojson", "collection": orjson.loads(text.removeprefix("\ufeff")),
            "kinds": sorted({kind for kind in policy.zone_kinds.values() if kind}),
        }  # fmt: skip

    async def check(self, request: web.Request) -> dict[str, Any]:
        """What is wrong with drawn zones, and how large each is. For admins."""
        return {**await self._checked(request), "text": None}

    async def export(self, request: web.Request) -> dict[str, Any]:
        """The same, and the file's text where nothing is wrong, which is written down. For admins."""
        found = await self._checked(request)
        if found["text"] is not None:
            await write_export(request, f"zones of {self._policies().newest.name}", zones=len(found["areas_m2"]))
        return found

    async def _checked(self, request: web.Request) -> dict[str, Any]:
        require(request, "admin")
        return await asyncio.to_thread(check_draft, self._policies().newest, await _collection(request))

    async def inside(self, request: web.Request) -> dict[str, Any]:
        """Who is inside of drawn zones now, and who was yesterday at this hour. For admins."""
        require(request, "admin")
        text = zone_file_text(await _collection(request))
        with self.city.lock:
            now = snapshot_of_fleet(self.city.fleet, self.city.stream_ms or now_ms())
            registry = self.city.registry
        try:
            then, problem = await self._a_day_before(now.at_ms), None
        except Unavailable as error:
            then, problem = None, str(error)
        return {**await asyncio.to_thread(_both, text, now, then, registry), "problem": problem}

    async def _a_day_before(self, at_ms: int) -> Snapshot:
        async with self._reading:
            if self._yesterday is None or not 0 <= at_ms - self._asked_for_ms < SNAPSHOTS_KEPT_MS:
                until_ms = at_ms - DAY_MS
                past = await asyncio.to_thread(self.feed.past, until_ms - SILENT_MS, until_ms)
                self._yesterday = await asyncio.to_thread(snapshot_of_fixes, past.fixes(), past.until_ms, is_whole=past.is_whole)
                self._asked_for_ms = at_ms
            return self._yesterday


def _both(text: str, now: Snapshot, then: Snapshot | None, registry: Registry) -> dict[str, Any]:
    return {"now": who_is_inside(text, now, registry), "yesterday": who_is_inside(text, then, registry) if then else None}


def _told(ask: Callable[[web.Request], Awaitable[dict[str, Any]]]) -> Callable[[web.Request], Awaitable[web.Response]]:
    """A question's answer as JSON; what is wrong with the question as one sentence."""

    async def answer(request: web.Request) -> web.Response:
        try:
            return json_reply(orjson.dumps(await ask(request)))
        except YichengError as error:
            return refusal(503 if isinstance(error, Unavailable) else 400, str(error))

    return answer


async def _collection(request: web.Request) -> dict[str, Any]:
    """The FeatureCollection in a request's body."""
    try:
        body = await request.content.readexactly(LARGEST_BODY_BYTES)
    except asyncio.IncompleteReadError as error:
        body = error.partial
    try:
        found = orjson.loads(body)
        orjson.dumps(found)  # what is nested too deep cannot be written
    except (orjson.JSONDecodeError, orjson.JSONEncodeError):
        raise BadInput(f"not JSON, or more than {LARGEST_BODY_BYTES:,} bytes / 不是 JSON，或超过 {LARGEST_BODY_BYTES:,} 字节") from None
    if not isinstance(found, dict) or not isinstance(found.get("features"), list):
        raise BadInput("not a GeoJSON FeatureCollection / 不是 GeoJSON FeatureCollection")
    return found


def _degrees(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return math.nan
