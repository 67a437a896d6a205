"""``yicheng up``: what is asked for, checked before anything is started."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from deploy.commands.options import ColumnsFile, Encoding, Scenario, Seed, current_settings, duration_ms, how_to_read, policy_named
from streams.errors import BadInput

FULL_DAY_VEHICLES = 200


def up(
    city: Annotated[str | None, typer.Option(help="city of a pack that comes with Yicheng (default: hohhot)")] = None,
    policy_name: Annotated[str | None, typer.Option("--policy", help="pack by name, or the path of your own")] = None,
    rate: Annotated[float | None, typer.Option(help="fixes per second (default 200; recorded files: as fast as they go)")] = None,
    duration: Annotated[str, typer.Option(help="how long the traffic lasts, such as 30s or 5m")] = "24m",
    seed: Seed = 1,
    speedup: Annotated[float, typer.Option(help="how much faster than the clock simulated time runs")] = 60.0,
    input_files: Annotated[list[Path] | None, typer.Option("--input", help="judge recorded files or folders instead of synthetic traffic")] = None,
    registry_file: Annotated[Path | None, typer.Option("--registry", help="registry file (.jsonl, .yaml, .csv, .xlsx); default: a sample registry")] = None,
    scenario: Annotated[Scenario, typer.Option(help="full-day: all of yesterday, as long as that takes at this --speedup; 200 vehicles unless --rate says otherwise")] = Scenario.PRESENT,
    workers: Annotated[int, typer.Option(min=1, max=12, help="Faust workers that share the work")] = 1,
    faults: Annotated[str, typer.Option(help="faults to inject: dup=0.05,late=0.02,shuffle=30s,malformed=0.001")] = "",
    keep: Annotated[bool, typer.Option("--keep", help="go on with the topics and state of the last run")] = False,
    wipe: Annotated[bool, typer.Option("--wipe", help="on a cluster of your own: delete its courier.* topics first")] = False,
    kafka_port: Annotated[int, typer.Option(min=0, max=65535, help="port of the embedded Kafka; another free one, which is named, if it is taken")] = 9092,
    monitoring: Annotated[bool | None, typer.Option("--monitoring/--no-monitoring", help="with Prometheus and the alert rules; default: where it is installed")] = None,
    prometheus_port: Annotated[int, typer.Option(min=0, max=65535, help="port of Prometheus; another free one, which is named, if it is taken")] = 9090,
    live_map: Annotated[bool, typer.Option("--console/--no-console", help="with the console, a live map in the browser; its port is YICHENG_CONSOLE_PORT, or a free one")] = True,
    open_map: Annotated[bool, typer.Option("--open", help="open the live map in a browser")] = False,
    stay: Annotated[bool, typer.Option("--stay", help="keep everything up after the traffic has ended, to be looked at, until Ctrl-C")] = False,
    encoding: Encoding = None,
    columns: ColumnsFile = None,
) -> None:
    """Run the whole system on this machine, with a live summary. Ctrl-C stops everything."""
    from deploy.local import Local
    from deploy.up.plan import UpPlan
    from streams.policy.reader import load_policy

    inputs, full_day = input_files or [], scenario is Scenario.FULL_DAY
    _check_options(rate, speedup, faults, monitoring=monitoring, maps=(live_map, open_map))
    _check_inputs(inputs, encoding, columns, full_day=full_day)
    usual_rate = 0.0 if inputs else FULL_DAY_VEHICLES * speedup / 60 if full_day else 200.0
    plan = UpPlan(
        policy=load_policy(policy_named(city, policy_name)), policy_source=policy_named(city, policy_name), rate=usual_rate if rate is None else rate, full_day=full_day,
        duration_ms=duration_ms(duration, "--duration"), seed=seed, speedup=speedup, inputs=inputs, registry_file=registry_file,
        workers=workers, faults=faults, keep=keep, wipe=wipe, kafka_port=kafka_port, encoding=encoding, columns=columns,
        monitoring=monitoring, prometheus_port=prometheus_port, live_map=live_map, open_map=open_map, stay=stay,
    )  # fmt: skip
    raise typer.Exit(Local(plan, current_settings()).run())


def _check_options(rate: float | None, speedup: float, faults: str, *, monitoring: bool | None, maps: tuple[bool, bool]) -> None:
    from deploy.up.monitoring import need_prometheus
    from producers.faults import parse_faults

    parse_faults(faults)
    if monitoring:
        need_prometheus()
    if maps == (False, True):
        raise BadInput("--open opens the console; leave out --no-console")
    for name, value in (("--rate", rate), ("--speedup", speedup)):
        if value is not None and value <= 0:
            raise BadInput(f"{name}: {value} is not greater than 0")


def _check_inputs(inputs: list[Path], encoding: str | None, columns: Path | None, *, full_day: bool) -> None:
    """What is wrong with recorded files, and with how they are to be read, is told before anything is started."""
    for path in inputs:
        if not path.exists():
            raise BadInput(f"--input {path}: no such file or folder")
    if (encoding or columns) and not inputs:
        raise BadInput("--encoding and --columns say how to read recorded files; name those with --input")
    how_to_read(encoding, columns)
    if full_day and inputs:
        raise BadInput("--scenario full-day makes its own traffic; leave out --input, or --scenario")
