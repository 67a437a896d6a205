"""Parcels scanned at an outlet that has no monitoring camera.

What
    A scan of any kind names an outlet on file (``filed: true``) whose record, valid at that time, says ``camera: false``
    (nothing said: unknown, and no offence; an outlet that is not on file is ``unfiled_outlet``'s). One incident for an outlet
    and local day: first and last such scan, and their number; a scan sent twice counts once.

Clause
    建设一套覆盖全市所有寄递企业和网点的监控视频系统，并联网接入视频共享总平台 (Shaoxing 七).

Parameters
    None of its own.

Example
    >>> from zoneinfo import ZoneInfo
    >>> from streams.registry.records import Outlet
    >>> registry = Registry(ZoneInfo("Asia/Shanghai"))
    >>> registry.add([Outlet(id="O1", filed=True, camera=False), Outlet(id="O2", filed=True, camera=True), Outlet(id="O3", filed=True)])
    >>> [violates(Scan("e", 1, "w", "yinshan", "330600", "arrived", outlet_id=name), registry) for name in ("O1", "O2", "O3")]
    [True, False, False]
"""

from __future__ import annotations

import msgspec

from streams.registry.registry import Registry
from streams.wire.events import Scan

SCANS = "all"
TITLE_ZH = "网点无监控"
ASKS_ZH = "扫描快件的备案网点须装有监控摄像头。"
ASKS_EN = "Outlets on file at which parcels are scanned must have a camera."
REASON_ZH = "{subject_zh} 未安装监控视频，{date} 有 {count} 次快件扫描"
REASON_EN = "{subject_en} has no monitoring camera, yet {scans_en} came from it on {date}"


class Parameters(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """None."""


def violates(scan: Scan, registry: Registry) -> bool:
    """Whether the scan names an outlet on file that is said to have no camera."""
    outlet = registry.outlet(scan.outlet_id, scan.event_time_ms)
    return outlet is not None and outlet.filed is True and outlet.camera is False
