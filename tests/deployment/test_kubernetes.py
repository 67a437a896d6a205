"""deploy/kubernetes: the objects are what Kubernetes, KEDA, Strimzi and the Prometheus Operator take, and agree with each other and the code."""

import json
import re
import shutil
import subprocess

import jsonschema
import kubernetes_validate
import pytest
import yaml
from against_the_code import DEPLOY, is_pinned, is_served, parse, settings_of
from test_image import DOCKERFILE, VERSION

from streams import metrics
from streams.process.stopping import LAST_WORDS_S, PROCESS_GRACE_S
from streams.settings import Settings

HERE = DEPLOY / "kubernetes"
OVERLAYS = ["dev", "city", "province"]
VERSIONS = ["1.30", "1.37"]
"""The oldest Kubernetes that the objects are meant for, and the newest that the validator knows."""
IN_OVERLAYS = ["AlertmanagerConfig", "KafkaTopic", "PrometheusRule", "ScaledObject", "ServiceMonitor"]
CUSTOM = [*IN_OVERLAYS, "KafkaUser"]
PORTS = {"yicheng-worker": metrics.WORKER_PORT, "yicheng-notifier": metrics.NOTIFIER_PORT, "yicheng-console": metrics.CONSOLE_PORT}
HTTP = {"yicheng-console": Settings.model_fields["console_port"].default}
"""Of those that people look at."""
KUSTOMIZE = ["kustomize", "build"] if shutil.which("kustomize") else ["kubectl", "kustomize"] if shutil.which("kubectl") else None
needs_kustomize = pytest.mark.skipif(KUSTOMIZE is None, reason="neither kustomize nor kubectl is installed: overlays are not built")


def documents(path):
    return [document for document in yaml.safe_load_all(path.read_text("utf-8")) if document]


def folder(name):
    """The objects of a base or component, as its kustomization lists them."""
    kustomization = documents(HERE / name / "kustomization.yaml")[0]
    return [document for resource in kustomization["resources"] for document in documents(HERE / name / resource)]


def built(overlay):
    """The objects of an overlay, as kustomize makes them."""
    done = subprocess.run([*KUSTOMIZE, str(HERE / "overlays" / overlay)], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    return [document for document in yaml.safe_load_all(done.stdout) if document]


def only(objects, kind, name=None):
    found = [o for o in objects if o["kind"] == kind and name in {None, o["metadata"]["name"]}]
    assert len(found) == 1, (kind, name)
    return found[0]


def check(document):
    """Whether what reads the object takes it; unknown fields are errors."""
    if document["kind"] in CUSTOM:
        schema = json.loads((DEPLOY / "schemas" / f"{document['kind']}.json").read_text("utf-8"))
        jsonschema.Draft202012Validator(schema).validate(document)
        for route in document["spec"].get("route", {}).get("routes", ()):  # of these the schema says nothing, but they are as the first one
            jsonschema.Draft202012Validator(schema["properties"]["spec"]["properties"]["route"]).validate(route)
    else:
        for version in VERSIONS:
            kubernetes_validate.validate(document, version, strict=True)


SOURCES = ["base", *sorted(f"components/{path.name}" for path in (HERE / "components").iterdir())]
OBJECTS = [document for name in SOURCES for document in folder(name)]
DEPLOYMENTS = [document for document in OBJECTS if document["kind"] == "Deployment"]


@pytest.mark.parametrize("document", OBJECTS, ids=lambda o: f"{o['kind']}-{o['metadata']['name']}")
def test_an_object_is_what_its_reader_takes(document):
    check(document)


def test_a_field_that_nobody_knows_is_noticed():
    for kind in ("Deployment", "Service", *CUSTOM):
        wrong = json.loads(json.dumps(next(o for o in OBJECTS if o["kind"] == kind)))
        wrong["spec"]["replicaz"] = 1
        with pytest.raises((jsonschema.ValidationError, kubernetes_validate.ValidationError)):
            check(wrong)


def test_every_file_is_used():
    listed = {HERE / "generate.py", HERE / "__init__.py", HERE / "README.md"}
    for path in HERE.rglob("kustomization.yaml"):
        kustomization = documents(path)[0]
        listed |= {path, *(path.parent / patch["path"] for patch in kustomization.get("patches", [])), *(path.parent / name for name in kustomization.get("resources", []))}
        assert [name for name in kustomization.get("components", []) if not (path.parent / name / "kustomization.yaml").exists()] == []
    files = {path for path in HERE.rglob("*") if path.is_file() and "__pycache__" not in path.parts}
    assert files == {path for path in listed if path.is_file()}


@pytest.mark.parametrize("deployment", DEPLOYMENTS, ids=lambda o: o["metadata"]["name"])
class TestDeployment:
    """What holds for the worker's, the notifier's and the console's."""

    def test_it_is_one_image_with_a_version_and_starts_a_command(self, deployment):
        pod = deployment["spec"]["template"]["spec"]
        (container,) = pod["containers"]
        assert container["image"] == f"yicheng:{VERSION}" and is_pinned(container["image"])
        config = parse(container["args"])["config"]
        mount = next(mount for mount in container["volumeMounts"] if mount["name"] == "secrets")
        assert str(config.parent) == mount["mountPath"] and mount["readOnly"]
        assert container["args"][0] == config.stem == container["name"]
        assert int(next(v for v in pod["volumes"] if v["name"] == "secrets")["secret"]["defaultMode"]) == 0o440

    def test_it_runs_as_nobody_who_could_do_harm(self, deployment):
        pod = deployment["spec"]["template"]["spec"]
        user, group = map(int, re.search(r"^USER (\d+):(\d+)$", DOCKERFILE, re.MULTILINE).groups())
        context = pod["securityContext"]
        assert context == {"runAsNonRoot": True, "runAsUser": user, "runAsGroup": group, "fsGroup": group, "seccompProfile": {"type": "RuntimeDefault"}}
        assert pod["containers"][0]["securityContext"] == {"allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True, "capabilities": {"drop": ["ALL"]}}
        assert pod["automountServiceAccountToken"] is False and pod["enableServiceLinks"] is False
        assert not {"hostNetwork", "hostPID", "hostIPC", "initContainers"} & pod.keys()

    def test_it_may_write_where_the_image_expects_it_to(self, deployment):
        pod = deployment["spec"]["template"]["spec"]
        state = re.search(r"YICHENG_STATE_DIR=(\S+)", DOCKERFILE)[1]
        writable = {mount["mountPath"] for mount in pod["containers"][0]["volumeMounts"] if not mount.get("readOnly")}
        assert writable == {state, "/tmp"}
        assert all(volume["emptyDir"]["sizeLimit"] for volume in pod["volumes"] if "emptyDir" in volume)

    def test_its_probes_ask_for_pages_that_are_served(self, deployment):
        container = deployment["spec"]["template"]["spec"]["containers"][0]
        name = deployment["metadata"]["name"]
        ports = {"metrics": PORTS[name], **({"http": HTTP[name]} if name in HTTP else {})}
        assert container["ports"] == [{"name": port, "containerPort": number} for port, number in ports.items()]
        paths = {name: container[f"{name}Probe"]["httpGet"] for name in ("startup", "liveness", "readiness")}
        assert {name: get["path"] for name, get in paths.items()} == {"startup": "/healthz", "liveness": "/healthz", "readiness": "/readyz"}
        assert all(get["port"] == "metrics" and is_served(get["path"]) for get in paths.values())

    def test_it_has_the_time_it_needs_to_stop_and_is_bounded(self, deployment):
        pod = deployment["spec"]["template"]["spec"]
        assert PROCESS_GRACE_S + LAST_WORDS_S < pod["terminationGracePeriodSeconds"] <= 3 * PROCESS_GRACE_S
        resources = pod["containers"][0]["resources"]
        assert resources["requests"].keys() == resources["limits"].keys() == {"cpu", "memory"}

    def test_labels_selectors_service_and_budget_agree(self, deployment):
        name = deployment["metadata"]["name"]
        labels = deployment["spec"]["template"]["metadata"]["labels"]
        assert labels == {"app.kubernetes.io/name": name, "app.kubernetes.io/part-of": "yicheng"} == deployment["metadata"]["labels"]
        service, budget = only(OBJECTS, "Service", name), only(OBJECTS, "PodDisruptionBudget", name)
        spread = deployment["spec"]["template"]["spec"]["topologySpreadConstraints"][0]["labelSelector"]
        selectors = [deployment["spec"]["selector"]["matchLabels"], service["spec"]["selector"], budget["spec"]["selector"]["matchLabels"], spread["matchLabels"]]
        assert selectors == [{"app.kubernetes.io/name": name}] * 4
        ports = {"metrics": PORTS[name], **({"http": HTTP[name]} if name in HTTP else {})}
        assert service["spec"]["clusterIP"] == "None" and service["spec"]["ports"] == [{"name": port, "port": number, "targetPort": port} for port, number in ports.items()]
        assert budget["spec"]["maxUnavailable"] == 1, "one goes at a time, and one alone may go, too"
        monitored = only(OBJECTS, "ServiceMonitor")["spec"]
        assert monitored["selector"]["matchLabels"].items() <= service["metadata"]["labels"].items()
        assert [(e["port"], is_served(e["path"])) for e in monitored["endpoints"]] == [("metrics", True)]

    def test_a_successor_comes_when_its_predecessor_has_gone(self, deployment):
        strategy = deployment["spec"]["strategy"]
        assert strategy == {"type": "Recreate"} or strategy["rollingUpdate"] == {"maxSurge": 0, "maxUnavailable": 1}


def test_there_is_one_notifier_and_its_outbox_is_on_a_volume_that_stays():
    notifier, worker = (only(OBJECTS, "Deployment", f"yicheng-{name}")["spec"] for name in ("notifier", "worker"))
    claim = only(OBJECTS, "PersistentVolumeClaim", "yicheng-notifier")
    states = [next(volume for volume in spec["template"]["spec"]["volumes"] if volume["name"] == "state") for spec in (notifier, worker)]
    assert states[0] == {"name": "state", "persistentVolumeClaim": {"claimName": claim["metadata"]["name"]}} and "emptyDir" in states[1]
    assert (notifier["replicas"], notifier["strategy"]["type"], claim["spec"]["accessModes"]) == (1, "Recreate", ["ReadWriteOnce"])
    scaled = {replicas["name"] for overlay in OVERLAYS for replicas in documents(HERE / "overlays" / overlay / "kustomization.yaml")[0].get("replicas", [])}
    assert scaled == set(), "no overlay has another number"


def literals(path):
    """The settings of a kustomization."""
    return dict(line.split("=", 1) for generator in documents(path)[0].get("configMapGenerator", []) for line in generator["literals"])


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_settings_are_settings_and_policies_are_there(overlay):
    from streams.policy.reader import packs

    base, own = literals(HERE / "base" / "kustomization.yaml"), literals(HERE / "overlays" / overlay / "kustomization.yaml")
    settings = settings_of(base | own)
    assert settings.metrics_host == "0.0.0.0" and settings.metrics_port == 0 and settings.policy in packs()
    assert settings.rehearsal == (overlay == "dev") and (settings.sink_file is not None) == (overlay == "dev")
    assert settings.partitions == Settings.model_fields["partitions"].default, "components/scaling and topics are made for these"
    for deployment in DEPLOYMENTS:
        assert deployment["spec"]["template"]["spec"]["containers"][0]["envFrom"] == [{"configMapRef": {"name": "yicheng-settings"}}]


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_patches_are_of_objects_that_are_there(overlay):
    kustomization = documents(HERE / "overlays" / overlay / "kustomization.yaml")[0]
    sources = [name.removeprefix("../../") for name in (*kustomization["resources"], *kustomization.get("components", []))]
    there = {(o["apiVersion"], o["kind"], o["metadata"]["name"]): o for name in sources for o in folder(name)}
    for patch in kustomization["patches"]:
        for document in documents(HERE / "overlays" / overlay / patch["path"]):
            target = there[document["apiVersion"], document["kind"], document["metadata"]["name"]]
            containers = document["spec"].get("template", {}).get("spec", {}).get("containers", [])
            assert {c["name"] for c in containers} <= {c["name"] for c in target["spec"].get("template", {}).get("spec", {}).get("containers", [])}
    for replicas in kustomization.get("replicas", []):
        assert any(o["kind"] == "Deployment" and o["metadata"]["name"] == replicas["name"] for o in there.values())
    for generator in kustomization["configMapGenerator"]:
        assert (generator["name"], generator["behavior"]) == ("yicheng-settings", "merge")


def test_the_console_has_its_settings_and_may_ask_the_notifier():
    container = only(OBJECTS, "Deployment", "yicheng-console")["spec"]["template"]["spec"]["containers"][0]
    settings = settings_of({entry["name"]: entry["value"] for entry in container["env"]})
    notifier = only(OBJECTS, "Service", "yicheng-notifier")
    assert settings.notifier_url == f"http://{notifier['metadata']['name']}:{notifier['spec']['ports'][0]['port']}"
    assert settings.console_users.parent == parse(container["args"])["config"].parent and settings.console_url == f"http://127.0.0.1:{HTTP['yicheng-console']}"
    out, into = (only(OBJECTS, "NetworkPolicy", name)["spec"] for name in ("yicheng-console", "yicheng-deliveries"))
    assert out["egress"][0]["to"][0]["podSelector"] == into["podSelector"] and into["ingress"][0]["from"][0]["podSelector"] == out["podSelector"]
    assert out["egress"][0]["ports"] == [{"protocol": "TCP", "port": PORTS["yicheng-notifier"]}] and into["ingress"][0]["ports"] == [{"protocol": "TCP", "port": "metrics"}]
    for overlay in OVERLAYS:
        components = documents(HERE / "overlays" / overlay / "kustomization.yaml")[0].get("components", [])
        assert ("../../components/console" in components) == ("../../components/network" in components)


def test_only_the_scaling_says_how_many_workers_there_are():
    assert "replicas" not in only(OBJECTS, "Deployment", "yicheng-worker")["spec"], "each apply would put the number back"


def test_the_network_lets_through_what_is_needed():
    base, own = literals(HERE / "base" / "kustomization.yaml"), only(OBJECTS, "NetworkPolicy", "yicheng")["spec"]
    assert own["policyTypes"] == ["Ingress", "Egress"] and own["podSelector"]["matchLabels"] == {"app.kubernetes.io/part-of": "yicheng"}
    assert [port for rule in own["ingress"] for port in rule["ports"]] == [{"protocol": "TCP", "port": "metrics"}]
    kafka = next(rule for rule in own["egress"] if "podSelector" in rule["to"][0])
    topic = next(o for o in OBJECTS if o["kind"] == "KafkaTopic")
    cluster = kafka["to"][0]["podSelector"]["matchLabels"]["strimzi.io/cluster"]
    assert topic["metadata"]["labels"]["strimzi.io/cluster"] == cluster
    assert base["YICHENG_KAFKA_BOOTSTRAP"] == f"{cluster}-kafka-bootstrap:{kafka['ports'][0]['port']}"


@needs_kustomize
@pytest.mark.parametrize("overlay", OVERLAYS)
class TestBuilt:
    """What kustomize makes of the overlays."""

    def test_every_object_is_what_its_reader_takes(self, overlay):
        objects = built(overlay)
        for document in objects:
            check(document)
        assert {document["metadata"]["namespace"] for document in objects} == {"yicheng-dev" if overlay == "dev" else "yicheng"}

    def test_processes_get_the_settings_and_the_secrets_they_need(self, overlay):
        objects = built(overlay)
        settings = only(objects, "ConfigMap")
        settings_of(settings["data"])
        for deployment in (o for o in objects if o["kind"] == "Deployment"):
            pod = deployment["spec"]["template"]["spec"]
            assert pod["containers"][0]["envFrom"][0]["configMapRef"]["name"] == settings["metadata"]["name"]
            secrets = [volume["secret"]["secretName"] for volume in pod["volumes"] if "secret" in volume]
            assert secrets == ([] if overlay == "dev" else [deployment["metadata"]["name"]])
            assert (parse(pod["containers"][0]["args"])["config"] is None) == (overlay == "dev")
            mounted, volumes = {mount["name"] for mount in pod["containers"][0]["volumeMounts"]}, {volume["name"] for volume in pod["volumes"]}
            assert mounted == volumes

    def test_operators_are_asked_for_nothing_where_there_are_none(self, overlay):
        kinds = {document["kind"] for document in built(overlay)}
        assert set(CUSTOM) & kinds == (set() if overlay == "dev" else set(IN_OVERLAYS))
