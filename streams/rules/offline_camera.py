"""An outlet whose monitoring camera has gone offline without notice.

What
    The registry says that the outlet has a camera, and stream time passes its last heartbeat + ``limit`` while no announced
    interruption (a ``notice`` for the outlet or its enterprise) covers that instant; a notice puts it off until its end. The
    incident begins with the last heartbeat and closes with the next. A camera that has never been heard of is not expected.

Clause
    依托“雪亮工程”项目，建设一套覆盖全市所有寄递企业和网点的监控视频系统，并联网接入视频共享总平台 (Shaoxing 七);
    鼓励建设智慧物流云服务平台，通过……远程视频监控系统 (Yunnan 一（四）).

Parameters
    ``limit`` (10m).

Example
    >>> expects(Outlet(id="O1", camera=True)), expects(Outlet(id="O1")), expects(None)
    (True, False, False)
"""

from __future__ import annotations

from typing import Any

import msgspec

from streams.clock import Duration
from streams.registry.records import Outlet

SIGNS = "outlet"
TITLE_ZH = "网点监控未经通知离线"
ASKS_ZH = "网点的监控摄像头，未经事先通知，不得离线超过{limit}。"
ASKS_EN = "The monitoring cameras of outlets must not be offline for more than {limit} without prior notice."
REASON_ZH = "{subject_zh} 的监控自 {since} 起未经通知离线"
REASON_EN = "the camera of {subject_en} has been offline since {since}, without notice"


class Parameters(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """``limit`` as a duration."""

    limit: Duration = Duration(10 * 60_000)


def expects(record: Any) -> bool:
    """Whether heartbeats are expected of what the registry says about an outlet."""
    return isinstance(record, Outlet) and record.camera is True
