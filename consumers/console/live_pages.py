"""What the Live view asks beyond its state: where and when incidents happen, and who was notified of one."""

from __future__ import annotations

import asyncio
from pathlib import Path

import orjson
from aiohttp import web

from consumers.console.city import City
from consumers.console.deliveries import deliveries_of
from consumers.console.heat import heat
from consumers.console.replies import json_reply


class LivePages:
    """Answers about a city, and about the deliveries of the notifier whose state is near a folder."""

    def __init__(self, city: City, state_dir: Path) -> None:
        self.city, self.state_dir = city, state_dir

    def routes(self) -> list[web.RouteDef]:
        """What is asked where."""
        return [web.get("/api/heat", self.heat), web.get("/api/deliveries", self.deliveries)]

    async def heat(self, request: web.Request) -> web.StreamResponse:
        """Counts of the incidents that stand by cell, local hour and rule."""
        return json_reply(await asyncio.to_thread(self._heat))

    def _heat(self) -> bytes:
        with self.city.lock:
            upheld, timezone = self.city.incidents.upheld(), self.city.registry.timezone
        return orjson.dumps(heat(upheld, timezone))

    async def deliveries(self, request: web.Request) -> web.StreamResponse:
        """Who was notified of an incident, when, with what result."""
        incident_id = request.query.get("id", "")
        if self.city.incident(incident_id) is None:
            raise web.HTTPNotFound(text="no such incident / 没有这个事件\n")
        return json_reply(await asyncio.to_thread(lambda: orjson.dumps(deliveries_of(self.state_dir, incident_id))))
