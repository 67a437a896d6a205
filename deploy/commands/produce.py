"""``yicheng produce``: traffic for Kafka."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from deploy.commands.options import ColumnsFile, Encoding, Scenario, Seed, current_settings, duration_ms, how_to_read, policy_named
from deploy.commands.printed import say

app = typer.Typer(help="Traffic for Kafka: a synthetic fleet, or recorded files.", no_args_is_help=True)


@app.command()
def synthetic(
    city: Annotated[str | None, typer.Option(help="city of the pack")] = None,
    policy_name: Annotated[str | None, typer.Option("--policy", help="pack by name or path")] = None,
    registry_file: Annotated[Path | None, typer.Option("--registry", help="registry the fleet is drawn from; default: a made-up one, as large as the traffic takes")] = None,
    rate: Annotated[float, typer.Option(min=0.1, help="fixes per second")] = 200.0,
    duration: Annotated[str, typer.Option(help="how long the traffic lasts")] = "1m",
    speedup: Annotated[float, typer.Option(min=0.001, help="how much faster than the clock simulated time runs")] = 60.0,
    interval: Annotated[str, typer.Option(help="a vehicle reports this often (simulated time)")] = "10s",
    scenario: Annotated[Scenario, typer.Option(help="full-day: all of yesterday, as long as that takes at this --speedup")] = Scenario.PRESENT,
    seed: Seed = 1,
    faults: Annotated[str, typer.Option(help="dup=0.05,late=0.02,shuffle=30s,malformed=0.001")] = "",
    truth: Annotated[Path | None, typer.Option(help="write what was injected to this file (JSON)")] = None,
    quiet: Annotated[bool, typer.Option("--quiet", help="no progress bar")] = False,
) -> None:
    """A seeded fleet, its parcels, cameras and feeds, in simulated time that ends at the present."""
    from producers.faults import parse_faults
    from producers.traffic import produce_synthetic
    from streams.policy.reader import load_policy

    produce_synthetic(
        current_settings().kafka_bootstrap, load_policy(policy_named(city, policy_name)), registry_file, rate=rate,
        duration_ms=duration_ms(duration, "--duration"), speedup=speedup, interval_ms=duration_ms(interval, "--interval"),
        seed=seed, faults=parse_faults(faults), truth_file=truth, quiet=quiet, full_day=scenario is Scenario.FULL_DAY,
    )  # fmt: skip


@app.command()
def replay(
    files: Annotated[list[str], typer.Argument(help="JSONL, CSV, T-Drive .txt, GeoLife .plt, packed or not, folders of them, - for stdin")],
    rate: Annotated[float, typer.Option(min=0, help="records per second; 0: as fast as they go")] = 0.0,
    speedup: Annotated[float, typer.Option(min=0, help="keep the recorded times, this much faster; 0: no")] = 0.0,
    truth: Annotated[Path | None, typer.Option(help="write how much was sent to this file (JSON)")] = None,
    quiet: Annotated[bool, typer.Option("--quiet", help="no progress bar")] = False,
    encoding: Encoding = None,
    columns: ColumnsFile = None,
) -> None:
    """Recorded files, merged by event time; each keeps its own order."""
    from producers.traffic import produce_replay

    how = how_to_read(encoding, columns)
    say(produce_replay(current_settings().kafka_bootstrap, files, rate=rate, speedup=speedup, truth_file=truth, quiet=quiet, how=how))
