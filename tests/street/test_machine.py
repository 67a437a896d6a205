"""The machine that it runs on: whose code runs, which processes are ended, who may read its files."""

import os
import shutil
import signal
import stat
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import msgspec
import psutil
import pytest
from conftest import ROOT, wait_for

from deploy import broker as broker_module
from deploy.broker import CACHE, fetch_jars, find_java
from deploy.children import python_command, python_environment
from deploy.running import Running, broker_process, read_running, stop_running
from streams.errors import YichengError

HOSTILE = ("deploy", "streams", "yaml", "typer", "hashlib", "subprocess", "pathlib", "venv", "pip", "pytest", "orjson", "sitecustomize", "usercustomize", "encodings")


@pytest.fixture
def hostile(tmp_path):
    """A folder of modules with the names that we import; each leaves its name in ``ran`` when it is."""
    folder = tmp_path / "hostile"
    folder.mkdir()
    leave_name = f"open({str(tmp_path / 'ran')!r}, 'a').write(__name__ + ' ')\n"
    for name in HOSTILE:
        (folder / f"{name}.py").write_text(leave_name)
    java = folder / "java"
    java.write_text(f"#!/bin/sh\necho java >> {tmp_path / 'ran'}\n")
    java.chmod(0o755)
    (folder / "bin").mkdir()
    shutil.copy(java, folder / "bin" / "java")
    return folder


def what_ran(tmp_path):
    return (tmp_path / "ran").read_text() if (tmp_path / "ran").exists() else ""


@pytest.fixture
def installed(tmp_path):
    """This checkout as if it were installed elsewhere: the same code and packages, a front door and a .venv of its own."""
    home = tmp_path / "app"
    (home / ".venv").mkdir(parents=True)
    for name in ("deploy", "streams", "producers", "consumers", "requirements.lock", "requirements-dev.lock"):
        (home / name).symlink_to(ROOT / name)
    shutil.copy(ROOT / "yicheng", home / "yicheng")
    venv = Path(sys.prefix)
    for name in ("bin", "lib", "pyvenv.cfg"):
        (home / ".venv" / name).symlink_to(venv / name)
    (home / ".venv" / "lock").write_text(front_door(home)["fingerprint"](ROOT / "requirements.lock"))
    return home


def front_door(home):
    """What the front door defines, for a checkout at ``home``."""
    namespace = {"__file__": str(home / "yicheng"), "__name__": "door"}
    code = (ROOT / "yicheng").read_text("utf-8")
    exec(compile(code.replace("if not sys.flags.isolated:", "if False:"), "yicheng", "exec"), namespace)
    return namespace


@pytest.mark.parametrize(("called", "pythonpath"), [("itself", "."), ("itself", ":"), ("itself", "hostile"), ("itself", "absolute"), ("python3", "")])
def test_the_front_door_runs_nothing_from_the_current_directory(installed, hostile, tmp_path, called, pythonpath):
    """Where it is run as ``python3 yicheng``, Python itself would import from PYTHONPATH before a line of ours runs."""
    environment = {**os.environ, "PYTHONPATH": str(hostile) if pythonpath == "absolute" else pythonpath}
    environment.pop("PYTHONSAFEPATH", None)
    command = [installed / "yicheng"] if called == "itself" else [sys.executable, installed / "yicheng"]
    cwd = tmp_path if pythonpath == "hostile" else hostile
    done = subprocess.run([*command, "policy", "list"], cwd=cwd, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0 and "hohhot-2019" in done.stdout, done.stderr
    assert what_ran(tmp_path) == ""


def test_the_first_installation_runs_nothing_from_the_current_directory_either(tmp_path):
    """``-m venv`` and ``-m pip`` would look there first."""
    (tmp_path / "requirements.lock").write_text("")
    (tmp_path / ".venv").mkdir()
    door, commands = front_door(tmp_path), []
    door["run"] = lambda command, hint: commands.append(command)
    door["install"](tmp_path / "requirements.lock")
    assert [command[1:4] for command in commands] == [["-I", "-m", "venv"], ["-I", "-m", "pip"]]


@pytest.mark.parametrize("command", [("-m", "deploy.cli", "policy", "list"), ("-c", "import deploy.cli, yaml, orjson")])
def test_children_import_nothing_from_the_current_directory(hostile, tmp_path, monkeypatch, command):
    """As ``up`` and ``bench`` start them."""
    monkeypatch.setenv("PYTHONPATH", f".:{hostile}")
    done = subprocess.run(python_command(*command), env=python_environment(), cwd=hostile, capture_output=True, text=True, check=False)
    assert done.returncode == 0 and what_ran(tmp_path) == "", done.stderr


def test_children_of_children_neither(hostile, tmp_path):
    code = "import subprocess, sys; subprocess.run([sys.executable, '-m', 'deploy.cli', 'policy', 'list'], check=True)"
    done = subprocess.run(python_command("-c", code), env=python_environment(), cwd=hostile, capture_output=True, check=False)
    assert done.returncode == 0 and what_ran(tmp_path) == ""


def test_every_python_child_of_the_command_line_is_started_so():
    for module in ROOT.glob("deploy/**/*.py"):
        text = module.read_text("utf-8")
        if module.name != "children.py":
            for line in text.splitlines():
                assert "sys.executable," not in line or "-I" in line or "python_command" in line, f"{module.name}: {line.strip()}"


@pytest.mark.parametrize("variables", [{"PATH": ".:/nowhere"}, {"PATH": ":/nowhere"}, {"PATH": "bin"}, {"PATH": "/nowhere", "JAVA_HOME": "."}])
def test_no_java_of_the_current_directory_is_run(hostile, tmp_path, monkeypatch, variables):
    monkeypatch.chdir(hostile)
    monkeypatch.delenv("JAVA_HOME", raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert find_java() == broker_module.bundled_java() and what_ran(tmp_path) == ""


# --- kafka stop ---


@pytest.fixture
def bystander():
    """A process of somebody else's, which no command of ours may end."""
    process = subprocess.Popen([sys.executable, "-c", "import time; print('up', flush=True); time.sleep(600)"], stdout=subprocess.PIPE)
    process.stdout.readline()
    yield process
    assert process.poll() is None, "somebody else's process was ended"
    process.kill()
    process.wait()


def pretend_broker(home, main_class="kafka.Kafka"):
    """A process whose command line looks like a broker's, with its data under ``home``."""
    code = "import time; print('up', flush=True); time.sleep(600)"
    process = subprocess.Popen([sys.executable, "-c", code, main_class, str(home / "server.properties")], stdout=subprocess.PIPE)
    process.stdout.readline()
    return process


def note(home, text):
    home.mkdir(exist_ok=True)
    (home / "running").write_bytes(text if isinstance(text, bytes) else text.encode())


def test_a_process_id_that_was_used_again_is_not_ended(tmp_path, bystander):
    home = tmp_path / "kafka"
    note(home, msgspec.json.encode(Running(bystander.pid, "127.0.0.1:9")))
    assert stop_running(home) is False and not (home / "running").exists()
    note(home, f"{bystander.pid} 127.0.0.1:9")  # as version 0.1 wrote it
    assert stop_running(home) is False


@pytest.mark.parametrize("other", ["another folder", "another class"])
def test_another_broker_is_not_ended(tmp_path, other):
    home = tmp_path / "kafka"
    process = pretend_broker(tmp_path / "other") if other == "another folder" else pretend_broker(home, "kafka.Other")
    try:
        note(home, msgspec.json.encode(Running(process.pid, "127.0.0.1:9")))
        assert stop_running(home) is False and process.poll() is None
    finally:
        process.kill()
        process.wait()


def test_our_broker_is_ended(tmp_path):
    home = tmp_path / "kafka"
    process = pretend_broker(home)
    note(home, msgspec.json.encode(Running(process.pid, "127.0.0.1:9")))
    assert broker_process(home, read_running(home)).pid == process.pid
    assert stop_running(home) is True
    assert process.wait(10) == -signal.SIGTERM


@pytest.mark.parametrize("text", ["", "x", "-1 127.0.0.1:9", "0 a", "99999999999999999999 a", "1 2 3", b"\xff\xfe", '{"pid": -1, "bootstrap": "a"}', '{"pid": 0, "bootstrap": "a"}', '{"pid": "1"}', "[]"])
def test_a_damaged_process_file_ends_nobody(tmp_path, monkeypatch, text):
    """Signals to the ids -1 and 0 would go to every process, or to all of this group."""
    sent = []
    monkeypatch.setattr(os, "kill", lambda *call: sent.append(call))
    monkeypatch.setattr(psutil.Process, "terminate", lambda self: sent.append(self.pid))
    note(tmp_path / "kafka", text)
    with suppress(YichengError):
        assert stop_running(tmp_path / "kafka") is False
    assert not sent


def test_without_a_process_file_it_says_so(tmp_path):
    with pytest.raises(YichengError, match="no broker was started here"):
        stop_running(tmp_path)


def test_stop_and_status_in_the_shell_with_a_damaged_file(yicheng, tmp_path):
    (tmp_path / "kafka").mkdir()
    (tmp_path / "kafka" / "running").write_text("rubbish")
    for command in ("stop", "status"):
        done = yicheng.run("kafka", command)
        assert done.returncode == 1 and len(done.stderr.splitlines()) == 1 and "does not say which process" in done.stderr


# --- jars ---


def test_a_jar_that_was_changed_since_it_was_fetched_is_not_run(tmp_path):
    """Changed with its size and time kept, after the whole cache had been verified once."""
    fetch_jars()
    shutil.copytree(CACHE / "maven", tmp_path / "maven")
    fetch_jars(cache=tmp_path)
    jar = min((tmp_path / "maven").rglob("*.jar"), key=lambda p: p.stat().st_size)
    before, good = jar.stat(), jar.read_bytes()
    jar.chmod(0o600)
    jar.write_bytes(bytes([good[0] ^ 1]) + good[1:])
    os.utime(jar, ns=(before.st_atime_ns, before.st_mtime_ns))
    fetched = []
    fetch_jars(fetched.append, cache=tmp_path)
    assert len(fetched) == 1 and jar.read_bytes() == good


def test_hashing_all_jars_takes_little_time():
    fetch_jars()
    started = time.process_time()
    fetch_jars()
    assert time.process_time() - started < 5


# --- modes ---


def modes(folder):
    """Modes of everything under a folder, that is no link, by path."""
    return {path: stat.S_IMODE(path.lstat().st_mode) for path in (folder, *folder.rglob("*")) if not path.is_symlink()}


def private(folder):
    return {str(path): oct(mode) for path, mode in modes(folder).items() if mode & 0o077}


@pytest.mark.parametrize("umask", [0o000, 0o777])
def test_what_judge_and_the_registry_write_is_for_its_user_alone(yicheng, tmp_path, umask):
    out = tmp_path / "new" / "out"
    fix = '{"event_id": "e", "event_time_ms": 1715000000000, "vehicle_id": "v", "lon": 111.6, "lat": 40.8}\n'
    (tmp_path / "in.jsonl").write_text(fix)
    command = [sys.executable, "-m", "deploy.cli", "judge", "--policy", "hohhot-2019", "--gps", str(tmp_path / "in.jsonl"), "--out", str(out)]
    done = subprocess.run(command, env=yicheng.environment, cwd=tmp_path, umask=umask, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert private(tmp_path / "new") == {} and (out / "incidents.jsonl").exists()
    command = [sys.executable, "-m", "deploy.cli", "registry", "sample", "--vehicles", "10", "--out", str(tmp_path / "new" / "registry.jsonl")]
    assert subprocess.run(command, env=yicheng.environment, umask=umask, capture_output=True, check=False).returncode == 0
    assert private(tmp_path / "new") == {}


def test_the_folder_of_a_broker_is_for_its_user_alone(yicheng, tmp_path):
    """The broker's data hold everything that was sent; its logs and its process file are no business of others either."""
    from deploy.broker import answers
    from deploy.ports import free_port

    fetch_jars()
    environment = {**yicheng.environment, "YICHENG_STATE_DIR": str(tmp_path / "state"), "YICHENG_CACHE": str(CACHE)}
    command = [sys.executable, "-m", "deploy.cli", "kafka", "start", "--port", str(free_port())]
    done = subprocess.run(command, env=environment, umask=0o022, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    home = tmp_path / "state" / "kafka"
    running = read_running(home)
    try:
        process = psutil.Process(running.pid)
        assert private(tmp_path / "state") == {} and process.cwd() == str(home)
        again = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        assert "already running" in again.stdout
    finally:
        assert subprocess.run([*command[:-3], "stop"], env=environment, capture_output=True, text=True, check=False).stdout == "Kafka is stopping\n"
    wait_for("the broker to end", lambda: not process.is_running() or process.status() == psutil.STATUS_ZOMBIE, 30)
    assert not answers(running.bootstrap)


# --- never pickle ---


def test_nothing_is_ever_unpickled_or_evaluated():
    import re

    forbidden = re.compile(
        r"\b(import|from) (pickle|cPickle|dill|cloudpickle|marshal|shelve|joblib)\b|\bpickle\.|[\"']pickle[\"']|yaml\.(load|unsafe_load|full_load|load_all)\(|\b(eval|exec)\(|allow_pickle|jsonpickle|__import__\("
        r"|os\.(system|popen)\(|shell=True|verify=False|CERT_NONE"
    )
    for package in ("streams", "producers", "consumers", "deploy"):
        for module in (ROOT / package).rglob("*.py"):
            for number, line in enumerate(module.read_text("utf-8").splitlines(), 1):
                assert not forbidden.search(line), f"{module}:{number}: {line.strip()}"


@pytest.mark.parametrize("command", ["worker", "notifier"])
@pytest.mark.parametrize("folder", ["a file/in it", "/proc"])
def test_a_folder_that_nobody_can_write_to_is_one_line(tmp_path, command, folder):
    """Not even root can make a folder in a file, or a file in /proc."""
    (tmp_path / "a file").touch()
    environment = {**python_environment(), "YICHENG_STATE_DIR": str(tmp_path / folder), "YICHENG_REHEARSAL": "1", "YICHENG_METRICS_PORT": "0"}
    done = subprocess.run([*python_command("-m", "deploy.cli"), command], env=environment, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout) == (2, "") and done.stderr.count("\n") == 1
    assert f"{tmp_path / folder} (YICHENG_STATE_DIR) cannot be written to: " in done.stderr and "name a folder that user" in done.stderr
