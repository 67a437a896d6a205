"""The embedded broker: without Java and Maven, with damaged downloads, with its port taken, with its parent killed."""

import os
import signal
import socket
import subprocess
import sys
import textwrap
from contextlib import suppress

import pytest
from conftest import ROOT, wait_for

from deploy import broker as broker_module
from deploy import ports
from deploy.broker import CACHE, EmbeddedKafka, answers, bundled_java, fetch_jars, find_java, java_version
from deploy.ports import free_port
from streams.errors import Unavailable


def test_without_java_on_the_machine_the_bundled_one_is_used(monkeypatch):
    monkeypatch.delenv("JAVA_HOME", raising=False)
    monkeypatch.setenv("PATH", "/nowhere")
    assert find_java() == bundled_java()
    assert java_version(bundled_java()) >= 17


def test_an_old_java_is_passed_over(monkeypatch, tmp_path):
    old = tmp_path / "bin" / "java"
    old.parent.mkdir()
    old.write_text("#!/bin/sh\necho 'openjdk version \"11.0.2\"' >&2\n")
    old.chmod(0o755)
    monkeypatch.setenv("JAVA_HOME", str(tmp_path))
    monkeypatch.setenv("PATH", str(old.parent))
    assert find_java() == bundled_java()


def test_it_runs_on_the_bundled_java_in_little_memory_and_stops_cleanly(tmp_path, monkeypatch):
    fetch_jars()
    fresh = tmp_path / "cache"  # nothing in it but the jars: formatting is part of a first start
    fresh.mkdir()
    (fresh / "maven").symlink_to(CACHE / "maven")
    monkeypatch.setattr(broker_module, "CACHE", fresh)
    broker = EmbeddedKafka(tmp_path, port=0, java=bundled_java())
    bootstrap = broker.start()
    status = (open(f"/proc/{broker.process.pid}/status").read()).splitlines()
    rss_kib = next(int(line.split()[1]) for line in status if line.startswith("VmRSS"))
    assert rss_kib < 400 * 1024
    broker.stop()
    assert not answers(bootstrap)
    assert "shut down completed" in broker.log.read_text()


def test_a_taken_port_is_no_obstacle():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        wanted = taken.getsockname()[1]
        assert free_port(wanted) != wanted


def test_the_wanted_port_is_given_where_it_is_free():
    wanted = free_port()
    assert [free_port(wanted) for _ in range(3)] == [wanted] * 3


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has names that are held as long as a process lives")
def test_a_port_that_was_chosen_and_is_not_used_yet_is_given_to_nobody_else(monkeypatch):
    few = range(31_900, 31_920)
    monkeypatch.setattr(ports, "PORTS", few)
    chosen = []
    with suppress(Unavailable):
        while len(chosen) <= len(few):
            chosen.append(free_port())
    assert len(set(chosen)) == len(chosen) > 0
    another = f"from deploy import ports; ports.PORTS = range({few.start}, {few.stop}); ports.free_port()"
    assert "no free port" in subprocess.run([sys.executable, "-c", another], cwd=ROOT, capture_output=True, text=True, check=False).stderr
    assert free_port(chosen[0]) == chosen[0], "who chose it may use it"


def test_a_damaged_or_missing_jar_is_fetched_again(tmp_path):
    """Copies the verified cache, breaks two jars in it, and fetches: only those two are downloaded."""
    import shutil

    wanted = [tmp_path / path.relative_to(CACHE) for path in fetch_jars()]
    shutil.copytree(CACHE / "maven", tmp_path / "maven")
    jars = sorted(wanted, key=lambda p: p.stat().st_size)
    jars[0].unlink()
    jars[1].write_bytes(b"half a jar")
    fetched = []
    paths = fetch_jars(fetched.append, cache=tmp_path)
    assert len(fetched) == 2 and all(path.exists() for path in paths)


def test_of_several_that_find_a_jar_missing_one_fetches_it(tmp_path):
    """As where two commands are started at once on a new machine."""
    import shutil

    fetch_jars()
    shutil.copytree(CACHE / "maven", tmp_path / "maven")
    jars = sorted((tmp_path / "maven").rglob("*.jar"), key=lambda p: p.stat().st_size)
    for jar in jars[:5]:
        jar.unlink()
    script = "import sys; from pathlib import Path; from deploy.broker import fetch_jars; fetch_jars(print, cache=Path(sys.argv[1]))"
    fetching = [subprocess.Popen([sys.executable, "-c", script, str(tmp_path)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) for _ in range(4)]
    ended = [(*process.communicate(timeout=120), process.returncode) for process in fetching]
    assert [code for _, _, code in ended] == [0] * 4, ended
    assert sum(len(printed.splitlines()) for printed, _, _ in ended) == 5 and all(jar.exists() for jar in jars)


def test_brokers_that_start_at_once_on_a_new_machine_each_have_a_storage(tmp_path):
    import shutil

    fetch_jars()
    shutil.copytree(CACHE / "maven", tmp_path / "maven")
    script = "import sys; from pathlib import Path; from deploy.broker import EmbeddedKafka; broker = EmbeddedKafka(Path(sys.argv[1]), port=0); print(broker.start()); broker.stop()"
    environment = {**os.environ, "YICHENG_CACHE": str(tmp_path)}
    starting = [subprocess.Popen([sys.executable, "-c", script, str(tmp_path / str(number))], env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) for number in range(3)]
    ended = [(*process.communicate(timeout=200), process.returncode) for process in starting]
    assert [code for *_, code in ended] == [0] * 3, ended
    assert len({printed for printed, *_ in ended}) == 3 and not list(tmp_path.glob("formatting-*"))


def test_no_network_for_the_first_download_is_one_line(tmp_path, monkeypatch):
    import requests

    def refuse(*_, **__):
        raise requests.ConnectionError("no route")

    monkeypatch.setattr(requests.Session, "request", refuse)
    with pytest.raises(Unavailable, match="could not be downloaded from Maven Central; check the network"):
        fetch_jars(cache=tmp_path)


def test_the_broker_does_not_outlive_a_killed_parent(tmp_path):
    script = textwrap.dedent(f"""
        from pathlib import Path
        from deploy.broker import EmbeddedKafka
        broker = EmbeddedKafka(Path({str(tmp_path)!r}), port=0)
        broker.start()
        print(broker.process.pid, flush=True)
        import time; time.sleep(600)
    """)
    parent = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True, cwd=ROOT)
    pid = int(parent.stdout.readline())
    parent.send_signal(signal.SIGKILL)
    parent.wait()

    def gone():
        try:
            state = open(f"/proc/{pid}/stat").read().rsplit(")", 1)[1].split()[0]
        except FileNotFoundError:
            return True
        return state == "Z"

    wait_for("the broker to end", gone, 20)


def test_jars_are_pinned_by_coordinates_and_sha256():
    lines = (broker_module.KAFKA / "jars.lock").read_text().splitlines()
    assert all(len(line.split()) == 2 and line.count(":") == 2 and len(line.split()[1]) == 64 for line in lines)
    assert any("slf4j-reload4j" in line for line in lines) and os.path.exists(broker_module.KAFKA / "log4j.properties")
