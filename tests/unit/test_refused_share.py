"""Most records of an input are refused: the log says so, and only a worker that was asked to ends."""

import asyncio
from types import SimpleNamespace

import pytest
from prometheus_client import REGISTRY
from structlog.testing import capture_logs

from streams.errors import TooManyRefused
from streams.policy.policy import Policies
from streams.policy.reader import load_policy
from streams.runtime.checkpoint import Checkpoint
from streams.runtime.heartbeat_stage import HeartbeatStage
from streams.runtime.refused_share import RefusedShare
from streams.settings import Settings, load_settings
from streams.wire.events import DUPLICATE, INVALID_TIME, LATE, MALFORMED

GPS, SCAN = "courier.gps.v1", "courier.scan.v1"


def said(share, *chunks):
    with capture_logs() as lines:
        for topic, records, reasons in chunks:
            share.note(topic, records, reasons)
    return [(line["topic"], line["records"], line["refused"], line["reasons"]) for line in lines]


def test_it_is_said_of_the_input_that_most_is_refused_of_and_once_a_minute():
    share = RefusedShare(0.5, 10)
    half = (GPS, 5, [MALFORMED] * 3)
    assert said(share, half, (SCAN, 10, []), half) == [(GPS, 10, 6, {MALFORMED: 6})]
    assert said(share, half, half, (SCAN, 10, [INVALID_TIME] * 9 + [MALFORMED])) == [(SCAN, 10, 10, {INVALID_TIME: 9, MALFORMED: 1})]


def test_the_share_is_a_metric():
    RefusedShare(0.5, 10).note("courier.heartbeat.v1", 10, [MALFORMED] * 2 + [LATE])
    assert REGISTRY.get_sample_value("courier_refused_ratio", {"topic": "courier.heartbeat.v1"}) == 0.2


@pytest.mark.parametrize(
    ("share", "chunks"),
    [
        (0.5, [(GPS, 10, [MALFORMED] * 5)]),  # not more than half
        (0.5, [(GPS, 9, [MALFORMED] * 9)]),  # too few to tell
        (0.5, [(GPS, 9, [MALFORMED] * 5), (GPS, 9, [])]),
        (0.5, [(GPS, 9, [MALFORMED] * 9), (SCAN, 9, [MALFORMED] * 9)]),  # each input by itself
        (0.5, [(GPS, 10, [LATE, DUPLICATE] * 5)]),  # which are nothing unusual
        (1.0, [(GPS, 10, [MALFORMED] * 10)]),  # switched off
    ],
)
def test_nothing_is_said_of(share, chunks):
    assert said(RefusedShare(share, 10), *chunks) == []
    stopping = RefusedShare(share, 10, stops=True)
    assert said(stopping, *chunks) == []


def judge_poison(monkeypatch, **settings):
    """Hand a stage 30 records of which it can read none, as the worker of these settings would."""
    chosen = Settings(**settings)
    share = RefusedShare(chosen.refused_share, chosen.refused_share_records, stops=chosen.refused_share_stops)
    stage, sent = HeartbeatStage(Checkpoint(""), SimpleNamespace(policies=Policies([load_policy("hohhot-2019")]), registry=None), share), []

    async def send(*record, **_):
        sent.append(record)

    monkeypatch.setattr(stage.checkpoint, "send", send)
    stage.partitions[0] = stage.new_partition()
    chunk = [SimpleNamespace(topic="courier.heartbeat.v1", partition=0, offset=n, key=None, value=b"\xff", timestamp=0, arrived_ms=0) for n in range(30)]
    with capture_logs() as lines:
        for start in range(0, 30, 10):
            asyncio.run(stage.process(chunk[start : start + 10]))
    return len(sent), [line["log_level"] for line in lines]


def test_poison_never_stops_anybody_who_has_not_asked_for_it(monkeypatch):
    assert judge_poison(monkeypatch) == (30, [])
    assert judge_poison(monkeypatch, refused_share_records=20) == (30, ["warning"])


def test_a_worker_that_was_asked_to_ends_with_a_line_that_says_how_to_go_on(monkeypatch):
    monkeypatch.setenv("YICHENG_REFUSED_SHARE_STOPS", "true")
    assert load_settings().refused_share_stops
    with pytest.raises(TooManyRefused) as ended:
        judge_poison(monkeypatch, refused_share_records=20)
    assert "20 of the last 20 records are refused, most as malformed" in str(ended.value) and "\n" not in str(ended.value)
    assert "start it with that setting off" in str(ended.value) and ended.value.exit_code == 2
