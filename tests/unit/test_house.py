"""The page names every topic that the worker reads or writes; retired identifiers stay out; the glossary is there; nothing is too long."""

import ast
import io
import re
import tokenize

import pytest
from conftest import ROOT

from consumers import notifier
from consumers.console.sources import feed
from producers import publish
from streams import app
from streams.wire import topics

WORKER = [ROOT / "streams" / "app.py", ROOT / "streams" / "worker.py", *sorted((ROOT / "streams" / "runtime").glob("*.py"))]
RETIRED = {
    "Trace", "Planner", "Duties", "Numbers", "Recent", "Kept", "Judged", "Candidate", "Packed", "Announcer", "Spell", "SpellTransition", "Finding", "FindingKey",
    "Sighting", "Sightings", "Extent", "Partial", "Driven", "Watched", "RatePartition", "RateState", "RateStage", "homeless", "announcer", "planner", "take_out",
    "guarded", "decode_trace", "encode_traces", "judge_spells", "seal", "sealed", "unseal", "seal_open", "put_away", "put_off", "odd", "looked", "overtake", "Verdict", "Plan",
    "plans", "duties", "asks", "possible", "Run", "stretch", "recent", "trace", "traces", "set_number", "come_back", "haversines_m", "buried", "let_go", "settle", "as_kept",
    "sighting", "sightings", "spell", "spells",
}  # fmt: skip
RETIRED_IN_STREAMS = {"finding", "findings", "extent", "extents", "partials", "signs", "told"}
"""Words that stand for other things elsewhere: a vehicle's answer in ``policy check``, the edges of a map, what the console's header warns of."""
MOST_LINES = {"module": 300, "function": 40}


def topics_used(path):
    """The constants of ``streams.wire.topics`` that a module names outside of state."""
    known = {name: value.name for name, value in vars(topics).items() if isinstance(value, topics.Topic)}
    names = {node.id for node in ast.walk(ast.parse(path.read_text("utf-8"))) if isinstance(node, ast.Name)}
    return {known[name] for name in names & known.keys()}


PAGES = {
    "worker": (app, WORKER), "notifier": (notifier, [path for path in sorted((ROOT / "consumers").rglob("*.py")) if "console" not in path.parts]), "console": (feed, sorted((ROOT / "consumers" / "console").rglob("*.py"))),
    "producers": (publish, sorted((ROOT / "producers").glob("*.py"))),
}  # fmt: skip
"""The module that is a process's page, and those of the process."""


@pytest.mark.parametrize("process", PAGES)
def test_the_page_names_every_topic_of_its_process(process):
    page, modules = PAGES[process]
    used = set().union(*map(topics_used, modules))
    on_page = set(re.findall(r"courier\.[a-z.]+\.v1", page.__doc__))
    state = {topic.name for topic in topics.ALL if topic.state}
    if process == "console":  # answers go through the module that the notifier's pages use, too
        used |= {topics.FEEDBACK.name}
    assert used - state == on_page


@pytest.mark.parametrize("folder", ["streams", "producers", "consumers", "deploy", "tests"])
def test_retired_identifiers_stay_out(folder):
    found, retired = [], RETIRED | (RETIRED_IN_STREAMS if folder == "streams" else set())
    for path in sorted((ROOT / folder).rglob("*.py")):
        tokens = tokenize.generate_tokens(io.StringIO(path.read_text("utf-8")).readline)
        found += [f"{path.relative_to(ROOT)}:{token.start[0]} {token.string}" for token in tokens if token.type == tokenize.NAME and token.string in retired]
    assert not found


def test_every_room_is_in_the_glossary():
    text = (ROOT / "streams" / "README.md").read_text("utf-8")
    rooms = [path.name for path in (ROOT / "streams").iterdir() if (path / "__init__.py").exists()]
    assert len(rooms) >= 9 and [room for room in rooms if f"`{room}/`" not in text] == []
    named = re.findall(r"`([a-z_/]+\.py)`", text)
    assert [name for name in named if not (ROOT / "streams" / name).exists()] == []
    modules = [str(path.relative_to(ROOT / "streams")) for path in (ROOT / "streams").rglob("*.py") if path.name != "__init__.py" and path.parent.name != "rules"]
    assert len(modules) > 100 and sorted(set(modules) - set(named)) == []


def test_every_room_of_the_consumers_is_on_their_page():
    text, folder = (ROOT / "consumers" / "README.md").read_text("utf-8"), ROOT / "consumers"
    rooms = [f"`{path.parent.relative_to(folder)}/`" for path in folder.rglob("__init__.py") if path.parent != folder and path.parent != folder / "console"]
    modules = [f"`{path.relative_to(folder)}`" for place in (folder, folder / "console") for path in place.glob("*.py") if path.name not in {"__init__.py", "notifier.py"}]
    assert len(rooms) >= 11 and [name for name in (*rooms, *modules) if name not in text] == []


def lengths(path):
    """The lines of a module and of each of its functions, from ``def`` to the last, by name."""
    text, name = path.read_text("utf-8"), str(path.relative_to(ROOT))
    yield name, len(text.splitlines()), MOST_LINES["module"]
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield f"{name} {node.name}", node.end_lineno - node.lineno + 1, MOST_LINES["function"]


def test_no_module_and_no_function_is_too_long():
    modules = [path for folder in ("streams", "deploy", "producers", "consumers") for path in (ROOT / folder).rglob("*.py")]
    assert len(modules) > 100
    assert [name for path in modules for name, lines, most in lengths(path) if lines > most] == []
