"""What the Live view asks beyond its state: incidents among all that are held, where and when they happen, and who was notified of one."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import orjson
from aiohttp import web

from consumers.console.accounts.access import visitor_of
from consumers.console.city.city import City
from consumers.console.city.heat import heat
from consumers.console.city.incident_search import Question, cursor, question_of, search
from consumers.console.replies import json_reply, refusal
from consumers.console.web.deliveries import deliveries_of
from streams.settings import Settings
from streams.wire.decode import Malformed

NAMED_BY = ("vehicle_id", "outlet_id", "line_id", "enterprise_id", "incident_id")
"""In these, and in plates for those who see them, a text is looked for."""


class LivePages:
    """Answers about a city, and about the deliveries of the notifier that the settings name, or else is near."""

    def __init__(self, city: City, settings: Settings) -> None:
        self.city, self.settings = city, settings

    def routes(self) -> list[web.RouteDef]:
        """What is asked where."""
        return [web.get("/api/incidents", self.incidents), web.get("/api/heat", self.heat), web.get("/api/deliveries", self.deliveries)]

    async def incidents(self, request: web.Request) -> web.StreamResponse:
        """A page of the incidents that fit a question, the newest first, among all that are held."""
        try:
            question = question_of(request.query)
        except Malformed as error:
            return refusal(400, str(error))
        named_by = NAMED_BY if "plate" in visitor_of(request).what else (*NAMED_BY, "plate")
        return json_reply(await asyncio.to_thread(self._incidents, question, named_by))

    def _incidents(self, question: Question, named_by: Sequence[str]) -> bytes:
        with self.city.lock:
            incidents, after = self.city.incidents, self.city.log.newest_id
            order = incidents.order.copy()
        found = search(order, incidents.latest.get, question, named_by)
        return orjson.dumps({"after": after, "rows": [incidents.summary(one) for one in found.rows], "found": found.number, "held": len(order), "before": cursor(found.last)})

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
        return json_reply(await asyncio.to_thread(lambda: orjson.dumps(deliveries_of(self.settings, incident_id))))
