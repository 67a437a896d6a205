"""A vehicle number that does not follow the city's scheme.

What
    The fix's ``vehicle_id`` does not fully match the pack's ``identifier.pattern``.

Clause
    统一编号 (Hohhot 十, Hezhou 9, Yunnan 十, Wulong 二.1).

Parameters
    None; the scheme is the pack's ``identifier.pattern``.

Example
    >>> from types import SimpleNamespace as Pack
    >>> from streams.patterns import compile_pattern
    >>> from streams.registry import Subject
    >>> pack = Pack(identifier=compile_pattern("HH-[0-9]{5}"))
    >>> prepare(Parameters(), Subject("HH-12", None, None, (), 0, 1), pack)
    True
    >>> prepare(Parameters(), Subject("HH-00012", None, None, (), 0, 1), pack)
    False
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from streams.registry import Subject

if TYPE_CHECKING:
    from streams.policy import Policy

ZONES = "none"
PERMITTED = "none"
TITLE_ZH = "编号不符合规则"
REASON_ZH = "车辆编号 {vehicle_id} 不符合统一编号规则"
REASON_EN = "identifier {vehicle_id} does not follow the city's numbering scheme"


class Parameters(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """No keys of its own."""


def prepare(parameters: Parameters, subject: Subject, policy: Policy) -> bool:
    """Every fix violates, or none does."""
    return policy.identifier is not None and policy.identifier.fullmatch(subject.vehicle_id) is None
