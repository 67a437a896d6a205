"""Sinks: receivers that drip, hang, move, ask to wait or are not who they should be; a disk that is full."""

import os
import resource
import socket
import stat
import threading
import time
from contextlib import contextmanager, suppress
from pathlib import Path

import orjson
import pytest
from conftest import get, wait_for

from consumers.delivery import Delivery
from consumers.incident_events import read_event
from consumers.sinks import webhook as webhook_module
from consumers.sinks.file import FileSink
from consumers.sinks.webhook import WebhookSink, allowed
from streams.decode import Malformed
from streams.errors import BadInput, Unavailable
from streams.settings import Settings

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"


def event(number, **changes):
    data = {"incident_id": f"I{number}", "revision": 1, "synthetic": False}
    return orjson.dumps({"id": f"I{number}/1", "type": "yicheng.incident.opened.v1", "data": data, **changes})


class Receiver:
    """Answers each connection as ``answer(connection, request)`` does, in a thread of its own."""

    def __init__(self, answer):
        self.server = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self.server.getsockname()[1]}/hook"
        self.got, self.answer = [], answer
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        with suppress(OSError):
            while True:
                connection, _ = self.server.accept()
                threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection):
        with connection, suppress(OSError):
            while True:
                request = b""
                while b"\r\n\r\n" not in request or len(request.partition(b"\r\n\r\n")[2]) < length_of(request):
                    if not (more := connection.recv(65_536)):
                        return
                    request += more
                self.got.append(request)
                self.answer(connection, request)


def length_of(request):
    head = request.partition(b"\r\n\r\n")[0].lower()
    return int(head.partition(b"content-length: ")[2].split(b"\r\n")[0])


def says(status, *headers, body=b""):
    text = f"HTTP/1.1 {status} X\r\n" + "".join(f"{header}\r\n" for header in headers) + f"content-length: {len(body)}\r\n\r\n"
    return lambda connection, request: connection.sendall(text.encode() + body)


def drips(first, again):
    def drip(connection, request):
        connection.sendall(first)
        while True:
            connection.sendall(again)
            time.sleep(0.02)

    return drip


@contextmanager
def sink_at(answer, **options):
    receiver = Receiver(answer)
    sink = WebhookSink(receiver.url, SECRET, **options)
    try:
        yield sink, receiver
    finally:
        sink.close()
        receiver.server.close()


def test_the_limit_is_that_of_the_design():
    assert webhook_module.TIMEOUT_S == 10.0


@pytest.mark.parametrize(
    "answer",
    [lambda connection, request: time.sleep(5), drips(b"", b"H"), drips(b"HTTP/1.1 200 OK\r\n", b"a: b\r\n"), drips(b"HTTP/1.1 200 OK\r\na: ", b"b"), drips(b"", b"HTTP/1.1 100 Continue\r\n\r\n")],
    ids=["silence", "status", "headers", "one header", "continue"],
)
def test_an_answer_that_drips_is_given_up_after_the_time_limit_as_a_whole(monkeypatch, answer):
    monkeypatch.setattr(webhook_module, "TIMEOUT_S", 0.7)
    with sink_at(answer) as (sink, _):
        started = time.monotonic()
        with pytest.raises(Unavailable):
            sink.deliver("I/1", b"{}")
        assert time.monotonic() - started < 3


def test_a_body_is_never_waited_for_nor_read_into_memory(monkeypatch):
    monkeypatch.setattr(webhook_module, "TIMEOUT_S", 5)
    endless = drips(b"HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ntransfer-encoding: chunked\r\n\r\n", b"10000\r\n" + b"x" * 65_536 + b"\r\n")
    with sink_at(endless) as (sink, receiver):
        started, before_kib = time.monotonic(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        for number in range(20):
            sink.deliver(f"I/{number}", b"{}")
        assert time.monotonic() - started < 5 and len(receiver.got) == 20
        assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before_kib < 50_000


def test_a_connection_is_used_again_where_the_answer_has_no_body():
    connections = set()

    def answer(connection, request):
        connections.add(connection.fileno())
        says(204)(connection, request)

    with sink_at(answer) as (sink, receiver):
        for number in range(5):
            sink.deliver(f"I/{number}", b"{}")
        assert len(receiver.got) == 5 and len(connections) == 1


@pytest.mark.parametrize(("status", "header", "wait_s"), [(401, None, None), (404, "3", 3), (408, "0", 0), (425, "120", 120), (429, "99999999999999999999", 900), (503, "x", None), (500, "-1", None), (429, "1.5", None), (403, None, None), (407, None, None), (418, None, None)])
def test_what_may_pass_is_tried_again_when_the_receiver_asks(status, header, wait_s):
    with sink_at(says(status, *([f"Retry-After: {header}"] if header else []))) as (sink, _), pytest.raises(Unavailable) as caught:
        sink.deliver("I/1", b"{}")
    assert getattr(caught.value, "after_s", None) == wait_s and f"answered {status}" in str(caught.value)


@pytest.mark.parametrize("status", [400, 409, 410, 413, 415, 422])
def test_what_says_something_about_the_event_is_refused(status):
    with sink_at(says(status)) as (sink, _), pytest.raises(BadInput, match=f"refused the event with {status}"):
        sink.deliver("I/1", b"{}")


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_redirects_are_not_followed_and_lose_nothing(status):
    elsewhere = Receiver(says(200))
    with sink_at(says(status, f"Location: {elsewhere.url}")) as (sink, _), pytest.raises(Unavailable, match="redirects are not followed"):
        sink.deliver("I/1", b"{}")
    assert not elsewhere.got


def test_no_proxy_or_password_file_of_the_environment_has_a_say(monkeypatch, tmp_path):
    (tmp_path / ".netrc").write_text("machine 127.0.0.1 login a password hunter2\n")
    proxy = Receiver(says(200))
    for name, value in {"HTTP_PROXY": proxy.url, "http_proxy": proxy.url, "ALL_PROXY": proxy.url, "NETRC": str(tmp_path / ".netrc"), "HOME": str(tmp_path)}.items():
        monkeypatch.setenv(name, value)
    with sink_at(says(204, "Set-Cookie: a=b")) as (sink, receiver):
        sink.deliver("I/1", b"{}")
        sink.deliver("I/2", b"{}")
        assert len(receiver.got) == 2 and not proxy.got and b"uthorization" not in b"".join(receiver.got) and b"ookie" not in b"".join(receiver.got)


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("http://police.example/x", "not https"), ("http://10.0.0.1/x", "not https"), ("ftp://127.0.0.1/x", "no address"), ("file:///etc/passwd", "no address"), ("https://", "no address"),
        ("https://10.1.2.3/x", "private address"), ("https://192.168.0.1", "private"), ("https://172.16.9.9", "private"), ("https://[fd00::1]/", "private"), ("https://169.254.169.254/latest", "private"),
        ("https://0.0.0.0/", "private"), ("https://[::ffff:10.0.0.1]/", "private"), ("https://100.64.0.1/", "private"), ("https://224.0.0.1", "private"), ("https://[fe80::1]", "private"),
    ],
)  # fmt: skip
def test_only_https_or_this_machine_and_no_private_address(url, message):
    with pytest.raises(BadInput, match=message):
        WebhookSink(url, SECRET)


def test_private_addresses_where_configured_but_never_link_local_ones():
    WebhookSink("https://10.1.2.3/x", SECRET, private=True).close()
    for url in ("https://169.254.169.254/", "https://[fe80::1]/"):
        with pytest.raises(BadInput):
            WebhookSink(url, SECRET, private=True)
    assert allowed("8.8.8.8", private=False, local=False) and allowed("2606:4700::1", private=False, local=False)
    assert not allowed("127.0.0.1", private=True, local=False) and not allowed("::1", private=True, local=False) and not allowed("fe80::1%eth0", private=True, local=False)


@pytest.mark.parametrize(("host", "address"), [("hook.example", "10.0.0.1"), ("hook.example", "127.0.0.1"), ("hook.example", "169.254.169.254"), ("0x7f000001", "127.0.0.1"), ("127.1", "127.0.0.1")])
def test_a_public_name_for_an_address_inside_is_refused(monkeypatch, host, address):
    """Whoever owns the name may point it anywhere, later too."""
    real = socket.getaddrinfo
    monkeypatch.setattr(socket, "getaddrinfo", lambda name, port, *rest, **more: real(address if name == host else name, port, *rest, **more))
    sink = WebhookSink(f"https://{host}:9/x", SECRET)
    with pytest.raises(Unavailable, match="does not answer"):
        sink.deliver("I/1", b"{}")
    sink.close()


def test_a_delivery_is_given_up_at_once_when_the_notifier_stops():
    with sink_at(lambda connection, request: time.sleep(30)) as (sink, receiver):
        delivery = Delivery(Settings(), sink)
        thread = threading.Thread(target=delivery.deliver, args=(read_event(event(1)),))
        started = time.monotonic()
        thread.start()
        wait_for("the request", lambda: receiver.got, 10)
        delivery.stop()
        thread.join(5)
        assert not thread.is_alive() and time.monotonic() - started < 5


def test_a_wait_that_was_asked_for_is_kept_and_a_passing_401_loses_nothing():
    answers = [says(401), says(429, "Retry-After: 1"), says(204)]
    times = []

    def answer(connection, request):
        times.append(time.monotonic())
        answers[min(len(times), 3) - 1](connection, request)

    with sink_at(answer) as (sink, receiver):
        Delivery(Settings(), sink).deliver(read_event(event(1)))
        assert len(receiver.got) == 3 and times[2] - times[1] >= 1.0


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
    return [orjson.loads(line)["id"] for line in path.read_bytes().splitlines()]


def test_a_new_file_and_its_folder_are_for_their_user_alone(tmp_path):
    before = os.umask(0)
    try:
        FileSink(tmp_path / "new" / "sink.jsonl").close()
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "new").stat().st_mode) == 0o700 and stat.S_IMODE((tmp_path / "new" / "sink.jsonl").stat().st_mode) == 0o600


def test_a_full_disk_is_said_in_one_line():
    sink = FileSink(Path("/dev/full"))
    with pytest.raises(Unavailable, match="sink file /dev/full: no space left on device; mend that"):
        sink.deliver("I/1", b"{}")


@pytest.mark.parametrize("room", [0, 1, 50, 200])
def test_a_disk_that_takes_half_a_line_keeps_none_of_it_and_goes_on(tmp_path, room):
    path = tmp_path / "sink.jsonl"
    sink, big = FileSink(path), event(2, filler="x" * 500)
    sink.deliver("I1/1", event(1))
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (path.stat().st_size + room, hard))
    try:
        for _ in range(3):
            with pytest.raises(Unavailable, match="file too large"):
                sink.deliver("I2/1", big)
            assert lines(path) == ["I1/1"]
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    sink.deliver("I2/1", big)
    sink.deliver("I3/1", event(3))
    sink.close()
    assert lines(path) == ["I1/1", "I2/1", "I3/1"]


@pytest.mark.parametrize(("tail", "kept"), [(b'{"id": "torn', b""), (b"somebody's text", b"somebody's text\n"), (event(9), event(9) + b"\n"), (b"", b"")])
def test_a_last_line_without_an_end_is_mended(tmp_path, tail, kept):
    """After a power failure: a torn event is delivered again, so what is there of it can go; anything else stays."""
    path = tmp_path / "sink.jsonl"
    path.write_bytes(event(1) + b"\n" + tail)
    sink = FileSink(path)
    sink.deliver("I2/1", event(2))
    sink.close()
    assert path.read_bytes() == event(1) + b"\n" + kept + event(2) + b"\n"


# --- on Kafka ---


def start(yicheng, kafka, **environment):
    from deploy.broker import free_port

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
    wait_for("the file to hold all", lambda: (tmp_path / "sink.jsonl").exists() and len(lines(tmp_path / "sink.jsonl")) == 20)
    wait_for("the webhook's first try", lambda: dripping.got)
    assert lines(tmp_path / "sink.jsonl") == [f"I{number}/1" for number in range(20)]
    assert 'courier_notifications_total{outcome="unreadable",sink="file"} 60.0' in get(f"{child.url}/metrics")
    asked = time.monotonic()
    child.terminate()
    child.wait(15)
    assert time.monotonic() - asked < 8
    assert child.log().count("record that cannot be read is passed over") == 100 and "Traceback" not in child.log()
    start(yicheng, kafka, YICHENG_WEBHOOK_URL=healthy.url, **settings)
    wait_for("the webhook to get all", lambda: len({request.partition(b"webhook-id: ")[2].split(b"\r")[0] for request in healthy.got}) == 20)


def test_a_new_sink_begins_where_the_others_are_and_keeps_its_place(kafka):
    """And one that shared the group of all sinks before goes on there."""
    from kafka import KafkaConsumer, KafkaProducer, OffsetAndMetadata, TopicPartition

    producer = KafkaProducer(bootstrap_servers=kafka)
    for number in range(10):
        producer.send("courier.incidents.v1", event(number), b"vehicle/v", partition=3)
    producer.close()
    partition, group = TopicPartition("courier.incidents.v1", 3), f"group-{time.time_ns()}"
    shared_group, own_group = (KafkaConsumer(bootstrap_servers=kafka, group_id=name, enable_auto_commit=False) for name in (f"{group}-notifier", f"{group}-notifier-webhook"))
    for reached, expected in ((4, 4), (9, 4)):
        shared_group.assign([partition])
        shared_group.commit({partition: OffsetAndMetadata(reached, "", -1)})
        sink = WebhookSink("https://hook.example/", SECRET)
        Delivery(Settings(kafka_bootstrap=kafka, group=group), sink).take_over()
        sink.close()
        assert own_group.committed(partition) == expected
        assert own_group.committed(TopicPartition("courier.incidents.v1", 0)) == 0
    shared_group.close()
    own_group.close()
