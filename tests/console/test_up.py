"""``yicheng up`` starts the console and says where it is; it ends with the others."""

import re
import signal

from conftest import get, wait_for


def test_up_has_a_live_map_of_its_traffic(monkeypatch, yicheng, watch):
    monkeypatch.delenv("YICHENG_KAFKA_BOOTSTRAP", raising=False)
    yicheng.environment.pop("YICHENG_KAFKA_BOOTSTRAP", None)
    child = yicheng.start("up", "--rate", "100", "--duration", "5m", "--speedup", "30", "--console", YICHENG_CONSOLE_PORT="0")
    address = wait_for("the address of the map", lambda: re.search(r"live map 实时地图: (http://127\.0\.0\.1:\d+)", child.log()))
    watched = watch(address[1])
    wait_for("its page", lambda: get(f"{address[1]}/api/state"))
    page = watched.open("/?lang=en")
    wait_for("vehicles on the map", lambda: page.evaluate("window.yicheng?.map.layer.count ?? 0") > 10, 90)
    wait_for("incidents in the list", lambda: page.locator("#list [data-incident]").count() > 0)
    watched.check()
    child.send_signal(signal.SIGINT)
    assert child.wait(30) == 130, child.log()
    assert get(f"{address[1]}/api/state") is None
    log = (yicheng.home / "up" / "logs" / "console.log").read_text()
    assert "Traceback" not in log, log
