"""The walks of CONTRIBUTING.md, gone block by block in a copy of the repository."""

import os
import re
import subprocess
from typing import NamedTuple

import pytest
from conftest import ROOT

TEXT = (ROOT / "CONTRIBUTING.md").read_text("utf-8")
WALKS = re.findall(r"^## (A .+)$", TEXT, re.MULTILINE)


class Block(NamedTuple):
    """A fenced block: its language, the file it is about (``""``: none; ``long``: commands only for ``--long``), its text."""

    language: str
    file: str
    text: str


def blocks(heading):
    section = TEXT.split(f"\n## {heading}\n", 1)[1].split("\n## ", 1)[0]
    return [Block(*found) for found in re.findall(r"^```(\w+) ?(\S*)\n(.*?)^```$", section, re.DOTALL | re.MULTILINE)]


def apply(file, diff):
    """Make the changes of a ``diff`` block: where its lines stand is looked for, and must be found once."""
    for hunk in re.split(r"^@@\n", diff, flags=re.MULTILINE):
        lines = hunk.splitlines(keepends=True)
        assert all(line[0] in " +-" for line in lines), hunk
        old = "".join(line[1:] for line in lines if line[0] in " -")
        new = "".join(line[1:] for line in lines if line[0] in " +")
        text = file.read_text("utf-8")
        assert f"\n{text}".count(f"\n{old}") == 1, f"{file.name} does not hold once:\n{old}"
        file.write_text(f"\n{text}".replace(f"\n{old}", f"\n{new}")[1:], "utf-8")


def run(commands, checkout):
    """What the commands of a ``sh`` block print. The tests' own command would first install what this one runs on."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("YICHENG_", "PYTEST_"))}
    said = ""
    for command in commands.replace("./yicheng test ", ".venv/bin/python -m pytest -p no:cacheprovider ").splitlines():
        done = subprocess.run(["bash", "-c", command], cwd=checkout, env=environment, capture_output=True, text=True, timeout=600, check=False)
        assert done.returncode == 0, f"{command}\n{done.stdout}{done.stderr}"
        said += done.stdout + done.stderr
    return said


@pytest.mark.timeout(900)
@pytest.mark.parametrize("heading", WALKS)
def test_a_walk(heading, checkout, request):
    said = ""
    for language, name, text in blocks(heading):
        if name == "long":
            said = run(text, checkout) if request.config.getoption("--long") else said
        elif language == "diff":
            apply(checkout / name, text)
        elif name:
            assert not (checkout / name).exists(), name
            (checkout / name).write_text(text, "utf-8")
        elif language == "sh":
            said = run(text, checkout)
        else:
            expected = [re.escape(line).replace("…", ".*") for line in text.splitlines()]
            assert expected and all(re.search(line, said) for line in expected), f"expected\n{text}\nbut was said\n{said}"


def test_there_is_a_walk_for_each():
    assert WALKS == ["A rule", "A receiver of incidents", "A city", "A key figure", "A share of parcels"]
    assert all(any(block.language == "sh" for block in blocks(heading)) for heading in WALKS)


def test_the_code_of_the_walks_is_clean(checkout):
    for heading in WALKS:
        for language, name, text in blocks(heading):
            if language == "python":
                (checkout / name).write_text(text, "utf-8")
    run(".venv/bin/ruff check .", checkout)
