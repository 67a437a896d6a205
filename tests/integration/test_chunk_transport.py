"""The chunk transport by itself, on real Kafka: what is handed over, what is committed, what comes again."""

import json
import os
import signal
import subprocess
import sys
import uuid
from collections import defaultdict
from pathlib import Path

import pytest
from conftest import ROOT, wait_for, written_lines
from kafka import KafkaConsumer, KafkaProducer, TopicPartition

from deploy import leash

TOPIC = "courier.scan.v1"
SCRIPT = Path(__file__).parent / "chunk_worker.py"


class Group:
    """Workers of one consumer group, and what they were handed."""

    def __init__(self, bootstrap, folder):
        self.bootstrap, self.folder, self.name = bootstrap, folder, f"transport-{uuid.uuid4().hex[:8]}"
        self.children, self.sent = [], defaultdict(list)
        self.producer = KafkaProducer(bootstrap_servers=bootstrap)

    def start(self, up_to=10**9):
        out = self.folder / f"{len(self.children)}.jsonl"
        out.touch()
        with (self.folder / f"{len(self.children)}.log").open("wb") as log:
            self.children.append(
                leash.start(
                    [sys.executable, str(SCRIPT), self.bootstrap, self.name, TOPIC, str(out), str(up_to)], env={**os.environ, "PYTHONPATH": str(ROOT)},
                    cwd=self.folder, stdout=log, stderr=subprocess.STDOUT,
                )
            )  # fmt: skip
        return len(self.children) - 1

    def send(self, count):
        for number in range(count):
            partition = number % 3
            self.sent[partition].append(f"{partition}/{len(self.sent[partition])}")
            self.producer.send(TOPIC, self.sent[partition][-1].encode(), partition=partition)
        self.producer.flush(30)

    def handed(self, child):
        """Chunks by partition, in the order in which a worker got them: [(offsets, values)]."""
        found = defaultdict(list)
        for line in written_lines(self.folder / f"{child}.jsonl"):
            partition, offsets, values = json.loads(line)
            found[partition].append((offsets, values))
        return found

    def committed(self):
        consumer = KafkaConsumer(bootstrap_servers=self.bootstrap, group_id=self.name, enable_auto_commit=False)
        try:
            return [consumer.committed(TopicPartition(TOPIC, partition)) or 0 for partition in range(3)]
        finally:
            consumer.close()

    def ends(self):
        return [len(self.sent[partition]) for partition in range(3)]


@pytest.fixture
def group(kafka, tmp_path):
    found = Group(kafka, tmp_path)
    yield found
    found.producer.close()
    for child in found.children:
        if child.poll() is None:
            child.kill()
        child.wait()


def received(group, child):
    return {partition: [offset for offsets, _ in chunks for offset in offsets] for partition, chunks in group.handed(child).items()}


def test_records_come_whole_in_order_and_in_chunks(group):
    group.send(5_000)
    group.start()
    wait_for("everything to be committed", lambda: group.committed() == group.ends())
    for partition, chunks in group.handed(0).items():
        assert [offset for offsets, _ in chunks for offset in offsets] == list(range(len(group.sent[partition])))
        assert [value for _, values in chunks for value in values] == group.sent[partition]
        assert max(len(offsets) for offsets, _ in chunks) == 100


def test_what_was_handed_over_but_not_judged_is_not_committed_and_comes_again_after_kill_9(group):
    group.send(3_000)
    group.start(up_to=450)
    wait_for("everything to be handed over", lambda: {p: len(o) for p, o in received(group, 0).items()} == dict.fromkeys(range(3), 1_000))
    judged = [max((offsets[-1] + 1 for offsets, _ in group.handed(0)[p] if offsets[-1] < 450), default=0) for p in range(3)]
    wait_for("the judged chunks to be committed", lambda: group.committed() == judged)
    assert min(judged) > 0 and max(judged) <= 450
    group.children[0].send_signal(signal.SIGKILL)
    group.start()
    wait_for("everything to be committed", lambda: group.committed() == group.ends(), 90)
    assert received(group, 1) == {partition: list(range(judged[partition], 1_000)) for partition in range(3)}


def test_members_that_come_and_go_leave_no_gap(group):
    group.send(2_000)
    group.start()
    wait_for("the first records", lambda: group.handed(0))
    group.start()
    group.send(2_000)
    wait_for("the second member to get some", lambda: received(group, 1) or group.send(300), 90)
    group.children[0].send_signal(signal.SIGTERM)
    assert group.children[0].wait(40) == 0
    group.send(2_000)
    wait_for("everything to be committed", lambda: group.committed() == group.ends(), 90)
    for partition in range(3):
        seen = [offset for child in range(2) for offset in received(group, child).get(partition, ())]
        assert set(seen) == set(range(len(group.sent[partition]))), f"partition {partition}"
