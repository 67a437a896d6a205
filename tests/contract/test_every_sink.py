"""What every sink promises the notifier, whatever it is: it delivers whole messages in order, repeats them under the same id, says in one line what
is wrong, holds nobody up for longer than its limit, gives up when asked to, and closes what it opened.

Each sink speaks to the other end that its class below describes, over a real connection. The robots' ends stand in for platforms that cannot be
reached from here; they check signatures, sizes and forms as the platforms' documents say.
"""

import base64
import email
import errno
import hashlib
import hmac
import itertools
import os
import pkgutil
import re
import socket
import ssl
import threading
import time
from contextlib import contextmanager, nullcontext, suppress
from datetime import datetime
from types import SimpleNamespace
from typing import ClassVar, NamedTuple
from unittest import mock
from urllib.parse import parse_qs, urlsplit

import orjson
import psutil
import pytest
import trustme
from aiosmtpd.controller import Controller
from conftest import wait_for
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from receiver import Receiver, drips, header
from receiver import says as answers
from standardwebhooks.webhooks import Webhook

from consumers import sinks
from consumers.messages.message import Message
from consumers.sinks import KINDS, _https, apprise, open_sink
from consumers.sinks import file as file_module
from deploy.ports import free_port
from streams.errors import AskedToWait, BadInput, NotTaken, Unavailable

NAME = "duty-room"
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
KEY, ROBOT_SECRET, PASSWORD = "693axxx6-7aoc-4bc4", "SECcanary0canary1", "hunter2canary"
SECRETS = [SECRET.removeprefix("whsec_"), KEY, ROBOT_SECRET, PASSWORD]
WORDS = "禁行时段 ✓"


def message(number):
    data = {
        "incident_id": f"I{number}",
        "revision": 1,
        "synthetic": False,
        "rule": "no_entry_hours",
        "opened_at_ms": 1_790_000_000_000,
        "city": "150100",
    }
    body = orjson.dumps({"id": f"I{number}/1", "type": "yicheng.incident.opened.v1", "data": {**data, "words": WORDS}})
    return Message(
        message_id=f"I{number}/1",
        body=body,
        title=f"{WORDS} {number}",
        text=f"{WORDS} in words",
        markdown=f"**{WORDS}** in Markdown",
        severity="violation",
    )


def last_line(text):
    return text.rstrip().rpartition("\n")[2]


# --- the other ends ---


class Hangs:
    """A fault that lasts until the receiver closes."""

    def __init__(self, receiver, every_s=None, first=b""):
        self.receiver, self.every_s, self.first = receiver, every_s, first

    def __call__(self, connection, request):
        connection.sendall(self.first)
        while not self.receiver.closing.wait(self.every_s or 30):
            connection.sendall(b"2")


def closes(connection, request):
    with suppress(OSError):
        connection.shutdown(socket.SHUT_RDWR)


class HttpEnd:
    """A receiver that takes messages, and does whatever its fault is instead, while there is one."""

    begins_with = b"HTTP/1.1 200 OK\r\nx: "
    options: ClassVar = {}
    address = "url"

    def __init__(self, folder, tls=None):
        self._taken, self.fault = [], None
        self.receiver = Receiver(self._answer, tls)
        self.base = self.receiver.url.removesuffix("/hook")

    def _answer(self, connection, request):
        fault = self.fault  # one that begins while another message is under way concerns the next
        if fault:
            fault(connection, request)
        else:
            status, body = self.take(request, request.partition(b"\r\n\r\n")[2])
            answers(status, body=body)(connection, request)

    def open(self, **more):
        return open_sink(self.kind, NAME, {self.address: self.base, **self.options, **more})

    def slow(self):
        return open_sink(self.kind, NAME, {**self.options, self.address: "https://slow.example", "private": True})

    def got(self):
        """(id, what was said) of all that has arrived."""
        return list(self._taken)

    def faults(self):
        return {
            "unwell": answers(503), "hangs": Hangs(self.receiver), "drips": Hangs(self.receiver, 0.3, self.begins_with), "closes early": closes,
        }  # fmt: skip

    @contextmanager
    def faulty(self, name):
        self.fault = self.faults()[name]
        try:
            yield
        finally:
            self.fault = None

    def reached(self):
        return self.receiver.got

    def close(self):
        self.receiver.close()


class WebhookEnd(HttpEnd):
    kind = "webhook"
    options: ClassVar = {"secret": SECRET}

    def take(self, request, body):
        headers = {name: header(request, name) for name in ("webhook-id", "webhook-timestamp", "webhook-signature")}
        Webhook(SECRET).verify(body, headers)
        self._taken.append((headers["webhook-id"], body.decode()))
        return 204, b""

    def faults(self):
        return {**super().faults(), "refuses": answers(410), "does not take it": answers(422), "throttles": answers(429, "Retry-After: 7")}


class AlertmanagerEnd(HttpEnd):
    kind = "alertmanager"

    def take(self, request, body):
        assert request.startswith(b"POST /api/v2/alerts ")
        (alert,) = orjson.loads(body)
        self._taken.append((alert["annotations"]["event_id"], alert["annotations"]["summary"]))
        return 200, b""

    def faults(self):
        return {**super().faults(), "refuses": answers(410), "does not take it": answers(400), "throttles": answers(503, "Retry-After: 7")}


class RobotEnd(HttpEnd):
    address = "base_url"

    def codes(self, code):
        return orjson.dumps({"errcode": code, "errmsg": f"said of {self.options}\n"})

    def take(self, request, body):
        code = self.code(urlsplit(request.split(b" ")[1].decode()), orjson.loads(body))
        return 200, self.codes(code)

    def faults(self):
        not_taken, too_fast = self.wrong
        return {**super().faults(), "does not take it": answers(200, body=self.codes(not_taken)), "throttles": answers(200, body=self.codes(too_fast))}


class WeComEnd(RobotEnd):
    kind, options, wrong = "wecom", {"key": KEY}, (40058, 45009)

    def code(self, address, said):
        content = said["markdown"]["content"]
        if address.path != "/cgi-bin/webhook/send" or parse_qs(address.query) != {"key": [KEY]}:
            return 93000
        if len(content.encode()) > 4096 or said["msgtype"] != "markdown":
            return 40058
        self._taken.append((last_line(content), content))
        return 0


class DingTalkEnd(RobotEnd):
    kind, options, wrong = "dingtalk", {"access_token": KEY, "secret": ROBOT_SECRET}, (460101, 130101)

    def code(self, address, said):
        query = {name: value for name, (value,) in parse_qs(address.query).items()}
        signed = hmac.new(ROBOT_SECRET.encode(), f"{query['timestamp']}\n{ROBOT_SECRET}".encode(), hashlib.sha256).digest()
        if address.path != "/robot/send" or query["access_token"] != KEY:
            return 300001
        if base64.b64decode(query["sign"]) != signed or abs(int(query["timestamp"]) / 1000 - time.time()) > 3600:
            return 310000
        if len(said["markdown"]["text"].encode()) > 20_000 or not said["markdown"]["title"] or said["msgtype"] != "markdown":
            return 460101
        self._taken.append((last_line(said["markdown"]["text"]), said["markdown"]["text"]))
        return 0


class FeishuEnd(RobotEnd):
    kind, options, wrong = "feishu", {"token": KEY, "secret": ROBOT_SECRET}, (19036, 11232)

    def codes(self, code):
        return orjson.dumps({"code": code, "msg": f"said of {self.options}\n", "data": {}})

    def take(self, request, body):
        return (200, self.codes(19036)) if len(body) > 20_480 else super().take(request, body)

    def code(self, address, said):
        signed = hmac.new(f"{said['timestamp']}\n{ROBOT_SECRET}".encode(), b"", hashlib.sha256).digest()
        if address.path != f"/open-apis/bot/v2/hook/{KEY}":
            return 19001
        if base64.b64decode(said["sign"]) != signed or abs(int(said["timestamp"]) - time.time()) > 3600:
            return 19021
        (words,) = said["card"]["elements"]
        self._taken.append((last_line(words["content"]), words["content"]))
        return 0


class MailEnd:
    """A mail server, behind a wire that can do worse than a server would."""

    kind = "apprise"

    def __init__(self, folder, tls=None):
        self._taken, self.fault, self.says = [], None, None
        self.tls = tls
        self.server = Controller(self, hostname="127.0.0.1", port=free_port(), ssl_context=tls, server_hostname="mail")
        self.server.start()
        self.wire = Receiver(self._carry, first=True)

    async def handle_DATA(self, server, session, envelope):  # as aiosmtpd calls it
        if self.says:
            return self.says
        mail = email.message_from_bytes(envelope.content, policy=email.policy.default)
        content = mail.get_body(("plain",)).get_content()
        self._taken.append((last_line(content), f"{mail['subject']}\n{content}"))
        return "250 taken"

    def _carry(self, connection, _):
        if self.fault:
            self.fault(connection, b"")
            return
        with socket.create_connection(("127.0.0.1", self.server.port)) as server:
            threading.Thread(target=self._pump, args=(connection, server), daemon=True).start()
            self._pump(server, connection)

    @staticmethod
    def _pump(source, target):
        with suppress(OSError):
            while data := source.recv(65_536):
                target.sendall(data)
        for end in (source, target):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def open(self, host="127.0.0.1", **more):
        scheme, mode = ("mailtos", "ssl") if self.tls or host != "127.0.0.1" else ("mailto", "insecure")
        url = f"{scheme}://{host}:{self.wire.port}/?from=yicheng@city.example&to=duty@police.example&mode={mode}&name={PASSWORD}"
        return open_sink("apprise", NAME, {"url": url, **more})

    def slow(self):
        return self.open("slow.example", private=True)

    def got(self):
        return list(self._taken)

    @contextmanager
    def faulty(self, name):
        wire = {"hangs": Hangs(self.wire), "drips": Hangs(self.wire, 0.3, b"22"), "closes early": closes}
        self.fault = wire.get(name)
        self.says = {"refuses": "550 no such user", "throttles": "452 too many", "unwell": "451 try later"}.get(name)
        try:
            yield
        finally:
            self.fault = self.says = None

    def reached(self):
        return self.wire.got

    def close(self):
        self.wire.close()
        self.server.stop()


class FileEnd:
    """A file on a disk that may be full."""

    kind = "file"

    def __init__(self, folder, tls=None):
        self.path = folder / "sink.jsonl"

    def open(self, **more):
        return open_sink("file", NAME, {"path": str(self.path), **more})

    def got(self):
        return [(orjson.loads(line)["id"], line.decode()) for line in self.path.read_bytes().splitlines()]

    @contextmanager
    def faulty(self, name):
        turns = itertools.cycle([True, False])

        def write(descriptor, data):
            if next(turns):
                return os.write(descriptor, data[: len(data) // 2])
            raise OSError(errno.ENOSPC, "No space left on device")

        with mock.patch.object(file_module, "os", SimpleNamespace(**{**vars(os), "write": write})):
            yield

    def reached(self):
        return True

    def close(self):
        pass


ENDS = {end.kind: end for end in (WebhookEnd, AlertmanagerEnd, WeComEnd, DingTalkEnd, FeishuEnd, MailEnd, FileEnd)}
"""Every kind of sink, and where its messages arrive."""


class Expected(NamedTuple):
    """What a fault is to a sink: the class of the error, and a part of its text."""

    error: type
    says: str


OF_HTTP = {
    "unwell": Expected(Unavailable, "answered 503"), "hangs": Expected(Unavailable, "took longer than 1 s"), "drips": Expected(Unavailable, "took longer than 1 s"),
    "closes early": Expected(Unavailable, "does not answer"), "wrong TLS": Expected(Unavailable, "ca_file"), "slow DNS": Expected(Unavailable, "within 1 s"),
}  # fmt: skip
OF_RECEIVERS = {"refuses": Expected(BadInput, "410"), "throttles": Expected(AskedToWait, "asks to wait 7 s"), **OF_HTTP}
OF_ROBOTS = {"throttles": Expected(AskedToWait, "too many messages"), **OF_HTTP}
FAULTS = {
    "webhook": {**OF_RECEIVERS, "does not take it": Expected(NotTaken, "422")},
    "alertmanager": {**OF_RECEIVERS, "does not take it": Expected(NotTaken, "400")},
    "wecom": {**OF_ROBOTS, "does not take it": Expected(NotTaken, "code 40058")},
    "dingtalk": {**OF_ROBOTS, "does not take it": Expected(NotTaken, "code 460101")},
    "feishu": {**OF_ROBOTS, "does not take it": Expected(NotTaken, "code 19036")},
    "apprise": {
        **dict.fromkeys(("refuses", "throttles", "unwell", "closes early", "wrong TLS"), Expected(Unavailable, "did not take the message")),
        **dict.fromkeys(("hangs", "drips", "slow DNS"), Expected(Unavailable, "took longer than 3 s")),
    },
    "file": {"unwell": Expected(Unavailable, "no space left on device; mend that")},
}  # fmt: skip
"""What each sink makes of each fault."""
CANNOT = {
    **{(kind, "refuses"): "a robot refuses nothing for good: what is wrong is the settings, which are mended, or the message" for kind in ("wecom", "dingtalk", "feishu")},
    ("apprise", "does not take it"): "apprise says only that a message was not sent",
    ("file", "refuses"): "a file takes every message", ("file", "does not take it"): "a file takes every message", ("file", "throttles"): "a file asks nobody to wait",
    **{("file", fault): "a file is on this machine" for fault in ("hangs", "drips", "closes early", "wrong TLS", "slow DNS")},
}  # fmt: skip
"""Faults that cannot befall a kind of sink, and why."""
ALL = [(kind, fault) for kind, faults in FAULTS.items() for fault in faults]
ON_THE_WIRE = [(kind, fault) for kind, fault in ALL if fault not in {"wrong TLS", "slow DNS"}]


@pytest.fixture(scope="session")
def authority():
    return trustme.CA()


@pytest.fixture
def tls(authority):
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("127.0.0.1", "localhost").configure_cert(context)
    return context


@pytest.fixture
def end_of(tmp_path):
    made = []

    def make(kind, tls=None):
        made.append(ENDS[kind](tmp_path, tls))
        return made[-1]

    yield make
    for end in made:
        end.close()


@pytest.fixture
def opened():
    """Opens sinks that are closed at the end, in a list of their own."""
    made = []
    yield lambda sink: made.append(sink) or sink
    for sink in made:
        sink.close()


@pytest.fixture
def soon(monkeypatch):
    """Limits of a second (three for mail, which takes one to begin)."""
    monkeypatch.setattr(_https, "TIMEOUT_S", 1.0)
    monkeypatch.setattr(_https, "CONNECT_TIMEOUT_S", 0.9)
    monkeypatch.setattr(apprise, "TIMEOUT_S", 3.0)


@pytest.fixture
def slow_names(monkeypatch, tmp_path):
    """A resolver that does not answer for slow.example, here and in processes that are started; it says whether it was asked."""
    real, asked, over = socket.getaddrinfo, [], threading.Event()

    def look_up(host, *rest, **more):
        if host == "slow.example":
            asked.append(host)
            over.wait(60)
        return real(host, *rest, **more)

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    mark = tmp_path / "asked"
    (tmp_path / "sitecustomize.py").write_text(
        "import pathlib, socket, time\nreal = socket.getaddrinfo\n"
        f"def look_up(host, *rest, **more):\n    host == 'slow.example' and (pathlib.Path({str(mark)!r}).touch(), time.sleep(60))\n    return real(host, *rest, **more)\n"
        "socket.getaddrinfo = look_up\n"
    )
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    yield lambda: asked or mark.exists()
    over.set()


def held():
    """Open files, and processes that were started."""
    return len(os.listdir("/proc/self/fd")), len(psutil.Process().children())


@pytest.fixture
def met(end_of, tls, slow_names):
    """``met(kind, fault)``: a sink that is about to meet a fault, its end, and whether the fault has been reached. Afterwards nothing of the sink is open any more."""

    @contextmanager
    def meet(kind, fault):
        end = end_of(kind, tls if fault == "wrong TLS" else None)
        files, processes = held()
        sink = end.slow() if fault == "slow DNS" else end.open()
        on_the_wire = (kind, fault) in ON_THE_WIRE
        with end.faulty(fault) if on_the_wire else nullcontext(), sink_closed(sink):
            yield sink, end, slow_names if fault == "slow DNS" else end.reached if on_the_wire else lambda: True
        files += len(end.reached()) if fault in {"hangs", "drips"} else 0  # the receiver's ends, which hang
        wait_for("nothing to be open any more", lambda: held()[0] <= files and held()[1] <= processes, 10)

    return meet


@contextmanager
def sink_closed(sink):
    try:
        yield
    finally:
        sink.close()


def test_every_sink_is_here_and_every_fault_is_met_or_said_to_be_impossible():
    modules = {module.name for module in pkgutil.iter_modules(sinks.__path__) if not module.name.startswith("_")}
    assert modules == KINDS.keys() == ENDS.keys() == FAULTS.keys()
    faults = set().union(*FAULTS.values())
    assert set(itertools.product(KINDS, faults)) == {*ALL, *CANNOT} and not CANNOT.keys() & set(ALL)


@pytest.mark.parametrize("kind", KINDS)
def test_it_is_called_as_the_operator_says_and_is_real_only_if_told_so(end_of, opened, kind):
    end = end_of(kind)
    sink = opened(end.open())
    assert (sink.name, sink.real) == (NAME, False) and type(sink).__module__ == f"consumers.sinks.{kind}"
    assert opened(end.open(real=True)).real is True
    assert (sink.takes_digests, sink.takes_alerts) == ((kind != "alertmanager",) * 2)
    assert sink.folds == (kind in {"wecom", "dingtalk", "feishu", "apprise"})
    assert sink.limits == {"wecom": ((20, 60.0),), "dingtalk": ((20, 60.0),), "feishu": ((100, 60.0), (5, 1.0))}.get(kind, ())


@pytest.mark.parametrize("kind", KINDS)
def test_messages_arrive_whole_and_in_order_and_a_repeat_has_the_same_id(end_of, opened, kind):
    end = end_of(kind)
    sink = opened(end.open())
    answered = {sink.deliver(message(number)) for number in (1, 2, 3, 2)}
    assert answered == {{"webhook": "HTTP 204", "alertmanager": "HTTP 200", "apprise": None, "file": None}.get(kind, "HTTP 200, code 0")}
    sink.flush()
    assert [arrived for arrived, _ in end.got()] == ["I1/1", "I2/1", "I3/1", "I2/1"]
    assert all(WORDS in said for _, said in end.got()) and end.got()[1][1].split() == end.got()[3][1].split()


@pytest.mark.parametrize("kind", KINDS)
def test_what_was_flushed_is_there_without_a_close_and_another_goes_on_behind_it(end_of, opened, kind):
    end = end_of(kind)
    for number in (1, 2):
        sink = opened(end.open())
        sink.deliver(message(number))
        sink.flush()
        assert [arrived for arrived, _ in end.got()] == ["I1/1", "I2/1"][:number]


@pytest.mark.parametrize(("kind", "fault"), ALL)
def test_a_fault_is_said_in_one_line_within_the_limit_and_leaves_nothing_behind_or_open(met, soon, kind, fault):
    expected = FAULTS[kind][fault]
    with met(kind, fault) as (sink, end, _):
        for _ in range(1 if kind == "apprise" else 2):
            started = time.monotonic()
            with pytest.raises(expected.error) as caught:
                sink.deliver(message(1))
            assert time.monotonic() - started < 5
            said = str(caught.value)
            assert type(caught.value) is expected.error and expected.says in said
            assert f"sink {NAME}" in said and said.isprintable() and not [secret for secret in SECRETS if secret in said]
        assert kind == "file" or end.got() == []


@pytest.mark.parametrize(("kind", "fault"), ON_THE_WIRE)
def test_when_a_fault_is_over_it_goes_on_where_it_was(end_of, opened, soon, kind, fault):
    end = end_of(kind)
    sink = opened(end.open())
    sink.deliver(message(1))
    with end.faulty(fault), pytest.raises((Unavailable, BadInput)):
        sink.deliver(message(2))
    for number in (2, 3):
        sink.deliver(message(number))
    sink.flush()
    assert [arrived for arrived, _ in end.got()] == ["I1/1", "I2/1", "I3/1"]


@pytest.mark.parametrize("kind", sorted(KINDS.keys() - {kind for kind, fault in CANNOT if fault == "wrong TLS"}))
def test_an_authority_of_its_own_is_trusted_where_its_file_is_given(end_of, opened, authority, tls, tmp_path, kind):
    authority.cert_pem.write_to_path(tmp_path / "authority.pem")
    end = end_of(kind, tls)
    opened(end.open(ca_file=str(tmp_path / "authority.pem"))).deliver(message(1))
    assert [arrived for arrived, _ in end.got()] == ["I1/1"]


@pytest.mark.parametrize(("kind", "fault"), ALL)
def test_it_gives_up_within_five_seconds_whatever_it_is_in_the_middle_of(met, kind, fault):
    """The limits are the real ones, which are longer."""
    ended = []

    def deliver(sink):
        try:
            sink.deliver(message(1))
        except (Unavailable, BadInput) as error:
            ended.append(error)

    with met(kind, fault) as (sink, end, reached):
        thread = threading.Thread(target=deliver, args=(sink,))
        thread.start()
        wait_for("the fault", reached, 20)
        asked = time.monotonic()
        sink.give_up()
        thread.join(10)
        assert not thread.is_alive() and time.monotonic() - asked < 5 and len(ended) == 1
        if (kind, "hangs") not in CANNOT:
            with pytest.raises(Unavailable, match="given up"):
                sink.deliver(message(2))
        assert kind == "file" or end.got() == []


USES = {"unused": lambda sink: None, "used": lambda sink: sink.deliver(message(1)), "given up": lambda sink: sink.give_up()}


@pytest.mark.parametrize(("kind", "use"), itertools.product(KINDS, USES))
def test_it_closes_whatever_it_opened(end_of, kind, use):
    end = end_of(kind)
    before = held()
    sink = end.open()
    assert held() > before
    USES[use](sink)
    sink.close()
    wait_for("nothing to be open any more", lambda: held() <= before, 10)  # the receiver's end of a connection closes by itself


# --- what people read ---

LONG = "\n".join(f"第{number}行 \"引号\" <@all> <at id=all></at> 禁行时段 {'✓' * 20}" for number in range(400))
ROBOTS = {"wecom": 4_096, "dingtalk": 20_000, "feishu": 20_480}
"""Bytes that each takes at most."""


def put(made, **changes):
    return Message(**{name: getattr(made, name) for name in made.__struct_fields__} | changes)


@pytest.mark.parametrize("kind", ROBOTS)
def test_a_text_that_is_too_long_is_cut_after_a_whole_line_and_says_how_many_are_left_out(end_of, opened, kind):
    end = end_of(kind)
    opened(end.open()).deliver(put(message(1), markdown=LONG))
    ((arrived, said),) = end.got()
    kept = [line for line in said.split("\n") if line.startswith("第")]
    left_out = 400 - len(kept) + (kind != "feishu" and not said.startswith(WORDS))
    assert arrived == "I1/1" and f"（另有 {left_out} 行未列出 · lines left out: {left_out}）" in said
    assert all(line.endswith("✓") for line in kept) and ROBOTS[kind] * 0.7 < len(said.encode()) <= ROBOTS[kind]


@pytest.mark.parametrize("kind", ROBOTS)
def test_a_single_line_that_is_too_long_is_cut_and_keeps_the_id(end_of, opened, kind):
    end = end_of(kind)
    opened(end.open()).deliver(put(message(1), title="题" * 5_000, markdown="京" * 50_000))
    ((arrived, said),) = end.got()
    assert arrived == "I1/1" and said.count("京") > ROBOTS[kind] / 5 and "京…" in said and "未列出" not in said and len(said.encode()) <= ROBOTS[kind]


@pytest.mark.parametrize("kind", ROBOTS)
def test_nothing_in_the_data_mentions_anybody(end_of, opened, kind):
    end = end_of(kind)
    opened(end.open()).deliver(put(message(1), title="<@all>", markdown="<@all> <@zhang> <at id=all></at> < AT user_id='1'> @所有人"))
    ((_, said),) = end.got()
    if kind == "wecom":
        assert "<@" not in said and "zhang" in said
    elif kind == "feishu":
        assert not re.search(r"<\s*/?\s*at\b", said.replace("< at", "").replace("< AT", "").replace("< /at", "")) and "<at" not in said
    else:
        assert orjson.loads(end.receiver.got[0].partition(b"\r\n\r\n")[2])["at"] == {"isAtAll": False}


@pytest.mark.parametrize("kind", ["wecom", "dingtalk", "feishu", "apprise"])
def test_a_message_without_words_in_markdown_is_said_in_those_it_has(end_of, opened, kind):
    end = end_of(kind)
    sink = opened(end.open())
    sink.deliver(Message(message_id="test/1", body=b"{}", title="标题", text="only text"))
    sink.deliver(Message(message_id="test/2", body=b"{}"))
    (_, said), (bare, _) = end.got()
    assert "only text" in said and bare == "test/2"


@pytest.mark.parametrize(
    ("kind", "options", "says"),
    [
        ("wecom", {"key": "another"}, "code 93000"), ("dingtalk", {"secret": "another"}, "code 310000 (…): secret is not the robot's"), ("dingtalk", {"access_token": "another"}, "access_token is no robot's"),
        ("feishu", {"secret": "another"}, "code 19021 (…): secret is not the robot's"), ("feishu", {"token": "another"}, "token is no robot's"),
    ],
)  # fmt: skip
def test_a_wrong_key_is_the_settings_affair_and_says_what_to_mend(end_of, opened, kind, options, says):
    """Nothing is lost: the sink waits as a whole until it is mended."""
    end = end_of(kind)
    with pytest.raises(Unavailable) as caught:
        opened(end.open(**options)).deliver(message(1))
    assert type(caught.value) is Unavailable and says in re.sub(r"\(.*\)", "(…)", str(caught.value)) and end.got() == []


@pytest.mark.parametrize("kind", ROBOTS)
@pytest.mark.parametrize(("status", "body", "says"), [(200, b"<html>log in</html>", "not as this platform's robots do"), (200, b"[]", "not as"), (200, b'{"errcode":"0","code":false}', "not as"), (200, b"{" * 100_000, "not as"), (502, b"", "answered 502")])
def test_what_answers_in_a_robots_place_has_taken_nothing(end_of, opened, kind, status, body, says):
    end = end_of(kind)
    end.fault = answers(status, body=body)
    with pytest.raises(Unavailable, match=says):
        opened(end.open()).deliver(message(1))


@pytest.mark.parametrize("kind", ROBOTS)
def test_of_an_answer_without_an_end_only_the_beginning_is_read(end_of, opened, kind):
    end = end_of(kind)
    end.fault = drips(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n", b"10000\r\n" + b"x" * 65_536 + b"\r\n")
    started = time.monotonic()
    with pytest.raises(Unavailable, match="not as this platform's robots do"):
        opened(end.open()).deliver(message(1))
    assert time.monotonic() - started < 5


# --- apprise: what its plugins may reach ---


@pytest.fixture
def names(monkeypatch, tmp_path):
    """In processes that are started ``inside.example`` is this machine."""
    (tmp_path / "sitecustomize.py").write_text(
        "import socket\nreal = socket.getaddrinfo\nsocket.getaddrinfo = lambda host, *rest, **more: real('127.0.0.1' if host == 'inside.example' else host, *rest, **more)\n"
    )
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))


@pytest.fixture
def receiver(request):
    """Takes what is posted to it."""
    made = Receiver(answers(200))
    yield made
    made.close()


def test_apprise_reaches_no_address_inside_by_a_public_name(opened, names, receiver):
    sink = opened(open_sink("apprise", NAME, {"url": f"jsons://inside.example:{urlsplit(receiver.url).port}/x", "private": True}))
    with pytest.raises(Unavailable, match="its name stands for addresses that are not public"):
        sink.deliver(message(1))
    assert receiver.got == []


def test_apprise_looks_up_no_host_but_those_of_the_list(opened):
    """Of a plugin whose URL names no host, too."""
    sink = opened(open_sink("apprise", NAME, {"url": "slack://T1JJ3T3L2/A1BRTD4JD/TIiajkdnlazkcOXrIdevi7FQ/#duty", "hosts": ["*.police.example"]}))
    with pytest.raises(Unavailable, match="it looks up a host that is none of hosts"):
        sink.deliver(message(1))


def test_apprise_follows_no_redirect(opened, receiver):
    first = Receiver(answers(302, f"Location: {receiver.url}"))
    try:
        sink = opened(open_sink("apprise", NAME, {"url": f"json://127.0.0.1:{urlsplit(first.url).port}/x"}))
        with pytest.raises(Unavailable, match="did not take the message"):
            sink.deliver(message(1))
        assert len(first.got) == 1 and receiver.got == []
    finally:
        first.close()


# --- settings ---

MISTAKES = {
    "webhook": [
        ({"url": "http://police.example/x"}, "url is not https"), ({"url": "https://10.0.0.1/x"}, "url is a private address; set private: true"), ({"url": "x"}, "url is no address"),
        ({"secret": PASSWORD}, "secret is no Standard Webhooks secret"), ({"secret": "whpk_" + "A" * 43 + "="}, "secret is a public key"), ({"secret": "whsk_AAAA"}, "secret is no Standard"),
        ({"secret": []}, "secret is to be one, or a list of 1 to 10"), ({"hosts": ["police.example"]}, "the host of url is none of hosts (police.example)"),
        ({"ca_file": "/nowhere"}, "ca_file /nowhere: no such file"), ({"ca_file": __file__}, "holds no certificate in PEM"), ({"sercet": SECRET}, "'sercet' is no option of it; did you mean 'secret'?"),
        ({"private": "yes"}, "option private: expected bool, got str"), ({"url": 1}, "option url: expected str, got int"),
    ],
    "alertmanager": [({"url": "http://police.example/x"}, "url is not https"), ({"tokne": PASSWORD}, "did you mean 'token'?"), ({"token": " "}, "token is empty"), ({"token": "a\r\nb"}, "token is empty, or has a sign"), ({"url": "https://x.example/?a=b"}, "url goes on after its path")],
    "wecom": [({"key": ""}, "key or token is no robot's"), ({"key": f"https://qyapi.weixin.qq.com/cgi-bin/webhook/send?key={KEY}"}, "the last part of the robot's address"), ({"key": 1}, "option key: expected str"), ({"base_url": "https://wecom.example"}, "base_url is another address than https://qyapi.weixin.qq.com; set private: true"), ({"kye": KEY}, "did you mean 'key'?")],
    "dingtalk": [({"access_token": " "}, "key or token is no robot's"), ({"acces_token": KEY}, "did you mean 'access_token'?"), ({"base_url": "http://ding.example"}, "base_url is not https")],
    "feishu": [({"token": f"https://open.feishu.cn/open-apis/bot/v2/hook/{KEY}"}, "the last part of the robot's address"), ({"tokens": KEY}, "did you mean 'token'?"), ({"base_url": "https://feishu.example"}, "base_url is another address than https://open.feishu.cn")],
    "apprise": [
        ({"url": f"nosuch://{PASSWORD}@x"}, "url is none that apprise knows"), ({"ca_file": "/nowhere"}, "ca_file /nowhere: no such file"), ({"ulr": PASSWORD}, "did you mean 'url'?"),
        ({"url": "json://169.254.169.254"}, "url is not encrypted"), ({"url": f"mailto://me:{PASSWORD}@mail.example?mode=insecure"}, "url is not encrypted"), ({"url": "jsons://police.example/?verify=no"}, "does not verify certificates"),
        ({"url": "jsons://10.0.0.1/x"}, "url is a private address; set private: true"), ({"url": "jsons://169.254.169.254/x", "private": True}, "url is a private address"),
        ({"url": f"mailtos://me:{PASSWORD}@police.example?smtp=10.0.0.1"}, "url is a private address"), ({"url": "jsons://elsewhere.example/x", "hosts": ["*.police.example"]}, "the host of url is none of hosts"),
        ({"url": "json://127.0.0.1, json://10.0.0.1"}, "url is not encrypted"),
    ],
    "file": [
        ({"path": "/proc/nowhere/file"}, "path /proc/nowhere/file: No such file or directory; set it to a file that can be written"), ({"format": "xml"}, "option format: invalid enum value"),
        ({"rotate_mb": 0}, "option rotate_mb: expected"), ({"keep": 0}, "option keep: expected"), ({"rotate": 5}, "did you mean 'rotate_mb'?"),
    ],
}  # fmt: skip


RIGHT = {
    "webhook": {"url": "https://127.0.0.1:1/x", "secret": SECRET}, "alertmanager": {"url": "http://127.0.0.1:1"}, "wecom": {"key": KEY}, "dingtalk": {"access_token": KEY},
    "feishu": {"token": KEY}, "apprise": {"url": "json://127.0.0.1"}, "file": {"path": "sink"},
}  # fmt: skip


@pytest.mark.parametrize(("kind", "options", "says"), [(kind, *mistake) for kind, mistakes in MISTAKES.items() for mistake in mistakes])
def test_a_mistake_in_its_options_is_one_line_that_names_sink_and_option(tmp_path, monkeypatch, kind, options, says):
    monkeypatch.chdir(tmp_path)
    before = held()
    with pytest.raises(BadInput) as caught:
        open_sink(kind, NAME, {**RIGHT[kind], **options})
    said = str(caught.value)
    assert said.startswith(f"sink {NAME}: ") and says in said and said.isprintable() and not [secret for secret in SECRETS if secret in said]
    assert held() <= before


def certificate(begins, ends):
    """Of an authority, in PEM: from one day until another."""
    key, name = ec.generate_private_key(ec.SECP256R1()), x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "authority")])
    made = x509.CertificateBuilder(name, name, key.public_key(), 1, datetime.fromisoformat(begins), datetime.fromisoformat(ends))
    return made.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True).sign(key, hashes.SHA256()).public_bytes(Encoding.PEM)


@pytest.mark.parametrize("kind", sorted(KINDS.keys() - {"file"}))
def test_authorities_of_whom_none_is_valid_now_are_a_mistake(tmp_path, kind):
    over, older, to_come, valid = (certificate(*days) for days in (("2019-01-01", "2020-01-31"), ("2018-01-01", "2019-01-31"), ("2990-01-01", "2999-01-01"), ("2019-01-01", "2999-01-01")))
    file = tmp_path / "authority.pem"
    before = held()
    for pem, says in ((over + older, "expired on 2020-01-31"), (to_come, "not valid before 2990-01-01"), (to_come + over, "not valid before 2990-01-01")):
        file.write_bytes(pem)
        with pytest.raises(BadInput) as caught:
            open_sink(kind, NAME, {**RIGHT[kind], "ca_file": str(file)})
        assert str(caught.value) == f"sink {NAME}: ca_file {file}: {says}, or this machine's clock is wrong"
    assert held() <= before
    file.write_bytes(b"since 2019\n" + over + valid)
    open_sink(kind, NAME, {**RIGHT[kind], "ca_file": str(file)}).close()


def test_every_kind_has_its_mistakes_a_missing_option_is_named_and_an_unknown_kind_has_a_nearest():
    assert MISTAKES.keys() == KINDS.keys()
    for kind in KINDS:
        with pytest.raises(BadInput, match=f"^sink {NAME}: option (url|key|access_token|token|path) is missing$"):
            open_sink(kind, NAME, {})
    with pytest.raises(BadInput, match=f"^sink {NAME}: 'weecom' is no kind of sink; did you mean 'wecom'\\?$"):
        open_sink("weecom", NAME, {})
