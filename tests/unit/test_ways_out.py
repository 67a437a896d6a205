"""Sinks come and go with the routes: whole or not at all, each with its dispatch, and what waits for one that is gone stays."""

import os
import threading
from contextlib import suppress

import orjson
import pytest
from conftest import wait_for, written_lines
from prometheus_client import REGISTRY
from structlog.testing import capture_logs

from consumers.outbox.file import prepare
from consumers.outbox.log import drop_waiting, logged
from consumers.outbox.outbox import Outbox
from consumers.outbox.rows import Entry
from consumers.routing.routes import Destination, SinkConfig, simple_routing
from consumers.sending import ways_out as module
from consumers.sending.ways_out import WaysOut
from deploy.deliveries import replayed
from streams.clock import now_ms
from streams.errors import BadInput, Unavailable


class Site:
    def __init__(self, folder):
        self.folder, self.failures = folder, []
        prepare(folder / "outbox.db")
        self.outbox = Outbox(folder / "outbox.db")

    def routing(self, *names, **configs):
        return simple_routing({**{name: SinkConfig("file", {"path": str(self.folder / name)}) for name in names}, **configs})

    def open(self, routing):
        self.ways = WaysOut(self.folder / "outbox.db", routing, lambda: 0, self.failures.append)
        return self.ways

    def put(self, name, *sinks, synthetic=False):
        body = orjson.dumps({"id": f"{name}/1", "type": "yicheng.incident.opened.v1", "data": {"incident_id": name, "revision": 1, "synthetic": synthetic}})
        to = [Destination(sink, "every incident", 0, now_ms(), None, until_answered=False) for sink in sinks]
        self.outbox.put([(Entry(name, 1, body), to)], now_ms())
        self.ways.notice(to)

    def got(self, name):
        return [orjson.loads(line)["id"] for line in written_lines(self.folder / name)]

    def is_opened(self, name):
        return any(path == str(self.folder / name) for path in open_files())


def open_files():
    for number in os.listdir("/proc/self/fd"):
        with suppress(FileNotFoundError):  # other threads open and close files meanwhile
            yield os.readlink(f"/proc/self/fd/{number}")


@pytest.fixture
def site(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "OPENED_SOON_S", 10.0)
    made = Site(tmp_path)
    yield made
    made.ways.stop()
    made.ways.join()
    assert made.failures == []


def shown(metric, sink):
    return REGISTRY.get_sample_value(metric, {"sink": sink})


def test_a_sink_that_is_gone_has_no_series_and_keeps_what_waits_for_it(site):
    ways = site.open(site.routing("one", "two"))
    site.put("A", "one", "two")
    wait_for("both", lambda: site.got("one") == site.got("two") == ["A/1"], 10)
    assert ways.follow(site.routing("one")) and shown("courier_outbox_pending", "one") is not None and shown("courier_outbox_pending", "two") is None
    site.put("B", "one", "two")
    wait_for("the other", lambda: site.got("one") == ["A/1", "B/1"], 10)
    assert site.got("two") == ["A/1"] and site.outbox.pending("two") == 1
    assert ways.follow(site.routing("one", "two"))
    wait_for("what waited", lambda: site.got("two") == ["A/1", "B/1"], 10)


def test_what_waits_for_a_sink_that_is_gone_stays_in_sight(site):
    ways = site.open(site.routing("one", "two"))
    site.outbox.switch("two", off=True)
    site.put("A", "two")
    site.put("B", "two")
    assert ways.follow(site.routing("one"))
    with capture_logs() as said:
        ways.count_left(site.outbox, anew=True)
    assert [(line["sink"], line["waiting"], "no route names" in line["event"]) for line in said] == [("two", 2, True)]
    assert shown("courier_outbox_pending", "two") == 2
    assert drop_waiting(site.folder / "outbox.db", "two", "gone") == 2
    ways.count_left(site.outbox)
    assert shown("courier_outbox_pending", "two") is None
    site.put("C", "two")
    ways.count_left(site.outbox, anew=True)
    site.outbox.switch("two", off=False)
    assert ways.follow(site.routing("one", "two"))
    ways.count_left(site.outbox, anew=True)
    wait_for("what waited", lambda: site.got("two") == ["C/1"] and shown("courier_outbox_pending", "two") == 0, 10)


def test_routes_with_a_sink_that_cannot_be_opened_change_nothing(site):
    ways = site.open(site.routing("one"))
    before = ways.routing
    bad = site.routing("three", broken=SinkConfig("file", {"path": "/proc/nowhere/x"}, "routes.yaml:3"))
    assert not ways.follow(bad) and not ways.follow(bad) and ways.routing is before
    assert site.is_opened("one") and (site.folder / "three").exists() and not site.is_opened("three"), "what was opened before the mistake is closed"
    site.put("A", "one")
    wait_for("the old sink", lambda: site.got("one") == ["A/1"], 10)
    with pytest.raises(BadInput, match="^routes.yaml:3: sink broken: path"):
        WaysOut(site.folder / "outbox.db", bad, lambda: 0, site.failures.append)


def test_routes_with_a_sink_that_cannot_be_opened_now_are_tried_again(site, monkeypatch):
    ways, tries, opened = site.open(site.routing("one")), [], module._opened

    def busy(name, config):
        tries.append(name)
        if len(tries) < 3 and name == "three":
            raise Unavailable("sink three does not start")
        return opened(name, config)

    monkeypatch.setattr(module, "_opened", busy)
    other = site.routing("one", "three")
    assert not ways.follow(other) and not ways.follow(other) and tries == ["three"], "once in so long"
    monkeypatch.setattr(module, "OPENS_AGAIN_S", 0.0)
    ways._again_s = 0.0
    assert not ways.follow(other) and ways.follow(other) and ways.routing is other and site.is_opened("three")


def test_a_sink_that_opens_slowly_holds_nobody_up(site, monkeypatch):
    ways, opened, opens, began = site.open(site.routing("one")), module._opened, threading.Event(), []

    def slowly(name, config):
        began.append(name)
        assert opens.wait(60)
        return opened(name, config)

    monkeypatch.setattr(module, "_opened", slowly)
    monkeypatch.setattr(module, "OPENED_SOON_S", 0.01)
    other = site.routing("one", "two")
    for name in "AB":
        assert not ways.follow(other) and ways.routing is not other
        site.put(name, "one")
        wait_for("the sink of before", lambda name=name: site.got("one")[-1:] == [f"{name}/1"], 10)
    opens.set()
    wait_for("the other routes", lambda: ways.follow(other), 10)
    site.put("C", "two")
    wait_for("the other sink", lambda: site.got("two") == ["C/1"], 10)
    assert began == ["two"], "once, however often the routes are looked at"


def test_a_sink_whose_options_change_is_opened_anew(site):
    ways = site.open(site.routing("one"))
    assert ways.follow(site.routing(one=SinkConfig("file", {"path": str(site.folder / "elsewhere")})))
    site.put("A", "one")
    wait_for("the new place", lambda: site.got("elsewhere") == ["A/1"], 10)


def test_alerts_do_not_go_back_to_where_they_come_from(site):
    """A round would never end, and one that is refused is a dead letter every five minutes: the sign of life."""
    ways = site.open(site.routing("one", manager=SinkConfig("alertmanager", {"url": "http://127.0.0.1:9/"})))
    assert [to.sink for to in ways.for_alerts(now_ms())] == ["one"]


def test_alerts_go_to_all_but_real_police(site):
    ways = site.open(site.routing("one", real=SinkConfig("file", {"path": str(site.folder / "real"), "real": True})))
    assert [to.sink for to in ways.for_alerts(now_ms())] == ["one"] and ways.is_real("real")


def counted(sink):
    return REGISTRY.get_sample_value("courier_notifications_total", {"sink": sink, "outcome": "synthetic"}) or 0


def test_nothing_synthetic_that_waits_reaches_a_sink_that_is_made_real(site):
    ways = site.open(site.routing("one"))
    site.outbox.switch("one", off=True)
    site.put("A", "one", synthetic=True)
    site.put("B", "one")
    before = counted("one")
    assert ways.follow(site.routing(one=SinkConfig("file", {"path": str(site.folder / "one"), "real": True})))
    site.outbox.switch("one", off=False)
    wait_for("the rest", lambda: site.outbox.pending("one") == 0, 10)
    assert site.got("one") == ["B/1"] and counted("one") == before + 1
    assert [each.reason for each in logged(site.folder / "outbox.db", incident_id="A")] == ["synthetic"]


def test_nothing_synthetic_is_replayed_to_a_sink_that_was_made_real(site):
    ways = site.open(site.routing("one"))
    site.put("A", "one", synthetic=True)
    site.put("B", "one")
    wait_for("both", lambda: site.got("one") == ["A/1", "B/1"] and site.outbox.pending("one") == 0, 10)
    assert ways.follow(site.routing(one=SinkConfig("file", {"path": str(site.folder / "one"), "real": True})))
    assert replayed(site.folder / "outbox.db", incident_id=None, sink=None, from_ms=0, until_ms=None).again == 2
    wait_for("the rest", lambda: site.outbox.pending("one") == 0, 10)
    assert site.got("one") == ["A/1", "B/1", "B/1"]


def test_alerts_that_wait_do_not_reach_a_sink_that_is_made_real(site):
    ways = site.open(site.routing("one"))
    site.outbox.switch("one", off=True)
    site.outbox.put([(Entry("alert", 1, b"{}"), ways.for_alerts(now_ms()))], now_ms())
    assert ways.follow(site.routing(one=SinkConfig("file", {"path": str(site.folder / "one"), "real": True})))
    site.outbox.switch("one", off=False)
    wait_for("it", lambda: site.outbox.pending("one") == 0, 10)
    assert site.got("one") == [] and [each.reason for each in logged(site.folder / "outbox.db")] == ["alert"]


def test_a_dispatch_that_cannot_go_on_says_so(site):
    ways = site.open(site.routing("one"))
    ways.stop()
    ways.join()
    (site.folder / "outbox.db").write_bytes(b"no database" * 1_000)
    (site.folder / "outbox.db-wal").unlink(missing_ok=True)
    broken = WaysOut(site.folder / "outbox.db", site.routing("two"), lambda: 0, site.failures.append)
    wait_for("the reason", lambda: site.failures, 10)
    broken.stop()
    assert type(site.failures.pop()).__name__ == "DatabaseError"
    site.failures.clear()
