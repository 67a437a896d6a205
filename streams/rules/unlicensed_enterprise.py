"""Parcels handled by an enterprise whose licence has ended.

What
    A scan of any kind comes from an enterprise after the ``licensed_until`` of its record valid at that time (nothing said:
    unknown, and no offence). One incident for an enterprise and local day: first and last such scan, and their number; a scan
    sent twice counts once.

Clause
    简化快递业务经营许可程序 (Shaoxing 十, Wulong 三（三）).
    That an enterprise needs a licence is the postal law's; the documents speak of the procedure alone.

Parameters
    None. A bare date counts until the end of that day.

Example
    >>> from zoneinfo import ZoneInfo
    >>> from streams.registry.records import Enterprise
    >>> registry = Registry(ZoneInfo("Asia/Shanghai"))
    >>> registry.add([Enterprise(id="yinshan", licensed_until="2019-12-31")])
    >>> midnight_ms = 1_577_808_000_000
    >>> [violates(Scan("e", at_ms, "w", "yinshan", "330600", "arrived"), registry) for at_ms in (midnight_ms - 1, midnight_ms)]
    [False, True]
"""

from __future__ import annotations

import msgspec

from streams.registry.records import Enterprise
from streams.registry.registry import Registry
from streams.wire.events import Scan

SCANS = "all"
SUBJECT = "enterprise"
TITLE_ZH = "企业许可到期"
ASKS_ZH = "扫描快件的企业，许可须在有效期内。"
ASKS_EN = "Enterprises that scan parcels must hold a valid licence."
REASON_ZH = "{subject_zh} 快递业务经营许可已到期，{date} 仍有 {count} 次快件扫描"
REASON_EN = "the licence of {subject_en} has ended, yet {scans_en} came from it on {date}"


class Parameters(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """None."""


def violates(scan: Scan, registry: Registry) -> bool:
    """Whether the scan's enterprise is said to be licensed until before it."""
    enterprise = registry.at("enterprise", scan.enterprise_id, scan.event_time_ms)
    until = enterprise.licensed_until if isinstance(enterprise, Enterprise) else None
    return until is not None and scan.event_time_ms >= registry.bound_ms(until)
