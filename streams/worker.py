"""The worker process: the app of ``app.py`` under Faust's supervisor, with its metrics page."""

from __future__ import annotations

import gc
import signal
import socket
import time
from typing import Any

import faust
import structlog

from streams import metrics
from streams.app import build_app
from streams.process.logs import LIBRARIES, configure_logs
from streams.process.stopping import PROCESS_GRACE_S, stopping
from streams.settings import GC_THRESHOLDS, Settings

log = structlog.get_logger()


class _Worker(faust.Worker):
    """Faust's, which stops within a limited time whatever Kafka does, and for any signal that asks."""

    def install_signal_handlers(self) -> None:
        """Asked to stop, it drains; it does not go on doing so for ever."""
        stopping.when_asked(lambda: self.loop.call_soon_threadsafe(self._on_sigterm), PROCESS_GRACE_S, _cut_short, late_code=1)

    def on_worker_shutdown(self) -> None:
        """Stopping after a failure takes no longer."""
        stopping.count_down()
        super().on_worker_shutdown()


def _cut_short(*_: Any) -> None:
    log.warning("stopped before the end of the drain; the last checkpoint counts, nothing is lost: what came after it will be judged again")


def run_worker(settings: Settings) -> None:
    """Run until SIGTERM or SIGINT; exits non-zero after a failure."""
    configure_logs(settings.log_level)
    settings.state_dir.mkdir(parents=True, exist_ok=True)
    with socket.socket() as probe:  # Faust binds its web port even when the web is off
        probe.bind(("127.0.0.1", 0))
        web_port = probe.getsockname()[1]
    app = build_app(settings, web_port)
    gc.set_threshold(*GC_THRESHOLDS)
    signal.signal(signal.SIGCONT, lambda *_: app.watchdog.woken(time.monotonic()))
    metrics.serve(settings.metrics_host, settings.metrics_port or metrics.WORKER_PORT, app.ready)
    worker = _Worker(app, loglevel="WARNING", redirect_stdouts=False, quiet=True, logging_config=LIBRARIES)
    worker.spinner = None  # it writes to stdout, quiet or not, and the worker ends where nobody can take that
    worker.execute_from_commandline()
