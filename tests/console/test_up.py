"""``yicheng up`` without further options starts the console, and Prometheus where that is installed, and says where they are; they end with the others."""

import json
import re
import shutil
import signal

from conftest import get, wait_for

from deploy.ports import free_port


def test_up_has_a_live_map_of_its_traffic(monkeypatch, yicheng, watch):
    monkeypatch.delenv("YICHENG_KAFKA_BOOTSTRAP", raising=False)
    yicheng.environment.pop("YICHENG_KAFKA_BOOTSTRAP", None)
    plain = ("-m", "deploy.cli", "up")  # neither with nor without anything, but for ports of its own
    child = yicheng.start("--kafka-port", free_port(), "--prometheus-port", 0, "--rate", 100, "--duration", "5m", "--speedup", 30, program=plain, YICHENG_CONSOLE_PORT="0")
    address = wait_for("the address of the map", lambda: re.search(r"live map 实时地图: (http://127\.0\.0\.1:\d+)", child.log()))
    watched = watch(address[1])
    wait_for("its page", lambda: get(f"{address[1]}/api/state"))
    page = watched.open("/?lang=en")
    wait_for("vehicles on the map", lambda: page.evaluate("window.yicheng?.map.layer.count ?? 0") > 10, 90)
    wait_for("incidents in the list", lambda: page.locator("#list [data-incident]").count() > 0)
    watched.check()
    watching = re.search(r"Prometheus with the alert rules: (http://\S+)/alerts", child.log())
    assert bool(watching) == bool(shutil.which("prometheus")), child.log()
    jobs = lambda: {series["metric"]["job"] for series in json.loads(get(f"{watching[1]}/api/v1/query?query=up%20==%201"))["data"]["result"]}  # noqa: E731
    wait_for("all processes to be watched", lambda: not watching or jobs() == {"yicheng-worker", "yicheng-notifier", "yicheng-console"})
    child.send_signal(signal.SIGINT)
    assert child.wait(30) == 130, child.log()
    assert get(f"{address[1]}/api/state") is None and not (watching and get(f"{watching[1]}/-/ready"))
    log = (yicheng.home / "up" / "logs" / "console.log").read_text()
    assert "Traceback" not in log, log
