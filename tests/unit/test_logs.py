"""Logs of libraries: what fails is said once, on one line."""

import json
import subprocess
import sys

from conftest import ROOT

SPEAK = """
import logging
from streams.process.logs import configure_logs
configure_logs("INFO")
kafka = logging.getLogger("kafka.net")
for port in (9092, 9093):
    for _ in range(50):
        try:
            raise ConnectionResetError(104, "Connection reset by peer")
        except OSError:
            kafka.exception("%s: connection lost", port)
try:
    {}["a"]
except KeyError:
    kafka.exception("a fault of the library")
kafka.info("nobody asked")
"""


def test_a_library_says_once_what_fails_and_shows_a_traceback_of_faults_only():
    done = subprocess.run([sys.executable, "-c", SPEAK], cwd=ROOT, capture_output=True, text=True, check=True)
    lost, other, fault = map(json.loads, done.stderr.splitlines())
    assert lost == {"level": "error", "logger": "kafka.net", "event": "9092: connection lost", "exception": "ConnectionResetError: [Errno 104] Connection reset by peer"}
    assert other["event"] == "9093: connection lost"
    assert fault["exception"].startswith("Traceback") and "KeyError" in fault["exception"]
