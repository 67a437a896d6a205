"""The console's process without a browser: what it refuses, what its answers say to browsers, and what it says without Kafka."""

import json
import urllib.error
import urllib.request

import pytest
from conftest import wait_for

from deploy.ports import free_port


def ask(url, body=None, **headers):
    """Status, headers and body."""
    names = {name.replace("_", "-"): value for name, value in headers.items()}
    try:
        with urllib.request.urlopen(urllib.request.Request(url, body, names), timeout=30) as answer:
            return answer.status, answer.headers, answer.read()
    except urllib.error.HTTPError as error:
        return error.code, error.headers, error.read()


def test_it_listens_on_this_machine_only(yicheng):
    for host in ("0.0.0.0", "192.0.2.1", "::"):
        done = yicheng.run("console", YICHENG_CONSOLE_HOST=host)
        assert done.returncode == 2 and done.stderr.startswith(f"yicheng: YICHENG_CONSOLE_HOST={host}: ") and done.stderr.count("\n") == 1
        assert "ssh -L" in done.stderr


def test_a_port_that_is_taken_is_one_line(console, yicheng):
    first = console()
    done = yicheng.run("console", YICHENG_CONSOLE_PORT=first.url.rpartition(":")[2])
    assert done.returncode == 1 and "YICHENG_CONSOLE_PORT" in done.stderr and "Traceback" not in done.stderr + done.stdout


@pytest.mark.parametrize(
    ("arguments", "said"),
    [(["--demo", "nowhere"], "incidents.jsonl is not there"), (["--gps", "x.jsonl"], "--demo"), (["--demo", "{folder}", "--gps", "no.jsonl"], "no such file")],
)
def test_a_folder_that_is_none_of_judge_is_one_line(yicheng, tmp_path, arguments, said):
    for name, text in (("incidents.jsonl", ""), ("rates.jsonl", ""), ("summary.json", '{"policy":"hohhot-2019"}')):
        (tmp_path / name).write_text(text)
    done = yicheng.run("console", *(text.format(folder=tmp_path) for text in arguments))
    assert done.returncode == 2 and said in done.stderr and done.stderr.count("yicheng:") == 1 and "Traceback" not in done.stderr


def test_without_kafka_it_says_so_and_stops_when_told(console):
    child = console(YICHENG_KAFKA_BOOTSTRAP=f"127.0.0.1:{free_port()}")
    state = wait_for("a word about Kafka", lambda: (found := json.loads(ask(f"{child.url}/api/state")[2]))["header"]["status"]["en"].startswith("Kafka does not answer") and found)
    assert state["header"]["status"]["zh"].startswith("Kafka 没有应答") and state["incidents"] == []
    wait_for("why the lag is not known", lambda: json.loads(ask(f"{child.url}/api/state")[2])["header"]["lag"]["unknown"]["en"] == "Kafka does not answer")
    child.terminate()
    assert child.wait(12) == 0 and "Traceback" not in child.log()


def test_every_answer_tells_browsers_what_may_be_done(console):
    url = console().url
    for path in ("/", "/static/main.js", "/vendor/maplibre-gl.js", "/api/state", "/nothing", "/basemap/light/12/1/1.png", "/static/../server.py"):
        status, headers, body = ask(url + path)
        assert status == (404 if path in {"/nothing", "/static/../server.py"} else 200), path
        policy = headers["Content-Security-Policy"]
        assert "unsafe" not in policy and "frame-ancestors 'none'" in policy and "worker-src blob:" in policy and "default-src 'none'" in policy
        assert headers["Referrer-Policy"] == "no-referrer" and headers["X-Content-Type-Options"] == "nosniff" and body
    assert ask(f"{url}/static/main.js", Accept_Encoding="gzip")[1]["Content-Encoding"] == "gzip"
    tag = ask(f"{url}/")[1]["ETag"]
    assert [ask(f"{url}/", If_None_Match=said)[0] for said in (tag, f'"other", W/{tag}', '"other"')] == [304, 304, 200]


def test_it_has_the_pages_of_every_process(console):
    url = console(YICHENG_KAFKA_BOOTSTRAP=f"127.0.0.1:{free_port()}").url
    assert [ask(f"{url}/{name}")[::2] for name in ("healthz", "readyz")] == [(200, b"ok\n"), (503, b"not ready\n")], "there is no Kafka"
    status, headers, body = ask(f"{url}/metrics", Accept="application/openmetrics-text")
    assert status == 200 and headers["Content-Type"].startswith("application/openmetrics-text") and b"courier_console_viewers 0.0" in body and body.endswith(b"# EOF\n")


def test_the_page_is_small(console):
    url = console().url
    names = ["/", "/vendor/maplibre-gl.js", "/vendor/maplibre-gl.css", "/static/console.css", "/static/main.js"]
    assert sum(len(ask(url + name, Accept_Encoding="gzip")[2]) for name in names) < 500_000


def test_strange_pages_are_refused(console):
    url = console().url
    answer = json.dumps({"incident_id": "a", "action": "acknowledged"}).encode()
    assert [ask(f"{url}/api/state", Host=name)[0] for name in ("evil.example", "[::1", ":8080", "\u00ff")] == [403] * 4
    assert ask(f"{url}/api/state", Host="localhost")[0] == 200
    kind = {"Content_Type": "application/json"}
    assert ask(f"{url}/api/answer", answer, Origin="https://evil.example", **kind)[0] == 403
    assert ask(f"{url}/api/answer", answer, **kind)[0] == 403
    assert ask(f"{url}/api/answer", answer, Origin=url, Content_Type="text/plain")[0] == 403
    assert ask(f"{url}/api/answer", answer, Origin=url, **kind)[0] == 404
    for body in (b"{", b"[]", b"[" * 5_000, b"\xff", b"{}" + b" " * 20_000):
        status, _, said = ask(f"{url}/api/answer", body, Origin=url, **kind)
        assert status in {400, 413} and b"Traceback" not in said


def test_rubbish_in_questions_is_no_error(console):
    child = console()
    url = child.url
    for path, status, said in (("/nothing", 404, "没有这个地址"), ("/api/login", 405, "不接受这种请求"), ("/static/..%2fcity.py", 404, "没有这个页面"), ("/static/%2e%2e/city.py", 404, "没有这个地址")):
        found, _, body = ask(url + path)
        assert (found, said in body.decode()) == (status, True), path
    for path in ("/api/vehicle?id=%ff", "/api/incident", "/api/vehicle?id=" + "x" * 5_000, "/basemap/light/22/1/1.png", "/basemap/red/10/1/1.png", "/basemap/light/10/99999/1.png"):
        assert ask(url + path)[0] == 404, path
    for path in ("/api/vehicles?since=99999999999999999999", "/api/vehicles?since=-4", "/api/positions?since=x&epoch=y"):
        assert ask(url + path)[0] == 200, path
    assert [ask(f"{url}/?{'a' * 9_000}")[0], ask(url, Content_Length="-1")[0]] == [400, 400] and "Traceback" not in child.log()
