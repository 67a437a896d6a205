"""Makes the manifests that follow from the code: topics for Strimzi, rules for the Prometheus Operator.

Run ``.venv/bin/python -m deploy.kubernetes.generate`` when topics or rules have changed.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from streams.settings import Settings
from streams.topics import ALL, Topic, kafka_config

HERE = Path(__file__).resolve().parent
RULES = (HERE.parent / "prometheus" / "recording.yml", HERE.parent / "prometheus" / "alerts.yml")
"""Prometheus's own rule files; those that are there."""
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


def prometheus_rule(files: tuple[Path, ...] = RULES) -> dict[str, Any]:
    """The groups of rule files, one after the other."""
    groups = [group for file in files if file.exists() for group in yaml.safe_load(file.read_text("utf-8"))["groups"]]
    return {
        "apiVersion": "monitoring.coreos.com/v1",
        "kind": "PrometheusRule",
        "metadata": {"name": "yicheng", "labels": dict(_LABELS)},
        "spec": {"groups": groups},
    }


def manifests() -> Iterator[tuple[Path, str]]:
    """Each file and its text."""
    partitions = Settings.model_fields["partitions"].default
    yield HERE / "components" / "topics" / "topics.yaml", _as_text([kafka_topic(topic, partitions) for topic in ALL])
    yield HERE / "components" / "monitoring" / "prometheusrule.yaml", _as_text([prometheus_rule()])


def _as_text(documents: list[dict[str, Any]]) -> str:
    return _HEAD + yaml.dump_all(documents, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=1_000)


def main() -> None:
    """Write them."""
    for path, text in manifests():
        path.write_text(text, "utf-8")


if __name__ == "__main__":
    main()
