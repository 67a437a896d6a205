"""Whoever is asked to stop ends within 15 s, whatever state Kafka, the disk and it are in; a second signal ends it at once; nothing is left behind."""

import os
import random
import signal
import socket
import subprocess
import sys
import textwrap
import time
from contextlib import suppress
from pathlib import Path

import pytest
from conftest import ROOT, get, wait_for
from kafka import KafkaProducer

from deploy import leash
from deploy.admin import publish_policy, publish_registry
from deploy.broker import EmbeddedKafka
from deploy.ports import free_port
from deploy.topic_admin import create_topics
from producers.traffic import write_sample_registry
from streams.policy.reader import load_policy
from streams.registry.files import load_registry
from streams.wire.topics import GPS

LIMIT_S = 15.0
SLACK_S = 3.0  # of a machine that does other things besides
ASKING = (signal.SIGTERM, signal.SIGINT)


def state_of(pid):
    """R, S, T, Z … as the kernel says, None where there is no such process."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return None


def command_of(pid):
    """A process's command line, empty where it has ended meanwhile."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return ""


def kafka_of(pid):
    """The process of the broker that a process has started, None while there is none."""
    return next((child for child in children_of(pid) if "kafka.Kafka" in command_of(child)), None)


def gone(pid):
    return state_of(pid) in {None, "Z"}


def children_of(pid):
    """The running processes that a process has started, and those that they have."""
    found = subprocess.run(["pgrep", "-P", str(pid)], capture_output=True, text=True, check=False).stdout.split()
    return [child for name in found for child in (int(name), *children_of(int(name)))]


def listens(pid):
    """Whether a process is as far as to listen to who asks it to stop; before, a signal ends it as it ends any process."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return True
    caught = int(status.partition("SigCgt:")[2].split()[0], 16)
    return gone(pid) or all(caught >> (number - 1) & 1 for number in ASKING)


def ended(children, limit_s=LIMIT_S + SLACK_S):
    """Wait until all have ended; returns how long that took."""
    started = time.monotonic()
    wait_for(f"{[child.name for child in children]} to end", lambda: all(child.poll() is not None for child in children), limit_s)
    return time.monotonic() - started


def is_connecting(child):
    """Whether a process has come as far as to talk to Kafka: all that is done with no socket is behind it."""
    try:
        return child.poll() is not None or any(os.readlink(f"/proc/{child.pid}/fd/{fd}").startswith("socket:") for fd in os.listdir(f"/proc/{child.pid}/fd"))
    except FileNotFoundError:
        return False


# --- the mechanism, without Kafka ---


def script(tmp_path, body, *, ignoring=()):
    """A process that is watched over and does what ``body`` says; returns once it has printed its first line."""
    text = "import ctypes, signal, sys, threading, time\nfrom streams.process.stopping import interrupt, stopping\nstopping.watch()\n" + textwrap.dedent(body)
    usual = {number: signal.signal(number, signal.SIG_IGN if number in ignoring else signal.SIG_DFL) for number in (*ASKING, signal.SIGHUP)}
    try:
        child = leash.start([sys.executable, "-c", text], stdout=subprocess.PIPE, stderr=(tmp_path / "errors").open("wb"), cwd=ROOT)
    finally:
        for number, handler in usual.items():
            signal.signal(number, handler)
    assert child.stdout.readline() == b"running\n"
    return child


STUCK = {
    "in a library that nothing interrupts": """
        lock = ctypes.create_string_buffer(64)
        pthread = ctypes.CDLL(None)
        stopping.when_asked(interrupt, 0.5)
        pthread.pthread_mutex_lock(lock)
        threading.Timer(0.5, lambda: print("running", flush=True)).start()  # when the main thread is in there
        pthread.pthread_mutex_lock(lock)
    """,
    "in code that swallows interruptions": """
        stopping.when_asked(interrupt, 0.5)
        threading.Timer(0.2, lambda: print("running", flush=True)).start()
        while True:
            try:
                time.sleep(60)
            except KeyboardInterrupt:
                pass
    """,
    "in an orderly stop that never ends": """
        stopping.when_asked(lambda: None, 0.5)
        print("running", flush=True)
        time.sleep(600)
    """,
    "in the wait for a thread at the end": """
        threading.Thread(target=time.sleep, args=(600,)).start()
        stopping.when_asked(interrupt, 0.5)
        try:
            print("running", flush=True)
            time.sleep(600)
        except KeyboardInterrupt:
            pass
    """,
    "in its last words": """
        stopping.when_asked(lambda: None, 0.5, lambda: time.sleep(600))
        print("running", flush=True)
        time.sleep(600)
    """,
    "in a drain that a failure began": """
        stopping.when_asked(lambda: None, 0.5)
        stopping.count_down()
        print("running", flush=True)
        time.sleep(600)
    """,
}


@pytest.mark.parametrize("state", STUCK)
def test_a_process_that_is_stuck_ends_when_its_time_is_up(tmp_path, state):
    child = script(tmp_path, STUCK[state])
    if "failure" not in state:
        child.send_signal(signal.SIGTERM)
    assert child.wait(10) == 130
    assert (tmp_path / "errors").read_text() == ""


@pytest.mark.parametrize("second", ASKING, ids=lambda number: number.name)
def test_a_second_signal_ends_it_at_once_with_its_last_words(tmp_path, second):
    body = """
        stopping.when_asked(lambda: print("asked", flush=True), 600, lambda: print("last words", flush=True))
        print("running", flush=True)
        while True:
            time.sleep(60)
    """
    child = script(tmp_path, body)
    child.send_signal(signal.SIGTERM)
    assert child.stdout.readline() == b"asked\n"
    time.sleep(0.5)  # sooner, it would be taken for the same signal sent twice
    child.send_signal(second)
    assert child.wait(10) == 130 and child.stdout.read() == b"last words\n"


def test_a_signal_sent_twice_within_a_moment_is_one(tmp_path):
    child = script(tmp_path, "stopping.when_asked(lambda: (time.sleep(1), sys.exit(7)), 600)\nprint('running', flush=True)\ntime.sleep(600)")
    for _ in range(2):
        child.send_signal(signal.SIGTERM)
    assert child.wait(10) == 7


@pytest.mark.parametrize("number", ASKING, ids=lambda number: number.name)
def test_a_background_job_whose_parent_ignores_signals_stops_all_the_same(tmp_path, number):
    child = script(tmp_path, "stopping.when_asked(lambda: sys.exit(7))\nprint('running', flush=True)\ntime.sleep(600)", ignoring=ASKING)
    child.send_signal(number)
    assert child.wait(10) == 7


def test_a_hangup_stops_it_but_not_under_nohup(tmp_path):
    body = "stopping.when_asked(lambda: sys.exit(7))\nprint('running', flush=True)\ntime.sleep(600)"
    hung, kept = script(tmp_path, body), script(tmp_path, body, ignoring=[signal.SIGHUP])
    for child in (hung, kept):
        child.send_signal(signal.SIGHUP)
    assert hung.wait(10) == 7 and kept.poll() is None
    kept.kill()
    kept.wait()


def test_what_a_library_fails_to_take_down_is_not_told(tmp_path):
    body = """
        class Client:
            def __del__(self):
                raise TimeoutError
        stopping.when_asked(interrupt)
        try:
            client = Client()
            print("running", flush=True)
            time.sleep(600)
        except KeyboardInterrupt:
            del client
    """
    child = script(tmp_path, body)
    child.send_signal(signal.SIGTERM)
    assert child.wait(10) == 0 and (tmp_path / "errors").read_text() == ""


PARENT = """
    import deploy.leash as leash, sys, time
    {first}
    child = leash.start([sys.executable, "-c", "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(600)"]{how})
    {then}
    print(child.pid, flush=True)
    time.sleep(600)
"""


def parent_of_one(*, first="", how="", then=""):
    """A process that has started another, and that one's id."""
    text = textwrap.dedent(PARENT.format(first=first, how=how, then=then))
    parent = subprocess.Popen([sys.executable, "-c", text], stdout=subprocess.PIPE, cwd=ROOT)
    return parent, int(parent.stdout.readline())


LEASHES = {"Linux": {}, "elsewhere": {"first": "leash.PRCTL = None"}, "that may be let go": {"how": ", releasable=True"}}


@pytest.mark.parametrize("leashed", LEASHES)
@pytest.mark.parametrize("suspended", [False, True], ids=["running", "suspended"])
def test_a_child_dies_with_its_parent_deaf_or_suspended(leashed, suspended):
    parent, pid = parent_of_one(**LEASHES[leashed])
    if suspended:
        os.kill(pid, signal.SIGSTOP)
    parent.kill()
    parent.wait()
    wait_for("the child to be gone", lambda: gone(pid), 10)


def test_a_child_that_was_let_go_lives_on_with_nobody_to_keep_it():
    parent, pid = parent_of_one(how=", releasable=True", then="leash.release(child)")
    try:
        assert children_of(parent.pid) == [pid]  # the keeper has ended
        parent.kill()
        parent.wait()
        assert not gone(pid)
    finally:
        os.kill(pid, signal.SIGKILL)


def test_a_keeper_whose_charge_ended_before_ends_with_their_parent():
    parent, _ = parent_of_one(how=", releasable=True", then="child.kill(); child.wait()")
    (keeper,) = children_of(parent.pid)
    parent.kill()
    parent.wait()
    wait_for("the keeper to be gone", lambda: gone(keeper), 10)


def test_a_child_that_cannot_be_started_leaves_no_keeper():
    with pytest.raises(FileNotFoundError):
        leash.start(["/nowhere"], releasable=True)
    assert not any("psutil" in command_of(pid) for pid in children_of(os.getpid()))


def test_a_child_whose_parent_ended_before_the_kernel_was_asked_does_not_begin(tmp_path):
    """Between fork and exec the parent may end; then nobody sends the signal, and the child ends by itself."""
    text = """
        import os, sys, time
        from deploy import leash
        bind = leash.leashed() or sys.exit(3)
        if os.fork() == 0:
            parent = os.getppid()
            print(os.getpid(), flush=True)
            while os.getppid() == parent:
                time.sleep(0.01)
            bind()
            time.sleep(600)
    """
    parent = subprocess.run([sys.executable, "-c", textwrap.dedent(text)], stdout=subprocess.PIPE, cwd=ROOT, timeout=20, check=False, text=True)
    if parent.returncode == 3:
        pytest.skip("only Linux's kernel is asked")
    wait_for("the child to be gone", lambda: gone(int(parent.stdout)), 10)


# --- real processes on a real broker ---


@pytest.fixture(scope="module")
def own_broker(tmp_path_factory):
    """A broker of their own, which may be suspended and killed; with topics, a pack and a registry."""
    folder = tmp_path_factory.mktemp("stopping")
    made = EmbeddedKafka(folder / "kafka", port=0)
    made.start()
    create_topics(made.bootstrap, 6)
    made.registry = folder / "registry.jsonl"
    policy = load_policy("hohhot-2019")
    write_sample_registry(policy, 300, 1, made.registry)
    publish_policy(made.bootstrap, policy)
    publish_registry(made.bootstrap, load_registry(made.registry, policy.timezone).grouped())
    yield made
    made.kill()


@pytest.fixture
def broker(own_broker):
    """It runs; afterwards it may be suspended or gone."""
    if not own_broker.running:
        own_broker.restart()
    yield own_broker
    if own_broker.running:
        own_broker.process.send_signal(signal.SIGCONT)


@pytest.fixture
def start(broker, yicheng, tmp_path):
    def begin(*command, **environment):
        port = free_port()
        common = {
            "YICHENG_KAFKA_BOOTSTRAP": broker.bootstrap, "YICHENG_METRICS_PORT": str(port), "YICHENG_SINK_FILE": str(tmp_path / "sink"),
            "YICHENG_CONSOLE_PORT": str(free_port()), "YICHENG_STATE_DIR": str(tmp_path / f"state-{port}"), "YICHENG_GROUP": f"stopping-{tmp_path.name}", "YICHENG_REHEARSAL": "1",
            "YICHENG_IDENTITY_KEY": "one for all workers that share the state topics",
        }  # fmt: skip
        child = yicheng.start(*command, **{**common, **environment})
        child.url = f"http://127.0.0.1:{port}"
        return child

    return begin


def wait_ready(*children):
    for child in children:
        wait_for(f"{child.name} to be ready", lambda child=child: child.poll() is not None or get(f"{child.url}/readyz"))
        assert child.poll() is None, child.log()


def ask(children):
    """TERM and INT in turn."""
    for number, child in enumerate(children):
        child.send_signal(ASKING[number % 2])


def waiting(broker):
    """Commands that talk to Kafka, each of which waits where it does not answer."""
    return [
        ("report", "--from", "2026-01-01", "--until", "2026-01-02"), ("incidents", "list"), ("incidents", "ack", "x"), ("registry", "import", broker.registry),
        ("registry", "show", "vehicle/x"), ("topics", "create"), ("policy", "publish", "hohhot-2019"), ("produce", "replay", ROOT / "tests" / "golden"),
        ("worker",), ("notifier",), ("dead", "list"), ("topics", "rewind"), ("console",), ("registry", "export"), ("incidents", "dismiss", "x", "--reason", "y"),
    ]  # fmt: skip


FEW = slice(0, 13, 3)


def test_workers_stop_while_they_start_and_share_out_the_partitions(broker, start, request):
    """Kafka answers; the moments fall into the start, the reading of reference data, the rebalance and the restore."""
    scenes = 6 if request.config.getoption("--long") else 1
    producer = KafkaProducer(bootstrap_servers=broker.bootstrap)
    producer.send(GPS.name, b"{}", b"x")
    producer.close()
    seed = random.randrange(1 << 30)
    print(f"seed {seed}")
    rng = random.Random(seed)
    for _ in range(scenes):
        workers = [start("worker") for _ in range(3)]
        begun = time.monotonic()
        for moment_s, worker in zip(sorted(rng.uniform(0.5, 8.0) for _ in workers), workers, strict=True):
            wait_for("the moment", lambda moment_s=moment_s, begun=begun, worker=worker: time.monotonic() - begun > moment_s and listens(worker.pid))
            worker.send_signal(rng.choice(ASKING))
        ended(workers)
        for worker in workers:
            at_once = worker.returncode in {-number for number in ASKING} and not worker.log()  # before it had said anything
            assert (worker.returncode in {0, 1, 130} or at_once) and "Traceback" not in worker.log(), (worker.returncode, worker.log())


def checkpoints(worker):
    """How many a worker has made."""
    page = get(f"{worker.url}/metrics") or ""
    return float(page.partition("\ncourier_checkpoint_seconds_count ")[2].split("\n")[0] or 0)


def in_need_of_kafka(worker, for_s=3.0):
    """Until a worker has tried in vain for so long to make a checkpoint; one a second is usual. It gives up after 40 s."""
    made, since_s = checkpoints(worker), time.monotonic()

    def stuck():
        nonlocal made, since_s
        if (now := checkpoints(worker)) != made:
            made, since_s = now, time.monotonic()
        return time.monotonic() - since_s > for_s

    wait_for("a checkpoint to be stuck", stuck, 20)


def test_a_worker_whose_log_nobody_can_take_goes_on_and_stops_when_asked(start):
    speechless = start("worker", stdout="/dev/full")
    wait_ready(speechless)
    wait_for("a checkpoint", lambda: checkpoints(speechless))
    ask([speechless])
    ended([speechless])
    assert speechless.returncode == 0


@pytest.mark.parametrize("kafka_is", ["suspended", "gone"])
def test_everything_stops_while_kafka_is(kafka_is, broker, start, request, tmp_path):
    worker, notifier, console = start("worker"), start("notifier"), start("console")
    producer = start("produce", "synthetic", "--rate", "50", "--duration", "5m", "--quiet")
    wait_ready(worker, notifier, console)
    wait_for("fixes to be judged", lambda: 'outcome="accepted"} 0.0' not in (get(f"{worker.url}/metrics") or 'outcome="accepted"} 0.0'))
    wait_for("a checkpoint", lambda: checkpoints(worker))
    if kafka_is == "gone":
        broker.kill()
    else:
        broker.process.send_signal(signal.SIGSTOP)
    in_need_of_kafka(worker)
    speechless = start("worker", stdout="/dev/full")  # not sooner: it would have taken partitions over
    wait_for("it to talk to Kafka", lambda: is_connecting(speechless))
    ask(processes := [worker, notifier, producer, speechless, console])
    ended(processes)
    assert console.returncode == 0, console.log()
    assert (worker.returncode, notifier.returncode, producer.returncode) in {(1, 0, 130), (1, 1, 130)}
    log = worker.log()  # it was asked while it waited for Kafka, or had just given up by itself
    assert "the last checkpoint counts, nothing is lost" in log or "replays from its last checkpoint when started again" in log, log[-3_000:]
    commands = [start(*command) for command in waiting(broker)[slice(None) if request.config.getoption("--long") else FEW]]
    for child in commands:
        wait_for("a command to talk to Kafka", lambda child=child: is_connecting(child))
    ask(commands)
    ended(commands)
    for child in commands:
        assert child.returncode in ({0} if child.name == "console" else {130, 1, 2}), child.args  # that one has pages to show without Kafka, too
    for child in (worker, notifier, console, producer, *commands):  # a field of a JSON log line may hold one, which is for machines
        assert not any(line.startswith("Traceback") for line in child.log().splitlines()), child.log()


@pytest.mark.long
@pytest.mark.parametrize("kafka_is", ["suspended", "gone"])
def test_a_worker_that_cannot_make_a_checkpoint_for_long_ends_by_itself_and_says_so(kafka_is, broker, start):
    worker = start("worker")
    producer = start("produce", "synthetic", "--rate", "50", "--duration", "5m", "--quiet")
    wait_ready(worker)
    wait_for("a checkpoint", lambda: checkpoints(worker))
    if kafka_is == "gone":
        broker.kill()
    else:
        broker.process.send_signal(signal.SIGSTOP)
    wait_for("the worker to give up", lambda: worker.poll() is not None or "worker failed" in worker.log(), 120)
    ended([worker])
    assert worker.returncode == 1 and "replays from its last checkpoint when started again" in worker.log()
    ask([producer])
    ended([producer])


# --- up ---


def begin_up(yicheng, *options, **environment):
    return yicheng.start("up", "--rate", "50", "--duration", "5m", *options, **{"YICHENG_METRICS_PORT": str(free_port()), **environment})


def wait_complete(up):
    """Until Kafka, a worker, the notifier and the producer run; returns their ids, Kafka's first."""
    pids = wait_for("four processes", lambda: up.poll() is not None or (len(found := children_of(up.pid)) == 4 and found), 120)
    assert up.poll() is None, up.log()
    return sorted(pids, key=lambda pid: "kafka.Kafka" not in command_of(pid))


@pytest.fixture
def no_cluster(monkeypatch):
    monkeypatch.delenv("YICHENG_KAFKA_BOOTSTRAP", raising=False)


def test_nothing_outlives_an_up_that_is_killed(no_cluster, yicheng):
    port = free_port()
    up = begin_up(yicheng, YICHENG_METRICS_PORT=str(port))
    pids = wait_complete(up)
    os.kill(pids[0], signal.SIGSTOP)  # a broker that cannot even hear a signal
    second = yicheng.run("up")
    assert second.returncode == 1 and "another ./yicheng up runs in" in second.stderr and len(second.stderr.splitlines()) == 1
    up.kill()
    up.wait()
    wait_for("everything to be gone", lambda: all(map(gone, pids)), LIMIT_S)
    wait_for("its port to be free", lambda: free_port(port) == port, LIMIT_S)


def test_up_says_which_of_its_ports_are_taken_and_stops_while_its_kafka_is_suspended(no_cluster, yicheng):
    with socket.socket() as kafka, socket.socket() as metrics:
        for taken in (kafka, metrics):
            taken.bind(("127.0.0.1", 0))
            taken.listen()
        kafka_port, metrics_port = kafka.getsockname()[1], metrics.getsockname()[1]
        up = begin_up(yicheng, "--kafka-port", kafka_port, YICHENG_METRICS_PORT=str(metrics_port))
        pids = wait_complete(up)
    os.kill(pids[0], signal.SIGSTOP)
    up.send_signal(signal.SIGINT)
    ended([up])
    assert up.returncode == 130 and all(map(gone, pids)) and "Traceback" not in up.log(), up.log()
    assert f"port {kafka_port} of Kafka is taken; it is at " in up.log() and "--kafka-port chooses another" in up.log()
    assert f"port {metrics_port} of worker-1 is taken; it is at " in up.log() and "YICHENG_METRICS_PORT chooses another" in up.log()


@pytest.mark.long
def test_up_stops_at_once_at_a_second_signal(no_cluster, yicheng):
    up = begin_up(yicheng)
    pids = wait_complete(up)
    up.send_signal(signal.SIGTERM)
    wait_for("it to begin to stop", lambda: "stopping" in up.log())
    time.sleep(0.3)  # sooner, it would be taken for the same signal sent twice
    up.send_signal(signal.SIGTERM)
    assert up.wait(10) == 130
    wait_for("everything to be gone", lambda: all(map(gone, pids)), 10)


@pytest.mark.parametrize(("command", "number"), [(("up",), signal.SIGTERM), (("kafka", "start", "--port", "0"), signal.SIGINT)], ids=["up", "kafka start"])
def test_an_interrupted_start_leaves_no_broker(no_cluster, yicheng, command, number):
    child = yicheng.start(*command)
    kafka = wait_for("the broker's process", lambda: kafka_of(child.pid), 60)
    pids = children_of(child.pid)
    child.send_signal(number)
    ended([child])
    assert child.returncode == 130 and gone(kafka), child.log()
    wait_for("its keeper to be gone, too", lambda: all(map(gone, pids)), 10)
    assert "Traceback" not in child.log()


@pytest.fixture
def end():
    """Ends, after all, what a test is about the end of."""
    pids = []
    yield pids.append
    for pid in pids:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


@pytest.mark.parametrize("command", [("up",), ("kafka", "start", "--port", "0")], ids=["up", "kafka start"])
def test_a_killed_start_leaves_no_broker(no_cluster, yicheng, end, command):
    child = yicheng.start(*command)
    kafka = wait_for("the broker's process", lambda: kafka_of(child.pid), 60)
    end(kafka)
    os.kill(kafka, signal.SIGSTOP)  # so it is still starting, for certain
    pids = children_of(child.pid)
    child.kill()
    child.wait()
    wait_for("everything to be gone", lambda: all(map(gone, pids)), LIMIT_S)
    assert kafka in pids and "Kafka answers" not in child.log()


def test_a_kafka_start_that_cannot_say_where_its_broker_is_leaves_none(no_cluster, yicheng, end):
    child = yicheng.start("kafka", "start", "--port", "0", stdout="/dev/full")
    kafka = wait_for("the broker's process", lambda: kafka_of(child.pid), 60)
    end(kafka)
    assert child.wait(60) == 1
    wait_for("the broker to be gone", lambda: gone(kafka), LIMIT_S)


@pytest.mark.long
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT], ids=lambda number: number.name)
@pytest.mark.parametrize("after_s", [0.5, 2.0, 4.0, 6.0, 9.0])
def test_up_can_be_stopped_at_any_moment_of_its_start(no_cluster, yicheng, after_s, number):
    up = begin_up(yicheng)
    time.sleep(after_s)
    wait_for("it to listen", lambda: listens(up.pid))
    pids = children_of(up.pid)
    up.send_signal(number)
    ended([up])
    wait_for("everything to be gone", lambda: all(map(gone, pids)), LIMIT_S)
    assert subprocess.run(["pgrep", "-f", str(yicheng.home)], capture_output=True, check=False).stdout == b""
    assert "Traceback" not in up.log()


@pytest.mark.long
@pytest.mark.parametrize("number", ASKING, ids=lambda number: number.name)
def test_up_stops_while_the_disk_is_full(no_cluster, yicheng, number):
    disk = yicheng.home / "disk"
    disk.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64m", "tmpfs", disk], capture_output=True, check=False).returncode:
        pytest.skip("a small disk cannot be mounted here")
    try:
        up = begin_up(yicheng, YICHENG_STATE_DIR=str(disk))
        pids = wait_complete(up)
        subprocess.run(["dd", "if=/dev/zero", f"of={disk / 'ballast'}", "bs=4k"], capture_output=True, check=False)
        time.sleep(3)  # for some to notice
        up.send_signal(number)
        ended([up])
        assert up.returncode in {130, 1} and all(map(gone, pids)) and "Traceback" not in up.log(), up.log()
    finally:
        subprocess.run(["umount", "-l", disk], check=False)
