"""``yicheng notifier``: the process that hands incidents to sinks, and what its routes would do."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from deploy.commands.deliveries import failed_app, log, replay
from deploy.commands.options import current_settings
from deploy.commands.printed import say
from deploy.commands.processes import Config, need_kafka, need_state_dir
from streams.errors import BadInput, YichengError, nearest

if TYPE_CHECKING:
    from consumers.incident_events import IncidentEvent
    from consumers.routing.routes import Routing

app = typer.Typer(help="The process that hands incidents to sinks, and what its routes would do.", invoke_without_command=True)

RoutesPath = Annotated[Path | None, typer.Option("--routes", help="file of routes; otherwise YICHENG_ROUTES, or the sinks that YICHENG_SINK_FILE and YICHENG_WEBHOOK_URL name")]


@app.callback()
def notifier(context: typer.Context, config: Config = None) -> None:
    """Run the notifier: incidents to the configured sinks."""
    if context.invoked_subcommand is not None:
        return
    from consumers.notifier import run_notifier

    settings = current_settings(config)
    need_state_dir(settings)
    need_kafka(settings)
    run_notifier(settings)


@app.command("explain")
def notifier_explain(
    file: Annotated[Path, typer.Argument(help="an incident's event as the file sink writes it; a line each where there are several")],
    at: Annotated[str | None, typer.Option("--at", help="as if it came then: 2026-11-11 or 2026-11-11T22:30, local time; otherwise now")] = None,
    routes: RoutesPath = None,
) -> None:
    """Say where an incident would go: which route takes it and why not the others, which sinks, when, and what holds it back. Nothing is sent."""
    from streams.clock import now_ms

    routing = _routing(routes)
    at_ms = _instant_ms(at, routing) if at else now_ms()
    for event in _events(file):
        say("\n".join(routing.explain(event, at_ms)))


@app.command("test")
def notifier_test(sink: Annotated[str, typer.Argument(help="name of the sink, as the routes call it")], routes: RoutesPath = None) -> None:
    """Send one message to a sink, marked as a test, and say what became of it."""
    routing = _routing(routes)
    if sink not in routing.sinks:
        raise BadInput(f"unknown sink {sink!r}{nearest(sink, routing.sinks)}")
    from consumers.sinks import open_sink
    from streams.clock import now_ms

    configured = routing.sinks[sink]
    message = routing.writer.test(sink, now_ms())
    began_s = time.monotonic()
    try:
        opened = open_sink(configured.kind, sink, configured.options)
        try:
            opened.deliver(message)
            opened.flush()
        finally:
            opened.close()
    except YichengError as error:
        where = f"{configured.where}: " if configured.where else ""
        say(f"未送达 not delivered: {sink} ({configured.kind}): {where}{error}")
        raise typer.Exit(error.exit_code) from None
    say(f"已送达 delivered: {sink} ({configured.kind}), {time.monotonic() - began_s:.2f} s, {message.message_id}")


app.add_typer(failed_app, name="failed")
app.command("log")(log)
app.command("replay")(replay)


def _routing(routes: Path | None) -> Routing:
    from consumers.routing.file import configured, load_routing

    return load_routing(routes) if routes is not None else configured(current_settings())


def _instant_ms(text: str, routing: Routing) -> int:
    from streams.clock import bound_ms

    try:
        return bound_ms(text, routing.timezone, end=False)
    except ValueError as error:
        raise BadInput(f"--at: {error}") from None


def _events(file: Path) -> list[IncidentEvent]:
    """The events of a file: one, over however many lines, or one a line."""
    import json

    from consumers.incident_events import read_event
    from streams.files.small_files import read_small
    from streams.wire.decode import Malformed

    try:
        text = read_small(file).strip()
    except ValueError as error:
        raise BadInput(f"{file}: {error}") from None
    try:
        lines = [json.dumps(json.loads(text), ensure_ascii=False)]
    except (ValueError, RecursionError):
        lines = text.splitlines()
    found = []
    for number, line in enumerate(lines, 1):
        try:
            found.append(read_event(line.encode()))
        except (Malformed, UnicodeEncodeError) as error:
            raise BadInput(f"{file}:{number}: no event of an incident: {error}") from None
    return found
