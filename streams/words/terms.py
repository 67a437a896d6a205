"""The words of the schema in Chinese and English: classes of vehicles, passes, days, times, durations, speeds, dates; and how lists are said."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from typing import Literal

from streams.windows import Window
from streams.words.basis import Words
from streams.words.shares import figure, target_percent

Lang = Literal["zh", "en"]
LANGUAGES: tuple[Lang, ...] = ("zh", "en")

CLASSES = {
    "e_tricycle": Words("电动三轮车", "electric tricycles"),
    "e_bike": Words("电动自行车", "electric bicycles"),
    "micro_van": Words("微型货车", "micro vans"),
    "light_van": Words("轻型货车", "light vans"),
    "truck": Words("大中型货车", "trucks"),
    "other": Words("其他车辆", "other vehicles"),
}
ENERGIES = {
    "electric": Words("纯电动", "battery-electric"),
    "plug_in_hybrid": Words("插电式混合动力", "plug-in hybrid"),
    "fuel_cell": Words("燃料电池", "fuel-cell"),
    "hybrid": Words("不可外接充电的混合动力", "hybrid (without a plug)"),
    "fuel": Words("燃油", "fuel-powered"),
}
BODIES = {"box": Words("厢式", "box-bodied"), "open": Words("敞开式", "open-bodied")}
PASSES = {
    "green": Words("绿色通行证", "green pass"),
    "freight": Words("运货通行证", "freight pass"),
    "temporary": Words("临时通行证", "temporary pass"),
    "peak_season": Words("旺季通行证", "peak-season pass"),
    "joint_delivery": Words("共同配送通行证", "joint-delivery pass"),
    "cross_border": Words("跨境运输通行证", "cross-border pass"),
}
STATES = {"open": Words("进行中", "open"), "closed": Words("已结束", "closed"), "retracted": Words("已撤回", "taken back")}
"""Of an incident."""
SEVERITIES = {"violation": Words("按违规处理", "a violation"), "warning": Words("按提醒处理", "a warning")}
CALENDARS = {
    "double_eleven": Words("双十一", "Double Eleven"),
    "spring_festival": Words("春节", "Spring Festival"),
    "trade_fair": Words("大型展会", "trade fair"),
    "textile_fair": Words("纺织品博览会", "textile fair"),
    "festival": Words("节日", "festival"),
    "national_day": Words("国庆", "National Day"),
    "june_eighteen": Words("618", "18 June sales"),
    "expo": Words("博览会", "expo"),
    "south_asia_expo": Words("南博会", "South Asia Expo"),
    "peak_season": Words("快递旺季", "peak season"),
}
"""Names that calendars often have; any other is said as it is written."""
SCOPES = {"primary_brands": Words("主要品牌快递企业", "primary brands")}
DAYS = (
    Words("周一", "Monday"), Words("周二", "Tuesday"), Words("周三", "Wednesday"), Words("周四", "Thursday"),
    Words("周五", "Friday"), Words("周六", "Saturday"), Words("周日", "Sunday"),
)  # fmt: skip
_INNER = str.maketrans("“”", "‘’")
_MONTHS = ("January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November", "December")
_UNITS = (
    (86_400_000, Words("天", "day")), (3_600_000, Words("小时", "hour")), (60_000, Words("分钟", "minute")),
    (1_000, Words("秒", "second")), (1, Words("毫秒", "millisecond")),
)  # fmt: skip


def term(terms: Mapping[str, Words], word: str) -> Words:
    """What a word of the schema is called; a word of somebody's own as it is, without underscores.

    >>> term(PASSES, "green").zh, term(CALENDARS, "lantern_fair").en, term(CALENDARS, "灯会").en
    ('绿色通行证', 'lantern fair', '灯会')
    """
    own = word.replace("_", " ")
    return terms.get(word, Words(own, own))


def is_chinese(environment: Mapping[str, str] = os.environ) -> bool:
    """Whether the locale of the system is a Chinese one."""
    locale = next((environment[name] for name in ("LC_ALL", "LC_MESSAGES", "LANG") if environment.get(name)), "")
    return locale.lower().startswith("zh")


def listed(words: Iterable[str], lang: Lang, last: Literal["and", "or"] = "and") -> str:
    """A list as it is said.

    >>> listed(["甲", "乙", "丙"], "zh", "or"), listed(["a", "b", "c"], "en"), listed(["a"], "en")
    ('甲、乙或丙', 'a, b and c', 'a')
    """
    given = list(words)
    if len(given) < 2:
        return "".join(given)
    joined = ("、" if lang == "zh" else ", ").join(given[:-1])
    return joined + {"zh": {"and": "和", "or": "或"}, "en": {"and": " and ", "or": " or "}}[lang][last] + given[-1]


def quoted(text: str) -> str:
    """A name or somebody's own words in quotation marks; those inside become single ones.

    >>> quoted("定期发布“红黑榜”")
    '“定期发布‘红黑榜’”'
    """
    return f"“{text.translate(_INNER)}”"


def either(words: str, terms: Mapping[str, Words]) -> str | None:
    """The word of the schema that is meant by it, or by what it is called in Chinese or English; None where there is none.

    >>> either("厢式", BODIES), either("light vans", CLASSES), either("light_van", CLASSES), either("x", CLASSES)
    ('box', 'light_van', 'light_van', None)
    """
    return next((word for word, said in terms.items() if words in {word, said.zh, said.en, said.en.removesuffix("s")}), None)


def duration_words(duration_ms: int, lang: Lang) -> str:
    """A duration.

    >>> duration_words(5_400_000, "zh"), duration_words(5_400_000, "en"), duration_words(0, "en")
    ('1小时30分钟', '1 hour 30 minutes', '0 seconds')
    """
    parts, rest = [], duration_ms
    for unit_ms, words in _UNITS:
        number, rest = divmod(rest, unit_ms)
        if number:
            parts.append(f"{number}{words.zh}" if lang == "zh" else f"{number} {words.en}{'' if number == 1 else 's'}")
    return ("" if lang == "zh" else " ").join(parts) or ("0秒" if lang == "zh" else "0 seconds")


def speed_words(speed_kmh: float, lang: Lang) -> str:
    """A speed."""
    return f"{speed_kmh:g}公里/小时" if lang == "zh" else f"{speed_kmh:g} km/h"


def distance_words(distance_m: float, lang: Lang) -> str:
    """A distance.

    >>> distance_words(1500, "zh"), distance_words(400, "en")
    ('1.5公里', '400 m')
    """
    if distance_m >= 1000:
        return f"{distance_m / 1000:g}{'公里' if lang == 'zh' else ' km'}"
    return f"{distance_m:g}{'米' if lang == 'zh' else ' m'}"


def value_words(value: float, *, share: bool) -> str:
    """A target's value: a share in per cent, or a number of things.

    >>> value_words(0.9, share=True), value_words(130_000, share=False)
    ('90%', '130,000')
    """
    return target_percent(value) if share else figure(value, share=False)


def date_words(date: str, lang: Lang) -> str:
    """A date ``YYYY-MM-DD``, or what is known of it; days of any year without the year (``MM-DD``); an instant keeps its time.

    >>> date_words("2019-07-01", "zh"), date_words("2019-07", "en"), date_words("11-01", "zh"), date_words("2019-07-01T08:00", "en")
    ('2019年7月1日', 'July 2019', '11月1日', '1 July 2019 08:00')
    """
    day, _, time = date.replace(" ", "T").partition("T")
    parts = [int(part) for part in day.split("-") if part.isdigit()]
    of_any_year = len(day) == len("MM-DD") and day[2:3] == "-"
    if not parts or len(parts) != day.count("-") + 1 or "/" in day:
        return date
    if lang == "zh":
        said = "".join(f"{part}{unit}" for part, unit in zip(parts, "月日" if of_any_year else "年月日", strict=False))
    else:
        year, month, number = [0, *parts] if of_any_year else [*parts, 0, 0][:3]
        said = " ".join(filter(None, (str(number or ""), _MONTHS[month - 1] if month else "", str(year or ""))))
    return f"{said} {time}".rstrip()


def days_words(days: Iterable[int], lang: Lang) -> str:
    """Days of the week (Monday 0).

    >>> days_words(range(7), "zh"), days_words(range(5), "en"), days_words({5, 6}, "zh"), days_words({0, 2}, "en")
    ('每日', 'Monday to Friday', '周六和周日', 'Monday and Wednesday')
    """
    given = sorted(days)
    if len(given) == len(DAYS):
        return "每日" if lang == "zh" else "daily"
    names = [getattr(DAYS[day], lang) for day in given]
    if len(given) > 2 and given == list(range(given[0], given[-1] + 1)):
        return f"{names[0]}至{names[-1]}" if lang == "zh" else f"{names[0]} to {names[-1]}"
    return listed(names, lang)


def span_words(from_minute: int, until_minute: int, lang: Lang) -> str:
    """Local times of day, until 24:00 or beyond midnight.

    >>> span_words(1200, 420, "zh"), span_words(1200, 420, "en"), span_words(0, 1440, "zh"), span_words(420, 1200, "en")
    ('20:00–次日07:00', '20:00–07:00 the next day', '全天', '07:00–20:00')
    """
    if (from_minute, until_minute) == (0, 1440):
        return "全天" if lang == "zh" else "all day"
    next_day = 0 < until_minute <= from_minute
    until = until_minute or 1440
    clock = f"{until // 60:02}:{until % 60:02}"
    return f"{from_minute // 60:02}:{from_minute % 60:02}–" + (f"次日{clock}" if lang == "zh" else f"{clock} the next day") * next_day + clock * (not next_day)


def windows_words(windows: Sequence[Window], lang: Lang) -> str:
    """Weekly windows of local time; those of the same days share their name.

    >>> windows_words([Window(from_=1200, until=420), Window(from_=540, until=660)], "en")
    'daily 20:00–07:00 the next day and 09:00–11:00'
    """
    by_days: dict[tuple[int, ...], list[str]] = {}
    for window in windows:
        by_days.setdefault(tuple(sorted(window.days)), []).append(span_words(window.from_, window.until, lang))
    space, apart = ("", "；") if lang == "zh" else (" ", "; ")
    return apart.join(f"{days_words(days, lang)}{space}{listed(spans, lang)}" for days, spans in by_days.items())
