"""``yicheng report``: a city's figures, and vehicles and outlets drawn for inspection."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from deploy.commands.options import current_settings, local_date, policy_named
from deploy.commands.printed import print_text, say
from streams.errors import BadInput, nearest
from streams.shown import shown_json

if TYPE_CHECKING:
    from streams.policy.policy import Policy
    from streams.registry.registry import Registry

app = typer.Typer(help="A city's figures over local days: rates, incidents, key figures against targets.", invoke_without_command=True)


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
    policy_name: Annotated[str | None, typer.Option("--policy", help="pack by name or path")] = None,
    from_: Annotated[str | None, typer.Option("--from", help="first local day, YYYY-MM-DD")] = None,
    until: Annotated[str | None, typer.Option(help="last local day, included")] = None,
    format_: Annotated[str, typer.Option("--format", help="html, csv or json")] = "html",
    out: Annotated[Path | None, typer.Option(help="file to write (default: standard output)")] = None,
    judged: Annotated[Path | None, typer.Option(help="folder that ./yicheng judge wrote, instead of Kafka")] = None,
    registry_file: Annotated[Path | None, typer.Option("--registry", help="registry file, instead of Kafka's")] = None,
) -> None:
    """A city's figures over local days: rates by enterprise, incidents by rule, key figures against targets."""
    if context.invoked_subcommand:
        return
    from deploy.report import FORMATS, gather, judged_files, published_now
    from streams.policy.reader import load_policy

    if from_ is None or until is None:
        raise BadInput("a report needs --from DATE and --until DATE")
    if format_ not in FORMATS:
        raise BadInput(f"--format {format_!r} is not one of {', '.join(FORMATS)}{nearest(format_, FORMATS)}")
    pack = load_policy(policy_named(city, policy_name))
    days = local_date(from_, "--from"), local_date(until, "--until")
    source = published_now(current_settings().kafka_bootstrap) if judged is None else judged_files(judged)
    text = FORMATS[format_](gather(pack, _registry(pack, registry_file), *source, *days))
    if out is None:
        print_text(text)
    else:
        out.write_text(text, "utf-8")
        say(f"written to {out}")


@app.command("draw")
def report_draw(
    seed: Annotated[str, typer.Option(help="any text; agree on it before, and publish it")],
    count: Annotated[int, typer.Option(min=1, help="so many vehicles and so many outlets")],
    city: Annotated[str | None, typer.Option(help="city of the pack (default: hohhot)")] = None,
    policy_name: Annotated[str | None, typer.Option("--policy", help="pack by name or path")] = None,
    on: Annotated[str | None, typer.Option(help="local day whose registry counts (default: today)")] = None,
    registry_file: Annotated[Path | None, typer.Option("--registry", help="registry file, instead of Kafka's")] = None,
) -> None:
    """Draw vehicles and outlets for inspection at random (双随机); the same seed and registry give the same draw."""
    import time

    from deploy.report import as_json, draw
    from streams.policy.reader import load_policy

    pack = load_policy(policy_named(city, policy_name))
    today = pack.days.date_of(time.time_ns() // 1_000_000)
    print(shown_json(as_json(draw(pack, _registry(pack, registry_file), seed=seed, count=count, on=local_date(on or today, "--on")))), end="")
