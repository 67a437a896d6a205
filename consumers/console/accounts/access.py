"""Who looks at the console, and what each may do.

On this machine only and without users nobody logs in: whoever sees the page may do everything, and nothing is masked. With users everybody logs in, here too:
a viewer looks, at masked plates and drivers, and posts nothing; an officer sees plates, answers, and unmasks drivers with a reason; an admin may also do what
``require(request, "admin")`` guards. What is not opened to all here is closed: a view that is added later needs nothing of its own to be safe.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable
from typing import NamedTuple
from urllib.parse import urlsplit

import orjson
import structlog
from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from consumers.audit import FILE, Audit
from consumers.console.accounts.masked import MASKED_FOR, PLATE, masked_event, masked_json, may_be_opened
from consumers.console.accounts.passwords import Passwords
from consumers.console.accounts.sessions import Sessions
from consumers.console.accounts.users import ROLES, Role, UsersFile
from consumers.console.city.history import Told
from consumers.console.replies import refusal
from consumers.masking import Masked
from streams.errors import BadInput, Unavailable, YichengError
from streams.process.pages import is_loopback
from streams.settings import Settings
from streams.wire.answers import read_answer

log = structlog.get_logger()

COOKIE = "yicheng_session"
OPEN_PATHS = ("/static/", "/vendor/", "/oidc/")
OPEN_PAGES = frozenset({"/", "/api/login", "/api/logout", "/api/me", "/healthz", "/readyz"})
MASKED_STREAMS = frozenset({"/api/events"})
LOG_IN = "log in first; a session ends after 12 hours, or 30 minutes after its page was closed / 请先登录；会话在12小时后、或页面关闭30分钟后结束"
VIEWERS_LOOK = "your role is viewer, and viewers only look; an admin can give you another / 您的角色是查看者，只能查看；可请管理员更改角色"


class Visitor(NamedTuple):
    """Who asks: the name, None where nobody logs in; the role; what is masked."""

    name: str | None
    role: Role
    what: frozenset[Masked]


EVERYBODY = Visitor(None, "admin", frozenset())
"""Whoever sits at this machine, where there are no users."""
VISITOR = web.RequestKey("visitor", Visitor)
PLAIN = web.ResponseKey("plain", bool)
"""Of an answer that was unmasked on purpose, and written down."""


class Access:
    """Users, sessions and the audit log of one console."""

    def __init__(self, settings: Settings, clock: Callable[[], float] = time.monotonic) -> None:
        self.users = UsersFile(settings.console_users) if settings.console_users is not None else None
        self.has_provider = settings.console_oidc_issuer is not None
        self.url, self.proxy = settings.console_url, settings.console_proxy
        self.sessions, self.passwords, self.clock = Sessions(), Passwords(), clock
        self.audit = Audit(settings.state_dir / FILE)

    @property
    def wants_login(self) -> bool:
        """Whether there are users, or a provider that knows them."""
        return self.users is not None or self.has_provider

    @property
    def is_secure(self) -> bool:
        """Whether browsers reach the console by https, as its setting says; what a request claims of that is not believed."""
        return (self.url or "").startswith("https://")

    def visitor(self, request: web.Request) -> Visitor | None:
        """Who asks; None where that is not known, and has to be."""
        if not self.wants_login:
            return EVERYBODY
        session = self.sessions.find(request.cookies.get(COOKIE, ""), self.clock())
        if session is None:
            return None
        role = session.role
        if session.password is not None:  # whoever is taken from the file, or gets another password there, is out at once
            user = self.users.current().get(session.name) if self.users else None
            if user is None or user.password != session.password:
                return None
            role = user.role
        return Visitor(session.name, role, MASKED_FOR[role])

    def address(self, request: web.Request) -> str:
        """From where a request came: what the proxy of the settings says, else the connection's other end."""
        peer = request.remote or "?"
        if self.proxy is not None and peer == self.proxy:
            return request.headers.get("X-Forwarded-For", peer).rpartition(",")[2].strip()[:64] or peer
        return peer

    async def write_down(self, action: str, by: str | None, **about: str | int | None) -> None:
        """A line of the audit log; ``Unavailable`` where it could not be written: then nothing is done either."""
        try:
            await asyncio.to_thread(self.audit.append, action, by, **about, through="console")
        except OSError as error:
            raise Unavailable(f"the audit log cannot be written ({error.strerror}), so nothing was done / 审计日志无法写入，操作未执行") from None

    async def publish(self, record: bytes, send: Callable[[], None]) -> None:
        """Send an answer's record once it is in the audit log, and say there where it was not taken. Raises what ``send`` raises."""
        answer = read_answer(record)
        await self.write_down(answer.action, answer.by, incident_id=answer.incident_id)
        try:
            await asyncio.to_thread(send)
        except YichengError:
            with contextlib.suppress(Unavailable):
                await self.write_down("not published", answer.by, incident_id=answer.incident_id)
            raise


ACCESS = web.AppKey("access", Access)


def visitor_of(request: web.Request) -> Visitor:
    """Who asks."""
    return request[VISITOR]


def role_of(request: web.Request) -> Role:
    """The role of whoever asks."""
    return visitor_of(request).role


def require(request: web.Request, role: Role) -> None:
    """403, with a sentence, for whoever has a lesser role."""
    if ROLES.index(role_of(request)) < ROLES.index(role):
        message = f"this is for the role {role}; yours is {role_of(request)} / 需要角色 {role}，您的角色是 {role_of(request)}"
        raise web.HTTPForbidden(body=orjson.dumps({"error": message}), content_type="application/json")


async def write_export(request: web.Request, what: str, **about: str | int | None) -> None:
    """Write down that somebody takes a file along; to be called before it is made. ``Unavailable`` where that could not be written."""
    await request.app[ACCESS].write_down("exported", visitor_of(request).name, what=what, **about)


def is_still_in(request: web.Request) -> bool:
    """Whether the session of a request that takes long still holds, with the same role."""
    return request.app[ACCESS].visitor(request) == visitor_of(request)


def page_of(request: web.Request) -> str:
    """The page for whoever has logged in, or the one to log in on."""
    return "index.html" if VISITOR in request else "login.html"


def as_seen(request: web.Request, told: Told) -> Told:
    """An event as whoever asks may see it."""
    what = visitor_of(request).what
    return masked_event(told, what) if what else told


@web.middleware
async def log_in_first(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Refuses who has not logged in or may not, and masks what is answered."""
    visitor, is_open = request.app[ACCESS].visitor(request), request.path in OPEN_PAGES or request.path.startswith(OPEN_PATHS)
    if visitor is not None:
        request[VISITOR] = visitor
    if is_open:
        return await handler(request)
    if visitor is None:
        return refusal(401, LOG_IN)
    if visitor.role == "viewer" and request.method not in {"GET", "HEAD"}:
        return refusal(403, VIEWERS_LOOK)
    if visitor.role == "viewer" and any(map(PLATE.search, request.query.values())):
        return refusal(403, "viewers cannot search by plate / 查看者不能按车牌查询")
    return await _as_masked(request, visitor, await handler(request))


async def _as_masked(request: web.Request, visitor: Visitor, response: web.StreamResponse) -> web.StreamResponse:
    if not visitor.what or not isinstance(response, web.Response) or response.get(PLAIN):
        return response
    if visitor.role == "viewer" and not may_be_opened(response.content_type):
        return refusal(403, "viewers get no exports: they hold plates / 查看者不能导出：其中含有车牌")
    if response.content_type.endswith("json") and isinstance(response.body, bytes):
        response.body = await asyncio.to_thread(masked_json, response.body, request.path, visitor.what)
    return response


async def refuse_streams(request: web.Request, response: web.StreamResponse) -> None:
    """Streams are sent as they are made, so viewers get those alone that mask what they send (``as_seen``)."""
    visitor = request.get(VISITOR)
    if visitor is not None and visitor.role == "viewer" and not isinstance(response, web.Response) and request.path not in MASKED_STREAMS:
        raise web.HTTPForbidden(text="viewers get no exports: they hold plates / 查看者不能导出：其中含有车牌\n")


def check_access(settings: Settings) -> None:
    """``BadInput`` where others than this machine could look and nobody would have to log in; a warning where passwords would travel for all to read."""
    if is_loopback(settings.console_host):
        return
    if settings.console_users is None and settings.console_oidc_issuer is None:
        raise BadInput(
            f"YICHENG_CONSOLE_HOST={settings.console_host}: whoever reaches it would see plates and could answer; name users in a file: YICHENG_CONSOLE_USERS=users.yaml ./yicheng console user NAME"
            " --role admin makes it; or leave 127.0.0.1, and reach it from elsewhere through ssh -L 8080:127.0.0.1:8080"
        )
    if not (settings.console_url or "").startswith("https://"):
        log.warning("passwords travel unencrypted unless a proxy with https stands before the console; name its address in YICHENG_CONSOLE_URL", host=settings.console_host)


def _host_name(request: web.Request) -> str | None:
    """By which name the console is called; None where that is none."""
    try:
        return urlsplit(f"//{request.host}").hostname
    except ValueError:
        return None


def only_ours(settings: Settings) -> Middleware:
    """Refuses what a strange page in the same browser may send: other host names than ours, and posts from elsewhere. Where people log in, a strange name has no cookie, and any that leads here is ours."""
    named = urlsplit(settings.console_url or "")
    names = {settings.console_host, "localhost", "127.0.0.1", "::1", named.hostname} - {None}

    @web.middleware
    async def guard(request: web.Request, handler: Handler) -> web.StreamResponse:
        name = _host_name(request)
        if name not in names and not (settings.console_url is None and request.app[ACCESS].wants_login):
            raise web.HTTPForbidden(text="this address is not ours / 不是本页面的地址\n")
        origin = request.headers.get("Origin", "").partition("://")[2]
        if request.method == "POST" and (request.content_type != "application/json" or origin not in {request.host, named.netloc} - {""}):
            raise web.HTTPForbidden(text="answers are taken from this page only / 只接受本页面的回复\n")
        return await handler(request)

    return guard
