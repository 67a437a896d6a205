"""Writes ``deploy/reference.md`` from the code, so that it names all there is: ``.venv/bin/python -m deploy.reference``.

A test fails while the file differs from what this module makes.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from enum import Enum
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import typer
from msgspec import inspect

from deploy.cli import app
from deploy.packs.explain import rule_table
from streams import metrics
from streams.clock import DAY_MS
from streams.errors import BadInput, LostState, YichengError
from streams.process.stopping import INTERRUPTED
from streams.registry.records import KINDS
from streams.rules import RULES, judged
from streams.settings import Settings
from streams.wire import topics
from streams.wire.answers import Answer
from streams.wire.events import EXPLAINED, Fix, Heartbeat, Scan
from streams.words.basis import BASIS_WORDS, DUTY_WORDS, FIGURES_WORDS, Words

REFERENCE = Path(__file__).with_name("reference.md")
HEAD = """# Reference 参考

Made from the code by `.venv/bin/python -m deploy.reference`; do not edit. For what Yicheng is see the [README](../README.md) / [中文](../README.zh-CN.md)."""


class Content(NamedTuple):
    """What the key of a topic's records is, and what they carry."""

    key: str
    carries: str


_STATE = "internal: the workers' state, in the partition of the same number as the input's"
CONTENT = {
    topics.GPS: Content("`vehicle_id`", "position reports of vehicles"),
    topics.SCAN: Content("`waybill_id` (a pseudonym)", "scans of parcels"),
    topics.HEARTBEAT: Content("`subject`", "signs of life of cameras (`outlet/ID`) and feeds (`enterprise/ID`); `clock` says only what time it is"),
    topics.REGISTRY: Content("`kind/id`", "vehicles, drivers, enterprises, outlets, passes, notices, townships, facilities, lines; a value of null deletes"),
    topics.POLICY: Content("name of the pack", "policy packs, all versions of one together"),
    topics.PARTIALS: Content("city", "internal: what each input partition has come to, on its way to where a city is summed"),
    topics.VEHICLE_STATE: Content("", _STATE),
    topics.PARCEL_STATE: Content("", _STATE),
    topics.HEARTBEAT_STATE: Content("", _STATE),
    topics.RATE_STATE: Content("", _STATE),
    topics.FEEDBACK_STATE: Content("", _STATE),
    topics.CLOCK: Content("", "internal: how far all inputs have been read, for partitions without traffic"),
    topics.INCIDENTS: Content("subject", "CloudEvents 1.0 of type `yicheng.incident.opened.v1`, `updated`, `closed`, `retracted`, each with clause, its words and what they are worth, evidence and the reason in words"),
    topics.RATES: Content(
        "`city/enterprise/window`",
        "counts and shares by city, enterprise and day (today with a forecast), the last hour (`hour`), the last 30 days (`30d`), distances driven, empty and by night"
        " (`driven DATE`), delivery lines driven of those that count (`lines DATE`; `lines` is null where too little was heard), stops in a loading zone and how long they lasted"
        " (`parking DATE ZONE`), when an outlet or facility was last scanned at (`outlet ID`); of one key the greatest `revision` counts",
    ),
    topics.FEEDBACK: Content("`incident_id`", "answers to incidents: `acknowledged`, `dismissed`, `fined`, `noted`, by enterprises `objected`, and to that `upheld` or `rejected`; repeats have an `answer_id` in common"),
    topics.CREDIT: Content("`enterprise/ID`, `driver/ID`", "points and standing of each enterprise, and of each driver where the pack keeps drivers' accounts (`red`, `normal`, `black`), with the reasons"),
    topics.DEAD: Content("as the refused record's", "where refused records stand and why, nothing of what they say; `yicheng dead list` and `dead redrive` read them there"),
    topics.LATE: Content("as the late record's", "the same of records that came too late"),
}  # fmt: skip
SECTIONS = ("What", "Clause", "Parameters", "Example")
JUDGES = {
    "fix": "every fix of a vehicle", "scan": "scans of parcels", "day": "a local day of parcels, when it is over", "silence": "the time between two signs of life",
    "credit": "the credit of an enterprise", "line": "a local day of delivery lines, when it is over",
}  # fmt: skip


def reference() -> str:
    """The whole page."""
    parts = [HEAD, *_commands(), *_exit_codes(), *_settings(), *_topics(), *_records(), *_reasons(), *_metrics(), *_rules()]
    return "\n\n".join(parts) + "\n"


def table(heads: str, rows: Iterable[Iterable[object]]) -> str:
    r"""A Markdown table; ``heads`` are separated by ``|``.

    >>> print(table("a|b", [(1, "x|y")]))
    | a | b |
    |---|---|
    | 1 | x\|y |
    """
    names = heads.split("|")
    lines = [[str(cell).replace("|", r"\|").replace("\n", " ") for cell in row] for row in rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in (names, *lines)).replace("\n", "\n" + "|---" * len(names) + "|\n", 1)


def _commands() -> Iterator[str]:
    yield "## Commands 命令"
    yield "`./yicheng COMMAND --help` says the same. An option that takes no value shows *off* as its default."
    yield from _command("yicheng", typer.main.get_command(app))


def _command(name: str, command: Any) -> Iterator[str]:
    """A command and those below it, in the order of their names."""
    own = [parameter for parameter in command.params if not parameter.hidden and parameter.name not in {"help", "install_completion", "show_completion"}]
    below = getattr(command, "commands", {})
    if own or not below:
        arguments = "".join(f" [{parameter.name.upper()}]" if parameter.default is not None or not parameter.required else f" {parameter.name.upper()}"
                            for parameter in own if parameter.param_type_name == "argument")  # fmt: skip
        yield f"### `{name}{arguments}`"
        yield command.help.replace("``", "`")
        if own:
            yield table("option 选项|meaning 含义|default 默认", [_option(parameter) for parameter in own])
    for key in sorted(below):
        yield from _command(f"{name} {key}", below[key])


def _option(parameter: Any) -> tuple[str, str, str]:
    is_option = parameter.param_type_name == "option"
    name = ", ".join(parameter.opts) if is_option else parameter.name.upper()
    default = parameter.default.value if isinstance(parameter.default, Enum) else parameter.default
    shown = "required 必填" if parameter.required else "off" if default is False else "" if default in (None, "", ()) else f"`{default}`"
    again = "; may be repeated" if getattr(parameter, "multiple", False) and "repeated" not in parameter.help else ""
    return f"`{name}`", f"{parameter.help}{again}", shown


def _exit_codes() -> Iterator[str]:
    yield "## Exit codes 退出码"
    yield "Every error is one line on standard error, saying what is wrong and what to do."
    yield table("code 退出码|meaning 含义", [
        (0, "done 成功"), (YichengError.exit_code, "failed 失败"), (BadInput.exit_code, "wrong usage, or a bad input file 用法或输入文件有误"),
        (LostState.exit_code, "a worker's state is missing or belongs to other input; the line says what to do 状态缺失"), (INTERRUPTED, "interrupted 被中断"),
    ])  # fmt: skip


def _settings() -> Iterator[str]:
    yield "## Settings 设置"
    yield "Environment variables, or the same keys without `YICHENG_` and in lower case in a YAML file (`--config FILE`). The environment wins."
    rows = []
    for name, field in Settings.model_fields.items():
        default = "" if field.default is None else f"`{field.default}`"
        rows.append((f"`YICHENG_{name.upper()}`", field.description, default))
    yield table("setting 设置|meaning 含义|default 默认", rows)
    yield table("further variable|meaning 含义", [
        ("`YICHENG_CACHE`", "folder in which Kafka's jars are kept (`~/.cache/yicheng`)"),
        ("`YICHENG_TEST_KAFKA`", "`container` or `embedded`: which Kafka the tests use"),
        ("`YICHENG_HISTORIES`, `YICHENG_EXAMPLES`, `YICHENG_CHAOS`", "how many histories the tests simulate, cities they make up, and long histories of faults they play"),
    ])  # fmt: skip


def _topics() -> Iterator[str]:
    yield "## Topics 主题"
    yield "`yicheng topics create` makes them. Records are UTF-8 JSON, those of state excepted."
    yield table("topic 主题|key 键|carries 内容|partitions 分区|kept 保留", [
        (f"`{topic.name}`", CONTENT[topic].key, CONTENT[topic].carries, "`YICHENG_PARTITIONS`" if topic.partitioned else 1, _kept(topic)) for topic in topics.ALL
    ])  # fmt: skip
    yield "A refused record's reason, and where it stands, are headers: `reason`, `error`, `topic`, `partition`, `offset`, `sha256`, `length`."


def _kept(topic: topics.Topic) -> str:
    return "latest of each key 压缩" if topic.compacted else f"{topic.retention_ms // DAY_MS} d 天"


def _records() -> Iterator[str]:
    yield "## Records 记录"
    yield "Fields that are not required may be left out, or null. Times are milliseconds since 1970 UTC, positions degrees."
    for title, struct in ((f"Fix 轨迹点 (`{topics.GPS.name}`)", Fix), (f"Scan 扫描 (`{topics.SCAN.name}`)", Scan), (f"Heartbeat 心跳 (`{topics.HEARTBEAT.name}`)", Heartbeat),
                          (f"Answer 答复 (`{topics.FEEDBACK.name}`)", Answer)):  # fmt: skip
        yield f"### {title}"
        yield _fields(struct)
    yield f"### Registry 登记 (`{topics.REGISTRY.name}`)"
    yield "Every record has a `kind` and an `id`; dates are local, and a bare date means the whole day."
    for kind, entry in KINDS.items():
        yield f"#### `{kind}`"
        yield _fields(entry)


def _fields(struct: type[msgspec.Struct]) -> str:
    found = inspect.type_info(struct)
    assert isinstance(found, inspect.StructType)
    return table("field 字段|type 类型|required 必填", [(f"`{f.encode_name}`", _type(f.type), "yes 是" if f.required else "") for f in found.fields])


def _type(kind: inspect.Type) -> str:
    """A type in words."""
    if isinstance(kind, inspect.UnionType):
        return " or ".join(_type(one) for one in kind.types if not isinstance(one, inspect.NoneType))
    if isinstance(kind, inspect.LiteralType):
        return ", ".join(f"`{value}`" for value in kind.values)
    if isinstance(kind, inspect.ListType):
        return f"list of {_type(kind.item_type)}"
    if isinstance(kind, inspect.StructType):
        return "`{" + ", ".join(field.encode_name for field in kind.fields) + "}`"
    names: dict[type, str] = {inspect.StrType: "text", inspect.IntType: "whole number", inspect.FloatType: "number", inspect.BoolType: "true or false"}
    return names[type(kind)]


def _reasons() -> Iterator[str]:
    yield "## Why records are refused 拒收原因"
    yield "In the order in which they are looked for. `duplicate` and `late` are no mistakes; late records go to `courier.late.v1`, duplicates nowhere."
    yield table("reason 原因|meaning 含义", [(f"`{reason}`", why) for reason, why in EXPLAINED.items()])


def _metrics() -> Iterator[str]:
    yield "## Metrics 指标"
    yield (
        f"Each process serves `/metrics`, `/healthz` (it lives) and `/readyz` (it works): a worker on port {metrics.WORKER_PORT}, the notifier on {metrics.NOTIFIER_PORT}, the console on {metrics.CONSOLE_PORT},"
        " unless `YICHENG_METRICS_PORT` says otherwise. Enterprises and cities that no registry record names count as `other`."
    )
    families = [value for value in vars(metrics).values() if hasattr(value, "_documentation")]
    yield table("metric 指标|type 类型|labels 标签|meaning 含义", [
        (f"`{metric_name(family)}`", getattr(family, "_type", ""), ", ".join(getattr(family, "_labelnames", ())), getattr(family, "_documentation", "")) for family in families
    ])  # fmt: skip


def metric_name(family: Any) -> str:
    """A metric's name as Prometheus shows it."""
    name = str(getattr(family, "_name", ""))
    return name + {"counter": "_total", "info": "_info"}.get(getattr(family, "_type", ""), "")


def _rules() -> Iterator[str]:
    yield "## Rules 规则"
    yield "Which rule is in which city's pack, and the clause of the city's document under which it stands:"
    yield rule_table().replace("](streams/", "](../streams/")
    yield (
        "Every entry of a pack has `rule`, `id`, `clause` and `severity` (`violation` or `warning`), and may have `vehicles` (`classes`, `energy`, `body`), `exempt` (`passes`,"
        " `energy`, `joint_delivery`, `calendars`, `unless_credit`, and a `basis` and `quote` of its own), `min_duration` (0s) and `merge_gap` (2m); where the rule takes them, `zones` and `permitted`; and the parameters of its rule."
    )
    yield from _claims()
    for name, module in RULES.items():
        yield f"### `{name}` {module.TITLE_ZH}"
        yield from _rule(name, str(module.__doc__))


def _claims() -> Iterator[str]:
    yield "What an entry claims of the city's document; a pack of your own may leave it out, and then claims nothing:"
    yield table("key 键|meaning 含义", [
        ("`quote`", "the clause's words, exactly; `……` where some are left out"),
        ("`basis`", _values(BASIS_WORDS) + ". The first two need `quote`, `clause` and `duty_of`. `illustrative: true`, as in packs of before, means the last"),
        ("`figures`", f"`illustrative`: {FIGURES_WORDS.en} {FIGURES_WORDS.zh}, all else is the document's"),
        ("`duty_of`", f"whom the words bind: {_values(DUTY_WORDS)}"),
        ("`responsible`", "the authorities that the document names after these words, as it names them, the leading one first"),
        ("`stands_in_for`", "rules that the document tells an authority to make, for which the entry stands in"),
        ("`reading`", "how the words are read where they do not spell it out, and what of the judging is the pack's own: `中文 (English)`; said instead of the general words about `figures`"),
    ])  # fmt: skip
    yield (
        "`document` has `title` and `file`, and may have `number`, `published` (as much of the date as is known), `in_force` (`from`, `until`), `source` (from where the dates are known)"
        " and `assumed` (`published`, `in_force`: not known for sure). `valid_from` and `valid_until` are the operator's. A pack that is valid beyond `in_force.until` needs `continued` (`by`, `reason`)."
    )


def _values(words: Mapping[Any, Words]) -> str:
    return ", ".join(f"`{value}` ({said.en} {said.zh})" for value, said in words.items())


def _rule(name: str, text: str) -> Iterator[str]:
    first, *rest = re.split(rf"^({'|'.join(SECTIONS)})$\n", text, flags=re.MULTILINE)
    said = {heading: " ".join(body.split()).replace("``", "`") for heading, body in zip(rest[::2], rest[1::2], strict=True)}
    yield f"{first.strip()} Judges {JUDGES[judged(name)]}."
    yield said["What"]
    yield f"- Clause 条款: {said['Clause']}\n- Parameters 参数: {said['Parameters']}"


if __name__ == "__main__":
    REFERENCE.write_text(reference(), "utf-8")
