"""``yicheng up``: the whole system on this machine, watched and stopped together."""

from __future__ import annotations

import fcntl
import os
import shutil
import time
import urllib.error
import urllib.request
from collections import Counter, deque
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO, Self

import msgspec
import orjson
from prometheus_client.parser import text_string_to_metric_families
from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from deploy import published
from deploy.admin import publish_policy, publish_registry, read_topic, unreachable
from deploy.broker import KAFKA_PORT, EmbeddedKafka, answers
from deploy.children import python_environment
from deploy.ending import Ending, committed_to, ends
from deploy.supervisor import READY_TIMEOUT_S, Process, kill, stop
from deploy.topic_admin import create_topics, delete_topics
from deploy.verdict import Produced, TruthComparison, compare, how_alarms_stood, latest_incidents, read_produced
from producers.traffic import SAMPLE_VEHICLES, write_sample_registry
from streams import metrics
from streams.counts import CITY_WIDE
from streams.errors import BadInput, Unavailable, YichengError
from streams.policy.policy import Policy
from streams.registry.files import load_registry
from streams.settings import Settings
from streams.shares import percent, target_percent
from streams.shown import shown
from streams.stopping import INTERRUPTED, interrupt, stopping
from streams.topics import ALL, INCIDENTS

DRAIN_TIMEOUT_S = 60.0
GRACE_S = 13.0
"""Once told to stop, everything has ended after so long, or is killed."""
PATIENCE_S = {"producer": 20.0, "workers": 20.0, "notifier": 20.0, "broker": 15.0}
HURRIED_S = {"producer": 1.5, "workers": 4.5, "notifier": 2.0, "broker": 3.0}
"""How long each may take to stop: at the end of a run, and when somebody waits for it (together less than ``GRACE_S``)."""
WITHOUT_KAFKA_S = 0.5
TARGETS = {"electronic waybill 电子运单": "electronic_waybill", "green packaging 绿色包装": "green_packaging"}


class UpOptions(msgspec.Struct):
    """What to run."""

    policy: Policy
    policy_source: str
    rate: float
    duration_ms: int
    seed: int
    speedup: float
    full_day: bool
    inputs: list[Path]
    registry_file: Path | None
    workers: int
    faults: str
    keep: bool
    wipe: bool
    kafka_port: int = KAFKA_PORT
    encoding: str | None = None
    columns: Path | None = None


class Reading(msgspec.Struct):
    """What the processes' metrics say now, summed over the workers."""

    fixes: Counter[str]
    scans: int = 0
    lag: int = 0
    open: Counter[str] = msgspec.field(default_factory=Counter)
    opened: Counter[str] = msgspec.field(default_factory=Counter)
    ratios: dict[str, float] = msgspec.field(default_factory=dict)


class Local:
    """Starts everything in order, shows it, and stops it in reverse order."""

    def __init__(self, plan: UpOptions, settings: Settings) -> None:
        self.plan = plan
        self.settings = settings
        self.console = Console(markup=False, emoji=False, highlight=False)
        self.home = Path(settings.state_dir).resolve() / "up"
        self.sink = self.home / "incidents.jsonl"
        self.truth_file = self.home / "truth.json"
        self.broker: EmbeddedKafka | None = None
        self.bootstrap = ""
        self.workers: list[Process] = []
        self.notifier: Process | None = None
        self.producer: Process | None = None
        self.reading = Reading(Counter())
        self.latest: deque[str] = deque(maxlen=6)
        self.started_s = time.monotonic()
        self.first_incident_s: float | None = None
        self._sink_read = 0
        self._rates = deque[tuple[float, int]](maxlen=8)

    def run(self) -> int:
        """Run to the end; returns the exit code: 0, 1 where the truth was not met, 130 when interrupted."""
        verdict, interrupted = None, False
        stopping.when_asked(interrupt, GRACE_S, self._kill_all)
        with self._alone():
            try:
                verdict = self._run_to_the_end()
            except KeyboardInterrupt:
                interrupted = True
                self.console.print("stopping …")
            finally:
                interrupted |= self._stop_all()
        self._summary(verdict)
        if interrupted:
            return INTERRUPTED
        return 0 if verdict is None or verdict.holds else 1

    def _run_to_the_end(self) -> TruthComparison | None:
        self._start()
        self._watch()
        produced = self._settle()
        self._read()
        self._stop_processes(PATIENCE_S)
        self._read_sink()
        if produced.truth is None or self.plan.keep:
            return None
        verdict = compare(produced.truth, latest_incidents(self.sink), published.rates(self.bootstrap), self.plan.policy.days)
        stood = how_alarms_stood(self.sink)
        if not stood.holds(disturbed=bool(self.plan.faults)):
            verdict.differences.append(f"taken back: {stood.count} of {stood.announced} announced incidents: {stood.taken_back}")
        return verdict

    def _alone(self) -> IO[str]:
        """A lock on the folder, held while it is open: a second ``up`` would delete what the first one runs on."""
        self.home.parent.mkdir(parents=True, exist_ok=True)
        lock = (self.home.parent / "up.lock").open("a")
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.close()
            raise YichengError(f"another ./yicheng up runs in {self.home.parent}; stop it, or set YICHENG_STATE_DIR to another folder") from None
        return lock

    # --- start ---
    def _start(self) -> None:
        plan, settings = self.plan, self.settings
        if not plan.keep and self.home.exists():
            shutil.rmtree(self.home)
        (self.home / "logs").mkdir(parents=True, exist_ok=True)
        registry_file = self._registry_file()
        registry = load_registry(registry_file, plan.policy.timezone, plan.policy.zone_kinds, encoding=plan.encoding if plan.registry_file else None)
        if "YICHENG_KAFKA_BOOTSTRAP" in os.environ:
            self.bootstrap = settings.kafka_bootstrap
            self._use_cluster()
        else:
            self.broker = EmbeddedKafka(self.home / "kafka", port=plan.kafka_port)
            with self.console.status("starting Kafka … / 正在启动 Kafka …") as status:
                self.bootstrap = self.broker.start(lambda what: status.update(f"downloading Kafka (once): {what}"))
            self._say_where("Kafka", plan.kafka_port, int(self.bootstrap.rpartition(":")[2]), "--kafka-port")
        create_topics(self.bootstrap, settings.partitions)
        publish_policy(self.bootstrap, plan.policy)
        publish_registry(self.bootstrap, registry.grouped())
        first = settings.metrics_port or metrics.WORKER_PORT
        for number in range(plan.workers):
            self.workers.append(self._process(f"worker-{number + 1}", ["worker"], first + 10 * number))
        self.notifier = self._process("notifier", ["notifier"], first + metrics.NOTIFIER_PORT - metrics.WORKER_PORT, YICHENG_SINK_FILE=str(self.sink))
        self._wait_ready()
        self.producer = self._process("producer", self._traffic(registry_file), 0)

    def _use_cluster(self) -> None:
        """An existing cluster: its topics are only emptied on request."""
        if not answers(self.bootstrap):
            raise unreachable(self.bootstrap)
        if self.plan.wipe:
            delete_topics(self.bootstrap, self.settings.group)
        elif not self.plan.keep and any(True for topic in ALL for _ in read_topic(self.bootstrap, topic.name)):
            raise BadInput(f"the cluster at {self.bootstrap} holds courier topics; --keep goes on with them, --wipe deletes them")

    def _registry_file(self) -> Path:
        """The registry given; the sample; or an empty one, where recorded traffic is judged by a pack of one's own."""
        if self.plan.registry_file:
            return self.plan.registry_file
        path = self.home / "registry.jsonl"
        if self.plan.inputs:
            path.touch()
        elif not path.exists():
            vehicles = round(self.plan.rate * (60 if self.plan.full_day else 10) / self.plan.speedup * 1.4)
            write_sample_registry(self.plan.policy, max(SAMPLE_VEHICLES, vehicles), self.plan.seed, path)
        return path

    def _traffic(self, registry_file: Path) -> list[str]:
        plan = self.plan
        if plan.inputs:
            rate = ["--rate", str(plan.rate)] if plan.rate else []
            how = [*(["--encoding", plan.encoding] if plan.encoding else []), *(["--columns", str(plan.columns)] if plan.columns else [])]
            return ["produce", "replay", *map(str, plan.inputs), *rate, *how, "--truth", str(self.truth_file), "--quiet"]
        faults = ["--faults", plan.faults] if plan.faults else []
        day = ["--scenario", "full-day", "--interval", "1m"] if plan.full_day else []
        return [
            "produce", "synthetic", "--policy", plan.policy_source, "--registry", str(registry_file), "--rate", str(plan.rate),
            "--duration", f"{plan.duration_ms}ms", "--speedup", str(plan.speedup), "--seed", str(plan.seed), *faults, *day,
            "--truth", str(self.truth_file), "--quiet",
        ]  # fmt: skip

    def _process(self, name: str, arguments: list[str], port: int, **environment: str) -> Process:
        common = {"YICHENG_KAFKA_BOOTSTRAP": self.bootstrap, "YICHENG_POLICY": self.plan.policy.name, "YICHENG_STATE_DIR": str(self.home / name)}
        common["YICHENG_REHEARSAL"] = "1"  # all its workers have one key, which follows from their group
        process = Process(name, arguments, {**python_environment(), **common, **environment}, self.home / "logs" / f"{name}.log", port)
        process.launch()
        self._say_where(name, port, process.port, "YICHENG_METRICS_PORT")
        return process

    def _say_where(self, what: str, wanted: int, port: int, choose: str) -> None:
        if wanted not in {0, port}:
            self.console.print(f"port {wanted} of {what} is taken; it is at {port} instead ({choose} chooses another)", soft_wrap=True)

    def _wait_ready(self) -> None:
        deadline = time.monotonic() + READY_TIMEOUT_S
        with self.console.status("starting the worker and the notifier … / 正在启动 …"):
            for process in self.workers:
                while _get(process.page("readyz")) is None:
                    self._restart_dead()
                    if time.monotonic() > deadline:
                        raise Unavailable(f"{process.name} is not ready after {READY_TIMEOUT_S:.0f} s; its log is {process.log}")
                    time.sleep(0.1)  # polling a process, with a deadline

    # --- watch ---
    def _watch(self) -> None:
        """Show what happens until the producer has ended."""
        assert self.producer is not None
        live = self.console.is_terminal
        shown_s = 0.0
        with Live(console=self.console, refresh_per_second=4, transient=True) if live else _Quiet() as screen:
            while self.producer.child.poll() is None:
                self._read()
                if live:
                    screen.update(self._screen(self.reading))
                elif time.monotonic() - shown_s > 5:
                    shown_s = time.monotonic()
                    self.console.print(self._line(self.reading), soft_wrap=True)
                self._restart_dead()
                time.sleep(0.25)  # the refresh of the screen
        if self.producer.child.returncode:
            last = self.producer.log.read_text(errors="replace").strip().splitlines()
            message = last[-1].removeprefix("yicheng: ") if last else f"the producer failed; its log is {self.producer.log}"
            raise YichengError(message) if self.producer.child.returncode != 2 else BadInput(message)

    def _settle(self) -> Produced:
        """Wait until all that was sent is judged and all that was published is delivered."""
        produced = read_produced(self.truth_file)
        if produced is None:
            raise YichengError(f"the producer left no {self.truth_file}")
        deadline = time.monotonic() + DRAIN_TIMEOUT_S
        ending = Ending(self.bootstrap, self.settings.group)
        with self.console.status("judging what is left … / 正在处理剩余数据 …"):
            while time.monotonic() < deadline:
                self._restart_dead()
                # in the order of the flow: the workers are done before it is asked where the incidents end
                if ending.reached() and committed_to(self.bootstrap, f"{self.settings.group}-notifier", ends(self.bootstrap, INCIDENTS.name)):
                    return produced
                time.sleep(0.2)  # polling, with a deadline
        raise YichengError(f"not everything was judged within {DRAIN_TIMEOUT_S:.0f} s; the logs are in {self.home / 'logs'}")

    def _restart_dead(self) -> None:
        """A worker or notifier that died is started again and replays from its last checkpoint."""
        for process in filter(None, (*self.workers, self.notifier)):
            process.launch_if_dead()

    def _read(self) -> None:
        """What the metrics say now; the last of it is in the summary."""
        reading = Reading(Counter())
        for process in self.workers:
            for name, labels, value in _samples(process.page("metrics")):
                if name == "courier_fixes_total":
                    reading.fixes[labels["outcome"]] += int(value)
                elif name == "courier_scans_total":
                    reading.scans += int(value)
                elif name == "courier_consumer_lag":
                    reading.lag += int(value)
                elif name == "courier_incidents_total":
                    if labels["transition"] == "opened":
                        reading.opened[labels["rule"]] += int(value)
                elif name == "courier_incidents_open":
                    reading.open[labels["rule"]] += int(value)
                elif name in {"courier_electronic_waybill_ratio", "courier_green_packaging_ratio"} and labels["enterprise"] == CITY_WIDE:
                    reading.ratios[name.removeprefix("courier_").removesuffix("_ratio")] = value
        self.reading = reading
        self._rates.append((time.monotonic(), reading.fixes.total()))
        self._read_sink()

    def _read_sink(self) -> None:
        """Put the newest incidents into words."""
        if self.sink.exists():
            with self.sink.open("rb") as file:
                file.seek(self._sink_read)
                for line in file:
                    if not line.endswith(b"\n"):
                        break
                    self._sink_read += len(line)
                    event = orjson.loads(line)
                    if self.first_incident_s is None:
                        self.first_incident_s = time.monotonic() - self.started_s
                    if event["type"].endswith("opened.v1"):
                        data = event["data"]
                        self.latest.append(shown(f"{time.strftime('%H:%M:%S')}  {data.get('reason_zh')} · {data.get('reason_en')}  [{data.get('clause')}]"))

    # --- show ---
    def _fixes_per_second(self) -> float:
        if len(self._rates) < 2 or self._rates[-1][0] == self._rates[0][0]:
            return 0.0
        return (self._rates[-1][1] - self._rates[0][1]) / (self._rates[-1][0] - self._rates[0][0])

    def _line(self, reading: Reading) -> str:
        newest = self.latest[-1] if self.latest else "no incident yet"
        elapsed = time.monotonic() - self.started_s
        return f"{elapsed:5.0f} s  {reading.fixes.total():>8} fixes  {self._fixes_per_second():6.0f}/s  lag {reading.lag}  {reading.opened.total()} incidents  {newest}"

    def _screen(self, reading: Reading) -> Group:
        city = self.plan.policy.pack.city
        head = Text(shown(f" Yicheng 驿程 · {city.name_zh} {city.name_en} · {self.plan.policy.name} "), style="bold reverse")
        flow = Table.grid(padding=(0, 3))
        flow.add_row("fixes judged 轨迹点", f"{reading.fixes.total():,}", "per second 每秒", f"{self._fixes_per_second():,.0f}")
        flow.add_row("scans 扫描", f"{reading.scans:,}", "lag 积压", f"{reading.lag:,}")
        return Group(head, flow, self._rule_table(reading), self._rate_table(reading), self._words(), self._addresses())

    def _rule_table(self, reading: Reading) -> Table:
        table = Table("rule 规则", "open 未结", "opened 累计", title="incidents 事件", title_justify="left")
        for rule in dict.fromkeys(rule.rule for rule in self.plan.policy.pack.rules):
            table.add_row(rule, str(reading.open[rule]), str(reading.opened[rule]))
        return table

    def _rate_table(self, reading: Reading) -> Table:
        table = Table("rate 比率", "today 当日", "target 目标", title="parcels 快件", title_justify="left")
        for label, measure in TARGETS.items():
            target = self.plan.policy.pack.targets.get(measure)
            value = reading.ratios.get(measure)
            style = "" if value is None or target is None else "green" if value >= target else "red"
            table.add_row(label, "–" if value is None else Text(percent(value, target), style=style), target_percent(target))
        return table

    def _words(self) -> Group:
        return Group(Text("latest 最新", style="bold"), *(Text(line, overflow="ellipsis", no_wrap=True) for line in self.latest))

    def _addresses(self) -> Text:
        urls = [process.page("metrics") for process in filter(None, (*self.workers, self.notifier))]
        return Text(f"Kafka {self.bootstrap} · metrics {' '.join(urls)} · incidents {self.sink}", style="dim")

    def _summary(self, verdict: TruthComparison | None) -> None:
        reading = self.reading
        table = Table(title="Yicheng 驿程: summary 汇总", title_justify="left", show_header=False)
        table.add_row("fixes 轨迹点", ", ".join(f"{name} {number:,}" for name, number in reading.fixes.most_common()) or "0")
        table.add_row("scans 扫描", f"{reading.scans:,}")
        incidents = Counter(d["rule"] for d in latest_incidents(self.sink).values() if d["state"] != "retracted")
        table.add_row("incidents 事件", shown(", ".join(f"{rule} {number}" for rule, number in sorted(incidents.items()))) or "none 无")
        stood = how_alarms_stood(self.sink)
        table.add_row("taken back 撤回", f"{stood.count} of 共 {stood.announced} announced 已发布")
        for label, measure in TARGETS.items():
            if measure in reading.ratios:
                target = self.plan.policy.pack.targets.get(measure)
                table.add_row(label, percent(reading.ratios[measure], target) + (f" (target 目标 {target_percent(target)})" if target is not None else ""))
        if self.first_incident_s is not None:
            table.add_row("first incident 首个事件", f"{self.first_incident_s:.1f} s after the command")
        restarts = sum(process.restarts for process in self.workers)
        if restarts:
            table.add_row("restarts 重启", str(restarts))
        table.add_row("incidents file 事件文件", shown(self.sink))
        produced = read_produced(self.truth_file)
        for rule_id, why in (produced.truth.skipped if produced and produced.truth else {}).items():
            table.add_row("not injected 未注入", shown(f"{rule_id}: {why}"))
        self.console.print(table)
        if verdict is None:
            return
        if verdict.holds:
            self.console.print(
                Text("✓ ", style="green")
                + f"all {verdict.expected} injected violations found and nothing else; {verdict.rates_expected} daily rates equal the truth / "
                f"注入的 {verdict.expected} 起违规全部发现，无误报；{verdict.rates_expected} 项日统计与真值一致",
                soft_wrap=True,
            )
            return
        self.console.print(Text("✗ ", style="red") + f"{len(verdict.differences)} differences from the truth / 与真值有 {len(verdict.differences)} 处不符:")
        for difference in verdict.differences[:20]:
            self.console.print(f"  {shown(difference)}")

    # --- stop ---
    def _stop_all(self) -> bool:
        """Stop everything that runs; returns whether somebody asked for it meanwhile, and so for haste."""
        try:
            self._stop_processes(HURRIED_S if stopping.asked.is_set() else PATIENCE_S)
            self._stop_broker()
        except KeyboardInterrupt:  # there is no second one: that ends the process
            self._stop_processes(HURRIED_S)
            self._stop_broker()
        return stopping.asked.is_set()

    def _stop_processes(self, patience_s: Mapping[str, float]) -> None:
        """Producer first, then workers (they drain), then the notifier; where our broker has died nobody can finish anything."""
        if self.broker is not None and not self.broker.running:
            patience_s = dict.fromkeys(patience_s, WITHOUT_KAFKA_S)
        stop([self.producer], patience_s["producer"])
        stop(self.workers, patience_s["workers"])
        stop([self.notifier], patience_s["notifier"])

    def _stop_broker(self) -> None:
        if self.broker is not None:
            self.broker.stop((HURRIED_S if stopping.asked.is_set() else PATIENCE_S)["broker"])

    def _kill_all(self) -> None:
        """What is left to do when there is no more time, or no more patience: from another thread, while the main one is anywhere."""
        children = [process.child for process in (self.producer, *self.workers, self.notifier) if process is not None]
        kill([*children, self.broker.process if self.broker else None])


class _Quiet:
    """Stands in for the live screen where there is no terminal."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Nothing to take down."""

    def update(self, _: object) -> None:
        """Nothing to draw on."""


def _get(url: str) -> bytes | None:
    try:
        with urllib.request.urlopen(url, timeout=2) as answer:
            return bytes(answer.read())
    except (urllib.error.URLError, OSError):
        return None


def _samples(url: str) -> Iterator[tuple[str, dict[str, str], float]]:
    page = _get(url)
    if page:
        for family in text_string_to_metric_families(page.decode()):
            yield from ((sample.name, sample.labels, sample.value) for sample in family.samples)
