"""Free ports of this machine, for what is started here."""

from __future__ import annotations

import contextlib
import random
import socket
import sys
from collections import deque

from streams.errors import Unavailable

PORTS = range(20_000, 32_000)
"""Below those that systems give to outgoing connections, any of which could take a free port before its server does."""
MOST_CHOSEN = 64
"""So many of the ports that a process has chosen it holds against others, the latest."""
_chosen: deque[socket.socket] = deque()


def free_port(wanted: int = 0) -> int:
    """The wanted port if it is free on loopback, else some free one that nobody else has chosen by this function and not used yet."""
    if wanted and _is_free(wanted):
        return wanted
    for port in random.SystemRandom().sample(PORTS, 20):
        if _is_free(port) and _choose(port):
            return port
    raise Unavailable("no free port on 127.0.0.1")


def _is_free(port: int) -> bool:
    with socket.socket() as probe, contextlib.suppress(OSError):
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind(("127.0.0.1", port))
        return True
    return False


def _choose(port: int) -> bool:
    """Hold a port's name while this process lives, or until it has chosen many others; False where one holds it already. Linux alone has such names."""
    if sys.platform != "linux":
        return True
    name = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    try:
        name.bind(f"\0yicheng-port-{port}")
    except OSError:
        name.close()
        return False
    _chosen.append(name)
    if len(_chosen) > MOST_CHOSEN:
        _chosen.popleft().close()
    return True
