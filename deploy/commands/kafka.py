"""``yicheng kafka``: the embedded broker in the background."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from deploy.commands.options import current_settings
from deploy.commands.printed import say
from streams.errors import YichengError

app = typer.Typer(help="The embedded Kafka broker.", no_args_is_help=True)


def _broker_home() -> Path:
    return Path(current_settings().state_dir).resolve() / "kafka"


@app.command("start")
def kafka_start(port: Annotated[int, typer.Option(help="port; another free one if it is taken")] = 9092) -> None:
    """Start the embedded broker in the background, with its data under .yicheng/kafka."""
    from deploy.broker import EmbeddedKafka, answers
    from deploy.running import broker_process, note_running, read_running

    home = _broker_home()
    running = read_running(home)
    if running is not None and broker_process(home, running):
        if not answers(running.bootstrap):
            raise YichengError(f"a broker of {home} is there already (process {running.pid}) but does not answer; end it with ./yicheng kafka stop")
        say(f"already running at {running.bootstrap}")
        return
    broker = EmbeddedKafka(home, port=port, outlive=True)
    bootstrap = broker.start(lambda what: print(f"downloading {what}", file=sys.stderr))
    note_running(home, broker)
    say(f"Kafka answers at {bootstrap}; export YICHENG_KAFKA_BOOTSTRAP={bootstrap}")
    sys.stdout.flush()
    broker.release()  # not sooner: nobody knows a broker that was not told of


@app.command("stop")
def kafka_stop() -> None:
    """Stop the broker that ``kafka start`` started."""
    from deploy.running import stop_running

    say("Kafka is stopping" if stop_running(_broker_home()) else "Kafka had stopped already")


@app.command("status")
def kafka_status() -> None:
    """Say whether the broker answers."""
    from deploy.broker import answers
    from deploy.running import read_running

    running = read_running(_broker_home())
    bootstrap = running.bootstrap if running is not None else current_settings().kafka_bootstrap
    if not answers(bootstrap):
        raise YichengError(f"Kafka at {bootstrap} does not answer; start it with ./yicheng kafka start")
    say(f"Kafka answers at {bootstrap}")
