"""``yicheng audit``: who did what."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from deploy.commands.options import current_settings
from deploy.commands.printed import say
from streams.errors import YichengError

app = typer.Typer(help="The log of who answered, dismissed, objected, exported, or changed a route.", no_args_is_help=True)


@app.callback()
def audit_commands() -> None:
    """The log of who answered, dismissed, objected, exported, or changed a route."""


@app.command("verify")
def audit_verify(file: Annotated[Path | None, typer.Argument(help="the log (default: audit.jsonl in YICHENG_STATE_DIR)")] = None) -> None:
    """Whether every line fits the line before; names the first that does not, and the hash of the last, which tells a log that was cut off if it is kept elsewhere."""
    from consumers.audit import FILE, verify

    path = file or current_settings().state_dir / FILE
    found = verify(path)
    if found.broken is not None:
        raise YichengError(f"{path}:{found.broken}: {found.why}; the {found.lines} lines before it fit / 第{found.broken}行与前一行不符，其前{found.lines}行完好")
    torn = f"; {found.torn} bytes of a line that was never finished follow / 其后有{found.torn}字节未写完的一行" if found.torn else ""
    say(f"{found.lines} lines fit / {found.lines}行完好{torn}\nlast 末行 SHA-256 {found.last}")
