"""The webhook sink: each CloudEvent posted and signed as Standard Webhooks asks (HMAC-SHA-256 over id, time and body)."""

from __future__ import annotations

import asyncio
import ipaddress
import socket
import ssl
from contextlib import suppress
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from urllib.parse import urlsplit

import aiohttp
import certifi
from aiohttp.abc import ResolveResult
from aiohttp.resolver import ThreadedResolver
from standardwebhooks.webhooks import Webhook

from streams.errors import AskedToWait, BadInput, Unavailable
from streams.settings import address_shown

TIMEOUT_S = 10.0
"""For all of it: looking up the name, connecting, sending, and the answer's head; its body is never read."""
LONGEST_WAIT_S = 900.0
"""Longer than that no receiver is obeyed that asks to wait."""
REFUSED = {400, 409, 410, 413, 415, 422}
"""What says something about the event itself; all other answers may pass, as a wrong key or path does when it is mended."""
_LINK_LOCAL = "169.254.0.0/16", "fe80::/10"


class WebhookSink:
    """Posts incidents; the receiver de-duplicates on ``webhook-id``, which is the CloudEvent's id.

    The address is https, or http to this machine. Private addresses are refused unless ``private``.
    """

    name = "webhook"

    def __init__(self, url: str, secret: str, *, real: bool = False, private: bool = False) -> None:
        self.real = real
        self.where = address_shown(url)
        try:
            self._webhook = Webhook(secret)
        except Exception:  # noqa: BLE001 - the library raises several kinds for a secret it cannot decode
            raise BadInput("YICHENG_WEBHOOK_SECRET is no Standard Webhooks secret (whsec_ and base64)") from None
        host = _checked_host(url, private=private)
        self._url, self._private, self._local = url, private, host == "localhost"
        self._loop = asyncio.new_event_loop()
        self._session: aiohttp.ClientSession | None = None
        self._task: asyncio.Task[tuple[int, str | None]] | None = None
        self._given_up = False

    def deliver(self, event_id: str, body: bytes) -> None:
        """Post one event. ``Unavailable`` where it is to be tried again, ``AskedToWait`` where that is to be later; ``BadInput`` where the event is refused."""
        now = datetime.now(UTC)
        headers = {
            "content-type": "application/cloudevents+json",
            "webhook-id": event_id,
            "webhook-timestamp": str(int(now.timestamp())),
            "webhook-signature": self._webhook.sign(event_id, now, body.decode()),
        }
        try:
            status, retry_after = self._loop.run_until_complete(self._post(body, headers))
        except (aiohttp.ClientError, OSError, TimeoutError, ValueError) as error:
            cause = f"took longer than {TIMEOUT_S:.0f} s" if isinstance(error, TimeoutError) else f"does not answer: {type(error).__name__}"
            raise Unavailable(f"webhook {self.where} {cause}") from None
        except asyncio.CancelledError:
            raise Unavailable(f"webhook {self.where}: given up, as the notifier stops") from None
        self._judge(status, retry_after, now)

    def _judge(self, status: int, retry_after: str | None, now: datetime) -> None:
        if 200 <= status < 300:
            return
        if status in REFUSED:
            raise BadInput(f"webhook {self.where} refused the event with {status}")
        moved = "; redirects are not followed, set YICHENG_WEBHOOK_URL to the new address" if 300 <= status < 400 else ""
        after_s = wait_asked_s(retry_after, now)
        if after_s is not None:
            raise AskedToWait(f"webhook {self.where} answered {status} and asks to wait {after_s:.0f} s{moved}", after_s)
        raise Unavailable(f"webhook {self.where} answered {status}{moved}")

    async def _post(self, body: bytes, headers: dict[str, str]) -> tuple[int, str | None]:
        if self._given_up:
            raise asyncio.CancelledError
        session = self._session = self._session or self._open()
        self._task = asyncio.current_task()
        async with asyncio.timeout(TIMEOUT_S):
            answer = await session.post(self._url, data=body, headers=headers, allow_redirects=False)
            answer.release()  # what has come of a body is thrown away; where more is to come the connection is closed
            return answer.status, answer.headers.get("retry-after")

    def _open(self) -> aiohttp.ClientSession:
        context = ssl.create_default_context()
        context.load_verify_locations(certifi.where())
        connector = aiohttp.TCPConnector(resolver=_Public(private=self._private, local=self._local), ssl=context, limit=1)
        return aiohttp.ClientSession(
            connector=connector, timeout=aiohttp.ClientTimeout(total=TIMEOUT_S), cookie_jar=aiohttp.DummyCookieJar(), auto_decompress=False,
            headers={"user-agent": "yicheng"}, read_bufsize=4_096,
        )  # fmt: skip

    def flush(self) -> None:
        """Nothing is held back."""

    def give_up(self) -> None:
        """End a delivery that is under way, from any thread; what was not delivered will be."""
        self._given_up = True
        with suppress(RuntimeError):  # the loop has been closed
            self._loop.call_soon_threadsafe(self._cancel)

    def _cancel(self) -> None:
        if self._task is not None:
            self._task.cancel()

    def close(self) -> None:
        """Give the connections back."""
        if self._session is not None and not self._loop.is_running():
            self._loop.run_until_complete(self._session.close())
        self._loop.close()


class _Public(ThreadedResolver):
    """Resolves names to the addresses that a webhook may have; a name may be somebody's who points it inside."""

    def __init__(self, *, private: bool, local: bool) -> None:
        super().__init__()
        self._private, self._local = private, local

    async def resolve(self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET) -> list[ResolveResult]:
        found = [entry for entry in await super().resolve(host, port, family) if allowed(entry["host"], private=self._private, local=self._local)]
        if not found:
            raise OSError("the name stands for addresses that are not public")
        return found


def allowed(address: str, *, private: bool, local: bool) -> bool:
    """Whether an IP address may be a webhook's: a public one; a private one if that is configured; this machine if it was named so."""
    ip = ipaddress.ip_address(address.partition("%")[0])
    ip = getattr(ip, "ipv4_mapped", None) or ip
    if ip.is_loopback:
        return local
    if any(ip.version == ipaddress.ip_network(network).version and ip in ipaddress.ip_network(network) for network in _LINK_LOCAL):
        return False
    if ip.is_unspecified or ip.is_multicast or ip.is_reserved:
        return False
    return ip.is_global or private


def _checked_host(url: str, *, private: bool) -> str:
    """The host of a webhook's address; ``BadInput``, which repeats nothing of it, where it is not https or not allowed."""
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname or "", parts.port
    except ValueError:
        raise BadInput("YICHENG_WEBHOOK_URL is no address such as https://police.example/incidents") from None
    if not host or parts.scheme not in {"https", "http"} or not url.isprintable() or " " in url:
        raise BadInput("YICHENG_WEBHOOK_URL is no address such as https://police.example/incidents")
    try:
        loopback = ipaddress.ip_address(host).is_loopback
        is_allowed = allowed(host, private=private, local=True)
    except ValueError:
        loopback, is_allowed = host == "localhost", True
    if parts.scheme == "http" and not loopback:
        raise BadInput("YICHENG_WEBHOOK_URL is not https; incidents name vehicles, and go unencrypted to this machine only")
    if not is_allowed:
        raise BadInput("YICHENG_WEBHOOK_URL is a private address; set YICHENG_WEBHOOK_PRIVATE=true if it is meant (link-local ones never are)")
    return host


def wait_asked_s(retry_after: str | None, now: datetime) -> float | None:
    """Seconds that a ``Retry-After`` asks for (a number, or a date), at most ``LONGEST_WAIT_S``; None where it asks for nothing.

    >>> wait_asked_s("7", datetime(2026, 1, 1, tzinfo=UTC)), wait_asked_s("Thu, 01 Jan 2026 00:00:30 GMT", datetime(2026, 1, 1, tzinfo=UTC))
    (7.0, 30.0)
    """
    text = (retry_after or "").strip()
    if text.isascii() and text.isdigit():
        return min(float(text[:9]), LONGEST_WAIT_S)
    with suppress(ValueError, TypeError, OverflowError):
        at = parsedate_to_datetime(text)
        return min(max(0.0, (at.replace(tzinfo=at.tzinfo or UTC) - now).total_seconds()), LONGEST_WAIT_S)
    return None
