"""The metrics page, as Prometheus itself sees it."""

import asyncio
import math
import re
import subprocess
import time
from types import SimpleNamespace
from zoneinfo import ZoneInfo

import pytest
import requests
from conftest import ROOT, get
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Info
from prometheus_client.exposition import choose_encoder
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_open_metrics
from prometheus_client.parser import text_string_to_metric_families

from streams import metrics
from streams.errors import Unavailable
from streams.process import unreadable  # noqa: F401 - its series are there from the start
from streams.process.exposition import Exposition
from streams.registry.records import Enterprise
from streams.registry.registry import Registry
from streams.runtime.checkpoint import Checkpoint
from streams.runtime.fix_stage import FixStage
from streams.runtime.heartbeat_stage import HeartbeatStage
from streams.runtime.refused_share import RefusedShare
from streams.runtime.stage import enterprise_label
from streams.wire.events import DUPLICATE, REASONS


def page():
    port = metrics.serve("127.0.0.1", 0, lambda: True)
    return get(f"http://127.0.0.1:{port}/metrics")


def test_prometheus_finds_nothing_wrong_with_our_metrics(promtool):
    for metric in (metrics.FIXES.labels("1", "accepted"), metrics.SCANS.labels("1", "accepted", "counted")):
        metric.inc()
    ours = "\n".join(line for line in page().splitlines() if re.search(r"\bcourier_", line)) + "\n"
    done = subprocess.run([promtool, "check", "metrics"], input=ours, capture_output=True, text=True, check=False)
    assert done.returncode == 0 and not done.stdout, done.stdout + done.stderr


def test_health_pages():
    ready = []
    port = metrics.serve("127.0.0.1", 0, lambda: bool(ready))
    assert get(f"http://127.0.0.1:{port}/healthz") == "ok\n"
    assert get(f"http://127.0.0.1:{port}/readyz") is None
    ready.append(1)
    assert get(f"http://127.0.0.1:{port}/readyz") == "ready\n"
    with pytest.raises(Unavailable, match=f"port {port} on 127.0.0.1 cannot be used .*set YICHENG_METRICS_PORT"):
        metrics.serve("127.0.0.1", port, lambda: True)


def test_an_enterprise_that_nobody_has_registered_is_counted_as_other():
    registry = Registry(ZoneInfo("Asia/Shanghai"))
    registry.add([Enterprise(id="e")])
    assert [enterprise_label(registry, name) for name in ("e", "nobody", "*")] == ["e", "other", "*"]


def test_each_incident_of_a_chunk_is_measured_from_the_arrival_of_the_chunks_first_record(monkeypatch):
    """The last record's arrival would understate what the others waited."""
    measured = []
    monkeypatch.setattr(metrics.INCIDENT_LATENCY, "observe", lambda seconds, exemplar: measured.append((round(seconds), exemplar)))

    async def nothing(*_):
        return None

    def judge(_, chunk):
        return SimpleNamespace(transitions=[SimpleNamespace(incident_id=name) for name in chunk[0].value], rejects=[], forgotten={}, outcomes={}, chunk=None)

    partition = SimpleNamespace(arrivals=SimpleNamespace(read_until=lambda _: None))
    stage = SimpleNamespace(engine=SimpleNamespace(judge=judge), partition=lambda _: asyncio.sleep(0, partition), _publish=nothing, refuse=nothing, city="150100", partitions={})
    now_ms = int(time.time() * 1000)
    for age_ms, names in ((9_000, ["I1", "I2"]), (None, ["I3"]), (9_000, [])):
        first = SimpleNamespace(partition=0, value=names, arrived_ms=age_ms and now_ms - age_ms, timestamp=now_ms)
        asyncio.run(FixStage.process(stage, [first, SimpleNamespace(arrived_ms=now_ms, timestamp=now_ms)]))
    assert measured == [(9, {"incident_id": "I1"}), (9, {"incident_id": "I2"})]


def test_durations_and_ages_say_that_they_are_seconds_and_rare_words_are_explained():
    said = {metric._name: metric._documentation for metric in vars(metrics).values() if hasattr(metric, "_documentation")}
    assert [text for name, text in said.items() if name.endswith("_seconds") and not text.startswith("Seconds ")] == []
    assert "vehicles (fixes)" in said["courier_fixes"] and "state" in said["courier_checkpoint_seconds"] and "state" in said["courier_checkpoint_age_seconds"]


def test_no_label_could_name_a_vehicle_or_a_waybill():
    allowed = {"city", "enterprise", "rule", "severity", "reason", "sink", "outcome", "kind", "percentile", "waybill", "packaging", "window", "measure", "energy"}
    allowed |= {"transition", "topic", "partition", "status", "action", "age", "zone", "due", "clause", "basis", "scope"}
    for value in vars(metrics).values():
        assert set(getattr(value, "_labelnames", ())) <= allowed


def test_what_an_input_refuses_is_counted_from_zero_on():
    metrics.DEAD.clear()  # what other tests of this process refused
    HeartbeatStage(Checkpoint(""), SimpleNamespace(), RefusedShare())
    text = page()
    for reason in {*REASONS} - {DUPLICATE}:
        assert f'courier_dead_total{{reason="{reason}",topic="courier.heartbeat.v1"}} 0.0' in text
    assert 'courier_arrival_unknown_total{topic="courier.heartbeat.v1"} 0.0' in text and 'courier_unreadable_total{topic="courier.registry.v1"}' in text


def test_the_pure_core_reads_no_clock():
    rooms = "city parcels enterprises vehicles policy rules registry wire words".split()
    modules = [path for room in rooms for path in (ROOT / "streams" / room).glob("*.py")]
    modules += [ROOT / f"streams/{name}.py" for name in "counts lifecycle fix_batch geo watermark windows".split()]
    assert len(modules) > 60
    for module in modules:
        text = module.read_text("utf-8")
        assert not re.search(r"\btime\.time\(|datetime\.now\(|monotonic\(|date\.today\(", text), module




def test_each_process_shows_its_own_metrics_and_those_of_the_process():
    worker, notifier = (page_of(of) for of in (metrics.OF_WORKER, metrics.OF_NOTIFIER))
    assert "# HELP courier_fixes" in worker and "# HELP courier_fixes" not in notifier
    assert "# HELP courier_notifications" in notifier and "# HELP courier_notifications" not in worker
    assert all("# HELP courier_unreadable" in said and "\nprocess_start_time_seconds " in said for said in (worker, notifier))
    assert "_created" not in worker + notifier


def test_latencies_name_an_incident_where_the_caller_takes_open_metrics():
    metrics.INCIDENT_LATENCY.observe(0.02, {"incident_id": "I1"})
    assert '# {incident_id="I1"} 0.02' in page_of(metrics.OF_WORKER, accept="application/openmetrics-text; version=1.0.0")
    assert "I1" not in page_of(metrics.OF_WORKER)


def test_series_that_are_not_there_any_more_disappear():
    metrics.show_only(metrics.CONSUMER_LAG, {("t", "0"): 1, ("t", "1"): 2})
    metrics.show_only(metrics.CONSUMER_LAG, {("t", "1"): 3})
    assert [line for line in page().splitlines() if line.startswith("courier_consumer_lag{")] == ['courier_consumer_lag{partition="1",topic="t"} 3.0']
    metrics.show_only(metrics.CONSUMER_LAG, {})


def page_of(of, accept=""):
    port = metrics.serve("127.0.0.1", 0, lambda: True, of)
    return requests.get(f"http://127.0.0.1:{port}/metrics", headers={"Accept": accept}, timeout=10).text


@pytest.mark.parametrize("accept", ["", "application/openmetrics-text; version=1.0.0"])
def test_the_page_says_what_the_library_would_say(accept):
    registry = CollectorRegistry()
    counter, gauge = Counter("a", "A", ["x", "y"], registry=registry), Gauge("b", 'B "\\', ["z"], registry=registry)
    others = Gauge("c", "C", registry=registry), Histogram("d", "D", ["v"], registry=registry), Info("e", "E", ["w"], registry=registry)
    exposition = Exposition([counter, gauge, *others])
    for value in (1, 1e6, 2.5, float("inf"), float("-inf"), float("nan"), 1e-9):
        counter.labels(f"{value}", 'quo"te\\\n城').inc(3 if math.isnan(value) else abs(value))
        gauge.labels(f"{value}").set(value)
    gauge.labels("later")
    others[1].labels("v").observe(0.1, {"incident_id": "I"})
    others[2].labels("w").info({"name": "城市"})
    encode, content_type = choose_encoder(accept)
    assert exposition.page(accept)[0] == content_type
    gauge.labels("later").set_function(lambda: 7)
    assert values(exposition.page(accept)[1], accept) == values(encode(registry), accept)
    gauge.remove("later")
    assert values(exposition.page(accept)[1], accept) == values(encode(registry), accept) and len(values(encode(registry), accept)) > 25


def values(page, accept):
    """All that a page says; NaN as text, since it is not equal to itself."""
    parse = parse_open_metrics if accept else text_string_to_metric_families
    families = parse(page.decode())
    return sorted((f.name, f.type, f.documentation, s.name, sorted(s.labels.items()), str(s.value), str(s.exemplar)) for f in families for s in f.samples)
