"""Sinks: receivers that drip, hang, move, ask to wait or are not who they should be; a disk that is full."""

import base64
import csv
import errno
import os
import resource
import socket
import stat
import threading
import time
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from types import SimpleNamespace

import orjson
import pytest
from conftest import get, wait_for, written_lines
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from receiver import Receiver, drips, header, says
from standardwebhooks.webhooks import Webhook, WebhookVerificationError

from consumers.incident_events import read_event
from consumers.messages.message import Message
from consumers.outbox.file import prepare
from consumers.outbox.outbox import Outbox
from consumers.outbox.rows import Entry
from consumers.routing.routes import Destination, simple_routing
from consumers.sending.dispatch import Dispatch
from consumers.sinks import _https, open_sink
from consumers.sinks._addresses import allowed
from consumers.sinks.webhook import public_key
from streams.errors import BadInput, NotTaken, Unavailable
from streams.wire.decode import Malformed

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"


def event(number, **changes):
    data = {"incident_id": f"I{number}", "revision": 1, "synthetic": False}
    return orjson.dumps({"id": f"I{number}/1", "type": "yicheng.incident.opened.v1", "data": data, **changes})


def some(message_id, body=b"{}"):
    return Message(message_id=message_id, body=body)


def webhook(url, **options):
    return open_sink("webhook", "webhook", {"url": url, "secret": SECRET, **options})


def file_at(path, **options):
    return open_sink("file", "file", {"path": str(path), **options})


@contextmanager
def sink_at(answer, **options):
    receiver = Receiver(answer)
    sink = webhook(receiver.url, **options)
    try:
        yield sink, receiver
    finally:
        sink.close()
        receiver.close()


def test_the_limits_are_those_of_the_design():
    assert (_https.TIMEOUT_S, _https.FIRST_BYTE_TIMEOUT_S, _https.CONNECT_TIMEOUT_S, _https.LONGEST_WAIT_S) == (10.0, 7.5, 5.0, 7_200.0)


def test_a_receiver_that_does_not_begin_to_answer_has_a_limit_of_its_own(monkeypatch):
    monkeypatch.setattr(_https, "FIRST_BYTE_TIMEOUT_S", 0.3)
    with sink_at(lambda connection, request: time.sleep(2)) as (sink, _), pytest.raises(Unavailable, match="did not begin to answer within 0.3 s"):
        sink.deliver(some("I/1"))


def test_an_answer_that_is_not_http_is_called_so():
    """Whether the message was taken nobody knows: it is sent again, under its id."""
    with sink_at(lambda connection, request: connection.sendall(b"HTTP/1.1 204 No Content\r\n\r\nok")) as (sink, _), pytest.raises(Unavailable, match="answered what is not HTTP, such as a 204 with a body"):
        sink.deliver(some("I/1"))


@pytest.mark.parametrize(
    "answer",
    [lambda connection, request: time.sleep(5), drips(b"", b"H"), drips(b"HTTP/1.1 200 OK\r\n", b"a: b\r\n"), drips(b"HTTP/1.1 200 OK\r\na: ", b"b"), drips(b"", b"HTTP/1.1 100 Continue\r\n\r\n")],
    ids=["silence", "status", "headers", "one header", "continue"],
)
def test_an_answer_that_drips_is_given_up_after_the_time_limit_as_a_whole(monkeypatch, answer):
    monkeypatch.setattr(_https, "TIMEOUT_S", 0.7)
    with sink_at(answer) as (sink, _):
        started = time.monotonic()
        with pytest.raises(Unavailable):
            sink.deliver(some("I/1"))
        assert time.monotonic() - started < 3


def test_a_body_is_never_waited_for_nor_read_into_memory(monkeypatch):
    monkeypatch.setattr(_https, "TIMEOUT_S", 5)
    endless = drips(b"HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ntransfer-encoding: chunked\r\n\r\n", b"10000\r\n" + b"x" * 65_536 + b"\r\n")
    with sink_at(endless) as (sink, receiver):
        started, before_kib = time.monotonic(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        for number in range(20):
            sink.deliver(some(f"I/{number}"))
        assert time.monotonic() - started < 5 and len(receiver.got) == 20
        assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before_kib < 50_000


def test_a_connection_is_used_again_where_the_answer_has_no_body():
    connections = set()

    def answer(connection, request):
        connections.add(connection.fileno())
        says(204)(connection, request)

    with sink_at(answer) as (sink, receiver):
        for number in range(5):
            sink.deliver(some(f"I/{number}"))
        assert len(receiver.got) == 5 and len(connections) == 1


@pytest.mark.parametrize(("status", "header", "wait_s"), [(401, None, None), (404, "3", 3), (408, "0", 0), (425, "120", 120), (429, "99999999999999999999", 7_200), (503, "x", None), (500, "-1", None), (429, "1.5", None), (403, None, None), (407, None, None), (418, None, None)])
def test_what_may_pass_is_tried_again_when_the_receiver_asks(status, header, wait_s):
    with sink_at(says(status, *([f"Retry-After: {header}"] if header else []))) as (sink, _), pytest.raises(Unavailable) as caught:
        sink.deliver(some("I/1"))
    assert getattr(caught.value, "after_s", None) == wait_s and f"answered {status}" in str(caught.value)


@pytest.mark.parametrize("status", [400, 409, 413, 415, 422])
def test_what_says_something_about_the_message_is_not_taken(status):
    with sink_at(says(status, "Retry-After: 3")) as (sink, _), pytest.raises(NotTaken, match=f"refused the message with {status}"):
        sink.deliver(some("I/1"))


@pytest.mark.parametrize(("status", "headers"), [(410, []), (400, ["Webhook-Delivery: abort-message"]), (503, ["webhook-delivery:  abort-message ", "Retry-After: 3"]), (302, ["Webhook-Delivery: abort-message"])])
def test_what_is_refused_for_good_is_said_so(status, headers):
    with sink_at(says(status, *headers)) as (sink, _), pytest.raises(BadInput, match=f"refused the message for good with {status}"):
        sink.deliver(some("I/1"))


@pytest.mark.parametrize("said", ["", "retry", "abort", "abort-messages"])
def test_another_word_on_the_delivery_aborts_nothing(said):
    with sink_at(says(500, f"Webhook-Delivery: {said}")) as (sink, _), pytest.raises(Unavailable, match="answered 500"):
        sink.deliver(some("I/1"))
    with sink_at(says(200, "Webhook-Delivery: abort-message")) as (sink, _):
        sink.deliver(some("I/1"))


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_redirects_are_not_followed_and_lose_nothing(status):
    elsewhere = Receiver(says(200))
    with sink_at(says(status, f"Location: {elsewhere.url}")) as (sink, _), pytest.raises(Unavailable, match="redirects are not followed"):
        sink.deliver(some("I/1"))
    assert not elsewhere.got


def test_no_proxy_or_password_file_of_the_environment_has_a_say(monkeypatch, tmp_path):
    (tmp_path / ".netrc").write_text("machine 127.0.0.1 login a password hunter2\n")
    proxy = Receiver(says(200))
    for name, value in {"HTTP_PROXY": proxy.url, "http_proxy": proxy.url, "ALL_PROXY": proxy.url, "NETRC": str(tmp_path / ".netrc"), "HOME": str(tmp_path)}.items():
        monkeypatch.setenv(name, value)
    with sink_at(says(204, "Set-Cookie: a=b")) as (sink, receiver):
        sink.deliver(some("I/1"))
        sink.deliver(some("I/2"))
        assert len(receiver.got) == 2 and not proxy.got and b"uthorization" not in b"".join(receiver.got) and b"ookie" not in b"".join(receiver.got)


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("http://police.example/x", "not https"), ("http://10.0.0.1/x", "not https"), ("ftp://127.0.0.1/x", "no address"), ("file:///etc/passwd", "no address"), ("https://", "no address"),
        ("https://10.1.2.3/x", "private address"), ("https://192.168.0.1", "private"), ("https://172.16.9.9", "private"), ("https://[fd00::1]/", "private"), ("https://169.254.169.254/latest", "private"),
        *((f"https://{form}/", "no address") for form in ("10.1", "127.1", "0x7f000001", "167772161", "0", "10.0.0.1.", "256.1.1.1", "1.2.3.4.5", ".", "police..example", "police.example:0", "police.example\\@x")),
        ("https://１０.0.0.1/", "private"), ("https://①⑥⑨.254.169.254/", "private"), ("https://[2002:7f00:1::]/", "private"), ("https://[fec0::1]/", "private"), ("https://0.0.0.0/", "private"), ("https://[::ffff:10.0.0.1]/", "private"), ("https://100.64.0.1/", "private"), ("https://224.0.0.1", "private"), ("https://[fe80::1]", "private"),
    ],
)  # fmt: skip
def test_only_https_or_this_machine_and_no_private_address(url, message):
    with pytest.raises(BadInput, match=message):
        webhook(url)


def test_private_addresses_where_configured_but_never_link_local_ones():
    webhook("https://10.1.2.3/x", private=True).close()
    for url in ("https://169.254.169.254/", "https://[fe80::1]/"):
        with pytest.raises(BadInput):
            webhook(url, private=True)
    assert allowed("8.8.8.8", private=False, local=False) and allowed("2606:4700::1", private=False, local=False)
    for inside in ("fec0::1", "2002:a00:1::1", "64:ff9b::a00:1", "2001:0:4136:e378:8000:63bf:f5ff:fffe"):  # site-local; 10.0.0.1 by 6to4, NAT64 and Teredo
        assert allowed(inside, private=True, local=False) and not allowed(inside, private=False, local=True), inside
    for never in ("2002:7f00:1::", "64:ff9b::7f00:1", "2002:a9fe:a9fe::", "64:ff9b::a9fe:a9fe"):  # loopback and link-local ones
        assert not allowed(never, private=True, local=False), never
    assert all(allowed(outside, private=False, local=False) for outside in ("2002:808:808::1", "64:ff9b::808:808"))
    assert not allowed("127.0.0.1", private=True, local=False) and not allowed("::1", private=True, local=False) and not allowed("fe80::1%eth0", private=True, local=False)


@pytest.mark.parametrize(
    ("url", "hosts", "taken"),
    [
        ("https://hook.police.example/x", ["hook.police.example"], True), ("https://HOOK.police.example/x", ["*.Police.example"], True),
        ("https://police.example.evil.example/x", ["*.police.example", "police.example"], False), ("https://hook.police.example@evil.example/x", ["hook.police.example"], False),
        ("https://evil.example/?hook.police.example", ["hook.police.example"], False),
    ],
)  # fmt: skip
def test_only_hosts_of_the_list_where_there_is_one(url, hosts, taken):
    if taken:
        webhook(url, hosts=hosts).close()
    else:
        with pytest.raises(BadInput, match="the host of url is none of hosts"):
            webhook(url, hosts=hosts)


def test_a_look_up_that_hangs_is_waited_for_by_the_next_try_and_no_second_is_begun(monkeypatch):
    over, asked, real = threading.Event(), [], socket.getaddrinfo
    monkeypatch.setattr(socket, "getaddrinfo", lambda host, *rest, **more: (asked.append(host), over.wait(30), real("10.1.1.1", *rest, **more))[2])
    monkeypatch.setattr(_https, "CONNECT_TIMEOUT_S", 0.3)
    sink = webhook("https://slow.example/x")
    for _ in range(3):
        with pytest.raises(Unavailable, match="no connection within"):
            sink.deliver(some("I/1"))
    assert asked == ["slow.example"]
    over.set()
    wait_for("the look-up to end", lambda: not [thread for thread in threading.enumerate() if "slow.example" in thread.name], 10)
    with pytest.raises(Unavailable, match="addresses that are not public"):
        sink.deliver(some("I/1"))
    sink.close()


# --- signatures ---

SEED = bytes(range(32))
WHSK = "whsk_" + base64.b64encode(SEED).decode()


def signed_parts(request):
    """What a receiver verifies: the bytes that are signed, and the signatures with their versions, in order."""
    signed = b".".join([header(request, "webhook-id").encode(), header(request, "webhook-timestamp").encode(), request.partition(b"\r\n\r\n")[2]])
    return signed, [part.split(",") for part in header(request, "webhook-signature").split(" ")]


def test_several_secrets_sign_each_so_that_they_can_be_exchanged():
    other = "whsec_" + base64.b64encode(b"another secret of 24 byte").decode()
    with sink_at(says(204), secret=[SECRET, other, WHSK]) as (sink, receiver):
        sink.deliver(some("I/1", event(1)))
    (request,) = receiver.got
    signed, signatures = signed_parts(request)
    assert [version for version, _ in signatures] == ["v1", "v1", "v1a"]
    headers = {name: header(request, name) for name in ("webhook-id", "webhook-timestamp", "webhook-signature")}
    for secret in (SECRET, other):
        Webhook(secret).verify(request.partition(b"\r\n\r\n")[2], headers)
    with pytest.raises(WebhookVerificationError):
        Webhook("whsec_" + base64.b64encode(b"a third").decode()).verify(request.partition(b"\r\n\r\n")[2], headers)
    Ed25519PublicKey.from_public_bytes(base64.b64decode(public_key(WHSK).removeprefix("whpk_"))).verify(base64.b64decode(signatures[2][1]), signed)


def test_with_a_public_key_a_receiver_can_verify_and_sees_what_was_changed():
    whole = "whsk_" + base64.b64encode(SEED + base64.b64decode(public_key(WHSK).removeprefix("whpk_"))).decode()
    with sink_at(says(204), secret=whole) as (sink, receiver):
        sink.deliver(some("I/1", event(1)))
    signed, ((version, signature),) = signed_parts(receiver.got[0])
    key = Ed25519PublicKey.from_public_bytes(base64.b64decode(public_key(WHSK).removeprefix("whpk_")))
    key.verify(base64.b64decode(signature), signed)
    assert version == "v1a" and public_key(whole) == public_key(WHSK)
    for changed in (signed.replace(b"I/1", b"I/2", 1), signed + b" "):
        with pytest.raises(InvalidSignature):
            key.verify(base64.b64decode(signature), changed)


@pytest.mark.parametrize(
    "secret",
    [
        "", "whsec_", "whsec_!", "whsk_", "whsk_" + base64.b64encode(SEED[:31]).decode(), "whsk_" + base64.b64encode(SEED + SEED).decode(), "whsk_ " + WHSK[5:], public_key(WHSK),
        [SECRET, "x"], [SECRET] * 11, SECRET.removeprefix("whsec_"),
    ],
)  # fmt: skip
def test_what_is_no_secret_is_refused_and_not_repeated(secret):
    with pytest.raises(BadInput, match="^sink webhook: secret is ") as caught:
        webhook("https://hook.example/", secret=secret)
    assert len(str(secret)) < 8 or str(secret) not in str(caught.value)


@pytest.mark.parametrize(("host", "address"), [("hook.example", "10.0.0.1"), ("hook.example", "127.0.0.1"), ("hook.example", "169.254.169.254")])
def test_a_public_name_for_an_address_inside_is_refused(monkeypatch, host, address):
    """Whoever owns the name may point it anywhere, later too."""
    real = socket.getaddrinfo
    monkeypatch.setattr(socket, "getaddrinfo", lambda name, port, *rest, **more: real(address if name == host else name, port, *rest, **more))
    sink = webhook(f"https://{host}:9/x")
    with pytest.raises(Unavailable, match="addresses that are not public"):
        sink.deliver(some("I/1"))
    sink.close()


@contextmanager
def dispatched(folder, sink, *numbers):
    """The sink's dispatch in a thread, with incidents in its outbox."""
    prepare(folder / "outbox.db")
    Outbox(folder / "outbox.db").put([(Entry(f"I{number}", 1, event(number)), [Destination(sink.name, "all", 0, 0, None, until_answered=False)]) for number in numbers], 0)
    routing = simple_routing({})
    words = SimpleNamespace(oldest_ms=0, message=lambda body, route, step, newest: routing.message(read_event(body), route, step))
    dispatch = Dispatch(folder / "outbox.db", sink, words)
    thread = threading.Thread(target=dispatch.run)
    thread.start()
    try:
        yield dispatch, thread
    finally:
        dispatch.stop()
        thread.join(10)


def test_a_delivery_is_given_up_at_once_when_the_notifier_stops(tmp_path):
    receiver = Receiver(lambda connection, request: time.sleep(30))
    with dispatched(tmp_path, webhook(receiver.url), 1) as (dispatch, thread):
        wait_for("the request", lambda: receiver.got, 10)
        started = time.monotonic()
        dispatch.stop()
        thread.join(5)
        assert not thread.is_alive() and time.monotonic() - started < 5
    receiver.server.close()


def test_a_wait_that_was_asked_for_is_kept_and_a_passing_401_loses_nothing(tmp_path):
    answers = [says(401), says(429, "Retry-After: 1"), says(204)]
    times = []

    def answer(connection, request):
        times.append(time.monotonic())
        answers[min(len(times), 3) - 1](connection, request)

    receiver = Receiver(answer)
    with dispatched(tmp_path, webhook(receiver.url), 1):
        wait_for("three tries", lambda: len(times) == 3, 10)
    assert len(receiver.got) == 3 and times[2] - times[1] >= 1.0
    receiver.server.close()


@pytest.mark.parametrize(
    "value",
    [
        None, b"", b"\xff\xfe", b"null", b"[]", b"1", b'"x"', b"{}", b"[" * 100_000, b'{"a":' * 50_000, b"9" * 100_000, event(1, id=None), event(1, id=""), event(1, id="a\r\nx-evil: 1"), event(1, id="京"),
        event(1, id="a" * 300), event(1, type=None), event(1, type="other"), event(1, data=None), event(1, data=[]), event(1, data={"incident_id": "I", "revision": 1}),
        event(1, data={"incident_id": "I", "revision": 1, "synthetic": "no"}), event(1, data={"incident_id": 1, "revision": 1, "synthetic": True}), event(1) + b" " * 1_000_001, b'{"id": "\ud800"}',
    ],
)  # fmt: skip
def test_what_is_no_incident_is_told_so(value):
    with pytest.raises(Malformed) as caught:
        read_event(value)
    assert "\n" not in str(caught.value)


def test_an_incident_over_several_lines_is_none_of_ours():
    """It would be several lines of the file."""
    with pytest.raises(Malformed):
        read_event(event(1).replace(b",", b",\n"))


# --- the file ---


def lines(path):
    return [orjson.loads(line)["id"] for line in path.read_bytes().splitlines()] if path.exists() else []


def test_a_new_file_and_its_folder_are_for_their_user_alone(tmp_path):
    before = os.umask(0)
    try:
        file_at(tmp_path / "new" / "sink.jsonl").close()
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "new").stat().st_mode) == 0o700 and stat.S_IMODE((tmp_path / "new" / "sink.jsonl").stat().st_mode) == 0o600


def test_a_full_disk_is_said_in_one_line():
    sink = file_at("/dev/full")
    with pytest.raises(Unavailable, match="sink file: /dev/full: no space left on device; mend that"):
        sink.deliver(some("I/1"))


@pytest.mark.parametrize("room", [0, 1, 50, 200])
def test_a_disk_that_takes_half_a_line_keeps_none_of_it_and_goes_on(tmp_path, room):
    path = tmp_path / "sink.jsonl"
    sink, big = file_at(path), event(2, filler="x" * 500)
    sink.deliver(some("I1/1", event(1)))
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (path.stat().st_size + room, hard))
    try:
        for _ in range(3):
            with pytest.raises(Unavailable, match="file too large"):
                sink.deliver(some("I2/1", big))
            assert lines(path) == ["I1/1"]
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    sink.deliver(some("I2/1", big))
    sink.deliver(some("I3/1", event(3)))
    sink.close()
    assert lines(path) == ["I1/1", "I2/1", "I3/1"]


@pytest.mark.parametrize(("tail", "kept"), [(b'{"id": "torn', b""), (b"somebody's text", b"somebody's text\n"), (event(9), event(9) + b"\n"), (b"", b"")])
def test_a_last_line_without_an_end_is_mended(tmp_path, tail, kept):
    """After a power failure: a torn event is delivered again, so what is there of it can go; anything else stays."""
    path = tmp_path / "sink.jsonl"
    path.write_bytes(event(1) + b"\n" + tail)
    sink = file_at(path)
    sink.deliver(some("I2/1", event(2)))
    sink.close()
    assert path.read_bytes() == event(1) + b"\n" + kept + event(2) + b"\n"


def test_a_power_failure_is_provided_for(tmp_path, monkeypatch):
    synced = []
    sink = file_at(tmp_path / "sink.jsonl")
    monkeypatch.setattr(os, "fsync", lambda descriptor: synced.append(os.readlink(f"/proc/self/fd/{descriptor}")))
    sink.deliver(some("I1/1", event(1)))
    assert synced == []
    sink.flush()
    assert synced == [str(tmp_path / "sink.jsonl")]

    def fails(descriptor):
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(os, "fsync", fails)
    with pytest.raises(Unavailable, match=r"^sink file: .*sink\.jsonl: input/output error; mend that"):
        sink.flush()
    sink.close()


def test_what_a_disk_did_not_take_is_said_once_and_written_to_the_file_opened_anew(tmp_path, monkeypatch):
    """A disk tells a failure once: the next fsync of the same file says that all is well."""
    sink, path, fsync = file_at(tmp_path / "sink.jsonl", rotate_mb=0.001), tmp_path / "sink.jsonl", os.fsync
    failing = []

    def sync(descriptor):
        if failing:
            raise OSError(errno.EIO, failing.pop())
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", sync)
    before = sink._file
    other = os.dup(before)  # so that the number is not used again
    failing.append("Input/output error")
    sink.deliver(some("I1/1", event(1)))
    with pytest.raises(Unavailable):
        sink.flush()
    sink.deliver(some("I1/1", event(1)))
    sink.flush()
    assert path.read_bytes() == (event(1) + b"\n") * 2
    failing.append("Input/output error")  # at the change of files
    sink.deliver(some("I2/1", event(2)))
    while path.stat().st_size + len(event(2)) < 1_000:
        sink.deliver(some("I2/1", event(2)))
    with pytest.raises(Unavailable):
        sink.deliver(some("I2/1", event(2)))
    with pytest.raises(Unavailable, match="did not take what was written"):
        sink.flush()
    sink.flush()
    os.close(other)
    sink.close()


def test_a_full_file_makes_way_and_so_many_are_kept(tmp_path):
    sink = file_at(tmp_path / "sink.jsonl", rotate_mb=0.0005, keep=3)  # 500 bytes
    for number in range(40):
        sink.deliver(some(f"I{number}/1", event(number)))
    sink.close()
    files = [tmp_path / name for name in ("sink.jsonl.3", "sink.jsonl.2", "sink.jsonl.1", "sink.jsonl")]
    assert set(tmp_path.iterdir()) == set(files) and all(path.stat().st_size <= 500 for path in files)
    ids = [name for path in files for name in lines(path)]
    assert ids == [f"I{number}/1" for number in range(40 - len(ids), 40)] and len(ids) > 12
    assert all(stat.S_IMODE(path.stat().st_mode) == 0o600 for path in files)


def test_a_message_that_is_larger_than_a_whole_file_may_be_is_kept_in_one_of_its_own(tmp_path):
    sink = file_at(tmp_path / "sink.jsonl", rotate_mb=0.0001)
    for number in range(3):
        sink.deliver(some(f"I{number}/1", event(number, filler="x" * 500)))
    sink.close()
    assert [lines(tmp_path / name) for name in ("sink.jsonl.2", "sink.jsonl.1", "sink.jsonl")] == [["I0/1"], ["I1/1"], ["I2/1"]]


@pytest.mark.parametrize("renames", range(4))
def test_a_change_of_files_that_is_cut_off_anywhere_loses_nothing(tmp_path, monkeypatch, renames):
    """After so many of its renames the process is gone; another goes on."""
    sink = file_at(tmp_path / "sink.jsonl", rotate_mb=0.0001, keep=5)
    for number in range(4):
        sink.deliver(some(f"I{number}/1", event(number)))
    left, real = [renames], Path.replace

    def replace(path, target):
        if path.exists():
            if not left[0]:
                raise OSError(errno.EIO, "Input/output error")
            left[0] -= 1
        return real(path, target)

    monkeypatch.setattr(Path, "replace", replace)
    with pytest.raises(Unavailable, match="input/output error"):
        sink.deliver(some("I4/1", event(4)))
    assert left == [0]
    sink.close()
    monkeypatch.undo()
    sink = file_at(tmp_path / "sink.jsonl", rotate_mb=0.0001, keep=5)
    sink.deliver(some("I4/1", event(4)))
    sink.close()
    assert sorted(name for path in tmp_path.iterdir() for name in lines(path)) == [f"I{number}/1" for number in range(5)]


@pytest.mark.parametrize("flushed", [True, False])
def test_a_file_that_somebody_moves_away_keeps_what_it_has_and_a_new_one_goes_on(tmp_path, flushed):
    """As logrotate does, and consumers that take a file away to read it."""
    path, old = tmp_path / "sink.jsonl", tmp_path / "old.jsonl"
    sink = file_at(path)
    sink.deliver(some("I1/1", event(1)))
    if flushed:
        sink.flush()
    path.rename(old)
    sink.flush()
    sink.deliver(some("I2/1", event(2)))
    path.rename(tmp_path / "older.jsonl")
    sink.deliver(some("I3/1", event(3)))
    sink.flush()
    sink.close()
    assert [lines(each) for each in (old, tmp_path / "older.jsonl", path)] == [["I1/1"], ["I2/1"], ["I3/1"]]
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_file_that_another_takes_the_place_of_is_let_go(tmp_path):
    path = tmp_path / "sink.jsonl"
    sink = file_at(path)
    sink.deliver(some("I1/1", event(1)))
    sink.flush()
    (tmp_path / "new").write_bytes(b"somebody's text")
    (tmp_path / "new").rename(path)
    sink.deliver(some("I2/1", event(2)))
    sink.close()
    assert path.read_bytes() == b"somebody's text\n" + event(2) + b"\n"


def test_of_a_file_that_somebody_deletes_what_was_not_marked_is_written_again(tmp_path):
    path = tmp_path / "sink.jsonl"
    sink = file_at(path)

    def deliver(number):
        sink.deliver(some(f"I{number}/1", event(number)))

    deliver(1)
    path.unlink()
    with pytest.raises(Unavailable, match=r"sink\.jsonl: somebody deleted what was written; it is written again"):
        sink.flush()
    deliver(1)
    sink.flush()
    assert lines(path) == ["I1/1"]
    path.unlink()  # what it had was marked: nothing is written again
    deliver(2)
    sink.flush()
    assert lines(path) == ["I2/1"]
    deliver(3)
    path.unlink()
    deliver(4)
    with pytest.raises(Unavailable, match="somebody deleted"):
        sink.flush()
    sink.flush()
    sink.close()


def test_a_file_that_is_moved_and_read_while_a_line_is_written_has_the_line_in_the_new_one(tmp_path, monkeypatch):
    """Whoever moved it may have read it to its end, and delete it, before the line came."""
    path, write = tmp_path / "sink.jsonl", os.write
    sink = file_at(path)

    def move_and_write(descriptor, line):
        monkeypatch.undo()
        path.rename(tmp_path / "old.jsonl")
        return write(descriptor, line)

    monkeypatch.setattr(os, "write", move_and_write)
    sink.deliver(some("I1/1", event(1)))
    sink.close()
    assert lines(path) == ["I1/1"]


def test_a_file_whose_folder_is_gone_is_waited_for(tmp_path):
    folder = tmp_path / "out"
    sink = file_at(folder / "sink.jsonl")
    folder.rename(tmp_path / "elsewhere")
    for _ in range(2):
        with pytest.raises(Unavailable, match="no such file or directory; mend that"):
            sink.deliver(some("I1/1", event(1)))
    folder.mkdir()
    sink.deliver(some("I1/1", event(1)))
    sink.flush()
    sink.close()
    assert lines(folder / "sink.jsonl") == ["I1/1"]


def test_nothing_is_lost_where_a_file_is_taken_away_again_and_again(tmp_path):
    """Each that was marked is in a file that somebody took, whole, or in the last one; a second message is held at times, as the dispatch holds several."""
    path, taken, over = tmp_path / "sink.jsonl", [], threading.Event()

    def take():
        number = 0
        while not over.is_set():
            with suppress(FileNotFoundError):
                aside = path.rename(tmp_path / f"taken-{(number := number + 1)}")
                taken.extend(lines(aside))
                aside.unlink()

    sink, thread = file_at(path), threading.Thread(target=take)
    thread.start()
    for number in range(0, 400, 2):
        while True:
            for each in (number, number + 1):
                sink.deliver(some(f"I{each}/1", event(each)))
            with suppress(Unavailable):
                sink.flush()
                break
    over.set()
    thread.join(10)
    sink.close()
    assert {f"I{number}/1" for number in range(400)} == {*taken, *lines(path)}


def rows(path):
    text = path.read_text("utf-8")
    assert text.startswith("\ufeff")
    return list(csv.DictReader(text[1:].splitlines()))


def test_as_csv_an_incident_is_a_flat_row_and_nothing_in_it_is_a_formula(tmp_path):
    data = {
        "incident_id": "I1", "revision": 2, "synthetic": False, "plate": '=HYPERLINK("http://evil")', "zone_id": "  @zone", "reason_zh": '第一行\n第二行, "引号"', "lon": -1.5,
        "responsible": ["+交警", "城管"], "vehicle_id": "-2+3",
    }  # fmt: skip
    sink = file_at(tmp_path / "sink.csv", format="csv")
    sink.deliver(Message(message_id="I1/2", body=event(1, id="I1/2", data=data), title="-标题"))
    sink.deliver(Message(message_id="digest/1", body=b'{"type":"other"}', title="摘要"))
    sink.close()
    first, second = rows(tmp_path / "sink.csv")
    assert first["message_id"] == "I1/2" and first["title"] == "'-标题" and first["revision"] == "2" and first["synthetic"] == "false" and first["lon"] == "-1.5"
    assert first["plate"] == "'=HYPERLINK(\"http://evil\")" and first["zone_id"] == "'  @zone" and first["vehicle_id"] == "'-2+3" and first["responsible"] == "'+交警; 城管"
    assert first["reason_zh"] == '第一行\\n第二行, "引号"' and first["closed_at_ms"] == ""
    assert (second["message_id"], second["title"], second["incident_id"]) == ("digest/1", "摘要", "") and len(second) == len(first)


def test_each_csv_file_has_one_head(tmp_path):
    for number in range(12):
        sink = file_at(tmp_path / "sink.csv", format="csv", rotate_mb=0.001)
        sink.deliver(some(f"I{number}/1", event(number)))
        sink.close()
    files = list(tmp_path.iterdir())
    assert len(files) >= 3 and sorted(row["message_id"] for path in files for row in rows(path)) == sorted(f"I{number}/1" for number in range(12))
    assert all(path.read_bytes().count(b"incident_id") == 1 for path in files)


def test_a_csv_file_that_is_moved_away_is_followed_by_one_with_a_head(tmp_path):
    sink = file_at(tmp_path / "sink.csv", format="csv")
    for number in range(2):
        sink.deliver(some(f"I{number}/1", event(number)))
        (tmp_path / "sink.csv").rename(tmp_path / f"{number}.csv")
    sink.deliver(some("I2/1", event(2)))
    sink.close()
    assert [[row["message_id"] for row in rows(tmp_path / name)] for name in ("0.csv", "1.csv", "sink.csv")] == [["I0/1"], ["I1/1"], ["I2/1"]]


@pytest.mark.parametrize("length", range(0, 800, 31))
def test_a_torn_csv_row_or_head_is_mended_and_a_whole_one_is_kept(tmp_path, length):
    path = tmp_path / "sink.csv"
    for number in (1, 2):
        sink = file_at(path, format="csv")
        sink.deliver(Message(message_id=f"I{number}/1", body=event(number), title='标题 "引号"'))
        sink.close()
    whole = path.read_bytes()
    ends = {"I1/1": whole.index(b"\n", whole.index(b"I1/1")), "I2/1": len(whole) - 1}
    for cut in {length, *ends.values()}:
        path.write_bytes(whole[:cut])
        sink = file_at(path, format="csv")
        sink.deliver(some("I3/1", event(3)))
        sink.close()
        assert [row["message_id"] for row in rows(path)] == [*[name for name, end in ends.items() if cut >= end], "I3/1"]


# --- on Kafka ---


def written(path):
    return [orjson.loads(line)["id"] for line in written_lines(path)]


def start(yicheng, kafka, **environment):
    from deploy.ports import free_port

    port = free_port()
    child = yicheng.start("notifier", YICHENG_KAFKA_BOOTSTRAP=kafka, YICHENG_METRICS_PORT=str(port), **environment)
    child.url = f"http://127.0.0.1:{port}"
    return child


def test_a_receiver_that_drips_delays_no_other_sink_and_rubbish_stops_none(kafka, yicheng, tmp_path):
    from kafka import KafkaProducer

    producer = KafkaProducer(bootstrap_servers=kafka)
    for number in range(20):
        for value in (None, b"\xff", b"{}", event(number)):
            producer.send("courier.incidents.v1", value, b"vehicle/v", partition=0)
    producer.close()
    dripping, healthy = Receiver(drips(b"HTTP/1.1 200 OK\r\n", b"a: b\r\n")), Receiver(says(204))
    settings = {"YICHENG_WEBHOOK_SECRET": SECRET, "YICHENG_SINK_FILE": str(tmp_path / "sink.jsonl")}
    child = start(yicheng, kafka, YICHENG_WEBHOOK_URL=dripping.url, **settings)
    wait_for("the file to hold all", lambda: len(written(tmp_path / "sink.jsonl")) == 20)
    wait_for("the webhook's first try", lambda: dripping.got)
    assert written(tmp_path / "sink.jsonl") == [f"I{number}/1" for number in range(20)]
    assert 'courier_notifications_total{outcome="unreadable",sink="file"} 60.0' in get(f"{child.url}/metrics")
    asked = time.monotonic()
    child.terminate()
    child.wait(15)
    assert time.monotonic() - asked < 8
    assert child.log().count("record that cannot be read is passed over") == 60 and "Traceback" not in child.log()
    start(yicheng, kafka, YICHENG_WEBHOOK_URL=healthy.url, **settings)
    wait_for("the webhook to get all", lambda: len({request.partition(b"webhook-id: ")[2].split(b"\r")[0] for request in healthy.got}) == 20)


def test_a_new_sink_gets_what_comes_from_then_on_and_without_an_outbox_it_goes_on_where_the_slowest_was(kafka, yicheng, tmp_path):
    from kafka import KafkaConsumer, KafkaProducer, OffsetAndMetadata, TopicPartition

    producer = KafkaProducer(bootstrap_servers=kafka)

    def publish(*numbers):
        for number in numbers:
            producer.send("courier.incidents.v1", event(number), b"vehicle/v", partition=3)
        producer.flush()

    publish(*range(10))
    partition, group = TopicPartition("courier.incidents.v1", 3), f"group-{time.time_ns()}"
    for name, reached in ((f"{group}-notifier", 9), (f"{group}-notifier-webhook", 4)):
        with closing(KafkaConsumer(bootstrap_servers=kafka, group_id=name, enable_auto_commit=False)) as before:
            before.assign([partition])
            before.commit({partition: OffsetAndMetadata(reached, "", -1)})
    settings = {"YICHENG_GROUP": group, "YICHENG_SINK_FILE": str(tmp_path / "sink.jsonl"), "YICHENG_STATE_DIR": str(tmp_path / "state")}
    child = start(yicheng, kafka, **settings)
    wait_for("what the webhook had not had", lambda: written(tmp_path / "sink.jsonl") == [f"I{number}/1" for number in range(4, 10)])
    child.terminate()
    child.wait(15)
    receiver = Receiver(says(204))
    start(yicheng, kafka, YICHENG_WEBHOOK_URL=receiver.url, YICHENG_WEBHOOK_SECRET=SECRET, **settings)
    publish(10)
    wait_for("the new sink", lambda: receiver.got)
    wait_for("the file", lambda: written(tmp_path / "sink.jsonl")[-1] == "I10/1")
    assert [request.partition(b"webhook-id: ")[2].split(b"\r")[0] for request in receiver.got] == [b"I10/1"] and len(written(tmp_path / "sink.jsonl")) == 7
    receiver.server.close()
