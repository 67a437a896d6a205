"""What those ask who log in or out, who want to know who they are, or who unmask a vehicle or an incident."""

from __future__ import annotations

import asyncio
import contextlib
import math
from typing import Any

import orjson
from aiohttp import web

from consumers.console.accounts.access import ACCESS, COOKIE, PLAIN, VISITOR, Access, require, visitor_of
from consumers.console.accounts.sessions import LONGEST_S, BackOff
from consumers.console.accounts.users import NAME, Role
from consumers.console.city.city import City
from consumers.console.replies import asked_of, json_reply, line_in, refusal
from streams.errors import Unavailable
from streams.wire.answers import LONGEST_REASON
from streams.wire.decode import Malformed
from streams.wire.ids import is_id

WRONG = "no such name, or another password / 用户名或密码不正确"


class LogIn:
    """Begins and ends sessions; failures are slowed by name and by address, whether or not there is such a name."""

    def __init__(self, access: Access) -> None:
        self.access, self.back_off = access, BackOff()

    def routes(self) -> list[web.RouteDef]:
        """What is asked where."""
        return [web.get("/api/me", self.me), web.post("/api/login", self.log_in), web.post("/api/logout", self.log_out)]

    async def me(self, request: web.Request) -> web.StreamResponse:
        """Name and role of whoever asks; no role: they have yet to log in. ``login``: whether anybody has to; ``ended``: this browser had a session."""
        visitor = request.get(VISITOR)
        found = {"login": self.access.wants_login, "password": self.access.users is not None, "provider": self.access.has_provider, "name": visitor and visitor.name, "role": visitor and visitor.role}
        found["ended"] = visitor is None and COOKIE in request.cookies
        return json_reply(orjson.dumps({**found, "masked": sorted(visitor.what) if visitor else []}))

    async def log_in(self, request: web.Request) -> web.StreamResponse:
        """Begin a session; its id is in a cookie that no script reads."""
        access = self.access
        if access.users is None:
            return refusal(404, "nobody logs in here with a password / 此处不使用密码登录")
        try:
            asked = await asked_of(request)
        except Malformed as error:
            return refusal(400, str(error))
        name, password = line_in(asked, "name"), asked.get("password")
        if not NAME.fullmatch(name) or not isinstance(password, str):
            return refusal(401, WRONG)
        address, now_s = access.address(request), access.clock()
        keys = (f"name {name}", f"address {address}")
        if wait_s := max(self.back_off.wait_s(key, now_s) for key in keys):
            return self._to_wait(math.ceil(wait_s))
        for key in keys:  # until it is known to be right it counts as wrong: many at once are slowed, too
            self.back_off.failed(key, now_s)
        users = access.users.current()
        try:
            user = await access.passwords.user(users, name, password)
            await access.write_down("login" if user else "login refused", name if name in users else None, address=address)
        except Unavailable as error:
            return refusal(503, str(error))
        if user is None:
            return refusal(401, WRONG)
        for key in keys:
            self.back_off.succeeded(key)
        return self.welcome(request, user.name, user.role, user.password)

    def welcome(self, request: web.Request, name: str, role: Role, password: str | None) -> web.Response:
        """The answer with which a session begins; one that this browser had ends."""
        access = self.access
        access.sessions.end(request.cookies.get(COOKIE, ""))
        session_id = access.sessions.begin(name, role, password, access.clock())
        response = json_reply(orjson.dumps({"name": name, "role": role}))
        response.set_cookie(COOKIE, session_id, max_age=int(LONGEST_S), path="/", httponly=True, samesite="Strict", secure=access.is_secure)
        return response

    async def log_out(self, request: web.Request) -> web.StreamResponse:
        """End the session, if there is one."""
        self.access.sessions.end(request.cookies.get(COOKIE, ""))
        if (visitor := request.get(VISITOR)) is not None and visitor.name is not None:
            with contextlib.suppress(Unavailable):  # who wants to go may go
                await self.access.write_down("logout", visitor.name, address=self.access.address(request))
        response = json_reply(b"{}")
        response.del_cookie(COOKIE, path="/", httponly=True, samesite="Strict", secure=self.access.is_secure)
        return response

    def _to_wait(self, wait_s: int) -> web.Response:
        response = refusal(429, f"too many attempts; try again in {wait_s} s / 尝试次数过多，请在{wait_s}秒后重试")
        response.headers["Retry-After"] = str(wait_s)
        return response


class Unmask:
    """Shows officers and admins one record as it is, once they have said why."""

    def __init__(self, city: City) -> None:
        self.city = city

    def routes(self) -> list[web.RouteDef]:
        """What is asked where."""
        return [web.post("/api/unmask", self.unmask)]

    async def unmask(self, request: web.Request) -> web.StreamResponse:
        """The record of a vehicle (``vehicle_id``) or an incident (``incident_id``); the ``reason`` is in the audit log before it is shown."""
        require(request, "officer")
        try:
            about, reason = _about(asked := await asked_of(request)), line_in(asked, "reason")
        except Malformed as error:
            return refusal(400, str(error))
        if not 0 < len(reason) <= LONGEST_REASON:
            return refusal(400, f"a reason of at most {LONGEST_REASON} characters is needed / 请填写原因，最多{LONGEST_REASON}字")
        (kind, name), = about.items()
        found = await asyncio.to_thread(self.city.vehicle if kind == "vehicle_id" else self.city.incident, name)
        if found is None:
            return refusal(404, "nothing is known of this / 没有相关记录")
        try:
            await request.app[ACCESS].write_down("unmasked", visitor_of(request).name, **about, reason=reason)
        except Unavailable as error:
            return refusal(503, str(error))
        response = json_reply(orjson.dumps(found))
        response[PLAIN] = True
        return response


def _about(asked: dict[str, Any]) -> dict[str, str]:
    given: dict[str, str] = {name: asked[name] for name in ("vehicle_id", "incident_id") if name in asked}
    if len(given) != 1 or not all(isinstance(value, str) and is_id(value) for value in given.values()):
        raise Malformed("one vehicle_id or incident_id is expected / 须指明一辆车或一个事件")
    return given
