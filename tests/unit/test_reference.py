"""The reference is what the code makes, and names everything public."""

import re

from conftest import ROOT

from deploy.reference import CONTENT, REFERENCE, metric_name, reference
from streams import metrics
from streams.registry.records import KINDS
from streams.rules import RULES
from streams.settings import Settings
from streams.wire.events import REASONS
from streams.wire.topics import ALL

TEXT = REFERENCE.read_text("utf-8")


def test_the_reference_is_what_the_code_makes():
    assert reference() == TEXT, "run .venv/bin/python -m deploy.reference"


def test_every_metric_setting_topic_record_reason_and_rule_is_named():
    names = [topic.name for topic in ALL] + [f"YICHENG_{name.upper()}" for name in Settings.model_fields]
    names += [metric_name(value) for value in vars(metrics).values() if hasattr(value, "_documentation")]
    names += [*RULES, *REASONS, *KINDS]
    assert len(names) > 100 and [name for name in names if f"`{name}`" not in TEXT] == []
    assert set(CONTENT) == set(ALL)


def test_every_setting_that_the_code_asks_for_is_named():
    texts = [path.read_text("utf-8") for folder in ("streams", "producers", "consumers", "deploy") for path in (ROOT / folder).rglob("*.py")]
    asked = {name for text in texts for name in re.findall(r"YICHENG_[A-Z_]+[A-Z]", text)} - {"YICHENG_SERVICE_HOST"}  # an example of somebody else's
    assert "YICHENG_POLICY" in asked and [name for name in sorted(asked) if name not in TEXT] == []


def test_every_parameter_of_a_rule_is_explained():
    for name, module in RULES.items():
        section = TEXT.split(f"### `{name}`", 1)[1].split("\n### ", 1)[0]
        assert [key for key in module.Parameters.__struct_encode_fields__ if f"`{key}`" not in section] == [], name


def test_every_command_is_named():
    from deploy.cli import app

    def leaves(typer, path):
        for command in typer.registered_commands:
            yield f"{path} {command.name or command.callback.__name__}"
        for group in typer.registered_groups:
            yield from leaves(group.typer_instance, f"{path} {group.name}")

    found = list(leaves(app, "yicheng"))
    assert len(found) > 25 and [name for name in found if f"### `{name}" not in TEXT] == []
