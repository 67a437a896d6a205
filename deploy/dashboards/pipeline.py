"""*Pipeline*: is it well? Throughput, lag, age of what is judged, latency, checkpoints, refused records, state, restarts."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

import yaml
from grafana_foundation_sdk.builders import heatmap, stat, statetimeline, table, timeseries
from grafana_foundation_sdk.builders.dashboard import ThresholdsConfig
from grafana_foundation_sdk.models.dashboard import Dashboard

from deploy.dashboards import boards, panels
from deploy.dashboards.panels import BYTES, GREEN, NUMBER, ORANGE, PER_SECOND, RED, SECONDS, SHARE, WORSE_FROM_ONE, About, steps
from deploy.dashboards.queries import CITY, FIRING, LOADED, PROCESSES, WORKERS, Query, chosen, latest, number_in, per_second, quantile, series
from streams import metrics
from streams.wire.events import EXPLAINED

NO_WORKER = ("没有工作进程在运行", "no worker is running")
NO_CONSOLE = ("没有控制台在运行", "no console is running")
NO_FIX = ("没有轨迹点", "no fixes")
NONE_REFUSED = ("没有拒收的记录", "no records refused")
OTHER_ALERTS = 'alertname!="DeadMansSwitch"'
PARTITION = "namespace, topic, partition"
"""On Kubernetes there may be several systems, each in its namespace; of two workers that show the same partition one has just lost it."""
NOT_TAKEN = 'outcome!~"accepted|counted"'
"""Fixes and scans that were not taken in."""


@cache
def _alerts() -> dict[str, str]:
    """The expression of each alert; of several of one name the first."""
    groups = yaml.safe_load((Path(__file__).parents[1] / "prometheus" / "alerts.yml").read_text("utf-8"))["groups"]
    return {rule["alert"]: rule["expr"] for group in reversed(groups) for rule in reversed(group["rules"])}


def alarm(alert: str) -> ThresholdsConfig:
    """Red from where an alert begins: the first number that its expression is compared with."""
    found = re.search(r">\s*([\d.]+)", _alerts()[alert])
    assert found is not None
    return steps(GREEN, (float(found[1]), RED))


def dashboard() -> Dashboard:
    """The whole dashboard."""
    return boards.board(
        boards.PIPELINE_BOARD, ("流水线", "Pipeline"),
        ("流水线是否正常：吞吐、积压、时延、检查点、拒收、状态、重启。", "Is the pipeline well: throughput, lag, latency, checkpoints, refused records, state, restarts."),
        [boards.cities()],
        [
            boards.Section(("一览", "At a glance"), [_down(), _firing_now(), _lag_now(), _age_now(), _unowned(), _restarted(), _firing()]),
            boards.Section(("吞吐", "Throughput"), [_fixes(), _scans(), _incidents()]),
            boards.Section(("积压", "Lag"), [_lag(), _lag_by_partition(), _held_back(), _watermark()]),
            boards.Section(("时延", "Latency"), [_latency(), _latencies(), _fix_age(), _fix_ages()]),
            boards.Section(("检查点", "Checkpoints"), [_checkpoint_time(), _checkpoint_age(), _checkpoints()]),
            boards.Section(("拒收与迟到", "Dead and late records"), [_dead_share(), _dead(), _not_accepted(), _refused(), _unknown()]),
            boards.Section(("状态与进程", "State and processes"), [_vehicles(), _forgotten(), _memory(), _cpu(), _up(), _restarts(), _partitions()]),
            boards.Section(("控制台", "Console"), [_viewers(), _console_requests(), _console_lag()]),
        ],
        since="now-3h",
    )  # fmt: skip


def _down() -> stat.Panel:
    about = About(("停止的进程", "Processes down"), ("Prometheus 无法抓取的工作进程、通知进程与控制台。", "Workers, notifiers and consoles that Prometheus cannot scrape."), NUMBER, ("没有抓取目标", "no targets to scrape"), 3, 5)
    return panels.tiles(about, Query(f"sum(1 - {chosen('up', PROCESSES)})"), thresholds=WORSE_FROM_ONE)


def _firing_now() -> stat.Panel:
    about = About(("正在告警", "Alerts firing"), ("正在发出的告警数，不含 DeadMansSwitch。", "Alerts that are firing, without DeadMansSwitch."), NUMBER, ("告警规则未加载", "the alert rules are not loaded"), 3, 5)
    return panels.tiles(about, Query(f"count({FIRING}) or 0 * count({LOADED})"), thresholds=WORSE_FROM_ONE)


def _lag_now() -> stat.Panel:
    about = About(("积压", "Lag"), ("各输入主题尚未判定的记录。", "Records of the inputs that are not yet judged."), NUMBER, NO_WORKER, 3, 5)
    return panels.tiles(about, Query(f"sum({latest(metrics.CONSUMER_LAG, by=PARTITION)})"), graph=True)


def _age_now() -> stat.Panel:
    about = About(
        ("水位线滞后", "Age of the watermark"), ("距所有输入分区都判定到的时刻；持续增长时，按时间判定的告警须等待。", "Since what arrived was last judged in every input partition; while it grows, incidents that go by time wait."), SECONDS, NO_WORKER, 3, 5,
    )  # fmt: skip
    return panels.tiles(about, Query(f"max({series(metrics.WATERMARK_AGE, WORKERS)})"), thresholds=alarm("TimeStandsStill"), graph=True)


def _unowned() -> stat.Panel:
    about = About(("无主分区", "Partitions without owner"), ("没有工作进程判定的输入分区。", "Input partitions that no worker judges."), NUMBER, NO_WORKER, 3, 5)
    of = "namespace, topic"  # while partitions change hands two workers may show one
    return panels.tiles(about, Query(f"sum(clamp_min({latest(metrics.PARTITIONS, by=of)} - on ({of}) sum by ({of}) ({series(metrics.PARTITIONS_OWNED)}), 0))"), thresholds=WORSE_FROM_ONE)


def _restarted() -> stat.Panel:
    about = About(("一小时内重启", "Restarts, last hour"), ("最近一小时内进程重启的次数。", "How often processes were restarted in the last hour."), NUMBER, ("没有抓取目标", "no targets to scrape"), 3, 5)
    return panels.tiles(about, Query(f"sum(changes({chosen('process_start_time_seconds', PROCESSES)}[1h]))"), thresholds=steps(GREEN, (1, ORANGE), (2, RED)))


def _firing() -> table.Panel:
    about = About(("告警", "Alerts"), ("正在发出与待定的告警。", "Alerts that are firing or pending."), NUMBER, ("没有告警", "no alerts"), 6, 5)
    columns = {"alertname": ("告警", "Alert"), "severity": ("级别", "Severity"), "alertstate": ("状态", "State")}
    return panels.grid(about, Query(f"count by (alertname, severity, alertstate) ({chosen('ALERTS', OTHER_ALERTS)})"), columns=columns)


def _fixes() -> timeseries.Panel:
    about = About(
        ("轨迹点，按结果", "Fixes by outcome"), ("每秒判定的轨迹点：accepted 接受，其余为拒收原因，见参考手册。", "Fixes judged per second: accepted, or why they were not (the reference names the reasons)."), PER_SECOND, NO_FIX, 8, 9,
    )  # fmt: skip
    return panels.lines(about, Query(f"sum by (outcome) ({chosen('city_outcome:courier_fixes:rate5m', CITY)})", "{{outcome}}"), stacked=True)


def _scans() -> timeseries.Panel:
    about = About(("扫描，按种类", "Scans by kind"), ("每秒计入的快件扫描。", "Parcel scans counted per second."), PER_SECOND, ("没有扫描", "no scans"), 8, 9)
    return panels.lines(about, Query(f"sum by (kind) ({chosen('city_kind:courier_scans:rate5m', CITY)})", "{{kind}}"), stacked=True)


def _incidents() -> timeseries.Panel:
    about = About(("事件变更", "Incident transitions"), ("每秒发布的事件变更。", "Incident transitions published per second."), PER_SECOND, ("没有事件", "no incidents"), 8, 9)
    return panels.renamed(panels.lines(about, Query(per_second(metrics.INCIDENTS, CITY, by="transition"), "{{transition}}")), panels.TRANSITION_NAMES)


def _lag() -> timeseries.Panel:
    about = About(("积压，按主题", "Lag by topic"), ("每个输入主题尚未判定的记录：持续增长须增加工作进程。", "Records of each input that are not yet judged: while it grows, more workers are needed."), NUMBER, NO_WORKER, 6, 9)
    return panels.lines(about, Query(f"sum by (topic) ({chosen('topic:courier_consumer_lag:sum')})", "{{topic}}"))


def _lag_by_partition() -> timeseries.Panel:
    about = About(("积压最多的分区", "Partitions furthest behind"), ("积压最多的五个分区。", "The five partitions that are furthest behind."), NUMBER, NO_WORKER, 6, 9)
    return panels.lines(about, Query(f"topk(5, {latest(metrics.CONSUMER_LAG, by=PARTITION)})", "{{topic}} {{partition}}"))


def _held_back() -> timeseries.Panel:
    about = About(
        ("未提交事务之后，与已丢失", "Behind open transactions, and lost"), ("位于生产者未提交事务之后、尚不可读的记录；以及最近一小时判定之前已被 Kafka 删除的记录。", "Records behind a producer's open transaction, which can be read when it ends; and records that Kafka had deleted before they were judged, last hour."), NUMBER, NO_WORKER, 6, 9,
    )  # fmt: skip
    lost = number_in("1h", metrics.RECORDS_LOST, by="topic")
    return panels.lines(about, Query(f"sum by (topic) ({latest(metrics.RECORDS_HELD_BACK, by=PARTITION)})", "{{topic}}"), Query(lost, "丢失 lost · {{topic}}"))


def _watermark() -> timeseries.Panel:
    about = About(("水位线滞后", "Age of the watermark"), ("距所有输入分区都判定到的时刻，最滞后的工作进程。", "Since what arrived was last judged in every input partition, of the worker furthest behind."), SECONDS, NO_WORKER, 6, 9)
    return panels.limited(panels.lines(about, Query(f"max({series(metrics.WATERMARK_AGE, WORKERS)})", "水位线 · watermark")), alarm("TimeStandsStill"))


def _latency() -> timeseries.Panel:
    about = About(
        ("事件时延", "Incident latency"), ("从轨迹点到达 Kafka 到其引起的事件，最近五分钟；点为实例。同批判定的轨迹点以最先到达者计。", "From a fix's arrival in Kafka to the incident it caused, last five minutes; the dots are examples. Of fixes judged together the first one's arrival counts."), SECONDS, ("没有事件", "no incidents"), 6, 9,
    )  # fmt: skip
    return panels.lines(about, *(Query(quantile(share, metrics.INCIDENT_LATENCY, over="5m"), f"{share:.0%}", exemplar=share == 0.99) for share in (0.5, 0.9, 0.99)))


def _latencies() -> heatmap.Panel:
    about = About(("事件时延分布", "Distribution of incident latency"), ("每段时间的事件，按时延分格。", "Incidents over time, by latency."), NUMBER, ("没有事件", "no incidents"), 6, 9)
    return panels.heat(about, Query(number_in("$__interval", metrics.INCIDENT_LATENCY, by="le", part="_bucket"), "{{le}}"), each="1m", of=SECONDS)


def _fix_age() -> timeseries.Panel:
    about = About(
        ("轨迹点年龄", "Age of fixes"), ("从轨迹点的事件时间到判定，取每批最早者；终端补传会使其升高。", "From a fix's event time to its judgement, oldest of each chunk; terminals that send what they kept make it grow."), SECONDS, NO_FIX, 6, 9,
    )  # fmt: skip
    return panels.lines(
        about, Query(quantile(0.5, metrics.FIX_AGE, over="5m"), "50%"), Query(f"max({chosen('job:courier_fix_age_seconds:p99_5m')})", "99%"),
    )  # fmt: skip


def _fix_ages() -> heatmap.Panel:
    about = About(("轨迹点年龄分布", "Distribution of the age of fixes"), ("每段时间的批次，按最早轨迹点的年龄分格。", "Chunks over time, by the age of their oldest fix."), NUMBER, NO_FIX, 6, 9)
    return panels.heat(about, Query(number_in("$__interval", metrics.FIX_AGE, by="le", part="_bucket"), "{{le}}"), each="1m", of=SECONDS)


def _checkpoint_time() -> timeseries.Panel:
    about = About(("检查点用时", "Duration of checkpoints"), ("最近五分钟内检查点的用时。", "How long checkpoints took in the last five minutes."), SECONDS, NO_WORKER, 8, 8)
    return panels.lines(about, *(Query(quantile(share, metrics.CHECKPOINT, over="5m"), f"{share:.0%}") for share in (0.5, 0.99)))


def _checkpoint_age() -> timeseries.Panel:
    about = About(
        ("检查点年龄", "Age of the last checkpoint"), ("距各工作进程上次完成检查点：崩溃后从该处起重新判定。", "Since each worker's last checkpoint was complete: after a crash it judges again from there."), SECONDS, NO_WORKER, 8, 8,
    )  # fmt: skip
    return panels.limited(panels.lines(about, Query(latest(metrics.CHECKPOINT_AGE, WORKERS, by="instance"), "{{instance}}")), alarm("CheckpointOld"))


def _checkpoints() -> timeseries.Panel:
    about = About(("每秒检查点", "Checkpoints per second"), ("各工作进程完成检查点的频率（YICHENG_CHECKPOINT_INTERVAL_S）。", "How often each worker completes a checkpoint (YICHENG_CHECKPOINT_INTERVAL_S)."), PER_SECOND, NO_WORKER, 8, 8)
    return panels.lines(about, Query(per_second(metrics.CHECKPOINT, WORKERS, by="instance", part="_count"), "{{instance}}"))


def _dead_share() -> timeseries.Panel:
    about = About(
        ("拒收占比", "Share of dead letters"), ("最近十五分钟内轨迹点与扫描中拒收的占比。", "Share of fixes and of scans that went to a dead-letter topic, last fifteen minutes."), SHARE, NONE_REFUSED, 8, 9,
    )  # fmt: skip
    return panels.limited(panels.lines(about, Query(f"max by (topic) ({chosen('topic:courier_dead:ratio15m')})", "{{topic}}")), alarm("DeadLetters")).min(0)


def _dead() -> timeseries.Panel:
    reasons = "; ".join(f"{reason}: {why}" for reason, why in EXPLAINED.items() if reason != "duplicate")
    about = About(
        ("拒收记录，按原因", "Dead letters by reason"), ("写入死信主题的记录；yicheng dead list 可查看。", f"Records sent to a dead-letter topic; yicheng dead list reads them. Reasons: {reasons}."), NUMBER, NONE_REFUSED, 8, 9,
    )  # fmt: skip
    return panels.bars(about, Query(number_in("$__interval", metrics.DEAD, by="topic, reason"), "{{topic}} {{reason}}"), each="1m")


def _not_accepted() -> timeseries.Panel:
    about = About(
        ("迟到、重复与其他", "Late, repeated and others"), ("每秒未被接受的轨迹点与扫描：late 迟到，duplicate 重复，其余见参考手册。", "Fixes and scans per second that were not accepted: late, duplicate or otherwise."), PER_SECOND, ("全部被接受", "all were accepted"), 8, 9,
    )  # fmt: skip
    return panels.lines(
        about,
        Query(f"sum by (outcome) ({chosen('city_outcome:courier_fixes:rate5m', CITY, NOT_TAKEN)})", "轨迹点 · fixes {{outcome}}"),
        Query(per_second(metrics.SCANS, CITY, NOT_TAKEN, by="outcome", over="5m"), "扫描 · scans {{outcome}}"),
    )


def _refused() -> timeseries.Panel:
    about = About(
        ("近期拒收占比", "Refused of the last records"), ("每个输入最近若干条记录中拒收的占比，迟到与重复不计；过半则上游有误。", "Share of an input's last records that were refused, late and repeated ones not counted; above a half, what sends them is wrong."), SHARE, NO_WORKER, 12, 8,
    )  # fmt: skip
    return panels.limited(panels.lines(about, Query(latest(metrics.REFUSED_RATIO, by="topic"), "{{topic}}")), alarm("RecordsRefused")).min(0)


def _unknown() -> timeseries.Panel:
    about = About(
        ("到达时间未知与不可读", "No time of arrival, and unreadable"), ("未带到达时间的输入记录，以及其他主题中不可读的记录；两者都应为零。", "Input records that say no time of arrival, and records of other topics that could not be read; both should be none."),
        PER_SECOND, ("没有此类记录", "no such records"), 12, 8,
    )  # fmt: skip
    return panels.lines(
        about,
        Query(per_second(metrics.ARRIVAL_UNKNOWN, by="topic"), "到达时间未知 · no arrival {{topic}}"),
        Query(per_second(metrics.UNREADABLE, by="topic"), "不可读 · unreadable {{topic}}"),
    )


def _vehicles() -> timeseries.Panel:
    about = About(("车辆状态", "Vehicles in state"), ("各工作进程所持车辆状态的数目。", "Vehicles whose state each worker holds."), NUMBER, NO_WORKER, 6, 8)
    return panels.lines(about, Query(latest(metrics.STATE_VEHICLES, WORKERS, by="instance"), "{{instance}}"), stacked=True)


def _forgotten() -> timeseries.Panel:
    about = About(
        ("遗忘的车辆", "Vehicles forgotten"), ("未登记而被遗忘的车辆：七天无报告（idle），或过多（crowded，须查来源）。", "Vehicles without a registry record that were forgotten: idle for seven days, or crowded out (look who sends them)."), NUMBER, ("没有", "none"), 6, 8,
    )  # fmt: skip
    return panels.bars(about, Query(number_in("$__interval", metrics.VEHICLES_FORGOTTEN, CITY, by="reason"), "{{reason}}"), each="5m")


def _memory() -> timeseries.Panel:
    about = About(("内存", "Memory"), ("各进程的常驻内存。", "Resident memory of each process."), BYTES, NO_WORKER, 6, 8)
    return panels.lines(about, Query(f"{chosen('process_resident_memory_bytes', PROCESSES)}", "{{job}} {{instance}}"))


def _cpu() -> timeseries.Panel:
    about = About(("处理器", "CPU"), ("各进程占用的处理器核数（100% 为一个核）。", "Cores that each process keeps busy; 100% is one core."), SHARE, NO_WORKER, 6, 8)
    return panels.lines(about, Query(f"rate({chosen('process_cpu_seconds_total', PROCESSES)}[$__rate_interval])", "{{job}} {{instance}}")).min(0)


def _up() -> statetimeline.Panel:
    about = About(("进程", "Processes"), ("各进程能否被抓取。", "Whether each process can be scraped."), "bool", ("没有抓取目标", "no targets to scrape"), 8, 8)
    return panels.timeline(about, Query(f"{chosen('up', PROCESSES)}", "{{job}} {{instance}}"), words={"0": ("停止 · down", RED), "1": ("运行 · up", GREEN)})


def _restarts() -> timeseries.Panel:
    about = About(("重启", "Restarts"), ("各进程最近十五分钟内重启的次数；两次及以上即告警。", "How often each process was restarted in the last fifteen minutes; from two on an alert fires."), NUMBER, ("没有抓取目标", "no targets to scrape"), 8, 8)
    return panels.lines(about, Query(f"changes({chosen('process_start_time_seconds', PROCESSES)}[15m])", "{{job}} {{instance}}")).min(0)


def _viewers() -> timeseries.Panel:
    about = About(("查看者", "Viewers"), ("正在查看控制台的浏览器数。", "Browsers that follow the console now."), NUMBER, NO_CONSOLE, 8, 8)
    return panels.lines(about, Query(f"sum({series(metrics.CONSOLE_VIEWERS)})", "查看者 · viewers"))


def _console_requests() -> timeseries.Panel:
    about = About(
        ("答复与登录", "Answers and logins"), ("控制台中的答复与登录及其结果：accepted 接受、refused 拒绝、delayed 尝试过多、failed 未能完成。", "Answers given in the console and attempts to log in, by what became of them."), NUMBER, NO_CONSOLE, 8, 8,
    )  # fmt: skip
    return panels.bars(
        about,
        Query(number_in("$__interval", metrics.CONSOLE_ANSWERS, by="outcome"), "答复 · answers {{outcome}}"),
        Query(number_in("$__interval", metrics.CONSOLE_LOGINS, by="outcome"), "登录 · logins {{outcome}}"), each="5m",
    )  # fmt: skip


def _console_lag() -> timeseries.Panel:
    about = About(("控制台积压", "Lag of the console"), ("控制台尚未读取的记录，按主题，取最滞后的控制台。", "Records that the console has not read yet, by topic, of the one furthest behind."), NUMBER, NO_CONSOLE, 8, 8)
    return panels.lines(about, Query(latest(metrics.CONSOLE_LAG, by="topic"), "{{topic}}"))


def _partitions() -> table.Panel:
    about = About(("分区归属", "Who judges which partitions"), ("每个输入主题的分区数与各工作进程判定的分区数。", "Partitions of each input topic, and how many each worker judges."), NUMBER, NO_WORKER, 8, 8)
    return panels.grid(
        about,
        Query(f"sum by (topic, instance) ({series(metrics.PARTITIONS_OWNED)})"),
        Query(latest(metrics.PARTITIONS, by="topic, instance")),
        columns={"topic": ("主题", "Topic"), "instance": ("进程", "Process"), "Value #A": ("判定", "Judged here"), "Value #B": ("总数", "In all")},
    )
