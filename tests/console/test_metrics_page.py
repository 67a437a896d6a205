"""The console has a page of metrics as every process has: who looks, what became of answers and logins, how far it has read."""

import urllib.request

import pytest
import requests
from conftest import get, wait_for

from console.console_site import Site, filled, users_file
from deploy.ports import free_port
from streams import metrics
from streams.wire.topics import REGISTRY


def counted(counter):
    return {sample.labels["outcome"]: sample.value for sample in counter.collect()[0].samples if sample.name.endswith("_total")}


def grown(counter, before):
    return {outcome: value - before.get(outcome, 0) for outcome, value in counted(counter).items() if value > before.get(outcome, 0)}


@pytest.fixture
def site(tmp_path):
    site = filled(Site(tmp_path, console_users=users_file(tmp_path)))
    yield site
    site.stop()


def test_logins_and_answers_are_counted_by_what_became_of_them(site):
    logins, answers = counted(metrics.CONSOLE_LOGINS), counted(metrics.CONSOLE_ANSWERS)
    assert site.ask("/api/login", {"name": "olga", "password": "wrong"})[0] == 401
    site.now_s += 1000
    olga, vera = site.log_in("olga"), site.log_in("vera")
    assert grown(metrics.CONSOLE_LOGINS, logins) == {"accepted": 2, "refused": 1}
    given = {"incident_id": "i", "action": "acknowledged"}
    assert [site.ask("/api/answer", given, cookie)[0] for cookie in (olga, vera, None)] == [200, 403, 401]
    site.refuse = True
    assert site.ask("/api/answer", {**given, "action": "dismissed", "reason": "escorted"}, olga)[0] == 503
    assert grown(metrics.CONSOLE_ANSWERS, answers) == {"accepted": 1, "refused": 2, "failed": 1}


def test_viewers_are_those_that_are_told_now(site):
    cookie, before = site.log_in("olga"), metrics.CONSOLE_VIEWERS._value.get()
    request = urllib.request.Request(f"{site.url}/api/events", headers={"Cookie": cookie})
    with urllib.request.urlopen(request, timeout=30) as stream:
        assert stream.readline() == b"retry: 1000\n" and metrics.CONSOLE_VIEWERS._value.get() == before + 1
    site.stop()
    wait_for("the viewer to have gone", lambda: metrics.CONSOLE_VIEWERS._value.get() == before)


def test_a_console_over_kafka_has_the_pages_of_every_process(console, kafka):
    from deploy.admin import produce

    port = free_port()
    produce(kafka, REGISTRY.name, [(b"vehicle/x", b"{")])
    console(YICHENG_KAFKA_BOOTSTRAP=kafka, YICHENG_METRICS_PORT=str(port))
    at = f"http://127.0.0.1:{port}"
    wait_for("what there is to be read", lambda: get(f"{at}/readyz"), 60)
    assert get(f"{at}/healthz") == "ok\n"
    page = wait_for("its lag", lambda: (text := get(f"{at}/metrics")) and "courier_console_lag{" in text and text, 30)
    assert 'courier_unreadable_total{topic="courier.registry.v1"} 1.0' in page and "# HELP courier_console_viewers" in page and "# HELP courier_fixes" not in page
    assert {line.split("{")[0] for line in page.splitlines() if line.startswith("courier_console_lag{")} == {"courier_console_lag"}


def test_without_kafka_it_lives_and_is_not_ready(console):
    port = free_port()
    console(YICHENG_KAFKA_BOOTSTRAP=f"127.0.0.1:{free_port()}", YICHENG_METRICS_PORT=str(port))
    assert get(f"http://127.0.0.1:{port}/healthz") == "ok\n" and requests.get(f"http://127.0.0.1:{port}/readyz", timeout=10).status_code == 503
