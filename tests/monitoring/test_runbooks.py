"""The runbooks: a section for every alert, in both languages, and every command of theirs, run as it stands there."""

import json
import re
import shutil
import signal
import subprocess

import pytest
import yaml
from conftest import ROOT, Command, get, wait_for

from deploy import leash
from deploy.ports import free_port
from monitoring.test_rules import ALERTS, FOLDER, NAMES, WELL_KNOWN, selectors, series
from streams.metrics import NOTIFIER_PORT, WORKER_PORT

PAGE = ROOT / "deploy" / "runbooks.md"
TEXT = PAGE.read_text("utf-8")
HEAD, *REST = re.split(r"^## ", TEXT, flags=re.MULTILINE)
SECTIONS = dict(section.split("\n", 1) for section in REST)
PARTS = ("**Means.**", "**含义。**", "**Do.**", "**处理。**")
PROMETHEUS_PORT, ALERTMANAGER_PORT = 9090, 9093
OF_PROCESSES = {"ALERTS", "process_cpu_seconds_total", "process_resident_memory_bytes", *WELL_KNOWN}


def commands_of(text):
    """The lines of its sh blocks, without what is said of them."""
    blocks = re.findall(r"^```sh\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)
    return [re.sub(r"\s{2,}#.*|\s# .*", "", line) for block in blocks for line in block.splitlines()]


COMMANDS = sorted(dict.fromkeys(commands_of(TEXT)), key=lambda command: command.endswith(("worker", "notifier")))
"""Each once. Those that start a process come last: partitions change hands then."""
QUERIES = re.findall(r"promtool query instant \S+ '([^']+)'", TEXT)


# --- what it says ---
def test_every_alert_has_a_section_and_every_section_an_alert():
    assert sorted(SECTIONS) == NAMES
    assert list(SECTIONS) == list(dict.fromkeys(rule["alert"] for rule in ALERTS)), "in the order of the alerts"


@pytest.mark.parametrize("name", SECTIONS)
def test_every_section_says_what_it_means_where_to_look_and_what_to_do_in_both_languages(name):
    section = SECTIONS[name]
    places = [section.find(part) for part in PARTS]
    assert -1 not in places and places == sorted(places)
    means, meaning, act, acting = (section[place:].split("\n\n", 1)[0].removeprefix(part) for part, place in zip(PARTS, places, strict=True))
    for english, chinese in ((means, meaning), (act, acting)):
        assert not re.search(r"[\u4e00-\u9fff]", re.sub(r"\(.*?\)", "", english)) and len(re.findall(r"[\u4e00-\u9fff]", chinese)) >= 10
    assert commands_of(section[places[1] : places[2]]), "somewhere to look"


def test_processes_have_one_chinese_name_in_alerts_runbooks_and_dashboards():
    chinese = [rule["annotations"][f"{what}_zh"] for rule in ALERTS for what in ("summary", "description")]
    chinese += [re.sub(r"`[^`]*`", "", line) for line in TEXT.splitlines() if line.startswith(PARTS[1::2])]
    boards = "".join(path.read_text("utf-8") for path in (FOLDER.parent / "grafana" / "dashboards").glob("*.json"))
    chinese += re.findall(r"(?<=[\u4e00-\u9fff]) ?(?:worker|notifier)\b[^\"]*", boards)
    assert [text for text in chinese if re.search(r"\b(worker|notifier)\b", text)] == []
    assert "工作进程 (worker)" in HEAD and "通知进程 (notifier)" in HEAD and "工作进程" in boards and "通知进程" in boards


def anchors(page):
    """As GitHub makes them of headings."""
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in re.findall(r"^#+ (.+)$", page.read_text("utf-8"), re.MULTILINE)}


def test_what_it_links_to_is_there():
    links = re.findall(r"\]\(([^)#]*)#?([^)]*)\)", TEXT)
    assert links
    for link, anchor in links:
        page = PAGE.parent / link if link else PAGE
        assert page.exists() and (not anchor or anchor in anchors(page)), f"{link}#{anchor}"


def test_every_command_named_is_one():
    known = set(re.findall(r"^### `yicheng ([a-z ]*[a-z])", (ROOT / "deploy" / "reference.md").read_text("utf-8"), re.MULTILINE))
    named = [command.split() for command in re.findall(r"\./yicheng ([a-z ]*[a-z])", TEXT)]
    assert len(named) > 20 and [words for words in named if not {" ".join(words[:number]) for number in (1, 2)} & known] == []


@pytest.mark.parametrize("query", dict.fromkeys(QUERIES))
def test_every_query_asks_for_series_that_are_there(query):
    found = [metric for metric, _ in selectors(query)]
    assert found and [metric for metric in found if metric not in series().keys() | OF_PROCESSES] == []


# --- what it has one do ---
class System:
    """All of it over one Kafka: traffic with offences and faults, a worker, a notifier, Prometheus, and Alertmanager where there is one."""

    def __init__(self, kafka, home):
        self.home = home
        self.yicheng = Command(home)
        self.ports = {port: free_port() for port in (WORKER_PORT, NOTIFIER_PORT, PROMETHEUS_PORT, ALERTMANAGER_PORT)}
        self.yicheng.environment |= {"YICHENG_KAFKA_BOOTSTRAP": kafka, "YICHENG_SINK_FILE": str(home / "sink.jsonl"), "YICHENG_CHECKPOINT_INTERVAL_S": "0.3"}
        self.children = []

    def start(self):
        (self.home / "yicheng").symlink_to(ROOT / "yicheng")
        for name, text in re.findall(r"^```json (\S+)\n(.*?)^```$", TEXT, re.DOTALL | re.MULTILINE):
            (self.home / name).write_text(text, "utf-8")
        for command in ("topics create", "policy publish hohhot-2019", "registry sample --out registry.jsonl", "registry import registry.jsonl"):
            self.say(f"./yicheng {command}")
        self.process("worker", self.ports[WORKER_PORT])
        self.process("notifier", self.ports[NOTIFIER_PORT])
        self.watch()
        self.say("./yicheng produce synthetic --registry registry.jsonl --duration 4s --quiet --faults malformed=0.02")
        self.incident_id = wait_for("an incident", lambda: re.search(r'"incident_id":"(\w+)"', self.sink()))[1]
        wait_for("a dead letter", lambda: "courier_dead_total{" in (get(f"{self.at(WORKER_PORT)}/metrics") or ""))

    def sink(self):
        file = self.home / "sink.jsonl"
        return file.read_text("utf-8") if file.exists() else ""

    def at(self, port):
        return f"http://127.0.0.1:{self.ports[port]}"

    def process(self, name, port):
        child = self.yicheng.start(name, YICHENG_METRICS_PORT=str(port))
        wait_for(f"{name} to be ready", lambda: get(f"http://127.0.0.1:{port}/readyz"))
        return child

    def watch(self):
        """Prometheus by its own configuration, with these addresses; Alertmanager likewise."""
        config = (FOLDER / "prometheus.yml").read_text("utf-8")
        for port, found in self.ports.items():
            config = re.sub(rf'"\w+:{port}"', f'"127.0.0.1:{found}"', config)
        config = yaml.safe_load(config) | {"rule_files": [str(FOLDER / name) for name in ("recording.yml", "alerts.yml")]}
        for job in config["scrape_configs"]:
            for found in job.pop("dns_sd_configs", ()):  # names are known among containers only
                job["static_configs"] = [{"targets": [f"127.0.0.1:{self.ports[found['port']]}"] if found["port"] in self.ports else []}]
        (self.home / "prometheus.yml").write_text(yaml.safe_dump(config), "utf-8")
        for program, file, port in (("prometheus", self.home / "prometheus.yml", PROMETHEUS_PORT), ("prometheus-alertmanager", FOLDER / "alertmanager.yml", ALERTMANAGER_PORT)):
            if shutil.which(program):
                data = "--storage.tsdb.path" if program == "prometheus" else "--storage.path"
                alone = [] if program == "prometheus" else ["--cluster.listen-address="]
                listen = f"--web.listen-address=127.0.0.1:{self.ports[port]}"
                log = (self.home / f"{program}.log").open("wb")
                command = [program, f"--config.file={file}", f"{data}={self.home / program}", listen, *alone]
                self.children.append(leash.start(command, cwd=self.home, stdout=log, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL))
                wait_for(program, lambda port=port: get(f"{self.at(port)}/-/ready"))

    def say(self, command):
        """Run a line of the page, with the addresses and ids of this run; what it printed."""
        for port in self.ports:
            command = command.replace(f"http://127.0.0.1:{port}", self.at(port))
        command = re.sub(r"\bID\b", getattr(self, "incident_id", ""), command)
        done = subprocess.run(["bash", "-o", "pipefail", "-c", command], cwd=self.home, env=self.yicheng.environment, capture_output=True, text=True, timeout=120, check=False)
        assert done.returncode == 0, f"{command}: {done.stdout[-2000:]}{done.stderr[-2000:]}"
        return done.stdout

    def stop(self):
        for child in (*self.yicheng.children, *self.children):
            if child.poll() is None:
                child.kill()
                child.wait()


@pytest.fixture(scope="module")
def system(kafka_bootstrap, tmp_path_factory):
    from deploy.topic_admin import delete_topics

    delete_topics(kafka_bootstrap, "yicheng")
    made = System(kafka_bootstrap, tmp_path_factory.mktemp("runbooks"))
    try:
        made.start()
        yield made
    finally:
        made.stop()


def test_every_rule_can_be_evaluated_on_what_a_real_run_shows(system, promtool):
    def ask(what):
        return json.loads(get(f"{system.at(PROMETHEUS_PORT)}/api/v1/{what}"))["data"]

    def rules():
        return [rule for group in ask("rules")["groups"] for rule in group["rules"]]

    wait_for("the run's series", lambda: ask("query?query=courier_incidents_total>0")["result"])
    before = [rule["lastEvaluation"] for rule in rules()]
    wait_for("every rule to be evaluated on them", lambda: all(rule["lastEvaluation"] > then for rule, then in zip(rules(), before, strict=True)))
    assert len(rules()) > 40 and [(rule["name"], rule["lastError"]) for rule in rules() if rule["health"] != "ok"] == []
    assert [rule["name"] for rule in rules() if rule.get("state") == "firing"] == ["DeadMansSwitch"]


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_does_what_it_says(system, command, request):
    if "promtool" in command or f":{PROMETHEUS_PORT}/" in command:
        request.getfixturevalue("promtool")
    if f":{ALERTMANAGER_PORT}/" in command and shutil.which("prometheus-alertmanager") is None:
        pytest.skip("prometheus-alertmanager is missing; it is a package of Debian")
    if command in {"./yicheng worker", "./yicheng notifier"}:
        child = system.process(command.removeprefix("./yicheng "), free_port())
        child.send_signal(signal.SIGTERM)
        assert child.wait(30) == 0
        return
    printed = system.say(command)
    if re.search(r"incidents list( --unanswered)?$|dead list|registry export", command):
        assert "\n" in printed or "registry-now.jsonl" in command, "there is something to see"

