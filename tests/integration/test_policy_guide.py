"""The guide to writing a pack, gone block by block: its files, its commands, and what they print."""

import os
import re
import subprocess

import pytest
from conftest import ROOT

from streams.policy.reader import load_policy

PAGE = ROOT / "deploy" / "policy-guide.md"
TEXT = PAGE.read_text("utf-8")
BLOCKS = re.findall(r"^```(\w+) ?(\S*)\n(.*?)^```$", TEXT, re.DOTALL | re.MULTILINE)


def run(commands, checkout, kafka, *, fails):
    """What they print."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("YICHENG_", "PYTEST_"))} | {"YICHENG_KAFKA_BOOTSTRAP": kafka, "YICHENG_REHEARSAL": "1"}
    commands = commands.replace("-m pytest", "-m pytest -p no:cacheprovider -n 0")
    done = subprocess.run(["bash", "-c", commands], cwd=checkout, env=environment, capture_output=True, text=True, timeout=120, check=False)
    assert (done.returncode != 0) is fails, f"{commands}\n{done.stdout}{done.stderr}"
    return done.stdout + done.stderr


def test_the_guide(checkout, kafka):
    said, transcripts = "", 0
    for language, name, text in BLOCKS:
        if language == "sh":
            said = run(text, checkout, kafka, fails=name == "fails")
        elif language == "text":
            transcripts += 1
            for line in text.splitlines():
                assert re.search(re.escape(line).replace("…", ".*"), said), f"expected\n{line}\nbut was said\n{said}"
        elif name:
            assert (checkout / name).parent.is_dir(), "policy new has made the folder"
            (checkout / name).write_text(text, "utf-8")
        else:
            pack = checkout / "hecheng" / "continued.yaml"
            pack.write_text((checkout / "hecheng" / "hecheng.yaml").read_text("utf-8").replace("valid_until: 2031-01-31\n", text), "utf-8")
            assert load_policy(str(pack), pack.parent).pack.continued.by == "区公安局"
    assert transcripts == 9


def test_both_halves_are_in_their_language():
    chinese, english = TEXT.split("## English\n")
    prose = re.sub(r"```.*?```|`[^`]*`|\]\([^)]*\)|“[^”]*”|\([^)]*\)", "", english, flags=re.DOTALL)
    assert not re.search("[\u4e00-\u9fff]", re.sub(r"(?:鼓励|支持|引导|推广|推进|探索|优先)[,、 ]*", "", prose))
    assert len(re.findall("[\u4e00-\u9fff]", chinese)) > 1000


@pytest.mark.parametrize("anchor", re.findall(r"\]\(#([^)]+)\)", TEXT))
def test_what_it_links_to_is_there(anchor):
    headings = {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in re.findall(r"^#+ (.+)$", TEXT, re.MULTILINE)}
    assert anchor in headings
