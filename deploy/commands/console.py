"""``yicheng console``: a live map of the city in the browser."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from deploy.commands.options import current_settings
from deploy.commands.printed import say

Config = Annotated[Path | None, typer.Option("--config", help="YAML file with settings; YICHENG_* in the environment wins")]


def console(config: Config = None) -> None:
    """A live map of vehicles, zones and incidents in the browser. It waits for Kafka where that is not there."""
    from consumers.console.server import run_console

    run_console(current_settings(config), say=say)
