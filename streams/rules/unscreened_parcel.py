"""Parcels accepted without a security screening.

What
    The scan that accepts a parcel says ``screened: false`` (nothing said: unknown, and no offence). One incident for an
    outlet, or for the enterprise where the scan names no outlet, and a local day: first and last such parcel, and their
    number.

Clause
    督促企业落实好“三项制度”和安全生产主体责任 (Wulong 三（七）, that it is one of the three is our reading).

Parameters
    None of its own.

Example
    >>> from streams.wire.events import Scan
    >>> [violates(Scan("e", 1, "w", "yinshan", "500156", "accepted", screened=said), None) for said in (False, True, None)]
    [True, False, False]
"""

from __future__ import annotations

import msgspec

from streams.registry.registry import Registry
from streams.wire.events import Scan

SCANS = "accepted"
TITLE_ZH = "收寄未过机安检"
ASKS_ZH = "收寄快件时，须过机安检。"
ASKS_EN = "Parcels must be screened when they are accepted."
REASON_ZH = "{subject_zh} {date} 收寄 {count} 件未过机安检"
REASON_EN = "{subject_en} accepted {parcels_en} on {date} without security screening"


class Parameters(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """None."""


def violates(scan: Scan, registry: Registry) -> bool:
    """Whether the scan says that nobody screened the parcel."""
    return scan.screened is False
