"""The notifier follows incidents and answers on a real Kafka: what waits is right again after a restart, and answers of before are not counted twice."""

import json
import time
import urllib.parse
import urllib.request

import pytest
from conftest import get, wait_for, written_lines
from kafka import KafkaProducer

from consumers.answer_links import Links
from consumers.answers.page import answer_pages
from consumers.answers.topic import AnswerTopic
from consumers.answers.waiting import AnswersReader
from consumers.audit import Audit
from deploy.admin import read_records
from deploy.ports import free_port
from deploy.topic_admin import create_topics, delete_topics
from streams.errors import Unavailable
from streams.process.pages import PageServer
from streams.settings import Settings
from streams.wire.answers import Answer
from streams.wire.cloudevents import cloudevent
from streams.wire.incident import IncidentData
from streams.wire.topics import FEEDBACK, INCIDENTS


def event(name, state="open"):
    revision = 1 if state == "open" else 2
    data = {"incident_id": name, "revision": revision, "city": "150100", "rule": "speeding", "state": state, "synthetic": True}
    return json.dumps({"id": f"{name}/{revision}", "type": "yicheng.incident.opened.v1", "data": data}).encode()


def figures(port):
    """Name → value of the notifier's series about answers, the zeros left out."""
    lines = (get(f"http://127.0.0.1:{port}/metrics") or "").splitlines()
    named = [line.rpartition(" ") for line in lines if line.startswith(("courier_incidents_unanswered{", "courier_answers_total{", "courier_acknowledge_seconds_count{", "courier_outbox_pending{"))]
    return {name.partition("{")[0].removeprefix("courier_"): float(value) for name, _, value in named if float(value)}


def test_what_waits_is_known_after_a_restart_too(kafka, yicheng):
    delete_topics(kafka, "yicheng")  # the notifier starts before there is anything
    port = free_port()
    own = {"YICHENG_KAFKA_BOOTSTRAP": kafka, "YICHENG_METRICS_PORT": str(port), "YICHENG_SINK_FILE": str(yicheng.home / "sink.jsonl")}
    notifier = yicheng.start("notifier", **own)
    wait_for("its page", lambda: get(f"http://127.0.0.1:{port}/healthz"))
    create_topics(kafka, 3)
    producer = KafkaProducer(bootstrap_servers=kafka)
    for name in ("a", "b", "c", "d"):
        producer.send(INCIDENTS.name, event(name), name.encode())
    producer.send(INCIDENTS.name, event("d", "retracted"), b"d")
    producer.send(FEEDBACK.name, b"\xff", b"a")
    producer.flush()
    wait_for("three to wait", lambda: figures(port).get("incidents_unanswered") == 3)
    wait_for("the sink to have them all", lambda: "outbox_pending" not in figures(port) and len(written_lines(yicheng.home / "sink.jsonl")) == 5)
    producer.send(FEEDBACK.name, json.dumps({"incident_id": "a", "action": "acknowledged", "time_ms": 1, "by": None, "reason": None}).encode(), b"a")
    producer.flush()
    wait_for("two to wait", lambda: figures(port) == {"incidents_unanswered": 2, "answers_total": 1, "acknowledge_seconds_count": 1})
    notifier.kill()
    notifier.wait()
    notifier = yicheng.start("notifier", **own)
    wait_for("two to wait again, and no answer to be counted again", lambda: figures(port) == {"incidents_unanswered": 2})
    assert "Traceback" not in notifier.log()


# --- the pages of answers on a real Kafka ---
NAME, OTHER, KEY = "ABCDEFGHIJKLMNOPQRSTUVWXYZ", "BBCDEFGHIJKLMNOPQRSTUVWXYZ", b"k" * 32


def told(name=NAME, revision=1, state="open"):
    """An incident as workers tell it."""
    now_ms = time.time_ns() // 1_000_000
    return cloudevent("opened", IncidentData(
        incident_id=name, revision=revision, state=state, rule="speeding", rule_id="r", policy="hohhot-2019", clause="二（五）", severity="violation", city="150100", vehicle_id="HH-1",
        opened_at_ms=now_ms - 60_000, last_seen_ms=now_ms, closed_at_ms=None, fix_count=1, reason_zh="超速", reason_en="too fast", synthetic=True,
    ))  # fmt: skip


class Site:
    """The pages, their way to Kafka and what comes back from there, as one process has them."""

    def __init__(self, kafka, folder, event):
        self.topic, self.reader = AnswerTopic(kafka), AnswersReader(Settings(kafka_bootstrap=kafka))
        self.reader.start()
        links = Links(KEY, "http://127.0.0.1:1")
        gets, posts = answer_pages(links, {NAME: event}.get, self.topic.publish, Audit(folder / "audit.jsonl"), "token", earlier=self.reader.answers_to)
        self.server = PageServer("127.0.0.1", 0, gets, posts)
        self.base = f"http://127.0.0.1:{self.server.server_address[1]}"
        self.token = links.url(NAME).partition("token=")[2]

    def show(self):
        return get(f"{self.base}/incidents?token={self.token}") or ""

    def post(self, **said):
        body = urllib.parse.urlencode({"token": self.token, "revision": 1, "by": "王", "reason": "r", **said}).encode()
        with urllib.request.urlopen(urllib.request.Request(f"{self.base}/v1/answers", body), timeout=10) as answer:
            return answer.status

    def feedback(self, **said):
        body = json.dumps({"incident_id": NAME, "by": "平台", **said}).encode()
        request = urllib.request.Request(f"{self.base}/v1/feedback", body, {"Authorization": "Bearer token", "Content-Type": "application/json"})
        with urllib.request.urlopen(request, timeout=10) as answer:
            return answer.status

    def close(self):
        self.server.shutdown()
        self.server.server_close()
        self.reader.stop()
        self.topic.close()


def test_answers_go_to_kafka_and_come_back_once_also_after_a_restart(kafka, yicheng):
    key, event = told()
    producer = KafkaProducer(bootstrap_servers=kafka)
    producer.send(INCIDENTS.name, event, key.encode())
    producer.flush()
    first = Site(kafka, yicheng.home, event)
    try:
        assert [first.post(action="acknowledged", answer_id="answer-0001") for _ in range(2)] == [200, 200]
        assert first.feedback(action="fined", answer_id="answer-0002") == 200
        wait_for("both to come back", lambda: len(first.reader.answers_to(NAME)) == 2)
    finally:
        first.close()
    second = Site(kafka, yicheng.home, event)
    try:
        wait_for("both to be read again", lambda: len(second.reader.answers_to(NAME)) == 2)
        assert second.post(action="acknowledged", answer_id="answer-0001") == second.feedback(action="fined", answer_id="answer-0002") == 200
        assert "已处罚" in second.show() and second.show().count("<li>") == 2
        own = {"YICHENG_KAFKA_BOOTSTRAP": kafka}
        listed = yicheng.run("incidents", "list", **own)
        assert listed.returncode == 0 and "\tfined\t" in listed.stdout, listed.stderr
        refused = yicheng.run("incidents", "uphold", NAME, "--by", "李", **own)
        assert refused.returncode == 2 and "no objection waits" in refused.stderr
        for command, reason in (("object", "停驶"), ("reject", "证据充分")):
            done = yicheng.run("incidents", command, NAME, "--by", "李", "--reason", reason, **own)
            assert done.returncode == 0, done.stderr
        wait_for("the decision to be on the page", lambda: "申诉不成立" in second.show() and "证据充分" in second.show())
        assert "已处罚" in second.show() and yicheng.run("incidents", "object", NAME, "--reason", "again", **own).returncode == 2
    finally:
        second.close()
    said = [(record.key.decode(), json.loads(record.value)) for record in read_records(kafka, FEEDBACK.name)]
    assert [(key, row["action"], row["by"], row["revision"]) for key, row in said] == [(NAME, "acknowledged", "王", 1), (NAME, "fined", "平台", 1), (NAME, "objected", "李", 1), (NAME, "rejected", "李", 1)]
    assert said[3][1]["objection"] == said[2][1]["answer_id"]
    checked = yicheng.run("audit", "verify")
    assert checked.returncode == 0 and "4 lines fit" in checked.stdout, checked.stderr
    log = yicheng.home / "audit.jsonl"
    log.write_bytes(log.read_bytes().replace(b'"fined"', b'"noted"'))
    checked = yicheng.run("audit", "verify")
    assert checked.returncode == 1 and "audit.jsonl:3:" in checked.stderr and len(checked.stderr.splitlines()) == 1


def test_an_answer_to_what_was_taken_back_is_kept_with_the_others_of_its_call(kafka, yicheng):
    """It changes nothing else; one to what never was keeps all back."""
    producer, own = KafkaProducer(bootstrap_servers=kafka), {"YICHENG_KAFKA_BOOTSTRAP": kafka}
    for name, state in ((NAME, "open"), (OTHER, "open"), (OTHER, "retracted")):
        producer.send(INCIDENTS.name, told(name, 2 if state == "retracted" else 1, state)[1], name.encode())
    producer.flush()
    before = len(list(read_records(kafka, FEEDBACK.name)))
    assert yicheng.run("incidents", "ack", NAME, OTHER, "never", **own).returncode == 2
    done = yicheng.run("incidents", "ack", OTHER, NAME, "--by", "王", **own)
    assert done.returncode == 0 and done.stdout == f"2 acknowledged / 已确认\n{OTHER}: kept; the incident was taken back / 已记录；该事件已撤销\n", done
    refused = yicheng.run("incidents", "uphold", OTHER, **own)
    assert refused.returncode == 2 and "no objection waits" in refused.stderr
    said = [json.loads(record.value) for record in read_records(kafka, FEEDBACK.name)][before:]
    assert sorted((row["incident_id"], row["action"], row["revision"]) for row in said) == [(NAME, "acknowledged", 1), (OTHER, "acknowledged", 2)]
    listed = yicheng.run("incidents", "list", **own).stdout
    assert NAME in listed and OTHER not in listed


def test_an_answer_without_kafka_is_not_taken_and_says_so_in_time(tmp_path):
    topic = AnswerTopic(f"127.0.0.1:{free_port()}")
    began_s = time.monotonic()
    with pytest.raises(Unavailable, match="did not take the answer"):
        topic.publish(Answer(incident_id=NAME, action="acknowledged", time_ms=1))
    assert time.monotonic() - began_s < 8
    topic.close()
