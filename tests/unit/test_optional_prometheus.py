"""Prometheus beside ``up``: where it was not asked for, a run goes on without it; one that ends is started again."""

import pytest

from deploy.debian import command_for
from deploy.ports import free_port
from deploy.up import monitoring
from deploy.up.monitoring import CONSOLES, NOTIFIERS, WORKERS, Prometheus, available
from deploy.waiting import until
from streams.errors import Unavailable


@pytest.fixture
def said():
    return []


@pytest.fixture
def prometheus(tmp_path, said):
    made = Prometheus(tmp_path / "prometheus", free_port(), say=said.append)
    made.watch({WORKERS: [], NOTIFIERS: [], CONSOLES: []})
    yield made
    made.stop(5.0)


def test_one_that_does_not_start_ends_a_run_only_where_it_is_insisted_on(prometheus, said, tmp_path, monkeypatch):
    program = tmp_path / "prometheus-that-ends"
    program.write_text("#!/bin/sh\necho no >&2\nexit 1\n")
    program.chmod(0o700)
    monkeypatch.setattr(monitoring, "PROGRAM", str(program))
    monkeypatch.setattr(monitoring, "READY_WITHIN_S", 0.5)
    with pytest.raises(Unavailable, match="not ready"):
        prometheus.started(insisted=True)
    assert not said and not prometheus.started(insisted=False)
    (line,) = said
    assert line.startswith("going on without Prometheus") and str(prometheus.log) in line and prometheus.log.read_text() == "no\nno\n"


def test_one_that_ends_is_started_again_and_that_is_said(prometheus, said, monkeypatch):
    if not available():
        pytest.skip(f"Prometheus is missing; install it with: {command_for('prometheus')}")
    monkeypatch.setattr(monitoring, "AGAIN_AFTER_S", 0.0)
    assert prometheus.started(insisted=True)
    prometheus.launch_if_dead()
    assert not said
    url = prometheus.url
    prometheus.process.kill()
    prometheus.process.wait()
    prometheus.launch_if_dead()
    assert [line for line in said if "started again" in line] == said != [] and until(prometheus.ready, within_s=60, every_s=0.1) and prometheus.url == url
