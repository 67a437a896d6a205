"""The command line ``yicheng``: parse, build, run. What each command does is in ``commands/``."""

from __future__ import annotations

import os
import sys

from streams.process.stopping import INTERRUPTED, interrupt, leave, stopping

if __name__ == "__main__":
    stopping.watch()  # what follows takes a while to be read

import typer

from deploy.commands import (
    audit,
    checks,
    console,
    dead,
    incidents,
    judge,
    kafka,
    notifier,
    policy,
    processes,
    produce,
    registry,
    report,
    secrets,
    topics,
    up,
)
from streams.errors import YichengError
from streams.words.shown import shown

OWN_FILES_ONLY = 0o077
"""The umask of every process: what it makes, plates and keys therein, is for the user that runs it."""

app = typer.Typer(
    help="Yicheng 驿程: judges courier vehicles and parcels by a city's published rules, live.",
    no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None,
)  # fmt: skip
app.command()(up.up)
app.command(context_settings={"allow_extra_args": True, "ignore_unknown_options": True})(checks.test)
for command in (checks.bench, judge.judge, processes.worker, checks.doctor):
    app.command()(command)
for name, group in (
    ("produce", produce), ("kafka", kafka), ("topics", topics), ("registry", registry), ("policy", policy), ("secrets", secrets),
    ("incidents", incidents), ("audit", audit), ("dead", dead), ("report", report), ("notifier", notifier), ("console", console),
):  # fmt: skip
    app.add_typer(group.app, name=name)


def main() -> None:
    """Run a command; every error on purpose is one line on stderr and its exit code; whoever is interrupted ends with 130."""
    stopping.watch()
    os.umask(OWN_FILES_ONLY)
    code = _outcome()
    if stopping.asked.is_set():
        leave(code)  # without asking what libraries still wait for
    sys.exit(code)


def _outcome() -> int:
    try:
        stopping.when_asked(interrupt)
        app(prog_name="yicheng")
    except YichengError as error:
        print(f"yicheng: {shown(error)}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        return 0
    except OSError as error:  # a full disk, a folder without permission
        print(f"yicheng: {shown(error.filename or 'input or output')}: {shown(error.strerror or error)}", file=sys.stderr)
        return 1
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else int(end.code is not None)
    finally:
        stopping.when_asked(lambda: leave(INTERRUPTED))
    return 0


if __name__ == "__main__":
    main()
