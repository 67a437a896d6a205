"""Disks that are full for a while: under the broker, and under the notifier's outbox and its file. What was published then is judged and delivered once there is room."""

import logging
import subprocess
import threading

import pytest
from chaos.test_deliveries import Receiver, Site, events, publish
from conftest import wait_for
from pipeline import Pipeline, in_order, recorded_day

from deploy.broker import EmbeddedKafka
from deploy.topic_admin import create_topics

pytestmark = pytest.mark.long


class SmallDisk:
    """A file system of its own that can be filled and emptied."""

    def __init__(self, path):
        self.path, self.ballast = path, path / "ballast"

    def fill(self):
        subprocess.run(["dd", "if=/dev/zero", f"of={self.ballast}", "bs=4k"], capture_output=True, check=False)

    def make_room(self):
        self.ballast.unlink()


@pytest.fixture
def disk(tmp_path, request):
    path = tmp_path / "disk"
    path.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={request.param}", "tmpfs", path], capture_output=True, check=False).returncode:
        pytest.skip("a small disk cannot be mounted here")
    yield SmallDisk(path)
    subprocess.run(["umount", "-l", path], check=False)


@pytest.mark.parametrize("disk", ["512m"], indirect=True)
def test_nothing_is_lost_when_the_brokers_disk_was_full(disk, yicheng, tmp_path):
    logging.getLogger("kafka").setLevel(logging.CRITICAL)  # that the broker goes away is meant
    broker = EmbeddedKafka(disk.path / "kafka", port=0)
    broker.start()
    create_topics(broker.bootstrap, 4)
    day, pipeline = recorded_day(), Pipeline(broker.bootstrap, yicheng, tmp_path)
    try:
        children = [pipeline.start("notifier"), pipeline.start_ready("worker")]
        rows = in_order(day["gps"], day["scans"])
        pipeline.send_rows(rows[: len(rows) // 3])
        disk.fill()
        sending = threading.Thread(target=pipeline.send_rows, args=[rows[len(rows) // 3 :]], daemon=True)
        sending.start()
        wait_for("the broker to end", lambda: not broker.running, 60)
        disk.make_room()
        broker.restart()
        sending.join()
        pipeline.drained()
        for child in children:
            assert child.poll() is None and "Traceback" not in child.log(), child.log()
        assert pipeline.check_alarms_stood() > 20
        assert pipeline.check_fixes()[0] > 5
        pipeline.check_rates(day["scans"])
        pipeline.check_revisions()
    finally:
        pipeline.producer.close(timeout=5)
        broker.stop()
        logging.getLogger("kafka").setLevel(logging.NOTSET)


@pytest.mark.parametrize("disk", ["4m"], indirect=True)
@pytest.mark.parametrize("is_killed", [False, True])
def test_nothing_is_lost_when_the_notifiers_disk_was_full(disk, yicheng, kafka, is_killed):
    receiver = Receiver()
    site = Site(yicheng, kafka, receiver, disk.path)
    site.start()
    early, late = list(events(10)), list(events(400, first=100))
    publish(kafka, early)
    site.wait_for(early)
    disk.fill()
    publish(kafka, late)
    wait_for("it to notice", lambda: "o space left" in site.child.log() or "disk is full" in site.child.log(), 60)
    if is_killed:
        site.kill()
        disk.make_room()
        site.start()
    else:
        disk.make_room()
    site.wait_for(early + late)
    site.check(early + late, most_repeats=60)
    assert "Traceback" not in site.child.log() and site.child.poll() is None
    receiver.server.shutdown()
