"""deploy/compose.yaml: it is Compose, what it names is there, and what it promises is kept."""

import json
import re
import subprocess

import jsonschema
import pytest
import yaml
from against_the_code import DEPLOY, is_pinned, is_served, parse, settings_of
from conftest import ROOT
from test_image import VERSION

from streams import metrics
from streams.process.stopping import LAST_WORDS_S, PROCESS_GRACE_S
from streams.settings import Settings

TEXT = (DEPLOY / "compose.yaml").read_text("utf-8")
COMPOSE = yaml.safe_load(re.sub(r"\$\{\w+:-([^}]*)\}", r"\1", TEXT))  # as without variables
SERVICES = COMPOSE["services"]
KAFKA = [name for name in SERVICES if name.startswith("kafka-")]
OURS = [name for name, service in SERVICES.items() if service["image"].startswith("yicheng:")]
ONCE = {"setup", "traffic"}
MOUNTED = ["deploy/prometheus/prometheus.yml", "deploy/prometheus/alertmanager.yml", "deploy/grafana/provisioning", "deploy/grafana/dashboards"]
"""What the containers of the monitoring read of the repository."""
PROCESS_PORTS = {"worker": metrics.WORKER_PORT, "notifier": metrics.NOTIFIER_PORT, "console": metrics.CONSOLE_PORT}


def commands():
    """Every yicheng command of the file, by its service; variables have the values that the service gives them."""
    for name in OURS:
        service = SERVICES[name]
        if "entrypoint" not in service:
            yield name, service["command"]
            continue
        assert service["entrypoint"] == ["/bin/sh", "-ec"]
        script = re.sub(r"\"?\$\$(\w+)\"?", lambda found, given=service["environment"]: str(given[found[1]]), service["command"][0])
        yield from ((name, line.split()[1:]) for line in script.splitlines() if line.strip().startswith("yicheng "))


def seconds(text):
    return int(re.fullmatch(r"(\d+)s", text)[1])


def test_it_is_compose():
    schema = json.loads((DEPLOY / "schemas" / "compose.json").read_text("utf-8"))
    jsonschema.Draft202012Validator(schema).validate(COMPOSE)
    assert not list(jsonschema.Draft202012Validator(schema).iter_errors({"services": {"a": {"image": "b", "restart": "always"}}}))
    assert list(jsonschema.Draft202012Validator(schema).iter_errors({"services": {"a": {"image": "b", "restarts": "always"}}})), "unknown fields are refused"


@pytest.mark.parametrize("name", SERVICES)
def test_its_images_are_pinned(name):
    assert is_pinned(SERVICES[name]["image"])
    assert name not in OURS or SERVICES[name]["image"] == f"yicheng:{VERSION}"


def test_its_kafka_is_the_one_that_the_tests_run_on():
    lock = (DEPLOY / "kafka" / "jars.lock").read_text("utf-8")
    assert {SERVICES[name]["image"] for name in KAFKA} == {f"apache/kafka:{re.search(r'kafka-server:([0-9.]+)', lock)[1]}"}


def test_every_command_is_one():
    found = list(commands())
    assert len(found) == 8 and {name for name, _ in found} == set(OURS)
    for _, words in found:
        parse(words)
    assert [words for words in found if words[1][:2] == ["topics", "create"]] == [("setup", ["topics", "create", "--replication", str(len(KAFKA))])]
    for command in re.findall(r"\./yicheng ([a-z ]+)", TEXT.partition("\nname:")[0]):
        parse(command.split())


@pytest.mark.parametrize("name", OURS)
def test_its_settings_are_settings(name):
    settings = settings_of(SERVICES[name]["environment"])
    assert settings.metrics_host == "0.0.0.0" and settings.rehearsal
    assert settings.kafka_bootstrap.split(",") == [f"{node}:9092" for node in KAFKA]
    if name == "notifier":
        mounts = [mount.split(":")[1] for mount in SERVICES[name]["volumes"]]
        assert str(settings.sink_file.parent) in mounts, "incidents outlive the container"
    if name == "console":
        mounts = [mount.split(":")[1] for mount in SERVICES[name]["volumes"]]
        assert str(settings.console_users.parent) in mounts, "users outlive the container"
        assert SERVICES[name]["ports"] == [f"127.0.0.1:{settings.console_port}:{settings.console_port}"]
        assert settings.notifier_url == f"http://notifier:{metrics.NOTIFIER_PORT}" and set(SERVICES[name]["networks"]) & set(SERVICES["notifier"]["networks"]), "it shows who was notified"
        assert (settings.console_host, settings.console_url) == ("0.0.0.0", f"http://127.0.0.1:{settings.console_port}")


def test_the_traffic_is_of_the_vehicles_that_were_registered():
    """A sample of another size holds other vehicles, and everybody would be unregistered."""
    done = {name: [words for of, words in commands() if of == name] for name in ("setup", "traffic")}
    (sampled,) = [words for words in done["setup"] if words[:2] == ["registry", "sample"]]
    (imported,) = [words for words in done["setup"] if words[:2] == ["registry", "import"]]
    (traffic,) = done["traffic"]
    written = sampled[sampled.index("--out") + 1]
    assert imported[2] == traffic[traffic.index("--registry") + 1] == written
    for name in ("setup", "traffic"):
        (mount,) = SERVICES[name]["volumes"]
        assert mount.split(":")[:2] == ["registry", written.rpartition("/")[0]]


def test_secrets_come_from_files_that_are_kept_out_of_everything():
    for name, secret in COMPOSE["secrets"].items():
        assert secret["file"].startswith("secrets/")
        ignored = subprocess.run(["git", "check-ignore", "-q", f"deploy/{secret['file']}"], cwd=ROOT, check=False)
        assert ignored.returncode == 0, name
        assert f"deploy/{secret['file']}" in TEXT, "the head of the file says how it is made"
    for name in ("worker", "notifier", "console"):
        config = parse(SERVICES[name]["command"])["config"]
        assert str(config) == f"/run/secrets/{name}" and SERVICES[name]["secrets"] == [name]
    assert {"identity_key", "webhook_url", "webhook_secret"} <= set(re.findall(r"\b(\w+):(?=[ ,])", TEXT.partition("\nname:")[0])) & set(Settings.model_fields)
    passwords = [value for service in SERVICES.values() for key, value in service.get("environment", {}).items() if re.search("PASSWORD|SECRET|KEY", key)]
    assert passwords == ["/run/secrets/grafana_password"]


@pytest.mark.parametrize("name", SERVICES)
def test_ports_are_published_to_this_machine_only(name):
    for port in SERVICES[name].get("ports", []):
        assert re.fullmatch(r"127\.0\.0\.1:(\d+):\1", port)
    if name == "notifier":
        assert SERVICES[name]["ports"] == [f"127.0.0.1:{metrics.NOTIFIER_PORT}:{metrics.NOTIFIER_PORT}"]


@pytest.mark.parametrize("name", PROCESS_PORTS)
def test_a_process_is_healthy_when_it_is_ready(name):
    url = re.search(r"http://127\.0\.0\.1:(\d+)(/\w+)", SERVICES[name]["healthcheck"]["test"][-1])
    assert (int(url[1]), url[2]) == (PROCESS_PORTS[name], "/readyz") and is_served(url[2])


@pytest.mark.parametrize("name", SERVICES)
def test_every_service_is_bounded_and_has_no_more_rights_than_it_needs(name):
    service = SERVICES[name]
    limits = service["deploy"]["resources"]["limits"]
    assert {"cpus", "memory"} <= limits.keys()
    assert service["cap_drop"] == ["ALL"] and "no-new-privileges:true" in service["security_opt"]
    assert "privileged" not in service and "user" not in service, "our image names its user, the others are nobody's"
    assert service.get("read_only") or name in KAFKA, "Kafka's image writes its configuration at the start"
    assert service["restart"] == ("no" if name in ONCE else "unless-stopped")
    assert "test" in service.get("healthcheck", {}) or name in ONCE


@pytest.mark.parametrize("name", OURS)
def test_a_process_is_given_the_time_it_needs_to_stop(name):
    assert seconds(SERVICES[name]["stop_grace_period"]) > PROCESS_GRACE_S + LAST_WORDS_S
    assert "/tmp" in SERVICES[name]["tmpfs"]


def test_workers_divide_the_partitions():
    assert Settings.model_fields["partitions"].default % SERVICES["worker"]["deploy"]["replicas"] == 0


def test_kafka_survives_the_loss_of_a_node():
    ids = [SERVICES[name]["environment"]["KAFKA_NODE_ID"] for name in KAFKA]
    assert len(KAFKA) == len(set(ids)) == 3
    voters = ",".join(f"{number}@{name}:9093" for number, name in zip(ids, KAFKA, strict=True))
    for name in KAFKA:
        given = SERVICES[name]["environment"]
        assert given["KAFKA_CONTROLLER_QUORUM_VOTERS"] == voters and given["KAFKA_ADVERTISED_LISTENERS"] == f"PLAINTEXT://{name}:9092"
        assert {value for key, value in given.items() if key.endswith("REPLICATION_FACTOR")} == {3}
        assert {value for key, value in given.items() if key.endswith(("MIN_ISR", "MIN_INSYNC_REPLICAS"))} == {2}
        assert SERVICES[name]["volumes"] == [f"{name}:{given['KAFKA_LOG_DIRS']}"], "each has a disk of its own"
    assert len(SERVICES["kafka-1"]["environment"]["CLUSTER_ID"]) == 22


def test_what_is_referred_to_is_declared_and_what_is_declared_is_used():
    volumes = {mount.split(":")[0] for service in SERVICES.values() for mount in service.get("volumes", []) if not mount.startswith(".")}
    assert volumes == COMPOSE["volumes"].keys()
    assert {network for service in SERVICES.values() for network in service["networks"]} == COMPOSE["networks"].keys()
    assert {secret for service in SERVICES.values() for secret in service.get("secrets", [])} == COMPOSE["secrets"].keys()
    for service in SERVICES.values():
        for name, needed in service.get("depends_on", {}).items():
            expected = "service_completed_successfully" if name in ONCE else "service_healthy"
            assert needed == {"condition": expected} and ("test" in SERVICES[name].get("healthcheck", {})) == (expected == "service_healthy")


def test_prometheus_and_the_processes_are_in_one_network_and_kafka_in_none_of_the_outside():
    assert all("monitoring" in SERVICES[name]["networks"] for name in (*PROCESS_PORTS, "prometheus", "alertmanager", "grafana"))
    assert COMPOSE["networks"]["kafka"] == {"internal": True} and all(SERVICES[name]["networks"] == ["kafka"] for name in KAFKA)


@pytest.mark.parametrize("path", MOUNTED)
def test_what_is_mounted_is_there(path):
    assert (ROOT / path).exists()
    sources = [mount.split(":") for service in SERVICES.values() for mount in service.get("volumes", []) if mount.startswith(".")]
    assert all(mode == "ro" for _, _, mode in sources)
    assert any(f"{path}/".startswith(f"deploy/{source.removeprefix('./')}/") for source, _, _ in sources)
    named = " ".join(word for service in SERVICES.values() for word in service.get("command", []))
    if path.endswith(".yml"):  # a file that a command names, at the place where its folder is mounted
        assert any(f"--config.file={target}/{path.rpartition('/')[2]}" in named for source, target, _ in sources if source == "./prometheus")
