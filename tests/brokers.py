"""Which Kafka the tests use: a given one, one in a container, or the embedded one; and why."""

import os
import shutil
import subprocess
import threading
from contextlib import suppress
from pathlib import Path

from deploy.broker import JARS, EmbeddedKafka, answers

OLDER_JARS = Path(__file__).parent / "street" / "jars-3.9.lock"
"""Kafka 3.9, the last of version 3, by YICHENG_TEST_KAFKA=embedded-3.9."""
IMAGE = "confluentinc/cp-kafka:7.9.2"
"""Kafka 3.9. Testcontainers' Kafka runs what it finds in /etc/confluent/docker: images of others have no such thing."""
PATIENCE_S = 60.0
SETTINGS = {
    "KAFKA_AUTO_CREATE_TOPICS_ENABLE": "false", "KAFKA_GROUP_MIN_SESSION_TIMEOUT_MS": "1000",
    "KAFKA_TRANSACTION_STATE_LOG_REPLICATION_FACTOR": "1", "KAFKA_TRANSACTION_STATE_LOG_MIN_ISR": "1",
}  # fmt: skip


class Broker:
    """One Kafka for a whole run of tests. ``about`` says which it is, ``bootstrap`` where, once started."""

    def __init__(self, environment=os.environ, image=IMAGE, patience_s=PATIENCE_S):
        self.given = environment.get("YICHENG_KAFKA_BOOTSTRAP", "")
        self.wanted = environment.get("YICHENG_TEST_KAFKA", "")
        self.image, self.patience_s = image, patience_s
        self.bootstrap, self.about = "", ""
        self._stop = lambda: None

    def choose(self):
        """Start a container where one is wanted and can be had; else say what is used instead. The embedded broker starts when it is needed."""
        if self.wanted not in {"", "container", "embedded", "embedded-3.9"}:
            self.about = f"embedded (YICHENG_TEST_KAFKA is container, embedded or embedded-3.9, not {self.wanted!r})"
        elif self.given:
            self.bootstrap, self.about = self.given, f"given, {self.given}"
        elif self.wanted.startswith("embedded"):
            self.about = f"{self.wanted}, as YICHENG_TEST_KAFKA says"
        elif (why := no_engine()) or (why := self._start_container()):
            self.about = f"embedded ({why})"
        else:
            self.about = f"container {self.image} at {self.bootstrap}"

    def start(self, directory):
        """The address of what was chosen."""
        if not self.about:
            self.choose()
        if not self.bootstrap:
            embedded = EmbeddedKafka(directory, port=0, jars=OLDER_JARS if self.wanted == "embedded-3.9" else JARS)
            self.bootstrap, self._stop = embedded.start(), embedded.stop
        return self.bootstrap

    def stop(self):
        """Stop what was started here."""
        stop, self._stop = self._stop, lambda: None
        stop()

    def _start_container(self):
        """Why no container answers, or nothing when one does."""
        from testcontainers.community.kafka import KafkaContainer

        came, outcome, given_up = threading.Event(), [], threading.Event()

        def start():
            container = None
            try:
                container = KafkaContainer(self.image).with_kraft()
                for name, value in SETTINGS.items():
                    container.with_env(name, value)
                container.start(timeout=int(self.patience_s))
                outcome.append(container)
            except Exception as error:  # noqa: BLE001 - whatever the engine, the registry or the image has to say
                outcome.append(error)
            if container is not None and (given_up.is_set() or outcome[0] is not container):  # nobody waits for it any more
                with suppress(Exception):
                    container.stop()
            came.set()

        threading.Thread(target=start, daemon=True, name="container").start()
        if not came.wait(self.patience_s):
            given_up.set()
            return f"no container of {self.image} was up within {self.patience_s:.0f} s"
        (found,) = outcome
        if isinstance(found, Exception):
            return f"no container of {self.image}: {str(found).strip().splitlines()[0] if str(found).strip() else type(found).__name__}"[:300]
        self.bootstrap, self._stop = found.get_bootstrap_server(), found.stop
        if not answers(self.bootstrap):
            self.stop()
            self.bootstrap = ""
            return f"the container of {self.image} does not answer"
        return ""


def outlook(environment=os.environ):
    """Which Kafka will be chosen, before any is started."""
    if given := environment.get("YICHENG_KAFKA_BOOTSTRAP", ""):
        return f"given, {given}"
    if (wanted := environment.get("YICHENG_TEST_KAFKA", "")).startswith("embedded"):
        return f"{wanted}, as YICHENG_TEST_KAFKA says"
    return f"embedded ({why})" if (why := no_engine()) else f"container {IMAGE}, or embedded where none is up within {PATIENCE_S:.0f} s"


def no_engine():
    """Why there is no engine that runs containers, or nothing when there is one."""
    if shutil.which("docker") is None:
        return "no docker command"
    try:
        answered = subprocess.run(["docker", "info"], capture_output=True, timeout=20, check=False).returncode == 0
    except subprocess.TimeoutExpired:
        answered = False
    return "" if answered else "no Docker engine answers"
