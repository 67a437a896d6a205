"""Alerts of Alertmanager on their way to the sinks, and incidents that wait for an answer."""

import json
from types import SimpleNamespace

import pytest
import requests
from kafka import TopicPartition

from consumers.alerts import MOST_ALERTS, AlertReceiver, alert_entry, alert_message, read_alerts
from consumers.answers.waiting import FORGOTTEN_S, MOST_LABELS, Answers, pending
from consumers.notifier import _pages
from streams import metrics
from streams.errors import Unavailable
from streams.process.pages import LARGEST_BODY_BYTES
from streams.settings import Settings
from streams.wire.decode import Malformed

HOUR_MS = 3_600_000


def message(*statuses, **fields):
    alert = {
        "labels": {"alertname": "NoWorker", "severity": "critical"}, "annotations": {"summary": "…"}, "fingerprint": "c0ffee", "generatorURL": "http://x/",
        "startsAt": "2026-11-29T10:00:00.123456789Z", "endsAt": "2026-11-29T10:05:00Z",
    }  # fmt: skip
    return json.dumps({"version": "4", "receiver": "notifier", "status": "firing", "alerts": [{**alert, "status": status, **fields} for status in statuses]}).encode()


class TakesAll:
    """An outbox with room for alerts, for ``sinks`` sinks."""

    def __init__(self, sinks=1):
        self.entries, self.sinks = [], sinks

    def __call__(self, entries):
        self.entries += entries
        return self.sinks


def full(entries):
    raise Unavailable("outbox: the disk is full")


def served(receiver):
    return f"http://127.0.0.1:{metrics.serve('127.0.0.1', 0, lambda: True, metrics.OF_NOTIFIER, {'/v1/alerts': receiver.receive})}/v1/alerts"


def post(url, body, **headers):
    answer = requests.post(url, data=body, headers=headers, timeout=10)
    return answer.status_code, answer.text


def test_an_alert_and_its_end_are_events_with_ids_that_stay():
    outbox = TakesAll()
    url = served(AlertReceiver(outbox, None))
    assert post(url, message("firing", "resolved")) == post(url, message("firing", "resolved")) == (200, "taken\n")
    first, second, *again = outbox.entries
    assert again == [first, second] and (first.incident_id, first.revision, second.revision) == (second.incident_id, 1, 2)
    fired, ended = json.loads(first.body), json.loads(second.body)
    assert (fired["type"], fired["id"], fired["subject"], fired["time"]) == ("yicheng.alert.firing.v1", f"{first.incident_id}/firing", "alert/NoWorker", "2026-11-29T10:00:00.123Z")
    assert (ended["type"], ended["time"], ended["data"]["labels"]["severity"]) == ("yicheng.alert.resolved.v1", "2026-11-29T10:05:00.000Z", "critical")


def test_the_dead_mans_switch_is_told_each_time_that_it_comes():
    """Its repeats would be no news else, and whoever expects it every few minutes would have it once."""
    always = read_alerts(message("firing", labels={"alertname": "DeadMansSwitch", "severity": "info"}))[0]
    first, second = (alert_entry(always, came_ms) for came_ms in (1_795_947_300_000, 1_795_947_600_000))
    assert first.incident_id != second.incident_id and (first.revision, second.revision) == (1, 1)
    assert [json.loads(entry.body)["time"] for entry in (first, second)] == ["2026-11-29T10:15:00.000Z", "2026-11-29T10:20:00.000Z"]
    ended = read_alerts(message("resolved", labels={"alertname": "DeadMansSwitch"}))[0]
    assert alert_entry(ended, 1) == alert_entry(ended, 2)


def test_an_alert_that_is_not_on_disk_is_to_be_sent_again():
    assert post(served(AlertReceiver(full, None)), message("firing")) == (503, "the outbox cannot be used now; send them again\n")
    assert post(served(AlertReceiver(TakesAll(0), None)), message("firing")) == (503, "no sink takes alerts: those that reach real police do not; set YICHENG_SINK_FILE\n")


def test_an_alert_is_told_in_the_words_of_its_rule_and_nothing_else():
    body = alert_entry(read_alerts(message("firing", annotations={"summary_zh": "无 worker\n\x1b[31m", "summary_en": "No worker", "runbook": "deploy/runbooks.md#noworker"}))[0], 0).body
    told = alert_message(body)
    assert told.title == "[告警 ALERT] NoWorker" and told.text.splitlines()[0] == told.title and "No worker" in told.text and "\x1b" not in told.text and len(told.text.splitlines()) == 4
    assert told.text.splitlines()[-1] == "deploy/runbooks.md#noworker", "as our rules call it"
    assert (told.message_id, told.body, told.severity) == (json.loads(body)["id"], body, "critical")
    assert alert_message(alert_entry(read_alerts(message("resolved"))[0], 0).body).title == "[恢复 RESOLVED] NoWorker"


@pytest.mark.parametrize("body", [
    b"", b"[]", b"\xff", b"{}", message("firing").replace(b'"4"', b'"3"'), message("pending"), message("firing", startsAt="yesterday"), message("firing", labels={"a": 1}),
    b'{"version":"4","alerts":' + b"[" * 5_000 + b"]" * 5_000 + b"}", message(*["firing"] * (MOST_ALERTS + 1)),
])  # fmt: skip
def test_what_is_no_message_is_refused_in_one_line(body):
    outbox = TakesAll()
    status, text = post(served(AlertReceiver(outbox, None)), body)
    assert (status, text.count("\n"), outbox.entries) == (413 if len(body) > LARGEST_BODY_BYTES else 400, 1, [])
    if len(body) <= LARGEST_BODY_BYTES:
        with pytest.raises(Malformed):
            read_alerts(body)


def test_a_body_without_a_length_or_too_long_is_not_read():
    url = served(AlertReceiver(TakesAll(), None))
    assert post(url, iter([b"{}"]))[0] == 413  # chunked
    assert post(url, b" " * (LARGEST_BODY_BYTES + 1))[0] == 413
    assert requests.get(url, timeout=10).status_code == 404
    assert post(url.replace("alerts", "other"), b"{}")[0] == 404


def test_callers_from_elsewhere_need_a_token():
    url = served(AlertReceiver(TakesAll(), "secret"))
    assert [post(url, message("firing"), Authorization=said)[0] for said in ("", "Bearer wrong", "Bearer secret")] == [401, 401, 200]
    notifier = SimpleNamespace(links=None, last_event=None, audit=None, take_alerts=None, answer_topic=SimpleNamespace(publish=None), answers=SimpleNamespace(answers_to=None))
    taken = [_pages(Settings(metrics_host=host, alerts_token=token), notifier) for host, token in (("127.0.0.1", None), ("0.0.0.0", None), ("0.0.0.0", "t"))]
    assert [list(posts) for _, posts in taken] == [["/v1/alerts"], [], ["/v1/alerts"]]
    notifier.file = None
    told = [_pages(Settings(deliveries_token=token), notifier)[0] for token in (None, "t")]
    assert ["/v1/deliveries" in gets for gets in told] == [False, True], "nobody is told who was notified without one"



# --- answers ---
def incident(name, state="open", rule="speeding"):
    return json.dumps({"data": {"incident_id": name, "city": "150100", "rule": rule, "state": state}}).encode()


def answer(name, action="acknowledged"):
    return json.dumps({"incident_id": name, "action": action}).encode()


def waiting(answers, now_ms=0):
    answers.show(now_ms)
    samples = metrics.UNANSWERED.collect()[0].samples
    return {(sample.labels["rule"], sample.labels["age"]): sample.value for sample in samples if sample.value}


def test_incidents_wait_by_age_until_they_are_answered_retracted_or_forgotten():
    answers = Answers()
    for hours in range(6):
        answers.enter_incident(incident(f"i{hours}"), hours * HOUR_MS)
    answers.enter_incident(incident("i5", "closed"), 5 * HOUR_MS + 1)  # a later revision of the same
    assert waiting(answers, 5 * HOUR_MS + 60_000) == {("speeding", "under_15m"): 1, ("speeding", "1h_to_4h"): 3, ("speeding", "4h_to_1d"): 2}
    answers.enter_answer(answer("i0"), 0, count=False)
    answers.enter_incident(incident("i1", "retracted"), 0)
    assert waiting(answers, 5 * HOUR_MS + 60_000) == {("speeding", "under_15m"): 1, ("speeding", "1h_to_4h"): 3}
    answers.enter_incident(incident("i0", "closed"), 0)  # answered is answered
    assert waiting(answers, 4 * HOUR_MS + FORGOTTEN_S * 1000 + 1) == {("speeding", "over_1d"): 1}


def test_an_objection_waits_for_its_decision_from_when_it_came():
    answers = Answers()
    answers.enter_incident(incident("i"), 0)
    answers.enter_answer(answer("i"), HOUR_MS, count=False)
    assert waiting(answers, 2 * HOUR_MS) == {}
    answers.enter_answer(answer("i", "objected"), 2 * HOUR_MS, count=False)
    answers.enter_incident(incident("i", "closed"), 2 * HOUR_MS + 1)
    assert waiting(answers, 2 * HOUR_MS + 60_000) == {("speeding", "under_15m"): 1} and waiting(answers, 6 * HOUR_MS + 1) == {("speeding", "4h_to_1d"): 1}
    answers.enter_answer(answer("i", "rejected"), 3 * HOUR_MS, count=False)
    assert waiting(answers, 6 * HOUR_MS) == {}


def test_the_first_answer_counts_for_the_time_and_all_for_the_number():
    def figures():
        samples = [*metrics.ANSWERS.collect()[0].samples, *metrics.ACKNOWLEDGE_SECONDS.collect()[0].samples]
        return {(s.name, s.labels.get("action")): s.value for s in samples if s.labels["rule"] == "timed" and s.value and not s.name.endswith("bucket")}

    answers = Answers()
    answers.enter_incident(incident("old", rule="timed"), 0)
    answers.enter_answer(answer("old"), 10, count=False)  # before this process
    answers.enter_incident(incident("new", rule="timed"), 1_000)
    answers.enter_answer(answer("unknown"), 2_000, count=True)
    assert not figures()
    answers.enter_answer(answer("new"), 61_000, count=True)
    answers.enter_answer(answer("new", "dismissed"), 99_000, count=True)
    answers.enter_answer(answer("old", "made up by somebody"), 99_000, count=True)
    assert figures() == {
        ("courier_answers_total", "acknowledged"): 1, ("courier_answers_total", "dismissed"): 1, ("courier_answers_total", "other"): 1,
        ("courier_acknowledge_seconds_count", None): 1, ("courier_acknowledge_seconds_sum", None): 60,
    }  # fmt: skip


def test_made_up_rules_are_bounded_and_what_cannot_be_read_is_said():
    answers = Answers()
    for number in range(MOST_LABELS + 5):
        answers.enter_incident(incident(f"i{number}", rule=f"rule-{number}"), 0)
    assert waiting(answers)["other", "under_15m"] == 5 and len(waiting(answers)) == MOST_LABELS + 1
    for value in (None, b"", b"{}", b"\xff", incident("x").replace(b'"x"', b"7")):
        with pytest.raises(Malformed):
            answers.enter_incident(value, 0)
        with pytest.raises(Malformed):
            answers.enter_answer(value, 0, count=True)


def test_what_a_sink_has_still_to_take_is_of_its_own_partitions():
    ends = {TopicPartition("i", 0): 10, TopicPartition("i", 1): 5}
    assert pending(ends, {TopicPartition("i", 0): 7}) == 3
    assert pending(ends, {TopicPartition("i", 0): 12, TopicPartition("i", 2): 1}) == 0
