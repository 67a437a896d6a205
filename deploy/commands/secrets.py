"""``yicheng secrets``: keys."""

from __future__ import annotations

import typer

from deploy.commands.printed import say

app = typer.Typer(help="Keys.", no_args_is_help=True)


@app.command("new")
def secrets_new() -> None:
    """Print a new key for YICHENG_IDENTITY_KEY, which all workers of a group share for good: the names of incidents follow from it."""
    from deploy.identity import new_key

    say(new_key())
