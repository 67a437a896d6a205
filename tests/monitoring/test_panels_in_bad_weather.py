"""What the tiles of the dashboards say in bad weather: Prometheus's own checker asks the panels' own queries of series made by hand."""

import json
import subprocess

import pytest
import yaml
from conftest import ROOT

from monitoring.queries import panels, replaced
from monitoring.test_namespaces import FOLDER, HEALTHY, NOTIFIER, WORKER

BOARDS = {path.stem: json.loads(path.read_text("utf-8")) for path in (ROOT / "deploy" / "grafana" / "dashboards").glob("*.json")}
STEPS = 240
"""Samples, one in half a minute."""
OTHER_WORKER, OTHER_NOTIFIER = WORKER.replace("w:", "v:"), NOTIFIER.replace("w:", "v:")
GPS = 'topic="courier.gps.v1"'
SHAOXING = 'city="330600"'
HOHHOT = 'city="150100"'


def constant(value, count=STEPS):
    return f"{value}+0x{count}"


def named(city):
    names = {HOHHOT: 'name_zh="呼和浩特市", name_en="Hohhot"', SHAOXING: 'name_zh="绍兴市", name_en="Shaoxing"'}[city]
    return f"courier_city_info{{{WORKER}, {city}, {names}}}"


def rate(city, enterprise, value):
    return {f'courier_electronic_waybill_ratio{{{WORKER}, {city}, enterprise="{enterprise}", window="day"}}': constant(value)}


def target(city):
    return {f'courier_target_ratio{{{WORKER}, {city}, measure="electronic_waybill"}}': constant(0.9), named(city): constant(1)}


def scope(*enterprises):
    return {f'courier_target_scope{{{WORKER}, {HOHHOT}, enterprise="{name}", measure="electronic_waybill"}}': constant(1) for name in enterprises}


def plain(value):
    return [{"labels": "{}", "value": value}]


UNOWNED, LAG = ("pipeline", "无主分区 · Partitions without owner"), ("pipeline", "积压 · Lag")
DOWN, RESTARTS, WATERMARK = ("pipeline", "停止的进程 · Processes down"), ("pipeline", "一小时内重启 · Restarts, last hour"), ("pipeline", "水位线滞后 · Age of the watermark")
FIRING, OPEN, MET = ("pipeline", "正在告警 · Alerts firing"), ("city", "未结事件 · Open now"), ("city", "今日是否达标 · Within target today")
TONIGHT = ("city", "今晚能否达标 · Within target tonight")
BELOW, PARCELS = ("enterprises", "电子运单使用率今日未达标企业 · Electronic waybills below target today"), ("enterprises", "一小时收寄量 · Parcels, last hour")
UNANSWERED, PENDING, FAILING = ("enforcement", "未答复 · Unanswered"), ("enforcement", "待通知 · Pending"), ("enforcement", "故障接收方 · Sinks failing")
DISMISSED, BY_RULE = ("enforcement", "驳回占比 · Dismissed"), ("enforcement", "驳回占比，按规则 · Dismissed by rule")
ANSWERED = ("enforcement", "新增与答复 · Opened and answered")
BY_CITY = ("enforcement", "未答复，按城市与时长 · Unanswered by city and age")
OVER_AN_HOUR = ("city", "超过一小时未答复 · Unanswered for over an hour")

RATE, CURVES = ("city", "电子运单使用率 · Electronic waybills"), ("enterprises", "电子运单使用率：今日各企业 · Electronic waybills: enterprises today")
TIME_TO_ANSWER = ("enforcement", "答复用时：中位数 · Time to answer: median")
REACHED, SHARES = ("enterprises", "电子运单使用率：目标完成度 · Electronic waybills: share of the target reached"), ("city", "主要指标：占比 · Key figures: shares")
IN_HOHHOT = '{city="150100", name="呼和浩特市 · Hohhot"}'
FIGURE = IN_HOHHOT.replace(", name", ', measure="electronic_waybill", name')

REBALANCE = {
    f"courier_partitions{{{OTHER_WORKER}, {GPS}}}": constant(12),
    f"courier_partitions_owned{{{WORKER}, {GPS}}}": "12+0x20 6+0x100",
    f"courier_partitions_owned{{{OTHER_WORKER}, {GPS}}}": "0+0x19 6+0x19 4+0x80",
    f'courier_consumer_lag{{{WORKER}, {GPS}, partition="0"}}': constant(500),
    f'courier_consumer_lag{{{OTHER_WORKER}, {GPS}, partition="0"}}': "_x20 480 stale",
}
"""One scrape finds six partitions with two workers; later the other worker gives two away that nobody takes."""
RESTARTED = {
    f"up{{{OTHER_WORKER}}}": " ".join(["1 0"] * (STEPS // 2)),
    f"process_start_time_seconds{{{OTHER_WORKER}}}": " ".join(f"{60 * number} stale" for number in range(STEPS // 2)),
}
STOPPED = {
    **target(HOHHOT), **rate(HOHHOT, "*", 0.95), **rate(HOHHOT, "x", 0.85), **rate(HOHHOT, "y", 0.96),
    f'courier_parcels_accepted_total{{{WORKER}, {HOHHOT}, enterprise="x", waybill="electronic"}}': "0+10x40 400+0x200",
    f'courier_parcels_accepted_total{{{WORKER}, {HOHHOT}, enterprise="y", waybill="electronic"}}': f"0+10x{STEPS}",
    f'courier_incidents_open{{{WORKER}, {HOHHOT}, rule="interrupted_feed"}}': "0+0x79 1+0x160",
}  # fmt: skip
TWO_NOTIFIERS = {
    f"up{{{OTHER_NOTIFIER}}}": constant(1),
    **{f'courier_incidents_unanswered{{{of}, {HOHHOT}, rule="speeding", age="{age}"}}': constant(value) for of in (NOTIFIER, OTHER_NOTIFIER) for age, value in (("1h_to_4h", 3), ("under_15m", 4))},
    f'courier_outbox_pending{{{NOTIFIER}, sink="webhook"}}': constant(5), f'courier_outbox_pending{{{OTHER_NOTIFIER}, sink="webhook"}}': constant(7),
    f'courier_sink_failing{{{OTHER_NOTIFIER}, sink="webhook"}}': constant(0),
}  # fmt: skip
CASES = {
    "a scrape during a rebalance": (REBALANCE, [(UNOWNED, "9m", plain(0)), (UNOWNED, "10m", plain(0)), (LAG, "10m", plain(500)), (UNOWNED, "25m", plain(2)), (FIRING, "25m", plain(1))]),
    "a worker restarted every minute": (
        RESTARTED, [(RESTARTS, "70m", plain(60)), (DOWN, "70m", plain(0)), (DOWN, "70m30s", plain(1)), (UNOWNED, "70m30s", plain(0)), (FIRING, "70m30s", plain(1))],
    ),
    "a city without parcels": (
        {**target(HOHHOT), **target(SHAOXING), **rate(HOHHOT, "*", 0.95), **rate(HOHHOT, "x", 0.8), **rate(HOHHOT, "y", 0.95)},
        [(MET, "40m", [{"labels": '{city="150100", name="呼和浩特市 · Hohhot"}', "value": 1}]), (TONIGHT, "40m", []), (BELOW, "40m", plain(1)), (FIRING, "40m", plain(0))],
    ),
    "an enterprise that stops": (
        STOPPED,
        # that its feed is interrupted, and that its rate of the day is below the target
        [(OPEN, "30m", plain(0)), (OPEN, "45m", plain(1)), (FIRING, "45m", plain(2)), (PARCELS, "100m", plain(1200)), (BELOW, "100m", plain(1)),
         (MET, "100m", [{"labels": '{city="150100", name="呼和浩特市 · Hohhot"}', "value": 1}])],
    ),
    "clocks a minute apart": (
        {f"courier_watermark_age_seconds{{{OTHER_WORKER}}}": constant(62), f"courier_watermark_age_seconds{{{WORKER.replace('w:', 'u:')}}}": "-58+0x240"},
        [(WATERMARK, "40m", plain(62)), (FIRING, "40m", plain(0))],
    ),
    "a target of primary brands alone": (
        {**target(HOHHOT), **rate(HOHHOT, "*", 0.7), **rate(HOHHOT, "x", 0.45), **rate(HOHHOT, "y", 0.5), **scope("x", "without parcels")},
        [(MET, "40m", []), (RATE, "40m", [], "target"), (BELOW, "40m", plain(1)), (REACHED, "40m", [{"labels": '{city="150100", enterprise="x"}', "value": 0.5}]),
         (CURVES, "40m", [], "} 目标"), (CURVES, "40m", [{"labels": IN_HOHHOT, "value": 0.9}], "primary"), (SHARES, "40m", [{"labels": FIGURE, "value": 0.7}]), (SHARES, "40m", [], "C")],
    ),
    "a target of all": (
        {**target(HOHHOT), **rate(HOHHOT, "*", 0.45), **rate(HOHHOT, "x", 0.45), **scope()},
        [(MET, "40m", [{"labels": IN_HOHHOT, "value": 0}]), (RATE, "40m", [{"labels": IN_HOHHOT, "value": 0.9}], "target"), (BELOW, "40m", plain(1)),
         (CURVES, "40m", [{"labels": IN_HOHHOT, "value": 0.9}], "} 目标"), (CURVES, "40m", [], "primary"), (SHARES, "40m", [{"labels": FIGURE, "value": -0.45}], "C")],
    ),
    "answers of the day before": (
        {f'courier_acknowledge_seconds_bucket{{{NOTIFIER}, {HOHHOT}, rule="speeding", le="{le}"}}': constant(3) for le in ("60", "+Inf")}, [(TIME_TO_ANSWER, "40m", [])],
    ),
    "the first answers that a notifier counts": (
        {f'courier_answers_total{{{NOTIFIER}, {HOHHOT}, rule="speeding", action="{action}"}}': f"0x60 {number}x180" for action, number in (("acknowledged", 3), ("dismissed", 1), ("fined", 0))},
        [(DISMISSED, "60m", plain(0.25)), (BY_RULE, "60m", [{"labels": '{rule="speeding"}', "value": 0.25}]), (ANSWERED, "70m", plain(4), "answers")],
    ),
    "two notifiers count each answer": (
        {f'courier_answers_total{{{of}, {HOHHOT}, rule="speeding", action="acknowledged"}}': "0x60 3x180" for of in (NOTIFIER, OTHER_NOTIFIER)}, [(ANSWERED, "70m", plain(3), "answers")],
    ),
    "two systems": (
        {f'{name}{{namespace="{system}", {of}}}': constant(value) for system, value in (("a", 3), ("b", 5)) for name, of in (
            ("courier_consumer_lag", f'{WORKER}, {GPS}, partition="0"'), ("courier_sink_failing", f'{NOTIFIER}, sink="webhook"'), ("courier_watermark_age_seconds", WORKER))},
        [(LAG, "40m", plain(8)), (LAG, "40m", plain(5), {"namespace": "b"}), (WATERMARK, "40m", plain(3), {"namespace": "a"})],
    ),
    "a pack of one's own, whose target has a date": (
        {**target(HOHHOT), f'courier_target_info{{{WORKER}, {HOHHOT}, measure="electronic_waybill", due="2027-01-31", clause="九", basis="operator", scope=""}}': constant(1)},
        [(SHARES, "40m", [{"labels": FIGURE.replace("{", '{basis="operator", clause="九", due="2027-01-31", '), "value": 0.9}], "B")],
    ),
    "cities that have not answered": (
        {**target(HOHHOT), f'courier_incidents_unanswered{{{NOTIFIER}, {HOHHOT}, rule="speeding", age="over_1d"}}': constant(3)},
        [(BY_CITY, "40m", [{"labels": '{age="over_1d", city="150100", name="呼和浩特市 · Hohhot"}', "value": 3}])],
    ),
    "two notifiers": (TWO_NOTIFIERS, [(UNANSWERED, "40m", plain(7)), (OVER_AN_HOUR, "40m", plain(3)), (PENDING, "40m", plain(12)), (FAILING, "40m", plain(0))]),
}  # fmt: skip


def asked(panel, which="", chosen=None):
    """The first query of a panel whose letter this is, or whose legend has these words."""
    if isinstance(which, dict):
        which, chosen = "", which
    board, title = panel
    targets = next(found["targets"] for found in panels(BOARDS[board]) if found["title"] == title)
    return next(replaced(one["expr"], chosen or {}) for one in targets if which in (one["refId"], "") or which in one.get("legendFormat", ""))


def as_values(value):
    return f"{value}x{STEPS}" if "+" in value else constant(value)


@pytest.mark.parametrize("name", CASES)
def test_tiles_say_what_is_so(promtool, tmp_path, name):
    weather, expected = CASES[name]
    series = {series: as_values(value) for series, value in HEALTHY.items()} | weather
    case = {
        "name": name, "interval": "30s", "input_series": [{"series": series, "values": values} for series, values in series.items()],
        "promql_expr_test": [{"expr": asked(panel, *which), "eval_time": at, "exp_samples": samples} for panel, at, samples, *which in expected],
    }  # fmt: skip
    groups = [group["name"] for file in ("recording.yml", "alerts.yml") for group in yaml.safe_load((FOLDER / file).read_text("utf-8"))["groups"]]
    file = {"rule_files": [str(FOLDER / "recording.yml"), str(FOLDER / "alerts.yml")], "evaluation_interval": "30s", "group_eval_order": groups, "tests": [case]}
    (tmp_path / "cases.yml").write_text(yaml.safe_dump(file, allow_unicode=True), "utf-8")
    done = subprocess.run([promtool, "test", "rules", str(tmp_path / "cases.yml")], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
