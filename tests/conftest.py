"""Fixtures: one Kafka for all tests (given, container or embedded), shared data, and processes that are always stopped."""

from __future__ import annotations

import fcntl
import http.client
import os
import shutil
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

import hypothesis
import pytest
import structlog

ROOT = Path(__file__).resolve().parent.parent
SHARED = ROOT.parent / "shared"
sys.path[:0] = [str(ROOT), str(ROOT / "tests"), str(ROOT / "tests" / "golden"), str(ROOT / "tests" / "bench")]
BROKER = pytest.StashKey()
SLOWLY = "YICHENG_SLOWLY"
"""Is set where what takes long and is one more of its kind is run, too; histories and examples are more then."""

from deploy.ports import free_port  # noqa: E402 - found by the path above

PLAIN = [
    structlog.contextvars.merge_contextvars, structlog.processors.add_log_level, structlog.processors.StackInfoRenderer(),
    structlog.dev.set_exc_info, structlog.dev.ConsoleRenderer(colors=False, exception_formatter=structlog.dev.plain_traceback),
]  # fmt: skip
"""How tests log. Rich tracebacks take half a second each, and thousands of simulated workers fail."""
structlog.configure(processors=PLAIN)
hypothesis.settings.register_profile("untimed", hypothesis.settings.default, deadline=None)  # how long an example takes is the machine's business
hypothesis.settings.load_profile("untimed")


def pytest_addoption(parser):
    parser.addoption("--slow", action="store_true", help="also what is one more of a kind, and takes long; so does CI=true")
    parser.addoption("--long", action="store_true", help="also that, and what takes too long for CI")


def pytest_configure(config):
    config.addinivalue_line("markers", "long: only with --long")
    if config.getoption("--slow") or config.getoption("--long") or os.environ.get("CI"):
        os.environ[SLOWLY] = "1"


LONGEST = (
    "simulation/test_histories", "chaos/", "monitoring/test_alerts_fire", "street/test_alarms_stand", "integration/", "street/test_stopping", "street/test_poison",
    "simulation/", "property/", "monitoring/", "unit/test_contributing", "unit/test_report", "console/", "golden/", "unit/test_producers", "street/test_clients",
)  # fmt: skip
"""What takes longest, by the beginnings of paths: it begins first, so that all processes end together."""
APART = (
    "integration/test_pipeline", "integration/test_up", "simulation/test_planted_bugs", "golden/", "unit/test_contributing", "unit/test_producers", "street/test_alarms_stand",
)  # fmt: skip
"""Files that share nothing among their tests and are long: of these any test may run in any process."""
SLOW = (
    "chaos/test_chaos.py::test_nothing_is_lost_and_nothing_invented[1]", "chaos/test_deliveries.py::test_a_damaged_outbox_loses_nothing_that_was_not_delivered", "chaos/test_outage_and_kills",
    "console/test_axe", "console/test_keys.py::test_it_stays_in_a_vehicle", "console/test_pictures", "console/test_up",
    "integration/test_confirmed_only_on_kafka", "integration/test_notifier.py::test_a_killed_notifier", "integration/test_pipeline.py::test_a_partition_without_traffic", "integration/test_pipeline.py::test_kill_9", "integration/test_pipeline.py::test_lost_state", "integration/test_routes_on_kafka.py::test_an_incident_escalates", "integration/test_secured_kafka.py::test_a_wrong_password", "integration/test_up.py::test_up_judges_gbk", "integration/test_up.py::test_up_judges_recorded", "integration/test_up.py::test_wrong_input_is_one_clear_line[p",
    "monitoring/test_alerts_fire",
    "property/test_fleet_days",
    "simulation/test_planted_bugs.py::test_a_planted_bug_is_caught[the_marks_of_others", "simulation/test_planted_bugs.py::test_a_planted_bug_is_caught[time_goes_by",
    "street/test_alarms_stand.py::test_a_backlog", "street/test_alarms_stand.py::test_up_takes_no_alarm_back", "street/test_clients.py::test_a_topic_made_anew", "street/test_poison.py::test_poison", "street/test_real_and_rehearsal", "street/test_stopping.py::test_everything_stops_while_kafka_is[suspended]", "street/test_stopping.py::test_up_says_which",
    "unit/test_contributing.py::test_a_walk[A key", "unit/test_contributing.py::test_a_walk[A share", "unit/test_dispatch.py::test_what_had_failed_by_itself",
)  # fmt: skip
"""What takes longest and has a shorter one of its kind beside it, by the beginnings of its names: CI runs it, a developer who asks for it does."""
ALONE = ("street/test_too_many.py::test_one_too_many_costs_the_same_however_many_are_kept", "street/test_violating_scans.py::test_a_scan_costs", "street/test_alarms_stand.py::test_what_time_decides")
"""What measures time: these tests come last, and no other runs meanwhile, in any process."""


def is_any(nodeid, names):
    return nodeid.startswith(tuple(f"tests/{name}" for name in names))


def turn(item):
    place = next((number for number, name in enumerate(LONGEST) if is_any(item.nodeid, [name])), len(LONGEST))
    return is_any(item.nodeid, ALONE), place


def pytest_collection_modifyitems(config, items):
    is_long, is_slow = config.getoption("--long"), SLOWLY in os.environ
    for item in items:
        if "long" in item.keywords and not is_long:
            item.add_marker(pytest.mark.skip(reason="takes long; --long runs it"))
        elif is_any(item.nodeid, SLOW) and not is_slow:
            item.add_marker(pytest.mark.skip(reason="takes long; --slow runs it, and so does CI"))
    items.sort(key=turn)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config, log):
    """Where the tests run in several processes (``-n``), those of a file run in one: they share brokers, workers and what they have read."""
    from xdist.scheduler import LoadScopeScheduling

    class ByFile(LoadScopeScheduling):
        def _split_scope(self, nodeid):
            return "alone" if is_any(nodeid, ALONE) else nodeid if is_any(nodeid, APART) else nodeid.partition("::")[0]

    config.option.loadscopereorder = False
    return ByFile(config, log)


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_protocol(item):
    """A test that is to be alone waits until no other runs, and others wait for it."""
    if not hasattr(item.config, "workerinput"):
        return (yield)
    with Path(__file__).open() as turnstile:
        fcntl.flock(turnstile, fcntl.LOCK_EX if is_any(item.nodeid, ALONE) else fcntl.LOCK_SH)
        try:
            return (yield)
        finally:
            fcntl.flock(turnstile, fcntl.LOCK_UN)  # whatever was forked meanwhile may still have it open


@pytest.fixture(scope="session")
def shared() -> Path:
    """Real traces and cases, read where they are."""
    if not (SHARED / "data").exists():
        pytest.skip("no ../shared/data beside the checkout: real traces and cases are read from there")
    return SHARED


@pytest.fixture(scope="session")
def promtool() -> str:
    """Prometheus's own checker; in CI it must be there."""
    from deploy.debian import command_for

    found = shutil.which("promtool")
    if found is None:
        message = f"promtool is missing; install it with: {command_for('promtool')}"
        pytest.fail(message) if os.environ.get("CI") else pytest.skip(message)
    return found


def pytest_report_header(config):
    """Say which Kafka is to be used where the tests run in several processes, each with its own."""
    from brokers import outlook

    return f"Kafka: {outlook()}, one for each process" if config.getoption("numprocesses", None) else None


def pytest_report_collectionfinish(config, items):
    """Say which Kafka is used, where one is."""
    from brokers import Broker

    if config.option.collectonly or not any("kafka_bootstrap" in getattr(item, "fixturenames", ()) for item in items):
        return None
    config.stash[BROKER] = broker = Broker()
    broker.choose()
    return f"Kafka: {broker.about}"


def pytest_unconfigure(config):
    """A container is gone when the tests are."""
    if broker := config.stash.get(BROKER, None):
        broker.stop()


@pytest.fixture(scope="session")
def kafka_bootstrap(request, tmp_path_factory):
    """The cluster in YICHENG_KAFKA_BOOTSTRAP, else one in a container where that can be had, else the embedded broker (YICHENG_TEST_KAFKA chooses)."""
    from brokers import Broker

    broker = request.config.stash.setdefault(BROKER, Broker())
    yield broker.start(tmp_path_factory.mktemp("kafka"))
    broker.stop()


@pytest.fixture
def kafka(kafka_bootstrap):
    """The cluster with fresh, empty topics."""
    from deploy.topic_admin import create_topics, delete_topics

    delete_topics(kafka_bootstrap, "yicheng")
    create_topics(kafka_bootstrap, 12)
    return kafka_bootstrap


class Command:
    """Runs ``yicheng`` commands as a user would, in the background or to the end."""

    def __init__(self, home: Path):
        self.home = home
        self.environment = {
            **os.environ, "YICHENG_STATE_DIR": str(home), "YICHENG_REHEARSAL": "1", "COLUMNS": "200", "PYTHONPATH": str(ROOT),
            "YICHENG_METRICS_PORT": str(free_port()),
        }  # fmt: skip
        self.children: list[subprocess.Popen] = []

    def command(self, *arguments, program=("-m", "deploy.cli")) -> list[str]:
        """An ``up`` gets ports of its own, since others may run beside it, and Prometheus and the console where a test asks for them."""
        own = ["--kafka-port", free_port()] if arguments[0] == "up" and "--kafka-port" not in arguments else []
        own += ["--no-monitoring"] if arguments[0] == "up" and "--monitoring" not in arguments else []
        own += ["--no-console"] if arguments[0] == "up" and "--console" not in arguments else []
        return [sys.executable, *program, *map(str, (*arguments, *own))]

    def run(self, *arguments, timeout=120, **environment) -> subprocess.CompletedProcess:
        return subprocess.run(
            self.command(*arguments), env={**self.environment, **environment}, cwd=self.home,
            capture_output=True, text=True, timeout=timeout, check=False,
        )  # fmt: skip

    def start(self, *arguments, stdout=None, program=("-m", "deploy.cli"), **environment) -> subprocess.Popen:
        from deploy import leash

        log = Path(stdout or self.home / f"{len(self.children)}-{arguments[0]}.log").open("wb")
        child = leash.start(
            self.command(*arguments, program=program), env={**self.environment, **environment}, cwd=self.home,
            stdout=log, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL,
        )  # fmt: skip
        child.name = " ".join(map(str, arguments))
        child.log = lambda: Path(log.name).read_text("utf-8", "replace")
        self.children.append(child)
        return child


@pytest.fixture
def yicheng(tmp_path):
    """The command line; whatever was started is stopped again."""
    command = Command(tmp_path)
    yield command
    for child in command.children:
        if child.poll() is None:
            child.kill()
            child.wait()


@pytest.fixture
def checkout(tmp_path):
    """A folder with the files of the checkout, in which commands may leave things; its .venv is this one's."""
    names = subprocess.run(["git", "ls-files", "-co", "--exclude-standard"], cwd=ROOT, capture_output=True, text=True, check=True).stdout.split("\n")
    for name in filter(None, names):
        if (ROOT / name).is_file():
            target = tmp_path / "clone" / name
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, target)
    (tmp_path / "clone" / ".venv").symlink_to(ROOT / ".venv")
    return tmp_path / "clone"


def written_lines(path):
    """The lines of a file that a process is writing; the one that it is at now is not there yet."""
    return path.read_bytes().rpartition(b"\n")[0].splitlines() if path.exists() else []


def wait_for(what, condition, timeout_s=60.0):
    """Poll a condition until it is true, for a quarter of the time at most; fails with what was waited for (a text, or what makes it then)."""
    deadline = time.monotonic() + timeout_s
    while (asked := time.monotonic()) < deadline:
        if result := condition():
            return result
        time.sleep(min(1.0, max(0.05, 3 * (time.monotonic() - asked))))
    pytest.fail(f"waited {timeout_s:.0f} s for {what() if callable(what) else what}")


def get(url: str) -> str | None:
    """The page at a URL, None while nothing answers with 200."""
    try:
        with urllib.request.urlopen(url, timeout=10) as answer:
            return answer.read().decode()
    except (urllib.error.URLError, OSError, http.client.HTTPException):  # its process may end in the middle of an answer
        return None
