"""Receivers on loopback: one that answers as it should, and one that does whatever it is told to with each connection."""

import socket
import threading
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


def serve(answer):
    """A server in a thread of its own: ``answer(headers, body)`` says with which status a request is answered."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self):
            body = self.rfile.read(int(self.headers["content-length"]))
            self.send_response(answer(self.headers, body))
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server, f"http://127.0.0.1:{server.server_port}/incidents"


class Receiver:
    """Answers each request of each connection as ``answer(connection, request)`` does, in a thread of its own.

    ``tls``: a context, where it speaks TLS. ``first``: the receiver's is the first word, so ``answer`` is called once, and the request is empty.
    ``closing``: set when it closes, which ends what hangs.
    """

    def __init__(self, answer, tls=None, *, first=False):
        self.server = socket.create_server(("127.0.0.1", 0))
        self.port = self.server.getsockname()[1]
        self.url = f"{'https' if tls else 'http'}://127.0.0.1:{self.port}/hook"
        self.got, self.answer, self.tls, self.first = [], answer, tls, first
        self.closing, self.threads = threading.Event(), []
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        with suppress(OSError):
            while True:
                connection, _ = self.server.accept()
                thread = threading.Thread(target=self._serve, args=(connection,), daemon=True)
                thread.start()
                self.threads.append(thread)

    def _serve(self, connection):
        with suppress(OSError):  # TLS that fails is one
            connection = self.tls.wrap_socket(connection, server_side=True) if self.tls else connection
            if self.first:
                self.got.append(b"")
                self.answer(connection, b"")
            while not self.first and (request := read_request(connection)):
                self.got.append(request)
                self.answer(connection, request)
        with suppress(OSError):
            connection.close()

    def close(self):
        self.closing.set()
        with suppress(OSError):
            self.server.shutdown(socket.SHUT_RDWR)
        self.server.close()
        for thread in self.threads:  # which close their ends of connections
            thread.join(5)


def read_request(connection):
    """A request as it came, or nothing at the end."""
    request = b""
    while b"\r\n\r\n" not in request or len(request.partition(b"\r\n\r\n")[2]) < length_of(request):
        if not (more := connection.recv(65_536)):
            return b""
        request += more
    return request


def length_of(request):
    head = request.partition(b"\r\n\r\n")[0].lower()
    return int(head.partition(b"content-length: ")[2].split(b"\r\n")[0])


def header(request, name):
    """A header of a request, by its name in lower case."""
    lines = request.partition(b"\r\n\r\n")[0].decode().split("\r\n")[1:]
    return {key.lower(): value.strip() for key, _, value in (line.partition(":") for line in lines)}.get(name)


def says(status, *headers, body=b""):
    """An answer with a status, headers and a body."""
    text = f"HTTP/1.1 {status} X\r\n" + "".join(f"{header}\r\n" for header in headers) + f"content-length: {len(body)}\r\n\r\n"
    return lambda connection, request: connection.sendall(text.encode() + body)


def drips(first, again, every_s=0.02):
    """An answer that begins and goes on for ever, a little at a time, until the connection breaks."""

    def drip(connection, request):
        connection.sendall(first)
        while True:
            connection.sendall(again)
            threading.Event().wait(every_s)

    return drip
