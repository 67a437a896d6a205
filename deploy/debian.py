"""Debian packages that the tests drive: installed where that is possible, named where it is not."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys

from streams.errors import Unavailable

FOR_TESTS = {"promtool": "prometheus", "prometheus": "prometheus", "prometheus-alertmanager": "prometheus-alertmanager", "chromium": "chromium fonts-noto-cjk"}
"""Program that tests look for → Debian packages that bring it and what it needs."""


def install_for_tests() -> None:
    """Install what is missing when this is root on Debian, saying so. Elsewhere its tests are skipped with the command."""
    missing = sorted({package for program, packages in FOR_TESTS.items() if shutil.which(program) is None for package in packages.split()})
    if not missing or shutil.which("apt-get") is None or os.geteuid() != 0:
        return
    print(f"yicheng: installing for the tests: {' '.join(missing)} (Debian packages)", file=sys.stderr)
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    for step in (["apt-get", "update", "-qq"], ["apt-get", "install", "-qq", "-y", "--no-install-recommends", *missing]):
        done = subprocess.run(step, env=environment, capture_output=True, text=True, check=False)
        if done.returncode and step[1] == "install":
            last = (done.stderr or done.stdout).strip().splitlines()[-1:]
            raise Unavailable(f"{' '.join(step)} failed: {' '.join(last)}")


def command_for(program: str) -> str:
    """The one command that would install a missing program."""
    return f"apt-get install {FOR_TESTS[program]}"
