"""Parcels accepted without looking at what is in them.

What
    The scan that accepts a parcel says ``inspected: false`` (nothing said: unknown, and no offence). One incident for an
    outlet, or for the enterprise where the scan names no outlet, and a local day: first and last such parcel, and their
    number.

Clause
    鼓励建设智慧物流云服务平台，通过……收寄验视信息监管系统 (Yunnan 一（四）);
    督促企业落实好“三项制度”和安全生产主体责任 (Wulong 三（七）, that it is one of the three is our reading).

Parameters
    None of its own.

Example
    >>> from streams.wire.events import Scan
    >>> violates(Scan("e", 1, "w", "qingcheng", "150100", "accepted", inspected=False), None)
    True
    >>> violates(Scan("e", 1, "w", "qingcheng", "150100", "accepted", inspected=True), None)
    False
"""

from __future__ import annotations

import msgspec

from streams.registry.registry import Registry
from streams.wire.events import Scan

SCANS = "accepted"
TITLE_ZH = "收寄未验视内件"
ASKS_ZH = "收寄快件时，须当场验视内件。"
ASKS_EN = "What is in a parcel must be inspected when it is accepted."
REASON_ZH = "{subject_zh} {date} 收寄 {count} 件未验视内件"
REASON_EN = "{subject_en} accepted {parcels_en} on {date} without inspecting them"


class Parameters(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """None."""


def violates(scan: Scan, registry: Registry) -> bool:
    """Whether the scan says that nobody inspected the parcel."""
    return scan.inspected is False
