"""The metrics page and its neighbours, under clients that are slow, many, rude or hostile."""

import http.client
import socket
import threading
import time
from contextlib import suppress

import pytest
from conftest import get, wait_for

from streams import metrics
from streams.process import exposition, pages


@pytest.fixture
def port(monkeypatch):
    monkeypatch.setattr(pages, "REQUEST_S", 1.0)  # ten in earnest
    return metrics.serve("127.0.0.1", 0, lambda: True)


def connections(port, number, first=b""):
    made = []
    for _ in range(number):
        made.append(socket.create_connection(("127.0.0.1", port), 5))
        if first:
            made[-1].sendall(first)
    return made


def ended(connection):
    connection.settimeout(5)
    try:
        return connection.recv(1) == b""
    except ConnectionError:
        return True


def threads():
    return sum("process_request_thread" in thread.name for thread in threading.enumerate())


def test_the_limits_are_those_of_the_design():
    assert pages.REQUEST_S == 10.0 and pages.MOST_CONNECTIONS == 32


@pytest.mark.parametrize("first", [b"", b"GET /metrics HTTP/1.1\r\nX-A: "])
def test_a_request_that_drips_is_ended_as_a_whole(port, first):
    """A byte every 50 ms would keep a limit on each read from ever striking."""
    (slow,) = connections(port, 1, first)
    started = time.monotonic()
    with suppress(OSError):
        while time.monotonic() - started < 10:
            slow.sendall(b"a")
            time.sleep(0.05)
    assert 0.9 < time.monotonic() - started < 5
    wait_for("its thread to end", lambda: threads() == 0, 5)


def test_a_reader_that_takes_nothing_is_ended(port, monkeypatch):
    monkeypatch.setattr(exposition.Exposition, "page", lambda *_: ("text/plain", b"x" * 50_000_000))
    (slow,) = connections(port, 1, b"GET /metrics HTTP/1.0\r\n\r\n")
    wait_for("its thread", threads, 5)
    wait_for("its thread to end", lambda: threads() == 0, 10)
    slow.close()


def test_many_that_say_nothing_neither_pile_up_nor_keep_a_scrape_out(port, monkeypatch):
    monkeypatch.setattr(pages, "REQUEST_S", 60.0)
    silent = connections(port, 200)
    for _ in range(5):
        assert get(f"http://127.0.0.1:{port}/healthz") == "ok\n"
        silent += connections(port, 20)
    wait_for("the oldest to be let go", lambda: threads() <= pages.MOST_CONNECTIONS, 10)
    assert all(ended(connection) for connection in silent[:200]) and "courier_fixes" in get(f"http://127.0.0.1:{port}/metrics")
    for connection in silent:
        connection.close()
    wait_for("all threads to end", lambda: threads() == 0, 10)


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/metrics", 200), ("/metrics?name=x", 200), ("/healthz", 200), ("/readyz", 200), ("/", 404), ("/metrics/", 404), ("/../etc/passwd", 404),
        ("//metrics", 200), ("/%2e%2e/%2e%2e/etc/passwd", 404), ("/metrics%00", 404), ("/" + "a" * 5_000, 404), ("/" + "a" * 70_000, 414),
    ],
)  # fmt: skip
def test_only_three_paths_are_known(port, path, status):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    connection.request("GET", path)
    answer = connection.getresponse()
    body = answer.read()
    assert answer.status == status and b"passwd" not in body and b"Python" not in str(answer.headers).encode()


@pytest.mark.parametrize("sent", [b"\x00" * 100, b"POST /metrics HTTP/1.1\r\ncontent-length: 1000000000\r\n\r\n", b"GET\r\n\r\n", b"\x16\x03\x01\x02\x00\x01", b"A" * 200_000, b"GET / HTTP/1.1\r\n" + b"a: b\r\n" * 5_000 + b"\r\n"])
def test_rubbish_ends_its_connection_and_prints_nothing(port, capfd, sent):
    with socket.create_connection(("127.0.0.1", port), 5) as rude, suppress(OSError):
        rude.sendall(sent)
        rude.shutdown(socket.SHUT_WR)
        while rude.recv(65_536):
            pass
    assert get(f"http://127.0.0.1:{port}/healthz") == "ok\n"
    assert capfd.readouterr().err == ""


def test_a_page_that_fails_ends_its_connection_only(monkeypatch, capfd):
    def broken():
        raise RuntimeError("no")

    port = metrics.serve("127.0.0.1", 0, broken)
    assert get(f"http://127.0.0.1:{port}/readyz") is None
    assert get(f"http://127.0.0.1:{port}/healthz") == "ok\n" and capfd.readouterr().err == ""


@pytest.fixture
def taken():
    bodies = []

    def page(request):
        bodies.append(request.body)
        return 200, pages.PLAIN, b"taken\n"

    server = pages.PageServer("127.0.0.1", 0, {}, {"/p": page})
    yield server.server_address[1], bodies
    server.shutdown()
    server.server_close()


HEAD = b"POST /p HTTP/1.1\r\n"


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (b"Content-Length: 3\r\n\r\nabc", b"200"),
        (b"Content-Length: 000000000000000003\r\n\r\nabc", b"413"),
        (b"Content-Length: 00000000000099999999999999999999\r\n\r\nabc", b"413"),
        (b"Content-Length: 000000000001000000000\r\n\r\nabc", b"413"),
        (b"Content-Length: 3\r\nContent-Length: 2\r\n\r\nabc", b"413"),
        (b"Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\nabc", b"413"),
        (b"Content-Length: 9\r\n\r\nabc", b"400"),
        (b"\r\nabc", b"413"),
    ],
)
def test_a_body_is_taken_whole_or_not_at_all_and_none_is_larger_than_it_may_be(taken, sent, status):
    """Zeros before a length hid a large one; of a body that was cut off its beginning was taken, half an answer."""
    port, bodies = taken
    with socket.create_connection(("127.0.0.1", port), 5) as connection:
        connection.sendall(HEAD + sent)
        connection.shutdown(socket.SHUT_WR)
        assert connection.recv(100).split(b" ")[1] == status
    assert bodies == ([b"abc"] if status == b"200" else [])
