"""Debian's Alertmanager, for as long as it is needed."""

import shutil
import subprocess
from contextlib import contextmanager

import pytest
from conftest import get, wait_for

from deploy import leash
from deploy.debian import command_for
from deploy.ports import free_port


@contextmanager
def running_alertmanager(configuration, home, prefix=""):
    """Alertmanager with a configuration file; its address, with the path before those of its own."""
    program = shutil.which("prometheus-alertmanager") or shutil.which("alertmanager")
    if program is None:
        pytest.skip(f"Alertmanager is missing; install it with: {command_for('prometheus-alertmanager')}")
    port = free_port()
    url = f"http://127.0.0.1:{port}{prefix}"
    command = [
        program, f"--config.file={configuration}", f"--storage.path={home}", f"--web.listen-address=127.0.0.1:{port}", "--cluster.listen-address=",
        f"--web.route-prefix={prefix or '/'}", "--log.level=warn",
    ]  # fmt: skip
    with (home / "log").open("wb") as log:
        child = leash.start(command, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT)
    try:
        wait_for("Alertmanager", lambda: get(f"{url}/-/ready"))
        yield url
    finally:
        child.kill()
        child.wait()
