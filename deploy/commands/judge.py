"""``yicheng judge``: recorded files, without Kafka."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from deploy.commands.options import ColumnsFile, Encoding, current_settings, how_to_read
from deploy.commands.printed import say
from streams.errors import BadInput, YichengError

if TYPE_CHECKING:
    from streams.policy.policy import Policy
    from streams.registry.registry import Registry


def judge(
    policy_name: Annotated[str, typer.Option("--policy", help="pack by name or path")],
    out: Annotated[Path, typer.Option(help="folder for incidents.jsonl, rates.jsonl, rejects.jsonl, summary.json")],
    registry_file: Annotated[Path | None, typer.Option("--registry", help="registry file (.jsonl, .yaml, .csv, .xlsx)")] = None,
    gps: Annotated[list[str] | None, typer.Option(help="fixes: JSONL, CSV, GeoLife, T-Drive, packed or not, a folder of them, - for stdin; may be repeated")] = None,
    scans: Annotated[list[str] | None, typer.Option(help="parcel scans, likewise")] = None,
    heartbeats: Annotated[list[str] | None, typer.Option(help="heartbeats of cameras and feeds, likewise")] = None,
    answers: Annotated[str | None, typer.Option(help="answers to incidents, JSONL as in courier.feedback.v1, for packs that count only what police confirm")] = None,
    encoding: Encoding = None,
    columns: ColumnsFile = None,
) -> None:
    """Judge recorded files with the same engine, without Kafka."""
    from deploy.intake import account
    from deploy.judge import IDENTITY_KEY, judge_files
    from deploy.report.words import key_figure_lines
    from streams.files.record_columns import NAMES
    from streams.policy.reader import load_policy
    from streams.registry.registry import Registry

    if not gps and not scans and not heartbeats:
        raise BadInput("nothing to judge; give --gps FILE, --scans FILE or --heartbeats FILE")
    pack = load_policy(policy_name)
    known = _registry_in(registry_file, pack, encoding) if registry_file else Registry(pack.timezone)
    key = current_settings().identity_key
    name_by = key.get_secret_value().encode() if key and key.get_secret_value() else IDENTITY_KEY
    how = how_to_read(encoding, columns)
    try:
        summary = judge_files(pack, known, gps or [], scans or [], out, heartbeats=heartbeats or [], answers=answers, identity_key=name_by, how=how)
    except OSError as error:
        raise YichengError(f"{error.filename or out}: {error.strerror or error}") from None
    read, incidents = sum(sum(summary[name].values()) for name in NAMES.values()), sum(summary["incidents"].values())
    say(f"{read} records in {summary['seconds']} s ({summary['records_per_second']}/s): {incidents} incidents → {out}")
    asked = {NAMES[kind] for kind, files in (("gps", gps), ("scan", scans), ("heartbeat", heartbeats)) if files}
    for line in (*account(summary, asked), *key_figure_lines(summary)):
        say(line)
    _refuse_nothing(summary, asked, out)


def _registry_in(file: Path, policy: Policy, encoding: str | None) -> Registry:
    """The records in a file; what is most likely not meant with them is said."""
    from streams.registry.files import load_registry
    from streams.registry.gaps import of_other_cities

    known = load_registry(file, policy.timezone, policy.zone_kinds, encoding=encoding)
    if not len(known):
        say(f"{file} 没有任何登记记录：所有车辆和网点都将按未登记判定。It holds no record: every vehicle and outlet counts as unregistered.")
    for words in of_other_cities(known, policy.pack.city.adcode):
        say("\n".join(words))
    return known


def _refuse_nothing(summary: dict[str, Any], asked: set[str], out: Path) -> None:
    """Fail where nothing was accepted at all, or nothing of all that was there of a kind that was asked for."""
    from deploy.intake import accepted

    why = f"{out / 'rejects.jsonl'} has the reason for each"
    read = {name: sum(outcomes.values()) for name, outcomes in summary.items() if name in asked}
    if not any(accepted(summary[name]) for name in asked):
        raise YichengError(f"none of {sum(read.values())} records could be judged; {why}" if any(read.values()) else "the files hold no record")
    for name in sorted(asked):
        if read[name] and not accepted(summary[name]):
            raise YichengError(f"none of {read[name]} {name} could be judged; {why}")
