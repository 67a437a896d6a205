"""``yicheng registry``: what is on record of vehicles, drivers, enterprises and outlets."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from deploy.commands.options import Encoding, Seed, current_settings, policy_named
from deploy.commands.printed import say
from streams.errors import YichengError
from streams.words.basis import Words
from streams.words.shown import shown_json

if TYPE_CHECKING:
    from streams.policy.pack import Pack

app = typer.Typer(help="Registry records: vehicles, drivers, enterprises, outlets, passes, notices, townships, facilities, lines.", no_args_is_help=True)
PolicyName = Annotated[str | None, typer.Option("--policy", help="pack whose zones the passes and lines name (default: YICHENG_POLICY)")]


class Language(StrEnum):
    """In which language to say it."""

    ZH = "zh"
    EN = "en"


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
    policy_name: PolicyName = None,
    replace: Annotated[bool, typer.Option("--replace", help="in place of all published versions of these ids, not beside them")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="only say what would change of what Kafka holds; publish nothing")] = False,
    encoding: Encoding = None,
) -> None:
    """Publish registry records to Kafka beside earlier versions of their ids; the whole file is checked first."""
    from deploy.admin import import_registry
    from streams.policy.reader import load_policy
    from streams.registry.files import load_registry
    from streams.registry.gaps import late_notices
    from streams.words.terms import is_chinese

    pack = load_policy(policy_name or current_settings().policy)
    records = load_registry(file, pack.timezone, pack.zone_kinds, encoding=encoding)
    for words in late_notices(records):
        say("\n".join(words))
    changes = import_registry(current_settings().kafka_bootstrap, records, replace=replace, dry_run=dry_run)
    if dry_run:
        for line in changes.lines("zh" if is_chinese() else "en"):
            say(line)
    say("\n".join(changes.counts(published=not dry_run)))


@app.command("check")
def registry_check(
    file: Annotated[Path, typer.Argument(help="registry records (.jsonl, .yaml, .csv, .xlsx)")],
    policy_name: PolicyName = None,
    lang: Annotated[Language | None, typer.Option(help="only in Chinese, or only in English")] = None,
    encoding: Encoding = None,
) -> None:
    """Say what a file does not say, and for which key figures and rules of a pack it is missing; fails where it names records that it does not hold."""
    from streams.clock import now_ms
    from streams.policy.claims import figure_clauses
    from streams.policy.reader import load_policy
    from streams.registry.files import load_registry
    from streams.registry.gaps import gaps

    pack = load_policy(policy_name or current_settings().policy)
    records = load_registry(file, pack.timezone, pack.zone_kinds, encoding=encoding)
    found = gaps(records, now_ms(), _asking(pack.pack), pack.pack.city.adcode, pack.pack.targets, _lines(pack.pack), figure_clauses(pack.pack), pack.pack.subsidised)
    for words in found.words():
        say("\n".join(words) if lang is None else words[lang is Language.EN])
    if found.unknown:
        raise YichengError(f"{file}: it names records that it does not hold; add them, or correct the names 引用了未登记的记录，请补充或更正")


def _asking(pack: Pack) -> dict[str, Words]:
    """What the rules of a pack are called; ``nonstandard_vehicle:key`` for each key of a vehicle to which it allows some values only, ``exempt:marked`` where marking exempts; ``name:primary_brand`` of rules and targets that are about primary brands."""
    from streams.policy.conditions import title_words
    from streams.registry.key_figures import TITLES

    titles = {rule.rule: title_words(rule.rule) for rule in pack.rules}
    allowed = {key for rule in pack.rules if rule.rule == "nonstandard_vehicle" for key in ("classes", "body", "energy") if getattr(rule.parameters.allow, key) is not None}
    exempting = {f"exempt:{key}": titles[rule.rule] for rule in pack.rules for each in rule.alternatives for key in each.conditions}
    brands = {f"{rule.rule}:primary_brand": titles[rule.rule] for rule in pack.rules if getattr(rule.parameters, "primary_brands_only", False)}
    brands |= {f"{measure}:primary_brand": Words(*TITLES[measure]) for measure, target in pack.targets.items() if target.scope == "primary_brands"}
    return titles | brands | {f"nonstandard_vehicle:{key}": titles["nonstandard_vehicle"] for key in allowed} | {key: Words(f"{zh}的豁免", f"exemptions from: {en}") for key, (zh, en) in exempting.items()}


def _lines(pack: Pack) -> list[str]:
    """The delivery lines that a pack names."""
    return [line for rule in pack.rules if rule.rule == "missed_line" for line in rule.parameters.lines or ()]


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
