"""What every sink promises the notifier: it delivers whole events in order, repeats them under the same id, says what it refuses, and closes."""

import errno
import itertools
import os
import pkgutil
import threading
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import ClassVar
from unittest import mock

import orjson
import pytest
from conftest import wait_for
from receiver import serve

from consumers import sinks
from consumers.delivery import Delivery
from consumers.incident_events import read_event
from consumers.sinks import file as file_module
from consumers.sinks.file import FileSink
from consumers.sinks.webhook import WebhookSink
from streams.errors import BadInput, Unavailable
from streams.settings import Settings

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"


def event(number, *, synthetic=False):
    data = {"incident_id": f"I{number}", "revision": 1, "synthetic": synthetic, "words": "禁行时段 ✓"}
    return f"I{number}/1", orjson.dumps({"id": f"I{number}/1", "type": "yicheng.incident.opened.v1", "data": data})


class FileEnd:
    """A file on a disk that may be full."""

    mistakes: ClassVar = {"a folder": FileSink, "nowhere": lambda _: FileSink(Path("/proc/nowhere/file"))}
    refuses = None
    """No event is refused for good: a file takes them all."""

    def __init__(self, folder):
        self.path = folder / "sink.jsonl"

    def open(self):
        return FileSink(self.path)

    def got(self):
        """(event id, body) of what has arrived."""
        return [(orjson.loads(line)["id"], line) for line in self.path.read_bytes().splitlines()]

    @contextmanager
    def unavailable(self):
        turns = itertools.cycle([True, False])

        def write(descriptor, data):
            if next(turns):
                return os.write(descriptor, data[: len(data) // 2])
            raise OSError(errno.ENOSPC, "No space left on device")

        with mock.patch.object(file_module, "os", SimpleNamespace(**{**vars(os), "write": write})):
            yield

    def close(self):
        pass


class WebhookEnd:
    """A receiver that answers as it is told to."""

    mistakes: ClassVar = {
        "no https": lambda _: WebhookSink("http://police.example/x", SECRET), "a private address": lambda _: WebhookSink("https://10.0.0.1/x", SECRET),
        "no secret": lambda _: WebhookSink("https://police.example/x", "x"),
    }  # fmt: skip
    refuses = 422

    def __init__(self, _folder):
        self.status, self._got = 204, []
        self.server, self.url = serve(self._answer)

    def _answer(self, headers, body):
        status = self.status  # one that is asked while another event is under way is answered as it was then
        if status == 204:
            self._got.append((headers["webhook-id"], body))
        return status

    def open(self, **options):
        return WebhookSink(self.url, SECRET, **options)

    def got(self):
        return list(self._got)

    @contextmanager
    def answering(self, status):
        self.status = status
        try:
            yield
        finally:
            self.status = 204

    def unavailable(self):
        return self.answering(503)

    def close(self):
        self.server.shutdown()
        self.server.server_close()


ENDS = {"file": FileEnd, "webhook": WebhookEnd}
"""Every module of consumers/sinks, and where its events arrive."""


@pytest.fixture(params=ENDS)
def end(request, tmp_path):
    made = ENDS[request.param](tmp_path)
    yield made
    made.close()


@pytest.fixture
def sink(end):
    made = end.open()
    yield made
    made.close()


def test_every_sink_is_here():
    assert {module.name for module in pkgutil.iter_modules(sinks.__path__)} == ENDS.keys()


def test_its_name_is_that_of_its_module(sink):
    assert type(sink).__module__ == f"consumers.sinks.{sink.name}"


def test_events_arrive_whole_and_in_order(end, sink):
    events = [event(number) for number in range(20)]
    for sent in events:
        sink.deliver(*sent)
    sink.flush()
    assert end.got() == events


def test_a_repeat_has_the_same_id_and_the_same_bytes(end, sink):
    for sent in (event(1), event(2), event(1)):
        sink.deliver(*sent)
    sink.flush()
    assert end.got() == [event(1), event(2), event(1)]


def test_what_was_flushed_is_there_without_a_close_and_the_next_goes_on_behind_it(end):
    first, second = end.open(), end.open()
    first.deliver(*event(1))
    first.flush()
    assert end.got() == [event(1)]
    second.deliver(*event(2))
    second.flush()
    assert end.got() == [event(1), event(2)]
    first.close()
    second.close()


def test_what_may_pass_is_unavailable_in_one_line_and_leaves_nothing_behind(end, sink):
    sink.deliver(*event(1))
    with end.unavailable():
        for _ in range(2):
            with pytest.raises(Unavailable) as caught:
                sink.deliver(*event(2))
            assert "\n" not in str(caught.value) and sink.name in str(caught.value)
    sink.deliver(*event(2))
    sink.deliver(*event(3))
    sink.flush()
    assert end.got() == [event(1), event(2), event(3)]


def test_the_notifier_tries_what_is_unavailable_until_it_is_taken_and_goes_on_after_a_refusal(end, sink, monkeypatch):
    monkeypatch.setattr("consumers.delivery.FIRST_WAIT_S", 0.01)
    delivery = Delivery(Settings(), sink)
    with end.unavailable():
        waiting = threading.Thread(target=delivery.deliver, args=(read_event(event(1)[1]),))
        waiting.start()
        waiting.join(0.2)
        assert waiting.is_alive()
    waiting.join(10)
    if end.refuses:
        with end.answering(end.refuses):
            delivery.deliver(read_event(event(2)[1]))
    delivery.deliver(read_event(event(3)[1]))
    assert end.got() == [event(1), event(3)]


def test_what_is_refused_for_good_is_bad_input_in_one_line(end, sink):
    if end.refuses is None:
        pytest.skip("refuses no event for good")
    with end.answering(end.refuses), pytest.raises(BadInput) as caught:
        sink.deliver(*event(1))
    assert "\n" not in str(caught.value) and sink.name in str(caught.value) and str(end.refuses) in str(caught.value)
    sink.deliver(*event(2))
    assert end.got() == [event(2)]


@pytest.mark.parametrize(("name", "mistake"), [(name, mistake) for name, end in ENDS.items() for mistake in end.mistakes])
def test_a_mistake_in_its_settings_is_bad_input_in_one_line_that_names_the_setting(tmp_path, name, mistake):
    with pytest.raises(BadInput) as caught:
        ENDS[name].mistakes[mistake](tmp_path)
    assert f"YICHENG_{'SINK_FILE' if name == 'file' else 'WEBHOOK_'}" in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize("synthetic", [True, False])
def test_synthetic_incidents_reach_it_unless_it_is_real(end, synthetic):
    sink = end.open()
    sink.real = True
    Delivery(Settings(), sink).deliver(read_event(event(1, synthetic=synthetic)[1]))
    sink.real = False
    Delivery(Settings(), sink).deliver(read_event(event(2, synthetic=synthetic)[1]))
    sink.close()
    assert end.got() == [event(1, synthetic=False)] * (not synthetic) + [event(2, synthetic=synthetic)]


def test_it_gives_up_at_once_when_asked_to_by_another_thread(end, sink):
    delivery = Delivery(Settings(), sink)
    with end.unavailable():
        waiting = threading.Thread(target=delivery.deliver, args=(read_event(event(1)[1]),))
        waiting.start()
        waiting.join(0.1)
        delivery.stop()
        waiting.join(5)
    assert not waiting.is_alive() and end.got() == []


def test_it_closes_whatever_it_opened_used_or_not_and_after_giving_up(end):
    def opened():
        return len(os.listdir("/proc/self/fd"))

    for use in (lambda sink: None, lambda sink: sink.deliver(*event(1)), lambda sink: sink.give_up()):
        before = opened()
        sink = end.open()
        assert opened() > before
        use(sink)
        sink.close()
        wait_for("nothing to be open any more", lambda before=before: opened() <= before, 10)  # the receiver's end of a connection closes by itself
