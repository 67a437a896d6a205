"""What Prometheus, Alertmanager and Grafana are given fits the containers of deploy/compose.yaml."""

import re
import shutil
import subprocess

import pytest
import yaml
from against_the_code import DEPLOY, is_served
from test_compose import PROCESS_PORTS, SERVICES

PORTS = {**PROCESS_PORTS, "prometheus": 9090, "alertmanager": 9093}
JOBS = {"yicheng-worker": "worker", "yicheng-notifier": "notifier", "yicheng-console": "console", "prometheus": "prometheus", "alertmanager": "alertmanager"}
"""Job in Prometheus → service in Compose."""


def read(name):
    return yaml.safe_load((DEPLOY / name).read_text("utf-8"))


@pytest.mark.parametrize("job", JOBS)
def test_prometheus_finds_every_job_in_its_service(job):
    config = next(config for config in read("prometheus/prometheus.yml")["scrape_configs"] if config["job_name"] == job)
    service = JOBS[job]
    by_name = [(name, found["port"]) for found in config.get("dns_sd_configs", []) for name in found["names"] if found.get("type") == "A"]
    static = [(host, int(port)) for found in config.get("static_configs", []) for host, port in (target.split(":") for target in found["targets"])]
    hosts = {service, "localhost"} if service == "prometheus" else {service}
    assert len(by_name + static) == 1 and {host for host, _ in by_name + static} <= hosts and {port for _, port in by_name + static} == {PORTS[service]}
    if SERVICES[service]["deploy"].get("replicas", 1) > 1:
        assert by_name, f"a name that stands for several containers is looked up by dns_sd_configs, else one of them is scraped at random: names: [{service}], type: A"
    assert service not in PROCESS_PORTS or is_served(config.get("metrics_path", "/metrics"))


def test_prometheus_hands_its_alerts_to_alertmanager_and_that_to_the_notifier():
    targets = [target for manager in read("prometheus/prometheus.yml")["alerting"]["alertmanagers"] for found in manager["static_configs"] for target in found["targets"]]
    assert targets == [f"alertmanager:{PORTS['alertmanager']}"]
    urls = {webhook["url"] for receiver in read("prometheus/alertmanager.yml")["receivers"] for webhook in receiver.get("webhook_configs", [])}
    assert urls == {f"http://notifier:{PORTS['notifier']}/v1/alerts"}


def test_prometheus_has_the_rules():
    assert {(DEPLOY / "prometheus" / name).exists() for name in read("prometheus/prometheus.yml")["rule_files"]} == {True}


def test_grafana_finds_its_dashboards_and_prometheus():
    files = [yaml.safe_load(path.read_text("utf-8")) for path in sorted((DEPLOY / "grafana" / "provisioning").rglob("*.y*ml"))]
    targets = {mount.split(":")[0]: mount.split(":")[1] for mount in SERVICES["grafana"]["volumes"]}
    folders = [provider["options"]["path"] for file in files for provider in file.get("providers", [])]
    assert folders and {folder for folder in folders if not folder.startswith(targets["./grafana/dashboards"])} == set()
    given = SERVICES["grafana"]["environment"]
    urls = [re.sub(r"\$\{?(\w+)\}?", lambda name: given[name[1]], source["url"]) for file in files for source in file.get("datasources", []) if source["type"] == "prometheus"]
    assert urls == [f"http://prometheus:{PORTS['prometheus']}"]
    assert sorted((DEPLOY / "grafana" / "dashboards").glob("*.json"))


@pytest.mark.parametrize(("service", "program"), [("prometheus", "prometheus"), ("alertmanager", "prometheus-alertmanager")])
def test_the_programs_know_the_flags_that_they_are_given(service, program):
    if shutil.which(program) is None:
        pytest.skip(f"{program} is missing")
    said = subprocess.run([program, "--help"], capture_output=True, text=True, check=False)
    given = [flag.partition("=")[0] for flag in SERVICES[service]["command"]]
    assert given and [flag for flag in given if not re.search(rf"(?<![\w-]){re.escape(flag)}(?![\w.-])", said.stdout + said.stderr)] == []
