"""Several systems on one Prometheus, each in a namespace: with ``enforcedNamespaceLabel`` an ill one is told, whatever a healthy one beside it shows.

A case of each alert that is not about a city is run again: its series in one namespace, those of a healthy system in another.
"""

import subprocess

import pytest
import yaml
from conftest import ROOT

from monitoring.promql import in_namespace

FOLDER = ROOT / "deploy" / "prometheus"
CASES = [case for path in sorted((FOLDER / "tests").glob("*.yml")) for case in yaml.safe_load(path.read_text("utf-8"))["tests"]]
ALERTS = ["NoWorker", "NotifierDown", "ConsoleDown", "NoFixes", "DeadLetters", "RecordsRefused", "ArrivalUnknown", "UnreadableRecords", "LagGrows", "PartitionWithoutOwner", "TimeStandsStill", "TransactionOpen", "OutboxGrows", "SinkFails", "SinkOff"]
ILL, WELL = "ill", "well"
LONG = 200
"""Samples, one a minute."""
CONSOLE = 'instance="w:9110", job="yicheng-console"'
WORKER, NOTIFIER = 'instance="w:9108", job="yicheng-worker"', 'instance="w:9109", job="yicheng-notifier"'
HEALTHY = {
    **{f"up{{{process}}}": "1" for process in (WORKER, NOTIFIER, CONSOLE)}, f"process_start_time_seconds{{{WORKER}}}": "1000",
    f'courier_fixes_total{{{WORKER}, city="150100", outcome="accepted"}}': "0+600", f'courier_scans_total{{{WORKER}, city="150100", kind="accepted", outcome="counted"}}': "0+60",
    f'courier_vehicles_active{{{WORKER}, city="150100", energy="electric"}}': "10", f"courier_checkpoint_age_seconds{{{WORKER}}}": "1", f"courier_watermark_age_seconds{{{WORKER}}}": "1",
    **{f'{name}{{{WORKER}, topic="{topic}"}}': value for topic in ("courier.gps.v1", "courier.scan.v1") for name, value in {"courier_partitions": "12", "courier_partitions_owned": "12", "courier_refused_ratio": "0"}.items()},
    **{f'{name}{{{WORKER}, topic="courier.gps.v1", partition="0"}}': "0" for name in ("courier_consumer_lag", "courier_records_held_back")},
    **{f'{name}{{{NOTIFIER}, sink="{sink}"}}': "0" for sink in ("webhook", "file") for name in ("courier_outbox_pending", "courier_sink_failing")},
    f'courier_answers_total{{{NOTIFIER}, city="150100", rule="speeding", action="acknowledged"}}': "0+1",
}  # fmt: skip


def rules_of(alert, namespace, enforced):
    """The recording rules of traffic and one alert as the operator would hand them on: a matcher in every selector, a label on every result."""
    first, *others = (group for name in ("recording.yml", "alerts.yml") for group in yaml.safe_load((FOLDER / name).read_text("utf-8"))["groups"])
    for chosen in (first, {"name": "alert", "rules": [rule for group in others for rule in group["rules"] if rule.get("alert") == alert]}):
        rules = [
            {**rule, "labels": {**rule.get("labels", {}), "namespace": namespace}, "expr": in_namespace(rule["expr"], namespace) if enforced else rule["expr"]}
            for rule in chosen["rules"]
        ]
        yield {"name": f"{namespace} {chosen['name']}", "rules": rules}


def checks_of(case, alert):
    return [check for check in case.get("alert_rule_test", ()) if check["alertname"] == alert]


def in_namespaces(alert):
    """The first case in which an alert fires, as it is, with a healthy system beside it."""
    case, checks = next((case, checks) for case in CASES for checks in [checks_of(case, alert)] if any(check.get("exp_alerts") for check in checks))
    ill = [{**row, "series": row["series"].replace("{", f'{{namespace="{ILL}", ', 1)} for row in case.get("input_series", ())]
    healthy = [{"series": name.replace("{", f'{{namespace="{WELL}", '), "values": f"{value}x{LONG}" if "+" in value else f"{value}+0x{LONG}"} for name, value in HEALTHY.items()]
    told = [{**check, "exp_alerts": [{**one, "exp_labels": {**one["exp_labels"], "namespace": ILL}} for one in check.get("exp_alerts") or ()]} for check in checks]
    return {"name": alert, "interval": case["interval"], "input_series": ill + healthy, "alert_rule_test": told}


def passes(promtool, folder, alert, enforced=True):
    groups = [group for namespace in (ILL, WELL) for group in rules_of(alert, namespace, enforced)]
    (folder / "rules.yml").write_text(yaml.safe_dump({"groups": groups}, allow_unicode=True), "utf-8")
    file = {"rule_files": ["rules.yml"], "evaluation_interval": "1m", "group_eval_order": [group["name"] for group in groups], "tests": [in_namespaces(alert)]}
    (folder / "cases.yml").write_text(yaml.safe_dump(file, allow_unicode=True), "utf-8")
    done = subprocess.run([promtool, "test", "rules", str(folder / "cases.yml")], capture_output=True, text=True, check=False)
    assert "FAILED" in done.stderr + done.stdout or done.returncode == 0, done.stderr
    return done.returncode == 0 or done.stderr + done.stdout


@pytest.mark.parametrize("alert", ALERTS)
def test_an_ill_system_is_told_beside_a_healthy_one(promtool, tmp_path, alert):
    assert passes(promtool, tmp_path, alert) is True


@pytest.mark.parametrize("alert", ["NoWorker", "NotifierDown", "ConsoleDown", "NoFixes", "PartitionWithoutOwner"])
def test_without_the_operators_label_a_healthy_one_hides_it(promtool, tmp_path, alert):
    assert passes(promtool, tmp_path, alert, enforced=False) is not True
