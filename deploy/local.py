"""``yicheng up``: the whole system on this machine, watched and stopped together."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

from deploy import published
from deploy.admin import publish_policy, publish_registry, read_topic, unreachable
from deploy.broker import EmbeddedKafka, answers
from deploy.browser import open_soon
from deploy.children import python_environment
from deploy.ports import free_port
from deploy.report.page import write_report
from deploy.topic_admin import create_topics, delete_topics
from deploy.up.alone import alone
from deploy.up.ending import Ending, committed_to, ends
from deploy.up.monitoring import CONSOLES, NOTIFIERS, WORKERS, Prometheus, available
from deploy.up.plan import UpPlan
from deploy.up.progress import Progress, is_delivered
from deploy.up.screen import Screen, plain_console
from deploy.up.summary import print_end, summary
from deploy.up.supervisor import READY_TIMEOUT_S, Process, kill, stop
from deploy.up.verdict import Produced, TruthComparison, read_produced, verdict_on
from deploy.waiting import until
from streams import metrics
from streams.errors import BadInput, Unavailable, YichengError
from streams.process.stopping import INTERRUPTED, interrupt, stopping
from streams.registry.files import load_registry
from streams.registry.registry import Registry
from streams.settings import Settings
from streams.wire.topics import ALL, INCIDENTS

DRAIN_TIMEOUT_S = 60.0
REFRESH_S = 0.25
GRACE_S = 13.0
"""Once told to stop, everything has ended after so long, or is killed."""
PATIENCE_S = {"producer": 20.0, "workers": 20.0, "notifier": 20.0, "prometheus": 5.0, "broker": 15.0}
HURRIED_S = {"producer": 1.5, "workers": 4.5, "notifier": 2.0, "prometheus": 1.0, "broker": 3.0}
"""How long each may take to stop: at the end of a run, and when somebody waits for it (together less than ``GRACE_S``)."""
WITHOUT_KAFKA_S = 0.5


class Local:
    """Starts everything in order, shows it, and stops it in reverse order."""

    def __init__(self, plan: UpPlan, settings: Settings) -> None:
        self.plan = plan
        self.settings = settings
        self.console = plain_console()
        self.home = Path(settings.state_dir).resolve() / "up"
        self.truth_file = self.home / "truth.json"
        self.progress = Progress(self.home / "incidents.jsonl")
        self.broker: EmbeddedKafka | None = None
        self.bootstrap = ""
        self.workers: list[Process] = []
        self.notifier: Process | None = None
        self.live_map: Process | None = None
        self.map_url = ""
        self.producer: Process | None = None
        self.prometheus: Prometheus | None = None
        self.registry = Registry(plan.policy.timezone)
        self.report = self.home / "report.html"
        self.stayed = False

    def run(self) -> int:
        """Run to the end; returns the exit code: 0, 1 where the truth was not met, 130 when interrupted."""
        verdict, interrupted = None, False
        stopping.when_asked(interrupt, GRACE_S, self._kill_all)
        with alone(self.home.parent):
            try:
                verdict = self._run_to_the_end()
            except KeyboardInterrupt:
                interrupted = True
                self.console.print("stopping …")
            except YichengError:
                if not stopping.asked.is_set():
                    raise
                interrupted = True  # what failed, failed while it was being stopped: with a Kafka that does not answer, say
            finally:
                interrupted |= self._stop_all() and not self.stayed
        if not self.stayed:
            self._tell(verdict)
        return INTERRUPTED if interrupted else int(not (verdict is None or verdict.holds))

    def _run_to_the_end(self) -> TruthComparison | None:
        self._start()
        self._watch()
        produced = self._settle()
        self.progress.read(self.workers)
        if not self.plan.stay:
            self._stop_processes(PATIENCE_S)
        verdict = self._conclude(produced)
        if self.plan.stay:
            self._tell(verdict)
            self._stay()
        return verdict

    def _conclude(self, produced: Produced) -> TruthComparison | None:
        """Write the report and compare with the truth, where one is known."""
        self.progress.read_sink()
        write_report(self.bootstrap, self.plan.policy, self.registry, self.report)
        if produced.truth is None or self.plan.keep:
            return None
        rates, credit = published.rates(self.bootstrap), published.credit(self.bootstrap)
        return verdict_on(produced.truth, self.progress.sink, rates, credit, self.plan.policy.timezone, disturbed=bool(self.plan.faults))

    def _tell(self, verdict: TruthComparison | None) -> None:
        """Say what was judged, where the report is, and whether it is what was injected."""
        self.console.print(summary(self.plan.policy, self.progress, self.truth_file, sum(worker.restarts for worker in self.workers)))
        report = None if stopping.asked.is_set() else self.report
        print_end(self.console, report, verdict)

    def _start(self) -> None:
        plan = self.plan
        if not plan.keep and self.home.exists():
            shutil.rmtree(self.home)
        (self.home / "logs").mkdir(parents=True, exist_ok=True)
        registry_file = plan.registry_in(self.home)
        if registry_file:
            self.registry = load_registry(registry_file, plan.policy.timezone, plan.policy.zone_kinds, encoding=plan.encoding if plan.registry_file else None)
        if "YICHENG_KAFKA_BOOTSTRAP" in os.environ:
            self._use_cluster(self.settings.kafka_bootstrap)
        else:
            self._start_broker()
        create_topics(self.bootstrap, self.settings.partitions)
        publish_policy(self.bootstrap, plan.policy)
        publish_registry(self.bootstrap, self.registry.grouped())
        self._start_live_map()
        self._start_judging()
        self._start_monitoring()
        self.producer = self._process("producer", plan.traffic(registry_file, self.truth_file), 0)

    def _start_broker(self) -> None:
        self.broker = EmbeddedKafka(self.home / "kafka", port=self.plan.kafka_port)
        with self.console.status("starting Kafka … / 正在启动 Kafka …") as status:
            self.bootstrap = self.broker.start(lambda what: status.update(f"downloading Kafka (once): {what}"))
        self._say_where("Kafka", self.plan.kafka_port, int(self.bootstrap.rpartition(":")[2]), "--kafka-port")

    def _use_cluster(self, bootstrap: str) -> None:
        """An existing cluster: its topics are only emptied on request."""
        self.bootstrap = bootstrap
        if not answers(bootstrap):
            raise unreachable(bootstrap)
        if self.plan.wipe:
            delete_topics(bootstrap, self.settings.group)
        elif not self.plan.keep and any(True for topic in ALL for _ in read_topic(bootstrap, topic.name)):
            raise BadInput(f"the cluster at {bootstrap} holds courier topics; --keep goes on with them, --wipe deletes them")

    def _start_live_map(self) -> None:
        """The console, unless it is declined: a map in the browser, beside the screen here."""
        if not self.plan.live_map:
            return
        port = free_port(self.settings.console_port)
        self._say_where("the console", self.settings.console_port, port, "YICHENG_CONSOLE_PORT")
        self.map_url = f"http://127.0.0.1:{port}"
        metrics_port = (self.settings.metrics_port or metrics.WORKER_PORT) + metrics.CONSOLE_PORT - metrics.WORKER_PORT
        self.live_map = self._process("console", ["console"], metrics_port, YICHENG_CONSOLE_HOST="127.0.0.1", YICHENG_CONSOLE_PORT=str(port))
        self.console.print(f"live map 实时地图: {self.map_url}")
        if self.plan.open_map:
            open_soon(self.map_url, self.console.print)

    def _start_judging(self) -> None:
        """Workers and the notifier; returns when the workers are ready."""
        first = self.settings.metrics_port or metrics.WORKER_PORT
        for number in range(self.plan.workers):
            self.workers.append(self._process(f"worker-{number + 1}", ["worker"], first + 10 * number))
        self.notifier = self._process("notifier", ["notifier"], first + metrics.NOTIFIER_PORT - metrics.WORKER_PORT, YICHENG_SINK_FILE=str(self.progress.sink))
        deadline_s = time.monotonic() + READY_TIMEOUT_S
        with self.console.status("starting the worker and the notifier … / 正在启动 …"):
            for worker in self.workers:
                if not until(partial(self._is_ready, worker), within_s=deadline_s - time.monotonic(), every_s=0.1):
                    raise Unavailable(f"{worker.name} is not ready after {READY_TIMEOUT_S:.0f} s; its log is {worker.log}")

    def _start_monitoring(self) -> None:
        """Prometheus, where it is installed and not declined, or insisted on."""
        if self.plan.monitoring is False or (self.plan.monitoring is None and not available()):
            return
        self.prometheus = Prometheus(self.home / "prometheus", self.plan.prometheus_port, say=self.console.print)
        self._point_monitoring()
        if not self.prometheus.started(insisted=bool(self.plan.monitoring)):
            self.prometheus = None
            return
        self._say_where("Prometheus", self.plan.prometheus_port, self.prometheus.port, "--prometheus-port")
        self.console.print(f"Prometheus with the alert rules: {self.prometheus.url}/alerts")

    def _point_monitoring(self) -> None:
        """Tell Prometheus where the processes are: one that was started again may have another port. Prometheus is started again, too."""
        if self.prometheus is not None and self.notifier is not None:
            consoles = [self.live_map.port] if self.live_map is not None else []
            self.prometheus.watch({WORKERS: [worker.port for worker in self.workers], NOTIFIERS: [self.notifier.port], CONSOLES: consoles})
            self.prometheus.launch_if_dead()

    def _is_ready(self, worker: Process) -> bool:
        if worker.get("readyz") is not None:
            return True
        self._restart_dead()
        return False

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

    def _watch(self) -> None:
        """Show what happens until the producer has ended."""
        assert self.producer is not None
        producer = self.producer
        self._show_while(lambda: producer.running)
        if self.producer.child.returncode:
            last = self.producer.last_words()
            raise YichengError(last) if self.producer.child.returncode != BadInput.exit_code else BadInput(last)

    def _stay(self) -> None:
        """Keep everything up, to be looked at, until somebody asks to stop."""
        self.console.print("all traffic is judged; everything stays up until Ctrl-C / 数据已全部处理；系统继续运行，按 Ctrl-C 停止", soft_wrap=True)
        try:
            self._show_while(lambda: True)
        except KeyboardInterrupt:
            self.stayed = True
            self.console.print("stopping …")

    def _show_while(self, goes_on: Callable[[], bool]) -> None:
        with Screen(self.console, self.plan.policy, self.progress).live() as show:
            while goes_on():
                self.progress.read(self.workers)
                show(self._addresses())
                self._restart_dead()
                time.sleep(REFRESH_S)

    def _addresses(self) -> str:
        urls = [process.page("metrics") for process in filter(None, (*self.workers, self.notifier))]
        watching = f" · Prometheus {self.prometheus.url}/alerts" if self.prometheus is not None else ""
        live_map = f"map 地图 {self.map_url} · " if self.map_url else ""
        return f"{live_map}Kafka {self.bootstrap} · metrics {' '.join(urls)}{watching} · incidents {self.progress.sink}"

    def _settle(self) -> Produced:
        """Wait until all that was sent is judged and all that was published is delivered."""
        produced = read_produced(self.truth_file)
        if produced is None:
            raise YichengError(f"the producer left no {self.truth_file}")
        ending = Ending(self.bootstrap, self.settings.group)
        with self.console.status("judging what is left … / 正在处理剩余数据 …"):
            if until(partial(self._is_over, ending), within_s=DRAIN_TIMEOUT_S, every_s=0.2):
                return produced
        raise YichengError(f"not everything was judged within {DRAIN_TIMEOUT_S:.0f} s; the logs are in {self.home / 'logs'}")

    def _is_over(self, ending: Ending) -> bool:
        """In the order of the flow: the workers are done before it is asked where the incidents end."""
        self._restart_dead()
        taken = ending.reached() and committed_to(self.bootstrap, f"{self.settings.group}-notifier", ends(self.bootstrap, INCIDENTS.name))
        return taken and self.notifier is not None and is_delivered(self.notifier)

    def _restart_dead(self) -> None:
        """What died is started again; a worker or notifier replays from its last checkpoint."""
        for process in filter(None, (*self.workers, self.notifier, self.live_map)):
            process.launch_if_dead()
        self._point_monitoring()

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
        stop([self.notifier, self.live_map], patience_s["notifier"])
        if self.prometheus is not None:
            self.prometheus.stop(patience_s["prometheus"])

    def _stop_broker(self) -> None:
        if self.broker is not None:
            self.broker.stop((HURRIED_S if stopping.asked.is_set() else PATIENCE_S)["broker"])

    def _kill_all(self) -> None:
        """What is left to do when there is no more time, or no more patience: from another thread, while the main one is anywhere."""
        children = [process.child for process in (self.producer, *self.workers, self.notifier, self.live_map) if process is not None]
        kill([*children, self.prometheus.process if self.prometheus else None, self.broker.process if self.broker else None])
