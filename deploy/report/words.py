"""The words of the report, each in Chinese and English in one place, and how numbers and dates are written in each language."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from datetime import date
from typing import Any, Literal, get_args

from markupsafe import Markup

from deploy.report.figures import is_a_share
from streams.policy.targets import STATUS_WORDS
from streams.policy.wording import source_words
from streams.registry.key_figures import TITLES
from streams.words.basis import Words
from streams.words.shares import figure, target_percent
from streams.words.terms import SCOPES, is_chinese

Language = Literal["zh", "en", "both"]
LANGUAGES: tuple[Language, ...] = get_args(Language)

WORDS: dict[str, Words] = {
    "title": Words("快递业运行报告", "courier report"),
    "period": Words("统计期间", "period"),
    "compared": Words("对比期间", "compared with"),
    "document": Words("文件", "document"),
    "number": Words("文号", "number"),
    "no_number": Words("原文未载文号", "not given in the document"),
    "published": Words("公布日期", "published"),
    "in_force": Words("施行期间", "in force"),
    "onwards": Words("起", "onwards"),
    "source": Words("日期依据", "where the dates are from"),
    "assumed": Words("推定", "assumed"),
    "not_known": Words("原文未载", "not known"),
    "ended": Words("文件有效期已于 {until} 届满。", "The document ended on {until}."),
    "continued": Words("由{by}继续适用：{reason}。本报告全部内容均据此作出。", "It is applied beyond its end by {by}: {reason}. Everything in this report rests on that."),
    "pack": Words("政策包", "policy pack"),
    "synthetic": Words("其中 {count} 起事件来自测试数据。", "{count} of the incidents come from test traffic."),
    "parcels": Words("收寄快件", "parcels accepted"),
    "incidents": Words("事件", "incidents"),
    "open": Words("未结", "open"),
    "targets_met": Words("达标指标", "targets met"),
    "targets_missed": Words("到期未达标", "targets missed"),
    "on_black": Words("黑名单企业", "on the black list"),
    "key_figures": Words("主要指标", "Key figures"),
    "measure": Words("指标", "measure"),
    "value": Words("本期", "this period"),
    "change": Words("较上期", "change"),
    "in_use": Words("近30天有扫描 {number}", "{number} scanned at within 30 days"),
    "run_daily": Words("日均开行 {number}", "{number} run a day"),
    "target": Words("目标", "target"),
    "by": Words("期限", "due"),
    "standing": Words("状态", "status"),
    "primary_brands": Words("主要品牌合计", "primary brands together"),
    **STATUS_WORDS,
    "key_figures_note": Words(
        "“–”表示无人上报，不等于零。登记类指标取期末数；较上期：{from_} 至 {until}。期限之前不计未达标，未定期限的目标不计未达标。竖线为目标。件次：一件快件每用一种运输方式、每上一辆车，各计一次。",
        "“–” means that nobody reports it; it is not zero. Figures of the registry are as of the period's end; change: against {from_} to {until}. "
        "Nothing is missed before its date, nor where no date is set. The upright line is the target. Legs: a parcel counts once for each mode of transport, and once for each vehicle, that it goes by.",
    ),
    "figure_clauses_note": Words(
        "指标名称之下是文件提到它的条款和原文；没有的，文件未提及。",
        "Below a figure's name stand the clause and the words by which the document speaks of it; of the others it does not speak.",
    ),
    "points": Words(" 个百分点", " pp"),
    "enterprises": Words("企业", "Enterprises"),
    "enterprise": Words("企业", "enterprise"),
    "accepted": Words("收寄件数", "accepted"),
    "green_points": Words("绿色积分", "green points"),
    "green_points_note": Words(
        "绿色积分：每满 100 件绿色包装计 1 分，每满 100 件使用循环中转袋计 1 分（示例规则）。",
        "Green points: one for every whole hundred parcels in green packaging and in reusable bags (illustrative).",
    ),
    "no_parcels": Words("此期间没有快件。", "No parcels in this period."),
    "lists": Words("红黑榜", "Red and black lists"),
    "black": Words("黑名单", "black list"),
    "red": Words("红名单", "red list"),
    "normal": Words("正常", "normal"),
    "nobody": Words("无", "none"),
    "credit": Words("信用", "credit"),
    "credit_points": Words("扣分", "points"),
    "reasons": Words("事由", "reasons"),
    "lists_note": Words("信用状态以本报告生成时所掌握的最新记录为准。", "Standings are the latest known when the report was made."),
    "confirmed_only": Words("仅对公安机关已确认或已处罚的事件计分。", "Only incidents that police have acknowledged or fined cost points."),
    "no_ledger": Words("本政策包不计信用分，名单只列登记信息中载明的企业。", "This pack keeps no points; the lists hold enterprises as they are registered."),
    "registered_so": Words("登记信息载明", "registered so"),
    "reason": Words("{title}：{count} 起，{points} 分", "{title}: {count}, {points} points"),
    "drivers": Words("驾驶人", "Drivers"),
    "drivers_on_record": Words("登记驾驶人", "drivers on record"),
    "training": Words("安全培训", "training"),
    "insurance": Words("交通意外险", "accident insurance"),
    "valid": Words("有效", "in order"),
    "lapsed": Words("过期", "lapsed"),
    "missing": Words("无记录", "not on record"),
    "drivers_note": Words(
        "这里是登记在册的培训和保险。政策包对驾驶人计分的，其信用见“红黑榜”。车辆统一投保的，驾驶人可以没有个人保险记录。",
        "These are training and insurance as they are on record. Where the pack keeps points of drivers, their credit stands under “Red and black lists”. Where a vehicle is insured its drivers need no insurance of their own.",
    ),
    "no_drivers": Words("登记信息中没有驾驶人。", "No drivers on record."),
    "rules": Words("事件与依据", "Incidents and their basis"),
    "rule": Words("规则", "rule"),
    "clause": Words("条款", "clause"),
    "number_of": Words("起数", "number"),
    "basis": Words("依据", "basis"),
    "violation": Words("运营方按违规处理", "the operator treats it as a violation"),
    "warning": Words("运营方按提醒处理", "the operator treats it as a warning"),
    "no_incidents": Words("此期间没有事件。", "No incidents in this period."),
    "without_incident": Words("无事件的规则", "rules without incidents"),
    "response": Words("共 {incidents} 起，已答复 {answered} 起", "{incidents} incidents, {answered} answered"),
    "response_after": Words("，答复时间中位数 {minutes} 分钟", ", after {minutes} minutes (median)"),
    "interruptions": Words("数据、定位和监控的中断", "Interruptions of data, positions and cameras"),
    "interrupted_feed": Words("企业数据中断", "Data of enterprises"),
    "silent_vehicle": Words("车辆停止上报位置", "Positions of vehicles"),
    "offline_camera": Words("网点监控离线", "Cameras of outlets"),
    "announced": Words("事先报告", "announced"),
    "unannounced": Words("未经报告", "not announced"),
    "late_notices": Words("事后补报", "announced too late"),
    "share_announced": Words("事先报告占比", "share announced"),
    "announced_hours": Words("报告时长（小时）", "hours announced"),
    "unannounced_hours": Words("未报时长（小时）", "hours not announced"),
    "interruptions_note": Words(
        "事先报告：在中断开始之前提交的报告。未结的中断计入起数，不计时长。",
        "Announced: a notice filed before the interruption began. Those that are still open are counted; their hours are not.",
    ),
    "no_interruptions": Words("此期间没有数据中断，也没有报告。", "No interruptions and no notices in this period."),
    "not_watched": Words("本政策包没有关于中断的规则。", "This pack has no rule about interruptions."),
    "in_all": Words("合计", "in all"),
    "not_named": Words("未登记企业", "no enterprise on record"),
    "parking": Words("停车设施", "Loading zones"),
    "zone": Words("区域", "zone"),
    "stops": Words("停靠次数", "stops"),
    "stops_per_day": Words("日均停靠", "stops a day"),
    "occupied_hours": Words("占用时长（小时）", "hours occupied"),
    "transit": Words("寄递时限", "Time in transit"),
    "delivered": Words("投递快件", "delivered"),
    "timed": Words("计时快件", "timed"),
    "untimed_share": Words("未计时占比", "share not timed"),
    "transit_note": Words(
        "揽收至投递的整小时数。超过三天或无收寄记录的不计入时限，因此 90 分位不会超过 72 小时；请与未计时占比一并阅读。",
        "Whole hours from acceptance to delivery. Later than three days, or without an acceptance scan: not timed. So the 90th percentile is never above 72 hours; read it beside the share not timed.",
    ),
    "median": Words("中位数（小时）", "median, hours"),
    "p90": Words("90 分位（小时）", "90th percentile, hours"),
    "network": Words("三级网络", "Three-level network"),
    "level": Words("层级", "level"),
    "hub": Words("枢纽", "hub"),
    "county": Words("县级中心", "county centre"),
    "township": Words("乡镇站点", "township station"),
    "village": Words("村级站点", "village station"),
    "pickup_point": Words("取送点", "pick-up point"),
    "outlet": Words("备案网点", "outlet on file"),
    "unfiled_outlet": Words("未备案网点", "outlet not on file"),
    "lines": Words("配送线路", "delivery lines"),
    "lines_run": Words("配送线路：有数据的 {days} 天应开行 {due} 线次，开行 {run} 线次。", "Delivery lines: on the {days} days that are known, {run} of {due} runs were made."),
    "outlets": Words("末端网点", "outlets"),
    "filed": Words("已备案", "on file"),
    "active": Words("近30天有扫描", "scanned at within 30 days"),
    "on_record": Words("登记数", "on record"),
    "illustrative_zone": Words("虚线：示例区域，并非主管部门划定", "dashed: illustrative, not drawn by the authorities"),
    "outside": Words("另有 {count} 处位置远离各区域，未标注。", "{count} more positions lie far from all zones and are not shown."),
    "detail": Words("局部 {letter}", "detail {letter}"),
    "north": Words("北", "north"),
    "map_of": Words("区域、网点与设施分布图", "map of zones, outlets and facilities"),
    "no_map": Words("没有可标注的位置。", "There is no position to show."),
    "days": Words("逐日", "Day by day"),
    "months": Words("逐月", "Month by month"),
    "month": Words("月份", "month"),
    "date": Words("日期", "date"),
    "green_rising": Words("绿色包装环比", "green packaging, month on month"),
    "rising": Words("上升", "rising"),
    "not_rising": Words("未上升", "not rising"),
    "months_note": Words("首末月份可能不完整。", "The first and the last month may be incomplete."),
    "emissions": Words("排放标准逐月", "Emission standards, month by month"),
    "emissions_note": Words("各月末登记在册、载明排放标准的车辆数；未载明的不计。", "Vehicles on record at each month's end whose standard is on record; others are not counted."),
    "draws": Words("双随机抽查结果", "Results of random inspections"),
    "drawn_on": Words("抽取日期", "drawn on"),
    "drawn": Words("抽中对象", "drawn"),
    "vehicle": Words("车辆", "vehicle"),
    "drawn_outlet": Words("网点", "outlet"),
    "inspector": Words("检查人员", "inspector"),
    "acknowledged": Words("已确认", "acknowledged"),
    "fined": Words("已处罚", "fined"),
    "dismissed": Words("已驳回", "dismissed"),
    "unanswered": Words("未答复", "not answered"),
    "draws_note": Words(
        "本期内自抽取之日起，抽中车辆、网点的事件及其答复；未发现事件的为零。",
        "Incidents of the drawn vehicles and outlets since the day of the draw, within the period, and the answers to them; zero where none was found.",
    ),
    "made": Words("由驿程生成", "made by Yicheng"),
}
OPERATORS = source_words("operator", None)
ZONE_KINDS = {
    "restricted": Words("限行区", "restricted"), "residential": Words("居住区", "residential"), "loading": Words("装卸停靠点", "loading"),
    "main_road": Words("主干道", "main road"), "road": Words("路段", "road"), "corridor": Words("通道", "corridor"), "operating": Words("运营区域", "operating area"),
}  # fmt: skip


def key_figure_lines(summary: Mapping[str, Any]) -> Iterator[str]:
    """Of what ``judge`` sums up: that the document has ended, and the key figures that have a target, a line each, in both languages."""
    if summary["document"] and summary["document"]["ended"]:
        yield " ".join(words.format(until=summary["document"]["in_force"]["until"]) for words in WORDS["ended"])
    for row in summary["key_figures"]:
        if row["target"] is not None and row["value"] is not None:
            zh, en = TITLES.get(row["measure"], (row["measure"], row["measure"]))
            value, standing = figure(row["value"], share=is_a_share(row["measure"]), target=row["target"]), WORDS[row["status"]]
            said = target_label(row["measure"], row["target"], row["clause"], row["by"], row["scope"])
            used = [] if row["active"] is None else [words.format(number=figure(round(row["active"], 1), share=False)) for words in WORDS[in_use_words(row["measure"])]]
            yield f"{zh} {en}: {', '.join((value, *used))} ({said}): {standing.zh} {standing.en}"


def in_use_words(measure: str) -> str:
    """The words for how many of what a measure counts are in use."""
    return "run_daily" if measure == "delivery_lines" else "in_use"


def target_label(measure: str, target: float, clause: str | None, by: str | None, scope: str | None) -> str:
    """A target in both languages, with its clause (None: it is the operator's), its date and whom it is about (None: all).

    >>> target_label("locker_cells", 130000, "四（十二）", "2019-12-31", None), target_label("electronic_waybill", 0.9, "三（十）", None, "primary_brands")
    ('target 目标 130,000, 四（十二）, 2019-12-31', 'target 目标 90%, 三（十）, primary brands 主要品牌快递企业')
    """
    value = target_percent(target) if is_a_share(measure) else figure(target, share=False)
    whose = clause or f"{OPERATORS.en} {OPERATORS.zh}"
    whom = f"{SCOPES[scope].en} {SCOPES[scope].zh}" if scope else None
    return "target 目标 " + ", ".join(filter(None, (value, whose, by, whom)))


def own_language(environment: Mapping[str, str] = os.environ) -> Language:
    """Chinese where the locale is, else both.

    >>> own_language({"LANG": "zh_CN.UTF-8"}), own_language({"LANG": "zh_CN.UTF-8", "LC_ALL": "C"}), own_language({})
    ('zh', 'both', 'both')
    """
    return "zh" if is_chinese(environment) else "both"


class Writer:
    """Writes in one language, or in both: Chinese first, English smaller."""

    def __init__(self, language: Language) -> None:
        self.language = language

    def __call__(self, word: str, **values: object) -> Markup:
        """A wording of ``WORDS`` with values put in, which are escaped."""
        return self.pair(*(Markup(text).format(**values) for text in WORDS[word]))  # noqa: S704 (the text is ours)

    def pair(self, zh: object, en: object) -> Markup:
        """The same in Chinese and in English; what is the same in both (an id) once."""
        if self.language != "both" or zh == en:
            return Markup("{}").format(en if self.language == "en" else zh)
        return Markup('{} <span class="en" lang="en">{}</span>').format(zh, en)

    def words(self, said: Words | tuple[str, str]) -> Markup:
        """A pair that stands elsewhere."""
        return self.pair(*said)

    def plain(self, word: str) -> str:
        """As text without markup, for a picture: ``中文 English``."""
        zh, en = WORDS[word]
        return self.plain_pair(zh, en)

    def plain_pair(self, zh: str, en: str) -> str:
        """Two texts as one, without markup."""
        if self.language != "both" or zh == en:
            return en if self.language == "en" else zh
        return f"{zh} {en}"

    def date(self, day: str) -> str:
        """A local date, or as much of it as is known (a year, a month), as the language writes it.

        >>> Writer("zh").date("2019-07-01"), Writer("en").date("2019-07-01"), Writer("both").date("2019-07-01"), Writer("zh").date("2018"), Writer("en").date("2018-09")
        ('2019年7月1日', '1 July 2019', '2019-07-01', '2018年', 'September 2018')
        """
        if self.language == "both":
            return day
        parts = [int(part) for part in day.split("-")]
        if self.language == "zh":
            return "".join(f"{part}{unit}" for part, unit in zip(parts, "年月日", strict=False))
        month = MONTHS[parts[1] - 1] if len(parts) > 1 else ""
        return " ".join(str(part) for part in (*parts[2:], month, parts[0]) if part)

    @property
    def colon(self) -> str:
        """What stands before what is said of something."""
        return ": " if self.language == "en" else "："

    @property
    def joiner(self) -> str:
        """What stands between names in a list."""
        return ", " if self.language == "en" else "、"


MONTHS = [date(2000, month, 1).strftime("%B") for month in range(1, 13)]
"""In English: Python's own names, whatever the locale (it is never set)."""
