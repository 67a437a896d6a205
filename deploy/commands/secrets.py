"""``yicheng secrets``: keys."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from deploy.commands.printed import say

app = typer.Typer(help="Keys.", no_args_is_help=True)


@app.command("new")
def secrets_new() -> None:
    """Print a new key for YICHENG_IDENTITY_KEY, which all workers of a group share for good: the names of incidents follow from it. Another one is for YICHENG_ANSWERS_KEY."""
    from deploy.identity import new_key

    say(new_key())


@app.command("signing-key")
def secrets_signing_key(file: Annotated[Path, typer.Argument(help="file for the private key (PEM); the public one is written beside it, with .pub at its end")]) -> None:
    """Make an Ed25519 key pair: the private one signs evidence files, the public one is for whoever is to verify them."""
    from deploy.evidence.archive import write_key_pair

    public, fingerprint = write_key_pair(file)
    say(f"private 私钥 {file}\npublic 公钥 {public}\nSHA-256 {fingerprint}")
