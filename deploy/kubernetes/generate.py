"""Makes the manifests that follow from the code: topics and users for Strimzi, rules and routes of alerts for the Prometheus Operator.

Run ``.venv/bin/python -m deploy.kubernetes.generate`` when topics, roles, rules or routes have changed.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from deploy.kafka_roles import PREFIX, ROLES, acls
from streams.settings import Settings
from streams.wire.topics import ALL, Topic, kafka_config

HERE = Path(__file__).resolve().parent
RULES = (HERE.parent / "prometheus" / "recording.yml", HERE.parent / "prometheus" / "alerts.yml")
"""Prometheus's own rule files; those that are there."""
ROUTES = HERE.parent / "prometheus" / "alertmanager.yml"
NAMESPACE = "yicheng"
ALERTS_TOKEN = {"name": "yicheng-alerts", "key": "token"}
"""The Secret that holds what the notifier knows as YICHENG_ALERTS_TOKEN."""
CLUSTER = "yicheng"
"""The Kafka cluster's name in Strimzi."""
REPLICAS = 3
_HEAD = "# Made by `.venv/bin/python -m deploy.kubernetes.generate`; do not edit.\n"
_LABELS = {"app.kubernetes.io/part-of": "yicheng"}


class _Dumper(yaml.SafeDumper):
    """YAML in which expressions of several lines stay such."""


def _text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style="|" if "\n" in text else None)


_Dumper.add_representer(str, _text)


def kafka_topic(topic: Topic, partitions: int) -> dict[str, Any]:
    """A topic as ``yicheng topics create --replication 3`` makes it, for Strimzi's operator."""
    return {
        "apiVersion": "kafka.strimzi.io/v1",
        "kind": "KafkaTopic",
        "metadata": {"name": topic.name, "labels": {**_LABELS, "strimzi.io/cluster": CLUSTER}},
        "spec": {"partitions": partitions if topic.partitioned else 1, "replicas": REPLICAS, "config": kafka_config(topic)},
    }


def kafka_user(role: str, group: str) -> dict[str, Any]:
    """A role as ``yicheng topics access --enter`` allows it, for Strimzi's operator, which makes its password."""
    allowed: dict[tuple[str, str, str], list[str]] = {}
    for rule in acls(role, group):
        of = rule.resource_pattern
        allowed.setdefault((of.resource_type.name.lower(), of.resource_name, of.pattern_type.name.lower().removesuffix("ed")), []).append(_camel(rule.operation.name.capitalize()))
    rules = [{"resource": {"type": kind, "name": name, "patternType": pattern}, "operations": operations} for (kind, name, pattern), operations in allowed.items()]
    return {
        "apiVersion": "kafka.strimzi.io/v1",
        "kind": "KafkaUser",
        "metadata": {"name": PREFIX + role, "labels": {**_LABELS, "strimzi.io/cluster": CLUSTER}},
        "spec": {"authentication": {"type": "scram-sha-512"}, "authorization": {"type": "simple", "acls": rules}},
    }


def prometheus_rule(files: tuple[Path, ...] = RULES) -> dict[str, Any]:
    """The groups of rule files, one after the other."""
    groups = [group for file in files if file.exists() for group in yaml.safe_load(file.read_text("utf-8"))["groups"]]
    return {
        "apiVersion": "monitoring.coreos.com/v1",
        "kind": "PrometheusRule",
        "metadata": {"name": "yicheng", "labels": dict(_LABELS)},
        "spec": {"groups": groups},
    }


def alertmanager_config(file: Path = ROUTES) -> dict[str, Any]:
    """Alertmanager's own configuration in the words of the operator, which keeps it to the alerts of its namespace."""
    given = yaml.safe_load(file.read_text("utf-8"))
    return {
        "apiVersion": "monitoring.coreos.com/v1alpha1",
        "kind": "AlertmanagerConfig",
        "metadata": {"name": "yicheng", "labels": dict(_LABELS)},
        "spec": {
            "route": _route(given["route"]),
            "inhibitRules": [
                {"sourceMatch": _matchers(rule["source_matchers"]), "targetMatch": _matchers(rule["target_matchers"]), "equal": rule["equal"]} for rule in given["inhibit_rules"]
            ],
            "receivers": [{"name": receiver["name"], "webhookConfigs": [_webhook(hook) for hook in receiver["webhook_configs"]]} for receiver in given["receivers"]],
        },
    }


def _route(route: dict[str, Any]) -> dict[str, Any]:
    """A route and those below it."""
    made = {_camel(key): value for key, value in route.items() if key not in {"routes", "matchers"}}
    if "matchers" in route:
        made["matchers"] = _matchers(route["matchers"])
    return made | ({"routes": [_route(below) for below in route["routes"]]} if "routes" in route else {})


def _matchers(texts: list[str]) -> list[dict[str, str]]:
    """Without a type it is ``=``, which some readers of YAML take for a special value."""
    found = [re.fullmatch(r'(\w+)(=~|!~|!=|=)"(.*)"', text) for text in texts]
    return [{"name": match[1], "value": match[3]} | ({} if match[2] == "=" else {"matchType": match[2]}) for match in found if match]


def _webhook(hook: dict[str, Any]) -> dict[str, Any]:
    """A receiver; the notifier is found by its Service, and the token in a Secret instead of a file."""
    url = hook["url"].replace("//notifier:", f"//yicheng-notifier.{NAMESPACE}.svc:")
    return {"url": url, "sendResolved": hook["send_resolved"], "httpConfig": {"authorization": {"type": "Bearer", "credentials": dict(ALERTS_TOKEN)}}}


def _camel(name: str) -> str:
    first, *others = name.split("_")
    return first + "".join(word.capitalize() for word in others)


def manifests() -> Iterator[tuple[Path, str]]:
    """Each file and its text."""
    partitions, group = (Settings.model_fields[name].default for name in ("partitions", "group"))
    yield HERE / "components" / "topics" / "topics.yaml", _as_text([kafka_topic(topic, partitions) for topic in ALL])
    yield HERE / "components" / "users" / "users.yaml", _as_text([kafka_user(role, group) for role in ROLES])
    yield HERE / "components" / "monitoring" / "prometheusrule.yaml", _as_text([prometheus_rule()])
    yield HERE / "components" / "monitoring" / "alertmanagerconfig.yaml", _as_text([alertmanager_config()])


def _as_text(documents: list[dict[str, Any]]) -> str:
    return _HEAD + yaml.dump_all(documents, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=1_000)


def main() -> None:
    """Write them."""
    for path, text in manifests():
        path.write_text(text, "utf-8")


if __name__ == "__main__":
    main()
