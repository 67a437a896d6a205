"""Logging in by the organisation's OpenID Connect provider: authorization code with PKCE, state and nonce, by authlib.

    browser ── GET /oidc/login ──▶ the provider, which asks who it is ──▶ GET /oidc/callback?code&state ──▶ a session

The role is in a claim of the id token. A session ends after its 12 hours, whatever the provider says meanwhile.
"""

from __future__ import annotations

import asyncio
import secrets
import time
from collections import OrderedDict
from collections.abc import Mapping
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import requests
import structlog
from aiohttp import web
from authlib.common.errors import AuthlibBaseError
from authlib.integrations.requests_client import OAuth2Session
from authlib.oidc.core import CodeIDToken
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet
from joserfc.jws import JWSRegistry

from consumers.console.accounts.access import Access
from consumers.console.accounts.login import LogIn
from consumers.console.accounts.users import ROLES, Role
from streams.errors import BadInput, Unavailable
from streams.files.key_files import read_key_file
from streams.process.pages import is_loopback
from streams.settings import Settings
from streams.wire.ids import is_id
from streams.words.shown import shown

log = structlog.get_logger()

CALLBACK = "/oidc/callback"
COOKIE = "yicheng_oidc"
WITHIN_S, MOST_ATTEMPTS = 600.0, 1_000
"""So long may somebody be at the provider's, and so many at a time; the oldest begin anew."""
ANSWERS_WITHIN_S, KNOWN_FOR_S, LEEWAY_S = 8.0, 3600.0, 60
ALGORITHMS = ["RS256", "PS256", "ES256", "ES384", "EdDSA"]
LONGEST_NAME = 64
_ENTERED = '<!doctype html><html lang="zh-CN"><meta charset="utf-8"><meta http-equiv="refresh" content="0;url=/"><title>驿程 Yicheng</title><p><a href="/">驿程 Yicheng</a></p>'
"""The session's cookie is sent by our own pages only, so one of these leads on, not a redirect that began at the provider's."""


class Attempt(NamedTuple):
    """What was made up for one login, and when (s)."""

    nonce: str
    verifier: str
    began_s: float


class NotEntered(Exception):
    """Why nobody was let in; the page has a sentence for each word."""

    def __init__(self, word: str, reason: str) -> None:
        super().__init__(reason)
        self.word = word


class Provider:
    """An OpenID Connect provider by its discovery document. Calls block for seconds at most, and raise what requests, authlib and joserfc raise."""

    def __init__(self, settings: Settings) -> None:
        self.issuer, self.client_id = (settings.console_oidc_issuer or "").rstrip("/"), settings.console_oidc_client_id
        file = settings.console_oidc_client_secret_file
        self.secret = read_key_file(file, "YICHENG_CONSOLE_OIDC_CLIENT_SECRET_FILE").decode() if file else None
        self.redirect_uri = (settings.console_url or "").rstrip("/") + CALLBACK
        self._known: tuple[float, dict[str, Any]] | None = None

    def begin(self, state: str, attempt: Attempt) -> str:
        """The provider's address to send a browser to."""
        url, _ = self._client().create_authorization_url(self._described()["authorization_endpoint"], state=state, nonce=attempt.nonce, code_verifier=attempt.verifier)
        return str(url)

    def claims(self, code: str, attempt: Attempt) -> Mapping[str, Any]:
        """The checked claims of the id token that a code is worth."""
        described = self._described()
        token = self._client().fetch_token(described["token_endpoint"], grant_type="authorization_code", code=code, code_verifier=attempt.verifier)
        signed = jwt.decode(token["id_token"], KeySet.import_key_set(self._get(described["jwks_uri"])), registry=JWSRegistry(algorithms=ALGORITHMS, strict_check_header=False))
        expected = {"iss": {"essential": True, "value": described["issuer"]}, "aud": {"essential": True, "value": self.client_id}}
        claims = CodeIDToken(signed.claims, signed.header, expected, {"nonce": attempt.nonce, "client_id": self.client_id, "access_token": token.get("access_token")})
        claims.validate(leeway=LEEWAY_S)
        return claims  # type: ignore[no-any-return]

    def _client(self) -> Any:
        return OAuth2Session(
            self.client_id, self.secret, token_endpoint_auth_method="client_secret_basic" if self.secret else "none", scope="openid profile email",
            redirect_uri=self.redirect_uri, code_challenge_method="S256", default_timeout=ANSWERS_WITHIN_S,
        )  # fmt: skip

    def _described(self) -> dict[str, Any]:
        if self._known is None or time.monotonic() - self._known[0] > KNOWN_FOR_S:
            found = self._get(f"{self.issuer}/.well-known/openid-configuration")
            if str(found["issuer"]).rstrip("/") != self.issuer:
                raise ValueError(f"it says that it is {found['issuer']}")
            self._known = time.monotonic(), found
        return self._known[1]

    def _get(self, url: str) -> Any:
        answer = requests.get(url, timeout=ANSWERS_WITHIN_S)
        answer.raise_for_status()
        return answer.json()


class OidcLogIn:
    """Sends browsers to the provider, and begins the session of whoever comes back with its word."""

    def __init__(self, settings: Settings, access: Access, log_in: LogIn) -> None:
        self.access, self.log_in, self.provider, self.role_claim = access, log_in, Provider(settings), settings.console_oidc_role_claim
        self._attempts: OrderedDict[str, Attempt] = OrderedDict()

    def routes(self) -> list[web.RouteDef]:
        """What is asked where."""
        return [web.get("/oidc/login", self.begin), web.get(CALLBACK, self.callback)]

    async def begin(self, request: web.Request) -> web.StreamResponse:
        """On to the provider."""
        state, attempt = secrets.token_urlsafe(32), Attempt(secrets.token_urlsafe(32), secrets.token_urlsafe(48), self.access.clock())
        try:
            url = await _asked(self.provider.begin, state, attempt)
        except NotEntered as error:
            return self._not_entered(error)
        self._attempts[state] = attempt
        if len(self._attempts) > MOST_ATTEMPTS:
            self._attempts.popitem(last=False)
        response = web.Response(status=303, headers={"Location": url, "Cache-Control": "no-store"})
        response.set_cookie(COOKIE, state, max_age=int(WITHIN_S), path="/oidc/", httponly=True, samesite="Lax", secure=self.access.is_secure)
        return response

    async def callback(self, request: web.Request) -> web.StreamResponse:
        """The provider's word: the state has to be the one that this browser was sent away with, and counts once."""
        try:
            attempt = self._attempt(request)
            claims = await _asked(self.provider.claims, request.query.get("code", ""), attempt)
            name = _name(claims)
            role = await self._role(name, claims)
            await self.access.write_down("login", name, address=self.access.address(request), issuer=self.provider.issuer)
        except NotEntered as error:
            return self._not_entered(error)
        except Unavailable as error:
            return self._not_entered(NotEntered("unavailable", str(error)))
        response = self.log_in.welcome(request, name, role, None)
        response.text, response.content_type = _ENTERED, "text/html"
        return response

    def _attempt(self, request: web.Request) -> Attempt:
        state = request.query.get("state", "")
        attempt = self._attempts.pop(state, None) if state and secrets.compare_digest(state.encode(), request.cookies.get(COOKIE, "").encode()) else None
        if attempt is None or self.access.clock() - attempt.began_s > WITHIN_S:
            raise NotEntered("again", "no login of this browser waits for this answer")
        if "code" not in request.query:
            raise NotEntered("refused", f"the provider says {shown(request.query.get('error', 'nothing'))}")
        return attempt

    async def _role(self, name: str, claims: Mapping[str, Any]) -> Role:
        """The highest role that the claim names; that it names none is in the audit log."""
        given = claims.get(self.role_claim)
        named = given if isinstance(given, list) else [given]
        roles = [role for role in ROLES if role in named]
        if not roles:
            await self.access.write_down("login refused", name, issuer=self.provider.issuer)
            raise NotEntered("norole", f"the claim {self.role_claim} names none of {', '.join(ROLES)}")
        return roles[-1]

    def _not_entered(self, error: NotEntered) -> web.Response:
        log.warning("nobody was let in by the provider", issuer=self.provider.issuer, why=error.word, reason=str(error))
        return web.Response(status=303, headers={"Location": f"/?login={error.word}", "Cache-Control": "no-store"})


async def _asked(call: Any, *given: Any) -> Any:
    """What the provider answers; ``NotEntered`` where it does not, or what it says does not hold."""
    try:
        return await asyncio.to_thread(call, *given)
    except (requests.ConnectionError, requests.Timeout) as error:
        raise NotEntered("unavailable", type(error).__name__) from None
    except (requests.RequestException, AuthlibBaseError, JoseError, ValueError, KeyError, TypeError) as error:
        raise NotEntered("refused", shown(f"{type(error).__name__}: {error}")) from None


def _name(claims: Mapping[str, Any]) -> str:
    """What people call whoever has come, else the provider's own id."""
    for claim in ("preferred_username", "email", "sub"):
        name = claims.get(claim)
        if isinstance(name, str) and is_id(name) and len(name) <= LONGEST_NAME and name == " ".join(name.split()):
            return name
    raise NotEntered("refused", "the provider names nobody")


def check_oidc(settings: Settings) -> None:
    """``BadInput`` where a provider is named and something that it needs is not."""
    issuer = settings.console_oidc_issuer
    if issuer is None:
        return
    parts = urlsplit(issuer)
    if parts.scheme != "https" and not is_loopback(parts.hostname or ""):
        raise BadInput("YICHENG_CONSOLE_OIDC_ISSUER: the provider is reached by https, or by http on this machine alone")
    missing = [name for name in ("console_oidc_client_id", "console_url") if getattr(settings, name) is None]
    if missing:
        raise BadInput(f"YICHENG_CONSOLE_OIDC_ISSUER is set without {' and '.join(f'YICHENG_{name.upper()}' for name in missing)}; browsers come back to {CALLBACK} of YICHENG_CONSOLE_URL, which the provider has to allow")
