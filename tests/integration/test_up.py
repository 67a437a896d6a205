"""``yicheng up`` and the other commands as a user runs them; wrong input is one clear line."""

import os
import re
import signal
import socket
import subprocess

import msgspec
import orjson
import pytest
import requests
from conftest import ROOT, SHARED, get, wait_for
from oracle import Oracle

from deploy.admin import produce, read_topic
from producers.replay import read_records
from producers.traffic import write_sample_registry
from streams.policy.reader import load_policy
from streams.wire.cloudevents import cloudevent
from streams.wire.incident import IncidentData

GOLDEN = ROOT / "tests" / "golden"


def incidents(home):
    from deploy.up.verdict import latest_incidents

    return [d for d in latest_incidents(home / "up" / "incidents.jsonl").values() if d["state"] != "retracted"]


@pytest.fixture
def embedded(monkeypatch):
    """``up`` brings its own broker here, whatever cluster the other tests use."""
    monkeypatch.delenv("YICHENG_KAFKA_BOOTSTRAP", raising=False)


def test_up_finds_every_injected_violation_and_nothing_else(embedded, yicheng):
    done = yicheng.run("up", "--city", "hohhot", "--rate", "300", "--duration", "30s", "--faults", "dup=0.03,late=0.01,shuffle=20s,malformed=0.002")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "injected violations found and nothing else" in done.stdout
    page = yicheng.home / "up" / "report.html"
    shown = {d["rule_id"] for d in incidents(yicheng.home)} | {rule.id for rule in load_policy("hohhot-2019").pack.rules if rule.zone_ids}  # one with zones is explained though nobody broke it, as by night
    assert f"report 报告: {page}" in done.stdout and page.read_text("utf-8").count('class="rule"') == len(shown)
    assert {d["rule"] for d in incidents(yicheng.home)} >= {
        "unregistered_vehicle", "malformed_identifier", "unmarked_vehicle", "overstayed_stop", "low_electronic_waybill_rate", "low_green_packaging_rate",
    }  # fmt: skip
    left = subprocess.run(["pgrep", "-f", str(yicheng.home)], capture_output=True, text=True, check=False).stdout.split()
    assert left == [], "processes are left over"


@pytest.mark.long
def test_a_full_day_in_half_a_minute_is_found_whole(embedded, yicheng):
    done = yicheng.run("up", "--city", "yunnan", "--scenario", "full-day", "--speedup", "3600", "--rate", "1500", timeout=400)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "injected violations found and nothing else" in done.stdout
    assert {d["rule"] for d in incidents(yicheng.home)} >= {"offline_camera", "interrupted_feed", "blacklisted_enterprise", "unfiled_outlet", "silent_vehicle"}


@pytest.mark.long  # tests/street/test_alarms_stand.py kills a worker in one city
def test_up_survives_a_killed_worker_and_two_workers_share_the_work(embedded, yicheng):
    child = yicheng.start("up", "--rate", "300", "--duration", "25s", "--workers", "2", "--seed", "5")
    sink = yicheng.home / "up" / "incidents.jsonl"
    wait_for("the first incidents", lambda: sink.exists() and sink.stat().st_size > 0, 60)
    workers = subprocess.run(["pgrep", "-P", str(child.pid), "-f", "deploy.cli worker"], capture_output=True, text=True, check=True).stdout.split()
    assert len(workers) == 2
    os.kill(int(workers[0]), signal.SIGKILL)
    assert child.wait(180) == 0, (yicheng.home / "0-up.log").read_text()
    text = (yicheng.home / "0-up.log").read_text()
    assert "injected violations found and nothing else" in text and "restarts" in text


@pytest.mark.parametrize("recording", [pytest.param("tdrive_taxi_1277.txt", marks=pytest.mark.long), "geolife"])
def test_up_judges_recorded_traffic_as_the_oracle_does(embedded, yicheng, shared, recording):
    done = yicheng.run("up", "--policy", GOLDEN / "beijing.yaml", "--input", shared / "data" / recording)
    assert done.returncode == 0, done.stdout + done.stderr
    found = {(d["rule"], d["rule_id"], d["vehicle_id"], d["zone_id"], d["opened_at_ms"], d["state"]) for d in incidents(yicheng.home)}
    expected, _ = Oracle(GOLDEN / "beijing.yaml", None).fixes([sent[3] for sent in read_records([shared / "data" / recording])])
    assert found == {(*row[:5], row[7]) for row in expected} and len({row[1] for row in found}) >= 3
    closed = {(d["rule_id"], d["zone_id"], d["opened_at_ms"], d["last_seen_ms"], d["fix_count"]) for d in incidents(yicheng.home) if d["state"] == "closed"}
    assert closed == {(r[1], r[3], r[4], r[5], r[6]) for r in expected if r[7] == "closed"}


PACK = """\
policy: t
city: {adcode: "110100", name_zh: 测试市, name_en: Test, timezone: Asia/Shanghai}
document: {title: test, number: T-1, file: none}
rules:
  - {rule: unregistered_vehicle, id: unregistered, clause: "1", severity: violation}
"""
COLUMNS = """\
vehicle_id: 车牌号
event_time_ms: {column: 定位时间, format: "%Y-%m-%d %H:%M:%S"}
lon: 经度
lat: 纬度
coord_sys: {value: gcj02}
"""


def test_up_judges_gbk_tables_with_columns_of_other_names_as_judge_does(embedded, yicheng):
    """The registry, which is not UTF-8 either, knows one vehicle of three."""
    rows = "".join(f"京A{n % 3},2024-05-07 12:00:{n:02},116.32,39.92\n" for n in range(30))
    for name, text in (("gps.csv", "车牌号,定位时间,经度,纬度\n" + rows), ("registry.csv", "kind,id,plate\nvehicle,京A1,京A12345\n")):
        (yicheng.home / name).write_text(text, "gbk")
    for name, text in (("pack.yaml", PACK), ("columns.yaml", COLUMNS)):
        (yicheng.home / name).write_text(text, "utf-8")
    how = ["--policy", "pack.yaml", "--registry", "registry.csv", "--encoding", "gbk", "--columns", "columns.yaml"]
    done = yicheng.run("up", "--input", "gps.csv", *how)
    assert done.returncode == 0 and "accepted 30" in done.stdout, done.stdout + done.stderr
    assert yicheng.run("judge", "--gps", "gps.csv", "--out", "out", *how).returncode == 0
    alone = [orjson.loads(line) for line in (yicheng.home / "out" / "incidents.jsonl").read_bytes().splitlines()]
    told = [{(d["rule_id"], d["vehicle_id"], d["opened_at_ms"]) for d in found} for found in (incidents(yicheng.home), alone)]
    assert told[0] == told[1] and {row[:2] for row in told[0]} == {("unregistered", "京A0"), ("unregistered", "京A2")}


def test_up_is_watched_by_prometheus_which_ends_with_it(embedded, yicheng, promtool):
    up = yicheng.start("up", "--monitoring", "--prometheus-port", "0", "--rate", "50", "--duration", "5m")
    address = wait_for("the address", lambda: re.search(r"Prometheus with the alert rules: (http://\S+)/alerts", up.log()), 90)[1]
    ask = lambda query: requests.get(f"{address}/api/v1/query", params={"query": query}, timeout=10).json()["data"]["result"]  # noqa: E731
    wait_for("all processes to be watched", lambda: {series["metric"]["job"] for series in ask("up == 1")} == {"yicheng-worker", "yicheng-notifier"})
    wait_for("fixes", lambda: ask("city:courier_fixes:rate5m > 0"))
    firing = lambda: {alert["labels"]["alertname"] for alert in requests.get(f"{address}/api/v1/alerts", timeout=10).json()["data"]["alerts"] if alert["state"] == "firing"}  # noqa: E731
    assert wait_for("the rules of alerts to be evaluated", firing) == {"DeadMansSwitch"}
    up.kill()
    up.wait()
    wait_for("Prometheus to be gone", lambda: get(f"{address}/-/ready") is None)


def test_up_says_how_to_install_prometheus_where_it_is_insisted_on(embedded, yicheng, tmp_path):
    done = yicheng.run("up", "--monitoring", PATH=str(tmp_path))
    assert (done.returncode, done.stderr.count("\n")) == (1, 1) and "Prometheus is not installed; on Debian: apt-get install prometheus" in done.stderr


def test_ctrl_c_stops_everything_with_a_summary(embedded, yicheng):
    child = yicheng.start("up", "--rate", "100", "--duration", "5m")
    sink = yicheng.home / "up" / "incidents.jsonl"
    wait_for("the first incidents", lambda: sink.exists() and sink.stat().st_size > 0, 60)
    log = yicheng.home / "0-up.log"
    wait_for("a line that counts fixes", lambda: re.search(r" [1-9]\d* fixes", log.read_text()), 60)
    child.send_signal(signal.SIGINT)
    assert child.wait(60) == 130
    text = log.read_text()
    assert "summary" in text and "Traceback" not in text
    assert re.search(r"fixes 轨迹点 +│ accepted [\d,]+", text), text
    assert subprocess.run(["pgrep", "-f", str(yicheng.home)], capture_output=True, check=False).stdout == b""


@pytest.mark.long
def test_all_stays_up_after_the_traffic_until_ctrl_c_and_the_map_is_opened(embedded, yicheng, tmp_path):
    browser, opened = tmp_path / "browser", tmp_path / "opened"
    browser.write_text(f'#!/bin/sh\necho "$1" > {opened}\n')
    browser.chmod(0o755)
    yicheng.environment["YICHENG_CONSOLE_PORT"] = "0"
    child = yicheng.start("up", "--rate", "100", "--duration", "15s", "--stay", "--open", "--console", BROWSER=str(browser))
    url = wait_for("the page that is opened", lambda: opened.exists() and opened.read_text().strip(), 120)
    assert f"live map 实时地图: {url}" in child.log()
    wait_for("the end of the traffic", lambda: "everything stays up until Ctrl-C" in child.log() or child.poll() is not None, 180)
    state = orjson.loads(get(f"{url}/api/state"))
    assert state["incidents"] and state["header"]["vehicles"] > 0, "it can be looked at"
    assert "injected violations found and nothing else" in child.log() and "report 报告" in child.log(), "it is told while all is up: a stop has no time for it"
    child.send_signal(signal.SIGINT)
    assert child.wait(30) == 0, child.log()
    assert child.log().count("summary 汇总") == 1 and get(f"{url}/api/state") is None
    assert subprocess.run(["pgrep", "-f", str(yicheng.home / "up")], capture_output=True, check=False).stdout == b""


WRONG = [
    (["up", "--open", "--no-console"], 2, "--open opens the console; leave out --no-console"),
    (["up", "--city", "hohot"], 2, "no pack for the city 'hohot'; did you mean 'hohhot'?"),
    (["up", "--policy", "nowhere.yaml"], 2, "nowhere.yaml"),
    (["up", "--duration", "30"], 2, "--duration: duration '30' is not a number with ms, s, m, h or d"),
    (["up", "--rate", "0"], 2, "--rate: 0.0 is not greater than 0"),
    (["up", "--scenario", "full-day", "--input", "x.jsonl"], 2, "--scenario full-day makes its own traffic; leave out --input"),
    (["up", "--input", "nowhere.jsonl"], 2, "--input nowhere.jsonl: no such file or folder"),
    (["up", "--encoding", "gbk"], 2, "--encoding and --columns say how to read recorded files; name those with --input"),
    (["up", "--input", "x.jsonl", "--encoding", "gkb"], 2, "--encoding: 'gkb' is no text encoding"),
    (["up", "--input", "x.jsonl", "--columns", "nowhere.yaml"], 2, "--columns nowhere.yaml: "),
    (["up", "--faults", "dupe=1"], 2, "unknown fault 'dupe'; did you mean 'dup'?"),
    (["up", "--registry", "nowhere.jsonl"], 2, "registry nowhere.jsonl"),
    (["judge", "--policy", "hohhot-2019", "--out", "o"], 2, "nothing to judge; give --gps FILE, --scans FILE or --heartbeats FILE"),
    (["judge", "--policy", "hohhot-2019", "--out", "o", "--gps", "nowhere"], 2, "nowhere: No such file"),
    (["judge", "--policy", "hohhot-2019", "--out", "o", "--registry", "nowhere", "--gps", "-"], 2, "registry nowhere: No such file"),
    (["policy", "check", "hohhot"], 2, "did you mean 'hohhot-2019'?"),
    (["worker"], 1, "Kafka at 127.0.0.1:1 does not answer; start one with ./yicheng kafka start"),
    (["notifier"], 1, "Kafka at 127.0.0.1:1 does not answer"),
    (["topics", "create"], 1, "Kafka at 127.0.0.1:1 does not answer"),
    (["policy", "publish", "hohhot-2019"], 1, "Kafka at 127.0.0.1:1 does not answer"),
    (["produce", "replay", "x.jsonl"], 1, "Kafka at 127.0.0.1:1 does not answer"),
    (["kafka", "status"], 1, "does not answer; start it with ./yicheng kafka start"),
    (["kafka", "stop"], 1, "no broker was started here"),
    (["up"], 1, "Kafka at 127.0.0.1:1 does not answer"),
]


@pytest.mark.parametrize(("command", "code", "message"), WRONG, ids=[" ".join(w[0]) for w in WRONG])
def test_wrong_input_is_one_clear_line(yicheng, command, code, message):
    (yicheng.home / "x.jsonl").write_text("{}\n")
    done = yicheng.run(*command, YICHENG_KAFKA_BOOTSTRAP="127.0.0.1:1")
    lines = [line for line in done.stderr.splitlines() if line]
    assert (done.returncode, len(lines)) == (code, 1), done.stderr
    assert lines[0].startswith("yicheng: ") and message in lines[0]


def test_wrong_settings_are_one_clear_line(yicheng):
    for environment, message in (
        ({"YICHENG_PARTITIONS": "many"}, "setting YICHENG_PARTITIONS"), ({"YICHENG_METRICS_PORT": "99999"}, "setting YICHENG_METRICS_PORT"),
        ({"YICHENG_CHUNK_RECORD": "5"}, "did you mean YICHENG_CHUNK_RECORDS?"),
    ):  # fmt: skip
        done = yicheng.run("worker", **environment)
        assert done.returncode == 2 and message in done.stderr and len(done.stderr.splitlines()) == 1
    (yicheng.home / "c.yaml").write_text("kafka_botstrap: x\n")
    done = yicheng.run("worker", "--config", yicheng.home / "c.yaml")
    assert done.returncode == 2 and "did you mean 'kafka_bootstrap'?" in done.stderr


def test_a_taken_metrics_port_is_one_clear_line(kafka, yicheng):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        done = yicheng.run("worker", YICHENG_KAFKA_BOOTSTRAP=kafka, YICHENG_METRICS_PORT=str(taken.getsockname()[1]))
    assert done.returncode == 1 and "set YICHENG_METRICS_PORT to a free one" in done.stderr and len(done.stderr.splitlines()) == 1


def test_administration(kafka, yicheng):
    environment = {"YICHENG_KAFKA_BOOTSTRAP": kafka}
    assert "all topics exist" in yicheng.run("topics", "create", **environment).stdout
    sample = yicheng.home / "registry.jsonl"
    assert yicheng.run("registry", "sample", "--out", sample, "--vehicles", "50", "--seed", "3").returncode == 0
    dry = yicheng.run("registry", "import", "--dry-run", sample, **environment).stdout
    assert "+ new: 50 vehicles (" in dry and yicheng.run("registry", "export", **environment).stdout == ""
    done = yicheng.run("registry", "import", sample, **environment).stdout
    assert "records published" in done and done.splitlines()[-1] == dry.splitlines()[-1].replace("would be published", "published")
    assert "0 records would be published" in yicheng.run("registry", "import", "--dry-run", sample, **environment).stdout
    exported = yicheng.run("registry", "export", **environment).stdout.splitlines()
    assert {orjson.dumps(orjson.loads(x)) for x in exported} == {orjson.dumps(orjson.loads(x)) for x in sample.read_bytes().splitlines()}
    first = orjson.loads(next(x for x in exported if '"vehicle"' in x))
    assert first["id"] in yicheng.run("registry", "show", f"vehicle/{first['id']}", **environment).stdout
    assert "hohhot-2019 published" in yicheng.run("policy", "publish", "hohhot-2019", **environment).stdout
    assert "hohhot-2019" in yicheng.run("policy", "list").stdout
    assert "daily 20:00–07:00" in yicheng.run("policy", "check", "hohhot-2019").stdout
    assert yicheng.run("policy", "show", "hohhot-2019").stdout == (ROOT / "streams/policies/hohhot-2019.yaml").read_text("utf-8")
    doctor = yicheng.run("doctor", **environment)
    assert doctor.returncode == 0 and "Java" in doctor.stdout and "YICHENG_KAFKA_BOOTSTRAP" in doctor.stdout
    assert "yicheng" not in [line for line in doctor.stdout.splitlines() if "IDENTITY_KEY" in line][0].split("│")[2]  # secrets are masked


def test_a_topic_that_is_not_there_is_empty(kafka_bootstrap):
    assert list(read_topic(kafka_bootstrap, "courier.nothing.v1")) == []


def test_answers_to_incidents(kafka, yicheng):
    environment = {"YICHENG_KAFKA_BOOTSTRAP": kafka}
    day = GOLDEN / "hohhot-2019"
    write_sample_registry(load_policy("hohhot-2019"), 400, 20260626, yicheng.home / "registry.jsonl")
    judge = ["judge", "--policy", "hohhot-2019", "--registry", "registry.jsonl", "--scans", day / "scans.jsonl.zst", "--out", "out"]
    assert yicheng.run(*judge).returncode == 0
    found = [orjson.loads(line) for line in (yicheng.home / "out" / "incidents.jsonl").read_bytes().splitlines()][:3]
    produce(kafka, "courier.incidents.v1", [(key.encode(), value) for data in found for key, value in [cloudevent("closed", msgspec.convert({**data, "revision": 2}, IncidentData))]])
    assert len(yicheng.run("incidents", "list", **environment).stdout.splitlines()) == 3
    first, second, third = (data["incident_id"] for data in found)
    assert yicheng.run("incidents", "ack", first, "--by", "officer 7", **environment).returncode == 0
    assert "1 dismissed" in yicheng.run("incidents", "dismiss", second, "--reason", "filed yesterday", **environment).stdout
    left = yicheng.run("incidents", "list", "--unanswered", **environment).stdout
    assert third in left and len(left.splitlines()) == 1
    assert "acknowledged" in next(line for line in yicheng.run("incidents", "list", **environment).stdout.splitlines() if line.startswith(first))
    wrong = yicheng.run("incidents", "ack", third[:-1], **environment)
    assert wrong.returncode == 2 and f"no incident '{third[:-1]}'; did you mean '{third}'?" in wrong.stderr and len(wrong.stderr.splitlines()) == 1
    made = yicheng.run("report", "--policy", "hohhot-2019", "--from", "2026-06-25", "--until", "2026-06-27", "--format", "json", **environment)
    assert orjson.loads(made.stdout)["response"]["answered"] == 2, made.stderr


def test_a_broker_in_the_background(embedded, yicheng):
    started = yicheng.run("kafka", "start", "--port", "0")
    assert started.returncode == 0 and "Kafka answers at" in started.stdout, started.stderr
    assert "already running" in yicheng.run("kafka", "start").stdout
    assert "Kafka answers at" in yicheng.run("kafka", "status").stdout
    assert yicheng.run("kafka", "stop").returncode == 0
    wait_for("the broker to end", lambda: yicheng.run("kafka", "status").returncode == 1 or None, 30)


def test_shared_data_is_there_in_ci():
    assert SHARED.exists() or not os.environ.get("CI"), "../shared is missing in CI"
