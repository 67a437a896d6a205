"""``yicheng notifier failed`` and ``yicheng notifier log``: what went to which sink, and what did not."""

from __future__ import annotations

from typing import Annotated

import typer

from deploy.commands.options import current_settings
from deploy.commands.printed import say
from streams.errors import BadInput

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
    from consumers.outbox.log import failed
    from deploy.deliveries import lines, need_sink, outbox_of

    need_sink(settings := current_settings(), sink)
    for line in lines(failed(outbox_of(settings), sink=sink), {}):
        say(line)


@failed_app.command("retry")
def failed_retry(numbers: DeliveryNumbers = None, every: Every = False, sink: OfSink = None) -> None:
    """Deliver again what failed; with --sink, one that was switched off is switched on."""
    from consumers.outbox.log import again, switch_on
    from deploy.deliveries import chosen, need_sink, outbox_of, said

    need_sink(settings := current_settings(), sink)
    path = outbox_of(settings)
    if sink is not None:
        switch_on(path, sink)
    say(said(again(path, chosen(path, numbers or [], every=every, sink=sink))))


@failed_app.command("drop")
def failed_drop(
    numbers: DeliveryNumbers = None, every: Every = False, sink: OfSink = None, reason: Annotated[str, typer.Option(help="why")] = "dropped by hand",
    waiting: Annotated[bool, typer.Option("--waiting", help="with --sink: also all that still waits for it, as for a sink that is gone")] = False,
) -> None:  # fmt: skip
    """Give up for good what failed; with --sink and --waiting also what waits."""
    from consumers.outbox.log import drop, drop_waiting
    from deploy.deliveries import chosen, need_sink, outbox_of

    if waiting and sink is None:
        raise BadInput("--waiting is about one sink; name it by --sink")
    need_sink(settings := current_settings(), sink)
    path = outbox_of(settings)
    dropped = drop(path, chosen(path, numbers or [], every=every, sink=sink), reason)
    say(f"{dropped + (drop_waiting(path, sink, reason) if waiting and sink else 0)} dropped / 条已放弃")


def log(sink: OfSink = None, incident: OfIncident = None, since: Since = None, until: Until = None) -> None:
    """Print the delivery log: what went where, when it was made, due and done with, after how many tries, with what answer; what waits comes last."""
    from deploy.deliveries import listed, need_sink, outbox_of, since_ms

    need_sink(settings := current_settings(), sink)
    for line in listed(outbox_of(settings), incident_id=incident, sink=sink, from_ms=since_ms(since), until_ms=since_ms(until)):
        say(line)


def replay(incident: OfIncident = None, sink: OfSink = None, since: Since = None, until: Until = None) -> None:
    """Deliver again, under the same ids, what has been delivered: of one incident, or of a span of time."""
    from deploy.deliveries import need_sink, outbox_of, replayed, said, since_ms

    need_sink(settings := current_settings(), sink)
    done = replayed(outbox_of(settings), incident_id=incident, sink=sink, from_ms=since_ms(since), until_ms=since_ms(until))
    say(said(done))
