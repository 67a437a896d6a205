"""A recorded day through real workers and a real notifier to three sinks, of which one is away; four times a process is killed meanwhile.

In the end every incident of the oracle is at every sink, in order per incident, and nothing else; sinks that are well did not wait.
The outage lasts 24 s here; ``--long`` makes it ten minutes.
"""

import json
import random
import statistics
import threading
import time
from collections import defaultdict

import pytest
from chaos.test_deliveries import SECRET
from conftest import get, wait_for, written_lines
from pipeline import Pipeline, in_order, recorded_day, records_of
from receiver import serve

SEED = 20_261_130
AWAY = (500, 503, 429, 401)
SLICES = 12
VICTIMS = ("notifier", "worker", "notifier", "notifier")
CATCH_UP_S, P95_S = 300, 5.0
"""The figures of police.md: after the outage all is delivered within five minutes; others' deliveries take less than five seconds, 95 of 100."""


class Police:
    """A police system: is away while ``away`` is set, and fails a message once now and then if ``moody``; keeps what it took, and when (s since 1970)."""

    def __init__(self, *, moody):
        self.took, self.away, self.rng, self.moody, self.failed = [], threading.Event(), random.Random(SEED), moody, set()
        self.server, self.url = serve(self.answer)

    def answer(self, headers, body):
        if self.away.is_set():
            return self.rng.choice(AWAY)
        if self.moody and headers["webhook-id"] not in self.failed and self.rng.random() < 0.02:
            self.failed.add(headers["webhook-id"])  # once; what fails twice by itself waits for five minutes
            return 500
        self.took.append((time.time(), headers["webhook-id"], json.loads(body)))
        return 204

    def ids(self):
        return [name for _, name, _ in self.took]


@pytest.fixture
def pipeline(kafka, yicheng, tmp_path):
    made = Pipeline(kafka, yicheng, tmp_path)
    yield made
    made.producer.close()


@pytest.fixture
def police():
    made = {"well": Police(moody=False), "away": Police(moody=True)}
    yield made
    for each in made.values():
        each.server.shutdown()


def routes(pipeline, police):
    hooks = "".join(f"  {name}: {{kind: webhook, url: '{each.url}', secret: {SECRET}}}\n" for name, each in police.items())
    path = pipeline.home / "routes.yaml"
    path.write_text(
        f"sinks:\n  file: {{kind: file, path: '{pipeline.sink}'}}\n{hooks}routes:\n- name: all\n  to: [file, {', '.join(police)}]\n  transitions: [opened, updated, closed, retracted]\n"
    )
    return str(path)


def published(bootstrap):
    """Id → when it was written to Kafka (s since 1970)."""
    found = {}
    for record in records_of(bootstrap, "courier.incidents.v1"):
        found.setdefault(json.loads(record.value)["id"], record.timestamp / 1000)
    return found


def check_order(ids):
    """An incident's revisions come in their order; what comes again was there before."""
    revisions = defaultdict(list)
    for name in dict.fromkeys(ids):
        incident, _, revision = name.partition("/")
        revisions[incident].append(int(revision))
    assert all(told == list(range(1, len(told) + 1)) for told in revisions.values())


@pytest.mark.timeout(1_800)
def test_every_incident_of_the_oracle_is_at_every_sink_after_an_outage_and_kills(pipeline, police, request):
    outage_s = 600.0 if request.config.getoption("--long") else 24.0
    day = recorded_day()
    rows = in_order(day["gps"], day["scans"])
    parts = [rows[len(rows) * n // SLICES : len(rows) * (n + 1) // SLICES] for n in range(SLICES)]
    state = str(pipeline.home / "notifier")
    notify = lambda: pipeline.start("notifier", YICHENG_ROUTES=routes(pipeline, police), YICHENG_STATE_DIR=state, YICHENG_SINK_FILE=None)  # noqa: E731
    children = {"notifier": notify(), "worker": pipeline.start_ready("worker")}
    has_partitions = lambda: (get(f"{children['notifier'].url}/readyz") or "").startswith("ready")  # noqa: E731
    wait_for("the notifier's partitions", has_partitions, 60)
    pipeline.send_rows(parts[0])
    wait_for("some at both", lambda: min(len(each.took) for each in police.values()) > 20, 60)
    police["away"].away.set()
    began_s = time.monotonic()
    for number, victim in enumerate(VICTIMS):
        before = len(police["well"].took)
        pipeline.send_rows(parts[1 + number])
        wait_for(f"work in flight at the {victim}", lambda before=before: len(police["well"].took) > before, 90)
        children[victim].kill()
        children[victim].wait()
        children[victim] = notify() if victim == "notifier" else pipeline.start_ready("worker")
    wait_for("the notifier's partitions", has_partitions, 60)
    wait_for("the sinks that are well to be level", lambda: set(police["well"].ids()) >= published(pipeline.bootstrap).keys(), 120)
    calm_s = time.time()
    for number, part in enumerate(parts[1 + len(VICTIMS) :]):
        pipeline.send_rows(part)
        due_s = began_s + outage_s * (number + 1) / len(parts[1 + len(VICTIMS) :])
        while time.monotonic() < due_s:
            time.sleep(0.1)  # the outage's own length
    police["away"].away.clear()
    over_s = time.monotonic()
    pipeline.drained()
    written = published(pipeline.bootstrap)
    for name, each in police.items():
        wait_for(lambda name=name, each=each: f"all at {name}: {len(set(each.ids()))} of {len(written)}", lambda each=each: set(each.ids()) >= written.keys(), CATCH_UP_S)
    caught_up_s = time.monotonic() - over_s

    in_file = [json.loads(line) for line in written_lines(pipeline.sink)]
    said = {event["id"]: event["data"]["state"] for event in in_file}
    for ids, states in [([event["id"] for event in in_file], said), *((each.ids(), {name: body["data"]["state"] for _, name, body in each.took}) for each in police.values())]:
        assert set(ids) == written.keys() and states == said, "each sink has all of it, and nothing else"
        check_order(ids)
    waits_s = sorted(at_s - written[name] for at_s, name, _ in police["well"].took if written[name] > calm_s)
    p95_s = statistics.quantiles(waits_s, n=20)[-1]
    print(f"seed {SEED}: {len(written)} messages; caught up in {caught_up_s:.1f} s after {outage_s:g} s; the well sink's p95 {p95_s:.2f} s of {len(waits_s)}")
    assert caught_up_s <= CATCH_UP_S and p95_s < P95_S and len(waits_s) > 100
    assert pipeline.check_alarms_stood() > 20
    assert pipeline.check_fixes()[0] > 5
    pipeline.check_rates(day["scans"])
    pipeline.check_revisions()
