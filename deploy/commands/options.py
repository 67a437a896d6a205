"""Options that several commands have, and what they mean."""

from __future__ import annotations

from datetime import date
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from streams.errors import BadInput, nearest

if TYPE_CHECKING:
    from streams.files.record_files import How
    from streams.settings import Settings

Encoding = Annotated[str | None, typer.Option("--encoding", help="of files that are not UTF-8: gbk, utf-16, …")]
ColumnsFile = Annotated[Path | None, typer.Option("--columns", help="YAML file: field of a record: column of the table")]
Seed = Annotated[int, typer.Option(help="the same seed gives the same traffic")]


class Scenario(StrEnum):
    """Which time synthetic traffic is about."""

    PRESENT = "present"
    FULL_DAY = "full-day"


def current_settings(config: Path | None = None) -> Settings:
    """The settings of the environment and, where it says nothing, of a file."""
    from streams.process.kafka_login import log_in
    from streams.settings import load_settings

    settings = load_settings(config)
    log_in(settings)
    return settings


def policy_named(city: str | None, policy_name: str | None) -> str:
    """The pack that ``--policy``, else ``--city`` means."""
    from streams.policy.reader import packs

    if policy_name:
        return policy_name
    wanted = city or "hohhot"
    found = [pack for pack in packs() if wanted in {pack, pack.rpartition("-")[0]}]
    if not found:
        cities = [pack.rpartition("-")[0] for pack in packs()]
        raise BadInput(f"no pack for the city {wanted!r}{nearest(wanted, cities)}; --policy FILE takes a pack of your own")
    return found[-1]


def duration_ms(text: str, option: str) -> int:
    """A duration such as 30s; ``BadInput`` names the option."""
    from streams import clock

    try:
        value = clock.duration_ms(text)
    except ValueError as error:
        raise BadInput(f"{option}: {error}") from None
    if value <= 0:
        raise BadInput(f"{option}: {text} is not longer than nothing")
    return value


def local_date(text: str, option: str) -> date:
    """A date such as 2026-06-25; ``BadInput`` names the option."""
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise BadInput(f"{option}: {text!r} is not a date such as 2026-06-25") from None


def how_to_read(encoding: str | None, columns: Path | None) -> How:
    """How to read recorded files, from --encoding and --columns."""
    from streams.files.record_columns import read_mapping
    from streams.files.record_files import How
    from streams.files.text_files import as_text

    as_text("", b"", iter(()), encoding)  # whether there is such an encoding
    return How(encoding=encoding, mapping=read_mapping(columns) if columns else None)
