"""A small web server for pages that machines read: bounded in time, connections and threads, whoever calls it and however slowly."""

from __future__ import annotations

import contextlib
import ipaddress
import re
import socket
import threading
import time
from collections.abc import Callable, Mapping
from email.message import Message
from http.server import BaseHTTPRequestHandler
from socketserver import ThreadingTCPServer
from typing import Any, NamedTuple


class Request(NamedTuple):
    """What a caller sent; only a POST has a body. ``query``: what stands in the address behind its ?."""

    headers: Message
    body: bytes = b""
    query: str = ""


Answer = tuple[int, str, bytes] | tuple[int, str, bytes, Mapping[str, str]]
"""Status, content type and body, and further headers."""
Page = Callable[[Request], Answer]

REQUEST_S = 10.0
"""From a connection's beginning until its end; how often bytes come does not matter."""
MOST_CONNECTIONS = 32
LARGEST_BODY_BYTES = 1_000_000
_LENGTH = re.compile(r"[0-9]{1,12}")
PLAIN = "text/plain; charset=utf-8"


def is_loopback(host: str) -> bool:
    """Whether only this machine can call an address."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


class PageServer(ThreadingTCPServer):
    """Serves pages by their path, one request a connection, each in a thread of its own; ``posts``: those that take a body.

    When there are too many connections the oldest is closed: those that wait for something are older than those that ask.
    Raises ``OSError`` where the address cannot be used.
    """

    allow_reuse_address = True
    daemon_threads = True
    request_queue_size = 2 * MOST_CONNECTIONS

    def __init__(self, host: str, port: int, pages: Mapping[str, Page], posts: Mapping[str, Page] | None = None) -> None:
        self.address_family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self.pages = pages
        self.posts = posts or {}
        self._since_s: dict[socket.socket, float] = {}
        self._lock = threading.Lock()
        super().__init__((host, port), _Request)
        threading.Thread(target=self.serve_forever, daemon=True, name="pages").start()

    def process_request(self, request: Any, client_address: Any) -> None:
        """Note when a connection began, and make room for it."""
        with self._lock:
            self._since_s[request] = time.monotonic()
            oldest = sorted(self._since_s, key=self._since_s.__getitem__)
        for connection in oldest[:-MOST_CONNECTIONS]:
            self._cut(connection)
        super().process_request(request, client_address)

    def service_actions(self) -> None:
        """End what has taken too long; called between connections, twice a second at least."""
        now_s = time.monotonic()
        with self._lock:
            late = [connection for connection, since_s in self._since_s.items() if now_s - since_s > REQUEST_S]
        for connection in late:
            self._cut(connection)

    def _cut(self, connection: socket.socket) -> None:
        """Its thread finds the end of its input, and that nobody takes its output."""
        with contextlib.suppress(OSError):  # it has ended meanwhile
            connection.shutdown(socket.SHUT_RDWR)

    def shutdown_request(self, request: Any) -> None:
        """Forget a connection and close it."""
        with self._lock:
            self._since_s.pop(request, None)
        super().shutdown_request(request)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Connections that break are not worth a line."""


class _Request(BaseHTTPRequestHandler):
    server: PageServer
    server_version = "yicheng"
    sys_version = ""

    def do_GET(self) -> None:
        path, _, query = self.path.partition("?")
        page = self.server.pages.get(path)
        self._answer(page(Request(self.headers, query=query)) if page else self._unknown())

    do_HEAD = do_GET  # noqa: N815 - the library's name

    def do_POST(self) -> None:
        page = self.server.posts.get(self.path.partition("?")[0])
        lengths = self.headers.get_all("Content-Length", [])
        if page is None:
            self._answer(self._unknown())
        elif len(lengths) != 1 or "Transfer-Encoding" in self.headers or not _LENGTH.fullmatch(lengths[0].strip()) or int(lengths[0]) > LARGEST_BODY_BYTES:
            self._answer((413, PLAIN, f"a body of at most {LARGEST_BODY_BYTES:,} bytes, with one Content-Length\n".encode()))
        elif len(body := self.rfile.read(int(lengths[0]))) < int(lengths[0]):
            self._answer((400, PLAIN, b"the body is shorter than its Content-Length\n"))
        else:
            self._answer(page(Request(self.headers, body)))

    def _unknown(self) -> Answer:
        return 404, PLAIN, f"see {', '.join((*self.server.pages, *self.server.posts))}\n".encode()

    def _answer(self, answer: Answer) -> None:
        status, content_type, body, *more = answer
        self.send_response(status)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(body)))
        for headers in more:
            for name, value in headers.items():
                self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Scrapes are not worth a log line."""
