"""``yicheng incidents``: those that stand, answers to them, and evidence files."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperGroup

from deploy.commands.options import current_settings
from deploy.commands.printed import say
from streams.errors import BadInput

if TYPE_CHECKING:
    from consumers.audit import Audit
    from streams.settings import Settings


class _Incidents(TyperGroup):
    """``incidents evidence verify FILE`` is ``incidents verify FILE``."""

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """The command that is meant."""
        return super().resolve_command(ctx, args[1:] if args[:2] == ["evidence", "verify"] else args)


app = typer.Typer(cls=_Incidents, help="Incidents that stand, the answers of police to them, and evidence files.", no_args_is_help=True)

IncidentIds = Annotated[list[str], typer.Argument(help="ids of incidents, as incidents list prints them")]
By = Annotated[str | None, typer.Option(help="who answers; otherwise the user who runs this command, written down as 'NAME (OS user)'")]
Why = Annotated[str, typer.Option(help="why")]


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
    _answer(ids, "acknowledged", "acknowledged / 已确认", by)


@app.command("dismiss")
def incidents_dismiss(ids: IncidentIds, reason: Why, by: By = None) -> None:
    """Say that incidents need not be dealt with, and why."""
    _answer(ids, "dismissed", "dismissed / 已驳回", by, reason)


@app.command("fine")
def incidents_fine(ids: IncidentIds, reason: Annotated[str | None, typer.Option(help="number of the decision, or another remark")] = None, by: By = None) -> None:
    """Say that a fine was imposed."""
    _answer(ids, "fined", "fined / 已处罚", by, reason)


@app.command("object")
def incidents_object(ids: IncidentIds, reason: Why, by: By = None) -> None:
    """Enter an enterprise's objection (申诉) that came another way than by its link."""
    _answer(ids, "objected", "objected / 已登记申诉", by, reason)


@app.command("uphold")
def incidents_uphold(ids: IncidentIds, reason: Annotated[str | None, typer.Option(help="why")] = None, by: By = None) -> None:
    """Decide that objections are right; their incidents are dismissed."""
    _answer(ids, "upheld", "upheld / 申诉成立", by, reason)


@app.command("reject")
def incidents_reject(ids: IncidentIds, reason: Why, by: By = None) -> None:
    """Decide that objections are not right; the answer of before stands."""
    _answer(ids, "rejected", "rejected / 申诉不成立", by, reason)


@app.command("evidence")
def incidents_evidence(
    incident_id: Annotated[str, typer.Argument(help="id of an incident, as incidents list prints it")],
    out: Annotated[Path, typer.Option(help="ZIP file to write")],
    pdf: Annotated[bool, typer.Option("--pdf", help="with the page as a PDF, too, printed by Chromium")] = False,
    key: Annotated[Path | None, typer.Option(help="Ed25519 key that signs it, from ./yicheng secrets signing-key (PEM, its owner's alone); without one it is not signed")] = None,
    by: Annotated[str | None, typer.Option(help="who exports it; otherwise the user who runs this command, written down as 'NAME (OS user)'")] = None,
) -> None:
    """Write one file of all that an incident rests on: a page with map and speeds, the records as Kafka holds them, the registry as of then."""
    from deploy.evidence.archive import signing_key
    from deploy.evidence.gathering import write_evidence
    from deploy.report.page import need_browser

    settings = current_settings()
    private = signing_key(key) if key is not None else None
    if pdf:
        need_browser()
    made = write_evidence(settings.kafka_bootstrap, _audit(settings), incident_id, out, by=_who(by), key=private, pdf=pdf)
    for line in made.lines(out):
        say(line)


@app.command("verify")
def incidents_verify(
    file: Annotated[Path, typer.Argument(help="ZIP file of incidents evidence")],
    key: Annotated[Path | None, typer.Option(help="public Ed25519 key (PEM) of whoever signed it; without one only the files are compared")] = None,
) -> None:
    """Whether an evidence file is as it was made; names the first file in it that is not. Also: incidents evidence verify FILE."""
    from deploy.evidence.archive import public_key, verify_evidence

    verified = verify_evidence(file, public_key(key) if key is not None else None)
    for line in verified.lines():
        say(line)


def _answer(ids: list[str], action: str, done: str, by: str | None, reason: str | None = None) -> None:
    """Publish an answer to each incident, and say so in the words of ``done``."""
    from deploy.feedback import answer
    from streams.words.shown import shown

    settings = current_settings()
    answered = answer(settings.kafka_bootstrap, _audit(settings), ids, action, _who(by), reason, settings.objection_days)
    say(f"{answered.number} {done}")
    for name in answered.taken_back:
        say(f"{shown(name)}: kept; the incident was taken back / 已记录；该事件已撤销")


def _who(by: str | None) -> str:
    """Who does it, as far as that is said; nothing is done by nobody."""
    from streams.process.os_users import this_user

    if by is not None and not by.strip():
        raise BadInput("--by is empty; name who it is, or leave it out")
    return by or this_user()


def _audit(settings: Settings) -> Audit:
    from consumers.audit import FILE, Audit

    return Audit(settings.state_dir / FILE)
