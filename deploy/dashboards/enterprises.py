"""*Enterprises*: each enterprise's rates against the targets, and all of them side by side."""

from __future__ import annotations

from grafana_foundation_sdk.builders import bargauge, stat, table, timeseries
from grafana_foundation_sdk.models.dashboard import Dashboard

from deploy.dashboards import boards, panels
from deploy.dashboards.clauses import Words, clauses
from deploy.dashboards.panels import BETTER_FROM_ONE, NUMBER, SECONDS, SHARE, WORSE_FROM_ONE, About
from deploy.dashboards.queries import (
    CITY,
    EACH_ENTERPRISE,
    ELECTRONIC,
    ENTERPRISE,
    GREEN,
    WHOLE_CITY,
    Query,
    Rate,
    chosen,
    compared,
    forecast_of,
    latest,
    named,
    number_in,
    rate_of,
    target_of,
)
from streams import metrics
from streams.counts import CITY_WIDE, OTHER
from streams.registry.key_figures import TITLES

NO_RATE = ("今日尚未收寄快件，或企业未登记", "no parcels accepted yet today, or enterprises not on file")
NO_PARCELS = ("最近一小时没有收寄", "no parcels accepted in the last hour")
ONE = "city, enterprise"
ENTERPRISE_NAMES = {CITY_WIDE: "全市 · whole city", OTHER: "未登记 · not on file"}
COUNTED = {
    "accepted": "收寄 · accepted", "electronic": "电子运单 · electronic waybill", "green": "绿色包装 · green packaging", "taped": "胶带封装 · taped",
    "narrow_tape": "45 mm 以下胶带 · narrow tape", "not_repackaged": "不再二次包装 · not packaged again", "reusable_bag": "循环中转袋 · reusable bag",
    "real_name_verified": "实名收寄 · sender verified", "inspected": "收寄验视 · inspected",
}  # fmt: skip
"""Names of what parcels are counted by."""
CITY_HEADING, ENTERPRISE_HEADING = ("城市", "City"), ("企业", "Enterprise")


def dashboard() -> Dashboard:
    """The whole dashboard."""
    return boards.board(
        boards.ENTERPRISES_BOARD, ("企业", "Enterprises"),
        ("各企业的比率与目标，以及相互比较。", "Each enterprise's rates against the targets, and all of them side by side."),
        [boards.cities(), boards.enterprises()],
        [
            boards.Section(("一览", "At a glance"), [*(_below(rate, ahead=ahead) for rate in (ELECTRONIC, GREEN) for ahead in (False, True)), _parcels_now()]),
            boards.Section(("企业明细", "Enterprise by enterprise"), [_table()]),
            boards.Section(("比较", "Comparison"), [_compared(ELECTRONIC), _compared(GREEN), _curves(ELECTRONIC), _curves(GREEN), _hourly(ELECTRONIC), _hourly(GREEN)]),
            boards.Section(("收寄量与其他指标", "Parcels and other measures"), [_parcels(), _waybills(), _packaging(), _measures(), _made_of(), _transit()]),
        ],
    )  # fmt: skip


def _below(rate: Rate, *, ahead: bool) -> stat.Panel:
    chinese, english = rate.title
    when = ("预计今晚", "by tonight") if ahead else ("今日", "today")
    about = About(
        (f"{chinese}{when[0]}未达标企业", f"{english} below target {when[1]}"),
        (f"所选企业中，目标所针对而该比率低于本市目标者的数目。{clauses(rate.rule)[0]}", f"How many of the chosen enterprises that the target is about have a rate below it. {clauses(rate.rule)[1]}"),
        NUMBER, NO_RATE, 5, 5,
    )  # fmt: skip
    value = forecast_of if ahead else rate_of
    return panels.tiles(about, Query(f"sum{compared(value(rate, EACH_ENTERPRISE, ENTERPRISE, by=ONE), '< bool', rate, by=ONE)}"), thresholds=WORSE_FROM_ONE)


def _parcels_now() -> stat.Panel:
    about = About(("一小时收寄量", "Parcels, last hour"), ("所选企业最近一小时收寄的快件。", "Parcels that the chosen enterprises accepted in the last hour."), NUMBER, NO_PARCELS, 4, 5)
    return panels.tiles(about, Query(f"sum({chosen('city_enterprise:courier_parcels_accepted:increase1h', CITY, EACH_ENTERPRISE, ENTERPRISE)})"), graph=True)


def _table() -> table.Panel:
    about = About(
        ("企业一览", "Enterprises"),
        (f"今日比率、与目标相差的百分点（目标针对该企业者）、预测与三十天比率，及最近一小时收寄量；“全市”为所有企业合计。{clauses(ELECTRONIC.rule, GREEN.rule)[0]}",
         f"Rates of today, their distance from the target in percentage points where it is about them, forecasts, rates of 30 days, and parcels accepted in the last hour; the whole city is all of them. {clauses(ELECTRONIC.rule, GREEN.rule)[1]}"),
        SHARE, NO_RATE, 24, 11,
    )  # fmt: skip
    columns: dict[str, Words] = {"name": CITY_HEADING, "enterprise": ENTERPRISE_HEADING}
    queries: list[Query] = []
    for rate, (chinese, english) in ((ELECTRONIC, ("电子运单", "Electronic")), (GREEN, ("绿色包装", "Green"))):
        whole = (("今日", "today", rate_of(rate, ENTERPRISE, by=ONE)), ("与目标之差", "distance", compared(rate_of(rate, ENTERPRISE, by=ONE), "-", rate, by=ONE)),
                 ("预测", "forecast", forecast_of(rate, ENTERPRISE, by=ONE)), ("三十天", "30 days", rate_of(rate, ENTERPRISE, window="30d", by=ONE)))  # fmt: skip
        for said, meant, expr in whole:
            columns[f"Value #{chr(ord('A') + len(queries))}"] = (f"{chinese}{said}", f"{english}, {meant}")
            queries.append(Query(named(expr)))
    parcels = ("一小时收寄", "Parcels, last hour")
    columns[f"Value #{chr(ord('A') + len(queries))}"] = parcels
    queries.append(Query(named(f"sum by ({ONE}) ({chosen('city_enterprise:courier_parcels_accepted:increase1h', CITY, ENTERPRISE)})")))
    panel = panels.mapped(panels.grid(about, *queries, columns=columns), ENTERPRISE_HEADING, ENTERPRISE_NAMES)
    panel.override_by_name(panels.both(parcels), [panels.Property("unit", NUMBER), panels.Property("decimals", 0)])
    return panels.judged(panel, ("电子运单与目标之差", "Electronic, distance"), ("绿色包装与目标之差", "Green, distance"))


def _compared(rate: Rate) -> bargauge.Panel:
    chinese, english = rate.title
    about = About(
        (f"{chinese}：目标完成度", f"{english}: share of the target reached"),
        ("目标所针对的企业：今日比率除以目标，高者在前，100% 及以上（绿色）为达标。", "Of enterprises that the target is about: rate of today over the target, greatest first; from 100% on (green) it is met."), SHARE, NO_RATE, 12, 9,
    )  # fmt: skip
    return panels.gauges(about, Query(f"sort_desc({compared(rate_of(rate, EACH_ENTERPRISE, ENTERPRISE, by=ONE), '/', rate, by=ONE)})", "{{enterprise}}"), thresholds=BETTER_FROM_ONE)


def _curves(rate: Rate) -> timeseries.Panel:
    chinese, english = rate.title
    about = About(
        (f"{chinese}：今日各企业", f"{english}: enterprises today"),
        (f"今日至当时收寄快件的比率，各企业与全市；虚线为目标，注明只针对主要品牌者。{clauses(rate.rule)[0]}", f"Rate of the parcels accepted on the day so far, by enterprise and for the whole city; the target is dashed, and says so where it is that of primary brands alone. {clauses(rate.rule)[1]}"),
        SHARE, NO_RATE, 12, 10,
    )  # fmt: skip
    of_all = target_of(rate, WHOLE_CITY)
    panel = panels.lines(
        about,
        Query(rate_of(rate, EACH_ENTERPRISE, ENTERPRISE, by=ONE), "{{enterprise}}"),
        Query(named(rate_of(rate, WHOLE_CITY)), "{{name}} 全市 · whole city"),
        Query(named(of_all), "{{name}} 目标 · target"),
        Query(named(f"({target_of(rate, EACH_ENTERPRISE, ENTERPRISE)} unless {of_all})"), "{{name}} 主要品牌目标 · target of primary brands"),
    )
    return panels.drawn(panel, C=panels.RED, D=panels.RED).axis_soft_max(1)


def _hourly(rate: Rate) -> timeseries.Panel:
    chinese, english = rate.title
    about = About(
        (f"{chinese}：最近一小时", f"{english}: last hour"),
        ("由计数器得出的最近一小时比率，各企业；可与“今日”比较趋势。", "Rate of the last hour, reckoned from the counters, by enterprise: where today's rate is going."), SHARE, NO_PARCELS, 12, 9,
    )  # fmt: skip
    return panels.lines(about, Query(f"max by ({ONE}) ({chosen(rate.hourly, CITY, EACH_ENTERPRISE, ENTERPRISE)})", "{{enterprise}}")).axis_soft_max(1)


def _parcels() -> timeseries.Panel:
    about = About(("每小时收寄量", "Parcels by hour"), ("各企业每小时收寄的快件。", "Parcels accepted in each hour, by enterprise."), NUMBER, NO_PARCELS, 8, 9)
    return panels.bars(about, Query(f"sum by (enterprise) ({chosen('city_enterprise:courier_parcels_accepted:increase1h', CITY, EACH_ENTERPRISE, ENTERPRISE)})", "{{enterprise}}"), each="1h")


def _waybills() -> timeseries.Panel:
    about = About(("运单类型", "Kinds of waybills"), ("所选企业收寄的快件，按运单类型：电子或其他。", "Parcels that the chosen enterprises accepted, by kind of waybill: electronic or other."), NUMBER, NO_PARCELS, 8, 9)
    panel = panels.bars(about, Query(number_in("$__interval", metrics.PARCELS_ACCEPTED, CITY, ENTERPRISE, by="waybill"), "{{waybill}}"), each="5m")
    return panels.renamed(panel, {"electronic": "电子 · electronic", "other": "其他 · other"})


def _packaging() -> timeseries.Panel:
    about = About(("包装", "Packaging"), ("所选企业收寄的快件，按包装：绿色或其他。", "Parcels that the chosen enterprises accepted, by packaging: green or other."), NUMBER, NO_PARCELS, 8, 9)
    panel = panels.bars(about, Query(number_in("$__interval", metrics.PARCELS_PACKAGED, CITY, ENTERPRISE, by="packaging"), "{{packaging}}"), each="5m")
    return panels.renamed(panel, {"green": "绿色 · green", "other": "其他 · other"})


def _measures() -> table.Panel:
    about = About(
        ("其他比率", "Other rates"),
        ("今日：45 mm 以下胶带（占已封装者）、不再二次包装、循环中转袋、实名收寄、收寄验视，均占已说明者；未说明者不计；选择多个城市时取最高者。",
         "Today: tape of at most 45 mm (of the taped parcels), not packaged again, reusable bags, senders verified, inspected when accepted: shares of the parcels that say it; of several cities the greatest."),
        SHARE, NO_RATE, 12, 10,
    )  # fmt: skip
    columns = {"enterprise\\measure": ENTERPRISE_HEADING, **{name: TITLES[name] for name in ("narrow_tape", "not_repackaged", "reusable_bag", "real_name", "inspected")}}
    panel = panels.grid(about, Query(latest(metrics.MEASURE_RATIO, CITY, ENTERPRISE, by="enterprise, measure")), columns=columns, rows="enterprise", across="measure")
    return panels.mapped(panel, ENTERPRISE_HEADING, ENTERPRISE_NAMES)


def _transit() -> table.Panel:
    about = About(
        ("寄递时限", "Time in transit"),
        ("最近三十天投递的快件从收寄到投递的整小时数。超过三天或无收寄记录的不计入时限，因此请与未计时占比一并阅读；选择多个城市时取最高者。",
         "Whole hours from acceptance to delivery of the parcels delivered in the last 30 days. Later than three days, or without an acceptance scan: not timed, so read it beside the share not timed; of several cities the greatest."),
        SECONDS, ("最近三十天没有投递", "no deliveries in the last 30 days"), 24, 9,
    )  # fmt: skip
    untimed = ("未计时占比", "Share not timed")
    columns = {"enterprise": ENTERPRISE_HEADING, "Value #A": ("中位数", "Median"), "Value #B": ("90 分位", "90th percentile"), "Value #C": untimed}
    queries = [Query(latest(metrics.TRANSIT, CITY, ENTERPRISE, f'percentile="{percentile}"', by="enterprise")) for percentile in (50, 90)]
    panel = panels.grid(about, *queries, Query(latest(metrics.TRANSIT_UNTIMED, CITY, ENTERPRISE, by="enterprise")), columns=columns)
    panel.override_by_name(panels.both(untimed), [panels.Property("unit", SHARE)])
    return panels.mapped(panel, ENTERPRISE_HEADING, ENTERPRISE_NAMES)


def _made_of() -> bargauge.Panel:
    about = About(
        ("比率由何而来", "What rates are made of"),
        ("所选时间内收寄的快件数，按比率的分子与分母；以首次收寄扫描为准，每件只计一次。",
         "Parcels accepted in the time shown, by what rates are made of, numerators and denominators. A parcel counts once, with its first scan of acceptance."),
        NUMBER, NO_PARCELS, 12, 10,
    )  # fmt: skip
    panel = panels.gauges(about, Query(f"sort_desc({number_in('$__range', metrics.PARCELS_COUNTED, CITY, ENTERPRISE, by='measure')})", "{{measure}}"))
    return panels.renamed(panel, COUNTED)
