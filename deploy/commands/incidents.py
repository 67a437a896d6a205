"""``yicheng incidents``: those that stand, and answers to them."""

from __future__ import annotations

from typing import Annotated

import typer

from deploy.commands.options import current_settings
from deploy.commands.printed import say

app = typer.Typer(help="Incidents that stand, and the answers of police to them.", no_args_is_help=True)

IncidentIds = Annotated[list[str], typer.Argument(help="ids of incidents, as incidents list prints them")]
By = Annotated[str | None, typer.Option(help="who answers")]


@app.command("list")
def incidents_list(
    unanswered: Annotated[bool, typer.Option("--unanswered", help="only those that nobody has answered")] = False,
    rule: Annotated[str | None, typer.Option(help="only those of this rule, or of this instance of one")] = None,
) -> None:
    """Print the incidents that stand, in order of time."""
    from deploy.feedback import listed
    from streams.policy.reader import load_policy

    settings = current_settings()
    for line in listed(settings.kafka_bootstrap, load_policy(settings.policy), unanswered=unanswered, rule=rule):
        say(line)


@app.command("ack")
def incidents_ack(ids: IncidentIds, by: By = None) -> None:
    """Say that incidents are being dealt with."""
    from deploy.feedback import answer

    say(f"{answer(current_settings().kafka_bootstrap, ids, 'acknowledged', by, None)} acknowledged / 已确认")


@app.command("dismiss")
def incidents_dismiss(ids: IncidentIds, reason: Annotated[str, typer.Option(help="why")], by: By = None) -> None:
    """Say that incidents need not be dealt with, and why."""
    from deploy.feedback import answer

    say(f"{answer(current_settings().kafka_bootstrap, ids, 'dismissed', by, reason)} dismissed / 已驳回")
