"""Each alert fires for its real cause and ends with it, and a sink hears of both: real Kafka, Prometheus and Alertmanager; all times divided by 30.

The longer ones only with ``--long``.
"""

import itertools
import json
import shutil
import signal
import sqlite3
from contextlib import ExitStack, closing

import pytest
import yaml
from conftest import wait_for
from kafka import KafkaConsumer, TopicPartition
from kafka.admin import ConfigResource, ConfigResourceType, KafkaAdminClient

from consumers.sending.dispatch import OFF_AFTER_S
from deploy.debian import command_for
from deploy.topic_admin import create_topics
from deploy.up.monitoring import RULES
from deploy.waiting import until
from monitoring.queries import run
from monitoring.watched_site import Site, Traffic, sooner

pytestmark = pytest.mark.timeout(600)
HOUR_MS = 3_600_000
BOARDS = RULES.parent / "grafana" / "dashboards"
MORNING = 6_000
"""Scans of one enterprise in the morning."""
SEEN = set()
"""The alerts whose causes have been made and removed; that they end is seen at the end, together."""
MUTED = {"NoFixes", "CitySilent", "WorkerDown", "WorkerRestarts", "OutboxGrows", "LagGrows", "TimeStandsStill", "DeadLetters"}
"""What Alertmanager need not tell, where another alert has told it."""


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    for program in ("prometheus", "prometheus-alertmanager"):
        if shutil.which(program) is None:
            pytest.skip(f"{program} is missing; install it with: {command_for(program)}")
    site = Site(tmp_path_factory.mktemp("site"))
    try:
        site.start()
        for _ in range(MORNING):
            site.scan(site.enterprises[2], ago_ms=100 * 60_000)
        yield site
    finally:
        site.stop()


@pytest.fixture
def ordinary(site):
    """Fixes and scans as they come every day."""
    with Traffic(20, site.fix, site.scan):
        yield


def test_in_ordinary_traffic_only_the_dead_mans_switch_fires(site, ordinary, request):
    """Beside other tests processes may be too slow to answer in a second, which stands for half a minute here."""
    found = set()

    def scraped():
        found.update(site.firing())
        counts = site.query("min(count_over_time(up{job='yicheng-worker'}[1m]))")
        return bool(counts) and float(counts[0]["value"][1]) >= 40

    wait_for("forty scrapes, as if of twenty minutes", scraped, 120)
    slow = set() if request.config.getoption("--long") else {"WorkerDown", "NoWorker", "NotifierDown", "ConsoleDown"}
    assert found - slow == {"DeadMansSwitch"}
    wait_for("the sink to hear of it", lambda: "DeadMansSwitch" in site.delivered("firing"), 30)
    SEEN.add("DeadMansSwitch")


@pytest.mark.long
def test_rates_below_their_targets(site, ordinary):
    """The morning was good; at the pace of the last hour the day will not be, and at last it is not."""
    enterprise = site.enterprises[2]
    paper = lambda: site.scan(enterprise, electronic=False)  # noqa: E731
    with Traffic(3, paper):
        site.until_firing("RateForecastBelowTarget", timeout_s=240)
        site.until_told("RateForecastBelowTarget")
    for _ in range(MORNING // 8):
        paper()
    with Traffic(3, paper):
        site.until_firing("RateBelowTarget", timeout_s=240)
    for _ in range(3 * MORNING):
        site.scan(enterprise)
    SEEN.update(["RateBelowTarget", "RateForecastBelowTarget"])


def test_records_that_cannot_be_judged(site, ordinary):
    site.garbage()
    with Traffic(40, lambda: site.fix(lon=999.0), lambda: site.fix(lon=999.0)):
        site.until_firing("DeadLetters", "UnreadableRecords")
    with Traffic(1000, lambda: site.fix(lon=999.0)):
        site.until_firing("RecordsRefused")
    SEEN.update(["DeadLetters", "RecordsRefused", "UnreadableRecords"])


@pytest.mark.long
def test_a_topic_that_keeps_the_producers_times(site, ordinary):
    admin = KafkaAdminClient(bootstrap_servers=site.bootstrap)
    admin.alter_configs([ConfigResource(ConfigResourceType.TOPIC, "courier.scan.v1", {"message.timestamp.type": "CreateTime"})])
    admin.close()
    site.until_firing("ArrivalUnknown")
    create_topics(site.bootstrap, 2)
    SEEN.update(["ArrivalUnknown"])


@pytest.mark.long
def test_records_that_kafka_has_deleted_before_they_are_judged(site, ordinary):
    workers = "worker-1", "worker-2"
    for name in workers:
        site.kill(name)
    for _ in range(50):
        site.fix()
    admin, consumer = KafkaAdminClient(bootstrap_servers=site.bootstrap), KafkaConsumer(bootstrap_servers=site.bootstrap)
    partitions = [TopicPartition("courier.gps.v1", number) for number in consumer.partitions_for_topic("courier.gps.v1")]
    admin.delete_records(consumer.end_offsets(partitions))
    admin.close()
    consumer.close()
    site.start_again(*workers)
    site.until_firing("RecordsLost")
    site.until_told("RecordsLost")
    SEEN.update(["RecordsLost"])


@pytest.mark.long
def test_a_transaction_that_does_not_end(site, ordinary):
    with site.transaction() as producer:
        producer.send("courier.heartbeat.v1", b"{}")
        producer.flush()
        site.until_firing("TransactionOpen")
        site.until_told("TransactionOpen")
        producer.abort_transaction()
    SEEN.update(["TransactionOpen"])


@pytest.mark.long
def test_an_enterprise_that_stops_and_signs_that_come_late(site, ordinary):
    silent = site.enterprises[1]
    for minutes_ago in (300, 299):
        site.sign(silent, minutes_ago * 60_000)
    site.until_firing("FeedInterrupted")
    site.until_told("FeedInterrupted")
    with Traffic(2, *(lambda minutes=minutes: site.sign(silent, minutes * 60_000) for minutes in range(299, -1, -30))):
        site.until_firing("AlarmsTakenBack")  # what was taken for an interruption was none
        SEEN.update(["FeedInterrupted", "AlarmsTakenBack"])


def test_a_sink_that_takes_nothing_while_incidents_come(site, ordinary):
    site.webhook_answers = 500
    with Traffic(10, lambda: site.fix(f"UNKNOWN-{site.sent}")):
        site.until_firing("SinkFails", "OutboxGrows")
        with closing(sqlite3.connect(site.home / "notifier" / "outbox.db", timeout=30)) as db, db:
            db.execute("UPDATE sinks SET failing_s = ? WHERE sink = 'webhook'", (OFF_AFTER_S,))  # it has failed for days
        site.until_firing("SinkOff")
        site.until_told("SinkFails", "SinkOff")
    site.webhook_answers = 410
    with closing(sqlite3.connect(site.home / "notifier" / "outbox.db", timeout=30)) as db, db:
        db.execute("UPDATE sinks SET off = 0, failing_s = 0")
    site.until_firing("DeliveriesGivenUp")
    site.webhook_answers = 204
    done = site.yicheng.run("notifier", "failed", "retry", "--sink", "webhook", YICHENG_STATE_DIR=str(site.home / "notifier"))
    assert done.returncode == 0, done.stderr
    SEEN.update(["SinkFails", "OutboxGrows", "SinkOff", "DeliveriesGivenUp"])


@pytest.mark.long
def test_incidents_that_nobody_answers(site, ordinary):
    site.unanswered(2 * HOUR_MS)
    site.until_firing("NobodyAnswers")
    site.until_told("NobodyAnswers")
    site.answer()
    SEEN.update(["NobodyAnswers"])


@pytest.mark.long
@pytest.mark.parametrize(("name", "alert"), [("console", "ConsoleDown"), ("notifier", "NotifierDown")])
def test_a_process_that_is_gone(site, ordinary, name, alert):
    """Before the crowds, whose incidents a console would have to read first."""
    site.kill(name)
    site.until_firing(alert)
    site.launch(name)
    site.until_ready(name)
    SEEN.update([alert])


@pytest.mark.long
def test_made_up_vehicles_in_crowds(site, ordinary):
    for number in range(40_000):
        site.fix(f"MADE-UP-{number}", ago_ms=5 * 60_000)  # long enough for their incidents to be over
    site.until_firing("VehiclesCrowded")
    SEEN.update(["VehiclesCrowded"])


@pytest.mark.long
def test_more_than_can_be_judged(site, ordinary):
    """Workers that take one record at a time, and more records than that: as many as this machine does not judge, and no more than leaves them time to be scraped."""
    site.start_again("worker-1", "worker-2", YICHENG_CHUNK_RECORDS="1")
    try:
        with ExitStack() as crowds:
            for _ in range(8):
                crowds.enter_context(Traffic(400, *[lambda: site.fix(f"MADE-UP-{site.sent}")] * 3))
                if until(lambda: bool(site.query("sum(deriv(topic:courier_consumer_lag:sum[10s])) > 100")), within_s=15, every_s=1):
                    break
            site.until_firing("LagGrows", "TimeStandsStill", timeout_s=180)
    finally:
        site.start_again("worker-1", "worker-2")
    wait_for("the backlog to be worked off", lambda: bool(site.query("sum(topic:courier_consumer_lag:sum) < 1000")), 240)
    SEEN.update(["LagGrows", "TimeStandsStill"])


@pytest.mark.long
def test_kafka_that_does_not_answer(site, ordinary):
    site.broker.process.send_signal(signal.SIGSTOP)
    try:
        site.until_firing("CheckpointOld", timeout_s=120)
        site.until_told("CheckpointOld")
    finally:
        site.broker.process.send_signal(signal.SIGCONT)
    site.keep_running("worker-1", "worker-2")  # they give up in the end, and are started again
    SEEN.update(["CheckpointOld"])


@pytest.mark.long
def test_a_worker_that_hangs(site, ordinary):
    shared = "count(min_over_time(courier_partitions_owned{topic='courier.gps.v1'}[5s]) == 1) == 2 and sum(topic:courier_consumer_lag:sum) < 200"
    wait_for("both workers to have a partition and nothing to catch up with", lambda: bool(site.query(shared)), 120)
    site.processes["worker-2"].send_signal(signal.SIGSTOP)
    site.until_firing("WorkerDown", "PartitionWithoutOwner")
    site.until_ended("PartitionWithoutOwner")  # the other worker has taken over
    site.kill("worker-2")
    site.launch("worker-2")
    site.until_ready("worker-2")
    SEEN.update(["WorkerDown", "PartitionWithoutOwner"])


@pytest.mark.long
def test_a_worker_that_starts_again_and_again(site, ordinary):
    def fired():
        site.kill("worker-2")
        site.launch("worker-2")
        wait_for("its page", lambda: site.query(f'up{{instance="127.0.0.1:{site.ports["worker-2"]}"}} == 1'), 30)
        return "WorkerRestarts" in site.firing()

    wait_for("WorkerRestarts to fire", fired, 120)
    site.until_ready("worker-2")
    SEEN.update(["WorkerRestarts"])


def test_no_worker_at_all(site, ordinary):
    for name in ("worker-1", "worker-2"):
        site.kill(name)
    site.until_firing("NoWorker", "NoFixes", "CitySilent", timeout_s=120)
    site.start_again("worker-1", "worker-2")
    SEEN.update(["NoWorker", "NoFixes", "CitySilent"])


def test_all_of_them_end_and_a_sink_has_heard_of_both(site, ordinary):
    ended = SEEN - {"DeadMansSwitch"}
    site.until_ended(*ended, timeout_s=300)
    site.until_delivered(*ended - MUTED)


def answers_of_dashboards(site):
    """(dashboard, panel, query, whether Prometheus has an answer); raises where it refuses one."""
    boards = {path.stem: json.loads(path.read_text("utf-8")) for path in BOARDS.glob("*.json")}
    assert set(boards) == {"city", "enterprises", "enforcement", "pipeline"}
    return [(name, answer.panel, answer.expr, bool(answer.series)) for name, board in boards.items() for answer in run(site.prometheus.url, board, seconds=3600)]


def is_of_another_city(expr):
    """Whether a query is about a target that Hohhot has not: its electronic waybills are those of primary brands, its green packaging is everybody's."""
    measure = "green_packaging" if " unless " in expr else "electronic_waybill"
    return f'courier_target:ratio{{city=~".*", enterprise="*", measure="{measure}", namespace=~".*"}}' in expr


def test_no_query_of_a_dashboard_is_refused_and_most_have_answers(site, ordinary):
    """What has not happened has none; that all have where everything has happened is seen with ``--long``."""
    found = answers_of_dashboards(site)
    assert len(found) > 100 and sum(has for *_, has in found) > 0.7 * len(found), [row for row in found if not row[-1]]


@pytest.mark.long
def test_every_query_of_every_dashboard_has_an_answer(site, ordinary):
    """All of it has happened by now, but for what is made to happen here; again and again, since one thing is no rate."""
    numbers = itertools.count()

    def happens():
        number = next(numbers)
        for more in ({"ago_ms": 60_000}, {"kind": "delivered"}, {"event_id": f"twice-{number}"}, {"event_id": f"twice-{number}"}):
            site.scan(waybill_id=f"parcel-{number}", **more)
        site.unanswered(0, f"incident-{number}")
        site.answer(("acknowledged", "dismissed")[number % 2], f"incident-{number - 5}")
        site.fix(ago_ms=2 * HOUR_MS)
        site.fix("PARKED", lon=111.574, lat=40.787)
        site.fix("DRIVEN", lon=111.9 + number % 2 * 0.0001)

    empty = lambda: [row for row in answers_of_dashboards(site) if row[-1] == is_of_another_city(row[2])]  # noqa: E731
    with Traffic(1, happens, site.knock):
        wait_for(lambda: f"answers to {empty()}", lambda: not empty(), 60)


@pytest.mark.long
@pytest.mark.parametrize("part", ["alertmanager", "notifier", "prometheus"])
def test_whoever_expects_the_dead_mans_switch_misses_it_when_a_part_has_stopped(site, part):
    """It comes every ten seconds here; a sink that waits for four times as long notes that it stays away, and that it is back."""
    child = {"alertmanager": site.alertmanager, "notifier": site.processes["notifier"], "prometheus": site.prometheus.process}[part]
    site.until_heard_again()
    child.send_signal(signal.SIGSTOP)
    try:
        site.until_missed(40)
    finally:
        child.send_signal(signal.SIGCONT)
    site.until_heard_again()


def test_when_prometheus_has_stopped_the_dead_mans_switch_ends(site):
    before = site.deliveries()
    wait_for("it to be told again, under its id", lambda: site.deliveries() > before, 30)
    site.prometheus.stop(5.0)
    wait_for("its end to be told", lambda: "DeadMansSwitch" in site.delivered("resolved"), 60)


@pytest.mark.long
def test_every_alert_has_been_seen():
    rules = yaml.safe_load((RULES / "alerts.yml").read_text("utf-8"))
    names = {rule["alert"] for group in rules["groups"] for rule in group["rules"]}
    assert names == SEEN


def test_sooner_divides_durations_and_nothing_else():
    assert sooner("expr: rate(x[5m]) > 30 # in 5m\nfor: 1m\nsummary: after 5m\n") == "expr: rate(x[10s]) > 30 # in 5m\nfor: 2s\nsummary: after 5m\n"
