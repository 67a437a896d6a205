"""The process in which apprise runs, since what hangs in it cannot be ended otherwise. Reads a request a line and answers a line, both JSON.

It is run by its path, so that ``apprise`` is the library, and ends when whoever started it does.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from typing import Any

GRACE_S = 2.0
"""Whoever started this process ends it in time; where nobody is there any more it ends so much later."""


def trust(ca_file: str) -> None:
    """Trust a file of certificates beside the public ones, in whatever is imported after this."""
    import certifi  # noqa: PLC0415 - only where it is needed

    bundle = os.memfd_create("certificates", 0)
    for path in (certifi.where(), ca_file):
        with open(path, "rb") as file:  # noqa: PTH123
            os.write(bundle, file.read() + b"\n")
    os.environ["SSL_CERT_FILE"] = os.environ["REQUESTS_CA_BUNDLE"] = f"/proc/self/fd/{bundle}"


def apart_s(target: Any) -> float:
    """How far apart the service wants messages, in seconds: 0 for mail. Whoever started this process sees to it; apprise itself would sleep."""
    wanted_s = max(0.0 if "mailto" in server.schemas() else float(server.request_rate_per_sec) for server in target)
    for server in target:
        server.request_rate_per_sec = 0.0
    return wanted_s


def answer(target: Any, request: dict[str, Any]) -> bool:
    """Whether the message of a request was taken by all that the URL names; the process ends where that takes too long."""
    signal.setitimer(signal.ITIMER_REAL, request["timeout_s"] + GRACE_S)
    try:
        return bool(target.notify(title=request["title"], body=request["body"], notify_type=request["type"], body_format="text"))
    except Exception:  # noqa: BLE001 - whatever a plugin raises, it did not take the message
        return False
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)


def main() -> None:
    """First comes the URL, answered by how far apart its service wants messages (seconds), null where it is none; then messages, answered by whether they were taken."""
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "w")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # whatever a plugin prints is no answer
    first = json.loads(sys.stdin.readline())
    if first["ca_file"] is not None:
        trust(first["ca_file"])
    import apprise  # noqa: PLC0415 - takes a second, and reads the environment

    target = apprise.Apprise()
    print(json.dumps(apart_s(target) if target.add(first["url"]) else None), file=answers, flush=True)
    for line in sys.stdin:
        print(json.dumps(answer(target, json.loads(line))), file=answers, flush=True)


if __name__ == "__main__":
    main()
