"""``yicheng dead``: refused records."""

from __future__ import annotations

from typing import Annotated

import typer

from deploy.commands.options import current_settings
from deploy.commands.printed import say

app = typer.Typer(help="Refused records: where they stand, why, and what they say as long as it is retained.", no_args_is_help=True)

Reason = Annotated[str | None, typer.Option(help="only those refused for this reason, such as malformed")]


@app.command("list")
def dead_list(reason: Reason = None, show: Annotated[bool, typer.Option("--show", help="and what stands there, read from its topic")] = False) -> None:
    """Print refused records: topic/partition/offset, reason, event id, local time, bytes, and why."""
    from deploy.dead import listed
    from streams.policy.reader import load_policy

    settings = current_settings()
    for line in listed(settings.kafka_bootstrap, load_policy(settings.policy), reason=reason, show=show):
        say(line)


@app.command("redrive")
def dead_redrive(reason: Reason = None, late: Annotated[bool, typer.Option("--late", help="those that came too late, too")] = False) -> None:
    """Send refused records into their topics again, to be judged by what is published now."""
    from deploy.dead import redrive

    sent, gone = redrive(current_settings().kafka_bootstrap, reason=reason, late=late)
    say(f"{sent} records sent again" + (f"; {gone} are no longer retained in their topics" if gone else ""))
