"""``yicheng topics``: made, brought up to date, judged again."""

from __future__ import annotations

from typing import Annotated

import typer

from deploy.commands.options import current_settings
from deploy.commands.printed import say

app = typer.Typer(help="Kafka topics.", no_args_is_help=True)


@app.command("create")
def topics_create(replication: Annotated[int, typer.Option(min=1, help="replication factor")] = 1) -> None:
    """Create the topics that do not exist yet, and bring older ones up to date; prints what was done."""
    from deploy.topic_admin import create_topics

    settings = current_settings()
    done = create_topics(settings.kafka_bootstrap, settings.partitions, replication)
    say("\n".join(done) if done else "all topics exist")


@app.command("rewind")
def topics_rewind() -> None:
    """Let the workers judge everything again that is retained (stop them first); incidents keep their ids."""
    from deploy.topic_admin import rewind

    settings = current_settings()
    if anew := rewind(settings.kafka_bootstrap, settings.group):
        say(f"made anew since they were judged: {', '.join(anew)}; the workers' state is dropped, and comes again from what the topics hold")
    say(f"group {settings.group} starts from the beginning")


@app.command("access")
def topics_access(enter: Annotated[bool, typer.Option("--enter", help="enter them in Kafka as access rules; without it they are only listed")] = False) -> None:
    """The least that each process must be allowed in a Kafka with users, one user a process; prints a line for each."""
    from deploy.kafka_roles import allow, lines

    settings = current_settings()
    if enter:
        allow(settings.kafka_bootstrap, settings.group)
    say("\n".join(lines(settings.group)))
