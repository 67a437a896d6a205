"""``yicheng report``: a city's figures, and vehicles and outlets drawn for inspection."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from deploy.commands.options import current_settings, local_date, policy_named
from deploy.commands.printed import print_text, say
from streams.errors import BadInput, YichengError, nearest
from streams.words.shown import shown_json

if TYPE_CHECKING:
    from deploy.report.content import Published
    from deploy.report.figures import Period
    from deploy.report.words import Language
    from streams.policy.policy import Policy
    from streams.registry.registry import Registry

app = typer.Typer(help="A city's figures over local days: rates, incidents, key figures against targets.", invoke_without_command=True)
FORMATS = ("html", "pdf", "csv", "json")


def _registry(policy: Policy, registry_file: Path | None) -> Registry:
    """The registry of a file, else the one that Kafka holds."""
    from deploy.admin import read_registry
    from streams.registry.files import load_registry
    from streams.registry.records import decode_entry
    from streams.registry.registry import Registry

    if registry_file is not None:
        return load_registry(registry_file, policy.timezone, policy.zone_kinds)
    known = Registry(policy.timezone)
    known.add(decode_entry(text.encode()) for text in read_registry(current_settings().kafka_bootstrap))
    return known


@app.callback()
def report_city(
    context: typer.Context,
    city: Annotated[str | None, typer.Option(help="city of the pack (default: hohhot)")] = None,
    policy_name: Annotated[str | None, typer.Option("--policy", help="pack by name or path; default with --judged: the one that was judged by")] = None,
    from_: Annotated[str | None, typer.Option("--from", help="first local day, YYYY-MM-DD; default with --judged: all days")] = None,
    until: Annotated[str | None, typer.Option(help="last local day, included")] = None,
    format_: Annotated[str, typer.Option("--format", help="html, pdf (printed by Chromium), csv or json")] = "html",
    language: Annotated[str | None, typer.Option("--lang", help="zh, en or both; default: zh where the locale is Chinese, else both")] = None,
    out: Annotated[Path | None, typer.Option(help="file to write (default: standard output)")] = None,
    csv_folder: Annotated[Path | None, typer.Option("--csv", help="folder for the report's tables as CSV, the red and the black list among them")] = None,
    judged: Annotated[Path | None, typer.Option(help="folder that ./yicheng judge wrote, instead of Kafka")] = None,
    registry_file: Annotated[Path | None, typer.Option("--registry", help="registry file, instead of Kafka's; with --judged the one that was judged by")] = None,
    answers_file: Annotated[Path | None, typer.Option("--answers", help="with --judged: answers to its incidents, JSONL as in courier.feedback.v1")] = None,
    draw_files: Annotated[list[Path] | None, typer.Option("--draw", help="result that report draw published: what came of it is told from incidents and answers; may be repeated")] = None,
) -> None:
    """A report for officials: key figures against targets, enterprises, red and black lists, incidents and their basis, a map."""
    if context.invoked_subcommand:
        return
    from deploy.report.content import gather, judged_policy
    from deploy.report.inspections import read_draw
    from deploy.report.tables import write_tables
    from streams.policy.reader import load_policy

    write = _written_as(format_, language, out)
    if judged is None and (from_ is None or until is None):
        raise BadInput("a report needs --from DATE and --until DATE")
    name = policy_named(city, policy_name) if judged is None or city or policy_name else judged_policy(judged)
    pack = load_policy(name)
    found = _found(judged, answers_file)
    if judged is not None and registry_file is None:
        raise BadInput("--judged DIR needs --registry FILE, the one that was given to ./yicheng judge")
    draws = [read_draw(path, pack.pack.city.adcode) for path in draw_files or ()]
    made = gather(pack, _registry(pack, registry_file), found, *_period(pack, found, from_, until), draws)
    try:
        write(made)
        if csv_folder is not None:
            say(f"{len(write_tables(made, csv_folder))} tables written to {csv_folder}")
    except OSError as error:
        raise YichengError(f"{error.filename}: {error.strerror}") from None


def _found(judged: Path | None, answers_file: Path | None) -> Published:
    """What Kafka holds, or a folder that was judged, with the answers of a file."""
    from deploy.report.content import judged_files, published_now
    from deploy.report.inspections import read_answers

    if judged is None and answers_file is not None:
        raise BadInput("--answers goes with --judged DIR; the answers of a city that runs are in Kafka")
    if judged is None:
        return published_now(current_settings().kafka_bootstrap)
    found = judged_files(judged)
    return found if answers_file is None else found._replace(feedback=read_answers(answers_file))


def _period(policy: Policy, found: Published, from_: str | None, until: str | None) -> Period:
    """The days asked for; the first or last of all that were judged where they are not."""
    from deploy.report.figures import Period, whole_period

    whole = None
    if from_ is None or until is None:
        whole = whole_period(policy, found.rates, (data["opened_at_ms"] for data in found.incidents))
        if whole is None:
            raise BadInput("a report needs --from DATE and --until DATE; nothing was judged from which they would follow")
    first = local_date(from_, "--from") if from_ is not None else whole.first if whole else None
    last = local_date(until, "--until") if until is not None else whole.last if whole else None
    assert first is not None
    assert last is not None
    return Period.checked(first, last)


def _written_as(format_: str, language: str | None, out: Path | None) -> Callable[[dict[str, Any]], None]:
    """What writes a report as it is asked for; what is wrong with that is told before anything is read."""
    from deploy.report.content import as_json
    from deploy.report.page import as_html, as_pdf, need_browser
    from deploy.report.tables import as_csv
    from deploy.report.words import LANGUAGES, own_language

    if format_ not in FORMATS:
        raise BadInput(f"--format {format_!r} is not one of {', '.join(FORMATS)}{nearest(format_, FORMATS)}")
    if language is not None and language not in LANGUAGES:
        raise BadInput(f"--lang {language!r} is not one of {', '.join(LANGUAGES)}{nearest(language, LANGUAGES)}")
    chosen: Language = next((known for known in LANGUAGES if known == language), own_language())
    if format_ == "pdf":
        if out is None:
            raise BadInput("--format pdf needs --out FILE")
        need_browser()
    texts: dict[str, Callable[[dict[str, Any]], str]] = {"html": lambda made: as_html(made, chosen), "csv": as_csv, "json": as_json}

    def write(made: dict[str, Any]) -> None:
        if out is None:
            print_text(texts[format_](made))
            return
        out.write_bytes(as_pdf(made, chosen) if format_ == "pdf" else texts[format_](made).encode())
        say(f"written to {out}")

    return write


@app.command("draw")
def report_draw(
    seed: Annotated[str, typer.Option(help="any text; agree on it before, and publish it")],
    count: Annotated[int, typer.Option(min=1, help="so many vehicles and so many outlets")],
    city: Annotated[str | None, typer.Option(help="city of the pack (default: hohhot)")] = None,
    policy_name: Annotated[str | None, typer.Option("--policy", help="pack by name or path")] = None,
    on: Annotated[str | None, typer.Option(help="local day whose registry counts (default: today)")] = None,
    inspectors_file: Annotated[Path | None, typer.Option("--inspectors", help="file of inspectors' names, one a line: each drawn vehicle and outlet gets one")] = None,
    publish: Annotated[Path | None, typer.Option("--publish", help="file to write the result to, as it is to be made public")] = None,
    registry_file: Annotated[Path | None, typer.Option("--registry", help="registry file, instead of Kafka's")] = None,
) -> None:
    """Draw vehicles, outlets and their inspectors at random (双随机); the same seed, registry and names give the same draw."""
    from deploy.report.content import as_json
    from deploy.report.draw import draw, read_inspectors
    from streams.clock import now_ms
    from streams.policy.reader import load_policy

    pack = load_policy(policy_named(city, policy_name))
    inspectors = read_inspectors(inspectors_file) if inspectors_file else []
    today = pack.days.date_of(now_ms())
    drawn = draw(pack, _registry(pack, registry_file), seed=seed, count=count, on=local_date(on or today, "--on"), inspectors=inspectors)
    print(shown_json(as_json(drawn)), end="")
    if publish is not None:
        try:
            publish.write_text(shown_json(as_json(drawn)), "utf-8")
        except OSError as error:
            raise YichengError(f"--publish {publish}: {error.strerror}") from None
