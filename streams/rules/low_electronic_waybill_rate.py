"""A day on which too few parcels had an electronic waybill.

What
    After a local day has closed: the share among the day's accepted parcels is below ``target``, for an enterprise or
    the whole city (``*``) with at least ``min_sample`` acceptances.

Clause
    鼓励应用电子运单,实现全市主要品牌快递企业电子运单使用率达到90%以上 (Hohhot 六（十六）);
    推广使用电子面单 (Hezhou 二（六）16);
    鼓励使用电子运单，提高服务质量 (Wulong 二（四）1).

Parameters
    ``target`` (0.90), ``min_sample`` (100), ``primary_brands_only`` (false): leave out enterprises that
    are no primary brands; the whole city is the sum of those that are.

Example
    >>> from streams.counts import Counts
    >>> rate(Counts(accepted=200, electronic=170))
    (170, 200)
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from streams.counts import Counts

TITLE_ZH = "电子运单使用率不达标"
ASKS_ZH = "{primary_brands_only}每日收寄的快件，电子运单使用率不得低于{target}（当日收寄不足{min_sample}件的不计）。"
ASKS_EN = "Of the parcels that {primary_brands_only} accept on a day, at least {target} must have electronic waybills (days with fewer than {min_sample} parcels do not count)."
REASON_ZH = "{enterprise_zh} {date} 电子运单使用率 {percent}，低于 {target_percent}"
REASON_EN = "{enterprise_en}: electronic waybill rate {percent} on {date}, below {target_percent}"


class Parameters(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """``target`` as a share from 0 to 1, ``min_sample`` in parcels."""

    target: float = 0.90
    min_sample: int = 100
    primary_brands_only: bool = False


def rate(counts: Counts) -> tuple[int, int]:
    """Numerator and denominator."""
    return counts.electronic, counts.accepted
