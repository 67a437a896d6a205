"""An enterprise whose credit falls to black.

What
    Every closed incident of an enterprise costs the points that the policy sets for its rule; they expire after 365 days.
    With ``black_at`` points or more the enterprise is on the black list: the incident lasts as long as that. Without any
    points and with 30 days on which it accepted parcels it is on the red list; else its credit is normal. From the start of
    the next local day on, exemptions with ``unless_credit: black`` do not hold for an enterprise on the black list. (``judge`` goes by the day on
    which it came there. A worker goes by the day up to which all inputs had been read when it found out: while it works off a backlog that may be a later
    one, and fixes that it has judged before keep their exemptions.) Where the
    policy says so (``drivers``), whoever drove has an account too: points of his own, no red list, no exemptions that go by it.
    With ``confirmed_only`` an incident costs points only while police have confirmed it: from when ``acknowledged`` or ``fined`` arrives, until it is
    dismissed or an objection to it is upheld.

Clause
    将快递企业和快递服务车辆驾驶人是否存在相关严重失信行为纳入征信评价体系 (Hezhou 二（三）9);
    建立快递物流企业诚信体系，纳入国家企业信用信息公示系统和“信用中国”网站，加大对失信行为的惩戒力度 (Yunnan 一（五）);
    建立企业诚信评价机制和奖惩制度，定期发布企业诚信“红黑榜” (Wulong 三（七）).

Parameters
    ``points``: points by rule; ``black_at``. ``drivers``: the same for drivers, by rules about vehicles. ``confirmed_only`` (false): only what police have confirmed
    costs points, enterprises and drivers alike.

Example
    >>> p = Parameters(points={"speeding": 2.0}, black_at=6.0)
    >>> standing(p, 6.0, 100), standing(p, 2.0, 100), standing(p, 0.0, 30), standing(p, 0.0, 29)
    ('black', 'normal', 'red', 'normal')
"""

from __future__ import annotations

import msgspec

TITLE_ZH = "企业被列入黑名单"
ASKS_ZH = "企业的事件结束后按规则计分（{points}），365天内累计达到{black_at}分的，列入黑名单。{drivers}{confirmed_only}"
ASKS_EN = "An enterprise's closed incidents cost points by rule ({points}); with {black_at} points within 365 days it is on the black list.{drivers}{confirmed_only}"
REASON_ZH = "{subject_zh} 因 {count} 起事件被列入黑名单"
REASON_EN = "{subject_en} is on the black list after {count} incidents"
RED_AFTER_DAYS = 30


class Terms(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a closed incident of each rule costs, and how many points make an account black."""

    points: dict[str, float]
    black_at: float


class Parameters(Terms, frozen=True, forbid_unknown_fields=True):
    """The terms of enterprises' accounts, and those of drivers' where these have any; whether only what police have confirmed costs points."""

    drivers: Terms | None = None
    confirmed_only: bool = False


def standing(terms: Terms, points: float, active_days: int) -> str:
    """``red``, ``normal`` or ``black``."""
    if points >= terms.black_at:
        return "black"
    return "red" if not points and active_days >= RED_AFTER_DAYS else "normal"
