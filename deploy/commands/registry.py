"""``yicheng registry``: what is on record of vehicles, drivers, enterprises and outlets."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from deploy.commands.options import Encoding, Seed, current_settings, policy_named
from deploy.commands.printed import say
from streams.errors import YichengError
from streams.shown import shown_json

app = typer.Typer(help="Registry records: vehicles, drivers, enterprises, outlets, passes.", no_args_is_help=True)


@app.command("sample")
def registry_sample(
    out: Annotated[Path, typer.Option(help="file to write (JSONL)")],
    city: Annotated[str | None, typer.Option(help="city of the pack")] = None,
    vehicles: Annotated[int, typer.Option(min=1, max=70_000, help="number of vehicles")] = 2_400,
    seed: Seed = 1,
) -> None:
    """Write a fictional registry, the same for the same seed."""
    from producers.traffic import write_sample_registry
    from streams.policy.reader import load_policy

    say(f"{write_sample_registry(load_policy(policy_named(city, None)), vehicles, seed, out)} records → {out}")


@app.command("import")
def registry_import(
    file: Annotated[Path, typer.Argument(help="registry records (.jsonl, .yaml, .csv, .xlsx)")],
    policy_name: Annotated[str | None, typer.Option("--policy", help="pack whose zones the passes name (default: YICHENG_POLICY)")] = None,
    replace: Annotated[bool, typer.Option("--replace", help="in place of all published versions of these ids, not beside them")] = False,
    encoding: Encoding = None,
) -> None:
    """Publish registry records to Kafka beside earlier versions of their ids; the whole file is checked first."""
    from deploy.admin import import_registry
    from streams.policy.reader import load_policy
    from streams.registry.files import load_registry

    pack = load_policy(policy_name or current_settings().policy)
    records = load_registry(file, pack.timezone, pack.zone_kinds, encoding=encoding)
    say(import_registry(current_settings().kafka_bootstrap, records, replace=replace))


@app.command("export")
def registry_export() -> None:
    """Print every record that Kafka holds, one a line."""
    from deploy.admin import read_registry

    for line in read_registry(current_settings().kafka_bootstrap):
        print(shown_json(line))


@app.command("show")
def registry_show(record: Annotated[str, typer.Argument(help="kind/id, such as vehicle/HH-12345")]) -> None:
    """Print the versions of one record."""
    from deploy.admin import read_registry

    lines = list(read_registry(current_settings().kafka_bootstrap, record))
    if not lines:
        raise YichengError(f"no record {record}; records are named kind/id")
    print("\n".join(map(shown_json, lines)))
