"""``yicheng doctor``, ``test`` and ``bench``: whether all is there, right, and fast."""

from __future__ import annotations

import os
import sys
from typing import Annotated

import typer

from deploy.commands.options import current_settings
from streams.errors import BadInput, YichengError, nearest


def doctor() -> None:
    """Check everything that is needed, and say how to fix what is missing."""
    from deploy.doctor import examine

    raise typer.Exit(examine(current_settings()))


def test(
    context: typer.Context,
    chaos: Annotated[int, typer.Option(min=0, help="so many long histories of faults instead of the whole suite")] = 0,
) -> None:
    """Run the whole test suite, real Kafka included, in three processes; further arguments go to pytest (-n 0: in one process)."""
    from deploy.children import ROOT, python_command
    from deploy.debian import install_for_tests

    if chaos:
        os.environ["YICHENG_CHAOS"] = str(chaos)
        context.args += ["tests/chaos", "-rP"]
    elif not os.environ.get("YICHENG_KAFKA_BOOTSTRAP") and all(argument.startswith("--") for argument in context.args):
        context.args += ["-n", "3"]  # the whole suite, in processes with a Kafka each; a given cluster they would all need for themselves
    install_for_tests()
    os.chdir(ROOT)
    os.execve(sys.executable, python_command("-m", "pytest", *context.args), {**os.environ, "PYTHONPATH": str(ROOT)})


def bench(names: Annotated[list[str] | None, typer.Argument(help="console, failover, growth, judge, latency, notifier, pipeline, recovery, scans, scrape, street; all without a name")] = None) -> None:
    """Run the benchmarks of tests/bench, one after the other, and print their figures as JSON."""
    import json
    import subprocess

    from deploy import leash
    from deploy.children import ROOT, python_command, python_environment

    folder = ROOT / "tests" / "bench"
    scripts = {script.stem.removeprefix("bench_"): script for script in sorted(folder.glob("bench_*.py"))}
    figures = {}
    for name in names or scripts:
        if name not in scripts:
            raise BadInput(f"no benchmark is called {name!r}{nearest(name, scripts)}")
        script = scripts[name]
        print(f"yicheng: {script.stem} …", file=sys.stderr)
        done = subprocess.run(python_command(script), env=python_environment(folder), stdout=subprocess.PIPE, check=False, preexec_fn=leash.leashed())
        if not done.stdout.strip():
            raise YichengError(f"benchmark {name} failed")
        figures[name] = json.loads(done.stdout)
    print(json.dumps(figures, indent=2))
    if slower := [f"{name}: {found['regression']}" for name, found in figures.items() if found.get("regression")]:
        raise YichengError("; ".join(slower))
