"""A site under watch: Kafka, two workers, a notifier with a file and a webhook, Prometheus with the real rules, Alertmanager with its real routes.

All durations of the rules and routes are divided by ``FASTER``, and nothing else: so an alert that takes five minutes takes ten seconds.
"""

import json
import re
import shutil
import signal
import subprocess
import threading
import time
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path

import receiver
import requests
from conftest import Command, get, wait_for, written_lines
from kafka import KafkaProducer

from deploy import leash
from deploy.admin import publish_policy, publish_registry
from deploy.broker import EmbeddedKafka
from deploy.ports import free_port
from deploy.topic_admin import create_topics
from deploy.up.monitoring import CONSOLES, NOTIFIERS, RULES, WORKERS, Prometheus
from producers.traffic import write_sample_registry
from streams.policy.reader import load_policy
from streams.registry.files import load_registry
from streams.wire.topics import FEEDBACK, GPS, HEARTBEAT, INCIDENTS, REGISTRY, SCAN

FASTER = 30
TOKEN = "known to Alertmanager and the notifier"
UNITS_S = {"s": 1, "m": 60, "h": 3600, "d": 86400}
PACKS = Path(__file__).parents[2] / "streams" / "policies"
PARTITIONS = 2
FAST = {"YICHENG_CHECKPOINT_INTERVAL_S": "0.3", "YICHENG_REFUSED_SHARE_RECORDS": "100"}


def sooner(text):
    """A text of rules or routes with every duration divided; a second is the least."""

    def divided(match):
        return f"{max(1, round(int(match[1]) * UNITS_S[match[2]] / FASTER))}s"

    duration = r"\b(\d+)([smhd])\b"
    lines = []
    for line in text.splitlines():
        code, hash_sign, comment = line.partition(" # ") if not line.lstrip().startswith("#") else ("", "#", line.lstrip()[1:])
        if not re.match(r"\s*(summary|description|- url|runbook)", code):
            code = re.sub(duration, divided, code)
        lines.append(code + hash_sign + comment)
    return "\n".join(lines) + "\n"


def noon():
    """A time zone in which it is between noon and one o'clock now: days, and hours of duty, begin long before and end long after."""
    ahead = (12 - datetime.now(UTC).hour) % 24
    ahead -= 24 if ahead > 12 else 0
    return f"Etc/GMT{-ahead:+d}" if ahead else "Etc/GMT"


class Site:
    def __init__(self, home):
        self.home = home
        self.yicheng = Command(home)
        self.broker = EmbeddedKafka(home / "kafka", port=free_port())
        self.sink = home / "sink.jsonl"
        self.webhook_answers = 204
        self.server, self.webhook = receiver.serve(lambda headers, body: self.webhook_answers)
        self.ports = {"worker-1": free_port(), "worker-2": free_port(), "notifier": free_port(), "console": free_port()}
        self.console_port = free_port()
        self.processes = {}
        self.sent = 0
        self.lock = threading.Lock()
        self.seen = {}

    # --- start and stop ---
    def start(self):
        self.bootstrap = self.broker.start()
        create_topics(self.bootstrap, PARTITIONS)
        policy = self._pack()
        registry_file = self.home / "registry.jsonl"
        write_sample_registry(policy, 60, 1, registry_file)
        records = [json.loads(line) for line in registry_file.read_text("utf-8").splitlines()]
        self.vehicles = [record for record in records if record["kind"] == "vehicle" and record.get("status", "active") == "active"]
        self.enterprises = sorted(record["id"] for record in records if record["kind"] == "enterprise")
        publish_policy(self.bootstrap, policy)
        publish_registry(self.bootstrap, load_registry(registry_file, policy.timezone, policy.zone_kinds).grouped())
        self.city = policy.pack.city.adcode
        self.producer = KafkaProducer(bootstrap_servers=self.bootstrap, linger_ms=5, max_block_ms=120_000)
        for name in self.ports:
            self.launch(name)
        for name in self.ports:
            self.until_ready(name)
        self._start_alertmanager()
        self._start_prometheus()

    def _pack(self):
        shutil.copytree(PACKS, self.home / "packs")
        path = self.home / "packs" / "hohhot-2019.yaml"
        path.write_text(path.read_text("utf-8").replace("timezone: Asia/Shanghai", f"timezone: {noon()}"), "utf-8")
        return load_policy(str(path))

    def launch(self, name, **more):
        own = {
            "YICHENG_KAFKA_BOOTSTRAP": self.bootstrap, "YICHENG_METRICS_PORT": str(self.ports[name]), "YICHENG_STATE_DIR": str(self.home / name),
            "YICHENG_ALERTS_TOKEN": TOKEN, "YICHENG_SINK_FILE": str(self.sink), "YICHENG_WEBHOOK_URL": self.webhook, "YICHENG_WEBHOOK_SECRET": "whsec_c2VjcmV0c2VjcmV0c2VjcmV0",
            "YICHENG_CONSOLE_PORT": str(self.console_port),
        }  # fmt: skip
        self.processes[name] = self.yicheng.start(name.partition("-")[0], **{**own, **FAST, **more})

    def until_ready(self, name):
        wait_for(f"{name} to be ready", lambda: get(f"http://127.0.0.1:{self.ports[name]}/readyz"), 90)

    def keep_running(self, *names):
        """Start workers again that give up, now or while they are waited for, until each has saved its state."""

        def saved(name):
            if self.processes[name].poll() is not None:
                self.launch(name)
            return self.query(f'courier_checkpoint_age_seconds{{instance="127.0.0.1:{self.ports[name]}"}} < 10')

        for name in names:
            wait_for(f"{name} to save its state", lambda name=name: saved(name), 120)

    def start_again(self, *names, **more):
        for name in names:
            self.kill(name)
        for name in names:
            self.launch(name, **more)
        for name in names:
            self.until_ready(name)

    @contextmanager
    def transaction(self):
        """A producer with an open transaction."""
        producer = KafkaProducer(bootstrap_servers=self.bootstrap, transactional_id="open", transaction_timeout_ms=600_000)
        producer.init_transactions()
        producer.begin_transaction()
        yield producer
        producer.close()

    def kill(self, name):
        self.processes[name].kill()
        self.processes[name].wait()

    def _start_alertmanager(self):
        port, configuration = free_port(), self.home / "alertmanager.yml"
        token = self.home / "alerts_token"
        token.write_text(TOKEN)
        configuration.write_text(
            sooner((RULES / "alertmanager.yml").read_text("utf-8"))
            .replace("http://notifier:9109", f"http://127.0.0.1:{self.ports['notifier']}").replace("/run/secrets/alerts_token", str(token))
        )
        command = [
            "prometheus-alertmanager", f"--config.file={configuration}", f"--storage.path={self.home / 'alertmanager'}", f"--web.listen-address=127.0.0.1:{port}",
            "--cluster.listen-address=", "--log.level=warn",
        ]  # fmt: skip
        with (self.home / "alertmanager.log").open("wb") as log:
            self.alertmanager = leash.start(command, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT)
        self.alertmanager_port = port
        wait_for("Alertmanager", lambda: get(f"http://127.0.0.1:{port}/-/ready"))

    def _start_prometheus(self):
        rules = self.home / "rules"
        rules.mkdir()
        for name in ("recording.yml", "alerts.yml"):
            (rules / name).write_text(sooner((RULES / name).read_text("utf-8")), "utf-8")
        self.prometheus = Prometheus(self.home / "prometheus", free_port(), rules, self.alertmanager_port, scraped_every_s=1, flags=["--rules.alert.resend-delay=2s"])
        self.prometheus.watch({WORKERS: [self.ports["worker-1"], self.ports["worker-2"]], NOTIFIERS: [self.ports["notifier"]], CONSOLES: [self.ports["console"]]})
        self.prometheus.start()
        wait_for("Prometheus to know all processes", lambda: len(self.query("up == 1")) == len(self.ports) and self.firing() <= {"DeadMansSwitch"})

    def stop(self):
        self.server.shutdown()
        if hasattr(self, "prometheus"):
            self.prometheus.stop(5.0)
        children = [*self.yicheng.children, *([self.alertmanager] if hasattr(self, "alertmanager") else [])]
        for child in children:
            if child.poll() is None:
                child.kill()
                child.wait()
        if self.broker.running:
            self.broker.process.send_signal(signal.SIGCONT)
        self.broker.kill()

    # --- what is sent ---
    def send(self, topic, key, value, timestamp_ms=None):
        body = value if isinstance(value, bytes) or value is None else json.dumps(value).encode()
        self.producer.send(topic.name, body, key.encode(), timestamp_ms=timestamp_ms)

    def _name(self):
        with self.lock:
            self.sent += 1
            return f"e{self.sent:07}"

    def fix(self, vehicle_id=None, ago_ms=0, **fields):
        vehicle = self.vehicles[self.sent % len(self.vehicles)]
        said = {
            "event_id": self._name(), "event_time_ms": now_ms() - ago_ms, "vehicle_id": vehicle_id or vehicle["id"], "lon": 111.9 + self.sent % 2 * 0.0001, "lat": 40.95,
            "speed_kmh": 0.0, "load": "empty", "synthetic": True,
        }  # fmt: skip
        self.send(GPS, said["vehicle_id"], {**said, **fields})

    def scan(self, enterprise_id=None, ago_ms=0, electronic=True, **fields):
        name = self._name()
        said = {
            "event_id": name, "event_time_ms": now_ms() - ago_ms, "waybill_id": f"w{name}", "enterprise_id": enterprise_id or self.enterprises[0], "city": self.city,
            "kind": "accepted", "waybill_kind": "electronic" if electronic else "paper", "packaging": {"green": True}, "real_name_verified": True, "inspected": True, "synthetic": True,
        }  # fmt: skip
        self.send(SCAN, said["waybill_id"], {**said, **fields})

    def sign(self, enterprise_id, ago_ms=0):
        self.send(HEARTBEAT, f"enterprise/{enterprise_id}", {"event_id": self._name(), "event_time_ms": now_ms() - ago_ms, "subject": f"enterprise/{enterprise_id}", "synthetic": True})

    def garbage(self):
        self.send(REGISTRY, "vehicle/garbage", b"\xff{")

    def unanswered(self, ago_ms, incident_id="OLD"):
        """An incident as workers publish it, published so long ago."""
        data = {"incident_id": incident_id, "revision": 1, "state": "closed", "rule": "speeding", "city": self.city, "synthetic": True}
        self.send(INCIDENTS, "vehicle/x", {"id": f"{incident_id}/1", "type": "yicheng.incident.opened.v1", "data": data}, now_ms() - ago_ms)

    def answer(self, action="acknowledged", incident_id="OLD"):
        self.send(FEEDBACK, incident_id, {"incident_id": incident_id, "action": action, "time_ms": now_ms(), "by": None, "reason": None})

    def knock(self):
        """A login and an answer that the console refuses."""
        url = f"http://127.0.0.1:{self.console_port}"
        for page in ("login", "answer"):
            requests.post(f"{url}/api/{page}", json={}, headers={"Origin": url}, timeout=10)

    # --- what Prometheus says, and what was delivered ---
    def query(self, expression):
        answer = requests.get(f"{self.prometheus.url}/api/v1/query", params={"query": expression}, timeout=10).json()
        assert answer["status"] == "success", answer
        return answer["data"]["result"]

    def firing(self):
        """The names of the alerts that fire now."""
        with suppress(requests.RequestException):
            alerts = requests.get(f"{self.prometheus.url}/api/v1/alerts", timeout=10).json()["data"]["alerts"]
            return {alert["labels"]["alertname"] for alert in alerts if alert["state"] == "firing"}
        return set()

    def until_firing(self, *names, timeout_s=90):
        """Wait until each of them has fired, at the same time or not."""
        missing = set(names)

        def all_fired():
            missing.difference_update(self.firing())
            return not missing

        wait_for(lambda: f"{sorted(missing)} to fire; firing: {sorted(self.firing())}", all_fired, timeout_s)

    def until_ended(self, *names, timeout_s=150):
        wait_for(lambda: f"{sorted(set(names) & self.firing())} to end", lambda: not (set(names) & self.firing()), timeout_s)

    def delivered(self, status):
        """The names of the alerts that a sink has been told of."""
        events = [json.loads(line) for line in written_lines(self.sink)]
        return {event["data"]["labels"]["alertname"] for event in events if event["type"] == f"yicheng.alert.{status}.v1"}

    def heard(self):
        """How often a sink has got the dead man's switch."""
        events = [json.loads(line) for line in written_lines(self.sink)]
        return sum(event["type"] == "yicheng.alert.firing.v1" and event["data"]["labels"]["alertname"] == "DeadMansSwitch" for event in events)

    def until_heard_again(self):
        before = self.heard()
        wait_for("the dead man's switch to come again", lambda: self.heard() > before, 60)

    def until_missed(self, patience_s):
        """Wait until it has stayed away for so long."""
        last, since_s = self.heard(), time.monotonic()

        def stayed_away():
            nonlocal last, since_s
            if (now := self.heard()) != last:
                last, since_s = now, time.monotonic()
            return time.monotonic() - since_s > patience_s

        wait_for("the dead man's switch to be missed", stayed_away, 3 * patience_s)

    def deliveries(self):
        """How often the notifier has taken an alert."""
        page = get(f"http://127.0.0.1:{self.ports['notifier']}/metrics") or ""
        return sum(float(line.split()[-1]) for line in page.splitlines() if line.startswith("courier_alerts_received_total{"))

    def until_told(self, *names, timeout_s=60):
        """Alertmanager waits a while before it tells, and then does not where there is nothing to tell any more."""
        wait_for(lambda: f"{sorted(set(names) - self.delivered('firing'))} to be delivered", lambda: set(names) <= self.delivered("firing"), timeout_s)

    def until_delivered(self, *names, timeout_s=60):
        for status in ("firing", "resolved"):
            wait_for(lambda status=status: f"{sorted(set(names) - self.delivered(status))} to be delivered as {status}", lambda status=status: set(names) <= self.delivered(status), timeout_s)


def now_ms():
    return time.time_ns() // 1_000_000


class Traffic:
    """Something done again and again, evenly, in a thread, until the end of the ``with`` block."""

    def __init__(self, per_second, *acts):
        self.acts, self.pause_s, self.stopping = acts, 1 / per_second, threading.Event()
        self.thread = threading.Thread(target=self._run, daemon=True)

    def _run(self):
        due = time.monotonic()
        while not self.stopping.is_set():
            for act in self.acts:
                act()
            due += self.pause_s
            self.stopping.wait(max(0.0, due - time.monotonic()))

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.stopping.set()
        self.thread.join()
