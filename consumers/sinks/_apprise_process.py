"""The process in which apprise runs, since what hangs in it cannot be ended otherwise. Reads a request a line and answers a line, both JSON.

It is run by its path, so that ``apprise`` is the library, and ends when whoever started it does.
"""

from __future__ import annotations

import ipaddress
import json
import os
import runpy
import signal
import sys
from fnmatch import fnmatchcase
from typing import Any
from urllib.parse import urlsplit

GRACE_S = 2.0
"""Whoever started this process ends it in time; where nobody is there any more it ends so much later."""


PUBLIC = runpy.run_path(os.path.join(os.path.dirname(__file__), "_public.py"))  # noqa: PTH118, PTH120 - pathlib takes longer to import
LOOK_UPS = {"socket.getaddrinfo", "socket.gethostbyname"}
CONNECTIONS = {"socket.connect", "socket.sendto", "socket.sendmsg"}


class Guard:
    """Lets nothing in this process, whatever a plugin does, look up a host or reach an address that the sink may not; ``refused`` says what it did not let through last."""

    def __init__(self, *, hosts: list[str], private: bool, local: bool) -> None:
        self.hosts, self.private, self.local = [host.lower() for host in hosts], private, local
        self.refused: str | None = None

    def heard(self, event: str, details: tuple[Any, ...]) -> None:
        """An audit hook of Python: what raises here does not take place."""
        if event in LOOK_UPS and self.hosts and not any(fnmatchcase(_text(details[0]).lower(), host) for host in self.hosts):
            self._refuse("hosts")
        if event in CONNECTIONS and isinstance(details[1], tuple) and not self._may_reach(str(details[1][0])):
            self._refuse("private")

    def _may_reach(self, address: str) -> bool:
        try:
            return bool(PUBLIC["allowed"](address, private=self.private, local=self.local))
        except ValueError:  # a name, which nobody has looked at
            return False

    def _refuse(self, reason: str) -> None:
        self.refused = reason
        raise OSError(f"not to be reached: {reason}")


def _text(host: str | bytes | None) -> str:
    return host.decode("ascii", "replace") if isinstance(host, bytes) else host or ""


def host_of(server: Any) -> str | None:
    """The host that a plugin is told to reach; None where it is its platform's."""
    if any("{host}" in template for template in server.templates):
        return str(getattr(server, "smtp_host", None) or server.host or "").strip("[]").lower()
    return None


def is_encrypted(server: Any) -> bool:
    """Whether a plugin encrypts what it sends, and looks at certificates."""
    if not server.verify_certificate:
        return False
    if "mailto" in server.schemas():
        return bool(server.secure_mode != "insecure")
    return bool(server.secure or (server.secure_protocol and not server.protocol))


def wrong(target: Any, first: dict[str, Any]) -> str | None:
    """What forbids the sink this URL: it is not encrypted, or names a host that is private or none of its hosts. None: nothing."""
    for server in target:
        host = host_of(server)
        here = host is not None and PUBLIC["is_this_machine"](host)
        if not here and not is_encrypted(server):
            return "plain"
        if host is not None and _is_forbidden(host, first["private"]):
            return "private"
        if host is not None and first["hosts"] and not any(fnmatchcase(host, pattern.lower()) for pattern in first["hosts"]):
            return "hosts"
    return None


def _is_forbidden(host: str, private: bool) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:  # a name: looked at when it is resolved
        return False
    return not PUBLIC["allowed"](host, private=private, local=PUBLIC["is_this_machine"](host))


def follow_no_redirects() -> None:
    """Nor go over to http: what a plugin asks of ``requests`` is asked without."""
    import requests  # noqa: PLC0415 - only after ``trust``

    request = requests.Session.request

    def once(session: Any, method: str, url: str, *rest: Any, **more: Any) -> Any:
        parts = urlsplit(url)
        if parts.scheme != "https" and not PUBLIC["is_this_machine"](parts.hostname or ""):
            raise requests.ConnectionError("not encrypted")
        return request(session, method, url, *rest, **{**more, "allow_redirects": False})

    requests.Session.request = once  # type: ignore[method-assign,assignment]


def trust(ca_file: str) -> None:
    """Trust a file of certificates beside the public ones, in whatever is imported after this."""
    import certifi  # noqa: PLC0415 - only where it is needed

    bundle = os.memfd_create("certificates", 0)
    for path in (certifi.where(), ca_file):
        with open(path, "rb") as file:  # noqa: PTH123
            os.write(bundle, file.read() + b"\n")
    os.environ["SSL_CERT_FILE"] = os.environ["REQUESTS_CA_BUNDLE"] = f"/proc/self/fd/{bundle}"


def apart_s(target: Any) -> float:
    """How far apart the service wants messages, in seconds: 0 for mail. Whoever started this process sees to it; apprise itself would sleep."""
    wanted_s = max(0.0 if "mailto" in server.schemas() else float(server.request_rate_per_sec) for server in target)
    for server in target:
        server.request_rate_per_sec = 0.0
    return wanted_s


def answer(target: Any, request: dict[str, Any], guard: Guard) -> bool | str:
    """Whether the message of a request was taken by all that the URL names, or why that was not allowed; the process ends where that takes too long."""
    guard.refused = None
    signal.setitimer(signal.ITIMER_REAL, request["timeout_s"] + GRACE_S)
    try:
        return bool(target.notify(title=request["title"], body=request["body"], notify_type=request["type"], body_format="text")) or guard.refused or False
    except Exception:  # noqa: BLE001 - whatever a plugin raises, it did not take the message
        return guard.refused or False
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)


def opened(first: dict[str, Any]) -> tuple[Any, Guard | None, dict[str, Any]]:
    """What a URL stands for, what guards it, and the answer: how far apart its service wants messages (seconds), or what is wrong with it."""
    if first["ca_file"] is not None:
        trust(first["ca_file"])
    import apprise  # noqa: PLC0415 - takes a second, and reads the environment

    target = apprise.Apprise()
    if not target.add(first["url"]):
        return target, None, {"wrong": "unknown"}
    if (found := wrong(target, first)) is not None:
        return target, None, {"wrong": found}
    follow_no_redirects()
    guard = Guard(hosts=first["hosts"], private=first["private"], local=any(PUBLIC["is_this_machine"](host_of(server) or "") for server in target))
    sys.addaudithook(guard.heard)
    return target, guard, {"apart_s": apart_s(target)}


def main() -> None:
    """First comes the URL, then messages, answered by whether they were taken."""
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "w")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # whatever a plugin prints is no answer
    target, guard, said = opened(json.loads(sys.stdin.readline()))
    print(json.dumps(said), file=answers, flush=True)
    if guard is not None:
        for line in sys.stdin:
            print(json.dumps(answer(target, json.loads(line), guard)), file=answers, flush=True)


if __name__ == "__main__":
    main()
