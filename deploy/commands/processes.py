"""``yicheng worker``: the process that judges; and what every process asks for first."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from deploy.commands.options import current_settings
from streams.errors import BadInput

if TYPE_CHECKING:
    from streams.settings import Settings

Config = Annotated[Path | None, typer.Option("--config", help="YAML file with settings; YICHENG_* in the environment wins")]


def worker(config: Config = None) -> None:
    """Run one Faust worker."""
    from deploy.identity import refuse_foreign_state
    from streams.runtime.origin import origin_of
    from streams.worker import run_worker

    settings = current_settings(config)
    origin = origin_of(settings)
    need_state_dir(settings)
    need_kafka(settings)
    refuse_foreign_state(settings.kafka_bootstrap, origin)
    run_worker(settings)


def need_state_dir(settings: Settings) -> None:
    """Make the folder in which a process keeps what it has on disk; ``BadInput`` where this user cannot write to it."""
    folder = settings.state_dir
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise BadInput(f"{folder} (YICHENG_STATE_DIR) cannot be written to: {error.strerror}; name a folder that user {os.geteuid()} may write to") from None


def need_kafka(settings: Settings) -> None:
    """``Unavailable``, with what to do, where Kafka does not answer."""
    from deploy.admin import unreachable
    from deploy.broker import answers

    if not answers(settings.kafka_bootstrap):
        raise unreachable(settings.kafka_bootstrap)
