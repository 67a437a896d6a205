"""``yicheng console``: a live map of the city in the browser, and who may log in to it."""

from __future__ import annotations

import sys
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from deploy.commands.options import ColumnsFile, Encoding, current_settings, how_to_read
from deploy.commands.printed import say
from streams.errors import BadInput

if TYPE_CHECKING:
    from collections.abc import Callable

    from consumers.console.city.city import City
    from consumers.console.sources.demo import DemoFeed
    from streams.files.record_files import How

app = typer.Typer(help="A live map of vehicles, zones and incidents in the browser, and who may log in to it.", invoke_without_command=True)
Config = Annotated[Path | None, typer.Option("--config", help="YAML file with settings; YICHENG_* in the environment wins")]


class RoleOption(StrEnum):
    """What a user may do."""

    VIEWER = "viewer"
    OFFICER = "officer"
    ADMIN = "admin"


@app.callback()
def console(
    context: typer.Context,
    config: Config = None,
    demo: Annotated[Path | None, typer.Option(help="without Kafka: replay a recorded day, from the folder that judge --out wrote")] = None,
    gps: Annotated[list[str] | None, typer.Option(help="the fixes of that day, as judge read them; default: gps.jsonl in the folder")] = None,
    policy_name: Annotated[str | None, typer.Option("--policy", help="its pack, if judge was given a file of your own")] = None,
    registry_file: Annotated[Path | None, typer.Option("--registry", help="its registry; default: registry.jsonl in the folder, if there is one")] = None,
    speedup: Annotated[float, typer.Option(min=1, max=3600, help="how much faster than it was")] = 60.0,
    encoding: Encoding = None,
    columns: ColumnsFile = None,
) -> None:
    """A live map of vehicles, zones and incidents in the browser. It waits for Kafka where that is not there."""
    if context.invoked_subcommand is not None:
        return
    from consumers.console.server import run_console
    from deploy.packs.applies import answer

    settings = current_settings(config)
    if demo is None:
        if gps or policy_name or registry_file:
            raise BadInput("--gps, --policy and --registry say what a recorded day was judged with; name its folder with --demo")
        run_console(settings, answer, say=say)
    else:
        policy, feed_of = _recorded(demo, gps or [str(demo / "gps.jsonl")], policy_name, registry_file, speedup, how_to_read(encoding, columns))
        run_console(settings.model_copy(update={"policy": policy}), answer, feed_of, say=say)


@app.command("user")
def console_user(
    name: Annotated[str, typer.Argument(help="1 to 64 letters, digits, _, ., @ or -; answers are given in this name")],
    role: Annotated[RoleOption, typer.Option(help="viewer: looks, at masked plates and drivers; officer: answers, too; admin: all")] = RoleOption.VIEWER,
    config: Config = None,
) -> None:
    """Add a user to the file that YICHENG_CONSOLE_USERS names, or give one another password and role; without such a file the line for it is printed. The password is asked for, or is the first line of standard input."""
    from consumers.console.accounts.passwords import hashed
    from consumers.console.accounts.users import NAME, User, line_of, write_user

    if not NAME.fullmatch(name):
        raise BadInput(f"{name!r} is no name: 1 to 64 letters, digits, _, ., @ or - are expected")
    file = current_settings(config).console_users
    user = User(name, role.value, hashed(_new_password()))
    if file is None:
        say(f"users:\n{line_of(user)}")
    else:
        before = write_user(file, user)
        say(f"{file}: {name} {'has another password and role' if before else 'is added'} ({role.value}) / {'已更新' if before else '已添加'}")


def _new_password() -> str:
    """What is typed twice without being shown, or the first line of standard input."""
    if not sys.stdin.isatty():
        return sys.stdin.readline().rstrip("\r\n")
    from getpass import getpass

    first = getpass("password 密码: ")
    if getpass("again 再次输入: ") != first:
        raise BadInput("the two passwords differ; nothing was changed / 两次输入的密码不同")
    return first


def _recorded(folder: Path, gps: list[str], policy_name: str | None, registry_file: Path | None, speedup: float, how: How) -> tuple[str, Callable[[City], DemoFeed]]:
    """The pack's name and what makes the feed of a recorded day; whatever cannot be read is told before anything is started."""
    from consumers.console.sources.demo import DemoFeed, read_folder, refused_ids
    from producers.replay import read_records
    from streams.policy.policy import Policies
    from streams.policy.reader import load_policy
    from streams.registry.files import load_registry
    from streams.registry.registry import Registry

    named, incidents, rates = read_folder(folder)
    refused = refused_ids(folder)
    policy = load_policy(policy_name or named)
    held = registry_file or next((path for path in [folder / "registry.jsonl"] if path.is_file()), None)
    registry = load_registry(held, policy.timezone, policy.zone_kinds) if held else Registry(policy.timezone)
    for path in gps:
        if not Path(path).exists():
            raise BadInput(f"--gps {path}: no such file; give the fixes that judge read")

    def prepare(city: City) -> None:
        city.policies, city.registry = Policies([policy]), registry
        city.version += 1

    def feed_of(city: City) -> DemoFeed:
        return DemoFeed(city, prepare, lambda: ((due, value) for due, kind, _, value in read_records(gps, how) if kind == "gps"), incidents, rates, speedup, refused)

    return policy.name, feed_of
