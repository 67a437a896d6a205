"""What the files of a deployment say, compared with what the code has: commands, settings, pages."""

import functools
import os
import urllib.request

from conftest import ROOT
from typer.main import get_command

from deploy.cli import app
from streams import metrics
from streams.settings import Settings

DEPLOY = ROOT / "deploy"


def parse(words):
    """Let the command line read a command, without running it; fails where there is no such command, option or argument."""
    command, rest, name = get_command(app), list(words), "yicheng"
    while hasattr(command, "resolve_command") and not (command.invoke_without_command and name != "yicheng" and (not rest or rest[0].startswith("-"))):
        name, command, rest = command.resolve_command(command.context_class(command), rest)
    return command.make_context(name, rest).params


def settings_of(environment):
    """The settings that an environment makes; fails where a name is none or a value is not what it should be."""
    given = {name.removeprefix("YICHENG_").lower(): str(value) for name, value in environment.items() if name.startswith("YICHENG_")}
    assert given.keys() <= Settings.model_fields.keys()
    assert not [name for name in os.environ if name.startswith("YICHENG_") and name.removeprefix("YICHENG_").lower() in Settings.model_fields], "else they would count here"
    return Settings(**given)


@functools.cache
def _port_served():
    return metrics.serve("127.0.0.1", 0, lambda: True)


def is_served(path):
    """Whether a process that is ready answers at this path."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{_port_served()}{path}", timeout=10) as answer:
            return answer.status == 200
    except urllib.error.HTTPError:
        return False


def is_pinned(image):
    """Whether an image has a tag of at least three numbers (``v1.2.3``, ``3.11.14-slim``), so that it stays what it is."""
    tag = image.rpartition(":")[2].split("-")[0].removeprefix("v")
    return ":" in image and tag.count(".") >= 2 and all(part.isdigit() for part in tag.split("."))
