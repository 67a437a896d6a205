"""An enterprise whose data stop without notice.

What
    A registered enterprise sends no scan (and no heartbeat of its feed) for longer than ``limit``, all of it within
    ``hours`` where they are given, and no announced interruption (a ``notice`` for the enterprise) covers the instant at which
    the limit is reached; a notice puts it off until its end. Seven days after its last sign nothing more is expected of an
    enterprise. The incident begins with the last sign and closes with the next.

Clause
    建立数据中断等风险评估、提前通知和事先报告制度 (Hohhot 二（八）, Yunnan 一（四）, Wulong 二（四）2).

Parameters
    ``limit`` (30m); ``hours``: windows such as ``[{days: mon-sun, from: "08:00", until: "20:00"}]`` (none given: always).

Example
    >>> expects(Enterprise(id="qingcheng")), expects(None)
    (True, False)
"""

from __future__ import annotations

from typing import Any

import msgspec

from streams.clock import Duration
from streams.registry.records import Enterprise
from streams.windows import Window

SIGNS = "enterprise"
TITLE_ZH = "企业数据未经通知中断"
ASKS_ZH = "登记在册的快递企业，未经事先通知，不得{hours}中断数据超过{limit}。"
ASKS_EN = "Registered express enterprises must not stop sending data for more than {limit} without prior notice{hours}."
REASON_ZH = "{subject_zh} 的数据自 {since} 起未经通知中断"
REASON_EN = "no data from {subject_en} since {since}, without notice"


class Parameters(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """``limit`` as a duration, ``hours`` in local time."""

    limit: Duration = Duration(30 * 60_000)
    hours: list[Window] | None = None


def expects(record: Any) -> bool:
    """Whether data are expected of what the registry says about an enterprise."""
    return isinstance(record, Enterprise)
