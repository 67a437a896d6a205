"""``./yicheng`` before its environment is there."""

import shutil
import subprocess
import sys

from conftest import ROOT


def test_an_environment_behind_a_link_is_never_emptied(tmp_path):
    """``venv --clear`` empties the folder that a link leads to, and others may run from it."""
    theirs, checkout = tmp_path / "theirs", tmp_path / "checkout"
    (theirs / "bin").mkdir(parents=True)
    (theirs / "bin" / "python").symlink_to(sys.executable)
    (theirs / "lock").write_text("of another checkout")
    checkout.mkdir()
    for name in ("yicheng", "requirements.lock", "requirements-dev.lock"):
        shutil.copy(ROOT / name, checkout)
    (checkout / ".venv").symlink_to(theirs)
    done = subprocess.run([sys.executable, "yicheng", "doctor"], cwd=checkout, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 1 and ".venv is a link to" in done.stderr and len(done.stderr.splitlines()) == 1
    assert (theirs / "lock").read_text() == "of another checkout" and (theirs / "bin" / "python").exists()


def test_of_commands_that_find_no_environment_at_once_one_makes_it(tmp_path):
    shutil.copy(ROOT / "yicheng", tmp_path)
    (tmp_path / "requirements.lock").write_text("")
    (tmp_path / "deploy").mkdir()
    (tmp_path / "deploy" / "cli.py").write_text("print('it runs')")
    commands = [subprocess.Popen([sys.executable, "yicheng", "doctor"], cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) for _ in range(3)]
    ended = [(*command.communicate(timeout=120), command.returncode) for command in commands]
    assert [(printed, code) for printed, _, code in ended] == [("it runs\n", 0)] * 3, ended
    assert sum("installing" in said for _, said, _ in ended) == 1
