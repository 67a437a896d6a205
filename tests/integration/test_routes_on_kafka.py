"""Routes in the running notifier: who hears what and when, escalation and its end, holding back, digests, links, and a file that changes."""

import re
import time

import orjson
import pytest
import requests
from conftest import get, wait_for
from kafka import KafkaProducer
from receiver import Receiver, says, serve

from deploy.ports import free_port

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
KEY = "k" * 40


def transition(name, kind, revision=1, **said):
    state = {"opened": "open", "updated": "open"}.get(kind, kind)
    now_ms = time.time_ns() // 1_000_000
    data = {
        "incident_id": name, "revision": revision, "synthetic": False, "state": state, "rule": "speeding", "rule_id": "fast", "severity": "violation", "city": "150100",
        "vehicle_id": "v1", "plate": "蒙A12345", "clause": "八", "enterprise_id": "e", "outlet_id": None, "opened_at_ms": now_ms, "last_seen_ms": now_ms, "reason_zh": "超速", "reason_en": "speeding", **said,
    }  # fmt: skip
    return orjson.dumps({"id": f"{name}/{revision}", "type": f"yicheng.incident.{kind}.v1", "data": data})


class Ends:
    """A webhook for each of several receivers, and what each got: ids in order, and bodies."""

    def __init__(self, *names):
        self.got, self.bodies, self.servers, self.urls = {name: [] for name in names}, {}, [], {}
        for name in names:
            server, self.urls[name] = serve(lambda headers, body, name=name: self.take(name, headers, body))
            self.servers.append(server)

    def take(self, name, headers, body):
        self.got[name].append(headers["webhook-id"])
        self.bodies[name, headers["webhook-id"]] = orjson.loads(body)
        return 204

    def sinks(self):
        return "sinks:\n" + "".join(f"  {name}: {{kind: webhook, url: '{url}', secret: {SECRET}}}\n" for name, url in self.urls.items())


@pytest.fixture
def ends():
    made = Ends("police", "chief", "desk")
    yield made
    for server in made.servers:
        server.shutdown()


@pytest.fixture
def site(yicheng, kafka, ends, tmp_path):
    routes, port = tmp_path / "routes.yaml", free_port()

    class Site:
        url, folder = f"http://127.0.0.1:{port}", tmp_path

        def write(self, text):
            routes.write_text(ends.sinks() + text, "utf-8")

        def start(self, **more):
            self.child = yicheng.start("notifier", YICHENG_KAFKA_BOOTSTRAP=kafka, YICHENG_METRICS_PORT=str(port), YICHENG_ROUTES=str(routes), YICHENG_STATE_DIR=str(tmp_path / "state"), **more)
            wait_for("the notifier", lambda: (get(f"{self.url}/readyz") or "").startswith("ready"), 60)

        def publish(self, *values):
            for value in values:
                producer.send("courier.incidents.v1", value, orjson.loads(value)["data"]["incident_id"].encode())
            producer.flush()

        def run(self, *words):
            return yicheng.run(*words, YICHENG_KAFKA_BOOTSTRAP=kafka, YICHENG_STATE_DIR=str(tmp_path / "state"))

    producer = KafkaProducer(bootstrap_servers=kafka)
    yield Site()
    producer.close()


def test_an_incident_escalates_until_somebody_answers(site, ends):
    site.write("routes:\n  - {name: all, match: {}, to: [police], escalate: [{after: 20s, to: [chief]}, {after: 600s, to: [desk]}]}\n")
    site.start()
    site.publish(transition("A", "opened"), transition("B", "opened"))
    wait_for("both", lambda: set(ends.got["police"]) == {"A/1", "B/1"}, 30)
    done = site.run("incidents", "ack", "B", "--by", "王警官")
    assert done.returncode == 0, done.stderr
    wait_for("the chief to hear of the other", lambda: ends.got["chief"], 60)
    log = wait_for("what was to escalate to be dropped", lambda: (text := site.run("notifier", "log", "--incident", "B").stdout).count("dropped") == 2 and text)
    assert "acknowledged" in log, log
    assert not any(name.startswith("B") for name in ends.got["chief"]) and not ends.got["desk"]
    site.publish(transition("A", "closed", 2))
    wait_for("its end, told to whom it was escalated, too", lambda: "A/2" in ends.got["police"] and any(name.startswith("A/2") for name in ends.got["chief"]), 30)
    assert not ends.got["desk"]


def test_what_is_taken_back_at_once_is_never_said_and_a_digest_says_what_was_held(site, ends):
    site.write("routes:\n  - {name: held, match: {rule: speeding}, to: [police], debounce: 10s, continue: true}\n  - {name: desk, match: {}, to: [desk], group_by: [rule], group_wait: 10s}\n")
    site.start()
    site.publish(transition("A", "opened"), transition("B", "opened"), transition("C", "opened"), transition("A", "retracted", 2))
    wait_for("the others", lambda: set(ends.got["police"]) == {"B/1", "C/1"}, 60)
    wait_for("a digest", lambda: ends.got["desk"], 60)
    bodies = [ends.bodies["desk", name] for name in ends.got["desk"]]
    assert bodies[0]["type"] == "yicheng.digest.v1" and orjson.dumps(bodies[0]).count(b'"B/1"') == 1, bodies
    assert "A/1" not in ends.got["police"] and "A/2" not in ends.got["police"]


def test_a_file_of_routes_is_followed_and_one_with_a_mistake_is_not(site, ends):
    site.write("routes:\n  - {name: all, match: {}, to: [police]}\n")
    site.start()
    site.publish(transition("A", "opened"))
    wait_for("the first", lambda: ends.got["police"] == ["A/1"], 30)
    site.write("routes:\n  - {name: all, match: {}, to: [nobody]}\n")
    wait_for("the log", lambda: "unknown sink" in site.child.log() or "nobody" in site.child.log(), 30)
    site.publish(transition("B", "opened"))
    wait_for("the old routes", lambda: ends.got["police"] == ["A/1", "B/1"], 30)
    site.write("routes:\n  - {name: all, match: {}, to: [chief]}\n")
    wait_for("the change", lambda: "other routes are in force" in site.child.log(), 30)
    site.publish(transition("C", "opened"))
    wait_for("the new routes", lambda: ends.got["chief"] == ["C/1"], 30)
    assert ends.got["police"] == ["A/1", "B/1"] and "Traceback" not in site.child.log()
    wait_for("the change in the audit log", lambda: b"routes changed" in (site.folder / "state" / "audit.jsonl").read_bytes())
    assert site.run("audit", "verify", str(site.folder / "state" / "audit.jsonl")).returncode == 0


def test_messages_carry_a_link_and_the_page_behind_it_answers(site, ends, tmp_path):
    """To a group robot, whose platform is played by this machine."""
    platform = Receiver(says(200, body=b'{"errcode":0,"errmsg":"ok"}'))
    (tmp_path / "routes.yaml").write_text(f"sinks:\n  group: {{kind: wecom, key: abc-1, base_url: '{platform.url.rpartition('/')[0]}'}}\nroutes:\n  - {{name: all, to: [group], language: both}}\n", "utf-8")
    site.start(YICHENG_ANSWERS_URL=site.url, YICHENG_ANSWERS_KEY=KEY)
    site.publish(transition("A", "opened", reason_zh="禁行时段驶入"))
    wait_for("the message", lambda: platform.got, 30)
    said = orjson.loads(platform.got[0].partition(b"\r\n\r\n")[2])["markdown"]["content"]
    found = re.search(re.escape(site.url) + r"/incidents\?token=[A-Za-z0-9_.\-]+", said)
    assert found and "禁行时段驶入" in said and "蒙A12345" in said, said
    page = get(found[0])
    assert "禁行时段驶入" in page and "<form" in page and "<script" not in page.lower()
    hidden = dict(re.findall(r'name="(\w+)"[^>]*value="([^"]*)"', page))
    answer = requests.post(f"{site.url}/v1/answers", data={**hidden, "action": "acknowledged", "by": "王警官"}, timeout=20)
    assert answer.status_code == 200, answer.text
    wait_for("the metric", lambda: 'courier_answers_total{action="acknowledged"' in (get(f"{site.url}/metrics") or ""), 30)
    platform.server.close()
