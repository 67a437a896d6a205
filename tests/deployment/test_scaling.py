"""How many workers there may be: numbers that divide the partitions, by figures that were measured."""

import re

import pytest
from against_the_code import DEPLOY
from prometheus_client import REGISTRY
from test_kubernetes import HERE, OBJECTS, OVERLAYS, built, documents, literals, needs_kustomize, only

from streams.settings import Settings
from streams.wire import topics

PARTITIONS = Settings.model_fields["partitions"].default
DIVISORS = [n for n in range(1, PARTITIONS + 1) if PARTITIONS % n == 0]
SCALED = only(OBJECTS, "ScaledObject")["spec"]
FORMULA = SCALED["advanced"]["scalingModifiers"]["formula"]
TRIGGERS = {trigger["name"]: trigger for trigger in SCALED["triggers"]}
FOR_A_WORKER = {name: int(number) for name, number in re.findall(r"(\w+) / (\d+)", FORMULA)}
"""Of each trigger: what one worker takes."""


def replicas(**values):
    """What the formula comes to, in Python's words."""
    words = re.fullmatch(r"filter\(\[([\d, ]+)\], # >= (.*)\)\[0\]", FORMULA)
    needed = eval(words[2], {"min": min, "max": max}, values)
    return next(number for number in map(int, words[1].split(",")) if number >= needed)


def test_whatever_the_load_the_number_divides_the_partitions():
    idle = dict.fromkeys(TRIGGERS, 0)
    assert sorted({replicas(**idle | {name: step * of_one / 7}) for name, of_one in FOR_A_WORKER.items() for step in range(200)}) == DIVISORS
    assert replicas(**idle) == 1 and replicas(**idle | {"fixes": FOR_A_WORKER["fixes"] + 1}) == 2 and replicas(**dict.fromkeys(TRIGGERS, 10**15)) == PARTITIONS
    assert FOR_A_WORKER.keys() == TRIGGERS.keys()
    assert (SCALED["advanced"]["scalingModifiers"]["target"], SCALED["advanced"]["scalingModifiers"]["metricType"]) == ("1", "AverageValue"), "the formula is the number"


@pytest.mark.parametrize("overlay", ["", "city", "province"])
def test_the_bounds_divide_the_partitions(overlay):
    spec = SCALED | (documents(HERE / "overlays" / overlay / "scaledobject.yaml")[0]["spec"] if overlay else {})
    assert 1 <= spec["minReplicaCount"] <= spec["maxReplicaCount"] and {spec["minReplicaCount"], spec["maxReplicaCount"]} <= set(DIVISORS)
    assert spec["fallback"]["replicas"] == spec["minReplicaCount"]
    assert (SCALED["fallback"]["behavior"], SCALED["scaleTargetRef"]["name"]) == ("currentReplicasIfHigher", "yicheng-worker")


def test_it_steps_from_number_to_number_at_once_and_seldom():
    behavior = SCALED["advanced"]["horizontalPodAutoscalerConfig"]["behavior"]
    for direction in ("scaleUp", "scaleDown"):
        assert [policy["value"] >= PARTITIONS for policy in behavior[direction]["policies"] if policy["type"] == "Pods"] == [True], "no numbers between"
    assert behavior["scaleDown"]["stabilizationWindowSeconds"] > behavior["scaleUp"]["stabilizationWindowSeconds"] >= 60


@pytest.mark.parametrize(("name", "topic"), [("fixes", topics.GPS), ("scans", topics.SCAN)])
def test_a_backlog_counts_where_more_workers_help(name, topic):
    trigger = TRIGGERS[name]
    given = trigger["metadata"]
    assert (given["topic"], given["consumerGroup"]) == (topic.name, Settings.model_fields["group"].default)
    assert given["excludePersistentLag"] == given["limitToPartitionsWithLag"] == "true" and "allowIdleConsumers" not in given
    assert trigger["useCachedMetrics"] and SCALED["pollingInterval"] >= 10 * Settings.model_fields["checkpoint_interval_s"].default, "between two looks a worker commits"
    assert int(given["lagThreshold"]) == FOR_A_WORKER[name]
    assert given["offsetResetPolicy"] == "earliest"
    host, port = literals(HERE / "base" / "kustomization.yaml")["YICHENG_KAFKA_BOOTSTRAP"].split(":")
    namespace = documents(HERE / "overlays" / "city" / "kustomization.yaml")[0]["namespace"]
    assert given["bootstrapServers"] == f"{host}.{namespace}.svc:{port}"


def test_what_a_worker_takes_is_what_was_measured():
    text = (DEPLOY / "README.md").read_text("utf-8")
    fixes = int(re.search(r"a worker on one core \| ([\d,]+) fixes a second", text)[1].replace(",", "")) / 2
    scans = 0.5e6 / float(re.search(r"Scans a second × ([\d.]+) µs", text)[1])
    measured = {"fixes": 60 * fixes, "scans": 60 * scans, "pace": fixes}
    assert pytest.approx(measured, rel=0.2) == FOR_A_WORKER


def test_the_pace_is_a_metric_of_this_namespace():
    given = TRIGGERS["pace"]["metadata"]
    metric, namespace = re.fullmatch(r'sum\(rate\((\w+)\{namespace="([\w-]+)"\}\[5m\]\)\)', given["query"]).groups()
    assert metric in {sample for family in REGISTRY.collect() for sample in (f"{family.name}_total",) if family.type == "counter"}
    scaled = [documents(HERE / "overlays" / overlay / "kustomization.yaml")[0] for overlay in OVERLAYS]
    assert {k["namespace"] for k in scaled if "../../components/scaling" in k.get("components", [])} == {namespace}
    assert int(given["threshold"]) == FOR_A_WORKER["pace"]


@needs_kustomize
@pytest.mark.parametrize(("overlay", "least", "most"), [("city", 2, 4), ("province", 3, 12)])
def test_an_overlay_has_the_bounds_it_says(overlay, least, most):
    objects = built(overlay)
    spec = only(objects, "ScaledObject")["spec"]
    assert (spec["minReplicaCount"], spec["maxReplicaCount"], spec["fallback"]["replicas"]) == (least, most, least)
    assert spec["triggers"] == SCALED["triggers"] and spec["advanced"]["scalingModifiers"]["formula"] == FORMULA
    assert only(objects, "Deployment", "yicheng-notifier")["spec"]["replicas"] == 1, "a second would repeat what the first had not delivered"
