"""Parcels accepted without verifying the sender's real name.

What
    The scan that accepts a parcel says ``real_name_verified: false`` (nothing said: unknown, and no offence). One incident
    for an outlet, or for the enterprise where the scan names no outlet, and a local day: first and last such parcel, and
    their number.

Clause
    更好落实实名寄递制度 (Shaoxing 七); 完善寄递业实名收寄制度 (Yunnan 一（四）);
    督促企业落实好“三项制度”和安全生产主体责任 (Wulong 三（七）, that it is one of the three is our reading).

Parameters
    None of its own.

Example
    >>> from streams.wire.events import Scan
    >>> violates(Scan("e", 1, "w", "qingcheng", "150100", "accepted", real_name_verified=False), None)
    True
    >>> violates(Scan("e", 1, "w", "qingcheng", "150100", "accepted"), None)
    False
"""

from __future__ import annotations

import msgspec

from streams.registry.registry import Registry
from streams.wire.events import Scan

SCANS = "accepted"
TITLE_ZH = "收寄未核验寄件人实名"
ASKS_ZH = "收寄快件时，须核验寄件人的真实身份。"
ASKS_EN = "The sender's identity must be verified when a parcel is accepted."
REASON_ZH = "{subject_zh} {date} 收寄 {count} 件未核验寄件人实名"
REASON_EN = "{subject_en} accepted {parcels_en} on {date} without verifying the sender"


class Parameters(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """None."""


def violates(scan: Scan, registry: Registry) -> bool:
    """Whether the scan says that nobody verified the sender."""
    return scan.real_name_verified is False
