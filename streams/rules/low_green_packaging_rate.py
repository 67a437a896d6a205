"""A day on which too few parcels had green packaging.

What
    After a local day has closed: the share among the day's accepted parcels is below ``target``, for an enterprise or
    the whole city (``*``) with at least ``min_sample`` acceptances. Where ``rising`` is asked for, also after a local month
    has closed: its share is not above that of the month before, both with at least so many; all of them (100 %) is enough.

Clause
    快递绿色包材使用率不断提高 (Hohhot 六（十七）);
    鼓励使用绿色包装技术材料和开展循环利用 (Hezhou 二（六）16);
    引导电子商务企业和快递企业推广应用绿色包装技术和材料 (Yunnan 六（二十一）);
    推广电子商务绿色包装、减量包装标准，推广应用绿色包装技术和材料 (Wulong 二（五）2).

Parameters
    ``target`` (0.90), ``min_sample`` (100), ``primary_brands_only`` (false): leave out enterprises that
    are no primary brands; the whole city is the sum of those that are. ``rising`` (false): from month to month.

Example
    >>> from streams.counts import Counts
    >>> rate(Counts(accepted=200, green=170))
    (170, 200)
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from streams.counts import Counts

TITLE_ZH = "绿色包装使用率不达标"
ASKS_ZH = "{primary_brands_only}每日收寄的快件，绿色包装使用率不得低于{target}（当日收寄不足{min_sample}件的不计）{rising}。"
ASKS_EN = "Of the parcels that {primary_brands_only} accept on a day, at least {target} must have green packaging (days with fewer than {min_sample} parcels do not count){rising}."
REASON_ZH = "{enterprise_zh} {date} 绿色包装使用率 {percent}，低于 {target_percent}"
REASON_EN = "{enterprise_en}: green packaging rate {percent} on {date}, below {target_percent}"


MONTH_ZH = "{enterprise_zh} {date} 绿色包装使用率 {percent}，未比上月提高"
MONTH_EN = "{enterprise_en}: green packaging rate {percent} in {date}, not above that of the month before"


class Parameters(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """``target`` as a share from 0 to 1, ``min_sample`` in parcels."""

    target: float = 0.90
    min_sample: int = 100
    primary_brands_only: bool = False
    rising: bool = False


def rate(counts: Counts) -> tuple[int, int]:
    """Numerator and denominator."""
    return counts.green, counts.accepted
