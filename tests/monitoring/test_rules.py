"""Prometheus's rules: Prometheus's own cases pass, every alert has its cases and its words, and what the rules name is there."""

import functools
import json
import re
import shutil
import subprocess
import urllib.request

import pytest
import receiver
import yaml
from alertmanager import running_alertmanager
from conftest import ROOT, get, wait_for

from monitoring.dashboard_lint import BY_CITY_TOO
from monitoring.watched_site import sooner
from streams import metrics

FOLDER = ROOT / "deploy" / "prometheus"
CASES = sorted((FOLDER / "tests").glob("*.yml"))
RUNBOOKS = ROOT / "deploy" / "runbooks.md"
ANNOTATIONS = {f"{what}{language}" for what in ("summary", "description") for language in ("", "_en", "_zh")} | {"runbook"}
NEVER_ENDS = "DeadMansSwitch"
WELL_KNOWN = {"up": "gauge", "process_start_time_seconds": "gauge"}
OF_PROMETHEUS = {"ALERTS": "gauge", "ALERTS_FOR_STATE": "gauge"}
OF_A_TARGET = {"instance", "job"}
OF_AN_ALERT = {"alertname", "alertstate", "city", "enterprise", "measure"}
YOUNG = re.compile(r"and on \(instance, job\) time\(\) - process_start_time_seconds < (\d+)")
SINCE = re.compile(r"time\(\) - ALERTS_FOR_STATE\b")
NAMES_OF_A_CITY = {"name_zh", "name_en", "policy"}


def read(name):
    return yaml.safe_load((FOLDER / name).read_text("utf-8"))


def rules_of(name):
    return [rule for group in read(name)["groups"] for rule in group["rules"]]


ALERTS, RECORDED = rules_of("alerts.yml"), rules_of("recording.yml")
NAMES = sorted({rule["alert"] for rule in ALERTS})
RULES = {f"{rule.get('alert') or rule['record']}-{number}": rule["expr"] for number, rule in enumerate(ALERTS + RECORDED)}


# --- what an expression says ---
WORDS = {"and", "or", "unless", "by", "without", "on", "ignoring", "group_left", "group_right", "offset", "bool"}
GROUPING = re.compile(r"\b(?:by|without|on|ignoring|group_left|group_right)\s*\(([^)]*)\)")
STRING = re.compile(r'"[^"]*"')
DURATION = re.compile(r"\b(\d+)([smhdwy]|ms)\b")


def selectors(expression):
    """(metric, labels that are matched) of each selector."""
    bare = re.sub(r"\[[^\]]*\]", "", GROUPING.sub(" ", STRING.sub('""', expression)))
    for name, call, matchers in re.findall(r"(?<![\w:.])([a-zA-Z_:][\w:]*+)(\s*\()?(\{[^}]*\})?", re.sub(r"(?<=[,{])\s+", "", bare)):
        if not call and name not in WORDS and f"{name}=" not in bare and f"{name}!" not in bare:
            yield name, set(re.findall(r"(\w+)(?:=~|!~|!=|=)", matchers))


def aggregations(expression):
    """(labels, what is aggregated) of each ``sum by (…) (…)`` and the like."""
    for found in re.finditer(r"\bby\s*\(([^)]*)\)\s*\(", expression):
        depth, end = 1, found.end()
        while depth:
            depth += {"(": 1, ")": -1}.get(expression[end], 0)
            end += 1
        yield set(re.findall(r"\w+", found[1])), expression[found.end() : end - 1]


def exported():
    """Series name → (type as Prometheus has it, labels), of all that a process shows."""
    found = {name: (kind, OF_A_TARGET) for name, kind in WELL_KNOWN.items()} | {name: (kind, OF_AN_ALERT) for name, kind in OF_PROMETHEUS.items()}
    for metric in vars(metrics).values():
        kind, name = getattr(metric, "_type", None), getattr(metric, "_name", None)
        labels = OF_A_TARGET | set(getattr(metric, "_labelnames", ()))
        if kind == "counter":
            found[f"{name}_total"] = kind, labels
        elif kind == "histogram":
            found |= {f"{name}_bucket": ("counter", labels | {"le"}), f"{name}_sum": ("counter", labels), f"{name}_count": ("counter", labels)}
        elif kind == "info":
            found[f"{name}_info"] = "gauge", labels | NAMES_OF_A_CITY
        elif kind == "gauge":
            found[name] = kind, labels
    return found


def series():
    """The same, with what recording rules make: the first part of such a name is its labels."""
    return exported() | {rule["record"]: ("gauge", {*rule["record"].partition(":")[0].split("_"), *BY_CITY_TOO.get(rule["record"], ())}) for rule in RECORDED}


def metrics_of(alert):
    """The exported series that an alert goes back to."""
    made = {rule["record"]: [r["expr"] for r in RECORDED if r["record"] == rule["record"]] for rule in RECORDED}
    wanted, found = [rule["expr"] for rule in ALERTS if rule["alert"] == alert], set()
    while wanted:
        for name, _ in selectors(wanted.pop()):
            if name in made:
                wanted += made.pop(name)
            else:
                found.add(name)
    return found - {rule["record"] for rule in RECORDED}


# --- Prometheus's own word ---
@pytest.mark.parametrize("name", ["recording.yml", "alerts.yml"])
def test_prometheus_finds_nothing_wrong_with_the_rules(promtool, name):
    done = subprocess.run([promtool, "check", "rules", "--lint-fatal", str(FOLDER / name)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("case", CASES, ids=lambda path: path.stem)
def test_the_cases_of_the_rules(promtool, case):
    done = subprocess.run([promtool, "test", "rules", str(case)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_prometheus_takes_its_configuration(promtool):
    done = subprocess.run([promtool, "check", "config", str(FOLDER / "prometheus.yml")], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_alertmanager_takes_its_configuration():
    amtool = shutil.which("amtool")
    if amtool is None:
        pytest.skip("amtool is missing; it comes with Debian's prometheus-alertmanager")
    done = subprocess.run([amtool, "check-config", str(FOLDER / "alertmanager.yml")], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


# --- cases ---
@functools.cache
def happenings():
    """(alert, what a case's checks show) for each case and each alert that it checks: a set of firing, quiet, resolving, absent."""
    found = []
    for path in CASES:
        for case in yaml.safe_load(path.read_text("utf-8"))["tests"]:
            given = {re.match(r"[\w:]+", row["series"])[0] for row in case.get("input_series", ())}
            checks = {}
            for check in case.get("alert_rule_test", ()):
                checks.setdefault(check["alertname"], []).append((minutes(check["eval_time"]), bool(check.get("exp_alerts"))))
            for alert, seen in checks.items():
                fired = [firing for _, firing in sorted(seen)]
                shown = {"firing"} if any(fired) else {"quiet"} if given & metrics_of(alert) else set()
                shown |= {"resolving"} if True in fired and not fired[-1] else set()
                found.append((alert, shown | ({"absent"} if not given & metrics_of(alert) else set())))
    return found


def minutes(duration):
    return sum(int(number) * {"s": 1 / 60, "m": 1, "h": 60, "d": 1440}[unit] for number, unit in re.findall(r"(\d+)([smhd])", duration))


@pytest.mark.parametrize("alert", NAMES)
def test_every_alert_has_a_case_that_fires_one_that_does_not_one_that_ends_and_one_without_its_series(alert):
    shown = set().union(*(what for name, what in happenings() if name == alert))
    assert shown >= ({"firing", "absent"} if alert == NEVER_ENDS else {"firing", "quiet", "resolving", "absent"})


def test_every_recording_rule_has_a_case_with_a_value_and_one_without():
    checks = [check for case in read("tests/recording.yml")["tests"] for check in case["promql_expr_test"]]
    names = {rule["record"] for rule in RECORDED}
    with_values = {name for name in names for check in checks if name in check["expr"] and check["exp_samples"]}
    assert with_values == names
    assert any(check["exp_samples"] == [] and check["expr"].startswith("count({__name__=~") for check in checks), "and none of them speaks of nothing"


# --- words ---
@pytest.mark.parametrize("rule", ALERTS, ids=lambda rule: rule["alert"])
def test_every_alert_speaks_both_languages(rule):
    said = rule["annotations"]
    assert set(said) == ANNOTATIONS
    for what in ("summary", "description"):
        english, chinese = said[f"{what}_en"], said[f"{what}_zh"]
        words = [re.sub(r"\{\{.*?\}\}", "", text) for text in (english, chinese)]
        assert not re.search(r"[\u3000-\u303f\u4e00-\u9fff\uff00-\uffef]", english) and re.search(r"[\u4e00-\u9fff]", words[1]), what
        assert said[what] == f"{english} / {chinese}", what
        assert sorted(placed(english)) == sorted(placed(chinese)), f"{what}: both say the same"
        assert not re.search(r"_total|_bucket|\bcourier_|\brate\(|PromQL", words[0] + words[1]), f"{what}: no expressions"


def placed(text):
    """What an annotation takes from the alert; the same figure may stand anywhere."""
    return {re.sub(r"\s+", "", piece) for piece in re.findall(r"\$labels\.\w+|\$value[^}]*", text)}


@pytest.mark.parametrize("rule", ALERTS, ids=lambda rule: rule["alert"])
def test_every_alert_has_a_severity_and_a_section_in_the_runbooks(rule):
    assert rule["labels"]["severity"] in {"critical", "warning", "info"}
    page, _, anchor = rule["annotations"]["runbook"].partition("#")
    assert ROOT / page == RUNBOOKS and anchor == rule["alert"].lower()
    assert rule["alert"] in re.findall(r"^## (\w+)$", RUNBOOKS.read_text("utf-8"), re.MULTILINE)


@pytest.mark.parametrize("rule", ALERTS, ids=lambda rule: rule["alert"])
def test_labels_are_few_and_known(rule):
    """None that names a vehicle, a parcel or a partition: those that the metrics have, one for the severity, and two that tell alerts of a name apart."""
    own = set(rule["labels"]) - {"severity"}
    assert own <= {"measure", "limit"}
    shown = own | set(re.findall(r"\$labels\.(\w+)", str(rule["annotations"])))
    assert shown <= {"city", "enterprise", "topic", "sink", "instance", "measure", "limit"}


# --- what the rules name ---
@pytest.mark.parametrize("name", RULES)
def test_every_series_of_an_expression_is_there_with_its_labels(name):
    known = series()
    for metric, matched in selectors(RULES[name]):
        assert metric in known, metric
        assert matched <= known[metric][1], metric
    for labels, inner in aggregations(RULES[name]):
        for metric, _ in selectors(YOUNG.sub("", inner)):
            assert labels <= known[metric][1], f"{metric} by {labels}"
    joined = {label for labels in GROUPING.findall(RULES[name]) for label in re.findall(r"\w+", labels)}
    assert joined <= set().union(*(known[metric][1] for metric, _ in selectors(RULES[name])), set())


@pytest.mark.parametrize("name", RULES)
def test_only_counters_increase(name):
    counted = re.findall(r"\b(?:rate|increase|irate)\(\s*([\w:]+)", RULES[name])
    risen = re.findall(r"\b(?:deriv|delta|min_over_time|max_over_time|avg_over_time|sum_over_time)\(\s*([\w:]+)", RULES[name])
    assert [metric for metric in counted if series()[metric][0] != "counter"] == []
    assert [metric for metric in risen if series()[metric][0] == "counter"] == []


def test_what_an_alert_reads_is_recorded_before_in_every_case():
    groups = [group["name"] for file in ("recording.yml", "alerts.yml") for group in read(file)["groups"]]
    assert len(groups) == len(set(groups))
    for path in CASES:
        order = yaml.safe_load(path.read_text("utf-8"))["group_eval_order"]
        assert order == groups[: len(order)], path.name


@pytest.mark.parametrize("alert", ["RateBelowTarget", "RateForecastBelowTarget"])
def test_both_rates_are_watched_in_the_same_way(alert):
    electronic, green = (rule for rule in ALERTS if rule["alert"] == alert)
    as_green = electronic["expr"].replace("electronic_waybill", "green_packaging")
    assert (as_green, electronic["for"], electronic["keep_firing_for"]) == (green["expr"], green["for"], green["keep_firing_for"])
    (record,) = {name for name, _ in selectors(electronic["expr"])} - {"ALERTS"}
    electronic, green = (rule["expr"] for rule in RECORDED if rule["record"] == record)
    assert electronic.replace("electronic_waybill", "green_packaging") == green


def test_no_clock_is_compared_with_another():
    for name, expression in RULES.items():
        left = SINCE.sub("", YOUNG.sub("", expression.replace("hour(vector(time() + 8 * 3600))", "")))
        assert not re.search(r"\btime\(|\btimestamp\(", left), name
        assert "process_start_time_seconds" not in re.sub(r"changes\([^)]*\)", "", left), name


def test_what_a_young_process_began_with_counts_whole_for_as_long_as_is_looked_back():
    """An old process's counts are old, however long Prometheus was away."""
    seconds = {"15m": 900, "1h": 3600, "1d": 86_400}
    for name, expression in RULES.items():
        looked_back = re.findall(rf"unless\s+last_over_time\([^\[]*\[(\w+)\] offset (\w+)\)\s+(?:{YOUNG.pattern})?", expression)
        assert [(seconds[window], offset, young) for window, offset, young in looked_back] == [(seconds[window], window, str(seconds[window])) for window, _, _ in looked_back], name
        assert len(looked_back) == expression.count("offset") - expression.count("[2m] offset") - expression.count("[5m] offset"), name


def test_all_times_are_whole_minutes_so_that_a_copy_sixty_times_as_fast_says_the_same():
    texts = [*RULES.values(), *(rule.get(time, "1m") for rule in ALERTS for time in ("for", "keep_firing_for"))]
    found = {(number, unit) for text in texts for number, unit in DURATION.findall(text)}
    assert found and {unit for _, unit in found} <= {"m", "h", "d"}
    for alert in ALERTS:
        for metric, limit in re.findall(r"(courier_\w+_seconds)\s*>\s*([\d.]+)", alert["expr"]):
            assert float(limit) <= 30, metric


# --- where it is watched, and who is told ---
def test_jobs_and_ports_are_those_of_the_processes():
    found = {job["job_name"]: job for job in read("prometheus.yml")["scrape_configs"]}
    jobs = {name: job["static_configs"][0]["targets"][0] if "static_configs" in job else "found by name" for name, job in found.items()}
    assert found["yicheng-worker"]["dns_sd_configs"][0]["port"] == metrics.WORKER_PORT and jobs["yicheng-notifier"].endswith(f":{metrics.NOTIFIER_PORT}")
    assert found["yicheng-console"]["dns_sd_configs"][0]["port"] == metrics.CONSOLE_PORT
    asked = {job for expression in RULES.values() for job in re.findall(r'job="([^"]+)"', expression)}
    assert asked and asked <= jobs.keys()
    assert {FOLDER / name for name in read("prometheus.yml")["rule_files"]} == {FOLDER / "recording.yml", FOLDER / "alerts.yml"}


def routes():
    return read("alertmanager.yml")["route"]["routes"]


def test_every_alert_is_routed_by_its_severity_and_the_dead_man_most_often():
    severities = {match for route in routes() for matcher in route["matchers"] for match in re.findall(r'severity="(\w+)"', matcher)}
    assert severities == {rule["labels"]["severity"] for rule in ALERTS}
    first = routes()[0]
    assert first["matchers"] == [f'alertname="{NEVER_ENDS}"']
    assert minutes(first["repeat_interval"]) == min(minutes(route.get("repeat_interval", "4h")) for route in routes())
    config = read("alertmanager.yml")
    assert {route["receiver"] for route in (config["route"], *routes())} == {receiver["name"] for receiver in config["receivers"]} == {"notifier"}
    [hook] = config["receivers"][0]["webhook_configs"]
    assert hook == {"url": f"http://notifier:{metrics.NOTIFIER_PORT}/v1/alerts", "send_resolved": True, "http_config": {"authorization": {"credentials_file": "/run/secrets/alerts_token"}}}


@pytest.fixture(scope="module")
def alertmanager(tmp_path_factory):
    """Alertmanager with our configuration; its address."""
    with running_alertmanager(FOLDER / "alertmanager.yml", tmp_path_factory.mktemp("alertmanager")) as url:
        yield f"{url}/api/v2/alerts"


def post_alerts(address, alerts):
    urllib.request.urlopen(urllib.request.Request(address, json.dumps(alerts).encode(), {"Content-Type": "application/json"})).close()


def test_one_cause_is_told_once(alertmanager):
    raised = [
        {"alertname": "NoWorker"}, {"alertname": "CitySilent", "city": "150100"}, {"alertname": "LagGrows", "topic": "a"}, {"alertname": NEVER_ENDS},
        {"alertname": "SinkFails", "sink": "webhook"}, {"alertname": "OutboxGrows", "sink": "webhook"}, {"alertname": "OutboxGrows", "sink": "file"},
        {"alertname": "RateBelowTarget", "city": "150100"},
        {"alertname": "LagGrows", "namespace": "another", "topic": "a"}, {"alertname": "SinkOff", "sink": "wecom"}, {"alertname": "OutboxGrows", "sink": "wecom"},
        {"alertname": "NotifierDown", "namespace": "third"}, {"alertname": "DeliveriesGivenUp", "namespace": "third", "sink": "wecom"}, {"alertname": "DeliveriesGivenUp", "sink": "wecom"},
    ]  # fmt: skip
    post_alerts(alertmanager, [{"labels": labels} for labels in raised])

    def told():
        found = json.loads(get(alertmanager) or "[]")
        return len(found) == len(raised) and [alert["labels"] for alert in found if not alert["status"]["inhibitedBy"]]

    expected = [raised[number] for number in (0, 3, 4, 6, 7, 8, 9, 11, 13)]
    wait_for("the others to be muted", lambda: (seen := told()) and sorted(map(str, seen)) == sorted(map(str, expected)))


def test_each_alert_is_delivered_where_nothing_mutes_it(tmp_path):
    """Each in a namespace of its own, so that none mutes another; Alertmanager waits as it is told to, thirty times as short."""
    told = set()

    def answer(_, body):
        told.update(alert["labels"]["alertname"] for alert in json.loads(body)["alerts"])
        return 200

    server, url = receiver.serve(answer)
    (tmp_path / "token").write_text("t")
    text = sooner((FOLDER / "alertmanager.yml").read_text("utf-8")).replace(f"http://notifier:{metrics.NOTIFIER_PORT}/v1/alerts", url)
    (tmp_path / "alertmanager.yml").write_text(text.replace("/run/secrets/alerts_token", str(tmp_path / "token")), "utf-8")
    with running_alertmanager(tmp_path / "alertmanager.yml", tmp_path) as alertmanager:
        raised = [{"labels": {"alertname": rule["alert"], "severity": rule["labels"]["severity"], "namespace": rule["alert"].lower()}} for rule in ALERTS]
        post_alerts(f"{alertmanager}/api/v2/alerts", raised)
        wait_for(lambda: f"{sorted(set(NAMES) - told)} to be delivered", lambda: told == set(NAMES))
    server.shutdown()
    server.server_close()


def test_what_mutes_and_what_is_muted_are_alerts_and_share_the_labels_that_must_be_equal():
    labels = {name: set().union(*(set(re.findall(r"\$labels\.(\w+)", str(rule["annotations"]))) for rule in ALERTS if rule["alert"] == name)) for name in NAMES}
    for inhibition in read("alertmanager.yml")["inhibit_rules"]:
        sources, targets = (
            {name for matcher in inhibition[side] for name in re.findall(r"[A-Z]\w+", matcher)} for side in ("source_matchers", "target_matchers")
        )  # fmt: skip
        assert sources | targets <= set(NAMES) - {NEVER_ENDS} and not sources & targets
        assert inhibition["equal"][0] == "namespace", "no system mutes another's alerts; where there is one, none has the label"
        assert all(set(inhibition["equal"][1:]) <= labels[name] for name in sources | targets)
