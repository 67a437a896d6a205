"""A vehicle on duty that stops reporting without notice.

What
    The vehicle is registered and active, its last fix had the ignition on, and stream time passes that fix + ``limit``
    while no announced interruption (a ``notice`` for the vehicle or its enterprise) covers that instant; a notice puts it
    off until its end. The incident begins with the last fix and closes with the next.

Clause
    建立数据中断等风险评估、提前通知和事先报告制度 (Hohhot 二（八）, Wulong 二（四）2);
    推进信息化管理模式，定期交流快递服务车辆管理情况 (Shaoxing 五);
    鼓励建设智慧物流云服务平台，通过……快递车辆 GPS 系统 (Yunnan 一（四）).

Parameters
    ``limit`` (30m).

Example
    >>> from streams.registry.registry import Subject
    >>> from streams.registry.records import Vehicle
    >>> prepare(Parameters(), Subject("v", Vehicle(id="v"), None, (), 0, 1), None)  # the clock is the engine's part
    True
    >>> prepare(Parameters(), Subject("v", Vehicle(id="v", status="scrapped"), None, (), 0, 1), None)
    False
"""

from __future__ import annotations

import msgspec

from streams.clock import Duration
from streams.patterns import Pattern
from streams.registry.registry import Subject
from streams.rules._predicates import Form

ZONES = "none"
PERMITTED = "none"
FORM = Form.SILENCE
TITLE_ZH = "在岗车辆未经通知停止上报"
ASKS_ZH = "登记在用的{whom}点火期间，未经事先通知，不得超过{limit}不上报位置。"
ASKS_EN = "While their ignition is on, {whom} that are registered and active must not stop reporting their position for more than {limit} without prior notice."
REASON_ZH = "车辆 {vehicle_id} 在岗期间未经通知停止上报位置"
REASON_EN = "vehicle {vehicle_id} stopped reporting while on duty, without notice"


class Parameters(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """``limit`` as a duration."""

    limit: Duration = Duration(30 * 60_000)


def prepare(parameters: Parameters, subject: Subject, identifier: Pattern | None) -> bool:
    """Whether the vehicle is expected to report."""
    return subject.vehicle is not None and subject.vehicle.status == "active"
