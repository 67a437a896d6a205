"""Which addresses sinks may post to: https or this machine, public unless a private one is meant, and looked at again when a name is resolved."""

from __future__ import annotations

import asyncio
import ipaddress
import re
import socket
import threading
from contextlib import suppress
from fnmatch import fnmatchcase

from aiohttp.abc import AbstractResolver, ResolveResult
from yarl import URL

from consumers.sinks._options import Reach
from consumers.sinks._public import allowed, is_this_machine
from streams.errors import BadInput


class NotPublic(OSError):
    """A name that stands for addresses inside, though a public one was meant."""


def checked_host(name: str, option: str, url: str, reach: Reach) -> str:
    """The host of a sink's address; ``BadInput``, which repeats nothing else of it, where it is not https or not allowed."""
    no_address = f"sink {name}: {option} is no address such as https://police.example/incidents"
    try:
        parts = URL(url)  # as it is read when it is posted to: digits of other scripts are digits
        host, named = parts.raw_host or "", parts.host or ""
        host.encode("idna")
    except ValueError:
        raise BadInput(no_address) from None
    if not host or parts.scheme not in {"https", "http"} or not parts.port or not url.isprintable() or " " in url or _is_odd_number(host):
        raise BadInput(no_address)
    if parts.scheme == "http" and not is_this_machine(host):
        raise BadInput(f"sink {name}: {option} is not https; incidents name vehicles, and go unencrypted to this machine only")
    with suppress(ValueError):  # a name: looked at when it is resolved
        if not allowed(host, private=reach.private, local=is_this_machine(host)):
            raise BadInput(f"sink {name}: {option} is a private address; set private: true if it is meant (link-local ones never are)")
    if reach.hosts and not any(fnmatchcase(form, pattern.lower()) for pattern in reach.hosts for form in (host, named)):
        raise BadInput(f"sink {name}: the host of {option} is none of hosts ({', '.join(reach.hosts)})")
    return host


def _is_odd_number(host: str) -> bool:
    """Whether a host would be an IPv4 address in a form of its own, such as 10.1 or 0x0a000001: what ends in a number is no name."""
    if not re.fullmatch(r"(.*\.)?([0-9]+|0x[0-9a-f]*)\.?", host, re.IGNORECASE):
        return False
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return True
    return False


class PublicResolver(AbstractResolver):
    """Resolves the name of one sink's host to the addresses that it may have; the name may be somebody's who points it inside.

    A look-up cannot be cancelled: one that hangs keeps its thread and holds up no end of the process. The next try waits for it (aiohttp sees to that).
    """

    def __init__(self, *, private: bool, local: bool) -> None:
        self._private, self._local = private, local

    async def resolve(self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET) -> list[ResolveResult]:
        """The addresses of the name that are allowed; ``NotPublic`` where none is."""
        loop = asyncio.get_running_loop()
        looked_up: asyncio.Future[list[ResolveResult]] = loop.create_future()
        threading.Thread(target=_look_up, args=(loop, looked_up, host, port, family), daemon=True, name=f"look-up of {host}").start()
        found = [entry for entry in await looked_up if allowed(entry["host"], private=self._private, local=self._local)]
        if not found:
            raise NotPublic("the name stands for addresses that are not public")
        return found

    async def close(self) -> None:
        """Nothing is held but a look-up that is under way."""


def _look_up(loop: asyncio.AbstractEventLoop, found: asyncio.Future[list[ResolveResult]], host: str, port: int, family: socket.AddressFamily) -> None:
    """Ask the system for addresses, in a thread of its own."""
    results: list[ResolveResult] = []
    failure: OSError | None = None
    try:
        for kind, _, protocol, _, address in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, family=family):
            results.append(
                ResolveResult(
                    hostname=host, host=str(address[0]), port=port, family=kind, proto=protocol, flags=socket.AI_NUMERICHOST | socket.AI_NUMERICSERV
                )
            )
    except (OSError, UnicodeError) as error:
        failure = error if isinstance(error, OSError) else OSError("no name")

    def tell() -> None:
        if found.done():
            return
        if failure is None:
            found.set_result(results)
        else:
            found.set_exception(failure)

    with suppress(RuntimeError):  # the loop has been closed meanwhile
        loop.call_soon_threadsafe(tell)
