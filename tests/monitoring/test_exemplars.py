"""An incident's id comes from a process's page through a real Prometheus to the dots of the latency panel."""

import json
import time

import pytest
import requests
from conftest import ROOT, wait_for

from deploy.debian import command_for
from deploy.ports import free_port
from deploy.up.monitoring import CONSOLES, NOTIFIERS, WORKERS, Prometheus, available
from monitoring.queries import panels, replaced
from streams import metrics

BOARD = json.loads((ROOT / "deploy" / "grafana" / "dashboards" / "pipeline.json").read_text("utf-8"))


@pytest.fixture
def prometheus(tmp_path):
    if not available():
        pytest.skip(f"Prometheus is missing; install it with: {command_for('prometheus')}")
    made = Prometheus(tmp_path / "prometheus", free_port(), scraped_every_s=1)
    made.watch({WORKERS: [metrics.serve("127.0.0.1", 0, lambda: True)], NOTIFIERS: [], CONSOLES: []})
    made.start()
    yield made
    made.stop(5.0)


def exemplars(url, query, began_s):
    """What Grafana asks for beside a curve."""
    answer = requests.get(f"{url}/api/v1/query_exemplars", params={"query": query, "start": began_s - 60, "end": time.time() + 60}, timeout=10).json()
    assert answer["status"] == "success", answer
    return answer["data"]


def test_the_dots_of_the_latency_panel_name_incidents(prometheus):
    (asked,) = (target["expr"] for panel in panels(BOARD) if panel["title"] == "事件时延 · Incident latency" for target in panel["targets"] if target.get("exemplar"))
    began_s = time.time()

    def named():
        metrics.INCIDENT_LATENCY.observe(0.02, {"incident_id": "THE-INCIDENT"})
        found = exemplars(prometheus.url, replaced(asked, {}), began_s)
        return [(series["seriesLabels"], dot["value"]) for series in found for dot in series["exemplars"] if dot["labels"]["incident_id"] == "THE-INCIDENT"]

    labels, value = wait_for("an example", named)[0]
    assert (labels["__name__"], labels["job"], float(value)) == ("courier_incident_latency_seconds_bucket", WORKERS, 0.02)
