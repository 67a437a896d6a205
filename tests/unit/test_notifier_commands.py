"""``yicheng notifier explain`` and ``test``, as somebody at a terminal uses them; without a sub-command the process runs."""

import json
import subprocess
import sys

import pytest
from conftest import ROOT
from notices import event

ROUTES = """\
sinks:
  archive: {kind: file, path: PATH}
routes:
- {name: fast, match: {rule: speeding}, to: archive, debounce: 30s}
"""


@pytest.fixture
def yicheng(tmp_path, monkeypatch):
    for name in ("YICHENG_ROUTES", "YICHENG_SINK_FILE", "YICHENG_WEBHOOK_URL", "YICHENG_WEBHOOK_SECRET"):
        monkeypatch.delenv(name, raising=False)
    (tmp_path / "routes.yaml").write_text(ROUTES.replace("PATH", str(tmp_path / "incidents.jsonl")))
    (tmp_path / "one.json").write_text(json.dumps(json.loads(event().body), indent=2), "utf-8")
    (tmp_path / "two.jsonl").write_bytes(event().body + b"\n" + event(rule="forbidden_stop").body + b"\n")

    def run(*arguments, **environment):
        for name, value in environment.items():
            monkeypatch.setenv(name, str(value))
        done = subprocess.run([sys.executable, "-m", "deploy.cli", "notifier", *arguments], capture_output=True, text=True, cwd=tmp_path, env=None, timeout=120, check=False)
        return done.returncode, done.stdout, done.stderr

    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    return run


def test_explain_says_where_an_event_would_go_and_sends_nothing(yicheng, tmp_path):
    code, out, err = yicheng("explain", "one.json", "--routes", "routes.yaml", "--at", "2026-11-11T08:00")
    assert (code, err) == (0, "") and "    2026-11-11 08:00:30 +0800 to archive (debounce 30 seconds)\n" in out and "路由 fast：匹配" in out
    assert not (tmp_path / "incidents.jsonl").exists()


def test_explain_takes_lines_and_the_routes_or_sinks_of_the_environment(yicheng):
    code, out, _ = yicheng("explain", "two.jsonl", YICHENG_ROUTES="routes.yaml")
    assert code == 0 and out.count("outcome: archive\n") == 1 and out.count("outcome: nobody is told\n") == 1
    code, _, err = yicheng("explain", "two.jsonl", YICHENG_SINK_FILE="x.jsonl")
    assert code == 2 and err == "yicheng: YICHENG_ROUTES and YICHENG_SINK_FILE are both set; name all sinks in routes.yaml, and leave the others out\n"
    code, out, _ = yicheng("explain", "two.jsonl", YICHENG_ROUTES="")
    assert code == 2


@pytest.mark.parametrize(("arguments", "said"), [
    (("explain", "one.json"), "no sink is configured"), (("explain", "missing.json", "--routes", "routes.yaml"), "missing.json: no such file"),
    (("explain", "one.json", "--routes", "routes.yaml", "--at", "soon"), "--at: 'soon' is neither a date"), (("explain", "routes.yaml", "--routes", "routes.yaml"), "routes.yaml:1: no event of an incident"),
    (("explain", "one.json", "--routes", "one.json"), "one.json:2: unknown key"), (("test", "archiv", "--routes", "routes.yaml"), "unknown sink 'archiv'; did you mean 'archive'?"),
])  # fmt: skip
def test_what_is_wrong_is_one_line(yicheng, arguments, said):
    code, out, err = yicheng(*arguments)
    assert code == 2 and out == "" and err.startswith("yicheng: ") and said in err and err.count("\n") == 1


def test_a_test_message_arrives_and_says_so(yicheng, tmp_path):
    code, out, err = yicheng("test", "archive", "--routes", "routes.yaml")
    assert (code, err) == (0, "") and out.startswith("已送达 delivered: archive (file), ")
    (sent,) = map(json.loads, (tmp_path / "incidents.jsonl").read_text("utf-8").splitlines())
    assert sent["type"] == "yicheng.test.v1" and "测试" in sent["data"]["text"]


def test_a_test_message_that_does_not_arrive_says_why(yicheng, tmp_path):
    (tmp_path / "incidents.jsonl").mkdir()
    code, out, _ = yicheng("test", "archive", "--routes", "routes.yaml")
    assert code == 2 and out.startswith("未送达 not delivered: archive (file): routes.yaml:2: ") and "is a directory" in out.lower()


def test_without_a_sub_command_the_process_runs(yicheng):
    code, _, err = yicheng(YICHENG_SINK_FILE="x.jsonl", YICHENG_KAFKA_BOOTSTRAP="127.0.0.1:1")
    assert code == 1 and "Kafka at 127.0.0.1:1 does not answer" in err
