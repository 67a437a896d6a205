"""The notifier under faults: killed at each point of a delivery, its outbox damaged, its topic made anew. Its receivers are away in test_outage_and_kills.py.

Every incident arrives at every sink in order of its revisions, nothing else does, and only what was in flight arrives twice.
"""

import itertools
import random
import sqlite3
import threading
import time
from collections import Counter
from contextlib import closing

import orjson
import pytest
from conftest import get, wait_for, written_lines
from kafka import KafkaAdminClient, KafkaProducer
from receiver import serve

from consumers.outbox.owed import owed_in
from deploy.ports import free_port
from deploy.topic_admin import create_topics

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
SEED = 20_261_130
GROUPS = itertools.count()


def events(incidents, revisions=3, first=0):
    """(key, id, value) of incidents that are opened, updated and closed, some taken back at last; all incidents at once."""
    for revision in range(1, revisions + 1):
        for number in range(first, first + incidents):
            kind, state = {1: ("opened", "open"), revisions: ("closed", "closed")}.get(revision, ("updated", "open"))
            if revision == revisions and number % 5 == 0:
                kind, state = "retracted", "retracted"
            data = {"incident_id": f"I{number}", "revision": revision, "synthetic": True, "state": state, "rule": "speeding", "reason_zh": "超速", "reason_en": "speeding"}
            yield f"vehicle/{number}", f"I{number}/{revision}", orjson.dumps({"id": f"I{number}/{revision}", "type": f"yicheng.incident.{kind}.v1", "data": data})


def publish(bootstrap, given):
    producer = KafkaProducer(bootstrap_servers=bootstrap, linger_ms=5)
    for key, _, value in given:
        producer.send("courier.incidents.v1", value, key.encode())
    producer.close()


class Receiver:
    """A police system: does with each post what ``act`` says (a status), and keeps what it took."""

    def __init__(self):
        self.took, self.tried, self.act = [], [], lambda name: 204
        self.server, self.url = serve(self.answer)

    def answer(self, headers, body):
        name = headers["webhook-id"]
        self.tried.append((time.monotonic(), name))
        status = self.act(name)
        if status == 204:
            self.took.append(name)
        return status


@pytest.fixture
def receiver():
    made = Receiver()
    yield made
    made.server.shutdown()


class Site:
    """A notifier with a webhook and a file, that can be killed and started again."""

    def __init__(self, yicheng, kafka, receiver, folder):
        self.yicheng, self.kafka, self.receiver, self.folder, self.child = yicheng, kafka, receiver, folder, None
        self.group = f"deliveries-{next(GROUPS)}"  # a killed member holds its group's partitions until its session ends
        self.file, self.outbox = folder / "incidents.jsonl", folder / "state" / "outbox.db"

    def start(self):
        port = free_port()
        self.child = self.yicheng.start(
            "notifier", YICHENG_KAFKA_BOOTSTRAP=self.kafka, YICHENG_GROUP=self.group, YICHENG_METRICS_PORT=str(port), YICHENG_STATE_DIR=str(self.outbox.parent),
            YICHENG_WEBHOOK_URL=self.receiver.url, YICHENG_WEBHOOK_SECRET=SECRET, YICHENG_SINK_FILE=str(self.file),
        )  # fmt: skip
        self.child.url = f"http://127.0.0.1:{port}"

    def kill(self):
        self.child.kill()
        self.child.wait()

    def in_file(self):
        return [orjson.loads(line)["id"] for line in written_lines(self.file)]

    def counted(self, state):
        if not self.outbox.exists():
            return 0
        with closing(sqlite3.connect(self.outbox, timeout=30)) as db:
            return db.execute("SELECT count(*) FROM deliveries WHERE state = ?", (state,)).fetchone()[0]

    def wait_for(self, given):
        names = {name for _, name, _ in given}

        def missing():
            return {"file": names - set(self.in_file()), "webhook": names - set(self.receiver.took)}

        wait_for(lambda: f"every incident at every sink; missing: {missing()}", lambda: not any(missing().values()), 120)

    def check(self, given, *, most_repeats):
        names = [name for _, name, _ in given]
        for got in (self.in_file(), self.receiver.took):
            assert set(got) == set(names), "nothing else arrives"
            first = list(dict.fromkeys(got))
            for incident in {name.partition("/")[0] for name in names}:
                mine = [name for name in first if name.partition("/")[0] == incident]
                assert mine == sorted(mine, key=lambda name: int(name.partition("/")[2])), f"{incident} arrives as {mine}"
            assert len(got) - len(names) <= most_repeats, f"{len(got) - len(names)} arrive twice"


@pytest.fixture
def site(yicheng, kafka, receiver, tmp_path):
    made = Site(yicheng, kafka, receiver, tmp_path)
    made.start()
    wait_for("partitions", lambda: (get(f"{made.child.url}/readyz") or "").startswith("ready"), 60)
    return made


def test_killed_before_anything_is_in_the_outbox(site):
    given = list(events(20))
    with closing(sqlite3.connect(site.outbox, timeout=30, isolation_level=None)) as db:
        db.execute("BEGIN IMMEDIATE")  # nobody else can write: what is read is not in the outbox
        publish(site.kafka, given)
        wait_for("incidents to be read", lambda: lag(site) > 0, 60)
        site.kill()
        db.execute("ROLLBACK")
    assert site.counted(0) == site.counted(1) == 0
    site.start()
    site.wait_for(given)
    site.check(given, most_repeats=0)


def lag(site):
    """Incidents that are not in the outbox yet, by the notifier's own page."""
    pending = [line for line in (get(f"{site.child.url}/metrics") or "").splitlines() if line.startswith('courier_outbox_pending{sink="file"}')]
    return float(pending[0].split()[-1]) if pending else 0


def test_killed_when_all_is_in_the_outbox_and_nothing_was_sent(site):
    hold = threading.Event()
    site.receiver.act = lambda name: hold.wait(60) and 204
    given = list(events(20))
    publish(site.kafka, given)
    wait_for("the outbox", lambda: site.counted(0) + site.counted(1) == 120 and len(site.in_file()) == 60, 60)
    site.kill()
    site.receiver.act = lambda name: 204
    hold.set()
    site.start()
    site.wait_for(given)
    site.check(given, most_repeats=60)


def test_killed_after_a_message_was_sent_and_before_it_is_marked(site):
    killed = threading.Event()

    def act(name):
        if name == "I7/2" and not killed.is_set():
            killed.set()
            site.child.kill()
        return 204

    site.receiver.act = act
    given = list(events(20))
    publish(site.kafka, given)
    wait_for("the kill", lambda: killed.is_set() and site.child.poll() is not None, 60)
    site.start()
    site.wait_for(given)
    site.check(given, most_repeats=60)
    assert site.receiver.took.count("I7/2") == 2, "it is not known whether it arrived"


def test_killed_after_all_was_marked_repeats_nothing(site):
    given = list(events(20))
    publish(site.kafka, given)
    site.wait_for(given)
    wait_for("the marks", lambda: site.counted(1) == 120, 30)
    site.kill()
    more = list(events(5, first=100))
    publish(site.kafka, more)
    site.start()
    site.wait_for(given + more)
    site.check(given + more, most_repeats=0)


def file_damaged(outbox):
    """In the middle, with what the write-ahead log holds brought in."""
    with closing(sqlite3.connect(outbox)) as db:
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    with outbox.open("r+b") as file:
        file.seek(4096)
        file.write(random.Random(SEED).randbytes(30_000))


def end_lost(outbox):
    """The write-ahead log is gone, and with it what was written last; the file itself is sound."""
    outbox.with_name("outbox.db-wal").unlink()


def all_lost(outbox):
    for path in outbox.parent.glob("outbox.db*"):
        path.unlink()


@pytest.mark.parametrize("damage", [file_damaged, end_lost, all_lost])
def test_a_damaged_outbox_loses_nothing_that_was_not_delivered(site, damage):
    """Kafka keeps the incidents, and beside its offset what each sink has still to take, or refused."""
    early = list(events(10))
    site.receiver.act = lambda name: 410 if name == "I3/2" else 204
    publish(site.kafka, early)
    taken = [each for each in early if each[1] != "I3/2"]
    site.wait_for(taken)
    wait_for("the refusal", lambda: site.counted(0) == 0 and site.counted(2) == 1, 30)
    down = threading.Event()
    site.receiver.act = lambda name: 204 if down.is_set() else 503
    late = list(events(10, first=50))
    publish(site.kafka, late)
    wait_for("the file", lambda: len(site.in_file()) == 60, 60)
    wait_for("all of that beside the offset", lambda: owed_beside(site) == {"webhook": 31}, 30)
    site.kill()
    damage(site.outbox)
    down.set()
    site.start()
    site.wait_for(early + late)
    assert sorted(site.in_file()) == sorted(name for _, name, _ in early + late), "the sink that had all gets nothing again"
    assert sorted(site.receiver.took) == sorted(site.in_file()), "the other what it had not taken, and what it had refused"
    if damage is not end_lost:
        assert "the outbox lacks what was read" in site.child.log()
    assert bool(list(site.outbox.parent.glob("outbox.db.damaged-*"))) == (damage is file_damaged)


def owed_beside(site):
    """How many incidents each sink has still to take, by what is committed beside the offsets."""
    with closing(KafkaAdminClient(bootstrap_servers=site.kafka)) as admin:
        notes = [owed_in(place.metadata) for partition, place in admin.list_group_offsets([f"{site.group}-notifier"])[f"{site.group}-notifier"].items() if "incidents" in partition.topic]
    found = Counter()
    for owed in filter(None, notes):
        for (sink, _), runs in owed.runs.items():
            found[sink] += sum(last - first + 1 for first, last in runs)
    return dict(found)


def test_a_topic_made_anew_is_another_topic(site):
    """The same ids in another topic are other incidents: a rehearsal that is played again."""
    given = list(events(5, revisions=1))
    publish(site.kafka, given)
    site.wait_for(given)
    wait_for("the marks", lambda: site.counted(1) == 10, 30)
    site.kill()
    with closing(KafkaAdminClient(bootstrap_servers=site.kafka)) as admin:
        admin.delete_topics(["courier.incidents.v1"])
        wait_for("the topic to go", lambda: "courier.incidents.v1" not in admin.list_topics(), 30)
    wait_for("the topic to be made anew", lambda: made_anew(site.kafka), 30)
    publish(site.kafka, given)
    site.start()
    wait_for(lambda: f"all of it twice: {site.in_file()}, {site.receiver.took}", lambda: len(site.in_file()) == len(site.receiver.took) == 10, 60)


def made_anew(kafka):
    try:
        create_topics(kafka, 12)
    except Exception:  # noqa: BLE001 - the topic is still being deleted
        return False
    with closing(KafkaAdminClient(bootstrap_servers=kafka)) as admin:
        return "courier.incidents.v1" in admin.list_topics()
