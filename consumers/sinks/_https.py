"""One address that sinks post to, by HTTPS: limits on all that may take long, no redirects, nothing inside the network unless it is meant."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from pathlib import Path

import aiohttp
import certifi
import msgspec

from consumers.sinks._addresses import NotPublic, PublicResolver, checked_host
from consumers.sinks._options import Reach
from streams.errors import AskedToWait, BadInput, NotTaken, Unavailable
from streams.process.certificates import not_valid
from streams.settings import address_shown

TIMEOUT_S = 10.0
"""For all of it: looking up the name, connecting, sending, and the answer as far as it is read."""
FIRST_BYTE_TIMEOUT_S = 7.5
"""Until the head of the answer is there: a receiver that is busy says so sooner, and one that is stuck holds up its own queue less."""
CONNECT_TIMEOUT_S = 5.0
"""For looking up the name, connecting and agreeing on keys."""
LONGEST_WAIT_S = 7_200.0
"""Longer than that no receiver is obeyed that asks to wait."""
NOT_TAKEN = {400, 409, 413, 415, 422}
"""What says something about the message itself; other answers may pass, as a wrong key or path does when it is mended."""


class Answer(msgspec.Struct, frozen=True):
    """What a receiver answered: of the body no more than was asked for."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class _NoAnswer(Exception):
    """Connected or not, nothing has come back."""


class HttpsClient:
    """Posts to the address that is a sink's ``option``: https, or http to this machine.

    ``where`` names both in errors, without what may be secret; ``host`` is the address's.
    """

    def __init__(self, name: str, url: str, reach: Reach, option: str = "url") -> None:
        self.host = host = checked_host(name, option, url, reach)
        self.option, self.where = option, f"sink {name}: {address_shown(url)}"
        self._url, self._tls = url, trusting(name, reach.ca_file)
        self._loop = asyncio.new_event_loop()
        self._resolver = PublicResolver(private=reach.private, local=host == "localhost")
        self._session: aiohttp.ClientSession | None = None
        self._task: asyncio.Task[Answer] | None = None
        self._given_up = False

    def post(self, body: bytes, headers: Mapping[str, str], query: Mapping[str, str] | None = None, most_bytes: int = 0) -> Answer:
        """Post a body; of what is answered the first ``most_bytes``. ``Unavailable`` where there is no answer within the limits."""
        try:
            return self._loop.run_until_complete(self._post(body, headers, query, most_bytes))
        except asyncio.CancelledError:
            cause = "given up, as the notifier stops"
        except (aiohttp.ConnectionTimeoutError, aiohttp.ServerTimeoutError):
            cause = f"no connection within {CONNECT_TIMEOUT_S:.0f} s"
        except _NoAnswer:
            cause = f"did not begin to answer within {FIRST_BYTE_TIMEOUT_S:g} s"
        except TimeoutError:
            cause = f"took longer than {TIMEOUT_S:.0f} s"
        except (aiohttp.ClientSSLError, ssl.SSLError) as error:
            cause = f"does not answer: its certificate is not trusted or there is no TLS ({type(error).__name__}); ca_file may name its authority"
        except aiohttp.ClientResponseError:
            cause = "answered what is not HTTP, such as a 204 with a body"
        except (aiohttp.ClientError, OSError, ValueError) as error:
            inside = isinstance(getattr(error, "os_error", None), NotPublic)
            cause = "does not answer: its name stands for addresses that are not public" if inside else f"does not answer: {type(error).__name__}"
        raise Unavailable(f"{self.where} {cause}") from None

    async def _post(self, body: bytes, headers: Mapping[str, str], query: Mapping[str, str] | None, most_bytes: int) -> Answer:
        if self._given_up:
            raise asyncio.CancelledError
        session = self._session = self._session or self._open()
        self._task = asyncio.current_task()
        async with asyncio.timeout(TIMEOUT_S):
            try:
                async with asyncio.timeout(FIRST_BYTE_TIMEOUT_S) as head:
                    answer = await session.post(self._url, data=body, headers=headers, params=query, allow_redirects=False)
            except TimeoutError:
                if head.expired():
                    raise _NoAnswer from None
                raise
            try:
                read = b""
                while len(read) < most_bytes and (more := await answer.content.read(most_bytes - len(read))):
                    read += more
            finally:
                answer.release()  # what has come of more is thrown away; where it is still to come the connection is closed
            return Answer(answer.status, answer.headers, read)

    def _open(self) -> aiohttp.ClientSession:
        return aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(resolver=self._resolver, ssl=self._tls, limit=1), cookie_jar=aiohttp.DummyCookieJar(), auto_decompress=False,
            timeout=aiohttp.ClientTimeout(total=TIMEOUT_S, connect=CONNECT_TIMEOUT_S), headers={"user-agent": "yicheng", "accept-encoding": "identity"}, read_bufsize=4_096,
        )  # fmt: skip

    def check_taken(self, answer: Answer) -> str:
        """The status for the delivery log where it is 2xx; else an error says whether to try again, as a sink's do."""
        status = answer.status
        if 200 <= status < 300:
            return f"HTTP {status}"
        if status == 410:
            raise BadInput(f"{self.where} refused the message for good with 410")
        if status in NOT_TAKEN:
            raise NotTaken(f"{self.where} refused the message with {status}")
        moved = f"; redirects are not followed, set {self.option} to the new address" if 300 <= status < 400 else ""
        after_s = wait_asked_s(answer.headers.get("retry-after"), datetime.now(UTC))
        if after_s is not None:
            raise AskedToWait(f"{self.where} answered {status} and asks to wait {after_s:.0f} s{moved}", after_s)
        raise Unavailable(f"{self.where} answered {status}{moved}")

    def give_up(self) -> None:
        """End a post that is under way, from any thread, and let no other begin."""
        self._given_up = True
        with suppress(RuntimeError):  # the loop has been closed
            self._loop.call_soon_threadsafe(self._cancel)

    def _cancel(self) -> None:
        if self._task is not None:
            self._task.cancel()

    def close(self) -> None:
        """Give the connections back."""
        if not self._loop.is_running():
            self._loop.run_until_complete(self._close())
        self._loop.close()

    async def _close(self) -> None:
        if self._session is not None:
            await self._session.close()
        under_way = asyncio.all_tasks() - {asyncio.current_task()}
        for task in under_way:
            task.cancel()
        await asyncio.gather(*under_way, return_exceptions=True)


def trusting(name: str, ca_file: str | None) -> ssl.SSLContext:
    """What trusts public authorities, and those of a file; ``BadInput`` where that holds none, or none that is valid now."""
    context = ssl.create_default_context()
    context.load_verify_locations(certifi.where())
    if ca_file is not None:
        try:
            context.load_verify_locations(ca_file)
        except (OSError, ValueError) as error:  # SSLError is an OSError
            cause = "holds no certificate in PEM" if isinstance(error, ssl.SSLError | ValueError) else str(error.strerror).lower()
            raise BadInput(f"sink {name}: ca_file {ca_file}: {cause}") from None
        if why := not_valid(Path(ca_file).read_bytes(), datetime.now(UTC)):
            raise BadInput(f"sink {name}: ca_file {ca_file}: {why}")
    return context


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
