"""The broker that ``kafka start`` left in the background: which process it is, and whether that is still it."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

import msgspec
import psutil

from deploy.broker import EmbeddedKafka
from streams.errors import YichengError

_MAIN_CLASS = "kafka.Kafka"


class Running(msgspec.Struct):
    """A broker's process id and its address."""

    pid: int
    bootstrap: str


def note_running(home: Path, broker: EmbeddedKafka) -> None:
    """Write down which process serves the data under ``home``."""
    assert broker.process is not None
    descriptor = os.open(home / "running", os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(msgspec.json.encode(Running(broker.process.pid, broker.bootstrap)))


def read_running(home: Path) -> Running | None:
    """What ``note_running`` wrote; None where nothing is there. ``YichengError`` where it is damaged."""
    path = home / "running"
    try:
        text = path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise YichengError(f"{path} cannot be read ({error.strerror})") from None
    with suppress(msgspec.DecodeError, UnicodeDecodeError):
        return msgspec.json.decode(text, type=Running)
    words = text.split()  # as written by version 0.1
    if len(words) == 2 and words[0].isdigit():
        return Running(int(words[0]), words[1].decode("utf-8", "replace"))
    raise YichengError(f"{path} does not say which process the broker is; find it with: pgrep -af {_MAIN_CLASS}, then remove that file")


def broker_process(home: Path, running: Running) -> psutil.Process | None:
    """The process, if it is a broker of ours that serves the data under ``home``: ids are used again, by anybody's processes.

    Told by the user that runs it and by its command line, which ends with the class and our properties file.
    """
    try:
        process = psutil.Process(running.pid)
        ours = process.uids().real == os.getuid() and process.cmdline()[-2:] == [_MAIN_CLASS, str(home / "server.properties")]
    except (psutil.Error, ValueError, OverflowError, OSError):
        return None
    return process if ours else None


def stop_running(home: Path) -> bool:
    """Ask the broker to end, and forget it; False where it had ended already. No other process is ever signalled."""
    running = read_running(home)
    if running is None:
        raise YichengError("no broker was started here with ./yicheng kafka start")
    process = broker_process(home, running)
    with suppress(psutil.NoSuchProcess):
        if process is not None:
            process.terminate()  # psutil looks once more whether the process is the one that was asked
    (home / "running").unlink(missing_ok=True)
    return process is not None
