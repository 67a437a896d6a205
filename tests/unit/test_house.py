"""The page names every topic that the worker reads or writes; retired identifiers stay out; the glossary is there."""

import ast
import io
import re
import tokenize

import pytest
from conftest import ROOT

from streams import app, topics

WORKER = [ROOT / "streams" / "app.py", ROOT / "streams" / "worker.py", *sorted((ROOT / "streams" / "runtime").glob("*.py"))]
RETIRED = {
    "Trace", "Planner", "Duties", "Numbers", "Recent", "Kept", "Judged", "Candidate", "Packed", "Announcer", "Spell", "SpellTransition", "Finding", "FindingKey",
    "Sighting", "Sightings", "Extent", "Partial", "Driven", "Watched", "RatePartition", "RateState", "RateStage", "homeless", "announcer", "planner", "take_out",
    "guarded", "decode_trace", "encode_traces", "judge_spells",
}  # fmt: skip


def topics_used(path):
    """The constants of ``streams.topics`` that a module names outside of state."""
    known = {name: value.name for name, value in vars(topics).items() if isinstance(value, topics.Topic)}
    names = {node.id for node in ast.walk(ast.parse(path.read_text("utf-8"))) if isinstance(node, ast.Name)}
    return {known[name] for name in names & known.keys()}


def test_the_page_names_every_topic_of_the_worker():
    used = set().union(*map(topics_used, WORKER))
    on_page = set(re.findall(r"courier\.[a-z.]+\.v1", app.__doc__))
    state = {topic.name for topic in topics.ALL if topic.state}
    assert used - state == on_page


@pytest.mark.parametrize("folder", ["streams", "producers", "consumers", "deploy"])
def test_retired_identifiers_stay_out(folder):
    found = []
    for path in sorted((ROOT / folder).rglob("*.py")):
        tokens = tokenize.generate_tokens(io.StringIO(path.read_text("utf-8")).readline)
        found += [f"{path.relative_to(ROOT)}:{token.start[0]} {token.string}" for token in tokens if token.type == tokenize.NAME and token.string in RETIRED]
    assert not found


def test_every_room_is_in_the_glossary():
    text = (ROOT / "streams" / "README.md").read_text("utf-8")
    rooms = [path.name for path in (ROOT / "streams").iterdir() if (path / "__init__.py").exists()]
    assert len(rooms) >= 9 and [room for room in rooms if f"`{room}/`" not in text] == []
    named = re.findall(r"`([a-z_/]+\.py)`", text)
    assert len(named) > 30 and [name for name in named if not (ROOT / "streams" / name).exists()] == []
