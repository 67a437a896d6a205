"""One module a sink; those that begin with _ are what several sinks share."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from consumers.messages.message import Sink
from consumers.sinks.alertmanager import AlertmanagerSink
from consumers.sinks.apprise import AppriseSink
from consumers.sinks.dingtalk import DingTalkSink
from consumers.sinks.feishu import FeishuSink
from consumers.sinks.file import FileSink
from consumers.sinks.webhook import WebhookSink
from consumers.sinks.wecom import WeComSink
from streams.errors import BadInput, nearest

KINDS: Mapping[str, Callable[[str, Mapping[str, object]], Sink]] = {
    "alertmanager": AlertmanagerSink,
    "apprise": AppriseSink,
    "dingtalk": DingTalkSink,
    "feishu": FeishuSink,
    "file": FileSink,
    "webhook": WebhookSink,
    "wecom": WeComSink,
}
"""What a sink of each kind is made by: from the operator's name for it, and its options."""


def open_sink(kind: str, name: str, options: Mapping[str, object]) -> Sink:
    """The sink of a kind that the operator calls ``name``; ``BadInput`` where the kind or an option is unknown or wrong."""
    if kind not in KINDS:
        raise BadInput(f"sink {name}: {kind!r} is no kind of sink{nearest(kind, KINDS)}")
    return KINDS[kind](name, options)
