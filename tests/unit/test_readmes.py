"""Both READMEs are short and say the same, and what they name is there."""

import json
import re
from html import unescape

import msgspec
import pytest
from conftest import ROOT

from deploy.judge import judge_files
from streams.policy.reader import load_policy
from streams.registry.registry import Registry
from streams.wire.cloudevents import cloudevent
from streams.wire.incident import IncidentData

README, README_ZH = ((ROOT / name).read_text("utf-8") for name in ("README.md", "README.zh-CN.md"))
PAGES = ["README.md", "README.zh-CN.md", "CONTRIBUTING.md", "CHANGELOG.md", "deploy/README.md", "deploy/reference.md", "deploy/grafana/README.md", "deploy/kubernetes/README.md", "deploy/runbooks.md", "deploy/policy-guide.md", "streams/README.md"]
OTHER_LANGUAGE = {"README.md", "README.zh-CN.md"}


def parts(text):
    """What is the same in every language: headings by level, blocks of commands and figures, pictures and links, rows of tables, points of lists."""
    blocks = re.findall(r"^```(\w*)\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)
    prose = re.sub(r"^```.*?^```$", "", text, flags=re.DOTALL | re.MULTILINE)
    return {
        "headings": re.findall(r"^(#+) ", prose, re.MULTILINE),
        "commands": [re.sub(r"\s+#.*", "", line) for language, block in blocks if language == "sh" for line in block.splitlines()],
        "figures": [re.findall(r"[\d.]+", line) for language, block in blocks if language == "mermaid" for line in block.splitlines() if "bar" in line or "-->" in line],
        "blocks": [language for language, _ in blocks],
        "links": [link for link in re.findall(r"\]\(([^)]+)\)", prose) if link not in OTHER_LANGUAGE],
        "rows": len(re.findall(r"^\|", prose, re.MULTILINE)),
        "points": len(re.findall(r"^- ", prose, re.MULTILINE)),
        "numbers": sorted(re.findall(r"\d[\d,]*\d", prose)),
    }


def test_both_readmes_are_short_and_say_the_same():
    assert max(README.count("\n"), README_ZH.count("\n")) <= 120
    english, chinese = parts(README), parts(README_ZH)
    assert [(name, english[name], chinese[name]) for name in english if english[name] != chinese[name]] == []


@pytest.mark.parametrize("page", PAGES)
def test_what_a_page_links_to_is_there(page):
    path = ROOT / page
    for link in re.findall(r"\]\(([^)#]+)[^)]*\)", path.read_text("utf-8")):
        assert link.startswith("https://") or (path.parent / link).exists(), link


@pytest.mark.parametrize("page", ["README.md", "README.zh-CN.md", "deploy/README.md"])
def test_every_command_named_is_one(page):
    reference = (ROOT / "deploy" / "reference.md").read_text("utf-8")
    for command in re.findall(r"\./yicheng ([a-z ]*[a-z])", (ROOT / page).read_text("utf-8")):
        words = command.split()
        assert any(re.search(rf"^### `yicheng {' '.join(words[:n])}[` ]", reference, re.MULTILINE) for n in (1, 2)), command


def test_the_figures_are_those_of_the_benchmarks():
    results = (ROOT / "tests" / "bench" / "results.md").read_text("utf-8")
    speed = README.split("## How fast\n", 1)[1].split("\n## ", 1)[0]
    bars = [f"{int(number):,}" for number in re.findall(r"\d+", re.search(r"bar \[(.*)\]", speed)[1])]
    said = re.findall(r"\b\d+(?:,\d{3})*(?= fixes a second| bytes| ms)", speed)
    assert len(bars) == 4 and len(said) >= 3 and [figure for figure in (*bars, *said) if figure not in results] == []


def test_the_picture_shows_what_the_screen_shows():
    picture = unescape((ROOT / "deploy" / "images" / "up.svg").read_text("utf-8"))
    shown = " ".join(" ".join(re.findall(r"<text[^>]*>([^<]*)</text>", picture)).split())
    rules = {rule.rule for rule in load_policy("hohhot-2019").pack.rules}
    assert [words for words in (*sorted(rules), "per second", "electronic waybill", "latest 最新") if words not in shown] == []
    assert set(re.findall(r"https?://[^/\s\"]+", picture)) == {"http://www.w3.org", "http://127.0.0.1:9108", "http://127.0.0.1:9109"}, "it loads nothing"


def test_the_event_shown_to_receivers_is_like_those_they_get(tmp_path):
    text = (ROOT / "deploy" / "README.md").read_text("utf-8")
    event = json.loads(re.search(r"^```json\n(\{\"specversion.*?)^```$", text, re.DOTALL | re.MULTILINE)[1])
    (tmp_path / "fixes.jsonl").write_text('{"event_id": "1", "event_time_ms": 1782442800000, "vehicle_id": "HH-00001", "lon": 111.66, "lat": 40.81}\n')
    policy = load_policy("hohhot-2019")
    judge_files(policy, Registry(policy.timezone), [str(tmp_path / "fixes.jsonl")], [], tmp_path)
    row = json.loads((tmp_path / "incidents.jsonl").read_text("utf-8").splitlines()[0])  # without a revision: it is the last
    data = {"incident_id": row["incident_id"], "revision": 1, **row}
    assert list(json.loads(cloudevent("closed", msgspec.convert(data, IncidentData))[1])) == list(event)
    assert (list(data), list(data["evidence"][0])) == (list(event["data"]), list(event["data"]["evidence"][0]))
    assert event["id"] == f"{event['data']['incident_id']}/{event['data']['revision']}"
