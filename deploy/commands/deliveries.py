"""``yicheng notifier failed`` and ``yicheng notifier log``: what went to which sink, and what did not."""

from __future__ import annotations

from typing import Annotated

import typer

from deploy.commands.options import current_settings
from deploy.commands.printed import say

failed_app = typer.Typer(help="Deliveries that a sink refused for good, or did not take for hours.", no_args_is_help=True)

DeliveryNumbers = Annotated[list[int] | None, typer.Argument(help="numbers of deliveries, as failed list prints them")]
Every = Annotated[bool, typer.Option("--all", help="all that failed")]
OfSink = Annotated[str | None, typer.Option("--sink", help="only those of this sink")]
OfIncident = Annotated[str | None, typer.Option("--incident", help="only those of this incident, by its id")]
Since = Annotated[str | None, typer.Option("--since", help="only what was put into the outbox from then on (local time, as 2026-11-30T08:00)")]
Until = Annotated[str | None, typer.Option("--until", help="only what was put into the outbox before then")]


@failed_app.command("list")
def failed_list(sink: OfSink = None) -> None:
    """Print the deliveries that failed, with the reason."""
    from consumers.outbox_log import failed
    from deploy.deliveries import lines, outbox_of

    for line in lines(failed(outbox_of(current_settings()), sink=sink)):
        say(line)


@failed_app.command("retry")
def failed_retry(numbers: DeliveryNumbers = None, every: Every = False, sink: OfSink = None) -> None:
    """Deliver again what failed; with --sink, one that was switched off is switched on."""
    from consumers.outbox_log import again, switch_on
    from deploy.deliveries import chosen, outbox_of

    path = outbox_of(current_settings())
    if sink is not None:
        switch_on(path, sink)
    say(f"{again(path, chosen(path, numbers or [], every=every, sink=sink))} to be delivered again / 条将重新投递")


@failed_app.command("drop")
def failed_drop(numbers: DeliveryNumbers = None, every: Every = False, sink: OfSink = None, reason: Annotated[str, typer.Option(help="why")] = "dropped by hand") -> None:
    """Give up for good what failed."""
    from consumers.outbox_log import drop
    from deploy.deliveries import chosen, outbox_of

    path = outbox_of(current_settings())
    say(f"{drop(path, chosen(path, numbers or [], every=every, sink=sink), reason)} dropped / 条已放弃")


def log(sink: OfSink = None, incident: OfIncident = None, since: Since = None, until: Until = None) -> None:
    """Print the delivery log: what went where, when, after how many tries, with what answer; what waits comes last."""
    from consumers.outbox_log import logged
    from deploy.deliveries import lines, outbox_of, since_ms

    found = logged(outbox_of(current_settings()), sink=sink, incident_id=incident, since_ms=since_ms(since) or 0, until_ms=since_ms(until))
    for line in lines(found):
        say(line)


def replay(incident: OfIncident = None, sink: OfSink = None, since: Since = None, until: Until = None) -> None:
    """Deliver again, under the same ids, what has been delivered: of one incident, or of a span of time."""
    from deploy.deliveries import outbox_of, replayed, since_ms

    count = replayed(outbox_of(current_settings()), incident_id=incident, sink=sink, from_ms=since_ms(since), until_ms=since_ms(until))
    say(f"{count} to be delivered again / 条将重新投递")
