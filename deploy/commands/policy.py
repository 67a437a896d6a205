"""``yicheng policy``: packs, what they ask, and publishing them."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from deploy.commands.options import current_settings
from deploy.commands.printed import print_text, say
from streams.errors import BadInput
from streams.words.shown import shown

if TYPE_CHECKING:
    from streams.policy.policy import Policy
    from streams.words.terms import Lang

app = typer.Typer(help="Policy packs.", no_args_is_help=True)


@app.command("list")
def policy_list() -> None:
    """Name the packs that come with Yicheng."""
    from streams.policy.reader import load_policy, packs

    for name in packs():
        pack = load_policy(name).pack
        say(f"{name}\t{pack.city.name_zh} {pack.city.name_en}\t{len(pack.rules)} rules\t{pack.document.shown_number}")


@app.command("table")
def policy_table(chinese: Annotated[bool, typer.Option("--zh", help="in Chinese")] = False) -> None:
    """Print city × rule × clause, from the packs, as Markdown."""
    from deploy.packs.explain import rule_table

    say(rule_table(chinese=chinese))


@app.command("check")
def policy_check(
    pack: Annotated[str, typer.Argument(help="pack by name or path")],
    date: Annotated[str | None, typer.Option(help="what applies on this day (2026-11-11) or at this instant (2026-11-11T12:00)?")] = None,
    at: Annotated[str | None, typer.Option(help="and at this place (longitude,latitude, or a zone such as 中心城区)?")] = None,
    vehicle: Annotated[str | None, typer.Option(help="and may this vehicle be there (light_van,electric,box,marked,pass:green; or 轻型货车,纯电动,厢式)?")] = None,
    lang: Annotated[str | None, typer.Option(help="zh or en; else the language of the system (LC_ALL, LC_MESSAGES, LANG)")] = None,
    documents: Annotated[Path | None, typer.Option(help="folder with the document's text, in which all quotes must stand; else the pack's own folder, where it is there")] = None,
) -> None:
    """Check a pack and say in words what it asks; with --date, --at and --vehicle, what applies there and then, and to whom."""
    from datetime import datetime

    from deploy.packs.applies import answer
    from deploy.packs.asked_place import read_place
    from deploy.packs.asked_vehicle import read_vehicle
    from deploy.packs.explain import explain
    from streams.policy.doubts import past_calendars
    from streams.policy.reader import load_policy

    language = language_of(lang)
    asked = read_vehicle(vehicle) if vehicle is not None else None
    if asked is not None and at is None:
        raise BadInput("--vehicle: say where it would be, with --at longitude,latitude such as 111.66,40.81, or --at and a zone of the pack")

    checked = load_policy(pack, documents)
    place = read_place(at, checked) if at is not None else None
    if documents is None:
        checked = _checked_beside(pack, checked)
    today = datetime.now(checked.timezone).date()
    for warning in [*checked.warnings, *past_calendars(checked.pack, today), *_unfilled(pack, checked)]:
        print(f"yicheng: warning: {shown(warning)}", file=sys.stderr)
    if date is None and at is None and asked is None:
        say(explain(checked, language))
        return
    say(answer(checked, date or today.isoformat(), place, language, asked))


@app.command("new")
def policy_new(
    city: Annotated[str, typer.Option(help="name in Chinese, name in English, division code (呼和浩特市,Hohhot,150100)")],
    out: Annotated[Path, typer.Option(help="folder for the pack, its zones and its test")],
    at: Annotated[str | None, typer.Option(help="longitude,latitude around which the example zone is drawn")] = None,
) -> None:
    """Write a commented pack to start from, with an example zone and a test; what is there already stays as it is."""
    from deploy.packs.asked_place import read_coordinates
    from deploy.packs.new_pack import read_city, write_pack

    pack, zones, test = write_pack(read_city(city), out, read_coordinates(at) if at is not None else None)
    for path in (pack, zones, test):
        say(path)
    if language_of(None) == "zh":
        say(f"接下来：按 deploy/policy-guide.md 填写，再用 ./yicheng policy check {pack} 检查")
    else:
        say(f"next: fill it in as deploy/policy-guide.md says, then ./yicheng policy check {pack}")


def language_of(lang: str | None) -> Lang:
    """The language that is asked for, else that of the system: Chinese where its locale is, else English; ``BadInput`` where it is neither."""
    from streams.words.terms import is_chinese

    if lang is None:
        return "zh" if is_chinese() else "en"
    if lang == "zh":
        return "zh"
    if lang == "en":
        return "en"
    raise BadInput(f"--lang: {lang!r} is neither zh (中文) nor en (English)")


def _checked_beside(pack: str, read: Policy) -> Policy:
    """The pack again, its quotes checked by the document's text in its own folder; where that is not there, it is said so."""
    from streams.policy.reader import load_policy

    folder, file = Path(pack).parent, read.pack.document.file
    if Path(pack).suffix and (folder / file).is_file():
        return load_policy(pack, folder)
    if Path(pack).suffix and any(rule.basis for rule in read.pack.rules):  # the packs that come with Yicheng have been compared
        print(f"yicheng: the quotes were not compared with the document: {shown(file)} is not at hand; --documents says in which folder it is", file=sys.stderr)
    return read


def _unfilled(pack: str, read: Policy) -> list[str]:
    """That something in a pack is still to be filled in, where it is."""
    from streams.policy.claims import TO_FILL_IN, unfilled

    lines = unfilled(read.pack)
    return [f"{pack}:{lines[0]}: {TO_FILL_IN} is still to be filled in (lines {', '.join(map(str, lines))})"] if lines else []


@app.command("publish")
def policy_publish(pack: Annotated[str, typer.Argument(help="pack by name or path")]) -> None:
    """Publish a pack to Kafka, after checking it; where its document lies beside it, all quotes must stand there."""
    from deploy.admin import publish_policy
    from streams.policy.reader import load_policy

    checked = _checked_beside(pack, load_policy(pack))
    for problem in _unfilled(pack, checked):
        raise BadInput(problem)
    versions = publish_policy(current_settings().kafka_bootstrap, checked)
    say(f"{checked.name} published{f'; it has {versions} versions now' if versions > 1 else ''}")


@app.command("show")
def policy_show(pack: Annotated[str, typer.Argument(help="pack by name or path")]) -> None:
    """Print a pack's YAML."""
    from streams.policy.reader import load_policy

    print_text(load_policy(pack).pack.source["yaml"])
