"""Parcels scanned at an outlet that is not on file.

What
    A scan of any kind names an outlet for which the registry holds no record valid at that time with ``filed: true``. One
    incident for an outlet and local day: first and last such scan, and their number; a scan sent twice counts once.
    A facility of the network that is on record (a hub, a county's centre) is no such outlet: filing concerns 末端网点.

Clause
    具有固定场所、设施的网点，实施备案管理 (Hohhot 二（五）);
    探索对快递末端网点实施备案管理 (Hezhou 二（一）1);
    实施快递末端网点备案管理 (Shaoxing 十, Yunnan 一（一）, Wulong 三（三）).

Parameters
    None of its own.

Example
    >>> from zoneinfo import ZoneInfo
    >>> from streams.registry.records import Facility, Outlet
    >>> registry = Registry(ZoneInfo("Asia/Shanghai"))
    >>> registry.add([Outlet(id="O1", filed=True), Outlet(id="O2"), Facility(id="H1", level="hub")])
    >>> [violates(Scan("e", 1, "w", "qingcheng", "150100", "arrived", outlet_id=name), registry) for name in ("O1", "O2", "O3", "H1")]
    [False, True, True, False]
"""

from __future__ import annotations

import msgspec

from streams.registry.registry import Registry
from streams.wire.events import Scan

SCANS = "all"
TITLE_ZH = "网点未备案"
ASKS_ZH = "扫描快件的网点须已备案。"
ASKS_EN = "Outlets at which parcels are scanned must be on file."
REASON_ZH = "{subject_zh} 未备案，{date} 有 {count} 次快件扫描"
REASON_EN = "{subject_en} is not on file, yet {scans_en} came from it on {date}"


class Parameters(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """None."""


def violates(scan: Scan, registry: Registry) -> bool:
    """Whether the scan names an outlet that is not on file."""
    if scan.outlet_id is None:
        return False
    outlet = registry.outlet(scan.outlet_id, scan.event_time_ms)
    if outlet is not None:
        return not outlet.filed
    return registry.at("facility", scan.outlet_id, scan.event_time_ms) is None
