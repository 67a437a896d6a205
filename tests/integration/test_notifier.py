"""The notifier's sinks: a signed webhook that fails first, and what is refused."""

import orjson
import pytest
from conftest import get, wait_for, written_lines
from kafka import KafkaProducer
from receiver import serve
from standardwebhooks.webhooks import Webhook

from deploy.ports import free_port

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"


class Receiver:
    """A police system: answers with the given statuses in turn (then 204) and keeps what it got."""

    def __init__(self, statuses):
        self.statuses, self.got = list(statuses), []
        self.server, self.url = serve(self.answer)

    def answer(self, headers, body):
        status = self.statuses.pop(0) if self.statuses else 204
        self.got.append((status, dict(headers), body))
        return status


@pytest.fixture
def receiver(request):
    made = Receiver(request.param)
    yield made
    made.server.shutdown()


def publish(bootstrap, *synthetic):
    producer = KafkaProducer(bootstrap_servers=bootstrap)
    for number, flag in enumerate(synthetic):
        event = {"id": f"I{number}/1", "type": "yicheng.incident.opened.v1", "data": {"incident_id": f"I{number}", "revision": 1, "synthetic": flag}}
        producer.send("courier.incidents.v1", orjson.dumps(event), b"vehicle/v", partition=0)
    producer.close()


def start(yicheng, kafka, **environment):
    port = free_port()
    child = yicheng.start("notifier", YICHENG_KAFKA_BOOTSTRAP=kafka, YICHENG_METRICS_PORT=str(port), **environment)
    child.url = f"http://127.0.0.1:{port}"
    return child


@pytest.mark.parametrize("receiver", [[503, 429, 410]], indirect=True)
def test_a_webhook_is_signed_tried_again_and_given_up_on_refusal(kafka, yicheng, receiver, tmp_path):
    publish(kafka, False, False, True)
    child = start(yicheng, kafka, YICHENG_WEBHOOK_URL=receiver.url, YICHENG_WEBHOOK_SECRET=SECRET, YICHENG_SINK_FILE=str(tmp_path / "sink"))
    wait_for("five posts", lambda: len(receiver.got) >= 5)
    assert [status for status, _, _ in receiver.got] == [503, 429, 410, 204, 204]
    ids = []
    for _, headers, body in receiver.got:
        event = Webhook(SECRET).verify(body, {k.lower(): v for k, v in headers.items()})
        ids.append(event["id"])
    assert ids[0] == "I0/1" and sorted(ids[2:]) == ["I0/1", "I1/1", "I2/1"], "one after the other until the sink takes something again"
    wait_for("the file sink", lambda: len(written_lines(tmp_path / "sink")) == 3)
    page = get(f"{child.url}/metrics")
    assert 'courier_notifications_total{outcome="refused",sink="webhook"} 1.0' in page
    assert 'courier_notifications_total{outcome="retried",sink="webhook"} 2.0' in page


@pytest.mark.parametrize("receiver", [[]], indirect=True)
def test_synthetic_incidents_never_reach_a_real_sink(kafka, yicheng, receiver):
    publish(kafka, True, False)
    start(yicheng, kafka, YICHENG_WEBHOOK_URL=receiver.url, YICHENG_WEBHOOK_SECRET=SECRET, YICHENG_WEBHOOK_REAL="true")
    wait_for("a post", lambda: receiver.got)
    assert [orjson.loads(body)["id"] for _, _, body in receiver.got] == ["I1/1"]


@pytest.mark.parametrize("receiver", [[]], indirect=True)
def test_a_killed_notifier_repeats_rather_than_loses(kafka, yicheng, receiver):
    publish(kafka, *[False] * 50)
    first = start(yicheng, kafka, YICHENG_WEBHOOK_URL=receiver.url, YICHENG_WEBHOOK_SECRET=SECRET)
    wait_for("some posts", lambda: len(receiver.got) > 3)
    first.kill()
    first.wait()
    publish(kafka, *[False] * 60)
    start(yicheng, kafka, YICHENG_WEBHOOK_URL=receiver.url, YICHENG_WEBHOOK_SECRET=SECRET)
    wait_for("every incident", lambda: {orjson.loads(body)["id"] for _, _, body in receiver.got} == {f"I{n}/1" for n in range(60)})


@pytest.mark.parametrize(
    ("environment", "message"),
    [
        ({}, "no sink is configured; set YICHENG_ROUTES, or YICHENG_SINK_FILE"),
        ({"YICHENG_WEBHOOK_URL": "http://127.0.0.1:1"}, "without YICHENG_WEBHOOK_SECRET"),
        ({"YICHENG_WEBHOOK_URL": "http://127.0.0.1:1", "YICHENG_WEBHOOK_SECRET": "whsec_!"}, "YICHENG_WEBHOOK_URL: sink webhook: secret is no Standard Webhooks"),
        ({"YICHENG_SINK_FILE": "/proc/nowhere/file"}, "YICHENG_SINK_FILE: sink file: path /proc/nowhere/file: No such file or directory; set it to a file that can be written"),
    ],
)
def test_wrong_sinks_are_one_line(kafka_bootstrap, yicheng, environment, message):
    done = yicheng.run("notifier", YICHENG_KAFKA_BOOTSTRAP=kafka_bootstrap, **environment)
    assert done.returncode == 2 and message in done.stderr and len(done.stderr.splitlines()) == 1
